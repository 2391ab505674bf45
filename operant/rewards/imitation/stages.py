"""Perceptual stage rewards: find a task's steps in a few demonstrations, and pay for looking like the later ones.

    split:    of each demonstration into n stages: min over cuts of the mean over stages of (mean_i std of feature i)
    choose:   z_i = α |μ⁺_i − μ⁻_i| − (σ⁺_i + σ⁻_i) for each stage; the `top` features of largest z are kept
    judge:    R_g = exp(−½ mean_i ((x_i − μ⁺_i)/σ⁺_i)²), or σ(w · x + b), of the features kept
    pay:      r = Σ_g 2^(g−1) R_g / Σ_g 2^(g−1),   g = 2 … n        so that a later stage outweighs all before it

with ⁺ the frames of a stage in all demonstrations, ⁻ all others, and x the features of what a step led to, standardised
over the demonstrations. No action is looked at. Features are what the observation holds, or what `features` makes of
it: a network trained for something else is what the paper has.

Reference: Sermanet, Xu, Levine 2017, Unsupervised Perceptual Rewards for Imitation Learning, 1612.06699: algorithm 1
(split), equations 1 (choose) and 2 (judge), α = 5, top = 32.
Deviations from the paper:
1. The cuts are found by dynamic programming, whose answer is that of the paper's recursion over all of them.
2. R_g is the exponential of the paper's averaged log-probability, and so in (0, 1]: the sum stays within [0, 1],
   whatever is seen. σ is floored at `floor`: what never varied in a stage would otherwise forbid all else. What never
   varied at all is chosen last, though its z is 0.
3. How stages are weighed is from memory of the paper's appendix (2^(g−1), without the first), divided by its maximum.

>>> bumps = np.array([0.0, 0.1, 0.0, 5.0, 5.1, 9.0, 9.0, 9.1])[:, None]
>>> cuts(bumps, 3, 1)
(3, 5)
"""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from operant import nn
from operant.core import Card, EnvSpec, Metrics, Obs, Transition
from operant.data.dataset import Dataset
from operant.errors import DataError, SpecError
from operant.rewards.imitation import AbstractImitation


class StagesState(eqx.Module):
    """What the demonstrations taught: of every stage but the first (G = n − 1), d features, `top` of them kept."""

    encoder: nn.Encoder
    mean: Float[Array, " d"]
    scale: Float[Array, " d"]
    kept: Float[Array, "G d"]
    """1 for the features of a stage, 0 for the others."""
    centre: Float[Array, "G d"]
    """μ⁺, or w of the logistic classifier."""
    width: Float[Array, "G d"]
    """σ⁺; 1 of the logistic classifier."""
    offset: Float[Array, " G"]
    """b of the logistic classifier; 0."""


class Stages(AbstractImitation):
    """Perceptual stage rewards (see the module's docstring)."""

    stages: int = 3
    """n: steps of the task, the beginning included."""
    shortest: int = 2
    """Least frames of a stage."""
    top: int = 32
    """Features kept of each stage, the most discriminative; at most what there is."""
    alpha: float = 5.0
    """α: how much a distance of means counts, against the spread (both in standard deviations)."""
    floor: float = 0.1
    """Least σ⁺ (standard deviations of the feature over the demonstrations)."""
    judge: Literal["gaussian", "logistic"] = eqx.field(static=True, default="gaussian")
    """How a frame is judged to be of a stage."""
    by_length: bool = False
    """Whether a stage counts by its frames where demonstrations are split; the paper's algorithm counts each once,
    however short."""
    features: Callable[..., Any] | None = eqx.field(static=True, default=None)
    """A function of one observation: its features (d,); None: what it holds."""

    card: ClassVar[Card] = Card(
        "Sermanet, Xu, Levine 2017, Unsupervised Perceptual Rewards for Imitation Learning", "1612.06699", "imitation"
    )

    def __check_init__(self) -> None:
        for name, least in (("stages", 2), ("shortest", 1), ("top", 1)):
            if getattr(self, name) < least:
                raise SpecError(f"expected Stages.{name} ≥ {least}; got {getattr(self, name)}. Raise it.")
        if isinstance(self.floor, int | float) and self.floor <= 0.0:
            raise SpecError(f"expected Stages.floor > 0; got {self.floor:g}. A stage of no width is never entered.")
        if self.judge not in ("gaussian", "logistic"):
            raise SpecError(
                f"expected Stages.judge to be gaussian or logistic; got {self.judge!r}. Choose one of them."
            )

    def init(self, spec: EnvSpec, demos: Dataset, *, key: PRNGKeyArray) -> StagesState:
        encoder = nn.encoder(nn.generator(key), spec.obs)
        see = lambda obs: np.asarray(jax.vmap(lambda o: self._look(encoder, o))(obs), np.float64)
        seen, after, episode = see(demos.data.obs), see(demos.data.next_obs), np.asarray(demos.episode)
        tracks = []
        for i in range(demos.episodes):
            rows = np.flatnonzero(episode == i)
            tracks.append(np.concatenate([seen[rows], after[rows[-1:]]]))
        if min(map(len, tracks)) < self.stages * self.shortest:
            raise DataError(
                f"expected demonstrations of at least stages × shortest = {self.stages * self.shortest} frames; the "
                f"shortest has {min(map(len, tracks))}. Ask for fewer stages, or show more."
            )
        whole = np.concatenate(tracks)
        mean, scale = whole.mean(0), whole.std(0)
        scale = np.where(scale > 1e-6, scale, 1.0)
        tracks = [(x - mean) / scale for x in tracks]
        labels = np.concatenate([stage_of(len(x), cuts(x, self.stages, self.shortest, self.by_length)) for x in tracks])
        fitted = [self._fit(np.concatenate(tracks), labels == g) for g in range(1, self.stages)]
        put = lambda x: jax.device_put(np.asarray(x, np.float32))
        return StagesState(encoder, put(mean), put(scale), *(put(np.stack(part)) for part in zip(*fitted, strict=True)))

    def __call__(self, state: StagesState, batch: Transition) -> Float[Array, "*B"]:
        lead = batch.terminated.shape
        each = jax.vmap(lambda o: self.probabilities(state, o))(nn.merge_axes(batch.next_obs, len(lead)))
        weight = 2.0 ** jnp.arange(1, self.stages)
        return (each @ (weight / weight.sum())).reshape(lead)

    def update(self, state: StagesState, batch: Transition, *, key: PRNGKeyArray) -> tuple[StagesState, Metrics]:
        return state, {}

    def probabilities(self, state: StagesState, obs: Obs) -> Float[Array, " G"]:
        """R_g of one observation, for every stage but the first."""
        x = (self._look(state.encoder, obs) - state.mean) / state.scale
        x = jnp.broadcast_to(x[None], state.kept.shape)
        if self.judge == "logistic":
            return jax.nn.sigmoid((state.kept * state.centre * x).sum(1) + state.offset)
        off = state.kept * jnp.square((x - state.centre) / state.width)
        return jnp.exp(-0.5 * off.sum(1) / state.kept.sum(1))

    def _look(self, encoder: nn.Encoder, obs: Obs) -> Float[Array, " d"]:
        return encoder(obs) if self.features is None else jnp.ravel(self.features(obs)).astype(jnp.float32)

    def _fit(self, x: np.ndarray, mine: np.ndarray) -> tuple[np.ndarray, ...]:
        """(kept, centre, width, offset) of the stage whose frames are `mine`."""
        kept = chosen(x, mine, self.alpha, self.top)
        if self.judge == "gaussian":
            return kept, x[mine].mean(0), np.maximum(x[mine].std(0), self.floor), np.zeros(())
        w, b = logistic(x * kept, mine)
        return kept, w, np.ones_like(w), b


def cuts(track: np.ndarray, stages: int, shortest: int, by_length: bool = False) -> tuple[int, ...]:
    """Where the second and later stages of a trajectory (T, d) begin: the cuts with the least mean of spreads.

    The spread of a stage is the standard deviation of its frames, averaged over the features; `by_length`: times how
    many they are.
    """
    length = len(track)
    spread = np.full((length + 1, length + 1), np.inf)
    sums, squares = (np.concatenate([np.zeros_like(x[:1]), np.cumsum(x, 0)]) for x in (track, np.square(track)))
    for start in range(length - shortest + 1):
        ends = np.arange(start + shortest, length + 1)
        n = (ends - start)[:, None]
        mean = (sums[ends] - sums[start][None]) / n
        variance = (squares[ends] - squares[start][None]) / n - np.square(mean)
        spread[start, ends] = np.sqrt(np.maximum(variance, 0.0)).mean(1) * (n[:, 0] if by_length else 1)
    best, came = spread[0], []  # best[e]: least sum of spreads of what lies before e, in so many stages
    for _ in range(stages - 1):
        total = best[:, None] + spread
        came.append(total.argmin(0))
        best = total.min(0)
    end, found = length, []
    for froms in reversed(came):
        end = int(froms[end])
        found.append(end)
    return tuple(reversed(found))


def stage_of(length: int, starts: tuple[int, ...]) -> np.ndarray:
    """The stage 0 … n − 1 of each frame."""
    return np.searchsorted(np.asarray(starts), np.arange(length), side="right")


def chosen(x: np.ndarray, mine: np.ndarray, alpha: float, top: int) -> np.ndarray:
    """1.0 for the `top` features (of d) with the largest z, 0.0 for the others."""
    score = alpha * np.abs(x[mine].mean(0) - x[~mine].mean(0)) - (x[mine].std(0) + x[~mine].std(0))
    score = np.where(x.std(0) > 0.0, score, -np.inf)  # what never varies has z = 0, more than what varies much
    kept = np.zeros(x.shape[1])
    kept[np.argsort(-score, kind="stable")[:top]] = 1.0
    return kept


def logistic(x: np.ndarray, mine: np.ndarray, ridge: float = 1e-2, steps: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """(w, b) of the ridge-regularised logistic classifier, both kinds of frames weighing alike: Newton's method."""
    full = np.column_stack([x, np.ones(len(x))])
    weight = np.where(mine, 0.5 / mine.sum(), 0.5 / (~mine).sum())
    keep = ridge * np.eye(full.shape[1])
    keep[-1, -1] = 1e-6
    theta = np.zeros(full.shape[1])
    for _ in range(steps):
        p = 1.0 / (1.0 + np.exp(-np.clip(full @ theta, -30.0, 30.0)))
        gradient = full.T @ (weight * (p - mine)) + keep @ theta
        curvature = (full * (weight * p * (1.0 - p))[:, None]).T @ full + keep
        theta = theta - np.linalg.solve(curvature, gradient)
    return theta[:-1], theta[-1]
