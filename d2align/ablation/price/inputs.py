"""What the prices are measured on: ground truth, detections and RoI masks, checked on loading."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from d2align.ablation.price.checks import check_dataset, check_results
from d2align.ablation.price.roi_masks import RoIMasks, load_roi_masks
from d2align.evaluation.localization import LocalizationTruth
from d2align.evaluation.matches import AREA_RANGES

Dataset = dict[str, Any]
DEFAULT_DATASET = "shapes_128_val"


@dataclass(frozen=True, eq=False)
class Inputs:
    """Everything the arms read.

    Attributes:
        dataset: the COCO json.
        results: COCO results with boxes, and with masks if the first has one; None if not given.
        roi_masks: RoI masks; None if not given.
        sources: name and SHA-256 of each file, by role.
    """

    dataset: Dataset
    results: list[dict[str, Any]] | None
    roi_masks: RoIMasks | None
    sources: Mapping[str, Mapping[str, str]]

    @cached_property
    def image_sizes(self) -> dict[int, tuple[int, int]]:
        """(h, w) by image id."""
        images = self.dataset["images"]
        return {image["id"]: (image["height"], image["width"]) for image in images}

    @cached_property
    def objects(self) -> list[dict[str, Any]]:
        """The annotations that are no crowds and whose boxes are not empty."""
        return [
            one
            for one in self.dataset["annotations"]
            if not one.get("iscrowd", 0) and min(one["bbox"][2:]) > 0
        ]

    @cached_property
    def objects_by_image(self) -> dict[int, list[dict[str, Any]]]:
        """The objects of each image that has any."""
        grouped: dict[int, list[dict[str, Any]]] = {}
        for one in self.objects:
            grouped.setdefault(one["image_id"], []).append(one)
        return grouped

    @cached_property
    def mask_truth(self) -> LocalizationTruth:
        """The objects' masks, from which signed errors are measured."""
        return LocalizationTruth(self.dataset, "segm")

    def count_objects(self) -> dict[str, int]:
        """Number of objects by size."""
        areas = np.array([one["area"] for one in self.objects])
        return {
            name: int(((areas >= low) & (areas <= high)).sum())
            for name, (low, high) in AREA_RANGES.items()
        }

    @property
    def has_masks(self) -> bool:
        """Whether every annotation that is no crowd has a segmentation."""
        singles = (one for one in self.dataset["annotations"] if not one.get("iscrowd", 0))
        return all(one.get("segmentation") for one in singles)

    @property
    def results_have_masks(self) -> bool:
        """Whether the results have masks besides boxes."""
        return bool(self.results) and "segmentation" in self.results[0]


def load_inputs(
    annotations: Path | None, boxes: Path | None = None, roi_masks: Path | None = None
) -> Inputs:
    """Read and check the files.

    Args:
        annotations: a COCO json; the built-in data's ground truth if None.
        boxes: COCO results, a json list; optional.
        roi_masks: an npz of ``rows`` and ``masks``; optional.

    Returns:
        The inputs.

    Raises:
        ValueError: a file is missing or is not what it should be, or detections are given
            without their annotations.
    """
    if annotations is None and (boxes or roi_masks):
        raise ValueError(
            "--annotations: got none, expected the COCO json that the detections belong to"
        )
    path = annotations or _built_in()
    dataset = _read_json("--annotations", path)
    check_dataset(path.name, dataset)
    sources = {"annotations": _source(path)}
    results = masks = None
    if boxes is not None:
        results = _read_json("--boxes", boxes)
        check_results(boxes.name, results, dataset)
        sources["boxes"] = _source(boxes)
    if roi_masks is not None:
        masks = load_roi_masks(_existing("--roi-masks", roi_masks), dataset)
        sources["roi_masks"] = _source(roi_masks)
    return Inputs({"annotations": [], **dataset}, results, masks, sources)


def _built_in() -> Path:
    from d2align.data.shapes.generate import generate_shapes

    return Path(generate_shapes(DEFAULT_DATASET).json_file)


def _existing(option: str, path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"{option}: got {str(path)!r}, expected an existing file")
    return path


def _read_json(option: str, path: Path) -> Any:
    try:
        return json.loads(_existing(option, path).read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        message = f"{option}: got {path.name!r}, which is no JSON ({error})"
        raise ValueError(f"{message}; expected a COCO json") from None


def _source(path: Path) -> dict[str, str]:
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
