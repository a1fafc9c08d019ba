"""Panoptic FPN with a chosen paste and box transform."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from detectron2.modeling.meta_arch import PanopticFPN
from tiny_models import (
    PANOPTIC,
    assert_same_instances,
    assert_same_losses,
    losses,
    polygon_batch,
    tiny_batch,
    tiny_config,
    tiny_model,
)

from d2align.modeling import PixelExactPanopticFPN, apply
from d2align.registry import build_paste_mask


def outputs(model: Any, scale: float = 1.5) -> list[dict[str, Any]]:
    with torch.no_grad():
        return model.eval()(tiny_batch(scale))


def pair() -> tuple[Any, Any]:
    ours = tiny_model(tiny_config(*PANOPTIC))
    plain = tiny_model(tiny_config(*PANOPTIC, "MODEL.META_ARCHITECTURE", "PanopticFPN"))
    plain.load_state_dict(ours.state_dict())
    assert type(ours) is PixelExactPanopticFPN and type(plain) is PanopticFPN
    return ours, plain


def assert_same_outputs(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> None:
    assert_same_instances([o["instances"] for o in first], [o["instances"] for o in second])
    for a, b in zip(first, second, strict=True):
        assert a.keys() == b.keys()
        assert torch.equal(a["sem_seg"], b["sem_seg"])
        assert torch.equal(a["panoptic_seg"][0], b["panoptic_seg"][0])
        assert a["panoptic_seg"][1] == b["panoptic_seg"][1]


def test_all_aligned_losses_equal_detectron2s_bit_for_bit() -> None:
    ours, plain = pair()
    assert_same_losses(losses(ours, tiny_batch(1.5)), losses(plain, tiny_batch(1.5)))


@pytest.mark.parametrize("scale", [1.0, 1.5])
def test_all_aligned_outputs_equal_detectron2s_bit_for_bit(scale: float) -> None:
    ours, plain = pair()
    found = outputs(ours, scale)
    assert found[0]["panoptic_seg"][1]
    assert_same_outputs(found, outputs(plain, scale))


def test_paste_reaches_instances_and_the_panoptic_map() -> None:
    ours, plain = pair()
    ours.load_state_dict(plain.state_dict())
    before = outputs(plain)
    apply(plain, paste_mask="detectron1")
    historical = tiny_model(tiny_config(*PANOPTIC, "D2ALIGN.PASTE_MASK", "detectron1"))
    historical.load_state_dict(plain.state_dict())
    assert historical.paste_masks is build_paste_mask("detectron1")
    after = outputs(plain)
    assert_same_outputs(after, outputs(historical))
    assert torch.equal(before[0]["sem_seg"], after[0]["sem_seg"])
    assert not torch.equal(before[0]["instances"].pred_masks, after[0]["instances"].pred_masks)
    assert not torch.equal(before[0]["panoptic_seg"][0], after[0]["panoptic_seg"][0])
    assert_same_outputs(outputs(apply(plain, paste_mask="aligned")), before)


def test_raw_outputs_are_detectron2s() -> None:
    ours, plain = pair()
    with torch.no_grad():
        first = ours.eval().inference(tiny_batch(), do_postprocess=False)
        second = plain.eval().inference(tiny_batch(), do_postprocess=False)
    assert_same_instances(first[0], second[0])


def test_historical_preset_trains_and_detects() -> None:
    model = tiny_model(tiny_config(*PANOPTIC, config="ablation_py_faster_rcnn.yaml"))
    sum(losses(model, polygon_batch(1.5)).values()).backward()
    assert len(outputs(model)) == 2
