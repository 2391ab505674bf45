"""Demonstrations for claims about imitation: scripted experts, and a reward that each seed learns from its own.

The pendulum's expert pumps energy until the pendulum can be caught, then holds it:

    u = θ̇ (15 − E),  E = ½ θ̇² + 15 cos θ     |     u = −10 θ − 2 θ̇  where |θ| < 0.4 and |θ̇| < 2        (clipped to ±2)

>>> pendulum_shown(0).size
50
"""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from operant.claims._fitted import Fitted, Returns, bare
from operant.claims._samples import Greedy, Trained
from operant.core import AbstractLearner, AbstractPolicy, AbstractReward, Carry, EnvSpec, Metrics, Transition
from operant.data.dataset import Dataset
from operant.data.replay import Replay
from operant.envs.toy import Pendulum
from operant.learners.bc import BC
from operant.learners.sac import SAC
from operant.loops.rollout import evaluate
from operant.rewards.imitation import AbstractImitation

PENDULUM = Pendulum()
SHOWN = "Pendulum-v1 in JAX; one episode of a scripted expert, every fourth step of it: 50 pairs of state and action"
EVERY = 4
POOL = 64
"""Episodes that demonstrations are drawn from."""


class Imitating(AbstractReward):
    """`by`, learned from demonstrations of this seed's own: `data(number)`, the number drawn from the seed's key."""

    by: AbstractImitation
    data: Callable[[int], Dataset] = eqx.field(static=True)

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> Any:
        number = int(np.asarray(jax.random.key_data(key)).ravel()[-1] % 2**31)
        return self.by.init(spec, self.data(number), key=key)

    def shows(self, state: Any) -> Replay | None:
        return self.by.shows(state)

    def __call__(self, state: Any, batch: Transition) -> Float[Array, "*B"]:
        return self.by(state, batch)

    def update(self, state: Any, batch: Transition, *, key: PRNGKeyArray) -> tuple[Any, Metrics]:
        return self.by.update(state, batch, key=key)


class Upright(AbstractPolicy):
    """The pendulum's scripted expert."""

    spec: EnvSpec = eqx.field(static=True, default=PENDULUM.spec)

    def init_carry(self) -> Carry:
        return ()

    def __call__(self, obs: Any, carry: Carry, *, key: PRNGKeyArray | None) -> tuple[Any, dict[str, Any], Carry]:
        cos, sin, speed = obs
        angle = jnp.arctan2(sin, cos)
        pump = speed * (15.0 - 0.5 * speed**2 - 15.0 * cos)
        near = (jnp.abs(angle) < 0.4) & (jnp.abs(speed) < 2.0)
        return jnp.clip(jnp.where(near, -10.0 * angle - 2.0 * speed, pump), -2.0, 2.0)[None], {}, carry


@functools.cache
def pendulum_expert() -> tuple[Transition, np.ndarray]:
    """`(transitions (POOL, 200), returns (POOL,))` of the expert."""
    found = evaluate(Upright(), PENDULUM, episodes=POOL, key=jax.random.key(2016))
    return bare(jax.tree.map(np.asarray, found.transitions)), np.asarray(found.returns)


def pendulum_shown(number: int, *, episodes: int = 1, every: int = EVERY) -> Dataset:
    """Some of the expert's episodes, drawn by the number, and of these every so many steps."""
    rng = np.random.default_rng([number, 27])
    steps, _ = pendulum_expert()
    picked = rng.choice(POOL, size=episodes, replace=False)
    cut = jax.tree.map(lambda x: x[picked, rng.integers(every) :: every].reshape(-1, *x.shape[2:]), steps)
    episode = np.repeat(np.arange(episodes), len(cut.reward) // episodes)
    return Dataset(cut, episode, PENDULUM.spec, origin="a scripted expert")


# --- one budget for all ---------------------------------------------------------------------------------------------

TEACHABLE = SAC(hidden=(32, 32), batch=64, lr=2e-3, learning_starts=500, gradient_steps=4, capacity=12_000)
ADVERSARY: dict[str, Any] = {"hidden": (32, 32), "lr": 1e-3, "batch": 64, "steps": 2, "memory": 12_000}
BUDGET: dict[str, Any] = {"steps": 12_000, "seeds": 6, "problem": SHOWN, "figure": Greedy().words}
"""Steps of the agent; cloning has 2,000 updates."""
CLONED = Fitted(BC(hidden=(64, 64), lr=1e-3, batch=64), pendulum_shown, SHOWN, Returns(PENDULUM), steps=2_000)
"""Behavioural cloning of as much."""
FEWER: dict[str, Any] = {**BUDGET, "seeds": 4}
"""For the claims that the gate runs."""
LONG: dict[str, Any] = {**BUDGET, "steps": 400_000}
"""For claims on-policy."""


def taught(by: AbstractImitation, learner: AbstractLearner = TEACHABLE, num_envs: int = 8) -> Trained:
    """Trained on the pendulum by a reward from demonstrations, each seed its own."""
    return Trained(learner, PENDULUM, Greedy(), Imitating(by, pendulum_shown), num_envs)
