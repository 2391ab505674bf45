"""Who is at the page: the name they gave, and the browser they sit at."""

import base64
import binascii
import re
import secrets

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from operant.studio.bodies import read
from operant.studio.guard import YEAR
from operant.studio.problems import Problem

NAME = "operant_name"
"""The cookie with the labeller's name."""
SESSION = "operant_session"
"""The cookie that tells browsers apart: two people of one name do not hold the same pairs."""


def routes() -> list[Route]:
    return [Route("/api/name", _name, methods=["POST"])]


async def _name(request: Request) -> Response:
    name = "".join(c for c in (await read(request, "name"))["name"] if c.isprintable()).strip()
    answer = JSONResponse({"name": name})
    value = base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")
    answer.set_cookie(NAME, value, max_age=YEAR, httponly=True, samesite="strict", path="/")
    return known(request, answer)


def labeller(request: Request) -> str:
    """The name in the cookie. Raises Problem (401): there is none."""
    value = request.cookies.get(NAME, "")
    try:
        name = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode()
    except (binascii.Error, ValueError):
        name = ""
    if not name or len(name) > 60 or not name.isprintable():
        raise Problem(401, "name", "expected to know who answers; no name was given. Send one to /api/name first.")
    return name


def named(request: Request) -> str:
    """The name in the cookie, or ""."""
    try:
        return labeller(request)
    except Problem:
        return ""


def session(request: Request) -> str:
    """What tells this browser from another of the same name; "" where it never opened a page."""
    value = request.cookies.get(SESSION, "")
    return value if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", value) else ""


def known(request: Request, answer: Response) -> Response:
    """`answer`, which tells a new browser what it is called."""
    if not session(request):
        value = secrets.token_urlsafe(18)
        answer.set_cookie(SESSION, value, max_age=YEAR, httponly=True, samesite="strict", path="/")
    return answer
