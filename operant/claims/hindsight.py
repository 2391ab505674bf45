"""Hindsight's claim: from a reward for reaching goals, and nothing else, it learns where the same learner does not.

Reference: Andrychowicz et al. 2017, 1707.01495.
"""

from operant.claims import Claim
from operant.claims._four_rooms import ROOMS, Arrives
from operant.claims._samples import Trained
from operant.claims._tests import Better
from operant.learners.goals.hindsight import Hindsight
from operant.learners.sac import SAC
from operant.rewards.goals.reached import Reached

LEARNER = SAC(
    hidden=(64, 64), batch=128, lr=1e-3, discount=0.95, learning_starts=1_000, gradient_steps=4, capacity=16_000
)  # fmt: skip


def told_again() -> Hindsight:
    """The learner, in hindsight."""
    return Hindsight(learner=LEARNER, horizon=50)  # type: ignore[call-arg]


CLAIMS = (
    Claim(
        name="sparse",
        tier="quick",
        statement="Paid 1 at the goal and 0 elsewhere, an agent that tells its steps again in hindsight reaches goals "
        "that it does not reach without.",
        source="1707.01495, section 4.2, figure 3",
        baseline="the same learner without hindsight",
        problem="four small rooms (PointMaze), start and goal anywhere, 50 steps an episode",
        figure=Arrives().words,
        steps=10_000,
        seeds=4,
        test=Better(),
        subject=Trained(told_again(), ROOMS, Arrives(), Reached(), 8),
        control=Trained(LEARNER, ROOMS, Arrives(), Reached(), 8),
    ),
)
