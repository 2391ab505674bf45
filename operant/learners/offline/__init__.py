"""LEARN from recorded transitions and a reward, without an environment."""

from operant.learners.offline.iql import IQL
from operant.learners.offline.recoil import ReCOIL

__all__ = ["IQL", "ReCOIL"]
