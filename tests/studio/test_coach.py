"""The coach page: over HTTP, and in a real browser while a real training waits for it."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import operant
from operant.core import Intent
from operant.envs.audience import Audience
from operant.envs.toy import GridWorld
from operant.envs.watched import Watched
from operant.learners.coach import COACH
from operant.rewards import Task
from operant.studio import app
from operant.studio.coach import Coached

HOST = "http://127.0.0.1"
ROW = GridWorld("S..G", max_steps=8)
PICTURE = np.zeros((8, 8, 3), np.uint8)


@pytest.fixture
def audience():
    made = Audience(pace=10.0)
    yield made
    made.end()


@pytest.fixture
def coached(audience, teaching):
    """What is given to `app` beside a token."""
    return {"folder": teaching.folder, "store": None, "coached": Coached(audience, "GridWorld", "Go right.", 500, True)}


@pytest.fixture
def client(coached):
    with TestClient(app(**coached, token=None), base_url=HOST) as client:
        client.post("/api/name", json={"name": "Ann"})
        yield client


def say(client, value="plus", **changed):
    body = {"value": value, "frame": 1, "since": 0.5, "key": "key-00000001"}
    return client.post("/api/coach/say", json=body | changed)


def problem(response, status, reason):
    assert (response.status_code, response.json()["reason"]) == (status, reason), response.text
    return response.json()["detail"]


# --- over HTTP ------------------------------------------------------------------------------------------------------


def test_who_looks_sees_the_latest_picture_and_is_there(client, audience):
    assert client.get("/api/coach/look/0").status_code == 204 and audience.watched, "nothing was shown yet"
    audience.present(PICTURE)
    audience.present(PICTURE + 9)
    first = client.get("/api/coach/look/0")
    assert first.headers["coach-frame"] == "2"
    with Image.open(io.BytesIO(first.content)) as image:
        assert image.getpixel((0, 0)) == (9, 9, 9)
    began = time.monotonic()
    assert client.get("/api/coach/look/2").status_code == 204
    assert time.monotonic() - began > 0.8, "it waited for another"
    problem(client.get(f"/api/coach/look/{10**12}"), 404, "missing")


def test_a_word_is_counted_once_and_says_whether_it_came_in_time(client, audience):
    audience.present(PICTURE)
    assert [say(client).json() for _ in range(3)] == [{"counted": True}] * 3
    assert audience.handed_over().tolist() == [1.0]
    assert say(client, "minus", key="key-00000002").json() == {"counted": False}
    assert (audience.plus, audience.minus, audience.late) == (1, 0, 1)


def test_pace_and_pause(client, audience):
    assert client.post("/api/coach/pace", json={"pace": 3}).status_code == 204
    assert client.post("/api/coach/pause", json={"paused": "yes"}).status_code == 204
    assert (audience.pace, audience.paused, audience.status()["phase"]) == (3.0, True, "paused")
    client.post("/api/coach/pause", json={"paused": "no"})
    assert not audience.paused
    assert "to be in [0.1, 60]; got 1000" in problem(
        client.post("/api/coach/pace", json={"pace": 1000}), 400, "request"
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"value": "good"}, "expected body.value to be one of plus, minus; got 'good'"),
        ({"since": -1}, "expected body.since to be in [0, 3600]"),
        ({"frame": 1.5}, "expected body.frame to be an integer"),
        ({"more": 1}, "expected body to be with none but"),
    ],
)
def test_a_malformed_word_is_refused(client, audience, changed, said):
    audience.present(PICTURE)
    assert said in problem(say(client, **changed), 400, "request")
    assert audience.handed_over().tolist() == [0.0]


def test_without_a_name_or_from_elsewhere_nothing_is_said(coached, audience):
    audience.present(PICTURE)
    with TestClient(app(**coached, token=None), base_url=HOST) as client:
        for call, body in (("pace", {"pace": 3}), ("pause", {"paused": "yes"})):
            problem(client.post(f"/api/coach/{call}", json=body), 401, "name")
        problem(say(client), 401, "name")
        other = client.post("/api/coach/say", json={}, headers={"origin": "https://evil.example"})
        problem(other, 403, "origin")
    with TestClient(app(**coached, token="correct-horse-battery-staple"), base_url=HOST) as client:
        problem(client.get("/api/coach/look/0"), 401, "token")
    assert audience.handed_over().tolist() == [0.0]


# --- in a real browser, while it trains -----------------------------------------------------------------------------


class Trained(threading.Thread):
    """COACH on a row of four cells, until it ends or the test does."""

    def __init__(self, audience, steps):
        super().__init__()
        self.audience, self.steps, self.run_ = audience, steps, None
        self.start()

    def run(self):
        learner = COACH(rollout=4, hidden=(), lr=0.5)
        env = Watched(ROW).by(self.audience)
        self.run_ = operant.train(
            learner, env, Intent(Task()), steps=self.steps, num_envs=1, key=jax.random.key(0), throw=False
        )
        self.audience.end()


@pytest.fixture
def training(audience):
    started = []
    yield lambda steps=400: started.append(Trained(audience, steps)) or started[-1]
    audience.end()
    for thread in started:
        thread.join(60)


@pytest.fixture
def page_of(studio, coached, opened):
    """The coach page, as somebody who has given a name."""

    def open_page(name="Ann", **given):
        handle = studio(**coached)
        page = opened(handle, path="/coach", **given)
        page.fill("#who-name", name)
        page.keyboard.press("Enter")
        return page

    return open_page


def phase_is(page, phase):
    page.wait_for_function(
        "p => document.getElementById('main').dataset.phase === p", arg=phase, polling=20, timeout=30_000
    )


def watch_and_press(page, seconds, *, until=lambda: False):
    """As a person does: plus where it went right, minus where it went left, a little after it was seen."""
    page.evaluate(
        """() => {
          const where = () => {
            const screen = document.getElementById('screen'), n = screen.width;
            const row = screen.getContext('2d').getImageData(0, Math.floor(n / 2), n, 1).data;
            const blue = [];
            const far = (x) => [45, 105, 176].reduce((sum, c, k) => sum + Math.abs(row[4 * x + k] - c), 0);
            for (let x = 0; x < n; x++) if (far(x) < 40) blue.push(x);
            return blue.length ? blue.reduce((a, b) => a + b, 0) / blue.length : null;
          };
          let [seen, before] = [0, null];
          window.person = setInterval(() => {
            const frame = Number(document.getElementById('main').dataset.frame);
            if (frame === seen) return;
            const [was, now] = [before, where()];
            [seen, before] = [frame, now];
            if (was === null || now === null || Math.abs(now - was) < 10 || now < was - 80) return;
            const key = now > was ? 'ArrowUp' : 'ArrowDown';
            setTimeout(() => document.body.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true})), 60);
          }, 5);
        }"""
    )
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        page.wait_for_timeout(200)
    page.evaluate("clearInterval(window.person)")


@pytest.mark.slow
def test_a_person_at_the_page_teaches_it_to_go_right(page_of, training, audience):
    audience.delay = (0.05, 0.25)  # a quick person
    page = page_of()
    thread = training(240)
    page.wait_for_function("() => Number(document.getElementById('main').dataset.frame) > 1", timeout=60_000)
    watch_and_press(page, 90, until=lambda: not thread.is_alive())
    phase_is(page, "ended")
    thread.join(5)
    assert audience.plus > 10, "it was praised"
    logits = thread.run_.policy(0).network.distribution(np.eye(4, dtype=np.float32)[0], None).logits
    assert jax.nn.softmax(logits)[1] > 0.6, "it went anywhere with 0.25 before"
    assert "ended" in page.inner_text("#veil") and page.is_disabled("#plus")


def test_keys_and_buttons_say_plus_and_minus(hands, page_of, audience):
    audience.present(PICTURE)
    page = page_of()
    page.wait_for_function("() => Number(document.getElementById('main').dataset.frame) === 1")
    page.wait_for_timeout(400)
    for key in ("ArrowUp", "+", "=", "ArrowDown", "-"):
        page.keyboard.press(key)
    page.click("#plus")
    page.click("#minus")
    page.wait_for_function("() => document.getElementById('main').dataset.said === '7'")
    hands.wait_until(lambda: (audience.plus, audience.minus) == (4, 3))
    page.wait_for_function("() => document.getElementById('said-minus').textContent === '3'")
    assert audience.handed_over().tolist() == [1.0]
    page.keyboard.press("ArrowUp")
    page.wait_for_selector("#veil:has-text('too late to count')")


def test_it_stands_still_while_nobody_looks_and_while_paused(hands, page_of, training, audience):
    audience.delay = (0.05, 0.15)
    training()
    time.sleep(3)
    assert audience.steps == 0, "nobody looked"
    page = page_of()
    hands.wait_until(lambda: audience.steps > 3, 30)
    page.keyboard.press(" ")
    phase_is(page, "paused")
    page.wait_for_timeout(600)
    before = audience.steps
    page.wait_for_timeout(800)
    assert audience.steps == before and page.inner_text("#pause") == "Go on"
    page.keyboard.press(" ")
    hands.wait_until(lambda: audience.steps > before + 2, 10)
    page.keyboard.press(",")
    page.wait_for_function("() => document.getElementById('pace').textContent.startsWith('8 ')")
    page.close()
    time.sleep(4)
    before = audience.steps
    time.sleep(1)
    assert audience.steps == before and audience.status()["phase"] == "waiting"


def test_on_a_phone(page_of, audience):
    audience.present(PICTURE)
    page = page_of(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page.wait_for_function("() => Number(document.getElementById('main').dataset.frame) === 1")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for button in page.locator("main button:visible").all():
        size = button.bounding_box()
        assert size["width"] >= 44 and size["height"] >= 44 and size["y"] + size["height"] <= 844, button.inner_text()
    page.wait_for_timeout(300)
    page.tap("#plus")
    page.wait_for_function("() => document.getElementById('main').dataset.said === '1'")
    assert audience.handed_over().tolist() == [1.0]


def test_everything_has_a_name_and_words_are_not_announced(page_of, audience):
    audience.present(PICTURE)
    page = page_of()
    page.wait_for_function("() => Number(document.getElementById('main').dataset.frame) === 1")
    page.keyboard.press("ArrowUp")
    page.wait_for_function("() => document.getElementById('main').dataset.said === '1'")
    assert page.inner_text("#live") == ""
    tree = page.locator("body").aria_snapshot()
    for name in ("Better than usual", "Worse than usual", "The agent as it acts", "Slower", "Faster"):
        assert name in tree
    assert 'button ""' not in tree and page.locator("[role=status]").count() == 1
    page.keyboard.press("?")
    assert page.is_visible("#help")


# --- the command ----------------------------------------------------------------------------------------------------


def start(folder: Path, *argv: str) -> tuple[subprocess.Popen, str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "operant.cli", "coach", *argv], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    return process, process.stdout.readline().split()[1]


@pytest.mark.slow
def test_ctrl_c_keeps_the_run_and_it_is_gone_on_with_to_its_report(tmp_path, browser):
    flags = ["--steps", "60", "--pace", "60", "--delay", "0.01", "0.05", "--name", "c", "--learner.hidden", "8"]
    process, link = start(tmp_path, "GridWorld", *flags)
    try:
        context = browser.new_context()
        page = context.new_page()
        page.goto(link)
        page.fill("#who-name", "Ann")
        page.keyboard.press("Enter")
        page.wait_for_function("() => Number(document.getElementById('main').dataset.frame) > 8", timeout=60_000)
        page.keyboard.press("ArrowUp")
        page.wait_for_function("() => document.getElementById('main').dataset.said === '1'")
        page.keyboard.press(" ")
        page.wait_for_function("() => document.getElementById('main').dataset.phase === 'paused'")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130, "also while it waits for somebody"
        assert "go on with: operant coach runs/c" in process.stdout.read()
        run = tmp_path / "runs" / "c"
        assert (run / "feedback.csv").read_text().startswith("at,who,value,frame,since,counted\n")
        assert json.loads((run / "card.json").read_text())["status"] == ["stopped"]
        process.stdout.close()
        process, link = start(tmp_path, "runs/c", "--pace", "60")
        page.goto(link)
        assert process.wait(120) == 0
        assert "return" in process.stdout.read() and (run / "report.html").exists()
        assert operant.load(run).env_steps[-1] == 60
        context.close()
    finally:
        process.stdout.close()
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
