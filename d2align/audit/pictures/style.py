"""How all pictures of deviations look."""

from __future__ import annotations

import io
import re
from typing import Any

# What d2align's convention wants, and what was measured: two hues that colour-blind readers tell
# apart.
WANTED, MEASURED, PIXEL = "#1f5fa8", "#c2571a", "#c9d0d8"
WIDTH = 5.2
_METADATA = ("Creator", "Date", "Format", "Type")


def canvas(height: float, columns: int = 1, rows: int = 1) -> tuple[Any, Any]:
    """Return an empty picture and its axes.

    Args:
        height: inches.
        columns: panels side by side.
        rows: panels above one another.

    Returns:
        A matplotlib figure, and its axes: one, or an array of them.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots(rows, columns)


def bare(axes: Any, title: str = "") -> None:
    """Take ticks and frame off axes, and title them in words."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if title:
        axes.set_title(title, fontsize=9, loc="left", color="#57606a")


def pixel_grid(axes: Any, x: tuple[float, float], y: tuple[float, float]) -> None:
    """Draw the edges of the pixels in a window; y grows downwards.

    Args:
        axes: matplotlib axes.
        x: the window's left and right end, coordinates.
        y: its upper and lower end.
    """
    columns, rows = (range(int(a), int(b) + 2) for a, b in (x, y))
    axes.vlines(columns, rows[0] - 1, rows[-1], color=PIXEL, lw=0.8, zorder=0)
    axes.hlines(rows, columns[0] - 1, columns[-1], color=PIXEL, lw=0.8, zorder=0)
    axes.set_xlim(*x)
    axes.set_ylim(y[1], y[0])
    axes.set_aspect("equal")


def svg(figure: Any) -> bytes:
    """Return a figure as SVG, the same bytes every time.

    Args:
        figure: a matplotlib figure.

    Returns:
        The file's bytes.
    """
    import matplotlib

    file = io.BytesIO()
    # Letters stay letters: smaller, and readers of screens can read them.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "d2align"}):
        figure.savefig(file, format="svg", metadata=dict.fromkeys(_METADATA))
    # A hundredth of a point is finer than any screen.
    return re.sub(rb"(\.\d\d)\d+", rb"\1", file.getvalue())
