"""`operant teach` as a person runs it: real processes, the page's own API, and training that is killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import types
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

import operant
from operant.data import minari
from operant.data.comparisons import Store
from operant.teachers import Answer

FLAGS = [
    "teach", "Pendulum-v1", "--steps", "8192", "--num-envs", "4", "--questions.budget", "12",
    "--questions.at-once", "4", "--questions.until", "1.0", "--reward.segment", "8", "--reward.hidden", "8",
    "--learner.hidden", "8",
    "--name", "taught", "--statement", "Swing up.",
]  # fmt: skip


HEARS = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('operant.cli', run_name='__main__')"
)
"""The command, hearing Ctrl-C: what a shell starts in the background is deaf to it, and hands that on."""


class Command:
    """`operant …` in a folder, with what it prints."""

    def __init__(self, folder: Path, *argv: str):
        self.output = folder / f"{argv[0]}.txt"
        self.studios: list[int] = []
        """Processes of its own that serve the page: they outlive one that is killed."""
        with self.output.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", HEARS, *argv], cwd=folder, stdout=out, stderr=subprocess.STDOUT
            )

    def link(self) -> str:
        for _ in range(300):
            text = self.output.read_text()
            if "open http" in text:
                number = self.process.pid
                self.studios = list(map(int, Path(f"/proc/{number}/task/{number}/children").read_text().split()))
                return text.split("open ")[1].split()[0]
            assert self.process.poll() is None, text
            time.sleep(0.1)
        raise AssertionError("no page within 30 s")


def status(link: str) -> dict:
    with urllib.request.urlopen(link.replace("/teach", "/api/status"), timeout=5) as answer:
        return json.load(answer)


def until(true, seconds: float = 60.0):
    for _ in range(int(seconds * 10)):
        if found := true():
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds:g} s")


def answer(store: Store, n: int) -> set[int]:
    """Answer n pairs as they come; which they were."""
    done: set[int] = set()
    while len(done) < n:
        if (question := store.lease("ann")) is None:
            time.sleep(0.05)
            continue
        key = f"{question.id}"
        store.answer(question.id, Answer.left, labeller="ann", lease=question.lease, key=key, seconds=0.2)
        done.add(question.id)
    return done


@pytest.fixture
def start(tmp_path):
    """Start commands in a folder of the test's own; whatever is left of them is ended."""
    started: list[Command] = []

    def start(*argv: str) -> Command:
        started.append(Command(tmp_path, *argv))
        return started[-1]

    yield start
    for command in started:
        if command.process.poll() is None:
            command.process.kill()
            command.process.wait()
        for number in command.studios:
            if (folder := Path(f"/proc/{number}")).exists() and b"operant.studio" in (folder / "cmdline").read_bytes():
                os.kill(number, signal.SIGTERM)


@pytest.mark.slow
def test_a_training_that_is_killed_takes_neither_page_nor_answers_with_it(start, tmp_path):
    command = start(*FLAGS)
    run, link = tmp_path / "runs" / "taught", command.link()
    until(lambda: (run / "labels.db").exists())
    with Store(run / "labels.db") as store:
        until(lambda: store.waiting(0))
        before = answer(store, 5)
        until(lambda: status(link)["answers"] == 5)
        until(lambda: status(link)["phase"] == "waiting")
        os.kill(command.process.pid, signal.SIGKILL)
        command.process.wait()
        now = until(lambda: (s := status(link))["phase"] == "stopped" and s)
        assert "operant resume" in now["error"]
        after = answer(store, 1) if store.waiting(0) else set()  # the page keeps taking answers
        until(lambda: status(link)["answers"] == 5 + len(after))
    assert not before & after
    resumed = start("resume", "runs/taught")
    resumed.link()
    with Store(run / "labels.db") as store:
        answer(store, 12 - 5 - len(after))
    assert resumed.process.wait(120) == 0
    assert operant.load(run).metrics["preferences/answers"][0, -1] >= 8


@pytest.mark.slow
def test_two_people_teach_through_postgresql(start, tmp_path, database, opened, hands):
    url = database()
    command = start(*FLAGS, "--labels", url, "--teacher.duplicates", "0")  # one asked again would not count
    link = command.link()
    with Store(url) as store:
        until(lambda: store.waiting(0) > 1, 120)
    handle = types.SimpleNamespace(url=link.removesuffix("/teach"))
    pages = [opened(handle, name) for name in ("Ann", "Bob")]
    assert hands.on_screen(pages[0]) != hands.on_screen(pages[1])
    with Store(url) as store:
        for k in range(12):
            page, seen = pages[k % 2], store.answered()
            hands.on_screen(page)
            page.keyboard.press(("ArrowLeft", "ArrowRight")[k % 2])
            hands.wait_until(lambda n=seen: store.answered() == n + 1, 30)
            if k == 3:
                page.keyboard.press("z")
                hands.wait_until(lambda n=seen: store.answered() == n, 30)
                page.wait_for_function("() => document.getElementById('live').textContent.startsWith('Withdrawn')")
                hands.on_screen(page)
                page.keyboard.press("ArrowDown")
                hands.wait_until(lambda n=seen: store.answered() == n + 1, 30)
            hands.wait_until(lambda: store.waiting() > 1 or store.answered() + store.waiting() >= 12, 90)
        stats = store.stats()
        assert stats.answered == store.answered() == 12
        assert [(who.name, who.n >= 6) for who in stats.labellers] == [("Ann", True), ("Bob", True)]
    assert command.process.wait(180) == 0, command.output.read_text()
    run = tmp_path / "runs" / "taught"
    assert not (run / "labels.db").exists(), "they are kept where they were told to be"
    assert operant.load(run).metrics["preferences/answers"][0, -1] >= 8, "all but those of the last round"
    exported = start("labels", "stats", "runs/taught", "--labels", url)
    assert exported.process.wait(60) == 0 and "answered=12" in exported.output.read_text()


def test_an_address_that_is_taken_is_refused_in_words(start, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = start(*FLAGS, "--port", str(taken.getsockname()[1]))
        assert command.process.wait(60) == 2
    assert "expected to listen on 127.0.0.1" in command.output.read_text()
    assert not (tmp_path / "runs" / "taught").exists(), "a run that never began leaves no folder"


def test_from_other_machines_the_token_is_needed_and_ctrl_c_ends_both(start, tmp_path):
    command = start(*FLAGS, "--host", "0.0.0.0")
    link = command.link()
    assert "?token=" in link
    bare = link.split("?")[0].replace("/teach", "/api/status")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(bare, timeout=5)
    assert refused.value.code in (401, 403)
    refused.value.close()
    labels = tmp_path / "runs" / "taught" / "labels.db"
    until(labels.exists)
    with Store(labels) as store:
        until(lambda: store.waiting(0))  # into training
    command.process.send_signal(signal.SIGINT)
    assert command.process.wait(60) == 130
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(bare, timeout=5)


def test_recording_ends_with_ctrl_c_and_what_was_kept_stays(start, tmp_path):
    command = start("record", "GridWorld", "--demos", "shown")
    link = command.link()
    assert link.endswith("/record")

    def send(call: str, cookies: str = "", **body) -> tuple:
        request = urllib.request.Request(
            link.replace("/record", f"/api/{call}"), json.dumps(body).encode(),
            {"content-type": "application/json", "cookie": cookies},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.headers, answer.read()

    headers, _ = send("name", name="Ann")
    cookies = "; ".join(x.split(";")[0] for x in headers.get_all("set-cookie"))
    session = json.loads(send("record/begin", cookies)[1])["session"]
    for t, action in enumerate((0, 1)):
        send("record/step", cookies, session=session, t=t, action=[action])
    assert json.loads(send("record/keep", cookies, session=session, key="key-00000001")[1])["episodes"] == 1
    command.process.send_signal(signal.SIGINT)
    assert command.process.wait(90) == 0
    assert "episodes kept in shown: 1\n" in command.output.read_text()
    assert minari.read(tmp_path / "shown").size == 2


def test_a_folder_of_another_environment_is_refused_at_once(start, tmp_path):
    ends = np.array([True])
    spec = operant.make("CartPole-v1").spec
    kept = minari.Demonstrations(tmp_path / "shown", spec, id="operant/x-v0")
    kept.add(minari.Episode(np.zeros((2, 4)), [0], [0.0], ends, ~ends))
    command = start("record", "Pendulum-v1", "--demos", "shown")
    assert command.process.wait(60) == 2
    assert "expected episodes of" in command.output.read_text() and "http" not in command.output.read_text()
