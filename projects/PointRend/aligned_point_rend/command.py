"""A run of PointRend: its config; d2align's engine does the rest."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from detectron2.modeling import ROI_MASK_HEAD_REGISTRY
from detectron2.projects.point_rend import add_pointrend_config

from d2align import engine


def load_config(config_file: str, opts: list[str] | None = None) -> Any:
    """Return a config from a file and overrides, with PointRend's keys, checked but not frozen.

    Args:
        config_file: path of a YAML file, read safely.
        opts: KEY VALUE KEY VALUE ...

    Returns:
        A Detectron2 CfgNode.

    Raises:
        ValueError: no such file, an unknown key, or values that cannot work.
    """
    cfg = engine.load_config(config_file, opts, [add_pointrend_config])
    check_pointrend_config(cfg)
    return cfg


def check_pointrend_config(cfg: Any) -> None:
    """Refuse what PointRend would find only in the midst of building or training.

    Args:
        cfg: a config with PointRend's keys.

    Raises:
        ValueError: an unknown mask head, polygons, or two numbers of classes.
    """
    head, point_head = cfg.MODEL.ROI_MASK_HEAD, cfg.MODEL.POINT_HEAD
    known = [name for name, _ in ROI_MASK_HEAD_REGISTRY if "PointRendMaskHead" in name]
    if head.NAME not in known:
        raise ValueError(f"MODEL.ROI_MASK_HEAD.NAME: got {head.NAME!r}, expected one of {known}")
    if cfg.INPUT.MASK_FORMAT != "bitmask":
        raise ValueError(
            f"INPUT.MASK_FORMAT: got {cfg.INPUT.MASK_FORMAT!r}, expected 'bitmask', which can be "
            "read at points"
        )
    if point_head.NUM_CLASSES != cfg.MODEL.ROI_HEADS.NUM_CLASSES:
        raise ValueError(
            f"MODEL.POINT_HEAD.NUM_CLASSES: got {point_head.NUM_CLASSES}, expected that of "
            f"MODEL.ROI_HEADS, {cfg.MODEL.ROI_HEADS.NUM_CLASSES}"
        )


def run(args: Namespace) -> Any:
    """Train, or with ``args.eval_only`` evaluate, as a command line says.

    Args:
        args: what Detectron2's ``default_argument_parser`` gives.

    Returns:
        The last evaluation results.

    Raises:
        ValueError: bad config, missing data or weights that cannot be had; nothing is written.
    """
    return engine.run(args, load_config)
