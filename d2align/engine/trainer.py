"""Detectron2's trainer with d2align's data and evaluation, on GPUs or CPU processes."""

from __future__ import annotations

import logging
import os
import weakref
from typing import Any

from detectron2.data import (
    MetadataCatalog,
    build_detection_test_loader,
    build_detection_train_loader,
)
from detectron2.engine import DefaultTrainer, SimpleTrainer
from detectron2.utils import comm
from torch.nn.parallel import DistributedDataParallel

from d2align.checkpoint import SafeCheckpointer, trusts_checkpoints
from d2align.data import PixelExactDatasetMapper
from d2align.engine.checks import check_evaluator
from d2align.evaluation import COCOEvaluator, LVISEvaluator
from d2align.modeling import PixelExactRCNNWithTTA

logger = logging.getLogger("d2align")


class Trainer(DefaultTrainer):
    """DefaultTrainer with d2align's mapper and COCO evaluation, on GPUs or CPU processes.

    Checkpoints are read as data, unless ``D2ALIGN.TRUST_CHECKPOINTS`` says otherwise.
    """

    checkpointer_class = SafeCheckpointer

    def __init__(self, cfg: Any) -> None:
        """Build everything that a config asks for.

        Args:
            cfg: a frozen config with d2align's keys.
        """
        if cfg.MODEL.DEVICE == "cpu" and comm.get_world_size() > 1:
            self._init_on_cpu_processes(cfg)
        else:
            super().__init__(cfg)
            # For subclasses whose hooks are not these.
            self.checkpointer = self._build_checkpointer(cfg, self.checkpointer.model)

    def _init_on_cpu_processes(self, cfg: Any) -> None:
        # DefaultTrainer gives DDP device_ids, which it refuses for a model on the CPU.
        super(DefaultTrainer, self).__init__()
        cfg = self.auto_scale_workers(cfg, comm.get_world_size())
        model = self.build_model(cfg)
        optimizer = self.build_optimizer(cfg, model)
        loader = self.build_train_loader(cfg)
        model = DistributedDataParallel(model, broadcast_buffers=False)
        self._trainer = SimpleTrainer(model, loader, optimizer)
        self.scheduler = self.build_lr_scheduler(cfg, optimizer)
        self.checkpointer = self._build_checkpointer(cfg, model)
        self.start_iter = 0
        self.max_iter = cfg.SOLVER.MAX_ITER
        self.cfg = cfg
        self.register_hooks(self.build_hooks())

    def build_hooks(self) -> list[Any]:
        """Return Detectron2's hooks, which write checkpoints whole."""
        self.checkpointer = self._build_checkpointer(self.cfg, self.checkpointer.model)
        return super().build_hooks()

    def _build_checkpointer(self, cfg: Any, model: Any) -> SafeCheckpointer:
        return self.checkpointer_class(
            model,
            cfg.OUTPUT_DIR,
            trust=trusts_checkpoints(cfg),
            trainer=weakref.proxy(self),
        )

    def state_dict(self) -> dict[str, Any]:
        """Return all state, the optimizer's included, which Detectron2 v0.5 leaves out."""
        return {**super().state_dict(), "_trainer": self._trainer.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave, or what Detectron2 v0.5 wrote.

        Args:
            state_dict: the state of a trainer.
        """
        state = dict(state_dict)
        own = state.pop("_trainer", None)
        if own is None:
            logger.warning("the checkpoint has no optimizer state: momentum starts anew")
            own = {**self._trainer.state_dict(), "iteration": state["iteration"]}
        super().load_state_dict({**state, "_trainer": own})
        self._trainer.load_state_dict(own)

    @classmethod
    def build_train_loader(cls, cfg: Any) -> Any:
        """Return a loader of training batches, through PixelExactDatasetMapper."""
        return build_detection_train_loader(cfg, mapper=PixelExactDatasetMapper(cfg, is_train=True))

    @classmethod
    def build_test_loader(cls, cfg: Any, dataset_name: str) -> Any:
        """Return a loader of test images, through PixelExactDatasetMapper."""
        mapper = PixelExactDatasetMapper(cfg, is_train=False)
        return build_detection_test_loader(cfg, dataset_name, mapper=mapper)

    @classmethod
    def build_evaluator(
        cls, cfg: Any, dataset_name: str, output_folder: str | None = None
    ) -> COCOEvaluator:
        """Return the fast COCO evaluator, or that of LVIS.

        Args:
            cfg: a config.
            dataset_name: a data set of COCO's or LVIS's format.
            output_folder: where results go; None takes OUTPUT_DIR/inference.

        Returns:
            A COCOEvaluator.

        Raises:
            ValueError: the data set is of another format.
        """
        check_evaluator(dataset_name)
        folder = output_folder or os.path.join(cfg.OUTPUT_DIR, "inference")
        if MetadataCatalog.get(dataset_name).get("evaluator_type") == "lvis":
            return LVISEvaluator(dataset_name, output_dir=folder)
        return COCOEvaluator(
            dataset_name, output_dir=folder, kpt_oks_sigmas=cfg.TEST.KEYPOINT_OKS_SIGMAS
        )

    @classmethod
    def test_with_tta(cls, cfg: Any, model: Any) -> Any:
        """Evaluate with test-time augmentation, as ``TEST.AUG`` says.

        Args:
            cfg: a config.
            model: a GeneralizedRCNN.

        Returns:
            The results, their names ending in _TTA.
        """
        folder = os.path.join(cfg.OUTPUT_DIR, "inference_TTA")
        evaluators = [cls.build_evaluator(cfg, name, folder) for name in cfg.DATASETS.TEST]
        results = cls.test(cfg, PixelExactRCNNWithTTA(cfg, model), evaluators)
        return {f"{name}_TTA": result for name, result in results.items()}
