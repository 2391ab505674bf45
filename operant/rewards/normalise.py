"""A reward divided by the running standard deviation of its discounted return.

    Gₜ = γ · Gₜ₋₁ · (1 − doneₜ₋₁) + rₜ ,    r' = clip(r / √(Var[G] + ε), ±c)

The mean is not taken away, which would change what is asked for wherever episodes may end early.

Reference: Engstrom et al. 2020, Implementation Matters in Deep Policy Gradients, arXiv 2005.12729 (as in Gymnasium's
NormalizeReward and Stable-Baselines3's VecNormalize).
Deviations from the paper: the statistics take in a whole rollout before it is normalised, where the wrappers normalise
each step by what was seen until then; G restarts after termination and after truncation, where Gymnasium's wrapper
restarts at termination only and a step early (a terminal reward is carried into the next episode); no prior of variance
1 with the weight of 1e-4 samples.
"""

from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from operant.core import AbstractReward, Card, EnvSpec, Metrics, RewardState, Transition
from operant.errors import DataError, SpecError
from operant.math.return_scale import ReturnScale
from operant.rewards._checks import check_number


class NormaliseState(eqx.Module):
    """The wrapped reward's state, and how large its returns have been."""

    reward: RewardState
    returns: ReturnScale


class Normalise(AbstractReward):
    """`clip(r / standard deviation of the discounted return, ±clip)`; zero stays zero, signs stay.

    >>> import jax
    >>> from operant.core import Box
    >>> from operant.rewards.task import Task
    >>> zero, no = jnp.zeros((3, 1)), jnp.zeros((3, 1), bool)
    >>> batch = Transition(zero, zero, jnp.array([[4.0], [0.0], [-4.0]]), no, no, zero, {})
    >>> reward = Normalise(Task(), discount=0.0)
    >>> state = reward.init(EnvSpec(Box((1,)), Box((1,)), None), key=jax.random.key(0))
    >>> state, _ = reward.update(state, batch, key=jax.random.key(0))
    >>> [round(x, 2) for x in reward(state, batch)[:, 0].tolist()]  # √(32/3) = 3.27
    [1.22, 0.0, -1.22]
    """

    reward: AbstractReward
    """The reward to normalise."""
    discount: float = 0.99
    """Discount γ of the return whose spread is measured, in [0, 1]; the learner's."""
    clip: float = 10.0
    """Largest size of a normalised reward (standard deviations); inf: do not clip."""
    epsilon: float = 1e-8
    """Added to the variance (squared reward units)."""

    card: ClassVar[Card] = Card(
        "Engstrom et al. 2020, Implementation Matters in Deep Policy Gradients", "2005.12729", "reward"
    )

    def __check_init__(self):
        check_number("Normalise.discount", self.discount, 0.0, 1.0)
        check_number("Normalise.clip", self.clip, 0.0, float("inf"))
        if isinstance(self.epsilon, int | float) and not self.epsilon > 0:
            raise SpecError(f"expected Normalise.epsilon > 0; got {self.epsilon:g}. Use 1e-8, the published value.")

    @property
    def reads_env_reward(self) -> bool:
        return self.reward.reads_env_reward

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> NormaliseState:
        return NormaliseState(self.reward.init(spec, key=key), ReturnScale.init(spec.num_envs))

    def __call__(self, state: NormaliseState, batch: Transition) -> Float[Array, "*B"]:
        """Normalised reward of any leading axes *B (standard deviations of the return)."""
        return state.returns.moments.scale(self.reward(state.reward, batch), self.clip, self.epsilon)

    def shows(self, state: NormaliseState) -> Any:
        return self.reward.shows(state.reward)

    def update(self, state: NormaliseState, batch: Transition, *, key: PRNGKeyArray) -> tuple[NormaliseState, Metrics]:
        """Take in a rollout (T, N). Logs `normalise/scale`, what rewards are divided by. Raises DataError by shape."""
        done, num_envs = batch.done, state.returns.returns.shape[0]
        if done.ndim != 2 or done.shape[1] != num_envs:
            raise DataError(
                f"expected a rollout (T, N) with N = {num_envs} to normalise rewards by; got shape {done.shape}. "
                "Returns need whole, ordered rollouts of as many environments as `init` was told of (spec.num_envs)."
            )
        inner, metrics = self.reward.update(state.reward, batch, key=key)
        returns = state.returns.update(self.reward(inner, batch), done, self.discount)
        scale = jnp.sqrt(returns.moments.variance + self.epsilon)
        return NormaliseState(inner, returns), metrics | {"normalise/scale": scale}
