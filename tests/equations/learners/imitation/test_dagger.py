"""DAgger: who acts, what is remembered, and that it becomes the expert."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant import Intent
from operant.core import AbstractPolicy, EnvSpec, Transition
from operant.envs.toy import CartPole, Pendulum
from operant.errors import SpecError
from operant.learners.imitation.dagger import DAgger
from operant.learners.ppo import PPO
from operant.loops.rollout import evaluate
from operant.loops.train import train
from operant.rewards.task import Task
from operant.testing import check_learner, small_spec

ENV = CartPole(max_steps=100)


def balance(obs):
    return (obs[2] + 0.5 * obs[3] > 0.0).astype(jnp.int32)


def test_beta_falls_linearly_and_says_who_acts():
    learner = DAgger(expert=lambda obs: jnp.ones((), jnp.int32), handover=4, rollout=2, hidden=(4,), updates=1, batch=2)
    state = learner.init(ENV.spec, key=jax.random.key(0))
    obs = jnp.zeros(4)
    no = jnp.zeros((2, 1), bool)
    batch = Transition(jnp.zeros((2, 1, 4)), no.astype(jnp.int32), jnp.zeros((2, 1)), no, no, jnp.zeros((2, 1, 4)), {})
    seen = []
    for _ in range(5):
        policy = learner.policy(state)
        seen.append(float(policy.beta))
        state, metrics = learner.update(state, batch, lambda b: b.reward, key=jax.random.key(1))
    assert seen == [1.0, 0.75, 0.5, 0.25, 0.0] and float(metrics["dagger/beta"]) == 0.0
    first = learner.policy(learner.init(ENV.spec, key=jax.random.key(0)))
    assert all(int(first(obs, (), key=k)[0]) == 1 for k in jax.random.split(jax.random.key(2), 8))
    assert np.array_equal(
        np.asarray(state.replay.data.action)[:2], [[1], [1]]
    )  # what the expert says, not what was done


def test_contract():
    learner = DAgger(
        expert=lambda obs: jnp.ones((), jnp.int32), rollout=4, updates=2, batch=8, capacity=64, hidden=(8,)
    )
    check_learner(learner, small_spec(), plain=False)


def test_it_becomes_the_expert():
    learner = DAgger(expert=balance, rollout=25, handover=3, updates=60, batch=64, hidden=(32,), lr=5e-3)
    run = train(learner, ENV, Intent(Task()), steps=2_000, num_envs=8, key=jax.random.key(0))
    got = evaluate(run.policy(), ENV, episodes=10, key=jax.random.key(1)).returns
    assert float(got.mean()) > 95.0


def test_a_policy_in_python_is_an_expert_whatever_its_arrays_and_its_noise():
    """Its arrays are no settings of DAgger's; and the carry of pink PPO holds noise alone."""
    env, ppo = Pendulum(max_steps=10), PPO(hidden=(4,), rollout=8, minibatches=1, noise_colour="pink")
    expert = ppo.policy(ppo.init(env.spec, key=jax.random.key(0)))
    learner = DAgger(expert=expert, rollout=4, updates=1, batch=4, capacity=16, hidden=(4,))
    run = train(learner, env, Intent(Task()), steps=8, num_envs=2, key=jax.random.key(1))
    replay = run.state.learner.replay
    said = jax.vmap(lambda o: expert(o, expert.init_carry(), key=None)[0])(replay.data.obs[0, 0])
    np.testing.assert_allclose(replay.data.action[0, 0], said, atol=1e-6)


class Remembers(AbstractPolicy):
    spec: EnvSpec

    def init_carry(self):
        return jnp.zeros(2)

    def __call__(self, obs, carry, *, key):
        return jnp.zeros((), jnp.int32), {}, carry


def test_an_expert_that_cannot_be_asked_is_refused():
    with pytest.raises(SpecError, match=r"expected DAgger.expert to be a policy of JAX arrays without memory; got Rem"):
        DAgger(expert=Remembers(ENV.spec)).init(ENV.spec, key=jax.random.key(0))
    trained = DAgger(expert=balance, hidden=(4,))
    policy = trained.policy(trained.init(ENV.spec, key=jax.random.key(0)))
    with pytest.raises(SpecError, match=r"expected a policy for observations"):
        DAgger(expert=policy).init(Pendulum().spec, key=jax.random.key(0))
    with pytest.raises(SpecError, match=r"expected DAgger.updates ≥ 1; got 0"):
        DAgger(expert=balance, updates=0)
