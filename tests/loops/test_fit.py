"""`fit`: learns, equals its updates one by one, resumes exactly, and refuses clearly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import operant
from operant.core import Box, Discrete, EnvSpec, Intent, Status
from operant.data.dataset import Dataset
from operant.envs.toy import CartPole
from operant.errors import RunError, SpecError
from operant.learners.bc import BC
from operant.learners.ppo import PPO
from operant.loops import train as training
from operant.loops.fit import fit
from operant.rewards.task import Task

KEY = jax.random.key(0)
SPEC = EnvSpec(Box((4,)), Discrete(2), 500, name="demonstrations")
LEARNER = BC(hidden=(8,), batch=16, lr=0.02)
INTENT = Intent(Task())


def demonstrations(flip=False):
    """A stabilising rule for CartPole, on random states."""
    obs = np.random.default_rng(0).uniform(-0.3, 0.3, (400, 4)).astype(np.float32)
    action = (obs @ np.array([0.0, 0.3, 1.0, 0.5]) > 0).astype(np.int32)
    ends = np.arange(400) % 20 == 19
    action = 1 - action if flip else action
    return Dataset.from_numpy(SPEC, obs=obs, action=action, reward=np.ones(400), terminated=ends, next_obs=obs)


DATA = demonstrations()


@pytest.fixture(scope="module")
def two():
    return fit(LEARNER, DATA, INTENT, steps=300, seeds=2, key=KEY)


def test_it_learns_what_was_done(two):
    assert two.status == (Status.done, Status.done) and two.env_steps.tolist() == list(range(1, 301))
    assert two.metrics["loss/policy"].shape == (2, 300) and "episode/return" not in two.metrics
    loss = two.metrics["loss/policy"]
    assert (loss[:, -50:].mean(1) < 0.4 * loss[:, :5].mean(1)).all()
    held = np.random.default_rng(1).uniform(-0.3, 0.3, (200, 4)).astype(np.float32)
    for policy in two.policies():
        action, _ = policy.predict(held)
        assert (action == (held @ np.array([0.0, 0.3, 1.0, 0.5]) > 0)).mean() > 0.9
    episodes = operant.evaluate(two.policy(0), CartPole(), episodes=4, key=KEY, max_steps=100)
    assert float(np.mean(episodes.returns)) > 60  # uniformly random actions last 22 steps
    assert two.card["dataset"]["sha256"] == DATA.source.sha256 and two.card["batch"] == 16


def test_equals_its_updates_one_by_one(two):
    learner_key, _, _, run_key = jax.random.split(jax.random.fold_in(KEY, 1), 4)
    state = LEARNER.init(SPEC, key=learner_key)

    @jax.jit
    def one(state, i):
        keys = jax.random.split(jax.random.fold_in(run_key, i), 4)
        batch = jax.tree.map(lambda x: x[None], DATA.sample(16, keys[3]))
        return LEARNER.update(state, batch, lambda b: b.reward, key=keys[2])

    losses = []
    for i in range(20):
        state, metrics = one(state, jnp.int32(i))
        losses.append(float(metrics["loss/policy"]))
    np.testing.assert_allclose(two.metrics["loss/policy"][1, :20], losses, rtol=1e-4)


def test_resume_is_exact(two, tmp_path):
    fit(LEARNER, DATA, INTENT, steps=100, seeds=2, key=KEY, folder=tmp_path)
    with pytest.raises(RunError, match=r"expected a new run folder.*operant.resume\(.*, env=dataset\)"):
        fit(LEARNER, DATA, INTENT, steps=100, seeds=2, key=KEY, folder=tmp_path)
    with pytest.raises(RunError, match=r"expected the dataset of .*; got NoneType"):
        operant.resume(tmp_path, learner=LEARNER)
    with pytest.raises(RunError, match=r"whose arrays hash to .*a run folder does not hold its dataset"):
        operant.resume(tmp_path, learner=LEARNER, env=demonstrations(flip=True))
    run = operant.resume(tmp_path, steps=300, learner=LEARNER, env=DATA)
    assert run.card["resumed_exactly"]
    for a, b in zip(jax.tree.leaves(run.state.learner), jax.tree.leaves(two.state.learner), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(run.metrics["loss/policy"], two.metrics["loss/policy"])


def test_a_seed_that_breaks_says_so(monkeypatch):
    monkeypatch.setattr(training, "MAX_ROWS", 3)
    learner = BC(hidden=(8,), batch=16, lr=jnp.array([0.02, 1e38]))  # settings side by side; the second cannot live
    run = fit(learner, DATA, INTENT, steps=9, key=KEY, throw=False)
    assert run.status == (Status.done, Status.non_finite)
    assert run.env_steps.tolist() == [3, 6, 9]
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(run.state.learner))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"learner": PPO()}, "expected a learner that learns from a dataset alone; PPO needs an environment"),
        ({"dataset": CartPole()}, "expected dataset to be <class 'operant.data.dataset.Dataset'>; got CartPole"),
        ({"steps": 0}, "expected steps to be a whole number ≥ 1; got 0"),
        ({"intent": Task()}, r"got Task. Wrap it: Intent\(reward\)"),
        ({"seeds": [1, 1]}, "expected different seeds"),
    ],
)
def test_refusals(change, text):
    given = {"learner": LEARNER, "dataset": DATA, "intent": INTENT, "steps": 3, "key": KEY} | change
    with pytest.raises(SpecError, match=text):
        fit(given.pop("learner"), given.pop("dataset"), given.pop("intent"), **given)
