"""DPPO's claim: a policy that is scored by preferences does better than one that clones the same behaviour.

Reference: An et al. 2023, 2301.12842.
"""

from operant.claims import Claim
from operant.claims._fitted import MADE_BY, PENDULUM, TWO_KINDS, Fitted, Push, Returns, pendulum_comparisons, two_kinds
from operant.claims._tests import Better
from operant.data.comparison_dataset import ComparisonDataset
from operant.learners.bc import BC
from operant.learners.preferences.dppo import DPPO

DATA = f"500 pairs of segments of 25 steps, 100 of them answered by regret under the best agent; {MADE_BY}"


def few(seed: int) -> ComparisonDataset:
    """One pair in five is answered."""
    return pendulum_comparisons(seed, labelled=100)


CLAIMS = (
    Claim(
        name="two-kinds",
        tier="quick",
        statement="DPPO acts as preferred behaviour does where cloning mixes it with the rest.",
        source="2301.12842, section 4",
        baseline="behavioural cloning of the same segments",
        problem=TWO_KINDS,
        figure=Push().words,
        steps=1_500,
        seeds=4,
        test=Better(),
        subject=Fitted(
            DPPO(predictor_steps=300, shift=1, hidden=(32,), memory=8, lr=3e-3, batch=32),
            two_kinds, TWO_KINDS, Push(),
        ),
        control=Fitted(BC(hidden=(32,), lr=3e-3), two_kinds, TWO_KINDS, Push()),
    ),
    Claim(
        name="beats-cloning",
        tier="full",
        statement="Directly from few preferences about mixed behaviour, without a reward, DPPO learns more than "
        "cloning the behaviour.",
        source="2301.12842, section 5.2",
        baseline="behavioural cloning of the same segments",
        problem=f"the pendulum; {DATA}",
        figure=Returns(PENDULUM).words,
        steps=5_000,
        seeds=6,
        test=Better(),
        subject=Fitted(
            DPPO(predictor_steps=1_500, hidden=(64, 64), memory=32, lr=1e-3, conservatism=0.5),
            few, DATA, Returns(PENDULUM),
        ),
        control=Fitted(BC(hidden=(64, 64), lr=1e-3), few, DATA, Returns(PENDULUM)),
        note="P-IQL (Bradley and Terry's reward from the same 100 answers, then IQL), measured beside: −659 (six "
        "seeds, −1,375 to −229), above DPPO's −784.",
    ),
)  # fmt: skip
