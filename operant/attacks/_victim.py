"""What attacks need of the policy they attack: the numbers it sees as one vector, and its distribution of actions.

    divergence(p, q) = KL(p ‖ q)            p at the true observation, q at the one shown
    surprise(p, q)   = −log q(mode of p)

A policy with continuous actions and no distribution of its own is taken for a normal of unit variance about its action
(in units of the box: −1 and 1 are its bounds), so that both are half the squared difference of actions, the second up
to a constant. A squashed normal is compared before tanh, which leaves KL as it is and gradients alive.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from operant import nn
from operant.core import AbstractPolicy, Box, Carry, Composite, Obs, Space
from operant.dists import AbstractDistribution, Categorical, Mixture, Normal, TanhNormal
from operant.errors import SpecError
from operant.learners.actors.categorical import SoftCategoricalParams
from operant.learners.actors.greedy import Greedy
from operant.learners.actors.squashed_gaussian import SquashedGaussianParams
from operant.learners.off_policy import OffPolicyPolicy
from operant.learners.ppo import ActorCriticPolicy


class Numbers:
    """The floating-point numbers of an observation, action masks left out, as one vector and back.

    >>> numbers = Numbers(Composite((("a", Box((2,))), ("action_mask", Box((3,), 0.0, 1.0)))))
    >>> numbers.names, numbers.size
    (('a',), 2)

    Raises:
        SpecError: there are none.
    """

    def __init__(self, space: Space):
        self.space = space
        float32 = lambda s: isinstance(s, Box) and s.dtype == "float32"
        if isinstance(space, Composite):
            self.names = tuple(n for n, s in space.spaces if float32(s) and n != "action_mask")
            shapes = {n: s.shape for n, s in space.spaces if n in self.names and isinstance(s, Box)}
        else:
            self.names = ("",) if float32(space) else ()
            shapes = {n: space.shape for n in self.names if isinstance(space, Box)}
        if not self.names:
            raise SpecError(
                f"expected observations with float32 numbers to perturb; {space} has none. Integers and bytes have no "
                "small changes: perturb actions or dynamics instead (Delay, ActionNoise, Dynamics)."
            )
        self.shapes = shapes
        self.size = sum(int(np.prod(shapes[n])) for n in self.names)

    def _parts(self, obs: Obs) -> list[Any]:
        return [obs[n] for n in self.names] if isinstance(self.space, Composite) else [obs]

    def flat(self, obs: Obs) -> Float[Array, " n"]:
        return jnp.concatenate([jnp.ravel(x).astype(jnp.float32) for x in self._parts(obs)])

    def back(self, obs: Obs, numbers: Any) -> Obs:
        """`obs` with these numbers (n,) in place of its own."""
        ends = np.cumsum([int(np.prod(self.shapes[n])) for n in self.names])[:-1].tolist()
        split = (np if isinstance(numbers, np.ndarray) else jnp).split
        parts = {n: x.reshape(self.shapes[n]) for n, x in zip(self.names, split(numbers, ends), strict=True)}
        return obs | parts if isinstance(self.space, Composite) else parts[""]

    def rows(self, obs: Obs, mask: np.ndarray) -> np.ndarray:
        """The numbers (steps, n) of batched observations (episodes, T, …) where the mask is set."""
        parts = [np.asarray(x, np.float64)[mask] for x in self._parts(obs)]
        return np.concatenate([x.reshape(len(x), -1) for x in parts], axis=1)


def distribution(policy: AbstractPolicy, obs: Obs, carry: Carry) -> AbstractDistribution:
    """π(· | s) of one observation, differentiable: a Categorical, a Normal or a TanhNormal, in units of the box.

    A policy of your own may have a method `distribution(obs)` that gives one of these. DQN's is the softmax of its
    values, as Huang et al. 2017 take it; a mixture of normals becomes a normal of unit variance about its mean.

    Raises:
        SpecError: discrete actions, and no distribution to be had: nothing to differentiate.
    """
    space = policy.spec.action
    if isinstance(policy, ActorCriticPolicy):  # it may have memory
        return policy.distribution(obs, carry)
    if isinstance(policy, OffPolicyPolicy):
        seen, params = _normalised(policy, obs), policy.params
        if isinstance(params, SoftCategoricalParams):
            return params(seen)
        if isinstance(params, SquashedGaussianParams):
            mean, log_std = params(seen)
            return TanhNormal(mean, jnp.exp(log_std))
        if isinstance(policy.actor, Greedy) and policy.q is not None:
            values, mask = policy.q.lower(seen), nn.action_mask(policy.spec.obs, obs)
            return Categorical(values) if mask is None else Categorical.masked(values, mask)
    elif (own := getattr(policy, "distribution", None)) is not None:
        found = own(obs)
        if isinstance(found, Mixture):
            weights = jax.nn.softmax(found.logits)
            return Normal((weights[:, None] * found.mean).sum(0), 1.0)
        return found
    if isinstance(space, Box):
        return Normal(nn.action_features(space, policy(obs, carry, key=None)[0]), 1.0)
    raise SpecError(
        f"expected a policy whose discrete actions come with a distribution, for a gradient attack to follow; "
        f"{type(policy).__name__} gives only the chosen action, which does not move with small changes of what is "
        "seen. Give it a method distribution(obs) -> operant.dists.Categorical, or use RandomNoise."
    )


def _normalised(policy: OffPolicyPolicy, obs: Obs) -> Obs:
    return obs if policy.normaliser is None else policy.normaliser(obs)


def divergence(p: AbstractDistribution, q: AbstractDistribution) -> Float[Array, ""]:
    """KL(p ‖ q)."""
    return p.kl(q)


def surprise(p: AbstractDistribution, q: AbstractDistribution) -> Float[Array, ""]:
    """−log q(mode of p); of squashed normals, before tanh."""
    if isinstance(p, TanhNormal) and isinstance(q, TanhNormal):
        return -Normal(q.mean, q.scale).log_prob(p.mean)
    return -q.log_prob(p.mode())


def loss(
    policy: AbstractPolicy,
    shown: Callable[[Array], Obs],
    n: int,
    carry: Carry,
    measure: Callable[[Any, Any], Float[Array, ""]],
) -> Callable[[Float[Array, " n"]], Float[Array, ""]]:
    """What an attack raises, as a function of u: `measure(at the true observation, at the one shown)`."""
    truth = distribution(policy, shown(jnp.zeros(n)), carry)
    return lambda u: measure(truth, distribution(policy, shown(u), carry))
