"""A person is not asked by a function call, and its answers lie where they are said to."""

from pathlib import Path

import pytest

from operant.errors import SpecError
from operant.teachers import Person


def test_nobody_answers_a_call():
    with pytest.raises(SpecError, match="label was called"):
        Person().label(None, key=None)  # type: ignore[arg-type]


def test_where_answers_lie():
    assert Person().store_of(Path("runs/x")) == Path("runs/x/labels.db")
    assert Person(labels="postgresql://somewhere/labels").store_of(Path("runs/x")) == "postgresql://somewhere/labels"


@pytest.mark.parametrize("share", [1.0, -0.1])
def test_a_share_is_one(share):
    with pytest.raises(SpecError, match=r"duplicates in \[0, 1\); got"):
        Person(duplicates=share)
