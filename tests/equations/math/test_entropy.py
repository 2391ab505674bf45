"""Entropy over modes against SciPy."""

import numpy as np
import pytest
import scipy.stats

from operant.errors import DataError, SpecError
from operant.math.entropy import conditional_mode_entropy, mode_entropy


def test_it_is_scipys_entropy_as_a_share():
    modes = np.random.default_rng(0).integers(-1, 6, 200)
    count = np.bincount(modes[modes >= 0], minlength=6)
    assert mode_entropy(modes, 6) == pytest.approx(scipy.stats.entropy(count) / np.log(6))
    assert mode_entropy(np.arange(24), 24) == pytest.approx(1.0)
    assert mode_entropy([3, 3, 3], 24) == 0.0
    assert mode_entropy([-1, -1], 24) == 0.0 == mode_entropy(np.zeros(0, int), 24)


def test_conditioned_on_the_start_it_is_the_mean():
    assert conditional_mode_entropy([[0, 0, -1], [0, 1, 1]], 2) == pytest.approx(
        scipy.stats.entropy([1 / 3, 2 / 3]) / np.log(2) / 2
    )
    assert mode_entropy([0, 0, 1, 1], 2) == 1.0 and conditional_mode_entropy([[0, 0], [1, 1]], 2) == 0.0


def test_refusals():
    with pytest.raises(SpecError, match="expected k ≥ 2 modes; got 1"):
        mode_entropy([0], 1)
    for wrong in ([2], [-2], [0.5]):
        with pytest.raises(DataError, match="expected modes to be whole numbers"):
            mode_entropy(wrong, 2)
