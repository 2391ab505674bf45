"""Named, weighted terms, added up and each logged apart: r = Σᵢ wᵢ · rᵢ.

Metrics a rollout: `reward/<name>` is the mean of wᵢ·rᵢ a step, `reward/<name>_raw` the mean of rᵢ. What a term logs of
itself appears as `<family>/<name>/<what>`.

Reference: Sutton and Barto 2018, Reinforcement Learning: An Introduction, section 3.2 (the scalar reward as a sum of
signals).
Deviations from the paper: none.
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from operant.core import AbstractReward, Card, EnvSpec, Metrics, RewardState, Transition
from operant.errors import SpecError, nearest
from operant.rewards._checks import check_setting


class Terms(AbstractReward):
    """`Σ weight · term`. A weight given as an array with a leading axis K is a sweep over K weightings, under vmap.

    Raises:
        SpecError: no terms; a weight for a term that is not there; a name with "/" or ending in "_raw".

    >>> from operant.rewards.task import Task
    >>> zero, no = jnp.zeros(2), jnp.zeros(2, bool)
    >>> batch = Transition(zero, zero, jnp.array([1.0, -2.0]), no, no, zero, {})
    >>> reward = Terms({"task": Task(), "again": Task()}, {"again": 0.5})
    >>> state = {"task": (), "again": ()}
    >>> reward(state, batch).tolist()
    [1.5, -3.0]
    >>> sorted(reward.update(state, batch, key=jax.random.key(0))[1])
    ['reward/again', 'reward/again_raw', 'reward/task', 'reward/task_raw']
    """

    terms: dict[str, AbstractReward]
    """The terms by name."""
    weights: dict[str, float] = eqx.field(default_factory=dict)
    """What each term is multiplied by (no unit); 1 where a name is missing."""

    card: ClassVar[Card] = Card("Sutton and Barto 2018, Reinforcement Learning: An Introduction", "", "reward")

    def __check_init__(self):
        if not self.terms:
            raise SpecError("expected at least one reward term in Terms.terms; got none. Add one, such as Task().")
        for name in self.weights:
            if name not in self.terms:
                raise SpecError(f"expected weights only for reward terms; got {name!r}: {nearest(name, self.terms)}")
        for name in self.terms:
            # Metrics are family/name, and name_raw is the unweighted twin of name.
            if not name or "/" in name or name.endswith("_raw"):
                raise SpecError(
                    f"expected term names without '/' that do not end in '_raw' (metrics are reward/<name> and "
                    f"reward/<name>_raw); got {name!r}. Rename it."
                )

    @property
    def reads_env_reward(self) -> bool:
        return any(term.reads_env_reward for term in self.terms.values())

    @property
    def _names(self) -> list[str]:
        # A dict that went through jax.tree comes back sorted; sums must not depend on whether it did.
        return sorted(self.terms)

    def _weight(self, name: str) -> float:
        weight = self.weights.get(name, 1.0)
        check_setting(f"the weight of term {name!r}", weight)
        return weight

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> RewardState:
        keys = jax.random.split(key, len(self.terms))
        return {name: self.terms[name].init(spec, key=k) for name, k in zip(self._names, keys, strict=True)}

    def __call__(self, state: RewardState, batch: Transition) -> Float[Array, "*B"]:
        """Weighted sum of any leading axes *B. Raises SpecError for an array weight that was not vmapped."""
        parts = [self._weight(name) * self.terms[name](state[name], batch) for name in self._names]
        return sum(parts[1:], start=parts[0])

    def shows(self, state: RewardState) -> Any:
        """What one of the terms shows. Raises SpecError where several would."""
        shown = [x for name in self._names if (x := self.terms[name].shows(state[name])) is not None]
        if len(shown) > 1:
            raise SpecError(f"expected at most one term that shows demonstrations to the learner; got {len(shown)}.")
        return shown[0] if shown else None

    def update(self, state: RewardState, batch: Transition, *, key: PRNGKeyArray) -> tuple[RewardState, Metrics]:
        """Update every term from the rollout (T, N); metrics are scalars, means a step (reward units)."""
        keys = jax.random.split(key, len(self.terms))
        new, metrics = {}, {}
        for name, k in zip(self._names, keys, strict=True):
            new[name], inner = self.terms[name].update(state[name], batch, key=k)
            for metric, value in inner.items():
                family, _, rest = metric.partition("/")
                metrics[f"{family}/{name}/{rest}"] = value
            raw = jnp.mean(self.terms[name](new[name], batch))
            metrics[f"reward/{name}"] = self._weight(name) * raw
            metrics[f"reward/{name}_raw"] = raw
        return new, metrics
