"""Full claims every learner shares: its defaults solve a classic-control task, in JAX and on Gymnasium's own."""

from operant.claims import Claim
from operant.claims._samples import Greedy, Trained
from operant.claims._tests import Above
from operant.core import AbstractLearner

SOLVED = {"CartPole-v1": 475.0, "Acrobot-v1": -100.0, "Pendulum-v1": -200.0, "MountainCarContinuous-v0": 90.0}
"""Mean return that counts as solved: Gymnasium's registered thresholds; for Pendulum, which has none, −200."""


def solve(
    learner: AbstractLearner, env: str, steps: int, how: str = "", host_seeds: int = 4, note: str = ""
) -> tuple[Claim, Claim]:
    """The claim on both paths; `how`: one word for what is not a default, which its name and statement then say.

    `note` is of the claim on the host.
    """

    def one(path: str, id: str, seeds: int) -> Claim:
        return Claim(
            name="-".join(filter(None, (env, how, path))),
            tier="full",
            statement=f"{how.capitalize()} noise solves {env}, all else as shipped."
            if how
            else f"The shipped defaults solve {env}.",
            source="Operant's own promise; thresholds as registered in Gymnasium, −200 for Pendulum",
            baseline=f"the mean return {SOLVED[env]:g} that counts as solved",
            problem=f"{env}, {'written in JAX' if path == 'jax' else 'Gymnasium on the host'}, 16 environments",
            figure="mean return of 100 greedy episodes after training",
            steps=steps,
            seeds=seeds,
            test=Above(SOLVED[env]),
            subject=Trained(learner, id, Greedy(100)),
            control=None,
            note=note if path == "host" else "",
        )

    return one("jax", env, 4), one("host", f"gym:{env}", host_seeds)
