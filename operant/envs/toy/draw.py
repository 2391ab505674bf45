"""A tiny rasteriser: lines, discs and polygons in world coordinates, to RGB frames, without a display.

Shapes are drawn with Pillow on a canvas `OVERSAMPLE` times as large, which is then averaged down: antialiasing.

>>> canvas = Canvas(left=-1.0, bottom=-1.0, width=2.0)
>>> canvas.disc((0.0, 0.0), 0.5, BLUE)
>>> frame = canvas.frame()
>>> frame.shape, frame.dtype.name, tuple(frame[120, 120].tolist()) == BLUE
((240, 240, 3), 'uint8', True)
"""

import itertools

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]

SIZE = 240  # pixels a side
OVERSAMPLE = 4

PAPER: Colour = (250, 249, 245)
FAINT: Colour = (226, 224, 216)
GREY: Colour = (158, 160, 164)
INK: Colour = (44, 52, 60)
BLUE: Colour = (45, 105, 176)
ORANGE: Colour = (226, 116, 32)
GREEN: Colour = (58, 148, 98)
RED: Colour = (196, 62, 58)


class Canvas:
    """A square view of the plane: `left`, `bottom` and `width` in world units, y up; (size, size) pixels."""

    def __init__(
        self, left: float, bottom: float, width: float, *, size: int = SIZE, background: Colour = PAPER
    ) -> None:
        self.left, self.bottom, self.size = left, bottom, size
        self.pixels = size * OVERSAMPLE
        self.scale = self.pixels / width
        self.image = Image.new("RGB", (self.pixels, self.pixels), background)
        self.pen = ImageDraw.Draw(self.image)

    def place(self, point: npt.ArrayLike) -> Point:
        """World to (oversampled) pixel coordinates."""
        x, y = np.asarray(point, float).tolist()
        return (x - self.left) * self.scale, self.pixels - (y - self.bottom) * self.scale

    def disc(self, centre: npt.ArrayLike, radius: float, colour: Colour) -> None:
        (x, y), r = self.place(centre), radius * self.scale
        self.pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    def polygon(self, points: npt.ArrayLike, colour: Colour) -> None:
        self.pen.polygon([self.place(p) for p in np.asarray(points, float)], fill=colour)

    def box(self, left: float, bottom: float, right: float, top: float, colour: Colour) -> None:
        """A rectangle along the axes."""
        self.polygon([(left, bottom), (right, bottom), (right, top), (left, top)], colour)

    def line(self, points: npt.ArrayLike, colour: Colour, width: float) -> None:
        """A chain of segments `width` world units thick, with round joints and ends."""
        # Quadrilaterals, because Pillow's wide lines are thinner or thicker as they turn.
        chain = np.asarray(points, float)
        for start, end in itertools.pairwise(chain):
            along = end - start
            length = float(np.hypot(*along))
            if length > 0:
                side = np.array([-along[1], along[0]]) * (width / 2 / length)
                self.polygon([start + side, end + side, end - side, start - side], colour)
        for point in chain:
            self.disc(point, width / 2, colour)

    def frame(self) -> np.ndarray:
        """RGB, uint8 (size, size, 3)."""
        return np.array(self.image.reduce(OVERSAMPLE))


def rotate(points: npt.ArrayLike, angle: float, about: npt.ArrayLike) -> np.ndarray:
    """Points (n, 2), turned anticlockwise by `angle` rad around the origin, then moved to `about`.

    >>> rotate([(1.0, 0.0)], np.pi / 2, (0.0, 1.0)).round(6).tolist()
    [[0.0, 2.0]]
    """
    c, s = np.cos(angle), np.sin(angle)
    return np.asarray(points, float) @ np.array([[c, s], [-s, c]]) + np.asarray(about, float)[None]
