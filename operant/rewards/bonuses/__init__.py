"""Rewards for what is new: they explore without a task."""
