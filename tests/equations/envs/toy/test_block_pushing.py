"""BlockPushing: contact by hand, orders, the demonstrator."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.envs.toy.block_pushing import BlockPushing, order
from operant.errors import SpecError

ENV = BlockPushing(blocks=2)
KEY = jax.random.key(0)


def go(inner, action):
    after, reward, terminated = ENV.advance(jnp.array(inner, jnp.float32), jnp.array(action), key=KEY)
    return np.asarray(after), float(reward), bool(terminated)


def test_a_face_is_pushed_ahead():
    after, _, _ = go([-0.8, -0.15, -0.8, 0.0, 0.8, 0.0], [0.0, 1.0])  # to y = −0.07, through the lower face at −0.12
    assert after == pytest.approx([-0.8, -0.07, -0.8, 0.05, 0.8, 0.0], abs=1e-6)
    after, _, _ = go(after, [0.0, 1.0])  # from on the face
    assert after[:4] == pytest.approx([-0.8, 0.01, -0.8, 0.13], abs=1e-6)
    after, _, _ = go([-1.0, 0.05, -0.8, 0.0, 0.8, 0.0], [1.5, 0.0])  # from the left, at most one step: x = −0.92, on it
    assert after[2:4] == pytest.approx([-0.8, 0.0], abs=1e-6)
    after, _, _ = go([-0.95, 0.05, -0.8, 0.0, 0.8, 0.0], [1.0, 0.0])  # to x = −0.87, through the left face at −0.92
    assert after[2:4] == pytest.approx([-0.75, 0.0], abs=1e-6)
    after, _, _ = go([0.0, 0.0, -0.8, 0.0, 0.8, 0.0], [1.0, 0.0])  # nothing there
    assert after == pytest.approx([0.08, 0.0, -0.8, 0.0, 0.8, 0.0], abs=1e-6)


def test_a_block_stays_at_its_target_and_the_last_ends_it():
    after, reward, terminated = go([-0.8, 0.6, -0.8, 0.72, 0.8, 0.0], [0.0, 1.0])  # to 0.8 exactly
    assert after[3] == np.float32(0.8) and reward == 0 and not terminated
    after, _, _ = go(after, [0.0, 1.0])
    assert after[2:4] == pytest.approx([-0.8, 0.8])  # the pusher passes
    after, reward, terminated = go([0.8, 0.6, -0.8, 0.8, 0.8, 0.72], [0.0, 1.0])
    assert reward == 1 and terminated
    after, reward, _ = go([0.6, 0.6, -0.8, 0.8, 0.6, 0.72], [0.0, 1.0])  # 0.2 beside its target
    assert reward == 0 and after[5] == pytest.approx(0.8) and after[4] == pytest.approx(0.6)


def test_orders_are_numbered_as_permutations():
    rows = np.tile(np.array([0.0, 0.0, -0.8, 0.0, 0.0, 0.0, 0.8, 0.0], np.float32), (4, 1))
    for number, sequence in enumerate(itertools.permutations(range(3))):
        path = rows.copy()
        for t, block in enumerate(sequence):
            path[t:, 3 + 2 * block] = 0.8
        assert int(order(jnp.asarray(path), jnp.ones(4, bool))) == number
        assert int(order(jnp.asarray(path), jnp.arange(4) < 2)) == -1


def test_demonstrations_take_every_order_equally_often(modes_of):
    data = ENV.demonstrate(4, key=KEY)
    assert modes_of(ENV, data) == [0, 1, 0, 1] and ENV.modes == 2 and data.longest <= 150
    assert float(np.asarray(data.data.reward).sum()) == 4.0


def test_refusals_and_picture():
    with pytest.raises(SpecError, match=r"expected 2 ≤ blocks ≤ 4; got 7"):
        BlockPushing(blocks=7)
    with pytest.raises(SpecError, match=r"expected 0 < speed < 2·half"):
        BlockPushing(speed=0.3)
    frame = ENV.render(np.asarray(ENV.initial(key=KEY)))
    assert frame.shape == (240, 240, 3) and ENV.spec.obs.names[2:4] == ("block_0_x", "block_0_y")
