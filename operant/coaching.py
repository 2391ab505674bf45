"""`operant coach`: an agent acts on a page, and learns from what people say of it meanwhile.

    runs/<name>/  card.json · metrics.csv · checkpoint.operant     as of any run: episode/return is what people said
                  feedback.csv     each word: when, who, plus or minus, of which picture, whether it came in time
                  coached.json     the environment's own return of each episode

The page is served from this process, because feedback is live; it ends with the training.
"""

import contextlib
import csv
import dataclasses
import json
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import jax
import rich.console

from operant import study_run
from operant.core import AbstractEnv, AbstractHostEnv, AbstractLearner, Intent, Status
from operant.envs.audience import Audience, Word
from operant.envs.watched import Watched
from operant.errors import SpecError
from operant.io.recorders import Console
from operant.loops import train as training
from operant.rewards.task import Task
from operant.teach import Page

FEEDBACK, COACHED = "feedback.csv", "coached.json"


@dataclasses.dataclass(frozen=True)
class Coaching:
    """A new run that people coach."""

    name: str
    """Of the run's folder."""
    env: AbstractEnv | AbstractHostEnv
    learner: AbstractLearner
    steps: int
    seed: int = 0
    statement: str = ""


@dataclasses.dataclass(frozen=True)
class Manner:
    """How the agent is shown."""

    pace: float = 5.0
    """Steps a second; whoever watches may change it."""
    delay: tuple[float, float] = (0.2, 0.8)
    """Seconds between what a person sees and what they say of it, from and to."""


def coach(asked: Coaching | Path, page: Page, manner: Manner = Manner()) -> int:
    """Train while people watch; `asked` may be the folder of a run to go on with. Returns the exit code: 130 on Ctrl-C.

    Raises:
        SpecError: what cannot be, a missing package, or a run that nobody coached.
        RunError: there is no such run, or one of this name is unfinished.
    """
    console = rich.console.Console(highlight=False)
    told = lambda: Console(rich.console.Console(stderr=True))
    if isinstance(asked, Path):
        folder, known = asked, training.load(asked)
        if not isinstance(known.env, Watched):
            raise SpecError(f"expected a run that was coached; {asked} was not. Go on with it by `operant resume`.")
        env, statement, steps = known.env.env, known.intent.statement, known.card["run"]["steps"]
        go = lambda watched: training.resume(folder, env=watched, recorder=told())
    else:
        folder = study_run.new_folder(Path("runs"), asked.name)
        env, statement, steps = asked.env, asked.statement, asked.steps
        intent, key = Intent(Task(), statement=statement), jax.random.key(asked.seed)
        go = lambda watched: training.train(
            asked.learner, watched, intent, steps=steps, num_envs=1, key=key, recorder=told(), folder=folder
        )
    with _shown(env, folder, page, manner, statement, steps) as audience:
        run = go(Watched(env).by(audience))
        audience.end()
        if Status.stopped not in run.status:
            study_run.finish(None, folder, dataclasses.replace(run, env=Watched(env)), (), console)
            return 0
    console.print(f"stopped: go on with: operant coach {folder}", soft_wrap=True, markup=False)
    return 130


@contextlib.contextmanager
def _shown(
    env: AbstractEnv | AbstractHostEnv, folder: Path, page: Page, manner: Manner, statement: str, steps: int
) -> Iterator[Audience]:
    """The page, for as long as the block runs; its address is printed."""
    from operant.studio.app import app
    from operant.studio.coach import Coached
    from operant.studio.serving import serve

    name = env.spec.name or type(env).__name__
    log = _Log(folder / FEEDBACK)
    audience = Audience(pace=manner.pace, delay=manner.delay, heard=log.write)
    if (folder / COACHED).exists():
        audience.returns[:] = json.loads((folder / COACHED).read_text())["returns"]
    coached = Coached(audience, name, statement, steps, isinstance(env, AbstractEnv))
    served = serve(app(folder, None, token=page.token(), coached=coached, title=name), page.host, page.port)
    print(f"open {served.link}", flush=True)
    try:
        with _heeding(audience):
            yield audience
    finally:
        audience.end()
        served.stop()
        if (folder / training.FILE).exists():
            study_run.write_json(folder / COACHED, {"returns": audience.returns})


class _Log:
    """What was said, one line each, written as it comes."""

    def __init__(self, path: Path):
        self._path, self._lock = path, threading.Lock()

    def write(self, word: Word) -> None:
        if not self._path.parent.is_dir():
            return  # training has not begun: nothing was shown
        with self._lock:
            new = not self._path.exists()
            with open(self._path, "a", newline="") as file:
                table = csv.writer(file, lineterminator="\n")
                if new:
                    table.writerow(Word._fields)
                table.writerow(word)


@contextlib.contextmanager
def _heeding(audience: Audience) -> Iterator[None]:
    """On Ctrl-C, wait for nobody any more: training takes note of it by itself, but only between its steps."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def heed() -> None:
        while came := reader.recv(1):
            if came[0] == signal.SIGINT:
                audience.end()

    thread = threading.Thread(target=heed, name="operant-heeding", daemon=True)
    thread.start()
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        writer.close()
        thread.join()
        reader.close()
