"""The audit of projects with planted faults: each is found, with its size, and none is invented."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import planted_projects as planted
import pytest
from planted_projects import POLYGON, tiny

from d2align.audit.pipeline.command import DETECTRON2S
from d2align.audit.pipeline.load import Pipeline
from d2align.audit.pipeline.stages import STAGES, audit_pipeline
from d2align.audit.record import Finding
from d2align.data import UnbiasedMasks

# The paste probe takes two seconds, the rest one.
QUICK = [name for name in STAGES if name != "paste"]
MASKS, KEYPOINTS, PANOPTIC = "aligned", "keypoint_aligned", "panoptic"


def plain(base: str) -> Pipeline:
    """A small project of Detectron2's own parts."""
    return tiny(MASKS, *planted.PANOPTIC) if base == PANOPTIC else tiny(base)


def faults(project: Pipeline, stages: Any = None) -> dict[str, Finding]:
    """What is neither aligned nor known of Detectron2, by subject."""
    findings = audit_pipeline(project, stages)
    assert len(findings) > 5
    return {
        f.subject: f
        for f in findings
        if f.status != "aligned" and (f.kind, f.convention) not in DETECTRON2S
    }


@pytest.mark.parametrize("opts", [(), POLYGON], ids=["bitmask", "polygon"])
def test_plain_detectron2_has_no_faults(opts: tuple[str, ...]) -> None:
    assert faults(tiny(MASKS, *opts), None if opts else QUICK) == {}


def test_plain_keypoint_project_has_no_faults() -> None:
    assert faults(tiny(KEYPOINTS)) == {}


def test_plain_panoptic_project_has_no_faults() -> None:
    found = audit_pipeline(plain(PANOPTIC))
    subjects = {f.subject for f in found}
    assert {"matching: proposals", "paste: masks of detections", "whole: masks"} <= subjects
    assert {
        "output: labels",
        "box coding: boxes of detections",
        "mask target: polygons",
    } <= subjects
    bad = {f.subject for f in found if f.status != "aligned"}
    assert bad == {"anchors: anchor_generator", "labels by dtype: float32 masks"}


def test_the_errors_of_two_stages_that_cancel_are_none_on_the_whole() -> None:
    project = planted.a_pixel_added_by_the_mapper_and_taken_off_in_results(plain(MASKS))
    found = faults(project, QUICK)
    assert found["results: boxes"].error_px == pytest.approx(1.0, abs=0.01)
    assert "mapper, resize: boxes" in found and "whole: boxes" not in found


FLIPS = ("flip", "resize and flip")
# Fault, the project it is planted in, and for each subject its convention and pixels.
CASES: list[tuple[Callable[[Pipeline], Pipeline], str, dict[str, tuple[str, float]]]] = [
    (
        planted.boxes_flipped_by_index,
        MASKS,
        {f"mapper, {case}: boxes": ("index_flip", 1.0) for case in FLIPS},
    ),
    (
        planted.boxes_one_too_wide,
        MASKS,
        {
            f"mapper, {case}: boxes": ("inclusive", 1.0)
            for case in ("read", "resize", "flip", "resize and flip")
        }
        | {"whole: boxes": ("sum_of_stages", 1.786)},  # a pixel of the network's 112
    ),
    (
        planted.keypoints_half_a_pixel_off,
        KEYPOINTS,
        {
            f"mapper, {case}: keypoints": ("half_pixel_shift", 0.5)
            for case in ("read", "resize", "flip", "resize and flip")
        }
        | {"whole: keypoints": ("sum_of_stages", 0.893)},
    ),
    (
        planted.unaligned_box_pooler,
        MASKS,
        {"pooling: roi_heads.box_pooler": ("unaligned", 2.0)},
    ),
    (
        planted.boxes_scaled_by_last_pixels,
        MASKS,
        {
            "output: boxes": ("scaled", 0.357),
            "box coding: boxes of detections": ("scaled", 0.357),
            "whole: boxes": ("sum_of_stages", 0.73),
        },
    ),
    (
        planted.decode_one_too_far,
        MASKS,
        {
            "box coding: roi_heads.box_predictor": ("unknown", 1.0),
            "box coding: boxes of detections": ("inclusive", 0.625),
            # Masks are learnt in boxes as wide as those into which they are pasted: none is off.
            "whole: boxes": ("sum_of_stages", 1.786),
        },
    ),
    (
        planted.results_with_inclusive_widths,
        MASKS,
        {"results: boxes": ("inclusive", 1.0), "whole: boxes": ("sum_of_stages", 1.0)},
    ),
    (
        planted.results_without_the_half_of_keypoints,
        KEYPOINTS,
        {
            "results: keypoints": ("half_pixel_shift", 0.5),
            "whole: keypoints": ("sum_of_stages", 0.5),
        },
    ),
    (
        planted.matched_by_inclusive_overlaps,
        MASKS,
        {"matching: proposals": ("inclusive", 1.0)},
    ),
    (
        planted.labels_of_panoptic_half_a_pixel_off,
        PANOPTIC,
        {"output: labels": ("shifted", 1.0)},
    ),
]


@pytest.mark.parametrize(
    ("plant", "base", "expected"), CASES, ids=lambda v: getattr(v, "__name__", "")
)
def test_planted_fault_is_found_where_it_is(
    plant: Callable[[Pipeline], Pipeline], base: str, expected: dict[str, tuple[str, float]]
) -> None:
    found = faults(plant(plain(base)), QUICK)
    assert {s: f.convention for s, f in found.items()} == {s: c for s, (c, _) in expected.items()}
    for subject, (_, pixels) in expected.items():
        assert found[subject].error_px == pytest.approx(pixels, rel=0.15)
        assert "Fix" in found[subject].sentence


def test_an_image_resized_with_its_corners_kept() -> None:
    found = faults(planted.image_resized_with_its_corners_kept(tiny(MASKS, *POLYGON)), QUICK)
    image = found["mapper, resize: image"]
    assert image.convention == "align_corners" and image.parameters["x1_px"] < -0.2
    # Against the image as it is, annotations are scaled about its middle.
    assert {s for s in found if "image" in s} == {
        "mapper, resize: image",
        "mapper, resize and flip: image",
    }
    assert all(s.startswith("mapper, resize") for s in found)
    assert all(f.error_px < image.error_px for s, f in found.items() if "image" not in s)


def test_masks_resized_by_another_rule() -> None:
    found = faults(planted.masks_resized_by_floor(tiny(MASKS)), QUICK)
    assert found["mapper, resize: bitmasks"].error_px == pytest.approx(0.5, abs=0.15)
    assert found["mapper, resize: bitmasks"].parameters["x_px"] == pytest.approx(0.5, abs=0.1)
    # After the flip it is to the left.
    assert found["mapper, resize and flip: bitmasks"].parameters["x_px"] < -0.4
    assert all("bitmasks" in s or "labels by dtype" in s for s in found)
    assert not any("polygons" in s for s in found)


def test_masks_cropped_in_rounded_boxes() -> None:
    found = faults(planted.masks_cropped_in_rounded_boxes(tiny(MASKS)), QUICK)
    assert set(found) == {"mask target: polygons", "mask target: bitmasks", "whole: masks"}
    # The box moves up and left by half a pixel on average, so in it the mask moves right and down.
    assert found["mask target: bitmasks"].parameters["x_px"] == pytest.approx(0.5, abs=0.2)


def test_masks_pasted_into_rounded_boxes() -> None:
    found = faults(planted.masks_pasted_into_rounded_boxes(tiny(MASKS)), ["paste", *QUICK])
    assert found["paste: masks of detections"].convention == "rounded_box"
    assert found["paste: masks of detections"].error_px == pytest.approx(0.5, abs=0.05)
    assert set(found) <= {"paste: masks of detections", "output: masks"}


def test_errors_that_cancel_are_both_seen() -> None:
    project = planted.keypoints_half_a_pixel_off(tiny(KEYPOINTS))
    found = faults(planted.results_without_the_half_of_keypoints(project), QUICK)
    assert "mapper, read: keypoints" in found and "results: keypoints" in found


DETECTRON1 = {
    "mapper, flip: polygons": ("index_flip", 1.0),
    "mapper, resize and flip: polygons": ("index_flip", 1.41),
    "anchors: anchor_generator": ("index_centre", 0.5),
    "matching: proposal_generator": ("inclusive", 1.0),
    "box coding: proposal_generator": ("detectron1", 1.0),
    "box coding: roi_heads.box_predictor": ("detectron1", 1.0),
    "pooling: roi_heads.box_pooler": ("unaligned", 2.0),
    "pooling: roi_heads.mask_pooler": ("unaligned", 2.0),
    "mask target: polygons": ("last_pixel_left_out", 1.6),
    "paste: masks of detections": ("detectron1", 0.98),
    "output: masks": ("shifted", 0.58),
    "whole: masks": ("sum_of_stages", 0.58),
}
PY_FASTER_RCNN = {
    **DETECTRON1,
    "box coding: proposal_generator": ("py_faster_rcnn", 1.0),
    "box coding: roi_heads.box_predictor": ("py_faster_rcnn", 1.0),
    "box coding: boxes of detections": ("py_faster_rcnn", 1.0),
    "whole: boxes": ("sum_of_stages", 1.0),
    "whole: masks": ("sum_of_stages", 0.58),
}
PRESETS = {"aligned": {}, "detectron1": DETECTRON1, "py_faster_rcnn": PY_FASTER_RCNN}


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_show_their_history_stage_by_stage(preset: str) -> None:
    pytest.importorskip("cv2")  # with which Detectron's resize is done
    expected = PRESETS[preset]
    found = faults(tiny(preset, plain=False))
    assert {s: f.convention for s, f in found.items()} == {s: c for s, (c, _) in expected.items()}
    for subject, (_, pixels) in expected.items():
        assert found[subject].error_px == pytest.approx(pixels, rel=0.15), subject


def test_a_preset_in_a_panoptic_model_is_what_it_is_in_others() -> None:
    pytest.importorskip("cv2")
    opts = (*planted.PANOPTIC, "MODEL.META_ARCHITECTURE", "PixelExactPanopticFPN")
    found = faults(tiny("detectron1", *opts, plain=False))
    assert {s: f.convention for s, f in found.items()} == {s: c for s, (c, _) in DETECTRON1.items()}


def test_detectron2s_random_extent_erodes_masks_and_ours_does_not() -> None:
    extent = planted.T.RandomExtent((0.9, 1.1), (0.05, 0.05))
    found = faults(planted.augmented(tiny(MASKS), extent, planted.RESIZE), ["mapper", "labels"])
    assert found["labels by dtype: uint8 masks"].convention == "eroded"
    ours = [UnbiasedMasks(a) for a in (extent, planted.RESIZE)]
    assert faults(planted.augmented(tiny(MASKS), *ours), ["mapper", "labels"]) == {}


def test_rotations_and_crops_of_detectron2_have_no_faults() -> None:
    rotation = planted.T.RandomRotation([10, 30], expand=False)
    found = faults(planted.augmented(tiny(MASKS), planted.RESIZE, rotation), ["mapper", "labels"])
    assert found == {}
    crop = planted.T.RandomCrop("relative_range", (0.85, 0.85))
    found = faults(planted.augmented(tiny(MASKS), crop, planted.RESIZE), ["mapper", "labels"])
    assert found == {}
