"""The audit command: its arguments, and what it prints and returns."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence

from d2align.audit.card import (
    Card,
    audit_libraries,
    compare_cards,
    read_card,
    write_card,
)
from d2align.audit.dataset import audit_dataset
from d2align.audit.deviations import judge, read_deviations
from d2align.audit.function import audit_function, load_function
from d2align.audit.libraries import ADAPTERS
from d2align.audit.lint import lint_source
from d2align.audit.markdown import conventions_page, write_page
from d2align.audit.onnx_graph import audit_onnx
from d2align.audit.probes import KINDS
from d2align.audit.record import Finding
from d2align.audit.table import report_card, report_changes, report_judgement

EPILOG = """\
exit codes: 0 fine; 1 something is over --fail-over and not excused, an excuse is stale, or two
cards differ; 2 bad input

  d2align audit --function my_project.transforms:resize --kind resize --fail-over 0.1
  d2align audit --libraries opencv torch --json card.json
  d2align audit --compare before.json after.json
  d2align audit --dataset instances_train2017.json
  d2align audit --onnx model.onnx
  d2align audit --lint my_project --fail-over 0.1

kinds: {kinds}
libraries: {libraries}
The contract of each kind is in the file of its name under d2align/audit/probes.
""".format(kinds=", ".join(KINDS), libraries=", ".join(ADAPTERS))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to a parser.

    Args:
        parser: of the command.
    """
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--libraries", nargs="*", metavar="NAME", help="installed libraries; all without a name"
    )
    what.add_argument("--function", metavar="MODULE:NAME", help="a function of your own")
    what.add_argument(
        "--compare", nargs=2, metavar=("OLD", "NEW"), help="what differs between two cards"
    )
    what.add_argument("--dataset", metavar="JSON", help="a data set in COCO format")
    what.add_argument("--onnx", metavar="FILE", help="an exported model")
    what.add_argument("--lint", nargs="+", metavar="PATH", help="Python source, files or folders")
    parser.add_argument("--kind", metavar="KIND", help="what the function does")
    parser.add_argument("--json", metavar="FILE", help="write what was found, as a card")
    parser.add_argument("--markdown", metavar="FILE", help="write it as a page")
    parser.add_argument("--fail-over", type=float, metavar="PIXELS", help="the largest error")
    parser.add_argument("--known-deviations", metavar="FILE", help="excuses, as TOML")


def main(args: argparse.Namespace) -> int:
    """Run the command.

    Args:
        args: as ``add_arguments`` defines them.

    Returns:
        The exit code; see EPILOG.

    Raises:
        ValueError: bad arguments or files.
    """
    _check(args)
    if args.compare is not None:
        return _compare(*args.compare)
    run = next(run for name, run in MODES.items() if getattr(args, name, None) is not None)
    card = run(args)
    print(report_card(card))
    deviations = read_deviations(args.known_deviations) if args.known_deviations else []
    if args.json:
        write_card(card, args.json)
    if args.markdown:
        write_page(conventions_page(card, deviations), args.markdown)
    if args.fail_over is None:
        return 0
    judgement = judge(card.findings, args.fail_over, deviations)
    print(report_judgement(judgement, args.fail_over))
    return int(bool(judgement.failures or judgement.stale))


def _check(args: argparse.Namespace) -> None:
    if (args.function is None) != (args.kind is None):
        raise ValueError("--function, --kind: expected both or neither")
    if args.fail_over is not None and not args.fail_over >= 0:
        raise ValueError(f"--fail-over: got {args.fail_over}, expected pixels, at least 0")
    if args.known_deviations and args.fail_over is None and not args.markdown:
        raise ValueError("--known-deviations: has no effect without --fail-over PIXELS")


def _compare(old: str, new: str) -> int:
    before, after = read_card(old), read_card(new)
    changes = compare_cards(before, after)
    print(report_changes(changes, before, after))
    return int(bool(changes))


def _libraries(args: argparse.Namespace) -> Card:
    return audit_libraries(args.libraries, processes=min(2, os.cpu_count() or 1))


def _function(args: argparse.Namespace) -> Card:
    if args.kind not in KINDS:
        raise ValueError(f"--kind: got {args.kind!r}, expected one of {', '.join(KINDS)}")
    fn = load_function(args.function)
    return of_findings([audit_function(fn, args.kind, subject=args.function)])


def of_findings(findings: Sequence[Finding]) -> Card:
    """Return the card of findings that are about no library."""
    return Card({}, findings, {})


# What is audited, by the argument that asks for it.
MODES: dict[str, Callable[[argparse.Namespace], Card]] = {
    "libraries": _libraries,
    "function": _function,
    "dataset": lambda args: of_findings(audit_dataset(args.dataset)),
    "onnx": lambda args: of_findings(audit_onnx(args.onnx)),
    "lint": lambda args: of_findings(lint_source(args.lint)),
}
