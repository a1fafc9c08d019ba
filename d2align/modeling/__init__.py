"""Components for Detectron2: importing this registers them."""

from d2align.modeling import _detectron2  # noqa: F401  # isort: skip
from d2align.modeling.anchor_generator import Detectron1AnchorGenerator
from d2align.modeling.apply_factors import apply
from d2align.modeling.box_regression import (
    Detectron1BoxTransform,
    FloatBoxTransform,
    PyFasterRCNNBoxTransform,
)
from d2align.modeling.fast_rcnn import (
    DecodeInOriginalPixels,
    Detectron1OutputLayers,
    EncodeInOriginalPixels,
    PyFasterRCNNOutputLayers,
)
from d2align.modeling.fast_rpn import use_fast_rpn
from d2align.modeling.inclusive.boxes import InclusiveBoxes
from d2align.modeling.mask_head import (
    AlignedBitMasks,
    Detectron1PolygonMasks,
    UnalignedBitMasks,
)
from d2align.modeling.panoptic_fpn import PixelExactPanopticFPN
from d2align.modeling.poolers import use_fast_poolers
from d2align.modeling.postprocessing import detector_postprocess
from d2align.modeling.rcnn import PixelExactRCNN
from d2align.modeling.retinanet import PixelExactRetinaNet
from d2align.modeling.rle_masks import RleMasks, detector_postprocess_to_rle
from d2align.modeling.test_time_augmentation import (
    PixelExactDatasetMapperTTA,
    PixelExactRCNNWithTTA,
)

__all__ = [
    "AlignedBitMasks",
    "DecodeInOriginalPixels",
    "Detectron1AnchorGenerator",
    "Detectron1BoxTransform",
    "Detectron1OutputLayers",
    "Detectron1PolygonMasks",
    "EncodeInOriginalPixels",
    "FloatBoxTransform",
    "InclusiveBoxes",
    "PixelExactDatasetMapperTTA",
    "PixelExactPanopticFPN",
    "PixelExactRCNN",
    "PixelExactRCNNWithTTA",
    "PixelExactRetinaNet",
    "PyFasterRCNNBoxTransform",
    "PyFasterRCNNOutputLayers",
    "RleMasks",
    "UnalignedBitMasks",
    "apply",
    "detector_postprocess",
    "detector_postprocess_to_rle",
    "use_fast_poolers",
    "use_fast_rpn",
]
