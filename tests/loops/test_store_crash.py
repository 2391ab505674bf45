"""The comparison store when somebody pulls the plug: what was acknowledged is there, once.

A process answers as fast as it can from four threads and says on its standard output what was acknowledged; it is
killed with SIGKILL.
"""

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from operant.core import Transition
from operant.data.comparisons import Store
from operant.data.segments import Pairs, Segments
from operant.teachers import Answer

LABELLERS = """
import os, sys, threading
from operant.data.comparisons import Store
from operant.teachers import Answer
store = Store(sys.argv[1], lease_seconds=0.5)
def work(name):
    while True:
        question = store.lease(name)
        key = f"{name}-{question.id}"
        send = lambda: store.answer(
            question.id, Answer.right, labeller=name, lease=question.lease, key=key, seconds=1.0
        )
        number = send()
        os.write(1, f"{number} {question.id} {name} {key}\\n".encode())  # one call, so lines do not mix
        assert send() == number
for i in range(int(sys.argv[2])):
    threading.Thread(target=work, args=(f"labeller-{i}",)).start()
"""
PAIRS, THREADS = 2000, 4

_spec = importlib.util.spec_from_file_location(
    "stores", Path(__file__).parents[1] / "equations" / "data" / "conftest.py"
)
assert _spec is not None and _spec.loader is not None
CONFTEST = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(CONFTEST)


def ask(url: str) -> None:
    number = np.arange(PAIRS, dtype=np.float32)[:, None]
    flag = np.zeros((PAIRS, 1), bool)
    side = Segments(Transition(number[..., None], number, number, flag, flag, number[..., None], {}), ~flag)
    with Store(url) as store:
        store.ask(Pairs(side, side), member=0, env_steps=0)


def stream(url: str) -> list[str]:
    """What was acknowledged by a process that is killed after 40 answers or more."""
    with subprocess.Popen(
        [sys.executable, "-c", LABELLERS, url, str(THREADS)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(40)]
        os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL and all(lines), "the labellers did not come so far"
    return [line for line in lines if line.endswith("\n")]


def check(store: Store, lines: list[str], kills: int) -> None:
    """Every acknowledged answer is there once, under its number; what else is there was on its way when it ended."""
    said = {int(line.split()[0]): int(line.split()[1]) for line in lines}
    given = {g.id: g for g in store.given()}
    assert len(said) == len(lines) and {i: given[i].pair for i in said} == said
    assert len({g.pair for g in given.values()}) == len(given), "a pair answered twice"
    assert len(given) - len(said) <= THREADS * kills
    assert store.waiting() == PAIRS - len(given)
    # Sent once more after the restart, as by a client that heard nothing.
    number, pair, who, key = lines[-1].split()
    assert store.answer(int(pair), Answer.right, labeller=who, lease="gone", key=key, seconds=1.0) == int(number)
    question = store.lease("new")
    assert question is not None and question.id not in said.values()
    new = store.answer(question.id, Answer.left, labeller="new", lease=question.lease, key="x", seconds=0.0)
    assert new == max(given) + 1 and store.pair(question.id).left.steps.reward[0, 0] == question.id - 1


def killed_twice(url: str) -> None:
    ask(url)
    lines: list[str] = []
    for _ in range(2):  # the second begins with what the first left behind
        lines += stream(url)
    with Store(url) as store:
        check(store, lines, kills=2)


def test_killed_while_answers_stream_into_sqlite(tmp_path):
    killed_twice(str(tmp_path / "labels.db"))


def test_killed_while_answers_stream_into_postgresql():
    with CONFTEST.cluster("fsync=off") as url:
        killed_twice(url)
