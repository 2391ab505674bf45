"""Learned recognition: the GRU by hand in NumPy, the posterior, and a corridor it must learn."""

import jax
import numpy as np
import pytest

from operant.errors import DataError, SpecError
from operant.recognition import Traces
from operant.recognition.learned import Learned

KEY = jax.random.key(0)
CORRIDOR = np.zeros((40, 1, 7), bool)


def corridor():
    """Forty walks from the middle, half to either side, of which the first one to three steps are seen."""
    rng = np.random.default_rng(0)
    right, seen = rng.random(40) < 0.5, rng.integers(1, 4, size=40)
    t = np.arange(3)
    columns = 3 + np.where(right[:, None], t, -t)
    cells = np.stack([np.zeros_like(columns), columns], -1)
    actions = np.where(right[:, None], 1, 3) + np.zeros((40, 3), int)
    traces = Traces(CORRIDOR, np.tile([0, 3], (40, 1)), cells, actions, t[None] < seen[:, None])
    return traces, np.stack([np.zeros(40, int), np.where(right, 6, 0)], 1), right


def test_it_reads_as_written():
    traces, _, _ = corridor()
    model = Learned(hidden=3)
    reader = model.init((1, 7), key=KEY)
    W, b = np.asarray(reader.gru.inputs.weight), np.asarray(reader.gru.inputs.bias)
    U, c = np.asarray(reader.gru.hidden.weight), np.asarray(reader.gru.hidden.bias)
    sigmoid = lambda x: 1 / (1 + np.exp(-x))
    h, i = np.zeros(3), 0
    for t in range(int(traces.mask[i].sum())):
        x = np.r_[np.eye(1)[0], np.eye(7)[traces.cells[i, t, 1]], np.eye(4)[traces.actions[i, t]]]
        (xr, xz, xn), (hr, hz, hn) = np.split(x @ W + b, 3), np.split(h @ U + c, 3)
        z = sigmoid(xz + hz)
        h = (1 - z) * np.tanh(xn + sigmoid(xr + hr) * hn) + z * h
    logits = h @ np.asarray(reader.head.weight) + np.asarray(reader.head.bias)
    np.testing.assert_allclose(reader(traces.cells[i], traces.actions[i], traces.mask[i]), logits, atol=1e-5)
    candidates = np.tile([[[0, 0], [0, 6]]], (40, 1, 1))
    p = sigmoid(logits[[0, 6]])
    fitted = Learned(hidden=3, reader=reader)
    np.testing.assert_allclose(fitted.rank(traces, candidates)[0], p / p.sum(), rtol=1e-5)


def test_it_learns_a_corridor_and_the_same_key_the_same():
    traces, goals, right = corridor()
    model = Learned(hidden=8, steps=150, lr=0.02, batch=32)
    ours = model.fit(traces, goals, key=KEY)
    candidates = np.tile([[[0, 0], [0, 6], [0, 3]]], (40, 1, 1))
    posterior = ours.rank(traces, candidates)
    np.testing.assert_allclose(posterior.sum(1), 1.0)
    assert (posterior.argmax(1) == right).all() and posterior.max(1).min() > 0.9
    again = model.fit(traces, goals, key=KEY)
    np.testing.assert_array_equal(again.rank(traces, candidates), posterior)


def test_refusals():
    traces, goals, _ = corridor()
    candidates = np.tile([[[0, 0], [0, 6]]], (40, 1, 1))
    with pytest.raises(SpecError, match=r"expected a recogniser that has learned"):
        Learned().rank(traces, candidates)
    other = Learned(hidden=3, reader=Learned(hidden=3).init((2, 2), key=KEY))
    with pytest.raises(DataError, match=r"expected maps of \(2, 2\), as in training; got \(1, 7\)"):
        other.rank(traces, candidates)
    with pytest.raises(DataError, match=r"expected candidates"):
        Learned(steps=1).fit(traces, goals + 9, key=KEY)
    with pytest.raises(SpecError, match=r"expected Learned.hidden ≥ 1; got 0"):
        Learned(hidden=0)
