"""Learners of goals that stand in the observation (`operant.data.goals`): any learner from replay, in hindsight."""

from operant.learners.goals.hindsight import Hindsight

__all__ = ["Hindsight"]
