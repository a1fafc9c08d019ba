"""Files that fuzzing found to end in a traceback, or in whatever was in memory."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from price_inputs import small_dataset, write_inputs
from pycocotools import mask as coco_mask

from d2align.ablation.price.inputs import load_inputs
from d2align.ablation.price.runs import are_runs


def refused(tmp_path: Path, match: str, key: str, content: Any) -> None:
    paths = write_inputs(tmp_path, small_dataset())
    paths[key].write_text(json.dumps(content))
    with pytest.raises(ValueError, match=match):
        load_inputs(**paths)


@pytest.mark.parametrize(
    ("place", "value", "match"),
    [
        (("images",), True, "got images"),
        (("categories",), None, "got categories"),
        (("annotations",), None, "got annotations"),
        (("categories", 0), [1], r"categories\[0\]"),
        (("categories", 0, "id"), {"a": 1}, r"categories\[0\]: got id"),
        (("images", 0, "id"), [[]], r"images\[0\]: got id"),
        (("images", 0, "width"), 10**30, r"images\[0\]: got size"),
        (("images", 0, "width"), 2**31, r"images\[0\]: got size"),
        (("annotations", 0, "area"), None, r"annotations\[0\]: got area"),
        (("annotations", 0, "bbox"), [0, 0, 10**400, 1], r"annotations\[0\]: got bbox"),
        (("annotations", 0, "segmentation"), [[1, 2, 3]], r"annotations\[0\]: got a segm"),
        (("annotations", 0, "segmentation"), {"size": [1, 1]}, r"annotations\[0\]: got a segm"),
    ],
)
def test_annotations(tmp_path: Path, place: tuple[Any, ...], value: Any, match: str) -> None:
    dataset = copy.deepcopy(small_dataset())
    *way, last = place
    node = dataset
    for key in way:
        node = node[key]
    node[last] = value
    refused(tmp_path, match, "annotations", dataset)


def test_results_whose_runs_do_not_fill_the_image(tmp_path: Path) -> None:
    paths = write_inputs(tmp_path, small_dataset())
    results = json.loads(paths["boxes"].read_text())
    results[0]["segmentation"]["counts"] = results[0]["segmentation"]["counts"][:-1]
    refused(tmp_path, r"results\[0\]: got RLE counts", "boxes", results)


def test_results_without_runs(tmp_path: Path) -> None:
    paths = write_inputs(tmp_path, small_dataset())
    results = json.loads(paths["boxes"].read_text())
    results[-1]["segmentation"] = {}
    refused(tmp_path, "got a segmentation that is no RLE", "boxes", results)


@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY"])
def test_roi_masks(tmp_path: Path, content: bytes) -> None:
    paths = write_inputs(tmp_path, small_dataset())
    paths["roi_masks"].write_bytes(content)
    with pytest.raises(ValueError, match=r"--roi-masks: .* which cannot be read"):
        load_inputs(**paths)


def test_runs_are_those_of_pycocotools_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        h, w = rng.integers(1, 40, 2)
        mask = rng.random((h, w)) < rng.choice([0.0, 0.05, 0.5, 1.0])
        counts = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
        assert are_runs(counts, h * w)
        assert not are_runs(counts, h * w + 1) and not are_runs(counts[:-1], h * w)
    for text in ("", "O" * 9, "00000", "o" * 30 + "0", "P", "\x7f", "é"):
        assert not are_runs(text, 4800)
