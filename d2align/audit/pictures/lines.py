"""Pictures along one line of pixels: where samples lie, and where they should."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from d2align.audit.pictures.style import MEASURED, PIXEL, WANTED, bare, canvas
from d2align.audit.record import Finding

_PADDED = 6  # pixels of a padded row that are drawn


def draw_resize(finding: Finding) -> Any:
    """Draw the samples of two small resizes between the pixels of their input.

    Args:
        finding: about a resize.

    Returns:
        A matplotlib figure.
    """
    found = _small_resizes(finding.evidence)
    figure, panels = canvas(1.35 * len(found), rows=len(found))
    for axes, (n, positions) in zip(np.atleast_1d(panels), found, strict=True):
        m = len(positions)
        wanted = (np.arange(m) + 0.5) * n / m
        got = [None if p is None else p + 0.5 for p in positions]
        _samples(axes, (0.0, float(n)), wanted, got)
        bare(axes, f"{n} pixels to {m}")
    return figure


def draw_roi_align(finding: Finding) -> Any:
    """Draw the samples of one crop to five cells, along x; as draw_resize."""
    low, high = finding.evidence["box"]
    positions = np.array(finding.evidence["positions"], dtype=np.float64)
    k = len(positions)
    wanted = low + (np.arange(k) + 0.5) * (high - low) / k
    figure, axes = canvas(1.6)
    ends = np.floor(min(low, *(positions + 0.5)) - 1), np.ceil(max(high, *(positions + 0.5)) + 1)
    _samples(axes, (float(ends[0]), float(ends[1])), wanted, list(positions + 0.5))
    axes.vlines(np.linspace(low, high, k + 1), 0.6, 1.4, color=WANTED, lw=0.8)
    bare(axes, f"the box from {low:g} to {high:g}, in {k} cells")
    return figure


def draw_sample_points(finding: Finding) -> Any:
    """Draw where an image is read for points between two pixels; as draw_resize."""
    points = np.array(finding.evidence["points"], dtype=np.float64)
    read = np.array(finding.evidence["positions"], dtype=np.float64) + 0.5
    low, high = min(points.min(), read.min()), max(points.max(), read.max())
    figure, axes = canvas(1.4)
    _samples(axes, (float(np.floor(low)), float(np.ceil(high))), points, list(read))
    bare(axes, f"points from {points[0]:g} to {points[-1]:g}")
    return figure


def draw_pad(finding: Finding) -> Any:
    """Draw where the first pixels of an image are after padding, along x; as draw_resize."""
    row, left = np.array(finding.evidence["row"]), int(finding.evidence["left"])
    pixels = np.arange(_PADDED)
    # A pixel is where the next one follows it: a repeated or mirrored edge shows some twice.
    follows = np.append(np.abs(np.diff(row) - 1) < 0.01, False)
    places = [np.flatnonzero(follows & (np.abs(row - i) < 0.01)) for i in pixels]
    got = [float(p[0]) + 0.5 if len(p) else None for p in places]
    wanted = left + pixels + 0.5
    figure, axes = canvas(1.4)
    ends = max(float(wanted[-1]), *(g for g in got if g is not None), 0.0)
    _samples(axes, (0.0, float(np.ceil(ends))), wanted, got)
    bare(axes, f"the first {_PADDED} pixels of a row, with {left} more on the left")
    return figure


def draw_width(finding: Finding) -> Any:
    """Draw the width that a function counts for a box of four pixels; as draw_resize."""
    offset = float(finding.parameters["width_offset_px"])
    figure, axes = canvas(1.2)
    axes.vlines(range(9), 0, 2, color=PIXEL, lw=0.8)
    for y, width, colour in ((1.4, 4.0, WANTED), (0.6, 4.0 + offset, MEASURED)):
        axes.plot([2, 2 + width], [y, y], color=colour, lw=6, solid_capstyle="butt")
        axes.text(2 + width + 0.15, y, f"{width:g}", va="center", color=colour, fontsize=9)
    axes.set_xlim(0, 8.1)
    bare(axes, "the width of a box from 2 to 6")
    return figure


def draw_flip(finding: Finding) -> Any:
    """Draw where a few points go; as draw_resize."""
    column = 1 if finding.parameters["axis"] == "y" else 0
    side = 37.0 if column else 52.0
    before = np.array(finding.evidence["before"], dtype=np.float64)[:3, column]
    after = np.array(finding.evidence["after"], dtype=np.float64)[:3, column]
    figure, axes = canvas(1.8)
    axes.plot([0, side], [0, 0], color="#57606a", lw=1)
    axes.vlines((0, side / 2, side), -0.12, 0.12, color="#57606a", lw=1)
    for start, end in zip(before, after, strict=True):
        for goal, colour, style in ((side - start, WANTED, "dotted"), (end, MEASURED, "solid")):
            arrow = {"arrowstyle": "->", "color": colour, "linestyle": style}
            arrow["connectionstyle"] = f"arc3,rad={-0.35 if goal > start else 0.35}"
            axes.annotate("", (goal, 0), (start, 0), arrowprops=arrow)
    axes.set_xlim(-1, side + 1)
    axes.set_ylim(-0.6, 2)
    bare(axes, f"three points of an image of {side:g} pixels, {finding.parameters['axis']}")
    return figure


def draw_drifts(finding: Finding) -> Any:
    """Draw how far each field of a transform lies from the image; as draw_resize."""
    parameters = finding.parameters
    fields = [name.removesuffix("_reading") for name in parameters if name.endswith("_reading")]
    figure, axes = canvas(0.6 + 0.35 * len(fields))
    for y, name in enumerate(fields):
        drift = float(parameters[f"{name}_px"])
        fine = parameters[f"{name}_reading"] == "coordinates"
        colour = WANTED if fine else MEASURED
        axes.plot([0, drift], [y, y], color=colour, lw=2)
        axes.plot(drift, y, "o", color=colour, ms=6)
        note = "agrees" if fine else f"{drift:.2f} px"
        if not fine and parameters[f"{name}_reading"] != "neither":
            note += f", moves as {parameters[f'{name}_reading']}"
        axes.annotate(note, (drift, y), (8, 0), textcoords="offset points", va="center", fontsize=8)
    axes.axvline(0, color="#57606a", lw=1)
    most = max(0.5, *(float(parameters[f"{name}_px"]) for name in fields))
    axes.set_xlim(-0.02 * most, 2.6 * most)
    axes.set_ylim(len(fields) - 0.5, -0.5)
    bare(axes, "away from where the image goes")
    axes.set_yticks(range(len(fields)), fields, fontsize=9)
    axes.tick_params(left=False)
    return figure


def _small_resizes(evidence: Mapping[str, Any]) -> list[tuple[int, Sequence[float | None]]]:
    """The resizes small enough to draw: (input size, positions)."""
    found = []
    for name, positions in evidence.items():
        if name.startswith("positions_"):
            found.append((int(name.split("_")[1]), positions))
    return found


def _samples(
    axes: Any, ends: tuple[float, float], wanted: Sequence[float], got: Sequence[float | None]
) -> None:
    """Pixels between two ends, samples as wanted above and as measured below, joined."""
    axes.vlines(np.arange(ends[0], ends[1] + 0.5), -0.4, 1.4, color=PIXEL, lw=0.8, zorder=0)
    seen = [(w, g) for w, g in zip(wanted, got, strict=True) if g is not None]
    joints = [x for w, g in seen for x in (w, g, np.nan)]
    axes.plot(joints, [0.87, 0.13, np.nan] * len(seen), color="#8a929b", lw=0.8)
    axes.plot(wanted, np.ones(len(wanted)), "o", mfc="white", mec=WANTED, ms=6, mew=1.4)
    axes.plot([g for _, g in seen], np.zeros(len(seen)), "o", color=MEASURED, ms=6)
    all_of_it = [*wanted, *(g for _, g in seen)]
    margin = 0.02 * (ends[1] - ends[0])
    axes.set_xlim(min(ends[0], *all_of_it) - margin, max(ends[1], *all_of_it) + margin)
    axes.set_ylim(-0.5, 1.5)
