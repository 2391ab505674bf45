"""What goes wrong in a request, told as JSON (RFC 9457, `application/problem+json`)."""

import http
from collections.abc import Mapping

from starlette.responses import JSONResponse


class Problem(Exception):
    """A request that is refused.

    `reason` is one word for programs: "request", "name", "token", "origin", "missing", "method", "size", "slow",
    "conflict", "answered", "lease", "clip", "session", "full", "order", "over", "environment", "store" or "server".
    `detail` says what was expected, what arrived and what to change.
    """

    def __init__(self, status: int, reason: str, detail: str, headers: Mapping[str, str] | None = None):
        super().__init__(detail)
        self.status, self.reason, self.detail, self.headers = status, reason, detail, dict(headers or {})

    @property
    def title(self) -> str:
        return http.HTTPStatus(self.status).phrase

    def response(self) -> JSONResponse:
        return JSONResponse(
            {"title": self.title, "status": self.status, "reason": self.reason, "detail": self.detail},
            self.status,
            headers=self.headers,
            media_type="application/problem+json",
        )
