"""Checks that several rewards share, made once when a reward is built."""

from typing import Any

import jax.numpy as jnp

from operant.errors import SpecError


def check_number(what: str, value: Any, low: float, high: float) -> None:
    """Raise SpecError unless low ≤ value ≤ high; arrays (a sweep over settings) are not looked into.

    >>> check_number("Normalise.discount", 0.99, 0.0, 1.0)
    """
    # Inside jit or vmap a field is a tracer, which has no value to compare.
    if isinstance(value, int | float) and not low <= value <= high:
        raise SpecError(f"expected {what} in [{low:g}, {high:g}]; got {value:g}. Change it to lie between them.")


def check_setting(what: str, value: Any) -> None:
    """Raise SpecError where a number a step is wanted and an array arrives (a sweep that was not vmapped)."""
    if jnp.ndim(value) != 0:
        raise SpecError(
            f"expected {what} as one number, shape (); got shape {jnp.shape(value)}. `train` runs the settings "
            "of a learner's fields side by side, not a reward's: give one number, and train once for each."
        )
