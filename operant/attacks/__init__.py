"""What may go wrong around a policy, by how much: observations that are attacked, actions that come late or noisy,
physics that are not those of training.

A perturbation takes a policy and an environment and gives both back, perturbed with a strength. An *attack* is one that
moves what the policy sees, within a ball: with σ the scale of each number of an observation,

    s̃ = s + ε σ ⊙ u,   u ∈ [−1, 1]ⁿ,   i.e.  ‖(s̃ − s)/σ‖∞ ≤ ε

σ is the standard deviation of each number over the observations a policy visits when nothing is perturbed
(`scale_of`): ε = 0.1 is a tenth of what the policy is used to see vary. A number that never varies, integers, bytes and
action masks are left alone. Observations are not clipped to their space: sensors that lie may lie beyond it.

Attacks are pure JAX, and `Attacked` is a policy that is shown what the attack makes of each observation: whatever runs
a policy runs it, in a JAX environment or a host one.

Gradient attacks differentiate through the policy (`distribution`). They need a policy that shows its distribution (the
learners' here do, and any policy with a method `distribution(obs)`), or continuous actions that are a
differentiable function of the observation. Discrete actions of any other policy have no gradient to follow: there the
gradient attacks raise `SpecError`, an audit says `unknown`, and `RandomNoise` remains.
"""

import abc
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from operant.attacks._victim import Numbers, distribution
from operant.core import AbstractPolicy, Action, Carry, EnvSpec, Obs, Space
from operant.errors import DataError, SpecError


class AbstractPerturbation(eqx.Module):
    """Something that goes wrong around a policy, the more the larger its strength; at strength 0 nothing does."""

    unit: eqx.AbstractClassVar[str]
    """What a strength is measured in, as a finding says it."""

    @abc.abstractmethod
    def under(self, policy: Any, env: Any, strength: Any, scale: Obs) -> tuple[Any, Any]:
        """`(policy, env)`, perturbed.

        Args:
            policy: an `AbstractPolicy`, or a `HostPolicy` where the perturbation does not need JAX.
            env: an `AbstractEnv` or an `AbstractHostEnv`.
            strength: ≥ 0, in `unit`s.
            scale: σ of each number of an observation, as `scale_of` gives it.

        Raises:
            SpecError: this policy or environment cannot be perturbed so.
        """


class AbstractAttack(AbstractPerturbation):
    """A perturbation of what the policy sees, in the ball of radius ε (see the package's docstring)."""

    unit: ClassVar[str] = "ε"

    @abc.abstractmethod
    def push(
        self, policy: AbstractPolicy, shown: Callable[[Array], Obs], n: int, carry: Carry, *, key: PRNGKeyArray
    ) -> Float[Array, " n"]:
        """u, the direction: what lies beyond [−1, 1] is clipped.

        Args:
            shown: from u (n,) to the observation that is seen; `shown(0)` is the true one.
        """

    def perturb(
        self, policy: AbstractPolicy, obs: Obs, carry: Carry, epsilon: Any, scale: Obs, *, key: PRNGKeyArray
    ) -> tuple[Obs, Float[Array, ""]]:
        """What the policy is shown in place of `obs`, one observation; and how far it moved, max |u| ∈ [0, 1]."""
        numbers = Numbers(policy.spec.obs)
        true, reach = numbers.flat(obs), epsilon * numbers.flat(scale)
        shown = lambda u: numbers.back(obs, true + reach * u)
        u = jnp.clip(self.push(policy, shown, true.size, carry, key=key), -1.0, 1.0)
        return shown(u), jnp.abs(jnp.where(reach > 0.0, u, 0.0)).max()

    def under(self, policy: Any, env: Any, strength: Any, scale: Obs) -> tuple[Any, Any]:
        if not isinstance(policy, AbstractPolicy):
            raise SpecError(
                f"expected a policy in JAX for {type(self).__name__}, which differentiates through it or is compiled "
                f"with it; got a {type(policy).__name__}. RandomNoise, Delay and ActionNoise work on any."
            )
        return Attacked(policy, self, strength, scale), env


class Attacked(AbstractPolicy):
    """A policy that is shown what an attack makes of each observation.

    It needs a key at every step, for the attack; the policy itself acts greedily unless `greedy` is False. Its extras
    are the policy's, and `push`: how far the observation was moved, as a share of the ball's radius.

    >>> from operant.audits.controls import RandomPolicy
    >>> from operant.core import Box, Discrete
    >>> policy = Attacked(RandomPolicy(EnvSpec(Box((2,)), Discrete(2), 9)), RandomNoise(), 0.1, jnp.ones(2), False)
    >>> bool(policy(jnp.zeros(2), (), key=jax.random.key(0))[1]["push"] <= 1.0)
    True
    """

    spec: EnvSpec = eqx.field(static=True)
    policy: AbstractPolicy
    attack: AbstractAttack
    epsilon: Float[Array, ""]
    """ε: radius of the ball, in units of the scale."""
    scale: Obs
    """σ of each number of an observation."""
    greedy: bool = eqx.field(static=True)

    def __init__(self, policy: AbstractPolicy, attack: AbstractAttack, epsilon: Any, scale: Obs, greedy: bool = True):
        """Raises SpecError for observations without a number to perturb, or ε < 0."""
        Numbers(policy.spec.obs)
        if isinstance(epsilon, float | int) and not epsilon >= 0.0:
            raise SpecError(f"expected ε ≥ 0, the radius of the ball of perturbations; got {epsilon}.")
        self.spec, self.policy, self.attack, self.greedy = policy.spec, policy, attack, greedy
        self.epsilon = jnp.asarray(epsilon, jnp.float32)
        self.scale = jax.tree.map(jnp.asarray, scale)

    def init_carry(self) -> Carry:
        return self.policy.init_carry()

    @property
    def remembers(self) -> bool:
        return self.policy.remembers

    def __call__(self, obs: Obs, carry: Carry, *, key: PRNGKeyArray | None) -> tuple[Action, dict[str, Any], Carry]:
        if key is None:
            raise SpecError(
                "expected key=jax.random.key(…) for an attacked policy, whose attack may draw numbers; got None. "
                "Evaluate it with deterministic=False: the policy itself stays greedy."
            )
        attack_key, own_key = jax.random.split(key)
        seen, moved = self.attack.perturb(self.policy, obs, carry, self.epsilon, self.scale, key=attack_key)
        action, extras, carry = self.policy(seen, carry, key=None if self.greedy else own_key)
        return action, extras | {"push": moved}, carry


def scale_of(space: Space, episodes: Sequence[Any]) -> Obs:
    """σ: standard deviation of every number of an observation over the steps of these `Episodes`, the same structure.

    Raises:
        SpecError: no number in the observations can be perturbed.
        DataError: an observation is not finite.
    """
    numbers = Numbers(space)
    seen = np.concatenate([numbers.rows(e.transitions.obs, np.asarray(e.mask)) for e in episodes])
    if not np.isfinite(seen).all():
        raise DataError(
            "expected finite observations, for their spread is the unit of a perturbation; "
            f"{np.sum(~np.isfinite(seen))} of {seen.size} numbers are not. Find where the environment stops being "
            "finite."
        )
    spread = seen.std(axis=0)
    # a number that stands still, rounding aside, has no spread to measure by
    still = spread <= 1e-6 * (1.0 + np.abs(seen).max(axis=0))
    return numbers.back(space.zero(), np.where(still, 0.0, spread).astype(np.float32))


from operant.attacks.action_noise import ActionNoise  # noqa: E402
from operant.attacks.delay import Delay  # noqa: E402
from operant.attacks.dynamics import Dynamics  # noqa: E402
from operant.attacks.fgsm import FGSM  # noqa: E402
from operant.attacks.mad import MAD  # noqa: E402
from operant.attacks.pgd import PGD  # noqa: E402
from operant.attacks.random_noise import RandomNoise  # noqa: E402
from operant.attacks.rat import RAT  # noqa: E402

__all__ = [
    "FGSM",
    "MAD",
    "PGD",
    "RAT",
    "AbstractAttack",
    "AbstractPerturbation",
    "ActionNoise",
    "Attacked",
    "Delay",
    "Dynamics",
    "RandomNoise",
    "distribution",
    "scale_of",
]
