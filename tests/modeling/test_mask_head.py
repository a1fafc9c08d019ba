"""Mask targets, aligned and unaligned."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling.roi_heads.mask_head import MaskRCNNConvUpsampleHead
from detectron2.structures import BitMasks, Boxes, Instances, PolygonMasks
from detectron2.utils.events import EventStorage
from torch import Tensor

from d2align.modeling import AlignedBitMasks, UnalignedBitMasks
from d2align.modeling.mask_head import CropByName
from d2align.registry import MASK_TARGET_REGISTRY, build_mask_target


def edge_at(x: int, n: int = 1) -> Tensor:
    """Masks of 64 x 64 whose left x columns are on."""
    masks = torch.zeros(n, 64, 64, dtype=torch.bool)
    masks[:, :, :x] = True
    return masks


def random_masks(n: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(n, 2, generator=generator) * 40 - 4
    sizes = 2 + torch.rand(n, 2, generator=generator) * 40
    noise = torch.rand(n, 1, 8, 8, generator=generator)
    smooth = torch.nn.functional.interpolate(noise, size=(64, 64), mode="bilinear")[:, 0]
    return smooth > 0.5, torch.cat([corners, corners + sizes], dim=1)


@pytest.mark.parametrize("mask_size", [1, 14, 28])
def test_aligned_bitmasks_equal_detectron2s(mask_size: int) -> None:
    masks, boxes = random_masks(30)
    expected = BitMasks(masks).crop_and_resize(boxes, mask_size)
    found = AlignedBitMasks(masks).crop_and_resize(boxes, mask_size)
    assert found.dtype == expected.dtype and torch.equal(found, expected)


def cells_on(cls: type, box: tuple[float, ...]) -> float:
    """Where the edge lies within the box, in pixels from its left, as cells of 1/32 pixel."""
    crop = cls(edge_at(32)).crop_and_resize(torch.tensor([box]), 512)
    return float(crop[0, 256].sum()) / 512 * (box[2] - box[0])


@pytest.mark.parametrize("left", [20.0, 20.25, 24.5])
def test_unaligned_targets_are_shifted_by_half_a_pixel(left: float) -> None:
    # Aligned, the edge at 32 stays at 32. Unaligned, what is read at x is the pixel centred on
    # x + 0.5, so that the edge appears half a pixel further left.
    box = (left, 10.0, left + 16, 26.0)
    aligned, unaligned = cells_on(AlignedBitMasks, box), cells_on(UnalignedBitMasks, box)
    assert aligned == pytest.approx(32 - left, abs=1 / 32)
    assert unaligned - aligned == pytest.approx(-0.5, abs=1 / 32)


def test_unaligned_bitmasks_shift_in_both_axes_by_the_same_sign() -> None:
    masks = edge_at(32)
    box = torch.tensor([[20.0, 20.0, 36.0, 36.0]])
    across = UnalignedBitMasks(masks).crop_and_resize(box, 64)
    down = UnalignedBitMasks(masks.transpose(1, 2)).crop_and_resize(box, 64)
    assert torch.equal(across, down.transpose(1, 2))


def test_masks_take_empty_input() -> None:
    assert list(MASK_TARGET_REGISTRY) == ["aligned", "unaligned", "detectron1"]
    drawn = build_mask_target("detectron1")([])
    assert drawn.crop_and_resize(torch.zeros(0, 4), 28).shape == (0, 28, 28)
    for name in ("aligned", "unaligned"):
        masks = build_mask_target(name)(torch.zeros(0, 64, 64, dtype=torch.bool))
        assert masks.crop_and_resize(torch.zeros(0, 4), 28).shape == (0, 28, 28)


def test_build_mask_target_refuses_unknown_names_with_the_choices() -> None:
    with pytest.raises(ValueError, match=r"'bad'.*aligned.*unaligned"):
        build_mask_target("bad")


class UnalignedHead(CropByName, MaskRCNNConvUpsampleHead):
    """A head whose targets are cropped unaligned."""

    bitmasks_class = UnalignedBitMasks


def head(cls: type = UnalignedHead) -> Any:
    torch.manual_seed(0)
    return cls(ShapeSpec(channels=4, width=14, height=14), num_classes=1, conv_dims=[4, 4])


def instances(masks: Any) -> Instances:
    out = Instances((64, 64))
    out.proposal_boxes = Boxes(torch.tensor([[20.0, 20.0, 36.0, 36.0], [24.0, 3.0, 40.0, 50.0]]))
    out.gt_classes = torch.zeros(2, dtype=torch.int64)
    out.gt_masks = masks
    return out


def loss(model: Any, target: Instances) -> Tensor:
    with EventStorage():
        return model.train()(torch.ones(2, 4, 14, 14), [target])["loss_mask"]


def test_crop_unaligned_trains_on_unaligned_targets_and_leaves_instances_alone() -> None:
    target = instances(BitMasks(edge_at(32, 2)))
    found = loss(head(), target)
    assert type(target.gt_masks) is BitMasks
    expected = loss(head(MaskRCNNConvUpsampleHead), instances(UnalignedBitMasks(edge_at(32, 2))))
    plain = loss(head(MaskRCNNConvUpsampleHead), target)
    assert torch.equal(found, expected) and not torch.equal(found, plain)


def test_crop_unaligned_refuses_polygons() -> None:
    polygons = PolygonMasks([[torch.tensor([20.0, 20, 30, 20, 30, 30]).double().numpy()]] * 2)
    with pytest.raises(ValueError, match=r"gt_masks: got PolygonMasks.*MASK_FORMAT bitmask"):
        loss(head(), instances(polygons))


def test_crop_unaligned_does_nothing_in_inference() -> None:
    found = Instances((64, 64))
    found.pred_boxes = Boxes(torch.tensor([[20.0, 20.0, 36.0, 36.0]]))
    found.pred_classes = torch.zeros(1, dtype=torch.int64)
    other = Instances((64, 64), **found.get_fields())
    x = torch.ones(1, 4, 14, 14)
    with torch.no_grad():
        ours = head().eval()(x, [found])
        plain = head(MaskRCNNConvUpsampleHead).eval()(x, [other])
    assert torch.equal(ours[0].pred_masks, plain[0].pred_masks)
