"""BARFI from episodes: a softmax policy, linear in what is seen, and an implicit gradient through where it settles.

    L(θ, x) = mean Σ_j γ_φ^j ρ_j(θ) (r_φ,j − τ log π_θ(a_j|s_j)) − κ/2 |θ|²,   ρ_j = Π_{t ≤ j} π_θ(a_t|s_t)/π_D(a_t|s_t)
    θ ← θ + η ∂L/∂θ from episodes drawn anew each time;   dJ/dx = qᵀ ∂²L/∂θ∂x,   q = η Σ_{k < K} (I + ηH)^k ∂J/∂θ

x = (φ, logit γ_φ); H = ∂²L/∂θ², of which only products are formed: −H⁻¹ is its Neumann series. At θ_D the gradient of L
is REINFORCE with rewards to go.

Reference: Gupta et al. 2023, Behavior Alignment via Reward Function Optimization, 2310.19007 (eqs 6 to 9); Lorraine,
Vicol and Duvenaud 2020, Optimizing Millions of Hyperparameters by Implicit Differentiation, 1911.02590 (the series).
"""

import functools
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from operant.core import AbstractEnv, AbstractPolicy, Action, Box, Carry, Discrete, EnvSpec, Intent, Obs
from operant.errors import SpecError
from operant.rewards.terms import Terms


class LinearPolicy(AbstractPolicy):
    """π(a|o) ∝ exp((o, 1)·θ_a)."""

    spec: EnvSpec = eqx.field(static=True)
    theta: Float[Array, "d A"]

    def init_carry(self) -> Carry:
        return ()

    def __call__(self, obs: Obs, carry: Carry, *, key: PRNGKeyArray | None) -> tuple[Action, dict[str, Any], Carry]:
        logits = seen(obs) @ self.theta
        return jnp.argmax(logits) if key is None else jax.random.categorical(key, logits), {}, carry


def seen(obs: Array) -> Array:
    """The observation and a one."""
    return jnp.concatenate([obs, jnp.ones((*obs.shape[:-1], 1))], -1)


class Batch(NamedTuple):
    """Episodes, and the log probabilities they were drawn with."""

    features: Float[Array, "n T d"]
    actions: Float[Array, "n T"]
    rewards: Float[Array, "n T K"]
    """The primary reward, then the heuristics."""
    mask: Float[Array, "n T"]
    log_prob: Float[Array, "n T"]


def log_probs(theta: Array, batch: Batch) -> Float[Array, "n T"]:
    chosen = jax.nn.log_softmax(batch.features @ theta)
    return jnp.take_along_axis(chosen, batch.actions[..., None].astype(int), -1)[..., 0] * batch.mask


def lower(theta: Array, x: Array, batch: Batch, temperature: float, decay: float) -> Array:
    """L(θ, x)."""
    log_prob, discount = log_probs(theta, batch), jax.nn.sigmoid(x[-1])
    ratio = jnp.exp(jnp.cumsum(log_prob - batch.log_prob, -1))
    paid = batch.rewards @ x[:-1] - temperature * log_prob
    weight = (discount ** jnp.arange(batch.mask.shape[1]))[None] * batch.mask
    return (weight * ratio * paid).sum(-1).mean() - 0.5 * decay * (theta**2).sum()


def upper(theta: Array, batch: Batch, discount: float) -> Array:
    """J(θ), the primary return."""
    ratio = jnp.exp(jnp.cumsum(log_probs(theta, batch) - batch.log_prob, -1))
    weight = (discount ** jnp.arange(batch.mask.shape[1]))[None] * batch.mask
    return (weight * ratio * batch.rewards[..., 0]).sum(-1).mean()


@functools.partial(jax.jit, static_argnames="terms")
def implicit(
    theta: Array, x: Array, batch: Batch, fresh: Batch, discount: float, temperature: float, decay: float, lr: float,
    terms: int,
) -> Array:  # fmt: skip
    """dJ/dx by the Neumann series of `terms` products; `fresh` judges J."""
    slope = jax.grad(lower)
    product = lambda v: jax.jvp(lambda t: slope(t, x, batch, temperature, decay), (theta,), (v,))[1]
    v = jax.grad(upper)(theta, fresh, discount)

    def add(_: int, carry: Any) -> Any:
        v, q = carry
        return v + lr * product(v), q + v

    _, q = jax.lax.fori_loop(0, terms, add, (v, jnp.zeros_like(v)))
    return jax.grad(lambda y: (slope(theta, y, batch, temperature, decay) * lr * q).sum())(x)


def gather(env: AbstractEnv, intent: Intent, theta: Array, episodes: int, key: PRNGKeyArray) -> Batch:
    """Episodes of the policy, judged by the truth and each part of the stated reward."""
    from operant.loops.rollout import evaluate

    found = evaluate(LinearPolicy(env.spec, theta), env, episodes=episodes, key=key, deterministic=False)
    stated: Any = intent.reward
    names = sorted(stated.terms) if isinstance(stated, Terms) else []
    judges = [intent.truth, *([stated.terms[name] for name in names] or [stated])]
    paid = [jnp.where(found.mask, r(r.init(env.spec, key=key), found.transitions), 0.0) for r in judges]  # type: ignore[union-attr]
    mask = found.mask.astype(jnp.float32)
    batch = Batch(seen(found.transitions.obs), found.transitions.action, jnp.stack(paid, -1), mask, mask)
    return batch._replace(log_prob=log_probs(theta, batch))


class Climb(NamedTuple):
    """How the weights went."""

    x: np.ndarray
    """Of the best outer iterate: weights, then the logit of the discount."""
    value: float
    """Its primary return, discounted, without the price of looking far ahead."""
    weights: np.ndarray
    returns: np.ndarray
    """Primary return, discounted, of the policy at each outer iterate."""
    theta: np.ndarray
    """The last policy."""


@jax.jit
def climb(theta: Array, x: Array, batch: Batch, temperature: float, decay: float, lr: float) -> Array:
    """One inner step."""
    return theta + lr * jax.grad(lower)(theta, x, batch, temperature, decay)


def blend(designer: Any, env: AbstractEnv, intent: Intent, start: np.ndarray, key: PRNGKeyArray) -> Climb:
    """Inner and outer steps in turn. Raises SpecError for spaces that a linear softmax policy does not fit."""
    from operant.design._ascent import Adam

    spec = env.spec
    if not isinstance(spec.obs, Box) or len(spec.obs.shape) != 1 or not isinstance(spec.action, Discrete):
        raise SpecError(
            f"expected observations (d,) and discrete actions, for a linear softmax policy; got {spec.obs} and "
            f"{spec.action}."
        )
    theta, x, adam = jnp.zeros((spec.obs.shape[0] + 1, spec.action.n)), np.array(start), Adam(designer.lr)
    inner: Any = (designer.temperature, designer.inner_decay, designer.inner_lr)
    best, weights, returns = (-np.inf, x, np.nan), [], []
    for step in range(designer.steps + 1):
        for i in range(designer.inner_steps):
            batch = gather(env, intent, theta, designer.episodes, jax.random.fold_in(key, 2 * step * 1000 + i))
            theta = climb(theta, jnp.asarray(x, jnp.float32), batch, *inner)
        batch, fresh = (
            gather(env, intent, theta, designer.episodes, jax.random.fold_in(key, (2 * step + 1) * 1000 + i))
            for i in range(2)
        )
        value = float(upper(theta, fresh, designer.discount))
        weights, returns = [*weights, x[:-1]], [*returns, value]
        if value - designer.price / (1.0 + np.exp(-x[-1])) > best[0]:
            best = value - designer.price / (1.0 + np.exp(-x[-1])), x, value
        gradient = implicit(
            theta, jnp.asarray(x, jnp.float32), batch, fresh, designer.discount, *inner, designer.neumann
        )
        gradient = np.asarray(gradient, np.float64)
        far = 1.0 / (1.0 + np.exp(-x[-1]))
        gradient[-1] = (gradient[-1] - designer.price * far * (1.0 - far)) * designer.learn_discount
        x = x + adam(gradient)
    return Climb(best[1], best[2], np.array(weights), np.array(returns), np.asarray(theta))
