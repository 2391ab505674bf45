"""Preference as reward: pay the probability that a step would be preferred to what a reference policy does.

    r'(s, a, s') = 1/M Σ_m σ(k (r(s, a, s') − r_m)),    r_m the rewards of M steps of the reference policy

where r is a reward learned from comparisons, so that σ(r − r_m) is the preference it predicts. Bounded by 0 and 1; it
grows fastest where a step is as good as the references, and hardly at all where r says it is far better, which is where
a learned reward is least to be trusted.

Reference: Fu, Zhao, Yao, Wang, Han, Xiao 2025, Reward Shaping to Mitigate Reward Hacking in RLHF, 2502.18770 (PAR).
Deviations from the paper:
1. There a whole response is judged, against responses to the same prompt; here a step, against steps from anywhere: in
   a bandit without contexts the two are the same.
2. k is 1 in the paper and its code's default.
3. All that is paid is positive: where episodes may end early that alone teaches to go on. Use a fixed horizon.

>>> from operant.rewards.task import Task
>>> zero, no = jnp.zeros(3), jnp.zeros(3, bool)
>>> batch = Transition(zero, zero, jnp.array([-2.0, 0.0, 100.0]), no, no, zero, {})
>>> reward = PreferenceAsReward(Task(), references=(0.0,))
>>> state = reward.init(EnvSpec(Box((1,)), Box((1,)), None), key=jax.random.key(0))
>>> [round(x, 2) for x in reward(state, batch).tolist()]
[0.12, 0.5, 1.0]
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from operant import nn
from operant.core import AbstractReward, Box, Card, EnvSpec, Metrics, RewardState, Transition  # noqa: F401 (Box: doctest)
from operant.data import demos
from operant.errors import SpecError
from operant.loops.rollout import differing


class PreferenceState(eqx.Module):
    """The wrapped reward's state, and the steps compared with, (M,); None where their rewards were given."""

    reward: RewardState
    references: Transition | None


class PreferenceAsReward(AbstractReward):
    """`mean over m of σ(slope (r − r_m))` (see the module's docstring)."""

    reward: AbstractReward
    """The reward to shape: its differences are log odds of being preferred."""
    references: tuple[float, ...] = ()
    """Rewards of the reference policy's steps; empty: of steps drawn from `base`."""
    base: str = eqx.field(static=True, default="")
    """Episodes recorded from the reference policy (as `Demonstrations.source`); empty: `references` are given."""
    count: int = 10
    """M: steps drawn from `base`."""
    slope: float = 1.0
    """k > 0 (1/reward units)."""

    card: ClassVar[Card] = Card(
        "Fu et al. 2025, Reward Shaping to Mitigate Reward Hacking in RLHF", "2502.18770", "reward"
    )

    def __check_init__(self) -> None:
        if bool(self.references) == bool(self.base):
            raise SpecError(
                "expected either PreferenceAsReward.references, rewards to compare with, or base, recorded episodes to "
                f"draw them from; got {'both' if self.base else 'neither'}. Give one of them."
            )
        if not np.isfinite(self.references).all():
            raise SpecError(f"expected finite PreferenceAsReward.references; got {self.references}.")
        if self.count < 1:
            raise SpecError(f"expected PreferenceAsReward.count ≥ 1; got {self.count}. One is enough, the paper says.")
        if isinstance(self.slope, int | float) and not self.slope > 0.0:
            raise SpecError(f"expected PreferenceAsReward.slope > 0; got {self.slope:g}. Use 1, the paper's.")

    @property
    def reads_env_reward(self) -> bool:
        return self.reward.reads_env_reward

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> PreferenceState:
        """Draw the references. Raises DataError, SpecError by `base`, which must be of the same spaces."""
        own, inner = jax.random.split(key)
        state = self.reward.init(spec, key=inner)
        if not self.base:
            return PreferenceState(state, None)
        found = demos.read(self.base, spec)
        for what, theirs, ours in differing(found.spec, spec):
            raise SpecError(
                f"expected episodes with {what} in {ours}, as {spec.name or 'the environment'} has them; those in "
                f"{self.base} are in {theirs}. Record the reference policy where it is compared with."
            )
        rows = nn.generator(own).integers(found.size, size=self.count)
        steps = eqx.tree_at(lambda t: t.extras, found.data, {})
        return PreferenceState(state, jax.tree.map(lambda x: jax.device_put(np.asarray(x)[rows]), steps))

    def __call__(self, state: PreferenceState, batch: Transition) -> Float[Array, "*B"]:
        """Probability of being preferred, any leading axes *B."""
        judged = self.reward(state.reward, batch)
        compared = jnp.asarray(self.references) if state.references is None else self._judged(state)
        gap = judged[..., None] - compared.reshape((1,) * judged.ndim + (-1,))
        return jax.nn.sigmoid(self.slope * gap).mean(-1)

    def shows(self, state: PreferenceState) -> Any:
        return self.reward.shows(state.reward)

    def update(self, state: PreferenceState, batch: Transition, *, key: PRNGKeyArray) -> tuple[Any, Metrics]:
        """Update what is shaped; the references are judged anew by it. Logs `preference/rate`, the mean paid."""
        inner, metrics = self.reward.update(state.reward, batch, key=key)
        new = PreferenceState(inner, state.references)
        return new, metrics | {"preference/rate": self(new, batch).mean()}

    def _judged(self, state: PreferenceState) -> Float[Array, " M"]:
        return self.reward(state.reward, state.references)  # type: ignore[arg-type]
