"""Bad files and settings are refused by name, before anything is measured or written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from price_inputs import small_dataset, write_inputs

from d2align.ablation.price.inputs import load_inputs
from d2align.ablation.price.settings import QUICK, Settings


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, Path]:
    return write_inputs(tmp_path, small_dataset())


def test_good_files_are_read_with_their_names_and_hashes(paths: dict[str, Path]) -> None:
    inputs = load_inputs(**paths)
    assert inputs.has_masks and inputs.results_have_masks
    assert {role: source["file"] for role, source in inputs.sources.items()} == {
        "annotations": "annotations.json",
        "boxes": "results.json",
        "roi_masks": "masks.npz",
    }
    assert all(len(source["sha256"]) == 64 for source in inputs.sources.values())
    count = inputs.count_objects()
    assert count["all"] == len(inputs.objects) == count["small"] + count["medium"] + count["large"]
    masks = inputs.roi_masks
    assert masks is not None and masks.masks.max() == 1
    x, y, w, h = inputs.results[0]["bbox"]
    np.testing.assert_allclose(masks.boxes[0], [x, y, x + w, y + h], rtol=1e-6)


def test_detections_need_their_annotations(paths: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="--annotations: got none"):
        load_inputs(None, paths["boxes"])
    with pytest.raises(ValueError, match="--annotations: got none"):
        load_inputs(None, None, paths["roi_masks"])


def test_a_missing_file_and_one_that_is_no_json_are_named(paths: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match=r"--boxes: got .*nowhere\.json"):
        load_inputs(paths["annotations"], paths["boxes"].with_name("nowhere.json"))
    paths["annotations"].write_text("{")
    with pytest.raises(
        ValueError, match=r"--annotations: got 'annotations.json', which is no JSON"
    ):
        load_inputs(paths["annotations"])


def spoil_annotations(dataset: dict[str, Any], what: str) -> Any:
    if what == "list":
        return dataset["annotations"]
    if what == "size":
        dataset["images"][1]["width"] = 0
    if what == "no size":
        del dataset["images"][1]["height"]
    if what == "one image":
        return {**dataset, "images": dataset["images"][:1], "annotations": []}
    if what == "bbox":
        dataset["annotations"][2]["bbox"] = [1, 2, -3, 4]
    if what == "category":
        dataset["annotations"][2]["category_id"] = 77
    if what == "same id":
        dataset["annotations"][2]["id"] = dataset["annotations"][1]["id"]
    if what == "nothing":
        dataset["annotations"] = []
    return dataset


@pytest.mark.parametrize(
    "what, message",
    [
        ("list", "got list of .*expected a COCO json"),
        ("size", r"images\[1\]: got size \(0, 256\)"),
        ("no size", r"images\[1\]: got no \['height'\]"),
        ("one image", "got 1 images, expected at least 2"),
        ("bbox", r"annotations\[2\]: got bbox \[1, 2, -3, 4\]"),
        ("category", r"annotations\[2\]: got category_id 77"),
        ("same id", "annotations that share an id"),
        ("nothing", "got no annotated object"),
    ],
)
def test_bad_annotations_are_named(paths: dict[str, Path], what: str, message: str) -> None:
    spoiled = spoil_annotations(small_dataset(), what)
    paths["annotations"].write_text(json.dumps(spoiled))
    with pytest.raises(ValueError, match=message):
        load_inputs(paths["annotations"])


@pytest.mark.parametrize(
    "field, value, message",
    [
        ("bbox", [1, 2, 3], r"results\[1\]: got bbox \[1, 2, 3\]"),
        ("bbox", [1, 2, 3, float("nan")], r"results\[1\]: got bbox"),
        ("bbox", [1, 2, 3, True], r"results\[1\]: got bbox"),
        ("score", None, r"results\[1\]: got score None"),
        ("image_id", 99, r"results\[1\]: got image_id 99.*same data set"),
        ("category_id", 2, r"results\[1\]: got category_id 2"),
        ("segmentation", [[1, 2, 3]], r"results\[1\]: got a segmentation that is no RLE"),
    ],
)
def test_bad_results_are_named(
    paths: dict[str, Path], field: str, value: Any, message: str
) -> None:
    results = json.loads(paths["boxes"].read_text())
    results[1][field] = value
    paths["boxes"].write_text(json.dumps(results))
    with pytest.raises(ValueError, match=message):
        load_inputs(paths["annotations"], paths["boxes"])


def test_results_with_masks_here_and_there_and_no_results_are_refused(
    paths: dict[str, Path],
) -> None:
    results = json.loads(paths["boxes"].read_text())
    del results[1]["segmentation"]
    for spoiled, message in ((results, "in every result, or in none"), ([], "got list of 0")):
        paths["boxes"].write_text(json.dumps(spoiled))
        with pytest.raises(ValueError, match=message):
            load_inputs(paths["annotations"], paths["boxes"])


ROW = [1, 1, 0.5, 10, 10, 20, 20]


@pytest.mark.parametrize(
    "rows, masks, message",
    [
        ([ROW[:6]], np.zeros((1, 8, 8), np.uint8), r"rows of shape \(1, 6\)"),
        ([], np.zeros((0, 8, 8), np.uint8), r"rows of shape \(0,\)"),
        ([[*ROW[:6], np.inf]], np.zeros((1, 8, 8), np.uint8), "finite"),
        ([[*ROW[:5], -1, 5]], np.zeros((1, 8, 8), np.uint8), r"rows\[0\]: got bbox"),
        ([[99, *ROW[1:]]], np.zeros((1, 8, 8), np.uint8), r"rows\[0\]: got image_id 99"),
        ([[1.5, *ROW[1:]]], np.zeros((1, 8, 8), np.uint8), "whole ids"),
        ([ROW], np.zeros((2, 8, 8), np.uint8), r"masks of shape \(2, 8, 8\)"),
        ([ROW], np.zeros((1, 8, 7), np.uint8), r"masks of shape \(1, 8, 7\)"),
        ([ROW], np.zeros((1, 8, 8), np.int64), "masks of int64"),
        ([ROW], np.full((1, 8, 8), 1.5), "masks of float64"),
    ],
)
def test_bad_roi_masks_are_named(
    paths: dict[str, Path], rows: Any, masks: np.ndarray, message: str
) -> None:
    np.savez(paths["roi_masks"], rows=np.array(rows, dtype=float), masks=masks)
    with pytest.raises(ValueError, match=message):
        load_inputs(paths["annotations"], None, paths["roi_masks"])


def test_files_that_are_no_roi_masks_are_named(paths: dict[str, Path]) -> None:
    np.savez(paths["roi_masks"], rows=np.array([ROW]))
    for path in (paths["roi_masks"], paths["boxes"]):
        with pytest.raises(ValueError, match=r"--roi-masks: got .* which cannot be read"):
            load_inputs(paths["annotations"], None, path)


def test_floating_probabilities_are_taken_as_they_are(paths: dict[str, Path]) -> None:
    np.savez(paths["roi_masks"], rows=np.array([ROW]), masks=np.full((1, 4, 4), 0.25))
    masks = load_inputs(paths["annotations"], None, paths["roi_masks"]).roi_masks
    assert masks is not None and (masks.masks == 0.25).all()


@pytest.mark.parametrize(
    "changes, name",
    [
        ({"offsets": ()}, "offsets"),
        ({"offsets": (float("nan"),)}, "offsets"),
        ({"percents": (-100.0,)}, "percents"),
        ({"short_side": 0}, "short_side"),
        ({"mask_sizes": (0,)}, "mask_sizes"),
        ({"num_draws": 1}, "num_draws"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_settings_are_named(changes: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: got"):
        Settings(**changes)
    assert QUICK.num_draws < Settings().num_draws
