"""The arguments of the audit command."""

from __future__ import annotations

import argparse
from pathlib import Path

from d2align.audit.libraries import ADAPTERS
from d2align.audit.pipeline.command import (
    EXAMPLES,
    add_pipeline_arguments,
    check_pipeline_arguments,
)
from d2align.audit.probes import CONTRACTS, KINDS

# Of these one is given.
WHAT = ("libraries", "function", "compare", "dataset", "onnx", "config_file", "lint")

EPILOG = """\
examples:
  %(prog)s my_project.transforms:resize --kind resize
  %(prog)s my_project.transforms:resize --kind resize --fail-over 0.1
  %(prog)s my_project.boxes:area --kind box_area --pictures area.html
  %(prog)s --libraries
  %(prog)s --libraries opencv torch --json card.json --pictures deviations.html
  %(prog)s --libraries --fail-over 0.1 --known-deviations known_deviations.toml
  %(prog)s --compare before.json after.json
  %(prog)s --dataset instances_train2017.json
  %(prog)s --onnx model.onnx
  %(prog)s --lint my_project --fail-over 0.1
{pipelines}
A function takes and gives arrays as its kind says; wrap yours if it does not:
{contracts}

libraries: {libraries}

exit codes: 0 fine; 1 something is over --fail-over and not excused, an excuse is stale, or two
cards differ; 2 bad input
""".format(
    contracts="\n".join(f"  {kind:17} {contract}" for kind, contract in CONTRACTS.items()),
    libraries=", ".join(ADAPTERS),
    pipelines=EXAMPLES,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to a parser.

    Args:
        parser: of the command.
    """
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--function", metavar="MODULE:NAME", help="a function of yours; --function may be left out"
    )
    what.add_argument(
        "--libraries", nargs="*", metavar="NAME", help="installed libraries; all without a name"
    )
    what.add_argument(
        "--compare", nargs=2, metavar=("OLD", "NEW"), help="what differs between two cards"
    )
    what.add_argument("--dataset", metavar="JSON", help="a data set in COCO format")
    what.add_argument("--onnx", metavar="FILE", help="an exported model")
    what.add_argument("--config-file", metavar="FILE", help="a Detectron2 project's config")
    what.add_argument("--lint", nargs="+", metavar="PATH", help="Python source, files or folders")
    parser.add_argument("--kind", metavar="KIND", help="what the function does; see below")
    parser.add_argument("--json", metavar="FILE", help="write what was found, as a card")
    parser.add_argument("--markdown", metavar="FILE", help="write it as a page of tables")
    parser.add_argument("--pictures", metavar="FILE", help="draw deviations, as one HTML page")
    parser.add_argument(
        "--fail-over", type=float, metavar="PIXELS", help="exit with 1 if anything is farther off"
    )
    parser.add_argument(
        "--known-deviations", metavar="FILE", help="excuses with reasons, as TOML; stale ones fail"
    )
    add_pipeline_arguments(parser)


def check_arguments(args: argparse.Namespace) -> None:
    """Refuse arguments that do not go together, and complete those that do.

    Args:
        args: as ``add_arguments`` defines them.

    Raises:
        ValueError: bad arguments.
    """
    _take_function(args)
    check_pipeline_arguments(args)
    if args.function is not None and args.kind is None:
        raise ValueError(f"--kind: missing; expected one of {', '.join(KINDS)}")
    if args.function is None and args.kind is not None:
        raise ValueError("--kind: says what MODULE:NAME does, and there is none")
    if args.fail_over is not None and not args.fail_over >= 0:
        raise ValueError(f"--fail-over: got {args.fail_over}, expected pixels, at least 0")
    told = args.fail_over is not None or args.markdown or args.pictures
    if args.known_deviations and not told:
        raise ValueError("--known-deviations: has no effect without --fail-over PIXELS")
    files = {name: getattr(args, name) for name in ("json", "markdown", "pictures")}
    for name, path in files.items():
        if path and args.compare is not None:
            raise ValueError(f"--{name}: has no effect with --compare")
        # Found out now, not after a minute of measurements.
        if path and (Path(path).is_dir() or not Path(path).resolve().parent.is_dir()):
            raise ValueError(f"--{name}: got {path!r}, expected a file in a folder that exists")


def _take_function(args: argparse.Namespace) -> None:
    """Take a lone word for the function, if nothing else is asked for."""
    if any(getattr(args, name) is not None for name in WHAT):
        return
    if len(args.opts) != 1:
        wanted = ", ".join(f"--{name.replace('_', '-')}" for name in WHAT)
        got = f"{len(args.opts)} words" if args.opts else "nothing to audit"
        raise ValueError(f"got {got}, expected MODULE:NAME --kind KIND, or {wanted}")
    args.function, args.opts = args.opts[0], []
