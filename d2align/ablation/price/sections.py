"""The tables of the report, before they are laid out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from d2align.ablation.price.arms import ALL_AREAS
from d2align.ablation.price.box_offsets import ClippedBoxOffset
from d2align.ablation.price.historical import HISTORICAL_BUGS, HistoricalBug
from d2align.ablation.price.measure import Measurement
from d2align.ablation.price.moves import Moved
from d2align.ablation.price.pastes import PasteArm, StudyArm
from d2align.ablation.price.pasting import CROP_BOX, LOST_PIXEL
from d2align.evaluation.bootstrap import PairedDelta
from d2align.evaluation.localization import MASK_ERRORS

METRICS = {"bbox": "box", "segm": "mask"}


@dataclass(frozen=True)
class Section:
    """A table with its heading.

    Attributes:
        title: the heading.
        text: a paragraph before the table.
        header: names of the columns.
        rows: as many cells each.
        brief: whether it is for the terminal too.
    """

    title: str
    text: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    brief: bool = True


def interval_text(delta: PairedDelta | None) -> str:
    """Return a difference with its interval, in AP points.

    Args:
        delta: a paired difference, or None where there are no objects.

    Returns:
        Such as "-0.60 [-0.96, -0.25]"; "0" where no draw differs; "" for None.
    """
    if delta is None:
        return ""
    if delta.delta == delta.low == delta.high == 0:
        return "0"
    cells = (f"{value + 0.0:+.2f}" for value in (delta.delta, delta.low, delta.high))
    return "{} [{}, {}]".format(*(cell.replace("-0.00", "+0.00") for cell in cells))


def make_sections(measurements: Sequence[Measurement]) -> list[Section]:
    """Return the tables of all parts that were measured.

    Args:
        measurements: of any parts, in any order.

    Returns:
        The sections in the order of the report.
    """
    makers: Sequence[Callable[[Sequence[Measurement]], list[Section]]] = (
        _box_ceiling,
        _mask_ceiling,
        _historical,
        _pastes,
        _study,
        _offsets,
    )
    return [section for make in makers for section in make(measurements) if section.rows]


def _of(measurements: Sequence[Measurement], part: str) -> list[Measurement]:
    return [one for one in measurements if one.arm.part == part]


def _ap_cells(one: Measurement) -> list[str]:
    return [
        f"{one.deltas[area].variant_ap:.1f}" if area in one.deltas else "" for area in ALL_AREAS
    ]


def _delta_cells(one: Measurement) -> list[str]:
    return [interval_text(one.deltas.get(area)) for area in ALL_AREAS]


def _ceiling(measurements: Sequence[Measurement], part: str, title: str, text: str) -> Section:
    rows = [
        [one.arm.name, *_ap_cells(one), interval_text(one.deltas.get("all"))]
        for one in _of(measurements, part)
    ]
    return Section(title, text, ("convention", *ALL_AREAS, "difference"), rows)


def _box_ceiling(measurements: Sequence[Measurement]) -> list[Section]:
    text = (
        "Box AP of ground truth that goes through the boxes and the coder of each convention. "
        "No network can do better on this data; a real one loses less, since it is not exact."
    )
    return [_ceiling(measurements, "box_ceiling", "The ceiling: boxes", text)]


def _mask_ceiling(measurements: Sequence[Measurement]) -> list[Section]:
    text = (
        "Mask AP of ground truth cropped in its own box and pasted back. The difference is to the "
        "aligned target and paste of the same size."
    )
    return [_ceiling(measurements, "mask_ceiling", "The ceiling: masks", text)]


def find_bug(measurements: Sequence[Measurement], bug: HistoricalBug) -> Measurement | None:
    """Return the measurement of a historical mistake.

    Args:
        measurements: of any parts.
        bug: the mistake.

    Returns:
        Its measurement, or None if it was not measured.
    """
    wanted = (bug.clipped, bug.metric, bug.move, bug.unit, bug.offset)
    for one in measurements:
        arm = one.arm
        if isinstance(arm, Moved):
            clipped = isinstance(arm, ClippedBoxOffset)
            if (clipped, arm.metric, arm.move, arm.unit, arm.offset) == wanted:
                return one
    return None


def _historical(measurements: Sequence[Measurement]) -> list[Section]:
    rows = []
    for bug in HISTORICAL_BUGS:
        one = find_bug(measurements, bug)
        if one is not None:
            rows.append(
                [bug.label, one.arm.name, METRICS[bug.metric], *_delta_cells(one), bug.reported]
            )
    text = (
        "Each as the offset that it leaves in what a network finds, put into these detections; "
        "nothing was trained."
    )
    header = ("mistake", "offset", "AP", *ALL_AREAS, "reported")
    return [Section("Historical mistakes as offsets", text, header, rows)]


def _pastes(measurements: Sequence[Measurement]) -> list[Section]:
    rows = []
    for one in _of(measurements, "paste"):
        rows.append([one.arm.name, _ap_cells(one)[0], *_delta_cells(one), *_bias_cells(one)])
    text = (
        "The same RoI masks, pasted. x, y and edge are mean signed errors in original pixels of "
        "the masks that found an object: of the centroid, and of the outline, by how much a "
        "square of the mask's area is too wide on each side."
    )
    header = ("paste", "mask AP", *ALL_AREAS, "x, px", "y, px", "edge, px")
    return [Section("Pastes", text, header, rows)]


def _bias_cells(one: Measurement) -> list[str]:
    return [f"{one.bias[name].variant:+.2f}" if name in one.bias else "" for name in MASK_ERRORS]


def _study(measurements: Sequence[Measurement]) -> list[Section]:
    found = {one.arm: one for one in measurements if isinstance(one.arm, PasteArm)}
    rows = []
    for one in study_references(measurements):
        arm = one.arm
        assert isinstance(arm, PasteArm)
        same_box = found[replace(arm, paste="detectron1")]
        lost = found[replace(arm, paste="detectron1", box=LOST_PIXEL)]
        what = arm.changed if isinstance(arm, StudyArm) else ("nothing", "as found")
        rows.append(
            [
                *what,
                f"{one.deltas['all'].variant_ap:.1f}",
                interval_text(same_box.deltas["all"]),
                interval_text(lost.deltas["all"]),
                *(_bias_cells(m)[-1] for m in (one, same_box)),
            ]
        )
    text = (
        "Detectron's paste against the aligned one on the same masks, with one thing changed at a "
        "time. Edge: mean signed error of the outline, in pixels of the images as resized."
    )
    header = (
        *("changed", "to", "mask AP, aligned", "detectron1, box of the crop"),
        *("detectron1, box less its last pixel", "edge, aligned", "edge, detectron1"),
    )
    return [Section("What the price of Detectron's paste rests on", text, header, rows)]


def study_references(measurements: Sequence[Measurement]) -> list[Measurement]:
    """Return the aligned arms of the study, the unchanged masks first.

    Args:
        measurements: of any parts.

    Returns:
        One for each row of the study; none if it was not done.
    """
    study = _of(measurements, "paste_study")
    return [
        one
        for one in (*_of(measurements, "paste"), *study)
        if study and isinstance(one.arm, PasteArm) and (one.arm.paste, one.arm.box) == _ALIGNED
    ]


_ALIGNED = ("aligned", CROP_BOX)


def _offsets(measurements: Sequence[Measurement]) -> list[Section]:
    text = (
        "right_bottom moves x2 and y2, left_top x1 and y1, shift all four, shift_x x1 and x2; grow "
        "moves every edge outwards. Network pixels are those of the resized image. Nothing is "
        "clipped to the image."
    )
    sections = []
    for part, title in (
        ("box_offset", "Boxes moved"),
        ("mask_offset", "Boxes under the RoI masks moved"),
        ("result_mask_shift", "Finished masks moved"),
    ):
        rows = [[one.arm.name, *_delta_cells(one)] for one in _of(measurements, part)]
        sections.append(Section(title, text, ("moved", *ALL_AREAS), rows, brief=False))
    return sections
