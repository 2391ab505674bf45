"""ObstacleCourse: motion and contact by hand, the 24 routes, the demonstrator."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.envs.toy.obstacle_course import CENTRES, FINISH, ROUTES, ObstacleCourse, distances, route, waypoints
from operant.errors import DataError, SpecError

ENV = ObstacleCourse()
KEY = jax.random.key(0)


def go(inner, action, env=ENV):
    after, reward, terminated = env.advance(jnp.array(inner), jnp.array(action), key=KEY)
    return np.asarray(after), float(reward), bool(terminated)


def test_motion_by_hand():
    after, reward, terminated = go([0.5, 0.2], [0.5, -3.0])
    assert after == pytest.approx([0.56, 0.08]) and reward == 0 and not terminated
    assert go([2.2, 0.0], [1.0, 0.0])[0] == pytest.approx([2.25, 0.0])  # the edge
    after, reward, terminated = go([1.5, 4.95], [0.0, 1.0])
    assert after[1] == pytest.approx(5.07) and reward == 1 and terminated


def test_contact_ends_it_also_between_two_steps():
    assert go([0.0, 0.70], [0.0, 1.0])[1:] == (0.0, True)  # from 0.3 below the first obstacle to 0.18
    assert go([0.3, 0.70], [0.0, 1.0])[1:] == (0.0, False)
    found = distances(jnp.array([-1.0, 1.0]), jnp.array([1.0, 1.0]))  # straight through the first
    np.testing.assert_allclose(found[:3], [0.0, 1.5, 1.5], atol=1e-6)
    assert len(CENTRES) == 6 and len(ROUTES) == 24 == ENV.modes


def test_every_route_has_its_number():
    for number, gaps in enumerate(ROUTES):
        points = waypoints(gaps).astype(np.float32)
        assert int(route(jnp.asarray(points), jnp.ones(len(points), bool))) == number
    points = jnp.asarray(waypoints((0, 1, 2)), jnp.float32)
    assert int(route(points, jnp.arange(len(points)) < 6)) == -1  # what did not take place does not count
    assert int(ENV.mode(points[:6], jnp.ones(6, bool))) == -1 and float(points[-1, 1]) > FINISH


def test_demonstrations_take_every_route_equally_often(modes_of):
    data = ENV.demonstrate(26, key=KEY)
    ends = np.flatnonzero(np.asarray(data.data.terminated))
    assert data.episodes == 26 and len(ends) == 26 and data.longest <= 100
    np.testing.assert_array_equal(data.data.reward[ends], 1.0)
    assert modes_of(ENV, data) == [*range(24), 0, 1]
    assert "24 routes" in data.source.origin and data.source.licence == "CC0"
    moved = np.asarray(data.data.obs) + 0.12 * np.asarray(data.data.action)
    np.testing.assert_allclose(moved, data.data.next_obs, atol=1e-5)
    with pytest.raises(DataError, match=r"expected every episode to show its mode; \d+ of 24 did not"):
        ENV.demonstrate(24, key=KEY, noise=2.0)


def test_refusals_and_picture():
    with pytest.raises(SpecError, match=r"expected 0 < radius < 0.5"):
        ObstacleCourse(radius=0.6)
    with pytest.raises(SpecError, match=r"expected n ≥ 1 demonstrations; got 0"):
        ENV.demonstrate(0, key=KEY)
    frame = ENV.render(np.array([0.0, 0.0]))
    assert frame.shape == (240, 240, 3) and frame.dtype == np.uint8
