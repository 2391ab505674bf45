"""The wish to behave as was shown: demonstrations, and how being like them is paid.

    r(s, a, s') = by(s, a, s'; demonstrations)        by: the slot (GAIL, AIRL, density, …)

Learners that clone what was done (`learners.imitation`, BC) never ask for a reward; they are shown the demonstrations
themselves, by `fit` or by `operant imitate`, and need no `by`.

Reference: Argall et al. 2009, A Survey of Robot Learning from Demonstration, 10.1016/j.robot.2008.10.024; what `by`
does, each of its files says.
Deviations from the paper: none.

>>> Demonstrations("demos/walk", episodes=5).source
'demos/walk'
"""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from operant.core import AbstractReward, Box, Card, EnvSpec, Metrics, Transition
from operant.data import demos
from operant.data.dataset import Dataset
from operant.data.replay import Replay
from operant.errors import DataError, SpecError
from operant.loops.rollout import differing
from operant.rewards.imitation import AbstractImitation

SLACK = 1e-3
"""How far outside its bounds an action may lie, as a share of their distance: rounding, not a mistake."""


class Demonstrations(AbstractReward):
    """Behave like these demonstrations (see the module's docstring)."""

    source: str = eqx.field(static=True)
    """Where they are: a Minari folder, minari:NAME, a .npz file, or a file `Dataset.save` wrote."""
    by: AbstractImitation | None = None
    """How being like them is paid; None: not at all, for learners that are shown the demonstrations themselves."""
    episodes: int | None = eqx.field(static=True, default=None)
    """Use the first so many; None: all."""
    unfinished: bool = eqx.field(static=True, default=False)
    """Take episodes too that were cut short, neither terminated nor truncated at their last step."""
    sha256: str = eqx.field(static=True, default="")
    """Hash they must have; empty: any. A run's study holds the hash of what was learned from."""

    card: ClassVar[Card] = Card(
        "Argall et al. 2009, A Survey of Robot Learning from Demonstration", "10.1016/j.robot.2008.10.024", "imitation"
    )

    def __check_init__(self) -> None:
        if not self.source:
            raise SpecError(
                "expected Demonstrations.source, where they are; got nothing. Give a Minari folder, minari:NAME, a "
                ".npz file, or a file Dataset.save wrote."
            )
        if self.episodes is not None and self.episodes < 1:
            raise SpecError(f"expected Demonstrations.episodes ≥ 1; got {self.episodes}. Leave it out to use all.")

    @classmethod
    def keep(cls, dataset: Dataset, by: AbstractImitation | None = None, **fields: Any) -> "Demonstrations":
        """The wish to behave as a dataset in memory shows, which is kept in the user's cache folder under its hash."""
        return cls(str(demos.keep(dataset)), by, sha256=dataset.source.sha256, **fields)

    def load(self, spec: EnvSpec | None = None) -> Dataset:
        """The demonstrations, checked.

        Args:
            spec: of the environment they are to be used in; None: wherever they were recorded.

        Raises:
            DataError: nothing there, too few episodes, another hash, actions outside their bounds, or episodes cut
                short.
            SpecError: they were recorded in other spaces.
        """
        found = demos.read(self.source, spec)
        # `sealed` knows no spec, in whose dtypes an npz is read here: either hash is theirs.
        named = lambda dataset: self.sha256 in ("", dataset.source.sha256)
        if not named(found) and not named(demos.read(self.source)):
            raise DataError(
                f"expected the demonstrations in {self.source} to hash to {self.sha256[:12]}…; they hash to "
                f"{found.source.sha256[:12]}…: they were changed. Restore them, or leave sha256 out."
            )
        if self.episodes is not None:
            found = demos.first(found, self.episodes)
        if spec is not None:
            check_spaces(found.spec, spec, self.source)
            here = dataclasses.replace(spec, num_envs=1)  # its bounds are what actions are held to, and scaled by
            about = found.source
            found = Dataset(found.data, found.episode, here, origin=about.origin, licence=about.licence)
        _check_actions(found, self.source)
        if not self.unfinished:
            _check_ends(found, self.source)
        return found

    def sealed(self) -> "Demonstrations":
        """The same wish, of exactly the demonstrations that are there now, read from anywhere. Raises as `load`."""
        place = self.source if self.source.startswith("minari:") else str(Path(self.source).resolve())
        return dataclasses.replace(self, source=place, sha256=self.sha256 or demos.read(place).source.sha256)

    # --- as a reward ---

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> Any:
        return () if self.by is None else self.by.init(spec, self.load(spec), key=key)

    def __call__(self, state: Any, batch: Transition) -> Float[Array, "*B"]:
        return 0.0 * batch.terminated if self.by is None else self.by(state, batch)

    def shows(self, state: Any) -> Replay | None:
        """Rows that learners from replay are to see among their own, if `by` wants that."""
        return None if self.by is None else self.by.shows(state)

    def update(self, state: Any, batch: Transition, *, key: PRNGKeyArray) -> tuple[Any, Metrics]:
        return (state, {}) if self.by is None else self.by.update(state, batch, key=key)


def check_spaces(recorded: EnvSpec, spec: EnvSpec, source: str) -> None:
    """Raise SpecError unless what was recorded for one spec can be learned from in the other."""
    for what, theirs, ours in differing(recorded, spec):
        raise SpecError(
            f"expected demonstrations with {what} in {ours}, as {spec.name or 'the environment'} has them; those "
            f"in {source} are in {theirs}. They were recorded in {recorded.name or 'another environment'}: record "
            "new ones, or learn there."
        )


def _check_actions(found: Dataset, source: str) -> None:
    """Actions that the environment does not have were mislabelled, or scaled by somebody."""
    space = found.spec.action
    if not isinstance(space, Box) or not space.bounded:
        return
    low, high = space.bounds()
    action, slack = np.asarray(found.data.action), SLACK * (high - low)
    wrong: Any = ((action < low - slack) | (action > high + slack)).reshape(len(action), -1).any(1)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"expected actions between {low.min():g} and {high.max():g}; {wrong.sum()} of {len(wrong)} in {source} "
            f"lie outside, the first in row {row}: {action[row].round(3).tolist()}. Scale them back to the "
            "environment's units, or clip them where it does."
        )


def _check_ends(found: Dataset, source: str) -> None:
    episode = np.asarray(found.episode)
    last = np.r_[np.flatnonzero(np.diff(episode)), len(episode) - 1]
    over: Any = np.asarray(found.data.terminated | found.data.truncated)[last]
    if not over.all():
        raise DataError(
            f"expected every episode to end, terminated or truncated; {(~over).sum()} of {len(last)} in {source} "
            f"were cut short, the first is episode {int(over.argmin())}. Mend the flags, drop these episodes, "
            "or take them as they are: unfinished=True."
        )
