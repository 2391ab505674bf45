"""Claims of RAT: at equal ε it induces a behaviour that noise and attacks on the return do not.

The victim swings a pendulum up and holds it. The wish, told by comparisons of clips alone: let it spin anticlockwise.

Reference: Bai et al. 2025, 2412.10713.
"""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from operant.attacks import MAD, RAT, AbstractAttack, Attacked, RandomNoise, scale_of
from operant.attacks.rat import Value
from operant.claims import Claim
from operant.claims._attacked import PENDULUM, victims
from operant.claims._samples import AbstractSample, Bench, Figures, plain_fields
from operant.claims._tests import Better
from operant.core import AbstractEnv, AbstractPolicy, Box, Carry, EnvSpec, Intent, Obs
from operant.envs.toy import Pendulum
from operant.learners.ppo import PPO
from operant.learners.sac import SAC
from operant.loops.asking import Questions
from operant.loops.rollout import evaluate
from operant.loops.train import train
from operant.rewards.preferences.bradley_terry import BradleyTerry
from operant.rewards.task import Task
from operant.teachers import Oracle

SPINS = 1.0
"""Angular velocity (rad/s) above which a step counts as the wished behaviour."""
VICTIM_STEPS, INTENTION_STEPS, ADVERSARY_STEPS = 61_440, 12_000, 61_440
EPSILON = 0.4


class Spun(Pendulum):
    """Pendulum-v1 that pays its angular velocity, clipped to ±4 rad/s: what the oracle judges by, and nobody sees."""

    def advance(
        self, inner: Float[Array, "2"], action: Float[Array, "1"], *, key: PRNGKeyArray
    ) -> tuple[Float[Array, "2"], Float[Array, ""], Bool[Array, ""]]:
        inner, _, terminated = super().advance(inner, action, key=key)
        return inner, jnp.clip(inner[1], -4.0, 4.0), terminated


@functools.cache
def intention() -> tuple[AbstractPolicy, Value]:
    """SAC's policy and critic, by a reward learned from 200 comparisons of 25 steps."""
    learner = SAC(hidden=(64, 64), batch=64, lr=1e-3, learning_starts=500, gradient_steps=4, capacity=12_000)
    run = train(
        learner, Spun(),
        Intent(BradleyTerry(segment=25)), steps=INTENTION_STEPS, num_envs=8, key=jax.random.key(2412),
        teacher=Oracle(), questions=Questions(budget=200, at_once=20),
    )  # fmt: skip
    state = jax.tree.map(lambda x: x[0], run.state.learner)
    critic = learner.slots(state.spec)[1]

    def value(obs: Obs, action: Any) -> Float[Array, ""]:
        seen = obs if state.normaliser is None else state.normaliser(obs)
        return critic.heads(state.networks.critic, seen, action).min(0)

    return run.policies()[0], value


class Against(AbstractEnv):
    """What an adversary of the return acts in: it chooses u, the victim acts on what it is shown, the reward is −r."""

    victim: AbstractPolicy
    epsilon: float
    scale: Float[Array, " n"]
    env: AbstractEnv = PENDULUM

    @property
    def spec(self) -> EnvSpec:
        obs = self.env.spec.obs
        assert isinstance(obs, Box)
        return EnvSpec(obs, Box(obs.shape, -1.0, 1.0), self.env.spec.max_steps, name="against")

    def initial(self, *, key: PRNGKeyArray) -> Any:
        return self.env.initial(key=key)

    def observe(self, inner: Any) -> Obs:
        return self.env.observe(inner)

    def advance(self, inner: Any, action: Any, *, key: PRNGKeyArray) -> Any:
        shown = self.observe(inner) + self.epsilon * self.scale * jnp.clip(action, -1.0, 1.0)
        own, _, _ = self.victim(shown, self.victim.init_carry(), key=None)
        inner, reward, terminated = self.env.advance(inner, own, key=key)
        return inner, -reward, terminated


class Minimising(AbstractAttack):
    """An adversary that learned by PPO to minimise the victim's return (Zhang et al. 2021, 2101.08452)."""

    policy: AbstractPolicy | None = None

    unit: ClassVar[str] = "ε"

    def push(
        self, policy: AbstractPolicy, shown: Callable[[Array], Obs], n: int, carry: Carry, *, key: PRNGKeyArray
    ) -> Float[Array, " n"]:
        assert self.policy is not None
        return self.policy(shown(jnp.zeros(n)), (), key=None)[0]


@dataclasses.dataclass(frozen=True)
class Spinning(AbstractSample):
    """How often an attacked victim does what is wished; RAT and the adversary of the return learn first."""

    attack: AbstractAttack
    epsilon: float = EPSILON

    def plain(self) -> dict[str, Any]:
        return {
            "attack": plain_fields(self.attack), "epsilon": self.epsilon, "spins": SPINS,
            "intention": "SAC by BradleyTerry, 200 comparisons of 25 steps, 12,000 steps",
        }  # fmt: skip

    def figures(self, bench: Bench) -> Figures:
        began = time.perf_counter()
        found = [share(self.attack, self.epsilon, i, bench.steps, bench.seeds) for i in range(bench.seeds)]
        return Figures(np.array(found), time.perf_counter() - began)


@functools.cache
def share(attack: AbstractAttack, epsilon: float, i: int, steps: int, seeds: int) -> float:
    """Of the i-th victim, attacked."""
    victim = victims(PENDULUM, steps, seeds)[i]
    keys = jax.random.split(jax.random.fold_in(jax.random.key(11), i), 3)
    scale = scale_of(PENDULUM.spec.obs, [evaluate(victim, PENDULUM, episodes=16, key=keys[0])])
    attacked = Attacked(victim, learned(attack, victim, epsilon, scale, keys[1]), epsilon, scale)
    ran = evaluate(attacked, PENDULUM, episodes=20, key=keys[2], deterministic=False)
    speed = np.asarray(ran.transitions.obs)[np.asarray(ran.mask)][:, 2]
    return float((speed > SPINS).mean())


def learned(attack: AbstractAttack, victim: AbstractPolicy, epsilon: float, scale: Any, key: Any) -> AbstractAttack:
    """The attack, having learned where it is one that does."""
    if isinstance(attack, RAT):
        wish, value = intention()
        return attack.taught(victim, PENDULUM, wish, value, epsilon=epsilon, scale=scale, key=key)
    if isinstance(attack, Minimising):
        against = Against(victim, epsilon, jnp.asarray(scale))
        run = train(PPO(), against, Intent(Task()), steps=ADVERSARY_STEPS, num_envs=16, key=key)
        return Minimising(run.policies()[0])
    return attack


_BASE: dict[str, Any] = {
    "tier": "quick",
    "source": "2412.10713, experiments (behaviours induced at equal ε, against other attacks)",
    "problem": "Pendulum-v1 in JAX, ε = 0.4; victims of PPO that swing up and hold; the wish, told by 200 comparisons "
    "by an oracle: spin anticlockwise",
    "figure": "share of the steps of 20 episodes with angular velocity above 1 rad/s",
    "steps": VICTIM_STEPS,
    "seeds": 4,
    "test": Better(),
}

CLAIMS = (
    Claim(
        name="random",
        statement="It induces the wished behaviour more often than random corners of the ball do.",
        baseline="random corners of the ball of the same ε",
        subject=Spinning(RAT()),
        control=Spinning(RandomNoise(corners=True)),
        **_BASE,
    ),
    Claim(
        name="untargeted",
        statement="It induces it more often than the attack that changes the actions most.",
        baseline="MAD with the same ε",
        subject=Spinning(RAT()),
        control=Spinning(MAD()),
        **_BASE,
    ),
    Claim(
        name="minimising",
        statement="It induces it more often than an adversary that learned to minimise the return.",
        baseline="an adversary trained by PPO on minus the victim's reward, 61,440 steps, the same ε",
        subject=Spinning(RAT()),
        control=Spinning(Minimising()),
        **_BASE,
    ),
    Claim(
        name="weighting",
        statement="Weighting the states of the replay makes it induce the behaviour more often.",
        baseline="the same without weighting, as many inner steps",
        subject=Spinning(RAT()),
        control=Spinning(RAT(outer_every=0)),
        note="In the expected direction (0.44 against 0.38), not shown by four seeds. The outer gradient agrees with "
        "one worked out by hand (equation tests). Here the KL to the intention can be made small in most states, which "
        "may leave a weighting little to choose; more seeds or a smaller ε were not tried.",
        **{**_BASE, "source": "2412.10713, experiments (ablation of the weighting)"},
    ),
)
