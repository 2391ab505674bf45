"""LEARN: from transitions and a reward function, a better policy."""

from operant.learners.ppo import PPO

__all__ = ["PPO"]
