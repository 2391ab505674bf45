"""The same toy, seeds and key on the JAX and on the host path: the same parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import AbstractHostEnv, Intent, Step
from operant.envs.toy import CartPole
from operant.learners import DQN, PPO
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
