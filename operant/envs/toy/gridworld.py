"""GridWorld: a walk over a map of cells with walls, goals and hazards, with slippery ground if wished.

    P(move = a) = 1 − p,   P(move = either right angle to a) = p/2 each;   a move into a wall or off the map stays put
    reward(s → s′) = step_reward + goal_reward·[s′ is G] + hazard_reward·[s′ is H]

The map is text: `#` wall, `S` a start (several: one is drawn uniformly), `G` goal, `H` hazard, `.` or space nothing.
Goals terminate, hazards if `hazard_terminates`. Actions: 0 up, 1 right, 2 down, 3 left. States are the cells without a
wall, counted in reading order; `tables` gives the same process as exact arrays.

Reference: the 4×3 world of Russell and Norvig (2020), Artificial Intelligence: A Modern Approach, section 17.1, is
`GridWorld("...G\\n.#.H\\nS...", slip=0.2, step_reward=-0.04)`; cf. Sutton and Barto (2018), example 3.5.

*Deviations*: rewards belong to transitions, where Russell and Norvig give them to states.

>>> env = GridWorld("S.G")
>>> P, R, initial = env.tables()
>>> P.shape, R[1, 1].tolist(), initial.tolist()  # right of cell 1 lies the goal
((3, 4, 3), [0.0, 0.0, 1.0], [1.0, 0.0, 0.0])
"""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from operant.core import AbstractEnv, Box, Discrete, EnvSpec
from operant.envs.toy import draw
from operant.errors import SpecError, nearest

MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))  # (row, column): up, right, down, left; ±1 mod 4 is a right angle
FOUR_ROOMS = """\
....#....
....#....
.......G.
....#....
#.#####.#
....#....
.S.......
....#....
....#....
"""
LETTERS = "SGH. #"
Observation = Literal["one_hot", "coordinates"]


class GridWorld(AbstractEnv):
    """A gridworld from a text map; inner state (): the index of the cell, of S free cells.

    Raises:
        SpecError: the map is empty, ragged, without a start or with an unknown letter; slip outside [0, 1].
    """

    layout: str = FOUR_ROOMS
    """The map, a line a row: '#' wall, 'S' start, 'G' goal, 'H' hazard, '.' or ' ' empty."""
    slip: float = 0.0
    """Probability of moving at right angles to the chosen direction, half to either side."""
    step_reward: float = 0.0
    """Reward of every step."""
    goal_reward: float = 1.0
    """Reward of entering a goal, on top of the step's."""
    hazard_reward: float = -1.0
    """Reward of a step that ends on a hazard, on top of the step's."""
    hazard_terminates: bool = True
    """Whether a hazard ends the episode."""
    observation: Observation = "one_hot"
    """What is seen: "one_hot" (S,) or "coordinates" (row, column)."""
    max_steps: int = 100
    """Steps after which an episode is truncated."""

    def __check_init__(self) -> None:
        read(self.layout, LETTERS)
        if "S" not in self.layout:
            raise SpecError("expected a map with at least one start 'S'; got none. Mark the cell to start from.")
        if not 0 <= self.slip <= 1:
            raise SpecError(f"expected slip, a probability, in [0, 1]; got {self.slip}. Give a number in between.")
        if self.observation not in get_args(Observation):
            known = nearest(str(self.observation), get_args(Observation))
            raise SpecError(f"expected an observation of GridWorld; got {self.observation!r}: {known}")

    @property
    def cells(self) -> np.ndarray:
        """(S, 2): row and column of each state."""
        return np.argwhere(read(self.layout, LETTERS) != "#")

    @property
    def letters(self) -> np.ndarray:
        """(S,): the map's letter at each state."""
        rows, columns = self.cells.T
        return read(self.layout, LETTERS)[rows, columns]

    @property
    def terminal(self) -> np.ndarray:
        """(S,) bool: whether entering a state ends the episode."""
        return (self.letters == "G") | ((self.letters == "H") & self.hazard_terminates)

    @property
    def entering(self) -> np.ndarray:
        """(S,) float32: the reward of a step that ends in each state."""
        bonus = self.goal_reward * (self.letters == "G") + self.hazard_reward * (self.letters == "H")
        return (self.step_reward + bonus).astype(np.float32)

    @property
    def successors(self) -> np.ndarray:
        """(S, 4) int32: where each move leads from each state."""
        index = {tuple(cell): i for i, cell in enumerate(self.cells.tolist())}
        to = lambda i, cell, move: index.get((cell[0] + move[0], cell[1] + move[1]), i)
        return np.array([[to(i, cell, move) for move in MOVES] for cell, i in index.items()], np.int32)

    def tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The exact process: P (S, 4, S) probabilities, R (S, 4, S) rewards, initial (S,) probabilities.

        Terminal states lead to themselves with reward 0; R is 0 where P is.
        """
        successors, terminal = self.successors, self.terminal
        count = len(terminal)
        P = np.zeros((count, 4, count))
        for turn, weight in ((0, 1 - self.slip), (1, self.slip / 2), (-1, self.slip / 2)):
            for action in range(4):
                P[np.arange(count), action, successors[:, (action + turn) % 4]] += weight
        P[terminal] = np.eye(count)[terminal][:, None, :]
        R = np.where((P > 0) & ~terminal[:, None, None], self.entering.astype(float)[None, None, :], 0.0)
        starts = self.letters == "S"
        return P, R, starts / starts.sum()

    @property
    def spec(self) -> EnvSpec:
        if self.observation == "one_hot":
            obs = Box((len(self.cells),), 0.0, 1.0)
        else:
            height, width = read(self.layout, LETTERS).shape
            obs = Box((2,), 0.0, (height - 1.0, width - 1.0), names=("row", "column"))
        return EnvSpec(obs, Discrete(4), self.max_steps, name="GridWorld")

    def initial(self, *, key: PRNGKeyArray) -> Int[Array, ""]:
        starts = np.flatnonzero(self.letters == "S").astype(np.int32)
        if len(starts) == 1:
            return jnp.asarray(starts[0])
        # floor(u n) costs one draw where `randint` costs two; its bias is below n/2²³.
        return jnp.asarray(starts)[(jax.random.uniform(key) * len(starts)).astype(jnp.int32)]

    def advance(
        self, inner: Int[Array, ""], action: Int[Array, ""], *, key: PRNGKeyArray
    ) -> tuple[Int[Array, ""], Float[Array, ""], Bool[Array, ""]]:
        if not (isinstance(self.slip, float | int) and self.slip == 0):  # an array may be anything
            u = jax.random.uniform(key)
            turn = jnp.where(u < self.slip / 2, 1, jnp.where(u < self.slip, 3, 0))
            action = (action + turn) % 4
        inner = jnp.asarray(self.successors)[inner, action]
        return inner, jnp.asarray(self.entering)[inner], jnp.asarray(self.terminal)[inner]

    def observe(self, inner: Int[Array, ""]) -> Float[Array, "*shape"]:
        if self.observation == "one_hot":
            return (jnp.arange(len(self.cells)) == inner).astype(jnp.float32)
        return jnp.asarray(self.cells, jnp.float32)[inner]

    def render(self, inner: Int[Array, ""]) -> np.ndarray:
        canvas = paint(read(self.layout, LETTERS))
        height = read(self.layout, LETTERS).shape[0]
        row, column = self.cells[int(inner)]
        canvas.disc((column + 0.5, height - row - 0.5), 0.3, draw.BLUE)
        return canvas.frame()


def read(layout: str, letters: str) -> np.ndarray:
    """The map as an array (height, width) of letters.

    Raises:
        SpecError: an empty map, rows of unequal length, a letter that is none of `letters`.
    """
    rows = layout.strip("\n").split("\n")
    if not rows[0]:
        raise SpecError("expected a map of at least one cell; got an empty text. Write one line a row.")
    for number, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise SpecError(
                f"expected a map whose rows all have {len(rows[0])} cells, as row 0; row {number} has {len(row)}: "
                f"{row!r}. Fill it up with '.' or '#'."
            )
        for column, letter in enumerate(row):
            if letter not in letters:
                raise SpecError(
                    f"expected a map of the letters {' '.join(letters.replace(' ', ''))} and space; got {letter!r} in "
                    f"row {number}, column {column}. Replace it."
                )
    return np.array([list(row) for row in rows])


def paint(grid: np.ndarray) -> draw.Canvas:
    """The map, a unit square a cell, row 0 on top and the lower left corner at the origin."""
    height, width = grid.shape
    side = max(height, width) + 0.5
    canvas = draw.Canvas(width / 2 - side / 2, height / 2 - side / 2, side, background=draw.INK)
    colours = {"#": draw.INK, "G": draw.GREEN, "H": draw.RED, "S": draw.FAINT}
    for (row, column), letter in np.ndenumerate(grid):
        x, y = column, height - 1 - row
        canvas.box(x, y, x + 1, y + 1, draw.INK if letter == "#" else draw.FAINT)
        if letter != "#":
            canvas.box(x + 0.03, y + 0.03, x + 0.97, y + 0.97, colours.get(letter, draw.PAPER))
    return canvas
