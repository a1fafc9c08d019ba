"""COCO results of an arm: replayed from recorded outputs, or from the network run again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from detectron2.data import MetadataCatalog
from detectron2.structures import Instances

from d2align.ablation.raw_outputs.arms import SELF_CHECK, ReplayArm
from d2align.ablation.raw_outputs.boxes import BoxStage, recorded
from d2align.ablation.raw_outputs.store import RawOutputs, RawStore
from d2align.ablation.replay import coco_results
from d2align.atomic import write_text
from d2align.modeling import detector_postprocess_to_rle
from d2align.registry import build_paste_mask


def write_results(
    store: RawStore,
    stage: BoxStage,
    arm: ReplayArm,
    dataset_name: str,
    out: Path,
    report: Callable[[int], None],
) -> None:
    """Write an arm's COCO results, from recorded outputs alone.

    Args:
        store: the recorded outputs.
        stage: settings of the model's last box stage.
        arm: what to turn.
        dataset_name: the data set, for its category ids.
        out: the JSON file, written whole or not at all.
        report: called with the number of images done since the last call.
    """
    to_id = category_ids(dataset_name)
    results: list[dict[str, Any]] = []
    for raw in store:
        results += _results_of_image(raw, arm.detections(raw, stage), arm.paste, to_id)
        report(1)
    write_text(out, json.dumps(results))


def _results_of_image(
    raw: RawOutputs, found: Instances, paste: str, to_id: dict[int, int]
) -> Iterator[dict[str, Any]]:
    chosen = [build_paste_mask(paste)] if paste else []
    found = detector_postprocess_to_rle(found, *raw.size, *chosen)
    yield from coco_results(raw.image_id, found, to_id)


def category_ids(dataset_name: str) -> dict[int, int]:
    """Return the category id of each contiguous class of a data set.

    Args:
        dataset_name: a registered data set; one without ids of its own has the contiguous ones.

    Returns:
        contiguous -> id.
    """
    metadata = MetadataCatalog.get(dataset_name)
    to_contiguous = metadata.get("thing_dataset_id_to_contiguous_id")
    if to_contiguous is None:
        return {i: i for i in range(len(metadata.thing_classes))}
    return {contiguous: original for original, contiguous in to_contiguous.items()}


def check_replay(raw: RawOutputs, stage: BoxStage) -> None:
    """Make sure that a model's detections follow from its recorded outputs.

    Args:
        raw: one image.
        stage: settings of the model's last box stage.

    Raises:
        ValueError: they do not: the model does more to its boxes than Detectron2's heads do.
    """
    replayed, found = SELF_CHECK(raw, stage), recorded(raw)
    same = len(replayed) == len(found) and all(
        bool((a == b).all())
        for a, b in (
            (replayed.pred_boxes.tensor, found.pred_boxes.tensor),
            (replayed.scores, found.scores),
            (replayed.pred_classes, found.pred_classes),
        )
    )
    if not same:
        raise ValueError(
            f"model: its {len(found)} detections of image {raw.image_id} do not follow from its "
            "last box stage by Detectron2's float decode, clip and NMS, expected a model that does "
            "nothing else to its boxes; compare its results files with tools/price_of_a_pixel.py"
        )
