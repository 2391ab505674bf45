"""For mkdocs: doctests in docstrings are shown as code. Without it Markdown takes `>>>` for three nested quotations."""

from typing import Any

import griffe


class Doctests(griffe.Extension):
    """Fences every paragraph that begins with a prompt."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(text: str) -> str:
    """
    >>> print(fenced("Says one.\\n\\n>>> 1\\n1"))
    Says one.
    <BLANKLINE>
    ```pycon
    >>> 1
    1
    ```
    """
    is_code = lambda part: part.lstrip().startswith(">>>") and not part.startswith("    ")
    return "\n\n".join(f"```pycon\n{part}\n```" if is_code(part) else part for part in text.split("\n\n"))
