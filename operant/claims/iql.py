"""IQL's claim: from behaviour of mixed quality it learns more than cloning does.

Reference: Kostrikov, Nair, Levine 2021, 2110.06169.
"""

import numpy as np

from operant.claims import Claim
from operant.claims._fitted import MADE_BY, PENDULUM, Fitted, Returns, pendulum_steps
from operant.claims._tests import Better
from operant.claims.cpl import DISCOUNT, MDP, WORLD, Nearness, walks
from operant.data.dataset import Dataset
from operant.learners.bc import BC
from operant.learners.offline.iql import IQL


def everything(seed: int) -> Dataset:
    """The same behaviour for every seed."""
    return pendulum_steps()


_WALKS = "400 times two uniformly random walks of 4 steps from anywhere on a grid of 21 cells, with their rewards"


def paid_walks(seed: int) -> Dataset:
    """The walks of CPL's claim, with what each step paid."""
    states, actions, masks, _ = walks(seed)
    after = WORLD.successors[states, actions]
    obs, next_obs = (np.eye(len(MDP.P), dtype=np.float32)[x][masks] for x in (states, after))
    episode = np.nonzero(masks.reshape(-1, masks.shape[-1]))[0]
    return Dataset.from_numpy(
        WORLD.spec, obs=obs, action=actions[masks], reward=MDP.R[states, actions, after][masks].astype(np.float32),
        terminated=WORLD.terminal[after][masks], next_obs=next_obs, episode=episode,
    )  # fmt: skip


CLAIMS = (
    Claim(
        name="random-walks",
        tier="quick",
        statement="From rewards and behaviour that gets nowhere, IQL puts good policies together; cloning cannot.",
        source="2110.06169, section 5.1 (stitching)",
        baseline="behavioural cloning of the same steps",
        problem=_WALKS,
        figure=Nearness().words,
        steps=3_000,
        seeds=4,
        test=Better(),
        subject=Fitted(
            IQL(expectile=0.9, discount=DISCOUNT, hidden=(), lr=1e-2, tau=0.05), paid_walks, _WALKS, Nearness()
        ),
        control=Fitted(BC(hidden=(), lr=1e-2), paid_walks, _WALKS, Nearness()),
    ),
    Claim(
        name="mixed-behaviour",
        tier="full",
        statement="Without a value of any action that nobody took, IQL learns more from mixed behaviour and its "
        "rewards than behavioural cloning.",
        source="2110.06169, section 5.1, table 1",
        baseline="behavioural cloning of the same steps",
        problem=f"the pendulum: 24,000 steps; {MADE_BY}",
        figure=Returns(PENDULUM).words,
        steps=10_000,
        seeds=6,
        test=Better(),
        subject=Fitted(IQL(hidden=(64, 64), lr=1e-3), everything, MADE_BY, Returns(PENDULUM)),
        control=Fitted(BC(hidden=(64, 64), lr=1e-3), everything, MADE_BY, Returns(PENDULUM)),
    ),
)
