"""SPECIFY: what is wanted, as a number a step."""

from operant.rewards.clip import Clip
from operant.rewards.constraints.lagrangian import Lagrangian
from operant.rewards.normalise import Normalise
from operant.rewards.program import Program, load_program
from operant.rewards.scale import Scale
from operant.rewards.shaping.heuristic import Heuristic
from operant.rewards.shaping.potential import PotentialShaping
from operant.rewards.task import Task
from operant.rewards.terms import Terms

__all__ = [
    "Clip",
    "Heuristic",
    "Lagrangian",
    "Normalise",
    "PotentialShaping",
    "Program",
    "Scale",
    "Task",
    "Terms",
    "load_program",
]
