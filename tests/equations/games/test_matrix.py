"""Matrix games against their textbook payoffs; the trembling hand against its probability."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.errors import SpecError
from operant.games import MatrixGame, chicken, matching_pennies, prisoners_dilemma, stag_hunt

KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("game", "row", "column"),
    [
        (prisoners_dilemma(), [[3, 0], [5, 1]], [[3, 5], [0, 1]]),
        (stag_hunt(), [[4, 0], [3, 3]], [[4, 3], [0, 3]]),
        (chicken(), [[0, -1], [1, -10]], [[0, 1], [-1, -10]]),
        (matching_pennies(2.0), [[2, -2], [-2, 2]], [[-2, 2], [2, -2]]),
    ],
)
def test_payoffs(game, row, column):
    np.testing.assert_array_equal(game.payoffs[..., 0], row)
    np.testing.assert_array_equal(game.payoffs[..., 1], column)
    assert game.pay(jnp.int32(1), jnp.int32(0)).tolist() == [row[1][0], column[1][0]]


def test_a_slip_is_another_action_drawn_evenly():
    game = MatrixGame(jnp.zeros((4, 4, 2)), noise=0.3)
    done = np.asarray(jax.vmap(lambda k: game.tremble(jnp.int32(2), key=k))(jax.random.split(KEY, 6000)))
    share = np.bincount(done, minlength=4) / 6000
    np.testing.assert_allclose(share, [0.1, 0.1, 0.7, 0.1], atol=0.02)
    for noise, action in ((0.0, 0), (1.0, 1)):
        game = prisoners_dilemma(noise=noise)
        assert (jax.vmap(lambda k, g=game: g.tremble(jnp.int32(0), key=k))(jax.random.split(KEY, 50)) == action).all()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: MatrixGame(jnp.zeros((2, 3, 2))), r"shape \(A, A, 2\) with A ≥ 2; got \(2, 3, 2\)"),
        (lambda: MatrixGame(jnp.full((2, 2, 2), jnp.nan)), r"expected finite MatrixGame.payoffs"),
        (lambda: MatrixGame(jnp.zeros((2, 2, 2)), 1.5), r"expected 0 ≤ MatrixGame.noise ≤ 1, a probability; got 1.5"),
        (lambda: MatrixGame(jnp.zeros((2, 2, 2)), 0.0, 2), r"expected MatrixGame.cooperate in 0 … 1, or None; got 2"),
        (lambda: prisoners_dilemma(reward=6.0), r"expected temptation > reward > punishment > sucker"),
        (lambda: stag_hunt(hare=9.0), r"expected stag > hare > alone; got 4.0, 9.0, 0.0"),
        (lambda: chicken(tie=2.0), r"expected win > tie > lose > crash"),
        (lambda: matching_pennies(0.0), r"expected stake > 0; got 0.0"),
    ],
)
def test_refusals(make, text):
    with pytest.raises(SpecError, match=text):
        make()
