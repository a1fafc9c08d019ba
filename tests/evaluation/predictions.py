"""Detectron2's side of the synthetic COCO problems: registered data sets and model outputs."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import torch
from coco_synthetic import SIZE
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import Boxes, Instances
from pycocotools import mask as mask_util


def register(dataset: dict[str, Any], folder: Path, **metadata: Any) -> str:
    """Register a COCO problem under a fresh name, with the mapping that Detectron2 would make."""
    name = f"synthetic_{uuid.uuid4().hex}"
    path = folder / f"{name}.json"
    path.write_text(json.dumps(dataset))
    ids = sorted(category["id"] for category in dataset["categories"])
    names = {category["id"]: category["name"] for category in dataset["categories"]}
    DatasetCatalog.register(name, list)
    usual = {
        "thing_classes": [names[i] for i in ids],
        "thing_dataset_id_to_contiguous_id": {i: k for k, i in enumerate(ids)},
    }
    MetadataCatalog.get(name).set(json_file=str(path), **{**usual, **metadata})
    return name


def to_instances(
    dataset: dict[str, Any], results: list[dict[str, Any]], image_id: Any, *fields: str
) -> Instances:
    """What a model would have found in one image; fields: masks, keypoints."""
    ids = sorted(category["id"] for category in dataset["categories"])
    own = [result for result in results if result["image_id"] == image_id]
    boxes = np.array([result["bbox"] for result in own], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    out = Instances((SIZE, SIZE))
    out.pred_boxes = Boxes(torch.from_numpy(boxes))
    out.scores = torch.tensor([result["score"] for result in own], dtype=torch.float32)
    classes = [ids.index(result["category_id"]) for result in own]
    out.pred_classes = torch.tensor(classes, dtype=torch.int64)
    if "masks" in fields:
        masks = [mask_util.decode(result["segmentation"]) for result in own]
        dense = np.array(masks, dtype=bool).reshape(-1, SIZE, SIZE)
        out.pred_masks = torch.from_numpy(dense)
    if "keypoints" in fields:
        points = np.array([result["keypoints"] for result in own], np.float32).reshape(-1, 17, 3)
        out.pred_keypoints = torch.from_numpy(points) + torch.tensor([0.5, 0.5, 0.0])
    return out


def to_proposals(instances: Instances) -> Instances:
    """The boxes as an RPN would give them, a little off."""
    out = Instances(instances.image_size)
    out.proposal_boxes = Boxes(instances.pred_boxes.tensor + 1.5)
    out.objectness_logits = instances.scores * 4 - 2
    return out


def feed(
    evaluator: Any,
    dataset: dict[str, Any],
    results: list[dict[str, Any]],
    *fields: str,
    proposals: bool = False,
) -> None:
    """Let an evaluator process every image of a data set."""
    evaluator.reset()
    for image in dataset["images"]:
        found = to_instances(dataset, results, image["id"], *fields)
        output = {"instances": found}
        if proposals:
            output["proposals"] = to_proposals(found)
        evaluator.process([{"image_id": image["id"]}], [output])
