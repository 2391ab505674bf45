"""COACH: an actor whose critic is a person; each plus or minus tells how much better an action was than usual.

    e ← λ e + ∇ log π(a | s)          (set to 0 after an episode ends)
    θ ← θ + α · f · e                 f: the feedback a step, in place of the advantage A^π(s, a)

People judge an action by what the learner usually does: the same step earns praise at first and nothing once it has
become a habit. Feedback of that kind is a sample of the advantage of the policy as it is, so that following it climbs
the policy gradient, where learners that take it for a reward, or for a property of the action, unlearn.

The feedback is what the reward function returns: of a simulated person (`rewards.Critique`), or of a real one, who sees
the agent act (`operant coach`, `envs.Watched`). Without feedback nothing changes.

Reference: MacGlashan, Ho, Loftin, Peng, Wang, Roberts, Taylor, Littman 2017, Interactive Learning from Policy-Dependent
Human Feedback, 1701.06049 (algorithm 1, real-time COACH; entropy: Arumugam et al. 2019, 1902.04257).
Deviations from the paper: one λ, where the paper's person chooses between two, and 0 unless asked: the person's delay
is taken account of where feedback comes in (`envs.Watched`), and a trace gives prompt feedback to the wrong actions
(see the claim); several environments are averaged; the standard deviation of continuous actions is fixed.

>>> learner = COACH(hidden=())
>>> state = learner.init(EnvSpec(Box((3,)), Discrete(2), 100), key=jax.random.key(0))
>>> learner.policy(state)(jnp.zeros(3), (), key=None)[0].shape
()
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from operant import nn
from operant.core import AbstractLearner, Action, Box, Card, Discrete, EnvSpec, Metrics, Obs, RewardFn, Transition
from operant.errors import SpecError
from operant.learners._density import DensityPolicy, Network, density, to_choice


class COACHState(eqx.Module):
    """Everything COACH carries from one update to the next."""

    network: Network
    trace: Float[Array, "N p"]
    """e, of each environment."""


class COACH(AbstractLearner):
    """An actor taught by plus and minus (see the module's docstring)."""

    rollout: int = 1
    """Steps in each environment between updates: 1 learns from each step as it is seen."""
    hidden: tuple[int, ...] = (32,)
    """Units of each hidden layer; none: the policy is linear, as the paper's."""
    activation: nn.Activation = "tanh"
    """Between the layers."""
    lr: float = 0.05
    """α: step size, for feedback of plus or minus one."""
    trace: float = 0.0
    """λ in [0, 1): how much of an action's credit is left a step later; for feedback that comes late."""
    entropy: float = 0.0
    """Weight of the policy's entropy, so that it goes on trying."""
    std: float = 0.3
    """Standard deviation of continuous actions, in units of the box."""

    card: ClassVar[Card] = Card(
        "MacGlashan et al. 2017, Interactive Learning from Policy-Dependent Human Feedback",
        "1701.06049",
        "preference-learning",
        ("env",),
    )

    def __check_init__(self) -> None:
        if self.rollout < 1:
            raise SpecError(f"expected COACH.rollout ≥ 1; got {self.rollout}. Use 1 to learn from every step at once.")
        if isinstance(self.trace, int | float) and not 0.0 <= self.trace < 1.0:
            raise SpecError(f"expected COACH.trace in [0, 1); got {self.trace:g}. Use 0 where feedback is never late.")

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> COACHState:
        network = density(nn.generator(key), spec, self.hidden, self.activation, std=self.std)
        return COACHState(network, jax.device_put(np.zeros((spec.num_envs, nn.flat_size(network)), np.float32)))

    def policy(self, state: COACHState) -> DensityPolicy:
        return DensityPolicy(state.network.spec, state.network)

    def update(
        self, state: COACHState, batch: Transition, reward: RewardFn, *, key: PRNGKeyArray
    ) -> tuple[COACHState, Metrics]:
        feedback = reward(batch)
        flat, unflatten = nn.flatten(state.network)
        space = state.network.spec.action
        gradients = jax.vmap(jax.grad(_log_prob, has_aux=True), (None, 0, 0, None, None))

        def step(carry: Any, now: Any) -> tuple[Any, Array]:
            flat, trace = carry
            t, f = now
            score, entropy = gradients(flat, t.obs, t.action, unflatten, space)
            trace = self.trace * trace + score
            flat = flat + self.lr * (f[:, None] * trace).mean(0)
            if not isinstance(self.entropy, int | float) or self.entropy > 0.0:  # an array is one of several settings
                flat = flat + self.lr * self.entropy * _climb(flat, t.obs, unflatten)
            return (flat, jnp.where(t.done[:, None], 0.0, trace)), entropy.mean()

        (flat, trace), entropy = jax.lax.scan(step, (flat, state.trace), (batch, feedback))
        metrics = {"policy/entropy": entropy.mean(), "feedback/mean": feedback.mean()}
        metrics["feedback/share"] = (feedback != 0).mean()
        return COACHState(unflatten(flat), trace), metrics


def _log_prob(flat: Array, obs: Obs, action: Action, unflatten: Any, space: Box | Discrete) -> tuple[Array, Array]:
    """log π(a | s), and the entropy there."""
    dist = unflatten(flat).distribution(obs, obs)
    return dist.log_prob(to_choice(space, action)), dist.entropy()


def _climb(flat: Array, obs: Obs, unflatten: Any) -> Array:
    """∇ of the mean entropy at these observations (N, …)."""
    return jax.grad(lambda v: jax.vmap(lambda o: unflatten(v).distribution(o, o).entropy())(obs).mean())(flat)
