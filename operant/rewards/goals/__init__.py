"""Rewards for reaching goals that stand in the observation (`operant.data.goals`)."""

from operant.rewards.goals.reached import Reached

__all__ = ["Reached"]
