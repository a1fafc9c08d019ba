"""The three sampling grids of a signal, and where a 2x resize samples on each."""

from __future__ import annotations

from typing import Any

from d2align.figures.style import ALIGNED, HISTORICAL, INK, SIGNAL, bare
from d2align.geometry.grids import (
    Grid,
    align_corners_grid,
    asymmetric_grid,
    half_pixel_grid,
)

_LENGTH = 4
_GRIDS = (
    ("grid 1: align_corners", align_corners_grid),
    ("grid 2: half_pixel (used here)", half_pixel_grid),
    ("grid 3: asymmetric", asymmetric_grid),
)


def sampling_grids(figure: Any) -> None:
    """Draw a signal on [0, 4] sampled with stride 1 on each grid.

    Convention: integer corners; the samples' locations are those of ``geometry.grids``.

    Args:
        figure: a matplotlib figure.
    """
    figure.set_size_inches(7, 3.1)
    axes = figure.subplots()
    for row, (name, make) in enumerate(_GRIDS):
        y = -row
        _signal(axes, y, name)
        _samples(axes, y, make(_LENGTH), ALIGNED if "used" in name else INK, numbers=True)
    _frame(axes, len(_GRIDS), "A signal of length 4, stride 1: where are its samples?")


def resize_2x(figure: Any) -> None:
    """Draw the samples before and after a 2x resize, on each grid.

    Convention: integer corners; on grid 1 there are two ways to double.

    Args:
        figure: a matplotlib figure.
    """
    figure.set_size_inches(7, 4.2)
    axes = figure.subplots()
    halved = align_corners_grid(_LENGTH, 0.5)
    samples = align_corners_grid(_LENGTH).resolution
    twice = Grid(0.0, _LENGTH / (2 * samples - 1), 2 * samples)
    cases = (
        ("grid 1, half the stride", align_corners_grid(_LENGTH), halved),
        ("grid 1, twice the samples", align_corners_grid(_LENGTH), twice),
        ("grid 2", half_pixel_grid(_LENGTH), half_pixel_grid(_LENGTH, 0.5)),
        ("grid 3", asymmetric_grid(_LENGTH), asymmetric_grid(_LENGTH, 0.5)),
    )
    for row, (name, before, after) in enumerate(cases):
        _signal(axes, -row, name)
        _samples(axes, -row + 0.12, before, INK)
        _samples(axes, -row - 0.12, after, HISTORICAL if name == "grid 3" else ALIGNED)
    _frame(axes, len(cases), "2x resize: samples before (above the bar) and after (below)")


def _signal(axes: Any, y: float, name: str) -> None:
    axes.plot([0, _LENGTH], [y, y], color=SIGNAL, lw=6, alpha=0.45, solid_capstyle="butt")
    axes.annotate(name, (-0.25, y), ha="right", va="center", fontsize=9, color=INK)


def _samples(axes: Any, y: float, grid: Grid, colour: str, *, numbers: bool = False) -> None:
    locations = grid.locations().tolist()
    axes.plot(locations, [y] * len(locations), "o", color=colour, ms=6)
    for index, x in enumerate(locations if numbers else ()):
        axes.annotate(f"{x:g}", (x, y), (0, 8), textcoords="offset points", ha="center", fontsize=8)
        axes.annotate(f"[{index}]", (x, y), (0, -15), textcoords="offset points", ha="center",
                      fontsize=8, color="#7a848e")  # fmt: skip


def _frame(axes: Any, rows: int, title: str) -> None:
    axes.set_xlim(-2.7, _LENGTH + 0.4)
    axes.set_ylim(-rows + 0.4, 0.6)
    axes.set_title(title, fontsize=10, loc="left")
    bare(axes)
