"""Rewards that keep costs below limits."""
