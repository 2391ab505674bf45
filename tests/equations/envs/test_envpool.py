"""EnvPool's batch resets within the step, keeps the true successors, and agrees with Gymnasium on what there is."""

import numpy as np
import pytest

from operant.core import Box, HostEnv
from operant.envs import make
from operant.envs.envpool import EnvPool
from operant.errors import EnvError, SpecError

pytest.importorskip("envpool")


def push_right(live, seed, steps):
    """Environments 0 and 1 of CartPole fall at different times under constant actions."""
    first = live.reset(seed=seed)
    return first, [live.step(np.array([1, 0])) for _ in range(steps)]


def test_an_end_resets_within_the_step_and_keeps_the_true_successor():
    live = EnvPool("CartPole-v1", num_threads=1).open(2)
    assert isinstance(live, HostEnv)
    first, steps = push_right(live, 4, 60)
    previous, ended = first, 0
    for step in steps:
        # CartPole's kinematics tie each successor to the observation before it: x' = x + 0.02 ẋ, θ' = θ + 0.02 θ̇
        np.testing.assert_allclose(step.final_obs[:, 0], previous[:, 0] + 0.02 * previous[:, 1], atol=1e-5)
        np.testing.assert_allclose(step.final_obs[:, 2], previous[:, 2] + 0.02 * previous[:, 3], atol=1e-5)
        for i in range(2):
            if step.terminated[i]:
                ended += 1
                assert abs(step.final_obs[i, 2]) > 0.2094 or abs(step.final_obs[i, 0]) > 2.4
                assert np.abs(step.obs[i]).max() <= 0.05  # CartPole's initial states
            else:
                np.testing.assert_array_equal(step.obs[i], step.final_obs[i])
        previous = step.obs
    assert ended >= 4
    live.close()


def test_a_time_limit_truncates():
    env = EnvPool("Pendulum-v1", num_threads=1, max_steps=5)
    assert env.spec.max_steps == 5
    live = env.open(2)
    live.reset(seed=0)
    steps = [live.step(np.zeros((2, 1), np.float32)) for _ in range(11)]
    assert [bool(s.truncated.all()) for s in steps] == [False] * 4 + [True] + [False] * 4 + [True, False]
    assert not any(s.terminated.any() for s in steps)
    assert np.abs(steps[4].obs - steps[4].final_obs).max() > 0


def test_seeds_decide():
    a, b, c = (push_right(EnvPool("CartPole-v1", num_threads=1).open(2), seed, 3)[1][-1].obs for seed in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert np.abs(a - c).max() > 0


@pytest.mark.mujoco
def test_mujoco_has_gymnasiums_spaces_and_rewards():
    pytest.importorskip("mujoco")
    pool, own = make("envpool:Hopper-v5", num_threads=1), make("Hopper-v5")
    assert pool.spec.obs == own.spec.obs
    assert pool.spec.action == own.spec.action == Box((3,), -1.0, 1.0)
    assert pool.spec.max_steps == own.spec.max_steps == 1000
    live, ours = pool.open(64), own.open(64)
    live.reset(seed=0), ours.reset(seed=0)
    actions = np.random.default_rng(0).uniform(-1, 1, (6, 64, 3)).astype(np.float32)
    rewards = [np.mean([env.step(a).reward for a in actions]) for env in (live, ours)]
    np.testing.assert_allclose(rewards[0], rewards[1], atol=0.05)  # other initial noise, the same task
    live.close(), ours.close()


def test_what_it_cannot_do_it_says():
    live = EnvPool("CartPole-v1", num_threads=1).open(2)
    assert live.snapshot() is None
    with pytest.raises(EnvError, match=r"lends out neither its state nor its generators. Use 'gym:CartPole-v1'"):
        live.restore([])
    with pytest.raises(EnvError, match="expected a reset before the first step"):
        live.step(np.array([0, 1]))
    with pytest.raises(SpecError, match="opened with render=True"):
        live.render()


def test_it_reports_a_termination_at_the_limit_as_a_truncation():
    """A deviation of EnvPool's that its page states; Gymnasium reports both."""
    live = EnvPool("CartPole-v1", num_threads=1).open(2)
    _, steps = push_right(live, 4, 60)
    k = next(t for t, s in enumerate(steps) if s.terminated[0]) + 1
    _, steps = push_right(EnvPool("CartPole-v1", num_threads=1, max_steps=k).open(2), 4, k)
    assert steps[-1].truncated[0]
    assert not steps[-1].terminated[0]
