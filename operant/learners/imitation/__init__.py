"""Learners from demonstrations: `operant.fit` shows them a dataset; those whose card needs "env" act as well.

Those that see several steps have a field `window`: `fit` draws windows (`Dataset.windows`), and the policy's carry
holds as many of the last observations (`_history.History`). Those that know goals are shown what the same episode led
to (`Dataset.relabelled`); their policies have a goal, `policy.towards(goal)`, an observation to be reached, and the
environment needs none.
"""
