"""The report: one self-contained HTML page from a run folder. Verdicts first; no network, no script."""

from pathlib import Path

from operant.io.checkpoint import write_atomically
from operant.io.report.data import (
    ClipFile,
    Limit,
    ReportData,
    Term,
    finding_from_dict,
    finding_to_dict,
    from_folder,
)
from operant.io.report.page import render

__all__ = [
    "ClipFile",
    "Limit",
    "ReportData",
    "Term",
    "finding_from_dict",
    "finding_to_dict",
    "from_folder",
    "render",
    "write",
]


def write(folder: str | Path) -> Path:
    """Write `report.html` into a run folder and say where it is.

    Raises:
        DataError: the folder holds no run, or a file in it does not say what it should.
        StoreError: the page cannot be written.
    """
    path = Path(folder) / "report.html"
    write_atomically(path, [render(from_folder(Path(folder))).encode()])
    return path
