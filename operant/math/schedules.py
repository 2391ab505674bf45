"""Numbers that change while training: called with the environment steps done so far, summed over environments.

Environment steps, not a fraction of training: a learner counts the steps it has learned from but does not know how
many are to come, and a run that is resumed for longer must not change what it already did. For "over the whole run"
give the steps that `train` is given.

>>> float(Linear(1.0, 0.5, 1000.0)(jnp.array(500)))
0.75
"""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from operant.errors import SpecError


class AbstractSchedule(eqx.Module):
    """Environment steps done, to a number."""

    @abc.abstractmethod
    def __call__(self, t: Int[Array, ""] | int) -> Float[Array, ""]:
        """The value after `t` environment steps."""


class Constant(AbstractSchedule):
    """The same number throughout."""

    value: float
    """The value."""

    def __call__(self, t: Int[Array, ""] | int) -> Float[Array, ""]:
        return jnp.asarray(self.value, jnp.float32)


class Linear(AbstractSchedule):
    """From `start` to `end` in a straight line over `steps`, then `end`."""

    start: float
    """Value at step 0."""
    end: float
    """Value from `steps` on."""
    steps: float
    """Environment steps the way takes (env steps, summed over environments), more than 0."""

    def __check_init__(self) -> None:
        if isinstance(self.steps, int | float) and not self.steps > 0:
            raise SpecError(f"expected Linear.steps > 0; got {self.steps}. Use Constant for a number that stays.")

    def __call__(self, t: Int[Array, ""] | int) -> Float[Array, ""]:
        progress = jnp.clip(jnp.asarray(t, jnp.float32) / self.steps, 0.0, 1.0)
        return self.start + (self.end - self.start) * progress
