"""LEARN: from transitions and a reward function, from demonstrations, or from stored comparisons: a better policy."""

from operant.learners.bc import BC
from operant.learners.coach import COACH
from operant.learners.dqn import DQN
from operant.learners.goals.hindsight import Hindsight
from operant.learners.imitation.ads import ADS
from operant.learners.imitation.behavior_retrieval import BehaviorRetrieval
from operant.learners.imitation.beso import BESO
from operant.learners.imitation.bet import BeT
from operant.learners.imitation.cbet import CBeT
from operant.learners.imitation.dagger import DAgger
from operant.learners.imitation.dynamo import DynaMo
from operant.learners.imitation.imc import IMC
from operant.learners.imitation.inverse_dynamics import InverseDynamics
from operant.learners.imitation.iterative_inversion import IterativeInversion
from operant.learners.imitation.procedure_cloning import ProcedureCloning
from operant.learners.imitation.vpt import VPT
from operant.learners.offline import IQL, ReCOIL
from operant.learners.ppo import PPO
from operant.learners.preferences import CPL, DPPO, OPPO
from operant.learners.sac import SAC
from operant.learners.td3 import TD3

__all__ = [
    "ADS",
    "BC",
    "BESO",
    "COACH",
    "CPL",
    "DPPO",
    "DQN",
    "IMC",
    "IQL",
    "OPPO",
    "PPO",
    "SAC",
    "TD3",
    "VPT",
    "BeT",
    "BehaviorRetrieval",
    "CBeT",
    "DAgger",
    "DynaMo",
    "Hindsight",
    "InverseDynamics",
    "IterativeInversion",
    "ProcedureCloning",
    "ReCOIL",
]
