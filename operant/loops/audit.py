"""`audit`: run a subject's episodes once, ask every audit, and say what could not be answered and why.

    report = audit(run, [Returns(), ProxyGap()], key=jax.random.key(0))
    report = audit(policy, [Returns(at_least=400)], env=operant.make("CartPole-v1"), key=jax.random.key(0))

A subject is a `Run`, a policy or a tuple of them (one a seed), a function from observation to action, or a `Subject`.
"""

import dataclasses
import textwrap
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from operant.audits import _measures
from operant.audits.controls import RandomPolicy
from operant.core import (
    AbstractAudit,
    AbstractEnv,
    AbstractHostEnv,
    AbstractPolicy,
    Action,
    Box,
    Carry,
    EnvSpec,
    Finding,
    Intent,
    Obs,
    Subject,
    Verdict,
)
from operant.data.dataset import Dataset
from operant.errors import OperantError, SpecError
from operant.loops.rollout import evaluate
from operant.loops.train import STORED, Run
from operant.rewards.constraints.lagrangian import LagrangianState

WORST_FIRST = (Verdict.fails, Verdict.concern, Verdict.unknown, Verdict.holds)
SUPPLY = {
    "env": "an environment: give env=operant.make(id)",
    "episodes": "episodes: give env=operant.make(id), in which they are run, or Subject(episodes=…)",
    "control": "a random policy's episodes: give env=operant.make(id), in which they are run, or Subject(control=…)",
    "intent": "an intent: give intent=Intent(reward), or audit a Run",
    "true_reward": "a true reward: state what success is judged by as Intent(reward, truth=…), `truth = …` in a study",
    "history": "training metrics: audit a Run, or give Subject(history=…)",
    "seeds": "more than one seed: train with seeds=5, or give a tuple of policies",
    "baseline": "a baseline: give Subject(baseline=…), its mean return a seed",
    "policies": "the policy itself, in JAX: an Operant run, or a function of jax.numpy arrays",
    "model": "an environment whose transitions are tables: a TabularMDP's as_env(), or a gridworld",
    "base": "a base policy, whose behaviour is known to be fine: give Subject(base=…), --base on the command line",
    "dataset": "the steps that are learned from: give Subject(dataset=…), --dataset on the command line",
    "held_out": "steps kept apart to test on: give Subject(held_out=…), --held-out on the command line",
    "document": "a Reward Report: write one with `operant reward-report`, or give Subject(document=…)",
    "modes": "an environment in JAX that knows its modes: give it `modes`, how many, and `mode(path, mask)`",
}
"""How each need is met, as a finding says it."""


@dataclasses.dataclass(frozen=True)
class Report:
    """What the audits found, in the order they were asked."""

    findings: tuple[Finding, ...]
    subject: str = ""

    @property
    def worst(self) -> Verdict:
        """The gravest verdict: fails, then concern, then unknown, then holds; unknown where nothing was asked."""
        said = {f.verdict for f in self.findings}
        return next((v for v in WORST_FIRST if v in said), Verdict.unknown)

    def table(self) -> str:
        """Plain text: a line a finding (name, verdict, value with interval, limit), and its reason below.

        >>> print(Report((Finding("returns", Verdict.holds, "Above 10.", 12.0, 11.0, 13.0, 5, 10.0),)).table())
        returns              holds    12 [11, 13], limit 10
            Above 10.
        """
        lines = []
        for f in self.findings:
            numbers = "" if f.value is None else f"{f.value:.4g}"
            if f.value is not None and f.low is not None and f.high is not None:
                numbers += f" [{f.low:.4g}, {f.high:.4g}]"
            if f.limit is not None:
                numbers += f"{', ' if numbers else ''}limit {f.limit:.4g}"
            lines.append(f"{f.name:<20} {f.verdict:<8} {numbers}".rstrip())
            lines += textwrap.wrap(f.why, 116, initial_indent="    ", subsequent_indent="    ")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.table()

    def to_plain(self) -> dict[str, Any]:
        """JSON-able: arrays are left out, and numbers that are not finite are None."""
        number = lambda x: None if x is None or not np.isfinite(x) else float(x)
        plain = [
            {"name": f.name, "verdict": str(f.verdict), "why": f.why, "n": int(f.n)}
            | {name: number(getattr(f, name)) for name in ("value", "low", "high", "limit")}
            for f in self.findings
        ]
        return {"subject": self.subject, "worst": str(self.worst), "findings": plain}


class FunctionPolicy(AbstractPolicy):
    """A function from observation to action, of JAX arrays, as a policy without memory or randomness."""

    spec: EnvSpec = eqx.field(static=True)
    """The spaces it acts in."""
    function: Callable[[Obs], Action] = eqx.field(static=True)
    """One observation to one action."""

    def init_carry(self) -> Carry:
        return ()

    def __call__(self, obs: Obs, carry: Carry, *, key: PRNGKeyArray | None) -> tuple[Action, dict[str, Any], Carry]:
        return jnp.asarray(self.function(obs)), {}, carry


def audit(
    subject: Subject | Run | AbstractPolicy | Callable[[Obs], Action] | Sequence[AbstractPolicy],
    audits: Sequence[AbstractAudit],
    *,
    key: PRNGKeyArray,
    env: AbstractEnv | AbstractHostEnv | None = None,
    intent: Intent | None = None,
    episodes: int = 32,
    tell: Callable[[str], None] = lambda name: None,
) -> Report:
    """Ask each audit about a subject.

    Where an audit needs episodes, `episodes` greedy ones of each seed are run in fresh environments, and as many of a
    random policy: once, for all audits. An audit whose needs are unmet, or that raises an `OperantError`, finds
    `unknown` and says why; so does one that would call a number fine which is not finite.

    Args:
        audits: asked in this order, each with a key of its own.
        env: where the subject acts; a Run and a Subject bring theirs.
        intent: what was asked for; a Run and a Subject bring theirs.
        episodes: episodes of each seed.
        tell: called with "episodes" before they are run, and with each audit's name before it is asked.

    Raises:
        SpecError: something that is no subject or no audit; `episodes` < 1; a function that is not of JAX arrays.
    """
    for i, one in enumerate(audits):
        if not isinstance(one, AbstractAudit):
            called = f"the class {one.__name__}: write {one.__name__}()" if isinstance(one, type) else repr(one)
            raise SpecError(f"expected audits[{i}] to be an audit, such as Returns(); got {called}.")
    if episodes < 1:
        raise SpecError(f"expected episodes ≥ 1; got {episodes}. Ask for at least one.")
    subject = subject_of(subject, env=env, intent=intent)
    needed = frozenset().union(*(one.needs for one in audits))
    episode_key, audit_key = jax.random.split(key)
    tell("episodes")
    subject, failed = _observed(subject, needed, episodes, episode_key)
    findings = []
    for i, one in enumerate(audits):
        tell(_measures.title(one))
        findings.append(_ask(one, subject, failed, key=jax.random.fold_in(audit_key, i)))
    return Report(tuple(findings), subject.name)


def _observed(subject: Subject, needed: frozenset[str], n: int, key: PRNGKeyArray) -> tuple[Subject, dict[str, str]]:
    """The subject with the episodes its audits need; and why not, by need."""
    env, failed = subject.env, {}
    if env is None:
        return subject, failed
    if "episodes" in needed and not subject.episodes and subject.policies:
        try:
            run = [
                evaluate(policy, env, episodes=n, key=jax.random.fold_in(key, i))
                for i, policy in enumerate(subject.policies)
            ]
            subject = dataclasses.replace(subject, episodes=tuple(map(_on_host, run)))
        except OperantError as error:
            failed["episodes"] = str(error)
    # A number no seed has: the random policy's episodes are its own whatever the number of seeds.
    if needed & {"control", "episodes"} and subject.control is None:
        try:
            control_key = jax.random.fold_in(key, 2**31 - 1)
            run = evaluate(RandomPolicy(env.spec), env, episodes=n, key=control_key, deterministic=False)
            subject = dataclasses.replace(subject, control=_on_host(run))
        except OperantError as error:
            failed["control"] = str(error)
    return subject, failed


def _on_host(episodes: Any) -> Any:
    return jax.tree.map(np.asarray, episodes)


def _ask(one: AbstractAudit, subject: Subject, failed: dict[str, str], *, key: PRNGKeyArray) -> Finding:
    name = _measures.title(one)
    if missing := sorted(one.needs - subject.has()):
        asks = [f"it failed to get {need}: {failed[need]}" for need in missing if need in failed]
        asks += [f"it needs {SUPPLY.get(need, need)}" for need in missing if need not in failed]
        return Finding(name, Verdict.unknown, f"{'; '.join(asks).rstrip('.')}.")
    try:
        found = one(subject, key=key)
    except OperantError as error:
        return Finding(name, Verdict.unknown, str(error))
    except Exception as error:  # a fault in one audit must not lose what the others found
        why = f"it broke: {type(error).__name__}: {error}. This is a fault in {name}: please report it"
        warnings.warn(f"{why}\n{traceback.format_exc()}", RuntimeWarning, stacklevel=2)
        return Finding(name, Verdict.unknown, f"{why}.")
    numbers = [x for x in (found.value, found.low, found.high) if x is not None]
    if found.verdict is not Verdict.unknown and not np.isfinite(numbers).all():
        why = f"a number is not finite, so '{found.verdict}' cannot be said. {found.why}"
        return dataclasses.replace(found, verdict=Verdict.unknown, why=why)
    return found


# --- what can be audited --------------------------------------------------------------------------------------------


def subject_of(
    subject: Subject | Run | AbstractPolicy | Callable[[Obs], Action] | Sequence[AbstractPolicy],
    *,
    env: AbstractEnv | AbstractHostEnv | None = None,
    intent: Intent | None = None,
    name: str = "",
) -> Subject:
    """A Subject from a Run, a policy or several, a function, or a Subject; `env`, `intent`, `name` override its own.

    Raises:
        SpecError: something that is none of these; a function without `env`, or one that is not of JAX arrays.
    """
    if isinstance(subject, Run):
        subject = _of_run(subject)
    elif isinstance(subject, AbstractPolicy):
        subject = Subject((subject,))
    elif isinstance(subject, Sequence) and subject and all(isinstance(p, AbstractPolicy) for p in subject):
        subject = Subject(tuple(subject))
    elif callable(subject) and not isinstance(subject, type):
        subject = Subject((_of_function(subject, env),), name=getattr(subject, "__name__", ""))
    elif not isinstance(subject, Subject):
        raise SpecError(
            f"expected a Run, a policy, a tuple of policies, a function of an observation, or a Subject; got "
            f"{type(subject).__name__} {subject!r:.40}. Load a run's folder with operant.load(folder)."
        )
    changed = {"env": env, "intent": intent, "name": name or None}
    return dataclasses.replace(subject, **{k: v for k, v in changed.items() if v is not None})


def _of_run(run: Run) -> Subject:
    bare = lambda state: state.reward if isinstance(state, LagrangianState) and run.intent.constraints else state
    stored = isinstance(run.env, STORED)  # learned from, by `fit`, and nothing to act in
    return Subject(
        policies=run.policies(),
        env=None if stored else run.env,
        dataset=run.env if isinstance(run.env, Dataset) else None,
        intent=run.intent,
        reward_states=tuple(map(bare, run.reward_states())),
        truth_states=tuple(jax.tree.map(lambda x, i=i: x[i], run.state.truth) for i in range(run.seeds)),
        history=run.metrics,
        name=run.spec.name,
    )


def _of_function(function: Callable[[Obs], Action], env: AbstractEnv | AbstractHostEnv | None) -> FunctionPolicy:
    called = getattr(function, "__name__", type(function).__name__)
    if env is None:
        raise SpecError(f"expected the environment that {called} acts in; got none. Give env=operant.make(id).")
    policy, space = FunctionPolicy(env.spec, function), env.spec.action
    try:
        action = jax.eval_shape(lambda o: policy(o, (), key=None)[0], jax.tree.map(jnp.asarray, env.spec.obs.zero()))
    except (jax.errors.JAXTypeError, jax.errors.JAXIndexError) as error:
        raise SpecError(
            f"expected {called} to be a function of JAX arrays, for it is compiled with the environment; it raised "
            f"{type(error).__name__}. Write it with jax.numpy, or run its episodes yourself and give "
            "Subject(episodes=…)."
        ) from error
    shape = space.shape if isinstance(space, Box) else ()
    if action.shape != shape:
        raise SpecError(f"expected {called} to give one action of shape {shape} in {space}; got shape {action.shape}.")
    return policy
