"""What the article and other sources report of each detail, with where they say it."""

from __future__ import annotations

from d2align.ablation.report.page import Link

ARTICLE = "https://ppwwyyxx.com/blog/2021/Where-are-Pixels/"
_D2 = "https://detectron2.readthedocs.io/en/latest/notes/compatibility.html"
_COMPARISON = (
    "https://github.com/facebookresearch/detectron2/tree/main/configs/Detectron1-Comparisons"
)

# (factor, value) -> the difference of the historical variant to the aligned one, on COCO.
REPORTED = {
    ("box_transform", "py_faster_rcnn"): Link("-0.4 to -0.7 box AP (article)", ARTICLE),
    ("box_transform", "detectron1"): Link("0, an exact inverse (article)", ARTICLE),
    ("flip", "detectron1"): Link("about -0.5 mask AP (article)", ARTICLE),
    ("anchors", "detectron1"): Link("0 (article)", ARTICLE),
    ("roi_align", "unaligned"): Link("0 (article)", ARTICLE),
    ("paste_mask", "detectron1"): Link("-0.1 to -0.4 mask AP (article)", ARTICLE),
    ("null", "other batches"): Link("0: nothing is turned"),
}
NOT_REPORTED = Link("not given")
NOTES = (
    "The sources disagree on the paste: the article says 0.1 to 0.4 mask AP, "
    f"Detectron2's compatibility page ({_D2}) about 0.5. Of unaligned pooling, Detectron2's "
    f"comparison with Detectron ({_COMPARISON}) says what the article says: no effect."
)


def reported(factor: str, value: str) -> Link:
    """Return what is reported of a factor's value.

    Args:
        factor: such as "flip".
        value: such as "detectron1".

    Returns:
        The figure and its source.
    """
    return REPORTED.get((factor, value), NOT_REPORTED)
