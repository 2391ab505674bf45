"""Questions put to a policy, ours or anyone's, each answered with a number, an interval and a verdict.

`operant.audit(subject, audits, key=…)` runs the subject's episodes once and asks every audit here.
"""

from operant.audits.diversity import Diversity
from operant.audits.improvement import ProbabilityOfImprovement
from operant.audits.proxy_gap import ProxyGap
from operant.audits.returns import Returns
from operant.audits.saturation import Saturation
from operant.audits.seed_sensitivity import SeedSensitivity
from operant.audits.termination_bias import TerminationBias

__all__ = [
    "Diversity",
    "ProbabilityOfImprovement",
    "ProxyGap",
    "Returns",
    "Saturation",
    "SeedSensitivity",
    "TerminationBias",
]
