"""Samples of what is learned offline: `fit` on data made here, once a process, from the same numbers every time.

Each seed has pairs and labels of its own, drawn from behaviour that all seeds share: what is found does not hang on one
lucky draw of labels. Runs are short and are not kept in folders.
"""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from operant.claims._samples import AbstractSample, Bench, Figures, plain_fields
from operant.core import (
    AbstractEnv,
    AbstractLearner,
    AbstractPolicy,
    AbstractReward,
    Box,
    EnvSpec,
    Intent,
    Transition,
)
from operant.data.comparison_dataset import ComparisonDataset
from operant.data.dataset import Dataset
from operant.data.segments import Pairs, Segments
from operant.envs.toy import Pendulum
from operant.learners.sac import SAC
from operant.loops.audit import RandomPolicy
from operant.loops.fit import fit
from operant.loops.rollout import Episodes, evaluate
from operant.loops.train import Run, train
from operant.rewards.task import Task


@dataclasses.dataclass(frozen=True)
class Returns:
    """Mean return of fresh greedy episodes in an environment, by its own reward."""

    env: AbstractEnv
    episodes: int = 20

    @property
    def words(self) -> str:
        return f"mean return of {self.episodes} greedy episodes after learning"

    def __call__(self, run: Run, key: PRNGKeyArray) -> np.ndarray:
        keys = [jax.random.fold_in(key, i) for i in range(run.seeds)]
        found = [
            evaluate(p, self.env, episodes=self.episodes, key=k) for p, k in zip(run.policies(), keys, strict=True)
        ]
        return np.array([float(np.asarray(e.returns).mean()) for e in found])


@dataclasses.dataclass(frozen=True)
class Fitted(AbstractSample):
    """Learn from stored data and take a figure; seed i learns from `data(i)`."""

    learner: AbstractLearner
    data: Callable[[int], Dataset | ComparisonDataset]
    words: str
    """What the data are."""
    figure: Any
    """`figure(run, key)`, one number a seed, with `words`."""
    reward: AbstractReward = Task()  # noqa: RUF009
    steps: int | None = None
    """Updates, where they are not the claim's."""

    def plain(self) -> dict[str, Any]:
        plain = {
            "learner": plain_fields(self.learner),
            "data": self.words,
            "reward": plain_fields(self.reward),
            "figure": self.figure.words,
        }
        return plain if self.steps is None else plain | {"steps": self.steps}

    def figures(self, bench: Bench) -> Figures:
        values, began = [], time.perf_counter()
        for i in range(bench.seeds):
            fit_key, figure_key = jax.random.split(jax.random.fold_in(bench.key, i))
            run = fit(
                self.learner, self.data(i), Intent(self.reward), steps=self.steps or bench.steps, key=fit_key,
                recorder=bench.recorder, throw=False,
            )  # fmt: skip
            values.append(float(self.figure(run, figure_key)[0]))
        return Figures(np.array(values), time.perf_counter() - began)


def segments(obs: Any, action: Any, reward: Any, terminated: Any, mask: Any, next_obs: Any = None) -> Segments:
    """Segments (n, L) of NumPy arrays, none of them truncated; successors are `obs` where nothing reads them."""
    after = obs if next_obs is None else next_obs
    return Segments(Transition(obs, action, reward, terminated, np.zeros_like(terminated), after, {}), mask)


# --- two kinds of behaviour, one of them preferred ------------------------------------------------------------------

TWO_KINDS = "60 pairs of segments of 4 steps: one pushes to 1, the other to −1, whatever is seen; 10 pairs are answered"
_PUSHED = EnvSpec(Box((3,)), Box((1,), -1.0, 1.0), None, name="a push")


def two_kinds(seed: int) -> ComparisonDataset:
    """Of each pair the segment that pushes to 1 is better; pushes have a standard deviation of 0.1."""
    rng, n = np.random.default_rng([seed, 3]), 60
    right = rng.random(n) < 0.5
    obs = rng.standard_normal((2, n, 4, 3)).astype(np.float32)
    push = np.stack([~right, right]) * 2.0 - 1.0
    action = np.clip(push[:, :, None, None] + 0.1 * rng.standard_normal((2, n, 4, 1)), -1.0, 1.0)
    x, yes = np.zeros((n, 4), np.float32), np.ones((n, 4), bool)
    left, other = (segments(obs[i], action[i].astype(np.float32), x, ~yes, yes) for i in (0, 1))
    return ComparisonDataset(Pairs(left, other), right.astype(np.float32), _PUSHED, known=np.arange(n) < 10)


@dataclasses.dataclass(frozen=True)
class Push:
    """Mean greedy action where nothing was seen before."""

    words: str = "mean greedy action over 200 fresh observations: 1 is as preferred, −1 as rejected"

    def __call__(self, run: Run, key: PRNGKeyArray) -> np.ndarray:
        obs = np.asarray(jax.random.normal(key, (200, 3)))
        return np.array([policy.predict(obs)[0].mean() for policy in run.policies()])


# --- a pendulum, by agents of three qualities -----------------------------------------------------------------------

PENDULUM = Pendulum()
LENGTH = 25
"""Steps of a segment."""
MADE_BY = (
    "Pendulum-v1 in JAX: 40 episodes each of uniformly random actions and of SAC after 5,000 and 12,000 steps, which "
    "act as they explore"
)
_EACH = 40
_SAC = SAC(hidden=(32, 32), batch=64, lr=2e-3, learning_starts=500, gradient_steps=4, capacity=12_000)


@functools.cache
def pendulum_agents() -> tuple[AbstractPolicy, ...]:
    """Random, middling and good, in this order."""
    intent, key = Intent(Task()), jax.random.key(2023)
    trained = [train(_SAC, PENDULUM, intent, steps=n, num_envs=8, key=key).policy() for n in (5_000, 12_000)]
    return RandomPolicy(PENDULUM.spec), *trained


@functools.cache
def pendulum_episodes() -> tuple[Episodes, ...]:
    """What each of them did."""
    keys = jax.random.split(jax.random.key(7), 3)
    act = lambda policy, key: evaluate(policy, PENDULUM, episodes=_EACH, key=key, deterministic=False)
    return tuple(jax.tree.map(np.asarray, act(p, k)) for p, k in zip(pendulum_agents(), keys, strict=True))


@functools.cache
def pendulum_steps() -> Dataset:
    """All of it as transitions with their true rewards."""
    whole = jax.tree.map(lambda *x: np.concatenate(x), *[bare(e.transitions) for e in pendulum_episodes()])
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), whole)
    episode = np.repeat(np.arange(3 * _EACH), PENDULUM.max_steps)
    return Dataset(flat, episode, PENDULUM.spec, origin=MADE_BY)


def pendulum_comparisons(seed: int, *, pairs: int = 500, labelled: int = 500) -> ComparisonDataset:
    """Pairs of segments cut uniformly from all episodes; the first `labelled` are answered, by regret.

    The segment with less regret under the best agent is better: Σ_t γᵗ r_t + γᴸ V(s_L) − V(s_0), V by following that
    agent, greedily, to the end of an episode's length; γ = 0.99.
    """
    rng = np.random.default_rng([seed, 11])
    whole = jax.tree.map(lambda *x: np.concatenate(x), *[bare(e.transitions) for e in pendulum_episodes()])
    episode = rng.integers(3 * _EACH, size=(2, pairs))
    start = rng.integers(PENDULUM.max_steps - LENGTH + 1, size=(2, pairs))
    place = start[..., None] + np.arange(LENGTH)
    cut = lambda side: jax.tree.map(lambda x: x[episode[side][:, None], place[side]], whole)
    own: Any = np.ones((pairs, LENGTH), bool)
    sides = [Segments(cut(i), own) for i in (0, 1)]
    less = [-_regret(s.steps) for s in sides]
    target = (less[1] > less[0]).astype(np.float32)
    known = np.arange(pairs) < labelled
    return ComparisonDataset(Pairs(*sides), target, PENDULUM.spec, known=known, origin=MADE_BY)


def bare(steps: Transition) -> Transition:
    """Without what the policy said."""
    return Transition(steps.obs, steps.action, steps.reward, steps.terminated, steps.truncated, steps.next_obs, {})


def _regret(steps: Transition) -> np.ndarray:
    """(n,): V(s_0) − Σ γᵗ r_t − γᴸ V(s_L) of segments (n, L)."""
    gamma = 0.99
    value = lambda obs: np.asarray(_value()(jnp.asarray(obs)))
    gain = (np.asarray(steps.reward) * gamma ** np.arange(LENGTH)).sum(-1)
    return value(steps.obs[:, 0]) - gain - gamma**LENGTH * value(steps.next_obs[:, -1])


@functools.cache
def _value() -> Callable:
    """Discounted return of the best agent from observations (n, 3), over an episode's length."""
    policy = pendulum_agents()[-1]
    carry = policy.init_carry()

    def one(obs: Any) -> Any:
        def step(inner: Any, t: Any) -> tuple[Any, Any]:
            action, _, _ = policy(PENDULUM.observe(inner), carry, key=None)
            inner, reward, _ = PENDULUM.advance(inner, action, key=jax.random.key(0))
            return inner, 0.99**t * reward

        inner = jnp.stack([jnp.arctan2(obs[1], obs[0]), obs[2]])
        return jax.lax.scan(step, inner, jnp.arange(PENDULUM.max_steps, dtype=jnp.float32))[1].sum()

    return jax.jit(jax.vmap(one))
