"""Try cells one after another, and write down how each went."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compatibility.cells import choose_cells, read_cells
from compatibility.environment import make_environment
from compatibility.page import write_record
from compatibility.trial import try_environment


@dataclass(frozen=True)
class Settings:
    """How to try cells.

    Attributes:
        pythons: executables to look among.
        detectron2_main: a checkout of Detectron2's main, or a wheel built from one.
        tests: paths relative to the checkout of d2align.
        processes: in which tests run.
        folder: of environments and logs.
        keep: whether to leave the environments there.
    """

    pythons: Sequence[str]
    detectron2_main: Path | None
    tests: Sequence[str]
    processes: int
    folder: Path
    keep: bool


def check_cells(names: list[str], settings: Settings) -> int:
    """Try cells.

    Args:
        names: of cells; none takes all.
        settings: how.

    Returns:
        0 if no test failed anywhere, else 1.

    Raises:
        ValueError: there is no such cell, or its environment cannot be made.
    """
    failed = 0
    for cell in choose_cells(names, read_cells()):
        print(f"{cell.name}:", flush=True)
        place = settings.folder / cell.name
        environment = place / "venv"
        checkout = settings.detectron2_main
        python = make_environment(cell, settings.pythons, environment, checkout)
        record = try_environment(python, settings.tests, place, settings.processes)
        write_record(cell, {**record, "detectron2_source": cell.detectron2})
        print(f"{record['passed']} passed, {record['failed']} failed, {record['skipped']} skipped")
        failed += record["failed"]
        if not settings.keep:
            shutil.rmtree(environment)
    return 1 if failed else 0
