"""SPECIFY: what is wanted, as a number a step."""

from operant.rewards.bonuses.state_entropy import StateEntropy
from operant.rewards.clip import Clip
from operant.rewards.constraints.lagrangian import Lagrangian
from operant.rewards.critique import Critique
from operant.rewards.normalise import Normalise
from operant.rewards.preferences.bradley_terry import BradleyTerry
from operant.rewards.preferences.regret import Regret
from operant.rewards.program import Program, load_program
from operant.rewards.scale import Scale
from operant.rewards.shaping.heuristic import Heuristic
from operant.rewards.shaping.potential import PotentialShaping
from operant.rewards.task import Task
from operant.rewards.terms import Terms

__all__ = [
    "BradleyTerry",
    "Clip",
    "Critique",
    "Heuristic",
    "Lagrangian",
    "Normalise",
    "PotentialShaping",
    "Program",
    "Regret",
    "Scale",
    "StateEntropy",
    "Task",
    "Terms",
    "load_program",
]
