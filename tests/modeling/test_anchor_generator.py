"""Anchor generators."""

from __future__ import annotations

import pytest
import torch
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from tiny_models import tiny_config, tiny_model

from d2align import geometry
from d2align.modeling import Detectron1AnchorGenerator
from d2align.modeling.anchor_generator import float_cell_anchors, round_cell_anchors

STRIDES = [4, 8, 16, 32, 64]
FPN = {"sizes": [[32], [64], [128], [256], [512]], "aspect_ratios": [[0.5, 1.0, 2.0]]}


def test_detectron1_anchors_of_the_fpn_are_detectrons() -> None:
    generator = Detectron1AnchorGenerator(**FPN, strides=STRIDES)
    # What Detectron printed for stride 16, size 128: its inclusive boxes, with x2 and y2 + 1.
    inclusive = torch.tensor([[-84.0, -40, 99, 55], [-56, -56, 71, 71], [-36, -80, 51, 95]])
    expected = inclusive + torch.tensor([0.0, 0, 1, 1])
    assert torch.equal(list(generator.cell_anchors)[2], expected)
    assert generator.offset == 0.0


def test_detectron1_anchors_keep_detectron2s_order_sizes_slowest() -> None:
    arguments = {"sizes": [[32, 64, 128]], "aspect_ratios": [[0.5, 1.0, 2.0]], "strides": [16]}
    plain = next(iter(DefaultAnchorGenerator(**arguments).cell_anchors))
    ours = next(iter(Detectron1AnchorGenerator(**arguments).cell_anchors))
    w, h = (plain[:, 2:] - plain[:, :2]).unbind(dim=1)
    our_w, our_h = (ours[:, 2:] - ours[:, :2]).unbind(dim=1)
    # Rounding moves a side by at most half a pixel of the 16-pixel window: 8 * size / 256.
    limit = torch.tensor([32.0, 64.0, 128.0]).repeat_interleave(3) / 16
    assert ((our_w - w).abs() <= limit).all() and ((our_h - h).abs() <= 2 * limit).all()
    exact = geometry.cell_anchors_detectron1(16, [64], [2.0]).float()[0]
    assert torch.equal(ours[5], exact + torch.tensor([0.0, 0, 1, 1]))


def test_detectron1_anchors_are_centred_on_half_a_stride_and_tile_by_strides() -> None:
    generator = Detectron1AnchorGenerator(**FPN, strides=STRIDES)
    features = [torch.zeros(1, 1, 128 // s, 192 // s) for s in STRIDES]
    for stride, anchors, feature in zip(STRIDES, generator(features), features, strict=True):
        h, w = feature.shape[2:]
        centers = anchors.get_centers().view(h, w, 3, 2)
        ys, xs = torch.arange(h) * stride + stride / 2, torch.arange(w) * stride + stride / 2
        assert torch.equal(centers[..., 0], xs[None, :, None].expand(h, w, 3))
        assert torch.equal(centers[..., 1], ys[:, None, None].expand(h, w, 3))


def test_detectron1_anchors_ignore_the_configs_offset() -> None:
    with_offset = Detectron1AnchorGenerator(**FPN, strides=STRIDES, offset=0.5)
    without = Detectron1AnchorGenerator(**FPN, strides=STRIDES)
    features = [torch.zeros(1, 1, 4, 4) for _ in STRIDES]
    for a, b in zip(with_offset(features), without(features), strict=True):
        assert torch.equal(a.tensor, b.tensor)


def test_float_anchors_of_the_configs_have_the_zoos_offset() -> None:
    cfg = tiny_config()
    assert cfg.MODEL.ANCHOR_GENERATOR.OFFSET == 0.0
    generator = tiny_model(cfg).proposal_generator.anchor_generator
    assert type(generator) is DefaultAnchorGenerator
    for size, anchors in zip((8, 16, 32, 64, 96), generator.cell_anchors, strict=True):
        torch.testing.assert_close(anchors, geometry.cell_anchors([size], [0.5, 1.0, 2.0]))


def test_round_cell_anchors_recovers_the_generators_own() -> None:
    arguments = {
        "sizes": [[x, x * 2 ** (1 / 3), x * 2 ** (2 / 3)] for x in (32, 64, 128, 256, 512)],
        "aspect_ratios": [[0.5, 1.0, 2.0]],
        "strides": [8, 16, 32, 64, 128],
    }
    plain = DefaultAnchorGenerator(**arguments)
    rounded = round_cell_anchors(float_cell_anchors(plain), plain.strides)
    for a, b in zip(rounded, Detectron1AnchorGenerator(**arguments).cell_anchors, strict=True):
        # Sizes are recovered to 4 decimals.
        torch.testing.assert_close(a, b, atol=1e-3, rtol=0)


def test_detectron1_anchor_generator_is_chosen_from_a_config() -> None:
    model = tiny_model(tiny_config(config="ablation_anchors.yaml"))
    generator = model.proposal_generator.anchor_generator
    assert type(generator) is Detectron1AnchorGenerator
    first = geometry.inclusive_to_float(geometry.cell_anchors_detectron1(4, [8], [0.5, 1, 2]))
    assert torch.equal(next(iter(generator.cell_anchors)), first.float())


def test_detectron1_anchor_generator_adds_nothing_to_checkpoints() -> None:
    plain = tiny_model(tiny_config())
    ours = tiny_model(tiny_config(config="ablation_anchors.yaml"))
    assert plain.state_dict().keys() == ours.state_dict().keys()


@pytest.mark.parametrize("bad", [{"sizes": [[0]]}, {"aspect_ratios": [[-1.0]]}])
def test_detectron1_anchor_generator_refuses_bad_sizes(bad: dict) -> None:
    with pytest.raises(ValueError, match="positive"):
        Detectron1AnchorGenerator(**{**FPN, **bad, "strides": [4]} | {"strides": STRIDES})
