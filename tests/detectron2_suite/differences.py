"""Tests of Detectron2 that d2align's components fail, knowingly: each with its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """A test that is expected to fail.

    Attributes:
        test: its id, relative to Detectron2's tests.
        message: what the failure says, in part, so that it is this failure and no other.
        reason: why d2align differs.
        rounds: in which it fails; none means all in which the test runs.
    """

    test: str
    message: str
    reason: str
    rounds: tuple[str, ...] = ()


DIFFERENCES = (
    Difference(
        "modeling/test_roi_heads.py::ROIHeadsTest::test_StandardROIHeads_scriptability",
        "FloatBoxTransform",
        "The box transforms are plain Python, with checked arguments: heads that have one can be "
        "traced, not scripted.",
    ),
    Difference(
        "layers/test_mask_ops.py::TestMaskCropPaste::test_paste_mask_scriptable",
        "Unknown type constructor Sequence",
        "The paste is plain Python around kernels, and cannot be scripted.",
    ),
    Difference(
        "data/test_transforms.py::TestTransforms::test_print_augmentation",
        "'PixelExactRandomFlip(prob=0.5)' != 'RandomFlip(prob=0.5)'",
        "The augmentation has a name of its own.",
    ),
    Difference(
        "data/test_coco_evaluation.py::TestCOCOeval::test_unknown_category",
        "ValueError: pred_classes: got 80 in image 139, expected 0 to 79",
        "A class that the data set does not have is refused with a ValueError that says so, not "
        "with an AssertionError.",
    ),
)
