"""What the teach page asks for and sends. Described in `openapi.py`; bodies are checked against `bodies.BODIES`."""

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from operant.data.comparisons import Question, Refused, Store
from operant.errors import DataError, StoreError
from operant.studio.bodies import LARGEST, read
from operant.studio.problems import Problem
from operant.studio.sheets import Sheets
from operant.studio.who import labeller, session
from operant.teachers import Answer

SIDES = ("left", "right")
KINDS = {".webp": "sheet", ".mp4": "video", ".webm": "video"}
MEDIA = {".webp": "image/webp", ".mp4": "video/mp4", ".webm": "video/webm"}

Curves = Callable[[int], Mapping[str, Sequence[float]] | None]


class Api:
    """The store, over HTTP. `curves(pair)`: the learned reward along "left" and "right", or None."""

    def __init__(self, folder: Path, store: Store, curves: Curves):
        self.folder, self.store, self.curves, self.sheets = folder.resolve(), store, curves, Sheets()

    def routes(self) -> list[Route]:
        posts = ("next", "answer", "skip", "undo", "renew", "release")
        return [
            *[Route(f"/api/{name}", getattr(self, name), methods=["POST"]) for name in posts],
            Route("/api/clip/{pair:int}/{side}", self.clip),
            Route("/api/sheet/{pair:int}/{side}", self.sheet),
            Route("/api/after/{pair:int}", self.after),
        ]

    # --- asking and answering -------------------------------------------------------------------------------------

    async def next(self, request: Request) -> Response:
        body, who = await read(request, "next"), labeller(request)
        besides = tuple(map(int, body.get("besides", ())))
        question = await self._do(self.store.lease, who, session=session(request), besides=besides)
        return JSONResponse({"question": None if question is None else await self._do(self._shown, question)})

    async def answer(self, request: Request) -> Response:
        body, who = await read(request, "answer"), labeller(request)
        number = await self._do(
            self.store.answer, int(body["pair"]), Answer[body["answer"]],
            labeller=who, lease=body["lease"], key=body["key"], seconds=float(body["seconds"]),
        )  # fmt: skip
        return JSONResponse({"id": number})

    async def skip(self, request: Request) -> Response:
        body, who = await read(request, "skip"), labeller(request)
        await self._do(self.store.skip, int(body["pair"]), labeller=who, lease=body["lease"])
        return Response(status_code=204)

    async def undo(self, request: Request) -> Response:
        """The pair is leased to its labeller again, in place of all they held."""
        body, who, mine = await read(request, "undo"), labeller(request), session(request)
        pair = await self._do(self.store.undo, who, session=mine, key=body["key"])
        question = None if pair is None else await self._do(self.store.lease, who, session=mine)
        return JSONResponse({"pair": pair, "question": question and await self._do(self._shown, question)})

    async def renew(self, request: Request) -> Response:
        body = await read(request, "renew")
        held = Question(int(body["pair"]), 0, 0, body["lease"], 0.0)
        question = await self._do(self.store.renew, held)
        return JSONResponse({"seconds": _left(question)})

    async def release(self, request: Request) -> Response:
        """Also what a closing page sends; a pair that is no longer held is free already."""
        body = await read(request, "release")
        await self._do(self.store.release, int(body["pair"]), body["lease"])
        return Response(status_code=204)

    async def _do(self, call: Callable[..., Any], *args: Any, **named: Any) -> Any:
        try:
            return await run_in_threadpool(call, *args, **named)
        except Refused as error:
            raise Problem(409, error.reason, str(error)) from error
        except StoreError as error:
            raise Problem(503, "store", str(error), {"retry-after": "2"}) from error

    def _shown(self, question: Question) -> dict[str, Any]:
        """A question as the page needs it; `mark` tells whether a pair of the same id is the same pair."""
        about = self.store.about(question.id)
        sides, marks = {}, [str(self.folder)]
        for side in SIDES:
            clip = str(about.get(side, {}).get("clip", ""))
            kind = KINDS.get(Path(clip).suffix, "none")
            route = {"sheet": "sheet", "video": "clip", "none": None}[kind]
            source = f"/api/{route}/{question.id}/{side}" if route else None
            sides[side] = {"kind": kind, "src": source}
            marks.append(json.dumps(about.get(side, {}), sort_keys=True, default=str))
        mark = hashlib.sha256("\0".join(marks).encode()).hexdigest()[:16]
        return {"id": question.id, "lease": question.lease, "seconds": _left(question), "mark": mark, **sides}

    # --- clips and what the reward thinks of them -----------------------------------------------------------------

    async def clip(self, request: Request) -> Response:
        path = await self._do(self._path, request)
        return FileResponse(path, media_type=MEDIA[path.suffix], headers={"cache-control": "no-cache"})

    async def sheet(self, request: Request) -> Response:
        path = await self._do(self._path, request)
        if KINDS[path.suffix] != "sheet":
            raise Problem(404, "clip", f"expected an animated image for a sheet; got a video ({path.suffix}). Ask for "
                          "/api/clip.")  # fmt: skip
        try:
            sheet = await run_in_threadpool(self.sheets.of, path)
        except DataError as error:
            raise Problem(404, "clip", str(error)) from error
        layout = {"frames": sheet.frames, "columns": sheet.columns, "rate": sheet.rate}
        return Response(
            sheet.image, media_type="image/webp", headers={f"clip-{name}": str(x) for name, x in layout.items()}
        )

    async def after(self, request: Request) -> Response:
        pair = _pair(request)
        await self._do(self._about, pair)
        found = await run_in_threadpool(self.curves, pair)
        curves = {side: None if found is None else [_finite(x) for x in found[side]] for side in SIDES}
        return JSONResponse({"pair": pair, **curves})

    def _path(self, request: Request) -> Path:
        """Where a clip lies; nothing outside the run folder, and nothing that is no clip. Raises Problem."""
        pair, side = _pair(request), request.path_params["side"]
        if side not in SIDES:
            raise Problem(404, "missing", f"expected a side, left or right; got {side[:40]!r}.")
        path = (self.folder / str(self._about(pair).get(side, {}).get("clip", ""))).resolve()
        if not path.is_relative_to(self.folder) or path.suffix not in KINDS:
            raise Problem(404, "clip", f"expected a clip in the run folder for pair {pair}; it names none.")
        if not path.is_file():
            raise Problem(
                404, "clip", f"expected the {side} clip of pair {pair}; it is not there yet. Ask again.",
                {"retry-after": "1"},
            )  # fmt: skip
        return path

    def _about(self, pair: int) -> dict[str, Any]:
        try:
            return self.store.about(pair)
        except StoreError as error:
            raise Problem(404, "missing", f"expected a pair that was asked; got {pair}. Ask /api/next.") from error


def _pair(request: Request) -> int:
    pair = request.path_params["pair"]
    if not 1 <= pair <= LARGEST:
        raise Problem(404, "missing", "expected a pair that was asked; there is none of this number.")
    return pair


def _left(question: Question) -> float:
    """Seconds until the lease ends: a page's clock may differ from this machine's."""
    return round(max(0.0, question.expires - time.time()), 3)


def _finite(x: float) -> float | None:
    return float(x) if math.isfinite(x) else None
