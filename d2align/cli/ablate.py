"""The command that measures what each pixel convention costs, on the built-in data."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

CONFIG = "configs/shapes/ablation_aligned.yaml"
DESCRIPTION = """\
Measure what each pixel convention costs in AP, on the built-in data, on a CPU.

    d2align ablate            the factors that act in inference, and the flip
    d2align ablate --full     every factor
    d2align ablate --arms flip_index,mask_target_unaligned

Shared bases are trained with every detail aligned. Then one detail at a time is turned: the
paste on the same detections, the decode on the same weights, the flip in equal short
fine-tunes, and (--full) anchors and RoIAlign in fine-tunes to both conventions from bases of both.
A run that is stopped goes on where it was when the same command is given again.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to a parser.

    Args:
        parser: of the command.
    """
    parser.add_argument("--full", action="store_true", help="every factor, four bases")
    parser.add_argument("--arms", metavar="ARM,ARM", help="these alone, by name")
    parser.add_argument("--bases", type=int, help="how many shared trainings")
    parser.add_argument("--iterations", type=int, help="of each base (default 600)")
    parser.add_argument("--finetune-iterations", type=int, help="of each fine-tune")
    parser.add_argument(
        "--learning-rate", type=float, help="of a base (default 0.002); the others go with it"
    )
    parser.add_argument("--images", type=int, help="of the validation set (default 500)")
    parser.add_argument("--output", type=Path, help="folder (default output/ablation-<settings>)")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes (default one a core)"
    )
    parser.add_argument("--config-file", default=CONFIG, help="the aligned config")
    parser.add_argument("opts", nargs="*", default=[], help="config overrides, KEY VALUE ...")


def run(args: argparse.Namespace) -> None:
    """Run the study of the command line.

    Args:
        args: as parsed.
    """
    from d2align.ablation import full_study, quick_study
    from d2align.ablation.main import run_ablation
    from d2align.ablation.study import choose_arms
    from d2align.engine import find_config

    changes: dict[str, object] = {"opts": tuple(args.opts)}
    if args.arms is not None:
        changes["arms"] = choose_arms(args.arms.split(","))
    if args.bases is not None:
        changes["num_bases"] = args.bases
    if args.iterations is not None:
        early = args.iterations * 2 // 5
        changes["early_iterations"] = early
        changes["late_iterations"] = args.iterations - early
    if args.finetune_iterations is not None:
        changes["finetune_iterations"] = args.finetune_iterations
    if args.images is not None:
        changes["num_images"] = args.images
    if args.learning_rate is not None:
        changes["learning_rate"] = args.learning_rate
        changes["finetune_learning_rate"] = args.learning_rate / 4
        changes["crossover_learning_rate"] = args.learning_rate / 2
    study = (full_study if args.full else quick_study)(**changes)
    output = args.output or Path("output") / f"ablation-{study.key()}"
    run_ablation(study, find_config(args.config_file), output, args.workers)
