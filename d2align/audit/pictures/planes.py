"""Pictures in the plane: corners of boxes and masks, centres, and what a warp does to an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from d2align.audit.pictures.style import MEASURED, PIXEL, WANTED, bare, canvas, pixel_grid
from d2align.audit.probes.blobs import apply_affine
from d2align.audit.record import Finding

# Warps are probed on images of this many pixels.
_WARPED = (96.0, 84.0)
_FACTORS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


def draw_paste_mask(finding: Finding) -> Any:
    """Draw two corners of a box and of the mask that was pasted into it.

    Args:
        finding: about a paste.

    Returns:
        A matplotlib figure.
    """
    edges = np.array(finding.evidence["edges"], dtype=np.float64)
    # A pair of rows is the x and the y of one box; the one with the largest error is drawn.
    away = np.abs(edges[:, 2:] - edges[:, :2]).reshape(-1, 4).max(axis=1)
    x, y = edges.reshape(-1, 2, 4)[int(np.argmax(away))]
    return _corners((x[0], y[0], x[1], y[1]), (x[2], y[2], x[3], y[3]))


def draw_mask_to_box(finding: Finding) -> Any:
    """Draw two corners of a mask and of the box around it; as draw_paste_mask."""
    return _corners(finding.evidence["edges"][0], finding.evidence["boxes"][0])


def draw_find_contours(finding: Finding) -> Any:
    """Draw two corners of a mask and of its contour; as draw_paste_mask."""
    return _corners(finding.evidence["edges"][0], finding.evidence["extents"][0])


def draw_rasterize_polygon(finding: Finding) -> Any:
    """Draw two corners of a rectangle and of what was filled for it; as draw_paste_mask."""
    (left, right), (top, bottom) = finding.evidence["edge_offsets"]
    given = np.array([9.5, 12.5, 30.5, 27.5])
    return _corners(given, given + [left, top, right, bottom])


def draw_box_pair(finding: Finding) -> Any:
    """Draw two corners of a box before and after encoding and decoding; as draw_paste_mask."""
    return _corners(finding.evidence["targets"][0], finding.evidence["round_trip"][0])


def draw_crop(finding: Finding) -> Any:
    """Draw two corners of a box and of what was cropped; as draw_paste_mask."""
    return _corners((5, 7, 29, 31), finding.evidence["spans"][0])


def draw_anchors(finding: Finding) -> Any:
    """Draw the anchors of one cell of a feature map; as draw_paste_mask."""
    stride = float(finding.parameters["stride"])
    anchors = np.array(finding.evidence["cell_anchors"], dtype=np.float64)
    figure, axes = canvas(3.4)
    cells = stride * np.arange(-2, 4)
    axes.vlines(cells, *(stride * np.array([-2.3, 2.7])), color=PIXEL, lw=0.8, zorder=0)
    axes.hlines(cells, *(stride * np.array([-2.3, 2.7])), color=PIXEL, lw=0.8, zorder=0)
    _rectangle(axes, (0, 0, stride, stride), "#57606a", "solid")
    for box in anchors:
        _rectangle(axes, box, MEASURED, "solid")
    centre = (anchors[:, :2] + anchors[:, 2:]).mean(axis=0) / 2
    axes.plot(stride / 2, stride / 2, "o", mfc="white", mec=WANTED, ms=8, mew=1.6)
    axes.plot(*centre, "o", color=MEASURED, ms=7)
    axes.set_xlim(-2.3 * stride, 2.7 * stride)
    axes.set_ylim(2.7 * stride, -2.3 * stride)
    axes.set_aspect("equal")
    bare(axes, f"a cell of {stride:g} pixels and its anchors")
    return figure


def draw_drift(finding: Finding) -> Any:
    """Draw by how much a field of a pipeline moved on average; as draw_paste_mask."""
    parameters = finding.parameters
    if "x1_px" in parameters:
        box = np.array([10.3, 10.3, 30.7, 30.7])
        return _corners(box, box + [parameters[f"{edge}_px"] for edge in ("x1", "y1", "x2", "y2")])
    x, y = float(parameters["x_px"]), float(parameters["y_px"])
    reach = max(2.2, float(np.ceil(max(abs(x), abs(y)))) + 1.2)
    figure, axes = canvas(2.6)
    pixel_grid(axes, (10.3 - reach, 10.3 + reach), (10.3 - reach, 10.3 + reach))
    axes.plot(10.3, 10.3, "o", mfc="white", mec=WANTED, ms=10, mew=1.8)
    axes.plot(10.3 + x, 10.3 + y, "o", color=MEASURED, ms=6)
    bare(axes, "where a point should be, and where it is on average")
    return figure


def draw_rotate(finding: Finding) -> Any:
    """Draw the middle of an image and the point about which it turned; as draw_paste_mask."""
    middle = np.array(_WARPED) / 2
    centres = np.array(finding.evidence["centres"], dtype=np.float64)
    reach = max(2.0, np.ceil(np.abs(centres - middle).max()) + 1)
    figure, axes = canvas(2.6)
    x, y = ((float(m - reach), float(m + reach)) for m in middle)
    pixel_grid(axes, x, y)
    axes.plot(*middle, "o", mfc="white", mec=WANTED, ms=10, mew=1.8)
    axes.plot(centres[:, 0], centres[:, 1], "o", color=MEASURED, ms=6)
    bare(axes, "the pixels in the middle of the image")
    return figure


def draw_warp_affine(finding: Finding) -> Any:
    """Draw how far an image lands from where its matrix sends it; as draw_paste_mask."""
    pairs = zip(finding.evidence["asked"], finding.evidence["measured"], strict=True)
    w, h = _WARPED
    spots = np.array(
        [(x, y) for y in np.linspace(10, h - 10, 3) for x in np.linspace(10, w - 10, 4)]
    )
    matrices = [(np.array(asked), np.array(got)) for asked, got in pairs]
    moves = [apply_affine(got, spots) - apply_affine(asked, spots) for asked, got in matrices]
    longest = max(float(np.abs(move).max()) for move in moves)
    factor = max(f for f in _FACTORS if f == 1 or f * longest < 14)
    figure, panels = canvas(3.4, columns=2, rows=2)
    for axes, move in zip(np.ravel(panels), moves, strict=True):
        axes.plot([0, w, w, 0, 0], [0, 0, h, h, 0], color=PIXEL, lw=0.8)
        ends = spots + factor * move
        joints = np.stack([spots, ends, np.full_like(ends, np.nan)], axis=1).reshape(-1, 2)
        axes.plot(*joints.T, color="#8a929b", lw=0.8)
        axes.plot(*spots.T, "o", mfc="white", mec=WANTED, ms=4.5, mew=1.2)
        axes.plot(*ends.T, "o", color=MEASURED, ms=3.5)
        axes.set_xlim(-16, w + 16)
        axes.set_ylim(h + 16, -16)
        axes.set_aspect("equal")
        bare(axes)
    times = f", {factor} times as far" if factor > 1 else ""
    figure.suptitle(f"four warps: the right places and the measured ones{times}", fontsize=9)
    return figure


def _corners(given: Sequence[float] | np.ndarray, got: Sequence[float] | np.ndarray) -> Any:
    """The upper left and the lower right corner of two boxes, among the pixels there."""
    figure, panels = canvas(2.5, columns=2)
    titles = ("upper left corner", "lower right corner")
    reach = max(2.2, float(np.abs(np.subtract(got, given)).max()) + 1.2)
    for axes, title, corner in zip(panels, titles, (0, 2), strict=True):
        x, y = float(given[corner]), float(given[corner + 1])
        pixel_grid(axes, (x - reach, x + reach), (y - reach, y + reach))
        _rectangle(axes, given, WANTED, "dotted")
        _rectangle(axes, got, MEASURED, "solid")
        bare(axes, title)
    return figure


def _rectangle(axes: Any, box: Sequence[float] | np.ndarray, colour: str, style: str) -> None:
    x1, y1, x2, y2 = box
    axes.plot([x1, x2, x2, x1, x1], [y1, y1, y2, y2, y1], color=colour, linestyle=style, lw=2)
