"""The command that measures what a pixel is worth in AP."""

from __future__ import annotations

import argparse
import dataclasses
import os
from pathlib import Path

DESCRIPTION = """\
Measure what a pixel is worth in AP: what each convention allows, and what offsets cost.

    d2align price                     ground truth of the built-in data
    d2align price --annotations instances_val2017.json \\
        --boxes coco_instances_results.json       and finished detections, moved
    ... --roi-masks masks.npz                     and RoI masks, pasted in each way

Writes table.md, price.json, ceilings.png and, where there are detections, price.png. The npz has
``rows`` (image_id, category_id, score, x, y, w, h) and ``masks`` (N, M, M), uint8 (probability x
255) or floating.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to a parser.

    Args:
        parser: of the command.
    """
    parser.add_argument("--annotations", type=Path, help="COCO json (default: the built-in data)")
    parser.add_argument("--boxes", type=Path, help="COCO results with bbox, perhaps segmentation")
    parser.add_argument("--roi-masks", type=Path, help="npz of rows and masks")
    parser.add_argument("--output", type=Path, default=Path("output/price"), help="folder")
    parser.add_argument("--quick", action="store_true", help="few offsets and draws, no study")
    parser.add_argument("--offsets", type=float, nargs="+", help="pixels by which boxes are moved")
    parser.add_argument("--mask-sizes", type=int, nargs="+", help="of the mask ceiling, main first")
    parser.add_argument("--short-side", type=int, help="of the network's image (default 800)")
    parser.add_argument("--max-side", type=int, help="of the network's image (default 1333)")
    parser.add_argument("--num-draws", type=int, help="of the bootstrap (default 500)")
    parser.add_argument("--seed", type=int, help="of the bootstrap (default 0)")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes (default one a core)"
    )


def run(args: argparse.Namespace) -> None:
    """Measure what the command line asks for.

    Args:
        args: as parsed.
    """
    from d2align.ablation.price.inputs import load_inputs
    from d2align.ablation.price.main import price_of_a_pixel
    from d2align.ablation.price.settings import QUICK, Settings

    names = {field.name for field in dataclasses.fields(Settings)}
    given = {k: v for k, v in vars(args).items() if k in names and v is not None}
    changes = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    settings = dataclasses.replace(QUICK if args.quick else Settings(), **changes)
    inputs = load_inputs(args.annotations, args.boxes, args.roi_masks)
    price_of_a_pixel(inputs, settings, args.output, args.workers)
