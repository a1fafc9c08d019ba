"""Converted checkpoints of maskrcnn-benchmark compute what its layers do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron1_network import BLOCKS, OPTS, Detectron1Network, assert_close, made_up_blobs
from detectron2.modeling import build_model
from project_scripts import PROJECTS, load_script
from torch import Tensor

from d2align.checkpoint import SafeCheckpointer
from d2align.engine import load_config

FOLDER = PROJECTS / "maskrcnn_benchmark_port"
CONFIG = str(FOLDER / "mask_rcnn_R_50_FPN.yaml")
convert = load_script("maskrcnn_benchmark_port/convert.py")


def made_up_checkpoint(blobs: dict[str, Any]) -> dict[str, Tensor]:
    """The same network as of blobs of Detectron's, under maskrcnn-benchmark's names.

    Names as its modules make them: resnet.py, fpn.py, rpn.py, roi_box_*.py and roi_mask_*.py.
    """
    state: dict[str, Tensor] = {}

    def put(ours: str, theirs: str) -> None:
        for suffix, ending in (("w", "weight"), ("b", "bias")):
            if f"{theirs}_{suffix}" in blobs:
                blob = torch.from_numpy(blobs[f"{theirs}_{suffix}"])
                state[f"module.{ours}.{ending}"] = blob

    def put_bn(ours: str, theirs: str) -> None:
        scale, bias = (torch.from_numpy(blobs[f"{theirs}_bn_{k}"]) for k in "sb")
        mean, var = bias.roll(1), scale.roll(1) + 0.5
        state[f"module.{ours}.weight"] = scale * var.sqrt()
        state[f"module.{ours}.bias"] = bias + mean * scale
        state[f"module.{ours}.running_mean"] = mean
        state[f"module.{ours}.running_var"] = var

    put("backbone.body.stem.conv1", "conv1")
    put_bn("backbone.body.stem.bn1", "res_conv1")
    branches = {"2a": ("conv1", "bn1"), "2b": ("conv2", "bn2"), "2c": ("conv3", "bn3")}
    for stage, count in BLOCKS.items():
        for k in range(count):
            layer = f"backbone.body.layer{stage - 1}.{k}"
            names = branches | ({"1": ("downsample.0", "downsample.1")} if k == 0 else {})
            for branch, (conv, bn) in names.items():
                put(f"{layer}.{conv}", f"res{stage}_{k}_branch{branch}")
                put_bn(f"{layer}.{bn}", f"res{stage}_{k}_branch{branch}")
        last = f"res{stage}_{count - 1}_sum"
        inner = f"fpn_inner_{last}" + ("" if stage == 5 else "_lateral")
        put(f"backbone.fpn.fpn_inner{stage - 1}", inner)
        put(f"backbone.fpn.fpn_layer{stage - 1}", f"fpn_{last}")
    put("rpn.head.conv", "conv_rpn_fpn2")
    put("rpn.head.cls_logits", "rpn_cls_logits_fpn2")
    put("rpn.head.bbox_pred", "rpn_bbox_pred_fpn2")
    for name in ("fc6", "fc7"):
        put(f"roi_heads.box.feature_extractor.{name}", name)
    for name in ("cls_score", "bbox_pred"):
        put(f"roi_heads.box.predictor.{name}", name)
    for k in range(1, 5):
        put(f"roi_heads.mask.feature_extractor.mask_fcn{k}", f"_[mask]_fcn{k}")
    for name in ("conv5_mask", "mask_fcn_logits"):
        put(f"roi_heads.mask.predictor.{name}", name)
    state["module.rpn.anchor_generator.cell_anchors.0"] = torch.zeros(3, 4)
    return state


@pytest.fixture(scope="module")
def pair(tmp_path_factory: Any) -> tuple[Any, Detectron1Network]:
    """A model of a checkpoint that the command converted, and the layers it should compute."""
    folder = tmp_path_factory.mktemp("weights")
    blobs = made_up_blobs(fpn=True, seed=1)
    torch.save({"model": made_up_checkpoint(blobs), "iteration": 90000}, folder / "mb.pth")
    command = [sys.executable, str(FOLDER / "convert.py"), str(folder / "mb.pth")]
    command += ["--config-file", CONFIG, "--output", str(folder / "model.pth"), *OPTS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "weights in" in done.stdout and not list(folder.glob("*.part"))
    cfg = load_config(CONFIG, [*OPTS, "MODEL.WEIGHTS", str(folder / "model.pth")])
    model = build_model(cfg).eval()
    SafeCheckpointer(model).load(cfg.MODEL.WEIGHTS)
    return model.double(), Detectron1Network(blobs)


@torch.no_grad()
def test_features_and_rpn(pair: Any) -> None:
    model, network = pair
    image = torch.randn(1, 3, 128, 192, generator=torch.Generator().manual_seed(0)) * 50
    image = image.double()
    theirs = network.pyramid(image)
    for a, b in zip(model.backbone(image).values(), theirs, strict=True):
        assert_close(a, b)
    logits, deltas = model.proposal_generator.rpn_head(theirs)
    for level, x in enumerate(theirs):
        their_logits, their_deltas = network.rpn(x, "_fpn2")
        assert_close(logits[level][0], their_logits)
        assert_close(deltas[level][0].unflatten(0, (-1, 4)), their_deltas)


@torch.no_grad()
def test_heads_with_the_background_last(pair: Any) -> None:
    model, network = pair
    heads, generator = model.roi_heads, torch.Generator().manual_seed(0)
    pooled = torch.randn(5, 8, 7, 7, generator=generator).double()
    ours = heads.box_predictor(heads.box_head(pooled))
    scores, deltas = network.boxes(network.fc(network.fc(pooled, "fc6").relu(), "fc7").relu())
    assert_close(ours[0].softmax(dim=1), scores.roll(-1, dims=1))
    assert_close(ours[1].unflatten(1, (-1, 4)), deltas[:, 1:])
    masks = heads.mask_head.layers(pooled)
    x = pooled
    for k in range(1, 5):
        x = network.conv(x, f"_[mask]_fcn{k}").relu()
    assert_close(masks, network.masks(x)[:, 1:])


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    cfg = load_config(CONFIG, OPTS)
    state = convert.convert(made_up_checkpoint(made_up_blobs(fpn=True)))
    convert.check_fits(state, cfg)
    del state["backbone.fpn_output2.weight"]
    with pytest.raises(ValueError, match=r"got backbone.fpn_output2.weight None.*\(1 differ"):
        convert.check_fits(state, cfg)
    torch.save({"state_dict": {}}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match="no 'model'"):
        convert.read_weights(str(tmp_path / "a.pth"))
