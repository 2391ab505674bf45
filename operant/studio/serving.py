"""Uvicorn in a thread, beside training."""

import socket
import threading
import time
from urllib.parse import quote

import uvicorn
from starlette.applications import Starlette

from operant.errors import RunError, SpecError
from operant.studio.guard import LOOPBACK

STARTS_WITHIN = 10.0
"""Seconds."""


class Served:
    """A studio that is being served: `url` is its address, `link` what to open (with the token, if there is one)."""

    def __init__(self, url: str, link: str, server: uvicorn.Server, thread: threading.Thread, app: Starlette):
        self.url, self.link = url, link
        self._server, self._thread, self._app = server, thread, app

    def stop(self) -> None:
        """End every open connection and wait until the port is free."""
        self._app.state.closing.set()  # event streams never end of themselves
        self._server.should_exit = True
        self._thread.join(STARTS_WITHIN)


def serve(app: Starlette, host: str = "127.0.0.1", port: int = 0) -> Served:
    """Serve `app` until `stop()`; port 0 takes a free one.

    Raises:
        SpecError: another machine could reach this address and the app has no token, or the address cannot be had.
        RunError: the server did not start.
    """
    if host not in LOOPBACK and app.state.token is None:
        raise SpecError(
            f"expected a token, because {host} can be reached from other machines; got none. Give app(token=…), for "
            "instance secrets.token_urlsafe(), or leave out the host."
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(128)
    except (OSError, OverflowError) as error:
        listening.close()
        raise SpecError(
            f"expected to listen on {host}, port {port}; the system answered: {error}. Choose another port, or 0 for "
            "any that is free."
        ) from error
    app.state.closing = threading.Event()
    # No access log: addresses may hold the token. No lifespan: nothing is opened here that was not given.
    config = uvicorn.Config(
        app, http="h11", ws="none", lifespan="off", access_log=False, log_config=None, server_header=False,
        timeout_keep_alive=30, timeout_graceful_shutdown=2,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="operant-studio", daemon=True)
    thread.start()
    until = time.monotonic() + STARTS_WITHIN
    while not server.started:
        if not thread.is_alive() or time.monotonic() > until:
            raise RunError(
                f"expected the studio to start within {STARTS_WITHIN:g} s; it did not. See the log above; training can "
                "go on without it."
            )
        time.sleep(0.01)
    shown = socket.gethostname() if host in ("0.0.0.0", "::") else host
    url = f"http://{f'[{shown}]' if ':' in shown else shown}:{listening.getsockname()[1]}"
    return Served(url, _link(url, app.state.first, app.state.token), server, thread, app)


def _link(url: str, page: str, token: str | None) -> str:
    """
    >>> _link("http://a:1", "/teach", None), _link("http://a:1", "/teach", "x/y")
    ('http://a:1/teach', 'http://a:1/teach?token=x%2Fy')
    """
    return f"{url}{page}" + (f"?token={quote(token, safe='')}" if token is not None else "")
