"""Bradley–Terry against a hand-made loss, and against a reward that only comparisons tell of."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, Discrete, EnvSpec, Transition
from operant.data.segments import Answers, Pairs, Segments
from operant.errors import SpecError
from operant.rewards.preferences.bradley_terry import BradleyTerry
from operant.rewards.queries import Coverage, Disagreement, Entropy, Information, Uniform
from operant.rewards.representations import squash
from operant.rewards.task import Task
from operant.testing import check_reward, small_spec

SPEC = EnvSpec(Box((2,)), Discrete(2), 100, num_envs=4)
pay = eqx.filter_jit(lambda reward, state, batch: reward(state, batch))
update = eqx.filter_jit(lambda reward, state, rollout, key: reward.update(state, rollout, key=key))
teach = eqx.filter_jit(lambda reward, state, answers, key: reward.teach(state, answers, key=key))
propose = eqx.filter_jit(lambda reward, state, n, key: reward.propose(state, n, key=key))
SMALL = BradleyTerry(hidden=(32,), members=2, segment=6, capacity=256, pool=400, batch=32, steps=60, lr=3e-3)


def segments(rng: np.random.Generator, n: int) -> Segments:
    obs = jnp.asarray(rng.normal(size=(n, 6, 2)), jnp.float32)
    no = jnp.zeros((n, 6), bool)
    return Segments(Transition(obs, no.astype(int), jnp.full((n, 6), jnp.nan), no, no, obs, {}), ~no)


def truth(s: Segments) -> np.ndarray:
    """The second number, less half the first one's size."""
    obs = np.asarray(s.steps.obs)
    return np.where(s.mask, obs[..., 1] - 0.5 * np.abs(obs[..., 0]), 0.0).sum(-1)


def answers(pairs: Pairs, target, known=True, first: int = 0) -> Answers:
    n = len(target)
    return Answers(pairs, first + jnp.arange(n), jnp.asarray(target), jnp.ones(n, bool), jnp.full(n, known))


def taught(reward: BradleyTerry, rounds: int = 8, n: int = 32, falls: bool = False):
    rng = np.random.default_rng(0)
    state = reward.init(SPEC, key=jax.random.key(0))
    metrics = {}
    for i in range(rounds):
        pairs = Pairs(segments(rng, n), segments(rng, n))
        if falls:
            pairs = eqx.tree_at(lambda p: p.left.steps.terminated, pairs, replace_fn=lambda x: x.at[:, -1].set(True))
        target = jnp.asarray(truth(pairs.right) > truth(pairs.left), jnp.float32)
        state, metrics = teach(reward, state, answers(pairs, target, first=n * i), jax.random.key(i))
    return state, metrics


def test_contracts():
    check_reward(BradleyTerry(segment=2, pool=64, capacity=8, hidden=(8,)), small_spec())


def test_it_learns_what_comparisons_say():
    state, metrics = taught(SMALL)
    fresh = segments(np.random.default_rng(1), 200)
    learned = np.where(fresh.mask, pay(SMALL, state, fresh.steps), 0.0).sum(-1)
    assert np.corrcoef(learned, truth(fresh))[0, 1] > 0.9
    assert metrics["preferences/answers"] == 256 and metrics["preferences/agreement"] > 0.8


@pytest.mark.parametrize("falls", [False, True])
def test_it_is_scaled_over_what_was_compared_and_centred_unless_episodes_end(falls: bool):
    state, _ = taught(SMALL, falls=falls)
    sides = (state.comparisons.pairs.left, state.comparisons.pairs.right)
    value = np.stack([pay(SMALL, state, s.steps) for s in sides])
    assert abs(np.sqrt(np.square(value).mean()) - 1) < 1e-2
    assert (abs(value.mean()) < 1e-3) != falls and (float(state.mean) == 0.0) == falls


def test_answers_about_falls_say_what_a_step_more_is_worth():
    """All steps alike, some segments cut short by a fall: longer is better, so that a step is worth more than none."""
    rng, full = np.random.default_rng(3), segments(np.random.default_rng(0), 64)

    def fallen() -> Segments:
        time, last = jnp.arange(6)[None], jnp.asarray(rng.integers(6, size=64))[:, None]
        steps = dataclasses.replace(full.steps, terminated=time == last)
        return Segments(steps, time <= last)

    pairs = Pairs(fallen(), fallen())
    target = jnp.asarray(0.5 + 0.5 * np.sign(np.asarray(pairs.right.mask).sum(1) - np.asarray(pairs.left.mask).sum(1)))
    state = SMALL.init(SPEC, key=jax.random.key(0))
    for i in range(4):
        state, _ = teach(SMALL, state, answers(pairs, target), jax.random.key(i))
    assert np.asarray(pay(SMALL, state, full.steps)).min() > 0.3


def test_one_answer_in_ten_is_never_learned_from():
    """Turning the held-out answers round changes what is measured and nothing that is learned."""
    rng = np.random.default_rng(0)
    pairs = Pairs(segments(rng, 40), segments(rng, 40))
    target = jnp.asarray(truth(pairs.right) > truth(pairs.left), jnp.float32)
    held = jnp.arange(40) % 10 == 9
    state = SMALL.init(SPEC, key=jax.random.key(0))
    learn = lambda t: teach(SMALL, state, answers(pairs, t), jax.random.key(1))
    (a, found), (b, turned) = learn(target), learn(jnp.where(held, 1 - target, target))
    for x, y in zip(jax.tree.leaves(a.networks), jax.tree.leaves(b.networks), strict=True):
        np.testing.assert_array_equal(x, y)
    np.testing.assert_allclose(found["preferences/agreement"], 1 - turned["preferences/agreement"])


def test_its_loss_is_the_cross_entropy_of_the_slipping_logistic():
    reward = BradleyTerry(members=1, segment=6, capacity=10, pool=400, steps=1, batch=64, lr=0.0, slip=0.2)
    rng = np.random.default_rng(0)
    pairs = Pairs(segments(rng, 1), segments(rng, 1))
    state = reward.init(SPEC, key=jax.random.key(0))
    new, metrics = teach(reward, state, answers(pairs, [1.0]), jax.random.key(1))
    network = jax.tree.map(lambda x: x[0], new.networks)
    symlog = lambda o: jnp.sign(o) * jnp.log1p(jnp.abs(o))
    each = jax.jit(jax.vmap(lambda o, a: network(symlog(o), a, new.normaliser)))
    total = lambda s: float(each(s.steps.obs[0], s.steps.action[0]).sum())
    p = 1 / (1 + np.exp(total(pairs.left) - total(pairs.right)))
    np.testing.assert_allclose(metrics["preferences/loss"], -np.log(0.8 * p + 0.1), rtol=1e-4)


@pytest.mark.parametrize("slip", [0.0, 0.1])
def test_its_loss_is_finite_however_wrong_it_was(slip):
    """A margin at which 1 − σ is 0 in float32, on the wrong side: −log(ε/2) where answers slip, else the margin."""
    reward = BradleyTerry(slip=slip)
    got = reward._log_chance(jnp.array([-300.0, 0.0, 300.0]))
    expected = [-300.0, np.log(0.5), 0.0] if slip == 0 else [np.log(0.05), np.log(0.5), np.log(0.95)]
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)
    assert np.isfinite(jax.vmap(jax.grad(reward._log_chance))(jnp.array([-300.0, 300.0]))).all()


def test_states_that_ran_away_leave_those_that_matter_apart():
    """One behaviour in two is hundreds of units away; 0 and 2 still lie further apart than a tenth of the spread."""
    rng = np.random.default_rng(0)
    near, far = segments(rng, 16), segments(rng, 16)
    far = jax.tree.map(lambda x: 400.0 * x if x.dtype == jnp.float32 else x, far)
    state = SMALL.init(SPEC, key=jax.random.key(0))
    state, _ = teach(SMALL, state, answers(Pairs(near, far), np.zeros(16)), jax.random.key(1))
    look = lambda x: state.normaliser(squash(jnp.full(2, x)))
    assert float((look(2.0) - look(0.0)).min()) > 0.2
    assert abs(2.0 / float(np.concatenate([near.steps.obs, far.steps.obs]).std())) < 0.02  # plain standardising


def test_answers_that_say_nothing_teach_nothing():
    rng = np.random.default_rng(0)
    pairs = Pairs(segments(rng, 4), segments(rng, 4))
    state = SMALL.init(SPEC, key=jax.random.key(0))
    new, metrics = teach(SMALL, state, answers(pairs, np.full(4, 0.5), known=False), jax.random.key(1))
    assert metrics["preferences/answers"] == 4
    for x, y in zip(jax.tree.leaves(new.networks), jax.tree.leaves(state.networks), strict=True):
        np.testing.assert_array_equal(x, y)


def test_before_the_first_answer_it_is_the_reward_that_stands_in():
    state = SMALL.init(SPEC, key=jax.random.key(0))
    rng = np.random.default_rng(0)
    rollout = segments(rng, 6).steps
    rollout = jax.tree.map(lambda x: jnp.moveaxis(x, 0, 1)[:, :4], rollout)
    state, _ = update(SMALL, state, rollout, jax.random.key(0))
    paid = pay(SMALL, state, rollout)
    np.testing.assert_allclose(paid, pay(SMALL.before, state.before, rollout), rtol=1e-5)
    assert float(paid.std()) > 0


@pytest.mark.parametrize("query", [Uniform(), Disagreement(), Entropy(), Information(), Coverage()])
def test_it_proposes_different_pairs_of_what_was_done(query):
    reward = eqx.tree_at(lambda r: r.query, SMALL, query)
    state = reward.init(SPEC, key=jax.random.key(0))
    rng = np.random.default_rng(0)
    obs = jnp.asarray(rng.normal(size=(60, 4, 2)), jnp.float32)
    no = jnp.zeros((60, 4), bool)
    done = Transition(obs, no.astype(int), no.astype(float), no, no, obs, {})
    state, _ = update(reward, state, done, jax.random.key(0))
    pairs = propose(reward, state, 5, jax.random.key(1))
    shown = {float(x) for x in obs.ravel()}
    assert {float(x) for x in pairs.left.steps.obs.ravel()} <= shown
    both = np.concatenate([pairs.left.steps.obs, pairs.right.steps.obs], axis=1)
    assert len({tuple(x.ravel()) for x in both}) == 5


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"members": 0}, "members ≥ 1"),
        ({"hold_out": 1}, "hold_out ≥ 2"),
        ({"slip": 1.0}, r"slip in \[0, 1\)"),
    ],
)
def test_impossible_settings_are_refused(fields, words):
    with pytest.raises(SpecError, match=f"expected BradleyTerry.{words}"):
        BradleyTerry(**fields)


def test_a_pool_too_small_for_segments_is_refused():
    with pytest.raises(SpecError, match=r"expected BradleyTerry.pool ≥ 2 × segment × environments = 400; got 100"):
        BradleyTerry(pool=100).init(SPEC, key=jax.random.key(0))


def test_answers_that_cannot_tell_leave_the_reward_before():
    rng = np.random.default_rng(0)
    reward = dataclasses.replace(SMALL, before=Task())
    state, pairs = reward.init(SPEC, key=jax.random.key(0)), Pairs(segments(rng, 4), segments(rng, 4))
    asked = eqx.tree_at(lambda s: s.steps.reward, segments(rng, 4), jnp.arange(24.0).reshape(4, 6)).steps
    state, _ = teach(reward, state, answers(pairs, jnp.full(4, 0.5), known=False), jax.random.key(1))
    np.testing.assert_array_equal(pay(reward, state, asked), asked.reward)
    state, _ = teach(reward, state, answers(pairs, jnp.ones(4)), jax.random.key(1))
    assert not np.array_equal(pay(reward, state, asked), asked.reward)


def test_it_reads_the_environments_reward_where_what_stands_in_does():
    assert not SMALL.reads_env_reward and dataclasses.replace(SMALL, before=Task()).reads_env_reward
