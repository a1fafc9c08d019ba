"""The report's wording follows the intervals."""

from __future__ import annotations

from pathlib import Path

from d2align.ablation import report
from d2align.ablation.comparison import Row
from d2align.ablation.study import QUICK_ARMS, quick_study
from d2align.evaluation.bootstrap import PairedDelta


def _delta(value: float, half: float) -> PairedDelta:
    return PairedDelta(
        delta=value,
        low=value - half,
        high=value + half,
        se=half / 2,
        image_se=half / 2,
        base_se=0.0,
        reference_ap=50.0,
        variant_ap=50.0 + value,
        num_images=500,
        num_draws=100,
        confidence=0.95,
        base_deltas=(value, value),
        includes_base_variance=True,
    )


def _rows(box: tuple[float, float], mask: tuple[float, float]) -> list[Row]:
    return [Row(QUICK_ARMS[1], "bbox", _delta(*box)), Row(QUICK_ARMS[1], "segm", _delta(*mask))]


def test_row_says_lower_only_where_the_interval_leaves_out_zero():
    cells = report.table_row(_rows((-1.0, 0.5), (-0.2, 0.5)))
    assert cells[:2] == ("box_transform", "py_faster_rcnn")
    assert cells[3] == "-1.00 [-1.50, -0.50]"
    assert cells[5] == "lower / not resolved"
    assert cells[6] == "-0.4 to -0.7 box"


def test_identical_boxes_are_said_to_be_identical():
    assert report.format_delta(_delta(0.0, 0.0)) == "0 (the same boxes)"


def test_markdown_has_a_row_an_arm_the_caution_and_the_nulls():
    table = [_rows((-1.0, 0.5), (-0.2, 0.5))]
    page = report.markdown(quick_study(), table, [_delta(0.0, 0.1), _delta(1.0, 0.1)])
    assert page.count("\n| box_transform |") == 1
    assert "signs carry over to COCO, magnitudes do not" in page
    assert "of 2 comparisons of equal random jitters, 1 intervals" in page
    assert "Reference: box AP 50.0" in page


def test_picture_is_written_whole(tmp_path: Path):
    path = tmp_path / "deltas.png"
    report.draw([_rows((-1.0, 0.5), (-0.2, 0.5))], path)
    assert path.stat().st_size > 10_000
