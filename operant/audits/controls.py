"""What a subject is compared with where nothing better is at hand: a policy that draws its actions uniformly.

    π₀(a | s) = uniform over the action space (over the actions allowed, where the observation masks some)

It is the reference policy of these audits: it knows nothing of the intent, so what it reaches needs no learning.

Reference: the random agent of Mnih et al. 2015, Human-level control through deep reinforcement learning,
doi:10.1038/nature14236, below which its scores were normalised.
Deviations from the paper: actions are not held for several steps.

>>> from operant.core import Box, Discrete
>>> policy = RandomPolicy(EnvSpec(Box((1,)), Discrete(3), None))
>>> draws = [int(policy(jnp.zeros(1), (), key=jax.random.key(i))[0]) for i in range(20)]
>>> sorted(set(draws))
[0, 1, 2]
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from operant.core import AbstractPolicy, Action, Carry, EnvSpec, Obs
from operant.errors import SpecError
from operant.nn import action_mask


class RandomPolicy(AbstractPolicy):
    """Uniform over a `Discrete` or a bounded `Box`; standard normal where a box has no bounds.

    Raises:
        SpecError: it is called without a key: there is no greedy version of it.
    """

    spec: EnvSpec = eqx.field(static=True)
    """The spaces it acts in."""

    def init_carry(self) -> Carry:
        return ()

    def __call__(self, obs: Obs, carry: Carry, *, key: PRNGKeyArray | None) -> tuple[Action, dict[str, Any], Carry]:
        if key is None:
            raise SpecError(
                "expected key=jax.random.key(…) for RandomPolicy; got None, which asks for the greedy action, and "
                "there is none. Evaluate it with deterministic=False."
            )
        allowed = action_mask(self.spec.obs, obs)
        if allowed is None:
            return self.spec.action.sample(key), {}, carry
        return jax.random.categorical(key, jnp.where(allowed, 0.0, -jnp.inf)), {}, carry
