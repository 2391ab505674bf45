"""Contracts that every environment, reward, learner and audit keeps: call them on yours.

Each raises AssertionError with the contract's words where it is broken, and returns nothing where it holds.

>>> from operant.testing import ValueProbe
>>> check_env(ValueProbe())
"""

import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from operant import config
from operant.core import (
    AbstractAudit,
    AbstractEnv,
    AbstractLearner,
    AbstractReward,
    Box,
    Discrete,
    EnvSpec,
    Subject,
    Transition,
    Verdict,
)
from operant.data.replay import Replay
from operant.io import checkpoint

_KEY = jax.random.key(0)


def shapes(tree: Any) -> Any:
    """Structure, shapes and dtypes: what must not change from one update to the next."""
    arrays, static = eqx.partition(tree, eqx.is_array)
    return jax.tree.map(lambda x: (jnp.shape(x), jnp.result_type(x)), arrays), jax.tree_util.tree_structure(static)


def raw(x: Any) -> np.ndarray:
    """An array's bits as NumPy sees them; typed keys as their data."""
    return np.asarray(jax.random.key_data(x) if checkpoint.is_key(x) else x)


def same(a: Any, b: Any) -> bool:
    """Equal to the bit, NaN included."""
    leaves = zip(
        jax.tree.leaves(eqx.filter(a, eqx.is_array)), jax.tree.leaves(eqx.filter(b, eqx.is_array)), strict=True
    )
    return all(np.array_equal(raw(x), raw(y), equal_nan=raw(x).dtype.kind == "f") for x, y in leaves)


def close(a: Any, b: Any, tolerance: float) -> bool:
    """Equal to a tolerance, leaf by leaf."""
    leaves = zip(
        jax.tree.leaves(eqx.filter(a, eqx.is_array)), jax.tree.leaves(eqx.filter(b, eqx.is_array)), strict=True
    )
    return all(np.allclose(raw(x), raw(y), rtol=tolerance, atol=tolerance, equal_nan=True) for x, y in leaves)


def fake_batch(
    spec: EnvSpec, learner: AbstractLearner | None, state: Any, steps: int, *, key: PRNGKeyArray
) -> Transition:
    """A rollout (T, N) of random observations and the policy's own actions; one in eight steps ends an episode."""
    n = spec.num_envs
    keys = jax.random.split(key, 6)
    draw = lambda space, k: jax.vmap(jax.vmap(space.sample))(jax.random.split(k, (steps, n)))
    obs, next_obs = draw(spec.obs, keys[0]), draw(spec.obs, keys[1])
    if learner is None:
        action, extras = draw(spec.action, keys[2]), {}
    else:
        policy = learner.policy(state)
        one = lambda o, k: policy(o, policy.init_carry(), key=k)[:2]
        action, extras = jax.vmap(jax.vmap(one))(obs, jax.random.split(keys[2], (steps, n)))
    end = jax.random.uniform(keys[3], (steps, n))
    reward = jax.random.normal(keys[4], (steps, n))
    return Transition(obs, action, reward, end < 0.06, (end >= 0.06) & (end < 0.12), next_obs, extras)


def round_trip(module: Any) -> None:
    """A module is described by plain values, and made again from them."""
    plain = config.to_plain(module)
    again = config.from_plain(plain, type(module), where=type(module).__name__)
    assert config.same(module, again), f"to_plain/from_plain changed {module} into {again}"


def check_env(env: AbstractEnv, steps: int = 40) -> None:
    """Same key, same result; stable state; observations in their space; an episode that ends is reset, with the true
    successor in `final_obs`; `vmap` equals a loop."""
    spec = env.spec
    reset = jax.jit(lambda k: env.reset(key=k))
    step = jax.jit(lambda s, a, k: env.step(s, a, key=k))
    state, obs = reset(_KEY)
    assert same((state, obs), reset(_KEY)), "expected the same key to give the same start"
    keys = jax.random.split(_KEY, steps)
    shape = shapes(state)
    for t in range(steps):
        action = spec.action.sample(keys[t])
        new, s = step(state, action, keys[t])
        assert same((new, s), step(state, action, keys[t])), "expected the same key to give the same step"
        assert shapes(new) == shape, f"expected the state's structure to stay {shape}; it became {shapes(new)}"
        assert spec.obs.contains(jax.device_get(s.obs)), f"observation {s.obs} outside {spec.obs}"
        assert spec.obs.contains(jax.device_get(s.final_obs)), f"final observation {s.final_obs} outside {spec.obs}"
        assert s.reward.shape == () and s.reward.dtype == jnp.float32, f"reward must be one float32; got {s.reward}"
        assert s.terminated.dtype == bool and s.truncated.dtype == bool, "terminated and truncated must be booleans"
        done = bool(s.terminated | s.truncated)
        assert int(new.t) == (0 if done else int(state.t) + 1), (
            "expected time to count steps and reset with the episode"
        )
        # to rounding: XLA may compute the two in separate kernels, one of them with fused multiply-adds
        assert done or close(s.obs, s.final_obs, 1e-6), "expected obs = final_obs while the episode goes on"
        state = new
    many = jax.vmap(lambda k: env.reset(key=k))(keys[:3])
    one = [reset(k) for k in keys[:3]]
    assert close(many, jax.tree.map(lambda *x: jnp.stack(x), *one), 1e-6), "expected vmap(reset) to equal a loop"


def check_reward(reward: AbstractReward, spec: EnvSpec, *, plain: bool = True) -> None:
    """Same result with any leading axes; stable state; a NaN in the environment's reward is unread unless declared."""
    batch = fake_batch(spec, None, None, 5, key=_KEY)
    state = reward.init(spec, key=_KEY)
    worth = jax.jit(lambda s, b: reward(s, b))
    value = worth(state, batch)
    assert value.shape == batch.reward.shape, (
        f"expected one number a transition {batch.reward.shape}; got {value.shape}"
    )
    assert bool(jnp.isfinite(value).all()), "expected finite rewards on finite transitions"
    single = reward(state, jax.tree.map(lambda x: x[1, 0], batch))
    assert close(single, value[1, 0], 1e-5), "expected one transition alone to be worth what it is in a batch"
    new, metrics = reward.update(state, batch, key=_KEY)
    assert shapes(new) == shapes(state), "expected the state's structure to be stable under update"
    assert all(jnp.shape(x) == () for x in metrics.values()), "expected every metric to be one number"
    if not reward.reads_env_reward:
        poisoned = eqx.tree_at(lambda b: b.reward, batch, jnp.full_like(batch.reward, jnp.nan))
        assert same(worth(state, poisoned), value), "reads the environment's reward without declaring it"
    if plain:
        round_trip(reward)


def check_learner(
    learner: AbstractLearner, spec: EnvSpec, *, plain: bool = True, extras: Mapping[str, Any] | None = None
) -> None:
    """Same key, same result; stable state; the environment's own reward unread; no aliased leaves (states are donated);
    checkpoints and configuration round trip; greedy actions in their space.

    `extras`: what a dataset would have to say of the (rollout, 2) transitions it is shown.
    """
    spec = dataclasses.replace(spec, num_envs=2)
    state = learner.init(spec, key=_KEY)
    assert same(state, learner.init(spec, key=_KEY)), "expected the same key to give the same initial state"
    buffers = [x.unsafe_buffer_pointer() for x in jax.tree.leaves(state) if isinstance(x, jax.Array) and x.size > 1]
    assert len(buffers) == len(set(buffers)), "expected no aliased leaves: a donated state may not hold a buffer twice"
    batch = fake_batch(spec, learner, state, learner.rollout, key=_KEY)
    batch = eqx.tree_at(lambda b: b.extras, batch, batch.extras | dict(extras or {}))
    poisoned = eqx.tree_at(lambda b: b.reward, batch, jnp.full_like(batch.reward, jnp.nan))
    reward = lambda b: jnp.ravel(jax.tree.leaves(b.obs)[0].astype(jnp.float32).sum(-1)).reshape(b.terminated.shape)
    update = jax.jit(lambda s, b: learner.update(s, b, reward, key=_KEY))
    new, metrics = update(state, batch)
    assert shapes(new) == shapes(jax.tree.map(jnp.asarray, state)), "expected the state's structure to be stable"
    assert all(jnp.shape(x) == () for x in metrics.values()), "expected every metric to be one number"
    again, _ = update(state, batch)
    assert same(again, new), "expected the same key to give the same update"
    is_replay = lambda x: isinstance(x, Replay)
    learned = lambda s: eqx.filter(s, lambda x: not is_replay(x), is_leaf=is_replay)
    assert same(learned(update(state, poisoned)[0]), learned(new)), "reads the environment's reward, not the one given"
    policy = learner.policy(new)
    action, _, carry = policy(spec.obs.zero(), policy.init_carry(), key=None)
    assert spec.action.contains(jax.device_get(action)), f"greedy action {action} outside {spec.action}"
    assert shapes(carry) == shapes(policy.init_carry()), "expected the carry's structure to be stable"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state"
        checkpoint.save(path, new, {})
        assert same(checkpoint.load(path, state), new), "expected a checkpoint to bring the state back to the bit"
    if plain:
        round_trip(learner)


def check_audit(audit: AbstractAudit) -> None:
    """Unmet needs make it `unknown`, with words that say what is missing."""
    from operant.loops.audit import audit as run

    (finding,) = run(Subject(policies=()), (audit,), key=_KEY).findings
    assert finding.verdict == Verdict.unknown, f"expected unknown where nothing is known; got {finding.verdict}"
    assert finding.why, "expected a reason"
    round_trip(audit)


def small_spec(continuous: bool = False) -> EnvSpec:
    """A spec to check learners and rewards with: three numbers seen, two actions or one number."""
    return EnvSpec(Box((3,), -1.0, 1.0), Box((1,), -1.0, 1.0) if continuous else Discrete(2), 10, 2, "small")
