"""C-BeT: goals are seen, drawn from the future, and decide between ways."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, EnvSpec
from operant.data.dataset import Dataset
from operant.errors import DataError, SpecError
from operant.learners.imitation.bet import BeT
from operant.learners.imitation.cbet import CBeT

KEY = jax.random.key(0)
SPEC = EnvSpec(Box((1,), -2.0, 2.0), Box((1,), -1.0, 1.0), 10)


def play():
    """From 0 one step to the left or to the right, and another: where it leads is known from the goal alone."""
    side = np.repeat(np.where(np.arange(100) % 2, 1.0, -1.0), 2).astype(np.float32)
    second = np.tile([0.0, 1.0], 100).astype(np.float32)
    obs = (side * second)[:, None]
    ends = second == 1
    return Dataset.from_numpy(
        SPEC, obs=obs, action=0.7 * side[:, None], reward=np.zeros(200), terminated=ends, next_obs=obs + side[:, None]
    )


def test_it_goes_where_it_is_sent():
    data = play()
    learner = CBeT(bins=2, window=2, width=8, layers=1, heads=1, batch=32, lr=0.01)
    state = learner.prepare(learner.init(SPEC, key=KEY), data, key=KEY)
    drawn = learner.draw(data, 50, KEY)
    assert drawn.obs.shape == (50, 2, 1) and drawn.extras["goal"].shape == (50, 1)

    @jax.jit
    def many(state):
        def one(s, k):
            batch = jax.tree.map(lambda x: x[None], learner.draw(data, 32, k))
            return learner.update(s, batch, lambda b: 1 / 0, key=k)

        return jax.lax.scan(one, state, jax.random.split(KEY, 150))

    policy = learner.policy(many(state)[0])
    for goal in (-2.0, 2.0):
        sent = policy.towards(jnp.full(1, goal))
        act = lambda k, sent=sent: sent(jnp.zeros(1), sent.init_carry(), key=k)[0][0]
        acted = np.asarray(jax.vmap(act)(jax.random.split(KEY, 50)))
        assert np.mean(np.abs(acted - 0.35 * goal) < 0.1) > 0.9
    with pytest.raises(DataError, match="expected a goal shaped as observations"):
        policy.towards(jnp.zeros(3))


def test_the_goal_stands_before_the_observations():
    learner = CBeT(bins=2, window=2, width=8, layers=1, heads=1)
    network = learner.init(SPEC, key=KEY).network
    obs, mask = jnp.zeros((2, 1)), jnp.array([False, True])
    a, b = (network(obs, mask, jnp.full(1, g))[0] for g in (0.0, 1.0))
    assert a.shape == (2, 2) and not np.allclose(a[1], b[1])
    assert BeT(bins=2, window=2, width=8, layers=1, heads=1).init(SPEC, key=KEY).network.goal is None


def test_refusals():
    with pytest.raises(SpecError, match=r"expected CBeT.bins ≥ 1; got 0"):
        CBeT(bins=0)
