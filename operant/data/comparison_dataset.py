"""Stored comparisons to learn from: pairs of segments, what was answered about each, and where they come from.

M pairs of segments of L steps. A pair that nobody answered, or could not, has `known` false: it says nothing of what is
wanted, and still shows what was done. Checked once, when the dataset is made; drawing from it is pure and compiles.

>>> from operant.core import Box, Discrete
>>> from operant.teachers import Answer
>>> def side(number):
...     x, no = np.full((2, 4), number, np.float32), np.zeros((2, 4), bool)
...     return Segments(Transition(x[..., None], np.zeros((2, 4), np.int32), x, no, no, x[..., None], {}), ~no)
>>> spec, answers = EnvSpec(Box((1,)), Discrete(2), None), [Answer.right, Answer.unsure]
>>> data = ComparisonDataset.from_pairs(Pairs(side(1), side(2)), answers, spec, origin="by hand")
>>> data.size, data.labelled.size, data.steps.size, data.sample(3, jax.random.key(0)).obs.shape
(2, 1, 16, (3, 2, 4, 1))
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from operant import config
from operant.core import Box, EnvSpec, Transition
from operant.data.dataset import Dataset, Source, checked, digest
from operant.data.segments import Answers, Pairs, Segments, rows
from operant.errors import DataError, RunError
from operant.io import checkpoint
from operant.math import random
from operant.teachers import TARGET, Answer

if TYPE_CHECKING:
    from operant.data.comparisons import Store

SLACK = 1e-4
"""How far beyond its bounds a recorded action may lie, in units of the box's width: rounding."""


class ComparisonDataset(eqx.Module):
    """M stored comparisons (see the module's docstring). Make one with `from_pairs`, `from_store` or `load`."""

    pairs: Pairs
    """(M, L); steps that are not a segment's own are zero."""
    target: Float[Array, " M"]
    """Probability that the right one is better: 0, ½ or 1; ½ where it is not known."""
    known: Bool[Array, " M"]
    """Which pairs have an answer that says something."""
    spec: EnvSpec = eqx.field(static=True)
    """The environment they were recorded in."""
    source: Source = eqx.field(static=True)

    def __init__(
        self, pairs: Pairs, target: Any, spec: EnvSpec, *, known: Any = None, origin: str = "", licence: str = ""
    ):
        """Check and keep; arrays are cast to the dtypes of `spec`. `known`: all, unless given.

        Raises:
            DataError: no pairs, sides of unequal shape, shapes or dtypes that do not fit `spec`, non-finite numbers,
                actions that are not there, targets that are not 0, ½ or 1, own steps that do not come first, or a
                segment that goes on after its episode's end.
        """
        shape = np.shape(pairs.left.mask)
        if len(shape) != 2 or 0 in shape or np.shape(pairs.right.mask) != shape:
            raise DataError(
                f"expected two masks of one shape (M, L), M pairs of segments of L steps; got left {shape} and right "
                f"{np.shape(pairs.right.mask)}. Give at least one pair, both sides as long."
            )
        target = np.asarray(target)
        if target.shape != shape[:1] or target.dtype.kind not in "f" or not np.isin(target, (0.0, 0.5, 1.0)).all():
            odd = f", {target[~np.isin(target, (0.0, 0.5, 1.0))][:1]} among them" if target.shape == shape[:1] else ""
            raise DataError(
                f"expected {shape[0]} targets, the probabilities 0, 0.5 or 1 that the right one is better; got "
                f"{target.dtype} {target.shape}{odd}. Answers (operant.teachers.Answer) go through from_pairs."
            )
        known = np.ones(shape[0], bool) if known is None else np.asarray(known)
        if known.shape != shape[:1] or known.dtype != bool:
            raise DataError(
                f"expected known to be {shape[0]} booleans, one a pair; got {known.dtype} {known.shape}. Leave it out "
                "where every pair was answered."
            )
        target = np.where(known, target, 0.5).astype(np.float32)
        kept = Pairs(_side("left", pairs.left, spec), _side("right", pairs.right, spec))
        self.source = Source(origin, licence, digest((kept, target, known)))
        self.pairs, self.target, self.known = jax.tree.map(jnp.asarray, (kept, target, known))
        self.spec = spec

    # --- drawing ---

    @property
    def size(self) -> int:
        """M: pairs held."""
        return self.target.shape[0]

    @property
    def length(self) -> int:
        """L: steps of each segment."""
        return self.pairs.left.mask.shape[1]

    def sample(self, n: int, key: PRNGKeyArray) -> Transition:
        """`n` pairs, uniformly and with replacement: transitions (n, 2, L), left before right.

        `extras`: "mask" (n, 2, L), which steps are a segment's own; "target" (n,); "known" (n,).
        """
        index = random.integers(key, (n,), self.size)
        left, right = rows(self.pairs.left, index), rows(self.pairs.right, index)
        both = jax.tree.map(lambda a, b: jnp.stack([a, b], axis=1), left, right)
        extras = {"mask": both.mask, "target": self.target[index], "known": self.known[index]}
        return eqx.tree_at(lambda t: t.extras, both.steps, extras)

    @property
    def labelled(self) -> "ComparisonDataset":
        """Only the pairs whose answer is known. Raises DataError where there is none."""
        known = np.asarray(self.known)
        if not known.any():
            raise DataError(
                f"expected at least one pair whose answer is known; none of {self.size} has one. Have some labelled, "
                "with operant teach or a teacher's label."
            )
        keep = lambda x: np.asarray(x)[known]
        pairs, target = jax.tree.map(keep, (self.pairs, self.target))
        about = {"origin": self.source.origin, "licence": self.source.licence}
        return ComparisonDataset(pairs, target, self.spec, **about)

    @property
    def steps(self) -> Dataset:
        """Every segment's own steps as transitions, the left segments first.

        Each segment is an episode of its own, marked as ended only where its episode did end. A segment that stands in
        several pairs is there as often.
        """
        join = lambda a, b: np.concatenate([np.asarray(a), np.asarray(b)])
        both = jax.tree.map(join, self.pairs.left, self.pairs.right)
        mask = np.asarray(both.mask)
        flat = jax.tree.map(lambda x: x[mask], both.steps)
        return Dataset(flat, np.nonzero(mask)[0], self.spec, origin=self.source.origin, licence=self.source.licence)

    @property
    def answers(self) -> Answers:
        """What a reward that learns from comparisons is taught (`AbstractPreferences.teach`); pairs are numbered."""
        number = np.arange(self.size, dtype=np.int32)
        return Answers(self.pairs, jnp.asarray(number), self.target, jnp.ones(self.size, bool), self.known)

    # --- coming and going ---

    @classmethod
    def from_pairs(
        cls,
        pairs: Pairs,
        answers_or_target: Any,
        spec: EnvSpec,
        known: Any = None,
        *,
        origin: str = "",
        licence: str = "",
    ) -> "ComparisonDataset":
        """From pairs (M, L) and what was answered.

        Args:
            answers_or_target: whole numbers are answers (`operant.teachers.Answer`: left, right, tie, unsure); floats
                are probabilities that the right one is better.
            known: which pairs were answered; all but the unsure ones, unless given.

        Raises: DataError as the class does.
        """
        said = np.asarray(answers_or_target)
        if said.dtype.kind in "iu":
            if not np.isin(said, list(Answer)).all():
                raise DataError(
                    f"expected answers, each one of {[f'{a.name} ({a.value})' for a in Answer]}; got "
                    f"{said.min()} … {said.max()}. Give floats where they are probabilities."
                )
            sure = said != Answer.unsure
            known = sure if known is None else sure & np.asarray(known)
            said = TARGET[said]
        return cls(pairs, said, spec, known=known, origin=origin, licence=licence)

    @classmethod
    def from_store(cls, store: "Store", spec: EnvSpec, *, licence: str = "") -> "ComparisonDataset":
        """Every pair of a comparison store that has its last answer, in order of the pairs' numbers.

        Pairs without an answer, or whose answer was withdrawn, come as not known, as do those nobody could tell.

        Raises:
            DataError: the store holds no pairs, or they do not fit `spec`.
        """
        import sqlalchemy as sa  # takes long to import, and few need it

        from operant.data._store_schema import pairs

        query = sa.select(pairs.c.id).where(pairs.c.duplicate_of.is_(None)).order_by(pairs.c.id)
        ids = list(store.database.run(lambda c: c.execute(query).scalars().all(), "read"))
        last = {given.pair: given.answer for given in store.given()}
        if not ids:
            raise DataError(f"expected pairs in {store.name}; it holds none. Ask some first, with operant teach.")
        said = [last.get(i) for i in ids]
        codes = np.array([int(Answer.unsure if a is None else a) for a in said])
        return cls.from_pairs(store.pairs(ids), codes, spec, origin=store.name, licence=licence)

    def save(self, path: str | Path) -> Path:
        """Write one file that `load` reads, in the format of checkpoints. Raises StoreError."""
        path = Path(path)
        header = {
            "spec": config.to_plain(self.spec),
            "origin": self.source.origin,
            "licence": self.source.licence,
            "size": self.size,
            "length": self.length,
        }
        checkpoint.save(path, (self.pairs, self.target, self.known), {"comparisons": header})
        return path

    @classmethod
    def load(cls, path: str | Path) -> "ComparisonDataset":
        """Read what `save` wrote; never runs code.

        Raises:
            RunError: not such a file, cut short, or altered.
        """
        path = Path(path)
        header = checkpoint.read_header(path)
        if "comparisons" not in header:
            raise RunError(
                f"expected stored comparisons in {path}; it holds something else. Give a file ComparisonDataset.save "
                "wrote."
            )
        about = header["comparisons"]
        spec, m, length = config.from_plain(about["spec"], EnvSpec), about["size"], about["length"]
        room = lambda zero: jax.tree.map(lambda z: np.zeros((m, length, *np.shape(z)), np.asarray(z).dtype), zero)
        number: Any = np.zeros((), np.float32)
        flag: Any = np.zeros((), bool)

        def side() -> Segments:
            obs, after = room(spec.obs.zero()), room(spec.obs.zero())
            ends = room(flag), room(flag)
            return Segments(Transition(obs, room(spec.action.zero()), room(number), *ends, after, {}), room(flag))

        like = (Pairs(side(), side()), np.zeros(m, np.float32), np.zeros(m, bool))
        pairs, target, known = checkpoint.load(path, like)
        return cls(pairs, target, spec, known=known, origin=about["origin"], licence=about["licence"])


def _side(name: str, segments: Any, spec: EnvSpec) -> Segments:
    """Segments (M, L) in the dtypes of a spec, zero where steps are not their own, or a DataError."""
    mask = np.asarray(segments.mask)
    m, length = mask.shape
    if mask.dtype != bool or not mask[:, 0].all() or (mask[:, 1:] & ~mask[:, :-1]).any():
        raise DataError(
            f"expected {name}.mask to be booleans, a segment's own steps first and at least one; got {mask.dtype}, "
            f"{int((~mask[:, :1].astype(bool)).sum())} of {m} without a first step. Shift steps to the front."
        )
    s = segments.steps
    for part, x in (("reward", s.reward), ("terminated", s.terminated), ("truncated", s.truncated)):
        if np.shape(x) != mask.shape:
            raise DataError(f"expected {name}.{part} of the mask's shape {mask.shape}; got {np.shape(x)}. Reshape it.")
    own = lambda x: np.where(mask.reshape(mask.shape + (1,) * (np.ndim(x) - 2)), x, np.zeros((), np.asarray(x).dtype))

    def flat(x: Any) -> np.ndarray:
        x = np.asarray(x)
        if x.shape[:2] != (m, length):
            raise DataError(
                f"expected every array of {name} to begin with (M, L) = ({m}, {length}), as its mask; got shape "
                f"{x.shape}. Give one row a step."
            )
        return own(x).reshape(m * length, *x.shape[2:])

    steps = checked(jax.tree.map(flat, eqx.tree_at(lambda t: t.extras, s, {})), spec, f"{name}.")
    steps = jax.tree.map(lambda x: x.reshape(m, length, *x.shape[1:]), steps)
    if isinstance(spec.action, Box) and spec.action.bounded:
        low, high = spec.action.bounds()
        room, given = SLACK * (high - low), np.asarray(steps.action)[mask]
        beyond = (given < low - room) | (given > high + room)
        if beyond.any():
            raise DataError(
                f"expected {name}.action within {spec.action.low} … {spec.action.high}; {int(beyond.sum())} numbers "
                f"lie outside, {given[beyond][0]:g} the first. Clip what was recorded, or fix the spec."
            )
    ended = np.asarray(steps.terminated) | np.asarray(steps.truncated)
    if (on := np.flatnonzero((ended[:, :-1] & mask[:, 1:]).any(1))).size:
        raise DataError(
            f"expected a segment to end where its episode does; {name} {on[0]} goes on after it ({on.size} such "
            "segments). Cut the segment there: its mask says which steps are its own."
        )
    return Segments(steps, cast(Any, mask))
