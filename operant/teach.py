"""People teach: start the studio beside training, say where the page is, and end it with the training.

The studio is a process of its own (`operant.studio.__main__`), so that it outlives a training that dies.
"""

import contextlib
import dataclasses
import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from operant.core import AbstractEnv, AbstractHostEnv
from operant.errors import SpecError
from operant.io.recorders import AbstractRecorder
from operant.loops.asking import Questions
from operant.study import Study
from operant.teachers import Person
from operant.teachers.person import LABELS


@dataclasses.dataclass(frozen=True)
class Page:
    """Where the page is served."""

    host: str = "127.0.0.1"
    """Address to listen on; any but the loopback's can be reached from other machines, which then need the token."""
    port: int = 0
    """0: any that is free."""

    def token(self) -> str | None:
        """A new secret for other machines to show; None where none of them can reach the page."""
        from operant.studio.guard import LOOPBACK

        return None if self.host in LOOPBACK else secrets.token_urlsafe(24)


@contextlib.contextmanager
def studio(study: Study, folder: Path, page: Page, say: Callable[[str], None]) -> Iterator[AbstractRecorder]:
    """Serve the page of a run while the block runs; gives the recorder that tells the page how training stands.

    Args:
        say: called with a line for the person at the terminal.

    Raises:
        SpecError: the studio's packages are missing, or the address cannot be had.
    """
    from operant.studio.live import Live

    assert isinstance(study.teacher, Person)
    name = study.env.spec.name or type(study.env).__name__
    live = Live(folder, statement=study.statement, env=name, budget=(study.questions or Questions()).budget)
    environment, fresh = dict(os.environ), not (folder / LABELS).exists()
    if (token := page.token()) is not None:
        environment["OPERANT_TOKEN"] = token
    command = [sys.executable, "-m", "operant.studio", str(folder), "--host", page.host, "--port", str(page.port)]
    if study.teacher.labels:  # not an argument: whoever lists processes would read the password in it
        environment["OPERANT_LABELS"] = study.teacher.labels
    command += ["--title", study.name, "--env", name, "--duplicates", str(study.teacher.duplicates)]
    # a session of its own: Ctrl-C is for training, which then ends the studio
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True, cwd=Path.cwd()
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        told = json.loads(line) if line.startswith("{") else {"error": "the studio did not start; see above."}
        if "error" in told:
            if fresh:  # a page that never was leaves no store
                for path in folder.glob(f"{LABELS}*"):
                    path.unlink()
            raise SpecError(told["error"])
        say(f"open {told['link']}")
        yield live
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)


def record(env: AbstractEnv | AbstractHostEnv, name: str, demos: Path, page: Page) -> int:
    """Serve the record page until Ctrl-C; what people keep goes to `demos`, a Minari dataset. Returns the exit code.

    Raises:
        SpecError: the studio's packages are missing, the environment draws nothing, or the address cannot be had.
        DataError, StoreError: the folder holds something else, or cannot be written.
    """
    from operant.studio.app import app
    from operant.studio.seats import Seats
    from operant.studio.serving import serve

    seats = Seats(lambda: env, demos, name)
    served = serve(app(None, None, token=page.token(), seats=seats, title=name), page.host, page.port)
    try:
        kept = seats.prepare()  # what is wrong with the folder shows here
        print(f"open {served.link}", flush=True)
        print(f"episodes kept in {demos}: {kept.episodes}; Ctrl-C ends", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            while True:  # a wait without end may sleep through a signal that another thread was handed
                threading.Event().wait(1.0)
    finally:
        seats.close()
        served.stop()
    print(f"episodes kept in {demos}: {kept.episodes}")
    return 0


def labels(action: str, run: Path, folder: Path, url: str) -> int:
    """Export a run's answers to a folder, import them from one, or print what there is. Returns the exit code."""
    from operant.data import labels_file
    from operant.data.comparisons import Store

    if not url and not (run / LABELS).exists():
        raise SpecError(
            f"expected {run / LABELS}, where people's answers are kept; it is not there. Give a run that people "
            "taught, or the store: --labels URL."
        )
    if action != "import" and url and "://" not in url and not Path(url).exists():  # opening it would make an empty one
        raise SpecError(f"--labels: expected a store of answers at {url}; there is no such file. Check the path.")
    with Store(url or run / LABELS) as store:
        if action == "export":
            print(*labels_file.export(store, folder), sep="\n")
        elif action == "import":
            print(labels_file.import_(store, folder))
        else:
            print(store.stats())
    return 0
