"""What audits say of subjects, needs and settings they cannot use."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.audits import ProbabilityOfImprovement, ProxyGap, Returns, Saturation, SeedSensitivity, TerminationBias
from operant.core import Intent, Subject, Verdict
from operant.envs.toy import CartPole, Pendulum
from operant.errors import SpecError
from operant.loops.audit import SUPPLY, audit, subject_of
from operant.rewards.task import Task

KEY = jax.random.key(0)
NOTHING = Subject(())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: audit(NOTHING, [Returns], key=KEY), "such as Returns(); got the class Returns: write Returns()"),
        (lambda: audit(NOTHING, [Returns(), 3], key=KEY), "audits[1] to be an audit, such as Returns(); got 3"),
        (lambda: audit(NOTHING, [], key=KEY, episodes=0), "expected episodes ≥ 1; got 0. Ask for at least one."),
        (lambda: audit("runs/pendulum", [], key=KEY), "got str 'runs/pendulum'. Load a run's folder with operant.load"),
        (lambda: audit(lambda o: 0, [], key=KEY), "the environment that <lambda> acts in; got none. Give env="),
        (lambda: subject_of(np.sin), "expected the environment that sin acts in"),
        (
            lambda: subject_of(lambda o: int(np.asarray(o)[0] > 0), env=CartPole()),
            "of JAX arrays, for it is compiled with the environment; it raised TracerArrayConversionError",
        ),
        (lambda: subject_of(lambda o: o, env=Pendulum()), "to give one action of shape (1,) in Box"),
        (lambda: Returns(level=95.0), "expected 0 < Returns.level < 1; got 95."),
        (lambda: ProbabilityOfImprovement(limit=1.0), "expected 0 < ProbabilityOfImprovement.limit < 1; got 1."),
        (lambda: ProxyGap(windows=1), "expected ProxyGap.windows ≥ 2, a first and a last; got 1."),
        (lambda: TerminationBias(constant=1.5), "expected 0 < TerminationBias.constant < 1; got 1.5."),
        (lambda: Saturation(near=0.0), "expected 0 < Saturation.near < 1; got 0."),
        (lambda: SeedSensitivity(alpha=5.0), "expected 0 < SeedSensitivity.alpha < 1; got 5."),
    ],
)  # fmt: skip
def test_message(make, message):
    with pytest.raises(SpecError, match=re.escape(message)):
        make()


@pytest.mark.parametrize(
    ("one", "needs"),
    [
        (Returns(), ("episodes",)),
        (ProbabilityOfImprovement(), ("baseline", "episodes")),
        (ProxyGap(), ("episodes", "intent", "true_reward")),
        (TerminationBias(), ("control", "episodes", "intent")),
        (Saturation(), ("episodes",)),
        (SeedSensitivity(), ("control", "episodes", "seeds")),
    ],
)
def test_unmet_needs_are_unknown_and_said(one, needs):
    (found,) = audit(NOTHING, [one], key=KEY).findings
    assert found.verdict is Verdict.unknown and found.value is None
    assert found.why == "; ".join(f"it needs {SUPPLY[need]}" for need in needs) + "."


def test_every_need_of_a_subject_can_be_supplied():
    everything = Subject((), CartPole(), Intent(Task(), truth=Task()), history={"x": np.zeros(1)}, baseline=np.zeros(1))
    assert everything.has() < set(SUPPLY)


def test_an_environment_without_a_time_limit_says_so():
    class Endless(CartPole):
        @property
        def spec(self):
            return type(super().spec)(super().spec.obs, super().spec.action, None, name="Endless")

    (found,) = audit(lambda o: jnp.int32(0), [Returns()], env=Endless(), key=KEY).findings
    assert found.verdict is Verdict.unknown
    assert found.why.startswith("it failed to get episodes: expected a time limit: Endless has max_steps=None")


def test_a_policy_of_another_environment_says_so():
    policy = subject_of(lambda o: jnp.int32(0), env=CartPole()).policies[0]
    (found,) = audit(policy, [Returns()], env=Pendulum(), key=KEY).findings
    assert found.verdict is Verdict.unknown and "expected a policy for observations in Box" in found.why
