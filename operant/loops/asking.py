"""Asking a teacher while an agent trains: between chunks, a session of questions, then a lesson for the reward.

Sessions lie at iterations fixed beforehand, so that a resumed run asks what the uninterrupted one would have asked. By
the share t of the asking time that has gone, √t of the budget has been asked: a reward that knows nothing yet
needs answers most, as in Christiano et al. 2017 (1706.03741, section 2.2.4).
"""

import abc
import math
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from operant.core import AbstractFixedReward, EnvSpec, Intent
from operant.data.segments import Answers, Pairs, rows
from operant.errors import SpecError
from operant.loops.iteration import TrainState
from operant.loops.spread import compiler_options, over_seeds, place
from operant.math import random
from operant.rewards.preferences import AbstractPreferences
from operant.teachers import TARGET, AbstractTeacher, Answer


class Questions(eqx.Module):
    """How much a teacher is asked, and when."""

    budget: int = 500
    """Pairs asked about, for each seed."""
    at_once: int = 20
    """Pairs in a session."""
    until: float = 0.75
    """Share of the training within which they are asked."""

    def __check_init__(self) -> None:
        for name in ("budget", "at_once"):
            if getattr(self, name) < 1:
                raise SpecError(f"expected Questions.{name} ≥ 1; got {getattr(self, name)}. Raise it.")
        if not 0.0 < self.until <= 1.0:
            raise SpecError(f"expected Questions.until in (0, 1]; got {self.until:g}. Use 1 to ask to the end.")

    def sessions(self, iterations: int, window: int) -> list[int]:
        """After which iterations to ask: whole windows of the record, in order, as many as the budget needs.

        >>> Questions(budget=40, at_once=10, until=1.0).sessions(160, 5)
        [10, 40, 90, 160]
        """
        count = math.ceil(self.budget / self.at_once)
        last = int(self.until * iterations) // window
        if last < count:
            raise SpecError(
                f"expected at least {count} windows of {window} iterations to ask {self.budget} questions, "
                f"{self.at_once} at once; the first {self.until:.0%} of {iterations} iterations has {last}. Raise "
                "at_once or steps, or ask less."
            )
        places: list[int] = []
        for k in range(count):
            wished = round(last * ((k + 1) / count) ** 2)
            places.append(max(wished, places[-1] + 1 if places else 1))
        return [p * window for p in places]


class Teaching(eqx.Module):
    """Who is asked, and how much."""

    teacher: AbstractTeacher
    questions: Questions


class AbstractAsking(abc.ABC):
    """What `train` does between chunks where the reward learns from a teacher."""

    def __init__(
        self, intent: Intent, teaching: Teaching, spec: EnvSpec, keys: list[PRNGKeyArray], iterations: int, window: int
    ):
        if not isinstance(intent.reward, AbstractPreferences):
            raise SpecError(
                f"expected a reward that learns from comparisons, such as BradleyTerry, for a teacher to teach; got "
                f"{type(intent.reward).__name__}. Leave out teacher, or change the intent's reward."
            )
        self.intent, self.reward, self.spec = intent, intent.reward, spec
        self.teacher, self.questions = teaching.teacher, teaching.questions
        self.members = len(keys)
        self.keys = [random.children(random.unrolled(key), 6)[5] for key in keys]  # the engine uses the first five
        self.sessions = self.questions.sessions(iterations, window)
        self.state_of = (lambda s: s.reward.reward) if intent.constraints else (lambda s: s.reward)

        def teach(state: Any, own: tuple[Answers, PRNGKeyArray], _: Any) -> Any:
            answers, key = own
            return self.reward.teach(state, answers, key=key)[0], ()

        spread = over_seeds(teach, self.members)
        self._teach = jax.jit(spread, donate_argnums=(0,), compiler_options=compiler_options())

    @abc.abstractmethod
    def until_next(self, done: int) -> int | None:
        """Iterations that may be done before `after` is called again; None: as many as there are."""

    @abc.abstractmethod
    def after(self, states: TrainState, done: int) -> TrainState:
        """The states after what was asked and answered at iteration `done`."""

    def waits(self, done: int) -> bool:
        """Whether training may not go on before there are more answers."""
        return False

    def snapshot(self) -> Any:
        """JSON-able: what `restore` needs beside the states, to go on after a stop."""
        return None

    def restore(self, snapshot: Any) -> None:
        return None

    def close(self) -> None:
        return None

    def taught(self, states: TrainState, answers: Answers, keys: list[PRNGKeyArray]) -> TrainState:
        """The states with the reward of each member having learned from its answers (members, n, …)."""
        lesson, stacked = place(answers, self.members), place(random.stack(keys), self.members)
        return eqx.tree_at(self.state_of, states, self._teach(self.state_of(states), (lesson, stacked), ())[0])


class Asking(AbstractAsking):
    """A teacher that answers at once: sessions at iterations fixed beforehand."""

    _propose: Any = None

    def snapshot(self) -> Any:
        return {"sessions": self.sessions}

    def restore(self, snapshot: Any) -> None:
        """Ask when it was planned: by a new total of steps, what was asked already would be asked again."""
        self.sessions = snapshot["sessions"]

    def until_next(self, done: int) -> int | None:
        left = [at - done for at in self.sessions if at > done]
        return left[0] if left else None

    def after(self, states: TrainState, done: int) -> TrainState:
        if done not in self.sessions:
            return states
        number = self.sessions.index(done)
        keys = [random.children(random.child(key, number), 3) for key in self.keys]
        self._propose = self._propose or self._compile()
        asking = place(random.stack([k[0] for k in keys]), self.members)
        found = self._propose((), (self.state_of(states), states.truth, asking), ())[1]
        pairs, left, right = jax.tree.map(np.asarray, found)
        measured = lambda p, side, values: eqx.tree_at(lambda p: getattr(p, side).steps.extras, p, values)
        shown = measured(measured(pairs, "left", left), "right", right)
        n = min(self.questions.at_once, self.questions.budget - number * self.questions.at_once)
        start = number * self.questions.at_once
        each = [self._ask(rows(pairs, i), rows(shown, i), start, k[2]) for i, k in enumerate(keys)]
        pairs, said = (jax.tree.map(lambda *x: np.stack(x), *one) for one in zip(*each, strict=True))
        asked = np.broadcast_to(np.arange(said.shape[1], dtype=np.int32), said.shape)
        parts: Any = (pairs, start + asked, TARGET[said], asked < n, said != Answer.unsure)
        return self.taught(states, Answers(*parts), [k[1] for k in keys])

    def _ask(self, pairs: Pairs, shown: Pairs, start: int, key: PRNGKeyArray) -> tuple[Pairs, np.ndarray]:
        """What one seed's teacher answers: pairs without what it measured, and answers."""
        answered, answers = self.teacher.answered(shown, start, key=key)
        answers = np.asarray(answers)
        if answers.shape != (self.questions.at_once,) or not np.isin(answers, list(Answer)).all():
            raise SpecError(
                f"expected {type(self.teacher).__name__}.label to give {self.questions.at_once} answers, each one of "
                f"{[a.value for a in Answer]}; got {answers.dtype} {answers.shape}. See operant.teachers.Answer."
            )
        return pairs if answered is shown else answered, answers

    def _compile(self) -> Any:
        truth, n, measures = self.intent.truth, self.questions.at_once, self.teacher.measures
        for name, measure in measures.items():
            if not isinstance(measure, AbstractFixedReward):
                raise SpecError(
                    f"expected what a teacher measures to be fixed; {name!r} is {type(measure).__name__}, which "
                    "learns. Use a program, or another reward with nothing to learn."
                )
        states = {name: measure.init(self.spec, key=self.keys[0]) for name, measure in measures.items()}

        def propose(_: Any, own: Any, __: Any) -> tuple[tuple, tuple[Pairs, dict, dict]]:
            state, truth_state, key = own
            pairs = self.reward.propose(state, n, key=key)
            if truth is not None:
                judged = lambda p: tuple(truth(truth_state, side.steps) for side in (p.left, p.right))
                pairs = eqx.tree_at(lambda p: (p.left.steps.reward, p.right.steps.reward), pairs, judged(pairs))
            measure = lambda steps: {name: one(states[name], steps) for name, one in measures.items()}
            return (), (pairs, measure(pairs.left.steps), measure(pairs.right.steps))

        return jax.jit(over_seeds(propose, self.members), compiler_options=compiler_options())
