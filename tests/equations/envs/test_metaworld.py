"""Meta-World's tasks: spaces, seeds, time limit, exact replay, and demonstrations that solve them."""

import importlib.util
import json

import numpy as np
import pytest

from operant.envs import make
from operant.envs.metaworld import NAMES, MetaWorld, demonstrate
from operant.errors import DataError, SpecError

HERE = importlib.util.find_spec("metaworld") is not None
needs = pytest.mark.skipif(not HERE, reason="needs the extra metaworld (mujoco==3.11.0, metaworld==3.0.0)")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
TASK = "drawer-close-v3"


def test_fields_are_checked_without_the_extra():
    assert len(NAMES) == 39 == len(set(NAMES))
    with pytest.raises(SpecError, match=r"1 ≤ MetaWorld.max_steps ≤ 500.*got 501"):
        MetaWorld(TASK, max_steps=501)
    with pytest.raises(SpecError, match="expected a reward of MetaWorld; got 'sucess'"):
        MetaWorld(TASK, reward="sucess")


@pytest.mark.skipif(HERE, reason="the extra metaworld is here")
def test_a_missing_extra_is_said_so():
    with pytest.raises(SpecError, match=r"pip install operant\[metaworld\]"):
        _ = MetaWorld(TASK).spec
    with pytest.raises(SpecError, match=r"pip install operant\[metaworld\]"):
        make(f"metaworld:{TASK}")


@needs
def test_made_by_name():
    assert make(f"metaworld:{TASK}", reward="success", max_steps=30) == MetaWorld(TASK, "success", 30)
    with pytest.raises(SpecError, match=r"unknown Meta-World task 'draw-close-v3'\. Nearest: drawer-close-v3"):
        make("metaworld:draw-close-v3")
    with pytest.raises(SpecError, match="has no field 'paid'"):
        make(f"metaworld:{TASK}", paid="success")


@needs
def test_steps_seeds_and_replay():
    env = MetaWorld(TASK, reward="success", max_steps=30)
    assert env.spec.obs.shape == (39,) and env.spec.max_steps == 30 and env.spec.fixed_horizon
    live, rng = env.open(2), np.random.default_rng(0)
    first = live.reset(seed=3)
    np.testing.assert_array_equal(first, live.reset(seed=3))
    assert (first[0] != first[1]).any() and np.abs(first[:, -3:]).sum() > 0.1  # the goal is seen
    act = lambda: rng.uniform(-1, 1, (2, 4)).astype(np.float32)
    for _ in range(10):
        step = live.step(act())
    assert set(step.reward.tolist()) <= {0.0, 1.0}
    snapshot, action = json.loads(json.dumps(live.snapshot())), act()
    other = env.open(2)
    np.testing.assert_array_equal(other.restore(snapshot), step.obs)
    np.testing.assert_array_equal(other.step(action).obs, live.step(action).obs)
    for t in range(11, 30):
        step = live.step(act())
        assert step.truncated.all() == (t == 29) and not step.terminated.any()
    live.close(), other.close()


@needs
def test_demonstrations_solve_the_task():
    found = demonstrate(TASK, 2, 0, max_steps=80)
    assert (found.episodes, found.size, found.source.licence) == (2, 160, "MIT")
    assert np.asarray(found.data.extras["success"]).reshape(2, 80).any(1).all()
    assert found.source.sha256 == demonstrate(TASK, 2, 0, max_steps=80).source.sha256
    with pytest.raises(DataError, match=r"1 demonstrations of drawer-close-v3 in 2 steps; .* solved it 0 times"):
        demonstrate(TASK, 1, 0, max_steps=2)


@needs
def test_refusals():
    with pytest.raises(SpecError, match=r"unknown Meta-World task 'reach-v2'. Nearest: reach-v3"):
        _ = MetaWorld("reach-v2").spec
    with pytest.raises(SpecError, match="expected n ≥ 1 demonstrations"):
        demonstrate(TASK, 0, 0)
