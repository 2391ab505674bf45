"""Emitters: where quality-diversity's next solutions come from, by ask and tell.

    ask(state, elites) → B solutions;   the loop evaluates them and offers them to the archive;   tell(state, …) → state

Solutions are pytrees of arrays: a vector, or the parameters of a network. One emitter serves every archive.

Reference: Fontaine et al. 2020, 1912.02400 (emitters); ask and tell: Collette, Hansen, Pujol, Salazar Aponte and
Le Riche 2010, On Object-Oriented Programming of Optimizers, 10.1002/9781118600153.ch14.
"""

import abc
from typing import Any

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from operant.archives import Added, Elites

EmitterState = PyTree[Array]


class AbstractEmitter(eqx.Module):
    """Proposes solutions from what an archive holds, and learns from what became of them."""

    batch: eqx.AbstractVar[int]

    @abc.abstractmethod
    def init(self, *, key: PRNGKeyArray) -> EmitterState:
        """The state before anything was asked."""

    @abc.abstractmethod
    def ask(self, state: EmitterState, elites: Elites, *, key: PRNGKeyArray) -> tuple[PyTree[Array], EmitterState]:
        """`batch` solutions, every leaf (B, …), and the state that waits for their fate."""

    @abc.abstractmethod
    def tell(
        self,
        state: EmitterState,
        solutions: PyTree[Array],
        fitness: Float[Array, " B"],
        descriptor: Float[Array, "B D"],
        added: Added,
    ) -> EmitterState:
        """Learn from the solutions just asked for; `fitness` and `descriptor` may hold non-finite numbers."""

    @abc.abstractmethod
    def example(self) -> PyTree[Any]:
        """One solution, or its shapes: what the archive makes room for."""


from operant.emitters.gaussian import Gaussian  # noqa: E402  (it derives from what stands above)

__all__ = ["AbstractEmitter", "Gaussian"]
