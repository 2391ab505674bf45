"""State–action pairs counted by hand, against each of the three references."""

import jax
import numpy as np
import pytest

from operant.audits import SACo
from operant.audits.controls import RandomPolicy
from operant.audits.saco import different, pairs
from operant.core import Box, Composite, Discrete, EnvSpec, Subject, Transition, Verdict
from operant.data.dataset import Dataset
from operant.envs.toy import GridWorld, Pendulum
from operant.errors import SpecError
from operant.loops.audit import audit
from operant.loops.rollout import Episodes, evaluate


def ask(dataset, key, *, saco=None, **known):
    return audit(Subject((), dataset=dataset, **known), [saco or SACo()], key=key).findings[0]


def three_states(make_steps, lengths=(3, 3, 3, 3)):
    obs = np.array([0.0, 1.0, 2.0] * len(lengths))[:, None]
    action = np.array([0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0])[: len(obs)]  # pairs 00 11 20 / 00 10 20 / again
    spec = EnvSpec(Box((1,)), Discrete(2), None)
    return make_steps(lengths, obs=obs, next_obs=obs + 1, action=action, spec=spec)


def test_unique_pairs_over_a_reference(make_steps, key):
    found = ask(three_states(make_steps), key, saco=SACo(reference=8))
    assert found.value == pytest.approx(4 / 8) and found.n == 4 and found.verdict is Verdict.holds
    assert found.arrays["pairs_per_episode"].tolist() == [3, 1, 0, 0]
    assert found.low is not None and found.low <= 0.5 <= found.high
    few = ask(three_states(make_steps), key, saco=SACo(reference=80))
    assert few.verdict is Verdict.concern and few.value == pytest.approx(0.05) and "nobody tried" in few.why


def test_reference_is_everything_that_can_be_visited(key):
    env = GridWorld("S.G")  # two states that are not terminal, four actions
    eye = np.eye(3, dtype=np.float32)
    spec = env.spec
    data = Dataset.from_numpy(
        spec, obs=eye[[0, 0, 1]], action=np.array([1, 0, 1]), reward=np.zeros(3), terminated=np.array([0, 0, 1], bool),
        next_obs=eye[[1, 0, 2]], episode=np.array([0, 0, 0]),
    )  # fmt: skip
    found = ask(data, key, env=env)
    assert found.value == pytest.approx(3 / 8) and found.low is None and "all 8 there are" in found.why


def test_random_policy_as_reference(make_steps, key):
    data = three_states(make_steps)
    mask = np.ones((1, 12), bool)
    obs = np.arange(12.0, dtype=np.float32).reshape(1, 12, 1)
    zero = np.zeros((1, 12))
    ts = Transition(obs, np.zeros((1, 12), np.int32), zero, zero > 0, zero > 0, obs, {})
    found = ask(data, key, control=Episodes(np.zeros(1), np.array([12]), ts, mask))
    assert found.value == pytest.approx(4 / 12) and "random policy" in found.why


def test_bins_and_bytes():
    x = np.array([[0.0], [0.0049], [0.011], [1.0]], np.float32)
    spec = EnvSpec(Box((1,)), Discrete(1), None)
    zero = np.zeros(4, np.int32)
    assert different(pairs(spec, (x,), (zero,), 100)[0]) == 3  # bins of 0.01: the first two are one
    images = EnvSpec(Box((4, 4, 3), 0, 255, "uint8"), Discrete(1), None)
    frames = np.stack([np.full((4, 4, 3), i, np.uint8) for i in (1, 1, 2, 3)])
    assert different(pairs(images, (frames,), (zero,), 100)[0]) == 3
    both = EnvSpec(Composite((("x", Box((1,))), ("k", Discrete(3)))), Discrete(1), None)
    seen = {"x": np.zeros((4, 1), np.float32), "k": np.array([0, 1, 2, 1])}
    assert different(pairs(both, (seen,), (zero,), 100)[0]) == 3


def test_jackknife_covers_what_as_many_other_episodes_show(make_steps, key):
    rng = np.random.default_rng(0)
    draw = lambda: rng.geometric(0.05, size=(60, 5))  # a long tail of states, as visits have
    data = lambda s: make_steps([5] * 60, obs=s.reshape(-1, 1).astype(float), next_obs=s.reshape(-1, 1) + 1.0,
                                action=np.zeros(300, int), spec=EnvSpec(Box((1,)), Discrete(1), None))  # fmt: skip
    counts = [len(np.unique(draw())) for _ in range(300)]
    found = ask(data(draw()), key, saco=SACo(reference=100, bins=100_000))
    assert (found.high - found.low) * 100 == pytest.approx(4 * np.std(counts), rel=0.5)


def test_what_cannot_be_said(make_steps, key):
    found = ask(three_states(make_steps), key)
    assert found.verdict is Verdict.unknown and "reference=" in found.why
    wrong = audit(Subject((), dataset={"obs": 1}), [SACo()], key=key).findings[0]
    assert wrong.verdict is Verdict.unknown and "to be a Dataset" in wrong.why
    with pytest.raises(SpecError, match="reference ≥ 1"):
        SACo(reference=0)
    with pytest.raises(SpecError, match="bins ≥ 2"):
        SACo(bins=1)


def test_one_step_is_enough_to_count(make_steps, key):
    found = ask(make_steps([1]), key, saco=SACo(reference=2))
    assert found.value == 0.5 and found.low is None
    assert jax.tree.leaves(found.arrays)


def test_a_random_policy_is_run_where_there_is_an_environment(key):
    env = Pendulum(max_steps=8)
    ran = evaluate(RandomPolicy(env.spec), env, episodes=4, key=key, deterministic=False)
    found = ask(Dataset.from_episodes(ran, env.spec), key, env=env)
    assert found.value == pytest.approx(1.0, abs=0.1) and "of a random policy, 32 steps of each" in found.why
