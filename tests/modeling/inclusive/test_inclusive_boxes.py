"""Boxes that name their last pixel, and what Detectron counted on them."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import references_detectron1 as reference
import torch
from detectron2.modeling.poolers import assign_boxes_to_levels
from detectron2.structures import Boxes, Instances

from d2align.modeling import InclusiveBoxes
from d2align.modeling.image_scale import NetworkSize
from d2align.modeling.inclusive.boxes import iou_detectron1, to_float, to_inclusive
from d2align.modeling.inclusive.nms import nms_detectron1

# On a 5 x 5 image: the whole of it, its first pixel, its last, and the two middle columns.
FIVE = torch.tensor([[0.0, 0, 4, 4], [0, 0, 0, 0], [4, 4, 4, 4], [1, 0, 2, 4]])
SIZE = NetworkSize.from_original((10, 15), (5, 5))  # scales 3 and 2


def test_a_box_of_the_last_pixel_of_an_image_is_one_pixel_wide() -> None:
    torch.testing.assert_close(
        InclusiveBoxes(FIVE).area(), torch.tensor([25.0, 1, 1, 10]), rtol=1e-3, atol=0
    )
    network = FIVE * torch.tensor([3.0, 2, 3, 2])
    expected = torch.tensor([[0.0, 0, 15, 10], [0, 0, 3, 2], [12, 8, 15, 10], [3, 0, 9, 10]])
    assert torch.equal(to_float(network, SIZE), expected)
    assert torch.equal(to_inclusive(expected, SIZE), network)


def test_conversion_of_narrow_boxes_is_undone_too() -> None:
    boxes = torch.tensor([[3.0, 2, 4.5, 2], [3, 2, 6, 4]])
    assert torch.equal(to_inclusive(boxes, SIZE), torch.tensor([[3.0, 2, 1.5, 0], [3, 2, 3, 2]]))
    assert torch.equal(to_float(to_inclusive(boxes, SIZE), SIZE), boxes)


def test_iou_counts_pixels() -> None:
    expected = [[reference.iou(a, b) for b in FIVE.tolist()] for a in FIVE.tolist()]
    assert expected[0] == [1.0, 1 / 25, 1 / 25, 10 / 25] and expected[1][2] == 0.0
    torch.testing.assert_close(iou_detectron1(FIVE, FIVE), torch.tensor(expected))


def test_boxes_stay_inclusive_whatever_instances_do_to_them() -> None:
    instances = Instances((10, 15), boxes=InclusiveBoxes(FIVE))
    chosen = torch.tensor([True, False, True, False])
    others = [
        instances[1:3],
        instances[chosen],
        instances.to("cpu"),
        Instances.cat([instances, Instances((10, 15), boxes=Boxes(FIVE))]),
        copy.deepcopy(instances),
        pickle.loads(pickle.dumps(instances)),
    ]
    assert all(type(other.boxes) is InclusiveBoxes for other in others)
    assert type(instances.boxes.clone()) is InclusiveBoxes
    assert type(instances.boxes[1]) is InclusiveBoxes
    assert torch.equal(others[1].boxes.tensor, FIVE[chosen])


def test_pooler_levels_are_detectrons() -> None:
    # Sides around every boundary: 112, 224 and 448 network pixels, +1 counted, and its margin:
    # 1e-6 of 224 pixels is 0.000224, and 0.0001 below a boundary is therefore above it.
    sides = np.array([111.0, 110.9, 222.9, 223.0, 224.0, 446.9, 447.0, 600, 0, 10])
    sides = np.concatenate([sides, [223.0 - 1e-4, 447.0 - 1e-4, 223.0 - 1e-3, 447.0 - 1e-3]])
    boxes = np.stack([sides * 0, sides * 0 + 0, sides, sides], axis=1)
    boxes = np.concatenate([boxes, boxes + [0, 0, 100, -50]])
    boxes[:, 3] = np.maximum(boxes[:, 3], 0)
    found = assign_boxes_to_levels([InclusiveBoxes(torch.from_numpy(boxes))], 2, 5, 224, 4) + 2
    expected = [reference.level(b) for b in boxes.tolist()]
    assert found.tolist() == expected
    assert expected[:4] == [3, 2, 3, 4] and expected[10:14] == [4, 5, 3, 4]
    plain = assign_boxes_to_levels([Boxes(torch.from_numpy(boxes))], 2, 5, 224, 4) + 2
    assert plain.tolist() != expected


def random_detections(seed: int, n: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes of whole pixels, so that overlaps are often exactly a threshold."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 12, (n, 2))
    boxes = np.concatenate([corners, corners + rng.integers(0, 8, (n, 2))], axis=1).astype(float)
    return boxes, rng.permutation(n) / n, rng.integers(0, 3, n)


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.25, 1 / 3, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_nms_equals_the_reference(seed: int, threshold: float) -> None:
    boxes, scores, groups = random_detections(seed)
    expected = []
    for group in range(3):
        (members,) = np.nonzero(groups == group)
        kept = reference.nms(boxes[members].tolist(), scores[members].tolist(), threshold)
        expected += [int(members[i]) for i in kept]
    expected.sort(key=lambda i: -scores[i])
    found = nms_detectron1(*(torch.from_numpy(a) for a in (boxes, scores, groups)), threshold)
    assert found.tolist() == expected


def test_nms_suppresses_at_the_threshold_itself() -> None:
    # 8 pixels, and 4 of them: an overlap of exactly 0.5.
    boxes = torch.tensor([[0.0, 0, 3, 1], [0, 0, 3, 0]])
    scores, groups = torch.tensor([0.9, 0.8]), torch.zeros(2, dtype=torch.int64)
    assert nms_detectron1(boxes, scores, groups, 0.5).tolist() == [0]
    assert nms_detectron1(boxes, scores, groups, 0.500001).tolist() == [0, 1]
    assert nms_detectron1(boxes, scores, torch.tensor([0, 1]), 0.5).tolist() == [0, 1]
    assert nms_detectron1(boxes[:0], scores[:0], groups[:0], 0.5).tolist() == []
