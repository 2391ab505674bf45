"""Which keys play an environment: what the record page shows and presses.

Discrete actions have the number keys, and the arrows where there are two to four. Each element of a box has a pair of
keys one above the other (q raises, a lowers), and the arrows where there are one or two.

>>> from operant.envs.toy import CartPole, Pendulum
>>> [(a["name"], a["keys"]) for a in controls(CartPole())["actions"]]
[('push left', ['1', 'ArrowLeft']), ('push right', ['2', 'ArrowRight'])]
>>> controls(Pendulum())["axes"]
[{'name': 'torque', 'low': -2.0, 'high': 2.0, 'minus': ['a', 'ArrowLeft'], 'plus': ['q', 'ArrowRight']}]
"""

from typing import Any

from operant.core import AbstractEnv, AbstractHostEnv, Box, Discrete
from operant.errors import SpecError

NUMBERS = "1234567890"
MORE = "qwetyuiopasdfghjklzxcvbm"
"""Beyond ten actions; r and n are the page's own."""
PAIRS = ("qa", "ws", "ed", "tf", "yg", "uh", "ij", "ok", "pl", "zx", "cv", "bm")
"""Raise, lower: an element of a box each."""
NAMES = {
    "CartPole": ("push left", "push right"),
    "MountainCar": ("push left", "no push", "push right"),
    "Acrobot": ("torque left", "no torque", "torque right"),
    "GridWorld": ("up", "right", "down", "left"),
    "CliffWalking": ("up", "right", "down", "left"),
    "FrozenLake": ("left", "down", "right", "up"),
    "LunarLander": ("no engine", "left engine", "up engine", "right engine"),
    "Taxi": ("down", "up", "right", "left", "pick up", "drop off"),
}
"""What the actions of well-known environments do; one that begins with "no" is taken while no key is held."""
ARROWS = {2: ("Left", "Right"), 3: ("Left", "Down", "Right"), 4: ("Up", "Right", "Down", "Left")}


def controls(env: AbstractEnv | AbstractHostEnv) -> dict[str, Any]:
    """JSON-able: `kind`, "discrete" with `actions` (name, keys) and `idle` (or None), or "box" with `axes`.

    Raises:
        SpecError: more actions than keys.
    """
    space = env.spec.action
    if isinstance(space, Box):
        return {"kind": "box", "axes": _axes(space), "shape": list(space.shape)}
    return {"kind": "discrete", **_actions(space, _title(env))}


def _title(env: Any) -> str:
    """ "CartPole", of the class or of the id."""
    name = env.spec.name if isinstance(env, AbstractHostEnv) else type(env).__name__
    return name.rpartition(":")[2].partition("-v")[0]


def _actions(space: Discrete, title: str) -> dict[str, Any]:
    keys = NUMBERS + MORE
    if space.n > len(keys):
        raise SpecError(
            f"expected at most {len(keys)} actions, a key each; {title} has {space.n}. Record with fewer actions, or "
            "write a program that acts."
        )
    names = NAMES.get(title, ())
    names = names if len(names) == space.n else tuple(f"action {k}" for k in range(space.n))
    arrows = [next((w for w in ("Left", "Right", "Up", "Down") if w.lower() in name.split()), "") for name in names]
    if not any(arrows):
        arrows = list(ARROWS.get(space.n, ("",) * space.n))
    of = lambda k: [keys[k], *([f"Arrow{arrows[k]}"] if arrows[k] and arrows.index(arrows[k]) == k else [])]
    idle = next((k for k, name in enumerate(names) if name.startswith("no ")), None)
    return {"actions": [{"name": name, "keys": of(k)} for k, name in enumerate(names)], "idle": idle}


def _axes(space: Box) -> list[dict[str, Any]]:
    low, high = (bound.ravel().tolist() for bound in space.bounds())
    arrows = {1: (("Left", "Right"),), 2: (("Left", "Right"), ("Down", "Up"))}.get(space.size, ())
    axes = []
    for k in range(space.size):
        plus, minus = (PAIRS[k][0], PAIRS[k][1]) if k < len(PAIRS) else ("", "")
        arrow = [f"Arrow{word}" for word in arrows[k]] if k < len(arrows) else ["", ""]
        name = space.names[k] if space.names else f"element {k + 1}"
        both = {"minus": [x for x in (minus, arrow[0]) if x], "plus": [x for x in (plus, arrow[1]) if x]}
        axes.append({"name": name, "low": low[k], "high": high[k]} | both)
    return axes
