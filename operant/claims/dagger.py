"""DAgger's claim: corrected where the learner goes, as many of the expert's answers teach more than its own episodes.

Reference: Ross, Gordon and Bagnell 2011, 1011.0686.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from operant.claims import Claim
from operant.claims._fitted import Fitted, Returns
from operant.claims._samples import Greedy, Trained
from operant.claims._tests import Better
from operant.data.dataset import Dataset
from operant.envs.toy import Pendulum
from operant.learners.bc import BC
from operant.learners.imitation.dagger import DAgger
from operant.loops.audit import FunctionPolicy
from operant.loops.rollout import evaluate

ENV = Pendulum()
EPISODES = 20
_NET = {"hidden": (64, 64), "lr": 1e-3, "batch": 256}


def swing_up(obs):
    """Pump energy until the pole is high, then hold it: a scripted expert (cos θ, sin θ, angular velocity)."""
    cos, sin, speed = obs
    angle = jnp.arctan2(sin, cos)
    pump = 2.0 * jnp.sign(speed) * jnp.sign(5.0 - (speed**2 / 6.0 + 5.0 * cos))
    return jnp.clip(jnp.where(cos > 0.8, -(12.0 * angle + 3.0 * speed), pump), -2.0, 2.0)[None]


@functools.cache
def shown(seed: int) -> Dataset:
    """Whole episodes of the scripted expert."""
    found = evaluate(FunctionPolicy(ENV.spec, swing_up), ENV, episodes=EPISODES, key=jax.random.key(seed + 1))
    return Dataset.from_episodes(jax.tree.map(np.asarray, found), ENV.spec, origin="scripted expert")


_STATES = EPISODES * ENV.max_steps

CLAIMS = (
    Claim(
        name="corrected",
        tier="quick",
        statement="Asked about the states the learner itself comes to, the expert teaches more than by its own "
        "episodes, answer for answer.",
        source="1011.0686, theorem 3.1 and section 5",
        baseline=f"behavioural cloning of {EPISODES} episodes of the expert: as many of its answers, as many updates",
        problem="Pendulum-v1 in JAX; a scripted expert pumps energy, then holds",
        figure=Greedy(20).words,
        steps=_STATES,
        seeds=6,
        test=Better(),
        subject=Trained(
            DAgger(expert=swing_up, rollout=50, handover=5, updates=200, **_NET), ENV, Greedy(20), num_envs=8
        ),
        control=Fitted(BC(**_NET), shown, f"{EPISODES} episodes of the expert", Returns(ENV, 20), steps=2_000),
    ),
)
