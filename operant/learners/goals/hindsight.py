"""Hindsight experience replay: whatever was reached was the goal, so every episode succeeds at something.

    (s, a, s', g) → (s, a, s', g'),   g' = achieved(s_k), k uniform from this step to the episode's last

with probability `share`; the reward is asked about the step as it is told then. Around any learner from replay.

Reference: Andrychowicz et al. 2017, Hindsight Experience Replay, 1707.01495 (strategy "future").
Deviations from the paper:
1. A share of each minibatch is told again as it is drawn (0.8: the paper's k = 4 for each step as it was), not stored.
2. SAC takes the place of DDPG by default.
3. Rows that a reward shows (goalGAIL's demonstrations) are half of each minibatch, told again likewise.

>>> from operant.envs.toy import PointMaze
>>> learner = Hindsight(SAC(hidden=(8,), capacity=100))
>>> state = learner.init(PointMaze().spec, key=jax.random.key(0))
>>> learner.policy(state)(jnp.zeros(6), (), key=None)[0].shape
(2,)
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PRNGKeyArray, PyTree

from operant.core import AbstractLearner, Card, EnvSpec, Metrics, RewardFn, Space, Transition
from operant.data.goals import Goals, tell_again
from operant.data.replay import Replay
from operant.errors import SpecError
from operant.learners.off_policy import AbstractDraw, AbstractOffPolicy, OffPolicyPolicy, OffPolicyState
from operant.learners.sac import SAC


class Hindsight(AbstractLearner):
    """Hindsight experience replay (see the module's docstring)."""

    learner: AbstractOffPolicy = SAC()
    """What learns, from replay."""
    goals: Goals = Goals()
    """Where goals stand in the observation, and when one is reached."""
    share: float = 0.8
    """Share of each minibatch that is told again, in [0, 1]."""
    horizon: int = 100
    """Steps that are looked ahead, at most."""
    ends: bool = False
    """Whether reaching the goal ends an episode, so that steps told again end where they reach theirs."""

    card: ClassVar[Card] = Card(
        "Andrychowicz et al. 2017, Hindsight Experience Replay", "1707.01495", "goal-conditioned", ("env",)
    )

    @property
    def rollout(self) -> int:
        return self.learner.rollout

    def __check_init__(self) -> None:
        if isinstance(self.share, int | float) and not 0.0 <= self.share <= 1.0:
            raise SpecError(f"expected Hindsight.share in [0, 1]; got {self.share:g}. Use 0.8, the published one.")
        if self.horizon < 1:
            raise SpecError(f"expected Hindsight.horizon ≥ 1 step; got {self.horizon}. Raise it.")
        if self.learner.n_step != 1:
            raise SpecError(
                f"expected a learner with n_step = 1 in hindsight: a goal told again may be reached within a window; "
                f"got {self.learner.n_step}. Use n_step=1."
            )

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> OffPolicyState:
        self.goals.columns(spec.obs)
        return self.learner.init(spec, key=key)

    def policy(self, state: OffPolicyState) -> OffPolicyPolicy:
        return self.learner.policy(state)

    def update(
        self, state: OffPolicyState, batch: Transition, reward: RewardFn, *, key: PRNGKeyArray
    ) -> tuple[OffPolicyState, Metrics]:
        shown = getattr(reward, "shown", None)
        draw = ToldAgain(state.spec.obs, self.goals, self.share, self.horizon, self.ends, shown)
        return self.learner.update_from(state, batch, reward, draw, key=key)


class ToldAgain(AbstractDraw):
    """Uniform places; a share of what stands there with goals that were reached later."""

    space: Space = eqx.field(static=True)
    goals: Goals
    share: float
    horizon: int = eqx.field(static=True)
    ends: bool = eqx.field(static=True)
    shown: Replay | None = None

    def places(self, replay: Replay, key: PRNGKeyArray, shape: tuple[int, int], steps: int) -> PyTree[Array]:
        keys = jax.random.split(key, 3)
        half = 0 if self.shown is None else shape[1] // 2
        own = replay.places(keys[0], (shape[0], shape[1] - half), steps)
        return (
            own,
            self.shown and self.shown.places(keys[1], (shape[0], half), steps),
            jax.random.split(keys[2], shape[0]),
        )

    def windows(self, replay: Replay, places: Any, steps: int) -> tuple[Transition, Bool[Array, "B n"]]:
        own, shown, key = places
        told = self.tell(replay, own, key)
        if self.shown is None:
            return told
        both = told, self.tell(self.shown, shown, jax.random.fold_in(key, 1))
        mark = lambda drawn, yes: (
            eqx.tree_at(lambda t: t.extras, drawn[0], {"demonstrated": drawn[1] & yes}),
            drawn[1],
        )
        return jax.tree.map(lambda *x: jnp.concatenate(x), mark(both[0], False), mark(both[1], True))

    def tell(self, replay: Replay, place: Any, key: PRNGKeyArray) -> tuple[Transition, Bool[Array, "B 1"]]:
        """The steps at these places, some of them told again."""
        drawn, within = replay.windows(*place, steps=1)
        flat = jax.tree.map(lambda x: x[:, 0], drawn)
        flat = tell_again(self.space, self.goals, self.share, self.horizon, self.ends, replay, place, flat, key)
        return jax.tree.map(lambda x: x[:, None], flat), within
