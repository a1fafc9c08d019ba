"""Rows of replayed detections: what pycocotools makes of the dense masks, to the last byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.data import MetadataCatalog
from detectron2.structures import Boxes, Instances
from pycocotools import mask as coco_mask

from d2align.ablation.replay import coco_results, replay
from d2align.modeling import detector_postprocess, detector_postprocess_to_rle
from d2align.registry import build_paste_mask

IDS = {0: 18, 1: 3, 2: 90}
SIZE, NETWORK = (61, 83), (80, 109)


def raw(number: int, seed: int = 0) -> Instances:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-10, 70, (number, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(1, 60, (number, 2))], axis=1)
    return Instances(
        NETWORK,
        pred_boxes=Boxes(torch.from_numpy(boxes).float()),
        scores=torch.from_numpy(rng.random(number)).float(),
        pred_classes=torch.from_numpy(rng.integers(0, 3, number)),
        pred_masks=torch.from_numpy(rng.random((number, 1, 28, 28))).float(),
    )


def rows_by_pycocotools(image_id: int, found: Instances) -> list[dict[str, Any]]:
    rows = []
    for i, (x1, y1, x2, y2) in enumerate(found.pred_boxes.tensor):
        rle = coco_mask.encode(np.asfortranarray(found.pred_masks[i].numpy(), dtype=np.uint8))
        rows.append(
            {
                "image_id": image_id,
                "category_id": IDS[int(found.pred_classes[i])],
                "bbox": [v.item() for v in (x1, y1, x2 - x1, y2 - y1)],
                "score": found.scores[i].item(),
                "segmentation": {"size": rle["size"], "counts": rle["counts"].decode()},
            }
        )
    return rows


@pytest.mark.parametrize("name", ["aligned", "detectron1"])
def test_rows_of_dense_and_of_encoded_masks(name: str) -> None:
    paste = build_paste_mask(name)
    dense = detector_postprocess(raw(40), *SIZE, paste)
    encoded = detector_postprocess_to_rle(raw(40), *SIZE, paste)
    expected = rows_by_pycocotools(7, dense)
    assert len(expected) > 10
    assert coco_results(7, dense, IDS) == expected
    assert coco_results(7, encoded, IDS) == expected


def test_rows_without_masks_and_without_detections() -> None:
    found = raw(40)
    found.remove("pred_masks")
    rows = coco_results(7, found, IDS)
    assert len(rows) == 40 and rows[0].keys() == {"image_id", "category_id", "bbox", "score"}
    assert coco_results(7, detector_postprocess_to_rle(raw(0), *SIZE), IDS) == []


@pytest.mark.parametrize("name", ["aligned", "detectron1"])
def test_a_replayed_file_is_what_dense_masks_give(name: str, tmp_path: Path) -> None:
    dataset = f"replay_rows_{name}"
    to_contiguous = {category: k for k, category in IDS.items()}
    MetadataCatalog.get(dataset).thing_dataset_id_to_contiguous_id = to_contiguous
    images, found = [(5, 12, *SIZE, *NETWORK), (9, 0, *SIZE, *NETWORK)], raw(12)
    np.savez(
        tmp_path / "raw.npz",
        images=np.array(images),
        boxes=found.pred_boxes.tensor.numpy(),
        scores=found.scores.numpy(),
        classes=found.pred_classes.numpy(),
        masks=found.pred_masks[:, 0].numpy(),
    )
    replay(tmp_path / "raw.npz", dataset, name, tmp_path / "out.json")
    dense = detector_postprocess(found, *SIZE, build_paste_mask(name))
    expected = rows_by_pycocotools(5, dense)
    assert (tmp_path / "out.json").read_text() == json.dumps(expected)
