"""A reward divided by the running standard deviation of its discounted return.

    Gₜ = γ · Gₜ₋₁ · (1 − doneₜ₋₁) + rₜ ,    r' = clip(r / √(Var[G] + ε), ±c)

The mean is not taken away, which would change what is asked for wherever episodes may end early.

Reference: Engstrom et al. 2020, Implementation Matters in Deep Policy Gradients, arXiv 2005.12729 (as in Gymnasium's
NormalizeReward and Stable-Baselines3's VecNormalize).
Deviations from the paper: the statistics take in a whole rollout before it is normalised, where the wrappers normalise
each step by what was seen until then; G restarts after termination and after truncation, where Gymnasium's wrapper
restarts at termination only and a step early (a terminal reward is carried into the next episode).
"""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from operant.core import AbstractReward, Card, EnvSpec, Metrics, RewardState, Transition
from operant.errors import DataError, SpecError
from operant.math.running import Moments
from operant.rewards._checks import check_number

EPSILON = 1e-8


class ReturnScale(eqx.Module):
    """How large discounted returns have been: one accumulator an environment, and the moments of all of them."""

    returns: Float[Array, " N"]
    moments: Moments

    @property
    def scale(self) -> Float[Array, ""]:
        """√(Var[G] + 1e-8), never zero; what to divide rewards by."""
        return jnp.sqrt(self.moments.variance + EPSILON)


def return_scale_init(num_envs: int) -> ReturnScale:
    """Nothing seen: scale 1, with the weight of 1e-4 samples, as in Gymnasium and Stable-Baselines3."""
    return ReturnScale(jnp.zeros(num_envs), Moments(jnp.zeros(()), jnp.ones(()), jnp.full((), 1e-4, jnp.float32)))


def return_scale_update(
    state: ReturnScale, reward: Float[Array, "T N"], done: Bool[Array, "T N"], discount: float
) -> ReturnScale:
    """Run the accumulators over a rollout, restarting each after `done`, and merge what they held into the moments.

    Raises:
        DataError: `reward` or `done` is not (T, N) with N as at `return_scale_init`.

    >>> state = return_scale_update(return_scale_init(1), jnp.ones((3, 1)), jnp.array([[False], [True], [False]]), 0.5)
    >>> state.returns.tolist(), round(float(state.moments.mean), 3)  # G = 1, 1.5, 1
    ([1.0], 1.167)
    """
    num_envs = state.returns.shape[0]
    for name, x in (("rewards", reward), ("done", done)):
        if x.ndim != 2 or x.shape[1] != num_envs:
            raise DataError(
                f"expected {name} of a rollout (T, N) with N = {num_envs}; got shape {tuple(x.shape)}. Normalising by "
                "returns needs whole, ordered rollouts of the number of environments given to init."
            )

    def step(carried: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        r, ended = now
        total = discount * carried + r
        return jnp.where(ended, 0.0, total), total

    returns, totals = jax.lax.scan(step, state.returns, (jnp.asarray(reward, jnp.float32), done))
    return ReturnScale(returns, state.moments.update(totals, (0, 1)))


class NormaliseState(eqx.Module):
    """The wrapped reward's state, and how large its returns have been."""

    reward: RewardState
    returns: ReturnScale


class Normalise(AbstractReward):
    """`clip(r / standard deviation of the discounted return, ±clip)`; zero stays zero, signs stay.

    >>> from operant.rewards.task import Task
    >>> from operant.core import Box
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
    epsilon: float = EPSILON
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
        return NormaliseState(self.reward.init(spec, key=key), return_scale_init(spec.num_envs))

    def __call__(self, state: NormaliseState, batch: Transition) -> Float[Array, "*B"]:
        """Normalised reward of any leading axes *B (standard deviations of the return)."""
        return state.returns.moments.scale(self.reward(state.reward, batch), self.clip, self.epsilon)

    def update(self, state: NormaliseState, batch: Transition, *, key: PRNGKeyArray) -> tuple[NormaliseState, Metrics]:
        """Take in a rollout (T, N). Logs `normalise/scale`, what rewards are divided by. Raises DataError by shape."""
        inner, metrics = self.reward.update(state.reward, batch, key=key)
        returns = return_scale_update(state.returns, self.reward(inner, batch), batch.done, self.discount)
        return NormaliseState(inner, returns), metrics | {"normalise/scale": returns.scale}
