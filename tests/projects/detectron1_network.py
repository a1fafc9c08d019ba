"""Detectron's Mask R-CNN, R-50-FPN and C4, from its blobs: made-up ones, and what they compute.

Blob names and layers as in Detectron's ResNet.py, FPN.py, rpn_heads.py, fast_rcnn_heads.py and
mask_rcnn_heads.py; widths are smaller.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

BLOCKS = {2: 3, 3: 4, 4: 6, 5: 3}
STEM, RES2, WIDTH, FPN, FC, MASK, CLASSES = 8, 16, 4, 8, 16, 8, 81
OPTS = [
    *("MODEL.RESNETS.STEM_OUT_CHANNELS", str(STEM), "MODEL.RESNETS.RES2_OUT_CHANNELS", str(RES2)),
    *("MODEL.RESNETS.WIDTH_PER_GROUP", str(WIDTH), "MODEL.FPN.OUT_CHANNELS", str(FPN)),
    *("MODEL.ROI_BOX_HEAD.FC_DIM", str(FC), "MODEL.ROI_MASK_HEAD.CONV_DIM", str(MASK)),
    *("MODEL.DEVICE", "cpu", "D2ALIGN.FAST_CPU", "False"),
]
Blobs = dict[str, Any]


def assert_close(ours: Tensor, theirs: Tensor) -> None:
    """Equal but for rounding, of the largest value: random networks are not well scaled."""
    assert ours.shape == theirs.shape
    worst = ((ours - theirs).abs().max() / theirs.abs().max()).item()
    assert worst < 1e-5, worst  # frozen norms have 1 - 1e-5 in float32


def made_up_blobs(*, fpn: bool, seed: int = 0) -> Blobs:
    """Random weights with the names and shapes of a model_final.pkl, momentum included."""
    rng = np.random.default_rng(seed)
    blobs: Blobs = {}

    def add(name: str, *shape: int, bias: bool = True, outputs: int = 0) -> None:
        scale = 1 / np.sqrt(np.prod(shape[1:]))
        blobs[f"{name}_w"] = rng.normal(0, scale, shape).astype(np.float32)
        if bias:
            blobs[f"{name}_b"] = rng.normal(0, 0.1, shape[outputs]).astype(np.float32)

    def add_bn(name: str, n: int) -> None:
        blobs[f"{name}_bn_s"] = rng.uniform(0.5, 1.5, n).astype(np.float32)
        blobs[f"{name}_bn_b"] = rng.normal(0, 0.1, n).astype(np.float32)

    add("conv1", STEM, 3, 7, 7, bias=False)
    add_bn("res_conv1", STEM)
    before = STEM
    for stage, count in BLOCKS.items():
        out, mid = RES2 << (stage - 2), WIDTH << (stage - 2)
        for k in range(count):
            branches = {"2a": (mid, before, 1), "2b": (mid, mid, 3), "2c": (out, mid, 1)}
            if k == 0:
                branches["1"] = (out, before, 1)
            for branch, (n, m, size) in branches.items():
                add(f"res{stage}_{k}_branch{branch}", n, m, size, size, bias=False)
                add_bn(f"res{stage}_{k}_branch{branch}", n)
            before = out
    (_add_fpn_heads if fpn else _add_c4_heads)(add)
    blobs.update({f"{name}_momentum": np.zeros_like(blob) for name, blob in blobs.items()})
    blobs["pred_w"] = np.zeros((1000, 8), np.float32)  # kept from ImageNet's classifier
    return blobs


def _add_fpn_heads(add: Any) -> None:
    for stage, count in BLOCKS.items():
        lateral = "" if stage == 5 else "_lateral"
        add(f"fpn_inner_res{stage}_{count - 1}_sum{lateral}", FPN, RES2 << (stage - 2), 1, 1)
        add(f"fpn_res{stage}_{count - 1}_sum", FPN, FPN, 3, 3)
    add("conv_rpn_fpn2", FPN, FPN, 3, 3)
    add("rpn_cls_logits_fpn2", 3, FPN, 1, 1)
    add("rpn_bbox_pred_fpn2", 12, FPN, 1, 1)
    add("fc6", FC, FPN * 49)
    add("fc7", FC, FC)
    _add_predictor(add, FC)
    for k in range(1, 5):
        add(f"_[mask]_fcn{k}", MASK, FPN if k == 1 else MASK, 3, 3)
    add("conv5_mask", MASK, MASK, 2, 2, outputs=1)
    add("mask_fcn_logits", CLASSES, MASK, 1, 1)


def _add_c4_heads(add: Any) -> None:
    channels = RES2 << 2
    add("conv_rpn", channels, channels, 3, 3)
    add("rpn_cls_logits", 15, channels, 1, 1)
    add("rpn_bbox_pred", 60, channels, 1, 1)
    _add_predictor(add, RES2 << 3)
    add("conv5_mask", RES2 << 3, MASK, 2, 2, outputs=1)
    add("mask_fcn_logits", CLASSES, MASK, 1, 1)


def _add_predictor(add: Any, channels: int) -> None:
    add("cls_score", CLASSES, channels)
    add("bbox_pred", 4 * CLASSES, channels)


class Detectron1Network:
    """What Detectron's blobs compute, layer by layer, in float64."""

    def __init__(self, blobs: Blobs) -> None:
        self.blobs = {k: torch.from_numpy(v).double() for k, v in blobs.items()}

    def conv(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        w = self.blobs[f"{name}_w"]
        return F.conv2d(x, w, self.blobs.get(f"{name}_b"), stride, w.shape[-1] // 2)

    def bn(self, x: Tensor, name: str) -> Tensor:
        scale, bias = self.blobs[f"{name}_bn_s"], self.blobs[f"{name}_bn_b"]
        return x * scale[:, None, None] + bias[:, None, None]

    def fc(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x.flatten(1), self.blobs[f"{name}_w"], self.blobs[f"{name}_b"])

    def stage(self, x: Tensor, stage: int) -> Tensor:
        for k in range(BLOCKS[stage]):
            prefix, stride = f"res{stage}_{k}_branch", 2 if k == 0 and stage > 2 else 1
            y = self.bn(self.conv(x, f"{prefix}2a", stride), f"{prefix}2a").relu()
            y = self.bn(self.conv(y, f"{prefix}2b"), f"{prefix}2b").relu()
            y = self.bn(self.conv(y, f"{prefix}2c"), f"{prefix}2c")
            short = self.bn(self.conv(x, f"{prefix}1", stride), f"{prefix}1") if k == 0 else x
            x = (y + short).relu()
        return x

    def body(self, image: Tensor, last: int) -> dict[int, Tensor]:
        """The outputs of res2 to the last stage, of BGR pixels minus their mean."""
        x = self.bn(self.conv(image, "conv1", 2), "res_conv1").relu()
        x = F.max_pool2d(x, 3, 2, 1)
        found = {}
        for stage in range(2, last + 1):
            x = found[stage] = self.stage(x, stage)
        return found

    def pyramid(self, image: Tensor) -> list[Tensor]:
        """P2 to P6."""
        inner, out = None, []
        for stage, x in reversed(self.body(image, 5).items()):
            last = f"res{stage}_{BLOCKS[stage] - 1}_sum"
            if inner is None:
                inner = self.conv(x, f"fpn_inner_{last}")
            else:
                up = F.interpolate(inner, scale_factor=2, mode="nearest")
                inner = self.conv(x, f"fpn_inner_{last}_lateral") + up
            out.insert(0, self.conv(inner, f"fpn_{last}"))
        return [*out, F.max_pool2d(out[-1], 1, 2)]

    def rpn(self, x: Tensor, suffix: str = "") -> tuple[Tensor, Tensor]:
        """Logits (A, H, W) and deltas (A, 4, H, W) of one image's map, ratios slowest."""
        hidden = self.conv(x, f"conv_rpn{suffix}").relu()
        logits = self.conv(hidden, f"rpn_cls_logits{suffix}")[0]
        return logits, self.conv(hidden, f"rpn_bbox_pred{suffix}")[0].unflatten(0, (-1, 4))

    def boxes(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities, background first, and deltas (N, 81, 4) of box features."""
        deltas = self.fc(features, "bbox_pred").unflatten(1, (-1, 4))
        return self.fc(features, "cls_score").softmax(dim=1), deltas

    def masks(self, features: Tensor) -> Tensor:
        """Mask logits (N, 81, 2M, 2M), background first, of features after the convolutions."""
        w, b = self.blobs["conv5_mask_w"], self.blobs["conv5_mask_b"]
        return self.conv(F.conv_transpose2d(features, w, b, stride=2).relu(), "mask_fcn_logits")
