"""Snapshots bring Gymnasium environments back bit for bit, in a fresh batch, through JSON."""

import json

import numpy as np
import pytest

from operant.envs import make
from operant.envs.replay import pack, unpack
from operant.errors import EnvError
from operant.testing.broken_envs import IDS


def act(live, rng):
    space = live.spec.action
    if hasattr(space, "n"):
        return rng.integers(0, space.n, live.num_envs)
    return rng.uniform(space.low, space.high, (live.num_envs, *space.shape)).astype(np.float32)


def run(live, rng, steps):
    answers = [live.step(act(live, rng)) for _ in range(steps)]
    return [[np.stack([getattr(s, f)[i] for s in answers]) for i in range(live.num_envs)] for f in
            ("obs", "reward", "terminated", "truncated", "final_obs")]  # fmt: skip


@pytest.mark.parametrize(
    "id", ["gym:CartPole-v1", "gym:Pendulum-v1", pytest.param("Hopper-v5", marks=pytest.mark.mujoco)]
)
def test_fifty_steps_after_a_snapshot_are_the_same_in_a_fresh_batch(id):
    if id == "Hopper-v5":
        pytest.importorskip("mujoco")
    env = make(id)
    first = env.open(2)
    first.reset(seed=11)
    run(first, np.random.default_rng(0), 137)
    saved = json.loads(json.dumps(first.snapshot(), allow_nan=False))
    last = first.step(act(first, np.random.default_rng(1)))  # and past the snapshot, which must not notice
    expected = run(first, np.random.default_rng(2), 50)

    fresh = env.open(2)
    fresh.restore(saved)
    again = fresh.step(act(fresh, np.random.default_rng(1)))
    assert again.obs.tobytes() == last.obs.tobytes()
    got = run(fresh, np.random.default_rng(2), 50)
    for a, b in zip(expected, got, strict=True):
        assert np.array(a).tobytes() == np.array(b).tobytes()
    assert fresh.snapshot() == first.snapshot()
    first.close(), fresh.close()


def test_a_snapshot_right_after_a_seeded_reset_and_after_an_end():
    env = make(IDS["obs:box"])
    for steps in (0, 20):
        first, fresh = env.open(1), env.open(1)
        shown = first.reset(seed=2)
        for _ in range(steps):
            shown = first.step(np.zeros(1, int)).obs
        assert fresh.restore(first.snapshot()).tobytes() == shown.tobytes()
        assert fresh.step(np.ones(1, int)).obs.tobytes() == first.step(np.ones(1, int)).obs.tobytes()


def test_hidden_state_is_refused():
    env = make(IDS["flaw:hidden"])
    first, fresh = env.open(2), env.open(2)
    first.reset(seed=0)
    first.step(np.zeros(2, int))
    with pytest.raises(EnvError, match="keeps state outside np_random"):
        fresh.restore(first.snapshot())


def test_nothing_to_remember_before_a_reset():
    live = make(IDS["obs:box"]).open(1)
    assert live.snapshot() is None
    live.reset(seed=0)
    assert live.snapshot() is not None


def test_an_environment_that_writes_into_its_action_is_replayed_with_what_it_was_given():
    import gymnasium as gym

    from operant.envs.replay import Tracked

    class Writes(gym.ActionWrapper):
        def action(self, action):
            action *= 0.5
            return action

    one, other = (Tracked(Writes(gym.make("Pendulum-v1")), 0, "x", False) for _ in range(2))
    one.reset(seed=0)
    one.step(np.array([2.0], np.float32))
    saved = one.snapshot()
    assert unpack(saved["actions"]).tolist() == [[2.0]]
    other.restore([saved])
    assert other.snapshot() == saved


@pytest.mark.parametrize(
    "value",
    [
        np.array([0.1, np.nan, -0.0], np.float32),
        np.zeros((0, 3), np.float64),
        np.array(7, np.int64),
        {"state": {"inc": 2**127 + 1, "small": 3}, "name": "PCG64", "key": np.arange(4, dtype=np.uint32), "none": None},
    ],
)
def test_packing_is_exact(value):
    got = unpack(json.loads(json.dumps(pack(value), allow_nan=False)))
    if isinstance(value, dict):
        assert got.keys() == value.keys()
        np.testing.assert_array_equal(got.pop("key"), value.pop("key"))
        assert got == value
    else:
        assert (got.dtype, got.shape, got.tobytes()) == (value.dtype, value.shape, value.tobytes())
