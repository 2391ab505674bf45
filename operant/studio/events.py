"""How training stands, told to every page as it changes (server-sent events)."""

import json
import math
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from operant.data.comparisons import Store
from operant.errors import StoreError

PERIOD = 0.5
"""Seconds between two looks at training, however many pages are open."""
HEARTBEAT = 10.0
"""Seconds of silence after which a sign of life is sent."""
POINTS = 200
"""Of the return, at most so many are sent."""


class Stream:
    """What `ask` says, asked for once a period for all pages, sent to each when it changes."""

    def __init__(self, ask: Callable[[], Any], event: str = "status", period: float = PERIOD):
        self._ask, self._event, self._period = ask, event, period
        self._lock = threading.Lock()
        self._known, self._at = "{}", -math.inf

    def now(self) -> str:
        """As JSON."""
        with self._lock:
            if time.monotonic() - self._at >= self._period:
                self._known = json.dumps(self._ask(), allow_nan=False)
                self._at = time.monotonic()
            return self._known

    def response(self, request: Request) -> Response:
        """The events, until the page or the studio closes."""
        return StreamingResponse(
            self._events(request.app.state.closing), media_type="text/event-stream",
            headers={"x-accel-buffering": "no"},
        )  # fmt: skip

    async def _events(self, closing: threading.Event) -> AsyncIterator[str]:
        yield "retry: 1000\n\n"
        sent, at = "", time.monotonic()
        while not closing.is_set():
            now = await run_in_threadpool(self.now)
            if now != sent:
                yield f"event: {self._event}\ndata: {now}\n\n"
                sent, at = now, time.monotonic()
            elif time.monotonic() - at > HEARTBEAT:
                yield ": still here\n\n"
                at = time.monotonic()
            await anyio.sleep(PERIOD)


class Events:
    """Training's status, asked for at most twice a second."""

    def __init__(self, status: Callable[[], Mapping[str, Any]], store: Store):
        self._status, self._store = status, store
        self._stream = Stream(self._ask)
        self.now = self._stream.now

    def routes(self) -> list[Route]:
        return [Route("/api/status", self.status), Route("/api/events", self.events)]

    async def status(self, request: Request) -> Response:
        return JSONResponse(json.loads(await run_in_threadpool(self.now)))

    async def events(self, request: Request) -> Response:
        return self._stream.response(request)

    def _ask(self) -> dict[str, Any]:
        try:
            told = dict(self._status())
        except Exception as error:  # training's own trouble is what the page is there to show
            told = {"phase": "stopped", "error": f"{type(error).__name__}: {error}"}
        status: dict[str, Any] = EMPTY | {name: told[name] for name in EMPTY if name in told}
        status["return"] = thinned(status["return"])
        agreement = status["agreement"]
        status["agreement"] = None if agreement is None or not math.isfinite(agreement) else float(agreement)
        try:
            status["waiting"] = self._store.waiting()
        except StoreError as error:
            status |= {"waiting": 0, "error": status["error"] or str(error)}
        return status


def thinned(points: list[Any]) -> list[list[float]]:
    """[[x, y], …] without what is not finite, at most POINTS, the latest among them.

    >>> thinned([[1, 2.0], [2, float("nan")]])
    [[1, 2.0]]
    """
    finite = [point for point in points if math.isfinite(point[1])]
    every = -(-len(finite) // POINTS) or 1
    return [[int(x), float(y)] for x, y in finite[::-1][::every][::-1]]


EMPTY: dict[str, Any] = {
    "phase": "waiting", "env_steps": 0, "steps": 0, "answers": 0, "budget": 0, "return": [], "agreement": None,
    "statement": "", "env": "", "error": None,
}  # fmt: skip
"""A status that says nothing; what training leaves out."""
