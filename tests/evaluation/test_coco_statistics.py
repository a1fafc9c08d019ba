"""All of COCO's statistics equal those of pycocotools, degenerate cases included."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from coco_synthetic import make_dataset, make_results, pycocotools_stats
from predictions import to_instances

from d2align.evaluation.coco_results import ImageResults, instances_to_results
from d2align.evaluation.coco_statistics import evaluate_results, load_ground_truth

TASKS = ("bbox", "segm", "keypoints")
Problem = tuple[dict[str, Any], list[dict[str, Any]]]


def problem(seed: int = 0, images: int = 12, crowd: float = 0.2) -> Problem:
    rng = np.random.default_rng(seed)
    dataset = make_dataset(rng, images, crowd=crowd)
    return dataset, make_results(rng, dataset, shapes=True)


def in_columns(dataset: dict[str, Any], results: list[dict[str, Any]]) -> list[ImageResults]:
    ids = np.array(sorted(category["id"] for category in dataset["categories"]))
    columns = []
    for image in dataset["images"]:
        instances = to_instances(dataset, results, image["id"], "masks", "keypoints")
        one = instances_to_results(instances, image["id"])
        columns.append(ImageResults(**{**vars(one), "categories": ids[one.categories]}))
    return columns


def assert_equal_to_pycocotools(dataset: dict[str, Any], results: list[dict[str, Any]]) -> None:
    columns = in_columns(dataset, results)
    rows = [row for one in columns for row in one]
    for task in TASKS:
        found = evaluate_results(load_ground_truth(dataset), columns, task).stats
        expected = pycocotools_stats(dataset, rows, task)
        assert found.shape == expected.shape == ((10,) if task == "keypoints" else (12,))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9, err_msg=task)


@pytest.mark.parametrize("seed", range(4))
def test_random_problems_with_crowds(seed: int) -> None:
    dataset, results = problem(seed, crowd=0.1 * seed)
    assert_equal_to_pycocotools(dataset, results)


def no_truth_of_a_class(dataset: dict[str, Any], results: list[dict[str, Any]]) -> None:
    dataset["annotations"] = [a for a in dataset["annotations"] if a["category_id"] != 3]


def no_detection_of_a_class(dataset: dict[str, Any], results: list[dict[str, Any]]) -> None:
    results[:] = [r for r in results if r["category_id"] != 3]


def only_crowds(dataset: dict[str, Any], results: list[dict[str, Any]]) -> None:
    for annotation in dataset["annotations"]:
        annotation["iscrowd"] = 1


def no_truth(dataset: dict[str, Any], results: list[dict[str, Any]]) -> None:
    dataset["annotations"] = [{**dataset["annotations"][0], "iscrowd": 1}]


def areas_on_the_boundaries(dataset: dict[str, Any], results: list[dict[str, Any]]) -> None:
    for i, annotation in enumerate(dataset["annotations"]):
        annotation["area"] = (32.0**2, 96.0**2, 0.0, 1e10)[i % 4]


def over_100_detections(dataset: dict[str, Any], results: list[dict[str, Any]]) -> None:
    first = results[0]
    extra = [{**first, "score": 0.4 + 0.001 * (i % 50)} for i in range(180)]
    results[:0] = extra


def all_scores_equal(dataset: dict[str, Any], results: list[dict[str, Any]]) -> None:
    for result in results:
        result["score"] = 0.5


def images_without_annotation(dataset: dict[str, Any], results: list[dict[str, Any]]) -> None:
    dataset["annotations"] = [a for a in dataset["annotations"] if a["image_id"] % 3]


def images_without_detection(dataset: dict[str, Any], results: list[dict[str, Any]]) -> None:
    results[:] = [r for r in results if r["image_id"] % 3]


def boxes_without_area(dataset: dict[str, Any], results: list[dict[str, Any]]) -> None:
    for result in results[::4]:
        result["bbox"][2] = 0.0


def empty_masks(dataset: dict[str, Any], results: list[dict[str, Any]]) -> None:
    for result in results[::4]:
        result["segmentation"] = {"size": [256, 256], "counts": "PPP2"}


def everything_shuffled(dataset: dict[str, Any], results: list[dict[str, Any]]) -> None:
    rng = np.random.default_rng(1)
    for part in (dataset["images"], dataset["annotations"], dataset["categories"], results):
        rng.shuffle(part)


def keys_that_pycocotools_overwrites(
    dataset: dict[str, Any], results: list[dict[str, Any]]
) -> None:
    for annotation in dataset["annotations"][::3]:
        annotation["ignore"] = 1


def points_that_nobody_marked(dataset: dict[str, Any], results: list[dict[str, Any]]) -> None:
    for annotation in dataset["annotations"][::3]:
        annotation["keypoints"], annotation["num_keypoints"] = [0] * 51, 0
    for annotation in dataset["annotations"][1::3]:
        annotation["keypoints"][2:30:3] = [0] * 10
        annotation["num_keypoints"] = 7


def image_ids_of_text(dataset: dict[str, Any], results: list[dict[str, Any]]) -> None:
    for entry in dataset["images"]:
        entry["id"] = f"image {entry['id']}"
    for entry in (*dataset["annotations"], *results):
        entry["image_id"] = f"image {entry['image_id']}"


CHANGES = [
    no_truth_of_a_class,
    no_detection_of_a_class,
    only_crowds,
    no_truth,
    areas_on_the_boundaries,
    over_100_detections,
    all_scores_equal,
    images_without_annotation,
    images_without_detection,
    boxes_without_area,
    empty_masks,
    everything_shuffled,
    keys_that_pycocotools_overwrites,
    points_that_nobody_marked,
    image_ids_of_text,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda f: f.__name__)
def test_degenerate_problems(change: Callable[..., None]) -> None:
    dataset, results = copy.deepcopy(problem(7))
    change(dataset, results)
    assert_equal_to_pycocotools(dataset, results)


def test_a_perfect_and_a_hopeless_detector() -> None:
    rng = np.random.default_rng(0)
    dataset = make_dataset(rng, 10, crowd=0.0)
    exact = make_results(rng, dataset, jitter=0.0, found=1.0, false_positives=0.0, shapes=True)
    truth = load_ground_truth(dataset)
    for task, expected in (("bbox", 1.0), ("segm", 1.0)):
        assert evaluate_results(truth, in_columns(dataset, exact), task).stats[0] == expected
    wrong = [{**r, "category_id": (r["category_id"] + 2) % 6} for r in exact]
    assert evaluate_results(truth, in_columns(dataset, wrong), "bbox").stats[0] < 0.2


def test_masks_are_small_or_large_by_their_own_area() -> None:
    # A thin frame: its box is large, its mask is not.
    dataset, results = problem(3, crowd=0.0)
    for entry in (*dataset["annotations"], *results):
        entry["bbox"] = [10.0, 10.0, 200.0, 200.0]
    assert_equal_to_pycocotools(dataset, results)


def test_further_statistics_are_at_hand() -> None:
    dataset, results = problem(2)
    evaluation = evaluate_results(load_ground_truth(dataset), in_columns(dataset, results), "bbox")
    errors = evaluation.tide_errors()["delta_ap"]
    assert {"Cls", "Loc", "Both", "Dupe", "Bkg", "Miss"} <= errors.keys()


@pytest.mark.parametrize("ids", [[], [999]])
def test_no_known_image_is_refused(ids: list[int]) -> None:
    dataset, results = problem()
    with pytest.raises(ValueError, match="img_ids: got no image"):
        truth = load_ground_truth(dataset)
        evaluate_results(truth, in_columns(dataset, results), "bbox", image_ids=ids)
