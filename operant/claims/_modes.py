"""Samples of cloning behaviour with many modes: the demonstrations of two toy tasks, and what is measured of clones.

Seeds share their demonstrations and differ in weights, in what is drawn of the data, and in the episodes they are
judged by. Actions are drawn from the policy as learned: a greedy one shows a single mode from a single start.
"""

import dataclasses
import functools
import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from operant.audits.diversity import shown_modes
from operant.claims._samples import AbstractSample, Bench, Figures, plain_fields
from operant.core import AbstractEnv, AbstractLearner, Composite, EnvSpec, Intent
from operant.data.dataset import Dataset
from operant.envs.toy.block_pushing import BlockPushing
from operant.envs.toy.obstacle_course import FINISH, ROUTES, ObstacleCourse
from operant.loops.fit import fit
from operant.loops.rollout import evaluate
from operant.loops.train import Run
from operant.math.entropy import mode_entropy
from operant.rewards.task import Task

COURSE, BLOCKS = ObstacleCourse(), BlockPushing()
COURSE_WORDS = "an obstacle course with 24 routes: 240 demonstrations, ten of each route"
BLOCKS_WORDS = (
    "three blocks to be pushed to their targets, in any of 6 orders: 180 demonstrations, thirty of each order"
)
ENDS = (-1.5, -0.5, 0.5, 1.5)
"""x of the four gaps of the last row: where a route comes to the finish."""


@functools.cache
def demonstrations(env: AbstractEnv) -> Dataset:
    """The same for everyone."""
    n = 240 if isinstance(env, ObstacleCourse) else 180
    task: Any = env
    return task.demonstrate(n, key=jax.random.key(2024))


@dataclasses.dataclass(frozen=True)
class Cloned(AbstractSample):
    """Learn from the demonstrations of a task and take a figure of every seed."""

    learner: AbstractLearner
    env: AbstractEnv
    figure: Any
    """`figure(run, key)`, one number a seed, with `words`."""
    with_goals: bool = False
    """Whether observations hold goals, drawn as `Dataset.relabelled` draws them, for learners that know of none."""

    def plain(self) -> dict[str, Any]:
        return {
            "learner": plain_fields(self.learner),
            "env": plain_fields(self.env),
            "figure": self.figure.words,
            "with_goals": self.with_goals,
        }

    def figures(self, bench: Bench) -> Figures:
        began = time.perf_counter()
        fit_key, figure_key = jax.random.split(bench.key)
        data = goals_seen(self.env) if self.with_goals else demonstrations(self.env)
        run = fit(
            self.learner, data, Intent(Task()), steps=bench.steps, seeds=bench.seeds, key=fit_key,
            recorder=bench.recorder, throw=False,
        )  # fmt: skip
        return Figures(self.figure(run, figure_key), time.perf_counter() - began)


@dataclasses.dataclass(frozen=True)
class Coverage:
    """Success times entropy: 1 for one that always succeeds and takes all ways alike, 0 for one that knows one way."""

    env: Any
    episodes: int = 100

    @property
    def words(self) -> str:
        return (
            f"share of {self.episodes} episodes that succeed, times the entropy of the ways they took over that of all "
            f"{self.env.modes} ways alike; actions drawn as learned"
        )

    def __call__(self, run: Run, key: PRNGKeyArray) -> np.ndarray:
        shown = modes_of(run, self.env, self.episodes, key)
        return np.array([(m >= 0).mean() * mode_entropy(m, self.env.modes) for m in shown])


@dataclasses.dataclass(frozen=True)
class Success:
    """How many episodes succeed."""

    env: Any
    episodes: int = 100
    denoising: int | None = None
    """Steps from noise to action, where they are not the learner's."""

    @property
    def words(self) -> str:
        steps = "" if self.denoising is None else f", from noise in {self.denoising} steps"
        return f"share of {self.episodes} episodes that succeed; actions drawn as learned{steps}"

    def __call__(self, run: Run, key: PRNGKeyArray) -> np.ndarray:
        shown = modes_of(run, self.env, self.episodes, key, self.denoising)
        return np.array([(m >= 0).mean() for m in shown])


@dataclasses.dataclass(frozen=True)
class Reaches:
    """How often the obstacle course is crossed where it was asked to be."""

    episodes: int = 25
    """To each of the four ends."""

    @property
    def words(self) -> str:
        return (
            f"share of {4 * self.episodes} episodes that cross the finish through the gap they were sent to, each of "
            "the four in a quarter of them; actions drawn as learned"
        )

    def __call__(self, run: Run, key: PRNGKeyArray) -> np.ndarray:
        return np.array([self._one(p, jax.random.fold_in(key, i)) for i, p in enumerate(run.policies())])

    def _one(self, policy: Any, key: PRNGKeyArray) -> float:
        ends = np.array([gaps[-1] for gaps in ROUTES])
        told, reached = hasattr(policy, "towards"), []
        for i, x in enumerate(ENDS):
            goal = jnp.array([x, FINISH])
            env = COURSE if told else Towards(COURSE, goal)
            sent = policy.towards(goal) if told else policy
            done = evaluate(sent, env, episodes=self.episodes, key=jax.random.fold_in(key, i), deterministic=False)
            path = done.transitions.next_obs if told else done.transitions.next_obs["x"]
            modes = shown_modes(COURSE, eqx.tree_at(lambda e: e.transitions.next_obs, done, path))
            reached.append(np.mean((modes >= 0) & (ends[modes] == i)))
        return float(np.mean(reached))


def modes_of(run: Run, env: Any, episodes: int, key: PRNGKeyArray, denoising: int | None = None) -> list[np.ndarray]:
    """(n,) a seed: which way each episode took, or −1."""
    found = []
    for i, policy in enumerate(run.policies()):
        acts: Any = policy
        if denoising is not None:
            acts = acts.in_steps(denoising)
        done = evaluate(acts, env, episodes=episodes, key=jax.random.fold_in(key, i), deterministic=False)
        found.append(shown_modes(env, done))
    return found


# --- goals, for learners that see them as any other number ----------------------------------------------------------


class Towards(AbstractEnv):
    """An environment whose observations hold a goal, which is the same throughout."""

    env: AbstractEnv
    goal: Any

    @property
    def spec(self) -> EnvSpec:
        return beside_goals(self.env.spec)

    def initial(self, *, key: PRNGKeyArray) -> Any:
        return self.env.initial(key=key)

    def advance(self, inner: Any, action: Any, *, key: PRNGKeyArray) -> Any:
        return self.env.advance(inner, action, key=key)

    def observe(self, inner: Any) -> Any:
        return {"x": self.env.observe(inner), "goal": self.goal}


def beside_goals(spec: EnvSpec) -> EnvSpec:
    """The spec of observations that hold a goal, too."""
    return dataclasses.replace(spec, obs=Composite((("x", spec.obs), ("goal", spec.obs))))


@functools.cache
def goals_seen(env: AbstractEnv) -> Dataset:
    """60,000 transitions drawn from the demonstrations, each with a goal drawn as C-BeT and BESO draw theirs."""
    drawn = demonstrations(env).relabelled(60_000, jax.random.key(7))
    beside = lambda x: {"x": np.asarray(x), "goal": np.asarray(drawn.extras["goal"])}
    return Dataset.from_numpy(
        beside_goals(env.spec), obs=beside(drawn.obs), action=drawn.action, reward=drawn.reward,
        terminated=np.ones(60_000, bool), next_obs=beside(drawn.next_obs),
    )  # fmt: skip
