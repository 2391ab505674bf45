"""Scripted players against the sequences they are defined by."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.errors import SpecError
from operant.games import AllC, AllD, GrimTrigger, MatrixGame, Pavlov, Random, TitForTat, prisoners_dilemma

KEY = jax.random.key(0)
OTHER = [0, 1, 1, 0, 0, 1, 0, 0]


def answers(player):
    """What a player does in rounds 0 … 8 against an opponent who plays OTHER."""
    state, done = player.init(prisoners_dilemma(), 0, key=KEY), []
    for other in [*OTHER, 0]:
        done.append(int(player.act(state, key=KEY)))
        state = player.observe(state, jnp.int32(done[-1]), jnp.int32(other), jnp.float32(0))
    return done


@pytest.mark.parametrize(
    ("player", "expected"),
    [
        (AllC(), [0, 0, 0, 0, 0, 0, 0, 0, 0]),
        (AllD(), [1, 1, 1, 1, 1, 1, 1, 1, 1]),
        (TitForTat(), [0, 0, 1, 1, 0, 0, 1, 0, 0]),
        (GrimTrigger(), [0, 0, 1, 1, 1, 1, 1, 1, 1]),
        (Pavlov(), [0, 0, 1, 0, 0, 0, 1, 1, 1]),
    ],
)
def test_answers(player, expected):
    assert answers(player) == expected


def test_random_cooperates_with_its_probability():
    acts = jax.vmap(lambda k: Random(0.3).act((), key=k))(jax.random.split(KEY, 4000))
    assert abs(float((np.asarray(acts) == 0).mean()) - 0.3) < 0.03
    assert {int(Random(p).act((), key=KEY)) for p in (0.0,)} == {1}
    assert {int(Random(p).act((), key=KEY)) for p in (1.0,)} == {0}


def test_refusals():
    with pytest.raises(SpecError, match=r"expected 0 ≤ Random.p ≤ 1, a probability; got 2.0"):
        Random(2.0)
    with pytest.raises(SpecError, match=r"expected a game of 2 actions for TitForTat.*this one has 3"):
        TitForTat().init(MatrixGame(jnp.zeros((3, 3, 2))), 0, key=KEY)
