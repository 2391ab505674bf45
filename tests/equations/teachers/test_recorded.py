"""Recorded says again what a store holds: in order, about the same pairs, and to any learner."""

import jax
import numpy as np
import pytest

import operant
from operant.core import Intent, Transition
from operant.data.segments import Pairs, Segments, rows
from operant.envs.toy import Pendulum
from operant.errors import DataError, SpecError
from operant.learners import PPO
from operant.loops.asking import Questions
from operant.rewards.preferences.bradley_terry import BradleyTerry
from operant.teachers import Answer, Recorded

pytest.importorskip("sqlalchemy")
from operant.data.comparisons import Store

SAID = [Answer.left, Answer.right, Answer.tie, Answer.unsure, Answer.right, Answer.left]


def some(n: int, length: int = 8) -> Pairs:
    rng = np.random.default_rng(0)

    def side() -> Segments:
        obs, no = rng.normal(size=(n, length, 3)).astype(np.float32), np.zeros((n, length), bool)
        action = rng.uniform(-2, 2, size=(n, length, 1)).astype(np.float32)
        return Segments(Transition(obs, action, np.zeros((n, length), np.float32), no, no, obs, {}), ~no)

    return Pairs(side(), side())


@pytest.fixture
def labels(tmp_path):
    with Store(tmp_path / "labels.db") as store:
        ids = store.ask(some(7), member=0, env_steps=0)
        told = {}
        for i, answer in enumerate(SAID):
            question = store.lease("ann")
            told[question.id] = answer
            store.answer(question.id, answer, labeller="ann", lease=question.lease, key=str(i), seconds=1.0)
        question = store.lease("ann")
        store.answer(question.id, Answer.left, labeller="ann", lease=question.lease, key="last", seconds=1.0)
        assert store.undo("ann") == question.id
    return tmp_path, ids, told


def test_it_brings_the_stored_pairs_in_the_order_of_their_answers(labels):
    folder, ids, told = labels
    teacher, asked = Recorded(str(folder)), some(4)
    pairs, said = teacher.answered(asked, 0, key=None)
    order = list(told)
    assert said.tolist() == [told[i] for i in order[:4]]
    wanted = rows(some(7), [ids.index(i) for i in order[:4]])
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(pairs), jax.tree.leaves(wanted), strict=True))
    _, rest = teacher.answered(asked, 4, key=None)
    assert rest.tolist() == [told[order[4]], told[order[5]], Answer.unsure, Answer.unsure]


def test_asked_about_the_same_steps_it_says_the_same_and_else_cannot_tell(labels):
    folder, ids, told = labels
    said = Recorded(str(folder / "labels.db")).label(some(7), key=None)
    assert said.tolist() == [told.get(i, Answer.unsure) for i in ids]
    assert said.tolist().count(Answer.unsure) == 2  # one was said, one withdrawn


def test_training_learns_from_it(labels):
    folder, _, told = labels
    reward = BradleyTerry(segment=8, pool=512, capacity=64, hidden=(16,), steps=10, batch=8)
    run = operant.train(
        PPO(rollout=16, epochs=2, minibatches=2, hidden=(8,)), Pendulum(max_steps=40), Intent(reward), steps=16 * 4 * 8,
        num_envs=4, key=jax.random.key(0), teacher=Recorded(str(folder)), questions=Questions(6, 4, 1.0), seeds=2,
    )  # fmt: skip
    learned = jax.tree.map(np.asarray, run.state.reward.comparisons)
    assert (learned.count == 6).all()
    target = {Answer.left: 0.0, Answer.right: 1.0, Answer.tie: 0.5, Answer.unsure: 0.5}
    assert learned.target[0, :6].tolist() == [target[a] for a in told.values()]
    assert learned.known[0, :6].tolist() == [a != Answer.unsure for a in told.values()]
    np.testing.assert_array_equal(learned.pairs.left.steps.obs[0, :6], learned.pairs.left.steps.obs[1, :6])


def test_what_cannot_be_is_told(labels, tmp_path):
    folder, *_ = labels
    with pytest.raises(DataError, match=r"segments of 5 steps; those in .* have 8"):
        Recorded(str(folder)).answered(some(2, 5), 0, key=None)
    with pytest.raises(DataError, match=r"more than 6 answers in .*; it has 6. Lower the questions' budget to 6"):
        Recorded(str(folder)).answered(some(2), 6, key=None)
    with pytest.raises(SpecError, match=r"expected Recorded.labels, where the answers are; got nothing"):
        Recorded("")
    with pytest.raises(SpecError, match=r"expected a comparison store at .*nowhere"):
        Recorded(str(tmp_path / "nowhere")).label(some(1), key=None)
    with Store(tmp_path / "empty.db"), pytest.raises(DataError, match=r"expected answers in .*it has none"):
        Recorded(str(tmp_path / "empty.db")).label(some(1), key=None)


def test_too_few_answers_are_said_before_training(labels):
    with pytest.raises(DataError, match=r"expected answers to 16 questions in .*; it has 6\. Lower"):
        operant.train(
            PPO(rollout=16, hidden=(8,)), Pendulum(max_steps=40), Intent(BradleyTerry(segment=8)), steps=640,
            num_envs=4, key=jax.random.key(0), teacher=Recorded(str(labels[0])), questions=Questions(16, at_once=4),
        )  # fmt: skip
