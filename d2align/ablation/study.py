"""What an ablation study compares: its bases, its arms, and what the article reports of each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

REFERENCE = "reference"


@dataclass(frozen=True)
class Arm:
    """One way to come to a set of detections, to be compared with the reference of its kind.

    Attributes:
        name: unique in a study, and the folder of its files.
        kind: "replay" (other paste of the reference's detections), "inference" (same weights,
            run again), "finetune" (short equal training from each base), "crossover" (short
            equal trainings to both conventions, from a base of each: see crossover.py).
        factor: what it turns; "null" turns nothing and only draws other batches.
        value: what the factor is turned to.
        note: what a reader of the table should know.
        draw: of a null arm, which other batches.
    """

    name: str
    kind: str
    factor: str
    value: str
    note: str = ""
    draw: int = 1


@dataclass(frozen=True)
class Study:
    """The size and the arms of a study.

    Attributes:
        arms: what is compared with the reference.
        num_bases: how many trainings are shared by the arms, seeds 1, 2, ...
        early_iterations: of a base, up to the checkpoint where branches start: the bases that
            crossovers need are trained under a variant from there on.
        late_iterations: of a base and of each branch, from there on.
        finetune_iterations: of each fine-tuned arm.
        finetune_orders: how many orders of batches a fine-tune is repeated with: one alone may be
            a lucky one, of the reference's above all, with which every arm is compared.
        crossover_iterations: of each fine-tune of a crossover.
        crossover_orders: how many orders of batches a crossover is repeated with.
        learning_rate: of the early part; the late part starts from it and decays to 0.
        finetune_learning_rate: constant.
        crossover_learning_rate: decays to 0.
        num_images: of the validation set.
        num_draws: bootstrap draws over images.
        num_nulls: independent null comparisons by which the intervals are checked.
        opts: overrides of the config, KEY VALUE ...
    """

    arms: tuple[Arm, ...]
    num_bases: int = 3
    early_iterations: int = 240
    late_iterations: int = 360
    finetune_iterations: int = 100
    finetune_orders: int = 2
    crossover_iterations: int = 120
    crossover_orders: int = 2
    learning_rate: float = 0.002
    finetune_learning_rate: float = 0.0005
    crossover_learning_rate: float = 0.001
    num_images: int = 500
    num_draws: int = 250
    num_nulls: int = 20
    opts: tuple[str, ...] = field(default=())

    def settings(self) -> dict[str, Any]:
        """Return everything that decides the trained weights and detections, as JSON types."""
        settings = json.loads(json.dumps(asdict(self)))
        # More of these add to what is there.
        orders = ("finetune_orders", "crossover_orders")
        for key in ("arms", "num_bases", *orders, "num_draws", "num_nulls"):
            del settings[key]
        return settings

    def key(self) -> str:
        """Return a short name of the settings, the same for the same ones."""
        text = json.dumps(self.settings(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:10]


# What fine-tuned arms are compared with: as long a training, with nothing turned.
REFERENCE_FINETUNE = Arm(f"{REFERENCE}_finetune", "finetune", REFERENCE, "aligned")


def finetunes(study: Study, arm: Arm) -> list[tuple[int, Arm, Arm]]:
    """Return the pairs of fine-tunes whose mean difference is an arm's.

    Args:
        study: the study, for how many orders of batches.
        arm: an arm of kind "finetune".

    Returns:
        (order, the reference with it, the arm with it) for each order of batches.
    """
    return [
        (order, _in_order(REFERENCE_FINETUNE, order), _in_order(arm, order))
        for order in range(study.finetune_orders)
    ]


def _in_order(arm: Arm, order: int) -> Arm:
    return replace(arm, name=f"{arm.name}-order{order}") if order else arm


QUICK_ARMS = (
    Arm("paste_mask_detectron1", "replay", "paste_mask", "detectron1", "same detections"),
    Arm("box_transform_py_faster_rcnn", "inference", "box_transform", "py_faster_rcnn",
        "same weights, decode turned"),
    Arm("box_transform_detectron1", "inference", "box_transform", "detectron1",
        "same weights, a consistent +1"),
    Arm("flip_detectron1", "finetune", "flip", "detectron1", "equal fine-tunes"),
    Arm("null_finetune", "finetune", "null", "other batches", "equal fine-tunes"),
)  # fmt: skip
FULL_ARMS = (
    *QUICK_ARMS,
    Arm("flip_index", "finetune", "flip", "index", "equal fine-tunes"),
    Arm("mask_target_unaligned", "finetune", "mask_target", "unaligned", "equal fine-tunes"),
    Arm("anchors_detectron1", "crossover", "anchors", "detectron1", "crossover"),
    Arm("roi_align_unaligned", "crossover", "roi_align", "unaligned", "crossover"),
    Arm("null_crossover", "crossover", "null", "other batches", "crossover"),
    Arm("anchor_offset_centred", "crossover", "anchor_offset", "centred", "crossover"),
    *(
        Arm(
            f"null_finetune_{draw}",
            "finetune",
            "null",
            "other batches",
            f"equal fine-tunes, draw {draw}",
            draw,
        )
        for draw in (2, 3, 4)
    ),
)

# Every arm. Polygons are not resized as pixels are, so the last one is for RLE masks alone.
ARMS = (
    *FULL_ARMS,
    Arm("mask_resize_unbiased", "finetune", "mask_resize", "unbiased", "equal fine-tunes"),
)


def choose_arms(names: Sequence[str]) -> tuple[Arm, ...]:
    """Return arms by their names.

    Args:
        names: from ``ARMS``.

    Returns:
        Them, in the order of ``ARMS``.

    Raises:
        ValueError: an unknown name; the message lists the choices.
    """
    known = [arm.name for arm in ARMS]
    unknown = sorted(set(names) - set(known))
    if unknown or not names:
        raise ValueError(f"--arms: got {unknown or 'none'}, expected some of {known}")
    return tuple(arm for arm in ARMS if arm.name in names)


def quick_study(**changes: Any) -> Study:
    """Return the study of the factors that act in inference, and the flip: minutes on two cores.

    Args:
        **changes: attributes of Study.

    Returns:
        A Study.
    """
    return Study(**{"arms": QUICK_ARMS, **changes})


def full_study(**changes: Any) -> Study:
    """Return the study of every factor.

    Args:
        **changes: attributes of Study.

    Returns:
        A Study.
    """
    sizes = {"num_bases": 4, "num_draws": 1000, "num_nulls": 100}
    return Study(**{"arms": FULL_ARMS, **sizes, **changes})
