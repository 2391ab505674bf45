"""A point that reaches for a goal, seen as numbers or as a noisy picture; who shows it, and other views of it.

Behaviour is scripted and made in NumPy: a seed's demonstrations cost nothing, and every seed has its own.
"""

import dataclasses
import time
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from operant import nn
from operant.claims._samples import AbstractSample, Bench, Figures, plain_fields
from operant.core import AbstractEnv, AbstractLearner, Box, Card, EnvSpec, Intent, Metrics, RewardFn, Transition
from operant.data.dataset import Dataset
from operant.data.observed import mean_over
from operant.learners._density import density
from operant.learners.imitation._pretraining import (
    PretrainedState,
    Rows,
    ViewPolicy,
    act,
    advance,
    begin,
    on_view,
    view,
)
from operant.loops.fit import fit
from operant.loops.rollout import evaluate
from operant.rewards.task import Task

STEP = 0.1
"""How far the point moves at full action."""


class Reaching(AbstractEnv):
    """p ← clip(p + 0.1 a + wind), reward −‖p − goal‖; the goal is not seen. Inner: p, background, what flickers."""

    goal: tuple[float, ...] = (0.5, 0.5)
    """Where to go, in [−1, 1]ⁿ."""
    options: tuple[tuple[float, ...], ...] = ()
    """Goals of which each episode draws one, and shows its number (one-hot, after p); none: always `goal`."""
    pixels: int = 0
    """Numbers of the picture; 0: p itself is seen."""
    background: int = 0
    """Numbers that wander by themselves and are in the picture."""
    flicker: int = 0
    """Numbers drawn anew every step that are in the picture, as light is."""
    noise: float = 0.0
    """Standard deviation of each pixel's own noise."""
    wind: float = 0.0
    """Standard deviation of what moves the point besides the action."""
    max_steps: int = 25

    @property
    def spec(self) -> EnvSpec:
        n = len(self.goal)
        seen = self.pixels or n + len(self.options)
        return EnvSpec(Box((seen,)), Box((n,), -1.0, 1.0), self.max_steps, name="reaching")

    def initial(self, *, key: PRNGKeyArray) -> Float[Array, " i"]:
        keys = jax.random.split(key, 4)
        p = jax.random.uniform(keys[0], (len(self.goal),), minval=-1.0, maxval=1.0)
        rest = [jax.random.normal(k, (m,)) for k, m in ((keys[1], self.background), (keys[2], self._fresh))]
        if self.options:
            rest.append(jax.nn.one_hot(jax.random.randint(keys[3], (), 0, len(self.options)), len(self.options)))
        return jnp.concatenate([p, *rest])

    def advance(self, inner: Array, action: Array, *, key: PRNGKeyArray) -> Any:
        n, m = len(self.goal), self.background
        draw = jax.random.normal(key, (n + m + self._fresh,))
        p = jnp.clip(inner[:n] + STEP * jnp.clip(action, -1.0, 1.0) + self.wind * draw[:n], -1.0, 1.0)
        b = 0.9 * inner[n : n + m] + np.sqrt(1 - 0.81) * draw[n : n + m]
        which = inner[n + m + self._fresh :]
        goal = which @ jnp.asarray(self.options) if self.options else jnp.asarray(self.goal)
        reward = -jnp.sqrt(jnp.square(p - goal).sum() + 1e-12)
        return jnp.concatenate([p, b, draw[n + m :], which]), reward, jnp.zeros((), bool)

    def observe(self, inner: Array) -> Float[Array, " o"]:
        if not self.pixels:
            return inner  # nothing but p, and the number of the goal
        known = len(self.goal) + self.background + self.flicker
        return jnp.asarray(picture(inner[None, :known], self, jnp))[0] + self.noise * inner[known : known + self.pixels]

    @property
    def _fresh(self) -> int:
        return self.flicker + self.pixels


def picture(x: Any, env: Reaching, xp: Any) -> Any:
    """What hidden numbers (N, k) look like: a fixed random network of one hidden layer."""
    rng, n = np.random.default_rng(7), len(env.goal)
    k = n + env.background + env.flicker
    first = rng.standard_normal((k, 128)).astype(np.float32) / np.sqrt(k)
    first[:n] *= 2.0 * np.sqrt(k / n)  # the point is a small part of what is seen, but not a hidden one
    second = (rng.standard_normal((128, env.pixels)) / np.sqrt(128)).astype(np.float32)
    return xp.tanh(x @ first) @ second * 2.0


def shown(env: Reaching, goals: np.ndarray, rng: np.random.Generator, *, spread: float = 0.2) -> Dataset:
    """One episode for each goal (E, n): towards it at full speed, then there, with actions a little off.

    Extras "task": the number of the episode's goal among the different ones.
    """
    n, m = len(env.goal), env.background
    size = len(goals)
    p, b = rng.uniform(-1, 1, (size, n)), rng.standard_normal((size, m))
    draw = lambda: rng.standard_normal((size, env._fresh))
    fresh, seen, done = draw(), [], []
    apart = [np.abs(goals - np.asarray(option)[None]).sum(1) for option in env.options]
    shown_goal = np.eye(len(apart))[np.argmin(apart, 0)] if apart else np.zeros((size, 0))

    def look() -> np.ndarray:
        if not env.pixels:
            return np.concatenate([p, shown_goal], 1).astype(np.float32)
        hidden = np.concatenate([p, b, fresh[:, : env.flicker]], 1).astype(np.float32)
        return (picture(hidden, env, np) + env.noise * fresh[:, env.flicker :]).astype(np.float32)

    seen.append(look())
    for _ in range(env.max_steps):
        a = np.clip(np.clip(5.0 * (goals - p), -1, 1) + spread * rng.standard_normal((size, n)), -1, 1)
        done.append(a.astype(np.float32))
        p = np.clip(p + STEP * a + env.wind * rng.standard_normal((size, n)), -1, 1)
        b = 0.9 * b + np.sqrt(1 - 0.81) * rng.standard_normal((size, m))
        fresh = draw()
        seen.append(look())
    flat = lambda x: np.swapaxes(np.stack(x), 0, 1).reshape(-1, np.shape(x)[-1])
    steps = size * env.max_steps
    task = np.repeat(np.unique(goals, axis=0, return_inverse=True)[1].reshape(-1), env.max_steps)
    return Dataset.from_numpy(
        env.spec, obs=flat(seen[:-1]), action=flat(done), reward=np.zeros(steps), next_obs=flat(seen[1:]),
        terminated=np.zeros(steps, bool), truncated=np.arange(steps) % env.max_steps == env.max_steps - 1,
        extras={"task": task.astype(np.int32)}, origin="scripted here",
    )  # fmt: skip


# --- other views ----------------------------------------------------------------------------------------------------

Pretext = Literal["random", "autoencoder", "cloning", "forward", "contrastive"]


class OtherView(AbstractLearner):
    """Cloning on a view that was learned by something else: what papers on views compare with."""

    pretext: Pretext = "random"
    """"random": as drawn; "autoencoder": what is seen, from φ; "cloning": the action, from φ(s), whoever acts;
    "forward": φ(s') as seen, from φ(s) and the action; "contrastive": which s' followed s."""
    pretraining_steps: int = 5_000
    features: int = 64
    encoder: tuple[int, ...] = (256,)
    hidden: tuple[int, ...] = (256, 256)
    lr: float = 3e-4
    batch: int = 256

    rollout: ClassVar[int] = 1
    card: ClassVar[Card] = Card("views to compare with", "", "imitation", ("dataset",))

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> PretrainedState:
        rng = nn.generator(key)
        seen = view(rng, spec.obs, (*self.encoder, self.features), "relu")
        wide, d = seen.encoder.size, self.features
        made: Any = ()
        if self.pretext == "autoencoder":
            made = nn.mlp(rng, (d, *self.hidden, wide), activation="relu")
        elif self.pretext == "forward":
            made = nn.mlp(rng, (d + nn.action_size(spec.action), *self.hidden, wide), activation="relu")
        elif self.pretext == "contrastive":
            made = nn.mlp(rng, (d, *self.hidden, d), activation="relu")
        elif self.pretext == "cloning":
            made = density(rng, on_view(spec, d), self.hidden, "relu")
        return begin(rng, spec, (seen, made), self.hidden, "relu", ("loss/view",))

    def policy(self, state: PretrainedState) -> ViewPolicy:
        return act(state)

    def update(
        self, state: PretrainedState, batch: Transition, reward: RewardFn, *, key: PRNGKeyArray
    ) -> tuple[PretrainedState, Metrics]:
        return advance(state, batch, self._loss, self.pretraining_steps, self.lr)

    def _loss(self, parts: Any, rows: Rows) -> tuple[Array, dict[str, Any]]:
        phi, made = parts
        before = jax.vmap(phi)(rows.obs)
        n = before.shape[0]
        match self.pretext:
            case "random":
                loss = 0.0 * before.sum()
            case "autoencoder":
                loss = jnp.square(jax.vmap(made)(before) - jax.vmap(phi.encoder)(rows.obs)).mean()
            case "forward":
                said = jax.vmap(made)(jnp.concatenate([before, rows.choice.reshape(n, -1)], axis=1))
                loss = jnp.square(said - jax.vmap(phi.encoder)(rows.after)).mean()
            case "contrastive":
                scores = jax.vmap(made)(before) @ jax.vmap(phi)(rows.after).T / np.sqrt(before.shape[1])
                loss = -jnp.diagonal(jax.nn.log_softmax(scores, axis=1)).mean()
            case _:
                dist = jax.vmap(made.distribution)(before, before)
                loss = -mean_over(rows.labelled, dist.log_prob(rows.choice))
        return loss, {"loss/view": loss}


# --- samples and figures --------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Shared(AbstractSample):
    """Learn from stored data and take a figure; so many seeds share each draw of the data, and what is compiled."""

    learner: AbstractLearner
    data: Callable[[int], Dataset]
    words: str
    """What the data are."""
    figure: Any
    """`figure(run, key)`, one number a seed, with `words`."""
    share: int = 3
    """Seeds a draw."""
    steps: int | None = None
    """Updates, where they are not the claim's."""

    def plain(self) -> dict[str, Any]:
        plain = {"learner": plain_fields(self.learner), "data": self.words, "figure": self.figure.words}
        return {**plain, "share": self.share} | ({} if self.steps is None else {"steps": self.steps})

    def figures(self, bench: Bench) -> Figures:
        values, began = [], time.perf_counter()
        for i in range(-(-bench.seeds // self.share)):
            fit_key, figure_key = jax.random.split(jax.random.fold_in(bench.key, i))
            run = fit(
                self.learner, self.data(i), Intent(Task()), steps=self.steps or bench.steps, key=fit_key,
                seeds=min(self.share, bench.seeds - i * self.share), recorder=bench.recorder, throw=False,
            )  # fmt: skip
            values.append(self.figure(run, figure_key))
        return Figures(np.concatenate(values), time.perf_counter() - began)


@dataclasses.dataclass(frozen=True)
class Miss:
    """How far the point is from the goal at the end."""

    env: Reaching
    episodes: int = 50

    @property
    def words(self) -> str:
        return f"mean distance to the goal at the end of {self.episodes} greedy episodes"

    def __call__(self, run: Any, key: PRNGKeyArray) -> np.ndarray:
        keys = jax.random.split(key, run.seeds)
        found = [
            evaluate(p, self.env, episodes=self.episodes, key=k) for p, k in zip(run.policies(), keys, strict=True)
        ]
        return np.array([-float(np.asarray(e.transitions.reward)[:, -1].mean()) for e in found])
