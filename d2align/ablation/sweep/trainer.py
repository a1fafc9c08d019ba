"""Train and evaluate one arm so that, stopped and resumed at any moment, it ends the same."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from detectron2.engine import HookBase, hooks
from detectron2.engine.train_loop import TrainerBase
from detectron2.utils import comm

from d2align.ablation.sweep.stream import ResumableTrainLoader
from d2align.atomic import write_text
from d2align.checkpoint import SafeCheckpointer
from d2align.data import PixelExactDatasetMapper
from d2align.engine import Trainer, run, setup

_REPLACED_HOOKS = (hooks.EvalHook, hooks.PeriodicCheckpointer)


class _Checkpointer(SafeCheckpointer):
    """A SafeCheckpointer that never names a checkpoint which is not whole."""

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        write_text(Path(self.save_dir) / "last_checkpoint", last_filename_basename)


class ArmTrainer(Trainer):
    """A Trainer whose every iteration depends on the seed, its number and the checkpoint only.

    Only the latest checkpoint is kept, and nothing is evaluated before the end.
    """

    checkpointer_class = _Checkpointer

    @classmethod
    def build_train_loader(cls, cfg: Any) -> ResumableTrainLoader:
        """Return batches that can be had from any iteration on."""
        return ResumableTrainLoader(cfg, PixelExactDatasetMapper(cfg, is_train=True))

    def build_hooks(self) -> list[HookBase]:
        """Return Detectron2's hooks, without evaluation, keeping one checkpoint."""
        built = [h for h in super().build_hooks() if not isinstance(h, _REPLACED_HOOKS)]
        if comm.is_main_process():
            period = self.cfg.SOLVER.CHECKPOINT_PERIOD
            built.append(hooks.PeriodicCheckpointer(self.checkpointer, period, max_to_keep=1))
        return built

    def resume_or_load(self, resume: bool = True) -> None:
        """Go on from the last checkpoint, if there is one, with the batch that comes next.

        Args:
            resume: as Detectron2's.
        """
        super().resume_or_load(resume=resume)
        self._trainer.data_loader.start = self.start_iter

    def train(self) -> None:
        """Train from ``start_iter`` to the end."""
        TrainerBase.train(self, self.start_iter, self.max_iter)


def run_arm(args: Namespace) -> None:
    """Train and evaluate, or evaluate only, in each process of an arm; the first one writes.

    Args:
        args: as for ``d2align.engine.run``, with ``imports`` (modules to import before) and
            ``measured`` (the JSON file to write: metrics, seconds, first_iteration).
    """
    import_modules(args.imports)
    started = time.perf_counter()
    if args.eval_only:
        first, trained = 0, started
        metrics = run(args)
    else:
        trainer = ArmTrainer(setup(args))
        trainer.resume_or_load()
        first = trainer.start_iter
        if first < trainer.max_iter:
            trainer.train()
        trained = time.perf_counter()
        metrics = _evaluate(trainer)
    if comm.is_main_process():
        seconds = {"train": trained - started, "evaluate": time.perf_counter() - trained}
        measured = {"metrics": metrics, "seconds": seconds, "first_iteration": first}
        write_text(Path(args.measured), json.dumps(measured))


def _evaluate(trainer: ArmTrainer) -> Any:
    results = Trainer.test(trainer.cfg, trainer.model)
    if trainer.cfg.TEST.AUG.ENABLED:
        results.update(Trainer.test_with_tta(trainer.cfg, trainer.model))
    return results


def import_modules(names: list[str]) -> None:
    """Import a user's own modules, which register data sets or components.

    Args:
        names: dotted names, or paths of .py files.

    Raises:
        ValueError: one cannot be found.
    """
    for name in names:
        if not name.endswith(".py"):
            try:
                importlib.import_module(name)
            except ModuleNotFoundError as e:
                raise ValueError(f"imports: got {name!r}, which cannot be imported: {e}") from None
            continue
        spec = importlib.util.spec_from_file_location(Path(name).stem, name)
        if spec is None or spec.loader is None or not Path(name).exists():
            raise ValueError(f"imports: got {name!r}, expected a module or an existing .py file")
        if spec.name not in sys.modules:
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module
            spec.loader.exec_module(module)
