"""The wish to do as was shown: what it hands on, and what it refuses."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant import Intent
from operant.core import Box, Discrete, EnvSpec
from operant.data import demos
from operant.data.dataset import Dataset
from operant.envs.toy import Pendulum
from operant.errors import DataError, SpecError
from operant.learners.ppo import PPO
from operant.loops.train import train
from operant.rewards.imitation import AbstractImitation
from operant.rewards.imitation.demonstrations import Demonstrations

SPEC = EnvSpec(Box((1,), -9.0, 9.0), Box((1,), -1.0, 1.0), 3)


def steps(action=0.5, ends=(False, False, True), low_spec=SPEC):
    n = len(ends)
    obs = np.arange(n, dtype=np.float32)[:, None]
    return Dataset.from_numpy(
        low_spec, obs=obs, action=np.full((n, 1), action, np.float32), reward=np.ones(n, np.float32),
        terminated=np.array(ends), next_obs=obs + 1,
    )  # fmt: skip


class Near(AbstractImitation):
    """Minus the distance to the first observation shown."""

    def init(self, spec, demos, *, key):
        return demos.data.obs[0, 0]

    def __call__(self, state, batch):
        return -jnp.abs(batch.obs[..., 0] - state)

    def update(self, state, batch, *, key):
        return state, {"near/x": state}


def test_it_pays_what_its_slot_pays(tmp_path):
    path = demos.write(steps(), tmp_path / "a.operant")
    wish = Demonstrations(str(path), Near())
    state = wish.init(SPEC, key=jax.random.key(0))
    batch = steps().data
    assert wish(state, batch).tolist() == [0.0, -1.0, -2.0]
    assert wish.update(state, batch, key=jax.random.key(0))[1] == {"near/x": 0.0}


def test_a_hash_holds_it_to_what_was_there(tmp_path):
    path = demos.write(steps(), tmp_path / "a.operant")
    sealed = Demonstrations(str(path)).sealed()
    assert sealed.load(SPEC).size == 3
    path.unlink()
    demos.write(steps(0.25), path)
    with pytest.raises(DataError, match=r"expected the demonstrations in .* to hash to .* they were changed"):
        sealed.load(SPEC)


@pytest.mark.parametrize(
    ("data", "spec", "error", "said"),
    [
        (
            steps(1.5),
            SPEC,
            DataError,
            r"expected actions between -1 and 1; 3 of 3 in .* lie outside, the first",
        ),
        (steps(ends=(False, False, False)), SPEC, DataError, "expected every episode to end, .* 1 of 1 .* cut short"),
        (steps(), EnvSpec(Box((2,)), SPEC.action, 3), SpecError, "expected demonstrations with observations in"),
        (steps(), EnvSpec(SPEC.obs, Discrete(2), 3), SpecError, "expected demonstrations with actions in"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, data, spec, error, said):
    path = demos.write(data, tmp_path / "a.operant")
    with pytest.raises(error, match=said):
        Demonstrations(str(path)).load(spec)


def test_cut_short_on_purpose_and_too_few(tmp_path):
    path = demos.write(steps(ends=(False, False, False)), tmp_path / "a.operant")
    assert Demonstrations(str(path), unfinished=True).load(SPEC).size == 3
    with pytest.raises(DataError, match=r"expected 1 ≤ episodes ≤ 1"):
        Demonstrations(str(path), episodes=2, unfinished=True).load(SPEC)
    with pytest.raises(SpecError, match=r"expected Demonstrations.source"):
        Demonstrations("")
    with pytest.raises(SpecError, match=r"expected Demonstrations.episodes ≥ 1; got 0"):
        Demonstrations("x", episodes=0)


def test_a_learner_that_acts_must_be_paid_by_something(tmp_path):
    path = demos.write(steps(), tmp_path / "a.operant")
    with pytest.raises(SpecError, match=r"expected Demonstrations.by, how being like them is paid"):
        train(PPO(), Pendulum(), Intent(Demonstrations(str(path))), steps=8, key=jax.random.key(0))


def test_the_same_wish_twice():
    wish = Demonstrations("demos/x", Near(), 3)
    assert dataclasses.replace(wish, by=None) == Demonstrations("demos/x", episodes=3)


def test_what_was_sealed_without_a_spec_is_known_in_its_dtypes(tmp_path):
    ends, eye = np.array([0, 0, 1], bool), np.eye(3, dtype=int)  # whole numbers, which the environment has as floats
    rows = {"obs": eye, "action": np.ones(3, int), "reward": np.zeros(3), "terminated": ends, "next_obs": eye}
    np.savez(tmp_path / "line.npz", **rows)
    sealed = Demonstrations(str(tmp_path / "line.npz")).sealed()
    spec = EnvSpec(Box((3,)), Discrete(2), None)
    assert sealed.load(spec).data.obs.dtype == np.float32
    np.savez(tmp_path / "line.npz", **rows | {"reward": np.ones(3)})
    with pytest.raises(DataError, match="they were changed"):
        sealed.load(spec)
