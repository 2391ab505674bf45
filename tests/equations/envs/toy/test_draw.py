"""The rasteriser, and what the environments draw with it."""

import jax
import numpy as np
import pytest

from operant.envs import toy
from operant.envs.toy import draw


def painted(canvas, colour):
    return (np.abs(canvas.frame().astype(int) - np.array(colour)[None, None]).sum(-1) < 30).sum() / draw.SIZE**2


def test_areas():
    canvas = draw.Canvas(0.0, 0.0, 2.0, background=(0, 0, 0))
    canvas.box(0.0, 0.0, 1.0, 0.5, draw.BLUE)
    canvas.disc((1.5, 1.5), 0.4, draw.GREEN)
    assert painted(canvas, draw.BLUE) == pytest.approx(0.5 / 4, abs=0.005)
    assert painted(canvas, draw.GREEN) == pytest.approx(np.pi * 0.16 / 4, abs=0.005)
    frame = canvas.frame()
    assert frame[-1, 0].tolist() == list(draw.BLUE) and frame[0, 0].tolist() == [0, 0, 0]  # y points up


@pytest.mark.parametrize("angle", [0.0, 0.4, np.pi / 4, 1.3])
def test_lines_are_as_wide_as_asked_at_every_angle(angle):
    canvas = draw.Canvas(-1.0, -1.0, 2.0)
    canvas.line(draw.rotate([(-0.6, 0.0), (0.6, 0.0)], angle, (0.0, 0.0)), draw.RED, 0.2)
    assert painted(canvas, draw.RED) == pytest.approx((1.2 * 0.2 + np.pi * 0.01) / 4, abs=0.005)


def test_edges_are_smooth():
    canvas = draw.Canvas(-1.0, -1.0, 2.0, background=(0, 0, 0))
    canvas.disc((0.0, 0.0), 0.7, (255, 255, 255))
    assert len(np.unique(canvas.frame()[..., 0])) > 8


@pytest.mark.parametrize("name", [n for n in toy.__all__ if n != "GYMNASIUM_IDS"])
def test_every_environment_draws_its_state(name):
    env = getattr(toy, name)()
    first = env.initial(key=jax.random.key(0))
    inner, action = first, env.spec.action.sample(jax.random.key(2))
    for _ in range(3):
        inner, _, _ = env.advance(inner, action, key=jax.random.key(1))
    frames = [env.render(x) for x in (first, first, inner)]
    assert all(f.shape == (240, 240, 3) and f.dtype == np.uint8 for f in frames)
    assert np.array_equal(frames[0], frames[1]) and not np.array_equal(frames[0], frames[2])
    assert len(np.unique(frames[0].reshape(-1, 3), axis=0)) > 5
