"""Claims of the fast gradient sign method on policies: one signed step hurts more than noise of the same size.

Reference: Huang et al. 2017, 1702.02284.
"""

from typing import Any

from operant.attacks import FGSM, RandomNoise
from operant.claims import Claim
from operant.claims._attacked import CARTPOLE, FIGURE, PROBLEM, STEPS, Under
from operant.claims._tests import Better

LOOKED = (
    "ε was chosen on three policies of another key, as the first of 0.1, 0.2, 0.4, 0.8 at which any attack lowered the "
    "return by much."
)
_BASE: dict[str, Any] = {
    "tier": "quick", "steps": STEPS, "seeds": 6, "figure": FIGURE, "test": Better(higher=False),
    "source": "1702.02284, experiments with white-box attacks under ℓ∞",
}  # fmt: skip

_TWELVE: dict[str, Any] = {**_BASE, "seeds": 12}

CLAIMS = (
    Claim(
        name="noise",
        statement="A signed gradient step of ε = 0.4 lowers the return more than uniform noise of the same ε.",
        baseline="noise drawn uniformly from the ball",
        problem=PROBLEM,
        subject=Under(FGSM(), 0.4),
        control=Under(RandomNoise(), 0.4),
        note=LOOKED,
        **_BASE,
    ),
    Claim(
        name="corners",
        statement="It lowers the return more than a random corner of the ball, which moves every number as far.",
        baseline="random corners of the ball, ε = 0.4",
        problem=PROBLEM,
        subject=Under(FGSM(), 0.4),
        control=Under(RandomNoise(corners=True), 0.4),
        note=f"{LOOKED} The first six of these seeds gave p = 0.02 on one processor and 0.08 on another (rounding "
        "decides which policies are learned): hence twelve.",
        **_TWELVE,
    ),
    Claim(
        name="discrete",
        statement="So it does with discrete actions, as in the paper.",
        baseline="random corners of the ball, ε = 1.6",
        problem=PROBLEM.replace("Pendulum-v1", "CartPole-v1"),
        subject=Under(FGSM(), 1.6, CARTPOLE),
        control=Under(RandomNoise(corners=True), 1.6, CARTPOLE),
        note="ε: a policy that balances sees little vary, and on three policies of another key nothing hurt up to 0.4 "
        "and little at 0.8; twice that was taken without looking. The first six of these seeds gave p = 0.008 on one "
        "processor and 0.06 on another: hence twelve.",
        **_TWELVE,
    ),
)
