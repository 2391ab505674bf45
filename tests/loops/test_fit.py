"""`fit`: learns, equals its updates one by one, resumes exactly, and refuses clearly."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import operant
from operant.core import AbstractLearner, Box, Card, Constraint, Discrete, EnvSpec, Intent, Status, Transition
from operant.data.comparison_dataset import ComparisonDataset
from operant.data.dataset import Dataset
from operant.data.segments import Pairs, Segments
from operant.envs.toy import CartPole
from operant.errors import OperantError, RunError, SpecError
from operant.learners.bc import BC
from operant.learners.ppo import PPO
from operant.learners.preferences.cpl import CPL
from operant.loops import train as training
from operant.loops.fit import fit
from operant.rewards.preferences.bradley_terry import BradleyTerry
from operant.rewards.program import Program
from operant.rewards.task import Task
from operant.teachers import Answer

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
    with pytest.raises(RunError, match=r"whose arrays hash to .*this run folder does not hold its dataset"):
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
        ({"dataset": CartPole()}, "expected dataset to be .*Dataset.*; got CartPole"),
        ({"steps": 0}, "expected steps to be a whole number ≥ 1; got 0"),
        ({"intent": Task()}, r"got Task. Wrap it: Intent\(reward\)"),
        ({"seeds": [1, 1]}, "expected different seeds"),
    ],
)
def test_refusals(change, text):
    given = {"learner": LEARNER, "dataset": DATA, "intent": INTENT, "steps": 3, "key": KEY} | change
    with pytest.raises(SpecError, match=text):
        fit(given.pop("learner"), given.pop("dataset"), given.pop("intent"), **given)


# --- stored comparisons ---------------------------------------------------------------------------------------------

PAIRS, UNSURE, LENGTH = 400, 50, 5


def compared(flip=False, unsure=UNSURE):
    """Segments of random states and actions: of two, the one that stabilises more often is better."""
    rng = np.random.default_rng(2)
    right = lambda obs, action: ((obs @ np.array([0.0, 0.3, 1.0, 0.5]) > 0) == action).sum(-1)
    sides, scores = [], []
    for _ in range(2):
        obs = rng.uniform(-0.3, 0.3, (PAIRS, LENGTH, 4)).astype(np.float32)
        action = rng.integers(0, 2, (PAIRS, LENGTH))
        no, x = np.zeros((PAIRS, LENGTH), bool), np.zeros((PAIRS, LENGTH), np.float32)
        sides.append(Segments(Transition(obs, action, x, no, no, obs, {}), ~no))
        scores.append(right(obs, action))
    said = np.where(scores[1] == scores[0], Answer.tie, np.where(scores[1] > scores[0], Answer.right, Answer.left))
    said = np.where(said == Answer.tie, said, 1 - said) if flip else said
    said[:unsure] = Answer.unsure
    return ComparisonDataset.from_pairs(Pairs(*sides), said, SPEC)


ANSWERED = compared()
CONTRAST = CPL(bc_steps=20, hidden=(8,), batch=16, lr=0.02)
TAUGHT = BradleyTerry(hidden=(8,), members=2, segment=LENGTH, capacity=PAIRS, pool=64)


@pytest.fixture(scope="module")
def contrasted():
    return fit(CONTRAST, ANSWERED, INTENT, steps=300, seeds=2, key=KEY)


def test_it_learns_from_comparisons_alone(contrasted):
    assert contrasted.status == (Status.done, Status.done) and "episode/return" not in contrasted.metrics
    assert contrasted.card["dataset"]["sha256"] == ANSWERED.source.sha256 and contrasted.card["batch"] == 16
    held = np.random.default_rng(1).uniform(-0.3, 0.3, (200, 4)).astype(np.float32)
    better = held @ np.array([0.0, 0.3, 1.0, 0.5]) > 0
    for policy in contrasted.policies():
        assert (policy.predict(held)[0] == better).mean() > 0.8  # the actions stored are random: half of them is right


def test_comparisons_equal_their_updates_one_by_one(contrasted):
    learner_key, _, _, run_key = jax.random.split(jax.random.fold_in(KEY, 1), 4)
    state, labelled = CONTRAST.init(SPEC, key=learner_key), ANSWERED.labelled

    @jax.jit
    def one(state, i):
        keys = jax.random.split(jax.random.fold_in(run_key, i), 4)
        batch = jax.tree.map(lambda x: x[None], labelled.sample(16, keys[3]))
        return CONTRAST.update(state, batch, None, key=keys[2])

    losses = []
    for i in range(25):
        state, metrics = one(state, jnp.int32(i))
        losses.append(float(metrics["loss/preference"]))
    assert labelled.size == PAIRS - UNSURE
    np.testing.assert_allclose(contrasted.metrics["loss/preference"][1, :25], losses, rtol=1e-4)


class Seen(BC):
    """Behavioural cloning that says what it was shown."""

    card = Card("", "", "", ("dataset", "comparisons"))

    def update(self, state, batch, reward, *, key):
        assert batch.obs.shape == (1, self.batch, 2, LENGTH, 4) and batch.extras["mask"].shape == batch.done.shape
        return state, {"seen/known": batch.extras["known"].mean()}


def test_who_needs_both_sees_pairs_nobody_answered():
    run = fit(Seen(hidden=(4,), batch=16), ANSWERED, INTENT, steps=200, key=KEY)
    assert run.metrics["seen/known"].mean() == pytest.approx(350 / 400, abs=0.03)


def test_who_needs_a_dataset_sees_steps():
    run = fit(LEARNER, ANSWERED, INTENT, steps=40, key=KEY)
    steps = fit(LEARNER, ANSWERED.steps, INTENT, steps=40, key=KEY)
    np.testing.assert_array_equal(run.metrics["loss/policy"], steps.metrics["loss/policy"])
    assert run.card["dataset"]["sha256"] == ANSWERED.source.sha256


class Asks(BC):
    """Behavioural cloning that measures the reward of what it is shown."""

    def update(self, state, batch, reward, *, key):
        given = reward(batch)
        right = ((batch.obs @ jnp.array([0.0, 0.3, 1.0, 0.5]) > 0) == batch.action).astype(jnp.float32)
        one = lambda x: x - x.mean()
        along = (one(given) * one(right)).mean() / (given.std() * right.std() + 1e-6)
        return state, {"seen/correlation": along, "seen/reward": given.mean()}


def test_a_reward_is_taught_first_and_then_left_alone():
    learner = Asks(hidden=(4,), batch=256)
    run = fit(learner, ANSWERED, Intent(TAUGHT), steps=30, seeds=2, key=KEY)
    assert (run.metrics["seen/correlation"] > 0.5).all()  # from the first update on
    assert (run.metrics["preferences/answers"] == PAIRS).all() and (run.metrics["preferences/held_out"] > 0).all()
    assert np.asarray(run.state.reward.pool.filled).tolist() == [0, 0]  # shuffled rows are no behaviour
    lesson = jax.jit(lambda s, k: TAUGHT.teach(s, ANSWERED.answers, key=k))
    for i, state in enumerate(run.reward_states()):
        keys = jax.random.split(jax.random.fold_in(KEY, i), 6)
        fresh = TAUGHT.init(SPEC, key=keys[1])
        for k in jax.random.split(keys[5], 18):  # ⌈350/20⌉ lessons
            fresh, _ = lesson(fresh, k)
        for a, b in zip(jax.tree.leaves(fresh.networks), jax.tree.leaves(state.networks), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    priced = Intent(TAUGHT, (Constraint(Program(lambda obs: obs[0] ** 2), 10.0),))
    same = fit(learner, ANSWERED, priced, steps=2, seeds=2, key=KEY)  # the taught reward inside a constrained one
    assert (same.metrics["seen/correlation"] > 0.5).all()


@pytest.mark.parametrize("learner", [CONTRAST, Asks(hidden=(4,), batch=16)], ids=["contrast", "reward"])
def test_resume_is_exact_with_comparisons(learner, tmp_path):
    intent = Intent(TAUGHT) if isinstance(learner, Asks) else INTENT
    whole = fit(learner, ANSWERED, intent, steps=60, seeds=2, key=KEY)
    fit(learner, ANSWERED, intent, steps=30, seeds=2, key=KEY, folder=tmp_path / "run")
    given = {"learner": learner, "intent": intent}
    with pytest.raises(RunError, match=r"whose arrays hash to .*this run folder does not hold its dataset"):
        operant.resume(tmp_path / "run", env=compared(flip=True), **given)
    run = operant.resume(tmp_path / "run", steps=60, env=ANSWERED, **given)
    assert run.card["resumed_exactly"]
    loaded = operant.load(whole.save(tmp_path / "saved"), env=ANSWERED, **given)
    for other in (run, loaded):
        state = (other.state.learner, other.state.reward), (whole.state.learner, whole.state.reward)
        for a, b in zip(*map(jax.tree.leaves, state), strict=True):
            np.testing.assert_array_equal(a, b)
        for name, values in whole.metrics.items():
            np.testing.assert_array_equal(other.metrics[name], values)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"learner": CONTRAST}, r"expected a ComparisonDataset for CPL, .* got a Dataset, which holds none. Give"),
        ({"intent": Intent(TAUGHT)}, r"expected a ComparisonDataset for BradleyTerry, which learns from which of two"),
        (
            {"dataset": ANSWERED, "intent": Intent(BradleyTerry())},
            r"expected BradleyTerry.segment = 5, the steps of .*; got 50. Use BradleyTerry\(segment=5",
        ),
        (
            {"dataset": ANSWERED, "intent": Intent(BradleyTerry(segment=5, capacity=399))},
            r"expected BradleyTerry.capacity ≥ 400, the dataset's pairs; got 399: later answers would replace",
        ),
        (
            {"dataset": compared(unsure=400), "learner": CONTRAST},
            "expected at least one pair whose answer is known; none of 400 has one",
        ),
    ],
)
def test_refusals_of_comparisons(change, text):
    given = {"learner": LEARNER, "dataset": DATA, "intent": INTENT, "steps": 3, "key": KEY} | change
    with pytest.raises(OperantError, match=text):
        fit(given.pop("learner"), given.pop("dataset"), given.pop("intent"), **given)


class Sees(AbstractLearner):
    """Keeps what it was given: windows, or what it drew itself; counts from what `prepare` said."""

    window: int = 1
    draws: bool = False
    batch: int = 4
    rollout: ClassVar[int] = 1
    card: ClassVar[Card] = Card("", "", "imitation", ("dataset",))

    def init(self, spec, *, key):
        return {"rows": np.zeros(1, np.float32), "x": np.zeros(np.shape(spec.obs.zero()), np.float32)}

    def prepare(self, state, dataset, *, key):
        return state | {"rows": np.full(3, dataset.size, np.float32)}

    def policy(self, state):
        return BC(hidden=(4,)).policy(BC(hidden=(4,)).init(SPEC, key=KEY))

    def update(self, state, batch, reward, *, key):
        wide = (1, 4, self.window) if self.window > 1 else (1, 4)
        assert batch.reward.shape == wide and ("mask" in batch.extras) == (self.window > 1)
        return state | {"x": batch.obs.reshape(-1, 4)[-1]}, {
            "loss/x": batch.obs.mean(),
            "loss/rows": state["rows"].sum(),
        }


class Draws(Sees):
    """Draws transitions that say their rows."""

    def draw(self, dataset, n, key):
        return dataset.sample(n, key, rows=True)

    def update(self, state, batch, reward, *, key):
        assert batch.extras["row"].shape == (1, 4)
        return super().update(state, batch, reward, key=key)


def test_a_learner_says_what_it_is_given(tmp_path):
    run = fit(Sees(window=3), DATA, INTENT, steps=5, seeds=2, key=KEY, folder=tmp_path)
    np.testing.assert_array_equal(run.metrics["loss/rows"], 1200.0)  # prepared before the first update, once
    again = operant.resume(tmp_path, env=DATA, learner=Sees(window=3), steps=8)
    whole = fit(Sees(window=3), DATA, INTENT, steps=8, seeds=2, key=KEY)
    np.testing.assert_array_equal(again.metrics["loss/x"], whole.metrics["loss/x"])
    assert np.isfinite(fit(Draws(), DATA, INTENT, steps=3, key=KEY).metrics["loss/x"]).all()
