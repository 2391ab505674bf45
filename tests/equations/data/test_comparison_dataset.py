"""Stored comparisons: what is drawn, what a real store gives, what survives a file, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, Composite, Discrete, EnvSpec, Transition
from operant.data.comparison_dataset import ComparisonDataset
from operant.data.comparisons import Store
from operant.data.dataset import Dataset
from operant.data.segments import Pairs, Segments
from operant.errors import DataError, RunError
from operant.rewards.preferences.bradley_terry import BradleyTerry
from operant.teachers import Answer

KEY = jax.random.key(0)
SPEC = EnvSpec(Box((2,)), Discrete(3), 10, name="small")
OWN = np.array([[1, 1, 1], [1, 1, 0], [1, 1, 1], [1, 0, 0]], bool)
ANSWERS = [Answer.left, Answer.right, Answer.tie, Answer.unsure]


def side(first, mask=OWN, junk=np.nan):
    """Segments whose observations say pair, side and step; what is not their own is junk."""
    m, length = mask.shape
    number = first + 100 * np.arange(m)[:, None] + np.arange(length)[None]
    obs = np.stack([number, -number], -1).astype(np.float64)
    obs[~mask] = junk
    ends = np.zeros(mask.shape, bool)
    ends[np.arange(m), mask.sum(1) - 1] = mask.sum(1) < length
    action = (np.arange(m)[:, None] + np.arange(length)[None]) % 3
    action = np.where(mask, action, 7)
    reward = np.where(mask, number, junk)
    return Segments(Transition(obs, action, reward, ends, np.zeros_like(ends), obs + 1, {}), mask)


def pairs(**kwargs):
    return Pairs(side(0, **kwargs), side(10, **kwargs))


@pytest.fixture(scope="module")
def data():
    return ComparisonDataset.from_pairs(pairs(), ANSWERS, SPEC, origin="by hand", licence="CC0")


def test_what_is_kept(data):
    assert (data.size, data.length) == (4, 3)
    assert data.target.tolist() == [0.0, 1.0, 0.5, 0.5] and data.known.tolist() == [True, True, True, False]
    left = data.pairs.left
    np.testing.assert_array_equal(left.mask, OWN)
    np.testing.assert_array_equal(left.steps.obs[1, :, 0], [100, 101, 0])  # what is not its own is zero
    assert left.steps.obs.dtype == jnp.float32 and left.steps.action.dtype == jnp.int32
    assert (data.source.origin, data.source.licence, len(data.source.sha256)) == ("by hand", "CC0", 64)
    same = ComparisonDataset.from_pairs(pairs(junk=5.0), ANSWERS, SPEC)
    assert same.source.sha256 == data.source.sha256  # nor does it count
    targets = ComparisonDataset.from_pairs(pairs(), np.array([0.0, 1.0, 0.5, 1.0]), SPEC, data.known)
    assert targets.source.sha256 == data.source.sha256  # a target that is not known says nothing
    other = ComparisonDataset.from_pairs(pairs(), [Answer.right, *ANSWERS[1:]], SPEC)
    assert other.source.sha256 != data.source.sha256


def test_sample_is_uniform_and_holds_both_sides(data):
    batch = jax.jit(lambda d, k: d.sample(8000, k))(data, KEY)
    assert batch.obs.shape == (8000, 2, 3, 2) and batch.done.shape == (8000, 2, 3)
    pair = np.asarray(batch.obs[:, 0, 0, 0]).astype(int) // 100
    np.testing.assert_allclose(np.bincount(pair, minlength=4) / 8000, 1 / 4, atol=0.02)
    np.testing.assert_array_equal(batch.obs[:, 1, 0, 0], 100 * pair + 10)  # the right one comes second
    np.testing.assert_array_equal(batch.extras["mask"], np.stack([OWN[pair]] * 2, 1))
    np.testing.assert_array_equal(batch.extras["target"], np.asarray(data.target)[pair])
    np.testing.assert_array_equal(batch.extras["known"], pair < 3)


def test_labelled_steps_and_answers(data):
    assert data.labelled.size == 3 and bool(data.labelled.known.all()) and data.labelled.target.tolist() == [0, 1, 0.5]
    steps = data.steps
    assert isinstance(steps, Dataset) and steps.size == 2 * OWN.sum() and steps.episodes == 8 and steps.longest == 3
    rows = np.asarray(steps.data.obs[:, 0])
    np.testing.assert_array_equal(
        rows, [0, 1, 2, 100, 101, 200, 201, 202, 300, 10, 11, 12, 110, 111, 210, 211, 212, 310]
    )
    ends = {101, 300, 111, 310}  # only where the episode ended: the others go on beyond what was stored
    np.testing.assert_array_equal(steps.data.terminated, [r in ends for r in rows])
    answers = data.answers
    assert answers.id.tolist() == [0, 1, 2, 3] and answers.given.all() and answers.known.tolist() == data.known.tolist()
    reward = BradleyTerry(hidden=(4,), members=1, segment=3, capacity=8, pool=64)
    state, metrics = reward.teach(reward.init(SPEC, key=KEY), answers, key=KEY)
    assert int(metrics["preferences/answers"]) == 4 and state.comparisons.known.sum() == 3


def test_from_a_real_store(tmp_path):
    with Store(tmp_path / "labels.db") as store:
        first = store.ask(pairs(junk=0.0), member=0, env_steps=0)
        for answer in (Answer.left, Answer.right, Answer.unsure):
            question = store.lease("ann")
            store.answer(question.id, answer, labeller="ann", lease=question.lease, key=f"{answer}", seconds=1.0)
        data = ComparisonDataset.from_store(store, SPEC, licence="CC0")
        assert first == [1, 2, 3, 4] and data.known.tolist() == [True, True, False, False]
        assert data.target.tolist() == [0.0, 1.0, 0.5, 0.5]  # cannot tell; not answered
        by_hand = ComparisonDataset.from_pairs(pairs(), [Answer.left, Answer.right, Answer.unsure, Answer.unsure], SPEC)
        assert data.source.sha256 == by_hand.source.sha256 and data.source.origin == store.name
        assert store.undo("ann") == 3 and store.undo("ann") == 2
        question = store.lease("ann")
        store.answer(question.id, Answer.left, labeller="ann", lease=question.lease, key="again", seconds=1.0)
        again = ComparisonDataset.from_store(store, SPEC)  # the last answer stands
        assert (question.id, again.target.tolist()) == (2, [0.0, 0.0, 0.5, 0.5])
    with (
        Store(tmp_path / "empty.db") as store,
        pytest.raises(DataError, match=r"expected pairs in .*; it holds none"),
    ):
        ComparisonDataset.from_store(store, SPEC)


def test_save_and_load(data, tmp_path):
    loaded = ComparisonDataset.load(data.save(tmp_path / "small.operant"))
    assert loaded.source == data.source and loaded.spec == SPEC
    for a, b in zip(jax.tree.leaves(loaded), jax.tree.leaves(data), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(RunError, match="expected a dataset in"):
        Dataset.load(tmp_path / "small.operant")
    with pytest.raises(RunError, match="expected stored comparisons in"):
        ComparisonDataset.load(data.steps.save(tmp_path / "steps.operant"))


def test_dicts_survive_too(tmp_path):
    spec = EnvSpec(Composite((("a", Box((2,))), ("b", Discrete(4)))), Box((1,), -1.0, 1.0), 10)
    x, no = np.ones((2, 3), np.float32), np.zeros((2, 3), bool)
    obs = {"a": np.ones((2, 3, 2)), "b": np.full((2, 3), 3)}
    one = Segments(Transition(obs, x[..., None], x, no, no, obs, {}), ~no)
    data = ComparisonDataset.from_pairs(Pairs(one, one), [0, 1], spec)
    loaded = ComparisonDataset.load(data.save(tmp_path / "dicts.operant"))
    assert loaded.source == data.source and loaded.sample(5, KEY).obs["b"].shape == (5, 2, 3)


def change(part, value):
    """Pairs whose left side has another `part`."""
    left = side(0, np.ones((4, 3), bool))
    fields = {"mask": left.mask, **vars(left.steps)} | {part: value}
    mask = fields.pop("mask")
    return Pairs(Segments(Transition(**fields), mask), side(10, np.ones((4, 3), bool)))


NOT_A_NUMBER = np.full((4, 3, 2), np.nan)
ENDED = np.array([[0, 1, 0]] + [[0, 0, 0]] * 3, bool)
CONTINUOUS = EnvSpec(Box((2,)), Box((), -1.0, 2.0), 10)


@pytest.mark.parametrize(
    ("given", "said", "spec", "text"),
    [
        (Pairs(side(0), side(0, OWN[:2])), ANSWERS, SPEC, r"two masks of one shape.*left \(4, 3\) and right \(2"),
        (pairs(), [0.0, 1.0], SPEC, r"expected 4 targets, the probabilities 0, 0.5 or 1 .* got float64 \(2,\)"),
        (pairs(), [0.0, 1.0, 0.3, 0.0], SPEC, r"got float64 \(4,\), \[0.3\] among them"),
        (pairs(), [0, 1, 2, 4], SPEC, r"expected answers, each one of \['left \(0\)', .* got 0 … 4"),
        (change("obs", NOT_A_NUMBER), ANSWERS, SPEC, r"expected finite left.obs; 12 of 12 rows hold NaN"),
        (change("action", np.full((4, 3), 3)), ANSWERS, SPEC, r"expected left.action in 0 … 2; got 3 … 3"),
        (change("reward", np.zeros((4, 2))), ANSWERS, SPEC, r"left.reward of the mask's shape \(4, 3\); got \(4, 2\)"),
        (change("obs", np.zeros((4, 2, 2))), ANSWERS, SPEC, r"of left to begin with .* \(4, 3\).* \(4, 2, 2\)"),
        (change("mask", OWN[:, ::-1]), ANSWERS, SPEC, r"own steps first and at least one; got bool, 2 of 4 without"),
        (change("terminated", ENDED), ANSWERS, SPEC, r"end where its episode does; left 0 goes on after it \(1 such"),
        (change("action", np.full((4, 3), 2.1)), ANSWERS, CONTINUOUS, r"within -1.0 … 2.0; 12 numbers .* 2.1"),
    ],
)  # fmt: skip
def test_refusals(given, said, spec, text):
    with pytest.raises(DataError, match=text):
        ComparisonDataset.from_pairs(given, said, spec)


def test_more_refusals():
    with pytest.raises(DataError, match=r"expected known to be 4 booleans, one a pair; got int64 \(4,\)"):
        ComparisonDataset.from_pairs(pairs(), np.zeros(4), SPEC, known=[1, 0, 1, 1])
    with pytest.raises(DataError, match="expected at least one pair whose answer is known; none of 4 has one"):
        _ = ComparisonDataset.from_pairs(pairs(), [3, 3, 3, 3], SPEC).labelled
