"""The data set auditor: right on known conventions, undecided on thin evidence, never wrong."""

from __future__ import annotations

import json
import math
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torchvision
from coco_conventions import BOXES, POINTS, VERTICES, coco, scenes
from pycocotools import mask as mask_util

from d2align.audit.dataset import audit_dataset
from d2align.audit.dataset_borders import (
    at_least,
    at_most,
    common_fraction,
    count_borders,
    doubts,
    piled_up,
)
from d2align.audit.dataset_extents import relate
from d2align.audit.dataset_symmetry import row_offsets
from d2align.audit.record import Finding


@pytest.fixture(scope="module")
def shapes() -> list[Any]:
    return scenes(0, 200)


@pytest.fixture(scope="module")
def figures() -> list[Any]:
    return scenes(1, 150, figures=True)


def verdicts(data: Any) -> dict[str, str]:
    return {f.kind.removeprefix("dataset "): f.convention for f in audit_dataset(data)}


def finding_of(data: Any, kind: str) -> Finding:
    return next(f for f in audit_dataset(data) if f.kind == f"dataset {kind}")


@pytest.mark.parametrize("convention", BOXES)
def test_boxes_alone(shapes: list[Any], convention: str) -> None:
    assert verdicts(coco(shapes, boxes=convention)) == {"boxes": BOXES[convention][0]}


@pytest.mark.parametrize("convention", VERTICES)
def test_polygons_alone(shapes: list[Any], convention: str) -> None:
    expected = VERTICES[convention][0]
    assert verdicts(coco(shapes, vertices=convention)) == {"polygons": expected}


@pytest.mark.parametrize("convention", POINTS)
@pytest.mark.parametrize("vertices", ["float", "integer centres"])
def test_keypoints_in_polygons(figures: list[Any], vertices: str, convention: str) -> None:
    found = verdicts(coco(figures, vertices=vertices, keypoints=convention))
    assert found["keypoints"] in _same_fix(POINTS[convention][0])


@pytest.mark.parametrize("convention", POINTS)
def test_keypoints_in_boxes(figures: list[Any], convention: str) -> None:
    found = verdicts(coco(figures, boxes="float", keypoints=convention))
    assert found["keypoints"] in _same_fix(POINTS[convention][0])


def _same_fix(convention: str) -> set[str]:
    both = {"indices", "integer_centres"}  # + 0.5 either way
    return both if convention in both else {convention}


@pytest.mark.parametrize(
    ("images", "seeds", "fewest", "most"), [(1, 8, 0, 30), (4, 8, 40, 110), (30, 4, 60, 60)]
)
def test_few_images_are_never_judged_wrongly(
    images: int, seeds: int, fewest: int, most: int
) -> None:
    judged = 0
    for seed in range(seeds):
        truth = scenes(100 * images + seed, images)
        for table, field in ((BOXES, "boxes"), (VERTICES, "vertices")):
            for convention, (expected, _) in table.items():
                (found,) = verdicts(coco(truth, **{field: convention})).values()
                assert found in {"undecided", *_same_fix(expected)}, (seed, convention)
                judged += found != "undecided"
    assert fewest <= judged <= most  # thin evidence is not stretched, 30 images are enough


@pytest.mark.parametrize("decimals", [0, 2])
def test_boxes_that_the_image_border_never_cuts_stay_undecided(decimals: int) -> None:
    """Uniform edges in (1, W - 1): dense enough to touch every whole number, piled up nowhere."""
    for seed in range(10):
        edges = np.random.default_rng(seed).uniform(1, 63, (600, 2, 2))
        x1, y1 = np.ceil(edges.min(axis=1) * 10**decimals).T / 10**decimals
        x2, y2 = np.floor(edges.max(axis=1) * 10**decimals).T / 10**decimals
        boxes = np.stack([x1, y1, np.maximum(x2 - x1, 1), np.maximum(y2 - y1, 1)], axis=1)
        image = {"id": 1, "width": 64, "height": 64}
        records = [{"image_id": 1, "bbox": box.round(2).tolist()} for box in boxes]
        assert verdicts({"images": [image], "annotations": records}) == {"boxes": "undecided"}


def test_what_is_open_is_told() -> None:
    finding = finding_of(coco(scenes(5, 1), boxes="float"), "boxes")
    assert (finding.convention, finding.status, finding.error_px) == ("undecided", "unknown", None)
    assert {"exclusive", "inclusive"} <= set(finding.parameters["open"])


def test_verdict_tells_its_evidence_and_fix(shapes: list[Any]) -> None:
    finding = finding_of(coco(shapes, boxes="first and last index"), "boxes")
    assert (finding.status, finding.error_px) == ("deviates", 1.0)
    assert finding.parameters["confidence"] > 0.999
    assert finding.parameters["whole_numbers"] == 1.0
    assert finding.parameters["at_borders"]["end at size - 1"] > 30
    assert "Fix: add 1 to w and h" in finding.sentence
    assert Finding.from_json(json.loads(json.dumps(finding.to_json()))) == finding


def test_half_inclusive_half_exclusive_is_no_convention(shapes: list[Any]) -> None:
    one, other = coco(shapes, boxes="pixel extents"), coco(shapes, boxes="first and last index")
    for kept, changed in zip(one["annotations"][::2], other["annotations"][::2], strict=True):
        kept["bbox"] = changed["bbox"]
    finding = finding_of(one, "boxes")
    assert (finding.convention, finding.status) == ("none", "unknown")


def test_a_repeated_annotation_counts_once() -> None:
    data = {"images": [{"id": 1, "width": 64, "height": 48}], "annotations": []}
    data["annotations"] = [{"image_id": 1, "bbox": [0, 0, 64, 48]}] * 500
    assert verdicts(data) == {"boxes": "undecided"}


def discs(count: int) -> list[np.ndarray]:
    """Masks (60, 80) of discs inside the image."""
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:60, :80] + 0.5
    centres = rng.uniform([15, 15], [65, 45], (count, 2))
    radii = rng.uniform(4, 12, count)
    return [np.hypot(x - a, y - b) < r for (a, b), r in zip(centres, radii, strict=True)]


def masks_data(records: list[dict[str, Any]]) -> dict[str, Any]:
    image = {"id": 1, "width": 80, "height": 60}
    return {"images": [image], "annotations": [{"image_id": 1, **r} for r in records]}


def test_contours_of_opencv_are_indices_though_nothing_touches_the_border() -> None:
    records = []
    for mask in discs(20):
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, 1)
        polygon = contours[0].reshape(-1).tolist()
        box = list(cv2.boundingRect(contours[0]))
        records.append({"segmentation": [polygon], "bbox": box, "area": int(mask.sum())})
    data = masks_data(records)
    assert verdicts(data)["boxes against polygons"] == "offset"
    assert finding_of(data, "boxes against polygons").parameters["high_px"] == 1.0
    polygons = finding_of(data, "polygons")
    assert polygons.parameters["areas_of_pixels"] == 20
    # Numbered from 1 they could be, for all that these masks tell; coordinates they are not.
    assert set(polygons.parameters["open"]) <= {"indices", "one_based"}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(("far", "expected"), [(0, "inclusive"), (1, "exclusive")])
def test_boxes_are_held_against_their_rle_masks(compressed: bool, far: int, expected: str) -> None:
    records = []
    for mask in discs(10):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        x, y = int(columns[0]), int(rows[0])
        box = [x, y, int(columns[-1]) + far - x, int(rows[-1]) + far - y]
        records.append({"segmentation": rle(mask, compressed), "bbox": box})
    assert verdicts(masks_data(records)) == {"mask boxes": expected}


def rle(mask: np.ndarray, compressed: bool) -> dict[str, Any]:
    if compressed:
        out = mask_util.encode(np.asfortranarray(mask, dtype=np.uint8))
        return {"size": list(mask.shape), "counts": out["counts"].decode()}
    flat = np.concatenate([[False], mask.ravel(order="F"), [False]])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff([0, *changes, mask.size])
    return {"size": list(mask.shape), "counts": [int(c) for c in counts if c or not counts[-1]]}


def test_wart_torchvisions_masks_to_boxes_is_inclusive() -> None:
    masks = discs(10)
    boxes = torchvision.ops.masks_to_boxes(torch.from_numpy(np.stack(masks))).numpy()
    boxes[:, 2:] -= boxes[:, :2]
    pairs = zip(masks, boxes.tolist(), strict=True)
    records = [{"segmentation": rle(m, True), "bbox": b} for m, b in pairs]
    assert verdicts(masks_data(records)) == {"mask boxes": "inclusive"}


def test_rounded_corners_with_exact_sizes_are_told(shapes: list[Any]) -> None:
    data = coco(shapes, boxes="float", vertices="float")
    for record in data["annotations"]:
        record["bbox"][:2] = [round(v) for v in record["bbox"][:2]]
    found = verdicts(data)
    assert found["boxes against polygons"] == "rounded_corner"
    assert found["polygons"] == "integer_corners"
    error = finding_of(data, "boxes against polygons").error_px
    assert error is not None and 0.2 < error < 0.3  # uniform on [-0.5, 0.5]: 0.25 on average


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        ([0.0, 0.0], [0.0, 0.0], "same"),
        ([0.0, 0.0], [1.0, 1.0], "offset"),
        ([0.5, 0.5], [0.5, 0.5], "offset"),
        ([3.7, -2.9], [4.1, 5.3], "unrelated"),
    ],
)
def test_relation_of_boxes_to_outlines(low: Any, high: Any, expected: str) -> None:
    rng = np.random.default_rng(0)
    outlines = np.sort(rng.uniform(0, 90, (40, 2, 2)), axis=1).reshape(40, 4)
    relation = relate(outlines + np.array([*low, *high]), outlines)
    assert relation.name == expected
    if expected != "unrelated":
        assert (relation.low, relation.high, relation.count) == (low[0], high[0], 80)
    assert relate(outlines[:3], outlines[:3]).name == "undecided"


def test_polygons_testify_for_boxes_that_touch_nothing() -> None:
    """Boxes half a pixel off the outlines: knowing the one tells the other."""
    data = coco(scenes(0, 100), boxes="integer centres", vertices="float")
    for record, image in zip(data["annotations"], _images_of(data), strict=True):
        x, y, w, h = record["bbox"]
        if min(x, y) < 1 or x + w > image["width"] - 2 or y + h > image["height"] - 2:
            del record["bbox"]
    found = verdicts(data)
    assert found == {
        "boxes against polygons": "offset",
        "boxes": "integer_centres",
        "polygons": "integer_corners",
    }


def _images_of(data: dict[str, Any]) -> list[dict[str, Any]]:
    return [data["images"][record["image_id"]] for record in data["annotations"]]


def test_row_offsets_by_hand() -> None:
    """A square ring of x in [0, 10], hole [4, 6], in rows 0 to 10."""
    outer = np.array([[0, 0], [10, 0], [10, 10], [0, 10.0]])
    hole = np.array([[4, 2], [6, 2], [6, 8], [4, 8.0]])
    points = np.array([[1.5, 5.0], [9.0, 5.0], [5.0, 1.0], [20.0, 5.0], [5.0, 20.0]])
    offsets, widths = row_offsets(points, [outer, hole])
    assert offsets.tolist() == [-0.5, 1.0, 0.0]
    assert widths.tolist() == [4.0, 4.0, 10.0]


@pytest.mark.parametrize(("count", "expected"), [(0, 1.5), (1, 0.3), (5, 2.0), (40, 30.0)])
def test_poisson_tails(count: int, expected: float) -> None:
    p = [math.exp(-expected) * expected**k / math.factorial(k) for k in range(150)]
    assert at_least(count, expected) == pytest.approx(sum(p[count:]), rel=1e-7)
    assert at_most(count, expected) == pytest.approx(sum(p[: count + 1]), rel=1e-7)


def test_common_fraction() -> None:
    assert common_fraction(np.arange(9.0)) == 0.0
    assert common_fraction(np.arange(9.0) + 0.5) == 0.5
    assert common_fraction(np.array([0.1, 0.5, 3.0])) is None
    assert common_fraction(np.zeros(0)) is None


def test_no_values_leave_everything_open() -> None:
    nothing = count_borders(np.zeros(0), np.zeros(0), np.zeros(0))
    assert set(doubts(nothing).values()) == {1.0}
    assert not piled_up(nothing)
