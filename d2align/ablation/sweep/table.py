"""The final table: a function of the results alone, the same however they came about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

from d2align.ablation.sweep.grid import arm_choices
from d2align.ablation.sweep.statistics import SeedDelta, seed_delta

_TASKS = {"bbox": "box AP", "segm": "mask AP", "keypoints": "keypoint AP"}
_CAUTION = (
    "Differences to the arm `{reference}` of the same seed, in AP points; 95 % intervals of "
    "Student's t across seeds, which hold the chance of the training and not that of the images."
)
Result = dict[str, Any]


def markdown(content: dict[str, Any]) -> str:
    """Return the table of a sweep.

    Args:
        content: of results.json.

    Returns:
        A Markdown page that ends in a newline.
    """
    results, reference = sorted(content["results"], key=_order), content["reference"]
    lines = ["# Sweep", "", _CAUTION.format(reference=reference), ""]
    for group in sorted({_group(r) for r in results}):
        mine = [r for r in results if _group(r) == group]
        lines += [f"## {group[0]}", "", *group[1:], "", _summary(mine, reference), ""]
        lines += [_by_seed(mine, reference), ""]
    unfinished = content["unfinished"]
    if unfinished:
        lines += [f"Not finished ({len(unfinished)}): {', '.join(unfinished)}.", ""]
    return "\n".join(lines)


def _order(result: Result) -> tuple[Any, ...]:
    names = list(arm_choices())
    place = names.index(result["arm"]) if result["arm"] in names else len(names)
    return _group(result), place, result["arm"], result["seed"], result["weights"]


def _group(result: Result) -> tuple[str, str]:
    """What arms must have in common to be compared: everything but factors, seed and weights."""
    parts = ["Evaluation only" if result["eval_only"] else "Training and evaluation"]
    parts += [f"{result['num_gpus']} processes"] if result["num_gpus"] > 1 else []
    parts += [f"`{key} {value}`" for key, value in result["overrides"].items()]
    return result["config_file"], f"{', '.join(parts)}."


def _replicate(result: Result) -> tuple[int, str]:
    return result["seed"], result["weights"]


def _columns(results: Sequence[Result]) -> list[tuple[str, str]]:
    """(data set, task) of every AP, in the order of the tasks."""
    tasks = list(_TASKS)
    found = {(d, t) for r in results for d in r["metrics"] for t in r["metrics"][d]}
    return sorted(found, key=lambda c: (c[0], tasks.index(c[1]) if c[1] in tasks else 9, c[1]))


def _title(column: tuple[str, str], columns: Sequence[tuple[str, str]]) -> str:
    several = len({data_set for data_set, _ in columns}) > 1
    name = _TASKS.get(column[1], f"{column[1]} AP")
    return f"{column[0]} {name}" if several else name


def _ap(result: Result, column: tuple[str, str]) -> float | None:
    ap: float | None = result["metrics"].get(column[0], {}).get(column[1], {}).get("AP")
    return ap


def _deltas(
    arm: Sequence[Result], references: dict[tuple[int, str], Result], column: tuple[str, str]
) -> list[float | None]:
    """The difference of each result to its reference; None where one of them is missing."""
    deltas = []
    for result in arm:
        ap = _ap(result, column)
        other = references.get(_replicate(result))
        reference_ap = None if other is None else _ap(other, column)
        deltas.append(None if ap is None or reference_ap is None else ap - reference_ap)
    return deltas


def _summary(results: Sequence[Result], reference: str) -> str:
    columns = _columns(results)
    references = {_replicate(r): r for r in results if r["arm"] == reference}
    rows = []
    for name in dict.fromkeys(r["arm"] for r in results):
        arm = [r for r in results if r["arm"] == name]
        cells = [name, str(len(arm))]
        for column in columns:
            cells += [_mean(arm, column), _delta_cell(arm, references, column, name == reference)]
        rows.append(cells)
    header = ["arm", "runs"]
    header += [text for c in columns for text in (_title(c, columns), "difference")]
    return _table(rows, header)


def _mean(arm: Sequence[Result], column: tuple[str, str]) -> str:
    aps = [ap for ap in (_ap(r, column) for r in arm) if ap is not None]
    return f"{sum(aps) / len(aps):.2f}" if aps else "not defined"


def _delta_cell(
    arm: Sequence[Result],
    references: dict[tuple[int, str], Result],
    column: tuple[str, str],
    is_reference: bool,
) -> str:
    if is_reference:
        return ""
    paired = [d for d in _deltas(arm, references, column) if d is not None]
    if not paired:
        return "no reference"
    delta: SeedDelta = seed_delta(paired)
    missing = len(arm) - len(paired)
    return f"{delta}, {len(paired)} of {len(arm)} runs" if missing else str(delta)


def _by_seed(results: Sequence[Result], reference: str) -> str:
    columns = _columns(results)
    references = {_replicate(r): r for r in results if r["arm"] == reference}
    with_weights = len({r["weights"] for r in results}) > 1
    rows = []
    for result in results:
        cells = [result["arm"], str(result["seed"])]
        cells += [result["weights"]] if with_weights else []
        for column in columns:
            ap = _ap(result, column)
            (delta,) = _deltas([result], references, column)
            is_reference = result["arm"] == reference
            cells.append("not defined" if ap is None else f"{ap:.2f}")
            cells.append("" if delta is None or is_reference else f"{delta:+.2f}")
        rows.append(cells)
    header = ["arm", "seed"] + (["weights"] if with_weights else [])
    header += [text for c in columns for text in (_title(c, columns), "difference")]
    return _table(rows, header)


def _table(rows: list[list[str]], header: list[str]) -> str:
    return tabulate(rows, header, tablefmt="github", disable_numparse=True)
