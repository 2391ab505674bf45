"""Operant: teach agents behaviour from what you mean, and check that they learned it."""

from operant import _devices  # noqa: I001  (first: it configures XLA before anything can start it)

__version__ = "0.1.0"
__all__ = ["__version__"]
