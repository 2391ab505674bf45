"""What needs no peer: milliseconds of an action of BESO's, seconds and memory of exact inverse reinforcement learning.

    python benchmarks/exact.py

BESO draws one action for one observation, three steps from noise, by the shipped networks (10 numbers seen, 2 acted),
as compiled and by `predict`; guided, the network is asked twice a step. MCE-IRL finds the weights of six smooth
features of a gridworld of 100 × 100 cells from the exact visits of the expert that they make. Wanted: less than 1 ms,
and "seconds".
"""

import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import operant  # noqa: F401  (first: it configures JAX)
from operant.core import Box, EnvSpec
from operant.envs.tabular.sparse import SparseMDP, soft_optimal
from operant.envs.toy.gridworld import GridWorld
from operant.learners.imitation.beso import BESO
from operant.rewards.inverse.mce_irl import MCEIRL

SIDE, TRUE = 100, np.array([2.0, -1.0, 0.5, 1.0, -2.0, 0.0])


def milliseconds(call: Callable[[], Any], times: int = 1_000) -> float:
    """Median of a call; the first, which compiles, is not among them."""
    call()
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return 1e3 * statistics.median(seconds)


def beso(guidance: float) -> None:
    learner, spec = BESO(guidance=guidance), EnvSpec(Box((10,)), Box((2,), -1.0, 1.0), 100)
    policy = learner.policy(learner.init(spec, key=jax.random.key(0))).towards(jnp.ones(10))
    carry, obs, key = policy.init_carry(), np.zeros(10, np.float32), jax.random.key(1)
    act = jax.jit(lambda o, c, k: policy(o, c, key=k)[0])
    compiled = milliseconds(lambda: np.asarray(act(obs, carry, key)))
    predicted = milliseconds(lambda: policy.predict(obs, deterministic=False, key=key))
    print(f"BESO, guidance {guidance:g}: {compiled:.2f} ms an action compiled, {predicted:.2f} by predict")


def inverse() -> None:
    rows = np.full((SIDE, SIDE), ".")
    rows[0, 0], rows[-1, -1] = "S", "G"
    mdp = SparseMDP.from_gridworld(GridWorld("\n".join("".join(row) for row in rows), slip=0.1), discount=0.99)
    states, actions = mdp.rewards.shape
    place = np.stack(np.divmod(np.arange(states), SIDE), -1) / SIDE
    centres = np.random.default_rng(0).random((6, 2))
    features = np.exp(-8.0 * np.square(place[:, None] - centres).sum(-1))
    expert = soft_optimal(mdp, np.repeat((features @ TRUE)[:, None], actions, 1), 1.0)
    began = time.perf_counter()
    found = MCEIRL(features, decay=0.0)(mdp, expert.visits)
    seconds, off = time.perf_counter() - began, np.abs(found.weights - TRUE).max()
    held = sum(x.nbytes for x in (mdp.successors, mdp.probabilities, mdp.rewards, mdp.initial, mdp.terminal))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"MCE-IRL, {states:,} states, six features: {seconds:.1f} s, {found.iterations} iterations of L-BFGS")
    print(
        f"features off by {found.feature_gap:.1g}, weights by {off:.1g}; {held / 1e6:.1f} MB held, {peak:.0f} at most"
    )


if __name__ == "__main__":
    beso(1.0)
    beso(1.5)
    inverse()
