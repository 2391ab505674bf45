"""Goal-conditioned imitation: GAIL that knows what was wished for, of demonstrations told again in hindsight.

    D = σ(f(s, a)), the goal g in s;   f ← Adam on −E_E[log D] − E_π[log(1 − D)] + λ E[(‖∇f‖ − k)²]
    r = [‖achieved(s') − g‖ ≤ radius] + δ log D

On both sides a share of the steps is told again: g becomes what the same episode reached later. So few demonstrations
show the way to every place they pass through, and the agent is compared where it wished for what it did reach. δ fades,
so that the agent ends up free to do better than a poor demonstrator. Under `learners.goals.Hindsight`, whose
minibatches are told again likewise, and half of which are demonstrations where `shown`.

Reference: Ding, Florensa, Phielipp, Abbeel 2019, Goal-conditioned Imitation Learning, 1906.05838 (its code: log D,
λ = 10, k = 1, both sides); hindsight: Andrychowicz et al. 2017, 1707.01495.
Deviations from the paper:
1. δ falls linearly over `fades` updates; the code multiplies it by 0.9 now and then.
2. Demonstrations are half of the learner's minibatch; in the code 96 of 352.
3. No noise is added to the actions that D compares (there: 0.15 on both sides).
4. The reward for the goal is added in every experiment; the published one of the four rooms has it at 0.
5. δ = 1: the published 0.1 stands beside a goal that ends the episode and is paid once; here, where episodes are of one
   length, every step spent there is paid, and 0.1 is lost beside that (0.75 of the goals of four rooms, as without).

>>> import numpy as np
>>> from operant.envs.toy import PointMaze
>>> from operant.data.dataset import Dataset
>>> spec, n = PointMaze(fixed_horizon=True).spec, 4
>>> obs, ends = np.ones((n, 6)), np.array([0, 0, 0, 1], bool)
>>> steps = dict(obs=obs, reward=np.zeros(n), terminated=ends & False, truncated=ends, next_obs=obs)
>>> by = GoalGAIL(hidden=(8,))
>>> demos = Dataset.from_numpy(spec, action=np.zeros((n, 2)), **steps)
>>> by(by.init(spec, demos, key=jax.random.key(0)), demos.data).shape
(4,)
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from operant import nn
from operant.core import Card, EnvSpec, Space, Transition
from operant.data.dataset import Dataset
from operant.data.goals import Goals, tell_again
from operant.data.replay import Replay
from operant.errors import check_counts
from operant.rewards._checks import check_number
from operant.rewards.imitation._discriminator import (
    AbstractAdversary,
    AdversaryState,
    Discriminator,
    Use,
)


class GoalGAIL(AbstractAdversary):
    """Goal-conditioned generative adversarial imitation (see the module's docstring)."""

    goals: Goals = Goals()
    """Where goals stand in the observation, and when one is reached."""
    weight: float = 1.0
    """δ: of log D beside the reward for reaching the goal."""
    fades: int | None = None
    """Iterations over which δ falls to 0; None: it stays."""
    share: float = 0.8
    """Share of both sides that is told again, in [0, 1]."""
    horizon: int = 100
    """Steps that are looked ahead, at most."""
    shown: bool = True
    """Whether the learner sees demonstrations among its own steps; their actions must then be real."""
    hidden: tuple[int, ...] = (256, 256)
    """Units of each hidden layer."""
    activation: nn.Activation = "tanh"
    """Between the layers."""
    use: Use = "state-action"
    """What is looked at: "state-action", "state", or "transition" (s, s'; demonstrations without actions)."""
    lr: float = 1e-3
    """Adam's step size."""
    batch: int = 256
    """Transitions of each side a gradient step."""
    steps: int = 1
    """Gradient steps an update."""
    every: int = 1
    """Iterations between updates."""
    memory: int | None = 100_000
    """Transitions of the agent that are remembered; None: each rollout alone, which is not told again."""
    penalty: float = 10.0
    """λ: weight of the gradient penalty; 0: none."""
    lipschitz: float = 1.0
    """k: norm of the gradient that is aimed at (score a standard deviation of the demonstrations)."""
    one_sided: bool = False
    """Whether only gradients larger than that are penalised."""
    allow_variable_horizon: bool = False
    """Learn even where episodes may end early, and where a reward of one sign teaches by itself."""

    card: ClassVar[Card] = Card(
        "Ding et al. 2019, Goal-conditioned Imitation Learning", "1906.05838", "goal-conditioned", ("env", "dataset")
    )

    def __check_init__(self) -> None:
        check_counts(self, "horizon", "fades")
        check_number("GoalGAIL.share", self.share, 0.0, 1.0)

    def init(self, spec: EnvSpec, demos: Dataset, *, key: PRNGKeyArray) -> AdversaryState:
        self.goals.columns(spec.obs)
        return super().init(spec, demos, key=key)

    def shows(self, state: AdversaryState) -> Replay | None:
        return state.expert if self.shown else None

    def __call__(self, state: AdversaryState, batch: Transition) -> Float[Array, "*B"]:
        log_D = super().__call__(state, batch)
        left = 1.0 if self.fades is None else jnp.clip(1.0 - state.updates / self.fades, 0.0, 1.0)
        reached = self.goals.reached(state.network.encoder.space, batch.next_obs)
        return reached.astype(jnp.float32) + self.weight * left * log_D

    def relabel(self, space: Space, replay: Replay, place: Any, drawn: Transition, key: PRNGKeyArray) -> Transition:
        return tell_again(space, self.goals, self.share, self.horizon, False, replay, place, drawn, key)

    def score(self, network: Discriminator, x: Float[Array, " d"]) -> Float[Array, ""]:
        return network(x)

    def loss(self, expert: Float[Array, " B"], agent: Float[Array, " B"]) -> Float[Array, ""]:
        return jax.nn.softplus(-expert).mean() + jax.nn.softplus(agent).mean()

    def pay(self, score: Float[Array, " B"]) -> Float[Array, " B"]:
        return -jax.nn.softplus(-score)
