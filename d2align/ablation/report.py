"""A study's outcome as text, Markdown, JSON and a picture."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from d2align import __version__
from d2align.ablation.atomic import replacing, write_text
from d2align.ablation.comparison import METRICS, Row, misses
from d2align.ablation.study import Study
from d2align.evaluation.bootstrap import PairedDelta

HEADER = ("detail", "turned to", "how", "box AP", "mask AP", "verdict", "article (COCO)")
_CAUTION = (
    "AP differences to the all-aligned reference, with 95 % intervals over images and bases. The "
    "built-in data's objects are smaller than COCO's (box sides of 12, 20 and 42 px at the 10th, "
    "50th and 90th percentile), so a pixel weighs more: signs carry over to COCO, magnitudes do "
    "not."
)


def format_delta(delta: PairedDelta) -> str:
    """Return a difference with its interval, in AP points.

    Args:
        delta: a paired difference.

    Returns:
        Such as "-1.67 [-2.00, -1.34]".
    """
    if delta.low == delta.high == 0:
        return "0 (the same boxes)"
    return f"{delta.delta:+.2f} [{delta.low:+.2f}, {delta.high:+.2f}]"


def table_row(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return the cells of one arm's row.

    Args:
        rows: the arm's box and mask row.

    Returns:
        As many strings as ``HEADER``.
    """
    box, mask = rows
    arm = box.arm
    verdicts = f"{box.verdict} / {mask.verdict}" if box.verdict != mask.verdict else box.verdict
    cells = (arm.factor, arm.value, arm.note, format_delta(box.delta), format_delta(mask.delta))
    return (*cells, verdicts, box.reported)


def markdown(study: Study, table: Sequence[Sequence[Row]], nulls: Sequence[PairedDelta]) -> str:
    """Return the report in Markdown.

    Args:
        study: the study.
        table: the rows of each arm.
        nulls: the null differences.

    Returns:
        A page.
    """
    head = "| " + " | ".join(HEADER) + " |"
    rule = "|" + "---|" * len(HEADER)
    body = ["| " + " | ".join(table_row(rows)) + " |" for rows in table]
    lines = ["# What each pixel convention costs", "", _CAUTION, "", head, rule, *body, ""]
    return "\n".join([*lines, *_footnotes(study, table, nulls), ""])


def terminal(study: Study, table: Sequence[Sequence[Row]], nulls: Sequence[PairedDelta]) -> str:
    """Return the report as plain text, columns aligned.

    Args:
        study: the study.
        table: the rows of each arm.
        nulls: the null differences.

    Returns:
        Text.
    """
    cells = [HEADER, *(table_row(rows) for rows in table)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(HEADER))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in cells]
    lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(["", _CAUTION, "", *lines, "", *_footnotes(study, table, nulls)])


def _footnotes(
    study: Study, table: Sequence[Sequence[Row]], nulls: Sequence[PairedDelta]
) -> list[str]:
    notes = []
    if table:
        reference = [row.delta.reference_ap for row in table[0]]
        notes.append(
            f"Reference: box AP {reference[0]:.1f}, mask AP {reference[1]:.1f}, mean of "
            f"{study.num_bases} bases of {study.early_iterations + study.late_iterations} "
            f"iterations, on {study.num_images} images."
        )
    if nulls:
        expected = (1 - nulls[0].confidence) * len(nulls)
        notes.append(
            f"Nulls: of {len(nulls)} comparisons of equal random jitters, {misses(nulls)} "
            f"intervals leave out 0; {expected:.0f} are expected at {nulls[0].confidence:.0%}."
        )
    return notes


def save(
    study: Study,
    table: Sequence[Sequence[Row]],
    nulls: Sequence[PairedDelta],
    root: Path,
    timings: dict[str, float],
) -> list[Path]:
    """Write table.md, results.json and deltas.png.

    Args:
        study: the study.
        table: the rows of each arm.
        nulls: the null differences.
        root: the folder.
        timings: seconds, by what took them.

    Returns:
        The files.
    """
    content = {
        "study": json.loads(json.dumps(asdict(study))),
        "rows": [_as_json(row) for rows in table for row in rows],
        "nulls": {"count": len(nulls), "misses": misses(nulls), "deltas": [n.delta for n in nulls]},
        "environment": _environment(),
        "seconds": timings,
    }
    paths = [root / "table.md", root / "results.json", root / "deltas.png"]
    write_text(paths[0], markdown(study, table, nulls))
    write_text(paths[1], json.dumps(content, indent=1))
    with replacing(paths[2]) as partial:
        draw(table, partial)
    return paths


def _as_json(row: Row) -> dict[str, Any]:
    cells = {"metric": METRICS[row.metric], "verdict": row.verdict, "reported": row.reported}
    return {**asdict(row.arm), **cells, **asdict(row.delta)}


def _environment() -> dict[str, str]:
    import detectron2
    import numpy
    import torch
    import torchvision

    modules = {"torch": torch, "torchvision": torchvision, "numpy": numpy, "detectron2": detectron2}
    versions = {name: str(module.__version__) for name, module in modules.items()}
    return {"d2align": __version__, "python": platform.python_version(), **versions}


def draw(table: Sequence[Sequence[Row]], path: Path) -> None:
    """Draw each arm's differences with their intervals, and each base as a dot.

    Args:
        table: the rows of each arm.
        path: of a PNG.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.62 * len(table)), layout="constrained")
    colours = {"bbox": "#1f5fa8", "segm": "#c2571a"}
    for i, rows in enumerate(table):
        for row, shift in zip(rows, (-0.14, 0.14), strict=True):
            y, colour = i + shift, colours[row.metric]
            label = METRICS[row.metric] if i == 0 else None
            axes.plot([row.delta.low, row.delta.high], [y, y], color=colour, lw=2.5)
            axes.plot(row.delta.delta, y, "o", color=colour, ms=6, label=label)
            bases = row.delta.base_deltas
            axes.plot(bases, [y] * len(bases), "|", color=colour, ms=9, alpha=0.7)
    axes.axvline(0, color="black", lw=0.8)
    labels = [f"{rows[0].arm.factor}\n{rows[0].arm.value}" for rows in table]
    axes.set_yticks(range(len(table)), labels)
    axes.invert_yaxis()
    axes.set_xlabel("AP difference to the all-aligned reference (95 % interval; | each base)")
    axes.set_title("The price of each pixel convention, on the built-in data")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="best", frameon=False)
    figure.savefig(path, dpi=130, format="png")
    plt.close(figure)
