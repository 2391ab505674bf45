"""Claims of self-designed rewards: what paid off and what is unknown, together, find and keep a far goal.

Reference: Devidze, Kamalaruban and Singla 2022, Exploration-Guided Reward Shaping for Reinforcement Learning under
Sparse Rewards, section 5 (chains with and without a distractor).
"""

import functools
from typing import Any

from operant.claims import Claim
from operant.claims._designs import Learnt, share_of_best, two_ways
from operant.claims._tests import Better
from operant.design import ExploRS, Reinforce
from operant.design._exact import expected

plainly = functools.partial(two_ways, 20, 16)
lured = functools.partial(two_ways, 20, 16, lure=0.01)
_SETTING: Any = (Reinforce(lr=1.0), 4000, 32, share_of_best, 50)
far = functools.partial(two_ways, 40, 20)
_LONG: Any = (Reinforce(lr=1.0), 6000, 40, share_of_best, 50)
_PROBLEM = (
    "a chain with slip 0.05 and discount 0.99, the goal 16 steps to the right of the start, nothing 20 steps to its "
    "left{}, 32 steps an episode; REINFORCE, 4,000 episodes"
)
_BASE: dict[str, Any] = {
    "tier": "quick",
    "problem": _PROBLEM.format(""),
    "figure": "exact return of the learner's policy, mean over training, as a share of the best",
    "steps": 0,
    "seeds": 8,
    "test": Better(),
    "subject": Learnt("ExploRS", plainly, lambda _: ExploRS(), *_SETTING),
}
_NOTE = (
    "A first look had the goal 10 steps away and 25 steps an episode, where a random walk meets it often and the "
    "original reward is not sparse: 0.82 against 0.92. Now it is met in fewer than 1 of 100 random episodes, as in the "
    "paper."
)
_PARTS = (
    "On this chain each part alone does as well: the goal is met by chance some 18 times in 4,000 episodes, which is "
    "enough for the learned part. Tried: the paper's own, longer chain, `far-bonus` and `far-learned`."
)
_FAR = _BASE | {
    "tier": "full",
    "problem": "a chain with slip 0.05 and discount 0.99, the goal 20 steps to the right of the start, nothing 40 "
    "steps to its left, 40 steps an episode (the paper's); REINFORCE, 6,000 episodes",
    "subject": Learnt("ExploRS", far, lambda _: ExploRS(), *_LONG),
}
_LURED = _BASE | {
    "problem": _PROBLEM.format(" but a lure of 0.01 a step"),
    "subject": Learnt("ExploRS", lured, lambda _: ExploRS(), *_SETTING),
}

CLAIMS = (
    Claim(
        name="original",
        statement="Learning is faster from self-designed rewards than from the original one, without any expert.",
        source="Devidze et al. 2022, figure 3 (Chain⁰)",
        baseline="the original reward: 1 at the goal",
        control=Learnt("original", plainly, expected, *_SETTING),
        note=_NOTE,
        **_BASE,
    ),
    Claim(
        name="bonus-alone",
        statement="The learned part adds to the exploration bonus.",
        source="Devidze et al. 2022, figure 3 (Chain⁰; ExploB)",
        baseline="the bonus alone (lr = 0)",
        control=Learnt("ExploB", plainly, lambda _: ExploRS(lr=0.0), *_SETTING),
        note=_PARTS,
        **_BASE,
    ),
    Claim(
        name="learned-alone",
        statement="The exploration bonus adds to the learned part.",
        source="Devidze et al. 2022, figure 3 (Chain⁰; SelfRS)",
        baseline="the learned part alone (bonus_weight = 0)",
        control=Learnt("SelfRS", plainly, lambda _: ExploRS(bonus_weight=0.0), *_SETTING),
        note=_PARTS,
        **_BASE,
    ),
    Claim(
        name="far-bonus",
        statement="On the paper's chain the learned part adds to the exploration bonus.",
        source="Devidze et al. 2022, figure 3 (Chain⁰; ExploB)",
        baseline="the bonus alone (lr = 0)",
        control=Learnt("ExploB", far, lambda _: ExploRS(lr=0.0), *_LONG),
        **_FAR,
    ),
    Claim(
        name="far-learned",
        statement="On the paper's chain the exploration bonus adds to the learned part.",
        source="Devidze et al. 2022, figure 3 (Chain⁰; SelfRS)",
        baseline="the learned part alone (bonus_weight = 0)",
        control=Learnt("SelfRS", far, lambda _: ExploRS(bonus_weight=0.0), *_LONG),
        **_FAR,
    ),
    Claim(
        name="lured",
        statement="It finds the goal where a small lure on the other side keeps the original reward's learner.",
        source="Devidze et al. 2022, figure 3 (Chain⁺)",
        baseline="the original reward: 1 at the goal, and the lure",
        control=Learnt("original", lured, expected, *_SETTING),
        **_LURED,
    ),
    Claim(
        name="lured-bonus",
        statement="There, too, the learned part adds to the exploration bonus.",
        source="Devidze et al. 2022, figure 3 (Chain⁺; ExploB)",
        baseline="the bonus alone (lr = 0)",
        control=Learnt("ExploB", lured, lambda _: ExploRS(lr=0.0), *_SETTING),
        note=_PARTS,
        **_LURED,
    ),
)
