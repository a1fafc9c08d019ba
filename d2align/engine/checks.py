"""Whether a run can start: its data and its weights, before anything is written."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.utils.file_io import PathManager

from d2align.data.shapes.register import is_shapes, prepare_shapes
from d2align.engine.config import LoadConfig, load_config


def check_run(args: Namespace, load: LoadConfig = load_config) -> Any:
    """Return the config of a command line, after making sure that its run can start.

    Args:
        args: what Detectron2's ``default_argument_parser`` gives.
        load: makes the config of a file and overrides, a project's own in place of d2align's.

    Returns:
        A CfgNode that is not frozen.

    Raises:
        ValueError: bad config, missing data or weights that cannot be had; nothing is written.
    """
    cfg = load(args.config_file, args.opts)
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
        check_evaluator(name)
    prepare_shapes(names)


def check_evaluator(name: str) -> None:
    """Refuse a data set that d2align has no evaluator for.

    Args:
        name: a registered data set.

    Raises:
        ValueError: it is of another kind than COCO's or LVIS's.
    """
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
