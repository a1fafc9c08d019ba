"""RetinaNet with its box transform and anchors chosen by name."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from detectron2.modeling.meta_arch import RetinaNet
from tiny_models import (
    RETINANET,
    assert_same_instances,
    assert_same_losses,
    detections,
    losses,
    tiny_batch,
    tiny_config,
    tiny_model,
)

from d2align.modeling import (
    Detectron1AnchorGenerator,
    Detectron1BoxTransform,
    PixelExactRetinaNet,
    PyFasterRCNNBoxTransform,
    apply,
)


def pair() -> tuple[Any, Any]:
    ours = tiny_model(tiny_config(*RETINANET))
    plain = tiny_model(tiny_config(*RETINANET, "MODEL.META_ARCHITECTURE", "RetinaNet"))
    plain.load_state_dict(ours.state_dict())
    assert type(ours) is PixelExactRetinaNet and type(plain) is RetinaNet
    return ours, plain


def test_all_aligned_losses_equal_detectron2s_bit_for_bit() -> None:
    ours, plain = pair()
    batch = tiny_batch(1.5, masks=False)
    assert_same_losses(losses(ours, batch), losses(plain, batch))


@pytest.mark.parametrize("scale", [1.0, 1.5])
def test_all_aligned_detections_equal_detectron2s_bit_for_bit(scale: float) -> None:
    ours, plain = pair()
    found = detections(ours, tiny_batch(scale))
    assert len(found[0]) > 0
    assert_same_instances(found, detections(plain, tiny_batch(scale)))


def test_py_faster_rcnns_decode_adds_one_network_pixel() -> None:
    keep_all = (
        *("MODEL.RETINANET.NMS_THRESH_TEST", "1.0", "TEST.DETECTIONS_PER_IMAGE", "1000"),
        *RETINANET,
    )
    model = tiny_model(tiny_config(*keep_all))
    torch.nn.init.zeros_(model.head.bbox_pred.weight)  # decodes to the anchors, and that + 1
    scale = 2.0
    before = detections(model, tiny_batch(scale))
    after = detections(apply(model, box_transform="py_faster_rcnn"), tiny_batch(scale))
    for a, b in zip(before, after, strict=True):
        kept = a.scores[:, None] == b.scores  # clipping may remove a few
        rows, columns = kept.nonzero().unbind(dim=1)
        first, second = a.pred_boxes.tensor[rows], b.pred_boxes.tensor[columns]
        h, w = a.image_size
        expected = torch.minimum(
            first + torch.tensor([0.0, 0.0, scale, scale]), torch.tensor([w, h, w, h])
        )
        assert len(rows) > 10
        torch.testing.assert_close(second, expected, atol=1e-3, rtol=0)


def test_factors_are_chosen_from_a_config() -> None:
    historical = (
        *("D2ALIGN.BOX_TRANSFORM", "detectron1", "D2ALIGN.FLIP", "detectron1"),
        *("MODEL.ANCHOR_GENERATOR.NAME", "Detectron1AnchorGenerator"),
    )
    model = tiny_model(tiny_config(*RETINANET, *historical))
    assert type(model.box2box_transform) is Detectron1BoxTransform
    assert type(model.anchor_generator) is Detectron1AnchorGenerator
    sum(losses(model, tiny_batch(1.5, masks=False)).values()).backward()
    detections(model, tiny_batch(1.5))
    other = tiny_model(tiny_config(*RETINANET, "D2ALIGN.BOX_TRANSFORM", "py_faster_rcnn"))
    assert type(other.box2box_transform) is PyFasterRCNNBoxTransform


def test_presets_with_inclusive_boxes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"D2ALIGN.BOXES.*an R-CNN.*for a RetinaNet"):
        tiny_config(*RETINANET, config="ablation_detectron1.yaml")


@pytest.mark.parametrize("factor", ["roi_align", "mask_target", "paste_mask"])
def test_apply_refuses_what_a_retinanet_does_not_have(factor: str) -> None:
    model, _ = pair()
    value = "detectron1" if factor == "paste_mask" else "unaligned"
    with pytest.raises(ValueError, match=f"PixelExactRetinaNet without any.*{factor}"):
        apply(model, **{factor: value})
    apply(model, **{factor: "aligned"})
