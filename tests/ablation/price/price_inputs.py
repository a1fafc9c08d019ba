"""Small inputs of the price of a pixel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from coco_synthetic import SIZE, make_dataset, make_results

from d2align.ablation.price.inputs import Inputs, load_inputs

MASK_SIDE = 8


def rectangle_polygons(bbox: list[float]) -> list[list[float]]:
    """The outline of a box."""
    x, y, w, h = bbox
    return [[x, y, x + w, y, x + w, y + h, x, y + h]]


def small_dataset(num_images: int = 6, seed: int = 0) -> dict[str, Any]:
    """Rectangles with polygons; crowds keep their RLE."""
    dataset = make_dataset(np.random.default_rng(seed), num_images)
    for one in dataset["annotations"]:
        if not one["iscrowd"]:
            one["segmentation"] = rectangle_polygons(one["bbox"])
    return dataset


def write_inputs(folder: Path, dataset: dict[str, Any]) -> dict[str, Path]:
    """Write annotations, results with masks, and RoI masks that fill their boxes."""
    rng = np.random.default_rng(1)
    results = make_results(rng, dataset, shapes=True)
    for one in results:
        del one["keypoints"]
    rows = [[r["image_id"], r["category_id"], r["score"], *r["bbox"]] for r in results]
    masks = np.full((len(rows), MASK_SIDE, MASK_SIDE), 255, np.uint8)
    paths = {
        "annotations": folder / "annotations.json",
        "boxes": folder / "results.json",
        "roi_masks": folder / "masks.npz",
    }
    paths["annotations"].write_text(json.dumps(dataset))
    paths["boxes"].write_text(json.dumps(results))
    np.savez(paths["roi_masks"], rows=np.array(rows), masks=masks)
    return paths


def small_inputs(folder: Path) -> Inputs:
    """All three inputs, loaded."""
    return load_inputs(**write_inputs(folder, small_dataset()))


def one_object(bbox: list[float], segmentation: Any = None, size: int = SIZE) -> Inputs:
    """Two images, one of them with an object."""
    annotation = {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "bbox": bbox,
        "area": bbox[2] * bbox[3],
        "iscrowd": 0,
        "segmentation": segmentation or rectangle_polygons(bbox),
    }
    dataset = {
        "images": [{"id": i, "width": size, "height": size} for i in (1, 2)],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [annotation],
    }
    return Inputs(dataset, None, None, {})
