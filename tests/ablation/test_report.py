"""The report says what the intervals say, escapes what it shows and needs nothing beside it."""

from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from d2align.ablation import report
from d2align.ablation.comparison import Row
from d2align.ablation.report.content import write_page
from d2align.ablation.report.crops import most_different
from d2align.ablation.report.diffs import config_diff
from d2align.ablation.report.headline import HEADER, headline_row, no_effect_notes
from d2align.ablation.report.html import html
from d2align.ablation.report.markdown import markdown
from d2align.ablation.report.page import Code, Link, Page, Section, Table
from d2align.ablation.report.tables import size_ranges
from d2align.ablation.report.wording import format_delta, what_would_resolve
from d2align.ablation.study import ARMS, FULL_ARMS, QUICK_ARMS, Arm
from d2align.evaluation.bootstrap import PairedDelta, paired_bootstrap
from d2align.evaluation.matches import match_detections
from d2align.evaluation.perturb import shift_boxes

sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))
from coco_synthetic import make_dataset, make_results


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


def _rows(box: tuple[float, float], mask: tuple[float, float], arm: Arm = QUICK_ARMS[1]):
    return [Row(arm, "bbox", _delta(*box)), Row(arm, "segm", _delta(*mask))]


def test_row_says_lower_only_where_the_interval_leaves_out_zero():
    cells = headline_row(_rows((-1.0, 0.5), (-0.2, 0.5)))
    assert len(cells) == len(HEADER)
    assert cells[:2] == ("box_transform", "py_faster_rcnn")
    assert cells[3] == "-1.00 [-1.50, -0.50]"
    assert cells[5] == "lower / not resolved"
    assert cells[6].text == "-0.4 to -0.7 box AP (article)" and cells[6].url.startswith("https://")


def test_identical_results_are_said_to_be_the_same_and_missing_masks_to_be_missing():
    assert format_delta(_delta(0.0, 0.0)) == "0 (the same)"
    rows = _rows((0.0, 0.0), (-1.0, 0.5))
    assert headline_row(rows)[5] == "same / lower"
    assert headline_row(rows[:1])[4] == "needs the network"


def test_what_is_not_resolved_says_what_would_resolve_it():
    row = _rows((-0.2, 0.5), (0.001, 0.5))
    text = what_would_resolve(row[0])
    images = int(re.search(r"([\d,]+) images", text)[1].replace(",", ""))
    assert images > 500 * (0.5 / 0.2) ** 2
    assert "no difference to resolve" in what_would_resolve(row[1])


def test_a_reported_no_effect_is_held_against_the_margin(outcome):
    arm = next(a for a in FULL_ARMS if a.factor == "roi_align")
    rows = [_rows((-0.3, 0.5), (-0.3, 0.9), arm), _rows((-3, 0.5), (-1, 0.5))]
    changed = report.Outcome(**{**vars(outcome), "rows": rows, "margin": 1.0})
    (note,) = no_effect_notes(changed)  # none for the decode, of which an effect is reported
    assert "box AP -0.30 [-0.80, +0.20] is within 1 AP of no effect" in note
    assert "mask AP -0.30 [-1.20, +0.60] is too wide" in note


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> report.Outcome:
    root = tmp_path_factory.mktemp("study")
    rng = np.random.default_rng(0)
    dataset = make_dataset(rng, 12)
    for image in dataset["images"]:
        image["file_name"] = f"{image['id']}.png"
        Image.new("RGB", (image["width"], image["height"]), (90, 120, 150)).save(
            root / image["file_name"]
        )
    reference = make_results(rng, dataset)
    variant = shift_boxes(reference, right=2, bottom=2)
    for name, results in (("reference", reference), ("variant", variant)):
        (root / f"{name}.json").write_text(json.dumps(results))
    tables = [match_detections(dataset, r, areas=["all"]) for r in (reference, variant)]
    arm = QUICK_ARMS[1]
    return report.Outcome(
        title="Prices <of> & pixels",
        lead=("Measured | on <b>toys</b>.",),
        rows=[[Row(arm, "bbox", paired_bootstrap(*tables, num_draws=40))]],
        pairs=lambda arm: [[(root / "reference.json", root / "variant.json")]],
        dataset=dataset,
        image_root=root,
        config_diffs={arm.name: ["D2ALIGN.BOX_TRANSFORM: float -> py_faster_rcnn"]},
        command="tools/run_ablation.py --output 'a <b>'",
        settings={"seeds": [1]},
        nulls=[_delta(0.0, 0.1), _delta(1.0, 0.1)],
        seconds={"all": 3.2},
        num_draws=40,
    )


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_the_whole_report_is_written_and_needs_nothing_beside_it(outcome, tmp_path):
    files = report.save(outcome, tmp_path)
    assert [path.name for path in files[:3]] == ["report.html", "report.md", "results.json"]
    reader = _Reader()
    reader.feed((tmp_path / "report.html").read_text())
    assert "Prices <of> & pixels" in reader.text and "Measured | on <b>toys</b>." in reader.text
    names = [tag for tag, _ in reader.tags]
    assert "script" not in names and "link" not in names and "b" not in names
    images = [attrs for tag, attrs in reader.tags if tag == "img"]
    assert len(images) == 2  # the differences, and one arm's crops
    assert all(i["src"].startswith("data:image/png;base64,") and i["alt"] for i in images)
    for part in ("By how many pixels", "By the size of objects", "Where they differ most",
                 "What each arm changes", "How to reproduce it"):  # fmt: skip
        assert part in reader.text
    assert "2 comparisons of equal random jitters; intervals that leave out 0: 1," in reader.text
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["rows"][0]["delta"] == outcome.rows[0][0].delta.delta
    assert not list(tmp_path.glob("*.tmp"))


def test_the_markdown_twin_has_the_same_tables_and_its_pictures_exist(outcome, tmp_path):
    report.save(outcome, tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert text.startswith("# Prices &lt;of> & pixels\n")
    assert "Measured \\| on &lt;b>toys&lt;/b>." in text
    pictures = re.findall(r"\]\((\w+\.png)\)", text)
    assert len(pictures) == 2 and all((tmp_path / name).is_file() for name in pictures)
    page = write_page(outcome)
    tables = [b for s in page.sections for b in s.blocks if isinstance(b, Table)]
    assert len(re.findall(r"^\|---", text, re.MULTILINE)) == len(tables) >= 4
    for table in tables:
        assert all(len(row) == len(table.header) for row in table.rows)


def test_a_known_offset_is_found_in_pixels(outcome):
    page = write_page(outcome)
    table = next(s for s in page.sections if s.title == "By how many pixels").blocks[1]
    cells = dict(zip(table.header, table.rows[0], strict=True))
    offsets = {name: float(cells[name].split()[0]) for name in ("left", "top", "right", "bottom")}
    assert offsets == pytest.approx({"left": 0, "top": 0, "right": 2, "bottom": 2}, abs=0.01)


def test_the_terminal_table_is_aligned(outcome):
    lines = report.terminal(outcome).splitlines()
    rule = next(i for i, line in enumerate(lines) if line.startswith("----"))
    starts = [m.start() for m in re.finditer(r"(?<!-)-+", lines[rule])]
    assert all(lines[rule - 1][start] != " " for start in starts)
    assert all(lines[rule + 1][start] != " " for start in starts)


def test_everything_that_is_shown_is_escaped():
    evil = "<script>alert(1)</script> | `x`"
    table = Table((evil,), ((evil,), (Link(evil, "https://example.org/?a=1&b=2"),)), evil)
    page = Page(evil, (evil,), (Section(evil, (evil, table, Code(evil))),))
    text = html(page)
    assert "<script>" not in text and text.count("&lt;script&gt;") >= 8
    assert 'href="https://example.org/?a=1&amp;b=2"' in text
    for line in markdown(page).splitlines():
        assert "<script>" not in line or line.startswith("    ")  # code is shown as it is


def test_size_ranges_are_coco_s_where_each_holds_something():
    def dataset(*areas):
        return {"annotations": [{"area": a} for a in areas]}

    assert size_ranges(dataset(100, 2000, 20_000))[1]
    ranges, is_coco = size_ranges(dataset(*range(1, 31)))
    assert not is_coco
    assert [ranges["small"][1], ranges["medium"][1]] == [11, 21]
    assert size_ranges(dataset())[1] and size_ranges(dataset(5, 5, 5))[1]


def test_crops_are_of_what_differs_most_one_an_image():
    def box(image_id, x, w=20.0, score=0.9):
        return {"image_id": image_id, "category_id": 1, "bbox": [x, 5, w, 20], "score": score}

    reference = [box(1, 10), box(1, 60), box(2, 10), box(3, 10), box(4, 10, score=0.1)]
    variant = [box(1, 11), box(1, 63), box(2, 12), box(3, 10), box(4, 15, score=0.1)]
    found = most_different(reference, variant, "bbox", count=3)
    assert [(d.image_id, d.amount) for d in found] == [(1, 3.0), (2, 2.0)]


def test_config_diff_is_exactly_what_the_factor_turns():
    from tiny_models import tiny_config

    cfg = tiny_config()
    cfg.freeze()
    by_factor = {arm.factor: config_diff(cfg, arm) for arm in ARMS}
    assert by_factor["null"] == []
    assert by_factor["mask_target"] == ["D2ALIGN.MASK_TARGET: aligned -> unaligned"]
    assert by_factor["roi_align"] == [
        f"MODEL.ROI_{head}_HEAD.POOLER_TYPE: ROIAlignV2 -> ROIAlign"
        for head in ("BOX", "KEYPOINT", "MASK")
    ]
