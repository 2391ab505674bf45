"""Environments that people play, each in a thread of its own, and the episodes they keep.

A picture is drawn where the environment is stepped: a graphics context belongs to one thread.
"""

import copy
import datetime
import io
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
from PIL import Image

from operant.core import AbstractEnv, AbstractHostEnv, Discrete
from operant.data.minari import Demonstrations, Episode
from operant.loops.alone import Alone, Moved
from operant.studio.controls import controls
from operant.studio.problems import Problem

T = TypeVar("T")
Env = AbstractEnv | AbstractHostEnv
MOST = 4
"""Environments that are played at once."""
LEFT_ALONE = 60.0
"""Seconds without a step after which a seat may go to somebody else."""
SIDE = 480
"""Longest side of a picture (pixels)."""
LONGEST = 100_000
"""Steps of an episode: what is played is kept in memory until it is written."""


class Shown(NamedTuple):
    """What the page shows after a step."""

    image: bytes
    media: str
    t: int
    total: float
    over: str
    """"", "terminated" or "truncated"."""


class Seat:
    """One person's environment, and the steps of the episode under way."""

    def __init__(self, env: Env, who: str):
        self.who, self.id, self.used = who, secrets.token_urlsafe(18), time.monotonic()
        self._flat = isinstance(env, AbstractEnv)  # drawn here, in few colours
        self._thread = ThreadPoolExecutor(1, "operant-seat")
        try:
            self._alone = self.do(lambda: Alone(env, seed=_seed()))
        except BaseException:
            self._thread.shutdown(wait=False)
            raise
        self._begin()
        self._kept: tuple[str, dict[str, Any]] | None = None

    def do(self, work: Callable[[], T]) -> T:
        """`work` in this seat's thread."""
        self.used = time.monotonic()
        return self._thread.submit(work).result()

    def _begin(self) -> None:
        self.over, self.total, self.written = "", 0.0, False
        self._obs, self._actions, self._moves = [self._alone.obs], [], list[Moved]()

    @property
    def t(self) -> int:
        return len(self._moves)

    def look(self) -> Shown:
        return self.do(self._shown)

    def step(self, t: int, action: list[float]) -> Shown:
        """The step after the first t. Sent again, it is not taken again. Raises Problem (409), DataError, EnvError."""

        def work() -> Shown:
            if t == self.t - 1 and self._actions[-1][0] == action:
                return self._shown()
            if t != self.t:
                raise Problem(409, "order", f"expected step {self.t} of the episode; got step {t}. Look again.")
            if self.over or self.written or t >= LONGEST:
                raise Problem(409, "over", f"expected an episode under way; it ended after {t} steps. Keep it, or begin"
                              " another.")  # fmt: skip
            moved = self._alone.step(self._fitting(action))
            self._actions.append((action, self._fitting(action)))
            self._moves.append(moved)
            self._obs.append(moved.obs)
            self.total += moved.reward
            self.over = "terminated" if moved.terminated else "truncated" if moved.truncated else ""
            return self._shown()

        return self.do(work)

    def _fitting(self, action: list[float]) -> Any:
        space = self._alone.spec.action
        if isinstance(space, Discrete):
            whole = [int(x) if float(x).is_integer() else x for x in action]
            return whole[0] if len(whole) == 1 else whole
        array = np.asarray(action, space.dtype)
        return array.reshape(space.shape) if array.size == space.size else array

    def restart(self) -> Shown:
        """Begin another episode; what was not kept of this one is gone."""

        def work() -> Shown:
            self._alone.reset(_seed())
            self._begin()
            return self._shown()

        return self.do(work)

    def keep(self, key: str, demos: Demonstrations) -> dict[str, Any]:
        """Write the episode; sent again under its key, it is not written again. Raises Problem (409), StoreError."""

        def work() -> dict[str, Any]:
            if self._kept is not None and self._kept[0] == key:
                return self._kept[1]
            if self.written or not self.t:
                done = "was kept already" if self.written else "has no steps"
                raise Problem(409, "over", f"expected an episode to keep; this one {done}. Play another.")
            number = demos.add(self._episode())
            told = {"episode": number, "episodes": demos.episodes, "steps": demos.steps}
            self._kept, self.written = (key, told), True
            return told

        return self.do(work)

    def _episode(self) -> Episode:
        rewards, terminated, truncated = (np.array([getattr(m, x) for m in self._moves]) for x in Moved._fields[1:])
        if not self.over:  # a person ended it: as a time limit would
            truncated[-1] = True
        stack = lambda trees: jax.tree.map(lambda *x: np.stack(x), *trees)
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        about = {"seed": self._alone.seed, "labeller": self.who, "recorded": now, "stopped": not self.over}
        actions = np.stack([np.asarray(fit) for _, fit in self._actions])
        return Episode(stack(self._obs), actions, rewards, terminated, truncated, about=about)

    def _shown(self) -> Shown:
        image, media = picture(self._alone.frame(), self._flat)
        return Shown(image, media, self.t, self.total, self.over)

    def close(self) -> None:
        self._thread.submit(self._alone.close)
        self._thread.shutdown(wait=False)


class Seats:
    """Who plays. `env()` is called once, when the first person sits down; episodes go to `folder`.

    `name` is the environment's, for people.
    """

    def __init__(self, env: Callable[[], Env], folder: str | Path, name: str):
        self.folder, self.name = Path(folder), name
        self._env = env
        self._demos: Demonstrations | None = None
        self._seats: dict[str, Seat] = {}  # by who sits there
        self._lock = threading.Lock()
        self._making = threading.Lock()

    def prepare(self) -> Demonstrations:
        """Make the environment and the folder, once. Raises OperantError: one of them cannot be."""
        with self._making:
            if self._demos is None:
                env = self._env()
                self._controls = controls(env)
                self._demos = Demonstrations(self.folder, env.spec, id=_id(self.name), about=_env_spec(env))
                self._env = lambda: env
            return self._demos

    def sit(self, who: str, browser: str) -> tuple[Seat, dict[str, Any]]:
        """A seat of their own, in place of one they had; and what the page must know.

        Raises:
            Problem: 409 "full".
            OperantError: the environment cannot be played, or the folder cannot be written.
        """
        demos = self.prepare()
        with self._making:
            place = f"{browser}\0{who}"
            with self._lock:
                self._free(self._seats.pop(place, None))
                if len(self._seats) >= MOST:
                    idle = min(self._seats, key=lambda p: self._seats[p].used)
                    if time.monotonic() - self._seats[idle].used < LEFT_ALONE:
                        raise Problem(
                            409, "full",
                            f"expected at most {MOST} people to play at once; as many do. Try again when one has left.",
                            {"retry-after": "30"},
                        )  # fmt: skip
                    self._free(self._seats.pop(idle))
            seat = Seat(self._env(), who)
            with self._lock:
                self._seats[place] = seat
        counts = {"episodes": demos.episodes, "steps": demos.steps}
        return seat, {"session": seat.id, "env": self.name, "controls": self._controls, **counts}

    def seat(self, id: str) -> Seat:
        """Raises Problem (409): nobody sits there any more."""
        with self._lock:
            for seat in self._seats.values():
                if secrets.compare_digest(seat.id, id):
                    return seat
        raise Problem(
            409, "session", "expected a session that runs; this one has ended: it was opened again elsewhere, or left "
            "alone. Begin again."
        )  # fmt: skip

    def keep(self, id: str, key: str) -> dict[str, Any]:
        return self.seat(id).keep(key, self.prepare())

    def leave(self, id: str) -> None:
        with self._lock:
            for place, seat in list(self._seats.items()):
                if secrets.compare_digest(seat.id, id):
                    self._free(self._seats.pop(place))

    def close(self) -> None:
        with self._lock:
            for seat in self._seats.values():
                self._free(seat)
            self._seats.clear()

    @staticmethod
    def _free(seat: Seat | None) -> None:
        if seat is not None:
            seat.close()


def picture(frame: np.ndarray, flat: bool) -> tuple[bytes, str]:
    """PNG for what is drawn in few colours, JPEG for the rest; at most SIDE pixels a side."""
    image, out = Image.fromarray(frame), io.BytesIO()
    image.thumbnail((SIDE, SIDE))
    if flat:
        image.save(out, "PNG", compress_level=1)
        return out.getvalue(), "image/png"
    image.save(out, "JPEG", quality=85)
    return out.getvalue(), "image/jpeg"


def _seed() -> int:
    return secrets.randbelow(2**31 - 1)


def _id(name: str) -> str:
    """
    >>> _id("Hopper-v5"), _id("gym:CartPole-v1")
    ('operant/hopper-v5/human-v0', 'operant/gym-cartpole-v1/human-v0')
    """
    return f"operant/{''.join(c if c.isalnum() or c in '-_.' else '-' for c in name.lower())}/human-v0"


def _env_spec(env: Env) -> dict[str, Any]:
    """What Minari makes the environment from again, where Gymnasium has it."""
    import gymnasium as gym

    from operant.envs.gymnasium import Gymnasium
    from operant.envs.toy import GYMNASIUM_IDS

    try:
        if isinstance(env, Gymnasium):
            spec = copy.deepcopy(gym.spec(env.id.rpartition(":")[2]))
            spec.kwargs.update(env.kwargs)
            spec.max_episode_steps = env.max_steps or spec.max_episode_steps
            return {"env_spec": spec.to_json()}
        id = next((id for id, cls in GYMNASIUM_IDS.items() if type(env) is cls and env == cls()), None)
        return {} if id is None else {"env_spec": gym.spec(id).to_json()}
    except (gym.error.Error, TypeError, ValueError):
        return {}  # an environment that only Python describes
