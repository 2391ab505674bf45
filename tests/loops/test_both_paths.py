"""The same toy, seeds and key on the JAX and on the host path: the same parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import AbstractHostEnv, Box, Composite, Discrete, EnvSpec, Intent, Step
from operant.envs.gymnasium import Gymnasium
from operant.envs.toy import CartPole
from operant.errors import DataError, SpecError
from operant.learners import DQN, PPO
from operant.loops.rollout import evaluate
from operant.loops.train import train
from operant.rewards import Task
from operant.testing.checks import close


class Fixed(CartPole):
    """CartPole that always starts alike: nothing is left to the environment's own randomness."""

    def initial(self, *, key):
        return jnp.array([0.01, -0.02, 0.03, 0.02])


class Stepped:
    """A JAX environment stepped from Python, as a `HostEnv`."""

    def __init__(self, env, n):
        self.env, self.n, self.spec = env, n, env.spec
        self.keys = jax.random.split(jax.random.key(0), n)
        self._step = jax.jit(jax.vmap(lambda s, a, k: env.step(s, a, key=k)))

    def reset(self, *, seed):
        self.state, obs = jax.vmap(lambda k: self.env.reset(key=k))(self.keys)
        return np.asarray(obs)

    def step(self, action):
        self.state, step = self._step(self.state, action, self.keys)
        return Step(*(np.asarray(x) for x in (step.obs, step.reward, step.terminated, step.truncated, step.final_obs)))

    def snapshot(self):
        return None

    def close(self):
        pass


class OnHost(AbstractHostEnv):
    """The description of `Stepped`."""

    env: Fixed

    @property
    def spec(self):
        return self.env.spec

    def open(self, num_envs, *, render=False):
        return Stepped(self.env, num_envs)


@pytest.mark.parametrize(
    ("learner", "steps"),
    [
        (PPO(rollout=16, epochs=2, minibatches=2, hidden=(8,)), 16 * 4 * 5),
        (PPO(rollout=16, epochs=2, minibatches=2, hidden=(8,), memory=4, sequence=8), 16 * 4 * 5),
        (DQN(hidden=(8,), capacity=256, batch=8, learning_starts=32), 4 * 30),
    ],
    ids=["ppo", "ppo-memory", "dqn"],
)
def test_the_host_path_learns_what_the_jax_path_learns(learner, steps):
    settings = {"steps": steps, "num_envs": 4, "seeds": 2, "key": jax.random.key(3)}
    env = Fixed(max_steps=20)
    compiled = train(learner, env, Intent(Task()), **settings)
    stepped = train(learner, OnHost(env), Intent(Task()), **settings)
    assert close(stepped.state.learner, compiled.state.learner, 1e-4)
    np.testing.assert_allclose(
        stepped.metrics["episode/return"], compiled.metrics["episode/return"], rtol=1e-5, equal_nan=True
    )
    assert np.isfinite(compiled.metrics["episode/return"]).any()


def test_episodes_cut_off_on_the_host_begin_anew():
    """More episodes than environments: the second begins where the environment does, not where the first was left."""
    env = Gymnasium("CartPole-v1")
    learner = PPO(hidden=(4,))
    policy = learner.policy(learner.init(env.spec, key=jax.random.key(0)))
    found = evaluate(policy, env, episodes=40, key=jax.random.key(1), max_steps=5)
    starts = np.asarray(found.transitions.obs)[:, 0]
    assert found.lengths.tolist() == [5] * 40 and np.abs(starts).max() <= 0.05
    assert len(np.unique(starts, axis=0)) == 40


def test_a_limit_that_is_none_is_refused():
    learner = PPO(hidden=(4,))
    policy = learner.policy(learner.init(CartPole().spec, key=jax.random.key(0)))
    for env in (CartPole(), Gymnasium("CartPole-v1")):
        for wrong in (0, -1):
            with pytest.raises(SpecError, match=f"expected max_steps ≥ 1, or None .*; got {wrong}"):
                evaluate(policy, env, episodes=2, key=jax.random.key(0), max_steps=wrong)


def test_observations_in_parts_are_predicted_from():
    """Nested, one or a batch; what does not fit is named."""
    seen = Composite((("goal", Composite((("place", Box((2,))), ("kind", Discrete(3))))), ("walk", Box((1,)))))
    learner, spec = PPO(hidden=(4,)), EnvSpec(seen, Discrete(2), 10)
    policy = learner.policy(learner.init(spec, key=jax.random.key(0)))
    one = {"goal": {"place": np.ones(2), "kind": 1}, "walk": np.zeros(1)}
    several = jax.tree.map(lambda x: np.stack([x] * 3), one)
    assert policy.predict(several)[0].tolist() == [int(policy.predict(one)[0])] * 3
    for wrong, text in (
        ({"walk": np.zeros(1)}, r"to be a dict of \['goal', 'walk'\]; got \['walk'\]"),
        (one | {"walk": np.zeros(2)}, r"observations\['walk'\] of shape \(1,\), or \(n, 1\); got \(2,\)"),
        (several | {"goal": one["goal"]}, r"observations\['walk'\] of shape \(1,\), or \(n, 1\); got \(3, 1\)"),
    ):
        with pytest.raises(DataError, match=text):
            policy.predict(wrong)
