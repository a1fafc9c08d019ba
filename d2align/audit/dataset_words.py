"""What each span of coordinates means for boxes, polygons and keypoints, and the fix."""

from __future__ import annotations

from typing import NamedTuple


class Meaning(NamedTuple):
    """A convention: its name, pixels off d2align's, what it means, and the fix."""

    convention: str
    error_px: float
    says: str
    fix: str


_ONE_BASED = "The first pixel is number 1"

_BOXES = {
    "corners": Meaning(
        "exclusive", 0.0, "Edges: x + w is the right edge, W at the image border", ""
    ),
    "indices": Meaning(
        "inclusive",
        1.0,
        "Indices: x + w is the last pixel's, W - 1 at the image border; boxes are 1 px short",
        "add 1 to w and h",
    ),
    "centres": Meaning(
        "integer_centres",
        0.5,
        "The first pixel's centre is 0: boxes lie half a pixel too far left and up",
        "add 0.5 to x and y",
    ),
    "one_based": Meaning(
        "one_based",
        1.0,
        f"{_ONE_BASED} and x + w is the number of the last: boxes are 1 px short",
        "subtract 1 from x and y, add 1 to w and h",
    ),
    "one_based_edges": Meaning(
        "one_based_edges",
        1.0,
        f"{_ONE_BASED}: boxes lie 1 px too far right and down",
        "subtract 1 from x and y",
    ),
    "pixel_centres": Meaning(
        "pixel_centres",
        0.5,
        "Boxes reach from the centre of the first pixel to the centre of the last",
        "subtract 0.5 from x and y, add 1 to w and h",
    ),
}


def _points(what: str) -> dict[str, Meaning]:
    """The meanings for polygons' vertices and for keypoints."""
    return {
        "corners": Meaning("integer_corners", 0.0, f"{what} are coordinates, on [0, W]", ""),
        "indices": Meaning(
            "indices",
            0.5,
            f"{what} are pixel indices, at most W - 1: half a pixel too far left and up",
            "add 0.5 to x and y",
        ),
        "centres": Meaning(
            "integer_centres",
            0.5,
            f"The first pixel's centre is 0: {what.lower()} lie half a pixel too far left and up",
            "add 0.5 to x and y",
        ),
        "one_based": Meaning(
            "one_based",
            0.5,
            f"{_ONE_BASED}: {what.lower()} lie half a pixel too far right and down",
            "subtract 0.5 from x and y",
        ),
        "one_based_edges": Meaning(
            "one_based_edges",
            1.0,
            f"{_ONE_BASED}: {what.lower()} lie 1 px too far right and down",
            "subtract 1 from x and y",
        ),
        "pixel_centres": Meaning(
            "integer_corners",
            0.0,
            f"{what} are coordinates of pixel centres, so outlines are half a pixel thin",
            "",
        ),
    }


MEANINGS = {"boxes": _BOXES, "polygons": _points("Vertices"), "keypoints": _points("Keypoints")}
# How far right of its coordinate a point is written, by span.
POINT_SHIFT = {
    "corners": 0.0,
    "indices": -0.5,
    "centres": -0.5,
    "one_based": 0.5,
    "one_based_edges": 1.0,
    "pixel_centres": 0.0,
}
