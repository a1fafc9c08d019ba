"""Mask targets drawn from polygons in original pixels, as Detectron drew them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling.roi_heads.mask_head import MaskRCNNConvUpsampleHead
from detectron2.structures import BitMasks, Boxes, Instances, PolygonMasks
from detectron2.utils.events import EventStorage
from tiny_models import (
    assert_same_losses,
    losses,
    polygon_batch,
    tiny_batch,
    tiny_config,
    tiny_model,
)
from torch import Tensor

from d2align.geometry.mask_target import rasterize_polygons_within_box_detectron1
from d2align.modeling import Detectron1PolygonMasks, apply
from d2align.modeling.image_scale import NetworkSize
from d2align.modeling.mask_head import CropPolygonsInOriginalPixels

SCALE = (2.5, 2.0)  # x, y
SIZE = NetworkSize.from_original((80, 150), (40, 60))
# In original pixels: one within its box, one cut by it, and boxes below a pixel.
POLYGONS = [
    [np.array([10.5, 10, 30, 12.25, 20, 30])],
    [np.array([5.0, 5, 25, 5, 25, 25, 5, 25]), np.array([30.0, 5, 40, 5, 40, 15])],
    [np.array([20.0, 20, 20.75, 20, 20.75, 22, 20, 22])],
    [np.array([20.0, 20, 22, 20, 22, 22, 20, 22])],
]
BOXES = torch.tensor(
    [[10.0, 9, 31, 33], [12, 8, 37, 30], [20.25, 20, 20.5, 21], [21, 21, 20.5, 21]]
)


class DrawingHead(CropPolygonsInOriginalPixels, MaskRCNNConvUpsampleHead):
    """A head whose targets are drawn in original pixels."""


def head(cls: type = DrawingHead) -> Any:
    torch.manual_seed(0)
    return cls(ShapeSpec(channels=4, width=14, height=14), num_classes=1, conv_dims=[4, 4])


def proposals(masks: Any = None) -> Instances:
    """The boxes and polygons in network pixels."""
    scaled = [[(p.reshape(-1, 2) * SCALE).reshape(-1) for p in ps] for ps in POLYGONS]
    out = Instances(SIZE, proposal_boxes=Boxes(BOXES * torch.tensor(SCALE).repeat(2)))
    out.gt_classes = torch.zeros(4, dtype=torch.int64)
    out.gt_masks = PolygonMasks(scaled) if masks is None else masks
    return out


def target_of(module: Any, given: Instances) -> Tensor:
    """The targets that a head is trained on, seen through the gradient of its logits."""
    x = torch.ones(len(given), 4, 14, 14)
    logits = torch.zeros(len(given), 1, 28, 28, requires_grad=True)
    module.layers = lambda features: logits
    with EventStorage():
        module.train()(x, [given])["loss_mask"].backward()
    return logits.grad[:, 0] < 0


def test_targets_are_drawn_in_original_pixels_and_instances_left_alone() -> None:
    given = proposals()
    found = target_of(head(), given)
    expected = [
        rasterize_polygons_within_box_detectron1(polygons, box, 28)
        for polygons, box in zip(POLYGONS, BOXES.tolist(), strict=True)
    ]
    assert torch.equal(found, torch.stack(expected))
    assert type(given.gt_masks) is PolygonMasks and torch.equal(
        given.proposal_boxes.tensor, proposals().proposal_boxes.tensor
    )


def test_only_boxes_below_an_original_pixel_differ_from_detectron2s() -> None:
    # Detectron2 draws in network pixels, in boxes of at least a tenth of one.
    found = target_of(head(), proposals())
    plain = target_of(head(MaskRCNNConvUpsampleHead), proposals())
    differing = (found != plain).flatten(1).sum(dim=1)
    assert (differing[:2] <= 2).all() and (differing[2:] > 100).any()


def test_the_last_pixel_of_an_inclusive_box_is_left_out() -> None:
    # Pixels 2 to 5 of a row: as continuous numbers the box spans [2, 5], and what lies in
    # [5, 6], the last pixel, is not in the target.
    last = [[np.array([5.0, 0, 6, 0, 6, 4, 5, 4])]]
    box = torch.tensor([[2.0, 0, 5, 3]])
    assert not Detectron1PolygonMasks(last).crop_and_resize(box, 28).any()
    first = [[np.array([2.0, 0, 3, 0, 3, 4, 2, 4])]]
    drawn = Detectron1PolygonMasks(first).crop_and_resize(box, 30)
    assert drawn[0].any(dim=0).nonzero().flatten().tolist() == list(range(10))  # a third of 30


def test_bitmasks_and_plain_sizes_are_refused_and_no_objects_taken() -> None:
    with pytest.raises(ValueError, match=r"gt_masks: got BitMasks.*MASK_FORMAT polygon"):
        target_of(head(), proposals(BitMasks(torch.zeros(4, 80, 150, dtype=torch.bool))))
    plain = Instances((80, 150), **proposals().get_fields())
    with pytest.raises(ValueError, match=r"image_size.*whole model"):
        target_of(head(), plain)
    none = Instances(SIZE, proposal_boxes=Boxes(torch.zeros(0, 4)))
    none.gt_classes = torch.zeros(0, dtype=torch.int64)
    with EventStorage():
        loss = head().train()(torch.ones(0, 4, 14, 14), [none])
    assert loss["loss_mask"] == 0


def test_apply_draws_polygons_of_whole_models_and_aligned_restores_them() -> None:
    opts = ("INPUT.MASK_FORMAT", "polygon", "MODEL.ROI_HEADS.IOU_THRESHOLDS", "[0.1]")
    model = tiny_model(tiny_config(*opts, "MODEL.META_ARCHITECTURE", "GeneralizedRCNN"))
    state = {k: v.clone() for k, v in model.state_dict().items()}

    def measure() -> dict[str, Tensor]:
        model.load_state_dict(state)
        return losses(model, polygon_batch(0.1))  # so that boxes are below an original pixel

    before = measure()
    apply(model, mask_target="detectron1")
    turned = measure()
    assert [k for k in before if not torch.equal(before[k], turned[k])] == ["loss_mask"]
    built = tiny_model(tiny_config(*opts, "D2ALIGN.MASK_TARGET", "detectron1"))
    built.load_state_dict(state)
    assert_same_losses(losses(built, polygon_batch(0.1)), turned)
    with pytest.raises(ValueError, match="MASK_FORMAT polygon"):
        losses(model, tiny_batch())
    apply(model, mask_target="aligned")
    assert_same_losses(measure(), before)
    with pytest.raises(ValueError, match="whole GeneralizedRCNN"):
        apply(model.roi_heads, mask_target="detectron1")
