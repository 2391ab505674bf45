"""The coach page: watch the agent act, and say plus or minus. `operant.envs.audience` is where it meets training."""

import threading
import time
from typing import Any, NamedTuple

import anyio
import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from operant.envs.audience import Audience
from operant.studio import who
from operant.studio.bodies import LARGEST, read
from operant.studio.drawing import Pages
from operant.studio.events import Stream
from operant.studio.problems import Problem
from operant.studio.seats import picture

PATIENCE = 1.0
"""Seconds that a look waits for a new picture."""
TICK = 0.01


class Coached(NamedTuple):
    """A training that is watched, and what the page says of it."""

    audience: Audience
    env: str
    statement: str
    steps: int
    flat: bool
    """Its pictures are drawn in few colours."""


class Coach:
    """The page, and what it asks for and sends."""

    def __init__(self, coached: Coached, pages: Pages):
        self.audience, self.pages = coached.audience, pages
        self._about = {"env": coached.env, "statement": coached.statement, "budget": coached.steps}
        self._flat, self._drawn = coached.flat, (0, b"", "")
        self._drawing = threading.Lock()
        self._stream = Stream(self.audience.status, period=0.2)

    def routes(self) -> list[Route]:
        posts = ("say", "pace", "pause")
        return [
            Route("/coach", self.page),
            Route("/api/coach/look/{after:int}", self.look),
            Route("/api/coach/events", self.events),
            *[Route(f"/api/coach/{name}", getattr(self, name), methods=["POST"]) for name in posts],
        ]

    def page(self, request: Request) -> Response:
        given: dict[str, Any] = self._about | {"status": self._stream.now(), "name": who.named(request)}
        return who.known(request, self.pages.page(request, "coach.html", **given))

    async def look(self, request: Request) -> Response:
        """The first picture after this one, as soon as there is one; 204: there is none yet. Who looks, watches."""
        after, until = request.path_params["after"], time.monotonic() + PATIENCE
        if after > LARGEST:
            raise Problem(404, "missing", f"expected a picture up to {LARGEST}; got more.")
        while True:
            frame, shown = self.audience.look()
            if frame != after and shown is not None:
                break
            if time.monotonic() > until or request.app.state.closing.is_set() or self.audience.ended:
                return Response(status_code=204, headers={"coach-frame": str(frame)})
            await anyio.sleep(TICK)
        image, media = await run_in_threadpool(self._draw, frame, shown)
        return Response(image, media_type=media, headers={"coach-frame": str(frame)})

    def _draw(self, frame: int, shown: np.ndarray) -> tuple[bytes, str]:
        with self._drawing:
            if self._drawn[0] != frame:
                self._drawn = (frame, *picture(shown, self._flat))
            return self._drawn[1:]

    async def events(self, request: Request) -> Response:
        return self._stream.response(request)

    async def say(self, request: Request) -> Response:
        body, name = await read(request, "coach_say"), who.labeller(request)
        told = {"frame": int(body["frame"]), "since": float(body["since"]), "key": body["key"], "who": name}
        counted = await run_in_threadpool(lambda: self.audience.say(1.0 if body["value"] == "plus" else -1.0, **told))
        return JSONResponse({"counted": counted})

    async def pace(self, request: Request) -> Response:
        body = await read(request, "coach_pace")
        who.labeller(request)
        self.audience.set_pace(float(body["pace"]))
        return Response(status_code=204)

    async def pause(self, request: Request) -> Response:
        body = await read(request, "coach_pause")
        who.labeller(request)
        self.audience.set_paused(body["paused"] == "yes")
        return Response(status_code=204)
