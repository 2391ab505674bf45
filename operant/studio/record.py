"""The record page: play the environment by keyboard, keep what was shown. `seats.py` holds what is played."""

from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from operant.errors import DataError, EnvError, RunError, SpecError, StoreError
from operant.studio import who
from operant.studio.bodies import read
from operant.studio.drawing import Pages
from operant.studio.problems import Problem
from operant.studio.seats import Seats, Shown


class Record:
    """The page, and what it asks for and sends."""

    def __init__(self, seats: Seats, pages: Pages):
        self.seats, self.pages = seats, pages

    def routes(self) -> list[Route]:
        posts = ("begin", "look", "step", "restart", "keep", "leave")
        calls = [Route(f"/api/record/{name}", getattr(self, name), methods=["POST"]) for name in posts]
        return [Route("/record", self.page), *calls]

    def page(self, request: Request) -> Response:
        answer = self.pages.page(
            request, "record.html", env=self.seats.name, folder=str(self.seats.folder), name=who.named(request)
        )
        return who.known(request, answer)

    async def begin(self, request: Request) -> Response:
        await read(request, "record_begin")
        _, told = await self._do(self.seats.sit, who.labeller(request), who.session(request))
        return JSONResponse(told)

    async def look(self, request: Request) -> Response:
        return await self._picture(request, "look")

    async def step(self, request: Request) -> Response:
        return await self._picture(request, "step", lambda body: (int(body["t"]), body["action"]))

    async def restart(self, request: Request) -> Response:
        return await self._picture(request, "restart")

    async def keep(self, request: Request) -> Response:
        body = await read(request, "record_keep")
        return JSONResponse(await self._do(self.seats.keep, body["session"], body["key"]))

    async def leave(self, request: Request) -> Response:
        """Also what a closing page sends."""
        body = await read(request, "record_leave")
        await self._do(self.seats.leave, body["session"])
        return Response(status_code=204)

    async def _picture(
        self, request: Request, call: str, arguments: Callable[[dict[str, Any]], tuple] = lambda body: ()
    ) -> Response:
        body = await read(request, f"record_{call}")
        work = lambda: getattr(self.seats.seat(body["session"]), call)(*arguments(body))
        shown: Shown = await self._do(work)
        headers = {"play-steps": str(shown.t), "play-return": repr(shown.total), "play-over": shown.over}
        return Response(shown.image, media_type=shown.media, headers=headers)

    async def _do(self, call: Callable[..., Any], *args: Any) -> Any:
        try:
            return await run_in_threadpool(call, *args)
        except DataError as error:
            raise Problem(400, "request", str(error)) from error
        except StoreError as error:
            raise Problem(503, "store", str(error), {"retry-after": "2"}) from error
        except (EnvError, RunError, SpecError) as error:
            raise Problem(409, "environment", str(error)) from error
