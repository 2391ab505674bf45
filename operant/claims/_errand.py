"""A corridor with an errand: fetch a parcel on the left, then take it to the goal on the right."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from operant.claims._samples import AbstractSample, Bench, Figures, plain_fields
from operant.core import AbstractEnv, AbstractHostEnv, AbstractLearner, Box, Discrete, EnvSpec, Intent
from operant.data import demos
from operant.data.dataset import Dataset
from operant.loops.train import train
from operant.rewards.imitation import AbstractImitation
from operant.rewards.imitation.demonstrations import Demonstrations


class Errand(AbstractEnv):
    """Cells 0 … `goal` in a row; inner state (place, held, grip, arrived). Actions: left, stay, right. Never ends.

    The parcel lies in cell 0 and is held from `grasp` steps of staying there on, one after the other. To come to the
    goal with it pays 1, once, so that a return is 1 where the episode succeeded. Nothing keeps an agent without the
    parcel from the goal, and there it looks much like the expert: the shortcut.
    """

    start: int = 5
    """Where an episode begins."""
    grasp: int = 3
    """Steps of staying it takes to hold the parcel."""
    goal: int = 14
    """The last cell."""
    max_steps: int = 40
    """Steps of every episode."""

    @property
    def spec(self) -> EnvSpec:
        seen = Box((3,), 0.0, (float(self.goal), 1.0, 1.0), names=("place", "held", "grip"))
        return EnvSpec(seen, Discrete(3), self.max_steps, name="Errand", fixed_horizon=True)

    def initial(self, *, key: PRNGKeyArray) -> Int[Array, "4"]:
        return jnp.array([self.start, 0, 0, 0], jnp.int32)

    def advance(
        self, inner: Int[Array, "4"], action: Int[Array, ""], *, key: PRNGKeyArray
    ) -> tuple[Int[Array, "4"], Float[Array, ""], Bool[Array, ""]]:
        place, held, grip, arrived = inner
        to = jnp.clip(place + action - 1, 0, self.goal)
        grip = jnp.where((place == 0) & (action == 1), jnp.minimum(grip + 1, self.grasp), 0)
        held = held | (grip == self.grasp)
        there = (to == self.goal) & (held == 1)
        paid = there & (arrived == 0)
        new = jnp.stack([to, held, grip, arrived | there]).astype(jnp.int32)
        return new, paid.astype(jnp.float32), jnp.zeros((), bool)

    def observe(self, inner: Int[Array, "4"]) -> Float[Array, "3"]:
        return inner[:3].astype(jnp.float32) / jnp.array([1.0, 1.0, self.grasp])


def shown(env: Errand, n: int, seed: int) -> Dataset:
    """`n` episodes of an expert that fetches the parcel and takes it to the goal, idling one step in ten on the way."""
    rng = np.random.default_rng(seed)
    rows: dict[str, list] = {name: [] for name in ("obs", "action", "reward", "next_obs", "truncated")}
    step = jax.jit(lambda inner, action: env.advance(inner, action, key=jax.random.key(0))[:2])
    for _ in range(n):
        inner: Any = np.asarray(env.initial(key=jax.random.key(0)))
        for t in range(env.max_steps):
            place, held = inner[:2]
            idle = rng.random() < 0.1 and 0 < place < env.goal
            action = 1 if idle or (place == 0 and not held) else 2 if held else 0
            after, reward = jax.device_get(step(inner, np.int32(action)))
            row = (env.observe(inner), action, reward, env.observe(after), t == env.max_steps - 1)
            for name, x in zip(rows, row, strict=True):
                rows[name].append(np.asarray(x))
            inner = after
    arrays: dict[str, Any] = {name: np.array(x) for name, x in rows.items()}
    return Dataset.from_numpy(
        env.spec, **arrays, terminated=np.zeros(len(rows["action"]), bool), origin="a scripted walk"
    )


@dataclasses.dataclass(frozen=True)
class Imitated(AbstractSample):
    """Train a learner on being paid for likeness to demonstrations, and take a figure of every seed."""

    learner: Callable[[str], AbstractLearner]
    """Made from where the demonstrations lie."""
    env: AbstractEnv | AbstractHostEnv
    demos: Callable[[], Dataset]
    words: str
    """What the demonstrations are."""
    by: AbstractImitation
    figure: Any
    num_envs: int = 8

    def plain(self) -> dict[str, Any]:
        return {
            "learner": plain_fields(self.learner("the demonstrations")),
            "env": plain_fields(self.env),
            "demonstrations": self.words,
            "by": plain_fields(self.by),
            "num_envs": self.num_envs,
            "figure": self.figure.words,
        }

    def figures(self, bench: Bench) -> Figures:
        began = time.perf_counter()
        source = str(demos.keep(self.demos()))
        train_key, figure_key = jax.random.split(bench.key)
        run = train(
            self.learner(source), self.env, Intent(Demonstrations(source, self.by)), steps=bench.steps,
            num_envs=self.num_envs, seeds=bench.seeds, key=train_key, recorder=bench.recorder, throw=False,
        )  # fmt: skip
        return Figures(self.figure(run, figure_key), time.perf_counter() - began)
