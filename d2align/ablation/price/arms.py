"""The contract of an arm: detections made in one way, compared with those of a reference arm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from d2align.ablation.price.inputs import Inputs

ALL_AREAS = ("all", "small", "medium", "large")
Results = list[dict[str, Any]]


@dataclass(frozen=True)
class Arm:
    """One way to make detections of the inputs; its fields say which.

    Attributes:
        part: the part of the report that shows it.
        metric: ``"bbox"`` or ``"segm"``.
        areas: object sizes to measure it on.
        has_bias: whether the signed errors of its masks are measured, too.
    """

    part: ClassVar[str]
    metric: ClassVar[str]
    areas: ClassVar[Sequence[str]] = ALL_AREAS
    has_bias: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """A few words, unique within the part."""
        raise NotImplementedError

    def reference(self) -> Arm:
        """The arm to compare with; itself if it is the reference."""
        raise NotImplementedError

    def world(self, inputs: Inputs) -> Inputs:
        """The inputs, resized if the arm asks for it."""
        return inputs

    def results(self, world: Inputs) -> Results:
        """COCO results on the arm's world."""
        raise NotImplementedError
