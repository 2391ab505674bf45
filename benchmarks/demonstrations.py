"""Writes `benchmarks/demonstrations/*.npz`, which every peer imitates: `python benchmarks/demonstrations.py`."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tasks

import operant
from operant.data import demos
from operant.data.dataset import Dataset
from operant.envs.toy import CartPole
from operant.loops.audit import FunctionPolicy
from operant.loops.rollout import evaluate

FOLDER = Path(__file__).parent / "demonstrations"


def balance(obs):
    """By hand, 500 of 500."""
    return tasks.pushes_right(*obs).astype(jnp.int32)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    pole, cheetah = CartPole(fixed_horizon=True), operant.make("HalfCheetah-v5")
    for name, env, author, episodes in (("cartpole", pole, balance, 10), ("halfcheetah", cheetah, tasks.strides, 4)):
        found = evaluate(FunctionPolicy(env.spec, author), env, episodes=episodes, key=jax.random.key(0))
        path = FOLDER / f"{name}.npz"
        path.unlink(missing_ok=True)
        demos.write(Dataset.from_episodes(jax.tree.map(np.asarray, found), env.spec), path)
        print(path, np.asarray(found.returns))


if __name__ == "__main__":
    main()
