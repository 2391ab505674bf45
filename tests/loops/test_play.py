"""`play` against pairings computed by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Status
from operant.errors import SpecError
from operant.games import (
    AbstractPlayer,
    AllC,
    AllD,
    GrimTrigger,
    Pavlov,
    Random,
    TitForTat,
    matching_pennies,
    prisoners_dilemma,
)
from operant.loops.play import play

KEY = jax.random.key(0)
ALL = (AllC(), AllD(), TitForTat(), GrimTrigger(), Pavlov())


@pytest.fixture(scope="module")
def ten():
    return play(prisoners_dilemma(), ALL, rounds=10, repetitions=2, key=KEY)


def test_pairings_by_hand(ten):
    # ten rounds; AllD beats the reciprocators once and is then punished; Pavlov against AllD alternates 0 and 1
    expected = {
        ("AllC", "AllC"): 3.0,
        ("AllC", "AllD"): 0.0,
        ("AllD", "AllC"): 5.0,
        ("AllD", "AllD"): 1.0,
        ("AllD", "TitForTat"): (5 + 9 * 1) / 10,
        ("TitForTat", "AllD"): (0 + 9 * 1) / 10,
        ("GrimTrigger", "AllD"): 0.9,
        ("Pavlov", "AllD"): (5 * 0 + 5 * 1) / 10,
        ("AllD", "Pavlov"): (5 * 5 + 5 * 1) / 10,
        ("Pavlov", "TitForTat"): 3.0,
        ("GrimTrigger", "Pavlov"): 3.0,
    }
    for (a, b), value in expected.items():
        assert ten.payoff(a, b).value == pytest.approx(value, abs=1e-5)
    names = list(ten.names)
    assert ten.cooperation[names.index("TitForTat"), 1] == pytest.approx(0.1)
    assert ten.cooperation[names.index("Pavlov"), 1] == pytest.approx(0.5)
    assert (ten.cooperation[0] == 1).all() and (ten.cooperation[1] == 0).all()
    assert ten.score("AllD").value == pytest.approx((5 + 1 + 1.4 + 1.4 + 3) / 5, abs=1e-5)
    assert ten.score(1).low == pytest.approx(ten.score(1).high, abs=1e-6)  # nothing here is left to chance
    assert ten.status == Status.done and ten.rounds[-1] == 10
    assert ten.metrics["payoff/AllD"][-1] == pytest.approx(ten.score("AllD").value, abs=1e-5)
    order = [line.split()[0] for line in ten.table().splitlines()]  # 2.58, 2.58, 2.5, 2.4, 2.36
    assert order == ["TitForTat", "GrimTrigger", "Pavlov", "AllC", "AllD"]


def test_roles_differ_where_the_game_does():
    class Sides(AbstractPlayer):
        """Heads as row, tails as column."""

        def init(self, game, role, *, key):
            return jnp.int32(role)

        def act(self, state, *, key):
            return state

        def observe(self, state, own, other, payoff):
            return state

    t = play(matching_pennies(), (Sides(), AllC()), rounds=3, repetitions=2, key=KEY)
    # row Sides (heads) meets column AllC (heads): +1; row AllC (heads) meets column Sides (tails): +1 for the column
    assert t.payoff("Sides", "AllC").value == 1 and t.payoff("AllC", "Sides").value == -1
    assert t.payoff("Sides", "Sides").value == 0  # heads against tails: what row loses, column wins
    np.testing.assert_allclose(t.frequencies[0, 1], [0.5, 0.5])
    with pytest.raises(SpecError, match="expected a game with an action that is cooperation"):
        t.cooperation  # noqa: B018
    assert "cooperates" not in t.table()


def test_chance_noise_and_intervals():
    players = (Random(0.7), Random(0.2), AllC())
    t = play(prisoners_dilemma(noise=0.1), players, rounds=400, repetitions=20, twins=False, key=KEY)
    assert t.names == ("Random", "Random 2", "AllC")
    p = np.array([0.7, 0.2, 1.0]) * 0.9 + np.array([0.3, 0.8, 0.0]) * 0.1
    np.testing.assert_allclose(t.cooperation.mean(1), p, atol=0.02)
    row = np.array([[3, 0], [5, 1]])
    mix = np.stack([p, 1 - p], 1)
    expected = mix @ row @ mix.T
    np.testing.assert_allclose(t.payoffs.mean(2), expected, atol=0.08)
    score = t.score("Random 2")
    assert score.low < score.value < score.high and score.high - score.low < 0.1
    assert score.value == pytest.approx((expected[1, 0] + expected[1, 2]) / 2, abs=0.05)


def test_one_repetition_has_no_interval_and_one_key_one_result():
    one, two = (play(prisoners_dilemma(), (Random(),), rounds=9, repetitions=1, key=KEY) for _ in range(2))
    assert one.payoffs.shape == (1, 1, 1) and np.isnan(one.score(0).low)
    np.testing.assert_array_equal(one.payoffs, two.payoffs)
    np.testing.assert_array_equal(one.frequencies, two.frequencies)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"game": 3}, "expected game to be a MatrixGame; got int"),
        ({"players": ()}, "expected at least one AbstractPlayer in players; got none"),
        ({"players": (TitForTat,)}, "expected at least one AbstractPlayer in players; got <class"),
        ({"rounds": 0}, "expected rounds to be a whole number ≥ 1; got 0"),
        ({"repetitions": 1.5}, "expected repetitions to be a whole number ≥ 1; got 1.5"),
        ({"players": (AllC(),), "twins": False}, "expected at least two players with twins=False; got 1"),
    ],
)
def test_refusals(change, text):
    given = {"game": prisoners_dilemma(), "players": ALL, "rounds": 2} | change
    with pytest.raises(SpecError, match=text):
        play(given.pop("game"), given.pop("players"), **given, key=KEY)


def test_unknown_player(ten):
    with pytest.raises(SpecError, match=r"expected one of the players AllC, AllD.*got 'Tit'"):
        ten.score("Tit")
