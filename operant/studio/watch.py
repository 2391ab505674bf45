"""The runs beside this one: list and comparison, one run, its clips, its report."""

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from operant.errors import OperantError
from operant.io import report
from operant.studio.drawing import DRAWN, Pages
from operant.studio.events import Stream
from operant.studio.problems import Problem
from operant.studio.runs import COMPARED, Runs

CHANGES = 2.0
"""Seconds between two looks at the run folders, however many pages are open."""
REPORT = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"


class Watch:
    """Runs: list and comparison, one run, its clips, its report."""

    def __init__(self, runs: Runs, pages: Pages):
        self.runs, self.pages = runs, pages
        self._changes = Stream(runs.marks, "runs", CHANGES)

    def routes(self) -> list[Route]:
        return [
            Route("/runs", self.list),
            Route("/api/runs/events", self.events),
            Route("/runs/{name}", self.run),
            Route("/runs/{name}/report", self.report),
            Route("/runs/{name}/clip/{number:int}", self.clip),
        ]

    async def events(self, request: Request) -> Response:
        """Which runs changed, so that an open page asks for itself again."""
        return self._changes.response(request)

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
        try:
            clips = self.runs.data(name).clips
        except OperantError as error:
            raise Problem(404, "missing", str(error)) from error
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
