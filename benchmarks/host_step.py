"""What a step of SAC and TD3 costs on HalfCheetah-v5, one environment and one gradient step a step: CPU milliseconds.

Apart: random actions before learning starts (Python, MuJoCo, dispatch), learning, and learning of three seeds on this
one core, each. One core: `taskset -c 0`.
Stable-Baselines3's are those of `reference_sb3.py`, whole runs of 100,000 steps with 90,000 updates on one thread.

    taskset -c 0 python benchmarks/host_step.py
"""

import dataclasses
import json
import statistics
import time
from pathlib import Path

import jax

import operant
from operant.core import AbstractLearner, Intent
from operant.learners import SAC, TD3
from operant.loops.engines import HostEngine
from operant.rewards import Task

ENV = "HalfCheetah-v5"
REFERENCE = Path(__file__).parent / "results" / "sb3_reference"


def milliseconds(learner: AbstractLearner, steps: int, seeds: int = 1, rounds: int = 5) -> float:
    """Median CPU milliseconds a step and seed, compile time apart."""
    env = operant.make(ENV)
    spec = dataclasses.replace(env.spec, num_envs=1)
    keys = list(jax.random.split(jax.random.key(0), seeds))
    engine = HostEngine(learner, env, Intent(Task()), spec, keys, 10**6, 1)  # type: ignore[arg-type]
    states = engine.start()
    engine.compile(states)
    states = engine.advance(states, 5)[0]
    found = []
    for _ in range(rounds):
        began = time.process_time()
        states = engine.advance(states, steps)[0]
        found.append((time.process_time() - began) / steps / seeds * 1e3)
    engine.close()
    return statistics.median(found)


def main() -> None:
    for learner in (SAC, TD3):
        name = learner.__name__.lower()
        files = sorted(REFERENCE.glob(f"{name}-{ENV}-*.json"))
        theirs = [json.loads(f.read_text()) for f in files]
        row = {
            "random": milliseconds(learner(), 500),
            "learning": milliseconds(learner(learning_starts=0), 100),
            "three seeds": milliseconds(learner(learning_starts=0), 40, seeds=3),
            "sb3": [r["cpu_seconds"] / r["updates"] * 1e3 for r in theirs],
        }
        print(name, json.dumps(row))


if __name__ == "__main__":
    main()
