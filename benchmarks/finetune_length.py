#!/usr/bin/env python
"""How long must a fine-tune be? The flip's price against the length.

    tools/run_ablation.py --full --output output/full      # the bases
    python benchmarks/finetune_length.py --study output/full --output output/finetune_length

From each base of a finished study the aligned reference and Detectron's flip are fine-tuned for
each length. Too short, and the detail has not been learnt; too long, and time is lost in which
more bases could be had. Writes table.md and finetune_length.png; stopped, it goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from d2align.ablation.comparison import METRICS, Comparison, Row
from d2align.ablation.runner import run_study
from d2align.ablation.study import QUICK_ARMS, REFERENCE_FINETUNE, Study

CONFIG = Path(__file__).resolve().parents[1] / "configs" / "shapes" / "ablation_aligned.yaml"
LENGTHS = (25, 50, 100, 200)
(FLIP,) = (arm for arm in QUICK_ARMS if arm.name == "flip_detectron1")
BASE_FILES = ("early.pth", "final.pth", "reference.npz", "reference.json")


def main() -> int:
    """Train, compare, write."""
    args = parse()
    studies = [replace(study_of(args), finetune_iterations=n) for n in args.lengths]
    rows = {}
    for study in studies:
        folder = args.output / f"{study.finetune_iterations}"
        link_bases(args.study, folder, study)
        print(f"{study.finetune_iterations} iterations", flush=True)
        run_study(study, str(CONFIG), folder, args.workers)
        rows[study.finetune_iterations] = compare(study, folder)
    text = table(rows)
    (args.output / "table.md").write_text(text + "\n")
    draw(rows, args.output / "finetune_length.png")
    print(text)
    return 0


def parse() -> argparse.Namespace:
    """Return the parsed command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--study", type=Path, required=True, help="folder of a finished study")
    parser.add_argument("--output", type=Path, default=Path("output/finetune_length"))
    parser.add_argument("--lengths", type=int, nargs="+", default=list(LENGTHS), help="iterations")
    parser.add_argument("--bases", type=int, help="the first so many (default all)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


def study_of(args: argparse.Namespace) -> Study:
    """Return a study of the fine-tuned arms on all bases of a folder."""
    bases = args.bases or len(list(args.study.glob("base*/final.pth")))
    if bases < 2:
        sys.exit(f"--study: got {args.study} with {bases} bases, expected at least 2")
    return Study(arms=(FLIP,), num_bases=bases, num_draws=500, num_nulls=0)


def link_bases(source: Path, folder: Path, study: Study) -> None:
    """Give a folder the bases of another study, and its fine-tunes of the same length."""
    lengths = json.loads((source / "study.json").read_text())["finetune_iterations"]
    names = list(BASE_FILES)
    if lengths == study.finetune_iterations:
        arms = (REFERENCE_FINETUNE, FLIP)
        names += [f"{arm.name}.{end}" for arm in arms for end in ("pth", "npz", "json")]
    for base in range(1, study.num_bases + 1):
        place = folder / f"base{base}"
        place.mkdir(parents=True, exist_ok=True)
        for name in names:
            made = source / f"base{base}" / name
            if made.exists() and not (place / name).exists():
                os.link(made, place / name)


def compare(study: Study, folder: Path) -> list[Row]:
    """Return the differences of each arm, in box and mask AP."""
    from d2align.data.shapes import shapes_paths
    from d2align.engine import load_config

    dataset = load_config(str(CONFIG)).DATASETS.TEST[0]
    comparison = Comparison(study, folder, str(shapes_paths(dataset).json_file))
    bases = range(1, study.num_bases + 1)
    return [row for arm in study.arms for row in comparison.rows(arm, bases)]


def table(rows: dict[int, list[Row]]) -> str:
    """Return all differences as Markdown."""
    lines = ["| iterations | arm | difference | of each base |", "|---|---|---|---|"]
    for length, found in rows.items():
        for row in found:
            d = row.delta
            bases = " ".join(f"{b:+.2f}" for b in d.base_deltas)
            interval = f"{d.delta:+.2f} [{d.low:+.2f}, {d.high:+.2f}]"
            lines.append(
                f"| {length} | {row.arm.name} | {METRICS[row.metric]} | {interval} | {bases} |"
            )
    return "\n".join(lines)


def draw(rows: dict[int, list[Row]], path: Path) -> None:
    """Draw the differences against the length."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    for metric, colour in (("segm", "#c2571a"), ("bbox", "#1f5fa8")):
        deltas = [next(r.delta for r in found if r.metric == metric) for found in rows.values()]
        axes.plot(list(rows), [d.delta for d in deltas], "o-", color=colour, label=METRICS[metric])
        lows, highs = [d.low for d in deltas], [d.high for d in deltas]
        axes.fill_between(list(rows), lows, highs, color=colour, alpha=0.2, lw=0)
    axes.axhline(0, color="#444444", lw=1)
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(rows), [str(length) for length in rows])
    axes.set_xlabel("iterations of the fine-tune")
    axes.set_ylabel("price of Detectron's flip, with its 95 % interval")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    sys.exit(main())
