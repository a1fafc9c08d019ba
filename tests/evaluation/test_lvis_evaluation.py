"""LVISEvaluator: Detectron2's with the package lvis, whose figures are recorded here."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_synthetic import SIZE, make_dataset, make_results, rectangle_keypoints, rectangle_rle
from predictions import feed, register

from d2align.evaluation import LVISEvaluator

METRICS = ["AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf"]
CATEGORIES = 9
BOX = [20.0, 30.0, 50.0, 60.0]

# (max_dets_per_image, task): what the LVISEvaluator of Detectron2 main gives, with lvis 0.5.3, when
# feed() lets it process lvis_problem() with masks. Some masks are empty, and lvis drops those.
LVIS_0_5_3: dict[tuple[int | None, str], list[float]] = {
    (None, "bbox"): [
        37.3673736951,
        66.4014129519,
        33.9896786603,
        23.0847752968,
        55.009913873,
        66.6666666667,
        37.5961711798,
        40.4007764033,
        34.1051735023,
    ],
    (None, "segm"): [
        30.2322779924,
        53.3621796066,
        28.7226166594,
        21.2058545598,
        41.4574647941,
        66.6666666667,
        34.1947962169,
        27.7598851245,
        28.7421526359,
    ],
    (3, "bbox"): [
        19.655062698,
        35.3596513498,
        15.8580858086,
        10.800330033,
        31.0210854419,
        33.3333333333,
        19.6116611661,
        20.681071587,
        18.6724553408,
    ],
    (3, "segm"): [
        14.8234672674,
        26.8822358426,
        12.8025739082,
        9.4554455446,
        22.4754308764,
        33.3333333333,
        17.8699512808,
        13.1809942899,
        13.4194562313,
    ],
}


def lvis_problem() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Objects of nine categories, of which each image was searched for some only."""
    rng = np.random.default_rng(3)
    dataset = make_dataset(rng, 40, CATEGORIES, crowd=0.0)
    results = make_results(rng, dataset, false_positives=0.0, shapes=True)
    for result in make_results(rng, dataset, jitter=9.0, false_positives=0.0, shapes=True):
        results.append({**result, "category_id": 2 * int(rng.integers(CATEGORIES)) + 1})
    for result in results[::5]:  # good ones that take a place among an image's best, then drop out
        result["segmentation"] = {"size": [SIZE, SIZE], "counts": "PPP2"}
        result["score"] = round(result["score"] + 0.3, 2)
    for number, category in enumerate(dataset["categories"]):
        category["frequency"] = "rcf"[number % 3]
    present: dict[int, list[int]] = {image["id"]: [] for image in dataset["images"]}
    for annotation in dataset["annotations"]:
        del annotation["iscrowd"]
        present[annotation["image_id"]].append(annotation["category_id"])
    for image in dataset["images"]:
        found = present[image["id"]]
        rest = [c["id"] for c in dataset["categories"] if c["id"] not in found]
        image["neg_category_ids"] = [int(i) for i in rng.permutation(rest)[:3]]
        image["not_exhaustive_category_ids"] = found[:1]
    # Numbered from 1, as in LVIS.
    for entry in (*dataset["annotations"], *results):
        entry["category_id"] = (entry["category_id"] + 1) // 2
    for category in dataset["categories"]:
        category["id"] = (category["id"] + 1) // 2
    for image in dataset["images"]:
        for key in ("neg_category_ids", "not_exhaustive_category_ids"):
            image[key] = [(i + 1) // 2 for i in image[key]]
    return dataset, results


@pytest.mark.parametrize(("limit", "task"), LVIS_0_5_3)
def test_metrics_are_those_of_lvis(tmp_path: Path, limit: int | None, task: str) -> None:
    dataset, results = lvis_problem()
    name = register(dataset, tmp_path)
    evaluator = LVISEvaluator(name, max_dets_per_image=limit)
    feed(evaluator, dataset, results, "masks")
    found = evaluator.evaluate()
    assert list(found) == ["bbox", "segm"] and list(found[task]) == METRICS
    expected = LVIS_0_5_3[limit, task]
    np.testing.assert_allclose(list(found[task].values()), expected, rtol=0, atol=1e-9)


def one_image(tmp_path: Path, negative: list[int], incomplete: list[int]) -> dict[str, float]:
    """AP50 of each category: 1 is found, a better detection of 2 is nowhere."""
    image = {"id": 1, "width": 256, "height": 256, "neg_category_ids": negative}
    image["not_exhaustive_category_ids"] = incomplete
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": BOX, "area": 3000.0},
        {"id": 2, "image_id": 2, "category_id": 2, "bbox": BOX, "area": 3000.0},
    ]
    for annotation in annotations:
        annotation["segmentation"] = rectangle_rle(BOX)
        annotation["keypoints"] = rectangle_keypoints(BOX)
    other = {**image, "id": 2, "neg_category_ids": [], "not_exhaustive_category_ids": []}
    names = [{"id": i, "name": f"c{i}", "frequency": "f"} for i in (1, 2)]
    dataset = {"images": [image, other], "categories": names, "annotations": annotations}
    found = [(1, 1, 0.5), (1, 2, 0.9), (2, 2, 0.8)]
    results = [
        {"image_id": i, "category_id": c, "bbox": BOX, "score": score} for i, c, score in found
    ]
    evaluator = LVISEvaluator(register(dataset, tmp_path))
    feed(evaluator, dataset, results)
    evaluator.evaluate()
    return evaluator.coco_evals["bbox"].get_results(per_class=True)


def test_only_categories_that_an_image_was_searched_for_count(tmp_path: Path) -> None:
    # Unknown whether image 1 has a 2: not counted. Known that it has none: a false positive, and
    # precision is 1/2 where 2 is found at last.
    assert one_image(tmp_path, [], [])["AP/c2"] == pytest.approx(1.0)
    assert one_image(tmp_path, [2], [])["AP/c2"] == pytest.approx(0.5)
    assert one_image(tmp_path, [2], [2])["AP/c2"] == pytest.approx(1.0)


def test_classes_are_categories_less_one_without_a_mapping(tmp_path: Path) -> None:
    dataset, results = lvis_problem()
    rows = []
    for mapping in ({}, {"thing_dataset_id_to_contiguous_id": None}):
        folder = tmp_path / f"out{len(rows)}"
        evaluator = LVISEvaluator(register(dataset, tmp_path, **mapping), output_dir=str(folder))
        feed(evaluator, dataset, results, proposals=True)
        assert list(evaluator.evaluate()) == ["box_proposals", "bbox"]
        assert (folder / "box_proposals.pkl").exists()
        rows.append(json.loads((folder / "lvis_instances_results.json").read_text()))
    assert rows[0] == rows[1]
    assert {row["category_id"] for row in rows[0]} == set(range(1, CATEGORIES + 1))


def test_no_predictions_and_no_annotations(tmp_path: Path) -> None:
    dataset, _ = lvis_problem()
    evaluator = LVISEvaluator(register(dataset, tmp_path))
    feed(evaluator, dataset, [])
    assert all(math.isnan(value) for value in evaluator.evaluate()["bbox"].values())
    evaluator = LVISEvaluator(register({**dataset, "annotations": []}, tmp_path))
    feed(evaluator, dataset, [])
    assert evaluator.evaluate() == {}
