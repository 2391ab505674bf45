"""Procedure cloning: which expansion is learned, the loss by hand, and a maze worked out by a rule put in by hand."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, Discrete, EnvSpec, Transition
from operant.data.mazes import NOTHING, maze_demonstrations, random_mazes
from operant.errors import SpecError
from operant.learners.imitation.procedure_cloning import ProcedureCloning, drawn
from operant.testing import check_learner

KEY = jax.random.key(0)
DATA = maze_demonstrations(random_mazes(np.random.default_rng(0), 4, side=5))
SMALL = ProcedureCloning(channels=(6,), lr=0.01, batch=8)


def unread(_):
    raise AssertionError("procedure cloning asked for a reward")


def test_contract():
    rows = {"procedure": np.asarray(DATA.data.extras["procedure"])[None, :2]}
    check_learner(ProcedureCloning(channels=(4,), batch=2), DATA.spec, extras=rows)


def test_expansions_are_drawn_uniformly_with_the_map_before():
    one = np.stack([np.full((2, 2), v) for v in (0, 1, 2, -1)])
    before, after = drawn(jnp.asarray(np.tile(one[None], (3000, 1, 1, 1)), jnp.int8), 4, KEY)
    pairs = np.stack([before[:, 0, 0], after[:, 0, 0]], 1)
    found, counts = np.unique(pairs, axis=0, return_counts=True)
    assert found.tolist() == [[0, 1], [1, 2], [4, 0]]
    assert (abs(counts - 1000) < 130).all()


def test_the_loss_by_hand_and_that_it_falls():
    state = SMALL.init(DATA.spec, key=KEY)
    batch = jax.tree.map(lambda x: x[None, :8], DATA.data)
    update = jax.jit(lambda s, k: SMALL.update(s, batch, unread, key=k))
    new, metrics = update(state, KEY)
    before, after = drawn(batch.extras["procedure"][0], 4, KEY)
    logits = np.asarray(jax.vmap(state.network)(batch.obs[0], before), np.float64)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = -np.take_along_axis(log_p, np.asarray(after)[..., None], -1).mean()
    np.testing.assert_allclose(metrics["loss/policy"], expected, rtol=1e-5)
    for i in range(60):
        new, metrics = update(new, jax.random.fold_in(KEY, i))
    assert float(metrics["loss/policy"]) < 0.6 * expected
    assert jax.tree.structure(new) == jax.tree.structure(state)


def test_the_network_is_a_padded_convolution():
    state = SMALL.init(DATA.spec, key=KEY)
    obs = np.asarray(DATA.data.obs[0])
    labels = np.full((5, 5), NOTHING)
    x = np.concatenate([obs, np.eye(5)[labels]], -1)
    for i, (kernel, bias) in enumerate(zip(state.network.kernels, state.network.biases, strict=True)):
        wide = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        x = np.array(
            [[np.tensordot(wide[r : r + 3, c : c + 3], np.asarray(kernel), 3) for c in range(5)] for r in range(5)]
        ) + np.asarray(bias)
        x = np.maximum(x, 0) if i == 0 else x
    np.testing.assert_allclose(state.network(DATA.data.obs[0], jnp.asarray(labels)), x, atol=1e-5)


def test_acting_repeats_until_the_agent_knows():
    """A rule by hand in a corridor: a cell is labelled 3 (left) once its left neighbour is the goal or has a label."""
    spec = EnvSpec(Box((1, 5, 3), 0.0, 1.0), Discrete(4), None)
    learner = ProcedureCloning(channels=(), longest=10)
    state = learner.init(spec, key=KEY)
    kernel, bias = np.zeros((3, 3, 8, 5), np.float32), np.zeros(5, np.float32)
    kernel[1, 0, 1, 3] = kernel[1, 0, 3 + 3, 3] = 2.0  # left: goal channel, label 3
    bias[NOTHING] = 1.0
    by_hand = eqx.tree_at(lambda s: (s.network.kernels, s.network.biases), state, ((kernel,), (bias,)))
    act = jax.jit(lambda s, o: learner.policy(s)(o, (), key=None))
    obs = np.zeros((1, 5, 3), np.float32)
    obs[0, 0, 1] = obs[0, 3, 2] = 1.0
    action, extras, _ = act(by_hand, obs)
    assert (int(action), int(extras["expansions"])) == (3, 3)
    obs[..., 1] = 0.0  # no goal: it gives up
    assert int(act(by_hand, obs)[1]["expansions"]) == 10


def test_refusals():
    with pytest.raises(SpecError, match=r"expected observations Box\(\(H, W, C\)\)"):
        SMALL.init(EnvSpec(Box((3,)), Discrete(4), None), key=KEY)
    bare = Transition(**{**vars(jax.tree.map(lambda x: x[None, :8], DATA.data)), "extras": {}})
    with pytest.raises(SpecError, match=r'expected extras\["procedure"\]'):
        SMALL.update(SMALL.init(DATA.spec, key=KEY), bare, unread, key=KEY)
    with pytest.raises(SpecError, match=r"expected ProcedureCloning.batch ≥ 1"):
        ProcedureCloning(batch=0)
