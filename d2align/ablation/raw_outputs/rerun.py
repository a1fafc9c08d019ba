"""Run the network again, for what changes proposals or which boxes get masks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from detectron2.data import build_detection_test_loader, get_detection_dataset_dicts

from d2align.ablation.raw_outputs.results import category_ids
from d2align.ablation.replay import coco_results
from d2align.atomic import write_text
from d2align.data import PixelExactDatasetMapper


def run_again(
    cfg: Any, model: Any, num_images: int | None, out: Path, report: Callable[[int], None]
) -> None:
    """Write the COCO results of a model.

    Args:
        cfg: a config; its first test set is used.
        model: the model, turned as wanted, its weights loaded.
        num_images: how many images of the set, from its start; None is all.
        out: the JSON file, written whole or not at all.
        report: called with the number of images done since the last call.
    """
    name = cfg.DATASETS.TEST[0]
    dicts = get_detection_dataset_dicts(name, filter_empty=False)[:num_images]
    mapper = PixelExactDatasetMapper(cfg, is_train=False)
    to_id = category_ids(name)
    results: list[dict[str, Any]] = []
    model.eval()
    with torch.no_grad():
        for inputs in build_detection_test_loader(dicts, mapper=mapper, num_workers=0):
            found = model(inputs)[0]["instances"].to("cpu")
            results += coco_results(inputs[0]["image_id"], found, to_id)
            report(1)
    write_text(out, json.dumps(results))
