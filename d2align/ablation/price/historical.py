"""The historical mistakes that are offsets: where they lie on the curves, and their source."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HistoricalBug:
    """A mistake as an offset of what a network finds.

    Attributes:
        label: a few words, for the picture.
        what: a sentence, for the table.
        source: repository and file.
        metric: ``"bbox"`` or ``"segm"``.
        move: how boxes are moved, as in ``moves.MOVES``.
        unit: ``"original"`` or ``"network"`` pixels.
        offset: pixels.
        reported: what was reported, or "not given".
        clipped: whether boxes are clipped to the image afterwards.
    """

    label: str
    what: str
    source: str
    metric: str
    move: str
    unit: str
    offset: float
    reported: str
    clipped: bool = False


_DECODER = "rbgirshick/py-faster-rcnn, lib/fast_rcnn/bbox_transform.py"
_FLIP = "half of the training images lie a pixel to the left, so half a pixel is learned"

HISTORICAL_BUGS = (
    HistoricalBug(
        "py-faster-rcnn decode",
        "decoded x2 and y2 lack the -1, in original pixels",
        _DECODER,
        *("bbox", "right_bottom", "original", 1.0),
        "-0.4 to -0.7 box AP (the article)",
    ),
    HistoricalBug(
        "the same, clipped",
        "and then boxes are clipped to the image, as the source does",
        _DECODER,
        *("bbox", "right_bottom", "original", 1.0),
        "-0.4 to -0.7 box AP (the article)",
        clipped=True,
    ),
    HistoricalBug(
        "that decode in network px",
        "the same decoder run on boxes of the resized image",
        "the decoder above in a code that decodes there, as maskrcnn-benchmark and Detectron2 do",
        *("bbox", "right_bottom", "network", 1.0),
        "not given",
    ),
    HistoricalBug(
        "inclusive read as edges",
        "the last pixel x1 + w - 1 is taken for the right edge",
        "two conventions in one pipeline, whatever its source",
        *("bbox", "right_bottom", "original", -1.0),
        "not given",
    ),
    HistoricalBug(
        "flip W-1-x",
        f"boxes flipped by W-1-x in original pixels: {_FLIP}",
        "any code that flips coordinates as indices",
        *("bbox", "shift_x", "original", -0.5),
        "not given",
    ),
    HistoricalBug(
        "legacy coder of mmdet 2",
        "half a pixel too far on each side, in network pixels",
        "open-mmlab/mmdetection, LegacyDeltaXYWHBBoxCoder",
        *("bbox", "grow", "network", 0.5),
        "about 0.5 box AP (mmdetection, in a training of its own)",
    ),
    HistoricalBug(
        "polygon flip W-1-x",
        f"polygons flipped by W-1-x in original pixels: {_FLIP}",
        "facebookresearch/Detectron, detectron/utils/segms.py",
        *("segm", "shift_x", "original", -0.5),
        "about -0.5 mask AP (the article)",
    ),
    HistoricalBug(
        "unaligned target",
        "mask targets cropped by unaligned RoIAlign, in network pixels",
        "pytorch/vision, torchvision/models/detection/roi_heads.py",
        *("segm", "shift", "network", -0.5),
        "not given",
    ),
    HistoricalBug(
        "box less its last pixel",
        "masks of float boxes pasted, aligned, into inclusive boxes",
        "two conventions in one pipeline, whatever its source",
        *("segm", "right_bottom", "original", -1.0),
        "not given",
    ),
)
