"""Signed errors in pixels: a known shift is found as exactly that shift, in its own direction."""

from __future__ import annotations

import numpy as np
import pytest
from coco_synthetic import make_dataset
from pycocotools import mask as coco_mask

from d2align.evaluation.bias import paired_bias
from d2align.evaluation.localization import BOX_ERRORS, MASK_ERRORS, LocalizationTruth
from d2align.evaluation.perturb import shift_boxes


def _perfect(dataset):
    keys = ("image_id", "category_id", "bbox")
    return [
        {**{k: a[k] for k in keys}, "score": 0.5 + 0.4 / (1 + a["id"])}
        for a in dataset["annotations"]
        if not a.get("iscrowd", 0)
    ]


@pytest.fixture(scope="module")
def dataset():
    return make_dataset(np.random.default_rng(3), 30)


def test_each_edge_has_its_own_signed_error(dataset):
    moved = shift_boxes(_perfect(dataset), left=0.25, top=-0.5, right=1, bottom=0.75)
    errors = LocalizationTruth(dataset, "bbox").errors(moved)
    assert errors.names == BOX_ERRORS and len(errors.values) > 30
    assert errors.values.mean(axis=0) == pytest.approx([0.25, -0.5, 1, 0.75], abs=1e-9)
    assert (np.diff(errors.annotation_ids) > 0).all()


def _square(image_id, x, y, side, score=0.9):
    mask = np.zeros((40, 50), dtype=np.uint8, order="F")
    mask[y : y + side, x : x + side] = 1
    rle = coco_mask.encode(mask)
    return {"image_id": image_id, "category_id": 1, "segmentation": rle, "score": score}


def _squares(*rows):
    images = [{"id": i, "height": 40, "width": 50} for i in (1, 2)]
    annotations = [{**row, "id": n, "iscrowd": 0} for n, row in enumerate(rows, 1)]
    return {"images": images, "annotations": annotations, "categories": [{"id": 1}]}


def test_mask_errors_are_those_of_the_centroid_and_of_the_edge():
    truth = LocalizationTruth(_squares(_square(1, 10, 8, 10), _square(2, 4, 4, 12)), "segm")
    # Grown by a pixel on each side; moved by 1 right and 2 down.
    errors = truth.errors([_square(1, 9, 7, 12), _square(2, 5, 6, 12)])
    assert errors.names == MASK_ERRORS
    assert errors.values == pytest.approx(np.array([[0, 0, 1], [1, 2, 0]]))


def test_polygons_and_uncompressed_runs_are_read_as_masks():
    square = [[10.0, 8.0, 20.0, 8.0, 20.0, 18.0, 10.0, 18.0]]
    runs = {"size": [40, 50], "counts": [10 * 40 + 8, *([10, 30] * 9), 10, 40 * 30 + 22]}
    for segmentation in (square, runs):
        dataset = _squares({"image_id": 1, "category_id": 1, "segmentation": segmentation})
        errors = LocalizationTruth(dataset, "segm").errors([_square(1, 10, 8, 10)])
        assert errors.values == pytest.approx(np.zeros((1, 3)))


def test_the_best_score_is_matched_once_and_the_rest_left_out(dataset):
    first = _perfect(dataset)
    worse = [{**r, "score": r["score"] / 2} for r in shift_boxes(first, right=2)]
    truth = LocalizationTruth(dataset, "bbox")
    assert truth.errors(worse + first).values == pytest.approx(truth.errors(first).values)
    other_class = [{**r, "category_id": 999} for r in first]
    assert len(truth.errors(other_class).values) == 0


def test_a_known_bias_is_found_and_its_absence_too(dataset):
    rng = np.random.default_rng(0)
    truth = LocalizationTruth(dataset, "bbox")

    def noisy(right):
        return [
            shift_boxes([r], *rng.normal(0, 0.5, 2), *(rng.normal(0, 0.5, 2) + [right, 0]))[0]
            for r in _perfect(dataset)
        ]

    reference, variant = ([truth.errors(noisy(r)) for _ in range(3)] for r in (0, 0.5))
    by_name = {b.name: b for b in paired_bias(reference, variant, num_draws=300)}
    assert by_name["right"].low > 0 and by_name["right"].low < 0.5 < by_name["right"].high
    for name in ("left", "top", "bottom"):
        assert by_name[name].low < 0 < by_name[name].high
    assert by_name["right"].variant - by_name["right"].reference == pytest.approx(
        by_name["right"].delta
    )
    once = paired_bias(reference, variant, num_draws=50)
    assert paired_bias([[r, r] for r in reference], [[v, v] for v in variant], 50) == once
    grouped = paired_bias([reference[:2], reference[2]], [variant[:2], variant[2]], num_draws=50)
    each = once[2].base_deltas
    assert grouped[2].base_deltas == pytest.approx(((each[0] + each[1]) / 2, each[2]))
    same = paired_bias(reference, reference, num_draws=20)
    assert all(b.delta == b.low == b.high == 0 for b in same)


def test_bad_input_is_named(dataset):
    with pytest.raises(ValueError, match="iou_type: got 'keypoints'"):
        LocalizationTruth(dataset, "keypoints")
    errors = LocalizationTruth(dataset, "bbox").errors(_perfect(dataset))
    with pytest.raises(ValueError, match="variant: got 2 bases"):
        paired_bias([errors], [errors, errors])
    with pytest.raises(ValueError, match="num_draws: got 1"):
        paired_bias([errors], [errors], num_draws=1)
    nothing = LocalizationTruth(dataset, "bbox").errors([])
    assert paired_bias([errors], [nothing]) == []
