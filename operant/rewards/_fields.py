"""What a reward program may ask for by name, and where in a transition it lies."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from operant.core import Box, Composite, EnvSpec, Space, Transition

TRANSITION = ("obs", "action", "reward", "terminated", "truncated", "next_obs")


@dataclasses.dataclass(frozen=True)
class Field:
    """A place in a transition: one of its parts, the entry of a dict observation, one element of the last axis."""

    part: str
    entry: tuple[str, ...] = ()
    index: int | None = None

    def read(self, batch: Transition) -> Any:
        """The value there, with the transition's leading axes *B."""
        x = getattr(batch, self.part)
        for name in self.entry:
            x = x[name]
        return x if self.index is None else x[..., self.index]

    def __str__(self) -> str:
        entries = "".join(f"[{name!r}]" for name in self.entry)
        return self.part + entries + ("" if self.index is None else f"[{self.index}]")


def _named(part: str, space: Space, entry: tuple[str, ...] = ()) -> list[tuple[str, Field]]:
    """Every name inside a space: the entries of composites, the elements of one-dimensional boxes."""
    if isinstance(space, Composite):
        found = []
        for name, inner in space.spaces:
            found += [(name, Field(part, (*entry, name))), *_named(part, inner, (*entry, name))]
        return found
    names = space.names if isinstance(space, Box) else ()
    return [(name, Field(part, entry, i)) for i, name in enumerate(names)]


def known_fields(spec: EnvSpec) -> dict[str, tuple[Field, ...]]:
    """Name to the places it may mean: one, unless the name is ambiguous.

    The transition's own parts come first and win: an observation element called `reward` is `obs[i]`.

    >>> spec = EnvSpec(Box((2,), names=("angle", "speed")), Box((1,), names=("torque",)), None)
    >>> {name: str(field) for name, (field,) in known_fields(spec).items() if "_" in name or name == "torque"}
    {'next_obs': 'next_obs', 'next_angle': 'next_obs[0]', 'next_speed': 'next_obs[1]', 'torque': 'action[0]'}
    """
    known: dict[str, tuple[Field, ...]] = {name: (Field(name),) for name in TRANSITION}
    here = _named("obs", spec.obs)
    there = [(f"next_{name}", dataclasses.replace(field, part="next_obs")) for name, field in here]
    for name, field in [*here, *there, *_named("action", spec.action)]:
        if name not in TRANSITION:
            known[name] = (*known.get(name, ()), field)
    return known


def _zero(space: Space) -> Any:
    """The point of a space nearest to zero, so that bounds hold."""
    if isinstance(space, Composite):
        return {name: _zero(inner) for name, inner in space.spaces}
    return np.clip(space.zero(), *space.bounds()) if isinstance(space, Box) else space.zero()


def zero_transition(spec: EnvSpec) -> Transition:
    """One transition of zeros (moved into the spaces' bounds), unbatched: what shapes and dtypes will be."""
    obs, action = (jax.tree.map(jnp.asarray, _zero(space)) for space in (spec.obs, spec.action))
    no = jnp.zeros((), bool)
    return Transition(obs, action, jnp.zeros(()), no, no, obs, {})
