"""Keypoints read off heatmaps in original pixels, as Detectron read them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import references_detectron1 as reference
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling.roi_heads.keypoint_head import KRCNNConvDeconvUpsampleHead
from detectron2.structures import Boxes, Instances, Keypoints
from detectron2.utils.events import EventStorage
from torch import Tensor

from d2align.modeling import InclusiveBoxes
from d2align.modeling.image_scale import NetworkSize
from d2align.modeling.inclusive.keypoint_head import InclusiveKeypointHead
from d2align.modeling.mixins import set_mixin

BOXES = torch.tensor([[3.0, 4, 33.4, 80.2], [10.25, 20, 10.25, 20.5], [0, 0, 99, 99]])


def head(inclusive: bool = True) -> Any:
    torch.manual_seed(0)
    module = KRCNNConvDeconvUpsampleHead(
        ShapeSpec(channels=4, height=14, width=14), num_keypoints=3, conv_dims=[4]
    )
    if inclusive:
        set_mixin(module, InclusiveKeypointHead)
    return module


def size_of(im_scale: float) -> NetworkSize:
    h, w = 100, 120
    return NetworkSize.from_original((round(h * im_scale), round(w * im_scale)), (h, w), im_scale)


def given(im_scale: float, boxes: Tensor = BOXES) -> Instances:
    out = Instances(size_of(im_scale), pred_boxes=InclusiveBoxes(boxes * im_scale))
    out.original_boxes = Boxes(boxes)
    return out


def features() -> Tensor:
    return torch.randn(3, 4, 14, 14, generator=torch.Generator().manual_seed(1)) * 20


@pytest.mark.parametrize("im_scale", [1.0, 1.7, 0.4])
def test_keypoints_equal_the_reference(im_scale: float) -> None:
    with torch.no_grad():
        (found,) = head().eval()(features(), [given(im_scale)])
        heatmaps = head().layers(features())
    expected = [
        reference.keypoints_of_heatmaps(maps.numpy(), box)
        for maps, box in zip(heatmaps, BOXES.tolist(), strict=True)
    ]
    points = found.pred_keypoints[:, :, :2] / im_scale
    torch.testing.assert_close(points, torch.tensor(expected).float(), atol=1e-3, rtol=0)
    assert torch.equal(found.pred_boxes.tensor, BOXES * im_scale)
    assert type(found.pred_boxes) is InclusiveBoxes


def test_cells_are_network_pixels_without_the_mixin() -> None:
    # One peak, off the cells' centres. Its box is 30.4 pixels wide, enlarged to 31 cells in
    # original pixels and to 76 in network ones: the points are of different grids.
    i = torch.arange(56.0)
    peak = -((i[:, None] - 30.3) ** 2 + (i[None] - 17.6) ** 2) / 20
    maps = peak.expand(1, 3, 56, 56)
    found = []
    for inclusive in (True, False):
        module = head(inclusive).eval()
        module.layers = lambda x: x
        (out,) = module(maps, [given(2.5, BOXES[:1])])
        found.append(out.pred_keypoints[0, 0, 0] / 2.5 - BOXES[0, 0])
    cells = found[0] / 30.4 * 31, found[1] / 30.4 * 76
    assert all(float(c) % 1 == pytest.approx(0.5, abs=1e-3) for c in cells)
    assert 0.05 < abs(found[0] - found[1]) < 1


def test_training_and_no_detections_are_detectron2s() -> None:
    instances = Instances(size_of(1.7), proposal_boxes=Boxes(BOXES[[0, 2]] * 1.7))
    points = np.concatenate([np.full((2, 3, 2), 30.0), np.full((2, 3, 1), 2.0)], axis=2)
    instances.gt_keypoints = Keypoints(points)
    with EventStorage():
        ours = head().train()(features()[:2], [instances])
        plain = head(inclusive=False).train()(features()[:2], [instances])
    assert torch.equal(ours["loss_keypoint"], plain["loss_keypoint"])
    with torch.no_grad():
        (found,) = head().eval()(features()[:0], [given(1.7, BOXES[:0])])
    assert found.pred_keypoints.shape == (0, 3, 3)
