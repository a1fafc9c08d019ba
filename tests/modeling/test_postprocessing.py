"""Post-processing with a chosen paste."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from detectron2.modeling.postprocessing import detector_postprocess as d2_postprocess
from detectron2.structures import Boxes, Instances, ROIMasks
from older_torch import skip_unless_sampled_on_cpu
from tiny_models import assert_same_instances

from d2align import geometry
from d2align.modeling import detector_postprocess
from d2align.registry import PASTE_MASK_REGISTRY, build_paste_mask

NETWORK = (80, 100)
SIZES = [(80, 100), (160, 200), (57, 133), (40, 50)]


def raw(n: int = 20, dtype: torch.dtype = torch.float32, roi_masks: bool = False) -> Instances:
    """Raw detections: some reach outside the image, two have no area."""
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(n, 2, generator=generator) * 90 - 10
    sizes = torch.rand(n, 2, generator=generator) * 50
    out = Instances(NETWORK)
    boxes = torch.cat([corners, corners + sizes], dim=1)
    if n:
        boxes[3, 2] = boxes[3, 0]
        boxes[7] = torch.tensor([110.0, 10.0, 120.0, 20.0])
    out.pred_boxes = Boxes(boxes)
    out.scores = torch.rand(n, generator=generator)
    out.pred_classes = torch.zeros(n, dtype=torch.int64)
    noise = torch.rand(n, 1, 28, 28, generator=generator).to(dtype)
    out.pred_masks = ROIMasks(noise[:, 0]) if roi_masks else noise
    out.pred_keypoints = torch.rand(n, 5, 3, generator=generator) * 80
    return out


@pytest.mark.parametrize("threshold", [0.5, 0.3])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("roi_masks", [False, True])
def test_aligned_postprocess_equals_detectron2s_bit_for_bit(
    size: tuple[int, int], roi_masks: bool, threshold: float
) -> None:
    ours = detector_postprocess(raw(roi_masks=roi_masks), *size, mask_threshold=threshold)
    theirs = d2_postprocess(raw(roi_masks=roi_masks), *size, mask_threshold=threshold)
    assert 0 < len(ours) < 20
    assert_same_instances([ours], [theirs])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("roi_masks", [False, True])
def test_detectron1_postprocess_pastes_in_original_pixels(
    size: tuple[int, int], roi_masks: bool
) -> None:
    paste = build_paste_mask("detectron1")
    ours = detector_postprocess(raw(roi_masks=roi_masks), *size, paste)
    detections = raw()
    boxes = detections.pred_boxes
    boxes.scale(size[1] / NETWORK[1], size[0] / NETWORK[0])
    boxes.clip(size)
    kept = boxes.nonempty()
    expected = geometry.paste_masks_detectron1(
        detections.pred_masks[kept, 0], boxes.tensor[kept], size
    )
    assert ours.pred_masks.dtype == torch.bool and torch.equal(ours.pred_masks, expected)
    assert torch.equal(ours.pred_boxes.tensor, boxes.tensor[kept])


def test_postprocess_other_fields_do_not_depend_on_the_paste() -> None:
    aligned = detector_postprocess(raw(), 160, 200)
    detectron1 = detector_postprocess(raw(), 160, 200, build_paste_mask("detectron1"))
    assert not torch.equal(aligned.pred_masks, detectron1.pred_masks)
    aligned.remove("pred_masks")
    detectron1.remove("pred_masks")
    assert_same_instances([aligned], [detectron1])


@pytest.mark.parametrize("name", ["aligned", "detectron1"])
def test_postprocess_takes_empty_detections(name: str) -> None:
    out = detector_postprocess(raw(0), 160, 200, build_paste_mask(name))
    assert out.pred_masks.shape == (0, 160, 200) and out.pred_masks.dtype == torch.bool


@pytest.mark.parametrize("name", ["aligned", "detectron1"])
def test_postprocess_takes_detections_without_masks(name: str) -> None:
    detections = raw()
    detections.remove("pred_masks")
    expected = d2_postprocess(copy.deepcopy(detections), 160, 200)
    found = detector_postprocess(detections, 160, 200, build_paste_mask(name))
    assert_same_instances([found], [expected])


def test_postprocess_takes_half_precision_masks() -> None:
    skip_unless_sampled_on_cpu(torch.bfloat16)
    ours = detector_postprocess(raw(dtype=torch.bfloat16), 160, 200)
    theirs = d2_postprocess(raw(dtype=torch.bfloat16), 160, 200)
    assert_same_instances([ours], [theirs])
    detectron1 = build_paste_mask("detectron1")
    out = detector_postprocess(raw(dtype=torch.bfloat16), 160, 200, detectron1)
    assert out.pred_masks.any()


def test_postprocess_calls_any_paste_with_masks_boxes_size_and_threshold() -> None:
    calls: list[Any] = []

    def paste(*arguments: Any) -> torch.Tensor:
        calls.append(arguments)
        return torch.zeros(len(arguments[0]), *arguments[2], dtype=torch.bool)

    out = detector_postprocess(raw(), 160, 200, paste, 0.25)
    ((masks, boxes, size, threshold),) = calls
    assert masks.shape[1:] == (28, 28) and len(masks) == len(boxes) == len(out)
    assert size == (160, 200) and threshold == 0.25


def test_build_paste_mask_refuses_unknown_names_with_the_choices() -> None:
    with pytest.raises(ValueError, match=r"'old'.*aligned.*detectron1"):
        build_paste_mask("old")
    assert list(PASTE_MASK_REGISTRY) == ["aligned", "detectron1"]
