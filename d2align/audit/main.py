"""The audit command: what it measures, prints, writes and returns."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence

from d2align.audit.arguments import add_arguments, check_arguments
from d2align.audit.card import (
    Card,
    audit_libraries,
    compare_cards,
    read_card,
    write_card,
)
from d2align.audit.dataset import audit_dataset
from d2align.audit.deviations import Deviation, judge, read_deviations
from d2align.audit.function import audit_function, load_function
from d2align.audit.lint import lint_source
from d2align.audit.markdown import conventions_page, write_page
from d2align.audit.onnx_graph import audit_onnx
from d2align.audit.pictures import pictures_page
from d2align.audit.pipeline.command import detectron2s_deviations, run_pipeline_audit
from d2align.audit.pipeline.table import report_pipeline
from d2align.audit.probes import KINDS
from d2align.audit.record import Finding
from d2align.audit.table import report_card, report_changes, report_judgement

__all__ = ["add_arguments", "main"]


def main(args: argparse.Namespace) -> int:
    """Run the command.

    Args:
        args: as ``add_arguments`` defines them.

    Returns:
        0 if all is fine; 1 if something is over the limit and not excused, an excuse is stale, or
        two cards differ.

    Raises:
        ValueError: bad arguments or files.
    """
    check_arguments(args)
    if args.compare is not None:
        return _compare(*args.compare)
    deviations = read_deviations(args.known_deviations) if args.known_deviations else []
    run = next(run for name, run in MODES.items() if getattr(args, name, None) is not None)
    card = run(args)
    if args.config_file is None:
        print(report_card(card))
    else:
        print(report_pipeline(card.findings))
        deviations += detectron2s_deviations(card.findings)
    _write(card, deviations, args)
    if args.fail_over is None:
        return 0
    judgement = judge(card.findings, args.fail_over, deviations)
    print(report_judgement(judgement, args.fail_over))
    return int(bool(judgement.failures or judgement.stale))


def _write(card: Card, deviations: Sequence[Deviation], args: argparse.Namespace) -> None:
    """Write what was asked for."""
    if args.json:
        write_card(card, args.json)
    if args.markdown:
        write_page(conventions_page(card, deviations), args.markdown)
    if args.pictures:
        write_page(pictures_page(card, deviations), args.pictures)


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
    "config_file": lambda args: of_findings(run_pipeline_audit(args)),
    "lint": lambda args: of_findings(lint_source(args.lint)),
}
