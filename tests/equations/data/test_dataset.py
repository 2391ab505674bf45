"""Datasets: what is drawn, what survives a file, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, Composite, Discrete, EnvSpec
from operant.data.dataset import Dataset
from operant.envs.toy import GridWorld
from operant.errors import DataError, RunError, SpecError
from operant.io import checkpoint
from operant.learners.bc import BC
from operant.loops.rollout import evaluate

KEY = jax.random.key(0)
SPEC = EnvSpec(Box((2,)), Discrete(3), 10, name="small")
LENGTHS = (4, 1, 3)


def columns():
    """Eight rows in episodes of 4, 1 and 3 steps; the first observation says the row, the last episode is cut off."""
    rows = np.arange(8)
    obs = np.stack([rows, rows % 3], 1).astype(np.float64)
    ends = np.isin(rows, [3, 4])
    return {
        "obs": obs,
        "action": rows % 3,
        "reward": -rows.astype(np.float32),
        "terminated": ends & (rows == 3),
        "truncated": ends & (rows == 4),
        "next_obs": obs + 1,
        "extras": {"log_prob": rows / 2.0},
    }


@pytest.fixture(scope="module")
def data():
    return Dataset.from_numpy(SPEC, **columns(), origin="by hand", licence="CC0")


def test_columns_and_episodes(data):
    assert data.size == 8 and data.episodes == 3 and data.longest == 4
    assert data.episode.tolist() == [0, 0, 0, 0, 1, 2, 2, 2]
    assert data.data.obs.dtype == jnp.float32 and data.data.action.dtype == jnp.int32
    assert (data.source.origin, data.source.licence, len(data.source.sha256)) == ("by hand", "CC0", 64)
    other = columns()
    other["reward"][0] = 1.0
    assert Dataset.from_numpy(SPEC, **other).source.sha256 != data.source.sha256
    given = columns() | {"episode": np.array([7, 7, 7, 7, 2, 5, 5, 5])}
    assert Dataset.from_numpy(SPEC, **given).source.sha256 == data.source.sha256  # numbers of episodes are only names


def test_sample_is_uniform_over_rows(data):
    batch = data.sample(8000, KEY)
    rows = np.asarray(batch.obs[:, 0]).astype(int)
    np.testing.assert_allclose(np.bincount(rows, minlength=8) / 8000, 1 / 8, atol=0.015)
    np.testing.assert_array_equal(batch.reward, -rows)
    np.testing.assert_array_equal(batch.extras["log_prob"], rows / 2)


@pytest.mark.parametrize(("length", "starts"), [(1, range(8)), (3, [0, 1, 5]), (4, [0])])
def test_segments_never_cross_an_episode(data, length, starts):
    segments = jax.jit(lambda d, k: d.segments(3000, length, k))(data, KEY)
    rows = np.asarray(segments.obs[..., 0]).astype(int)
    assert rows.shape == (3000, length)
    np.testing.assert_array_equal(rows, rows[:, :1] + np.arange(length)[None])
    share = np.bincount(rows[:, 0], minlength=8) / 3000
    np.testing.assert_allclose(share[list(starts)], 1 / len(starts), atol=0.04)
    assert share[list(starts)].sum() == pytest.approx(1)


def test_save_and_load(data, tmp_path):
    loaded = Dataset.load(data.save(tmp_path / "small.operant"))
    assert loaded.source == data.source and loaded.spec == SPEC and loaded.longest == 4
    for a, b in zip(jax.tree.leaves(loaded), jax.tree.leaves(data), strict=True):
        np.testing.assert_array_equal(a, b)
    path = tmp_path / "small.operant"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(RunError, match="the file was altered or damaged"):
        Dataset.load(path)
    checkpoint.save(path, {"x": np.zeros(1)}, {})
    with pytest.raises(RunError, match=r"expected a dataset in .*small.operant; it holds something else"):
        Dataset.load(path)


def test_from_episodes_leaves_padding_out():
    env = GridWorld()
    learner = BC(hidden=(4,))
    policy = learner.policy(learner.init(env.spec, key=KEY))
    episodes = evaluate(policy, env, episodes=3, key=KEY, deterministic=False)
    data = Dataset.from_episodes(episodes, env.spec, origin="GridWorld")
    mask = np.asarray(episodes.mask)
    assert data.size == mask.sum() and data.episodes == 3
    np.testing.assert_array_equal(np.bincount(data.episode), episodes.lengths)
    np.testing.assert_array_equal(data.data.action, np.asarray(episodes.transitions.action)[mask])
    assert list(data.data.extras) == ["log_prob"]


def test_dict_observations(tmp_path):
    spec = EnvSpec(Composite((("a", Box((2,))), ("b", Discrete(8)))), Box((1,), -1.0, 1.0), None)
    given = columns() | {"obs": {"a": columns()["obs"], "b": np.arange(8)}, "action": np.zeros((8, 1))}
    data = Dataset.from_numpy(spec, **(given | {"next_obs": given["obs"]}))
    loaded = Dataset.load(data.save(tmp_path / "dict.operant"))
    assert loaded.sample(5, KEY).obs["b"].shape == (5,) and loaded.source == data.source
    with pytest.raises(DataError, match=r"expected obs to be a dict with \['a', 'b'\]; 'b' is not in \['a'\]"):
        Dataset.from_numpy(spec, **(given | {"obs": {"a": columns()["obs"]}}))


def broken(name, change):
    given = columns()
    given[name] = change(given[name])
    return given


def poke(value):
    def change(x):
        x = x.copy()
        x[2] = value
        return x

    return change


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (broken("obs", poke(np.nan)), r"expected finite obs; 1 of 8 rows hold NaN or infinity, the first is row 2"),
        (broken("reward", poke(np.inf)), r"expected finite reward; 1 of 8 rows"),
        (broken("extras", lambda _: {"x": np.full(8, np.nan)}), r"expected finite extras\['x'\]; 8 of 8 rows"),
        (
            broken("extras", lambda _: {"x": np.zeros(3)}),
            r"expected extras\['x'\] to be numbers \(8, …\); got float64 \(3",
        ),
        (broken("next_obs", lambda x: x[:7]), r"expected 8 rows of next_obs, as many as of reward; got shape \(7, 2\)"),
        (broken("terminated", lambda x: x[:7]), r"expected terminated and truncated of one shape \(M,\); got \(7,\)"),
        (broken("reward", lambda x: x[:0]), r"expected at least one transition; got reward of shape \(0,\)"),
        (broken("obs", lambda x: x[:, :1]), r"expected obs of shape \(8, …\) with … = \(2,\); got \(8, 1\)"),
        (broken("action", lambda x: x + 0.5), r"expected action to hold int32; got float64. Cast it on purpose"),
        (broken("obs", lambda x: x.astype(str)), r"expected obs to hold float32; got <U"),
        (broken("terminated", lambda x: x.astype(int)), r"expected terminated to hold bool; got int64"),
        (broken("action", poke(3)), r"expected action in 0 … 2; got 0 … 3"),
        (columns() | {"episode": np.array([0, 0, 0, 0, 1, 0, 0, 0])}, r"together; 3 blocks share 2 numbers"),
        (columns() | {"episode": np.zeros(8, int)}, r"episode 0 goes on after row 3 \(2 such rows\)"),
        (columns() | {"episode": np.zeros(3, int)}, r"expected episode to be 8 whole numbers.*got int64 \(3,\)"),
    ],
)
def test_refusals(given, text):
    with pytest.raises(DataError, match=text):
        Dataset.from_numpy(SPEC, **given)


def test_segments_longer_than_any_episode(data):
    with pytest.raises(SpecError, match="expected 1 ≤ length ≤ 4, the longest episode; got 5"):
        data.segments(2, 5, KEY)


def test_windows_end_anywhere_and_never_cross_a_start(data):
    drawn = data.windows(4000, 3, KEY)
    rows, mask = np.asarray(drawn.obs[..., 0]).astype(int), np.asarray(drawn.extras["mask"])
    np.testing.assert_allclose(np.bincount(rows[:, -1], minlength=8) / 4000, 1 / 8, atol=0.02)  # as `sample` draws
    first = np.array([0, 0, 0, 0, 4, 5, 5, 5])[rows[:, -1]]
    want = rows[:, -1:] + np.arange(-2, 1)
    np.testing.assert_array_equal(mask, want >= first[:, None])
    np.testing.assert_array_equal(rows, np.maximum(want, first[:, None]))
    np.testing.assert_array_equal(drawn.extras["log_prob"], rows / 2)
    with pytest.raises(SpecError, match="expected length ≥ 1; got 0"):
        data.windows(2, 0, KEY)


def test_relabelled_goals_lie_ahead_in_the_same_episode(data):
    drawn = data.relabelled(20_000, KEY)
    row, goal = (np.asarray(x[:, 0]).astype(int) for x in (drawn.obs, drawn.extras["goal"]))
    later = goal - 1 - row  # next_obs is the row's number and 1
    left = np.array([4, 3, 2, 1, 1, 3, 2, 1])[row]
    assert (later >= 0).all() and (later < left).all()
    np.testing.assert_allclose(np.bincount(later[row == 0], minlength=4) / (row == 0).sum(), 0.25, atol=0.03)
    drawn = data.relabelled(20_000, KEY, length=2, stop=0.5)
    row, goal = np.asarray(drawn.obs[:, -1, 0]).astype(int), np.asarray(drawn.extras["goal"][:, 0]).astype(int)
    later = (goal - 1 - row)[row == 0]
    np.testing.assert_allclose(np.bincount(later, minlength=4) / len(later), [0.5, 0.25, 0.125, 0.125], atol=0.03)
    assert drawn.obs.shape == (20_000, 2, 2) and drawn.extras["mask"].shape == (20_000, 2)
    with pytest.raises(SpecError, match="expected 0 < stop ≤ 1; got 2"):
        data.relabelled(2, KEY, stop=2.0)
    with pytest.raises(SpecError, match="expected 0 < stop ≤ 1; got 0"):
        data.relabelled(2, KEY, stop=0)
    rows = data.sample(50, KEY, rows=True)
    np.testing.assert_array_equal(rows.extras["row"], rows.obs[:, 0])
    np.testing.assert_array_equal(rows.obs, data.sample(50, KEY).obs)


@pytest.mark.parametrize(
    ("space", "x"),
    [
        (Box((), 0, 255, "uint8"), np.array([300, 1], np.uint16)),
        (Box((), 0, 9, "int32"), np.array([2**32 + 5, 1])),
        (Box(()), np.array([1e300, 1.0])),
    ],
)
def test_numbers_that_do_not_fit_their_dtype_are_not_wrapped(space, x):
    steps = {"action": np.zeros(2, int), "reward": np.zeros(2), "terminated": np.array([False, True])}
    with pytest.raises(DataError, match=r"expected obs to hold what fits .* \(1 such numbers\)"):
        Dataset.from_numpy(EnvSpec(space, Discrete(2), None), obs=x, next_obs=x, **steps)


@pytest.mark.parametrize("x", [np.array([1_700_000_000_000]), np.array([1e300]), np.array([2**31])])
def test_extras_that_do_not_fit_are_not_wrapped(x):
    with pytest.raises(DataError, match=r"expected extras\['t'\] to fit"):
        Dataset.from_numpy(
            EnvSpec(Box((1,)), Discrete(2), None), obs=np.zeros((1, 1)), action=[0], reward=[0.0], terminated=[True],
            next_obs=np.zeros((1, 1)), extras={"t": x},
        )  # fmt: skip
