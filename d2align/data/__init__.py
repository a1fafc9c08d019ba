"""Data for Detectron2 with every flip chosen by name; importing this registers ``shapes``."""

try:
    import detectron2  # noqa: F401
except ModuleNotFoundError:
    raise ModuleNotFoundError(
        "d2align.data needs Detectron2: run `python tools/install_detectron2.py`, or see "
        "https://detectron2.readthedocs.io/tutorials/install.html",
        name="detectron2",
    ) from None

from d2align.data.augmentation import PixelExactRandomFlip, build_augmentation
from d2align.data.dataset_mapper import PixelExactDatasetMapper
from d2align.data.mask_resize import (
    UnbiasedExtentTransform,
    UnbiasedMasks,
    UnbiasedResizeTransform,
)
from d2align.data.resize import Detectron1ResizeShortestEdge, Detectron1ResizeTransform
from d2align.data.shapes.register import register_shapes
from d2align.data.transforms import (
    CoordinateHFlipTransform,
    CoordinateVFlipTransform,
    Detectron1HFlipTransform,
    IndexHFlipTransform,
    IndexVFlipTransform,
)

DatasetMapper = PixelExactDatasetMapper

register_shapes()

__all__ = [
    "CoordinateHFlipTransform",
    "CoordinateVFlipTransform",
    "DatasetMapper",
    "Detectron1HFlipTransform",
    "Detectron1ResizeShortestEdge",
    "Detectron1ResizeTransform",
    "IndexHFlipTransform",
    "IndexVFlipTransform",
    "PixelExactDatasetMapper",
    "PixelExactRandomFlip",
    "UnbiasedExtentTransform",
    "UnbiasedMasks",
    "UnbiasedResizeTransform",
    "build_augmentation",
    "register_shapes",
]
