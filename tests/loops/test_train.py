"""The training loop: seeds alone or together, resume to the bit, kill -9, JAX against host, one process a run."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import equinox as eqx
import gymnasium as gym
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import operant
import operant.loops.train as training
from operant.core import AbstractFixedReward, Constraint, Intent, Status
from operant.envs.perturbed import perturbed
from operant.envs.toy import CartPole, Pendulum
from operant.errors import EnvError, RunError, SpecError, StoreError
from operant.io.recorders import Csv
from operant.learners import DQN, PPO, SAC
from operant.loops import engines
from operant.loops.train import FILE, load, resume, train
from operant.rewards import Program, Scale, Task
from operant.testing.checks import close, raw, same

KEY = jax.random.key(0)
LEARNER = PPO(rollout=16, epochs=2, minibatches=2, hidden=(8,))
STEPS = 16 * 4 * 12
SETTINGS = {"steps": STEPS, "num_envs": 4, "key": KEY}


@pytest.fixture(scope="module")
def two():
    return train(LEARNER, CartPole(), Intent(Task()), seeds=2, **SETTINGS)


def one(tree, i):
    return jax.tree.map(lambda x: x[i], eqx.filter(tree, eqx.is_array))


def test_shapes(two):
    assert two.status == (Status.done, Status.done)
    assert two.metrics["episode/return"].shape == (2, 12)
    assert two.env_steps.tolist() == [64 * (i + 1) for i in range(12)]
    assert int(two.state.iteration[0]) == 12
    action, carry = two.policy(1).predict(np.zeros(4, np.float32))
    assert int(action) in (0, 1) and carry == ()
    assert two.card["compile_seconds"] > 0 and two.card["run_seconds"] > 0


def test_same_key_same_result(two):
    again = train(LEARNER, CartPole(), Intent(Task()), seeds=2, **SETTINGS)
    assert same(again.state, two.state)


def test_seed_alone_equals_seed_among_others():
    """Eight seeds side by side equal eight single runs to 1e-5."""
    eight = train(LEARNER, CartPole(), Intent(Task()), seeds=8, **SETTINGS)
    for i in (0, 3, 7):
        alone = train(LEARNER, CartPole(), Intent(Task()), seeds=[i], **SETTINGS)
        assert close(one(alone.state.learner, 0), one(eight.state.learner, i), 1e-5)
        np.testing.assert_allclose(alone.metrics["episode/return"][0], eight.metrics["episode/return"][i], rtol=1e-5)


def test_a_seed_on_the_host_meets_the_same_episodes_alone_and_among_others():
    env = operant.make("gym:CartPole-v1")
    four = train(LEARNER, env, Intent(Task()), seeds=4, **SETTINGS)
    alone = train(LEARNER, env, Intent(Task()), seeds=[2], **SETTINGS)
    assert close(one(alone.state.learner, 0), one(four.state.learner, 2), 1e-5)
    np.testing.assert_allclose(alone.metrics["episode/return"][0], four.metrics["episode/return"][2], rtol=1e-5)


def test_array_fields_train_settings_side_by_side(two):
    both = PPO(rollout=16, epochs=2, minibatches=2, hidden=(8,), lr=jnp.array([0.0, 3e-4]))
    run = train(both, CartPole(), Intent(Task()), seeds=2, **SETTINGS)
    assert run.seeds == 4
    fresh = LEARNER.init(run.spec, key=KEY)
    assert not close(one(run.state.learner.networks, 2), eqx.filter(fresh.networks, eqx.is_array), 1e-6)
    for seed in (0, 1):
        assert close(one(run.state.learner, 2 + seed), one(two.state.learner, seed), 1e-5)


def interrupted(folder, monkeypatch, after, env=None, learner=LEARNER, **more):
    """Train into `folder`, stopped like a killed process right after checkpoint number `after`."""
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(training, "CHECKPOINT_SHARE", float("inf"))
    monkeypatch.setattr(training, "CHUNK_SECONDS", 0.0)
    real, count = training._save, []

    def save(*args):
        real(*args)
        count.append(1)
        if len(count) == after:
            raise KeyboardInterrupt("killed here")

    monkeypatch.setattr(training, "_save", save)
    with pytest.raises(KeyboardInterrupt):
        train(learner, env or CartPole(), Intent(Task()), folder=folder, **{**SETTINGS, **more})
    monkeypatch.undo()


def test_resume_is_exact(two, tmp_path, monkeypatch):
    interrupted(tmp_path / "run", monkeypatch, after=3, seeds=2)
    half = load(tmp_path / "run")
    assert half.status == (Status.running, Status.running)
    assert 0 < int(half.state.iteration[0]) < 12
    whole = resume(tmp_path / "run")
    assert same(whole.state, two.state)
    for name, x in two.metrics.items():
        np.testing.assert_array_equal(whole.metrics[name], x)
    metrics, _ = Csv.read(tmp_path / "run")
    np.testing.assert_array_equal(metrics["episode/return"], two.metrics["episode/return"])
    assert whole.card["resumed_exactly"] is True
    again = load(tmp_path / "run")
    assert same(again.state, two.state) and again.status == two.status


def test_resume_on_the_host_is_exact(tmp_path, monkeypatch):
    env = operant.make("gym:CartPole-v1")
    whole = train(LEARNER, env, Intent(Task()), seeds=2, **SETTINGS)
    interrupted(tmp_path / "run", monkeypatch, after=4, env=env, seeds=2)
    resumed = resume(tmp_path / "run")
    assert same(resumed.state, whole.state)
    assert resumed.card["resumed_exactly"] is True


def test_a_run_that_cannot_be_brought_back_goes_on_with_other_episodes(tmp_path, monkeypatch):
    env = perturbed(operant.make("gym:CartPole-v1"), obs_noise=0.01)
    interrupted(tmp_path / "run", monkeypatch, after=4, env=env, seeds=2)
    seen, opened = [], engines.HostEngine._open
    monkeypatch.setattr(engines.HostEngine, "_open", lambda self, i: seen.append((i, opened(self, i))) or seen[-1][1])
    assert resume(tmp_path / "run").card["resumed_exactly"] is False
    (first, begun), (later, anew) = seen
    assert first == 0 < later and not np.allclose(begun, anew)


class Breaks(gym.Env):
    """Its own code fails at one step of its life, with the process still there or, in a worker, without it."""

    observation_space, action_space = gym.spaces.Box(-9.0, 99.0, (1,), np.float32), gym.spaces.Discrete(2)

    def __init__(self, at=10**9):
        self.at, self.life = at, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.t, self.life = self.t + 1, self.life + 1
        if self.life >= self.at:
            raise ValueError("the motor is on fire")
        return np.full(1, self.t, np.float32), 1.0, self.t >= 10, False, {}


def test_what_was_learned_before_an_environment_failed_is_kept(tmp_path):
    """In the fourth iteration and beyond the first chunk, whose states were handed over to be written into."""
    gym.register("OperantBreaks-v0", Breaks)
    learner = PPO(rollout=4, epochs=1, minibatches=1, hidden=(4,))
    env = lambda at: operant.make("OperantBreaks-v0", at=at, max_steps=50)
    settings = {"num_envs": 1, "key": KEY}
    with pytest.raises(EnvError, match="the motor is on fire"):
        train(learner, env(15), Intent(Task()), steps=400, folder=tmp_path / "run", **settings)
    run = load(tmp_path / "run")
    assert run.status == (Status.env_failed,) and run.env_steps.tolist() == [4, 8, 12]
    assert same(run.state.learner, train(learner, env(10**9), Intent(Task()), steps=12, **settings).state.learner)
    mended = resume(tmp_path / "run", env=env(10**9), steps=40)  # what failed stands in mid-iteration: new episodes
    assert mended.status == (Status.done,) and mended.env_steps[-1] == 40
    assert mended.card["resumed_exactly"] is False


def test_a_run_trained_further_keeps_its_windows(tmp_path, monkeypatch):
    """Of 5 iterations, in windows of 2, the last stands alone; those that follow are in whole windows again."""
    monkeypatch.setattr(training, "MAX_ROWS", 4)
    steps = lambda iterations: 16 * 4 * iterations
    train(LEARNER, CartPole(), Intent(Task()), steps=steps(5), num_envs=4, key=KEY, folder=tmp_path / "run")
    monkeypatch.undo()
    ends = resume(tmp_path / "run", steps=steps(12)).env_steps // steps(1)
    assert ends.tolist() == [2, 4, 5, 6, 8, 10, 12]
    for wrong in (0, -5, 2.5):
        with pytest.raises(SpecError, match="expected steps, the new total, to be a whole number ≥ 1; got"):
            resume(tmp_path / "run", steps=wrong)


KILLED = """
import operant, jax, sys
import operant.loops.train as training
from operant.learners import PPO
from operant.rewards import Task
training.CHECKPOINT_SECONDS = 0.0
training.CHECKPOINT_SHARE = float("inf")
training.CHUNK_SECONDS = 0.0
operant.train(PPO(rollout=16, epochs=2, minibatches=2, hidden=(8,)), operant.make("CartPole-v1"),
    operant.Intent(Task()), seeds=2, steps=16 * 4 * 400, num_envs=4, key=jax.random.key(0), folder=sys.argv[1])
"""


@pytest.mark.slow
def test_killed_with_nine_and_resumed(tmp_path):
    """A real process, a real SIGKILL at whatever moment it comes, and the parameters of a run never stopped."""
    folder = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(folder)], env={**os.environ})
    deadline = time.monotonic() + 240
    while not (folder / FILE).exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    time.sleep(0.15)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = int(load(folder).state.iteration[0])
    assert 0 < done < 400
    whole = train(LEARNER, CartPole(), Intent(Task()), seeds=2, **{**SETTINGS, "steps": 16 * 4 * 400})
    assert same(resume(folder).state, whole.state)


def test_ctrl_c_leaves_a_usable_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "CHUNK_SECONDS", 0.0)

    class Presses(operant.io.recorders.Silent):
        def record(self, first, metrics, steps):
            if first == 3:
                signal.raise_signal(signal.SIGINT)

    run = train(LEARNER, CartPole(), Intent(Task()), recorder=Presses(), folder=tmp_path / "run", **SETTINGS)
    assert run.status == (Status.stopped,)
    assert int(run.state.iteration[0]) == 4
    assert resume(tmp_path / "run").status == (Status.done,)


def test_a_non_finite_seed_stops_and_the_others_go_on():
    class Late(AbstractFixedReward):
        def __call__(self, state, batch):
            return jnp.where(batch.obs[..., 2] > 0.15, jnp.nan, 1.0)

    run = train(
        PPO(rollout=8, epochs=1, minibatches=1, hidden=(8,)), CartPole(), Intent(Late()), steps=8 * 6, num_envs=1,
        seeds=6, key=KEY, throw=False,
    )  # fmt: skip
    assert Status.non_finite in run.status and Status.done in run.status
    for i, status in enumerate(run.status):
        weights = jax.tree.leaves(one(run.state.learner.networks, i))
        assert all(np.isfinite(raw(x)).all() for x in weights), "expected the last finite parameters to be kept"
        assert np.isnan(run.metrics["loss/value"][i]).any() == (status == Status.non_finite)
    with pytest.raises(RunError, match=r"member\(s\) \[.*\] of 6 met NaN or infinity"):
        train(
            PPO(rollout=8, epochs=1, minibatches=1, hidden=(8,)), CartPole(), Intent(Late()), steps=8 * 6, num_envs=1,
            seeds=6, key=KEY,
        )  # fmt: skip


def test_terms_truth_and_constraints_are_measured():
    intent = Intent(
        Scale(Task(), 2.0), (Constraint(Program(lambda action: action[0] ** 2), 0.1),), "gently", truth=Task()
    )
    run = train(
        PPO(rollout=200, epochs=1, minibatches=2, hidden=(8,)), Pendulum(), intent, steps=800, num_envs=2, key=KEY
    )
    for name in ("episode/return", "episode/truth", "episode/stated", "episode/length", "constraint/0_cost"):
        assert name in run.metrics, sorted(run.metrics)
    np.testing.assert_allclose(run.metrics["episode/truth"], run.metrics["episode/return"], rtol=1e-4)
    assert run.metrics["episode/length"][0, 0] == 200


def test_two_processes_do_not_write_one_run(tmp_path):
    train(LEARNER, CartPole(), Intent(Task()), folder=tmp_path / "run", **SETTINGS)
    with training._locked(tmp_path / "run"), pytest.raises(RunError, match="another one holds it"):
        resume(tmp_path / "run")
    with pytest.raises(RunError, match="holds a run"):
        train(LEARNER, CartPole(), Intent(Task()), folder=tmp_path / "run", **SETTINGS)


def test_save_and_load(two, tmp_path):
    two.save(tmp_path / "kept")
    back = operant.load(tmp_path / "kept")
    assert same(back.state, two.state)
    np.testing.assert_array_equal(back.metrics["episode/return"], two.metrics["episode/return"])
    obs = np.zeros((3, 4), np.float32)
    np.testing.assert_array_equal(back.policy(1).predict(obs)[0], two.policy(1).predict(obs)[0])
    assert json.loads((tmp_path / "kept" / "card.json").read_text())["learner"] == "PPO"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"steps": 0}, "expected steps to be a whole number ≥ 1; got 0"),
        ({"num_envs": -1}, "expected num_envs to be a whole number ≥ 1; got -1"),
        ({"seeds": [1, 1]}, "expected different seeds"),
        ({"key": 0}, r"expected key to be a JAX key, jax.random.key\(0\); got int 0"),
    ],
)
def test_refusals(change, text):
    with pytest.raises(SpecError, match=text):
        train(LEARNER, CartPole(), Intent(Task()), **{**SETTINGS, **change})


def test_reward_given_for_intent():
    with pytest.raises(SpecError, match=r"expected intent to be .*Intent.*; got Task. Wrap it: Intent\(reward\)"):
        train(LEARNER, CartPole(), Task(), **SETTINGS)


def test_read_only_folder(tmp_path):
    target = Path("/proc/operant")  # nobody may write there, root included
    with pytest.raises(StoreError, match="expected to write in the run folder"):
        train(LEARNER, CartPole(), Intent(Task()), folder=target, **SETTINGS)


def test_after_a_resume_with_new_episodes_no_window_runs_on(tmp_path, monkeypatch, clock):
    env = perturbed(operant.make(f"gym:{clock}", ends=10), delay=1)  # cannot be restored
    learner = DQN(rollout=4, n_step=3, batch=4, capacity=64, learning_starts=8, hidden=(8,), normalise_reward=True)
    interrupted(tmp_path / "run", monkeypatch, after=3, env=env, learner=learner, num_envs=1, steps=48)
    replay = resume(tmp_path / "run").state.learner.replay
    d, filled = jax.tree.map(lambda x: np.asarray(x)[0], replay.data), int(replay.filled[0])
    going = ~(d.terminated | d.truncated)[: filled - 1, 0]
    assert filled == 48 and (d.next_obs[: filled - 1, 0][going] == d.obs[1:filled, 0][going]).all()
    assert d.truncated[:filled].sum() == 1  # where it was cut


def test_numbers_of_numpy_are_numbers_and_counts_are_whole():
    settings = SETTINGS | {"steps": np.int64(SETTINGS["steps"])}
    one_lr = dataclasses.replace(LEARNER, lr=np.float64(3e-4))
    run = train(one_lr, CartPole(), Intent(Task()), **settings)
    assert same(run.state, train(dataclasses.replace(LEARNER, lr=3e-4), CartPole(), Intent(Task()), **SETTINGS).state)
    for make in (lambda: SAC(capacity=1e6), lambda: PPO(epochs=jnp.array([2, 4])), lambda: DQN(batch=64.0)):
        with pytest.raises(SpecError, match=r"to be a whole number ≥ 1; got .* write 1_000_000 for 1e6"):
            make()
