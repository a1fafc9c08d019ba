"""What the pictures share: colours that colour-blind readers tell apart, and a pixel grid."""

from __future__ import annotations

from typing import Any

ALIGNED = "#1f5fa8"
HISTORICAL = "#d1495b"
SIGNAL = "#3a9d5d"
PALE = "#eef1f4"
INK = "#30363c"


def pixel_grid(axes: Any, width: int, height: int) -> None:
    """Draw an image's pixels: squares, and a dot at each centre.

    Convention: integer corners; the image spans [0, width] x [0, height].

    Args:
        axes: matplotlib axes.
        width: pixels.
        height: pixels.
    """
    for x in range(width + 1):
        axes.plot([x, x], [0, height], color="#c4ccd4", lw=0.8, zorder=0)
    for y in range(height + 1):
        axes.plot([0, width], [y, y], color="#c4ccd4", lw=0.8, zorder=0)
    xs = [x + 0.5 for _ in range(height) for x in range(width)]
    ys = [y + 0.5 for y in range(height) for _ in range(width)]
    axes.plot(xs, ys, ".", color="#9aa5b0", ms=3, zorder=0)
    axes.set_xlim(-0.6, width + 0.6)
    axes.set_ylim(height + 0.6, -0.6)
    axes.set_aspect("equal")
    bare(axes)


def bare(axes: Any) -> None:
    """Take away ticks and frame.

    Args:
        axes: matplotlib axes.
    """
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)
