#!/usr/bin/env python
"""Run every speed benchmark, each in a process of its own; write JSON, a table and two pictures.

    python benchmarks/run.py                          a quarter of an hour of one core
    python benchmarks/run.py --quick --only rle paste a first look
    python benchmarks/run.py --update-readme          and the table goes into benchmarks/README.md

Ratios are the peer's CPU time over d2align's, measured in turns (A B, B A, ...) in one process, so
that a machine whose speed drifts changes both. Below 1 is a loss, and is shown as well.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _report import draw_curves, draw_ratios, environment_line, put_into_readme, table

HERE = Path(__file__).resolve().parent
BENCHMARKS = (
    "byte_identity",
    "rle",
    "paste",
    "roi_align",
    "coco_evaluation",
    "train_step",
    "gpu",
)
_CHILD = (
    "import importlib, json, sys; "
    "sys.path.insert(0, sys.argv[1]); "
    "found = importlib.import_module(sys.argv[2]).measure(sys.argv[3] == 'quick'); "
    "open(sys.argv[4], 'w').write(json.dumps(found))"
)


def main() -> int:
    """Run, and write results.json, table.md, ratios.png and curves.png."""
    args = parse()
    args.output.mkdir(parents=True, exist_ok=True)
    results = {}
    for name in args.only:
        started = time.monotonic()
        print(f"{name} ...", flush=True)
        found = run_one(name, args.quick, args.output)
        if found is None:
            print(f"{name} failed: see {args.output / f'{name}.log'}")
            continue
        results[name] = found
        print(table([found]), f"({time.monotonic() - started:.0f} s)\n", flush=True)
    save(results, args.output)
    complete = set(results) == set(BENCHMARKS) and not args.quick
    if args.update_readme and not complete:
        print("benchmarks/README.md stays as it is: it takes a full run in which none failed")
        return 1
    if args.update_readme:
        put_into_readme(HERE / "README.md", (args.output / "table.md").read_text())
        print(f"wrote {HERE / 'README.md'}")
    return 0 if len(results) == len(args.only) else 1


def parse() -> argparse.Namespace:
    """Return the parsed command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and sizes")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS))
    parser.add_argument("--output", type=Path, default=Path("output/benchmarks"), help="folder")
    parser.add_argument(
        "--update-readme", action="store_true", help="put the table into benchmarks/README.md"
    )
    return parser.parse_args()


def run_one(name: str, quick: bool, output: Path) -> dict[str, Any] | None:
    """Run one benchmark in a fresh process with one thread.

    Args:
        name: one of ``BENCHMARKS``.
        quick: as the command line has it.
        output: folder of its log and result.

    Returns:
        What its ``measure`` returned, or None if it failed.
    """
    out, log = output / f"{name}.json", output / f"{name}.log"
    out.unlink(missing_ok=True)
    command = [sys.executable, "-c", _CHILD, str(HERE), name, "quick" if quick else "all", str(out)]
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    with open(log, "w") as file:
        done = subprocess.run(command, stdout=file, stderr=file, env=environment, check=False)
    return json.loads(out.read_text()) if done.returncode == 0 else None


def save(results: dict[str, Any], output: Path) -> None:
    """Write what was measured, with what it was measured on.

    Args:
        results: by benchmark.
        output: folder.
    """
    from _timing import environment

    found: Sequence[dict[str, Any]] = list(results.values())
    content = {"environment": environment(), "benchmarks": results}
    (output / "results.json").write_text(json.dumps(content, indent=1) + "\n")
    line = environment_line(content["environment"])
    (output / "table.md").write_text(f"{line}\n\n{table(found)}\n")
    draw_ratios(found, output / "ratios.png")
    draw_curves([c for one in found for c in one.get("curves", ())], output / "curves.png")
    print(f"wrote results.json, table.md, ratios.png and curves.png in {output}")


if __name__ == "__main__":
    sys.exit(main())
