"""The built-in data set: shapes whose outlines are known to a fraction of a pixel.

This package draws and stores the images without Detectron2; ``register`` adds them to its
catalogs and is the only module here that imports it.
"""

from .cache import cache_dir
from .figures import KEYPOINT_FLIP_MAP, KEYPOINT_NAMES, KEYPOINT_OKS_SIGMAS
from .generate import ShapesPaths, generate_shapes, shapes_paths
from .render import polygon_coverage
from .specs import SPECS, ShapesSpec

__all__ = [
    "KEYPOINT_FLIP_MAP",
    "KEYPOINT_NAMES",
    "KEYPOINT_OKS_SIGMAS",
    "SPECS",
    "ShapesPaths",
    "ShapesSpec",
    "cache_dir",
    "generate_shapes",
    "polygon_coverage",
    "shapes_paths",
]
