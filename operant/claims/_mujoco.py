"""Full claims SAC and TD3 share: beside Stable-Baselines3 at 100k steps, and, opt-in, published returns at 1M."""

from operant.claims import Claim
from operant.claims._samples import Greedy, LastEpisodes, StableBaselines, Trained
from operant.claims._tests import NotWorse, Published
from operant.core import AbstractLearner


def beside(learner: AbstractLearner, algorithm: str, env: str, note: str = "") -> Claim:
    """Not worse than Stable-Baselines3 after 100,000 steps."""
    return Claim(
        name=f"{env}-100k",
        tier="full",
        statement=f"After 100,000 steps on {env} it is not worse than Stable-Baselines3's {algorithm.upper()}.",
        source="benchmarks/reference_sb3.py, settings of rl-baselines3-zoo",
        baseline=f"Stable-Baselines3's {algorithm.upper()}, same budget",
        problem=f"{env} (MuJoCo), one environment, one gradient step an environment step",
        figure="mean return of 10 greedy episodes after training",
        steps=100_000,
        seeds=3,
        test=NotWorse(),
        subject=Trained(learner, env, Greedy(10), num_envs=1),
        control=StableBaselines(algorithm, env),
        note=note,
    )


def published(learner: AbstractLearner, script: str, env: str, mean: float, spread: float) -> Claim:
    """Within or above CleanRL's number after a million steps; days on two cores, so only when asked for."""
    return Claim(
        name=f"{env}-1M",
        tier="full",
        statement=f"One million steps reach the return on {env.removesuffix('-v5')} that CleanRL publishes.",
        source=f"docs.cleanrl.dev, {script}, 3 seeds",
        baseline=f"CleanRL's published {mean:g} ± {spread:g}",
        problem=f"{env} (MuJoCo), one environment, one gradient step an environment step",
        figure="mean return of the training episodes that ended in the last 10% of the steps",
        steps=1_000_000,
        seeds=4,
        test=Published(mean, spread, "CleanRL"),
        subject=Trained(learner, env, LastEpisodes(0.1), num_envs=1),
        control=None,
        opt_in=True,
        note="CleanRL's numbers are of the v4 environment.",
    )
