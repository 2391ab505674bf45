"""One number that a policy computes from an observation, as a function that can be differentiated where that is so."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from operant.core import AbstractEnv, AbstractPolicy, Box, Carry, Discrete
from operant.errors import DataError, SpecError
from operant.learners._density import DensityPolicy
from operant.learners.ppo import ActorCriticPolicy

Function = Callable[[Float[Array, " d"]], Float[Array, ""]]


def output_of(
    policy: AbstractPolicy, obs: Any, *, action: int | None = None, element: int = 0, carry: Carry | None = None
) -> tuple[Function, Float[np.ndarray, " d"], tuple[str, ...]]:
    """What is explained of a policy: `(function of a flat observation, the observation, names of its elements)`.

    Box actions: an element of the greedy action (units of the action). Discrete actions: the log-probability of one
    (nats), where the policy is a distribution; else 1 where it is the greedy choice and 0 elsewhere, which has no
    gradients.

    Args:
        obs: one observation, a Box of floats.
        action: which discrete action; None: the greedy one at `obs`.
        element: which element of a Box action.
        carry: the memory it is asked with; None: that of an episode's start.

    Raises:
        SpecError: observations that are no Box of floats; an action or element that is not there.
        DataError: an observation whose shape does not fit, or that is not finite.
    """
    space, actions = policy.spec.obs, policy.spec.action
    if not isinstance(space, Box) or not space.dtype.startswith("float"):
        raise SpecError(
            f"expected observations that are a Box of floats, whose elements can be told apart; got {space}. Explain a "
            "function of a flat vector with LocalApproximation()(function, x)."
        )
    x = np.asarray(obs, np.float64)
    if x.shape != space.shape or not np.isfinite(x).all():
        raise DataError(
            f"expected one finite observation of shape {space.shape}; got shape {x.shape}"
            f"{'' if np.isfinite(x).all() else ' with NaN or infinity'}. Give a single observation of the policy's."
        )
    memory = policy.init_carry() if carry is None else carry
    act = lambda v: policy(v.reshape(space.shape).astype(space.dtype), memory, key=None)[0]
    names = space.names or tuple(str(i) for i in range(space.size))
    flat = x.reshape(-1)
    if isinstance(actions, Box):
        if not 0 <= element < actions.size:
            raise SpecError(f"expected 0 ≤ element < {actions.size}, the action's size; got {element}.")
        return (lambda v: jnp.ravel(act(v))[element]), flat, names
    chosen = int(jax.jit(act)(jnp.asarray(flat))) if action is None else action
    return _log_prob(policy, actions, chosen, space, memory) or _choice(act, chosen), flat, names


def policy_table(policy: AbstractPolicy, env: AbstractEnv) -> Float[np.ndarray, "S A"]:
    """π(a | s) in every state of an environment with tables; greedy where a policy is no distribution.

    Raises:
        SpecError: an environment without tables, actions that are not discrete, or observations that are no Box.
    """
    if not hasattr(env, "tables") or not isinstance(policy.spec.action, Discrete):
        raise SpecError(
            f"expected an environment with tables and discrete actions; got {type(env).__name__} and "
            f"{policy.spec.action}. A GridWorld, or a TabularMDP's as_env()."
        )
    S, A = env.tables()[0].shape[:2]  # type: ignore[attr-defined]
    obs = np.asarray(jax.vmap(env.observe)(jnp.arange(S)), np.float32)
    functions = [output_of(policy, obs[0], action=a)[0] for a in range(A)]
    known = isinstance(policy, DensityPolicy | ActorCriticPolicy)
    flat = jnp.asarray(obs.reshape(S, -1))
    found = np.stack([np.asarray(jax.vmap(f)(flat), np.float64) for f in functions], 1)
    found = np.exp(found) if known else found
    return found / found.sum(1, keepdims=True)


def _choice(act: Callable[[Array], Array], chosen: int) -> Function:
    return lambda v: (act(v) == chosen).astype(jnp.float32)


def _log_prob(policy: AbstractPolicy, actions: Discrete, chosen: int, space: Box, carry: Carry) -> Function | None:
    """log π(a | s) of policies whose distribution is known; None for others."""
    if not 0 <= chosen < actions.n:
        raise SpecError(f"expected 0 ≤ action < {actions.n}; got {chosen}.")
    shaped = lambda v: v.reshape(space.shape).astype(space.dtype)
    if isinstance(policy, DensityPolicy):

        def density(v: Array) -> Array:
            raw = shaped(v)
            seen = raw if policy.normaliser is None else policy.normaliser(raw)
            return policy.network.distribution(seen, raw, policy.context).log_prob(jnp.asarray(chosen))

        return density
    if isinstance(policy, ActorCriticPolicy):

        def actor(v: Array) -> Array:
            return policy.distribution(shaped(v), carry).log_prob(jnp.asarray(chosen))

        return actor
    return None
