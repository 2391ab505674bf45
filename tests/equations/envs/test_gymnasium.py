"""The Gymnasium batch answers what a plain loop over the same environments answers, with the true successors."""

import ctypes.util
import json
import multiprocessing
import os
import signal

import gymnasium as gym
import numpy as np
import pytest

from operant.core import Box, Discrete, HostEnv
from operant.envs import make
from operant.envs.gymnasium import Gymnasium, env_seeds
from operant.envs.spaces import row
from operant.testing.broken_envs import IDS


def plain(id, num_envs, actions, seed, **kwargs):
    """What a plain loop sees: per step and environment (obs, reward, terminated, truncated, final_obs)."""
    envs = [gym.make(id, **kwargs) for _ in range(num_envs)]
    first = [env.reset(seed=s)[0] for env, s in zip(envs, env_seeds(seed, num_envs), strict=True)]
    steps = []
    for batch in actions:
        answers = []
        for env, action in zip(envs, batch, strict=True):
            final, reward, terminated, truncated, _ = env.step(action)
            obs = env.reset()[0] if terminated or truncated else final
            answers.append((obs, reward, terminated, truncated, final))
        steps.append(answers)
    return first, steps


def test_equals_a_plain_loop_with_terminations_and_time_limits():
    rng = np.random.default_rng(0)
    actions = rng.integers(0, 2, (120, 3))
    first, steps = plain("CartPole-v1", 3, actions, 5, max_episode_steps=25)
    live = Gymnasium("CartPole-v1", max_steps=25).open(3)
    np.testing.assert_array_equal(live.reset(seed=5), first)
    ends = {"terminated": 0, "truncated": 0}
    for batch, expected in zip(actions, steps, strict=True):
        step = live.step(batch)
        obs, reward, terminated, truncated, final = (np.stack(x) for x in zip(*expected, strict=True))
        np.testing.assert_array_equal(step.obs, obs)
        np.testing.assert_array_equal(step.reward, reward.astype(np.float32))
        np.testing.assert_array_equal(step.terminated, terminated)
        np.testing.assert_array_equal(step.truncated, truncated)
        np.testing.assert_array_equal(step.final_obs, final)
        ends["terminated"] += terminated.sum()
        ends["truncated"] += (truncated & ~terminated).sum()
    assert min(ends.values()) > 0, ends  # both kinds of ending were compared
    live.close()


def test_spec_says_what_the_environment_is():
    spec = Gymnasium("Pendulum-v1", names=("cos", "sin", "speed")).spec
    assert isinstance(spec.obs, Box)
    assert (spec.obs.shape, spec.obs.high, spec.obs.names) == ((3,), (1.0, 1.0, 8.0), ("cos", "sin", "speed"))
    assert (spec.action, spec.max_steps, spec.name) == (Box((1,), -2.0, 2.0), 200, "Pendulum-v1")
    assert Gymnasium("Pendulum-v1", max_steps=7).spec.max_steps == 7
    live = Gymnasium("Pendulum-v1").open(4)
    assert isinstance(live, HostEnv)
    assert (live.spec.num_envs, live.num_envs) == (4, 4)
    live.close()


def test_descriptions_are_equal_hashable_and_json():
    a = Gymnasium("Pendulum-v1", kwargs=(("g", 9.0),))
    b = Gymnasium("Pendulum-v1", kwargs={"g": 9.0})
    assert a == b
    assert hash(a) == hash(b)
    assert json.loads(json.dumps(a.kwargs)) == {"g": 9.0}
    assert a != Gymnasium("Pendulum-v1")


def test_arguments_reach_the_environment():
    live = {g: Gymnasium("Pendulum-v1", kwargs={"g": g}).open(1) for g in (0.0, 10.0)}
    speed = {}
    for g, env in live.items():
        env.reset(seed=0)
        speed[g] = env.step(np.zeros((1, 1), np.float32)).obs[0, 2]
    assert speed[0.0] != speed[10.0]


def test_make_sends_unknown_fields_to_the_environment():
    env = make("gym:Pendulum-v1", g=9.0, max_steps=11)
    assert env == Gymnasium("Pendulum-v1", kwargs={"g": 9.0}, max_steps=11)
    assert type(make("Pendulum-v1")).__module__.startswith("operant.envs.toy")


@pytest.mark.parametrize("kind", ["float64", "image", "discrete", "binary", "multi", "dict", "tuple"])
def test_every_observation_arrives_in_its_described_form(kind):
    env = make(IDS[f"obs:{kind}"])
    live = env.open(2)
    from_reset = live.reset(seed=0)
    for _ in range(21):  # over an end
        step = live.step(np.array([0, 2]))
    for obs in (from_reset, step.obs, step.final_obs):
        for i in range(2):
            one = row(obs, i)
            assert env.spec.obs.contains(one), (kind, one)


def test_discrete_actions_with_a_start_arrive_shifted():
    live = make(IDS["action:start1"]).open(2)
    assert live.spec.action == Discrete(3)
    live.reset(seed=0)
    live.step(np.array([0, 2]))
    assert [env.unwrapped.seen for env in live._batch.envs] == [[1], [3]]


def test_a_nan_reward_is_passed_on():
    live = make(IDS["flaw:nan_reward"]).open(1)
    live.reset(seed=0)
    assert [bool(np.isnan(live.step(np.zeros(1, int)).reward[0])) for _ in range(4)] == [False, False, True, False]


def test_neighbouring_seeds_share_no_environment():
    assert not set(env_seeds(0, 8)) & set(env_seeds(1, 8))
    assert env_seeds(3, 2) == env_seeds(3, 4)[:2]


def test_frames_without_a_display():
    live = make(IDS["obs:box"]).open(2, render=True)
    live.reset(seed=0)
    live.step(np.zeros(2, int))
    frames = live.render()
    assert len(frames) == 2
    assert (frames[0].shape, frames[0].dtype, frames[0][0, 0, 0]) == ((16, 16, 3), np.uint8, 10)


@pytest.mark.mujoco
def test_mujoco_draws_without_a_display(monkeypatch):
    pytest.importorskip("mujoco")
    if not (ctypes.util.find_library("EGL") or ctypes.util.find_library("OSMesa")):
        pytest.skip("neither libegl1 nor libosmesa6 is installed")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setenv("MUJOCO_GL", "")
    live = make("Hopper-v5", width=64, height=64).open(1, render=True)
    live.reset(seed=0)
    (frame,) = live.render()
    live.close()
    assert (frame.shape, frame.dtype) == ((64, 64, 3), np.uint8)
    assert frame.std() > 5  # something is drawn


def test_processes_answer_what_the_loop_answers():
    """One opening serves all that is asked of processes, since each takes seconds to start."""
    env = make(IDS["obs:dict"], vector="async")
    loop, workers = make(IDS["obs:dict"]).open(2, render=True), env.open(2, render=True)
    try:
        a, b = loop.reset(seed=3), workers.reset(seed=3)
        for process in multiprocessing.active_children():
            os.kill(process.pid, signal.SIGINT)  # a terminal sends Ctrl-C to them, too: it is for the loop
        rng = np.random.default_rng(0)
        for t in range(45):
            for name in ("goal", "walk"):
                np.testing.assert_array_equal(a[name], b[name])
            action = rng.integers(0, 3, 2)
            x, y = loop.step(action), workers.step(action)
            a, b = x.obs, y.obs
            for name in ("goal", "walk"):
                assert x.final_obs[name].dtype == y.final_obs[name].dtype
                np.testing.assert_array_equal(x.final_obs[name], y.final_obs[name])
            np.testing.assert_array_equal(x.reward, y.reward)
            np.testing.assert_array_equal(x.truncated, y.truncated)
            assert y.truncated.all() == ((t + 1) % 20 == 0)
        np.testing.assert_array_equal(loop.render(), workers.render())
        saved = workers.snapshot()
        assert saved == loop.snapshot()
        expected = [workers.step(np.array([1, 2])).obs["walk"] for _ in range(20)]
        back = workers.restore(json.loads(json.dumps(saved)))
        np.testing.assert_array_equal(back["walk"], b["walk"])
        np.testing.assert_array_equal([workers.step(np.array([1, 2])).obs["walk"] for _ in range(20)], expected)
    finally:
        workers.close()
