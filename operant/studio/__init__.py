"""The studio: a web app beside training. Teach by comparing clips, watch runs, read reports. Needs `operant[studio]`.

    handle = serve(app(folder, store, token=None, status=status))
    print(handle.link)      # open it in a browser
    handle.stop()

Everything is served from this package: no build step, nothing fetched from a network.
"""

from operant.errors import SpecError

try:
    import starlette as _starlette  # noqa: F401
    import uvicorn as _uvicorn  # noqa: F401
except ImportError as error:
    raise SpecError(
        f"expected the studio's packages; {error.name} is not installed. Install them: pip install 'operant[studio]'."
    ) from error

from operant.studio.app import app
from operant.studio.serving import Served, serve

__all__ = ["Served", "app", "serve"]
