"""The claim of cloning with a mixture: where demonstrators differ, several normals keep apart what one averages.

Reference: Bishop 1994, Mixture Density Networks; the comparison: Jia et al. 2024, 2402.14606 (BC-GMM against BC-MLP).
"""

from operant.claims import Claim
from operant.claims._modes import COURSE, COURSE_WORDS, Cloned, Coverage
from operant.claims._tests import Better
from operant.learners.bc import BC

CLAIMS = (
    Claim(
        name="mixture",
        tier="quick",
        statement="Where demonstrators do it in many ways a mixture of normals covers more of them than a normal does.",
        source="2402.14606, section 5.2, table 2 (avoiding)",
        baseline="behavioural cloning with a normal",
        problem=COURSE_WORDS,
        figure=Coverage(COURSE).words,
        steps=1_500,
        seeds=4,
        test=Better(),
        subject=Cloned(BC(hidden=(64, 64), lr=1e-3, components=8, normalise_obs=True), COURSE, Coverage(COURSE)),
        control=Cloned(BC(hidden=(64, 64), lr=1e-3, normalise_obs=True), COURSE, Coverage(COURSE)),
        note="It covers no more. Likelihoods are as they should be (NumPy and SciPy agree with them), but neither "
        "policy remembers, so the mixture draws its component anew at every step: where ways part slowly it wavers, as "
        "the normal does, and often ends in the two outermost routes. After 6,000 updates two seeds had 0.49 and 0.72 "
        "of success at 0.53 and 0.47 of entropy. `mixture-trained` asks with more updates and wider networks.",
    ),
    Claim(
        name="mixture-trained",
        tier="full",
        statement="Where demonstrators do it in many ways a mixture of normals covers more of them than a normal does.",
        source="2402.14606, section 5.2, table 2 (avoiding)",
        baseline="behavioural cloning with a normal",
        problem=COURSE_WORDS,
        figure=Coverage(COURSE).words,
        steps=10_000,
        seeds=6,
        test=Better(),
        subject=Cloned(BC(lr=1e-3, components=8, normalise_obs=True), COURSE, Coverage(COURSE)),
        control=Cloned(BC(lr=1e-3, normalise_obs=True), COURSE, Coverage(COURSE)),
    ),
)
