"""What every tool trains and evaluates with: config set-up, trainer and launcher, GPU or CPU."""

from __future__ import annotations

import functools
import logging
import os
import socket
import weakref
from argparse import Namespace
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import yaml
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import get_cfg
from detectron2.data import (
    DatasetCatalog,
    MetadataCatalog,
    build_detection_test_loader,
    build_detection_train_loader,
)
from detectron2.engine import DefaultTrainer, SimpleTrainer, default_setup, hooks
from detectron2.engine import launch as d2_launch
from detectron2.evaluation import verify_results
from detectron2.modeling import ANCHOR_GENERATOR_REGISTRY
from detectron2.utils import comm
from detectron2.utils.file_io import PathManager
from detectron2.utils.logger import setup_logger
from torch.nn.parallel import DistributedDataParallel

from d2align.config import add_d2align_config, check_d2align_config, get_factors
from d2align.data import PixelExactDatasetMapper
from d2align.data.shapes.register import is_shapes, prepare_shapes
from d2align.evaluation import COCOEvaluator, LVISEvaluator
from d2align.modeling import PixelExactRCNNWithTTA
from d2align.modeling.small_backbone import add_small_backbone_config

logger = logging.getLogger("d2align")
_LAUNCH_TIMEOUT = timedelta(minutes=30)


def load_config(config_file: str, opts: list[str] | None = None) -> Any:
    """Return a config from a file and overrides, checked but not frozen.

    Args:
        config_file: path of a YAML file, read safely (no Python tags); "" takes the defaults.
        opts: KEY VALUE KEY VALUE ...

    Returns:
        A Detectron2 CfgNode with d2align's keys.

    Raises:
        ValueError: no such file, an unknown key, or an unknown value of a switch.
    """
    cfg = get_cfg()
    add_d2align_config(cfg)
    add_small_backbone_config(cfg)
    if config_file:
        _merge_file(cfg, config_file)
    try:
        cfg.merge_from_list(opts or [])
    except (KeyError, AssertionError, ValueError) as e:
        raise ValueError(f"config: {e.args[0] if e.args else e}; see configs/ for keys") from None
    use_cpu_without_gpu(cfg)
    thaw_without_weights(cfg)
    check_d2align_config(cfg)
    _check_detectron2_keys(cfg)
    return cfg


def _merge_file(cfg: Any, config_file: str) -> None:
    try:
        cfg.merge_from_file(config_file, allow_unsafe=False)
    except (KeyError, AssertionError, ValueError) as e:
        raise ValueError(f"--config-file {config_file}: {e.args[0] if e.args else e}") from None
    except (yaml.YAMLError, AttributeError, TypeError, OSError) as e:
        raise ValueError(
            f"--config-file: got {config_file!r}, expected a YAML file of Detectron2's keys, "
            f"without Python tags: {e}"
        ) from None


def _check_detectron2_keys(cfg: Any) -> None:
    """Refuse what Detectron2 itself would find only after it has begun to write."""
    name = cfg.MODEL.ANCHOR_GENERATOR.NAME
    known = [key for key, _ in ANCHOR_GENERATOR_REGISTRY]
    if name not in known:
        raise ValueError(f"MODEL.ANCHOR_GENERATOR.NAME: got {name!r}, expected one of {known}")
    batch, world = cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.REFERENCE_WORLD_SIZE
    if world and batch % world:
        raise ValueError(
            f"SOLVER.IMS_PER_BATCH: got {batch}, expected a multiple of "
            f"SOLVER.REFERENCE_WORLD_SIZE {world}; on one machine for a try, set "
            "SOLVER.REFERENCE_WORLD_SIZE 0"
        )


def use_cpu_without_gpu(cfg: Any) -> None:
    """Train and test on the CPU where there is no GPU, saying so in one line.

    Args:
        cfg: a config, changed in place.
    """
    if cfg.MODEL.DEVICE.startswith("cuda") and not torch.cuda.is_available():
        print("d2align: no GPU was found, so MODEL.DEVICE is set to cpu", flush=True)
        cfg.MODEL.DEVICE = "cpu"


def thaw_without_weights(cfg: Any) -> None:
    """Train a ResNet from scratch with live batch norm where there are no weights to freeze.

    Frozen statistics of a random network normalize nothing: it diverges within a few steps.
    Such a model's checkpoints are read by the unchanged config, too.

    Args:
        cfg: a config, changed in place.
    """
    if cfg.MODEL.WEIGHTS or cfg.MODEL.RESNETS.NORM != "FrozenBN":
        return
    print(
        "d2align: MODEL.WEIGHTS is empty, so MODEL.RESNETS.NORM is set to BN and "
        "MODEL.BACKBONE.FREEZE_AT to 0, to train from scratch",
        flush=True,
    )
    cfg.MODEL.RESNETS.NORM = "BN"
    cfg.MODEL.BACKBONE.FREEZE_AT = 0


def setup(args: Namespace) -> Any:
    """Return the frozen config of a command line, after making sure that its run can start.

    Args:
        args: what Detectron2's ``default_argument_parser`` gives.

    Returns:
        A frozen CfgNode.

    Raises:
        ValueError: bad config, missing data or weights that cannot be had; nothing is written.
    """
    cfg = check_run(args)
    cfg.freeze()
    default_setup(cfg, args)
    setup_logger(cfg.OUTPUT_DIR, distributed_rank=comm.get_rank(), name="d2align")
    comm.synchronize()
    logger.info("pixel details: %s", get_factors(cfg))
    return cfg


def check_run(args: Namespace) -> Any:
    """Return the config of a command line, after making sure that its run can start.

    Args:
        args: what Detectron2's ``default_argument_parser`` gives.

    Returns:
        A CfgNode that is not frozen.

    Raises:
        ValueError: bad config, missing data or weights that cannot be had; nothing is written.
    """
    cfg = load_config(args.config_file, args.opts)
    check_datasets(cfg, eval_only=getattr(args, "eval_only", False))
    check_weights(cfg, resume=getattr(args, "resume", False))
    return cfg


def check_datasets(cfg: Any, *, eval_only: bool) -> None:
    """Refuse data sets that are not registered or whose files are not there.

    Args:
        cfg: a config.
        eval_only: whether only the test sets are needed.

    Raises:
        ValueError: a data set is missing; the message says where it was looked for.
    """
    names = tuple(cfg.DATASETS.TEST) if eval_only else (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST)
    for name in names:
        if name not in DatasetCatalog:
            shapes = [n for n in DatasetCatalog if n.startswith("shapes")]
            raise ValueError(
                f"DATASETS: got {name!r}, expected a registered data set: one of Detectron2's, "
                f"such as 'coco_2017_train', or built-in: {shapes}"
            )
        if is_shapes(name):
            continue  # made below
        metadata = MetadataCatalog.get(name)
        for key in ("json_file", "image_root"):
            path = metadata.get(key)
            if path is not None and not PathManager.exists(path):
                root = os.environ.get("DETECTRON2_DATASETS", "datasets")
                raise ValueError(
                    f"DATASETS: {name!r} was looked for at {path!r}, which is not there. "
                    f"DETECTRON2_DATASETS is {root!r}: set it to the folder that holds coco/ "
                    "(annotations/, train2017/, val2017/), or use the built-in configs/shapes/"
                )
    for name in cfg.DATASETS.TEST:
        _check_evaluator(name)
    prepare_shapes(names)


def _check_evaluator(name: str) -> None:
    kind = MetadataCatalog.get(name).get("evaluator_type", "coco")
    if kind not in ("coco", "coco_panoptic_seg", "lvis"):
        raise ValueError(
            f"DATASETS.TEST: {name!r} has evaluator_type {kind!r}, expected 'coco' or 'lvis': "
            "override Trainer.build_evaluator for other kinds"
        )


def check_weights(cfg: Any, *, resume: bool) -> None:
    """Refuse initial weights that cannot be had, before anything is written.

    Args:
        cfg: a config.
        resume: whether the run goes on from its own last checkpoint, where there is one.

    Raises:
        ValueError: the file is not there, or cannot be fetched.
    """
    weights = cfg.MODEL.WEIGHTS
    if not weights or (resume and (Path(cfg.OUTPUT_DIR) / "last_checkpoint").exists()):
        return
    try:
        found = os.path.isfile(PathManager.get_local_path(weights))
        reason = "no such file"
    except Exception as e:  # whatever a handler raises, the way out is the same
        found, reason = False, f"{type(e).__name__}: {e}"
    if not found:
        raise ValueError(
            f"MODEL.WEIGHTS: got {weights!r}, which cannot be had ({reason}). Expected the path "
            "of a checkpoint, a URL that can be reached, or '' to train from scratch"
        )


class Trainer(DefaultTrainer):
    """DefaultTrainer with d2align's mapper and COCO evaluation, on GPUs or CPU processes."""

    def __init__(self, cfg: Any) -> None:
        """Build everything that a config asks for.

        Args:
            cfg: a frozen config with d2align's keys.
        """
        if cfg.MODEL.DEVICE == "cpu" and comm.get_world_size() > 1:
            self._init_on_cpu_processes(cfg)
        else:
            super().__init__(cfg)

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
        self.checkpointer = DetectionCheckpointer(
            model, cfg.OUTPUT_DIR, trainer=weakref.proxy(self)
        )
        self.start_iter = 0
        self.max_iter = cfg.SOLVER.MAX_ITER
        self.cfg = cfg
        self.register_hooks(self.build_hooks())

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
        _check_evaluator(dataset_name)
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


def run(args: Namespace) -> Any:
    """Train, or with ``args.eval_only`` evaluate, as a command line says.

    Args:
        args: what Detectron2's ``default_argument_parser`` gives.

    Returns:
        The last evaluation results.

    Raises:
        ValueError: as ``setup``.
    """
    cfg = setup(args)
    if args.eval_only:
        model = Trainer.build_model(cfg)
        checkpointer = DetectionCheckpointer(model, save_dir=cfg.OUTPUT_DIR)
        checkpointer.resume_or_load(cfg.MODEL.WEIGHTS, resume=args.resume)
        if comm.get_world_size() > 1 and cfg.MODEL.DEVICE != "cpu":
            model = DistributedDataParallel(model, device_ids=[comm.get_local_rank()])
        results = Trainer.test(cfg, model)
        if cfg.TEST.AUG.ENABLED:
            results.update(Trainer.test_with_tta(cfg, model))
        if comm.is_main_process():
            verify_results(cfg, results)
        return results
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=args.resume)
    if cfg.TEST.AUG.ENABLED:
        with_tta = functools.partial(trainer.test_with_tta, cfg, trainer.model)
        trainer.register_hooks([hooks.EvalHook(0, with_tta)])
    return trainer.train()


def launch(main: Callable[..., Any], args: Namespace) -> None:
    """Run a main function in every process that a command line asks for.

    On a machine without GPUs, ``--num-gpus N`` starts N CPU processes that talk over gloo.

    Args:
        main: called as main(args) in each process.
        args: what Detectron2's ``default_argument_parser`` gives.
    """
    world = args.num_gpus * args.num_machines
    if world > 1:
        # Once here, so that bad input is told once and not from inside every process.
        check_run(args)
    if torch.cuda.is_available() or world <= 1:
        d2_launch(
            main,
            args.num_gpus,
            num_machines=args.num_machines,
            machine_rank=args.machine_rank,
            dist_url=args.dist_url,
            args=(args,),
        )
        return
    print(f"d2align: no GPU was found, so {args.num_gpus} CPU processes are started", flush=True)
    if args.dist_url == "auto":
        args.dist_url = f"tcp://127.0.0.1:{_free_port()}"
    mp.spawn(_cpu_worker, nprocs=args.num_gpus, args=(main, args), daemon=False)


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


def _cpu_worker(local_rank: int, main: Callable[..., Any], args: Namespace) -> None:
    dist.init_process_group(
        backend="gloo",
        init_method=args.dist_url,
        world_size=args.num_gpus * args.num_machines,
        rank=args.machine_rank * args.num_gpus + local_rank,
        timeout=_LAUNCH_TIMEOUT,
    )
    _create_local_process_group(args.num_gpus)
    try:
        main(args)
    finally:
        dist.destroy_process_group()


def _create_local_process_group(processes_per_machine: int) -> None:
    if hasattr(comm, "create_local_process_group"):
        comm.create_local_process_group(processes_per_machine)
        return
    # v0.5 has no function for it; its own launcher sets this variable, too.
    for start in range(0, dist.get_world_size(), processes_per_machine):
        ranks = list(range(start, start + processes_per_machine))
        group = dist.new_group(ranks)
        if dist.get_rank() in ranks:
            comm._LOCAL_PROCESS_GROUP = group
