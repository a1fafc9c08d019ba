"""Train and evaluate what a LazyConfig file instantiates."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import torch
from detectron2.config import LazyConfig, instantiate
from detectron2.engine import SimpleTrainer, default_setup, default_writers, hooks
from detectron2.engine.defaults import create_ddp_model
from detectron2.evaluation import inference_on_dataset, print_csv_format
from detectron2.utils import comm

from d2align.checkpoint import SafeCheckpointer
from d2align.data.shapes.register import prepare_shapes

_PARTS = ("model", "dataloader", "optimizer", "lr_multiplier", "train")


def run_lazy(args: Namespace) -> Any:
    """Train, or with ``args.eval_only`` evaluate, what a LazyConfig file says.

    Args:
        args: what Detectron2's ``default_argument_parser`` gives; opts are key=value. The file is
            Python, and is run. ``train.trust_checkpoints`` lets code in checkpoints run, too.

    Returns:
        The last evaluation results.

    Raises:
        ValueError: no such file, or one without the parts that Detectron2's own have.
    """
    cfg = _load(args)
    default_setup(cfg, args)
    model = instantiate(cfg.model).to(cfg.train.device)
    if not args.eval_only:
        return _train(cfg, model, resume=args.resume)
    SafeCheckpointer(model, trust=_trusts(cfg)).load(cfg.train.init_checkpoint)
    return _test(cfg, model)


def _load(args: Namespace) -> Any:
    if not args.config_file.endswith(".py") or not Path(args.config_file).is_file():
        raise ValueError(
            f"--config-file: got {args.config_file!r}, expected an existing LazyConfig file (.py), "
            "such as configs/lazy/mask_rcnn_R_50_FPN_1x.py; for YAML, tools/train_net.py"
        )
    cfg = LazyConfig.apply_overrides(LazyConfig.load(args.config_file), args.opts)
    missing = [part for part in _PARTS if part not in cfg]
    if missing:
        raise ValueError(f"--config-file {args.config_file}: got no {missing}, expected {_PARTS}")
    if str(cfg.train.device).startswith("cuda") and not torch.cuda.is_available():
        print("d2align: no GPU was found, so train.device is set to cpu", flush=True)
        cfg.train.device = "cpu"
    prepare_shapes(cfg.dataloader[k].dataset.names for k in ("train", "test"))
    return cfg


def _trusts(cfg: Any) -> bool:
    return bool(cfg.train.get("trust_checkpoints", False))


def _train(cfg: Any, model: Any, *, resume: bool) -> Any:
    cfg.optimizer.params.model = model
    optimizer = instantiate(cfg.optimizer)
    loader = instantiate(cfg.dataloader.train)
    model = create_ddp_model(model, **cfg.train.ddp)
    trainer = SimpleTrainer(model, loader, optimizer)
    checkpointer = SafeCheckpointer(
        model, cfg.train.output_dir, trust=_trusts(cfg), trainer=trainer
    )
    trainer.register_hooks(_hooks(cfg, model, checkpointer))
    checkpointer.resume_or_load(cfg.train.init_checkpoint, resume=resume)
    going_on = resume and checkpointer.has_checkpoint()
    trainer.train(trainer.iter + 1 if going_on else 0, cfg.train.max_iter)
    return getattr(trainer, "_last_eval_results", None)


def _hooks(cfg: Any, model: Any, checkpointer: Any) -> list[Any]:
    built = [
        hooks.IterationTimer(),
        hooks.LRScheduler(scheduler=instantiate(cfg.lr_multiplier)),
    ]
    if comm.is_main_process():
        built.append(hooks.PeriodicCheckpointer(checkpointer, **cfg.train.checkpointer))
    built.append(hooks.EvalHook(cfg.train.eval_period, lambda: _test(cfg, model)))
    if comm.is_main_process():
        writers = default_writers(cfg.train.output_dir, cfg.train.max_iter)
        built.append(hooks.PeriodicWriter(writers, period=cfg.train.log_period))
    return built


def _test(cfg: Any, model: Any) -> Any:
    loaders = cfg.dataloader
    results = inference_on_dataset(model, instantiate(loaders.test), instantiate(loaders.evaluator))
    print_csv_format(results)
    return results
