"""GAIL's claims: from few demonstrations it does what cloning cannot; off-policy, the gradient penalty makes it work.

Reference: Ho and Ermon 2016, 1606.03476; Blondé, Strasser, Kalousis 2022, 2006.16785.
"""

from typing import Any

from operant.claims import Claim
from operant.claims._shown import ADVERSARY, BUDGET, CLONED, FEWER, LONG, taught
from operant.claims._tests import Better
from operant.learners.ppo import PPO
from operant.rewards.imitation.gail import GAIL

OFF_POLICY = GAIL(**ADVERSARY, penalty=10.0)
SHARP: dict[str, Any] = {**ADVERSARY, "hidden": (100, 100), "steps": 16}
ON_POLICY = PPO(rollout=128, epochs=10, minibatches=8, lr=1e-3, discount=0.95)

CLAIMS = (
    Claim(
        name="few-demonstrations",
        tier="quick",
        statement="From demonstrations too few to clone, GAIL learns to act as the demonstrator.",
        source="1606.03476, section 6, figure 1",
        baseline="behavioural cloning of the same demonstrations",
        test=Better(),
        subject=taught(OFF_POLICY),
        control=CLONED,
        note="Off-policy, with SAC, where the paper's is on-policy, with TRPO: the budget of a quick claim.",
        **FEWER,
    ),
    Claim(
        name="lipschitz",
        tier="quick",
        statement="Off-policy, GAIL needs its reward to be kept locally Lipschitz.",
        source="2006.16785, section 4.3, figures 1 and 2",
        baseline="the same without the gradient penalty",
        test=Better(),
        subject=taught(OFF_POLICY),
        control=taught(GAIL(**ADVERSARY)),
        note="On a task this small a classifier of 50 pairs is smooth enough: both learn. See lipschitz-long.",
        **BUDGET,
    ),
    Claim(
        name="lipschitz-long",
        tier="full",
        statement="Off-policy, GAIL needs its reward to be kept locally Lipschitz.",
        source="2006.16785, section 4.3, figures 1 and 2",
        baseline="the same without the gradient penalty",
        test=Better(),
        subject=taught(GAIL(**SHARP, penalty=10.0)),
        control=taught(GAIL(**SHARP)),
        note="A classifier with more units, more steps and more time to overfit than in the quick claim.",
        **{**BUDGET, "steps": 50_000},
    ),
    Claim(
        name="on-policy",
        tier="full",
        statement="From demonstrations too few to clone, GAIL with a policy gradient learns to act as was shown.",
        source="1606.03476, section 6, figure 1",
        baseline="behavioural cloning of the same demonstrations",
        test=Better(),
        subject=taught(GAIL(hidden=(64, 64), lr=1e-3), ON_POLICY, 16),
        control=CLONED,
        **LONG,
    ),
)
