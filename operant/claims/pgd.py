"""Claims of projected gradient descent on policies: it finds what one step does not, and hurts more than noise.

Reference: Madry et al. 2018, 1706.06083; Pattanaik et al. 2018, 1712.03632.
"""

from typing import Any

from operant.attacks import FGSM, PGD, RandomNoise
from operant.claims import Claim
from operant.claims._attacked import FIGURE, PROBLEM, STEPS, Moved, Under
from operant.claims._tests import Above, Better
from operant.claims.fgsm import LOOKED

_BASE: dict[str, Any] = {"tier": "quick", "steps": STEPS, "seeds": 6, "problem": PROBLEM, "note": LOOKED}
_RETURN: dict[str, Any] = {
    "figure": FIGURE,
    "test": Better(higher=False),
    "source": "1712.03632, experiments (gradient attacks against noise)",
    **_BASE,
}

CLAIMS = (
    Claim(
        name="noise",
        statement="Ten projected gradient steps lower the return more than uniform noise of the same ε.",
        baseline="noise drawn uniformly from the ball, ε = 0.4",
        subject=Under(PGD(), 0.4),
        control=Under(RandomNoise(), 0.4),
        **_RETURN,
    ),
    Claim(
        name="corners",
        statement="They lower it more than a random corner of the ball.",
        baseline="random corners of the ball, ε = 0.4",
        subject=Under(PGD(), 0.4),
        control=Under(RandomNoise(corners=True), 0.4),
        **{
            **_RETURN,
            "seeds": 12,
            "note": f"{LOOKED} The first six of these seeds gave p = 0.02 on one processor and 0.06 on another "
            "(rounding decides which policies are learned): hence twelve.",
        },
    ),
    Claim(
        name="loss",
        statement="Several projected steps raise the loss they follow more than one signed step does.",
        source="1706.06083 (PGD as the stronger first-order adversary)",
        baseline="FGSM, ε = 0.4, on the same policy",
        figure="rise of −log π(a* | s̃) by PGD less that by FGSM, over 800 states visited undisturbed, mean (nats)",
        test=Above(0.0),
        subject=Moved(PGD(), 0.4, kl=False, less=FGSM()),
        control=None,
        **{
            **_BASE,
            "note": "First run as two samples of six: 2.86 against 2.81 nats, p = 0.4, for policies differ by more "
            "than attacks do. Since then each policy is compared with itself.",
        },
    ),
)
