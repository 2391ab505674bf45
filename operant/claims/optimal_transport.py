"""Optimal transport's claim: a whole episode has to be like a demonstration, not each step like some step of it.

Reference: Papagiannis and Li 2020, 2008.09167; Haldar et al. 2022, 2206.15469.
"""

from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from operant.claims import Claim
from operant.claims._errand import Errand, Imitated, shown
from operant.claims._samples import LastEpisodes
from operant.claims._tests import Better
from operant.core import AbstractLearner, EnvSpec, Metrics, Transition
from operant.data.dataset import Dataset
from operant.learners.dqn import DQN
from operant.learners.imitation.ads import ADS
from operant.math.schedules import Linear
from operant.rewards.imitation import AbstractImitation
from operant.rewards.imitation._shown import Shown
from operant.rewards.imitation.optimal_transport import OptimalTransport

ENV = Errand(grasp=1)
_DEMOS = "3 episodes of a scripted walk to the parcel, then with it to the goal, idling one step in ten"
_FIGURE = LastEpisodes(0.5)


class Nearest(AbstractImitation):
    """−min_j c_tj: each step by itself, beside the nearest step of any demonstration; scaled as the transport's."""

    total: float = 10.0
    """What the first rollout's episodes cost on average."""

    def init(self, spec: EnvSpec, demos: Dataset, *, key: PRNGKeyArray) -> Any:
        return Shown.of(demos, spec, "Nearest"), jax.device_put(np.zeros((), np.float32))

    def __call__(self, state: Any, batch: Transition) -> Float[Array, "T N"]:
        return -state[1] * self._far(state, batch)

    def update(self, state: Any, batch: Transition, *, key: PRNGKeyArray) -> tuple[Any, Metrics]:
        cost = self._far(state, batch).sum(0).mean()
        scale = jax.lax.select(state[1] > 0.0, state[1], self.total / cost)
        return (state[0], scale), {"imitation/distance": cost}

    def _far(self, state: Any, batch: Transition) -> Float[Array, "T N"]:
        return state[0].costs(batch, "euclidean").min((1, 3)).T


def demonstrations() -> Dataset:
    return shown(ENV, 3, seed=0)


def learner(source: str) -> AbstractLearner:
    inner = DQN(
        rollout=ENV.max_steps, gradient_steps=40, hidden=(32, 32), learning_starts=640,
        epsilon=Linear(1.0, 0.05, 8_000.0), lr=1e-3, discount=0.95, normalise_obs=True, capacity=16_000,
    )  # fmt: skip
    return ADS(inner, source, scheduled=False)


CLAIMS = (
    Claim(
        name="whole-episodes",
        tier="quick",
        statement="Paid by optimal transport, an agent learns from observations alone to do all that was shown; paid "
        "by how near each step is to some step of a demonstration, it may do any one thing of it for ever.",
        source="2008.09167, section 3; 2206.15469, section 3.1",
        baseline="the same learner, paid −min_j c_tj",
        problem="a corridor of 15 cells: start 5, a parcel in 0 that is picked up by staying there, goal 14; 40 steps",
        figure=_FIGURE.words,
        steps=16_000,
        seeds=8,
        test=Better(),
        subject=Imitated(learner, ENV, demonstrations, _DEMOS, OptimalTransport(iterations=50), _FIGURE),
        control=Imitated(learner, ENV, demonstrations, _DEMOS, Nearest(), _FIGURE),
        note="The return of an episode is whether it brought the parcel to the goal.",
    ),
)
