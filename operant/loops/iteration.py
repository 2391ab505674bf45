"""One iteration of training, as pure functions: what the JAX and the host path share.

The key of everything in iteration i of a seed is `fold_in(seed's key, i)`: the position in the random stream is a
number, and a resumed run draws what the uninterrupted one would have drawn, bit for bit.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from operant.core import AbstractEnv, AbstractLearner, AbstractReward, Intent, Metrics, RewardState, Transition
from operant.data.replay import Replay
from operant.errors import SpecError
from operant.loops.rollout import collect


class Tally(eqx.Module):
    """Running sums over the episodes under way."""

    returns: dict[str, Float[Array, " N"]]
    """Sum so far of each measured reward: the environment's own, the stated one, the true one."""
    length: Int[Array, " N"]


class TrainState(eqx.Module):
    """Everything of one seed: with it, the settings and the environment, a run goes on as if never stopped."""

    learner: Any
    reward: Any
    truth: Any
    env: Any
    obs: Any
    carry: Any
    tally: Tally
    key: PRNGKeyArray
    iteration: Int[Array, ""]
    finite: Bool[Array, ""]
    """False once a loss or a parameter was not finite: the seed stopped there."""


class Paid:
    """A reward as it now stands: what learners call. `shown` are rows it wants seen among the agent's own, if any."""

    def __init__(self, reward: AbstractReward, state: RewardState):
        self.reward, self.state, self.looked = reward, state, False

    def __call__(self, batch: Transition) -> Float[Array, "*B"]:
        return self.reward(self.state, batch)

    @property
    def shown(self) -> Replay | None:
        self.looked = True
        return self.reward.shows(self.state)


def learn(
    learner: AbstractLearner, intent: Intent, state: TrainState, batch: Transition, keys: PRNGKeyArray
) -> tuple[TrainState, Metrics]:
    """Update reward, then learner, from a rollout (T, N); count episodes; stop where a number is not finite."""
    reward_key, truth_key, learner_key = keys
    reward_state, reward_metrics = intent.reward.update(state.reward, batch, key=reward_key)
    reward = Paid(intent.reward, reward_state)
    learner_state, metrics = learner.update(state.learner, batch, reward, key=learner_key)
    if not reward.looked and reward.shown is not None:
        raise SpecError(
            "expected a learner from replay, half of whose minibatches are to be demonstrations; "
            f"{type(learner).__name__} never looks at them. Use SAC, TD3 or DQN, or another reward than SQIL."
        )
    measured = {"return": batch.reward, "stated": reward(batch)}
    truth_state = state.truth
    if intent.truth is not None:
        truth_state, _ = intent.truth.update(truth_state, batch, key=truth_key)
        measured["truth"] = intent.truth(truth_state, batch)
    tally, episodes = _count(state.tally, measured, batch.done)
    learned = {**reward_metrics, **metrics}
    new = (learner_state, reward_state)
    finite = state.finite & _all_finite((learned, new))
    is_replay = lambda x: isinstance(x, Replay)
    replay, small = eqx.partition(new, is_replay, is_leaf=is_replay)
    old = eqx.filter((state.learner, state.reward), lambda x: not is_replay(x), is_leaf=is_replay)
    small = jax.lax.cond(finite, lambda a, b: a, lambda a, b: b, small, old)
    learner_state, reward_state = eqx.combine(replay, small, is_leaf=is_replay)
    state = TrainState(
        learner_state, reward_state, truth_state, state.env, state.obs, state.carry, tally, state.key,
        state.iteration + 1, finite,
    )  # fmt: skip
    return state, _shown(finite, {**episodes, **learned})


def _shown(finite: Bool[Array, ""], metrics: Metrics) -> Metrics:
    """As float32, NaN where a seed has stopped; together and in order, for loops stack them so: else a kernel each."""
    names = sorted(metrics)
    values = jnp.stack([jnp.asarray(metrics[name], jnp.float32) for name in names])
    return dict(zip(names, jnp.where(finite, values, jnp.nan), strict=True))


def _count(tally: Tally, measured: dict[str, Array], done: Bool[Array, "T N"]) -> tuple[Tally, Metrics]:
    """Sum each measured reward over episodes; means over those that ended in this rollout (NaN if none did)."""
    names = [*measured, "length"]
    each = jnp.stack([*measured.values(), jnp.ones(done.shape)], axis=1)  # (T, K, N)

    def step(carry: Any, now: Any) -> tuple[Any, None]:
        under_way, ended = carry
        values, over = now
        under_way = under_way + values
        return (jnp.where(over, 0.0, under_way), ended + jnp.where(over, under_way, 0.0)), None

    under_way = jnp.stack([*(tally.returns[name] for name in measured), tally.length.astype(jnp.float32)])
    (under_way, ended), _ = jax.lax.scan(step, (under_way, jnp.zeros_like(under_way)), (each, done[:, None]))
    count = done.sum()
    means = jnp.where(count > 0, ended.sum(1) / jnp.maximum(count, 1), jnp.nan)
    tally = Tally(dict(zip(measured, under_way, strict=False)), under_way[-1].astype(jnp.int32))
    return tally, {f"episode/{name}": x for name, x in zip(names, means, strict=True)} | {"episode/count": count}


def _all_finite(tree: Any) -> Bool[Array, ""]:
    """Whether every float outside replay is finite; as one vector, since a kernel a leaf would cost compile time."""
    leaves = jax.tree.leaves(tree, is_leaf=lambda x: isinstance(x, Replay))
    floats = [x for x in leaves if not isinstance(x, Replay) and jnp.issubdtype(jnp.result_type(x), jnp.floating)]
    return jnp.isfinite(jnp.concatenate([jnp.ravel(x) for x in floats])).all()


def iterate(
    learner: AbstractLearner, env: AbstractEnv, intent: Intent, num_envs: int, state: TrainState
) -> tuple[TrainState, Metrics]:
    """One iteration on a JAX environment."""
    learning, acting = iteration_keys(state.key, state.iteration, learner.rollout, num_envs)
    policy = learner.policy(state.learner)
    fresh = jax.vmap(jax.vmap(lambda k: env.initial(key=k)))(acting[2])
    start = (state.env, state.obs, state.carry)
    (env_state, obs, carry), batch = collect(env, policy, *start, (acting[0], acting[1]), fresh)
    state = eqx.tree_at(lambda s: (s.env, s.obs, s.carry), state, (env_state, obs, carry))
    return learn(learner, intent, state, batch, learning)


def iteration_keys(
    key: PRNGKeyArray, iteration: Int[Array, ""], steps: int, n: int
) -> tuple[PRNGKeyArray, PRNGKeyArray]:
    """Keys of one iteration, by one split, since each costs compiling: (3,) for `learn`; (3, T, N) for the policy, the
    environment's own noise and the starts of new episodes."""
    keys = jax.random.split(jax.random.fold_in(key, iteration), 3 + 3 * steps * n)
    return keys[:3], keys[3:].reshape(3, steps, n)
