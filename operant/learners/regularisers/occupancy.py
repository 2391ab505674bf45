"""Stay where a policy goes: pay for states and actions by how much oftener they are visited than under the base policy.

    max_π E_π[Σ r] − λ D(μ_π ‖ μ_base),    D = E_base[f(w)],  w = μ_π/μ_base:    penalty = λ ∂D/∂μ_π, shifted so that

    "chi2"       f(w) = (w − 1)²       penalty = 2λ (w − 1)          E_base[penalty] = 0
    "sqrt_chi2"  D = √χ²               penalty = λ (w − 1)/√χ²       the one of the theorem, λ = σ_proxy √(1 − ρ²)
    "kl"         f(w) = w log w        penalty = λ log w

log w = −f(s, a), f the score of a classifier that tells the base policy's steps (high) from the rollout's, trained on
each rollout before it is used; χ² is estimated by the mean of w − 1 over the rollout, without the 1% at either end.
`of` = "state" compares visits to states alone.

Where ρ is the correlation of proxy and truth over μ_base and σ are standard deviations there, a policy whose
(J_proxy(π) − J_proxy(base))/σ_proxy exceeds √((1 − ρ²) χ²(μ_π ‖ μ_base)) is truly better than the base (theorem 5.1).

Reference: Laidlaw, Singhal and Dragan 2024, Correlated Proxies: A New Definition and Improved Mitigation for Reward
Hacking, 2403.03185 (ORPO).
Deviations from the paper:
1. Its code pays w − 1 for χ², half of the derivative: its λ is twice ours there. √χ² and KL are the same.
2. Steps of the base policy are recorded once, not anew for each rollout.
3. |log w| is kept below `clip`; its code leaves it unbounded, and sets what is not finite to 0.
4. Visits are those of the rollouts: undiscounted. Its units are leaky rectifiers, ours rectifiers.

>>> Occupancy("runs/base", divergence="kl", of="state").weight
0.1
"""

from pathlib import Path
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from operant import nn
from operant.core import AbstractEnv, AbstractHostEnv, Card, EnvSpec, Metrics, Transition
from operant.data.dataset import Dataset
from operant.errors import SpecError, check_counts, nearest
from operant.learners.regularisers import AbstractRegulariser, check_base, is_run

Divergence = Literal["chi2", "sqrt_chi2", "kl"]
TRIMMED = 0.01
"""Share of a rollout left out at either end of the mean of w − 1."""


class OccupancyState(eqx.Module):
    """The classifier with the base policy's steps, and √χ² as last estimated."""

    adversary: Any
    root: Float[Array, ""]


class Occupancy(AbstractRegulariser):
    """Divergence between the visits to states and actions (see the module's docstring)."""

    base: str = eqx.field(static=True)
    """Whose visits are kept near to: a run's folder, or recorded episodes (as `Demonstrations.source`)."""
    weight: float = 0.1
    """λ of the divergence (reward units)."""
    divergence: Divergence = "sqrt_chi2"
    """"chi2", "sqrt_chi2" or "kl"."""
    of: Literal["state-action", "state"] = "state-action"
    """What is visited."""
    episodes: int = 100
    """Episodes to record, where `base` is a run's folder."""
    seed: int = eqx.field(static=True, default=0)
    """Which of the run's policies."""
    clip: float = 10.0
    """Largest |log w| (nats)."""
    hidden: tuple[int, ...] = (256, 256)
    """Units of the classifier's hidden layers."""
    activation: nn.Activation = "relu"
    """Between them."""
    lr: float = 1e-3
    """Adam's step size."""
    batch: int = 128
    """Steps of either side in a gradient step."""
    steps: int = 64
    """Gradient steps a rollout."""

    card: ClassVar[Card] = Card(
        "Laidlaw, Singhal and Dragan 2024, Correlated Proxies: A New Definition and Improved Mitigation for Reward "
        "Hacking",
        "2403.03185",
        "regulariser",
        ("env",),
    )

    def __check_init__(self) -> None:
        check_base("Occupancy", self.base, self.weight)
        check_counts(self, "episodes", "batch", "steps")
        for name, known in (("divergence", Divergence.__args__), ("of", ("state-action", "state"))):
            if (value := getattr(self, name)) not in known:
                raise SpecError(f"expected Occupancy.{name} to be known; got {value!r}: {nearest(str(value), known)}")
        if isinstance(self.clip, int | float) and not self.clip > 0.0:
            raise SpecError(f"expected Occupancy.clip > 0; got {self.clip:g}. Use 10: 22,000 times as often at most.")

    def recorded(self, spec: EnvSpec, *, key: PRNGKeyArray) -> Dataset:
        """The base policy's steps. Raises as `operant.load` or `demos.read`; SpecError by spaces."""
        from operant.data import demos
        from operant.loops.rollout import check_fit, evaluate
        from operant.loops.train import load

        if is_run(self.base):
            run = load(self.base)
            if not isinstance(run.env, AbstractEnv | AbstractHostEnv):
                raise SpecError(
                    f"expected a run that acted in an environment in {self.base}, to see where its policy goes; it "
                    f"learned from a {type(run.env).__name__}. Record episodes of it and give these: operant record."
                )
            check_fit(run.spec, spec)
            found = evaluate(run.policy(self.seed), run.env, episodes=self.episodes, key=key, deterministic=False)
            return Dataset.from_episodes(jax.tree.map(np.asarray, found), run.spec, origin=Path(self.base).name)
        found = demos.read(self.base, spec)
        check_fit(found.spec, spec)
        return found

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> OccupancyState:
        record_key, own = jax.random.split(key)
        adversary = self._classifier().init(spec, self.recorded(spec, key=record_key), key=own)
        return OccupancyState(adversary, jax.device_put(np.float32(1.0)))

    def update(self, state: OccupancyState, batch: Transition, *, key: PRNGKeyArray) -> tuple[OccupancyState, Metrics]:
        """Learn to tell the rollout from the base. Logs `regulariser/divergence`, as estimated from the rollout."""
        adversary, found = self._classifier().update(state.adversary, batch, key=key)
        log_w = self._log_ratio(adversary, batch).reshape(-1)
        order = jnp.sort(jnp.exp(log_w) - 1.0)
        cut = int(TRIMMED * order.size)
        chi2 = order[cut : order.size - cut].mean()
        root = jnp.where(chi2 > 0.0, jnp.sqrt(jnp.maximum(chi2, 1e-8)), 1.0)
        divergence = {"chi2": chi2, "sqrt_chi2": jnp.sqrt(jnp.maximum(chi2, 0.0)), "kl": log_w.mean()}[self.divergence]
        told = 0.5 * (found["imitation/expert"] + found["imitation/agent"])
        return OccupancyState(adversary, root), {"regulariser/divergence": divergence, "regulariser/told": told}

    def penalty(self, state: OccupancyState, batch: Transition) -> Float[Array, "*B"]:
        log_w = self._log_ratio(state.adversary, batch)
        match self.divergence:
            case "chi2":
                return self.weight * 2.0 * (jnp.exp(log_w) - 1.0)
            case "sqrt_chi2":
                return self.weight * (jnp.exp(log_w) - 1.0) / state.root
            case _:
                return self.weight * log_w

    def _classifier(self) -> Any:
        """Generative adversarial imitation's, whose score is log μ_base/μ_π."""
        from operant.rewards.imitation.gail import GAIL  # rewards import learners

        return GAIL(
            pays="logit", hidden=self.hidden, activation=self.activation, use=self.of, lr=self.lr, batch=self.batch,
            steps=self.steps, allow_variable_horizon=True,
        )  # fmt: skip

    def _log_ratio(self, adversary: Any, batch: Transition) -> Float[Array, "*B"]:
        """log w of each step."""
        return jnp.clip(-self._classifier()(adversary, batch), -self.clip, self.clip)
