"""Subjects made by hand: what every step paid is written down, so that the right verdict is known."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np
import pytest

from operant.core import AbstractFixedReward, AbstractPolicy, Box, EnvSpec, Intent, Subject, Transition
from operant.loops.rollout import Episodes
from operant.rewards.task import Task

SPEC = EnvSpec(Box((2,), -1.0, 1.0, names=("left", "right")), Box((1,), -2.0, 2.0, names=("torque",)), 20)


class Hidden(AbstractFixedReward):
    """What a test wrote in `extras` as the true reward."""

    def __call__(self, state: Any, batch: Transition) -> Any:
        return batch.extras["truth"]


class Idle(AbstractPolicy):
    """Says what its spec is, and is never run."""

    spec: EnvSpec = eqx.field(static=True)
    inside: Any = None

    def init_carry(self) -> Any:
        return ()

    def __call__(self, obs: Any, carry: Any, *, key: Any) -> Any:
        raise AssertionError("the episodes are given")


def episodes(
    paid: Sequence[Sequence[float]],
    *,
    truth: Sequence[Sequence[float]] | None = None,
    terminated: bool = True,
    obs: Any = None,
    action: Any = None,
) -> Episodes:
    """Episodes with this reward at each step, padded with NaN, which nothing may read."""
    n, steps = len(paid), max(map(len, paid))
    mask = np.array([[t < len(p) for t in range(steps)] for p in paid])
    pad = lambda rows: np.array([[*p, *[np.nan] * (steps - len(p))] for p in rows], np.float32)
    end = np.array([[t == len(p) - 1 for t in range(steps)] for p in paid])
    obs = np.zeros((n, steps, 2), np.float32) if obs is None else np.asarray(obs, np.float32)
    action = np.zeros((n, steps, 1), np.float32) if action is None else np.asarray(action, np.float32)
    extras = {"truth": pad(paid if truth is None else truth)}
    ts = Transition(obs, action, pad(paid), end & terminated, end & (not terminated), obs, extras)
    return Episodes(np.array([np.sum(p) for p in paid], np.float32), mask.sum(axis=1), ts, mask)


@pytest.fixture(scope="session")
def make_episodes() -> Any:
    return episodes


@pytest.fixture(scope="session")
def make_subject() -> Any:
    """`make_subject(seeds, control)`: each a list of episodes, each a list of what its steps paid, or `Episodes`."""

    def make(seeds: Sequence[Any], control: Any = None, *, truth: bool = False, **known: Any) -> Subject:
        read = lambda x: x if isinstance(x, Episodes) or x is None else episodes(x)
        intent = Intent(Task(), truth=Hidden() if truth else None)
        known = {"policies": (Idle(SPEC),) * len(seeds), "intent": intent} | known
        return Subject(episodes=tuple(map(read, seeds)), control=read(control), **known)

    return make


@pytest.fixture
def key() -> Any:
    return jax.random.key(0)


@pytest.fixture(scope="session")
def idle() -> Any:
    """`idle(inside)`: a policy that holds something and is never run."""
    return lambda inside=None: Idle(SPEC, inside)
