"""Sets of functions: fields that agree with their image, and fields that drift from it."""

from __future__ import annotations

from typing import Any

import contracts
import numpy as np
import pytest
import resamplers

from d2align.audit import audit_function
from d2align.audit.probes import TransformSet

FLIP = contracts.SOUND["transform"]
SIZE = (136, 155)


def resized(kernel: str = "linear", **options: Any) -> Any:
    fn = resamplers.Resampler(kernel=kernel, **options)
    return lambda image: fn(image, SIZE)


def scaled(points: np.ndarray, size: tuple[int, int], half: float = 0.0) -> np.ndarray:
    factors = np.array([SIZE[1] / size[1], SIZE[0] / size[0]])
    return (points + half) * np.tile(factors, points.shape[1] // 2) - half


RESIZE = {
    "image": resized(),
    "mask": resized("nearest"),
    "boxes": scaled,
    "polygons": scaled,
    "keypoints": scaled,
}


@pytest.mark.parametrize("fields", [FLIP, RESIZE, TransformSet(**RESIZE)])
def test_what_agrees(fields: Any) -> None:
    finding = audit_function(fields, "transform", subject="it")
    assert (finding.convention, finding.status, finding.error_px) == ("agree", "aligned", 0.0)


def test_detectrons_flip_of_polygons() -> None:
    wrong = FLIP | {"polygons": lambda p, size: FLIP["polygons"](p, size) - [1, 0]}
    finding = audit_function(wrong, "transform", subject="it")
    assert finding.convention == "mixed"
    assert finding.parameters["polygons_px"] == pytest.approx(1.0, abs=1e-3)
    assert finding.parameters["polygons_reading"] == "indices"
    assert finding.parameters["keypoints_reading"] == "coordinates"
    assert finding.sentence.startswith("Polygons move as indices")


def test_everything_as_indices() -> None:
    fields = {
        "image": FLIP["image"],
        "boxes": lambda b, size: FLIP["boxes"](b, size) - [1, 0, 1, 0],
        "keypoints": lambda p, size: FLIP["keypoints"](p, size) - [1, 0],
    }
    finding = audit_function(fields, "transform", subject="it")
    assert finding.convention == "indices"
    assert finding.parameters["boxes_reading"] == "inclusive indices"


def test_corners_moved_as_indices_by_a_resize() -> None:
    fields = RESIZE | {"boxes": lambda b, size: scaled(b, size, 0.5)}
    finding = audit_function(fields, "transform", subject="it")
    assert finding.parameters["boxes_reading"] == "indices of corners"
    assert finding.error_px == pytest.approx(0.5 * (155 / 96 - 1), abs=0.01)


def test_a_mask_of_floored_pixels_lies_half_a_pixel_off() -> None:
    fields = RESIZE | {"mask": resized("nearest", grid="asymmetric", rounding="floor")}
    finding = audit_function(fields, "transform", subject="it")
    assert finding.convention == "disagree"
    assert finding.parameters["mask_px"] == pytest.approx(0.5, abs=0.03)
    assert finding.sentence.startswith("The mask lies 0.5")


@pytest.mark.parametrize("shift", [0.1, -0.7, 2.3])
def test_any_drift_is_measured(shift: float) -> None:
    fields = FLIP | {"boxes": lambda b, size: FLIP["boxes"](b, size) + [0, shift, 0, shift]}
    finding = audit_function(fields, "transform", subject="it")
    assert finding.convention == "disagree"
    assert finding.error_px == pytest.approx(abs(shift), abs=0.01)


def test_the_mask_is_the_truth_where_there_is_no_image() -> None:
    fields = {"mask": FLIP["mask"], "boxes": FLIP["boxes"]}
    assert audit_function(fields, "transform", subject="it").convention == "agree"


def test_an_image_that_bends_is_unknown() -> None:
    def bent(image: np.ndarray) -> np.ndarray:
        return np.stack([np.roll(row, round(4 * np.sin(i / 7))) for i, row in enumerate(image)])

    finding = audit_function(FLIP | {"image": bent}, "transform", subject="it")
    assert finding.status == "unknown"
    assert "affine" in finding.sentence


@pytest.mark.parametrize("fields", [{"image": FLIP["image"]}, {"boxes": FLIP["boxes"]}, {"x": 1}])
def test_incomplete_sets_fail(fields: Any) -> None:
    finding = audit_function(fields, "transform", subject="it")
    assert finding.status == "failed"
    assert "expected" in finding.sentence
