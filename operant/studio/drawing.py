"""Pages, drawn from the templates in `pages/`; what is put into them is escaped."""

from pathlib import Path
from typing import Any

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from operant.io.report.charts import number, steps
from operant.studio.guard import POLICY
from operant.studio.problems import Problem

HERE = Path(__file__).parent
DRAWN = POLICY + "; style-src-attr 'unsafe-inline'"
"""For pages with charts drawn here: their colours stand in style attributes."""


class Pages:
    """`links`: what the bar on top leads to, (address, word)."""

    def __init__(self, title: str, links: list[tuple[str, str]]):
        self._env = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "pages"), autoescape=True, trim_blocks=True, lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )  # fmt: skip
        self._env.filters |= {"number": number, "steps": steps}
        self._env.globals |= {"title": title, "links": links}

    def text(self, template: str, **given: Any) -> str:
        return self._env.get_template(template).render(**given)

    def page(self, request: Request, template: str, code: int = 200, policy: str = POLICY, **given: Any) -> Response:
        text = self.text(template, path=request.url.path, **given)
        return HTMLResponse(text, code, {"content-security-policy": policy})

    def told(self, request: Request, problem: Problem) -> Response:
        """A problem: as a page for who opened one, else as JSON."""
        wants_page = "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/")
        if not wants_page:
            return problem.response()
        answer = self.page(request, "problem.html", problem.status, problem=problem)
        answer.headers.update(problem.headers)
        return answer
