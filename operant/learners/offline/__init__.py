"""LEARN from recorded transitions and a reward, without an environment."""

from operant.learners.offline.iql import IQL

__all__ = ["IQL"]
