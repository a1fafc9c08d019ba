"""Raw detections of one model, kept, and made into COCO results by any paste, without the model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.data import MetadataCatalog
from detectron2.structures import Boxes, Instances

from d2align.atomic import replacing, write_text
from d2align.engine import Trainer
from d2align.evaluation.coco_results import instances_to_results
from d2align.modeling import detector_postprocess_to_rle
from d2align.registry import build_paste_mask


def detect(cfg: Any, model: Any, num_images: int, out: Path, report: Callable[[int], None]) -> None:
    """Run a model over the test set and keep its raw detections, in network pixels, float32.

    Args:
        cfg: a config; its first test set is used.
        model: the model, on its device.
        num_images: how many images of the set, from its start.
        out: the .npz file to write, whole or not at all.
        report: called with the number of images done since the last call.
    """
    model.eval()
    columns: dict[str, list[Any]] = {k: [] for k in ("boxes", "scores", "classes", "masks")}
    images = []
    with torch.no_grad():
        for inputs in _first(Trainer.build_test_loader(cfg, cfg.DATASETS.TEST[0]), num_images):
            found = model.inference(inputs, do_postprocess=False)[0].to("cpu")
            columns["boxes"].append(found.pred_boxes.tensor.numpy())
            columns["scores"].append(found.scores.numpy())
            columns["classes"].append(found.pred_classes.numpy())
            columns["masks"].append(found.pred_masks[:, 0].numpy())
            source = inputs[0]
            size = (source["height"], source["width"], *found.image_size)
            images.append((source["image_id"], len(found), *size))
            report(1)
    arrays = {name: np.concatenate(parts) for name, parts in columns.items()}
    with replacing(out) as partial, open(partial, "wb") as f:
        np.savez_compressed(f, images=np.array(images, dtype=np.int64), **arrays)


def replay(raw: Path, dataset_name: str, paste_mask: str, out: Path) -> None:
    """Make COCO results, boxes and masks, from raw detections by a paste.

    Args:
        raw: what ``detect`` wrote.
        dataset_name: the data set, for its category ids.
        paste_mask: a value of the factor paste_mask.
        out: the JSON file to write, whole or not at all.
    """
    to_id = {
        contiguous: original
        for original, contiguous in MetadataCatalog.get(
            dataset_name
        ).thing_dataset_id_to_contiguous_id.items()
    }
    paste = build_paste_mask(paste_mask)
    results: list[dict[str, Any]] = []
    for image_id, size, instances in _read(raw):
        found = detector_postprocess_to_rle(instances, *size, paste)
        results.extend(coco_results(image_id, found, to_id))
    write_text(out, json.dumps(results))


def _read(raw: Path) -> Iterator[tuple[int, tuple[int, int], Instances]]:
    with np.load(raw) as file:
        arrays = {name: file[name] for name in file.files}
    start = 0
    for image_id, count, height, width, net_height, net_width in arrays["images"].tolist():
        part = slice(start, start + count)
        start += count
        instances = Instances((net_height, net_width))
        # A copy, since postprocessing scales boxes in place.
        instances.pred_boxes = Boxes(torch.from_numpy(arrays["boxes"][part].copy()))
        instances.scores = torch.from_numpy(arrays["scores"][part])
        instances.pred_classes = torch.from_numpy(arrays["classes"][part])
        instances.pred_masks = torch.from_numpy(arrays["masks"][part])[:, None]
        yield image_id, (height, width), instances


def coco_results(image_id: int, found: Instances, to_id: dict[int, int]) -> list[dict[str, Any]]:
    """Return the detections of one image in COCO's results format.

    Args:
        image_id: of the data set.
        found: Instances in original pixels, on the CPU; masks, if any, are dense as pred_masks
            or encoded as pred_masks_rle.
        to_id: category id of each contiguous class.

    Returns:
        One dict a detection.
    """
    results = instances_to_results(found, image_id)
    ids = np.array([to_id[label] for label in results.categories.tolist()], dtype=np.int64)
    return list(dataclasses.replace(results, categories=ids))


def _first(loader: Any, count: int) -> Iterator[Any]:
    for i, inputs in enumerate(loader):
        if i == count:
            return
        yield inputs
