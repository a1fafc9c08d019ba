"""From an annotation through mapper, encode, decode and results back to the annotation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.evaluation.coco_evaluation import instances_to_coco_json
from detectron2.structures import BoxMode, Instances
from detectron2.utils.events import EventStorage
from PIL import Image
from tiny_models import heard_targets, tiny_config, tiny_model

from d2align.data import PixelExactDatasetMapper
from d2align.modeling import InclusiveBoxes, detector_postprocess

H, W = 60, 91
BOXES = [[10.0, 12.0, 30.5, 38.25], [80.5, 40.0, 10.5, 20.0], [0.0, 0.0, 91.0, 60.0]]
BOXES += [[30.25, 30.5, 1.5, 1.25], [40.125, 20.0, 2.0, 31.375]]
EXCESS = {"detectron1": 0.0, "py_faster_rcnn": 1.0}


def mapped(cfg: Any, folder: Path, flip: bool) -> dict[str, Any]:
    path = folder / "image.png"
    Image.fromarray(np.zeros((H, W, 3), np.uint8)).save(path)
    annotations = [
        {
            **{"bbox": box, "bbox_mode": BoxMode.XYWH_ABS, "category_id": i, "iscrowd": 0},
            "segmentation": [[box[0], box[1], box[0] + box[2], box[1], box[0], box[1] + box[3]]],
        }
        for i, box in enumerate(BOXES)
    ]
    mapper = PixelExactDatasetMapper(cfg, True)
    mapper.augmentations.augs[0].prob = 1.0 if flip else 0.0
    record = {"file_name": str(path), "height": H, "width": W, "annotations": annotations}
    return mapper({**record, "image_id": 1})


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("size", [60, 83, 41, 120])
@pytest.mark.parametrize("preset", EXCESS)
def test_a_perfect_model_gives_back_the_annotations_own_boxes(
    preset: str, size: int, flip: bool, tmp_path: Path
) -> None:
    opts = ("INPUT.MIN_SIZE_TRAIN", f"({size},)", "INPUT.MAX_SIZE_TRAIN", "1000")
    more = ("MODEL.ROI_HEADS.NMS_THRESH_TEST", "1.1", "MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG")
    cfg = tiny_config(*opts, *more, "True", config=f"ablation_{preset}.yaml")
    model, entry = tiny_model(cfg), mapped(cfg, tmp_path, flip)
    (truth,), scale = heard_targets(model, [entry]), entry["im_scale"]
    assert len(truth) == len(BOXES) and scale == size / H
    moved = np.random.default_rng(0).normal(0, 2, (len(BOXES), 4)).round(2)
    corners = truth.gt_boxes.tensor / scale + torch.from_numpy(moved).float()
    corners = torch.cat([corners[:, :2], torch.maximum(corners[:, :2] + 1, corners[:, 2:])], dim=1)
    proposals = Instances(truth.image_size, proposal_boxes=InclusiveBoxes(corners * scale))
    predictor = model.roi_heads.box_predictor
    deltas = predictor.box2box_transform.get_deltas(corners, truth.gt_boxes.tensor / scale)
    logits = torch.eye(7)[: len(BOXES)] * 20
    proposals.gt_boxes, proposals.gt_classes = truth.gt_boxes, truth.gt_classes
    with EventStorage():
        assert predictor.losses((logits, deltas), [proposals])["loss_box_reg"] < 1e-3
    found, _ = predictor.inference((logits, deltas), [proposals])
    (raw,) = model.float_detections(found)
    results = instances_to_coco_json(detector_postprocess(raw, H, W), 1)
    assert len(results) == len(BOXES)
    for result in results:
        x, y, w, h = BOXES[result["category_id"]]
        if flip:
            x = W - x - w
        # The pixel too many is cut off at the border.
        w, h = min(w + EXCESS[preset], W - x), min(h + EXCESS[preset], H - y)
        assert result["bbox"] == pytest.approx([x, y, w, h], abs=1e-3)
