"""Files of data sets: broken ones are refused with the place of the fault, odd ones are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from coco_conventions import coco, scenes

from d2align.audit.dataset import audit_dataset

IMAGE = {"id": 7, "width": 20, "height": 10}
GOOD = {"id": 3, "image_id": 7, "bbox": [1, 2, 3, 4]}
BROKEN = [
    ({"images": [IMAGE]}, r"annotations: got None, expected a list"),
    ({"images": {}, "annotations": []}, r"images: got \{\}"),
    ({"images": [IMAGE], "annotations": []}, r"annotations: got none with a box"),
    ({"images": [{"id": 7}], "annotations": [GOOD]}, r"images\[0\] \(id 7\): got width, height"),
    ({"images": [{"width": 3}], "annotations": [GOOD]}, r"images\[0\]: got .*with an id"),
    (
        {"images": [IMAGE, {**IMAGE, "width": 9}], "annotations": [GOOD]},
        r"images\[1\]: got id 7 again",
    ),
    ({"images": [IMAGE], "annotations": [GOOD, 4]}, r"annotations\[1\]: got 4, expected a dict"),
    ({"images": [IMAGE], "annotations": [{**GOOD, "image_id": 8}]}, r"\(id 3\): got image_id 8"),
]
BROKEN_FIELDS = [
    ({"bbox": [1, 2, 3]}, r"bbox: got \[1, 2, 3\], expected 4 numbers"),
    ({"bbox": [1, 2, 3, "4"]}, r"bbox: got '4', expected finite numbers"),
    ({"bbox": [1, 2, 3, float("nan")]}, r"bbox: got nan"),
    ({"bbox": [1, 2, 3, None]}, r"bbox: got None"),
    ({"bbox": [5, 5, -1, 3]}, r"bbox: got \[5, 5, -1, 3\], expected w and h from 0 up"),
    ({"area": "12"}, r"area: got '12'"),
    ({"segmentation": [1, 2, 3, 4, 5, 6]}, r"segmentation: got 1, expected each polygon"),
    ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, r"segmentation: got .* x, y pairs"),
    ({"segmentation": [[1, 2, 3, 4, 5, "6"]]}, r"segmentation: got '6'"),
    ({"segmentation": "abc"}, r"segmentation: got 'abc', expected polygons or an RLE"),
    ({"segmentation": {"size": [20, 10], "counts": [200]}}, r".*RLE of size .*expected \[10, 20\]"),
    ({"segmentation": {"size": [10, 20], "counts": [5]}}, r".*RLE counts .*all pixels once"),
    ({"segmentation": {"size": [10, 20], "counts": 5}}, r".*RLE counts 5, expected a list"),
    ({"keypoints": [1, 2]}, r"keypoints: got \[1, 2\], expected triplets"),
    ({"keypoints": [1, float("inf"), 2]}, r"keypoints: got inf"),
]


@pytest.mark.parametrize(("data", "message"), BROKEN)
def test_broken_files_are_refused(data: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        audit_dataset(data)


@pytest.mark.parametrize(("fields", "message"), BROKEN_FIELDS)
def test_broken_entries_are_named(fields: dict[str, Any], message: str) -> None:
    data = {"images": [IMAGE], "annotations": [GOOD, {**GOOD, "id": 4, **fields}]}
    with pytest.raises(ValueError, match=r"annotations\[1\] \(id 4\): " + message):
        audit_dataset(data)


def test_files_by_path(tmp_path: Path) -> None:
    good = tmp_path / "train.json"
    good.write_text(json.dumps(coco(scenes(0, 200), boxes="float")))
    (finding,) = audit_dataset(good)
    assert (finding.subject, finding.kind) == ("train.json", "dataset boxes")
    for name, content, message in (
        ("missing.json", None, "no such file"),
        ("cut.json", '{"images": [', "is not JSON"),
        ("results.json", "[]", "a results file has no images"),
    ):
        if content is not None:
            (tmp_path / name).write_text(content)
        with pytest.raises(ValueError, match=message):
            audit_dataset(tmp_path / name)


def test_tolerated_oddities() -> None:
    """Zero-size boxes, empty and two-point outlines, unlabelled keypoints say nothing."""
    odd = [
        {"bbox": [1, 2, 0, 4]},
        {"segmentation": []},
        {"segmentation": [[1, 2, 3, 4]]},
        {"keypoints": [0, 0, 0]},
        {"segmentation": None, "bbox": []},
    ]
    annotations = [GOOD, *({"image_id": 7, **fields} for fields in odd)]
    data = {"images": [IMAGE, IMAGE], "annotations": annotations}
    (finding,) = audit_dataset(data)
    assert (finding.kind, finding.parameters["count"]) == ("dataset boxes", 1)
