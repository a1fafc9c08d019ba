"""A run of point supervision: its config and data; d2align's engine does the rest."""

from __future__ import annotations

import functools
from argparse import Namespace
from typing import Any

from detectron2.data import build_detection_train_loader

from d2align import engine

from .config import add_point_sup_config, check_point_sup_config
from .dataset import load_points
from .dataset_mapper import PointSupDatasetMapper


class Trainer(engine.Trainer):
    """d2align's trainer on records with points."""

    @classmethod
    def build_train_loader(cls, cfg: Any) -> Any:
        """Return a loader of training batches with points, through PointSupDatasetMapper."""
        records = load_points(cfg.POINT_SUP.JSON_FILE, cfg.DATASETS.TRAIN[0])
        mapper = PointSupDatasetMapper(cfg, is_train=True)
        return build_detection_train_loader(cfg, mapper=mapper, dataset=records)


def load_config(config_file: str, opts: list[str] | None = None, *, eval_only: bool = False) -> Any:
    """Return a config from a file and overrides, with POINT_SUP, checked but not frozen.

    Args:
        config_file: path of a YAML file, read safely.
        opts: KEY VALUE KEY VALUE ...
        eval_only: whether no training data are needed.

    Returns:
        A Detectron2 CfgNode.

    Raises:
        ValueError: no such file, an unknown key, or values that cannot work.
    """
    cfg = engine.load_config(config_file, opts, [add_point_sup_config])
    check_point_sup_config(cfg, eval_only=eval_only)
    return cfg


def run(args: Namespace) -> Any:
    """Train, or with ``args.eval_only`` evaluate, as a command line says.

    Args:
        args: what Detectron2's ``default_argument_parser`` gives.

    Returns:
        The last evaluation results.

    Raises:
        ValueError: bad config, missing data or weights that cannot be had; nothing is written.
    """
    load = functools.partial(load_config, eval_only=args.eval_only)
    return engine.run(args, load, Trainer)
