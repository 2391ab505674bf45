"""Markov decision processes as arrays, dense or sparse, and the environment made from one."""

from operant.envs.tabular.mdp import TabularMDP
from operant.envs.tabular.sparse import SparseMDP
from operant.envs.tabular.tabular_env import TabularEnv

__all__ = ["SparseMDP", "TabularEnv", "TabularMDP"]
