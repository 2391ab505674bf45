"""Rewards in units of how much returns vary: r / √(Var[R] + ε), R the running discounted return of each environment.

    R ← γ R + r, taken into the moments, then R ← 0 where the episode ended

Source: the reward normalisation of Schulman et al. 2017's reference code, Gymnasium's NormalizeReward, VecNormalize.

>>> scale = ReturnScale.init(1).update(jnp.ones((3, 1)), jnp.zeros((3, 1), bool), 0.5)
>>> scale.returns.tolist()
[1.75]
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from operant.math.running import Moments


class ReturnScale(eqx.Module):
    """Running moments of the discounted return of N environments."""

    returns: Float[Array, " N"]
    moments: Moments

    @staticmethod
    def init(num_envs: int) -> "ReturnScale":
        return ReturnScale(jax.device_put(np.zeros(num_envs, np.float32)), Moments.init(()))

    def update(
        self, reward: Float[Array, "T N"], done: Bool[Array, "T N"], discount: float | Float[Array, ""]
    ) -> "ReturnScale":
        def step(returns: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
            r, ended = now
            returns = discount * returns + r
            return jnp.where(ended, 0.0, returns), returns

        returns, seen = jax.lax.scan(step, self.returns, (reward, done))
        return ReturnScale(returns, self.moments.update(seen, axes=(0, 1)))

    def __call__(self, reward: Array) -> Array:
        """The reward scaled and clipped to ±10."""
        return self.moments.scale(reward)
