"""`audit`: what can be audited, on JAX and host environments; episodes run once; what cannot be answered."""

import dataclasses
import json
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.audits import ProbabilityOfImprovement, ProxyGap, Returns, Saturation, SeedSensitivity, TerminationBias
from operant.core import (
    AbstractAudit,
    AbstractFixedReward,
    Constraint,
    Finding,
    Intent,
    Subject,
    Verdict,
)
from operant.envs.gymnasium import Gymnasium
from operant.envs.toy import CartPole, ObstacleCourse, Pendulum
from operant.errors import DataError
from operant.learners.bc import BC
from operant.learners.ppo import PPO
from operant.loops import audit as loop
from operant.loops.audit import Report, audit, subject_of
from operant.loops.fit import fit
from operant.loops.train import train
from operant.rewards.normalise import Normalise
from operant.rewards.task import Task

EVERY = (Returns(), ProbabilityOfImprovement(), ProxyGap(), TerminationBias(), Saturation(), SeedSensitivity())
TASK = Intent(Task(), truth=Task())


def balance(obs: Any) -> Any:
    """Push to where the pole falls: keeps CartPole up."""
    return jnp.where(obs[2] + obs[3] > 0, 1, 0)


def verdicts(report: Report) -> dict[str, str]:
    return {f.name: str(f.verdict) for f in report.findings}


@pytest.fixture(scope="module")
def run():
    """Two seeds, constrained and with a reward that learns, so that states of every kind are there."""
    intent = Intent(Normalise(Task()), (Constraint(Task(), 0.5),), truth=Normalise(Task()))
    learner = PPO(rollout=16, epochs=1, minibatches=1, hidden=(4,))
    return train(learner, CartPole(max_steps=60), intent, steps=128, num_envs=2, seeds=2, key=jax.random.key(0))


@pytest.mark.parametrize("env", [CartPole(max_steps=60), Gymnasium("CartPole-v1", max_steps=60)], ids=["jax", "host"])
def test_every_audit_on_both_kinds_of_environment(env):
    report = audit(balance, EVERY, env=env, intent=TASK, key=jax.random.key(0), episodes=8)
    assert verdicts(report) == {
        "returns": "holds",
        "probability of improvement": "unknown",
        "proxy gap": "holds",
        "termination bias": "concern",  # CartPole pays 1 a step
        "saturation": "holds",
        "seed sensitivity": "unknown",
    }
    assert report.worst is Verdict.concern and report.subject == "balance"
    returns = report.findings[0]
    assert returns.value == 60 and returns.n == 8 and returns.limit < 60


def test_a_policy_that_saturates():
    push = lambda obs: jnp.where(obs[2] < 0, 2.0, -2.0)[None]
    report = audit(
        push, (Saturation(), TerminationBias()), env=Pendulum(max_steps=30), intent=TASK, key=jax.random.key(0)
    )
    assert verdicts(report) == {"saturation": "concern", "termination bias": "holds"}
    assert "torque" in report.findings[0].why and "fixed horizon" in report.findings[1].why


def test_a_run_brings_everything(run):
    subject = subject_of(run)
    assert subject.has() >= {"env", "intent", "true_reward", "history", "seeds"}
    report = audit(run, EVERY, key=jax.random.key(1), episodes=8)
    assert {f.name for f in report.findings if "needs" in f.why} == {"probability of improvement"}
    assert report.findings[0].arrays["returns"].shape == (16,)


def test_a_run_from_a_dataset_brings_that_and_no_environment():
    env = ObstacleCourse()
    dataset = env.demonstrate(24, key=jax.random.key(0))
    learned = fit(BC(hidden=(4,), batch=8), dataset, Intent(Task()), steps=2, key=jax.random.key(0))
    assert subject_of(learned).env is None and subject_of(learned).dataset is dataset
    (found,) = audit(learned, (Returns(),), key=jax.random.key(1)).findings
    assert found.verdict is Verdict.unknown and "give env=operant.make(id)" in found.why
    (found,) = audit(learned, (Returns(),), env=env, key=jax.random.key(1), episodes=8).findings
    assert found.n == 8


def test_a_runs_reward_states_are_those_of_its_intent(run):
    """Training prices constraints into the reward: the state that belongs to intent.reward lies inside."""
    subject = subject_of(run)
    fresh = run.intent.reward.init(run.spec, key=jax.random.key(0))
    for states in (subject.reward_states, subject.truth_states):
        assert len(states) == 2
        assert all(jax.tree.structure(s) == jax.tree.structure(fresh) for s in states)
    np.testing.assert_array_equal(
        subject.reward_states[1].returns.moments.mean, run.state.reward.reward.returns.moments.mean[1]
    )


def test_policies_are_one_a_seed(run):
    report = audit(run.policies(), (SeedSensitivity(),), env=run.env, key=jax.random.key(0), episodes=8)
    assert "2 seeds × 8 episodes" in report.findings[0].why


def test_same_key_same_report_and_each_audit_its_own_key(run):
    ask = lambda seed: audit(run, (Returns(), Returns()), key=jax.random.key(seed), episodes=8).to_plain()
    assert ask(0) == ask(0)
    assert ask(0) != ask(1)


def test_episodes_are_run_once_and_only_if_needed(run, monkeypatch):
    calls = []
    real = loop.evaluate
    monkeypatch.setattr(loop, "evaluate", lambda *a, **k: calls.append(k["episodes"]) or real(*a, **k))
    audit(run, EVERY, key=jax.random.key(0), episodes=8)
    assert calls == [8, 8, 8]  # two seeds and the control
    audit(run, (), key=jax.random.key(0))
    assert len(calls) == 3


def test_recorded_episodes_need_no_environment(run):
    subject = subject_of(run)
    seen, _ = loop._observed(subject, frozenset({"episodes", "control"}), 8, jax.random.key(0))
    recorded = Subject((), episodes=seen.episodes, control=seen.control, intent=Intent(Task()))
    report = audit(recorded, (Returns(), TerminationBias(), Saturation()), key=jax.random.key(0))
    assert report.findings[0].verdict is not Verdict.unknown
    assert "the bounds are not known" in report.findings[2].why


class Asks(AbstractAudit):
    """Says whatever a test wants."""

    needs: ClassVar[frozenset[str]] = frozenset()
    answer: Any = None

    def __call__(self, subject: Subject, *, key: Any) -> Finding:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_a_refusal_is_unknown_with_its_reason():
    report = audit(Subject(()), (Asks(DataError("expected x; got y. Do z.")),), key=jax.random.key(0))
    assert report.findings == (Finding("asks", Verdict.unknown, "expected x; got y. Do z."),)


def test_a_bug_is_not_hidden_and_loses_no_other_finding():
    asked = (Asks(ZeroDivisionError("by nothing")), Asks(Finding("fine", Verdict.holds, "It is.")))
    with pytest.warns(RuntimeWarning, match=r"(?s)a fault in asks.*Traceback.*by nothing"):
        broken, fine = audit(Subject(()), asked, key=jax.random.key(0)).findings
    assert broken.verdict is Verdict.unknown and "ZeroDivisionError: by nothing" in broken.why
    assert fine.verdict is Verdict.holds


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_never_holds(number):
    report = audit(Subject(()), (Asks(Finding("x", Verdict.holds, "Fine.", value=number)),), key=jax.random.key(0))
    assert report.findings[0].verdict is Verdict.unknown and "not finite" in report.findings[0].why
    json.loads(json.dumps(report.to_plain()), parse_constant=lambda x: pytest.fail(f"{x} is no JSON"))


class Poison(AbstractFixedReward):
    """NaN where the pole leans right."""

    def __call__(self, state: Any, batch: Any) -> Any:
        return jnp.where(batch.obs[..., 2] > 0, jnp.nan, 1.0)


def test_nan_rewards_are_unknown_never_fine():
    report = audit(
        balance,
        EVERY,
        env=CartPole(max_steps=60),
        intent=Intent(Poison(), truth=Task()),
        key=jax.random.key(0),
        episodes=8,
    )
    found = {f.name: f for f in report.findings}
    for name in ("proxy gap", "termination bias"):
        assert found[name].verdict is Verdict.unknown and "seed 0 has NaN" in found[name].why
    assert found["returns"].verdict is Verdict.holds  # the environment's own return is finite


def test_nan_returns_are_unknown_for_every_audit_of_returns(run):
    seen, _ = loop._observed(subject_of(run), frozenset({"episodes"}), 8, jax.random.key(0))
    bad = seen.episodes[1].returns.copy()
    bad[2] = np.nan
    poisoned = dataclasses.replace(seen.episodes[1], returns=bad)
    subject = dataclasses.replace(seen, episodes=(seen.episodes[0], poisoned), baseline=np.arange(3.0))
    audits = (Returns(), Returns(at_least=0.0), ProbabilityOfImprovement(), SeedSensitivity())
    for found in audit(subject, audits, key=jax.random.key(0)).findings:
        assert found.verdict is Verdict.unknown and "seed 1 has NaN or infinity in 1 of 8 episodes" in found.why


def test_plain_form_is_json_without_arrays(run):
    plain = audit(run, EVERY, key=jax.random.key(0), episodes=8).to_plain()
    assert json.loads(json.dumps(plain)) == plain
    assert set(plain["findings"][0]) == {"name", "verdict", "why", "value", "low", "high", "n", "limit"}


def test_worst_and_table():
    make = lambda verdict: Finding(f"a {verdict}", Verdict(verdict), "Because.", value=1.0, limit=2.0)
    report = lambda *names: Report(tuple(map(make, names)))
    assert report("holds", "fails", "concern").worst is Verdict.fails
    assert report("holds", "unknown", "concern").worst is Verdict.concern
    assert report("holds", "unknown").worst is Verdict.unknown
    assert report("holds").worst is Verdict.holds and Report(()).worst is Verdict.unknown
    assert str(report("holds")) == report("holds").table() == "a holds              holds    1, limit 2\n    Because."
