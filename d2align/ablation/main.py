"""The whole of an ablation study: data, tasks, table."""

from __future__ import annotations

import time
from pathlib import Path

from d2align.ablation import report
from d2align.ablation.comparison import Comparison, Row, read_nulls
from d2align.ablation.runner import run_study
from d2align.ablation.study import Study
from d2align.ablation.tasks import Task
from d2align.data.shapes import SPECS, generate_shapes, shapes_paths
from d2align.engine import load_config


def run_ablation(study: Study, config_file: str, root: Path, workers: int) -> list[list[Row]]:
    """Run a study, print its rows as they come, and write its report.

    Args:
        study: what to compare.
        config_file: the aligned config, of a built-in data set.
        root: the folder of all files.
        workers: processes.

    Returns:
        The rows of each arm, as in the table.

    Raises:
        ValueError: bad settings.
        RuntimeError: a part failed; what is done is kept.
    """
    started = time.monotonic()
    ground_truth = _prepare_data(config_file, study)
    timings = {"data": time.monotonic() - started}
    comparison = Comparison(study, root, ground_truth)
    table: dict[str, list[Row]] = {}
    bases: dict[str, tuple[int, ...]] = {}

    def announce(task: Task) -> str | None:
        lines = []
        for arm in study.arms:
            ready = comparison.ready_bases(arm)
            if ready == bases.get(arm.name, ()):
                continue
            bases[arm.name] = ready
            table[arm.name] = comparison.rows(arm, ready)
            seconds = time.monotonic() - started
            timings.setdefault("first row", seconds)
            cells = report.table_row(table[arm.name])
            so_far = f"{len(ready)} of {study.num_bases} bases"
            lines.append(
                f"[{seconds / 60:4.1f} min] {cells[0]} {cells[1]} ({so_far}): "
                f"box {cells[3]}, mask {cells[4]}"
            )
        return "\n".join(lines) or None

    run_study(study, config_file, root, workers, announce)
    nulls = read_nulls(study, root)
    timings["all"] = time.monotonic() - started
    rows = [table[arm.name] for arm in study.arms]
    print(report.terminal(study, rows, nulls))
    for path in report.save(study, rows, nulls, root, timings):
        print(f"wrote {path}")
    print("seconds: " + ", ".join(f"{name} {value:.0f}" for name, value in timings.items()))
    return rows


def _prepare_data(config_file: str, study: Study) -> str:
    cfg = load_config(config_file, list(study.opts))
    names = (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST)
    for name in names:
        if name not in SPECS:
            raise ValueError(f"--config-file: its data set {name!r} is not one of {list(SPECS)}")
        generate_shapes(name)
    return str(shapes_paths(cfg.DATASETS.TEST[0]).json_file)
