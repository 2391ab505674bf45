"""`Watched`: itself where nobody watches; what a person says as its reward where one does; training with it."""

import threading

import jax
import numpy as np
import pytest

import operant
from operant.core import Intent
from operant.envs.audience import Audience
from operant.envs.toy import GridWorld
from operant.envs.watched import Watched
from operant.errors import RunError, SpecError
from operant.learners.coach import COACH
from operant.loops.alone import Alone
from operant.rewards import Task

ROW = GridWorld("S..G", max_steps=6)
RIGHT = 1


class Person:
    """Looks, and says plus where the agent went right, minus where it went left, as soon as that can count."""

    def __init__(self, audience: Audience):
        self.audience, self.said, self.over = audience, [], threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self):
        seen, where = 0, None
        while not self.over.wait(0.001):
            frame, picture = self.audience.look()
            if picture is None or frame == seen:
                continue
            seen, before, where = frame, where, column(picture)
            if before is not None and where != before and (where, before) != (0, 3):
                value = 1.0 if where > before else -1.0
                self.said.append(self.audience.say(value, frame=frame, since=0.02, who="ann", key=f"k{frame}"))

    def leave(self):
        self.over.set()
        self._thread.join()


def column(picture) -> int:
    """Where the blue disc is."""
    blue = (np.abs(picture.astype(int) - [45, 105, 176]).sum(-1) < 30).any(0)
    return int(np.flatnonzero(blue).mean() / picture.shape[1] * 4.5)


@pytest.fixture
def audience():
    made = Audience(pace=60.0, delay=(0.0, 0.02))
    people = []
    made.person = lambda: people.append(Person(made)) or people[-1]
    yield made
    made.end()
    for person in people:
        person.leave()


def test_unwatched_it_is_the_environment_itself():
    live, alone = Watched(ROW).open(1), Alone(ROW, seed=0)
    obs = live.reset(seed=4)
    assert np.array_equal(obs[0], alone.reset(live._envs[0].seed))
    for action in (1, 0, 1, 1):
        step, moved = live.step(np.array([action])), alone.step(action)
        assert np.array_equal(step.final_obs[0], moved.obs) and step.reward[0] == moved.reward
    assert step.terminated[0] and step.obs[0].argmax() == 0, "reset by itself"
    assert live.settle() is None
    assert Watched(ROW).open(3).reset(seed=0).shape == (3, 4)


def test_watched_what_is_said_is_the_reward_of_the_step_it_is_about(audience):
    live = Watched(ROW).by(audience).open(1)
    live.reset(seed=0)
    audience.look()
    for action, value in ((RIGHT, 1.0), (3, -1.0), (RIGHT, 0.0)):
        audience.look()
        assert live.step(np.array([action])).reward.tolist() == [0.0]
        if value:
            audience.say(value, frame=audience.look()[0], since=0.02, who="ann", key=f"key{value}")
    assert live.settle().tolist() == [[1.0], [-1.0], [0.0]]
    assert live.settle().shape == (0, 1)


def test_the_environments_own_return_is_shown_and_not_learned(audience):
    live = Watched(ROW).by(audience).open(1)
    live.reset(seed=0)
    for action in (RIGHT, RIGHT, RIGHT, RIGHT):
        audience.look()
        step = live.step(np.array([action]))
        if action == RIGHT and audience.returns:
            break
    assert audience.returns == [1.0] and audience.status()["returns"] == [[1, 1.0]] and audience.total == 0.0
    assert step.terminated[0] and step.reward[0] == 0.0 and step.final_obs[0].argmax() == 3


def test_a_person_teaches_coach_to_go_right(audience):
    audience.person()
    learner = COACH(rollout=4, hidden=(), lr=0.3)
    run = operant.train(
        learner, Watched(ROW).by(audience), Intent(Task()), steps=400, num_envs=1, key=jax.random.key(0)
    )
    policy = run.policy(0)
    probability = jax.nn.softmax(policy.network.distribution(np.eye(4, dtype=np.float32)[0], None).logits)
    assert probability[RIGHT] > 0.8, "it went anywhere with 0.25 before"
    assert np.nanmean(run.metrics["feedback/share"][0]) > 0.1
    assert audience.returns[-5:] == [1.0] * 5


def test_without_a_word_nothing_is_learned(audience):
    watching = threading.Thread(target=lambda: [audience.look() for _ in iter(lambda: audience.ended, True)])
    watching.start()
    learner = COACH(rollout=5, hidden=())
    run = operant.train(learner, Watched(ROW).by(audience), Intent(Task()), steps=20, num_envs=1, key=jax.random.key(0))
    audience.end()
    watching.join()
    assert (run.metrics["feedback/share"] == 0).all() and (run.metrics["feedback/mean"] == 0).all()


def test_a_coached_run_is_kept_loaded_and_evaluated_but_not_trained_on_alone(audience, tmp_path):
    audience.person()
    watched = Watched(ROW).by(audience)
    operant.train(
        COACH(rollout=2, hidden=()), watched, Intent(Task()), steps=12, num_envs=1, key=jax.random.key(0),
        folder=tmp_path / "run",
    )  # fmt: skip
    run = operant.load(tmp_path / "run")
    assert run.env == Watched(ROW)
    episodes = operant.evaluate(run.policy(0), run.env, episodes=3, key=jax.random.key(1))
    assert set(np.asarray(episodes.returns).tolist()) <= {0.0, 1.0}
    with pytest.raises(RunError, match=r"expected a person who watches, .*`operant coach RUN`"):
        operant.resume(tmp_path / "run", steps=24)
    audience.steps = 0  # another process, which has shown nothing yet
    longer = operant.resume(tmp_path / "run", env=watched, steps=24)
    assert longer.env_steps[-1] == 24 and longer.card["resumed_exactly"]
    assert audience.steps == 24


def test_a_snapshot_brings_back_the_same_step_of_the_same_episode(audience):
    env = GridWorld("S...\n....\n...G", slip=0.5, max_steps=9)
    live = Watched(env).by(audience).open(1)
    live.reset(seed=7)
    rng = np.random.default_rng(0)
    for _ in range(14):
        audience.look()
        last = live.step(rng.integers(4, size=1))
    again = Watched(env).by(audience).open(1)
    assert np.array_equal(again.restore(live.snapshot()), last.obs)
    for _ in range(12):
        audience.look()
        action = rng.integers(4, size=1)
        a, b = live.step(action), again.step(action)
        assert np.array_equal(a.obs, b.obs) and np.array_equal(a.terminated, b.terminated)


def test_one_person_watches_one_environment(audience):
    with pytest.raises(SpecError, match=r"expected one environment for a person to watch; got 4\. Pass num_envs=1"):
        operant.train(COACH(), Watched(ROW).by(audience), Intent(Task()), steps=8, num_envs=4, key=jax.random.key(0))
