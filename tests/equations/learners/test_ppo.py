"""PPO's update against the equations, computed by hand in NumPy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, Composite, Discrete, EnvSpec
from operant.errors import SpecError
from operant.learners.ppo import PPO, to_action
from operant.math.schedules import Linear
from operant.testing.checks import close, fake_batch

KEY = jax.random.key(0)
SPEC = EnvSpec(Box((3,), -1.0, 1.0), Discrete(2), 10, 2, "small")
SMALL = {"hidden": (4,), "rollout": 8, "epochs": 1, "minibatches": 1}


def reward(batch):
    return batch.obs.sum(-1)


def test_loss_is_the_clipped_surrogate():
    learner = PPO(**SMALL, clip=0.1, clip_value=True, entropy=0.01, normalise_obs=False, normalise_reward=False)
    state = learner.init(SPEC, key=KEY)
    batch = fake_batch(SPEC, learner, state, 8, key=KEY)
    flat = lambda x: np.asarray(x).reshape(-1, *x.shape[2:])
    obs, choice = flat(batch.obs), flat(batch.extras["choice"])
    old = flat(batch.extras["log_prob"]) + 0.3 * np.asarray(jax.random.normal(KEY, (16,)))
    advantage, target, old_value = np.asarray(jax.random.normal(jax.random.key(1), (3, 16)))
    extras = {"choice": choice, "log_prob": old}
    done = jnp.zeros(16, bool)
    loss, metrics = learner._loss(state.networks, obs, obs, extras, done, advantage, target, old_value)

    layers = [np.asarray(x) for x in jax.tree.leaves(state.networks.actor)]
    logits = np.tanh(obs @ layers[0] + layers[1]) @ layers[2] + layers[3]
    log_p = np.asarray(jax.nn.log_softmax(logits))
    ratio = np.exp(log_p[np.arange(16), choice] - old)
    a = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    policy = -np.minimum(ratio * a, np.clip(ratio, 0.9, 1.1) * a).mean()
    layers = [np.asarray(x) for x in jax.tree.leaves(state.networks.critic)]
    value = (np.tanh(obs @ layers[0] + layers[1]) @ layers[2] + layers[3])[:, 0]
    near = old_value + np.clip(value - old_value, -0.1, 0.1)
    critic = 0.5 * np.maximum((value - target) ** 2, (near - target) ** 2).mean()
    entropy = -(np.exp(log_p) * log_p).sum(-1).mean()
    np.testing.assert_allclose(loss, policy + 0.5 * critic - 0.01 * entropy, rtol=1e-4)
    np.testing.assert_allclose(metrics["policy/clipped"], (np.abs(ratio - 1) > 0.1).mean(), rtol=1e-5)


def test_ratios_start_at_one():
    learner = PPO(**{**SMALL, "hidden": (8,)})
    state = learner.init(SPEC, key=KEY)
    for i in range(2):  # also once the observation statistics have moved
        batch = fake_batch(SPEC, learner, state, 8, key=jax.random.key(i))
        state, metrics = jax.jit(lambda s, b: learner.update(s, b, reward, key=KEY))(state, batch)
        assert abs(float(metrics["policy/kl"])) < 1e-6
        assert float(metrics["policy/clipped"]) == 0


def test_memory_sees_what_acting_saw():
    """The training pass through time gives the very log-probabilities that were acted with, episode ends included."""
    learner = PPO(**SMALL, memory=5, sequence=4, normalise_obs=False)
    state = learner.init(SPEC, key=KEY)
    policy = learner.policy(state)
    done = jax.random.uniform(KEY, (8, 2)) < 0.3
    obs = jax.random.normal(KEY, (8, 2, 3))
    carry, extras = jnp.zeros((2, 5)), []
    for t in range(8):
        keys = jax.random.split(jax.random.key(t), 2)
        _, e, carry = jax.vmap(lambda o, c, k: policy(o, c, key=k))(obs[t], carry, keys)
        carry = jnp.where(done[t][:, None], 0.0, carry)
        extras.append(e)
    extras = jax.tree.map(lambda *x: jnp.stack(x), *extras)
    cut = jax.tree.map(learner._cut, (obs, extras, done))
    assert cut[0].shape == (4, 4, 3)  # (8 steps / 4) × 2 environments, 4 steps each
    log_prob, _, _ = learner._forward(state.networks, cut[0], cut[0], cut[1], cut[2])
    np.testing.assert_allclose(log_prob, cut[1]["log_prob"], rtol=1e-5, atol=1e-6)


def test_values_bootstrap_from_the_true_successor():
    learner = PPO(**SMALL, memory=5, sequence=4, normalise_obs=False)
    state = learner.init(SPEC, key=KEY)
    batch = fake_batch(SPEC, learner, state, 8, key=KEY)
    value, following = learner._values(state.networks, batch.obs, batch.next_obs, batch)
    f, carry = state.networks.features(batch.obs[3, 1], batch.extras["carry"][3, 1])
    np.testing.assert_allclose(value[3, 1], state.networks.value(f), rtol=1e-5)
    f, _ = state.networks.features(batch.next_obs[3, 1], carry)
    np.testing.assert_allclose(following[3, 1], state.networks.value(f), rtol=1e-5)


@pytest.mark.parametrize("memory", [None, 5])
def test_pink_noise_is_correlated_and_as_likely_as_the_policy_says(memory):
    learner = PPO(**SMALL, memory=memory, sequence=4, noise_colour="pink", normalise_obs=False)
    spec = EnvSpec(Box((3,), -1.0, 1.0), Box((2,), -2.0, 2.0), 10, 2, "small")
    policy = learner.policy(learner.init(spec, key=KEY))

    def step(carry, key):
        before = carry
        _, extras, carry = policy(jnp.zeros(3), carry, key=key)
        dist = policy.distribution(jnp.zeros(3), before)
        return carry, (
            (extras["choice"] - dist.mean) / dist.scale,
            extras["log_prob"] - dist.log_prob(extras["choice"]),
        )

    run = lambda k: jax.lax.scan(step, policy.init_carry(), jax.random.split(k, 32))[1]
    z, gap = jax.vmap(run)(jax.random.split(KEY, 2000))
    np.testing.assert_allclose(gap, 0.0, atol=1e-5)
    np.testing.assert_allclose(z.std(0), 1.0, atol=0.06)
    assert float((z[:, 0] * z[:, 16]).mean()) > 0.3  # white: 0 ± 0.02
    assert policy.remembers == (memory is not None)


def test_schedule_reaches_zero():
    """With the step size at 0 nothing moves."""
    learner = PPO(**SMALL, lr=Linear(0.0, 1.0, 1e9), normalise_obs=False)
    state = learner.init(SPEC, key=KEY)
    batch = fake_batch(SPEC, learner, state, 8, key=KEY)
    new, _ = learner.update(state, batch, reward, key=KEY)
    assert close(new.networks, state.networks, 0.0)
    assert int(new.steps) == 16


def test_actions_in_units_of_the_box():
    box = Box((2,), (-2.0, 0.0), (2.0, 10.0))
    np.testing.assert_allclose(to_action(box, jnp.array([0.0, 0.0])), [0.0, 5.0])
    np.testing.assert_allclose(to_action(box, jnp.array([-3.0, 1.0])), [-2.0, 10.0])


def test_a_box_without_bounds_keeps_its_shape_and_the_bounds_it_has():
    np.testing.assert_array_equal(to_action(Box((1, 2)), jnp.array([-3.0, 5.0])), [[-3.0, 5.0]])
    np.testing.assert_array_equal(to_action(Box(()), jnp.array([7.0])), 7.0)
    half = Box((2,), (0.0, -float("inf")), (float("inf"), 1.0))
    np.testing.assert_array_equal(to_action(half, jnp.array([-3.0, 5.0])), [0.0, 1.0])


def test_a_minibatch_of_one_step_still_teaches():
    """Less its own mean an advantage would be 0, and the policy would never move."""
    learner = PPO(**{**SMALL, "minibatches": 16}, normalise_obs=False)
    state = learner.init(SPEC, key=KEY)
    new, _ = learner.update(state, fake_batch(SPEC, learner, state, 8, key=KEY), reward, key=KEY)
    assert not close(new.networks.actor, state.networks.actor, 1e-6)


def test_masked_actions_are_never_taken():
    spec = EnvSpec(
        Composite((("action_mask", Box((3,), 0.0, 1.0)), ("x", Box((2,), -1.0, 1.0)))), Discrete(3), 10, 2, "masked"
    )
    learner = PPO(**SMALL)
    policy = learner.policy(learner.init(spec, key=KEY))
    obs = {"x": jnp.ones(2), "action_mask": jnp.array([1.0, 0.0, 1.0])}
    actions = jax.vmap(lambda k: policy(obs, (), key=k)[0])(jax.random.split(KEY, 200))
    assert set(np.unique(actions)) == {0, 2}


def test_images_and_dicts():
    image = Box((20, 20, 1), 0.0, 255.0, "uint8")
    spec = EnvSpec(Composite((("camera", image), ("speed", Box((1,), -1.0, 1.0)))), Box((1,), -1.0, 1.0), 10, 2, "eyes")
    learner = PPO(**SMALL)
    state = learner.init(spec, key=KEY)
    batch = fake_batch(spec, learner, state, 8, key=KEY)
    new, metrics = jax.jit(lambda s, b: learner.update(s, b, lambda b: b.obs["speed"][..., 0], key=KEY))(state, batch)
    assert all(np.isfinite(x) for x in metrics.values())
    kernels = lambda s: eqx.filter(s.networks.encoder.parts["camera"], eqx.is_array)
    assert not close(kernels(new), kernels(state), 1e-8)


def test_what_cannot_be_seen_is_told():
    see = lambda obs: PPO(**SMALL).init(EnvSpec(obs, Discrete(3), 10, 2), key=KEY)
    see(Box((9, 9, 1), 0.0, 255.0, "uint8"))
    with pytest.raises(SpecError, match=r"\(height, width, channels\) of at least 9×9 pixels; got \(3, 40, 40\)"):
        see(Box((3, 40, 40), 0.0, 255.0, "uint8"))
    with pytest.raises(SpecError, match="expected something to see beside an action_mask"):
        see(Composite((("action_mask", Box((3,), 0.0, 1.0)),)))


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"minibatches": 3}, "expected PPO.minibatches to divide rollout × environments = 16; got 3"),
        ({"memory": 4, "sequence": 3}, "expected PPO.sequence to divide rollout = 8; got 3"),
        ({"memory": 0}, "expected PPO.memory ≥ 1; got 0"),
        ({"epochs": 0}, "expected PPO.epochs ≥ 1; got 0"),
        (
            {"noise_colour": "pink"},
            r"expected continuous actions \(Box\) for PPO.noise_colour = 'pink'; got Discrete\(n=2\)",
        ),
        ({"noise_colour": "blue"}, "expected noise_colour 'white' or 'pink'; got 'blue'"),
    ],
)
def test_refusals(fields, text):
    with pytest.raises(SpecError, match=text):
        PPO(**{**SMALL, **fields}).init(SPEC, key=KEY)
