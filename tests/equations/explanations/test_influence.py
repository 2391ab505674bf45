"""Influence: curvature against automatic differentiation, EK-FAC where it is exact, leaving out against the truth."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant import nn
from operant.core import Box, Discrete, EnvSpec
from operant.data.dataset import Dataset
from operant.data.segments import Answers, Pairs, Segments
from operant.dists import Categorical
from operant.errors import DataError, RunError, SpecError
from operant.explanations import Influence, Learned, leave_one_out
from operant.explanations._curvature import gauss_newton, kronecker, per_example
from operant.explanations._learned import loss_on, of_comparisons, of_demonstrations
from operant.explanations.influence import damping_of, settle
from operant.learners.bc import BC
from operant.rewards.preferences.bradley_terry import BradleyTerry

RNG = np.random.default_rng(0)


def cross_entropy(y, t):
    return -Categorical(y[0]).log_prob(t)


def squared(y, t):
    return 0.5 * ((y - t) ** 2).sum()


def classified(M=30, hidden=(6,), seed=0):
    rng = np.random.default_rng(seed)
    network = nn.mlp(rng, (3, *hidden, 3), activation="tanh")
    x = rng.normal(size=(M, 1, 3)).astype(np.float32)
    return Learned(network, jnp.asarray(x), jnp.asarray(rng.integers(3, size=M)), cross_entropy, 0.01)


def summed(M=20):
    """Each example asks the network four times, and its loss is of a sum: as a segment's return is."""
    network = nn.mlp(np.random.default_rng(1), (2, 5, 1), activation="tanh")
    loss = lambda y, t: jax.nn.softplus(-t * y.sum())
    x, t = RNG.normal(size=(M, 4, 2)).astype(np.float32), RNG.choice([-1.0, 1.0], M).astype(np.float32)
    return Learned(network, jnp.asarray(x), jnp.asarray(t), loss)


def whole(learned):
    """The Gauss-Newton matrix, example by example."""
    flat, back = learned.flat()

    @jax.jit
    def one(x, t):
        outputs = lambda v: jax.vmap(back(v))(x).reshape(-1)
        J = jax.jacfwd(outputs)(flat)
        return J.T @ jax.hessian(lambda y: learned.loss(y.reshape(len(x), -1), t))(outputs(flat)) @ J

    return np.mean([np.asarray(one(learned.inputs[m], learned.targets[m]), float) for m in range(learned.size)], 0)


@pytest.mark.parametrize("learned", [classified(), summed()], ids=["classified", "summed"])
def test_the_gauss_newton_matrix(learned):
    np.testing.assert_allclose(gauss_newton(learned), whole(learned), atol=1e-5)


@pytest.mark.parametrize("learned", [classified(), summed()], ids=["classified", "summed"])
def test_the_eigenvalues_are_second_moments_in_the_basis(learned):
    G, at = whole(learned), 0
    for layer in kronecker(learned):
        i, o = layer.eigenvalues.shape
        block = G[at : at + i * o, at : at + i * o]
        basis = np.kron(layer.inner, layer.outer)  # columns: (a, s), row-major as weights are
        np.testing.assert_allclose(np.diag(basis.T @ block @ basis), layer.eigenvalues.ravel(), atol=1e-5)
        np.testing.assert_allclose(basis.T @ basis, np.eye(i * o), atol=1e-8)
        v = RNG.normal(size=(2, i, o))
        solved = basis @ ((basis.T @ v.reshape(2, -1).T).T / (layer.eigenvalues.ravel() + 0.1)).T
        np.testing.assert_allclose(layer.solve(v, 0.1).reshape(2, -1), solved.T, atol=1e-8)
        at += i * o
    assert damping_of(learned) == pytest.approx(0.1 * np.trace(G) / len(G), rel=1e-4)


def test_factors_are_exact_for_one_linear_layer_and_squared_error():
    """There the curvature is E[āāᵀ] ⊗ I: what EK-FAC and K-FAC assume."""
    network = nn.mlp(np.random.default_rng(3), (3, 2))
    x, t = RNG.normal(size=(15, 1, 3)), RNG.normal(size=(15, 1, 2))
    learned = Learned(network, jnp.asarray(x, jnp.float32), jnp.asarray(t, jnp.float32), squared)
    query = lambda net: net(jnp.ones(3))[0]
    exact = Influence("gauss_newton", 0.05)(learned, query)
    for curvature in ("ekfac", "kfac", "hessian"):
        np.testing.assert_allclose(Influence(curvature, 0.05)(learned, query), exact, atol=1e-4)
    a = np.column_stack([x[:, 0], np.ones(15)])
    H = np.kron(a.T @ a / 15, np.eye(2)) + 0.05 * np.eye(8)
    g = np.kron(np.array([1.0, 1, 1, 1]), [1.0, 0.0])
    error = np.asarray(jax.vmap(network)(learned.inputs[:, 0]), float) - t[:, 0]
    each = np.einsum("mi,mo->mio", a, error).reshape(15, -1)
    np.testing.assert_allclose(exact, -each @ np.linalg.solve(H, g), atol=1e-4)


def test_influence_is_its_formula():
    learned = classified()
    flat, back = learned.flat()
    query = lambda net: Categorical(net(jnp.ones(3))).log_prob(jnp.asarray(1))
    g = np.asarray(jax.grad(lambda v: query(back(v)))(flat), float)
    each = np.asarray(per_example(learned), float)
    np.testing.assert_allclose(Influence("none")(learned, query), -each @ g, atol=1e-4)
    G = whole(learned)
    inverse = np.linalg.inv(G + (0.01 + 0.1 * np.trace(G) / len(G)) * np.eye(len(G)))
    exact = Influence("gauss_newton")(learned, query)
    np.testing.assert_allclose(exact, -each @ inverse @ g, rtol=1e-3, atol=1e-4)
    both = lambda net: Categorical(net(jnp.ones(3))).log_probs()[:2]
    np.testing.assert_allclose(Influence("gauss_newton")(learned, both)[:, 1], exact, rtol=1e-3, atol=1e-5)
    itself = Influence("gauss_newton").of_itself(learned)
    np.testing.assert_allclose(itself, np.einsum("mp,pq,mq->m", each, inverse, each), rtol=1e-3)
    H = np.asarray(jax.hessian(lambda v: learned.losses(back(v)).mean())(flat), float)
    values, vectors = np.linalg.eigh(H)
    H = (vectors * np.maximum(values, 0)) @ vectors.T + 0.51 * np.eye(len(H))
    np.testing.assert_allclose(
        Influence("hessian", 0.5)(learned, query), -each @ np.linalg.solve(H, g), rtol=1e-3, atol=1e-4
    )


def test_chunks_change_nothing(monkeypatch):
    learned, query = classified(), lambda net: net(jnp.ones(3))[0]
    before = Influence()(learned, query)
    monkeypatch.setattr("operant.explanations._curvature.CHUNK", 7)
    np.testing.assert_allclose(Influence()(learned, query), before, rtol=1e-4, atol=1e-5)


def test_leaving_one_out_of_ridge_regression():
    """A linear network and squared error: the optimum without an example is known."""
    network = nn.mlp(np.random.default_rng(3), (2, 1))
    M, decay = 12, 0.1
    x, t = RNG.normal(size=(M, 1, 2)), RNG.normal(size=(M, 1, 1))
    learned = settle(Learned(network, jnp.asarray(x, jnp.float32), jnp.asarray(t, jnp.float32), squared, decay))
    a = np.column_stack([x[:, 0], np.ones(M)])
    best = lambda w: np.linalg.solve(a.T @ (w[:, None] * a) / M + decay * np.eye(3), a.T @ (w * t[:, 0, 0]) / M)
    np.testing.assert_allclose(np.asarray(learned.flat()[0]), best(np.ones(M)), atol=1e-5)
    query = lambda net: net(jnp.array([1.0, 0.0]))[0]
    without = [best((np.arange(M) != m).astype(float)) @ [1, 0, 1] - best(np.ones(M)) @ [1, 0, 1] for m in range(M)]
    found = leave_one_out(learned, query, range(M), tolerance=1e-7)
    np.testing.assert_allclose(found, without, atol=1e-5)
    predicted = -Influence("hessian", 0.0)(learned, query) / M
    assert np.corrcoef(predicted, found)[0, 1] > 0.99  # what is left is of second order in 1/M
    np.testing.assert_allclose(predicted, found, atol=0.5 * np.abs(found).max())


def test_the_proximal_response_is_what_influence_linearises():
    learned = classified(M=400, seed=2)
    query, lam = lambda net: Categorical(net(jnp.ones(3))).log_prob(jnp.asarray(1)), damping_of(classified(400, seed=2))
    response = leave_one_out(learned, query, range(20), proximal=lam)
    linear = -Influence("gauss_newton", lam)(learned, query)[:20] / 400
    assert np.corrcoef(response, linear)[0, 1] > 0.999
    np.testing.assert_allclose(response, linear, atol=0.1 * np.abs(linear).max())


# --- what ours learned from -----------------------------------------------------------------------------------------


def demonstrations(action):
    n = 40
    spec = EnvSpec(Box((3,)), action, 10)
    obs = RNG.normal(size=(n, 3)).astype(np.float32)
    wanted = (obs[:, 0] > 0).astype(np.int32) if isinstance(action, Discrete) else obs[:, :2]
    return Dataset.from_numpy(
        spec, obs=obs, action=wanted, reward=np.zeros(n), terminated=np.arange(n) % 10 == 9, next_obs=obs
    )


@pytest.mark.parametrize("action", [Discrete(2), Box((2,), -4.0, 4.0)], ids=["discrete", "box"])
def test_a_cloned_policy_and_its_demonstrations(action):
    data = demonstrations(action)
    bc = BC(hidden=(8,), normalise_obs=True)
    policy = bc.policy(bc.init(data.spec, key=jax.random.key(0)))
    learned = of_demonstrations(policy, data)
    dist = jax.vmap(policy.network.distribution)(jax.vmap(policy.normaliser)(data.data.obs), data.data.obs)
    choice = data.data.action if isinstance(action, Discrete) else data.data.action / 4.0
    np.testing.assert_allclose(
        np.asarray(learned.losses(learned.network)), -np.asarray(dist.log_prob(choice)), rtol=1e-4
    )
    assert float(loss_on(policy, data)(learned.network)) == pytest.approx(
        float(-dist.log_prob(choice).mean()), rel=1e-4
    )
    assert np.isfinite(Influence()(learned, loss_on(policy, data))).all()
    with pytest.raises(SpecError, match=r"expected demonstrations with the policy's spaces"):
        of_demonstrations(policy, demonstrations(Discrete(5)))


def test_a_reward_model_and_its_answers():
    spec, L, n = EnvSpec(Box((2,)), Discrete(2), 100), 3, 12
    reward = BradleyTerry(hidden=(8,), members=2, segment=L, capacity=20, pool=64, steps=5)
    state = reward.init(spec, key=jax.random.key(0))
    from operant.core import Transition

    def side():
        steps = Transition(
            jnp.asarray(RNG.normal(size=(n, L, 2)), jnp.float32), jnp.asarray(RNG.integers(2, size=(n, L)), jnp.int32),
            jnp.zeros((n, L)), jnp.zeros((n, L), bool), jnp.zeros((n, L), bool),
            jnp.asarray(RNG.normal(size=(n, L, 2)), jnp.float32), {},
        )  # fmt: skip
        return Segments(steps, jnp.ones((n, L), bool))

    with pytest.raises(DataError, match=r"expected answers that the reward learned from; there are none"):
        of_comparisons(reward, state)
    pairs, yes = Pairs(side(), side()), jnp.ones(n, bool)
    target = jnp.asarray(RNG.integers(2, size=n), jnp.float32)
    teach = eqx.filter_jit(reward.teach)
    state, _ = teach(state, Answers(pairs, jnp.arange(n), target, yes, yes), key=jax.random.key(1))
    learned, rows = of_comparisons(reward, state, member=1)
    assert rows.tolist() == [i for i in range(n) if i % 10 != 9]
    margin = np.asarray(reward._margin(state.networks, state.normaliser, pairs))[1]
    chance = lambda m: 0.9 / (1 + np.exp(-m)) + 0.05
    t = np.asarray(target)
    expected = -(t * np.log(chance(margin)) + (1 - t) * np.log(chance(-margin)))
    np.testing.assert_allclose(np.asarray(learned.losses(learned.network)), expected[rows], rtol=1e-4)
    assert Influence().of_itself(learned).shape == rows.shape
    with pytest.raises(SpecError, match=r"expected 0 ≤ member < 2"):
        of_comparisons(reward, state, member=2)


def test_refusals():
    learned, query = classified(), lambda net: net(jnp.ones(3))[0]
    with pytest.raises(SpecError, match=r"expected Influence.curvature in"):
        Influence("fisher")
    with pytest.raises(DataError, match=r"expected inputs \(M, T, 3\) and targets"):
        Learned(learned.network, learned.inputs[:, 0], learned.targets, cross_entropy)
    with pytest.raises(DataError, match=r"expected a finite gradient of the query"):
        Influence()(learned, lambda net: jnp.sqrt(net(jnp.ones(3))[0] * 0.0))
    wide = Learned(nn.mlp(RNG, (3, 2000, 3)), learned.inputs, learned.targets, cross_entropy)
    with pytest.raises(SpecError, match=r"expected at most 6000 parameters for curvature 'gauss_newton'; got 14003"):
        Influence("gauss_newton")(wide, query)
    with pytest.raises(SpecError, match=r"expected at most 6000 parameters to train again"):
        leave_one_out(wide, query, [0])
    with pytest.raises(RunError, match=r"expected training without an example to settle in 3 steps"):
        leave_one_out(learned, query, [0], steps=3)
    with pytest.raises(SpecError, match=r"expected a policy cloned by BC with components=1"):
        bc = BC(hidden=(8,), components=2)
        data = demonstrations(Box((2,), -4.0, 4.0))
        of_demonstrations(bc.policy(bc.init(data.spec, key=jax.random.key(0))), data)
