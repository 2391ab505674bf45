"""LEARN: from transitions and a reward function, a better policy."""

from operant.learners.bc import BC
from operant.learners.dqn import DQN
from operant.learners.ppo import PPO
from operant.learners.sac import SAC
from operant.learners.td3 import TD3

__all__ = ["BC", "DQN", "PPO", "SAC", "TD3"]
