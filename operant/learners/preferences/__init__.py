"""LEARN from stored comparisons alone: a policy from which of two segments was better, without a reward."""

from operant.learners.preferences.cpl import CPL
from operant.learners.preferences.dppo import DPPO
from operant.learners.preferences.oppo import OPPO

__all__ = ["CPL", "DPPO", "OPPO"]
