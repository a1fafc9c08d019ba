"""Instance segmentation from boxes and labelled points; importing this registers the heads."""

from .annotations import add_points, draw_points
from .command import Trainer, load_config, run
from .config import add_point_sup_config
from .dataset import load_points
from .dataset_mapper import PointSupDatasetMapper
from .mask_head import AlignCornersPointSupMaskHead, PointSupMaskHead

__all__ = [
    "AlignCornersPointSupMaskHead",
    "PointSupDatasetMapper",
    "PointSupMaskHead",
    "Trainer",
    "add_point_sup_config",
    "add_points",
    "draw_points",
    "load_config",
    "load_points",
    "run",
]
