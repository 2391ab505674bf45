"""ReCOIL: imitate from a few expert rows and many others of any quality, without telling them apart first.

Make the mixture of one's own visits and the others' look like that of the expert's and the others': both mixtures cover
the data, so that nothing need be assumed of what the expert's few rows cover. With Pearson's χ² the dual is

    min_Q β (E_S[Q(s, a)] − E_E[Q(s, a)]) + ¼ E_mix[(γ V(s') − Q(s, a))²],   mix = β E + (1 − β) S

Squares completed, that is a regression: an expert's row is worth γ V(s') + 2, another γ V(s') − 2β/(1 − β). As in the
authors' code, the expert's are held at what being so for ever is worth, 2/(1 − γ), which keeps Q bounded; values are in
units of it here:

    Q ← β E_E[(Q − 1)²] + (1 − β) E_S[(Q − γ V(s') + (1 − γ) β/(1 − β))²]
    V ← E_mix[|τ − 1(u < 0)| u²],   u = min_i Q'_i(s, a) − V(s)             the best of the data's actions, τ → 1
    π ← −E_mix[min(exp(2 u/((1 − γ) α)), 100) log π(a | s)];   Q' ← (1 − ρ) Q' + ρ Q

Rows with `extras["expert"]` are E, all others S; of a batch, half is drawn from each (`draw`).

Reference: Sikchi, Zheng, Zhang, Niekum 2024, Dual RL: Unification and New Methods for Reinforcement and Imitation
Learning, 2302.08560; bound: Al-Hafez et al. 2023, LS-IQ, 2303.00599, as in the authors' code.
Deviations from the paper:
1. V and π are fitted to the mixture, the expert's rows included (in the authors' code to S, in which they lie too).
2. V, Q and π take their steps at once, from the networks as they were.
3. After a row of S that terminates all is worth −1, as in the authors' code, for they take termination for failure;
   where episodes end because the expert's aim was reached, use a fixed horizon.
4. The policy is a normal of one learned deviation a dimension, not squashed, or a categorical.

>>> import jax.numpy as jnp
>>> from operant.core import Box
>>> learner = ReCOIL(hidden=(8,))
>>> state = learner.init(EnvSpec(Box((3,)), Box((2,), -2.0, 2.0), 100), key=jax.random.key(0))
>>> learner.policy(state)(jnp.zeros(3), (), key=None)[0].shape
(2,)
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from operant import nn
from operant.core import AbstractLearner, Card, EnvSpec, Metrics, RewardFn, Transition
from operant.data.dataset import Dataset
from operant.errors import DataError, SpecError
from operant.learners._density import DensityPolicy, to_choice
from operant.learners.offline.iql import HEAVIEST, IQLState, Networks, begin, heads
from operant.math.pick import pick
from operant.math.schedules import AbstractSchedule


class ReCOIL(AbstractLearner):
    """Imitation from expert and arbitrary rows (see the module's docstring). It never asks for a reward."""

    mixture: float = 0.5
    """β in (0, 1): share of the expert's rows in what is matched."""
    expectile: float = 0.8
    """τ in [½, 1): ½ is the mean of the data's actions; towards 1, the best of them."""
    temperature: float = 3.0
    """1/α: how sharply cloning prefers what leads to the expert's rows; 0: plain cloning of the mixture."""
    bounded: bool = eqx.field(static=True, default=True)
    """Whether expert rows are held at 1; else they are worth γ V(s') + 1 − γ, as the equation has it."""
    discount: float = 0.99
    """γ: weight of what comes a step later."""
    tau: float = 0.005
    """ρ: share of the critics in an update of their targets."""
    hidden: tuple[int, ...] = (256, 256)
    """Units of each hidden layer."""
    activation: nn.Activation = "relu"
    """Between the layers."""
    lr: float | AbstractSchedule = 3e-4
    """Adam's step size, or a schedule over updates."""
    batch: int = 256
    """Transitions an update: half of them the expert's."""

    rollout: ClassVar[int] = 1
    card: ClassVar[Card] = Card(
        "Sikchi et al. 2024, Dual RL: Unification and New Methods for Reinforcement and Imitation Learning",
        "2302.08560",
        "imitation",
        ("dataset",),
    )

    def __check_init__(self) -> None:
        if self.batch < 2:
            raise SpecError(f"expected ReCOIL.batch ≥ 2, half of them the expert's; got {self.batch}. Raise it.")
        if isinstance(self.mixture, int | float) and not 0.0 < self.mixture < 1.0:
            raise SpecError(f"expected 0 < ReCOIL.mixture < 1; got {self.mixture:g}. Use 0.5, the published one.")
        if isinstance(self.expectile, int | float) and not 0.5 <= self.expectile < 1.0:
            raise SpecError(f"expected ReCOIL.expectile in [0.5, 1); got {self.expectile:g}. Use 0.8.")
        if isinstance(self.discount, int | float) and not 0.0 <= self.discount < 1.0:
            raise SpecError(f"expected ReCOIL.discount in [0, 1); got {self.discount:g}. Use 0.99.")
        if isinstance(self.tau, int | float) and not 0.0 <= self.tau <= 1.0:
            raise SpecError(f"expected ReCOIL.tau in [0, 1]; got {self.tau:g}. Choose a number between.")

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> IQLState:
        return begin("ReCOIL", nn.generator(key), spec, self.hidden, self.activation)

    def policy(self, state: IQLState) -> DensityPolicy:
        return DensityPolicy(state.networks.policy.spec, state.networks.policy)

    # --- what `fit` asks before and at every update ---

    def prepare(self, state: IQLState, dataset: Dataset, *, key: PRNGKeyArray) -> IQLState:
        """Refuse a dataset in which nothing, or everything, is the expert's. Raises DataError."""
        marked = np.asarray(dataset.data.extras.get("expert", np.zeros(0))) != 0
        if not 0 < marked.sum() < dataset.size:
            got = f"{marked.sum()} of {dataset.size} rows marked" if len(marked) else "no such extra"
            raise DataError(
                f'expected extras["expert"] to mark some rows and not others; got {got}. Mark the demonstrator\'s, or '
                "clone everything with BC."
            )
        return state

    def draw(self, dataset: Dataset, n: int, key: PRNGKeyArray) -> Transition:
        """n rows, the first half the expert's."""
        marked = dataset.data.extras["expert"] != 0
        keys = jax.random.split(key)
        index = jnp.concatenate([pick(keys[0], marked, n - n // 2), pick(keys[1], ~marked, n // 2)])
        return jax.tree.map(lambda x: x[index], dataset.data)

    def update(
        self, state: IQLState, batch: Transition, reward: RewardFn, *, key: PRNGKeyArray
    ) -> tuple[IQLState, Metrics]:
        parts: Any = (batch.obs, batch.action, batch.terminated, batch.next_obs, batch.extras["expert"] != 0)
        obs, action, terminated, next_obs, expert = nn.merge_axes(parts, batch.terminated.ndim)
        beta, gamma, stop = self.mixture, self.discount, jax.lax.stop_gradient
        share = lambda mask: mask / jnp.maximum(mask.sum(), 1)
        weight = beta * share(expert) + (1.0 - beta) * share(~expert)  # of each row in the mixture
        believed = jax.vmap(lambda o, a: heads(state.target, o, a).min())(obs, action)

        def loss(networks: Networks) -> tuple[Array, Metrics]:
            u = believed - jax.vmap(networks.value)(obs)
            value = (weight * jnp.abs(self.expectile - (u < 0.0)) * jnp.square(u)).sum()
            after = jnp.where(terminated, -1.0, stop(jax.vmap(networks.value)(next_obs)))
            y = targets(after, expert, terminated, gamma, beta, self.bounded)
            q = jax.vmap(lambda o, a: heads(networks.critic, o, a))(obs, action)
            critic = (weight * jnp.square(q - jnp.broadcast_to(y[:, None], q.shape)).sum(1)).sum()
            sharp = jnp.minimum(jnp.exp(stop(u) * (2.0 * self.temperature / (1.0 - gamma))), HEAVIEST)
            choice = jax.vmap(lambda a: to_choice(networks.policy.spec.action, a))(action)
            policy = -(weight * sharp * jax.vmap(networks.policy.distribution)(obs, obs).log_prob(choice)).sum()
            metrics = {"loss/value": value, "loss/critic": critic, "loss/policy": policy}
            metrics["recoil/expert"] = (share(expert) * q.mean(1)).sum()
            metrics["recoil/others"] = (share(~expert) * q.mean(1)).sum()
            return value + critic + policy, metrics

        lr = self.lr(state.steps) if callable(self.lr) else self.lr
        networks, adam, metrics = nn.descend(state.networks, state.adam, loss, lr)
        target = jax.tree.map(lambda t, p: t + self.tau * (p - t), state.target, networks.critic)
        return IQLState(networks, target, adam, state.steps + 1), metrics


def targets(
    after: Float[Array, " B"],
    expert: Array,
    terminated: Array,
    gamma: float | Array,
    beta: float | Array,
    bounded: bool,
) -> Float[Array, " B"]:
    """What Q is fitted to, from V(s') `after` each row, in units of 2/(1 − γ).

    >>> yes, no = jnp.array([True, False]), jnp.array([False, False])
    >>> [round(float(y), 3) for y in targets(jnp.array([0.5, 0.5]), yes, no, 0.9, 0.5, False)]
    [0.55, 0.35]
    """
    own = jnp.where(terminated, 1.0, gamma * after + (1.0 - gamma)) if not bounded else jnp.ones_like(after)
    return jnp.where(expert, own, gamma * after - (1.0 - gamma) * beta / (1.0 - beta))
