"""Clips: whole episodes, drawn from the states they went through; files that hold as many frames as were given."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from operant.core import AbstractEnv, AbstractHostEnv, AbstractPolicy, Box, Discrete, EnvSpec, Step
from operant.errors import DataError, SpecError, StoreError
from operant.io import clips


class Count(AbstractEnv):
    """Counts up from 0 … 3; reward the count; over at `goal`. Its picture's colour is the count."""

    goal: int = 8

    @property
    def spec(self):
        return EnvSpec(Box((1,)), Discrete(2), 12)

    def initial(self, *, key):
        return jax.random.randint(key, (), 0, 4)

    def advance(self, inner, action, *, key):
        return inner + action, inner.astype(jnp.float32), inner + action >= self.goal

    def observe(self, inner):
        return inner[None].astype(jnp.float32)

    def render(self, inner):
        return np.full((4, 6, 3), int(inner), np.uint8)


class Up(AbstractPolicy):
    spec: EnvSpec

    def init_carry(self):
        return ()

    def __call__(self, obs, carry, *, key):
        return jnp.ones((), jnp.int32), {}, carry


class HostCount(AbstractHostEnv):
    """The same outside JAX; opened without `render`, it refuses to draw."""

    height: int = 4

    @property
    def spec(self):
        return EnvSpec(Box((1,)), Discrete(2), 900)

    def open(self, num_envs, *, render=False):
        return LiveCount(self.spec, render, self.height)


class LiveCount:
    num_envs = 1

    def __init__(self, spec, draws, height):
        self.spec, self.draws, self.height = spec, draws, height

    def reset(self, *, seed):
        self.n = self.first = seed % 4
        return np.full((1, 1), self.n, np.float32)

    def step(self, action):
        reward, self.n = np.float32([self.n]), self.n + int(action[0])
        obs = np.full((1, 1), self.n, np.float32)
        ended = self.n >= self.first + 800
        return Step(obs, reward, np.array([ended]), np.array([False]), obs)

    def render(self):
        assert self.draws
        return [np.full((self.height, 2 * self.height, 3), self.n % 256, np.uint8)]

    def close(self):
        self.n = None


def test_a_clip_shows_every_state_from_first_to_last():
    frames = clips.clip(Up(Count().spec), Count(), key=jax.random.key(0))
    counts = frames[:, 0, 0, 0]
    assert frames.dtype == np.uint8 and counts[-1] == 8
    np.testing.assert_array_equal(counts, np.arange(counts[0], 9))
    cut = clips.clip(Up(Count().spec), Count(), key=jax.random.key(0), max_steps=3)
    np.testing.assert_array_equal(cut[:, 0, 0, 0], np.arange(counts[0], counts[0] + 4))


def test_median_and_worst_by_return():
    found = clips.median_and_worst(Up(Count().spec), Count(), key=jax.random.key(1), episodes=9)
    for clip in found.values():
        first = int(clip.frames[0, 0, 0, 0])
        assert clip.length == 8 - first == len(clip.frames) - 1
        assert clip.episode_return == sum(range(first, 8))
    assert found["worst"].frames[0, 0, 0, 0] == 3  # the later it starts, the less it collects
    assert found["worst"].episode_return < found["median"].episode_return


def test_a_host_episode_is_thinned_while_it_runs_and_played_again_for_its_picture(monkeypatch):
    monkeypatch.setattr(clips, "MOST_FRAMES", 10)
    env = HostCount(height=240)
    frames = clips.clip(Up(env.spec), env, key=jax.random.key(0), max_steps=50)
    assert frames.shape == (10, 120, 240, 3)
    np.testing.assert_array_equal(np.diff(frames[:, 0, 0, 0].astype(int)) > 0, True)
    assert frames[-1, 0, 0, 0] - frames[0, 0, 0, 0] == 48  # every 4th of 50 steps were kept
    found = clips.median_and_worst(Up(env.spec), HostCount(), key=jax.random.key(3), episodes=4, max_steps=7)
    starts = {name: int(clip.frames[0, 0, 0, 0]) for name, clip in found.items()}
    assert starts["worst"] < starts["median"]
    for name, clip in found.items():
        assert clip.length == 7 and clip.episode_return == sum(range(starts[name], starts[name] + 7))


@pytest.mark.parametrize("write", [clips.write_webp, clips.write_gif, clips.write_apng])
def test_files_hold_what_was_written(tmp_path, write):
    frames = np.zeros((12, 20, 30, 3), np.uint8)
    for t in range(12):
        frames[t, :, : 2 * t + 1] = (20 * t, 100, 200)
    path = write(frames, tmp_path / "new" / "clip", fps=20.0)
    with Image.open(path) as image:
        assert image.n_frames == 12 and image.info["loop"] == 0
        for t in range(12):
            image.seek(t)
            image.load()
            assert image.info["duration"] == 50
            np.testing.assert_allclose(np.asarray(image.convert("RGB")), frames[t], atol=1)


def test_webp_of_a_noisy_picture_is_lossy_and_smaller(tmp_path):
    frames = np.random.default_rng(0).integers(0, 255, (4, 64, 64, 3)).astype(np.uint8)
    sizes = [write(frames, tmp_path / write.__name__).stat().st_size for write in (clips.write_webp, clips.write_apng)]
    assert sizes[0] < 0.7 * sizes[1]


def test_shrink_keeps_first_and_last():
    frames = np.arange(501, dtype=np.uint16).reshape(-1, 1, 1, 1).repeat(3, -1).astype(np.uint8)
    small = clips.shrink(np.broadcast_to(frames, (501, 480, 300, 3)), most=50, side=60)
    assert small.shape == (50, 60, 38, 3)
    assert small[0, 0, 0, 0] == 0 and small[-1, 0, 0, 0] == 500 % 256


def test_refusals(tmp_path):
    with pytest.raises(DataError, match=r"expected frames uint8 \(T, H, W, 3\) with T ≥ 1; got float32 \(2, 4, 4, 3\)"):
        clips.write_webp(np.zeros((2, 4, 4, 3), np.float32), tmp_path / "x")
    with pytest.raises(DataError, match=r"got uint8 \(0, 4, 4, 3\)"):
        clips.write_gif(np.zeros((0, 4, 4, 3), np.uint8), tmp_path / "x")
    with pytest.raises(SpecError, match=r"fps > 0 .*got 0"):
        clips.write_apng(np.zeros((1, 4, 4, 3), np.uint8), tmp_path / "x", fps=0)
    with pytest.raises(SpecError, match=r"episodes ≥ 1; got 0"):
        clips.median_and_worst(Up(Count().spec), Count(), key=jax.random.key(0), episodes=0)
    (tmp_path / "dir").mkdir()
    with pytest.raises(StoreError, match=r"dir; the system answered"):
        clips.write_webp(np.zeros((1, 4, 4, 3), np.uint8), tmp_path / "dir")
