"""Spaces, observations and actions cross from Gymnasium as the table in `operant.envs.spaces` says."""

import numpy as np
import pytest
from gymnasium import spaces as gs

from operant.core import Box, Composite, Discrete
from operant.envs import spaces
from operant.errors import EnvError


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, np.int64, np.uint8])
def test_a_flat_box_of_any_number_becomes_float32(dtype):
    space = gs.Box(0, 100, (3,), dtype)
    assert spaces.from_gymnasium(space) == Box((3,), 0.0, 100.0)
    got = spaces.convert(space, np.array([[1, 2, 3]], dtype))
    assert got.dtype == np.float32
    assert got.tolist() == [[1.0, 2.0, 3.0]]


def test_bounds_differ_by_element_and_float64s_limits_mean_none():
    space = gs.Box(np.array([-1.0, -np.finfo(np.float64).max]), np.array([1.0, 5.0]), dtype=np.float64)
    assert spaces.from_gymnasium(space) == Box((2,), (-1.0, -np.inf), (1.0, 5.0))


def test_an_image_stays_uint8():
    space = gs.Box(0, 255, (4, 4, 3), np.uint8)
    assert spaces.from_gymnasium(space) == Box((4, 4, 3), 0.0, 255.0, "uint8")
    assert spaces.convert(space, np.full((2, 4, 4, 3), 200, np.uint8)).dtype == np.uint8


def test_discrete_observations_are_shifted_by_start():
    space = gs.Discrete(5, start=-2)
    assert spaces.from_gymnasium(space) == Discrete(5)
    assert spaces.convert(space, np.array([-2, 2])).tolist() == [0, 4]


def test_multidiscrete_is_one_hot_one_after_the_other():
    space = gs.MultiDiscrete([3, 2], start=[1, 0])
    assert spaces.from_gymnasium(space) == Box((5,), 0.0, 1.0)
    assert spaces.convert(space, np.array([3, 0])).tolist() == [0, 0, 1, 1, 0]
    assert spaces.convert(space, np.array([[1, 1], [2, 0]])).tolist() == [[1, 0, 0, 0, 1], [0, 1, 0, 1, 0]]
    grid = gs.MultiDiscrete([[2, 2], [2, 3]])
    assert spaces.convert(grid, np.array([[0, 1], [1, 2]])).tolist() == [1, 0, 0, 1, 0, 1, 0, 0, 1]


def test_dicts_and_tuples_nest():
    space = gs.Tuple((gs.MultiBinary(2), gs.Dict(a=gs.Discrete(3, start=1), b=gs.Box(0, 1, (1,), np.float64))))
    inner = Composite((("a", Discrete(3)), ("b", Box((1,), 0.0, 1.0))))
    assert spaces.from_gymnasium(space) == Composite((("0", Box((2,), 0.0, 1.0)), ("1", inner)))
    got = spaces.convert(space, (np.array([1, 0], np.int8), {"a": 3, "b": np.array([0.5])}))
    assert got["0"].tolist() == [1.0, 0.0]
    assert (got["1"]["a"].tolist(), got["1"]["b"].dtype) == (2, np.float32)


@pytest.mark.parametrize(
    ("space", "obs"),
    [
        (gs.Box(0, 1, (2,), np.float32), np.zeros(2, np.float64)),
        (gs.Box(0, 1, (2,), np.float32), np.zeros(2, np.int64)),
        (gs.Box(0, 255, (2,), np.uint8), np.array([0, 255], np.int64)),
        (gs.Box(0, 1, (), np.float32), 0.5),
        (gs.Discrete(3), 2),
        (gs.Dict(a=gs.Discrete(2)), {"a": np.int64(1)}),
    ],
)
def test_harmless_differences_pass(space, obs):
    assert spaces.flaw(space, obs) is None


@pytest.mark.parametrize(
    ("space", "obs", "text"),
    [
        (gs.Box(0, 255, (2,), np.uint8), np.zeros(2), "dtype uint8; got dtype float64"),
        (gs.Box(0, 255, (2,), np.uint8), np.array([0, 256]), "dtype uint8; got dtype int64"),
        (gs.Box(0, 1, (2,)), np.zeros((2, 1), np.float32), r"shape \(2,\); got shape \(2, 1\)"),
        (gs.Box(0, 1, (2,)), None, r"shape \(2,\); got shape \(\)"),
        (gs.Discrete(3), 3, r"observation in Discrete\(3\); got 3"),
        (gs.Dict(a=gs.Discrete(2)), {"b": 1}, r"a dict of \['a'\]; got \['b'\]"),
        (gs.Tuple((gs.Discrete(2),)), (0, 1), "a tuple of 1; got 2 of them"),
        (gs.Dict(a=gs.Tuple((gs.Discrete(2),))), {"a": (2,)}, r"observation\['a'\]\[0\] in Discrete\(2\); got 2"),
    ],
)
def test_flaws_are_named_with_their_place(space, obs, text):
    import re

    assert re.search(text, spaces.flaw(space, obs))


def test_discrete_actions_are_shifted_to_start():
    act = spaces.Actions(gs.Discrete(3, start=1), 2, "'x'")
    assert act(np.array([0, 2], np.int32)).tolist() == [1, 3]


def test_continuous_actions_take_the_spaces_dtype_and_forgive_rounding_only():
    act = spaces.Actions(gs.Box(-0.4, 0.4, (1,), np.float64), 2, "'x'")
    got = act(np.array([[0.4], [-0.4]], np.float32))  # float32's 0.4 is above float64's
    assert (got.dtype, got.tolist()) == (np.float64, [[0.4], [-0.4]])
    with pytest.raises(EnvError, match=r"in \[-0.4, 0.4\]; got 0.40001 in environment 1, element \[0\]"):
        act(np.array([[0.0], [0.40001]], np.float32))


def test_rows_stack_and_are_placed_without_touching_the_batch():
    space = Composite((("a", Box((2,))), ("b", Discrete(4))))
    batch = spaces.stack(space, [{"a": np.ones(2), "b": np.int32(1)}, {"a": np.zeros(2), "b": np.int32(3)}])
    assert (batch["a"].shape, batch["a"].dtype, batch["b"].tolist()) == ((2, 2), np.float32, [1, 3])
    placed = spaces.place(batch, {0: {"a": np.full(2, 7.0), "b": np.int32(2)}})
    assert (placed["a"][0].tolist(), placed["b"].tolist()) == ([7.0, 7.0], [2, 3])
    assert batch["b"].tolist() == [1, 3]
    assert spaces.row(placed, 0)["b"] == 2


def test_non_finite_numbers_are_found():
    assert spaces.non_finite(np.zeros((2, 3), np.float32)) is None
    assert spaces.non_finite(np.zeros((2, 3), np.uint8)) is None
    obs = {"a": np.zeros((2, 1), np.float32), "b": np.array([[0.0, 1.0], [0.0, np.inf]], np.float32)}
    assert spaces.non_finite(obs) == (1, "['b'][1] = inf")
