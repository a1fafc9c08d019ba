"""The whole of an ablation study: data, tasks, table, report."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detectron2.data import MetadataCatalog
from tqdm import tqdm

from d2align.ablation import report
from d2align.ablation.comparison import Comparison, Row, read_nulls
from d2align.ablation.report.diffs import config_diff
from d2align.ablation.report.headline import headline_row
from d2align.ablation.runner import run_study
from d2align.ablation.study import FULL_ARMS, QUICK_ARMS, Study
from d2align.ablation.tasks import Task
from d2align.data.shapes import SPECS, shapes_paths
from d2align.data.shapes.register import ENCODED, prepare_shapes
from d2align.engine import load_config

_LEAD = (
    "AP differences to the all-aligned reference, with 95 % intervals over images and bases.",
    "The built-in data's objects are smaller than COCO's (box sides of 12, 20 and 42 px at the "
    "10th, 50th and 90th percentile), so a pixel weighs more: signs carry over to COCO, magnitudes "
    "do not.",
)
# Half a pixel on every edge costs well over this on the built-in data; see docs/results/.
_MARGIN = 1.0


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
    cfg = load_config(config_file, list(study.opts))
    _check_masks(study, cfg)
    comparison = Comparison(study, root, _prepare_data(cfg))
    timings = {"data": time.monotonic() - started}
    table = _Rows(study, comparison, started, timings)
    run_study(study, config_file, root, workers, table.announce)
    timings["trainings and rows"] = time.monotonic() - started
    outcome = report.Outcome(
        title="What each pixel convention costs, on the built-in data",
        lead=_LEAD,
        rows=[table.rows[arm.name] for arm in study.arms],
        pairs=lambda arm: comparison.files(arm, table.bases[arm.name]),
        dataset=comparison.dataset,
        image_root=Path(MetadataCatalog.get(cfg.DATASETS.TEST[0]).image_root),
        config_diffs={arm.name: config_diff(cfg, arm) for arm in study.arms},
        command=_command(study, config_file),
        settings={**study.settings(), "bases": study.num_bases, "draws": study.num_draws},
        nulls=read_nulls(study, root),
        seconds=timings,
        margin=_MARGIN,
    )
    print(report.terminal(outcome))
    _save(outcome, root)
    print(f"seconds: {time.monotonic() - started:.0f}")
    return list(outcome.rows)  # type: ignore[arg-type]


class _Rows:
    """The rows so far: made again as each base's files come, and told in one line."""

    def __init__(
        self, study: Study, comparison: Comparison, started: float, timings: dict[str, float]
    ) -> None:
        self.study, self.comparison = study, comparison
        self.started, self.timings = started, timings
        self.rows: dict[str, list[Row]] = {}
        self.bases: dict[str, tuple[int, ...]] = {}

    def announce(self, task: Task) -> str | None:
        """Return the lines of the arms that have one more base now."""
        lines = []
        for arm in self.study.arms:
            ready = self.comparison.ready_bases(arm)
            if ready == self.bases.get(arm.name, ()):
                continue
            self.bases[arm.name] = ready
            self.rows[arm.name] = self.comparison.rows(arm, ready)
            lines.append(self._line(self.rows[arm.name], len(ready)))
        return "\n".join(lines) or None

    def _line(self, rows: Sequence[Row], bases: int) -> str:
        seconds = time.monotonic() - self.started
        self.timings.setdefault("first row", seconds)
        cells = headline_row(rows)
        so_far = f"{bases} of {self.study.num_bases} bases"
        return (
            f"[{seconds / 60:4.1f} min] {cells[0]} {cells[1]} ({so_far}): "
            f"box {cells[3]}, mask {cells[4]}"
        )


def _save(outcome: report.Outcome, root: Path) -> None:
    with tqdm(total=5, desc="report", bar_format="{desc} |{bar}| {n}/{total}{postfix}") as bar:

        def progress(part: str) -> None:
            bar.set_postfix_str(part)
            bar.update()

        files = report.save(outcome, root, progress)
    for path in files[:3]:
        print(f"wrote {path}")


def _command(study: Study, config_file: str) -> str:
    parts = ["tools/run_ablation.py", "--config-file", _from_configs(Path(config_file))]
    full = any(arm.kind == "crossover" for arm in study.arms)
    parts += ["--full"] if full else []
    if study.arms not in (QUICK_ARMS, FULL_ARMS):
        parts += ["--arms", ",".join(arm.name for arm in study.arms)]
    parts += ["--bases", study.num_bases, "--images", study.num_images]
    parts += ["--iterations", study.early_iterations + study.late_iterations]
    parts += ["--finetune-iterations", study.finetune_iterations, *study.opts]
    return shlex.join(str(part) for part in parts)


def _from_configs(path: Path) -> Path:
    """The path from its last folder "configs" on, as in every checkout; or as it is."""
    if "configs" not in path.parts:
        return path
    start = len(path.parts) - 1 - path.parts[::-1].index("configs")
    return Path(*path.parts[start:])


def _check_masks(study: Study, cfg: Any) -> None:
    if any(arm.factor == "mask_resize" for arm in study.arms):
        others = [name for name in cfg.DATASETS.TRAIN if name not in ENCODED]
        if others:
            raise ValueError(
                f"--arms: got mask_resize_unbiased, which has no effect on the polygons of "
                f"{others}; add DATASETS.TRAIN \"('shapes_128_rle_train',)\""
            )


def _prepare_data(cfg: Any) -> str:
    names = (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST)
    for name in names:
        if name not in SPECS and name not in ENCODED:
            known = [*SPECS, *ENCODED]
            raise ValueError(f"--config-file: its data set {name!r} is not one of {known}")
    prepare_shapes(names)
    return str(shapes_paths(cfg.DATASETS.TEST[0]).json_file)
