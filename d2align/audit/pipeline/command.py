"""The part of the audit command that is about a project: ``--config-file``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from d2align.audit.deviations import Deviation
from d2align.audit.record import Finding

EXAMPLES = """\
  %(prog)s --config-file my_project/mask_rcnn.yaml --fail-over 0.1
  %(prog)s --config-file X.yaml --mapper my_project.data:MyMapper INPUT.MASK_FORMAT bitmask
  %(prog)s --config-file X.yaml --weights model_final.pth --num-images 200"""

# What plain Detectron2 does, told with its reason and excused: (kind, convention) -> reason.
DETECTRON2S = {
    ("anchors", "corner"): "Detectron2's default, with which its published weights were trained.",
    ("labels by dtype", "floor_nearest"): (
        "Detectron2's ResizeTransform, for masks that its own mapper does not make."
    ),
}


def add_pipeline_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that go with --config-file.

    Args:
        parser: of the audit command.
    """
    group = parser.add_argument_group("with --config-file")
    group.add_argument("--mapper", metavar="MODULE:NAME", help="a mapper: name(cfg, is_train)")
    group.add_argument("--evaluator", metavar="MODULE:NAME", help="name(data set, output folder)")
    group.add_argument("--setup", metavar="MODULE:NAME", help="name(cfg) adds keys of your own")
    group.add_argument("--weights", metavar="FILE", help="audit this checkpoint on DATASETS.TEST")
    group.add_argument("--num-images", type=int, default=200, metavar="N", help="of the data set")
    group.add_argument("opts", nargs="*", metavar="KEY VALUE", help="overrides, at the end")


def check_pipeline_arguments(args: argparse.Namespace) -> None:
    """Refuse arguments that need --config-file without it.

    Args:
        args: of the audit command.

    Raises:
        ValueError: one is there without it, or the number of images is not positive.
    """
    if args.num_images < 2:
        raise ValueError(f"--num-images: got {args.num_images}, expected at least 2")
    if args.config_file is not None:
        return
    for name in ("mapper", "evaluator", "setup", "weights", "opts"):
        if getattr(args, name):
            raise ValueError(f"{name}: got {getattr(args, name)!r} without --config-file")


def run_pipeline_audit(args: argparse.Namespace) -> list[Finding]:
    """Audit a project, or with --weights a checkpoint of it.

    Args:
        args: of the audit command.

    Returns:
        Findings in the order of the stages.

    Raises:
        ValueError: a config, import path or checkpoint that cannot be had.
    """
    try:
        import detectron2  # noqa: F401
    except ModuleNotFoundError:
        raise ValueError(
            "--config-file: needs Detectron2: run `python tools/install_detectron2.py`"
        ) from None
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    if args.weights:
        from d2align.audit.pipeline.trained import audit_checkpoint

        return audit_checkpoint(
            args.config_file, args.weights, args.opts, args.num_images, setup=args.setup
        )
    from d2align.audit.pipeline.load import load_pipeline
    from d2align.audit.pipeline.stages import audit_pipeline

    pipeline = load_pipeline(
        args.config_file,
        args.opts,
        mapper=args.mapper,
        evaluator=args.evaluator,
        setup=args.setup,
    )
    return audit_pipeline(pipeline)


def detectron2s_deviations(findings: Sequence[Finding]) -> list[Deviation]:
    """Return excuses for what plain Detectron2 does, for those findings that are about it.

    Args:
        findings: of a project.
    """
    return [
        Deviation(f.kind, f.subject, reason, error_px=f.error_px)
        for f in findings
        if f.status == "deviates" and (reason := DETECTRON2S.get((f.kind, f.convention)))
    ]
