"""Animated images as one sheet of frames, so that a page can play two in step, slowly, and frame by frame.

No browser lets a page steer an animated image, and the interface that decodes one is withheld from pages that come
over plain HTTP from another machine. One still image with all frames in a grid needs neither.
"""

import collections
import dataclasses
import io
import math
import threading
from pathlib import Path

from PIL import Image

from operant.errors import DataError

KEPT = 32
"""Sheets remembered."""


@dataclasses.dataclass(frozen=True)
class Sheet:
    """`image`: WebP, frames row by row; `rate`: frames a second."""

    image: bytes
    frames: int
    columns: int
    rate: float


class Sheets:
    """Makes sheets and remembers the latest."""

    def __init__(self) -> None:
        self._made: collections.OrderedDict[tuple[Path, int, int], Sheet] = collections.OrderedDict()
        self._lock = threading.Lock()

    def of(self, path: Path) -> Sheet:
        """The sheet of an animation. Raises DataError: it is no image."""
        stat = path.stat()
        key = (path, stat.st_mtime_ns, stat.st_size)
        with self._lock:
            if key in self._made:
                self._made.move_to_end(key)
                return self._made[key]
        sheet = make(path)
        with self._lock:
            self._made[key] = sheet
            while len(self._made) > KEPT:
                self._made.popitem(last=False)
        return sheet


def make(path: Path) -> Sheet:
    """Decode an animation and lay its frames out in a grid about as wide as high; lossless where that is smaller."""
    try:
        with Image.open(path) as image:
            count = getattr(image, "n_frames", 1)
            columns = math.ceil(math.sqrt(count))
            grid = Image.new("RGB", (columns * image.width, -(-count // columns) * image.height), "white")
            lasted = 0.0
            for k in range(count):
                image.seek(k)
                grid.paste(image.convert("RGB"), (k % columns * image.width, k // columns * image.height))
                lasted += image.info.get("duration", 0) or 40
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"expected an image at {path.name}; got: {error}. Record the clip again.") from error
    found = []
    for kind in ({"lossless": True, "quality": 20, "method": 1}, {"quality": 85, "method": 0}):
        out = io.BytesIO()
        grid.save(out, "WEBP", **kind)
        found.append(out.getvalue())
    return Sheet(min(found, key=len), count, columns, round(1000 * count / lasted, 3))
