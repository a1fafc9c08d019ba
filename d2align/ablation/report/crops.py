"""Crops of images where two conventions differ most, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from d2align.ablation.report.figures import render
from d2align.ablation.report.page import Figure

_COUNT = 3
_CONTEXT = 6  # pixels around the object
_MIN_IOU, _MIN_SCORE = 0.5, 0.3
_LEAST_PIXELS = 40  # smaller masks show little of a convention
# The variant is the thinner one and on top, so that both are seen where they agree.
_STYLES = ({"color": "#ffffff", "lw": 4.5}, {"color": "#e6202a", "lw": 1.6})

Found = Mapping[str, Any]


@dataclass(frozen=True)
class Difference:
    """Two arms' detections of the same object.

    Attributes:
        image_id: of the data set.
        reference: COCO result dict.
        variant: that of the other arm.
        amount: edges: the most that one of them moves, in pixels; masks: the share of the pixels
            of either that are not in both.
    """

    image_id: int
    reference: Found
    variant: Found
    amount: float


def most_different(
    reference: Sequence[Found], variant: Sequence[Found], metric: str, count: int = _COUNT
) -> list[Difference]:
    """Find where two arms differ most, on detections that overlap and are of one class.

    Args:
        reference: COCO result dicts.
        variant: those of the other arm.
        metric: "bbox", compared by their edges, or "segm", by the share of pixels that differ.
        count: how many, each of another image.

    Returns:
        The differences, largest first.
    """
    others = _by_group(variant)
    pairs = [
        (a, b)
        for key, group in _by_group(reference).items()
        for a, b in _pairs(group, others.get(key, []))
    ]
    found = [Difference(a["image_id"], a, b, _amount(a, b, metric)) for a, b in pairs]
    found.sort(key=lambda d: -d.amount)
    chosen: dict[int, Difference] = {}
    for difference in found:
        chosen.setdefault(difference.image_id, difference)
        if len(chosen) == count:
            break
    return [d for d in chosen.values() if d.amount > 0]


def crops_figure(
    name: str, differences: Sequence[Difference], metric: str, files: Mapping[int, Path]
) -> Figure | None:
    """Draw both arms' outlines on enlarged crops, pixels as squares.

    Args:
        name: of the figure's file.
        differences: what to show, at least one.
        metric: "bbox" or "segm".
        files: image id -> image file.

    Returns:
        The picture, or None where the images cannot be read.
    """
    from matplotlib.figure import Figure as Canvas
    from matplotlib.lines import Line2D

    shown = [d for d in differences if files.get(d.image_id, Path()).is_file()]
    if not shown:
        return None
    canvas = Canvas(figsize=(3.1 * len(shown), 3.6), layout="constrained")
    for axes, difference in zip(
        canvas.subplots(1, len(shown), squeeze=False)[0], shown, strict=True
    ):
        _draw_crop(axes, difference, metric, files[difference.image_id])
    legend = canvas.legend(
        [Line2D([], [], **style) for style in _STYLES],
        ["reference", "variant"],
        loc="outside lower center",
        ncols=2,
        facecolor="#9aa3ab",
    )
    legend.get_frame().set_linewidth(0)
    what = "mask outlines" if metric == "segm" else "boxes"
    return Figure(name, render(canvas), f"{name}: {what} of both arms on {len(shown)} objects")


def _draw_crop(axes: Any, difference: Difference, metric: str, file: Path) -> None:
    from PIL import Image

    with Image.open(file) as opened:
        image = np.asarray(opened.convert("RGB"))
    height, width = image.shape[:2]
    # Extent in coordinates: pixel (0, 0) covers [0, 1] x [0, 1].
    axes.imshow(image, extent=(0, width, height, 0), interpolation="nearest")
    for found, style in zip((difference.reference, difference.variant), _STYLES, strict=True):
        if metric == "segm":
            _draw_mask(axes, found, style)
        else:
            x, y, w, h = found["bbox"]
            axes.plot([x, x + w, x + w, x, x], [y, y, y + h, y + h, y], **style)
    x, y, w, h = difference.reference["bbox"]
    side = max(w, h) + 2 * _CONTEXT
    axes.set_xlim(x + w / 2 - side / 2, x + w / 2 + side / 2)
    axes.set_ylim(y + h / 2 + side / 2, y + h / 2 - side / 2)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(f"image {difference.image_id}", fontsize=9)


def _draw_mask(axes: Any, found: Found, style: Mapping[str, Any]) -> None:
    bits = coco_mask.decode(found["segmentation"])
    rows, columns = np.nonzero(np.diff(np.pad(bits, 1).astype(np.int8), axis=0)[:, 1:-1])
    axes.hlines(rows, columns, columns + 1, **style)
    rows, columns = np.nonzero(np.diff(np.pad(bits, 1).astype(np.int8), axis=1)[1:-1])
    axes.vlines(columns, rows, rows + 1, **style)


def _by_group(results: Sequence[Found]) -> dict[tuple[int, int], list[Found]]:
    groups: dict[tuple[int, int], list[Found]] = {}
    for found in results:
        if found["score"] >= _MIN_SCORE:
            groups.setdefault((found["image_id"], found["category_id"]), []).append(found)
    return groups


def _pairs(reference: list[Found], variant: list[Found]) -> list[tuple[Found, Found]]:
    if not reference or not variant:
        return []
    boxes = [[np.array(f["bbox"], dtype=float) for f in side] for side in (reference, variant)]
    ious = np.asarray(coco_mask.iou(*boxes, [0] * len(variant)))
    best = ious.argmax(axis=1)
    return [
        (reference[i], variant[j])
        for i, j in enumerate(best.tolist())
        if ious[i, j] >= _MIN_IOU and ious[:, j].argmax() == i
    ]


def _amount(a: Found, b: Found, metric: str) -> float:
    if metric == "bbox":
        first, second = np.array(a["bbox"]), np.array(b["bbox"])
        far = first[:2] + first[2:] - second[:2] - second[2:]
        return float(max(abs(first[:2] - second[:2]).max(), abs(far).max()))
    both = [f["segmentation"] for f in (a, b)]
    union = float(coco_mask.area(coco_mask.merge(both)))
    common = float(coco_mask.area(coco_mask.merge(both, intersect=True)))
    return (union - common) / union if common >= _LEAST_PIXELS else 0.0
