"""Clips: play an episode, keep some frames of it, write them as one animated image.

Animated WebP is what reports embed: it plays in every current browser from a data URI, without script, and is the
smallest of the three. GIF and APNG are for places that know no WebP.

>>> frames = np.zeros((3, 8, 8, 3), np.uint8)
>>> shrink(np.zeros((5, 480, 640, 3), np.uint8), most=3).shape
(3, 180, 240, 3)
"""

import dataclasses
import io
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray, UInt8
from PIL import Image

from operant.core import AbstractEnv, AbstractHostEnv, AbstractPolicy
from operant.errors import DataError, SpecError
from operant.io.checkpoint import write_atomically
from operant.math.random import unrolled

MOST_FRAMES = 200
SIDE = 240
"""Longest side of a frame (pixels)."""
FPS = 25.0

Frames = UInt8[np.ndarray, "T H W 3"]


@dataclasses.dataclass(frozen=True)
class Clip:
    """One episode: its frames, its return (sum of the environment's own reward) and its length (steps)."""

    frames: Frames
    episode_return: float
    length: int


# --- playing --------------------------------------------------------------------------------------------------------


def clip(
    policy: AbstractPolicy,
    env: AbstractEnv | AbstractHostEnv,
    *,
    key: PRNGKeyArray,
    max_steps: int | None = None,
    greedy: bool = True,
) -> Frames:
    """Play one episode and return at most `MOST_FRAMES` frames of it, evenly apart, first and last included.

    Args:
        max_steps: where to stop (steps); by default the environment's own limit, or 1000 where it has none.
        greedy: act by `key=None`; else sample.

    Raises:
        SpecError: the environment draws nothing.
    """
    limit = max_steps or env.spec.max_steps or 1000
    if isinstance(env, AbstractEnv):
        inner, _, lengths = _trace(policy, env, unrolled(key)[None], limit, greedy)
        return _draw(env, jax.tree.map(lambda x: x[0], inner), int(lengths[0]))
    return _play(policy, env, key, limit, greedy, render=True).frames


def median_and_worst(
    policy: AbstractPolicy,
    env: AbstractEnv | AbstractHostEnv,
    *,
    key: PRNGKeyArray,
    episodes: int = 8,
    max_steps: int | None = None,
    greedy: bool = True,
) -> dict[str, Clip]:
    """Play `episodes` episodes and show two: `{"median": …, "worst": …}` by return. Otherwise as `clip`."""
    if episodes < 1:
        raise SpecError(f"expected episodes ≥ 1; got {episodes}. Ask for at least one.")
    limit = max_steps or env.spec.max_steps or 1000
    keys = jax.random.split(unrolled(key), episodes)
    if isinstance(env, AbstractEnv):
        inner, returns, lengths = _trace(policy, env, keys, limit, greedy)
        show = lambda k: Clip(
            _draw(env, jax.tree.map(lambda x: x[k], inner), int(lengths[k])), float(returns[k]), int(lengths[k])
        )
    else:
        played = [_play(policy, env, k, limit, greedy, render=False) for k in keys]
        returns = np.array([x.episode_return for x in played])
        # The same seed gives the same episode; its length is known by now, so only what will be shown is drawn.
        every = lambda k: -(-played[k].length // MOST_FRAMES)
        show = lambda k: _play(policy, env, keys[k], limit, greedy, render=True, every=every(k))
    order = np.argsort(returns, kind="stable")
    return {"median": show(int(order[(len(order) - 1) // 2])), "worst": show(int(order[0]))}


def _trace(
    policy: AbstractPolicy, env: AbstractEnv, keys: PRNGKeyArray, limit: int, greedy: bool
) -> tuple[Any, np.ndarray, np.ndarray]:
    """Inner states (n, limit + 1, …), returns (n,) and lengths (n,) of one episode a key.

    `reset` and `step` would replace the last state by a fresh one, so this calls what they are made of.
    """

    def step(state: Any, key: PRNGKeyArray) -> Any:
        inner, carry = state
        act_key, env_key = jax.random.split(key)
        action, _, carry = policy(env.observe(inner), carry, key=None if greedy else act_key)
        inner, reward, terminated = env.advance(inner, action, key=env_key)
        return (inner, carry), (inner, jnp.asarray(reward, jnp.float32), terminated)

    def episode(key: PRNGKeyArray) -> Any:
        initial_key, run_key = jax.random.split(key)
        first = env.initial(key=initial_key)
        _, (inner, reward, terminated) = jax.lax.scan(
            step, (first, policy.init_carry()), jax.random.split(run_key, limit)
        )
        inner = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), first, inner)
        return inner, reward, terminated

    inner, reward, terminated = jax.device_get(jax.lax.map(episode, keys))
    lengths = np.where(terminated.any(1), terminated.argmax(1) + 1, limit)
    within = np.arange(limit)[None] < lengths[:, None]
    return inner, np.where(within, reward, 0.0).sum(1), lengths


def _draw(env: AbstractEnv, inner: Any, length: int) -> Frames:
    shown = np.unique(np.linspace(0, length, min(length + 1, MOST_FRAMES)).round().astype(int))
    return np.stack([_small(env.render(jax.tree.map(lambda x, t=t: x[t], inner)), SIDE) for t in shown])


def _play(
    policy: AbstractPolicy,
    env: AbstractHostEnv,
    key: PRNGKeyArray,
    limit: int,
    greedy: bool,
    *,
    render: bool,
    every: int = 1,
) -> Clip:
    """One episode of a host environment. What follows the last step is the next episode, so it is not shown."""
    host = env.open(1, render=render)
    frames, total, t = [], 0.0, 0
    try:
        obs = host.reset(seed=int(jax.random.randint(key, (), 0, 2**31 - 1)))
        carry = None
        while t < limit:
            if render and t % every == 0:
                frames.append(_small(np.asarray(host.render()[0]), SIDE))
                if len(frames) == 2 * MOST_FRAMES:  # a long episode must not fill the memory
                    frames, every = frames[::2], 2 * every
            now = key if greedy else jax.random.fold_in(key, t)  # unread if greedy, but made anew if not given
            action, carry = policy.predict(obs, carry, deterministic=greedy, key=now)
            step = host.step(action)
            total, t, obs = total + float(step.reward[0]), t + 1, step.obs
            if bool(step.terminated[0] | step.truncated[0]):
                break
    finally:
        host.close()
    return Clip(shrink(np.stack(frames), most=MOST_FRAMES) if render else np.zeros((0, 1, 1, 3), np.uint8), total, t)


# --- writing --------------------------------------------------------------------------------------------------------


def shrink(frames: Frames, *, most: int = MOST_FRAMES, side: int = SIDE) -> Frames:
    """At most `most` frames, evenly apart, first and last included; longest side at most `side` pixels."""
    frames = checked(frames)
    shown = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), most)).round().astype(int))
    return np.stack([_small(frames[t], side) for t in shown])


def write_webp(frames: Frames, path: str | Path, fps: float = FPS) -> Path:
    """Write an endlessly repeated animated WebP: lossless for flat drawings, lossy for pictures, as is smaller.

    Raises:
        DataError: not uint8 (T, H, W, 3), or no frame.
        StoreError: the file cannot be written.
    """
    kinds = ({"lossless": True, "quality": 50}, {"quality": 75})
    return _write(frames, path, fps, *[{"format": "WEBP", "method": 2, "loop": 0, **kind} for kind in kinds])


def write_gif(frames: Frames, path: str | Path, fps: float = FPS) -> Path:
    """Write an endlessly repeated GIF: 256 colours a frame, hundredths of a second. Raises as `write_webp`."""
    return _write(frames, path, fps, {"format": "GIF", "loop": 0, "optimize": True})


def write_apng(frames: Frames, path: str | Path, fps: float = FPS) -> Path:
    """Write an endlessly repeated animated PNG, lossless. Raises as `write_webp`."""
    return _write(frames, path, fps, {"format": "PNG", "loop": 0, "optimize": True})


def _write(frames: Frames, path: str | Path, fps: float, *choices: dict[str, Any]) -> Path:
    if fps <= 0:
        raise SpecError(f"expected fps > 0 (frames a second); got {fps}. The default is {FPS:g}.")
    images = [Image.fromarray(frame) for frame in checked(frames)]
    found = []
    for choice in choices:
        buffer = io.BytesIO()
        images[0].save(buffer, save_all=True, append_images=images[1:], duration=round(1000 / fps), **choice)
        found.append(buffer.getvalue())
    write_atomically(Path(path), [min(found, key=len)])
    return Path(path)


def _small(frame: np.ndarray, side: int) -> np.ndarray:
    height, width = frame.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return np.ascontiguousarray(frame, np.uint8)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS))


def checked(frames: Frames) -> Frames:
    """`frames`, or DataError unless they are uint8 (T ≥ 1, H, W, 3)."""
    frames = np.asarray(frames)
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not len(frames):
        raise DataError(
            f"expected frames uint8 (T, H, W, 3) with T ≥ 1; got {frames.dtype} {frames.shape}. "
            "Render RGB, and stack the frames along the first axis."
        )
    return frames
