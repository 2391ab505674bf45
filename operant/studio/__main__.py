"""The studio of a run as a process of its own: `python -m operant.studio RUN`. `operant teach` starts it.

It goes on when training ends, however that ends, and keeps taking answers; it ends on Ctrl-C or SIGTERM, or when
training is gone and nobody has looked for `PATIENCE` seconds. The token, where there is one, comes in the environment
(OPERANT_TOKEN), which other users of the machine cannot read, as they can a command line. The first line it prints is
JSON: {"url": …, "link": …}.
"""

import argparse
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from operant.core import AbstractEnv, AbstractHostEnv
from operant.data.comparisons import Store
from operant.errors import OperantError
from operant.studio.app import app
from operant.studio.live import status
from operant.studio.seats import Seats
from operant.studio.serving import serve
from operant.teachers import Person

PATIENCE = 600.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m operant.studio", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--title", default="")
    parser.add_argument("--duplicates", type=float, default=0.0, help="share of questions that are asked twice")
    parser.add_argument("--env", default="", help="what the run's environment is called: it can be played")
    given = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        labels = os.environ.pop("OPERANT_LABELS", "")  # a URL may hold a password; none: labels.db in the folder
        with Store(Person(labels).store_of(given.folder), duplicates=given.duplicates) as store:
            looked = [time.monotonic()]

            def look() -> dict:
                looked[0] = time.monotonic()
                return status(given.folder, store)

            def curves(pair: int) -> dict | None:
                about = store.about(pair)
                known = "reward" in about.get("left", {})  # nothing was learned before the first answers
                return {side: about[side]["reward"] for side in ("left", "right")} if known else None

            token = os.environ.pop("OPERANT_TOKEN", None)
            seats = Seats(lambda: _env(given.folder), given.folder / "demos", given.env) if given.env else None
            studio = app(given.folder, store, token=token, status=look, curves=curves, seats=seats, title=given.title)
            served = serve(studio, given.host, given.port)
            print(json.dumps({"url": served.url, "link": served.link}), flush=True)
            while not ended.wait(1.0):
                gone = status(given.folder, store)["phase"] in ("done", "stopped")
                if gone and time.monotonic() - looked[0] > PATIENCE:
                    break
            served.stop()
            if seats is not None:
                seats.close()
    except OperantError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return 2
    return 0


def _env(folder: Path) -> AbstractEnv | AbstractHostEnv:
    """The run's environment, made when the first person wants to play it."""
    from operant import study

    return study.load(folder / "study.toml").env


if __name__ == "__main__":
    sys.exit(main())
