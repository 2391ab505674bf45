"""People answer while the agent trains: here a thread answers, through the store, as the page does."""

import _thread
import os
import threading
import time
import types

import jax
import numpy as np
import pytest

import operant
from operant.core import Intent, Transition
from operant.data.segments import Pairs, Segments
from operant.envs.toy import Pendulum
from operant.errors import RunError, SpecError
from operant.learners import PPO
from operant.loops.asking import Questions
from operant.loops.attending import _different
from operant.rewards.preferences.bradley_terry import BradleyTerry
from operant.studio import live
from operant.teachers import Answer, Oracle, Person

pytest.importorskip("sqlalchemy")
from operant.data.comparisons import Store

KEY = jax.random.key(0)
ENV = Pendulum(max_steps=40)
REWARD = BradleyTerry(segment=8, pool=512, capacity=64, hidden=(16,), steps=10, batch=8)
LEARNER = PPO(rollout=16, epochs=2, minibatches=2, hidden=(8,))
ASKED = Questions(budget=12, at_once=4, until=1.0)
SETTINGS = {"steps": 16 * 4 * 12, "num_envs": 4, "key": KEY, "questions": ASKED}


class Labeller(threading.Thread):
    """Answers as an oracle would, until told to stop; withdraws its second answer and gives the opposite."""

    def __init__(self, folder, most=10**9, undo=True):
        super().__init__(daemon=True)
        self.folder, self.most, self.undo, self.given, self.ended = folder, most, undo, {}, threading.Event()

    def run(self):
        while not (self.folder / "labels.db").exists():
            time.sleep(0.01)
        with Store(self.folder / "labels.db") as store:
            while not self.ended.is_set() and len(self.given) < self.most:
                if (question := store.lease("ann")) is None:
                    time.sleep(0.01)
                    continue
                self.answer(store, question, int(Oracle().label(store.pair(question.id), key=None)[0]))
                if self.undo and len(self.given) == 2:
                    pair = store.undo("ann")
                    assert pair == question.id
                    again = store.lease("ann")
                    self.answer(store, again, 1 - self.given[pair])

    def answer(self, store, question, answer):
        key = f"{question.id}-{question.lease}"
        store.answer(question.id, Answer(answer), labeller="ann", lease=question.lease, key=key, seconds=0.1)
        self.given[question.id] = answer


def test_answers_are_taken_in_as_they_come(tmp_path):
    labeller = Labeller(tmp_path / "run")
    labeller.start()
    run = operant.train(
        LEARNER, ENV, Intent(REWARD), teacher=Person(duplicates=0.0), folder=tmp_path / "run", **SETTINGS
    )
    labeller.ended.set()
    labeller.join()
    held = jax.tree.map(lambda x: np.asarray(x)[0], run.state.reward.comparisons)
    learned = {int(i): (float(t), bool(k)) for i, t, k in zip(held.id, held.target, held.known, strict=True) if i >= 0}
    said = {pair: ([0.0, 1.0, 0.5, 0.5][a], a != Answer.unsure) for pair, a in labeller.given.items()}
    assert len(said) == 12 and learned == said
    with Store(tmp_path / "run" / "labels.db") as store:
        clips = [store.about(pair)[side]["clip"] for pair in said for side in ("left", "right")]
    assert all((tmp_path / "run" / clip).stat().st_size > 500 for clip in clips)


def test_training_goes_no_further_than_the_answers_carry_and_resumes(tmp_path):
    folder = tmp_path / "run"
    labeller = Labeller(folder, most=5, undo=False)
    labeller.start()

    def interrupt():
        labeller.join()
        time.sleep(1.0)
        _thread.interrupt_main()

    threading.Thread(target=interrupt, daemon=True).start()
    half = operant.train(LEARNER, ENV, Intent(REWARD), teacher=Person(duplicates=0.0), folder=folder, **SETTINGS)
    assert half.status[0].name == "stopped"
    sessions = ASKED.sessions(12, 1)
    assert int(half.state.iteration[0]) == sessions[1]  # five answers are one session and a bit
    assert int(half.state.reward.comparisons.count[0]) == 5
    (folder / "labels.db").rename(folder / "away.db")
    with pytest.raises(RunError, match="expected the store this run was taught from, which holds its answer 5"):
        operant.resume(folder)
    (folder / "away.db").replace(folder / "labels.db")
    rest = Labeller(folder, undo=False)
    rest.start()
    whole = operant.resume(folder)
    rest.ended.set()
    assert whole.status[0].name == "done" and int(whole.state.reward.comparisons.count[0]) == 12


def test_people_teach_one_seed(tmp_path):
    with pytest.raises(SpecError, match="expected one seed for people to teach; got 2"):
        operant.train(LEARNER, ENV, Intent(REWARD), teacher=Person(), seeds=2, folder=tmp_path / "run", **SETTINGS)


def test_people_need_a_folder():
    with pytest.raises(SpecError, match="expected a run folder for people's answers"):
        operant.train(LEARNER, ENV, Intent(REWARD), teacher=Person(), **SETTINGS)


def test_who_skips_a_whole_session_is_asked_others(tmp_path):
    class Choosy(Labeller):
        """Skips the first four pairs it is shown."""

        def answer(self, store, question, answer):
            if len(skipped) < 4:
                skipped.append(question.id)
                return store.skip(question.id, labeller="ann", lease=question.lease)
            return super().answer(store, question, answer)

    skipped: list[int] = []
    labeller = Choosy(tmp_path / "run", undo=False)
    labeller.start()
    run = operant.train(
        LEARNER, ENV, Intent(REWARD), teacher=Person(duplicates=0.0), folder=tmp_path / "run", **SETTINGS
    )
    labeller.ended.set()
    assert run.status[0].name == "done" and len(skipped) == 4 and not set(skipped) & set(labeller.given)


def test_no_more_is_asked_than_the_budget(tmp_path):
    labeller = Labeller(tmp_path / "run", undo=False)
    labeller.start()
    settings = SETTINGS | {"questions": Questions(budget=6, at_once=4, until=1.0)}
    operant.train(LEARNER, ENV, Intent(REWARD), teacher=Person(duplicates=0.0), folder=tmp_path / "run", **settings)
    labeller.ended.set()
    labeller.join()
    assert len(labeller.given) == 6
    with Store(tmp_path / "run" / "labels.db") as store:
        assert store.answered() == 6 and store.waiting() == 0
        first, last = store.about(1)["left"], store.about(6)["left"]
    assert "reward" not in first and len(last["reward"]) == 8  # before the first lesson there is nothing to show


def test_a_store_of_another_run_is_refused(tmp_path):
    labels, no = str(tmp_path / "people.db"), np.zeros((1, 8), bool)
    steps = Transition(np.zeros((1, 8, 3)), np.zeros((1, 8, 1)), np.zeros((1, 8)), no, no, np.zeros((1, 8, 3)), {})
    with Store(labels) as store:
        store.ask(Pairs(Segments(steps, ~no), Segments(steps, ~no)), member=0, env_steps=0)
    with pytest.raises(SpecError, match="expected a store of its own for this run"):
        operant.train(LEARNER, ENV, Intent(REWARD), teacher=Person(labels=labels), folder=tmp_path / "run", **SETTINGS)


def test_pairs_are_all_different():
    left, right = _different(np.random.default_rng(0), 60, 200)
    assert len({frozenset(pair) for pair in zip(left.tolist(), right.tolist(), strict=True)}) == 200
    assert 60 < (left < right).sum() < 140  # sides by chance


def test_a_page_says_that_training_waits_where_the_loop_says_so_and_pairs_are_open(tmp_path):
    open_pairs, said = 3, []
    store = types.SimpleNamespace(answered=lambda: 0, waiting=lambda: open_pairs)
    recorder = live.Live(tmp_path, statement="", env="Pendulum-v1", budget=12)
    for name in ("compiling", "training", "waiting", "training"):
        recorder.phase(name)
        said.append(live.status(tmp_path, store)["phase"])
    os.utime(tmp_path / live.FILE, (0, 0))  # a long iteration: no news for years
    assert [*said, live.status(tmp_path, store)["phase"]] == ["training", "training", "waiting", "training", "training"]
    recorder.phase("waiting")
    open_pairs = 0  # all answered; the next are being filmed
    assert live.status(tmp_path, store)["phase"] == "training"
    recorder.now["pid"] = 2**22 + 1  # beyond Linux's largest: a process that is gone
    recorder.phase("waiting")
    assert live.status(tmp_path, store)["phase"] == "stopped"
