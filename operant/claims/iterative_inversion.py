"""Iterative inversion's claim: asking for what is desired steers what is learned towards it.

Reference: Leibovich, Jacob, Avner, Novik, Tamar 2023, 2211.01724.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from operant.claims import Claim
from operant.claims._samples import AbstractSample, Bench, Figures, Trained
from operant.claims._tests import Better
from operant.data import demos
from operant.data.dataset import Dataset
from operant.envs.toy import PointMaze
from operant.learners.imitation.iterative_inversion import IterativeInversion
from operant.loops.rollout import evaluate
from operant.loops.train import Run

HORIZON, TRACKS = 40, 8
FIELD = PointMaze(
    "\n".join(["." * 11] * 5 + [".....S....."] + ["." * 10 + "G"] + ["." * 11] * 4),
    jitter=0.0,
    fixed_horizon=True,
    max_steps=HORIZON,
)
_DATA = f"{TRACKS} tracks of {HORIZON} steps that curve away from the middle in all directions, without their actions"


@functools.cache
def tracks() -> Dataset:
    """Half the force in a direction that turns by 2.5 radians in an episode, from 8 directions."""
    angle = 2 * np.pi * np.arange(TRACKS)[:, None] / TRACKS + 2.5 * np.arange(HORIZON)[None] / HORIZON
    push = jnp.asarray(0.5 * np.stack([np.cos(angle), np.sin(angle)], -1), jnp.float32)
    start = FIELD.initial(key=jax.random.key(0))

    @jax.jit
    @jax.vmap
    def go(push: Any) -> Any:
        def step(inner: Any, a: Any) -> Any:
            after, _, _ = FIELD.advance(inner, a, key=jax.random.key(0))
            return after, (inner, after)

        return jax.lax.scan(step, start, push)[1]

    obs, after = (np.asarray(x).reshape(-1, 6) for x in go(push))
    rows = TRACKS * HORIZON
    return Dataset.from_numpy(
        FIELD.spec, obs=obs, action=np.zeros((rows, 2)), reward=np.zeros(rows), terminated=np.zeros(rows, bool),
        truncated=np.arange(rows) % HORIZON == HORIZON - 1, next_obs=after, origin="scripted here",
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Off:
    """How far the point is from where it was desired to be, over all desired tracks."""

    words: str = f"mean distance to the desired track at the same time, cells, over {TRACKS} greedy episodes"

    def __call__(self, run: Run, key: PRNGKeyArray) -> np.ndarray:
        wanted = np.asarray(tracks().data.next_obs).reshape(TRACKS, HORIZON, 6)[..., :2]
        found = []
        for policy in run.policies():
            each: Any = policy
            done = [
                np.asarray(evaluate(each.only(i), FIELD, episodes=1, key=key).transitions.next_obs)[0, :, :2]
                for i in range(TRACKS)
            ]
            found.append(float(np.linalg.norm(np.stack(done) - wanted, axis=-1).mean()))
        return np.array(found)


@dataclasses.dataclass(frozen=True)
class Steered(AbstractSample):
    """`Trained` on the tracks, which are kept in the user's cache when it runs, not when it is read."""

    steer: float

    def plain(self) -> dict[str, Any]:
        return self._trained("").plain()

    def figures(self, bench: Bench) -> Figures:
        return self._trained(str(demos.keep(tracks()))).figures(bench)

    def _trained(self, source: str) -> Trained:
        learner = IterativeInversion(
            source=source, rollout=HORIZON, watched=(0, 1), knots=8, steer=self.steer, noise=0.3, memory=256,
            gradient_steps=50, batch=256, hidden=(64, 64), lr=1e-3,
        )  # fmt: skip
        return Trained(learner, FIELD, figure=Off(), num_envs=16)


CLAIMS = (
    Claim(
        name="steering",
        tier="quick",
        statement="Commanding desired trajectories while learning from what came of it brings what is done nearer to "
        "them than learning to repeat what was done.",
        source="2211.01724, section 1 and section 4 (steering)",
        baseline="the same, commanding only what was achieved before; asked for the desired tracks in the end",
        problem=f"a point mass in an open field: {_DATA}",
        figure=Off().words,
        steps=64_000,
        seeds=4,
        test=Better(higher=False),
        subject=Steered(0.5),
        control=Steered(0.0),
    ),
)
