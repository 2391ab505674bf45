"""Shares at the bounds counted by hand; codes and bytes left alone; a policy that does not control."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from operant.audits import Saturation
from operant.core import Box, Composite, Discrete, EnvSpec, Verdict
from operant.errors import DataError
from operant.math.running import Moments
from operant.nn import Normaliser


@pytest.fixture
def acted(make_episodes, make_subject):
    """`acted(action, obs)`: two seeds of two episodes of ten steps, each element given a step."""

    def acted(action=None, obs=None, **known):
        fill = lambda x, d: None if x is None else np.broadcast_to(np.asarray(x, float).reshape(1, 10, d), (2, 10, d))
        one = make_episodes([[0.0] * 10] * 2, action=fill(action, 1), obs=fill(obs, 2))
        return make_subject([one, one], **known)

    return acted


INSIDE = np.linspace(-0.5, 0.5, 10)


def test_inside_the_bounds_holds(acted, key):
    found = Saturation()(acted(action=INSIDE), key=key)
    assert found.verdict is Verdict.holds and found.value == 0.0 and found.n == 4


def test_bang_bang_is_a_concern(acted, key):
    found = Saturation()(acted(action=[2, -2, 2, -2, 2, -2, 2, 0, 0, 1.99]), key=key)
    assert found.verdict is Verdict.concern and found.value == pytest.approx(0.8) and found.limit == 0.5
    assert "action torque at a bound at 80% of steps" in found.why
    assert "jump from bound to bound at 60% of steps" in found.why


def test_near_says_what_is_at_a_bound(acted, key):
    subject = acted(action=[1.95] * 8 + [0.0, 1.0])
    values = [Saturation(near=near)(subject, key=key).verdict for near in (0.01, 0.02)]
    assert values == [Verdict.holds, Verdict.concern]


def test_an_action_that_never_leaves_its_bound_fails(acted, key):
    found = Saturation()(acted(action=[2.0] * 10), key=key)
    assert found.verdict is Verdict.fails and "does not control" in found.why


def test_observations_at_a_bound(acted, key):
    obs = np.stack([INSIDE, np.where(np.arange(10) < 3, 1.0, INSIDE)], axis=1)
    found = Saturation()(acted(action=INSIDE, obs=obs), key=key)
    assert found.verdict is Verdict.concern and found.value == pytest.approx(0.3) and found.limit == 0.05
    assert "observation right at a bound at 30% of steps" in found.why
    assert Saturation(observation_limit=0.31)(acted(action=INSIDE, obs=obs), key=key).verdict is Verdict.holds


def test_a_code_is_never_saturated(acted, key):
    flags = np.stack([np.ones(10), np.where(np.arange(10) < 3, 1.0, -1.0)], axis=1)
    found = Saturation()(acted(action=INSIDE, obs=flags), key=key)
    assert found.verdict is Verdict.holds and list(found.arrays) == ["action torque at a bound"]


def test_beyond_what_training_showed(acted, idle, key):
    obs = np.stack([INSIDE, INSIDE], axis=1)
    narrow = Moments(jnp.zeros(2), jnp.array([1.0, 0.04**2]), jnp.ones(()))  # 0.4 and more is ten deviations away
    policy = idle({"normaliser": Normaliser(Box((2,)), narrow)})
    found = Saturation()(acted(action=INSIDE, obs=obs, policies=(policy, policy)), key=key)
    assert found.verdict is Verdict.concern and found.limit == 0.01
    assert found.value == pytest.approx(np.mean(np.abs(INSIDE) >= 0.4)) and "right beyond what training" in found.why


def test_steps_that_did_not_happen_are_not_counted(make_episodes, make_subject, key):
    action = np.full((2, 10, 1), 2.0)
    action[0, :5] = action[1] = 0.0
    short = make_episodes([[0.0] * 5, [0.0] * 10], action=action)
    assert Saturation()(make_subject([short]), key=key).value == 0.0


def test_without_bounds_it_is_unknown(acted, idle, key):
    policy = dataclasses.replace(idle(), spec=EnvSpec(Box((2,)), Discrete(2), 20))
    found = Saturation()(acted(policies=(policy, policy)), key=key)
    assert found.verdict is Verdict.unknown and "nothing has finite bounds" in found.why


def test_nan_observations_are_refused(acted, key):
    obs = np.stack([INSIDE, np.where(np.arange(10) < 1, np.nan, INSIDE)], axis=1)
    with pytest.raises(DataError, match="finite observations; seed 0 has NaN or infinity in 2 of 20 steps"):
        Saturation()(acted(action=INSIDE, obs=obs), key=key)


def test_a_flag_among_measurements_is_left_out(acted, key):
    touches = np.where(np.arange(10) < 3, 1.0, -1.0)  # as the legs of a lander say whether they touch the ground
    found = Saturation()(acted(action=INSIDE, obs=np.stack([INSIDE, touches], axis=1)), key=key)
    assert found.verdict is Verdict.holds and found.value == 0.0
    stuck = Saturation()(acted(action=INSIDE, obs=np.stack([INSIDE, np.ones(10)], axis=1)), key=key)
    assert stuck.verdict is Verdict.concern and "observation right at a bound at 100% of steps" in stuck.why


def test_an_action_mask_beside_what_is_normalised(make_episodes, make_subject, idle, key):
    space = Composite((("action_mask", Box((3,), 0.0, 1.0)), ("x", Box((2,)))))
    policy = idle({"normaliser": Normaliser.init(space)})
    policy = dataclasses.replace(policy, spec=EnvSpec(space, Discrete(3), 10))
    one = make_episodes([[0.0] * 10] * 2)
    obs = {"action_mask": np.ones((2, 10, 3), np.float32), "x": np.zeros((2, 10, 2), np.float32)}
    one = dataclasses.replace(one, transitions=dataclasses.replace(one.transitions, obs=obs))
    found = Saturation()(make_subject([one], policies=(policy,)), key=key)
    assert found.verdict is Verdict.holds and list(found.arrays) == ["observation x.0 beyond what training showed"]


def test_the_share_is_of_steps_not_of_episodes():
    groups = [np.array([[0.0, 500.0], *[[10.0, 10.0]] * 19])]
    found = Saturation()._share(groups, np.random.default_rng(0))
    assert found.value == pytest.approx(190 / 690)
