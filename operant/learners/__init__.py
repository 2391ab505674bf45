"""LEARN: from transitions and a reward function, a better policy; or from stored comparisons, without a reward."""

from operant.learners.bc import BC
from operant.learners.coach import COACH
from operant.learners.dqn import DQN
from operant.learners.offline import IQL
from operant.learners.ppo import PPO
from operant.learners.preferences import CPL, DPPO, OPPO
from operant.learners.sac import SAC
from operant.learners.td3 import TD3

__all__ = ["BC", "COACH", "CPL", "DPPO", "DQN", "IQL", "OPPO", "PPO", "SAC", "TD3"]
