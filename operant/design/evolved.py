"""Evolved reward weights (AutoRL): train under many weightings at once, keep what reaches the objective, vary, repeat.

    max_w  U(π_w),   π_w = train(Σᵢ wᵢ · rᵢ);    wᵢ = wᵢ⁰ exp(xᵢ),   x asked from CMA-ES, first x = 0: the user's own

U is the true return of greedy episodes after training. The weights of a generation are K settings of one training:
they run side by side, under vmap.

Reference: Faust, Francis and Mehta 2019, Evolving Rewards to Automate Reinforcement Learning, 1905.07628; Hansen 2016,
The CMA Evolution Strategy: A Tutorial, 1604.00772.
Deviations from the paper: CMA-ES proposes (there: Vizier's Gaussian-process bandits); weights are searched on a log
scale around the user's and keep their signs; the policy kept is the one of the best trial, not retrained.

>>> Evolved(population=4, generations=2).trials
8
"""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from operant import nn
from operant.core import (
    AbstractEnv,
    AbstractLearner,
    AbstractPolicy,
    Card,
    EnvSpec,
    Intent,
    LearnerState,
    Metrics,
    RewardFn,
    Transition,
)
from operant.design import AbstractDesigner, Design
from operant.design._cma import CMAES
from operant.errors import RunError, SpecError
from operant.learners.ppo import PPO
from operant.rewards.task import Task
from operant.rewards.terms import Terms


class Evolution(NamedTuple):
    """What was tried."""

    weights: Float[np.ndarray, "trials K"]
    scores: Float[np.ndarray, " trials"]
    """Mean true return of the episodes each was judged by; −∞ where training failed, or where it is not finite."""
    policy: AbstractPolicy
    """Of the best trial."""
    names: list[str]

    @property
    def best(self) -> int:
        return int(np.argmax(self.scores))


class Evolved(AbstractDesigner):
    """Evolution of the weights of `Terms` by CMA-ES over whole trainings (see the module's docstring)."""

    learner: AbstractLearner = PPO()
    """Who learns from each candidate."""
    steps: int = 20_000
    """Environment steps of each training."""
    num_envs: int = 8
    """Environments each training steps side by side."""
    population: int = 8
    """λ ≥ 2: trainings in a generation."""
    generations: int = 4
    """Generations ≥ 1."""
    spread: float = 1.0
    """σ to begin with: standard deviation of log weights."""
    episodes: int = 16
    """Greedy episodes that judge a training."""

    card: ClassVar[Card] = Card(
        "Faust, Francis and Mehta 2019, Evolving Rewards to Automate Reinforcement Learning",
        "1905.07628",
        "reward design",
        ("env",),
    )

    def __check_init__(self) -> None:
        if self.population < 2 or min(self.generations, self.episodes, self.steps) < 1 or self.spread <= 0.0:
            raise SpecError(
                "expected Evolved.population ≥ 2, generations, episodes and steps ≥ 1, and spread > 0; got "
                f"{self.population}, {self.generations}, {self.episodes}, {self.steps} and {self.spread}."
            )

    @property
    def trials(self) -> int:
        return self.population * self.generations

    def __call__(self, env: AbstractEnv, intent: Intent, *, key: PRNGKeyArray) -> Design:
        """Raises SpecError unless `intent.reward` is `Terms` with a weight that is not 0."""
        found = self.search(env, intent, key=key)
        weights = {name: float(w) for name, w in zip(found.names, found.weights[found.best], strict=True)}
        record = {f"weight/{name}": w for name, w in weights.items()} | {
            "return/designed": float(found.scores[found.best]),
            "return/stated": float(found.scores[0]),
        }
        told = ", ".join(f"{name} {w:.4g}" for name, w in weights.items())
        why = (
            f"Of {self.trials} trainings the one with weights {told} reached the highest true return, "
            f"{record['return/designed']:.4g} (the weights as stated: {record['return/stated']:.4g})."
        )
        curves = {"scores": found.scores, "weights": found.weights}
        return Design(Terms(intent.reward.terms, weights), why, record, curves)  # type: ignore[attr-defined]

    def search(self, env: AbstractEnv, intent: Intent, *, key: PRNGKeyArray) -> Evolution:
        """All trials, and the policy of the best. Raises RunError where all of them failed."""
        if not isinstance(intent.reward, Terms):
            raise SpecError(
                f"expected Terms, whose weights can evolve, as the stated reward; got {type(intent.reward).__name__}. "
                "Write Terms({'task': Task(), 'near': Program(…)})."
            )
        names = sorted(intent.reward.terms)
        start = np.array([float(intent.reward.weights.get(name, 1.0)) for name in names])
        free = start != 0.0
        if not free.any():
            raise SpecError(f"expected a weight that is not 0 in {names}; got none. Give weights to vary.")
        search, rng = CMAES(np.zeros(int(free.sum())), self.spread, self.population), nn.generator(key)
        tried, scores, best = [], [], None
        for generation in range(self.generations):
            x = search.ask(rng)
            if generation == 0:
                x[0] = 0.0
            weights = np.tile(start, (self.population, 1))
            weights[:, free] *= np.exp(x)
            policies, found = self._train(env, intent, names, weights, jax.random.fold_in(key, generation))
            found = np.where(np.isfinite(found), found, -np.inf)  # NaN would count as the largest
            search.tell(x, found)
            if best is None or found.max() > max(scores):
                best = policies[int(found.argmax())]
            tried, scores = [*tried, weights], [*scores, *found]
        if not np.isfinite(scores).any():
            raise RunError(
                f"expected one of {self.trials} trainings to end with a finite true return; none did. Train the stated "
                "weights by themselves, and mend what becomes NaN or infinite there."
            )
        return Evolution(np.concatenate(tried), np.array(scores), best, names)  # type: ignore[arg-type]

    def _train(
        self, env: AbstractEnv, intent: Intent, names: list[str], weights: np.ndarray, key: PRNGKeyArray
    ) -> tuple[Sequence[AbstractPolicy], np.ndarray]:
        from operant.core import Status
        from operant.loops.train import train

        each = lambda x: jnp.broadcast_to(x, (len(weights), *jnp.shape(x))) if eqx.is_array(x) else x
        terms = Terms(
            jax.tree.map(each, intent.reward.terms),  # type: ignore[attr-defined]
            {name: jnp.asarray(w, jnp.float32) for name, w in zip(names, weights.T, strict=True)},  # type: ignore[misc]
        )
        learner = Weighted(learner=self.learner, terms=terms)  # type: ignore[call-arg]
        train_key, judge_key = jax.random.split(key)
        run = train(learner, env, Intent(Task()), steps=self.steps, num_envs=self.num_envs, key=train_key, throw=False)
        policies = run.policies()
        scores = np.array([true_return(p, env, intent, self.episodes, judge_key) for p in policies])
        return policies, np.where([s is Status.done for s in run.status], scores, -np.inf)


def true_return(policy: AbstractPolicy, env: AbstractEnv, intent: Intent, episodes: int, key: PRNGKeyArray) -> float:
    """Mean return of greedy episodes, by what is wanted: the truth, or the environment's own reward without one."""
    from operant.loops.rollout import evaluate

    found = evaluate(policy, env, episodes=episodes, key=key)
    if intent.truth is None:
        return float(np.asarray(found.returns).mean())
    state = intent.truth.init(env.spec, key=key)
    return float(np.asarray(found.sum(intent.truth(state, found.transitions))).mean())


class Weighted(AbstractLearner):
    """A learner that is taught by terms of its own: as a field, their weights may be K settings of one training (and
    then any arrays the terms hold must be as many)."""

    learner: AbstractLearner
    terms: Terms

    @property
    def rollout(self) -> int:  # type: ignore[override]
        return self.learner.rollout

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> LearnerState:
        return self.learner.init(spec, key=key), self.terms.init(spec, key=key)

    def policy(self, state: LearnerState) -> AbstractPolicy:
        return self.learner.policy(state[0])

    def update(
        self, state: LearnerState, batch: Transition, reward: RewardFn, *, key: PRNGKeyArray
    ) -> tuple[LearnerState, Metrics]:
        inner, taught = state
        taught, _ = self.terms.update(taught, batch, key=key)
        inner, metrics = self.learner.update(inner, batch, lambda b: self.terms(taught, b), key=key)
        return (inner, taught), metrics
