"""A teacher that says again what is in a comparison store: the answers of people, without the people.

In training, question k is the k-th pair of the store that has an answer, whatever the agent does meanwhile: what was
paid for once teaches other rewards, other learners and other seeds, each of them the same. Asked about a given pair, it
says what was answered about the very same steps, and "cannot tell" where they were never compared.

>>> Recorded("runs/taught").labels
'runs/taught'
"""

import hashlib
from pathlib import Path
from typing import ClassVar

import jax
import numpy as np
from jaxtyping import Int, PRNGKeyArray

from operant.core import Card
from operant.data.segments import Pairs, rows
from operant.errors import DataError, SpecError
from operant.teachers import AbstractTeacher, Answer
from operant.teachers.person import LABELS


class Recorded(AbstractTeacher):
    """Replays a comparison store (see the module's docstring)."""

    labels: str
    """Where the answers are: a run's folder, a file, or a database's URL (`postgresql://…`)."""

    card: ClassVar[Card] = Card(
        "Christiano et al. 2017, Deep Reinforcement Learning from Human Preferences",
        "1706.03741",
        "preference-learning",
    )

    def __check_init__(self) -> None:
        if not self.labels:
            raise SpecError(
                "expected Recorded.labels, where the answers are; got nothing. Give a run's folder, a file or a "
                "database's URL."
            )

    def label(self, pairs: Pairs, *, key: PRNGKeyArray | None) -> Int[np.ndarray, " n"]:
        stored, said = self._read()
        known = dict(zip(_names(stored), said, strict=True))
        return np.array([known.get(name, Answer.unsure) for name in _names(pairs)], int)

    def answered(self, pairs: Pairs, start: int, *, key: PRNGKeyArray | None) -> tuple[Pairs, Int[np.ndarray, " n"]]:
        n, length = pairs.left.mask.shape
        stored, said = self._read(start, n)
        if stored.left.mask.shape[1] != length:
            raise DataError(
                f"expected segments of {length} steps; those in {self.labels} have {stored.left.mask.shape[1]}. Set "
                "the reward's segment to that."
            )
        shapes = lambda tree: [np.shape(x)[1:] for x in jax.tree.leaves((tree.left.steps.obs, tree.left.steps.action))]
        if shapes(stored) != shapes(pairs):
            raise DataError(
                f"expected observations and actions of shapes {shapes(pairs)} (steps first); those in {self.labels} "
                f"have {shapes(stored)}. They were given about another environment."
            )
        place = np.minimum(np.arange(n), len(said) - 1)  # the rest of a last session is padding
        return rows(stored, place), np.where(np.arange(n) < len(said), said[place], Answer.unsure)

    def check(self, budget: int) -> None:
        known = len(self._read()[1])
        if known < budget:
            raise DataError(
                f"expected answers to {budget} questions in {self.labels}; it has {known}. Lower the questions' budget "
                f"to {known} or less."
            )

    def _read(self, start: int = 0, n: int | None = None) -> tuple[Pairs, Int[np.ndarray, " M"]]:
        """Of the pairs with an answer that stands, in the order of the answers, `n` from `start`; and their answers."""
        from operant.data.comparisons import Store

        where: str | Path = self.labels
        if "://" not in self.labels:
            where = Path(self.labels) / LABELS if Path(self.labels).is_dir() else Path(self.labels)
            if not where.exists():
                raise SpecError(
                    f"expected a comparison store at {where}; there is none. Give a run that people taught."
                )
        with Store(where) as store:
            last = {g.pair: g.answer for g in store.given()}
            stands = [pair for pair, answer in last.items() if answer is not None]
            if not stands:
                raise DataError(f"expected answers in {store.name}; it has none. Give a run that people taught.")
            if start >= len(stands):
                raise DataError(
                    f"expected more than {start} answers in {self.labels}; it has {len(stands)}. Lower the questions' "
                    f"budget to {len(stands)} or less."
                )
            asked = stands[start : None if n is None else start + n]
            return store.pairs(asked), np.array([int(last[pair]) for pair in asked])  # type: ignore[arg-type]


def _names(pairs: Pairs) -> list[bytes]:
    """A hash of each pair's observations and actions."""
    sides = [(side.steps.obs, side.steps.action, side.mask) for side in (pairs.left, pairs.right)]
    parts = [np.asarray(x) for x in jax.tree.leaves(sides)]
    return [hashlib.sha256(b"".join(x[i].tobytes() for x in parts)).digest() for i in range(len(parts[0]))]
