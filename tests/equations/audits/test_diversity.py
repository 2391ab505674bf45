"""Diversity: policies whose ways are known, and what it says of each."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.audits.diversity import Diversity, From
from operant.core import AbstractEnv, AbstractPolicy, Box, EnvSpec, Subject, Verdict
from operant.envs.toy import CartPole
from operant.errors import SpecError
from operant.loops.audit import audit

KEY = jax.random.key(0)


class Fork(AbstractEnv):
    """One step to the left (mode 0) or to the right (mode 1); 0 leads nowhere."""

    modes: int = 2

    @property
    def spec(self):
        return EnvSpec(Box((1,), -2.0, 2.0), Box((1,), -1.0, 1.0), 3)

    def mode(self, path, mask):
        x = path[0, 0]
        return jnp.where(jnp.abs(x) < 0.5, -1, (x > 0).astype(jnp.int32))

    def initial(self, *, key):
        return 0.1 * jax.random.uniform(key, (1,), minval=-1.0)

    def advance(self, inner, action, *, key):
        return action, jnp.ones(()), jnp.ones((), bool)

    def observe(self, inner):
        return inner


class Takes(AbstractPolicy):
    """Left with this probability where drawn, nothing with `idle`; `by_start`: as the start says."""

    left: float
    idle: float = 0.0
    by_start: bool = False
    spec: EnvSpec = eqx.field(static=True, default=Fork().spec)

    def init_carry(self):
        return ()

    def __call__(self, obs, carry, *, key):
        side, none = jax.random.uniform(key, (2,))
        way = jnp.where(obs[0] > 0, 1.0, -1.0) if self.by_start else jnp.where(side < self.left, -1.0, 1.0)
        return jnp.where(none < self.idle, 0.0, way)[None], {}, carry


AUDIT = Diversity(starts=4, episodes=50)


def ask(*policies, audit=AUDIT):
    return audit(Subject(policies=policies, env=Fork()), key=KEY)


def test_one_that_takes_both_ways_holds():
    found = ask(Takes(0.5), Takes(0.5))
    assert found.verdict is Verdict.holds and found.n == 400 and found.limit == 0.5
    assert 0.95 < found.low <= found.value <= 1.0 and found.arrays["modes"].shape == (2, 4, 50)
    assert "in 2 of 2 ways" in found.why


def test_one_that_knows_one_way_is_a_concern_and_one_that_fails_fails():
    found = ask(Takes(1.0))
    assert found.verdict is Verdict.concern and found.value == 0.0 and "keeps to few" in found.why
    found = ask(Takes(0.5, idle=0.9))
    assert found.verdict is Verdict.fails and "seldom succeeds" in found.why


def test_ways_that_the_start_decides_are_told_apart():
    found = ask(Takes(0.5, by_start=True), audit=Diversity(starts=16, episodes=8))
    assert found.value == 0.0 and "entropy 0 [0, 0] from one start, 0.9" in found.why


def test_unknown_without_modes_and_refusals():
    found = audit(Subject(policies=(Takes(0.5),), env=CartPole()), [AUDIT], key=KEY).findings[0]
    assert found.verdict is Verdict.unknown and "an environment in JAX that knows its modes" in found.why
    with pytest.raises(SpecError, match=r"expected Diversity.starts ≥ 2"):
        Diversity(starts=1)
    there = From(Fork(), jnp.full(1, 0.07))
    np.testing.assert_array_equal(there.reset(key=KEY)[1], np.float32(0.07))
