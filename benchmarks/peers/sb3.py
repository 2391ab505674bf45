"""Stable-Baselines3's side of the benchmark: `python benchmarks/peers/sb3.py TASK --seed N` prints one JSON line."""

import sys
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not peers/, whose files are named after what they import

import gymnasium  # noqa: E402
import numpy as np  # noqa: E402
import tasks  # noqa: E402  (first: it starts the clock)
import torch  # noqa: E402
from stable_baselines3 import PPO, SAC  # noqa: E402
from stable_baselines3.common.env_util import make_vec_env  # noqa: E402
from stable_baselines3.common.evaluation import evaluate_policy  # noqa: E402
from stable_baselines3.common.vec_env import VecEnvWrapper, VecNormalize, sync_envs_normalization  # noqa: E402


class Timed(VecEnvWrapper):
    """Adds up the seconds inside the environments' own `step`."""

    seconds = 0.0

    def reset(self):
        return self.venv.reset()

    def step_wait(self):
        start = time.perf_counter()
        out = self.venv.step_wait()
        self.seconds += time.perf_counter() - start
        return out


def environments(task: tasks.PPO, seed: int) -> tuple:
    timed = Timed(make_vec_env(task.env, task.num_envs, seed=seed))
    if not task.normalise:
        return timed, timed
    return timed, VecNormalize(timed, gamma=task.discount)


def learner(task: tasks.PPO, env, seed: int) -> PPO:
    return PPO(
        "MlpPolicy", env, n_steps=task.rollout, batch_size=task.batch, n_epochs=task.epochs, learning_rate=task.lr,
        gamma=task.discount, gae_lambda=task.trace, clip_range=task.clip, ent_coef=task.entropy,
        clip_range_vf=task.clip if task.clip_value else None, vf_coef=task.value_weight,
        max_grad_norm=task.max_grad_norm, seed=seed, device="cpu",
        policy_kwargs={
            "net_arch": {"pi": list(task.hidden), "vf": list(task.hidden)}, "activation_fn": torch.nn.Tanh,
            "log_std_init": float(np.log(task.std)),
        },
    )  # fmt: skip


def to_target(task: tasks.PPO, seed: int) -> dict:
    """Train and evaluate in turn until the mean evaluation return reaches the target."""
    start = tasks.clock()
    _, env = environments(task, seed)
    fresh = make_vec_env(task.env, task.episodes, seed=10_000 + seed)
    if task.normalise:  # the same wrappers as in training, or SB3 will not copy the statistics over
        fresh = VecNormalize(Timed(fresh), training=False, norm_reward=False)
    model, reached, mean = learner(task, env, seed), None, None
    while reached is None and model.num_timesteps < task.budget:
        model.learn(task.every, reset_num_timesteps=False)
        if task.normalise:
            sync_envs_normalization(env, fresh)
        mean, _ = evaluate_policy(model, fresh, task.episodes, deterministic=True)
        if mean >= task.target:
            reached = tasks.clock()
    seconds = tasks.clock() - start
    return {
        "run_seconds": seconds, "steps": model.num_timesteps, "steps_per_second": model.num_timesteps / seconds,
        "time_to_target": reached, "steps_to_target": model.num_timesteps if reached else None,
        "final_return": float(mean),
    }  # fmt: skip


def throughput(task: tasks.PPO, seed: int) -> dict:
    """The whole budget, seed after seed, without evaluations."""
    start, steps, inside = time.perf_counter(), 0, 0.0
    for i in range(task.seeds):
        timed, env = environments(task, seed * task.seeds + i)
        model = learner(task, env, seed * task.seeds + i)
        model.learn(task.budget)
        steps, inside = steps + model.num_timesteps, inside + timed.seconds
    seconds = time.perf_counter() - start
    return {
        "run_seconds": seconds, "steps": steps, "steps_per_second": steps / seconds,
        "seconds_per_step": seconds / steps, "env_share": inside / seconds,
    }  # fmt: skip


def updates(task: tasks.SAC, seed: int) -> dict:
    """One environment step, one update; and the rate of the matrix product that dominates it."""
    env = gymnasium.make(task.env)
    model = SAC(
        "MlpPolicy", env, learning_rate=task.lr, buffer_size=task.capacity, learning_starts=task.warm_up,
        batch_size=task.batch, tau=task.tau, gamma=task.discount, seed=seed, device="cpu",
        policy_kwargs={"net_arch": list(task.hidden)},
    )  # fmt: skip
    warm = task.updates // 10
    model.learn(task.warm_up + warm)
    before, start = model._n_updates, time.perf_counter()
    model.learn(task.updates, reset_num_timesteps=False)
    seconds = time.perf_counter() - start
    rate = (model._n_updates - before) / seconds
    gflops = matmul(task.batch, task.hidden[0])
    return {
        "run_seconds": seconds, "steps": model._n_updates - before, "updates_per_second": rate,
        "matmul_gflops": gflops, "matmul_share": rate * task.flops() / 1e9 / gflops,
    }  # fmt: skip


def matmul(batch: int, width: int) -> float:
    """GFLOP/s of (batch, width) × (width, width), the best of five."""
    x, w = torch.randn(batch, width), torch.randn(width, width) / width**0.5
    times, repeats = [], int(2e9 / (2 * batch * width * width))
    with torch.no_grad():
        for _ in range(6):
            start = time.perf_counter()
            for _ in range(repeats):
                x = x @ w
            times.append(time.perf_counter() - start)
    return repeats * 2 * batch * width * width / min(times) / 1e9


def main() -> None:
    imported = tasks.clock()
    name, seed = tasks.arguments()
    task = tasks.TASKS[name]
    if isinstance(task, tasks.SAC):
        measured = updates(task, seed)
    elif task.target is None:
        measured = throughput(task, seed)
    else:
        measured = to_target(task, seed)
    tasks.report("sb3", name, seed, import_seconds=imported, **measured)


if __name__ == "__main__":
    main()
