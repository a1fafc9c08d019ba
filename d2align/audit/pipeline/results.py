"""The ends of a pipeline: COCO's file to records, and detections to the results file.

Detections are given to the evaluator directly, at known places, and the results file is read.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_coco_instances
from detectron2.structures import Boxes, Instances
from pycocotools import mask as coco_mask

from d2align.audit.guard import ProbeFailure
from d2align.audit.pipeline.drift import find_drift, measure_drift
from d2align.audit.pipeline.load import Pipeline, quiet
from d2align.audit.pipeline.scene import ORIGINAL
from d2align.audit.pipeline.targets import Target, extent_of, mask_extent, targets
from d2align.audit.record import Finding

DATASET = "d2align_audit"
_FILE = "coco_instances_results.json"
_EXACT_PX, _RASTER_PX = 0.01, 0.05
_HALF = 0.5  # COCO's keypoints are indices


def audit_results(pipeline: Pipeline) -> list[Finding]:
    """Measure the reading of a COCO file, and the results file of the evaluator.

    Args:
        pipeline: what is audited.

    Returns:
        Findings of the stages "load" and "results" for boxes, masks and keypoints.

    Raises:
        ProbeFailure: the evaluator writes no results file.
    """
    objects = targets(ORIGINAL)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(registered(objects, pipeline.num_keypoints, folder))
        stack.enter_context(quiet())
        records = DatasetCatalog.get(DATASET)
        rows = _results(pipeline, objects, folder)
    return _judge_load(objects, records) + _judge_results(objects, rows)


@contextlib.contextmanager
def registered(
    objects: list[Target], num_keypoints: int, folder: Path, points: np.ndarray | None = None
) -> Iterator[None]:
    """Register a data set of one image for a while.

    Args:
        objects: in the image.
        num_keypoints: of each object.
        folder: for the annotations.
        points: (objects, num_keypoints, 2) coordinates of keypoints; by default all of an object
            are at its centre.
    """
    (h, w), path = objects[0].size, folder / "annotations.json"
    annotations = []
    for number, o in enumerate(objects, 1):
        x1, y1, x2, y2 = o.box
        row: dict[str, Any] = {"id": number, "image_id": 1, "category_id": 1, "iscrowd": 0}
        row |= {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}
        row["segmentation"] = [o.polygon.reshape(-1).tolist()]
        if num_keypoints:
            own = np.tile(o.centre, (num_keypoints, 1)) if points is None else points[number - 1]
            marked = np.column_stack([own - _HALF, np.full(num_keypoints, 2.0)])
            row |= {"keypoints": marked.reshape(-1).tolist(), "num_keypoints": num_keypoints}
        annotations.append(row)
    category: dict[str, Any] = {"id": 1, "name": "disc"}
    if num_keypoints:
        category |= {"keypoints": [str(k) for k in range(num_keypoints)], "skeleton": []}
    images = [{"id": 1, "height": h, "width": w, "file_name": "1.png"}]
    dataset = {"info": {}, "images": images, "annotations": annotations, "categories": [category]}
    path.write_text(json.dumps(dataset))
    with quiet():
        register_coco_instances(DATASET, {}, str(path), str(folder))
    try:
        yield
    finally:
        DatasetCatalog.remove(DATASET)
        MetadataCatalog.remove(DATASET)


def read_results(pipeline: Pipeline, outputs: Instances, folder: Path) -> list[dict[str, Any]]:
    """Return the rows that a pipeline's evaluator writes for the detections of image 1.

    Args:
        pipeline: its data set is registered.
        outputs: the detections, original pixels, best first.
        folder: where it writes.

    Returns:
        A row a detection, in their order.

    Raises:
        ProbeFailure: it writes no results, or not all.
    """
    evaluator = pipeline.make_evaluator(DATASET, str(folder))
    evaluator.reset()
    evaluator.process([{"image_id": 1}], [{"instances": outputs}])
    evaluator.evaluate()
    found = sorted(folder.rglob("*results*.json"))
    if not found:
        raise ProbeFailure(f"{type(evaluator).__name__} wrote no results file")
    rows: list[dict[str, Any]] = json.loads(found[0].read_text())
    if len(rows) != len(outputs):
        raise ProbeFailure(f"the results file has {len(rows)} rows for {len(outputs)} detections")
    return sorted(rows, key=lambda row: -row["score"])


def _results(pipeline: Pipeline, objects: list[Target], folder: Path) -> list[dict[str, Any]]:
    out = Instances(
        objects[0].size,
        pred_boxes=Boxes(torch.tensor(np.array([o.box for o in objects])).float()),
        scores=torch.linspace(0.9, 0.5, len(objects)),
        pred_classes=torch.zeros(len(objects), dtype=torch.int64),
    )
    heads = getattr(pipeline.model, "roi_heads", None)
    if getattr(heads, "mask_on", False):
        out.pred_masks = torch.from_numpy(np.stack([o.mask for o in objects])).bool()
    if pipeline.num_keypoints:
        centres = torch.tensor([o.centre for o in objects]).float()
        points = torch.cat([centres, torch.ones(len(objects), 1)], dim=1)
        out.pred_keypoints = points[:, None].repeat(1, pipeline.num_keypoints, 1)
    return read_results(pipeline, out, folder / "inference")


def _judge_load(objects: list[Target], records: list[dict[str, Any]]) -> list[Finding]:
    annotations = records[0]["annotations"]
    found: dict[str, Any] = {"boxes": [], "polygons": [], "keypoints": []}
    for a in annotations:
        box = np.array(a["bbox"], dtype=float)
        xywh = int(a["bbox_mode"]) == 1
        found["boxes"].append(np.concatenate([box[:2], box[:2] + box[2:]]) if xywh else box)
        found["polygons"].append(extent_of(np.array(a["segmentation"][0]).reshape(-1, 2)))
        if "keypoints" in a:
            found["keypoints"].append(np.array(a["keypoints"]).reshape(-1, 3)[:, :2].mean(axis=0))
    return [_judge("load", name, objects, got, _EXACT_PX) for name, got in found.items() if got]


def _judge_results(objects: list[Target], rows: list[dict[str, Any]]) -> list[Finding]:
    findings = []
    for name, got in places_of(rows).items():
        place = got.mean(axis=1) if name == "keypoints" else got
        tolerance = _RASTER_PX if name == "masks" else _EXACT_PX
        findings.append(_judge("results", name, objects, place, tolerance))
    return findings


def places_of(rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Return where the rows of a results file say that things are, original pixels.

    Args:
        rows: of a results file.

    Returns:
        "boxes" (N, 4) XYXY, and where rows have them "masks" (N, 4), their extents, and
        "keypoints" (N, K, 2) coordinates.

    Raises:
        ProbeFailure: a mask is empty.
    """
    xywh = np.array([row["bbox"] for row in rows], dtype=float)
    found = {"boxes": np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)}
    if all("segmentation" in row for row in rows):
        extents = [mask_extent(coco_mask.decode(row["segmentation"])) for row in rows]
        if any(e is None for e in extents):
            raise ProbeFailure("masks of some detections are empty")
        found["masks"] = np.array(extents)
    if all("keypoints" in row for row in rows):
        points = np.array([row["keypoints"] for row in rows], dtype=float)
        found["keypoints"] = points.reshape(len(rows), -1, 3)[:, :, :2] + _HALF
    return found


def _judge(stage: str, field: str, objects: list[Target], got: Any, tolerance: float) -> Finding:
    wanted: dict[str, Any] = {
        "boxes": lambda o: o.box,
        "polygons": lambda o: extent_of(o.polygon),
        "masks": lambda o: mask_extent(o.mask),
        "keypoints": lambda o: np.array(o.centre),
    }
    drift = measure_drift([wanted[field](o) for o in objects], got)
    return find_drift(stage, field, drift, tolerance=tolerance)
