"""Markov decision processes as arrays, and the environment made from one."""

from operant.envs.tabular.mdp import TabularMDP
from operant.envs.tabular.tabular_env import TabularEnv

__all__ = ["TabularEnv", "TabularMDP"]
