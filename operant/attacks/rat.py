"""RAT: an adversary that learns to move what a policy sees so that it behaves as somebody wishes.

Three networks. An *intention policy* π_θ shows the wish: any policy here, in the paper one trained by a reward that
was learned from preferences (`BradleyTerry`), with its critic Q. An *adversary* ν_α gives u = tanh(…) ∈ [−1, 1]ⁿ. A
*weighting* h_ω(s) = 1 + tanh(…) ∈ (0, 2) says which states of the replay count. With π∘ν the victim that is shown
s + ε σ ⊙ ν(s):

    inner:   α ← argmin  E_{s∼B} h_ω(s) KL(π∘ν_α(· | s) ‖ π_θ(· | s))
    outer:   ω ← argmax  E_{s∼B} Q(s, π∘ν_α′(s)),   α′(ω) = α − η ∇_α E[h_ω KL]

The outer gradient goes through one inner step. B is filled by episodes that begin with the attacked victim and pass to
the intention at a random step.

Reference: Bai, Liu, Du, Wen and Yang 2025, RAT: Adversarial Attacks on Deep Reinforcement Agents for Targeted
Behaviors, AAAI, 2412.10713; checked against the authors' code (ChangWinde/RAT, `train_RAT_mani.py`, `bi_level`).
Deviations from the paper:
1. The intention is given, trained beforehand (`train(…, teacher=…)`), where the paper trains it meanwhile.
2. The outer gradient is autodiff's, per state; the authors' code takes the product of two batch means.
3. For continuous actions KL is that of normals of unit variance about the mean actions, in units of the box: half the
   squared difference. (The code: unit variance for the victim, the intention's own for the intention.)
4. ε bounds ℓ∞ of observations in units of their spread; the authors' code bounds ℓ1, in the environment's units.

>>> from operant.envs.toy import Pendulum
>>> from operant.loops.audit import FunctionPolicy
>>> env = Pendulum(max_steps=20)
>>> still, push = (FunctionPolicy(env.spec, f) for f in (lambda s: s[2:] * 0.5, lambda s: jnp.ones(1)))
>>> rat = RAT(steps=200, rounds=1, lr=1e-2, batch=16).taught(
...     still, env, push, lambda s, a: a[0], epsilon=1.0, scale=jnp.array([0.0, 0.0, 2.0]), key=jax.random.key(0))
>>> seen, _ = rat.perturb(still, jnp.zeros(3), (), 1.0, jnp.array([0.0, 0.0, 2.0]), key=jax.random.key(0))
>>> bool(seen[2] > 1.0)
True
"""

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from operant import nn
from operant.attacks import AbstractAttack, Attacked
from operant.attacks._victim import Numbers, distribution
from operant.core import AbstractEnv, AbstractHostEnv, AbstractPolicy, Action, Card, Carry, EnvSpec, Obs
from operant.dists import Categorical, Normal, TanhNormal
from operant.errors import SpecError, check_counts
from operant.loops.rollout import evaluate
from operant.math import random

Value = Callable[[Obs, Action], Float[Array, ""]]
"""Q(s, a) of the intention, one observation and one action."""


class Net(eqx.Module):
    """tanh of an MLP of standardised numbers, in [−1, 1]ᵏ."""

    body: nn.MLP
    mean: Float[Array, " n"]
    spread: Float[Array, " n"]

    def __call__(self, x: Float[Array, " n"]) -> Float[Array, " k"]:
        return jnp.tanh(self.body((x - self.mean) / self.spread))


class RAT(AbstractAttack):
    """A learned attack towards a behaviour (see the module's docstring); `taught` first."""

    hidden: tuple[int, ...] = (64, 64)
    """Units of each hidden layer, of adversary and weighting."""
    lr: float = 1e-3
    """η: Adam's step size for the adversary, and of the inner step that the outer gradient goes through."""
    weight_lr: float = 1e-3
    """Adam's step size for the weighting."""
    batch: int = 256
    """States a step."""
    steps: int = 500
    """Inner steps a round."""
    outer_every: int = 10
    """Inner steps between outer ones; 0: every state counts alike, without a weighting."""
    rounds: int = 6
    """How often new episodes are run, attacked by what was learned so far."""
    episodes: int = 16
    """Episodes of each kind a round; all of them are kept."""
    adversary: Net | None = None
    """What was learned."""

    card: ClassVar[Card] = Card(
        "Bai et al. 2025, RAT: Adversarial Attacks on Deep Reinforcement Agents for Targeted Behaviors",
        "2412.10713",
        "robustness",
        ("env", "comparisons"),
    )

    def __check_init__(self) -> None:
        check_counts(self, "batch", "steps", "rounds", "episodes")
        if self.outer_every < 0:
            raise SpecError(f"expected RAT.outer_every ≥ 0, 0 for no weighting; got {self.outer_every}.")

    def push(
        self, policy: AbstractPolicy, shown: Callable[[Array], Obs], n: int, carry: Carry, *, key: PRNGKeyArray
    ) -> Float[Array, " n"]:
        """Raises SpecError before anything was learned."""
        if self.adversary is None:
            raise SpecError("expected an adversary that has learned; this RAT has not. Call taught(victim, env, …).")
        return self.adversary(Numbers(policy.spec.obs).flat(shown(jnp.zeros(n))))

    def taught(
        self,
        victim: AbstractPolicy,
        env: AbstractEnv | AbstractHostEnv,
        intention: AbstractPolicy,
        value: Value,
        *,
        epsilon: float,
        scale: Obs,
        key: PRNGKeyArray,
    ) -> "RAT":
        """This, having learned to drive `victim` in `env` to what `intention` does, with a ball of radius `epsilon`.

        Args:
            value: Q(s, a) of the intention, which the weighting maximises.
            scale: σ of each number of an observation (`scale_of`).

        Raises:
            SpecError: policies with memory; a victim without a gradient (see `distribution`).
        """
        if victim.remembers:
            raise SpecError("expected a victim without memory, for states are learned from in any order.")
        numbers, keys = Numbers(victim.spec.obs), random.children(key, 2 * self.rounds + 1)
        rng = nn.generator(keys[-1])
        spread = np.asarray(numbers.flat(scale))
        spread = np.where(spread > 0.0, spread, 1.0)
        net = lambda k: Net(
            nn.mlp(rng, (numbers.size, *self.hidden, k), final_scale=0.01), jnp.zeros(numbers.size), jnp.asarray(spread)
        )
        adversary, weighting = net(numbers.size), net(1)
        adams = tuple(nn.zeros_init(optax.scale_by_adam(), nn.flat_size(x)) for x in (adversary, weighting))
        state, seen = (adversary, weighting, *adams), []
        learn, limit = _learn(self, victim, intention, value), env.spec.max_steps or 1000
        for i in range(self.rounds):
            now = eqx.tree_at(lambda a: a.adversary, self, state[0], is_leaf=lambda x: x is None)
            hand_over = _HandOver(env.spec, Attacked(victim, now, epsilon, scale), intention, limit)
            ran = evaluate(hand_over, env, episodes=self.episodes, key=keys[2 * i], deterministic=False)
            mask = np.asarray(ran.mask)
            seen.append(jax.tree.map(lambda x, m=mask: np.asarray(x)[m], ran.transitions.obs))
            size = sum(len(jax.tree.leaves(x)[0]) for x in seen)
            # room for all there may be, so that one program serves every round
            room = max(size, self.rounds * self.episodes * limit)
            pool = jax.tree.map(lambda *x, r=room: _padded(np.concatenate(x), r), *seen)
            state, _ = learn(state, pool, jnp.asarray(size), jnp.asarray(epsilon, jnp.float32), scale, keys[2 * i + 1])
        return eqx.tree_at(lambda a: a.adversary, self, state[0], is_leaf=lambda x: x is None)

    def gap(
        self, adversary: Net, victim: AbstractPolicy, intention: AbstractPolicy, obs: Obs, epsilon: Any, scale: Obs
    ) -> tuple[Float[Array, ""], Any]:
        """KL(π∘ν(· | s) ‖ π_θ(· | s)) at one state, and the victim's own answer to what it is shown."""
        numbers = Numbers(victim.spec.obs)
        true = numbers.flat(obs)
        shown = numbers.back(obs, true + epsilon * numbers.flat(scale) * adversary(true))
        answer = distribution(victim, shown, victim.init_carry())
        wish = distribution(intention, obs, intention.init_carry())
        if isinstance(answer, Categorical) and isinstance(wish, Categorical):
            return answer.kl(jax.lax.stop_gradient(wish)), answer
        wished = jnp.clip(jax.lax.stop_gradient(_unit(wish)), -1.0, 1.0)
        return 0.5 * jnp.square(_unit(answer) - wished).sum(), answer

    def learn(
        self, state: Any, pool: Obs, size: Any, epsilon: Any, scale: Obs, victim: AbstractPolicy,
        intention: AbstractPolicy, value: Value, key: PRNGKeyArray,
    ) -> tuple[Any, Float[Array, " steps"]]:  # fmt: skip
        """`steps` inner steps, and their outer ones, on the first `size` states of a pool (M, …): the new state (the
        two networks, Adam's two states), and the weighted KL before each step; pure."""
        numbers = Numbers(victim.spec.obs)
        flat = jax.vmap(numbers.flat)

        def weighted(adversary: Net, weighting: Net, obs: Obs) -> Float[Array, ""]:
            gaps = jax.vmap(lambda o: self.gap(adversary, victim, intention, o, epsilon, scale)[0])(obs)
            return ((1.0 + jax.vmap(weighting)(flat(obs))[:, 0]) * gaps).mean()

        def wanted(adversary: Net, obs: Obs) -> Float[Array, ""]:
            def one(o: Obs) -> Float[Array, ""]:
                answer = self.gap(adversary, victim, intention, o, epsilon, scale)[1]
                if isinstance(answer, Categorical):
                    n = answer.logits.shape[-1]
                    return (answer.probs() * jax.vmap(lambda a: value(o, a))(jnp.arange(n))).sum()
                return value(o, _action(victim.spec.action, _unit(answer)))

            return jax.vmap(one)(obs).mean()

        def outer(weighting: Net, adversary: Net, obs: Obs) -> tuple[Float[Array, ""], tuple[()]]:
            vector, unflatten = nn.flatten(adversary)
            moved = vector - self.lr * jax.grad(lambda v: weighted(unflatten(v), weighting, obs))(vector)
            return -wanted(unflatten(moved), obs), ()

        def step(state: Any, now: Any) -> tuple[Any, Float[Array, ""]]:
            adversary, weighting, adam, weight_adam = state
            i, index = now
            obs = jax.tree.map(lambda x: x[index], pool)
            if self.outer_every:

                def reweigh(pair: Any) -> Any:
                    new, adam, _ = nn.descend(pair[0], pair[1], lambda w: outer(w, adversary, obs), self.weight_lr)
                    return new, adam

                pair = (weighting, weight_adam)
                weighting, weight_adam = jax.lax.cond(i % self.outer_every == 0, reweigh, lambda p: p, pair)
            inner = lambda a: (now := weighted(a, weighting, obs), now)
            adversary, adam, gap = nn.descend(adversary, adam, inner, self.lr)
            return (adversary, weighting, adam, weight_adam), gap

        index = jax.random.randint(key, (self.steps, self.batch), 0, size)
        return jax.lax.scan(step, state, (jnp.arange(self.steps), index))


@functools.cache
def _jitted() -> Any:
    return eqx.filter_jit(lambda rat, *given: rat.learn(*given))


def _learn(rat: RAT, victim: AbstractPolicy, intention: AbstractPolicy, value: Value) -> Callable:
    step = _jitted()
    return lambda state, pool, size, epsilon, scale, key: step(
        rat, state, pool, size, epsilon, scale, victim, intention, value, key
    )


def _padded(x: np.ndarray, room: int) -> Array:
    return jnp.asarray(np.concatenate([x, np.zeros((room - len(x), *x.shape[1:]), x.dtype)]))


class _HandOver(AbstractPolicy):
    """The attacked victim up to a random step of each episode, the intention from there on."""

    spec: EnvSpec = eqx.field(static=True)
    victim: Attacked
    intention: AbstractPolicy
    limit: int = eqx.field(static=True)

    def init_carry(self) -> Carry:
        return self.victim.init_carry(), self.intention.init_carry(), jnp.zeros((), jnp.int32), jnp.zeros(())

    def __call__(self, obs: Obs, carry: Carry, *, key: PRNGKeyArray | None) -> tuple[Action, dict[str, Any], Carry]:
        first, second, t, share = carry
        assert key is not None
        keys = jax.random.split(key, 3)
        share = jnp.where(t == 0, jax.random.uniform(keys[2]), share)
        a, _, first = self.victim(obs, first, key=keys[0])
        b, _, second = self.intention(obs, second, key=keys[1])
        return jnp.where(t < share * self.limit, a, b), {}, (first, second, t + 1, share)


def _unit(dist: Any) -> Float[Array, " d"]:
    """The mean action in units of the box, differentiable: a normal's is not clipped, lest its gradient vanish."""
    if isinstance(dist, TanhNormal):
        return jnp.tanh(dist.mean)
    assert isinstance(dist, Normal)
    return dist.mean


def _action(space: Any, unit: Float[Array, " d"]) -> Action:
    if not space.bounded:
        return unit.reshape(space.shape)
    low, high = space.bounds()
    return low + (jnp.clip(unit, -1.0, 1.0).reshape(space.shape) + 1.0) * (0.5 * (high - low))
