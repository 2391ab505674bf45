"""GAIL and what it shares with other adversaries, against NumPy; its guard; what the audit says without the guard."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import operant
from operant.audits import TerminationBias
from operant.core import AbstractPolicy, Box, Discrete, EnvSpec, Intent, Transition, Verdict
from operant.data.dataset import Dataset
from operant.data.replay import Replay
from operant.envs.toy import CartPole, Pendulum
from operant.errors import SpecError
from operant.learners.ppo import PPO
from operant.loops.audit import audit
from operant.loops.rollout import evaluate
from operant.loops.train import train
from operant.rewards.imitation._discriminator import held, standards
from operant.rewards.imitation.gail import GAIL
from operant.rewards.task import Task
from operant.testing import check_reward

KEY = jax.random.key(0)
SPEC = EnvSpec(Box((2,)), Box((1,), 0.0, 4.0), 5, num_envs=2, fixed_horizon=True)
RNG = np.random.default_rng(0)


def shown(spec=SPEC, episodes=2, seed=0):
    """Two episodes of five steps."""
    rng = np.random.default_rng(seed)
    n = 5 * episodes
    obs = (3.0 + 2.0 * rng.standard_normal((n, *spec.obs.shape))).astype(np.float32)
    low, high = spec.action.bounds() if isinstance(spec.action, Box) else (0, 0)
    action = (
        rng.uniform(low, high, (n, 1)).astype(np.float32) if isinstance(spec.action, Box) else rng.integers(2, size=n)
    )
    ends = np.arange(n) % 5 == 4
    return Dataset.from_numpy(
        spec, obs=obs, action=action, reward=np.zeros(n), terminated=ends & False, truncated=ends, next_obs=obs + 1
    )


def rollout(T=3, N=2, seed=1):
    rng = np.random.default_rng(seed)
    draw = lambda *s: jnp.asarray(rng.standard_normal((T, N, *s)), jnp.float32)
    no = jnp.zeros((T, N), bool)
    return Transition(draw(2), 2.0 + draw(1), jnp.full((T, N), jnp.nan), no, no, draw(2), {"log_prob": draw()})


def forward(network, x):
    """tanh layers, in NumPy."""
    layers = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(network.body)]
    for weight, bias in zip(layers[:-2:2], layers[1:-2:2], strict=True):
        x = np.tanh(x @ weight + bias)
    return (x @ layers[-2] + layers[-1])[:, 0]


def features(demos, batch, use):
    mean, std = np.asarray(demos.data.obs).mean(0), np.asarray(demos.data.obs).std(0)
    flat = lambda x: np.asarray(x).reshape(-1, x.shape[-1])
    parts = {
        "state": [],
        "state-action": [flat(batch.action) / 2 - 1],
        "transition": [(flat(batch.next_obs) - mean) / std],
    }
    return np.concatenate([(flat(batch.obs) - mean) / std, *parts[use]], 1)


@pytest.mark.parametrize("use", ["state", "state-action", "transition"])
def test_pays_by_the_classifiers_odds(use):
    demos, batch = shown(), rollout()
    paid = {}
    for pays in ("positive", "negative", "logit"):
        by = GAIL(hidden=(5,), use=use, pays=pays)
        state = by.init(SPEC, demos, key=KEY)
        paid[pays] = np.asarray(by(state, batch))
    D = 1 / (1 + np.exp(-forward(state.network, features(demos, batch, use)))).reshape(3, 2)
    np.testing.assert_allclose(paid["positive"], -np.log(1 - D), rtol=1e-4)
    np.testing.assert_allclose(paid["negative"], np.log(D), rtol=1e-4)
    np.testing.assert_allclose(paid["logit"], np.log(D) - np.log(1 - D), rtol=1e-4, atol=1e-5)


def numeric_gradient(f, x, h=1e-5):
    steps = h * np.eye(x.shape[1])
    return np.stack([(f(x + step) - f(x - step)) / (2 * h) for step in steps], 1)


@pytest.mark.parametrize("one_sided", [True, False])
def test_loss_and_gradient_penalty(one_sided):
    demos, ours = shown(), jax.tree.map(lambda x: x.reshape(6, *x.shape[2:]), rollout())
    theirs = jax.tree.map(lambda x: x[:6], demos.data)
    by = GAIL(hidden=(5,), penalty=7.0, lipschitz=1.0, one_sided=one_sided)
    state = by.init(SPEC, demos, key=KEY)
    u = jnp.asarray(RNG.random(6), jnp.float32)
    loss, found = by._loss(state.network, state.normaliser, theirs, ours, u)
    score = lambda x: forward(state.network, x)
    expert, agent = (features(demos, b, "state-action") for b in (theirs, ours))
    D_expert, D_agent = (1 / (1 + np.exp(-score(x))) for x in (expert, agent))
    cross_entropy = -np.log(D_expert).mean() - np.log(1 - D_agent).mean()
    w = np.asarray(u, np.float64)[:, None]
    norm = np.linalg.norm(numeric_gradient(score, w * expert + (1 - w) * agent), axis=1)
    beyond = np.maximum(norm - 1.0, 0) if one_sided else norm - 1.0
    assert (norm < 1.0).any() and (norm > 1.0).any()
    np.testing.assert_allclose(loss, cross_entropy + 7.0 * np.square(beyond).mean(), rtol=1e-4)
    np.testing.assert_allclose(found["imitation/loss"], cross_entropy, rtol=1e-5)
    np.testing.assert_allclose(found["imitation/expert"], (D_expert > 0.5).mean())
    np.testing.assert_allclose(found["imitation/agent"], (D_agent < 0.5).mean())
    np.testing.assert_allclose(found["imitation/gradient"], norm.mean(), rtol=1e-4)


def test_demonstrations_are_held_as_one_full_ring():
    demos = shown()
    cut = eqx.tree_at(lambda d: d.data.truncated, demos, jnp.zeros(10, bool))
    ring = held(cut)
    assert int(ring.size) == 10 and ring.columns == 1
    np.testing.assert_array_equal(np.asarray(ring.data.truncated)[:, 0], np.arange(10) % 5 == 4)  # ends are marked
    drawn = ring.sample(KEY, 20)
    assert {tuple(x) for x in np.asarray(drawn.obs).tolist()} <= {tuple(x) for x in np.asarray(demos.data.obs).tolist()}
    still = eqx.tree_at(lambda d: d.data.obs, demos, jnp.ones((10, 2)))
    np.testing.assert_allclose(standards(SPEC, still)(jnp.array([1.0, 4.0])), [0.0, 3.0], atol=1e-5)


def test_it_learns_to_tell_the_sides_apart_from_rollouts_and_from_memory():
    demos = shown()
    for memory in (None, 12):
        by = GAIL(hidden=(16,), lr=1e-2, steps=20, batch=8, memory=memory, every=2)
        state = by.init(SPEC, demos, key=KEY)
        update = jax.jit(lambda s, b, k, by=by: by.update(s, b, key=k))
        first, metrics = update(state, rollout(), KEY)
        idle, again = update(first, rollout(), KEY)  # every second iteration
        assert all(map(np.array_equal, *map(jax.tree.leaves, (first.network, idle.network))))
        assert metrics == again and not np.array_equal(*(s.network.body.layers[0].weight for s in (state, first)))
        for i in range(20):
            idle, metrics = update(idle, rollout(), jax.random.key(i))
        assert float(metrics["imitation/expert"]) > 0.9 and float(metrics["imitation/agent"]) > 0.9
        assert float(by(idle, demos.data).mean()) > float(by(idle, rollout()).mean()) + 1.0
    assert isinstance(idle.memory, Replay) and int(idle.memory.size) == 12


def test_contracts():
    by = GAIL(hidden=(4,), memory=20)

    class Shown(operant.core.AbstractReward):
        def init(self, spec, *, key):
            return by.init(spec, shown(), key=key)

        def __call__(self, state, batch):
            return by(state, batch)

        def update(self, state, batch, *, key):
            return by.update(state, batch, key=key)

    check_reward(Shown(), SPEC, plain=False)


def test_images_are_encoded():
    spec = EnvSpec(Box((15, 15, 1), 0, 255, "uint8"), Discrete(2), 5, num_envs=2, fixed_horizon=True)
    n, ends = 5, np.arange(5) == 4
    obs = RNG.integers(255, size=(n, 15, 15, 1)).astype(np.uint8)
    demos = Dataset.from_numpy(
        spec, obs=obs, action=np.ones(n, int), reward=np.zeros(n), terminated=ends & False, truncated=ends, next_obs=obs
    )
    by = GAIL(hidden=(4,))
    assert by(by.init(spec, demos, key=KEY), demos.data).shape == (5,)


# --- what it refuses ------------------------------------------------------------------------------------------------


def test_refusals():
    with pytest.raises(SpecError, match=r"expected GAIL.pays to be known; got 'postive': did you mean 'positive'"):
        GAIL(pays="postive")
    with pytest.raises(SpecError, match=r"expected GAIL.use to be one of state-action, state, transition; got 'all'"):
        GAIL(use="all")
    with pytest.raises(SpecError, match=r"expected GAIL.memory ≥ 1; got 0"):
        GAIL(memory=0)
    with pytest.raises(SpecError, match=r"expected GAIL.penalty ≥ 0; got -1"):
        GAIL(penalty=-1.0)


def test_refuses_where_episodes_may_end_early():
    loose = dataclasses.replace(SPEC, fixed_horizon=False)
    with pytest.raises(SpecError, match=r"(?s)episodes of one length.*1809\.02925.*allow_variable_horizon=True"):
        GAIL().init(loose, shown(), key=KEY)
    ended = eqx.tree_at(lambda d: d.data.terminated, shown(), jnp.arange(10) % 5 == 4)
    with pytest.raises(SpecError, match="2 demonstrated episodes terminated"):
        GAIL().init(SPEC, ended, key=KEY)
    GAIL(hidden=(4,), allow_variable_horizon=True).init(loose, ended, key=KEY)
    for env, fixed in ((Pendulum(), True), (CartPole(), False), (CartPole(fixed_horizon=True), True)):
        assert env.spec.fixed_horizon is fixed


class Untrained(AbstractPolicy):
    """Pushes at random, always with the same coin."""

    spec: EnvSpec = eqx.field(static=True, default=CartPole().spec)

    def init_carry(self):
        return ()

    def __call__(self, obs, carry, *, key):
        return jax.random.bernoulli(key).astype(jnp.int32), {}, carry


class Shows(operant.core.AbstractReward):
    """GAIL of fixed demonstrations, without files."""

    by: GAIL
    demos: Dataset

    def init(self, spec, *, key):
        return self.by.init(spec, self.demos, key=key)

    def __call__(self, state, batch):
        return self.by(state, batch)

    def update(self, state, batch, *, key):
        return self.by.update(state, batch, key=key)


def test_an_untrained_agents_demonstrations_are_no_success():
    """The trap: CartPole, which ends when the pole falls, with demonstrations of somebody who cannot balance it. The
    override is on, GAIL pays everywhere more than nothing, and the agent learns to balance. The audit must not say
    that this holds."""
    env = CartPole(max_steps=200)
    found = evaluate(Untrained(), env, episodes=10, key=KEY, deterministic=False)
    demos = Dataset.from_episodes(found, env.spec, origin="an untrained agent")
    assert float(found.lengths.mean()) < 40
    by = GAIL(hidden=(32,), lr=1e-3, allow_variable_horizon=True)
    intent = Intent(Shows(by, demos), statement="act as was demonstrated")
    learner = PPO(rollout=64, epochs=4, minibatches=4, hidden=(32,), lr=1e-3)
    run = train(learner, env, intent, steps=40_000, num_envs=16, key=jax.random.key(1))
    report = audit(run, [TerminationBias()], key=KEY, episodes=16)
    (finding,) = report.findings
    lasted = finding.arrays["lengths"].mean()
    assert lasted > 3 * float(found.lengths.mean()), lasted  # it did learn to stay alive
    assert finding.verdict in (Verdict.concern, Verdict.fails), finding.why
    assert "staying alive" in finding.why
    judged = audit(run, [TerminationBias()], key=KEY, episodes=16, intent=Intent(Shows(by, demos), truth=Task()))
    assert judged.worst is not Verdict.holds
