"""The picture of the ceilings and the pastes: a line of dots for each convention."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from d2align.ablation.price.curves import COLOURS, finish
from d2align.ablation.price.measure import Measurement
from d2align.ablation.price.pastes import PasteArm, StudyArm
from d2align.ablation.price.pasting import LOST_PIXEL
from d2align.ablation.price.sections import study_references
from d2align.evaluation.bootstrap import PairedDelta

_MARKERS = {"all": "D", "small": "o", "medium": "s", "large": "^"}


def draw_dots(measurements: Sequence[Measurement], path: Path) -> None:
    """Draw the ceilings of boxes and masks and, where measured, the study of the pastes.

    Args:
        measurements: of any parts, a ceiling among them.
        path: of a PNG.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    panels = _panels(measurements)
    heights = [1.1 + 0.25 * rows for rows, _ in panels]
    figure, axes = plt.subplots(
        len(panels),
        figsize=(9, sum(heights)),
        layout="constrained",
        height_ratios=heights,
        squeeze=False,
    )
    for axis, (_, panel) in zip(axes.flat, panels, strict=True):
        panel(axis)
        axis.invert_yaxis()
        finish(axis)
    figure.savefig(path, dpi=130, format="png")
    plt.close(figure)


def _panels(measurements: Sequence[Measurement]) -> list[tuple[int, Callable[[Any], None]]]:
    """Each panel with its number of rows."""
    panels: list[tuple[int, Callable[[Any], None]]] = []
    for part, title in (("box_ceiling", "boxes"), ("mask_ceiling", "masks")):
        found = [one for one in measurements if one.arm.part == part]
        if found:
            panels.append((len(found), _ceiling_panel(found, f"The ceiling of each way: {title}")))
    references = study_references(measurements)
    if references:
        panels.append((len(references), lambda axis: _draw_study(axis, measurements)))
    return panels


def _ceiling_panel(found: Sequence[Measurement], title: str) -> Callable[[Any], None]:
    def panel(axis: Any) -> None:
        for y, one in enumerate(found):
            for area, delta in one.deltas.items():
                label = area if y == 0 else None
                style = {"color": COLOURS[area], "ms": 6, "label": label, "alpha": 0.8}
                axis.plot(delta.variant_ap, y, _MARKERS[area], **style)
        axis.set_yticks(range(len(found)), [_short(one.arm.name) for one in found])
        axis.set_title(title, fontsize=10.5)
        axis.set_xlabel("AP of ground truth as detections", fontsize=9.5)
        axis.legend(loc="best", fontsize=9, frameon=False)

    return panel


def _short(name: str) -> str:
    for long, short in (
        (" target, ", " > "),
        (" paste", ""),
        (" RoIAlign", ""),
        (" into that box less its last pixel", " in box less a pixel"),
        (", ", " "),
    ):
        name = name.replace(long, short)
    return name


def _draw_study(axis: Any, measurements: Sequence[Measurement]) -> None:
    found = {one.arm: one for one in measurements if isinstance(one.arm, PasteArm)}
    references = [one.arm for one in study_references(measurements)]
    for y, arm in enumerate(references):
        assert isinstance(arm, PasteArm)
        same_box = found[replace(arm, paste="detectron1")].deltas["all"]
        lost = found[replace(arm, paste="detectron1", box=LOST_PIXEL)].deltas["all"]
        labels = ("into the box of the crop", "into that box less its last pixel")
        first, second = labels if y == 0 else (None, None)
        _draw_dot(axis, same_box, y - 0.15, COLOURS["medium"], "o", first)
        _draw_dot(axis, lost, y + 0.15, COLOURS["small"], "s", second)
    axis.axvline(0, color="black", lw=0.8)
    axis.set_yticks(range(len(references)), [_study_label(arm) for arm in references])
    axis.set_title("Detectron's paste, with one thing about the masks changed", fontsize=10.5)
    axis.set_xlabel("mask AP difference to the aligned paste of the same masks", fontsize=9.5)
    axis.legend(loc="best", fontsize=9, frameon=False)


def _study_label(arm: Any) -> str:
    if not isinstance(arm, StudyArm):
        return "as found"
    what, to = arm.changed
    return f"threshold {to}" if what == "threshold" else to


def _draw_dot(
    axis: Any, delta: PairedDelta, y: float, colour: str, marker: str, label: str | None
) -> None:
    axis.plot([delta.low, delta.high], [y, y], color=colour, lw=2)
    axis.plot(delta.delta, y, marker, color=colour, ms=5.5, label=label)
