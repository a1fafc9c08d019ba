"""Box transforms with the interface of Detectron2's Box2BoxTransform."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from d2align.geometry._checks import check_weights
from d2align.geometry.box_deltas import (
    SCALE_CLAMP,
    apply_deltas_detectron1_unchecked,
    apply_deltas_py_faster_rcnn_unchecked,
    apply_deltas_unchecked,
    get_deltas_detectron1_unchecked,
    get_deltas_unchecked,
)
from d2align.registry import BOX_TRANSFORM_REGISTRY

Encode = Callable[[Tensor, Tensor, Sequence[float]], Tensor]
Decode = Callable[[Tensor, Tensor, Sequence[float], float], Tensor]


class _BoxTransform:
    """What the transforms share: weights, clamp, and decoding in float32."""

    _encode: Encode
    _decode: Decode

    def __init__(
        self, weights: Sequence[float] = (1, 1, 1, 1), scale_clamp: float = SCALE_CLAMP
    ) -> None:
        """Make a transform.

        Args:
            weights: (wx, wy, ww, wh), positive factors on the deltas.
            scale_clamp: upper limit of dw and dh, a natural logarithm.

        Raises:
            ValueError: the weights are not four positive numbers.
        """
        self.weights = check_weights(weights)
        self.scale_clamp = scale_clamp

    def get_deltas(self, src_boxes: Tensor, target_boxes: Tensor) -> Tensor:
        """Return the deltas from source to target boxes, unchecked: nothing is read back.

        Args:
            src_boxes: (N, 4) XYXY, pixels.
            target_boxes: (N, 4) XYXY, pixels.

        Returns:
            (N, 4).
        """
        return type(self)._encode(src_boxes, target_boxes, self.weights)

    def apply_deltas(self, deltas: Tensor, boxes: Tensor) -> Tensor:
        """Return the boxes that deltas make, in float32 even where deltas are half precision.

        Args:
            deltas: (N, 4k).
            boxes: (N, 4) XYXY, pixels.

        Returns:
            (N, 4k) XYXY, pixels.
        """
        deltas = deltas.float()
        return type(self)._decode(deltas, boxes.to(deltas.dtype), self.weights, self.scale_clamp)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(weights={self.weights}, scale_clamp={self.scale_clamp:.4f})"


@BOX_TRANSFORM_REGISTRY.register("float")
class FloatBoxTransform(_BoxTransform):
    """The box transform on float boxes: decode inverts encode.

    Convention: integer corners; width = x2 - x1.
    """

    _encode = staticmethod(get_deltas_unchecked)
    _decode = staticmethod(apply_deltas_unchecked)


@BOX_TRANSFORM_REGISTRY.register("detectron1")
class Detectron1BoxTransform(_BoxTransform):
    """The box transform of Detectron: +1 in widths, -1 in x2 and y2, an exact inverse.

    Convention: inclusive indices.
    Differs from: FloatBoxTransform by +1 on every width and height.
    Source: facebookresearch/Detectron, detectron/utils/boxes.py.
    """

    _encode = staticmethod(get_deltas_detectron1_unchecked)
    _decode = staticmethod(apply_deltas_detectron1_unchecked)


@BOX_TRANSFORM_REGISTRY.register("py_faster_rcnn")
class PyFasterRCNNBoxTransform(_BoxTransform):
    """The box transform of py-faster-rcnn, which decodes x2 and y2 one pixel too far.

    Convention: inclusive indices. Clamped as Detectron2 clamps, unlike the original, since an
    untrained network would overflow.
    Differs from: Detectron1BoxTransform by +1 on the decoded x2 and y2.
    Source: rbgirshick/py-faster-rcnn, lib/fast_rcnn/bbox_transform.py.
    """

    _encode = staticmethod(get_deltas_detectron1_unchecked)
    _decode = staticmethod(apply_deltas_py_faster_rcnn_unchecked)
