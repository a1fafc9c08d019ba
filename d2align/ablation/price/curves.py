"""The picture of AP against offset, by object size, with the historical mistakes marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from d2align.ablation.price.arms import ALL_AREAS
from d2align.ablation.price.box_offsets import BoxOffset
from d2align.ablation.price.historical import HISTORICAL_BUGS, HistoricalBug
from d2align.ablation.price.mask_offsets import MaskOffset
from d2align.ablation.price.measure import Measurement
from d2align.ablation.price.sections import METRICS, find_bug

# Okabe and Ito's colours, told apart by all; the line styles tell them apart in grey.
COLOURS = {"all": "#000000", "small": "#D55E00", "medium": "#0072B2", "large": "#009E73"}
_STYLES = {"all": "-", "small": "--", "medium": "-.", "large": ":"}
Points = Sequence[tuple[float, Measurement]]


@dataclass(frozen=True)
class Curve:
    """A move of boxes whose AP is drawn against the offset.

    Attributes:
        metric: ``"bbox"`` or ``"segm"``.
        move: a key of ``moves.MOVES``.
        unit: ``"original"`` or ``"network"``.
        title: of the panel.
    """

    metric: str
    move: str
    unit: str
    title: str


CURVES = (
    Curve("bbox", "right_bottom", "original", "Boxes: right and bottom edge moved"),
    Curve("bbox", "right_bottom", "network", "Boxes: right and bottom edge moved"),
    Curve("bbox", "shift_x", "original", "Boxes: shifted in x"),
    Curve("bbox", "grow", "network", "Boxes: every edge moved outwards"),
    Curve("segm", "right_bottom", "original", "Masks: right and bottom edge of the box moved"),
    Curve("segm", "shift_x", "original", "Masks: box shifted in x"),
)


def curve_points(measurements: Sequence[Measurement], curve: Curve) -> Points:
    """Return the measurements on a curve by offset, the reference at 0 among them.

    Args:
        measurements: of any parts.
        curve: the curve.

    Returns:
        Offsets in rising order with their measurements; empty if there are none but 0.
    """
    on_curve = {}
    for one in measurements:
        arm = one.arm
        if isinstance(arm, BoxOffset | MaskOffset) and arm.metric == curve.metric:
            is_reference = arm.offset == 0
            if is_reference or (arm.move, arm.unit) == (curve.move, curve.unit):
                on_curve[arm.offset] = one
    return sorted(on_curve.items()) if len(on_curve) > 1 else []


def draw_curves(measurements: Sequence[Measurement], path: Path) -> None:
    """Draw a panel for each curve that was measured, two a row on one scale of AP.

    Args:
        measurements: of any parts, at least one curve among them.
        path: of a PNG.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    found = [(c, points) for c in CURVES if (points := curve_points(measurements, c))]
    rows = (len(found) + 1) // 2
    figure, axes = plt.subplots(
        *(rows, 2), figsize=(9, 0.5 + 3.1 * rows), layout="constrained", sharey="row", squeeze=False
    )
    for axis, (curve, points) in zip(axes.flat, found, strict=False):
        _draw_panel(axis, measurements, curve, points)
    for axis in axes.flat[len(found) :]:
        axis.set_axis_off()
    lines, labels = axes.flat[0].get_legend_handles_labels()
    labels = [f"{label} objects" for label in labels]
    figure.legend(lines, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=10)
    figure.savefig(path, dpi=130, format="png")
    plt.close(figure)


def _draw_panel(
    axis: Any, measurements: Sequence[Measurement], curve: Curve, points: Points
) -> None:
    for area in reversed(ALL_AREAS):
        _draw_area(axis, area, points)
    axis.axhline(0, color="black", lw=0.7)
    axis.margins(x=0.02)
    low, high = axis.get_ylim()
    axis.set_ylim(low, max(high, low + 1.35 * (max(high, 0) - low)))  # room for the labels
    for bug in HISTORICAL_BUGS:
        on_curve = (bug.metric, bug.move, bug.unit) == (curve.metric, curve.move, curve.unit)
        if on_curve and not bug.clipped:
            _mark(axis, bug, find_bug(measurements, bug))
    axis.set_title(curve.title, fontsize=10.5)
    axis.set_xlabel(f"offset in {curve.unit} pixels", fontsize=9.5)
    axis.set_ylabel(f"{METRICS[curve.metric]} AP difference", fontsize=9.5)
    finish(axis)


def _draw_area(axis: Any, area: str, points: Points) -> None:
    seen = [(offset, one.deltas[area]) for offset, one in points if area in one.deltas]
    offsets = [offset for offset, _ in seen]
    low, high = ([getattr(delta, end) for _, delta in seen] for end in ("low", "high"))
    axis.fill_between(offsets, low, high, color=COLOURS[area], alpha=0.14, lw=0)
    width = 2.2 if area == "all" else 1.5
    deltas = [delta.delta for _, delta in seen]
    axis.plot(offsets, deltas, _STYLES[area], color=COLOURS[area], lw=width, label=area)


def _mark(axis: Any, bug: HistoricalBug, one: Measurement | None) -> None:
    if one is None or "all" not in one.deltas:
        return
    delta = one.deltas["all"].delta
    axis.plot(bug.offset, delta, "D", color="black", ms=7, mec="white", zorder=5)
    axis.annotate(
        f"{bug.label}: {delta:+.2f}",
        (bug.offset, delta),
        xytext=(0.04 if bug.offset < 0 else 0.96, 0.95 if bug.offset > 0 else 0.84),
        textcoords="axes fraction",
        ha="left" if bug.offset < 0 else "right",
        va="top",
        fontsize=9,
        arrowprops={"arrowstyle": "-", "color": "black", "lw": 0.8, "shrinkB": 4},
    )


def finish(axis: Any) -> None:
    """Give a panel its grid and leave out its box.

    Args:
        axis: of matplotlib.
    """
    axis.grid(alpha=0.25)
    axis.tick_params(labelsize=9)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
