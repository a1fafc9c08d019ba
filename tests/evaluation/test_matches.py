import numpy as np
import pytest
from coco_synthetic import duplicate_images, make_dataset, make_results, pycocotools_stats

from d2align.evaluation.matches import match_detections


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(3)
    dataset = make_dataset(rng, 30)
    return dataset, make_results(rng, dataset, shapes=True)


def summary(table, weights=None):
    whole = [table.ap(weights, iou=iou) for iou in (None, 0.5, 0.75)]
    return np.array(whole + [table.ap(weights, area=area) for area in table.areas if area != "all"])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("iou_type", ["bbox", "segm", "keypoints"])
def test_ap_is_what_pycocotools_reports(iou_type, seed):
    rng = np.random.default_rng(seed)
    dataset = make_dataset(rng, 25)
    results = make_results(rng, dataset, shapes=True)
    got = summary(match_detections(dataset, results, iou_type))
    want = pycocotools_stats(dataset, results, iou_type)[: len(got)]
    assert len(np.unique(want)) > 3
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-9)


def test_keypoints_without_boxes_take_their_area_as_cocoeval_does(problem):
    dataset, results = problem
    bare = [{k: v for k, v in result.items() if k != "bbox"} for result in results]
    got = summary(match_detections(dataset, bare, "keypoints"))
    np.testing.assert_allclose(got, pycocotools_stats(dataset, bare, "keypoints")[:5], atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_weights_are_the_ap_of_a_dataset_with_duplicated_images(seed):
    rng = np.random.default_rng(seed)
    dataset = make_dataset(rng, 20, num_categories=4, objects=1.0)
    results = make_results(rng, dataset)
    for result in results:  # no ties: their order is the one thing duplication may change
        result["score"] = float(rng.random())
    weights = rng.multinomial(20, np.full(20, 1 / 20))
    weights[rng.integers(20)] += 5
    got = summary(match_detections(dataset, results), weights)
    want = pycocotools_stats(*duplicate_images(dataset, results, weights))[:6]
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-9)


def test_categories_that_a_draw_lacks_are_left_out(problem):
    dataset, results = problem
    table = match_detections(dataset, results)
    annotated = {a["image_id"] for a in dataset["annotations"] if a["category_id"] == 3}
    weights = np.array([int(i not in annotated) for i in table.image_ids])
    by_category = table.category_ap(weights)
    assert np.isnan(by_category).tolist() == [False, True, False]
    assert table.ap(weights) == pytest.approx(np.nanmean(by_category), abs=1e-12)
    assert table.ap(np.zeros(30, dtype=int)) == -1.0


def test_a_subset_of_images_is_a_weight_of_one_on_each(problem):
    dataset, results = problem
    weights = np.zeros(30, dtype=int)
    weights[[1, 4, 5, 20, 21]] = 1
    part = match_detections(dataset, results, image_ids=[2, 5, 6, 21, 22])
    assert part.num_images == 5
    assert part.ap() == pytest.approx(match_detections(dataset, results).ap(weights), abs=1e-12)


def test_empty_results_and_empty_ground_truth(problem):
    dataset, results = problem
    assert match_detections(dataset, []).ap() == 0.0
    assert match_detections({**dataset, "annotations": []}, results).ap() == -1.0
    assert match_detections({**dataset, "annotations": []}, []).ap(area="large") == -1.0


def test_inputs_may_be_a_path_or_a_coco_object_and_masks_may_hold_bytes(problem, tmp_path):
    import json

    from pycocotools.coco import COCO

    dataset, results = problem
    path = tmp_path / "gt.json"
    path.write_text(json.dumps(dataset))
    coco = COCO()
    coco.dataset = dataset
    want = match_detections(dataset, results, "segm").ap()
    as_bytes = []
    for result in results:
        rle = result["segmentation"]
        as_bytes.append({**result, "segmentation": {**rle, "counts": rle["counts"].encode()}})
    assert match_detections(path, results, "segm").ap() == want
    assert match_detections(str(path), as_bytes, "segm").ap() == want
    assert match_detections(coco, results, "segm").ap() == want


def test_matching_prints_nothing_and_leaves_inputs_alone(problem, capfd):
    dataset, results = problem
    before = repr((dataset, results))
    match_detections(dataset, results, "bbox").ap()
    assert repr((dataset, results)) == before
    captured = capfd.readouterr()
    assert captured.out == "" and captured.err == ""


def test_options_reach_the_matching(problem):
    dataset, results = problem
    default = match_detections(dataset, results, "keypoints").ap()
    assert match_detections(dataset, results, "keypoints", keypoint_sigmas=[1.0] * 17).ap() > (
        default + 0.1
    )
    assert match_detections(dataset, results, max_detections=1).ap() < (
        match_detections(dataset, results).ap()
    )
    assert list(match_detections(dataset, results, areas=["large"]).areas) == ["large"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"iou_type": "box"}, "iou_type: got 'box'"),
        ({"areas": ["tiny"]}, "areas: got"),
        ({"areas": []}, "areas: got"),
        ({"iou_type": "keypoints", "areas": ["small"]}, "areas: got"),
        ({"image_ids": [1, 99]}, r"image_ids: got \[99\]"),
        ({"ground_truth": [1]}, "ground_truth: got list"),
        ({"image_id": 99}, r"results\[0\]: got image_id 99"),
        ({"category_id": 2}, r"results\[0\]: got category_id 2"),
        ({"score": float("nan")}, r"results\[0\]: got score nan"),
        ({"bbox": None}, r"results\[0\]: got no \['bbox'\]"),
    ],
)
def test_bad_input_is_named(problem, change, message):
    dataset, results = problem
    first = dict(results[0])
    for key in ("image_id", "category_id", "score"):
        if key in change:
            first[key] = change.pop(key)
    if "bbox" in change:
        change = {}
        del first["bbox"]
    arguments = {"ground_truth": dataset, "results": [first], **change}
    with pytest.raises(ValueError, match=message):
        match_detections(**arguments)


def test_bad_questions_are_named(problem):
    table = match_detections(*problem, areas=["all"])
    with pytest.raises(ValueError, match="area: got 'small'"):
        table.ap(area="small")
    with pytest.raises(ValueError, match=r"iou: got 0\.52"):
        table.ap(iou=0.52)
    for weights in (np.ones(29, dtype=int), np.ones(30), np.full(30, -1)):
        with pytest.raises(ValueError, match="image_weights: got"):
            table.ap(weights)
