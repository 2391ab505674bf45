"""The studio as an ASGI app: pages, API, and who may ask for them."""

import importlib.resources
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from operant.data.comparisons import Store
from operant.errors import OperantError
from operant.io import report
from operant.io.report.charts import number, steps
from operant.studio.api import Api, Curves, labeller
from operant.studio.events import Events
from operant.studio.guard import POLICY, Guard
from operant.studio.problems import Problem
from operant.studio.runs import COMPARED, Runs

HERE = Path(__file__).parent
DRAWN = POLICY + "; style-src-attr 'unsafe-inline'"
"""For pages with charts drawn here: their colours stand in style attributes."""
REPORT = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"


def app(
    folder: str | Path,
    store: Store,
    *,
    token: str | None,
    status: Callable[[], Mapping[str, Any]],
    curves: Curves = lambda pair: None,
    title: str = "",
) -> Starlette:
    """The studio of one run.

    Args:
        folder: the run's folder; clips lie in it, other runs beside it.
        store: where pairs come from and answers go to; called from several threads.
        token: what another machine must show once; None: only loopback names are answered.
        status: how training stands: `phase` ("training", "waiting", "done", "stopped"), `env_steps` of `steps`,
            `answers` of `budget`, `return` [[steps, value], …], `agreement` in [0, 1] or None, `statement`, `env`,
            `error`. Called at most twice a second, from another thread.
        curves: the learned reward along both clips of a pair, {"left": (L,), "right": (L,)}; None: nothing is known.
        title: of the page; by default the folder's name.

    Raises:
        SpecError: the token is too short.
    """
    folder = Path(folder).resolve()
    pages = Pages(title or folder.name)
    api, events, watch = Api(folder, store, curves), Events(status, store), Watch(Runs(folder.parent), pages)
    teach = lambda request: pages.page(request, "teach.html", status=events.now(), name=_name(request))
    told: Any = pages.told
    studio = Starlette(
        routes=[
            Route("/", lambda request: RedirectResponse("/teach", 303)),
            Route("/teach", teach),
            *watch.routes(),
            *api.routes(),
            *events.routes(),
            Route("/style/report.css", _report_style),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        middleware=[Middleware(Guard, token=token, told=pages.told)],
        exception_handlers={
            Problem: told,
            HTTPException: lambda request, error: told(request, _problem(request, error)),
        },
    )
    studio.router.redirect_slashes = False
    studio.state.token, studio.state.closing = token, threading.Event()
    studio.build_middleware_stack()  # a token that is refused, is refused now
    return studio


class Pages:
    """Draws pages; what is put into them is escaped."""

    def __init__(self, title: str):
        self._env = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "pages"), autoescape=True, trim_blocks=True, lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )  # fmt: skip
        self._env.filters |= {"number": number, "steps": steps}
        self._env.globals["title"] = title

    def page(self, request: Request, template: str, code: int = 200, policy: str = POLICY, **given: Any) -> Response:
        text = self._env.get_template(template).render(path=request.url.path, **given)
        return HTMLResponse(text, code, {"content-security-policy": policy})

    def told(self, request: Request, problem: Problem) -> Response:
        """A problem: as a page for who opened one, else as JSON."""
        wants_page = "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/")
        if not wants_page:
            return problem.response()
        answer = self.page(request, "problem.html", problem.status, problem=problem)
        answer.headers.update(problem.headers)
        return answer


class Watch:
    """Runs: list and comparison, one run, its clips, its report."""

    def __init__(self, runs: Runs, pages: Pages):
        self.runs, self.pages = runs, pages

    def routes(self) -> list[Route]:
        return [
            Route("/runs", self.list),
            Route("/runs/{name}", self.run),
            Route("/runs/{name}/report", self.report),
            Route("/runs/{name}/clip/{number:int}", self.clip),
        ]

    def list(self, request: Request) -> Response:
        """The list, and the chart of those chosen by ?with=NAME (several) and ?metric=."""
        rows = self.runs.rows()
        known = [row.name for row in rows if not row.error]
        chosen = [name for name in dict.fromkeys(request.query_params.getlist("with")) if name in known][:COMPARED]
        shown = chosen or known[:COMPARED]
        metrics = self.runs.metrics(shown)
        metric = request.query_params.get("metric", "")
        metric = metric if metric in metrics else next(iter(metrics), "")
        return self.pages.page(
            request, "runs.html", policy=DRAWN, rows=rows, chosen=chosen, metrics=metrics, metric=metric,
            chart=self.runs.chart(shown, metric) if metric else None,
        )  # fmt: skip

    def run(self, request: Request) -> Response:
        name = self._known(request)
        row = self.runs.row(name)
        data = None if row.error else self.runs.data(name)
        chart = None if row.error else self.runs.chart([name], "episode/return")
        return self.pages.page(request, "run.html", policy=DRAWN, row=row, data=data, chart=chart)

    def clip(self, request: Request) -> Response:
        name, number = self._known(request), request.path_params["number"]
        clips = self.runs.data(name).clips
        if number >= len(clips):
            raise Problem(404, "missing", f"expected a clip below {len(clips)}; got {str(number)[:20]}.")
        path = clips[number].path.resolve()
        if not path.is_relative_to(self.runs.parent / name) or not path.is_file():
            raise Problem(404, "missing", f"expected the clip in the folder of {name}; it is not there.")
        return FileResponse(path, media_type="image/webp", headers={"cache-control": "no-cache"})

    def report(self, request: Request) -> Response:
        """What `operant report` wrote, or would write now."""
        name = self._known(request)
        path = self.runs.parent / name / "report.html"
        if path.is_file() and not path.is_symlink():
            text = path.read_text()
        else:
            try:
                text = report.render(self.runs.data(name))
            except OperantError as error:
                raise Problem(404, "missing", str(error)) from error
        return HTMLResponse(text, headers={"content-security-policy": REPORT})

    def _known(self, request: Request) -> str:
        name = request.path_params["name"]
        if name not in self.runs.names():
            raise Problem(404, "missing", f"expected a run beside this one; there is no {name[:80]!r}. See /runs.")
        return name


def _name(request: Request) -> str:
    try:
        return labeller(request)
    except Problem:
        return ""


def _problem(request: Request, error: Exception) -> Problem:
    code = getattr(error, "status_code", 500)
    path = request.url.path[:120]
    headers = dict(getattr(error, "headers", None) or {})
    if code == 404:
        return Problem(404, "missing", f"expected a page or a call of the studio; there is no {path}.", headers)
    if code == 405:
        allowed = headers.get("Allow", headers.get("allow", "another method"))
        return Problem(405, "method", f"expected {allowed} for {path}; got {request.method[:20]}.", headers)
    return Problem(code, "request", str(getattr(error, "detail", error)), headers)


def _report_style(request: Request) -> Response:
    """The report's own style sheet: one visual language, kept in one place."""
    page = importlib.resources.files("operant.io.report").joinpath("page.html.j2").read_text()
    style = page.partition("<style>")[2].partition("</style>")[0]
    return Response(style, media_type="text/css", headers={"cache-control": "no-cache"})
