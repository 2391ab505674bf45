"""Reward programs: names found, axes added, constants, files."""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, Composite, Discrete, EnvSpec, Transition
from operant.rewards import Program, load_program

KEY = jax.random.key(0)
SPEC = EnvSpec(Box((3,), names=("cos", "sin", "velocity")), Box((1,), names=("torque",)), 200, name="Pendulum")
RNG = np.random.default_rng(0)


def batch(lead=(), spec=SPEC):
    obs, following = (jnp.asarray(RNG.normal(size=(*lead, 3)), jnp.float32) for _ in range(2))
    action = jnp.asarray(RNG.normal(size=(*lead, 1)), jnp.float32)
    reward = jnp.asarray(RNG.normal(size=lead), jnp.float32)
    ended, cut = (jnp.asarray(RNG.random(lead) < 0.5) for _ in range(2))
    return Transition(obs, action, reward, ended, cut, following, {})


def value(program, data, spec=SPEC):
    return program(program.init(spec, key=KEY), data)


@pytest.mark.parametrize("lead", [(), (5,), (4, 2), (0,)])
def test_named_elements_of_any_axes(lead):
    data = batch(lead)

    def pendulum(cos, sin, velocity, torque):
        return -(jnp.arctan2(sin, cos) ** 2 + 0.1 * velocity**2 + 0.001 * torque**2)

    o, a = np.asarray(data.obs), np.asarray(data.action)
    expected = -(np.arctan2(o[..., 1], o[..., 0]) ** 2 + 0.1 * o[..., 2] ** 2 + 0.001 * a[..., 0] ** 2)
    result = value(Program(pendulum), data)
    assert result.shape == lead
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_whole_fields_are_unbatched():
    data = batch((4, 2))

    def program(obs, action, reward, terminated, truncated, next_obs):
        assert obs.shape == next_obs.shape == (3,) and action.shape == (1,) and reward.shape == terminated.shape == ()
        return next_obs @ obs + action[0] + reward + jnp.where(terminated, 10.0, 0.0) - 5.0 * truncated

    expected = (data.next_obs * data.obs).sum(-1) + data.action[..., 0] + data.reward
    expected = expected + 10.0 * data.terminated - 5.0 * data.truncated
    np.testing.assert_allclose(value(Program(program), data), expected, rtol=1e-5, atol=1e-5)


def test_next_names_are_the_successors():
    data = batch((6,))
    result = value(Program(lambda velocity, next_velocity: next_velocity - velocity), data)
    assert jnp.array_equal(result, data.next_obs[:, 2] - data.obs[:, 2])


def test_entries_of_dict_observations_and_their_elements():
    spec = EnvSpec(
        Composite((("arm", Box((2,), names=("shoulder", "elbow"))), ("goal", Box((2,))), ("mode", Discrete(3)))),
        Discrete(2),
        None,
    )
    obs = {"arm": jnp.array([[1.0, 2.0]]), "goal": jnp.array([[3.0, 4.0]]), "mode": jnp.array([2])}
    later = jax.tree.map(lambda x: x + 1, obs)
    no = jnp.zeros(1, bool)
    data = Transition(obs, jnp.array([1]), jnp.zeros(1), no, no, later, {})
    program = Program(lambda goal, elbow, next_goal, mode, action, obs: goal[0] + elbow + next_goal[1] + mode + action)
    assert value(program, data, spec).tolist() == [3.0 + 2.0 + 5.0 + 2.0 + 1.0]


def test_defaults_are_constants_that_can_be_set():
    data = batch((3,))
    program = lambda cos, gain=2.0, reward=7.0: gain * cos + reward
    assert not Program(program).reads_env_reward  # a parameter with a default is never read
    np.testing.assert_allclose(value(Program(program), data), 2.0 * data.obs[:, 0] + 7.0, rtol=1e-6)
    set_ = Program(program, {"gain": -1.0})
    np.testing.assert_allclose(value(set_, data), -data.obs[:, 0] + 7.0, rtol=1e-6)
    swept = jax.vmap(lambda gain: value(Program(program, {"gain": gain}), data))(jnp.array([2.0, -1.0]))
    np.testing.assert_allclose(swept[1], value(set_, data), rtol=1e-6)


def test_reads_the_environments_reward_only_if_it_asks():
    assert Program(lambda reward: reward).reads_env_reward
    assert not Program(lambda obs: obs[0]).reads_env_reward


def test_a_constant_program_has_the_batchs_axes():
    assert value(Program(lambda: 1.0), batch((4, 2))).tolist() == [[1.0] * 2] * 4
    assert value(Program(lambda: 1), batch()).dtype == jnp.float32


def test_transition_fields_win_over_elements_of_the_same_name():
    spec = EnvSpec(Box((3,), names=("reward", "action", "x")), Box((1,)), None)
    data = batch((3,))
    assert jnp.array_equal(value(Program(lambda reward: reward), data, spec), data.reward)


def test_init_may_be_traced():
    program = Program(lambda cos: cos)
    state = jax.jit(lambda key: program.init(SPEC, key=key))(KEY)
    assert state == program.init(SPEC, key=KEY)


def test_loads_a_function_by_file(tmp_path):
    text = b"import jax.numpy as jnp\n\ndef upright(cos, gain=1.0):\n    return gain * jnp.square(cos)\n"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "rewards.py").write_bytes(text)
    digest = hashlib.sha256(text).hexdigest()
    program = load_program("mine/rewards.py:upright", tmp_path)
    assert (program.source, program.sha256) == ("mine/rewards.py:upright", digest)
    data = batch((3,))
    np.testing.assert_allclose(value(program, data), data.obs[:, 0] ** 2, rtol=1e-6)
    again = load_program("mine/rewards.py:upright", tmp_path, digest, {"gain": 3.0})
    np.testing.assert_allclose(value(again, data), 3.0 * data.obs[:, 0] ** 2, rtol=1e-6)
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["rewards.py"]  # no cache beside the user's file
