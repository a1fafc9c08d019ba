"""Detections with RoI masks for the benchmark of COCO evaluation: drawn, or real ones."""

from __future__ import annotations

import json
import tempfile
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import Boxes, Instances
from torch import Tensor

CATEGORIES = 80
DETECTIONS = 100


class Problem(NamedTuple):
    """A registered data set, and raw detections as a network gives them.

    Attributes:
        name: of the data set.
        image_ids: of the images.
        sizes: (h, w) of each original image, pixels.
        raw: detections of each image in network pixels, pred_masks (N, 1, 28, 28).
    """

    name: str
    image_ids: list[int]
    sizes: list[tuple[int, int]]
    raw: list[Instances]


def draw_problem(num_images: int, size: tuple[int, int], seed: int = 0) -> Problem:
    """Draw a data set of 80 categories and 100 detections an image, 7 of them right on average.

    Args:
        num_images: images.
        size: (h, w) of each, pixels.
        seed: of the draws.

    Returns:
        The problem.
    """
    rng = np.random.default_rng(seed)
    masks = blobs(2000, rng)
    annotations: list[dict[str, Any]] = []
    raw = []
    for image_id in range(1, num_images + 1):
        boxes = draw_boxes(DETECTIONS, size, rng)
        classes = rng.integers(CATEGORIES, size=DETECTIONS)
        found = min(int(rng.poisson(7)), DETECTIONS)
        scores = np.concatenate([rng.uniform(0.4, 1, found), rng.uniform(0, 0.6, 100 - found)])
        for box, category in zip(boxes[:found].tolist(), classes[:found].tolist(), strict=True):
            annotations.append(_annotation(len(annotations) + 1, image_id, category + 1, box, rng))
        boxes[:found] += rng.normal(0, 3, (found, 4))
        chosen = torch.from_numpy(rng.integers(len(masks), size=DETECTIONS))
        raw.append(to_instances(boxes, scores, classes, size, masks[chosen]))
    ids = list(range(1, num_images + 1))
    dataset = {
        "images": [{"id": i, "height": size[0], "width": size[1]} for i in ids],
        "categories": [{"id": k + 1, "name": f"category {k}"} for k in range(CATEGORIES)],
        "annotations": annotations,
    }
    return Problem(register(dataset), ids, [size] * num_images, raw)


def load_problem(annotations: str, detections: str) -> Problem:
    """Read a COCO json, and the detections of a file of RoI masks.

    Args:
        annotations: a COCO json.
        detections: an npz of rows (N, 7), image_id, category_id, score, x, y, w, h in original
            pixels, and of masks (N, 28, 28), uint8, probability times 255.

    Returns:
        The problem, of the images that have detections.
    """
    dataset = json.loads(Path(annotations).read_text())
    archive = np.load(detections)
    rows, masks = archive["rows"], torch.from_numpy(archive["masks"]).float() / 255
    size_of = {image["id"]: (image["height"], image["width"]) for image in dataset["images"]}
    categories = sorted(category["id"] for category in dataset["categories"])
    ids = [int(i) for i in np.unique(rows[:, 0])]
    raw = []
    for image_id in ids:
        own = np.flatnonzero(rows[:, 0] == image_id)
        boxes = rows[own, 3:7].copy()
        boxes[:, 2:] += boxes[:, :2]
        classes = np.searchsorted(categories, rows[own, 1])
        size = size_of[image_id]
        raw.append(to_instances(boxes, rows[own, 2], classes, size, masks[torch.from_numpy(own)]))
    return Problem(register(dataset), ids, [size_of[i] for i in ids], raw)


def draw_boxes(count: int, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Draw boxes of log-normal sides, median 70 pixels at 480 and more in larger images.

    Args:
        count: boxes.
        size: (h, w) of the image, pixels.
        rng: source of randomness.

    Returns:
        (count, 4) XYXY, within the image.
    """
    h, w = size
    sides = 70 * min(size) / 480 * np.exp(rng.normal(0, 0.9, (count, 2)))
    sides = np.minimum(sides, [w - 1, h - 1])
    corners = rng.uniform(0, 1, (count, 2)) * ([w, h] - sides)
    return np.concatenate([corners, corners + sides], axis=1)


def blobs(count: int, rng: np.random.Generator) -> Tensor:
    """Draw smooth (count, 28, 28) mask probabilities, each one piece or a few."""
    coarse = torch.from_numpy(rng.uniform(0, 1, (count, 1, 5, 5))).float()
    coarse[:, :, 1:-1, 1:-1] += 0.6
    fine = torch.nn.functional.interpolate(coarse, size=(28, 28), mode="bicubic")[:, 0]
    return torch.sigmoid(8 * (fine - 0.6))


def to_instances(
    boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, size: tuple[int, int], masks: Tensor
) -> Instances:
    """Return detections in original pixels as a network 1.3 times as large would give them."""
    network = (round(1.3 * size[0]), round(1.3 * size[1]))
    out = Instances(network)
    out.pred_boxes = Boxes(torch.from_numpy(boxes).float())
    out.pred_boxes.scale(network[1] / size[1], network[0] / size[0])
    out.scores = torch.from_numpy(scores).float()
    out.pred_classes = torch.from_numpy(classes)
    out.pred_masks = masks[:, None]
    return out


def register(dataset: dict[str, Any]) -> str:
    """Register a COCO problem under a fresh name, its json in a temporary folder."""
    name = f"benchmark_{uuid.uuid4().hex}"
    path = Path(tempfile.mkdtemp(prefix="d2align_benchmark_")) / "annotations.json"
    path.write_text(json.dumps(dataset))
    names = {category["id"]: category["name"] for category in dataset["categories"]}
    DatasetCatalog.register(name, list)
    MetadataCatalog.get(name).set(
        json_file=str(path),
        thing_classes=[names[i] for i in sorted(names)],
        thing_dataset_id_to_contiguous_id={i: k for k, i in enumerate(sorted(names))},
    )
    return name


def _annotation(
    number: int, image_id: int, category: int, box: list[float], rng: np.random.Generator
) -> dict[str, Any]:
    x1, y1, x2, y2 = box
    polygon = [
        v
        for t in np.linspace(0, 2 * np.pi, 24, endpoint=False)
        for v in ((x1 + x2 + (x2 - x1) * np.cos(t)) / 2, (y1 + y2 + (y2 - y1) * np.sin(t)) / 2)
    ]
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": (x2 - x1) * (y2 - y1) * 0.78,
        "iscrowd": 0,
        "segmentation": [[float(v) for v in polygon]],
    }
