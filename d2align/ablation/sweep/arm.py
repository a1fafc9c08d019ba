"""The process of one arm: python -m d2align.ablation.sweep.arm ARM_FOLDER ATTEMPT_FOLDER."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from d2align.ablation.sweep.ledger import ArmFolder, Attempt
from d2align.ablation.sweep.processes import end_with_parent


def main(arm_path: str, attempt_path: str, run: Callable[[Namespace], None] | None = None) -> None:
    """Train and evaluate an arm, and write its result.

    A program of your own, for a trainer of your own, is a module that calls this with its
    ``run``; a sweep takes it as ``program=my_project.my_arm``.

    Args:
        arm_path: the arm's folder.
        attempt_path: the attempt's folder.
        run: carries out the arm in each of its processes, as ``trainer.run_arm`` does.
    """
    arm, attempt = ArmFolder(Path(arm_path)), Attempt(Path(attempt_path))
    end_with_parent(attempt.claim()["pid"])
    # Late, since these take seconds, in which the parent may have been killed already.
    from d2align.ablation.sweep.environment import code_version, environment
    from d2align.ablation.sweep.results import write_result
    from d2align.ablation.sweep.trainer import import_modules, run_arm
    from d2align.engine import launch, load_config

    args = _arguments(arm, attempt.folder / "measured.json")
    import_modules(args.imports)
    launch(run or run_arm, args)
    cfg = load_config(args.config_file, args.opts)
    made_with = {"code": code_version(), "environment": environment(cfg.MODEL.DEVICE)}
    test_sets = list(cfg.DATASETS.TEST)
    write_result(arm, attempt, json.loads(Path(args.measured).read_text()), test_sets, made_with)
    for checkpoint in arm.train.glob("model_[0-9]*.pth"):
        checkpoint.unlink()  # model_final.pth is kept


def _arguments(arm: ArmFolder, measured: Path) -> Namespace:
    """What Detectron2's own command line would give."""
    from d2align.engine import find_config

    description = arm.description()
    return Namespace(
        config_file=find_config(description["config_file"]),
        opts=[*description["opts"], "OUTPUT_DIR", str(arm.train)],
        eval_only=description["eval_only"],
        resume=True,
        num_gpus=description["num_gpus"],
        num_machines=1,
        machine_rank=0,
        dist_url="auto",
        imports=description["imports"],
        measured=str(measured),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
