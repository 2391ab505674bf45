"""Rewards that add advice to another reward."""
