"""What a report is made from, whether of a study or of one checkpoint's replay."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from d2align.ablation.comparison import Row
from d2align.ablation.study import Arm
from d2align.evaluation.bootstrap import PairedDelta

# For an arm: for each base, the pairs of results files (reference, variant).
Pairs = Callable[[Arm], list[list[tuple[Path, Path]]]]


@dataclass(frozen=True)
class Outcome:
    """The rows of a comparison and what a reader needs beside them.

    Attributes:
        title: of the page.
        lead: what was compared with what, one paragraph each.
        rows: of each arm: a box row and, where masks are known, a mask row.
        pairs: gives the results files of an arm.
        dataset: the COCO dict of the images that were evaluated.
        image_root: folder of the images; None leaves out the crops.
        config_diffs: arm name -> its config's lines that differ from the reference's.
        command: what reproduces it.
        settings: JSON values that decide the outcome.
        nulls: differences whose true value is 0, free of training.
        seconds: by what took them.
        num_draws: bootstrap draws of the pixel errors and of AP by size.
        margin: AP within which a difference counts as none; None makes no such claim.
    """

    title: str
    lead: Sequence[str]
    rows: Sequence[Sequence[Row]]
    pairs: Pairs
    dataset: Mapping[str, Any]
    image_root: Path | None
    config_diffs: Mapping[str, Sequence[str]]
    command: str
    settings: Mapping[str, Any]
    nulls: Sequence[PairedDelta] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    num_draws: int = 50
    margin: float | None = None
