"""Stay near a policy's actions: pay for every nat by which the action was likelier than the base policy makes it.

    penalty(s, a) = λ (log π(a|s) − log π_base(a|s)),    so that    max_π E_π[Σ r] − λ E_π[Σ KL(π(·|s) ‖ π_base(·|s))]

With a cloned policy for base it is demonstration-regularised RL with function approximation. It does not see where the
policy goes: a base policy that is unsure makes any action cheap, and one rare action that leads to states the base
never saw costs its nats once (`Occupancy` pays for being there).

Reference: Tiapkin et al. 2023, Demonstration-Regularized RL, 2310.17303 (base: a clone); as the control of Laidlaw,
Singhal and Dragan 2024, Correlated Proxies, 2403.03185.
Deviations from the paper: the reference code of the latter adds λ KL(π(·|s) ‖ π_base(·|s)) to the loss at the states of
the rollout, which leaves out what an action costs later; here the nats are taken from the reward, as in the former and
as is usual for language models, and the return counts them.

>>> ActionKL("runs/cloned", weight=0.1).weight
0.1
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from operant.core import AbstractPolicy, Box, Card, EnvSpec, Metrics, Transition
from operant.errors import SpecError
from operant.learners.regularisers import AbstractRegulariser, check_base


class ActionKL(AbstractRegulariser):
    """KL between the policies' actions (see the module's docstring)."""

    base: str = eqx.field(static=True)
    """A run's folder: whose policy is to be kept near to. It stays as it is."""
    weight: float = 0.1
    """λ: what a nat costs (reward units)."""
    seed: int = eqx.field(static=True, default=0)
    """Which of the run's policies."""

    card: ClassVar[Card] = Card(
        "Tiapkin et al. 2023, Demonstration-Regularized RL", "2310.17303", "regulariser", ("env",)
    )

    def __check_init__(self) -> None:
        check_base("ActionKL", self.base, self.weight)

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> AbstractPolicy:
        """The base policy. Raises as `load_policy`; SpecError where it has a memory, does not say its density, or acts
        between other bounds."""
        from operant.io.policies import load_policy  # it imports the loops, which import learners
        from operant.loops.rollout import check_fit

        policy = load_policy(self.base, seed=self.seed)
        if not hasattr(policy, "distribution") or policy.remembers:  # type: ignore[union-attr]
            raise SpecError(
                f"expected a policy in {self.base} that says how likely an action is in a state (PPO's without memory, "
                f"BC's); got a {type(policy).__name__}. Clone it first: operant.fit(BC(), …)."
            )
        check_fit(policy.spec, spec)
        theirs, ours = policy.spec.action, spec.action
        if isinstance(theirs, Box) and isinstance(ours, Box) and not np.array_equal(theirs.bounds(), ours.bounds()):
            raise SpecError(
                f"expected a policy in {self.base} for actions in {ours}, whose units its density is compared in; got "
                f"one for {theirs}. Give a base policy of the same bounds."
            )
        return policy  # type: ignore[return-value]

    def update(self, state: Any, batch: Transition, *, key: PRNGKeyArray) -> tuple[Any, Metrics]:
        """Nothing to learn. Logs `regulariser/divergence`, the mean KL of a state (nats)."""
        return state, {"regulariser/divergence": self._nats(state, batch).mean()}

    def penalty(self, state: Any, batch: Transition) -> Float[Array, "*B"]:
        return self.weight * self._nats(state, batch)

    def _nats(self, base: Any, batch: Transition) -> Float[Array, "*B"]:
        """log π(a|s) − log π_base(a|s) of each step."""
        one = lambda obs, choice: base.distribution(obs).log_prob(choice)
        for _ in range(batch.terminated.ndim):
            one = jax.vmap(one)
        return batch.extras["log_prob"] - one(batch.obs, batch.extras["choice"])
