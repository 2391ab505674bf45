"""How much is learned from answers about a fixed store of behaviour, without an agent: for claims on who is asked what.

Two stores. Quick claims have `NUMBERS`: ten independent normal numbers a step, of which the reward is a fixed sum. Full
claims have `PENDULUM`: half the behaviour is random, half of a controller that swings it up more or less well. All of
it is there from the start, so that nothing but the questions differs between two samples.
"""

import dataclasses
import functools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from operant.claims import Claim
from operant.claims._samples import AbstractSample, Bench, Figures, plain_fields
from operant.claims._tests import Better
from operant.core import Box, Discrete, EnvSpec, Transition
from operant.data.segments import Answers
from operant.envs.toy import Pendulum
from operant.rewards.preferences.bradley_terry import BradleyTerry
from operant.rewards.queries import AbstractQuery
from operant.rewards.queries.uniform import Uniform
from operant.teachers import TARGET, AbstractTeacher, Answer, Oracle

ENV = Pendulum()
EPISODES, STEPS, SEGMENT = 64, 200, 25
NUMBERS, PENDULUM = "ten normal numbers", "_asked, 64 episodes of Pendulum"
_SPECS = {
    NUMBERS: EnvSpec(Box((10,)), Discrete(2), STEPS, EPISODES),
    PENDULUM: dataclasses.replace(ENV.spec, num_envs=EPISODES),
}


def swing(obs: jax.Array) -> jax.Array:
    """Torque that adds energy, and holds the pendulum once it is up."""
    cos, sin, speed = obs[0], obs[1], obs[2]
    angle = jnp.arctan2(sin, cos)
    return jnp.where(cos > 0.9, -10.0 * angle - 2.0 * speed, 2.0 * jnp.sign(speed))


@functools.cache
def _numbers() -> Any:
    def drawn(key: PRNGKeyArray) -> Transition:
        obs = jax.random.normal(key, (STEPS, EPISODES, 10))
        no = jnp.zeros((STEPS, EPISODES), bool)
        reward = (obs * jnp.broadcast_to(jnp.linspace(-1.0, 1.0, 10), obs.shape)).sum(-1)
        return Transition(obs, no.astype(jnp.int32), reward, no, no, obs, {})

    return jax.jit(drawn)


@functools.cache
def _played() -> Any:
    def episode(key: PRNGKeyArray, skill: jax.Array) -> Transition:
        start, run = jax.random.split(key)

        def step(carry: Any, key: PRNGKeyArray) -> tuple[Any, Transition]:
            inner, held = carry
            which, new, again, env_key = jax.random.split(key, 4)
            obs = ENV.observe(inner)
            held = jnp.where(jax.random.bernoulli(again, 0.2), jax.random.uniform(new, minval=-2.0, maxval=2.0), held)
            torque = jnp.where(jax.random.bernoulli(which, skill), swing(obs), held)
            action = jnp.clip(torque, -2.0, 2.0)[None]
            inner, reward, over = ENV.advance(inner, action, key=env_key)
            return (inner, held), Transition(obs, action, reward, over, over & False, ENV.observe(inner), {})

        ts = jax.lax.scan(step, (ENV.initial(key=start), jnp.zeros(())), jax.random.split(run, STEPS))[1]
        return dataclasses.replace(ts, truncated=jnp.arange(STEPS) == STEPS - 1)

    def all_of(key: PRNGKeyArray) -> Transition:
        skill = jnp.where(jnp.arange(EPISODES) % 2 == 0, 0.0, jnp.linspace(0.0, 1.0, EPISODES))
        return jax.vmap(episode, out_axes=1)(jax.random.split(key, EPISODES), skill)

    return jax.jit(all_of)


@dataclasses.dataclass(frozen=True)
class Asked(AbstractSample):
    """Share of pairs of fresh segments that the learned reward ranks as the true one does, after `labels` answers."""

    reward: BradleyTerry
    labels: int
    teacher: AbstractTeacher = Oracle()  # noqa: RUF009
    at_once: int = 10
    behaviour: str = PENDULUM

    words = "share of 2,000 pairs of fresh segments ranked as the true reward ranks them"

    def plain(self) -> dict[str, Any]:
        fields = {name: plain_fields(getattr(self, name)) for name in ("reward", "teacher")}
        return fields | {"labels": self.labels, "at_once": self.at_once, "behaviour": self.behaviour}

    def figures(self, bench: Bench) -> Figures:
        began, reward = time.perf_counter(), self.reward
        spec, played = _SPECS[self.behaviour], _played() if self.behaviour == PENDULUM else _numbers()
        propose = jax.jit(lambda state, key: reward.propose(state, self.at_once, key=key))
        teach = jax.jit(lambda state, answers, key: reward.teach(state, answers, key=key)[0])
        watch = jax.jit(lambda state, batch, key: reward.update(state, batch, key=key)[0])
        rank = jax.jit(lambda state, batch: reward(state, batch))
        found = []
        for seed in range(bench.seeds):
            keys = jax.random.split(jax.random.fold_in(bench.key, seed), 4)
            state = watch(reward.init(spec, key=keys[0]), played(keys[1]), keys[0])
            for i in range(self.labels // self.at_once):
                ask, say, learn = jax.random.split(jax.random.fold_in(keys[2], i), 3)
                pairs = jax.tree.map(np.asarray, propose(state, ask))
                said = np.asarray(self.teacher.label(pairs, key=say))
                number = np.arange(self.at_once, dtype=np.int32) + i * self.at_once
                yes = np.ones(self.at_once, bool)
                parts: Any = (pairs, number, TARGET[said], yes, said != Answer.unsure)
                state = teach(state, Answers(*parts), learn)
            fresh = played(keys[3])
            found.append(_agreement(np.asarray(rank(state, fresh)), np.asarray(fresh.reward), reward.segment, seed))
        return Figures(np.array(found), time.perf_counter() - began)


def _agreement(learned: np.ndarray, true: np.ndarray, segment: int, seed: int) -> float:
    """(T, N) each; over segments that do not overlap."""
    cut = lambda x: x.reshape(-1, segment, x.shape[1]).sum(1).ravel()
    learned, true = cut(learned), cut(true)
    a, b = np.random.default_rng(seed).integers(len(true), size=(2, 2000))
    different = true[a] != true[b]
    return float(((learned[a] > learned[b]) == (true[a] > true[b]))[different].mean())


def reward_with(query: AbstractQuery, behaviour: str = PENDULUM) -> BradleyTerry:
    """What is taught: shipped defaults, but for the query, the segments, and a small network for the small problem."""
    pool = EPISODES * STEPS
    if behaviour == NUMBERS:
        return BradleyTerry(segment=5, query=query, capacity=64, pool=pool, hidden=(16,), batch=16)
    return BradleyTerry(segment=SEGMENT, query=query, capacity=200, pool=pool)


def per_label(query: AbstractQuery, statement: str, source: str, note: str = "") -> tuple[Claim, Claim]:
    """The query teaches more by as many answers than pairs drawn uniformly: quickly, and on a pendulum."""
    about = {
        "statement": statement, "source": source, "baseline": "the same with pairs drawn uniformly",
        "figure": Asked.words, "steps": 0, "test": Better(), "note": note,
    }  # fmt: skip
    asked = lambda q, behaviour, labels: Asked(reward_with(q, behaviour), labels, behaviour=behaviour)
    quick = Claim(
        name="numbers",
        tier="quick",
        problem="a sum of ten normal numbers; 40 comparisons of 5 steps by an oracle, ten at a time",
        seeds=24,
        subject=asked(query, NUMBERS, 40),
        control=asked(Uniform(), NUMBERS, 40),
        **about,
    )
    full = Claim(
        name="per-label",
        tier="full",
        problem=f"Pendulum, 64 stored episodes, skilled and not; 60 comparisons of {SEGMENT} steps by an oracle, "
        "ten at a time; no agent",
        seeds=32,
        subject=asked(query, PENDULUM, 60),
        control=asked(Uniform(), PENDULUM, 60),
        **about,
    )
    return quick, full
