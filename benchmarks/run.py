#!/usr/bin/env python
"""Run every speed benchmark, each in a process of its own, and draw the ratios as one picture.

    python benchmarks/run.py --output output/benchmarks            some minutes a benchmark
    python benchmarks/run.py --quick --only rle paste              a first look

Ratios are the peer's CPU time over d2align's, measured in turns (A B, B A, ...) in one process, so
that a machine whose speed drifts changes both. Below 1 is a loss, and is shown as well.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BENCHMARKS = ("rle", "paste", "roi_align", "coco_evaluation", "train_step")
_WIN, _LOSS = "#1f5fa8", "#c2571a"
_CHILD = (
    "import importlib, json, sys; "
    "sys.path.insert(0, sys.argv[1]); "
    "found = importlib.import_module(sys.argv[2]).measure(sys.argv[3] == 'quick'); "
    "open(sys.argv[4], 'w').write(json.dumps(found))"
)


def main() -> int:
    """Run, write results.json, table.md and ratios.png."""
    args = parse()
    args.output.mkdir(parents=True, exist_ok=True)
    results = {}
    for name in args.only:
        print(f"{name} ...", flush=True)
        found = run_one(name, args.quick, args.output)
        if found is None:
            print(f"{name} failed: see {args.output / f'{name}.log'}")
            continue
        results[name] = found
        print(table([found]), flush=True)
    save(results, args.output)
    return 0 if len(results) == len(args.only) else 1


def parse() -> argparse.Namespace:
    """Return the parsed command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and sizes")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS))
    parser.add_argument("--output", type=Path, default=Path("output/benchmarks"), help="folder")
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

    content = {"environment": environment(), "benchmarks": results}
    (output / "results.json").write_text(json.dumps(content, indent=1))
    (output / "table.md").write_text(table(list(results.values())) + "\n")
    draw([row for found in results.values() for row in found["rows"]], output / "ratios.png")
    print(f"wrote {output / 'results.json'}, table.md and ratios.png")


def table(found: Sequence[dict[str, Any]]) -> str:
    """Return the ratios as Markdown.

    Args:
        found: what the benchmarks returned.

    Returns:
        A table for each.
    """
    parts = []
    for one in found:
        rows = [
            f"| {r['name']} | {r['ratio']:.2f} [{r['low']:.2f}, {r['high']:.2f}] | "
            f"{r['ours_ms']:.4g} | {r['peer_ms']:.4g} |"
            for r in one["rows"]
        ]
        head = "| what | times faster [5th, 95th percentile] | d2align, ms | peer, ms |"
        parts.append("\n".join([f"### {one['title']}", "", head, "|---|---|---|---|", *rows, ""]))
    return "\n".join(parts)


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw the ratios on a logarithmic scale, losses in another colour.

    Args:
        rows: name, ratio, low and high.
        path: of the PNG.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.0 + 0.27 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for y, row in enumerate(rows):
        colour = _WIN if row["ratio"] >= 1 else _LOSS
        axes.plot([row["low"], row["high"]], [y, y], color=colour, lw=3, alpha=0.4)
        axes.plot(row["ratio"], y, "o", color=colour, ms=5)
        axes.annotate(f"{row['ratio']:.3g}", (row["high"], y), (6, 0), textcoords="offset points",
                      va="center", fontsize=8)  # fmt: skip
    axes.axvline(1, color="#444444", lw=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("times faster than the peer (CPU time, log scale; left of the line is a loss)")
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    axes.margins(y=0.01)
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    sys.exit(main())
