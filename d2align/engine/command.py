"""Set up a run from its command line, and carry it out."""

from __future__ import annotations

import functools
import logging
from argparse import Namespace
from typing import Any

from detectron2.engine import default_setup, hooks
from detectron2.evaluation import verify_results
from detectron2.utils import comm
from detectron2.utils.logger import setup_logger
from torch.nn.parallel import DistributedDataParallel

from d2align.checkpoint import SafeCheckpointer, trusts_checkpoints
from d2align.config import get_factors
from d2align.engine.checks import check_run
from d2align.engine.config import LoadConfig, load_config
from d2align.engine.trainer import Trainer

logger = logging.getLogger("d2align")


def setup(args: Namespace, load: LoadConfig = load_config) -> Any:
    """Return the frozen config of a command line, after making sure that its run can start.

    Args:
        args: what Detectron2's ``default_argument_parser`` gives.
        load: makes the config of a file and overrides, a project's own in place of d2align's.

    Returns:
        A frozen CfgNode.

    Raises:
        ValueError: bad config, missing data or weights that cannot be had; nothing is written.
    """
    cfg = check_run(args, load)
    cfg.freeze()
    default_setup(cfg, args)
    setup_logger(cfg.OUTPUT_DIR, distributed_rank=comm.get_rank(), name="d2align")
    comm.synchronize()
    logger.info("pixel details: %s", get_factors(cfg))
    return cfg


def run(
    args: Namespace, load: LoadConfig = load_config, trainer_class: type[Trainer] = Trainer
) -> Any:
    """Train, or with ``args.eval_only`` evaluate, as a command line says.

    Args:
        args: what Detectron2's ``default_argument_parser`` gives.
        load: as for ``setup``.
        trainer_class: Trainer, or a project's own subclass of it.

    Returns:
        The last evaluation results.

    Raises:
        ValueError: as ``setup``.
    """
    cfg = setup(args, load)
    if args.eval_only:
        model = trainer_class.build_model(cfg)
        trust = trusts_checkpoints(cfg)
        checkpointer = SafeCheckpointer(model, cfg.OUTPUT_DIR, trust=trust)
        checkpointer.resume_or_load(cfg.MODEL.WEIGHTS, resume=args.resume)
        if comm.get_world_size() > 1 and cfg.MODEL.DEVICE != "cpu":
            model = DistributedDataParallel(model, device_ids=[comm.get_local_rank()])
        results = trainer_class.test(cfg, model)
        if cfg.TEST.AUG.ENABLED:
            results.update(trainer_class.test_with_tta(cfg, model))
        if comm.is_main_process():
            verify_results(cfg, results)
        return results
    trainer = trainer_class(cfg)
    trainer.resume_or_load(resume=args.resume)
    if cfg.TEST.AUG.ENABLED:
        with_tta = functools.partial(trainer.test_with_tta, cfg, trainer.model)
        trainer.register_hooks([hooks.EvalHook(0, with_tta)])
    return trainer.train()
