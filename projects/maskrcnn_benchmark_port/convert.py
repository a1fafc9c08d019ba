#!/usr/bin/env python
"""Convert a checkpoint of maskrcnn-benchmark (R-50-FPN and deeper, boxes and masks).

convert.py e2e_mask_rcnn_R_50_FPN_1x.pth --config-file mask_rcnn_R_50_FPN.yaml --output model.pth
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from d2align.cli import fail_politely

_EPSILON = 1e-5  # Detectron2 adds it to the variance of frozen norms, maskrcnn-benchmark does not
_NAMES = [
    (r"^module\.", ""),
    (r"^backbone\.body\.stem\.bn1\.", "backbone.bottom_up.stem.conv1.norm."),
    (r"^backbone\.body\.stem\.", "backbone.bottom_up.stem."),
    (r"^backbone\.body\.layer(\d)\.", lambda m: f"backbone.bottom_up.res{int(m[1]) + 1}."),
    (r"\.downsample\.0\.", ".shortcut."),
    (r"\.downsample\.1\.", ".shortcut.norm."),
    (r"(res\d\.\d+)\.bn(\d)\.", r"\1.conv\2.norm."),
    (r"^backbone\.fpn\.fpn_inner(\d)\.", lambda m: f"backbone.fpn_lateral{int(m[1]) + 1}."),
    (r"^backbone\.fpn\.fpn_layer(\d)\.", lambda m: f"backbone.fpn_output{int(m[1]) + 1}."),
    (r"^rpn\.head\.conv\.", "proposal_generator.rpn_head.conv."),
    (r"^rpn\.head\.cls_logits\.", "proposal_generator.rpn_head.objectness_logits."),
    (r"^rpn\.head\.bbox_pred\.", "proposal_generator.rpn_head.anchor_deltas."),
    (r"^roi_heads\.box\.feature_extractor\.fc6\.", "roi_heads.box_head.fc1."),
    (r"^roi_heads\.box\.feature_extractor\.fc7\.", "roi_heads.box_head.fc2."),
    (r"^roi_heads\.box\.predictor\.", "roi_heads.box_predictor."),
    (r"^roi_heads\.mask\.feature_extractor\.", "roi_heads.mask_head."),
    (r"^roi_heads\.mask\.predictor\.conv5_mask\.", "roi_heads.mask_head.deconv."),
    (r"^roi_heads\.mask\.predictor\.mask_fcn_logits\.", "roi_heads.mask_head.predictor."),
]


def convert(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict of Detectron2's for one of maskrcnn-benchmark's.

    Convention: background is the first class there and the last in Detectron2, where it has
    neither box nor mask.

    Args:
        weights: name -> tensor; "module." in front is taken off.

    Returns:
        name -> tensor.
    """
    state = {}
    for name, weight in weights.items():
        if "anchor_generator" in name:  # made by Detectron2 itself
            continue
        for pattern, replacement in _NAMES:
            name = re.sub(pattern, replacement, name)
        state[name] = _in_detectron2_layout(name, weight)
    return state


def _in_detectron2_layout(name: str, weight: Tensor) -> Tensor:
    if ".box_predictor.cls_score." in name:
        return weight.roll(-1, dims=0)
    if ".box_predictor.bbox_pred." in name:
        return weight[4:]
    if ".mask_head.predictor." in name:
        return weight[1:]
    if name.endswith(".norm.running_var"):
        return weight - _EPSILON
    return weight


def read_weights(path: str) -> dict[str, Tensor]:
    """Return the weights of a checkpoint, read as data.

    Args:
        path: of a .pth with "model".

    Returns:
        name -> tensor.

    Raises:
        ValueError: the file is of another kind.
    """
    from d2align.checkpoint import load_file

    loaded = load_file(path)
    if not isinstance(loaded, dict) or not isinstance(loaded.get("model"), dict):
        raise ValueError(f"{path}: got no 'model', expected a .pth of maskrcnn-benchmark")
    return dict(loaded["model"])


def check_fits(state: dict[str, Tensor], cfg: Any) -> None:
    """Refuse weights that are not all of a model's.

    Args:
        state: a state dict, as from ``convert``.
        cfg: the model's config.

    Raises:
        ValueError: names or shapes differ.
    """
    from detectron2.modeling import build_model

    wanted = {k: tuple(v.shape) for k, v in build_model(cfg).state_dict().items()}
    wanted = {k: v for k, v in wanted.items() if "cell_anchors" not in k}
    wanted = {k: v for k, v in wanted.items() if not k.startswith("pixel_")}
    found = {k: tuple(v.shape) for k, v in state.items()}
    wrong = sorted(k for k in wanted.keys() | found.keys() if wanted.get(k) != found.get(k))
    if wrong:
        name = wrong[0]
        raise ValueError(
            f"weights: got {name} {found.get(name)}, expected {wanted.get(name)} ({len(wrong)} "
            "differ in all): choose the config that goes with the file; C4 bodies, keypoints and "
            "group norm are not converted"
        )


def main() -> None:
    """Convert what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", help="checkpoint of maskrcnn-benchmark, .pth")
    parser.add_argument("--config-file", required=True, help="of the model, beside this script")
    parser.add_argument("--output", required=True, help="the checkpoint to write, .pth")
    parser.add_argument("opts", nargs="*", help="KEY VALUE ... of the config")
    args = parser.parse_intermixed_args()
    from d2align.engine import load_config

    if not Path(args.weights).is_file():
        raise ValueError(f"weights: got {args.weights!r}, expected an existing file")
    opts = [*args.opts, "MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", args.weights]
    state = convert(read_weights(args.weights))
    check_fits(state, load_config(args.config_file, opts))
    torch.save({"model": state}, f"{args.output}.part")
    os.replace(f"{args.output}.part", args.output)
    print(f"{len(state)} weights in {args.output}")


if __name__ == "__main__":
    sys.exit(fail_politely(main))
