"""The eight data sets by name, and every number that shapes them."""

from __future__ import annotations

import dataclasses
import hashlib

from .figures import KEYPOINT_NAMES
from .instances import MAKERS

VERSION = 1  # raise it whenever the pixels or annotations of any image change

Size = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class ShapesSpec:
    """What one data set is made of.

    Convention: sizes are (h, w) in pixels; a side is the square root of a box area in pixels.

    Args:
        name: the data set's name.
        family: ``instances`` or ``keypoints``.
        split: ``train`` or ``val``; each has a seed stream of its own.
        seed: the seed of the family at this scale.
        num_images: images in the whole data set.
        sizes: the image sizes to choose from.
        objects: fewest and most objects tried for an image.
        side_offset: sides are ``side_offset`` + a log-normal number.
        side_median: the median side.
        side_sigma: standard deviation of the log-normal number's logarithm.
        crowd_share: share of the images with a crowd region.
        grain: standard deviation of the noise of each pixel, in grey levels.
    """

    name: str
    family: str
    split: str
    seed: int
    num_images: int
    sizes: tuple[Size, ...]
    objects: tuple[int, int]
    side_offset: float
    side_median: float
    side_sigma: float
    crowd_share: float = 0.04
    grain: float = 4.0

    @property
    def categories(self) -> tuple[str, ...]:
        """The category names in the order of their ids, which start at 1."""
        return ("figure",) if self.has_keypoints else tuple(MAKERS)

    @property
    def has_keypoints(self) -> bool:
        """Whether the objects are figures with keypoints."""
        return self.family == "keypoints"

    @property
    def keypoint_names(self) -> tuple[str, ...]:
        """The keypoint names; none in the instance family."""
        return KEYPOINT_NAMES if self.has_keypoints else ()

    def folder_name(self, num_images: int) -> str:
        """Return the cache folder's name, which changes with any parameter."""
        text = repr((VERSION, num_images, dataclasses.astuple(self)))
        digest = hashlib.sha256(text.encode()).hexdigest()[:10]
        return f"{self.name}-v{VERSION}-{num_images}-{digest}"


_SIZES_128: tuple[Size, ...] = (
    (128, 128),
    (112, 128),
    (128, 112),
    (128, 120),
    (97, 128),
    (128, 101),
    (119, 128),
)
_SIZES_800: tuple[Size, ...] = (
    (800, 800),
    (600, 800),
    (800, 600),
    (533, 800),
    (800, 667),
    (601, 800),
)


def _scales() -> list[ShapesSpec]:
    """The families at their scales, as specs whose name and split are still to be filled."""
    small = {"split": "", "sizes": _SIZES_128}
    large = {"split": "", "sizes": _SIZES_800, "grain": 0.0}
    return [
        ShapesSpec("shapes_128", "instances", seed=1, num_images=0, objects=(2, 6),
                   side_offset=7.5, side_median=20.5, side_sigma=0.80, **small),
        ShapesSpec("shapes_800", "instances", seed=2, num_images=0, objects=(2, 9),
                   side_offset=12.0, side_median=97.0, side_sigma=0.75, **large),
        ShapesSpec("shapes_keypoints_128", "keypoints", seed=3, num_images=0, objects=(1, 4),
                   side_offset=10.0, side_median=36.0, side_sigma=0.45, **small),
        ShapesSpec("shapes_keypoints_800", "keypoints", seed=4, num_images=0, objects=(1, 6),
                   side_offset=40.0, side_median=170.0, side_sigma=0.45, **large),
    ]  # fmt: skip


def _all_specs() -> dict[str, ShapesSpec]:
    specs = {}
    for scale in _scales():
        for split, num_images in (("train", 2000), ("val", 500)):
            name = f"{scale.name}_{split}"
            specs[name] = dataclasses.replace(scale, name=name, split=split, num_images=num_images)
    return specs


SPECS: dict[str, ShapesSpec] = _all_specs()


def get_spec(name: str) -> ShapesSpec:
    """Look a data set up by name.

    Args:
        name: one of the eight names.

    Returns:
        Its spec.

    Raises:
        ValueError: if there is no such data set; the message lists the choices.
    """
    if name not in SPECS:
        raise ValueError(f"unknown shapes data set {name!r}; choose from {', '.join(SPECS)}")
    return SPECS[name]
