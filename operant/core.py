"""Every data type and abstract class of Operant, in one file.

Spaces and `EnvSpec` are hashable descriptions; `Step`, `Transition`, and all states are pytrees of arrays;
`AbstractEnv`, `AbstractPolicy`, `AbstractReward`, `AbstractLearner` and `AbstractAudit` are Equinox modules whose
*fields are their configuration*. Everything that runs is a pure function of its arguments: keys are arguments,
never state. Only `operant.loops` calls `jit`, `vmap` or donates.
Axes: seeds S · time T · environments N · the shape of one thing.
"""

import abc
import dataclasses
import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from operant.errors import SpecError

Obs = PyTree[Array]
Action = PyTree[Array]
Carry = PyTree[Array]
Metrics = dict[str, Array]  # family/name -> scalar

# --- spaces ---------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Box:
    """Arrays of one shape and dtype between two bounds. Source: Gymnasium's `Box`.

    `low` and `high` are one number, or a flat tuple with one number an element; `names`, where given, name the
    elements of a one-dimensional box, so that reward programs can ask for them.

    >>> Box((2,), -1.0, 1.0).contains(np.zeros(2, np.float32))
    True
    """

    shape: tuple[int, ...]
    low: float | tuple[float, ...] = -float("inf")
    high: float | tuple[float, ...] = float("inf")
    dtype: str = "float32"
    names: tuple[str, ...] = ()

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """`(low, high)`, each of this shape."""
        full = lambda x: np.broadcast_to(np.asarray(x, self.dtype), (self.size,)).reshape(self.shape)
        return full(self.low), full(self.high)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    @property
    def bounded(self) -> bool:
        return all(bool(np.isfinite(b).all()) for b in self.bounds())

    def contains(self, x: Any) -> bool:
        x = np.asarray(x)
        low, high = self.bounds()
        return x.shape == self.shape and bool(np.all(x >= low) and np.all(x <= high))

    def sample(self, key: PRNGKeyArray) -> Array:
        """Uniform where bounded; standard normal where not."""
        low, high = self.bounds()
        if not self.bounded:
            return jax.random.normal(key, self.shape).astype(self.dtype)
        if self.dtype == "float32":
            return jax.random.uniform(key, self.shape, minval=low, maxval=high)
        return jax.random.randint(key, self.shape, low.astype(int), high.astype(int) + 1).astype(self.dtype)

    def zero(self) -> np.ndarray:
        return np.zeros(self.shape, self.dtype)


@dataclasses.dataclass(frozen=True)
class Discrete:
    """The integers 0 … n−1. Source: Gymnasium's `Discrete` (with `start` 0)."""

    n: int

    def contains(self, x: Any) -> bool:
        x = np.asarray(x)
        return x.shape == () and np.issubdtype(x.dtype, np.integer) and 0 <= int(x) < self.n

    def sample(self, key: PRNGKeyArray) -> Array:
        return jax.random.randint(key, (), 0, self.n)

    def zero(self) -> np.ndarray:
        return np.zeros((), np.int32)


@dataclasses.dataclass(frozen=True)
class Composite:
    """Named spaces side by side; observations are dicts. A Gymnasium tuple becomes the names "0", "1", ….

    An entry named `action_mask` (a Box of n zeros and ones) masks a Discrete action.
    """

    spaces: tuple[tuple[str, "Space"], ...]

    def contains(self, x: Any) -> bool:
        return isinstance(x, Mapping) and all(name in x and s.contains(x[name]) for name, s in self.spaces)

    def sample(self, key: PRNGKeyArray) -> dict[str, Any]:
        keys = jax.random.split(key, len(self.spaces))
        return {name: s.sample(k) for (name, s), k in zip(self.spaces, keys, strict=True)}

    def zero(self) -> dict[str, Any]:
        return {name: s.zero() for name, s in self.spaces}


Space = Box | Discrete | Composite


@dataclasses.dataclass(frozen=True)
class EnvSpec:
    """What a learner may know of an environment before it runs."""

    obs: Space
    action: Box | Discrete
    max_steps: int | None
    """Steps after which an episode is truncated; None: never."""
    num_envs: int = 1
    """Environments stepped side by side, N; the loop fills this in before `learner.init`."""
    name: str = ""
    fixed_horizon: bool = False
    """Whether nothing ends an episode before `max_steps`, so that all are of one length; False: perhaps not."""


# --- data -----------------------------------------------------------------------------------------------------------


class Step(eqx.Module):
    """What an environment answers. `obs` is already reset if the episode ended; `final_obs` is the true successor."""

    obs: Obs
    reward: Float[Array, "*B"]
    terminated: Bool[Array, "*B"]
    truncated: Bool[Array, "*B"]
    final_obs: Obs


class Transition(eqx.Module):
    """One step as learners, rewards and audits see it: *B is () for one, (M,) for a minibatch, (T, N) for a rollout.

    `next_obs` is the true successor, also where the episode ended. `terminated` stops bootstrapping; `truncated` does
    not. `extras` is what the policy said of its choice (`log_prob`, `value`, `carry`), and anything a dataset adds.
    """

    obs: Obs
    action: Action
    reward: Float[Array, "*B"]
    terminated: Bool[Array, "*B"]
    truncated: Bool[Array, "*B"]
    next_obs: Obs
    extras: dict[str, Any]

    @property
    def done(self) -> Bool[Array, "*B"]:
        """The episode ended here, for whichever reason."""
        return self.terminated | self.truncated


# --- environments ---------------------------------------------------------------------------------------------------


class EnvState(eqx.Module):
    """A JAX environment's state: its own, and the steps taken in this episode."""

    inner: PyTree[Array]
    t: Int[Array, ""]


class AbstractEnv(eqx.Module):
    """A JAX-native environment: unbatched, pure, and reset by `step` itself when an episode ends.

    A final class gives `spec` and the three functions `initial`, `advance`, `observe`; `reset` and `step`, which count
    time, truncate and reset, are written here once.
    """

    @property
    @abc.abstractmethod
    def spec(self) -> EnvSpec: ...

    @abc.abstractmethod
    def initial(self, *, key: PRNGKeyArray) -> PyTree[Array]:
        """Draw the state an episode starts from."""

    @abc.abstractmethod
    def advance(
        self, inner: PyTree[Array], action: Action, *, key: PRNGKeyArray
    ) -> tuple[PyTree[Array], Float[Array, ""], Bool[Array, ""]]:
        """`(next state, reward, terminated)`; knows nothing of time limits."""

    @abc.abstractmethod
    def observe(self, inner: PyTree[Array]) -> Obs: ...

    def render(self, inner: PyTree[Array]) -> np.ndarray:
        """RGB, uint8 (height, width, 3), without a display. Raises SpecError where a class draws nothing."""
        who = type(self).__name__
        raise SpecError(f"expected an environment that draws itself; {who} has no `render`. Ask for no clips.")

    def reset(self, *, key: PRNGKeyArray) -> tuple[EnvState, Obs]:
        inner = self.initial(key=key)
        return EnvState(inner, jnp.zeros((), jnp.int32)), self.observe(inner)

    def step(self, state: EnvState, action: Action, *, key: PRNGKeyArray) -> tuple[EnvState, Step]:
        advance_key, reset_key = jax.random.split(key)
        return self.step_into(state, action, self.initial(key=reset_key), key=advance_key)

    def step_into(
        self, state: EnvState, action: Action, fresh: PyTree[Array], *, key: PRNGKeyArray
    ) -> tuple[EnvState, Step]:
        """`step`, with the state drawn in advance that the next episode starts from, should this one end: loops draw
        those of a whole rollout at once, which on a CPU is most of the cost of a small environment."""
        inner, reward, terminated = self.advance(state.inner, action, key=key)
        t = state.t + 1
        limit = self.spec.max_steps
        truncated = jnp.zeros((), bool) if limit is None else t >= limit
        done = terminated | truncated
        choose = lambda a, b: jax.tree.map(lambda x, y: jnp.where(done, x, y), a, b)
        final_obs = self.observe(inner)
        obs = choose(self.observe(fresh), final_obs)
        step = Step(obs, jnp.asarray(reward, jnp.float32), terminated, truncated, final_obs)
        return EnvState(choose(fresh, inner), jnp.where(done, 0, t)), step


@runtime_checkable
class HostEnv(Protocol):
    """A batch of environments outside JAX (Gymnasium, a robot, a browser): stateful, NumPy, leading axis N.

    `reset` takes one seed, or several: then the batch is as many of equal size, each what its seed alone makes of it.
    `step` resets whatever ended and reports the true successor in `final_obs`, as `AbstractEnv.step` does.
    `snapshot` returns JSON-able values from which `restore` brings the batch to the same state, bit for bit (None: it
    cannot), and returns the observations that these would show.
    """

    spec: EnvSpec

    @property
    def num_envs(self) -> int: ...
    def reset(self, *, seed: int | Sequence[int]) -> Obs: ...
    def step(self, action: np.ndarray) -> Step: ...
    def snapshot(self) -> list | None: ...
    def restore(self, snapshot: list) -> Obs: ...
    def render(self) -> list[np.ndarray]: ...
    def close(self) -> None: ...


class AbstractHostEnv(eqx.Module):
    """The description of a host environment: its fields are its configuration, `open` starts it.

    It can be written into a study, copied and opened again, which a live environment cannot.
    """

    @property
    @abc.abstractmethod
    def spec(self) -> EnvSpec: ...

    @abc.abstractmethod
    def open(self, num_envs: int, *, render: bool = False) -> HostEnv: ...


# --- policies -------------------------------------------------------------------------------------------------------


class AbstractPolicy(eqx.Module):
    """Observation to action: unbatched; `key=None` is greedy; `carry=()` unless recurrent."""

    spec: eqx.AbstractVar[EnvSpec]

    @abc.abstractmethod
    def init_carry(self) -> Carry: ...

    @property
    def remembers(self) -> bool:
        """Whether a greedy action depends on more than this observation; noise in the carry does not count."""
        return bool(jax.tree.leaves(self.init_carry()))

    @abc.abstractmethod
    def __call__(self, obs: Obs, carry: Carry, *, key: PRNGKeyArray | None) -> tuple[Action, dict[str, Any], Carry]: ...

    def predict(
        self, obs: Any, state: Carry | None = None, episode_start: Any = None, deterministic: bool = True, *,
        key: PRNGKeyArray | None = None,
    ) -> tuple[np.ndarray, Carry]:  # fmt: skip
        """Stable-Baselines3's habit: NumPy observation, one or a batch, to `(action, state)`.

        Raises:
            SpecError: `deterministic=False` without a key (keys are arguments, never state).
            DataError: the observation's shape does not fit the policy's.
        """
        from operant.loops.rollout import predict  # loops own jit and vmap

        return predict(self, obs, state, episode_start, deterministic, key)


# --- rewards and intents --------------------------------------------------------------------------------------------

RewardFn = Callable[[Transition], Float[Array, "*B"]]
RewardState = PyTree[Array]


class AbstractReward(eqx.Module):
    """What is wanted, as a number a step: task reward, shaping, bonus, learned model, goal distance, cost, program."""

    @property
    def reads_env_reward(self) -> bool:
        """Whether `batch.reward` matters. Where it does not, a NaN there must not reach the result."""
        return False

    @abc.abstractmethod
    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> RewardState: ...

    @abc.abstractmethod
    def __call__(self, state: RewardState, batch: Transition) -> Float[Array, "*B"]:
        """Reward of each transition; any leading axes *B."""

    @abc.abstractmethod
    def update(self, state: RewardState, batch: Transition, *, key: PRNGKeyArray) -> tuple[RewardState, Metrics]:
        """Learn from a rollout (T, N), once an iteration and before the learner does."""

    def shows(self, state: RewardState) -> Any:
        """A `Replay` of rows that learners from replay are to see as half of each minibatch; None: none. A reward made
        of others hands theirs on."""
        return None


class AbstractFixedReward(AbstractReward):
    """A reward with nothing to learn: a final class writes only `__call__`."""

    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> RewardState:
        return ()

    def update(self, state: RewardState, batch: Transition, *, key: PRNGKeyArray) -> tuple[RewardState, Metrics]:
        return state, {}


class Constraint(eqx.Module):
    """Keep the mean cost a step at or below a limit."""

    cost: AbstractReward
    """What must stay small, as a reward-like object (cost units a step)."""
    limit: float
    """Largest allowed mean cost a step (cost units)."""
    name: str = eqx.field(default="", static=True)
    """What metrics and reports call it; empty: its position."""


class Intent(eqx.Module):
    """What the user asked for; it heads every report."""

    reward: AbstractReward
    """What the learner maximises."""
    constraints: tuple[Constraint, ...] = ()
    """Costs to be kept below their limits while maximising."""
    statement: str = ""
    """The wish in words."""
    truth: AbstractReward | None = None
    """What success would be judged by, where that differs from the stated reward: measured, never learned from."""


# --- learners -------------------------------------------------------------------------------------------------------

LearnerState = PyTree[Array]


@dataclasses.dataclass(frozen=True)
class Card:
    """What a method is: where it comes from, what kind of thing it is, what it needs."""

    paper: str
    """Authors, year, title."""
    arxiv: str
    """arXiv id, or a DOI where there is none."""
    family: str
    needs: tuple[str, ...] = ()
    """Of "env", "dataset", "comparisons", "true_reward", "model", "discrete", "continuous"."""


class AbstractLearner(eqx.Module):
    """Turns transitions and a reward function into a better policy.

    `update` receives a rollout (T, N) with T = `rollout` and calls `reward` on whatever it learns from: an on-policy
    learner on the rollout, a replay learner on each minibatch. Replay is part of the state. A field
    may be an array with a leading axis K instead of a number: training then runs K settings at once.
    """

    rollout: eqx.AbstractVar[int]

    @abc.abstractmethod
    def init(self, spec: EnvSpec, *, key: PRNGKeyArray) -> LearnerState:
        """The state before any experience; runs outside jit. Raises SpecError if the spaces do not fit."""

    @abc.abstractmethod
    def policy(self, state: LearnerState) -> AbstractPolicy:
        """The policy to act with: exploring when called with a key, greedy with None."""

    @abc.abstractmethod
    def update(
        self, state: LearnerState, batch: Transition, reward: RewardFn, *, key: PRNGKeyArray
    ) -> tuple[LearnerState, Metrics]: ...


class Status(enum.IntEnum):
    """How one seed of a run stands."""

    running = 0
    done = 1
    stopped = 2
    """Interrupted with a usable checkpoint (Ctrl-C)."""
    non_finite = 3
    """A loss or parameter became NaN or infinite: this seed stopped there, with its last finite parameters."""
    env_failed = 4
    """The environment raised or broke its contract; what was learned until then is kept."""


# --- audits ---------------------------------------------------------------------------------------------------------


class Verdict(enum.StrEnum):
    """What a finding says. An audit that cannot conclude says `unknown`, never `holds`."""

    holds = "holds"
    concern = "concern"
    fails = "fails"
    unknown = "unknown"


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one audit found: a value with its interval, over n samples, against a limit, and why it is judged so."""

    name: str
    verdict: Verdict
    why: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    limit: float | None = None
    arrays: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    axes: tuple[str, str] = ("", "")
    """Words for `arrays["curve/x"]` and what is drawn over it: "curve/NAME", and a band of "…_low" and "…_high"."""


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is audited: anything that maps observations to actions, and what is known about it; one policy a seed."""

    policies: tuple[AbstractPolicy, ...]
    env: AbstractEnv | AbstractHostEnv | None = None
    intent: Intent | None = None
    reward_states: tuple[RewardState, ...] = ()
    truth_states: tuple[RewardState, ...] = ()
    history: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    """Training metrics (S, iterations), where there was training."""
    baseline: np.ndarray | None = None
    """Returns of what the subject is compared with, one a seed."""
    episodes: tuple[Any, ...] = ()
    """Greedy `Episodes` of each seed; `audit` runs them in `env` once for all audits."""
    control: Any = None
    """`Episodes` of a uniformly random policy, likewise."""
    base: Any = None
    """`Episodes` of the policy that the stated reward was judged good by; None: the random one's."""
    dataset: Any = None
    """The `Dataset` that was learned from, or is to be."""
    held_out: Any = None
    """A `Dataset` kept apart to test on."""
    document: str = ""
    """The path of its Reward Report."""
    name: str = ""

    def has(self) -> frozenset[str]:
        """Which needs of an audit this subject meets."""
        tells = lambda name: isinstance(self.env, AbstractEnv) and hasattr(self.env, name)
        truth, seeds = getattr(self.intent, "truth", None), max(len(self.policies), len(self.episodes))
        made = {"true_reward": truth is not None, "seeds": seeds > 1, "modes": tells("mode"), "model": tells("tables")}
        filled = {name: bool(getattr(self, name)) for name in ("history", "episodes", "document")}
        filled["policies"] = any(isinstance(policy, AbstractPolicy) for policy in self.policies)
        given = ("env", "intent", "baseline", "control", "base", "dataset", "held_out")
        known = made | filled | {name: getattr(self, name) is not None for name in given}
        return frozenset(name for name, met in known.items() if met)


class AbstractAudit(eqx.Module):
    """A question about a subject, answered with a `Finding`. Knows nothing of our learners."""

    needs: ClassVar[frozenset[str]]
    """What of `Subject.has` it cannot do without; unmet needs make the finding `unknown`."""
    by_name: ClassVar[bool] = False
    """Whether a study asks it only by name: it runs much of its own, or few subjects have what it judges."""

    @abc.abstractmethod
    def __call__(self, subject: Subject, *, key: PRNGKeyArray) -> Finding: ...
