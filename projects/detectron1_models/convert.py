#!/usr/bin/env python
"""Convert Detectron's published weights (Caffe2, .pkl) to a checkpoint for its preset.

convert.py model_final.pkl --config-file mask_rcnn_R_50_FPN.yaml --output model.pth [KEY VALUE ...]
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from d2align.cli import fail_politely

# Detectron had none of these: they are what Detectron2 sets itself.
_NOT_WEIGHTS = ("running_mean", "running_var", "num_batches_tracked", "pixel_mean", "pixel_std")


def read_blobs(path: str) -> dict[str, Tensor]:
    """Return the weights in a file of Detectron's, read as data.

    Args:
        path: of a .pkl with "blobs"; momentum is left out.

    Returns:
        blob name -> tensor.

    Raises:
        ValueError: the file is of another kind.
    """
    from d2align.checkpoint import load_file

    loaded = load_file(path)
    if not isinstance(loaded, dict) or "blobs" not in loaded:
        raise ValueError(f"{path}: got no 'blobs', expected a model_final.pkl of Detectron's")
    blobs = loaded["blobs"].items()
    return {k: torch.from_numpy(v.copy()) for k, v in blobs if not k.endswith("_momentum")}


def reorder_anchors(blobs: dict[str, Tensor], num_sizes: int, num_ratios: int) -> dict[str, Tensor]:
    """Return the weights with the anchors of a cell in Detectron2's order.

    Convention: of the anchors of one cell, ratios are slowest in Detectron, sizes in Detectron2.

    Args:
        blobs: blob name -> tensor.
        num_sizes: of the anchors of a feature map.
        num_ratios: likewise.

    Returns:
        blob name -> tensor; on a pyramid, where each map has one size, nothing differs.
    """
    reordered = dict(blobs)
    for name in blobs:
        if name.startswith(("rpn_cls_logits_", "rpn_bbox_pred_")):
            rows = blobs[name].unflatten(0, (num_ratios, num_sizes, -1))
            reordered[name] = rows.transpose(0, 1).flatten(0, 2)
    return reordered


def convert(blobs: dict[str, Tensor], cfg: Any) -> tuple[dict[str, Tensor], list[str]]:
    """Return a state dict for the model of a config.

    Names, the place of the background class and its missing box and mask are Detectron2's own
    conversion; here are the order of anchors, and that nothing may be missing.

    Args:
        blobs: blob name -> tensor, as from ``read_blobs``.
        cfg: the model's config.

    Returns:
        The state dict, and the names of weights that the model has no use for.

    Raises:
        ValueError: weights that the model needs are missing, or of another shape.
    """
    from detectron2.checkpoint.c2_model_loading import align_and_update_state_dicts
    from detectron2.modeling import build_model

    anchors = cfg.MODEL.ANCHOR_GENERATOR
    ordered = reorder_anchors(blobs, len(anchors.SIZES[0]), len(anchors.ASPECT_RATIOS[0]))
    wanted = build_model(cfg).state_dict()
    found = align_and_update_state_dicts(wanted, ordered, c2_conversion=True)
    # Detectron's frozen norms had a scale and a bias alone. Left out, the statistics would be set
    # to 1 on loading, to which Detectron2 adds an epsilon; in a fresh model it is taken off.
    statistics = {n: wanted[n] for n in wanted if n.endswith(("norm.running_mean", "running_var"))}
    state = statistics | {name: found[name] for name in wanted if name in found}
    missing = [n for n in wanted if n not in state and not n.endswith(_NOT_WEIGHTS)]
    missing = [n for n in missing if "cell_anchors" not in n]
    if missing:
        raise ValueError(
            f"weights: got none that fit {missing[:5]} ({len(missing)} in all), expected those of "
            "this config's model: choose the config that goes with the file (depth, heads, widths)"
        )
    return state, sorted(name for name in found if name not in wanted)


def save(state: dict[str, Tensor], path: str) -> None:
    """Write a checkpoint, whole or not at all.

    Args:
        state: a state dict.
        path: of the file.
    """
    partial = f"{path}.part"
    torch.save({"model": state}, partial)
    os.replace(partial, path)


def main() -> None:
    """Convert what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", help="model_final.pkl of Detectron's model zoo")
    parser.add_argument("--config-file", required=True, help="of the model, beside this script")
    parser.add_argument("--output", required=True, help="the checkpoint to write, .pth")
    parser.add_argument("opts", nargs="*", help="KEY VALUE ... of the config")
    args = parser.parse_intermixed_args()
    from d2align.engine import load_config

    if not Path(args.weights).is_file():
        raise ValueError(f"weights: got {args.weights!r}, expected an existing file")
    opts = [*args.opts, "MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", args.weights]
    state, unused = convert(read_blobs(args.weights), load_config(args.config_file, opts))
    save(state, args.output)
    print(f"{len(state)} weights in {args.output}; of no use: {', '.join(unused) or 'none'}")


if __name__ == "__main__":
    sys.exit(fail_politely(main))
