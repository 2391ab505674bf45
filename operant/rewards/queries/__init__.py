"""Which pairs to ask about: a slot of every reward that is learned from comparisons.

A query sees, of m candidate pairs, what each member of an ensemble thinks (the probability that the right one is
better) and where the pair lies (features); it answers with the n worth a person's time.
"""

import abc

import equinox as eqx
from jaxtyping import Array, Float, Int, PRNGKeyArray


class AbstractQuery(eqx.Module):
    """Choose n of m candidate pairs."""

    candidates: eqx.AbstractVar[int]
    """Candidates drawn for each pair that is asked about."""

    @abc.abstractmethod
    def choose(
        self, belief: Float[Array, "members m"], features: Float[Array, "m d"], n: int, *, key: PRNGKeyArray
    ) -> Int[Array, " n"]:
        """Indices of the n to ask about, all different."""


from operant.rewards.queries.coverage import Coverage  # noqa: E402
from operant.rewards.queries.disagreement import Disagreement  # noqa: E402
from operant.rewards.queries.entropy import Entropy  # noqa: E402
from operant.rewards.queries.information import Information  # noqa: E402
from operant.rewards.queries.uniform import Uniform  # noqa: E402

__all__ = ["AbstractQuery", "Coverage", "Disagreement", "Entropy", "Information", "Uniform"]
