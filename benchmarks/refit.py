"""Seconds a lesson takes: `BradleyTerry.teach` with 1,000 comparisons of 50 steps held, 3 members, Hopper sizes.

    python benchmarks/refit.py

The first lesson compiles; the numbers that follow are medians of five, with few and with all answers held. The count of
compiled programs must not grow with them.
"""

import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

import operant  # noqa: F401  (first: it configures JAX)
from operant.core import Box, EnvSpec, Transition
from operant.data.segments import Answers, Pairs, Segments
from operant.loops.spread import compiler_options
from operant.rewards.preferences.bradley_terry import BradleyTerry

N, HELD, LENGTH = 20, 1000, 50


def answers(rng: np.random.Generator, first: int) -> Answers:
    def side() -> Segments:
        obs = rng.normal(size=(N, LENGTH, 11)).astype(np.float32)
        action = rng.uniform(-1, 1, size=(N, LENGTH, 3)).astype(np.float32)
        no = np.zeros((N, LENGTH), bool)
        return Segments(Transition(obs, action, obs[..., 0], no, no, obs, {}), ~no)

    pairs, yes = Pairs(side(), side()), np.ones(N, bool)
    target = (pairs.right.steps.reward.sum(-1) > pairs.left.steps.reward.sum(-1)).astype(np.float32)
    return Answers(pairs, first + np.arange(N, dtype=np.int32), target, yes, yes)


def main() -> None:
    reward = BradleyTerry(segment=LENGTH, capacity=HELD)
    spec = EnvSpec(Box((11,)), Box((3,), -1.0, 1.0), 1000, num_envs=16)
    state = jax.tree.map(jnp.asarray, reward.init(spec, key=jax.random.key(0)))
    teach = jax.jit(lambda s, a, k: reward.teach(s, a, key=k), donate_argnums=(0,), compiler_options=compiler_options())
    rng, seconds, metrics = np.random.default_rng(0), [], {}
    for i in range(HELD // N + 5):
        began = time.perf_counter()
        state, metrics = jax.block_until_ready(teach(state, answers(rng, i * N), jax.random.key(i)))
        seconds.append(time.perf_counter() - began)
    print(f"first lesson, compiling: {seconds[0]:.2f} s; programs compiled: {teach._cache_size()}")
    print(f"a lesson with {2 * N}–{7 * N} answers: {1000 * statistics.median(seconds[1:6]):.0f} ms")
    print(f"a lesson with {HELD} answers: {1000 * statistics.median(seconds[-5:]):.0f} ms")
    print({name: round(float(x), 3) for name, x in metrics.items()})


if __name__ == "__main__":
    main()
