"""A small ResNet with FPN, for experiments on a CPU: Detectron2's blocks, fewer channels."""

from __future__ import annotations

import operator
from typing import Any

from detectron2.layers import ShapeSpec
from detectron2.modeling.backbone import BACKBONE_REGISTRY, FPN
from detectron2.modeling.backbone.fpn import LastLevelMaxPool
from detectron2.modeling.backbone.resnet import BasicBlock, BasicStem, ResNet


def add_small_backbone_config(cfg: Any) -> None:
    """Add the keys of ``build_small_resnet_fpn_backbone`` to a config.

    Args:
        cfg: a Detectron2 CfgNode, changed in place: MODEL.SMALL_RESNET.CHANNELS, of the stem and
            of res2 to res5, each stage one basic block.
    """
    cfg.MODEL.SMALL_RESNET = type(cfg)()
    cfg.MODEL.SMALL_RESNET.CHANNELS = [16, 16, 32, 64, 96]


@BACKBONE_REGISTRY.register()
def build_small_resnet_fpn_backbone(cfg: Any, input_shape: ShapeSpec) -> FPN:
    """Build a ResNet of one basic block a stage, with FPN on top.

    Args:
        cfg: a config with ``add_small_backbone_config``'s keys.
        input_shape: channels of the image.

    Returns:
        A backbone with features p2 to p6, strides 4 to 64.
    """
    channels = cfg.MODEL.SMALL_RESNET.CHANNELS
    if len(channels) != 5 or any(map(operator.eq, channels[1:], channels[2:])):
        raise ValueError(
            f"MODEL.SMALL_RESNET.CHANNELS: got {channels}, expected five numbers, each stage "
            "other than the one before (a block that halves the size needs its projection)"
        )
    stem = BasicStem(
        in_channels=input_shape.channels, out_channels=channels[0], norm=cfg.MODEL.RESNETS.NORM
    )
    stages = [
        ResNet.make_stage(
            BasicBlock,
            1,
            stride_per_block=[1 if i == 0 else 2],
            in_channels=channels[i],
            out_channels=channels[i + 1],
            norm=cfg.MODEL.RESNETS.NORM,
        )
        for i in range(4)
    ]
    bottom_up = ResNet(stem, stages, out_features=cfg.MODEL.RESNETS.OUT_FEATURES)
    return FPN(
        bottom_up=bottom_up,
        in_features=cfg.MODEL.FPN.IN_FEATURES,
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        top_block=LastLevelMaxPool(),
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )
