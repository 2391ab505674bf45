"""Which rows keep their actions, which are prior data, and what a learner may read."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import Box, Discrete, EnvSpec, Transition
from operant.data import observed
from operant.data.dataset import Dataset
from operant.data.observed import joined, without_actions
from operant.errors import DataError, SpecError

KEY = jax.random.key(0)
PUSH = Box((2,), -1.0, 1.0)


def data(episodes=10, space=PUSH, extras=()):
    rows = 3 * episodes
    action = np.ones((rows, *space.zero().shape), space.zero().dtype)
    obs = np.arange(float(rows))[:, None]
    return Dataset.from_numpy(
        EnvSpec(Box((1,)), space, None), obs=obs, action=action, reward=np.zeros(rows), next_obs=obs + 1,
        terminated=np.arange(rows) % 3 == 2, extras={name: np.ones(rows) for name in extras}, licence="CC0",
    )  # fmt: skip


@pytest.mark.parametrize(("keep", "episodes"), [(0, 0), (3, 3), (0.0, 0), (0.05, 1), (0.3, 3), (1.0, 10)])
def test_whole_episodes_keep_their_actions(keep, episodes):
    seen = without_actions(data(), keep, key=KEY)
    labelled = np.asarray(seen.data.extras["labelled"])
    assert labelled.reshape(10, 3).all(1).sum() == episodes and labelled.sum() == 3 * episodes
    np.testing.assert_array_equal(seen.data.action, np.where(labelled[:, None], 1.0, 0.0) * np.ones((1, 2)))
    np.testing.assert_array_equal(seen.data.obs, data().data.obs)
    assert seen.source.licence == "CC0"


def test_the_key_says_which_and_placeholders_lie_in_the_box():
    first, again, other = (without_actions(data(), 5, key=jax.random.key(i)) for i in (0, 0, 1))
    assert first.source.sha256 == again.source.sha256 != other.source.sha256
    high = without_actions(data(space=Box((1,), 0.5, 1.0)), 0, key=KEY)
    assert (np.asarray(high.data.action) == 0.5).all()
    assert (np.asarray(without_actions(data(space=Discrete(3)), 0, key=KEY).data.action) == 0).all()


def test_joined_numbers_episodes_anew_and_keeps_what_both_have():
    both = joined(data(2, extras=("task", "mine")), data(3, extras=("task",)))
    assert both.episodes == 5 and sorted(both.data.extras) == ["prior", "task"]
    np.testing.assert_array_equal(both.data.extras["prior"], np.arange(15) >= 6)


def test_what_a_learner_reads():
    no = jnp.zeros((1, 2), bool)
    batch = Transition(no, no, no, no, no, no, {"prior": jnp.array([[True, False]])})
    assert observed.labelled(batch).tolist() == [True, True]
    assert observed.prior(batch, "X").tolist() == [True, False]
    mask = jnp.array([True, False])
    assert observed.unread(mask, jnp.array([[1.0, 2.0], [jnp.nan, jnp.nan]])).tolist() == [[1.0, 2.0], [0.0, 0.0]]
    assert float(observed.mean_over(mask, jnp.array([3.0, jnp.nan]))) == 3.0
    assert float(observed.mean_over(mask & ~mask, jnp.ones(2))) == 0.0


def test_refusals():
    with pytest.raises(SpecError, match=r"expected 0 ≤ keep ≤ 10 episodes .* got 11"):
        without_actions(data(), 11, key=KEY)
    with pytest.raises(SpecError, match=r"share in \[0, 1\] .* got 1.5"):
        without_actions(data(), 1.5, key=KEY)
    with pytest.raises(DataError, match="expected both datasets to have action in"):
        joined(data(), data(space=Discrete(2)))
    no = jnp.zeros((1, 2), bool)
    with pytest.raises(SpecError, match=r"expected extras\['prior'\] for X"):
        observed.prior(Transition(no, no, no, no, no, no, {}), "X")


def test_joined_keeps_placeholders_apart_where_one_side_has_every_action():
    blind = without_actions(data(2), 0, key=KEY)
    for expert, prior, real in ((blind, data(3), np.arange(15) >= 6), (data(3), blind, np.arange(15) < 9)):
        both = joined(expert, prior)
        np.testing.assert_array_equal(observed.labelled(both.data), real)
    assert "labelled" not in joined(data(2), data(3)).data.extras


def test_a_placeholder_stays_one_and_numpy_counts_episodes():
    blind = without_actions(data(4), 0, key=KEY)
    assert not np.asarray(without_actions(blind, 4, key=KEY).data.extras["labelled"]).any()
    assert int(without_actions(data(4), np.int64(1), key=KEY).data.extras["labelled"].sum()) == 3
