"""Late and noisy actions by hand, in JAX and on the host."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import AbstractEnv, Box, Discrete, EnvSpec
from operant.envs.gymnasium import Gymnasium
from operant.envs.perturbed import Changed, Perturbed, PerturbedHost, numeric_fields, perturbed
from operant.envs.toy import CartPole, GridWorld, Pendulum
from operant.errors import RunError, SpecError
from operant.testing import check_env

KEY = jax.random.key(0)


class Tape(AbstractEnv):
    """Pays what is done; sees the last action."""

    @property
    def spec(self):
        return EnvSpec(Box((1,), -1.0, 1.0), Box((1,), -1.0, 1.0), 5, name="tape")

    def initial(self, *, key):
        return jnp.zeros(1)

    def advance(self, inner, action, *, key):
        return action, action[0], jnp.zeros((), bool)

    def observe(self, inner):
        return inner


def rewards(env, actions):
    state, _ = env.reset(key=KEY)
    found = []
    for i, a in enumerate(actions):
        state, step = env.step(state, jnp.array([a]), key=jax.random.key(i))
        found.append(round(float(step.reward), 4))
    return found


@pytest.mark.parametrize(
    "env",
    [
        Perturbed(CartPole(max_steps=15), delay=2),
        Perturbed(CartPole(max_steps=15), action_noise=0.3),
        Perturbed(Pendulum(max_steps=15), delay=1, action_noise=0.2, obs_noise=0.1),
        Changed(Pendulum(max_steps=15), "mass", 2.0),
    ],
)
def test_contracts(env):
    check_env(env)


def test_actions_act_late_and_a_new_episode_begins_with_none():
    actions = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    assert rewards(Perturbed(Tape(), delay=2), actions) == [0.0, 0.0, 0.1, 0.2, 0.3, 0.0, 0.0, 0.6]
    assert rewards(Perturbed(Tape(), delay=2, room=4), actions) == [0.0, 0.0, 0.1, 0.2, 0.3, 0.0, 0.0, 0.6]
    assert rewards(Perturbed(Tape()), actions) == actions


def test_a_sweep_over_delays_is_one_vmap():
    sweep = jax.vmap(
        lambda d: Perturbed(Tape(), d, 3).step(Perturbed(Tape(), d, 3).reset(key=KEY)[0], jnp.ones(1), key=KEY)
    )
    _, step = sweep(jnp.arange(3))
    assert step.reward.tolist() == [1.0, 0.0, 0.0]


def test_noise_on_actions_has_its_size_and_stays_in_the_box():
    env = Perturbed(Tape(), action_noise=0.1)
    state, _ = env.reset(key=KEY)
    draw = lambda a: jax.vmap(lambda k: env.step(state, jnp.array([a]), key=k)[1].reward)(jax.random.split(KEY, 2000))
    assert float(draw(0.0).std()) == pytest.approx(0.1, rel=0.1) and abs(float(draw(0.0).mean())) < 0.01
    assert float(draw(1.0).max()) == 1.0


def test_discrete_actions_slip():
    class Says(Tape):
        @property
        def spec(self):
            return EnvSpec(Box((1,)), Discrete(4), 5)

        def advance(self, inner, action, *, key):
            return inner, (action == 3).astype(jnp.float32), jnp.zeros((), bool)

    env = Perturbed(Says(), action_noise=0.4)
    state, _ = env.reset(key=KEY)
    hit = jax.vmap(lambda k: env.step(state, jnp.int32(3), key=k)[1].reward)(jax.random.split(KEY, 4000))
    assert float(hit.mean()) == pytest.approx(1 - 0.4 * 3 / 4, abs=0.03)


def test_noise_on_observations_in_units_of_the_scale():
    env = Perturbed(Pendulum(), obs_noise=0.5, obs_scale=(1.0, 0.0, 2.0))
    gap = jax.vmap(lambda k: env.reset(key=k)[1] - env.env.observe(env.reset(key=k)[0].inner.inner))
    found = np.asarray(gap(jax.random.split(KEY, 2000)))
    assert found.std(0)[1:] == pytest.approx([0.0, 1.0], rel=0.1)
    seen = np.asarray(jax.vmap(lambda k: env.reset(key=k)[1])(jax.random.split(KEY, 2000)))
    assert found.std(0)[0] > 0.1 and np.abs(seen[:, 0]).max() == 1.0  # clipped to its box


def test_a_changed_field_changes_the_physics_and_not_the_spec():
    env = Changed(Pendulum(), "max_torque", 0.5)
    inner, *_ = env.advance(jnp.zeros(2), jnp.array([2.0]), key=KEY)
    plain, *_ = Pendulum(max_torque=1.0).advance(jnp.zeros(2), jnp.array([2.0]), key=KEY)
    np.testing.assert_allclose(inner, plain)
    assert env.spec == Pendulum().spec
    sweep = jax.vmap(
        lambda f: Changed(Pendulum(), "gravity", f).advance(jnp.array([0.1, 0.0]), jnp.zeros(1), key=KEY)[0]
    )
    speeds = np.asarray(sweep(jnp.array([1.0, 2.0])))[:, 1]
    assert speeds[1] == pytest.approx(2 * speeds[0], rel=1e-5)
    assert "max_steps" not in numeric_fields(Pendulum()) and "fixed_horizon" not in numeric_fields(CartPole())


def test_a_field_given_as_a_whole_number_is_a_number():
    assert numeric_fields(Pendulum(gravity=10)) == numeric_fields(Pendulum())
    assert Changed(Pendulum(gravity=10), "gravity", 0.5).now.gravity == 5.0


def test_slips_are_swept():
    env = GridWorld("...\n.S.\n...", slip=0.5, observation="coordinates")

    def walked(factor):
        step = lambda k: Changed(env, "slip", factor).advance(jnp.int32(4), jnp.int32(1), key=k)[0]
        return jax.vmap(step)(jax.random.split(KEY, 400))

    astray = (np.asarray(jax.vmap(walked)(jnp.array([0.0, 1.0, 2.0]))) != 5).mean(1)
    np.testing.assert_allclose(astray, [0.0, 0.5, 1.0], atol=0.08)


def test_host_actions_act_late():
    """CartPole of Gymnasium and ours agree, action by action, when both are three steps late."""
    late, plain = PerturbedHost(Gymnasium("CartPole-v1"), delay=2).open(2), Gymnasium("CartPole-v1").open(2)
    np.testing.assert_array_equal(late.reset(seed=3), plain.reset(seed=3))
    actions = np.array([[1, 0], [1, 1], [0, 1], [1, 0], [0, 0]])
    delayed = np.concatenate([np.zeros((2, 2), int), actions])[:5]
    for a, b in zip(actions, delayed, strict=True):
        np.testing.assert_array_equal(late.step(a).obs, plain.step(b).obs)
    late.close(), plain.close()


def test_host_forgets_at_an_episodes_end_and_reports_one_noise():
    live = PerturbedHost(Gymnasium("CartPole-v1"), delay=1, obs_noise=0.01).open(1)
    live.reset(seed=0)
    ended = False
    for _ in range(60):
        step = live.step(np.array([1]))
        done = bool(step.terminated[0])
        if not done:
            np.testing.assert_array_equal(step.obs, step.final_obs)
        ended |= done
        if done:
            assert live._late[0].tolist() == [0]
    assert ended and live.snapshot() is None
    with pytest.raises(RunError, match="cannot"):
        live.restore([])
    live.close()


def test_host_noise_on_actions():
    live = PerturbedHost(Gymnasium("Pendulum-v1"), action_noise=0.5).open(1)
    live.reset(seed=0)
    found = np.array([live._shaken(np.zeros((1, 1), np.float32))[0, 0] for _ in range(2000)])
    assert found.std() == pytest.approx(0.5 * 2.0, rel=0.1) and np.abs(found).max() <= 2.0
    live.close()


def test_host_noise_of_a_seed_is_the_same_among_others():
    how = PerturbedHost(Gymnasium("Pendulum-v1"), action_noise=0.3, obs_noise=0.1)
    both, one = how.open(4), how.open(2)
    np.testing.assert_array_equal(both.reset(seed=[3, 4])[2:], one.reset(seed=4))
    for _ in range(3):
        np.testing.assert_array_equal(both.step(np.zeros((4, 1))).obs[2:], one.step(np.zeros((2, 1))).obs)
    with pytest.raises(SpecError, match="as many seeds as divide 4 environments; got 3"):
        both.reset(seed=[1, 2, 3])
    both.close(), one.close()


def test_bad_input():
    with pytest.raises(SpecError, match="whole number of steps ≥ 0"):
        Perturbed(Pendulum(), delay=-1)
    with pytest.raises(SpecError, match="room=8"):
        Perturbed(Pendulum(), delay=jnp.int32(1))
    with pytest.raises(SpecError, match="obs_noise ≥ 0"):
        Perturbed(Pendulum(), obs_noise=-1.0)
    with pytest.raises(SpecError, match="expected a numeric field of GridWorld"):
        Changed(GridWorld(), "layout", 2.0)
    with pytest.raises(SpecError, match="expected an AbstractEnv or AbstractHostEnv to perturb"):
        perturbed("CartPole-v1")  # type: ignore[arg-type]
