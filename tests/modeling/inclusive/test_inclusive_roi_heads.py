"""Which ground truth a proposal gets, in every stage, as Detectron gave it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import references_detectron1 as reference
import torch
from detectron2.structures import BitMasks, Instances, PolygonMasks
from detectron2.utils.events import EventStorage
from tiny_models import CASCADE, tiny_config, tiny_model

from d2align.modeling import InclusiveBoxes
from d2align.modeling.image_scale import NetworkSize
from d2align.modeling.inclusive.boxes import to_float

SCALE = 1.5
SIZE = NetworkSize.from_original((60, 90), (40, 60), SCALE)
TRUTH = [[2.0, 3, 21, 18], [10, 8, 40, 30], [50, 30, 59, 39]]  # in original pixels


def heads(*opts: str) -> Any:
    return tiny_model(tiny_config(*opts, config="ablation_detectron1.yaml")).roi_heads.train()


def targets(masks: Any = None) -> Instances:
    out = Instances(SIZE, gt_boxes=InclusiveBoxes(torch.tensor(TRUTH) * SCALE))
    out.gt_classes = torch.tensor([0, 1, 2])
    if masks is not None:
        out.gt_masks = masks
    return out


def given(boxes: list[list[float]]) -> Instances:
    out = Instances(SIZE, proposal_boxes=InclusiveBoxes(torch.tensor(boxes) * SCALE))
    out.objectness_logits = torch.zeros(len(boxes))
    return out


def random_boxes(n: int = 60) -> list[list[float]]:
    rng = np.random.default_rng(0)
    near = np.array(TRUTH)[rng.integers(0, 3, n)] + rng.normal(0, 2.5, (n, 4))
    return np.sort(near.reshape(n, 2, 2), axis=1).reshape(n, 4).round(2).tolist()


def label(module: Any, boxes: list[list[float]], target: Instances) -> Instances:
    module.batch_size_per_image, module.positive_fraction = 10_000, 1.0
    with EventStorage():
        return module.label_and_sample_proposals([given(boxes)], [target])[0]


def test_labels_equal_the_reference_and_boxes_are_kept_exactly() -> None:
    boxes = random_boxes()
    found = label(heads(), boxes, targets())
    assert len(found) == len(boxes) + 3 and type(found.proposal_boxes) is InclusiveBoxes
    assert type(found.gt_boxes) is InclusiveBoxes
    wanted = {tuple((torch.tensor(b) * SCALE).tolist()): b for b in boxes + TRUTH}
    foreground = 0
    for box, kind, truth in zip(
        found.proposal_boxes.tensor.tolist(),
        found.gt_classes.tolist(),
        found.gt_boxes.tensor.tolist(),
        strict=True,
    ):
        overlaps = [reference.iou(wanted[tuple(box)], t) for t in TRUTH]
        best = overlaps.index(max(overlaps))
        assert kind == (best if max(overlaps) >= 0.5 else 6)
        assert kind == 6 or truth == (torch.tensor(TRUTH[best]) * SCALE).tolist()
        foreground += kind < 6
    assert 10 < foreground < len(boxes)


def test_overlap_has_its_plus_one_in_original_pixels() -> None:
    # 2 of 4 pixels: 0.5, and foreground. With the +1 in network pixels it would be 2.5 / 5.5.
    target = Instances(SIZE, gt_boxes=InclusiveBoxes(torch.tensor([[8.0, 8, 11, 8]]) * SCALE))
    target.gt_classes = torch.tensor([3])
    module = heads()
    module.proposal_append_gt = False
    assert label(module, [[8.0, 8, 9, 8]], target).gt_classes.tolist() == [3]
    assert label(module, [[8.0, 8, 8.9, 8]], target).gt_classes.tolist() == [6]


def rectangle(x1: float, y1: float, x2: float, y2: float) -> np.ndarray:
    return np.array([x1, y1, x2, y1, x2, y2, x1, y2]) * SCALE


def test_a_proposal_is_trained_on_the_polygons_it_overlaps_most() -> None:
    # The polygons of the first object reach far beyond its box, over the second one's place.
    polygons = [
        [rectangle(10, 8, 41, 31)],
        [rectangle(0, 0, 5, 5), rectangle(2, 3, 20, 19)],
        [rectangle(50, 30, 60, 40)],
    ]
    found = label(heads(), random_boxes(), targets(PolygonMasks(polygons)))
    tight = [[10.0, 8, 41, 31], [0, 0, 20, 19], [50, 30, 60, 40]]
    swapped = 0
    for box, kind, masks in zip(
        (found.proposal_boxes.tensor / SCALE).tolist(),
        found.gt_classes.tolist(),
        found.gt_masks.polygons,
        strict=True,
    ):
        overlaps = [reference.iou(box, t) for t in tight]
        best = overlaps.index(max(overlaps))
        assert all(np.array_equal(a, b) for a, b in zip(masks, polygons[best], strict=True))
        swapped += kind < 6 and best != kind
    assert swapped > 5


def test_overlap_with_polygons_has_its_plus_one_in_original_pixels() -> None:
    # 5 of 10 pixels against 8 of 17; with the +1 in network pixels it would be 0.40 and 0.43.
    polygons = [[rectangle(0, 0, 4, 0.0)], [rectangle(1, 0, 5, 2)], [rectangle(50, 30, 60, 40)]]
    module = heads()
    module.proposal_append_gt = False
    found = label(module, [[0.0, 0, 4, 1]], targets(PolygonMasks(polygons)))
    assert np.array_equal(found.gt_masks.polygons[0][0], polygons[0][0])


def test_bitmasks_go_with_the_matched_box_and_images_without_objects_are_taken() -> None:
    bits = torch.zeros(3, *SIZE, dtype=torch.bool)
    for i in range(3):
        bits[i, i] = True
    found = label(heads(), random_boxes(), targets(BitMasks(bits)))
    foreground = found[found.gt_classes < 6]
    rows = foreground.gt_masks.tensor.any(dim=2).int().argmax(dim=1)
    assert torch.equal(rows, foreground.gt_classes)
    none = targets()[:0]
    found = label(heads(), random_boxes(4), none)
    assert found.gt_classes.tolist() == [6] * 4 and type(found.proposal_boxes) is InclusiveBoxes


def test_cascade_stages_match_and_clip_in_original_pixels() -> None:
    module = heads(*CASCADE)
    boxes = [[8.0, 8, 9, 8], [-3, 2, 70, 50], [58, 38, 59, 39]]
    decoded = [torch.tensor(boxes) * SCALE]
    (made,) = module._create_proposals_from_boxes(decoded, [SIZE])
    expected = torch.tensor([reference.clip(b, SIZE.original) for b in boxes]) * SCALE
    assert type(made.proposal_boxes) is InclusiveBoxes
    torch.testing.assert_close(made.proposal_boxes.tensor, expected)
    target = Instances(SIZE, gt_boxes=InclusiveBoxes(torch.tensor([[8.0, 8, 10, 8]]) * SCALE))
    target.gt_classes = torch.tensor([4])
    for stage, threshold in ((1, 0.6), (2, 0.7)):  # and the overlap is 2 of 3 pixels
        with EventStorage():
            (found,) = module._match_and_label_boxes([made], stage, [target])
        assert found.gt_classes.tolist() == [4 if threshold <= 2 / 3 else 6, 6, 6]
        assert type(found.proposal_boxes) is type(found.gt_boxes) is InclusiveBoxes
        assert torch.equal(found.gt_boxes.tensor, target.gt_boxes.tensor.expand(3, 4))
    with EventStorage():
        (found,) = module._match_and_label_boxes([made], 1, [target[:0]])
    assert found.gt_classes.tolist() == [6, 6, 6] and len(found.gt_boxes) == 3


@pytest.mark.parametrize("preset", ["detectron1", "py_faster_rcnn"])
def test_cascade_detections_come_from_the_last_stage_and_all_scores(preset: str) -> None:
    config = tiny_config(*CASCADE, "MODEL.MASK_ON", "False", config=f"ablation_{preset}.yaml")
    module = tiny_model(config).roi_heads.eval()
    channels, strides = 16, (4, 8, 16, 32)
    generator = torch.Generator().manual_seed(0)
    features = {
        f"p{i + 2}": torch.randn(1, channels, 64 // s, 96 // s, generator=generator)
        for i, s in enumerate(strides)
    }
    boxes, scores = [given(random_boxes(20)).proposal_boxes.tensor], []
    last_pixel = 1.0 if preset == "detectron1" else 0.0
    with torch.no_grad():
        for stage, predictor in enumerate(module.box_predictor):
            pooled = module.box_pooler(list(features.values()), [InclusiveBoxes(boxes[-1])])
            logits, deltas = predictor(module.box_head[stage](pooled))
            scores.append(logits.softmax(dim=1))
            decoded = [
                reference.decode(
                    [v / SCALE for v in b], d, predictor.box2box_transform.weights, last_pixel
                )
                for b, d in zip(boxes[-1].tolist(), deltas.tolist(), strict=True)
            ]
            clipped = [reference.clip(b, SIZE.original) for b in decoded]
            boxes.append(torch.tensor(clipped) * SCALE)
        (found,), _ = module(None, features, [given(random_boxes(20))])
    means = sum(scores) / 3
    floats = to_float(found.pred_boxes.tensor, SIZE)
    assert 0 < len(found) <= 20 and type(found.pred_boxes) is InclusiveBoxes
    candidates = to_float(boxes[-1], SIZE)
    for box, score, kind in zip(floats, found.scores, found.pred_classes, strict=True):
        row = int((candidates - box).abs().amax(dim=1).argmin())
        assert (candidates[row] - box).abs().max() < 1e-3
        torch.testing.assert_close(score, means[row, kind])
