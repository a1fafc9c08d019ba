"""The probes of crops, pastes, warps, points and outlines, on functions with known faults."""

from __future__ import annotations

from typing import Any

import contracts
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from d2align import geometry as g
from d2align.audit import audit_function

SOUND = contracts.SOUND
soft_paste = contracts.soft_paste
shifts = st.floats(-1.2, 1.2).filter(lambda s: min(abs(s), abs(s - 0.5)) > 0.03)


def test_roi_align_without_its_half_pixel() -> None:
    def crop(image: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> Any:
        rois = torch.tensor([[0.0, *box.tolist()]], dtype=torch.float64)
        return g.roi_align_unaligned(torch.from_numpy(image)[None, None], rois, size)[0, 0]

    finding = audit_function(crop, "roi_align")
    assert (finding.convention, finding.error_px) == ("unaligned", 0.5)
    # It makes boxes of less than a pixel one pixel wide.
    assert finding.parameters["small_box_error_px"] > 0.5


@settings(max_examples=10)
@given(shifts, st.floats(0.9, 1.1))
def test_shift_and_scale_of_a_crop_are_measured(shift: float, scale: float) -> None:
    def crop(image: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> Any:
        centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * scale
        moved = np.concatenate([centre - half, centre + half]) + shift
        return SOUND["roi_align"](image, moved, size)

    finding = audit_function(crop, "roi_align")
    assert finding.convention == "unknown"
    assert finding.parameters["shift_px"] == pytest.approx(shift, abs=0.01)
    assert finding.parameters["scale"] == pytest.approx(scale, abs=0.002)


@pytest.mark.parametrize(
    ("change", "convention"),
    [
        (np.round, "rounded_box"),
        (np.floor, "floor_box"),
        (lambda box: np.r_[np.floor(box[:2]), np.ceil(box[2:])], "outward_box"),
        (lambda box: box + [0, 0, 1, 1], "inclusive"),
    ],
)
def test_boxes_that_are_rounded_before_the_crop(change: Any, convention: str) -> None:
    finding = audit_function(
        lambda image, box, size: SOUND["roi_align"](image, change(box), size), "roi_align"
    )
    assert (finding.convention, finding.status) == (convention, "deviates")


def test_paste_of_detectron1() -> None:
    def paste(mask: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> Any:
        return g.paste_masks_detectron1(
            torch.from_numpy(mask)[None], torch.from_numpy(box)[None], size
        )[0]

    finding = audit_function(paste, "paste_mask")
    assert (finding.convention, finding.status) == ("detectron1", "deviates")
    assert finding.parameters["answer"] == "thresholded"
    assert finding.parameters["area_error"] > 0.02


def test_soft_paste_is_aligned() -> None:
    finding = audit_function(soft_paste, "paste_mask")
    assert (finding.convention, finding.parameters["answer"]) == ("aligned", "soft")


@settings(max_examples=8)
@given(shifts)
def test_shift_of_a_soft_paste_is_measured(shift: float) -> None:
    finding = audit_function(
        lambda mask, box, size: soft_paste(mask, box + shift, size), "paste_mask"
    )
    assert finding.convention == "unknown"
    assert finding.parameters["shift_px"] == pytest.approx(shift, abs=0.01)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.6])
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_shift_of_a_hard_paste_is_measured_at_any_threshold(threshold: float, shift: float) -> None:
    finding = audit_function(
        lambda mask, box, size: soft_paste(mask, box + shift, size) >= threshold, "paste_mask"
    )
    assert finding.convention == ("unknown" if shift else "aligned")
    assert finding.parameters["shift_px"] == pytest.approx(shift, abs=0.02)


def test_warps_of_other_conventions() -> None:
    sound = SOUND["warp_affine"]
    found = {
        "centre": lambda im, m, size: sound(im, g.affine_from_cv2(m), size),
        "corner_inverse": lambda im, m, size: sound(im, inverse(m), size),
        "centre_inverse": lambda im, m, size: sound(im, g.affine_from_cv2(inverse(m)), size),
    }
    for convention, warp in found.items():
        assert audit_function(warp, "warp_affine").convention == convention
    finding = audit_function(
        lambda im, m, size: sound(im, m + [[0, 0, 0.2], [0, 0, 0]], size), "warp_affine"
    )
    assert finding.convention == "unknown"
    assert finding.residual_px > 0.1


def inverse(matrix: np.ndarray) -> np.ndarray:
    return np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]


@settings(max_examples=8)
@given(st.floats(-2, 2), st.floats(-2, 2))
def test_centres_of_rotation_are_measured(dx: float, dy: float) -> None:
    def turn(image: np.ndarray, degrees: float) -> Any:
        h, w = image.shape
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        linear = np.array([[c, -s], [s, c]])
        centre = np.array([w / 2 + dx, h / 2 + dy])
        matrix = np.column_stack([linear, centre - linear @ centre])
        return SOUND["warp_affine"](image, matrix, image.shape)

    finding = audit_function(turn, "rotate")
    assert finding.parameters["centre_x"] == pytest.approx(48 + dx, abs=0.02)
    assert finding.parameters["centre_y"] == pytest.approx(42 + dy, abs=0.02)
    assert finding.parameters["direction"] == "clockwise"


@pytest.mark.parametrize(
    ("change", "convention"),
    [
        (lambda p: p + 0.5, "centre"),
        (lambda p: p * 51 / 52 + 0.5, "align_corners"),
        (lambda p: p + 0.2, "unknown"),
    ],
)
def test_sampling_of_points(change: Any, convention: str) -> None:
    finding = audit_function(
        lambda image, points: SOUND["sample_points"](image, change(points)), "sample_points"
    )
    assert finding.convention == convention


def test_nearest_sampling_of_points() -> None:
    def floor(image: np.ndarray, points: np.ndarray) -> Any:
        x, y = np.clip(np.floor(points).astype(int), 0, 51).T
        return image[y, x]

    def rounded(image: np.ndarray, points: np.ndarray) -> Any:
        return floor(image, points + 0.5)

    assert audit_function(floor, "sample_points").convention == "corner"
    assert audit_function(rounded, "sample_points").convention == "centre"


def test_crops_and_pads() -> None:
    def inclusive(image: np.ndarray, box: np.ndarray) -> Any:
        x1, y1, x2, y2 = np.round(box).astype(int)
        return image[y1 : y2 + 1, x1 : x2 + 1]

    finding = audit_function(inclusive, "crop")
    assert (finding.convention, finding.error_px) == ("inclusive", 1.0)
    assert "round" in finding.sentence
    assert "floor" in audit_function(SOUND["crop"], "crop").sentence
    swapped = audit_function(lambda im, p: SOUND["pad"](im, (p[2], p[1], p[0], p[3])), "pad")
    assert (swapped.convention, swapped.error_px) == ("unknown", 1.0)


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric", "wrap"])
def test_borders_of_pads(mode: str) -> None:
    def pad(image: np.ndarray, sides: tuple[int, ...]) -> Any:
        return np.pad(image, ((sides[1], sides[3]), (sides[0], sides[2])), mode=mode)

    border = audit_function(pad, "pad").parameters["border"]
    assert border == {"edge": "the edge repeated"}.get(mode, mode)


@pytest.mark.parametrize(("low", "high"), [(0, -1), (0.5, -0.5), (-0.5, -0.5), (0.2, 0.0)])
def test_contours(low: float, high: float) -> None:
    def contours(mask: np.ndarray) -> Any:
        x1, y1, x2, y2 = contracts.SOUND["mask_to_box"](mask) + [low, low, high, high]
        return [np.array([[(x1, y1)], [(x2, y1)], [(x2, y2)], [(x1, y2)]])]

    finding = audit_function(contours, "find_contours")
    names = {(0, -1): "centre_of_border_pixels", (0.5, -0.5): "inset_coordinates"}
    names[-0.5, -0.5] = "centre"
    assert finding.convention == names.get((low, high), "unknown")


def test_boxes_of_masks() -> None:
    sound = SOUND["mask_to_box"]
    finding = audit_function(lambda mask: sound(mask) - [0, 0, 1, 1], "mask_to_box")
    assert (finding.convention, finding.error_px) == ("inclusive", 1.0)
    assert audit_function(lambda mask: sound(mask) + 0.3, "mask_to_box").convention == "unknown"


@pytest.mark.parametrize("fat", [0.0, 0.5, 0.25])
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_fatness_and_shift_of_drawn_polygons(fat: float, shift: float) -> None:
    def draw(polygon: np.ndarray, size: tuple[int, int]) -> Any:
        middle = polygon.mean(axis=0)
        grown = polygon + fat * np.sign(polygon - middle) + shift
        return SOUND["rasterize_polygon"](grown, size)

    finding = audit_function(draw, "rasterize_polygon")
    names = {(0, 0): "pixel_centres", (0.5, 0): "fat", (0, 0.5): "centre", (0.5, 0.5): "fat_centre"}
    assert finding.convention == names.get((fat, shift), "unknown")
    assert finding.parameters["fat"] == pytest.approx(fat, abs=0.01)
    assert finding.parameters["low_px"] == pytest.approx(shift - fat, abs=0.01)
