"""Does the policy show the ways of doing it that there are, or only one of them? And does it succeed in them?

From each of several starts the policy acts many times, drawing its actions. Two figures, each with its interval:

    success     share of episodes that showed a mode at all
    entropy     mean over starts of −Σ_m p_m log p_m / log k, p_m the share of mode m among them

The entropy over all starts together is told beside it: it is larger where the start decides which way is taken.
*Holds* where both intervals lie above their limits, *fails* where success is below its limit throughout, *concern*
where the entropy is; *unknown* otherwise. The finding's value is the entropy.

The environment has to know its modes: `env.modes`, how many, and `env.mode(path, mask)`, the one a path showed or −1
(`envs.toy.obstacle_course`, `envs.toy.block_pushing`). A demonstrator's own entropy is the number to compare with: one
that always does the same leaves nothing to be imitated but that.

Reference: Jia et al. 2024, Towards Diverse Behaviors: A Benchmark for Imitation Learning with Human Demonstrations
(D3IL), 2402.14606, section 4.
Deviations from the paper: limits and intervals are ours; −1 says both that it failed and that it showed no known mode.

>>> Diversity().limit
0.5
"""

from typing import Any, ClassVar

import jax
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from operant.audits import _measures as m
from operant.core import AbstractAudit, AbstractEnv, Card, EnvSpec, Finding, Subject, Verdict
from operant.errors import SpecError
from operant.math.entropy import mode_entropy


class Diversity(AbstractAudit):
    """Which of the known ways does it take? (See the module's docstring.)"""

    limit: float = 0.5
    """Least entropy, as a share of that of all modes alike."""
    success: float = 0.5
    """Least share of episodes that show a mode."""
    starts: int = 8
    """Starts of each seed, ≥ 2."""
    episodes: int = 32
    """Episodes from each start."""
    level: float = 0.95
    """Probability the intervals are to cover, in (0, 1)."""
    resamples: int = 2000
    """Bootstrap resamples."""

    needs: ClassVar[frozenset[str]] = frozenset({"env", "modes"})
    card: ClassVar[Card] = Card(
        "Jia et al. 2024, Towards Diverse Behaviors: A Benchmark for Imitation Learning with Human Demonstrations",
        "2402.14606",
        "audit",
        ("env",),
    )

    def __check_init__(self) -> None:
        for name in ("limit", "success", "level"):
            m.check_share(f"Diversity.{name}", getattr(self, name))
        if self.starts < 2 or self.episodes < 2:
            raise SpecError(
                f"expected Diversity.starts ≥ 2 and Diversity.episodes ≥ 2; got {self.starts} and {self.episodes}. "
                "Raise them."
            )

    def __call__(self, subject: Subject, *, key: PRNGKeyArray) -> Finding:
        env: Any = subject.env
        tell = lambda verdict, why, **known: m.finding(self, verdict, why, limit=self.limit, **known)
        if not subject.policies:
            return tell(Verdict.unknown, "there is no policy to act: give one, for episodes are run anew.")
        task: Any = env
        k, keys = task.modes, jax.random.split(key, len(subject.policies) + 1)
        shown = [self.modes_of(policy, env, key) for policy, key in zip(subject.policies, keys[1:], strict=True)]
        rng = m.generator(keys[0])
        did = [(x >= 0).mean(axis=1) for x in shown]  # of each seed, (starts,)
        spread = [np.array([mode_entropy(row, k) for row in x]) for x in shown]
        success = m.interval_of_mean(did, self.level, self.resamples, rng)
        entropy = m.interval_of_mean(spread, self.level, self.resamples, rng)
        whole = float(np.mean([mode_entropy(x, k) for x in shown]))
        n = len(shown) * self.starts * self.episodes
        used = int(np.median([len(np.unique(x[x >= 0])) for x in shown]))
        seeds = "one seed" if len(shown) == 1 else f"{len(shown)} seeds"
        why = (
            f"{seeds} × {self.starts} starts × {self.episodes} episodes: {m.span(success)} succeed, in {used} of {k} "
            f"ways; entropy {m.span(entropy)} from one start, {whole:.4g} from all"
        )
        arrays = {"modes": np.stack(shown), "success": np.stack(did), "entropy": np.stack(spread)}
        found = {"found": entropy, "n": n, "arrays": arrays}
        if success.high < self.success:
            return tell(Verdict.fails, f"{why}. It seldom succeeds (limit {self.success:g}).", **found)
        if entropy.high < self.limit:
            return tell(Verdict.concern, f"{why}. It keeps to few of the ways there are.", **found)
        if success.low >= self.success and entropy.low >= self.limit:
            return tell(Verdict.holds, f"{why}.", **found)
        return tell(Verdict.unknown, f"{why}. The intervals reach over the limits: evaluate more.", **found)

    def modes_of(self, policy: Any, env: Any, key: PRNGKeyArray) -> np.ndarray:
        """(starts, episodes): the mode of each episode, or −1."""
        from operant.loops.rollout import evaluate  # loops import audits

        rows = []
        for start_key, run_key in jax.random.split(key, (self.starts, 2)):
            there = From(env, env.initial(key=start_key))
            done = evaluate(policy, there, episodes=self.episodes, key=run_key, deterministic=False)
            rows.append(shown_modes(env, done))
        return np.stack(rows)


class From(AbstractEnv):
    """An environment whose episodes all begin in one state."""

    env: AbstractEnv
    inner: Any
    """The state."""

    @property
    def spec(self) -> EnvSpec:
        return self.env.spec

    def initial(self, *, key: PRNGKeyArray) -> Any:
        return self.inner

    def advance(self, inner: Any, action: Any, *, key: PRNGKeyArray) -> tuple[Any, Array, Array]:
        return self.env.advance(inner, action, key=key)

    def observe(self, inner: Any) -> Any:
        return self.env.observe(inner)


def shown_modes(env: Any, episodes: Any) -> np.ndarray:
    """(n,): the mode of each of `Episodes`, or −1."""
    return np.asarray(jax.vmap(env.mode)(episodes.transitions.next_obs, episodes.mask))
