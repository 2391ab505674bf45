"""What all learners from replay share, against hand-computed values."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, Composite, Discrete, EnvSpec, Transition
from operant.errors import SpecError
from operant.learners._density import to_choice
from operant.learners.dqn import DQN
from operant.learners.off_policy import n_step, to_box
from operant.learners.ppo import to_action
from operant.learners.sac import SAC
from operant.learners.td3 import TD3
from operant.math.schedules import Linear
from operant.nn import action_features

N = 4
BOX = EnvSpec(Box((3,)), Box((2,), (-1.0, 0.0), (1.0, 5.0)), 50, num_envs=N)
DISCRETE = EnvSpec(Box((3,)), Discrete(2), 50, num_envs=N)
SMALL = {"hidden": (8,), "batch": 8, "capacity": 64, "learning_starts": 2 * N, "gradient_steps": 2}
LEARNERS = {
    "dqn": (DQN(**SMALL, double=True, dueling=True, n_step=2, target_every=3), DISCRETE),
    "sac": (SAC(**SMALL), BOX),
    "discrete sac": (SAC(**SMALL), DISCRETE),
    "td3": (TD3(**SMALL), BOX),
}


def rollout(spec: EnvSpec, seed: int, reward: float | None = None) -> Transition:
    """One row of random experience, with one end of each kind."""
    rng = np.random.default_rng(seed)
    obs = lambda: jnp.asarray(rng.normal(size=(1, N, 3)), jnp.float32)
    keys = jax.random.split(jax.random.key(seed), (1, N))
    action = jax.vmap(jax.vmap(spec.action.sample))(keys)
    r = jnp.asarray(rng.normal(size=(1, N)), jnp.float32) if reward is None else jnp.full((1, N), reward)
    flag = lambda i: jnp.asarray(np.eye(N, dtype=bool)[i][None])
    return Transition(obs(), action, r, flag(0), flag(1), obs(), {})


first_of_obs = lambda b: b.obs[..., 0]


@functools.cache
def compiled(name):
    return jax.jit(lambda s, b, k: LEARNERS[name][0].update(s, b, first_of_obs, key=k))


def run(learner, spec, updates, update=None, env_reward=None):
    state = learner.init(spec, key=jax.random.key(0))
    update = update or jax.jit(lambda s, b, k: learner.update(s, b, first_of_obs, key=k))
    history = [state]
    for i in range(updates):
        state, metrics = update(state, rollout(spec, i, env_reward), jax.random.key(i))
        history.append(state)
    return history, metrics


@pytest.fixture(scope="module")
def runs():
    return {name: run(*pair, 4, compiled(name)) for name, pair in LEARNERS.items()}


@pytest.mark.parametrize("name", LEARNERS)
def test_nothing_is_learned_before_learning_starts_and_everything_after(runs, name):
    history, metrics = runs[name]
    leaves = lambda s: jax.tree.leaves((s.networks.actor, s.networks.critic))
    same = lambda a, b: all(np.array_equal(x, y) for x, y in zip(leaves(a), leaves(b), strict=True))
    assert same(history[0], history[1])
    assert not any(np.array_equal(x, y) for x, y in zip(leaves(history[1]), leaves(history[4]), strict=True))
    assert [int(s.networks.count) for s in history] == [0, 0, 2, 4, 6]
    assert [int(s.steps) for s in history] == [0, N, 2 * N, 3 * N, 4 * N]
    assert int(history[-1].replay.size) == 4 * N
    assert all(np.isfinite(x) for x in metrics.values()) and float(metrics["loss/critic"]) > 0


@pytest.mark.parametrize("name", LEARNERS)
def test_the_environments_reward_is_read_only_through_the_reward_function(name):
    history, _ = run(*LEARNERS[name], 3, compiled(name), env_reward=float("nan"))
    other, _ = run(*LEARNERS[name], 3, compiled(name), env_reward=7.0)
    for a, b in zip(jax.tree.leaves(history[-1].networks), jax.tree.leaves(other[-1].networks), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", LEARNERS)
def test_no_two_leaves_share_a_buffer_so_that_the_state_can_be_donated(name):
    learner, spec = LEARNERS[name]
    leaves = jax.tree.leaves(learner.init(spec, key=jax.random.key(0)))
    pointers = [x.unsafe_buffer_pointer() for x in leaves if x.size]
    assert len(set(pointers)) == len(pointers)


@pytest.mark.parametrize("name", ["sac", "td3"])
@pytest.mark.parametrize("warm", [True, False])
def test_actions_lie_in_the_box_however_loud_the_noise(runs, name, warm):
    learner, spec = LEARNERS[name]
    state = runs[name][0][0 if warm else -1]
    loud = {"sac": {}, "td3": {"exploration_noise": 3.0}}[name]
    actor = type(learner.slots(spec)[0])(noise_colour="pink", **loud)
    policy = eqx.tree_at(lambda p: p.actor, learner.policy(state), actor)
    assert bool(policy.warm) is warm
    draw = lambda k: policy(5.0 * jnp.ones(3), policy.init_carry(), key=k)[0]
    actions = np.asarray(jax.vmap(draw)(jax.random.split(jax.random.key(0), 500)))
    low, high = spec.action.bounds()
    assert (actions >= low).all() and (actions <= high).all()
    if warm:  # uniform: quarters are equally full
        counts = np.histogram(actions[:, 1], bins=4, range=(0.0, 5.0))[0]
        assert counts.min() > 85 and counts.max() < 170


def test_warm_up_of_discrete_learners_is_uniform_and_masks_hold():
    spec = EnvSpec(Composite((("action_mask", Box((3,), 0, 1)), ("x", Box((2,))))), Discrete(3), 9, num_envs=N)
    obs = {"x": jnp.ones(2), "action_mask": jnp.array([1.0, 0.0, 1.0])}
    for learner in (DQN(**SMALL), SAC(**SMALL)):
        policy = learner.policy(learner.init(spec, key=jax.random.key(0)))
        draw = jax.vmap(lambda k, p=policy: p(obs, (), key=k)[0])
        counts = np.bincount(np.asarray(draw(jax.random.split(jax.random.key(0), 400))), minlength=3)
        assert counts[1] == 0 and abs(counts[0] - 200) < 50
        assert int(policy(obs, (), key=None)[0]) != 1


def test_n_step_sums_discounts_and_ends_by_hand():
    r = jnp.array([[1.0, 2.0, 4.0]] * 4)
    within = jnp.array([[1, 1, 1], [1, 1, 0], [1, 1, 0], [1, 0, 0]], bool)
    terminated = jnp.array([[0, 0, 0], [0, 1, 1], [0, 0, 1], [1, 0, 0]], bool)  # beyond the window: another episode's
    gain, follow, last = n_step(r, within, terminated, 0.5)
    np.testing.assert_allclose(gain, [1 + 1 + 1, 1 + 1, 1 + 1, 1])
    np.testing.assert_allclose(follow, [0.125, 0.0, 0.25, 0.0])  # the third was truncated: it bootstraps
    np.testing.assert_array_equal(last, [2, 1, 1, 0])


def test_truncation_bootstraps_and_termination_does_not():
    learner = DQN(**SMALL, n_step=1, discount=0.9)
    state = learner.init(DISCRETE, key=jax.random.key(0))
    replay = state.replay.insert(rollout(DISCRETE, 0))
    place = (jnp.zeros(N, jnp.int32), jnp.arange(N))
    obs, _, gain, follow, next_obs = learner._targets_of(replay.windows(*place, 1), first_of_obs, None, None)
    np.testing.assert_allclose(follow, [0.0, 0.9, 0.9, 0.9], rtol=1e-6)
    np.testing.assert_allclose(gain, obs[:, 0])
    np.testing.assert_array_equal(next_obs, replay.data.next_obs[0])


def test_normalisers_act_on_what_is_learned_from_and_only_there():
    learner = DQN(**SMALL, normalise_obs=True, normalise_reward=True)
    history, _ = run(learner, DISCRETE, 3)
    seen = np.concatenate([np.asarray(rollout(DISCRETE, i).obs)[0] for i in range(3)])
    moments = history[-1].normaliser.moments
    np.testing.assert_allclose(moments.mean, seen.mean(0), rtol=1e-5)
    np.testing.assert_allclose(moments.variance, seen.var(0), rtol=1e-5)
    np.testing.assert_array_equal(history[-1].replay.data.obs[0], rollout(DISCRETE, 0).obs[0])  # raw
    returns, every = np.zeros(N), []
    for i in range(3):
        returns = 0.99 * returns + seen[N * i : N * (i + 1), 0]
        every.append(returns)
        returns = np.where([True, True, False, False], 0.0, returns)
    np.testing.assert_allclose(history[-1].scale.moments.variance, np.var(every), rtol=1e-5)


def test_a_schedule_and_an_array_of_settings_mean_what_a_number_does():
    plain, _ = run(DQN(**SMALL, lr=0.25), DISCRETE, 3)
    other, _ = run(DQN(**SMALL, lr=Linear(0.25, 0.25, 100.0), discount=jnp.array(0.99)), DISCRETE, 3)
    weights = lambda h: np.asarray(h[-1].networks.critic.advantage.layers[0].weight)
    np.testing.assert_allclose(weights(plain), weights(other), rtol=1e-5)


@pytest.mark.parametrize("field", ["discount", "tau"])
def test_whole_numbers_are_checked_as_others_are(field):
    with pytest.raises(SpecError, match=rf"expected DQN.{field} in \[0, 1\]; got 2"):
        DQN(**{field: 2})


def test_boxes_and_units_are_each_others_inverse_also_where_a_box_has_no_room():
    fixed, only = Box((2,), (-1.0, 3.0), (1.0, 3.0)), jnp.array([0.5, 3.0])
    np.testing.assert_allclose(to_box(fixed, action_features(fixed, only)), only)
    np.testing.assert_allclose(to_action(fixed, to_choice(fixed, only)), only)
    np.testing.assert_allclose(action_features(fixed, only), [0.5, -1.0])


def test_boxes_and_units_are_each_others_inverse():
    action = jnp.array([0.5, 4.0])
    np.testing.assert_allclose(action_features(BOX.action, action), [0.5, 0.6], rtol=1e-6)
    np.testing.assert_allclose(to_box(BOX.action, action_features(BOX.action, action)), action, rtol=1e-6)


@pytest.mark.parametrize(("low", "high"), [(-0.7, 0.1), (-100.0, 0.3), (-3.3, 1.1)])
def test_rounding_never_leaves_the_box(low, high):
    space = Box((1,), low, high)
    for x in (-1.0, 1.0):
        assert space.contains(np.asarray(to_action(space, jnp.full(1, x)))) and space.contains(
            np.asarray(to_box(space, jnp.full(1, x)))
        )
