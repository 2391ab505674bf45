"""A run folder with clips of Pendulum, a store with pairs about them, a studio that serves both, and a browser."""

import importlib.util
import json
import math
import shutil
import threading
import time
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import AbstractPolicy, EnvSpec, Transition
from operant.data.comparisons import Store
from operant.data.segments import Pairs, Segments
from operant.envs.audience import Audience
from operant.envs.toy.gridworld import GridWorld
from operant.envs.toy.pendulum import Pendulum
from operant.io.clips import median_and_worst, write_webp
from operant.io.recorders import Csv
from operant.studio import app, serve
from operant.studio.coach import Coached
from operant.studio.seats import Seats

STEPS = 30
CHROMIUM = "/usr/bin/chromium"


class Swing(AbstractPolicy):
    """Pushes the way it turns."""

    spec: EnvSpec

    def init_carry(self):
        return ()

    def __call__(self, obs, carry, *, key):
        return jnp.sign(obs[2:3]) * 0.6, {}, carry


@pytest.fixture(scope="session")
def films(tmp_path_factory):
    """Two clips of Pendulum as WebP, 31 frames each."""
    folder = tmp_path_factory.mktemp("films")
    env = Pendulum()
    clips = median_and_worst(Swing(env.spec), env, key=jax.random.key(0), episodes=4, max_steps=STEPS)
    assert clips["median"].episode_return != clips["worst"].episode_return
    return [write_webp(clip.frames, folder / f"{name}.webp") for name, clip in clips.items()]


def make_run(folder: Path, seeds: int = 3, status: str = "done", rise: float = 1.0) -> Path:
    """A finished run, as `operant run` leaves it, without its report."""
    folder.mkdir(parents=True)
    card = {"title": folder.name, "learner": "PPO", "env": "pendulum", "statement": "Stand up.", "seeds": seeds}
    (folder / "card.json").write_text(json.dumps(card | {"status": [status] * seeds}))
    steps = np.arange(1, 41) * 500
    noise = np.random.default_rng(0).normal(0, 40, (seeds, 40))
    recorder = Csv(folder)
    recorder.start({})
    returns = -1500 + rise * 1200 * (1 - np.exp(-np.arange(40) / 12)) + noise
    recorder.record(0, {"episode/return": returns, "ppo/entropy": noise}, steps)
    return folder


class Teaching:
    """What stands in for training: asks pairs, and says how it goes."""

    def __init__(self, folder: Path, films: list[Path], pairs: int):
        self.folder, self.films = folder, films
        (folder / "clips").mkdir(parents=True)
        self.store = Store(folder / "labels.db")
        self.budget, self.asked, self.told = pairs, 0, {}
        self.ask(pairs)

    def ask(self, n: int) -> list[int]:
        about = []
        for _ in range(n):
            clips = []
            for side, film in zip(("left", "right"), self.films, strict=True):
                name = f"clips/{self.asked}-{side}.webp"
                shutil.copy(film, self.folder / name)
                clips.append({"clip": name, "seed": self.asked})
            about.append(dict(zip(("left", "right"), clips, strict=True)))
            self.asked += 1
        x, no = np.random.default_rng(self.asked).normal(size=(n, 4)).astype(np.float32), np.zeros((n, 4), bool)
        side = lambda shift: Segments(Transition(x + shift, x, x, no, no, x, {}), ~no)
        return self.store.ask(Pairs(side(0), side(1)), member=0, env_steps=1000, about=about)

    def given(self) -> dict[int, str]:
        """The answers that stand, by pair; fails where a pair was answered twice."""
        answers: dict[int, str] = {}
        for given in self.store.given():
            if given.answer is None:
                answers.pop(given.pair)
            else:
                assert given.pair not in answers, f"pair {given.pair} was answered twice"
                answers[given.pair] = given.answer.name
        return answers

    def status(self) -> dict:
        answers = len(self.given())
        returns = [[500 * k, -1500 + 1200 * (1 - math.exp(-k / 15)) + 60 * math.sin(k)] for k in range(40)]
        return {
            "phase": "training", "env_steps": 12_000, "steps": 40_000, "answers": answers, "budget": self.budget,
            "return": returns, "agreement": 0.83, "statement": "Swing up and stay up, without spinning.",
            "env": "pendulum", "error": None,
        } | self.told  # fmt: skip

    def curves(self, pair: int) -> dict:
        t = np.linspace(0, 1, STEPS)
        return {"left": list(np.sin(3 * t)), "right": list(np.cos(3 * t) - 0.5)}


@pytest.fixture
def run_of():
    return make_run


@pytest.fixture
def teaching(tmp_path, films):
    """Six pairs in `runs/teach`, beside a finished run and one that cannot be read."""
    make_run(tmp_path / "runs" / "pendulum")
    make_run(tmp_path / "runs" / "slower", rise=0.4)
    (tmp_path / "runs" / "broken").mkdir()
    (tmp_path / "runs" / "broken" / "card.json").write_text("{")
    (tmp_path / "secret.webp").write_bytes(b"not yours")
    folder = tmp_path / "runs" / "teach"
    folder.mkdir()
    (folder / "card.json").write_text(json.dumps({"title": "teach", "learner": "PPO", "env": "pendulum"}))
    made = Teaching(folder, films, 6)
    yield made
    made.store.close()


@pytest.fixture
def seats(teaching):
    """Where GridWorld is played: three cells in a row, the goal at the right."""
    made = Seats(lambda: GridWorld("S..G", max_steps=20), teaching.folder / "demos", "GridWorld")
    yield made
    made.close()


@pytest.fixture
def coached():
    """A training that was watched, and has shown one step."""
    audience = Audience()
    audience.present(np.zeros((8, 8, 3), np.uint8))
    return Coached(audience, "GridWorld", "Go right.", 500, True)


@pytest.fixture
def make_app(teaching, seats, coached):
    """The studio's app, with all its pages; `token` and what else it takes."""
    usual = {"token": None, "status": teaching.status, "curves": teaching.curves, "seats": seats, "coached": coached}
    return lambda **given: app(teaching.folder, teaching.store, **(usual | given))


@pytest.fixture
def studio(make_app):
    """A studio that is served, as a function of its port; every one is stopped at the end."""
    handles = []

    def start(port: int = 0, **given):
        handles.append(serve(app(token=None, **given) if "folder" in given else make_app(**given), port=port))
        return handles[-1]

    yield start
    for handle in handles:
        handle.stop()
    assert not [t for t in threading.enumerate() if t.name == "operant-studio" and t.is_alive()]


@pytest.fixture(scope="session")
def database():
    """A new, empty PostgreSQL database; see tests/equations/data/conftest.py."""
    path = Path(__file__).parents[1] / "equations" / "data" / "conftest.py"
    spec = importlib.util.spec_from_file_location("operant_test_postgresql", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.cluster("fsync=off") as url:
        yield lambda: module.database(url)


# --- a real browser --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium, driven by Playwright."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if not Path(CHROMIUM).exists():
        pytest.skip(f"there is no {CHROMIUM}: scripts/system-packages installs it")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture
def opened(browser):
    """Opens pages, each as a labeller of its own; fails where a page met an error or broke the policy."""
    contexts, wrong = [], []

    def open_page(handle, name="Ann", path="/teach", **given):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}} | given)
        context.set_default_timeout(8000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "console", lambda m: m.type == "error" and "Failed to load resource" not in m.text and wrong.append(m.text)
        )
        page.goto(handle.url + path)
        if path in ("/teach", "/record"):
            page.fill("#who-name", name)
            page.keyboard.press("Enter")
        if path == "/teach":
            on_screen(page)
        if path == "/record":
            in_phase(page, "ready")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong


def on_screen(page, besides=()) -> int:
    """Wait until a pair is shown, other than those; which it is."""
    page.wait_for_function(
        "b => { const p = document.getElementById('main').dataset.pair; return p && !b.includes(Number(p)); }",
        arg=list(besides),
    )
    page.wait_for_timeout(280)  # a new pair takes no answer at once
    return int(page.get_attribute("#main", "data-pair"))


def in_phase(page, phase) -> None:
    """Wait until what is played is "ready", "running", "paused", "over" or "ended"."""
    page.wait_for_function("p => document.getElementById('main').dataset.phase === p", arg=phase)


def press(page, key) -> int:
    """Answer what is on screen, and wait until it is stored; which pair it was."""
    pair = on_screen(page)
    page.keyboard.press(key)
    page.wait_for_function("p => document.getElementById('main').dataset.stored == p", arg=str(pair))
    return pair


def wait_until(holds, seconds=6.0):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to hold in time"
        time.sleep(0.05)


def frames(page) -> list[int]:
    """Which frame each side shows."""
    return page.evaluate("['left', 'right'].map(s => Number(document.getElementById(s).dataset.frame))")


@pytest.fixture
def hands():
    """What a labeller does and sees; conftest cannot be imported from."""
    return types.SimpleNamespace(
        on_screen=on_screen, in_phase=in_phase, press=press, wait_until=wait_until, frames=frames
    )
