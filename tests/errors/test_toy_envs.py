"""What the toy environments say of maps and fields they cannot use."""

import re

import pytest

from operant.envs.toy import GridWorld, PointMaze
from operant.errors import SpecError


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GridWorld(""), "expected a map of at least one cell; got an empty text"),
        (lambda: GridWorld("S..\n.G"), "rows all have 3 cells, as row 0; row 1 has 2: '.G'. Fill it up"),
        (lambda: GridWorld("S.\nxG"), "got 'x' in row 1, column 0. Replace it."),
        (lambda: GridWorld("..\n.G"), "at least one start 'S'; got none"),
        (lambda: GridWorld("SG", slip=1.5), "expected slip, a probability, in [0, 1]; got 1.5"),
        (lambda: GridWorld("SG", observation="onehot"), "got 'onehot': did you mean 'one_hot'?"),
        (lambda: PointMaze("##\n##"), "expected a map with a free cell; got walls only"),
        (lambda: PointMaze("SH"), "the letters S G . # and space; got 'H' in row 0, column 1"),
        (lambda: PointMaze("SG", reward="spars"), "got 'spars': did you mean 'sparse'?"),
        (lambda: PointMaze("SG", max_speed=20.0), "expected max_speed·dt < 1 cell"),
        (lambda: PointMaze("SG", radius=0.4), "got 0.3 and 0.6. Make them smaller."),
    ],
)
def test_message(make, message):
    with pytest.raises(SpecError, match=re.escape(message)):
        make()
