"""Pictures of differences."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from d2align.ablation.comparison import METRICS, Row
from d2align.ablation.report.page import Figure

# Two hues that colour-blind readers tell apart, and two marks.
COLOURS = {"bbox": "#1f5fa8", "segm": "#c2571a"}
_MARKS = {"bbox": "o", "segm": "s"}
_SHIFT = {"bbox": -0.16, "segm": 0.16}


def deltas_figure(table: Sequence[Sequence[Row]], title: str) -> Figure:
    """Draw each arm's differences with their intervals, and each base as a dot.

    Args:
        table: the rows of each arm.
        title: above the picture.

    Returns:
        The picture.
    """
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(9, 1.4 + 0.66 * len(table)), layout="constrained")
    axes = canvas.subplots()
    labelled: set[str] = set()
    for y, rows in enumerate(table):
        for row in rows:
            label = None if row.metric in labelled else METRICS[row.metric]
            labelled.add(row.metric)
            _draw_row(axes, row, y + _SHIFT[row.metric], label)
    axes.axvline(0, color="#444444", lw=1)
    names = [f"{r[0].arm.factor}: {r[0].arm.value}\n{r[0].arm.note}" for r in table]
    axes.set_yticks(range(len(table)), names, fontsize=9)
    axes.invert_yaxis()
    axes.set_xlabel("AP, variant minus reference (bar: 95 % interval; dots: each base)")
    axes.set_title(title, fontsize=11)
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    if labelled:
        axes.legend(loc="best", frameon=False)
    alt = "; ".join(f"{r.arm.factor} {r.arm.value} {METRICS[r.metric]} {r.delta.delta:+.2f}"
                    for rows in table for r in rows)  # fmt: skip
    return Figure("deltas", render(canvas), f"{title}. {alt}")


def _draw_row(axes: Any, row: Row, y: float, label: str | None) -> None:
    colour, delta = COLOURS[row.metric], row.delta
    axes.plot([delta.low, delta.high], [y, y], color=colour, lw=3, alpha=0.45)
    mark = _MARKS[row.metric]
    axes.plot(delta.delta, y, mark, color=colour, ms=7, label=label, zorder=3)
    if len(delta.base_deltas) > 1:
        dots = [y + 0.11] * len(delta.base_deltas)
        axes.plot(delta.base_deltas, dots, ".", color=colour, ms=4, alpha=0.9)


def render(canvas: Any) -> bytes:
    """Return a matplotlib figure as PNG.

    Args:
        canvas: a matplotlib Figure.

    Returns:
        The file's bytes.
    """
    file = io.BytesIO()
    canvas.savefig(file, dpi=130, format="png")
    return file.getvalue()
