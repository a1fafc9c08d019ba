"""The keys of point supervision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_HEADS = ("PointSupMaskHead", "AlignCornersPointSupMaskHead")


def add_point_sup_config(cfg: Any) -> None:
    """Add the keys of point supervision to a config.

    Args:
        cfg: a Detectron2 CfgNode, changed in place:
            POINT_SUP.JSON_FILE: of ``draw_points.py``, for the images of DATASETS.TRAIN.
            POINT_SUP.SAMPLE: points of each object that an iteration sees, drawn anew each time;
                0 takes all.
    """
    cfg.POINT_SUP = type(cfg)({"JSON_FILE": "", "SAMPLE": 0})


def check_point_sup_config(cfg: Any, *, eval_only: bool = False) -> None:
    """Refuse what cannot be trained from points, before anything is written.

    Args:
        cfg: a config with the keys of point supervision.
        eval_only: whether no training data are needed.

    Raises:
        ValueError: a value that cannot work; the message has the one expected.
    """
    _expect("MODEL.ROI_MASK_HEAD.NAME", cfg.MODEL.ROI_MASK_HEAD.NAME, _HEADS)
    _expect("INPUT.CROP.ENABLED", cfg.INPUT.CROP.ENABLED, (False,))
    _expect("D2ALIGN.BOXES", cfg.D2ALIGN.BOXES, ("float",))
    _expect("D2ALIGN.MASK_TARGET", cfg.D2ALIGN.MASK_TARGET, ("aligned",))
    _expect("number of DATASETS.TRAIN", len(cfg.DATASETS.TRAIN), (1,))
    if cfg.POINT_SUP.SAMPLE < 0:
        raise ValueError(f"POINT_SUP.SAMPLE: got {cfg.POINT_SUP.SAMPLE}, expected at least 0")
    if not eval_only and not Path(cfg.POINT_SUP.JSON_FILE).is_file():
        raise ValueError(
            f"POINT_SUP.JSON_FILE: got {cfg.POINT_SUP.JSON_FILE!r}, expected a file of "
            "projects/PointSup/draw_points.py"
        )


def _expect(name: str, got: Any, known: tuple[Any, ...]) -> None:
    if got not in known:
        raise ValueError(f"{name}: got {got!r}, expected one of {list(known)}")
