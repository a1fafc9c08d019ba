"""The cells of the compatibility matrix: what is installed together, under which Python."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path

CELLS = Path(__file__).with_name("cells.json")
DETECTRON2 = ("v0.5", "main")


@dataclass(frozen=True)
class Cell:
    """One environment.

    Attributes:
        name: of the cell.
        python: "3.11".
        torch: version.
        torchvision: version.
        numpy: what pip is asked for, such as ">=2".
        detectron2: v0.5, by tools/install_detectron2.py, or main, compiled from a checkout.
    """

    name: str
    python: str
    torch: str
    torchvision: str
    numpy: str
    detectron2: str

    @property
    def constraints(self) -> list[str]:
        """What pip must not move away from."""
        return [
            f"torch=={self.torch}",
            f"torchvision=={self.torchvision}",
            f"numpy{self.numpy}",
        ]


def read_cells(path: Path = CELLS) -> dict[str, Cell]:
    """Read the cells.

    Args:
        path: a JSON object, name -> what the cell consists of.

    Returns:
        name -> cell, in the order of the file.

    Raises:
        ValueError: a cell lacks something, or has what is not known.
    """
    wanted = {field.name for field in fields(Cell)} - {"name"}
    cells = {}
    for name, content in json.loads(path.read_text()).items():
        if set(content) != wanted:
            raise ValueError(f"{name}: got {sorted(content)}, expected {sorted(wanted)}")
        cells[name] = cell = Cell(name, **content)
        if cell.detectron2 not in DETECTRON2:
            raise ValueError(
                f"{name}: detectron2: got {cell.detectron2!r}, expected one of {DETECTRON2}"
            )
    return cells


def choose_cells(names: list[str], cells: dict[str, Cell]) -> list[Cell]:
    """Choose cells by name.

    Args:
        names: none takes all.
        cells: name -> cell.

    Returns:
        The cells, in the order asked for.

    Raises:
        ValueError: there is no such cell.
    """
    for name in names:
        if name not in cells:
            raise ValueError(f"cell: got {name!r}, expected one of {list(cells)}")
    return [cells[name] for name in names or cells]
