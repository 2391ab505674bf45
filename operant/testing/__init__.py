"""For those who write environments, rewards, learners and audits of their own: contracts to check, probes to pass."""

from operant.testing.checks import check_audit, check_env, check_learner, check_reward, small_spec
from operant.testing.probes import (
    ActionProbe,
    CreditProbe,
    DiscountProbe,
    ObservationProbe,
    TruncationProbe,
    ValueProbe,
)

__all__ = [
    "ActionProbe",
    "CreditProbe",
    "DiscountProbe",
    "ObservationProbe",
    "TruncationProbe",
    "ValueProbe",
    "check_audit",
    "check_env",
    "check_learner",
    "check_reward",
    "small_spec",
]
