"""Rewards taught from comparisons of behaviour that is there already: no agent, so that only the reward is tried.

A world makes segments of behaviour with their true reward. Some are seen without a word said about them, pairs of them
are compared by an oracle, and the reward that is learned is held against the truth on behaviour not seen before.
"""

import abc
import dataclasses
import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from operant.claims._samples import AbstractSample, Bench, Figures, plain_fields
from operant.core import Box, Discrete, EnvSpec, Transition
from operant.data.segments import Answers, Pairs, Segments, rows
from operant.envs.toy import GridWorld, Pendulum
from operant.rewards.preferences.bradley_terry import BradleyTerry, BradleyTerryState
from operant.rewards.representations import SIRL
from operant.teachers import TARGET, AbstractSimilarity, Oracle

SEEN, FRESH, COMPARED = 400, 300, 3000
"""Segments seen, segments kept to judge by, and pairs of these."""


@dataclasses.dataclass(frozen=True)
class AbstractWorld(abc.ABC):
    """Where behaviour comes from."""

    @property
    @abc.abstractmethod
    def spec(self) -> EnvSpec: ...

    @abc.abstractmethod
    def segments(self, rng: np.random.Generator, n: int, taste: np.ndarray) -> Segments:
        """`n` segments; `steps.reward` is the truth, `steps.extras` what a teacher of similarity measures. `taste` is
        a direction in the plane, one a seed, for worlds in which what is wanted is drawn."""

    def figure(
        self, reward: BradleyTerry, state: BradleyTerryState, fresh: Segments, rng: np.random.Generator
    ) -> float:
        """How often the learned reward ranks two fresh segments as the true one does."""
        learned, true = (np.asarray(fresh.sum(x)) for x in (reward(state, fresh.steps), fresh.steps.reward))
        a, b = rng.integers(len(true), size=(2, COMPARED))
        return float(((learned[a] > learned[b]) == (true[a] > true[b]))[true[a] != true[b]].mean())


@dataclasses.dataclass(frozen=True)
class Taught(AbstractSample):
    """Teach a reward by so many comparisons of segments drawn uniformly, and hold it against the truth."""

    world: AbstractWorld
    reward: BradleyTerry
    labels: int
    at_once: int = 10
    """Comparisons a lesson."""
    triplets: int = 0
    """Triplets of which a representation by similarity learns first."""
    similarity: AbstractSimilarity | None = None

    def plain(self) -> dict[str, Any]:
        fields = {f.name: plain_fields(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return {"taught": fields, "seen": SEEN}

    def figures(self, bench: Bench) -> Figures:
        began = time.perf_counter()
        teach = eqx.filter_jit(lambda reward, state, answers, key: reward.teach(state, answers, key=key)[0])
        values = [self._one(jax.random.fold_in(bench.key, seed), teach) for seed in range(bench.seeds)]
        return Figures(np.array(values), time.perf_counter() - began)

    def _one(self, key: PRNGKeyArray, teach: Any) -> float:
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        angle = rng.uniform(0.0, 2.0 * np.pi)
        taste = np.array([np.cos(angle), np.sin(angle)])
        seen, fresh = (self.world.segments(rng, n, taste) for n in (SEEN, FRESH))
        spec = dataclasses.replace(self.world.spec, num_envs=SEEN)
        reward = self.reward
        if self.similarity is not None:
            assert isinstance(reward.representation, SIRL)
            three = rows(seen, rng.integers(SEEN, size=(self.triplets, 3)))
            odd = jnp.asarray(self.similarity.odd(three, key=None))
            learned = reward.representation.fit(spec, three, odd, key=jax.random.fold_in(key, 1))
            reward = eqx.tree_at(lambda r: r.representation, reward, learned)
        reward = eqx.tree_at(lambda r: r.pool, reward, 2 * seen.mask.size)
        bare = eqx.tree_at(lambda s: s.steps.extras, seen, {})
        state: Any = jax.tree.map(jnp.asarray, reward.init(spec, key=jax.random.fold_in(key, 2)))
        rollout = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), bare.steps)
        state, _ = reward.update(state, rollout, key=jax.random.fold_in(key, 3))
        for first in range(0, self.labels, self.at_once):
            i, j = rng.integers(SEEN, size=(2, self.at_once))
            pairs = Pairs(rows(bare, i), rows(bare, j))
            said = Oracle().label(jax.tree.map(np.asarray, pairs), key=None)
            yes = jnp.ones(self.at_once, bool)
            answers = Answers(pairs, first + jnp.arange(self.at_once), jnp.asarray(TARGET[said]), yes, yes)
            state = teach(reward, state, answers, jax.random.fold_in(key, 4 + first))
        return self.world.figure(reward, state, fresh, rng)


def steps_of(obs: np.ndarray, action: np.ndarray, reward: np.ndarray, extras: dict[str, np.ndarray]) -> Segments:
    """Segments of observations (n, L + 1, …), whole ones."""
    no, numbers = jnp.zeros(reward.shape, bool), lambda x: jnp.asarray(x, jnp.float32)
    steps = Transition(numbers(obs[:, :-1]), jnp.asarray(action), numbers(reward), no, no, numbers(obs[:, 1:]), extras)
    return Segments(jax.tree.map(jnp.asarray, steps), ~no)


# --- worlds ---------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class NoisyPendulum(AbstractWorld):
    """Pendulum, started anywhere, pushed at random; seen through 20 mixtures of its numbers, beside 20 of noise."""

    length: int = 25
    mixtures: int = 20
    noise: int = 20

    @property
    def spec(self) -> EnvSpec:
        return EnvSpec(Box((self.mixtures + self.noise,)), Pendulum().spec.action, None, name="NoisyPendulum")

    def segments(self, rng: np.random.Generator, n: int, taste: np.ndarray) -> Segments:
        env = Pendulum()
        inner = np.stack([rng.uniform(-np.pi, np.pi, n), rng.uniform(-6.0, 6.0, n)], axis=1).astype(np.float32)
        push = rng.uniform(-2.0, 2.0, (n, 1)) + rng.uniform(-1.0, 1.0, (self.length, n, 1))
        actions = np.clip(push, -2.0, 2.0).astype(np.float32)
        key = jax.random.key(0)  # nothing is drawn
        inners, rewards = [jnp.asarray(inner)], []
        for action in actions:
            inner, reward, _ = jax.vmap(lambda i, a: env.advance(i, a, key=key))(inner, action)
            inners.append(inner)
            rewards.append(np.asarray(reward))
        plain = np.asarray(jax.vmap(jax.vmap(env.observe))(jnp.stack(inners))) / np.array([1.0, 1.0, 8.0])
        mix = np.random.default_rng(0).normal(size=(3, self.mixtures))  # the same eyes for every seed
        noise = rng.normal(size=(*plain.shape[:2], self.noise))
        obs = np.concatenate([np.tanh(plain @ mix), noise], axis=-1)
        return steps_of(obs.swapaxes(0, 1), actions.swapaxes(0, 1), np.stack(rewards, axis=1), {})


@dataclasses.dataclass(frozen=True)
class Walks(AbstractWorld):
    """Random walks of 10 numbers of which 2 matter, by two features; what is wanted of these is drawn for each seed."""

    length: int = 10
    numbers: int = 10

    @property
    def spec(self) -> EnvSpec:
        return EnvSpec(Box((self.numbers,)), Box((self.numbers,), -1.0, 1.0), None, name="Walks")

    def segments(self, rng: np.random.Generator, n: int, taste: np.ndarray) -> Segments:
        action = np.clip(rng.normal(size=(n, self.length, self.numbers)), -1.0, 1.0)
        start = rng.normal(size=(n, 1, self.numbers))
        obs = np.concatenate([start, start + 0.3 * np.cumsum(action, axis=1)], axis=1)
        x, y = obs[:, :-1, 0], obs[:, :-1, 1]
        features = {"near": np.exp(-np.square(x - 1.0) - np.square(y)), "wide": np.abs(y)}
        true = taste[0] * 2.0 * features["near"] + taste[1] * features["wide"]
        return steps_of(obs, action.astype(np.float32), true, features)


ROOMS = GridWorld("....#....\n.S..#....\n....H..G.\n....#....\n#.#####.#\n....#....\n.H..#....\n.......H.\n....#....\n")


@dataclasses.dataclass(frozen=True)
class Rooms(AbstractWorld):
    """Four rooms, walked at random from anywhere; being on the one goal is worth 1, all else nothing."""

    length: int = 20

    @property
    def spec(self) -> EnvSpec:
        return EnvSpec(Box((len(ROOMS.cells),), 0.0, 1.0), Discrete(4), None, name="Rooms")

    def segments(self, rng: np.random.Generator, n: int, taste: np.ndarray) -> Segments:
        cells = [rng.integers(len(ROOMS.cells), size=n)]
        action = rng.integers(4, size=(n, self.length))
        for t in range(self.length):
            cells.append(ROOMS.successors[cells[-1], action[:, t]])
        where = np.stack(cells, axis=1)
        worth = (ROOMS.letters == "G").astype(float)
        return steps_of(np.eye(len(ROOMS.cells))[where], action.astype(np.int32), worth[where[:, :-1]], {})

    def figure(
        self, reward: BradleyTerry, state: BradleyTerryState, fresh: Segments, rng: np.random.Generator
    ) -> float:
        """Correlation of the learned reward with the true one over all cells and actions."""
        count = len(ROOMS.cells)
        cell, action = np.divmod(np.arange(4 * count), 4)
        obs, no = jnp.asarray(np.eye(count, dtype=np.float32)[cell]), jnp.zeros(4 * count, bool)
        learned = reward(state, Transition(obs, jnp.asarray(action), no.astype(float), no, no, obs, {}))
        return float(np.corrcoef(np.asarray(learned), (ROOMS.letters == "G")[cell])[0, 1])


def named(obs: Any) -> Any:
    """Rooms, as a person would name where one is: which room, in a doorway, on the goal's or on the other tile."""
    row, column = ROOMS.cells.T
    rooms = [(row < 4) & (column < 4), (row < 4) & (column > 4), (row > 4) & (column < 4), (row > 4) & (column > 4)]
    doors = (row == 4) | (column == 4)
    tiles = [ROOMS.letters == "G", ROOMS.letters == "H"]
    return jnp.asarray(np.stack([*rooms, doors, *tiles]).astype(np.float32)) @ obs
