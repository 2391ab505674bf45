"""SAC's claims: a temperature that is learned needs no tuning to the rewards' scale; returns beside other libraries'.

Reference: Haarnoja et al. 2018, 1812.05905; numbers: CleanRL (Huang et al. 2022, JMLR 23(274)).
"""

from operant.claims import Claim
from operant.claims._mujoco import beside, published
from operant.claims._samples import Acted, Trained
from operant.claims._solve import solve
from operant.claims._tests import Better
from operant.learners.actors.squashed_gaussian import SquashedGaussian
from operant.learners.sac import SAC
from operant.rewards.scale import Scale
from operant.rewards.task import Task

_SMALL = {"hidden": (32, 32), "batch": 64, "lr": 2e-3, "learning_starts": 500, "gradient_steps": 4, "capacity": 10_000}
_SCALE = 0.03

CLAIMS = (
    Claim(
        name="temperature",
        tier="quick",
        statement="A fixed temperature must be tuned to each task, the scale of its rewards above all; a learned one "
        "need not be.",
        source="1812.05905, section 5",
        baseline="the same learner with its temperature fixed where the learned one starts, at 1",
        problem=f"Pendulum-v1 in JAX with rewards × {_SCALE}, 8 environments",
        figure="mean return of 20 episodes drawn from the learned policy, in the environment's own rewards",
        steps=10_000,
        seeds=4,
        test=Better(),
        subject=Trained(SAC(**_SMALL), "Pendulum-v1", Acted(), Scale(Task(), _SCALE), 8),
        control=Trained(
            SAC(SquashedGaussian(learn_temperature=False), **_SMALL), "Pendulum-v1", Acted(), Scale(Task(), _SCALE), 8
        ),
    ),
    beside(SAC(), "sac", "Hopper-v5"),
    beside(SAC(), "sac", "HalfCheetah-v5"),
    *solve(SAC(), "Pendulum-v1", 30_000),
    *solve(SAC(), "MountainCarContinuous-v0", 60_000),
    published(SAC(), "sac_continuous_action.py", "Hopper-v5", 2310.46, 342.82),
    published(SAC(), "sac_continuous_action.py", "HalfCheetah-v5", 9634.89, 1423.73),
)
