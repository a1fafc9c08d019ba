"""A trained checkpoint on a data set: is it equivariant to flips, and where do its boxes lie?"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from pycocotools import mask as coco_mask

from d2align.audit.guard import ProbeFailure
from d2align.audit.pipeline.bias import judge_bias, judge_flip
from d2align.audit.pipeline.load import default_mapper, quiet, read_yaml
from d2align.audit.record import Finding
from d2align.evaluation.localization import LocalizationTruth

_SURE = 0.5  # score from which a detection counts as an object in its mirrored image
Row = dict[str, Any]


def audit_checkpoint(
    config_file: str,
    weights: str,
    opts: Sequence[str] = (),
    num_images: int = 200,
    *,
    setup: str | None = None,
) -> list[Finding]:
    """Measure a checkpoint's flip equivariance and its bias against ground truth.

    Args:
        config_file: YAML, of the model; images come from the first of its DATASETS.TEST.
        weights: of the model, path or URL.
        opts: KEY VALUE ...
        num_images: evenly from the data set, at least 2.
        setup: as for ``load_pipeline``.

    Returns:
        Findings of the stages "flip equivariance" and "bias", for boxes and masks.

    Raises:
        ValueError: a bad config, weights that cannot be had, or a data set that is not there.
    """
    from d2align.engine import check_datasets, check_weights

    cfg = read_yaml(config_file, opts, setup)
    if not cfg.DATASETS.TEST:
        raise ValueError("DATASETS.TEST: got none, expected a data set to audit the weights on")
    cfg.DATASETS.TEST = cfg.DATASETS.TEST[:1]
    cfg.MODEL.WEIGHTS = weights
    cfg.MODEL.DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
    check_datasets(cfg, eval_only=True)
    check_weights(cfg, resume=False)
    with quiet():
        model = _load(cfg)
        records = _records(cfg.DATASETS.TEST[0], num_images)
        plain, mirrored = _detect(cfg, model, records)
    return audit_detections(_truth(records), plain, mirrored)


def audit_detections(truth: Row, plain: list[Row], mirrored: list[Row]) -> list[Finding]:
    """Measure detections against those of mirrored images, and against ground truth.

    Args:
        truth: a COCO dict.
        plain: COCO result dicts.
        mirrored: those of the mirrored images, mirrored back.

    Returns:
        A finding for boxes, and one for masks if there are any, of each of the two stages. A
        finding that too few objects were found in common says so.
    """
    kinds = ["bbox"] + ["segm"] * bool(plain and "segmentation" in plain[0])
    sure = [row for row in plain if row["score"] >= _SURE]
    as_truth = {
        "images": truth["images"],
        "annotations": [{**row, "id": k, "iscrowd": 0} for k, row in enumerate(sure, 1)],
    }
    found = []
    for kind in kinds:
        found.append(judge_flip(kind, LocalizationTruth(as_truth, kind).errors(mirrored)))
    for kind in kinds:
        found.append(judge_bias(kind, LocalizationTruth(truth, kind).errors(plain)))
    return found


def mirror_rows(rows: Sequence[Row], width: int) -> list[Row]:
    """Return COCO results with boxes and masks mirrored left to right.

    Convention: XYWH boxes; x becomes width - x.

    Args:
        rows: of one image.
        width: of the image, pixels.
    """
    mirrored = []
    for row in rows:
        x, y, w, h = row["bbox"]
        out = {**row, "bbox": [width - x - w, y, w, h]}
        if "segmentation" in row:
            mask = coco_mask.decode(row["segmentation"])
            out["segmentation"] = coco_mask.encode(np.asfortranarray(mask[:, ::-1]))
        mirrored.append(out)
    return mirrored


def _load(cfg: Any) -> Any:
    from detectron2.modeling import build_model

    from d2align.checkpoint import SafeCheckpointer, trusts_checkpoints

    model = build_model(cfg)
    SafeCheckpointer(model, trust=trusts_checkpoints(cfg)).load(cfg.MODEL.WEIGHTS)
    return model.eval()


def _records(name: str, num_images: int) -> list[Row]:
    from detectron2.data import DatasetCatalog

    records = DatasetCatalog.get(name)
    places = np.unique(np.linspace(0, len(records) - 1, min(num_images, len(records))).astype(int))
    return [{**copy.deepcopy(records[k]), "image_id": int(n)} for n, k in enumerate(places)]


def _detect(cfg: Any, model: Any, records: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    from d2align.evaluation.coco_results import instances_to_results

    mapper = default_mapper(cfg)(cfg, is_train=False)
    plain: list[Row] = []
    mirrored: list[Row] = []
    for record in records:
        inputs = mapper(copy.deepcopy(record))
        flipped = {**inputs, "image": inputs["image"].flip(-1)}
        rows = []
        for one in (inputs, flipped):
            with torch.no_grad():
                output = model([one])[0]
            if "instances" not in output:
                raise ProbeFailure("the model detects no instances")
            instances = output["instances"].to("cpu")
            rows.append(list(instances_to_results(instances, record["image_id"])))
        plain += rows[0]
        mirrored += mirror_rows(rows[1], record["width"])
    return plain, mirrored


def _truth(records: Sequence[Row]) -> Row:
    """Detectron2's records as a COCO dict, with the classes' own numbers."""
    from detectron2.structures import BoxMode

    images = [{"id": r["image_id"], "height": r["height"], "width": r["width"]} for r in records]
    annotations = []
    for record in records:
        for a in record.get("annotations", ()):
            box = BoxMode.convert(list(a["bbox"]), a["bbox_mode"], BoxMode.XYWH_ABS)
            row = {"id": len(annotations) + 1, "image_id": record["image_id"], "bbox": box}
            row |= {"category_id": a["category_id"], "iscrowd": a.get("iscrowd", 0)}
            annotations.append({**row, "segmentation": a.get("segmentation", [])})
    return {"images": images, "annotations": annotations}
