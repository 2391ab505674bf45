"""What carries iterations out: compiled whole (JAX environments), or around `env.step` (host environments).

An engine has `start() -> states (S, …)`, `advance(states, n) -> (states, sums (S, rows, M), counts)` and knows what
it takes to be resumed. The loop around it (`operant.loops.train`) is the same for both.
"""

import contextlib
import dataclasses
import gc
import time
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from operant.core import AbstractEnv, AbstractHostEnv, AbstractLearner, EnvSpec, Intent, Step, Transition
from operant.data.replay import Replay
from operant.errors import EnvError, SpecError
from operant.io.checkpoint import is_key
from operant.loops.iteration import Tally, TrainState, iterate, iteration_keys, learn
from operant.loops.rollout import act, carries, where
from operant.loops.spread import compiler_options, over_seeds, place, sharding
from operant.math import random
from operant.math.return_scale import ReturnScale


def member(learner: AbstractLearner, i: int, members: int) -> AbstractLearner:
    """The learner of member i: a field given as an array (K, …) holds K settings, each run with every seed."""
    arrays, rest = eqx.partition(learner, eqx.is_array)
    return eqx.combine(jax.tree.map(lambda x: x[i * x.shape[0] // members], arrays), rest)


def settings(learner: AbstractLearner) -> int:
    """How many settings K a learner's array fields hold (1: none is an array).

    Raises:
        SpecError: the array fields disagree on K.
    """
    sizes = {jnp.shape(x)[0] if jnp.ndim(x) else 0 for x in jax.tree.leaves(eqx.filter(learner, eqx.is_array))}
    if len(sizes) > 1 or 0 in sizes:
        raise SpecError(
            f"expected every array field of {type(learner).__name__} to have the same leading axis K (settings); got "
            f"leading sizes {sorted(sizes)}. Give arrays of one length, and plain numbers for the rest."
        )
    return sizes.pop() if sizes else 1


class _Engine:
    """What both kinds share: the settings, the initial states, and the window a row of the record averages."""

    def __init__(
        self,
        learner: AbstractLearner,
        env: AbstractEnv | AbstractHostEnv,
        intent: Intent,
        spec: EnvSpec,
        keys: list[PRNGKeyArray],
        window: int,
        rows: int,
    ):
        self.learner, self.env, self.intent, self.spec = learner, env, intent, spec
        self.keys = [random.unrolled(key) for key in keys]
        self.members, self.window, self.rows = len(keys), window, rows
        self.arrays, self.static = eqx.partition(learner, eqx.is_array)
        stacked = [eqx.filter(member(learner, i, self.members), eqx.is_array) for i in range(self.members)]
        self.arrays = place(_stack(stacked), self.members)
        self.names: list[str] = []
        self.env_seconds = 0.0

    def _begin(self, env_state: Any, obs: Any) -> TrainState:
        """The states (S, …) before any experience; networks are drawn here, outside jit."""
        learners, rewards, truths, runs = [], [], [], []
        intent, n = self.intent, self.spec.num_envs
        for i in range(self.members):
            learner_key, reward_key, truth_key, run_key, _ = random.children(self.keys[i], 5)
            learners.append(member(self.learner, i, self.members).init(self.spec, key=learner_key))
            rewards.append(intent.reward.init(self.spec, key=reward_key))
            truths.append(() if intent.truth is None else intent.truth.init(self.spec, key=truth_key))
            runs.append(run_key)
        policy = member(self.learner, 0, self.members).policy(learners[0])
        zeros = lambda dtype: np.zeros((self.members, n), dtype)
        names = ("return", "stated") if intent.truth is None else ("return", "stated", "truth")
        carry = jax.tree.map(
            lambda x: np.broadcast_to(np.asarray(x), (self.members, n, *np.shape(x))), policy.init_carry()
        )
        state = TrainState(
            learner=_stack(learners),
            reward=_stack(rewards),
            truth=_stack(truths),
            env=env_state,
            obs=obs,
            carry=carry,
            tally=Tally({name: zeros(np.float32) for name in names}, zeros(np.int32)),
            key=random.stack(runs),
            iteration=np.zeros(self.members, np.int32),
            finite=np.ones(self.members, bool),
        )
        return place(state, self.members)

    def _compile(self, states: TrainState, step: Callable, shared: Any) -> None:
        """Chunks of `step(learner, state, shared) -> (state, metrics)` as one compiled function of how many."""

        def one(state: TrainState, arrays: Any, both: tuple[Array, Any]) -> Any:
            n, shared = both
            learner = eqx.combine(arrays, self.static)
            once = jax.jit(lambda s: step(learner, s, shared))
            shapes = jax.eval_shape(once, state)[1]
            self.names = sorted(shapes)
            first = state.iteration // self.window

            def body(_: Array, carry: Any) -> Any:
                state, sums, counts = carry
                row = state.iteration // self.window - first
                state, metrics = once(state)
                values = jnp.stack([metrics[name] for name in self.names])
                known = jnp.isfinite(values)
                sums = sums.at[row].add(jnp.where(known, values, 0.0))
                return state, sums, counts.at[row].add(known.astype(jnp.float32))

            empty = jnp.zeros((self.rows, len(self.names)))
            state, *totals = jax.lax.fori_loop(0, n, body, (state, empty, jnp.zeros_like(empty)))
            return state, totals

        chunk = jax.jit(over_seeds(one, self.members), donate_argnums=(0,))
        with _uncollected():
            self._chunk = chunk.lower(states, self.arrays, (np.int32(0), shared)).compile(compiler_options())
        self._shared = shared

    def _advance(self, states: TrainState, n: int) -> tuple[TrainState, np.ndarray, np.ndarray]:
        states, (sums, counts) = self._chunk(states, self.arrays, (np.int32(n), self._shared))
        return states, np.asarray(sums), np.asarray(counts)

    def close(self) -> None:
        pass


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Without Python's collector, which looks through all that tracing makes, again and again, and finds no garbage: a
    fifth of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class JaxEngine(_Engine):
    """Chunks of iterations as one compiled function; the number of iterations is an argument of it."""

    env: AbstractEnv

    def start(self) -> TrainState:
        n = self.spec.num_envs
        each = jax.vmap(jax.vmap(lambda k: self.env.reset(key=k)))
        reset = jax.jit(each, compiler_options=compiler_options(seldom=True))
        keys = [random.stack(random.children(random.children(key, 5)[4], n)) for key in self.keys]
        return self._begin(*reset(random.stack(keys)))

    def compile(self, states: TrainState) -> None:
        """Trace and compile for states of this shape."""
        step = lambda learner, state, _: iterate(learner, self.env, self.intent, self.spec.num_envs, state)
        self._compile(states, step, ())

    def advance(self, states: TrainState, n: int) -> tuple[TrainState, np.ndarray, np.ndarray]:
        return self._advance(states, n)

    def snapshot(self) -> None:
        return None


class HostEngine(_Engine):
    """A Python loop of compiled `act` and `env.step`, then the compiled update; all seeds step side by side."""

    env: AbstractHostEnv
    failed: EnvError | None = None

    def start(self) -> TrainState:
        return self._begin((), self._open(0))

    def _open(self, iteration: int) -> Any:
        """New episodes in every environment, others at another iteration; observations (S, N, …)."""
        self._start = np.zeros((self.members, self.spec.num_envs), bool)
        self.close()
        self.host = self.env.open(self.members * self.spec.num_envs)
        # a member's environments have seeds of their own: it meets the same alone and among others
        seeds = [int(np.asarray(jax.random.key_data(key)).ravel()[-1] % (2**31 - 1)) for key in self.keys]
        if iteration:
            seeds = [int(np.random.SeedSequence([s, iteration]).generate_state(1)[0] >> 1) for s in seeds]
        return self._split(self.host.reset(seed=seeds if self.members > 1 else seeds[0]))

    def _split(self, tree: Any) -> Any:
        """(S·N, …) → (S, N, …)."""
        return jax.tree.map(lambda x: np.asarray(x).reshape(self.members, -1, *np.shape(x)[1:]), tree)

    def compile(self, states: TrainState) -> None:
        T, N = self.learner.rollout, self.spec.num_envs
        settings, bare = _Bare(self.arrays), _Bare(_inner(states))
        self._bare, self._fixed = bare, settings.strip(self.arrays)
        key: Any = states.key.dtype

        def parts(arrays: Any, state: TrainState) -> tuple[Any, Any]:
            policy = eqx.combine(arrays, self.static).policy(state.learner)
            return eqx.partition(policy, eqx.is_array)

        shapes, policy_static = eqx.filter_eval_shape(parts, *jax.tree.map(lambda x: x[0], (self.arrays, states)))
        policies, policy_of = _Bare(shapes), over_seeds(lambda _, tree, __: ((), parts(*tree)[0]), self.members)

        def keys(key: PRNGKeyArray, iteration: Array) -> tuple[Array, Array]:
            learning, acting = iteration_keys(key, iteration, T, N)
            return jax.random.key_data(learning), jax.random.key_data(acting[0])

        def ready(fixed: list[Array], leaves: list[Array]) -> tuple[list[Array], Array, Array]:
            """`(policy, keys of learning, keys of acting)`, stripped."""
            state = bare.dress(leaves)
            policy = policy_of((), (settings.dress(fixed), state), ())[1]
            return policies.strip(policy), *jax.vmap(keys)(state.key, state.iteration)

        self._ready = jax.jit(ready)

        def act_one(policy: Any, obs: Any, carry: Any, start: Array, keys: Array) -> Any:
            policy = eqx.combine(policy, policy_static)
            return act(policy, obs, where(start, carries(policy, N), carry), keys)

        def act_all(leaves: list[Array], obs: Any, carry: Any, start: Array, keys: Array, t: Array) -> Any:
            keys = jax.random.wrap_key_data(keys[:, t], dtype=key)
            return jax.vmap(act_one)(policies.dress(leaves), obs, carry, start, keys)

        self._act = jax.jit(act_all)

        def update(state: TrainState, own: Any, _: Any) -> tuple[TrainState, Array]:
            arrays, batch, keys = own
            state, metrics = learn(eqx.combine(arrays, self.static), self.intent, state, batch, keys)
            self.names = sorted(metrics)
            return state, jnp.stack([metrics[name] for name in self.names])

        spread = over_seeds(update, self.members)

        def update_all(fixed: list[Array], leaves: list[Array], batch: Transition, keys: Array) -> Any:
            keys = jax.random.wrap_key_data(keys, dtype=key)
            state, values = spread(bare.dress(leaves), (settings.dress(fixed), batch, keys), ())
            return bare.strip(state), values

        self._update = jax.jit(update_all, donate_argnums=(1,))

    def advance(self, states: TrainState, n: int) -> tuple[TrainState, np.ndarray, np.ndarray]:
        """At most n iterations: fewer where the environment fails on the way. What was done until then is given, since
        the states before it are no more (they were donated), and the failure is raised when asked to go on."""
        if self.failed is not None:
            raise self.failed
        first = int(np.asarray(states.iteration)[0])
        sums: Any = None
        counts: Any = None
        leaves, obs, carry = self._bare.strip(_inner(states)), jax.device_get(states.obs), states.carry
        for i in range(n):
            row = (first + i) // self.window - first // self.window
            try:
                leaves, obs, carry, values = self._iterate(leaves, obs, carry)
            except EnvError as failure:
                self.failed = failure
                if i == 0:
                    raise
                break
            if sums is None:
                sums = np.zeros((self.members, self.rows, values.shape[1]), np.float32)
                counts = np.zeros_like(sums)
            known = np.isfinite(values)
            sums[:, row] += np.where(known, values, 0.0)
            counts[:, row] += known
        obs, carry = place((obs, carry), self.members)
        return dataclasses.replace(self._bare.dress(leaves), obs=obs, carry=carry), sums, counts

    def _iterate(self, leaves: list[Array], obs: Any, carry: Any) -> tuple[list[Array], Any, Any, np.ndarray]:
        """One iteration from the states (stripped), what is observed, and what the policy remembers."""
        T, fold = self.learner.rollout, (self.members, self.spec.num_envs)
        policy, learning, keys = self._ready(self._fixed, leaves)
        start = self._start
        rows: list[list[np.ndarray]] = []  # leaves of a Transition; the module itself is made once, at the end
        for t in range(T):
            action, extras, carry = self._act(policy, obs, carry, start, keys, t)
            action = jax.tree.map(np.asarray, action)
            flat = action.reshape(-1, *action.shape[2:])
            before = time.perf_counter()
            s = self.host.step(flat)
            self.env_seconds += time.perf_counter() - before
            new_obs, reward, terminated, truncated, final_obs = _parts(s, fold)
            parts = (obs, action, reward, terminated, truncated, final_obs, extras)
            columns, structure = jax.tree_util.tree_flatten(parts)
            rows.append(columns)
            obs, start = new_obs, terminated | truncated
        self._start = start
        stacked = [np.stack([np.asarray(x) for x in column], axis=1) for column in zip(*rows, strict=True)]
        batch = Transition(*jax.tree_util.tree_unflatten(structure, stacked))  # (S, T, N, …)
        settle = getattr(self.host, "settle", None)
        if settle is not None and (late := settle()) is not None:  # what a person said of these steps, (T, S·N)
            batch = eqx.tree_at(lambda b: b.reward, batch, np.moveaxis(late.reshape(T, *fold), 0, 1))
        if sharding(self.members) is not None:
            batch = place(batch, self.members)
        leaves, values = self._update(self._fixed, leaves, batch, learning)
        return leaves, obs, carry, np.asarray(values)

    def snapshot(self) -> Any:
        """JSON-able: what `restore` needs to bring the environments back, or None where they cannot be."""
        if self.failed is not None:  # it stands in the middle of an iteration, if it stands at all
            return None
        envs = self.host.snapshot()
        return None if envs is None else {"envs": envs, "start": self._start.tolist()}

    def new_episodes(self, states: TrainState) -> TrainState:
        """The states with fresh episodes in every environment: what is left where they cannot be restored."""
        obs = self._open(int(np.asarray(states.iteration)[0]))
        self._start = np.ones_like(self._start)
        tally = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), states.tally)
        states = eqx.tree_at(lambda s: (s.obs, s.tally), states, place((obs, tally), self.members))
        whole = lambda x: isinstance(x, Replay | ReturnScale)
        cut = jax.tree.map(_cut, (states.learner, states.reward, states.truth), is_leaf=whole)
        return eqx.tree_at(lambda s: (s.learner, s.reward, s.truth), states, cut, is_leaf=lambda x: x is None)

    def restore(self, snapshot: Any) -> None:
        self.host.restore(snapshot["envs"])
        self._start = np.asarray(snapshot["start"], bool)

    def close(self) -> None:
        if hasattr(self, "host"):
            self.host.close()


class _Bare:
    """A tree as a list of arrays, and back; typed keys as the numbers they are.

    A compiled function is called with such a list at once. Handing it a state, which is a hundred modules and holds
    keys, takes Python 4 ms a step.
    """

    def __init__(self, tree: Any):
        leaves, self.structure = jax.tree.flatten(tree)
        # not `is_key`: a tree of shapes will do
        self.keys = [x.dtype if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else None for x in leaves]

    def strip(self, tree: Any) -> list[Array]:
        leaves = zip(jax.tree.leaves(tree), self.keys, strict=True)
        return [x if key is None else jax.random.key_data(x) for x, key in leaves]

    def dress(self, leaves: list[Array]) -> Any:
        keys = zip(leaves, self.keys, strict=True)
        dressed = [x if key is None else jax.random.wrap_key_data(x, dtype=key) for x, key in keys]
        return jax.tree.unflatten(self.structure, dressed)


def _inner(states: TrainState) -> TrainState:
    """What changes on the device alone."""
    return dataclasses.replace(states, obs=None, carry=None)


def _cut(x: Any) -> Any:
    """What comes next does not follow what was: a ring's newest row ends its episode, running returns begin anew."""
    if isinstance(x, ReturnScale):
        return ReturnScale(jnp.zeros_like(x.returns), x.moments)
    if not isinstance(x, Replay):
        return x
    seeds, last = np.arange(x.cursor.shape[0]), (x.cursor - 1) % x.rows
    ends = x.data.truncated.at[seeds, last].set(~x.data.terminated[seeds, last])
    return eqx.tree_at(lambda r: r.data.truncated, x, ends)


def _parts(s: Step, fold: tuple[int, int]) -> tuple[Any, ...]:
    """A host environment's answer (S·N, …) as (S, N, …), part by part."""
    split = lambda x: x.reshape(*fold, *x.shape[1:])
    if isinstance(s.obs, np.ndarray):  # the hot path: no tree to walk
        return tuple(split(x) for x in (s.obs, s.reward, s.terminated, s.truncated, s.final_obs))
    return tuple(jax.tree.map(split, x) for x in (s.obs, s.reward, s.terminated, s.truncated, s.final_obs))


def _stack(trees: list[Any]) -> Any:
    """Leaf by leaf, with a leading axis; in NumPy, so that nothing is compiled for it."""

    def stack(*x: Any) -> Any:
        if not eqx.is_array_like(x[0]):
            return x[0]
        if is_key(x[0]):
            return random.stack(x)
        return np.stack([np.asarray(y) for y in x])

    return jax.tree.map(stack, *trees)
