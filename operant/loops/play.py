"""`play`: everybody against everybody, many rounds, many times, in one compiled loop.

Each of P players meets each, its own twin included, once as row and once as column: P² matches a repetition, R
repetitions, all side by side. Every round of every match:

    both act;  each hand may tremble (game.noise);  both are paid;  both observe

Reference: Axelrod 1980, Effective Choice in the Prisoner's Dilemma, 10.1177/002200278002400101 (the round robin).
"""

import datetime
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from operant.core import Metrics, Status
from operant.errors import SpecError
from operant.games import AbstractPlayer, MatrixGame
from operant.io import card as cards
from operant.io.recorders import AbstractRecorder, Silent
from operant.loops.chunks import run_chunks
from operant.math.random import unrolled
from operant.math.stats import Interval, bootstrap_interval


class Tournament(eqx.Module):
    """What came of a round robin: what each was paid a round, against whom, and what each did."""

    game: MatrixGame
    players: tuple[AbstractPlayer, ...]
    names: tuple[str, ...]
    """Class names; a number tells the second of a kind from the first."""
    payoffs: np.ndarray
    """(P, P, R): mean payoff a round of player i against j in each repetition, over both roles (payoff units)."""
    frequencies: np.ndarray
    """(P, P, A): share of rounds in which i, against j, played each action; noise included."""
    twins: bool
    """Whether a player's score counts its matches against its own twin."""
    metrics: dict[str, np.ndarray]
    """payoff/<name> -> (rows,): the score over the rounds so far."""
    rounds: np.ndarray
    """(rows,): rounds of each match up to the end of each row."""
    key: PRNGKeyArray
    card: dict[str, Any]
    """Versions, seconds."""

    @property
    def status(self) -> Status:
        """`done`, or `stopped` by Ctrl-C: means are over the rounds played until then."""
        return Status[self.card["status"]]

    @property
    def cooperation(self) -> np.ndarray:
        """(P, P): how often i cooperated with j.

        Raises:
            SpecError: the game has no cooperation.
        """
        if self.game.cooperate is None:
            raise SpecError(
                "expected a game with an action that is cooperation; this one's `cooperate` is None. Read "
                "`frequencies`, or name the action: MatrixGame(…, cooperate=0)."
            )
        return self.frequencies[..., self.game.cooperate]

    def score(self, player: int | str) -> Interval:
        """A player's mean payoff a round over all opponents, with its 95 % interval over repetitions.

        Raises SpecError if there is no such player."""
        i = self._index(player)
        against = [j for j in range(len(self.names)) if self.twins or j != i]
        return self._interval(self.payoffs[i, against].mean(0))

    def payoff(self, player: int | str, opponent: int | str) -> Interval:
        """The mean payoff a round of one against another, with its 95 % interval over repetitions.

        Raises SpecError if there is no such player."""
        return self._interval(self.payoffs[self._index(player), self._index(opponent)])

    def _index(self, player: int | str) -> int:
        if isinstance(player, str) and player in self.names:
            return self.names.index(player)
        if isinstance(player, int) and 0 <= player < len(self.names):
            return player
        raise SpecError(
            f"expected one of the players {', '.join(self.names)}, or 0 … {len(self.names) - 1}; got {player!r}."
        )

    def _interval(self, x: np.ndarray) -> Interval:
        """Over repetitions; one repetition says nothing of the spread, so its bounds are NaN."""
        if len(x) < 2:
            return Interval(float(x.mean()), float("nan"), float("nan"))
        rng = np.random.default_rng(np.asarray(jax.random.key_data(self.key)))
        return bootstrap_interval(x, np.mean, rng=rng)

    def table(self) -> str:
        """Who scored what, best first, with intervals, cooperation rates, and the payoff against each."""
        scores = [self.score(i) for i in range(len(self.names))]
        order = sorted(range(len(self.names)), key=lambda i: -scores[i].value)
        wide = max(len(name) for name in self.names)
        rate = None if self.game.cooperate is None else self.cooperation.mean(1)
        lines = []
        for i in order:
            s = scores[i]
            cells = "  ".join(f"{self.payoffs[i, j].mean():7.3f}" for j in order)
            cooperates = "" if rate is None else f"  cooperates {rate[i]:4.0%}"
            lines.append(f"{self.names[i]:{wide}}  {s.value:7.3f} [{s.low:.3f}, {s.high:.3f}]{cooperates}  |  {cells}")
        return "\n".join(lines)


def play(
    game: MatrixGame,
    players: Sequence[AbstractPlayer],
    *,
    rounds: int,
    repetitions: int = 10,
    twins: bool = True,
    key: PRNGKeyArray,
    recorder: AbstractRecorder | None = None,
) -> Tournament:
    """Let everybody play everybody.

    Args:
        rounds: rounds a match.
        repetitions: times that each pair meets, in each role; what intervals are over.
        twins: whether the match against one's own twin counts in a player's score, as it did in Axelrod's.
        key: decides everything: same key, same result, bit for bit, on the same machine and backend.

    Raises:
        SpecError: settings that cannot be, or a player that cannot play this game.
    """
    players = tuple(players)
    _check(game, players, rounds, repetitions, twins)
    P, R, A = len(players), repetitions, game.actions
    names = _names(players)
    init_key, run_key = jax.random.split(unrolled(key))

    def start() -> Any:
        """Memory of every player as row and as column: leaves (P opponents, R, …)."""
        keys = jax.random.split(init_key, (P, 2, P, R))
        each = lambda p, role: jax.vmap(jax.vmap(lambda k: players[p].init(game, role, key=k)))(keys[p, role])
        memory = [tuple(each(p, role) for role in (0, 1)) for p in range(P)]
        return memory, jnp.zeros((2, P, P, R)), jnp.zeros((2, P, P, A)), run_key

    def step(state: Any, i: Array) -> tuple[Any, Metrics]:
        memory, paid, did, key = state
        act_key, slip_key = jax.random.split(jax.random.fold_in(key, i))
        keys = jax.random.split(act_key, (P, 2, P, R))
        act = lambda p, role: jax.vmap(jax.vmap(lambda s, k: players[p].act(s, key=k)))(memory[p][role], keys[p, role])
        # [role][player, opponent, repetition]; the match (row i, column j) is [0][i, j] and [1][j, i]
        meant = jnp.stack([jnp.stack([act(p, role) for p in range(P)]) for role in (0, 1)]).astype(jnp.int32)
        tremble = lambda a, k: game.tremble(a, key=k)
        flat = jax.vmap(tremble)(meant.reshape(-1), jax.random.split(slip_key, meant.size))
        own = flat.reshape(meant.shape)
        other = jnp.swapaxes(own, 1, 2)[::-1]
        pay = jax.vmap(jax.vmap(jax.vmap(game.pay)))(own[0], other[0])
        payoff = jnp.stack([pay[..., 0], jnp.swapaxes(pay[..., 1], 0, 1)])
        observe = lambda p, role: jax.vmap(jax.vmap(players[p].observe))(
            memory[p][role], own[role, p], other[role, p], payoff[role, p]
        )
        memory = [tuple(observe(p, role) for role in (0, 1)) for p in range(P)]
        did = did + jax.nn.one_hot(own, A).sum(3)
        paid = paid + (payoff - paid) / (i + 1)  # a running mean: a sum in float32 would stop growing
        means = paid.mean((0, 3))
        counted = means if twins else jnp.where(jnp.eye(P, dtype=bool), 0.0, means)
        score = counted.sum(1) / (P if twins else P - 1)
        return (memory, paid, did, key), {f"payoff/{name}": score[p] for p, name in enumerate(names)}

    began = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    title = f"{P} players · {R} repetitions"
    state, metrics, done, seconds = run_chunks(step, start(), rounds, 1, title, recorder or Silent())
    payoffs, did = np.asarray(state[1]).mean(0), np.asarray(state[2]).sum(0)
    card = {"rounds": rounds, "repetitions": R, "players": names, "started": began, "versions": cards.versions()}
    return Tournament(
        game, players, names, payoffs, did / did.sum(-1, keepdims=True), twins, metrics, done, key, card | seconds
    )


def _names(players: tuple[AbstractPlayer, ...]) -> tuple[str, ...]:
    kinds = [type(player).__name__ for player in players]
    count = [kinds[: i + 1].count(kind) for i, kind in enumerate(kinds)]
    return tuple(kind if n == 1 else f"{kind} {n}" for kind, n in zip(kinds, count, strict=True))


def _check(game: Any, players: tuple[Any, ...], rounds: Any, repetitions: Any, twins: bool) -> None:
    if not isinstance(game, MatrixGame):
        raise SpecError(
            f"expected game to be a MatrixGame; got {type(game).__name__}. Make one: games.prisoners_dilemma()."
        )
    strangers = [p for p in players if not isinstance(p, AbstractPlayer)]
    if not players or strangers:
        got = "none" if not players else f"{strangers[0]!r:.40}"
        raise SpecError(f"expected at least one AbstractPlayer in players; got {got}. Make them: games.TitForTat().")
    if len(players) == 1 and not twins:
        raise SpecError("expected at least two players with twins=False; got 1. Add one, or let it meet its twin.")
    for name, value in (("rounds", rounds), ("repetitions", repetitions)):
        if not isinstance(value, int) or value < 1:
            raise SpecError(f"expected {name} to be a whole number ≥ 1; got {value!r}.")
