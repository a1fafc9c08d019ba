"""Pictures of deviations: every kind is drawn, from its own numbers, on one page that is safe."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
from functools import cache
from pathlib import Path

import contracts
import numpy as np
import planted_boxes
import planted_images
import pytest

from d2align.audit import KINDS, Finding, audit_function
from d2align.audit.card import Card, read_card
from d2align.audit.deviations import Deviation
from d2align.audit.pictures import draw, pictures_page

DOCS = Path(__file__).parents[2] / "docs"
DRAWS = planted_images.DRAWS | planted_boxes.DRAWS


@cache
def measured(kind: str) -> Finding:
    return audit_function(contracts.SOUND[kind], kind, subject="mine")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn(kind: str) -> None:
    picture = draw(measured(kind))
    assert picture is not None
    assert ET.fromstring(picture).tag.endswith("svg")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "resize"])
def test_unknown_rules_are_drawn_too(kind: str) -> None:
    rng = np.random.default_rng(3)
    drawn = next(d for d in iter(lambda: DRAWS[kind](rng), None) if d.error_px != 0)
    assert draw(audit_function(drawn.fn, kind, subject="mine"))


def test_a_picture_shows_what_was_measured() -> None:
    """Other evidence, another picture; the same evidence, the same bytes."""
    finding = measured("roi_align")
    moved = dict(finding.evidence, positions=[p + 0.5 for p in finding.evidence["positions"]])
    other = Finding.from_json(finding.to_json() | {"evidence": moved})
    assert draw(finding) == draw(finding)
    assert draw(finding) != draw(other)


@pytest.mark.parametrize(
    "parameters",
    [
        {"x_px": -2.0, "y_px": -2.0, "strides": [4, 8]},
        {"x1_px": 0.0, "y1_px": 0.0, "x2_px": 1.0, "y2_px": 1.0, "x_px": 0.5, "y_px": 0.5},
    ],
)
def test_stages_of_a_pipeline_are_drawn(parameters: dict[str, float]) -> None:
    data = {"kind": "anchors", "subject": "anchors: a", "parameters": parameters, "evidence": {}}
    picture = draw(Finding.from_json(measured("anchors").to_json() | data))
    assert picture is not None and ET.fromstring(picture).tag.endswith("svg")


def test_what_failed_has_no_picture() -> None:
    assert draw(audit_function(lambda *args: None, "resize", subject="it")) is None


def off(subject: str) -> Finding:
    data = measured("box_area").to_json()
    return Finding.from_json(data | {"subject": subject, "status": "deviates", "error_px": 1.0})


def test_the_page_is_escaped_and_needs_nothing_else() -> None:
    card = Card({"<p>": "1"}, [off("A: <script>f</script>"), measured("nms")], {})
    page = pictures_page(card, [Deviation("box_area", "A: *", "why & <b>", 1.0)])
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert "why &amp; &lt;b&gt;" in page
    assert "Of 2 functions 1 keep" in page
    assert re.findall(r'(?:src|href)="(?!data:|#)', page) == []
    found = re.findall(r"base64,([A-Za-z0-9+/=]+)", page)
    assert len(found) == 1
    ET.fromstring(base64.b64decode(found[0]))


def test_functions_that_do_the_same_share_a_picture() -> None:
    page = pictures_page(Card({}, [off("A: f"), off("B: g")], {}))
    assert page.count("<article>") == 1
    assert "A: f" in page
    assert "B: g" in page


def test_the_committed_page_shows_the_committed_card() -> None:
    page = (DOCS / "deviations.html").read_text()
    assert len(page) < 400_000
    findings = read_card(DOCS / "conventions.json").findings
    subjects = {f.subject for f in findings if f.status != "aligned"}
    listed = re.findall(r"<li>(.*?)</li>", page)
    assert set(listed) == {s.replace("&", "&amp;").replace("'", "&#39;") for s in subjects}
