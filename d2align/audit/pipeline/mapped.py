"""What a mapper returned: the places of its image, boxes, polygons, masks and keypoints."""

from __future__ import annotations

import contextlib
import copy
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from d2align.audit.guard import ProbeFailure, as_array
from d2align.audit.pipeline.load import quiet
from d2align.audit.pipeline.targets import LABEL, Target, extent_of, map_extent, mask_extent
from d2align.audit.probes.blobs import centre_of

_CONTRAST = 0.25  # of the disc to what lies around it, as a share of the image's


def call_mapper(mapper: Any, record: dict[str, Any], seed: int) -> dict[str, Any]:
    """Call a mapper with given random choices.

    Args:
        mapper: from a record of the data set to the model's input.
        record: it gets a copy.
        seed: of Python's, NumPy's and PyTorch's random numbers, which are then put back.

    Returns:
        The model's input.

    Raises:
        ProbeFailure: it raises, or returns no image.
    """
    try:
        with seeded(seed), quiet():
            mapped = mapper(copy.deepcopy(record))
    except Exception as e:
        text = " ".join(str(e).split())[:160]
        raise ProbeFailure(f"the mapper raised {type(e).__name__}: {text}") from e
    if not isinstance(mapped, dict) or getattr(mapped.get("image"), "ndim", 0) != 3:
        raise ProbeFailure("the mapper returned no dict with a 3-dimensional 'image'")
    return mapped


def image_of(mapped: dict[str, Any]) -> np.ndarray:
    """Return the image in grey, (h, w) float64, whichever axis its channels are on."""
    image = as_array(mapped["image"])
    assert image is not None
    return image.mean(axis=0 if image.shape[0] <= 4 else 2)


def image_centre(mapped: dict[str, Any]) -> np.ndarray | None:
    """Return the (x, y) centre of the disc in the mapped image, or None if it is not whole.

    What is no lighter than the border, or than most of the image, is not the disc: corners that a
    rotation left empty, and padding.
    """
    image = image_of(mapped)
    edges = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    level = max(float(np.median(image)), float(edges.max()))
    if image.max() - level < _CONTRAST * (image.max() - image.min()):
        return None
    return centre_of(np.maximum(image - level, 0.0))


@dataclass(frozen=True)
class Fields:
    """Where a target's fields belong, pixels of the network's image.

    Attributes:
        box: XYXY.
        outline: XYXY extent of its polygon.
        pixels: XYXY extent of its mask.
        labels: likewise of its labels.
        point: (x, y) of its keypoints.
    """

    box: np.ndarray
    outline: np.ndarray
    pixels: np.ndarray
    point: np.ndarray

    @classmethod
    def of_target(cls, target: Target, matrix: np.ndarray) -> Fields:
        """Return where a target belongs.

        Args:
            target: the object in its image.
            matrix: (2, 3), by which the image was mapped.
        """
        x1, y1, x2, y2 = target.box
        corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])
        drawn = mask_extent(target.mask)
        assert drawn is not None
        return cls(
            box=extent_of(_map(matrix, corners)),
            outline=extent_of(_map(matrix, target.polygon)),
            pixels=map_extent(matrix, drawn),
            point=_map(matrix, np.array([target.centre]))[0],
        )

    def get(self, name: str) -> np.ndarray:
        """Return where the field of that name belongs."""
        return {
            "boxes": self.box,
            "polygons": self.outline,
            "polygons as bitmasks": self.outline,
            "bitmasks": self.pixels,
            "labels": self.pixels,
            "keypoints": self.point,
        }[name]


def fields_of(mapped: dict[str, Any], encoded: bool) -> dict[str, np.ndarray]:
    """Return where a mapper put the one object of an image.

    Args:
        mapped: what it returned.
        encoded: whether the mask was given as RLE.

    Returns:
        By name, XYXY extents, or (x, y) of keypoints; only for what there is.
    """
    found: dict[str, np.ndarray | None] = {}
    instances = mapped.get("instances")
    if instances is not None and len(instances):
        fields = instances.get_fields()
        if "gt_boxes" in fields:
            found["boxes"] = _array(fields["gt_boxes"])[0]
        if "gt_masks" in fields:
            name, extent = _masks(fields["gt_masks"], encoded)
            found[name] = extent
        if "gt_keypoints" in fields:
            found["keypoints"] = _array(fields["gt_keypoints"])[0, :, :2].mean(axis=0)
    labels = as_array(mapped.get("sem_seg"))
    if labels is not None:
        found["labels"] = mask_extent((labels == LABEL).astype(np.float64))
    return {name: value for name, value in found.items() if value is not None}


def _masks(masks: Any, encoded: bool) -> tuple[str, np.ndarray | None]:
    if hasattr(masks, "polygons"):
        points = np.concatenate([np.asarray(p).reshape(-1, 2) for p in masks.polygons[0]])
        return "polygons", extent_of(points.astype(np.float64))
    bits = _array(masks)[0]
    return ("bitmasks" if encoded else "polygons as bitmasks"), mask_extent(bits)


def _array(field: Any) -> np.ndarray:
    found = as_array(getattr(field, "tensor", field))
    if found is None:
        raise ProbeFailure(f"the mapper's instances have {type(field).__name__}, expected tensors")
    return found


def _map(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Use a seed for all random numbers, and put back what was there."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
