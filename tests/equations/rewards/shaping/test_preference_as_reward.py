"""PreferenceAsReward against SciPy's logistic function, and its references."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from operant.core import Box, EnvSpec, Transition
from operant.data.dataset import Dataset
from operant.errors import DataError, SpecError
from operant.rewards import PreferenceAsReward, Task
from operant.testing import check_reward, small_spec

KEY = jax.random.key(0)


def steps(reward):
    reward = np.asarray(reward, np.float32)
    zero, no = np.zeros((*reward.shape, 3), np.float32), np.zeros(reward.shape, bool)
    return Transition(zero, np.zeros(reward.shape, int), jnp.asarray(reward), no, no, zero, {})


def recorded(tmp_path, rewards):
    n = len(rewards)
    ends, obs = np.arange(n) == n - 1, np.zeros((n, 3), np.float32)
    data = Dataset.from_numpy(small_spec(), obs=obs, action=np.zeros(n, int), reward=np.asarray(rewards, float),
                              terminated=ends & False, truncated=ends, next_obs=obs)  # fmt: skip
    return str(data.save(tmp_path / "base.operant"))


@pytest.mark.parametrize("slope", [1.0, 3.0])
def test_mean_over_references(slope):
    r, references = np.linspace(-4, 4, 12).reshape(3, 4), (-1.0, 0.5, 2.0)
    reward = PreferenceAsReward(Task(), references, slope=slope)
    found = reward(reward.init(small_spec(), key=KEY), steps(r))
    by_hand = np.mean([expit(slope * (r - m)) for m in references], axis=0)
    assert np.allclose(found, by_hand, atol=1e-6)
    assert found.shape == (3, 4) and found.min() > 0.0 and found.max() < 1.0


def test_references_are_drawn_from_the_base(tmp_path):
    base = recorded(tmp_path, [2.0] * 5)
    reward = PreferenceAsReward(Task(), base=base, count=4)
    state = reward.init(small_spec(), key=KEY)
    assert np.allclose(reward(state, steps([2.0, 4.0])), expit([0.0, 2.0]), atol=1e-6)
    new, metrics = reward.update(state, steps([[2.0, 4.0]]), key=KEY)
    assert float(metrics["preference/rate"]) == pytest.approx(expit([0.0, 2.0]).mean(), abs=1e-6)
    assert new.references.reward.shape == (4,)


def test_order_is_kept_and_distances_are_not():
    """Better stays better; a hundred times better is worth hardly more than ten times."""
    reward = PreferenceAsReward(Task(), (0.0,))
    worth = np.asarray(reward(reward.init(small_spec(), key=KEY), steps([0.0, 1.0, 10.0, 100.0])))
    assert (np.diff(worth) >= 0).all()
    assert worth[1] - worth[0] > 0.2 and worth[3] - worth[2] < 1e-4


def test_contract(tmp_path):
    check_reward(PreferenceAsReward(Task(), (0.0, 1.0)), small_spec())
    check_reward(PreferenceAsReward(Task(), base=recorded(tmp_path, [0.0, 1.0])), small_spec())


def test_bad_input(tmp_path):
    with pytest.raises(SpecError, match="got neither"):
        PreferenceAsReward(Task())
    with pytest.raises(SpecError, match="got both"):
        PreferenceAsReward(Task(), (0.0,), "demos")
    with pytest.raises(SpecError, match="finite"):
        PreferenceAsReward(Task(), (float("nan"),))
    with pytest.raises(SpecError, match="slope > 0"):
        PreferenceAsReward(Task(), (0.0,), slope=0.0)
    with pytest.raises(SpecError, match="count ≥ 1"):
        PreferenceAsReward(Task(), base="x", count=0)
    with pytest.raises(DataError, match="there is nothing"):
        PreferenceAsReward(Task(), base="nowhere").init(EnvSpec(Box((1,)), Box((1,)), None), key=KEY)
    with pytest.raises(SpecError, match="expected episodes with observations in"):
        other = EnvSpec(Box((9,)), small_spec().action, None)
        PreferenceAsReward(Task(), base=recorded(tmp_path, [0.0, 1.0])).init(other, key=KEY)
