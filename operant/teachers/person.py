"""A person, or several: they answer in the studio whenever they like, and training takes the answers as they come.

Questions and answers lie in a comparison store (`operant.data.comparisons`); nobody waits for a function to return.

>>> Person(labels="answers.db").store_of(Path("runs/taught")), Person().store_of(Path("runs/taught")).name
('answers.db', 'labels.db')
"""

from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Int, PRNGKeyArray

from operant.core import Card
from operant.data.segments import Pairs
from operant.errors import SpecError
from operant.teachers import AbstractTeacher

LABELS = "labels.db"
"""The file of answers in a run's folder."""


class Person(AbstractTeacher):
    """Whoever opens the page."""

    labels: str = ""
    """Where answers are kept: a file or a database's URL (`postgresql://…`); empty: labels.db in the run folder."""
    duplicates: float = 0.05
    """Share of questions that are asked a second time, to measure how consistent the answers are."""

    card: ClassVar[Card] = Card(
        "Christiano et al. 2017, Deep Reinforcement Learning from Human Preferences",
        "1706.03741",
        "preference-learning",
    )

    def __check_init__(self) -> None:
        if not 0.0 <= self.duplicates < 1.0:
            raise SpecError(f"expected Person.duplicates in [0, 1); got {self.duplicates:g}. Use 0 for none.")

    def store_of(self, run: Path) -> str | Path:
        """Where the answers about the run in this folder are kept."""
        return self.labels or run / LABELS

    def label(self, pairs: Pairs, *, key: PRNGKeyArray | None) -> Int[np.ndarray, " n"]:
        raise SpecError(
            "expected a person to be asked through a comparison store; label was called. Train with a folder, or use "
            "a teacher that answers at once."
        )
