"""Meta-World's tasks: spaces, seeds, time limit, exact replay, and demonstrations that solve them."""

import importlib.util
import json
import sys

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
    with pytest.raises(SpecError, match=r"1 ≤ MetaWorld.max_steps × repeat ≤ 500.*got 501 × 1"):
        MetaWorld(TASK, max_steps=501)
    with pytest.raises(SpecError, match="expected a reward of MetaWorld; got 'sucess'"):
        MetaWorld(TASK, reward="sucess")


def test_a_missing_extra_is_said_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "metaworld", None)
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
    env = MetaWorld(TASK, max_steps=80)
    found = demonstrate(env, 2, 0)
    assert (found.episodes, found.size, found.source.licence) == (2, 160, "MIT")
    assert np.asarray(found.data.extras["success"]).reshape(2, 80).any(1).all()
    assert found.source.sha256 == demonstrate(env, 2, 0).source.sha256
    with pytest.raises(DataError, match=r"1 demonstrations of drawer-close-v3 in 2 steps; .* solved it 0 times"):
        demonstrate(MetaWorld(TASK, max_steps=2), 1, 0)


@needs
def test_positions_can_be_fixed():
    one, other = (MetaWorld(TASK, max_steps=3, positions=p).open(2) for p in (4, 5))
    first = one.reset(seed=0)
    np.testing.assert_array_equal(first[0], first[1])
    np.testing.assert_array_equal(first, one.reset(seed=1))
    assert (first != other.reset(seed=0)).any()
    for _ in range(3):
        step = one.step(np.ones((2, 4), np.float32))
    assert step.truncated.all()
    np.testing.assert_array_equal(step.obs, first)  # the next episode begins there, too
    one.close(), other.close()


@needs
def test_actions_are_held():
    plain = MetaWorld(TASK, max_steps=40).open(1)
    held = MetaWorld(TASK, max_steps=20, repeat=2).open(1)
    plain.reset(seed=5), held.reset(seed=5)
    rng = np.random.default_rng(0)
    for t in range(20):
        action = rng.uniform(-1.0, 1.0, (1, 4)).astype(np.float32)
        first, second, once = plain.step(action), plain.step(action), held.step(action)
        assert (second.final_obs == once.final_obs).all() and once.truncated.all() == (t == 19)
        np.testing.assert_allclose(first.reward + second.reward, once.reward, rtol=1e-6)
    plain.close(), held.close()
    env = MetaWorld(TASK, "success", max_steps=40, repeat=2)
    assert np.asarray(demonstrate(env, 2, 0).data.reward).reshape(2, 40).max(1).tolist() == [1.0, 1.0]


@needs
def test_refusals():
    with pytest.raises(SpecError, match=r"× repeat ≤ 500, its own limit; got 300 × 2\. Use at most max_steps=250"):
        MetaWorld(TASK, max_steps=300, repeat=2)
    with pytest.raises(SpecError, match=r"MetaWorld\.repeat ≥ 1; got 0"):
        MetaWorld(TASK, repeat=0)
    with pytest.raises(SpecError, match=r"unknown Meta-World task 'reach-v2'. Nearest: reach-v3"):
        _ = MetaWorld("reach-v2").spec
    with pytest.raises(SpecError, match="expected n ≥ 1 demonstrations"):
        demonstrate(MetaWorld(TASK), 0, 0)
