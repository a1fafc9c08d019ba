"""The units of work of a study: each writes one file whole, and is skipped if it is there."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from d2align.ablation.crossover import Crossing, crossings
from d2align.ablation.study import REFERENCE, Arm, Study, finetunes

# Seconds of one core, roughly: they set the progress bar's pace, nothing else.
ITERATION_COST = 0.30
IMAGE_COST = 0.035
NULL_COST = 0.0018
_SEEDS = {"early": 0, "late": 100, "finetune": 200, "crossing": 300}
_ORDER_SEED = 50
_NULL_SEED = 1000


@dataclass(frozen=True)
class Task:
    """One file to make, and the files that it is made from.

    Attributes:
        kind: "early", "late", "finetune", "crossing", "detect", "replay" or "null".
        base: seed of the base; 0 for all of them.
        arm: the arm, or None for the reference.
        out: the file, relative to the study's folder.
        needs: files that must be there before.
        units: work, in iterations, images or draws.
        order: which order of batches, of a fine-tune or a crossing.
    """

    kind: str
    base: int
    arm: Arm | None
    out: str
    needs: tuple[str, ...]
    units: int
    order: int = 0

    @property
    def cost(self) -> float:
        """The work in rough seconds of one core."""
        per_unit = {"detect": IMAGE_COST, "replay": IMAGE_COST / 4, "null": NULL_COST}
        return self.units * per_unit.get(self.kind, ITERATION_COST)


def plan(study: Study) -> list[Task]:
    """Return the tasks of a study, in the order in which they should start.

    Args:
        study: what to compare.

    Returns:
        Tasks; each one's needs are made by tasks before it.
    """
    by_base = [_plan_base(study, base) for base in range(1, study.num_bases + 1)]
    # Two bases at a time with their cheap arms, so that first rows come early; then the rest.
    first: list[Task] = []
    for start in range(0, len(by_base), 2):
        pair = [t for tasks in by_base[start : start + 2] for t in tasks]
        first += [t for t in pair if t.arm is None and t.kind in ("early", "late")]
        first += [t for t in pair if t not in first and _is_cheap(t)]
    rest = [t for tasks in by_base for t in tasks if t not in first]
    return first + rest + _plan_nulls(study)


def _plan_nulls(study: Study) -> list[Task]:
    bases = range(1, study.num_bases + 1)
    needs = tuple(results_file(base, None) for base in bases)
    return [
        Task("null", 0, None, null_file(study, index), needs, study.num_bases * study.num_draws)
        for index in range(study.num_nulls)
    ]


def null_file(study: Study, index: int) -> str:
    """Return the file of a null comparison's difference."""
    return f"nulls/{study.num_bases}bases{study.num_draws}draws{index}.json"


def _is_cheap(task: Task) -> bool:
    return task.arm is None or task.arm.kind in ("replay", "inference")


def _plan_base(study: Study, base: int) -> list[Task]:
    early, final = f"base{base}/early.pth", f"base{base}/final.pth"
    tasks = [
        Task("early", base, None, early, (), study.early_iterations),
        Task("late", base, None, final, (early,), study.late_iterations),
    ]
    tasks += _plan_detections(study, base, None, final)
    for arm in study.arms:
        tasks += _plan_arm(study, base, arm, early, final)
    # Fine-tunes share their references, crossovers the crossing from aligned to aligned.
    return list(dict.fromkeys(tasks))


def _plan_arm(study: Study, base: int, arm: Arm, early: str, final: str) -> list[Task]:
    if arm.kind == "replay":
        raw = raw_file(base, None)
        out = results_file(base, arm)
        return [Task("replay", base, arm, out, (raw,), study.num_images)]
    if arm.kind == "inference":
        return _plan_detections(study, base, arm, final)
    weights = f"base{base}/{arm.name}.pth"
    if arm.kind == "crossover":
        branch = Task("late", base, arm, weights, (early,), study.late_iterations)
        pairs = [_plan_crossing(study, base, c) for pair in crossings(study, arm) for c in pair]
        return [branch, *(task for tasks in pairs for task in tasks)]
    ends = [(order, end) for order, *pair in finetunes(study, arm) for end in pair]
    return [task for order, end in ends for task in _plan_finetune(study, base, end, order, final)]


def _plan_finetune(study: Study, base: int, arm: Arm, order: int, final: str) -> list[Task]:
    weights, iterations = f"base{base}/{arm.name}.pth", study.finetune_iterations
    training = Task("finetune", base, arm, weights, (final,), iterations, order)
    return [training, *_plan_detections(study, base, arm, weights)]


def _plan_crossing(study: Study, base: int, crossing: Crossing) -> list[Task]:
    arm, iterations = crossing.arm, study.crossover_iterations
    start, weights = (f"base{base}/{name}.pth" for name in (crossing.start, arm.name))
    training = Task("crossing", base, arm, weights, (start,), iterations, crossing.order)
    return [training, *_plan_detections(study, base, arm, weights)]


def _plan_detections(study: Study, base: int, arm: Arm | None, weights: str) -> list[Task]:
    raw = raw_file(base, arm)
    return [
        Task("detect", base, arm, raw, (weights,), study.num_images),
        Task("replay", base, arm, results_file(base, arm), (raw,), study.num_images),
    ]


def raw_file(base: int, arm: Arm | None) -> str:
    """Return the file of an arm's raw detections; None is the reference."""
    return f"base{base}/{arm.name if arm else REFERENCE}.npz"


def results_file(base: int, arm: Arm | None) -> str:
    """Return the file of an arm's COCO results; None is the reference."""
    return f"base{base}/{arm.name if arm else REFERENCE}.json"


def run_task(
    task: Task, study: Study, config_file: str, root: str, report: Callable[[int], None]
) -> None:
    """Carry out one task.

    Args:
        task: what to make.
        study: its study.
        config_file: the aligned config.
        root: the study's folder.
        report: called with the units done since the last call.
    """
    logging.disable(logging.INFO)
    warnings.filterwarnings("ignore", module="torch")  # Detectron2 v0.5 on today's torch
    import torch

    from d2align.ablation.replay import replay
    from d2align.engine import load_config

    torch.set_num_threads(1)
    folder = Path(root)
    out = folder / task.out
    out.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.redirect_stdout(None):  # the tool itself has said what there is to say
        cfg = load_config(config_file, list(study.opts))
    if task.kind == "replay":
        replaying = task.arm is not None and task.arm.kind == "replay"
        paste = task.arm.value if replaying else "aligned"  # type: ignore[union-attr]
        replay(folder / task.needs[0], cfg.DATASETS.TEST[0], paste, out)
        report(task.units)
    elif task.kind == "null":
        from d2align.ablation.comparison import write_null

        write_null(study, folder, cfg.DATASETS.TEST[0], task.out)
        report(task.units)
    elif task.kind == "detect":
        _detect(task, cfg, folder, out, report)
    else:
        _train(task, study, cfg, folder, out, report)


def _train(
    task: Task, study: Study, cfg: Any, folder: Path, out: Path, report: Callable[[int], None]
) -> None:
    from d2align.ablation.training import train_arm

    _turn(cfg, task.arm)
    cfg.SOLVER.MAX_ITER = task.units
    cfg.SOLVER.STEPS = ()
    cfg.SOLVER.BASE_LR = study.learning_rate
    cfg.SOLVER.LR_SCHEDULER_NAME = "WarmupMultiStepLR"
    if task.kind != "early":
        cfg.SOLVER.WARMUP_ITERS = 0
    if task.kind in ("late", "crossing"):
        cfg.SOLVER.LR_SCHEDULER_NAME = "WarmupCosineLR"
    if task.kind == "crossing":
        cfg.SOLVER.BASE_LR = study.crossover_learning_rate
    if task.kind == "finetune":
        cfg.SOLVER.BASE_LR = study.finetune_learning_rate
    # No part sees the first batches of another again: that would set the reference apart from
    # a null arm, which does not.
    seed = task.base + _SEEDS[task.kind] + _ORDER_SEED * task.order
    if task.arm is not None and task.arm.factor == "null":
        seed += _NULL_SEED * task.arm.draw
    weights = folder / task.needs[0] if task.needs else None
    train_arm(cfg, seed, weights, out, report)


def _detect(task: Task, cfg: Any, folder: Path, out: Path, report: Callable[[int], None]) -> None:
    from d2align.ablation.replay import detect
    from d2align.ablation.training import load_weights
    from d2align.engine import Trainer

    _turn(cfg, task.arm)
    model = Trainer.build_model(cfg)
    load_weights(model, folder / task.needs[0])
    detect(cfg, model, task.units, out, report)


def _turn(cfg: Any, arm: Arm | None) -> None:
    from d2align.ablation.turning import turn
    from d2align.config import check_d2align_config

    turn(cfg, arm)
    check_d2align_config(cfg)
