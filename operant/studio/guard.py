"""Who may ask: the ASGI layer around the whole app.

- Without a token only the loopback names may stand in `Host`: a page elsewhere that points its own name at this
  machine (DNS rebinding) is refused. With a token the cookie guards, which a browser keeps for one host name.
- A request that another site caused is refused, by `Origin` and `Sec-Fetch-Site`; only opening a page is not.
- The token comes once, as `?token=`; the answer is a cookie made from it and the same address without it.
- Every response gets a strict content security policy, unless it brings its own.
- What breaks inside is told as a problem, and logged without the address.
"""

import hashlib
import hmac
import logging
from typing import Any
from urllib.parse import urlencode, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from operant.errors import SpecError
from operant.studio.problems import Problem

LOOPBACK = ("127.0.0.1", "localhost", "::1")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
SHORTEST = 16
"""Characters a token must have at least."""
YEAR = 365 * 24 * 3600


class Guard:
    """Lets through what may come in; `told` draws a problem as a page or as JSON."""

    def __init__(self, app: ASGIApp, token: str | None, told: Any):
        if token is not None and len(token) < SHORTEST:
            raise SpecError(
                f"expected a token of at least {SHORTEST} characters; got {len(token)}. Use secrets.token_urlsafe()."
            )
        self.app, self.token, self.told = app, token, told
        if token is not None:  # cookies are shared between ports: the name keeps two studios apart
            self.cookie = "operant_" + hashlib.sha256(token.encode()).hexdigest()[:12]
            self.secret = hmac.new(token.encode(), b"operant studio cookie", hashlib.sha256).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})
        request, begun = Request(scope), False

        async def safely(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            answer = self._entry(request)
        except Problem as problem:
            answer = self.told(request, problem)
        if answer is not None:
            return await answer(scope, receive, safely)
        try:
            await self.app(scope, receive, safely)
        except Exception as error:
            logging.getLogger("operant.studio").exception("a request broke the studio")
            if begun:
                raise
            detail = f"expected to answer; the studio broke ({type(error).__name__}). Its log says where."
            await self.told(request, Problem(500, "server", detail))(scope, receive, safely)

    def _entry(self, request: Request) -> Response | None:
        """None: come in. Raises Problem."""
        host = request.headers.get("host", "")
        if self.token is None and _name(host) not in LOOPBACK:
            raise Problem(
                403, "origin",
                f"expected Host to be one of {', '.join(LOOPBACK)}; got {host[:80]!r}. Open the address that was "
                "printed, or start the studio with --host and a token.",
            )  # fmt: skip
        self._same_site(request, host)
        if self.token is None:
            return None
        given = request.query_params.get("token")
        if given is not None:
            if not hmac.compare_digest(given.encode(), self.token.encode()):
                raise Problem(401, "token", "expected the studio's token; got another. Copy the printed address again.")
            return self._welcome(request)
        shown = request.cookies.get(self.cookie, "")
        if not hmac.compare_digest(shown.encode(), self.secret.encode()):
            raise Problem(
                401, "token",
                "expected to know this browser; it has not shown the token. Open the address that was printed, with "
                "its ?token=.",
            )  # fmt: skip
        return None

    def _same_site(self, request: Request, host: str) -> None:
        headers, opening = request.headers, request.method in ("GET", "HEAD")
        page = opening and headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        foreign = origin is not None and _place(origin) != host.lower()
        if foreign or (site in ("cross-site", "same-site") and not page):
            raise Problem(
                403, "origin",
                f"expected a request from the studio's own pages; this one comes from {(origin or 'another site')[:80]}"
                ". Open the studio itself.",
            )  # fmt: skip

    def _welcome(self, request: Request) -> Response:
        """The cookie, and the address without the token."""
        rest = [(k, v) for k, v in request.query_params.multi_items() if k != "token"]
        path = "/" + request.url.path.lstrip("/\\")  # "//elsewhere" would lead away
        target = path + (f"?{urlencode(rest)}" if rest else "")
        if request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            # A browser withholds strict cookies from a redirect that another site began, but not from our own page.
            headers = {"refresh": f"0;url={target}"}
            answer: Response = HTMLResponse("<!doctype html><title>Operant</title>", headers=headers)
        else:
            answer = RedirectResponse(target, 303)
        answer.set_cookie(self.cookie, self.secret, max_age=YEAR, httponly=True, samesite="strict", path="/")
        return answer


def _name(host: str) -> str:
    """
    >>> _name("localhost:8000"), _name("[::1]:80"), _name("127.0.0.1"), _name("[broken")
    ('localhost', '::1', '127.0.0.1', '')
    """
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _place(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
