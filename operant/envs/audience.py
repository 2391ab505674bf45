"""Somebody who watches an agent act and says plus or minus: what training shows, and what is said of it.

Training and a page meet here, from threads of their own. A person's word comes after what it is about: one said at τ
is about what was on screen from τ − high to τ − low, and is shared among the steps shown then, by how long each was:

    w_j = |[s_j, s_{j+1}) ∩ [τ − high, τ − low]|,   Σ w = 1

with s_j the moment step j was shown. Only steps whose reward has not been handed over yet share it; training therefore
waits `high` seconds after the last step of a rollout before it learns (`settle`). A word about steps that
were handed over already is too late, and counts for nothing.

Reference: MacGlashan et al. 2017, 1701.06049 (feedback is about what was shown d earlier); Knox and Stone 2009,
Interactively Shaping Agents via Human Reinforcement: the TAMER Framework, 10.1145/1597735.1597738 (credit from the
distribution of a person's delay; uniform on [0.2, 0.8] s).

>>> clock = iter([0.0, 0.5, 1.0, 9.0])
>>> audience = Audience(delay=(0.25, 0.75), clock=lambda: next(clock))
>>> audience.present(np.zeros((2, 2, 3), np.uint8)), audience.present(np.zeros((2, 2, 3), np.uint8))
(1, 2)
>>> audience.say(1.0, frame=2, since=0.5, who="ann", key="k1")  # from 0.25 to 0.75: half of it before the second
True
>>> audience.handed_over().tolist()
[0.5, 0.5]
"""

import math
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from operant.errors import SpecError

GONE = 3.0
"""Seconds without a look after which nobody watches."""
PACES = (0.1, 60.0)
"""Steps a second, from and to."""
KEYS = 1000
"""Latest keys remembered, so that what is sent again counts once."""
RETURNS = 400
"""Finished episodes whose returns a page draws."""
KEPT = 200
"""Pictures whose moment is remembered."""


class Word(NamedTuple):
    """What was said: by whom, when (Unix seconds), of which picture, and whether it came in time."""

    at: float
    who: str
    value: float
    frame: int
    since: float
    counted: bool


class Audience:
    """Who watches one environment.

    Args:
        pace: steps a second.
        delay: seconds between what a person sees and what they say of it, from and to.
        heard: called with each word, from the thread that brings it.
        clock: seconds, for tests.
    """

    def __init__(
        self,
        *,
        pace: float = 5.0,
        delay: tuple[float, float] = (0.2, 0.8),
        heard: Callable[[Word], None] = lambda word: None,
        clock: Callable[[], float] = time.monotonic,
    ):
        low, high = delay
        if not (0.0 <= low < high < math.inf):
            raise SpecError(f"expected 0 ≤ delay[0] < delay[1], in seconds; got {delay}. 0.2 and 0.8 suit people.")
        self.pace, self.delay = checked_pace(pace), (low, high)
        self.paused = self.ended = False
        self.steps = self.plus = self.minus = self.late = 0
        self.total = 0.0
        """The environment's own reward, summed over the episode under way."""
        self.returns: list[float] = []
        """Of finished episodes, the environment's own."""
        self._heard, self._clock = heard, clock
        self._changed = threading.Condition()
        self._picture: np.ndarray | None = None
        self._frame = 0
        self._when: dict[int, float] = {}  # of the latest pictures
        self._shown: list[float] = []  # when each step came up that is not handed over
        self._rewards: list[float] = []
        self._keys: dict[str, bool] = {}
        self._looked = -math.inf
        self._phase = "waiting"

    # --- training's side ---

    def open(self, picture: np.ndarray) -> None:
        """Show where an episode begins: nothing can be said of it."""
        with self._changed:
            self._put(picture)

    def present(self, picture: np.ndarray) -> int:
        """Show what a step led to; which picture it is."""
        with self._changed:
            self._put(picture)
            self._shown.append(self._when[self._frame])
            self._rewards.append(0.0)
            self.steps += 1
            return self._frame

    def _put(self, picture: np.ndarray) -> None:
        self._picture, self._frame = picture, self._frame + 1
        self._when[self._frame] = self._clock()
        self._when.pop(self._frame - KEPT, None)
        self._changed.notify_all()

    def rest(self) -> None:
        """Before a step: leave the picture for its time, and longer while it is paused or nobody watches."""
        self._wait(lambda: self._when.get(self._frame, -math.inf) + 1.0 / self.pace)
        with self._changed:
            while not self.ended and (self.paused or not self.watched):
                self._phase = "paused" if self.paused else "waiting"
                self._changed.wait(0.1)
            self._phase = "acting"

    def settle(self) -> np.ndarray:
        """Wait for what may still be said of the steps shown, and hand their rewards over, (T,)."""
        self._phase = "listening"
        self._wait(lambda: (self._shown[-1] if self._shown else -math.inf) + self.delay[1])
        self._phase = "learning"
        return self.handed_over()

    def handed_over(self) -> np.ndarray:
        """The rewards so far of the steps shown since the last time, without waiting."""
        with self._changed:
            rewards = np.array(self._rewards, np.float32)
            self._shown.clear()
            self._rewards.clear()
            return rewards

    def _wait(self, until: Callable[[], float]) -> None:
        with self._changed:
            while not self.ended and (left := until() - self._clock()) > 0.0:
                self._changed.wait(min(left, 0.1))

    def end(self) -> None:
        """No more waiting: training is to come to its end."""
        with self._changed:
            self.ended, self._phase = True, "ended"
            self._changed.notify_all()

    # --- the page's side ---

    @property
    def watched(self) -> bool:
        """Whether somebody looked lately."""
        return self._clock() - self._looked < GONE

    def look(self) -> tuple[int, np.ndarray | None]:
        """The latest picture and its number; whoever looks is there."""
        with self._changed:
            if not self.watched:
                self._changed.notify_all()
            self._looked = self._clock()
            return self._frame, self._picture

    def say(self, value: float, *, frame: int, since: float, who: str, key: str) -> bool:
        """A word about what was on screen: `since` seconds after picture `frame` came up there.

        Args:
            key: the page's own name for this word: sent again, it is not counted again.

        Returns: whether it came in time to count.
        """
        with self._changed:
            if key in self._keys:
                return self._keys[key]
            counted = self._credit(value, frame, min(max(since, 0.0), 10.0))
            self._keys[key] = counted
            while len(self._keys) > KEYS:
                del self._keys[next(iter(self._keys))]
            if not counted:
                self.late += 1
            elif value > 0:
                self.plus += 1
            else:
                self.minus += 1
        self._heard(Word(time.time(), who, value, frame, since, counted))
        return counted

    def _credit(self, value: float, frame: int, since: float) -> bool:
        """Share it among the steps it is about; False: there is none left."""
        when = self._when.get(min(frame, self._frame))
        if when is None:
            return False
        low, high = when + since - self.delay[1], when + since - self.delay[0]
        ends = [*self._shown[1:], math.inf]
        shares = np.array([max(0.0, min(b, high) - max(a, low)) for a, b in zip(self._shown, ends, strict=False)])
        if not shares.any():
            return False
        for j, share in enumerate(shares / shares.sum()):
            self._rewards[j] += value * float(share)
        return True

    def set_pace(self, pace: float) -> None:
        with self._changed:
            self.pace = checked_pace(pace)
            self._changed.notify_all()

    def set_paused(self, paused: bool) -> None:
        with self._changed:
            self.paused = paused
            self._changed.notify_all()

    def episode_over(self) -> None:
        """Count the episode that ends."""
        with self._changed:
            self.returns.append(self.total)
            self.total = 0.0

    def status(self) -> dict[str, Any]:
        """What a page shows beside the picture."""
        with self._changed:
            phase = "ended" if self.ended else "paused" if self.paused else self._phase
            return {
                "phase": phase, "steps": self.steps, "episodes": len(self.returns), "total": round(self.total, 6),
                "returns": [[k, r] for k, r in enumerate(self.returns, 1)][-RETURNS:], "plus": self.plus,
                "minus": self.minus, "late": self.late, "pace": self.pace,
            }  # fmt: skip


def checked_pace(pace: float) -> float:
    if not PACES[0] <= pace <= PACES[1]:
        raise SpecError(f"expected a pace from {PACES[0]:g} to {PACES[1]:g} steps a second; got {pace:g}. Try 5.")
    return float(pace)
