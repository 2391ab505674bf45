"""Checkpoints that cannot be read: cut short, another version, another network, altered, not one at all."""

import jax
import numpy as np
import pytest

from operant.core import Intent
from operant.envs.toy import CartPole
from operant.errors import RunError, StoreError
from operant.io import checkpoint
from operant.learners import PPO
from operant.loops.train import FILE, load, train
from operant.rewards import Task


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    learner = PPO(rollout=8, epochs=1, minibatches=1, hidden=(8,))
    train(learner, CartPole(), Intent(Task()), steps=32, num_envs=4, key=jax.random.key(0), folder=folder)
    return folder


def altered(folder, tmp_path, change):
    data = (folder / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(change(data))
    return tmp_path


def test_missing(tmp_path):
    with pytest.raises(RunError, match="there is no such file"):
        load(tmp_path)


def test_not_a_checkpoint(folder, tmp_path):
    with pytest.raises(RunError, match=r"begins with b'OPERANT"):
        load(altered(folder, tmp_path, lambda b: b"PK\x03\x04" + b))


def test_cut_short(folder, tmp_path):
    with pytest.raises(RunError, match=r"expected [\d,]+ bytes .* it ends after [\d,]+: it was cut short"):
        load(altered(folder, tmp_path, lambda b: b[:-7]))
    with pytest.raises(RunError, match="it was cut short"):
        load(altered(folder, tmp_path, lambda b: b[:200]))


def test_damaged(folder, tmp_path):
    with pytest.raises(RunError, match=r"expected the leaves .* to hash to"):
        load(altered(folder, tmp_path, lambda b: b[:-1] + bytes([b[-1] ^ 1])))


def test_another_format(folder, tmp_path):
    newer = lambda b: b.replace(b'"format": 1', b'"format": 9', 1)
    with pytest.raises(RunError, match=r"expected a checkpoint of format 1; .* has format 9, written by operant 0"):
        load(altered(folder, tmp_path, newer))


def test_another_width_names_the_leaf(folder):
    wider = PPO(rollout=8, epochs=1, minibatches=1, hidden=(16,))
    with pytest.raises(RunError, match=r"expected leaf learner\.networks\.actor\.layers\[0\]\.weight to be float32"):
        load(folder, learner=wider)


def test_another_depth_names_the_leaf(folder):
    deeper = PPO(rollout=8, epochs=1, minibatches=1, hidden=(8, 8))
    with pytest.raises(RunError, match=r"expected leaf learner\.networks\.actor\.layers\[\d\]"):
        load(folder, learner=deeper)


def test_python_functions_must_be_given_again(tmp_path):
    from operant.rewards import Program

    learner = PPO(rollout=8, epochs=1, minibatches=1, hidden=(8,))
    intent = Intent(Program(lambda position: -(position**2)))
    train(learner, CartPole(), intent, steps=32, num_envs=4, key=jax.random.key(0), folder=tmp_path / "run")
    with pytest.raises(RunError, match="Pass intent=… as it was given to train"):
        load(tmp_path / "run")
    assert load(tmp_path / "run", intent=intent).seeds == 1


def test_full_disk_keeps_what_was_saved(tmp_path, monkeypatch):
    path = tmp_path / "x"
    checkpoint.save(path, {"a": np.zeros(3)}, {})

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "fsync", full)
    with pytest.raises(StoreError, match=r"No space left on device \([\d,]+ bytes free\)"):
        checkpoint.save(path, {"a": np.ones(3)}, {})
    monkeypatch.undo()
    np.testing.assert_array_equal(checkpoint.load(path, {"a": np.ones(3)})["a"], np.zeros(3))
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_header_and_a_file_for_a_folder(folder, tmp_path):
    def flip(data: bytes) -> bytes:
        return data[:21] + bytes([0xFF]) + data[22:]

    with pytest.raises(RunError, match=r"expected a checkpoint's header, JSON, in .*; it is damaged"):
        load(altered(folder, tmp_path, flip))
    with pytest.raises(RunError, match="Check the run's name: it is a folder"):
        load(folder / "checkpoint.operant")
