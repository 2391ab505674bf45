"""How many of the known ways of doing something are used: entropy over them, 1 where all are used alike.

    H = −Σ_m p_m log p_m / log k,   p_m the share of mode m among k, of what has a mode

Conditioned on the start: the mean over starts of the entropy among what began there. With n samples, H is smaller than
the truth by about (k − 1)/(2n log k), and at most log n / log k: compare figures of equal n.

Reference: Jia et al. 2024, Towards Diverse Behaviors: A Benchmark for Imitation Learning with Human Demonstrations
(D3IL), 2402.14606, section 4 (behaviour entropy); the bias: Miller 1955, Note on the Bias of Information Estimates.

>>> mode_entropy([0, 1, 0, 1, -1], 4)
0.5
"""

import math
from collections.abc import Sequence

import numpy as np

from operant.errors import DataError, SpecError


def mode_entropy(modes: np.ndarray | Sequence[int], k: int) -> float:
    """Entropy of modes (n,), each in 0 … k − 1, as a share of log k; those of −1 are left out, and 0 where all are.

    Raises:
        SpecError: k < 2.
        DataError: a number that is no mode.
    """
    if k < 2:
        raise SpecError(f"expected k ≥ 2 modes; got {k}. There is nothing to be diverse in.")
    modes = np.asarray(modes).reshape(-1)
    if modes.dtype.kind not in "iu" or (len(modes) and not -1 <= modes.min() <= modes.max() < k):
        raise DataError(
            f"expected modes to be whole numbers in −1 … {k - 1}; got {modes.dtype} in {modes.min()} … {modes.max()}. "
            "Number them from 0, and say −1 for none."
        )
    shown = modes[modes >= 0]
    if not len(shown):
        return 0.0
    p = np.bincount(shown, minlength=k) / len(shown)
    p = p[p > 0]
    return float(max(0.0, -(p * np.log(p)).sum() / math.log(k)))


def conditional_mode_entropy(modes: Sequence[np.ndarray] | np.ndarray, k: int) -> float:
    """Mean over starts of `mode_entropy`; `modes` holds (n,) of each start. Starts that show no mode count 0.

    >>> conditional_mode_entropy([[0, 0], [0, 1]], 2)
    0.5
    """
    return float(np.mean([mode_entropy(m, k) for m in modes]))
