"""Asking a teacher while training: when, how much, resumed to the bit, and clear words where it cannot be."""

import jax
import numpy as np
import pytest

import operant
import operant.loops.train as training
from operant.core import Constraint, Intent
from operant.envs.toy import Pendulum
from operant.errors import SpecError
from operant.learners import PPO, SAC
from operant.loops.asking import Questions
from operant.rewards import Program, Task
from operant.rewards.preferences.bradley_terry import BradleyTerry
from operant.teachers import AbstractTeacher, Oracle, Stochastic

KEY = jax.random.key(0)
ENV = Pendulum(max_steps=40)
REWARD = BradleyTerry(segment=8, pool=512, capacity=64, hidden=(16,), steps=10, batch=8)
LEARNER = PPO(rollout=16, epochs=2, minibatches=2, hidden=(8,))
ASKED = Questions(budget=24, at_once=10, until=1.0)
SETTINGS = {"steps": 16 * 4 * 12, "num_envs": 4, "key": KEY}


def same(a, b) -> bool:
    raw = lambda x: np.asarray(jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x)
    return all(np.array_equal(raw(x), raw(y)) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


@pytest.fixture(scope="module")
def run():
    return operant.train(LEARNER, ENV, Intent(REWARD), seeds=2, teacher=Stochastic(), questions=ASKED, **SETTINGS)


def test_the_budget_is_asked_and_no_more(run):
    answers = run.metrics["preferences/answers"]
    assert (answers[:, -1] == 24).all() or (np.asarray(run.state.reward.comparisons.count) == 24).all()
    assert (np.diff(answers, axis=1) >= 0).all()
    assert not same(jax.tree.map(lambda x: x[0], run.state.reward.networks),
                    jax.tree.map(lambda x: x[1], run.state.reward.networks))  # fmt: skip


def test_seeds_side_by_side_are_seeds_alone(run):
    alone = operant.train(LEARNER, ENV, Intent(REWARD), seeds=[1], teacher=Stochastic(), questions=ASKED, **SETTINGS)
    for x, y in zip(
        jax.tree.leaves(alone.state.reward.networks), jax.tree.leaves(run.state.reward.networks), strict=True
    ):
        np.testing.assert_allclose(np.asarray(x)[0], np.asarray(y)[1], rtol=1e-4, atol=1e-5)


def test_a_run_stopped_half_way_resumes_to_the_bit(tmp_path, run, monkeypatch):
    for name, value in (("CHECKPOINT_SECONDS", 0.0), ("CHECKPOINT_SHARE", float("inf")), ("CHUNK_SECONDS", 0.0)):
        monkeypatch.setattr(training, name, value)
    real, count = training._save, []

    def save(*args):
        real(*args)
        count.append(1)
        if len(count) == 6:
            raise KeyboardInterrupt("killed here")

    monkeypatch.setattr(training, "_save", save)
    folder, teacher = tmp_path / "run", Stochastic()
    with pytest.raises(KeyboardInterrupt):
        operant.train(
            LEARNER, ENV, Intent(REWARD), seeds=2, teacher=teacher, questions=ASKED, folder=folder, **SETTINGS
        )
    monkeypatch.undo()
    half = operant.load(folder)
    assert 0 < int(np.asarray(half.state.reward.comparisons.count)[0]) < 24
    assert same(operant.resume(folder).state, run.state)


def test_a_run_trained_further_asks_no_more_than_its_budget(tmp_path, run, monkeypatch):
    settings = SETTINGS | {"folder": tmp_path / "run"}
    operant.train(LEARNER, ENV, Intent(REWARD), teacher=Stochastic(), questions=ASKED, **settings)
    asked, real = [], Stochastic.label
    monkeypatch.setattr(Stochastic, "label", lambda self, *args, **kw: asked.append(1) or real(self, *args, **kw))
    longer = operant.resume(tmp_path / "run", steps=2 * SETTINGS["steps"])
    assert not asked and int(np.asarray(longer.state.reward.comparisons.count)[0]) == 24


def test_sessions_are_dense_at_first():
    places = Questions(budget=100, at_once=10, until=1.0).sessions(1000, 1)
    assert len(places) == 10 and places[-1] == 1000 and places[0] == 10
    assert (np.diff(np.diff(places)) > 0).all()


def test_the_true_reward_is_what_the_teacher_judges_by():
    """An intent whose truth is the opposite of the environment's reward teaches the opposite."""

    class Remembers(AbstractTeacher):
        def label(self, pairs, *, key):
            assert (pairs.left.steps.reward > 0).all()  # Pendulum's own is never above 0
            return Oracle().label(pairs, key=key)

    truth = Program(lambda reward: 1.0 - reward)
    operant.train(LEARNER, ENV, Intent(REWARD, truth=truth), teacher=Remembers(), questions=ASKED, **SETTINGS)


def test_replay_is_relabelled_by_what_was_learned():
    learner = SAC(hidden=(8,), capacity=512, batch=8, learning_starts=64, gradient_steps=1)
    run = operant.train(learner, ENV, Intent(REWARD), teacher=Oracle(), questions=ASKED, **SETTINGS)
    assert np.isfinite(run.metrics["loss/critic"][:, -1]).all()


def test_constraints_stand_beside_a_taught_reward():
    cost = Program(lambda action: abs(action[0]))
    intent = Intent(REWARD, (Constraint(cost, 0.5),))
    run = operant.train(LEARNER, ENV, intent, teacher=Oracle(), questions=ASKED, **SETTINGS)
    assert int(np.asarray(run.state.reward.reward.comparisons.count)[0]) == 24


def test_a_teacher_without_a_pupil_is_refused():
    with pytest.raises(SpecError, match=r"expected a reward that learns from comparisons.*got Task"):
        operant.train(LEARNER, ENV, Intent(Task()), teacher=Oracle(), **SETTINGS)


def test_a_pupil_without_a_teacher_is_refused():
    with pytest.raises(SpecError, match="expected a teacher beside BradleyTerry"):
        operant.train(LEARNER, ENV, Intent(REWARD), **SETTINGS)


def test_more_questions_than_the_run_has_room_for_are_refused():
    with pytest.raises(SpecError, match=r"expected at least 50 windows of 1 iterations to ask 500 questions"):
        operant.train(
            LEARNER, ENV, Intent(REWARD), teacher=Oracle(), questions=Questions(budget=500, at_once=10), **SETTINGS
        )


def test_answers_of_the_wrong_kind_are_refused():
    class Mumbles(AbstractTeacher):
        def label(self, pairs, *, key):
            return np.full(10, 7)

    with pytest.raises(SpecError, match=r"expected Mumbles.label to give 10 answers"):
        operant.train(LEARNER, ENV, Intent(REWARD), teacher=Mumbles(), questions=ASKED, **SETTINGS)
