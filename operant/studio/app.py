"""The studio as an ASGI app: pages, API, and who may ask for them."""

import importlib.resources
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from operant.data.comparisons import Store
from operant.studio import who
from operant.studio.api import Api, Curves
from operant.studio.coach import Coach, Coached
from operant.studio.drawing import HERE, Pages
from operant.studio.events import Events
from operant.studio.guard import Guard
from operant.studio.openapi import description
from operant.studio.problems import Problem
from operant.studio.record import Record
from operant.studio.runs import Runs
from operant.studio.seats import Seats
from operant.studio.watch import Watch


def app(
    folder: str | Path | None,
    store: Store | None,
    *,
    token: str | None,
    status: Callable[[], Mapping[str, Any]] | None = None,
    curves: Curves = lambda pair: None,
    seats: Seats | None = None,
    coached: Coached | None = None,
    title: str = "",
) -> Starlette:
    """The studio of one run, or of whatever of it is given.

    Args:
        folder: the run's folder; clips lie in it, other runs beside it. None: there is no run.
        store: where pairs come from and answers go to; called from several threads. None: nobody teaches.
        token: what another machine must show once; None: only loopback names are answered.
        status: how training stands: `phase` ("training", "waiting", "done", "stopped"), `env_steps` of `steps`,
            `answers` of `budget`, `return` [[steps, value], …], `agreement` in [0, 1] or None, `statement`, `env`,
            `error`. Called at most twice a second, from another thread. Needed beside a store.
        curves: the learned reward along both clips of a pair, {"left": (L,), "right": (L,)}; None: nothing is known.
        seats: where people play the environment and keep what they showed. None: nobody plays.
        coached: the training whose agent people watch and judge as it acts. None: there is none.
        title: of the page; by default the folder's name.

    Raises:
        SpecError: the token is too short.
    """
    folder = None if folder is None else Path(folder).resolve()
    links = [("/teach", "Teach")] * (store is not None) + [("/record", "Record")] * (seats is not None)
    links += [("/coach", "Coach")] * (coached is not None)
    links += [("/runs", "Runs")] * (folder is not None)
    pages = Pages(title or (folder.name if folder is not None else "Operant"), links)
    routes: list[BaseRoute] = [*who.routes()]
    if store is not None:
        assert status is not None and folder is not None, "who teaches sees clips, and how training stands"
        events = Events(status, store)
        routes += [*_teach(pages, events), *Api(folder, store, curves).routes(), *events.routes()]
    if seats is not None:
        routes += Record(seats, pages).routes()
    if coached is not None:
        routes += Coach(coached, pages).routes()
    if folder is not None:
        routes += Watch(Runs(folder.parent), pages).routes()
    told: Any = pages.told
    first = links[0][0]
    there = {r.path.replace(":int", "") for r in routes if isinstance(r, Route)} | {DESCRIPTION}
    studio = Starlette(
        routes=[
            Route("/", lambda request: RedirectResponse(first, 303)),
            *routes,
            Route(DESCRIPTION, lambda request: JSONResponse(description(there))),
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
    studio.state.token, studio.state.closing, studio.state.first = token, threading.Event(), first
    studio.build_middleware_stack()  # a token that is refused, is refused now
    return studio


DESCRIPTION = "/api/openapi.json"


def _teach(pages: Pages, events: Events) -> list[BaseRoute]:
    def page(request: Request) -> Response:
        answer = pages.page(request, "teach.html", status=events.now(), name=who.named(request))
        return who.known(request, answer)

    return [Route("/teach", page)]


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
