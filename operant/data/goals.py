"""Goals that stand in the observation: which numbers say what is wished for, which what is so, and how near is there.

    reached ⇔ ‖achieved(s) − goal(s)‖ ≤ radius

Steps can be told again as if something else had been wished for: `towards` writes another goal into an observation, and
`later` finds one that was reached, further on in the same episode.

Reference: Andrychowicz et al. 2017, Hindsight Experience Replay, 1707.01495.

>>> space = Box((4,), names=("x", "y", "goal_x", "goal_y"))
>>> goals, obs = Goals(radius=0.5), jnp.array([1.0, 2.0, 1.0, 4.0])
>>> bool(goals.reached(space, obs)), bool(goals.reached(space, goals.towards(space, obs, goals.achieved(space, obs))))
(False, True)
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from operant.core import Box, Obs, Space, Transition
from operant.data.replay import Replay
from operant.errors import SpecError, nearest


class Goals(eqx.Module):
    """Where goals stand in an observation (see the module's docstring). The default: PointMaze's."""

    wished: tuple[str, ...] = eqx.field(static=True, default=("goal_x", "goal_y"))
    """Names of the numbers that say what is wished for."""
    there: tuple[str, ...] = eqx.field(static=True, default=("x", "y"))
    """Names of those that say what is so, in the same order."""
    radius: float = 0.4
    """Distance at which a goal counts as reached (the observation's units)."""

    def __check_init__(self) -> None:
        if not self.wished or len(self.wished) != len(self.there):
            raise SpecError(
                f"expected as many names in Goals.wished as in Goals.there, at least one; got {len(self.wished)} and "
                f"{len(self.there)}. Name them in pairs."
            )

    def columns(self, space: Space) -> tuple[np.ndarray, np.ndarray]:
        """Where they stand: `(wished, there)`.

        Raises:
            SpecError: observations that are not one row of named numbers, or lack a name.
        """
        if not isinstance(space, Box) or len(space.shape) != 1 or not space.names:
            raise SpecError(
                f"expected for goals observations in one Box of named numbers; got {space}. Give Box(…, names=(…))."
            )
        for name in (*self.wished, *self.there):
            if name not in space.names:
                raise SpecError(f"expected {name!r} in the observation; it has none: {nearest(name, space.names)}")
        index = lambda names: np.array([space.names.index(name) for name in names])
        return index(self.wished), index(self.there)

    def achieved(self, space: Space, obs: Obs) -> Float[Array, "*B g"]:
        """What is so."""
        return obs[..., self.columns(space)[1]]

    def towards(self, space: Space, obs: Obs, goal: Float[Array, "*B g"]) -> Obs:
        """The observation, had this been wished for."""
        return obs.at[..., self.columns(space)[0]].set(goal)

    def reached(self, space: Space, obs: Obs) -> Bool[Array, "*B"]:
        """Whether what is so is what is wished for."""
        wished, there = self.columns(space)
        return jnp.square(obs[..., there] - obs[..., wished]).sum(-1) <= self.radius**2


def later(
    replay: Replay, age: Int[Array, " B"], column: Int[Array, " B"], horizon: int, key: PRNGKeyArray
) -> Float[Array, "B …"]:
    """For each place the observation after a step drawn uniformly from that one to the episode's last, at most
    `horizon` steps in all; what lies beyond the newest row is no part of it."""
    ages = age[:, None] + jnp.broadcast_to(jnp.arange(horizon), (*age.shape, horizon))
    row = lambda ages: (replay.cursor - replay.filled + ages) % replay.rows
    at = replay._at(row(ages), jnp.broadcast_to(column[:, None], ages.shape))
    over = replay.data.terminated[at] | replay.data.truncated[at] | (ages + 1 >= replay.filled)
    steps = jnp.where(over.any(1), over.argmax(1) + 1, horizon)
    ahead = (jax.random.uniform(key, age.shape) * steps).astype(jnp.int32)
    return replay.data.next_obs[replay._at(row(age + ahead), column)]


def tell_again(
    space: Space, goals: Goals, share: float, horizon: int, ends: bool, replay: Replay, place: tuple[Array, Array],
    drawn: Transition, key: PRNGKeyArray,
) -> Transition:  # fmt: skip
    """Steps (B,) drawn from a replay, a share of them as if something reached later had been wished for."""
    which_key, later_key = jax.random.split(key)
    goal = goals.achieved(space, later(replay, *place, horizon, later_key))
    again = jax.random.uniform(which_key, place[0].shape) < share
    choose = lambda obs: jnp.where(again[:, None], goals.towards(space, obs, goal), obs)
    obs, next_obs = choose(drawn.obs), choose(drawn.next_obs)
    ended = jnp.where(again, goals.reached(space, next_obs), drawn.terminated) if ends else drawn.terminated
    return eqx.tree_at(lambda t: (t.obs, t.next_obs, t.terminated), drawn, (obs, next_obs, ended))
