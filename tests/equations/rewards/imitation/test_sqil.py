"""SQIL: what is paid, that half of each minibatch are demonstrations, and who is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from operant.core import AbstractReward, Constraint, EnvSpec, Intent, Transition
from operant.data.dataset import Dataset
from operant.data.replay import Replay
from operant.envs.toy import Pendulum
from operant.errors import SpecError
from operant.learners.off_policy import HalfShown
from operant.learners.ppo import PPO
from operant.learners.sac import SAC
from operant.loops.iteration import Paid
from operant.loops.train import train
from operant.rewards import Clip, Heuristic, Lagrangian, Normalise, PotentialShaping, Program, Scale, Task, Terms
from operant.rewards.imitation._discriminator import held
from operant.rewards.imitation.sqil import SQIL

KEY = jax.random.key(0)
SPEC = Pendulum().spec


def shown():
    """Six steps whose observations are −7, which no pendulum shows."""
    obs, ends = np.full((6, 3), -7.0), np.arange(6) % 3 == 2
    return Dataset.from_numpy(
        SPEC, obs=obs, action=np.ones((6, 1)), reward=np.zeros(6), terminated=ends & False, truncated=ends, next_obs=obs
    )


class Shows(AbstractReward):
    by: SQIL = SQIL()

    def init(self, spec, *, key):
        return self.by.init(spec, shown(), key=key)

    def shows(self, state):
        return self.by.shows(state)

    def __call__(self, state, batch):
        return self.by(state, batch)

    def update(self, state, batch, *, key):
        return self.by.update(state, batch, key=key)


def rows(n=8):
    rng = np.random.default_rng(0)
    draw = lambda *s: jnp.asarray(rng.standard_normal((n, 2, *s)), jnp.float32)
    no = jnp.zeros((n, 2), bool)
    return Transition(draw(3), draw(1), draw(), no, no, draw(3), {})


def test_half_of_each_minibatch_is_demonstrated_and_paid():
    spec = EnvSpec(SPEC.obs, SPEC.action, 200, num_envs=2, fixed_horizon=True)
    replay = Replay.init(spec, 16).insert(rows())
    draw = HalfShown(held(shown()))
    places = draw.places(replay, KEY, (3, 9), 2)
    for i in range(3):
        window, within = draw.windows(replay, jax.tree.map(lambda x, i=i: x[i], places), 2)
        assert window.obs.shape == (9, 2, 3) and within.shape == (9, 2)
        demonstrated = np.asarray(window.extras["demonstrated"])
        np.testing.assert_array_equal(demonstrated, np.asarray(window.obs[..., 0]) == -7.0)
        assert demonstrated[:, 0].sum() == 4  # of nine: the smaller half
        np.testing.assert_array_equal(SQIL()((), window), demonstrated.astype(np.float32))
    assert not np.asarray(SQIL()((), rows())).any()


def test_the_learner_learns_from_them():
    """A pair only ever demonstrated is worth about 1/(1 − γ); what the agent does is worth less."""
    learner = SAC(
        hidden=(16,), batch=32, capacity=64, learning_starts=0, gradient_steps=40, lr=1e-2, tau=0.1, discount=0.5
    )
    spec = EnvSpec(SPEC.obs, SPEC.action, 200, num_envs=2, fixed_horizon=True)
    reward = Shows()
    paid = lambda s: Paid(reward, s)
    reward_state, state = reward.init(spec, key=KEY), learner.init(spec, key=KEY)
    update = jax.jit(lambda s, b, r, k: learner.update(s, b, paid(r), key=k))
    one = lambda i: jax.tree.map(lambda x: x[i % 8][None], rows())
    for i in range(8):
        state, _ = update(state, one(i), reward_state, jax.random.key(i))
    q = lambda obs, a: float(learner.critic.heads(state.networks.critic, jnp.full(3, obs), jnp.full(1, a)).min())
    assert q(-7.0, 1.0) > 1.0 > q(0.0, 1.0)


@pytest.mark.parametrize(
    "wrap",
    [
        Scale,
        Clip,
        Normalise,
        lambda r: Terms({"a": Task(), "b": r}),
        lambda r: PotentialShaping(r, Program(lambda cos: cos)),
        lambda r: Heuristic(r, Task()),
        lambda r: Lagrangian(r, (Constraint(Task(), 1.0),)),
    ],
)
def test_rewards_made_of_it_hand_on_what_it_shows(wrap):
    spec = EnvSpec(SPEC.obs, SPEC.action, 200, num_envs=2, fixed_horizon=True)
    reward = wrap(Shows())
    found = reward.shows(reward.init(spec, key=KEY))
    assert isinstance(found, Replay) and int(found.size) > 0
    assert wrap(Task()).shows(wrap(Task()).init(spec, key=KEY)) is None


def test_learners_that_cannot_see_demonstrations_are_refused():
    with pytest.raises(SpecError, match=r"PPO never looks at them. Use SAC, TD3 or DQN"):
        train(PPO(rollout=8, minibatches=2, hidden=(4,)), Pendulum(), Intent(Shows()), steps=16, num_envs=2, key=KEY)
    run = train(
        SAC(hidden=(4,), batch=4, capacity=64, learning_starts=0),
        Pendulum(),
        Intent(Shows()),
        steps=8,
        num_envs=2,
        key=KEY,
    )
    assert np.isfinite(run.metrics["loss/critic"]).all()


def test_refuses_where_episodes_may_end_early():
    loose = EnvSpec(SPEC.obs, SPEC.action, 200)
    with pytest.raises(SpecError, match=r"expected for SQIL episodes of one length"):
        SQIL().init(loose, shown(), key=KEY)
    assert isinstance(SQIL(allow_variable_horizon=True).init(loose, shown(), key=KEY), Replay)
