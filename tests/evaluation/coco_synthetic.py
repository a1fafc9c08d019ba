"""Small random COCO problems: rectangles as boxes, masks and 17 keypoints."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
from pycocotools import mask as mask_util
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

SIZE = 256


def make_dataset(
    rng: np.random.Generator,
    num_images: int,
    num_categories: int = 3,
    objects: float = 3.0,
    crowd: float = 0.1,
) -> dict[str, Any]:
    """Random rectangles of all COCO sizes; some images stay empty, some objects are crowds."""
    annotations: list[dict[str, Any]] = []
    for image_id in range(1, num_images + 1):
        for _ in range(rng.poisson(objects)):
            w, h = np.exp(rng.uniform(np.log(8), np.log(160), size=2))
            x, y = rng.uniform(0, SIZE - w), rng.uniform(0, SIZE - h)
            bbox = [float(value) for value in (x, y, w, h)]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": int(rng.integers(num_categories)) * 2 + 1,
                    "bbox": bbox,
                    "area": float(w * h),
                    "iscrowd": int(rng.random() < crowd),
                    "segmentation": rectangle_rle(bbox),
                    "keypoints": rectangle_keypoints(bbox),
                    "num_keypoints": 17,
                }
            )
    return {
        "images": [{"id": i + 1, "width": SIZE, "height": SIZE} for i in range(num_images)],
        "categories": [{"id": 2 * k + 1, "name": f"c{k}"} for k in range(num_categories)],
        "annotations": annotations,
    }


def make_results(
    rng: np.random.Generator,
    dataset: dict[str, Any],
    jitter: float = 2.0,
    found: float = 0.9,
    false_positives: float = 1.0,
    shapes: bool = False,
) -> list[dict[str, Any]]:
    """Detections of a dataset: box edges off by ``jitter`` pixels, some missing, some false."""
    boxes = [
        (a["image_id"], a["category_id"], a["bbox"], 0.3)
        for a in dataset["annotations"]
        if rng.random() < found
    ]
    extra = make_dataset(rng, len(dataset["images"]), len(dataset["categories"]), false_positives)
    boxes += [(a["image_id"], a["category_id"], a["bbox"], 0.0) for a in extra["annotations"]]
    results = []
    for image_id, category_id, bbox, bonus in boxes:
        x1, y1 = np.asarray(bbox[:2]) + rng.normal(0, jitter, 2)
        x2, y2 = np.add(bbox[:2], bbox[2:]) + rng.normal(0, jitter, 2)
        box = [float(value) for value in (x1, y1, max(x2 - x1, 1), max(y2 - y1, 1))]
        result = {
            "image_id": image_id,
            "category_id": category_id,
            "bbox": box,
            "score": round(float(bonus + 0.7 * rng.random()), 2),  # two digits: many ties
        }
        if shapes:
            result["segmentation"] = rectangle_rle(box)
            result["keypoints"] = rectangle_keypoints(box)
        results.append(result)
    return results


def rectangle_rle(bbox: list[float]) -> dict[str, Any]:
    """Mask of a box as COCO RLE with string counts."""
    x, y, w, h = bbox
    polygon = [x, y, x + w, y, x + w, y + h, x, y + h]
    rle = mask_util.merge(mask_util.frPyObjects([polygon], SIZE, SIZE))
    return {"size": rle["size"], "counts": rle["counts"].decode("ascii")}


def rectangle_keypoints(bbox: list[float]) -> list[float]:
    """Seventeen visible keypoints along the diagonal of a box."""
    x, y, w, h = bbox
    return [v for f in np.linspace(0, 1, 17).tolist() for v in (x + f * w, y + f * h, 2)]


def pycocotools_stats(
    dataset: dict[str, Any], results: list[dict[str, Any]], iou_type: str = "bbox"
) -> np.ndarray:
    """Summary of pycocotools; masks without their boxes, as Detectron2 evaluates them."""
    dropped = ("bbox",) if iou_type == "segm" else ()
    given = [{k: v for k, v in result.items() if k not in dropped} for result in results]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {**dataset, "annotations": [dict(a) for a in dataset["annotations"]]}
        coco.createIndex()
        evaluator = COCOeval(coco, coco.loadRes(given), iou_type)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator.stats


def duplicate_images(
    dataset: dict[str, Any], results: list[dict[str, Any]], weights: np.ndarray
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The dataset and results in which image i really occurs ``weights[i]`` times."""
    images, annotations, repeated = [], [], []
    for image, count in zip(dataset["images"], weights.tolist(), strict=True):
        for _ in range(count):
            new_id = len(images) + 1
            images.append({**image, "id": new_id})
            for annotation in dataset["annotations"]:
                if annotation["image_id"] == image["id"]:
                    new = {"id": len(annotations) + 1, "image_id": new_id}
                    annotations.append({**annotation, **new})
            own = [r for r in results if r["image_id"] == image["id"]]
            repeated += [{**result, "image_id": new_id} for result in own]
    return {**dataset, "images": images, "annotations": annotations}, repeated
