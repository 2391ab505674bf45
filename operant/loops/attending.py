"""Training while people answer: questions are filmed and stored in the background, answers are taken as they come.

A thread plays the policy of the moment, lets the reward choose which pairs are worth asking about, encodes their clips
and puts them into the comparison store; it works on copies, so that training never waits for it. After each chunk the
loop takes in what has been answered since. Training goes no further than the answers carry: after k sessions' worth of
them, to the iteration where a teacher that answers at once would be asked for the next session. There it waits.

What was taken in is counted in the checkpoint; the rest is in the store. A run that is resumed takes in the rest.
"""

import secrets
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from operant.core import AbstractEnv, AbstractHostEnv, AbstractLearner, EnvSpec, Intent
from operant.data.comparisons import Store
from operant.data.segments import Answers, Pairs, rows
from operant.errors import RunError, SpecError
from operant.io.video import write_video
from operant.loops.asking import AbstractAsking, Teaching
from operant.loops.iteration import TrainState
from operant.loops.showing import show
from operant.loops.spread import compiler_options
from operant.math import random
from operant.teachers import TARGET, Answer, Person

CLIPS = "clips"


class Attending(AbstractAsking):
    """Asks people, through the store and the studio."""

    def __init__(
        self, intent: Intent, teaching: Teaching, spec: EnvSpec, keys: list[PRNGKeyArray], iterations: int,
        window: int, *, learner: AbstractLearner, env: AbstractEnv | AbstractHostEnv, steps_each: int,
        folder: Path | None,
    ):  # fmt: skip
        super().__init__(intent, teaching, spec, keys, iterations, window)
        assert isinstance(self.teacher, Person)
        if self.members > 1:
            raise SpecError(
                f"expected one seed for people to teach; got {self.members}. Leave out seeds: each would ask questions "
                "of its own."
            )
        if folder is None:
            raise SpecError("expected a run folder for people's answers to be kept in; got none. Pass folder=….")
        self.learner, self.env, self.steps_each, self.folder = learner, env, steps_each, folder
        self.seen, self.answered, self.rounds, self.lessons = 0, set[int](), 0, 0
        self._opened: Store | None = None
        self._fresh = True  # nothing was restored: what a store holds is not this run's
        self._tag = secrets.token_hex(4)  # a round may be filmed again after a kill: no film is written over
        self._worker = ThreadPoolExecutor(1, "filming")
        self._filming: Future | None = None
        self._choose = jax.jit(
            lambda state, pairs, key: self.reward.choose(state, pairs, self.questions.at_once, key=key),
            compiler_options=compiler_options(),
        )
        self._paid = jax.jit(lambda state, steps: self.reward(state, steps), compiler_options=compiler_options())

    @property
    def store(self) -> Store:
        """Opened when first asked for: to read a run is not to teach it."""
        if self._opened is None:
            assert isinstance(self.teacher, Person)
            self._opened = Store(self.teacher.store_of(self.folder), duplicates=self.teacher.duplicates)
        return self._opened

    # --- what the loop asks ---

    def until_next(self, done: int) -> int | None:
        carried = self._carried()
        return None if carried is None else max(carried - done, 1)

    def after(self, states: TrainState, done: int) -> TrainState:
        if self._fresh and (self.store.given(member=0) or self.store.waiting(0)):
            raise SpecError(
                f"expected a store of its own for this run; {self.store.name} holds questions of another. Give another "
                "file or database, or learn from what it holds: --teacher recorded."
            )
        self._fresh = False
        states = self._take_in(states)
        self._film(states, done)
        return states

    def waits(self, done: int) -> bool:
        carried = self._carried()
        return carried is not None and done >= carried

    def _carried(self) -> int | None:
        """How far the answers carry (iterations); None: to the end."""
        if len(self.answered) >= self.questions.budget:
            return None
        return self.sessions[len(self.answered) // self.questions.at_once]

    def snapshot(self) -> Any:
        return {"seen": self.seen, "answered": sorted(self.answered), "rounds": self.rounds, "lessons": self.lessons}

    def restore(self, snapshot: Any) -> None:
        self.seen, self.answered = snapshot["seen"], set(snapshot["answered"])
        self.rounds, self.lessons = snapshot["rounds"], snapshot["lessons"]
        self._fresh = False
        if self.seen and not self.store.given(after=self.seen - 1, member=0):
            raise RunError(
                f"expected the store this run was taught from, which holds its answer {self.seen}; {self.store.name} "
                "does not reach that far. Go on in the folder where the run began, or bring that store back."
            )

    def close(self) -> None:
        self._worker.shutdown(wait=True, cancel_futures=True)
        if self._opened is not None:
            self._opened.close()

    # --- answers ---

    def _take_in(self, states: TrainState) -> TrainState:
        """Learn from what was answered or withdrawn since the last look, a session's worth at a time."""
        while given := self.store.given(after=self.seen, member=0)[: self.questions.at_once]:
            last = {g.pair: g for g in given}  # of several words about one pair, the latest
            n, room = len(last), self.questions.at_once
            padded = [*last, *[next(iter(last))] * (room - n)]
            words = [Answer.unsure if g.answer is None else g.answer for g in last.values()]
            said = np.array(words + [Answer.unsure] * (room - n))
            answers = Answers(
                self.store.pairs(padded), np.array(padded, np.int32), TARGET[said], np.arange(room) < n,
                said != Answer.unsure,
            )  # fmt: skip
            key = random.child(random.child(self.keys[0], 1), self.lessons)
            states = self.taught(states, jax.tree.map(lambda x: np.asarray(x)[None], answers), [key])
            for g in last.values():
                (self.answered.discard if g.answer is None else self.answered.add)(g.pair)
            self.seen, self.lessons = given[-1].id, self.lessons + 1
        return states

    # --- questions ---

    def _film(self, states: TrainState, done: int) -> None:
        """Have the next session filmed, if there is none to answer and the budget is not spent."""
        if self._filming is not None:
            if not self._filming.done():
                return
            self._filming.result()  # what went wrong there is raised here
            self._filming = None
        waiting = self.store.waiting(0, skipped=False)  # who skipped a pair never sees it again
        left = self.questions.budget - len(self.answered) - waiting
        if waiting >= self.questions.at_once or left <= 0:
            return
        copy = lambda tree: jax.tree.map(lambda x: np.array(x[0]), tree)
        learner_state, reward_state = copy(states.learner), copy(self.state_of(states))
        key = random.child(random.child(self.keys[0], 0), self.rounds)
        number, self.rounds = self.rounds, self.rounds + 1
        about: Any = (number, done, left, self.lessons > 0)
        self._filming = self._worker.submit(self._ask, learner_state, reward_state, key, *about)

    def _ask(
        self, learner_state: Any, reward_state: Any, key: PRNGKeyArray, number: int, done: int, most: int, taught: bool
    ) -> None:
        """Film and store a session's worth of questions, `most` at most; `taught`: the reward says what it learned."""
        n = self.questions.at_once
        show_key, choose_key = random.children(key, 2)
        shots = show(self.learner.policy(learner_state), self.env, n=3 * n, length=self.reward.segment, key=show_key)
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        left, right = _different(rng, 3 * n, 10 * n)
        pairs = Pairs(rows(shots.segments, left), rows(shots.segments, right))
        chosen = np.asarray(self._choose(reward_state, pairs, choose_key))[:most]
        paid = np.asarray(self._paid(reward_state, shots.segments.steps))
        told: dict[int, dict] = {}
        for shot in {int(s) for s in (*left[chosen], *right[chosen])}:
            clip = f"{CLIPS}/{number}-{self._tag}-{shot}.mp4"
            write_video(shots.frames(shot), self.folder / clip)
            told[shot] = {"clip": clip}
            if taught:
                told[shot]["reward"] = [round(float(x), 4) for x in paid[shot][shots.segments.mask[shot]]]
        about = [{"left": told[int(left[i])], "right": told[int(right[i])]} for i in chosen]
        self.store.ask(rows(pairs, chosen), member=0, env_steps=done * self.steps_each, about=about)


def _different(rng: np.random.Generator, n: int, pairs: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of different pairs of different things among n: so many, or all there are; sides by chance."""
    i, j = np.triu_indices(n, 1)
    some = rng.choice(len(i), size=min(pairs, len(i)), replace=False)
    swap = rng.random(len(some)) < 0.5
    a, b = i[some], j[some]
    return np.where(swap, b, a), np.where(swap, a, b)
