"""SB3's SAC and TD3 on MuJoCo v5, the other side of Operant's 100k-step comparison; one JSON line a run.

Settings are the published ones of rl-baselines3-zoo for its MuJoCo tasks: SB3's constructor defaults,
`learning_starts` 10,000, and for TD3 normal action noise of 0.1. Networks: SAC 256×256, TD3 400×300 (SB3's own).
The final deterministic policy is judged on 10 fresh episodes. One torch thread. Runs in the SB3 environment
(`python benchmarks/run.py --build`, then `benchmarks/.envs/sb3/bin/python` for `python` below):

    python benchmarks/reference_sb3.py td3 Hopper-v5 --seed 0      one run
    python benchmarks/reference_sb3.py --all --seeds 3             whatever is missing, seed by seed
    python benchmarks/reference_sb3.py --probe                     updates a second and projected hours

Reference: Raffin et al. 2021, "Stable-Baselines3", JMLR 22(268); rl-baselines3-zoo `hyperparams/{sac,td3}.yml`.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "sb3_reference"
ORDER = [("td3", "Hopper-v5"), ("td3", "HalfCheetah-v5"), ("sac", "Hopper-v5"), ("sac", "HalfCheetah-v5")]
SETTINGS = {"learning_starts": 10_000}
TD3_NOISE = 0.1
EPISODES = 10


def build(algorithm: str, env_id: str, seed: int, **changes):
    """The SB3 model with the published settings, one thread."""
    import gymnasium
    import numpy as np
    import torch
    from stable_baselines3 import SAC, TD3
    from stable_baselines3.common.noise import NormalActionNoise

    torch.set_num_threads(1)
    env = gymnasium.make(env_id)
    settings = SETTINGS | changes
    if algorithm == "td3":
        size = env.action_space.shape[0]
        noise = NormalActionNoise(np.zeros(size), np.full(size, TD3_NOISE))
        return TD3("MlpPolicy", env, seed=seed, device="cpu", action_noise=noise, **settings)
    return SAC("MlpPolicy", env, seed=seed, device="cpu", **settings)


def train(algorithm: str, env_id: str, seed: int, steps: int) -> dict:
    """Train, evaluate, and return the record of the run."""
    import gymnasium
    import mujoco
    import numpy
    import stable_baselines3
    import torch
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.monitor import Monitor

    class Curve(BaseCallback):
        """Mean return of the last 100 training episodes, every tenth of the run: free, unlike evaluations."""

        points: list

        def _on_training_start(self):
            self.points = []

        def _on_step(self):
            if self.num_timesteps % (steps // 10) == 0 and self.model.ep_info_buffer:
                mean = float(numpy.mean([e["r"] for e in self.model.ep_info_buffer]))
                self.points.append([self.num_timesteps, round(mean, 2)])
            return True

    wall, cpu = time.perf_counter(), time.process_time()
    model, curve = build(algorithm, env_id, seed), Curve()
    model.learn(steps, callback=curve)
    seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    env = Monitor(gymnasium.make(env_id))
    env.reset(seed=10_000 + seed)
    returns, _ = evaluate_policy(model, env, EPISODES, deterministic=True, return_episode_rewards=True)
    return {
        "algorithm": algorithm,
        "env": env_id,
        "seed": seed,
        "steps": steps,
        "updates": model._n_updates,
        "return_mean": float(numpy.mean(returns)),
        "return_std": float(numpy.std(returns)),
        "returns": [round(float(r), 2) for r in returns],
        "training_returns": curve.points,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
        "settings": SETTINGS | ({"action_noise": TD3_NOISE} if algorithm == "td3" else {}),
        "threads": 1,
        "cores": os.cpu_count(),
        "load_average": [round(x, 2) for x in os.getloadavg()],
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "versions": {
            "python": sys.version.split()[0],
            "stable_baselines3": stable_baselines3.__version__,
            "torch": torch.__version__,
            "gymnasium": gymnasium.__version__,
            "mujoco": mujoco.__version__,
            "numpy": numpy.__version__,
        },
    }


def save(record: dict, path: Path) -> None:
    """Write atomically, so that a killed run leaves no half line to be taken for a result."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(record) + "\n")
    part.replace(path)


def probe(steps: int = 3_000) -> None:
    """Print updates a second of each pair and the hours that 100k steps of it would take."""
    for algorithm, env_id in ORDER:
        model = build(algorithm, env_id, 0, learning_starts=100)
        start, cpu = time.perf_counter(), time.process_time()
        model.learn(steps)
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        rate = model._n_updates / wall
        print(
            f"{algorithm} {env_id}: {rate:.1f} updates/s by the wall, {model._n_updates / cpu:.1f} by CPU time; "
            f"90k updates {90_000 / rate / 3600:.2f} h",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("algorithm", nargs="?", choices=["sac", "td3"])
    parser.add_argument("env", nargs="?", default="Hopper-v5")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--probe", action="store_true")
    args = parser.parse_args()
    if args.probe:
        return probe()
    if args.all:
        for seed in range(args.seeds):
            for algorithm, env_id in ORDER:
                if not (RESULTS / f"{algorithm}-{env_id}-{seed}.json").exists():
                    # A process a run: memory is returned, and one failure does not end the queue.
                    command = [sys.executable, __file__, algorithm, env_id, "--seed", str(seed)]
                    subprocess.run([*command, "--steps", str(args.steps)], check=False)
        return None
    if args.algorithm is None:
        parser.error("expected ALGORITHM ENV, --all or --probe")
    path = RESULTS / f"{args.algorithm}-{args.env}-{args.seed}.json"
    print(time.strftime("%H:%M:%S"), "start", path.name, flush=True)
    record = train(args.algorithm, args.env, args.seed, args.steps)
    save(record, path)
    print(time.strftime("%H:%M:%S"), path.name, f"{record['return_mean']:.1f}", f"{record['seconds']} s", flush=True)
    return None


if __name__ == "__main__":
    main()
