"""What the comparison store says of its labellers: how much, how fast, how consistent, how much of one mind.

Consistency is the share of a labeller's repeated pairs that they answered as they did before; agreement is the share
of (pair, two labellers) in which both said the same. Sides that were swapped are swapped back; "cannot tell" says
nothing and is left out; a tie agrees with a tie alone. Intervals are Wilson's, at 95 %.

Reference: Wilson 1927, Probable Inference, the Law of Succession, and Statistical Inference, JASA 22(158). It takes
trials as independent; where more than two labellers answer one pair, the interval on agreement is too narrow.
"""

import collections
import dataclasses
import itertools
import math
import statistics

import sqlalchemy as sa

from operant.data._store_schema import answers, pairs, skips
from operant.teachers import Answer

Z = 1.959963984540054  # 95 %
SWAPPED = {Answer.left: Answer.right, Answer.right: Answer.left}


@dataclasses.dataclass(frozen=True)
class Share:
    """k of n with its interval; NaN throughout where n is 0."""

    k: int
    n: int
    value: float
    low: float
    high: float

    @classmethod
    def of(cls, k: int, n: int) -> "Share":
        """
        >>> Share.of(9, 10)
        Share(k=9, n=10, value=0.9, low=0.5958..., high=0.9821...)
        """
        if n == 0:
            return cls(k, n, math.nan, math.nan, math.nan)
        p, q = k / n, Z * Z / n
        middle = (p + q / 2) / (1 + q)
        half = Z / (1 + q) * math.sqrt(p * (1 - p) / n + q / (4 * n))
        return cls(k, n, p, max(0.0, middle - half), min(1.0, middle + half))


@dataclasses.dataclass(frozen=True)
class Labeller:
    """What one labeller did."""

    name: str
    n: int
    """Answers that stand, about duplicates too."""
    median_seconds: float
    consistency: Share


@dataclasses.dataclass(frozen=True)
class Stats:
    """What the store holds."""

    answered: int
    """Pairs with an answer that stands; duplicates are not counted, here and in the next three."""
    waiting: int
    ties: int
    unsure: int
    skipped: int
    """Times a labeller skipped a pair."""
    labellers: tuple[Labeller, ...]
    """By name."""
    agreement: Share


def stats(connection: sa.Connection) -> Stats:
    """Count, within the transaction that is open."""
    count = lambda *where: connection.execute(sa.select(sa.func.count()).select_from(pairs).where(*where)).scalar_one()
    waiting = count(pairs.c.answer_id.is_(None), pairs.c.duplicate_of.is_(None))
    skipped = connection.execute(sa.select(sa.func.count()).select_from(skips)).scalar_one()
    rows = connection.execute(
        sa.select(
            pairs.c.id, pairs.c.duplicate_of, pairs.c.swapped, answers.c.answer, answers.c.labeller, answers.c.seconds
        )
        .join(answers, answers.c.id == pairs.c.answer_id)
        .order_by(answers.c.id)
    ).all()

    first: dict[int, dict[str, Answer]] = collections.defaultdict(dict)  # pair -> labeller -> their first answer
    repeated: dict[str, list[bool]] = collections.defaultdict(list)
    seconds: dict[str, list[float]] = collections.defaultdict(list)
    originals: list[Answer] = []
    for row in rows:
        seconds[row.labeller].append(row.seconds)
        answer = Answer(row.answer)
        if row.duplicate_of is None:
            originals.append(answer)
        if answer is Answer.unsure:
            continue
        straight = SWAPPED.get(answer, answer) if row.swapped else answer
        said = first[row.duplicate_of or row.id]
        if row.labeller in said:
            repeated[row.labeller].append(said[row.labeller] is straight)
        else:
            said[row.labeller] = straight
    both = [a is b for said in first.values() for a, b in itertools.combinations(said.values(), 2)]
    labellers = tuple(
        Labeller(name, len(taken), statistics.median(taken), Share.of(sum(repeated[name]), len(repeated[name])))
        for name, taken in sorted(seconds.items())
    )
    return Stats(
        len(originals),
        waiting,
        originals.count(Answer.tie),
        originals.count(Answer.unsure),
        skipped,
        labellers,
        Share.of(sum(both), len(both)),
    )
