"""The linter: every rule finds its mistake in small sources and is silent on right code."""

from __future__ import annotations

from pathlib import Path

import pytest

from d2align.audit.lint import lint_source, lint_text
from d2align.audit.lint_names import are_opposite_edges, noun, words
from d2align.audit.lint_rules import RULES
from d2align.audit.record import Finding

IMPORTS = """
import cv2
import numpy as np
import scipy.ndimage
import torch
import torch.nn.functional as F
import torchvision
from scipy import ndimage
from scipy.ndimage import zoom
from skimage import measure
from torch import nn
from torchvision.ops import MultiScaleRoIAlign, RoIAlign, masks_to_boxes, roi_align
"""

CONTOURS = """
def polygons(mask):
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return [c.reshape(-1){half} for c in contours]
"""

EDGES = """
def box(mask):
    ys, xs = np.nonzero(mask)
    x_min, x_max = xs.min(), xs.max()
    return x_min, x_max{one}
"""

WRONG = [
    ("index-flip", "boxes[:, 0] = width - 1 - boxes[:, 2]"),
    ("index-flip", "x = im_width - x2 - 1"),
    ("index-flip", "poly[0::2] = img.shape[1] - np.array(poly[0::2]) - 1.0"),
    ("index-flip", "kps[..., 1] = h - (keypoints[..., 1] + 1)"),
    ("index-flip", "x1 = W - x2 - TO_REMOVE"),
    ("inclusive-size", "w = x2 - x1 + 1"),
    ("inclusive-size", "w = np.maximum(ixmax - ixmin + 1.0, 0.0)"),
    ("inclusive-size", "h = boxes[:, 3] - boxes[:, 1] + 1"),
    ("inclusive-size", "w = (boxes[:, 2] - boxes[:, 0]) / im_scale + 1"),
    ("inclusive-size", "wh = boxes[:, 2:4] - boxes[:, :2] + TO_REMOVE"),
    ("inclusive-size", "wh = (rb - lt + 1).clamp(min=0)"),
    ("inclusive-size", "w = box[2] - x1 + 1"),
    ("truncated-box", "a = gt_boxes.astype(np.int32)"),
    ("truncated-box", "a = instances.pred_boxes.tensor.long()"),
    ("truncated-box", "a = np.round(boxes * scale)"),
    ("truncated-box", "a = np.round(box).astype(int)"),
    ("truncated-box", "a = rois[:, 1:].to(dtype=torch.int64)"),
    ("truncated-box", "a = np.array(ann['bbox']).astype('int32')"),
    ("truncated-box", "a = anchors.round()"),
    ("contour-indices", CONTOURS.format(half="")),
    ("contour-indices", CONTOURS.format(half="") + "\n" * 20 + "    b = x + 0.5"),
    ("contour-indices", "a = measure.find_contours(m)[0].tolist()"),
    ("last-index-as-edge", EDGES.format(one="")),
    ("masks-to-boxes", "b = masks_to_boxes(m)"),
    ("nearest-interpolate", "y = F.interpolate(x, size=(3, 4))"),
    ("nearest-interpolate", "y = F.interpolate(x, (3, 4), None, 'nearest')"),
    ("nearest-interpolate", "y = F.interpolate(x, scale_factor=1.5, mode='nearest')"),
    ("nearest-interpolate", "y = nn.Upsample((30, 40), mode='nearest')"),
    ("unstated-align-corners", "y = F.interpolate(x, size=(3, 4), mode='bilinear')"),
    ("unstated-align-corners", "y = F.grid_sample(x, grid)"),
    ("unstated-align-corners", "y = F.affine_grid(theta, (1, 1, 3, 4))"),
    ("align-corners", "y = F.interpolate(x, (3, 4), mode='bicubic', align_corners=True)"),
    ("align-corners", "y = nn.Upsample((3, 4), None, 'bilinear', True)"),
    ("align-corners", "y = F.grid_sample(x, grid, align_corners=True)"),
    ("unaligned-roi-align", "y = roi_align(x, rois, (7, 7), 0.25, 2)"),
    ("unaligned-roi-align", "y = torchvision.ops.roi_align(x, rois, 7, aligned=False)"),
    ("unaligned-roi-align", "y = RoIAlign((7, 7), 0.25, 2)"),
    ("unaligned-roi-align", "y = MultiScaleRoIAlign(['p2'], 7, 2)"),
    ("unaligned-roi-align", "y = ROIAlign((7, 7), 0.25, 2, aligned=False)"),
    ("nearest-cv2", "y = cv2.resize(x, (3, 4), interpolation=cv2.INTER_NEAREST)"),
    ("zoom-corners", "y = zoom(x, 2)"),
    ("zoom-corners", "y = ndimage.zoom(x, 2, grid_mode=False)"),
    ("zoom-corners", "y = scipy.ndimage.zoom(x, 2)"),
]

RIGHT = [
    "boxes[:, [2, 0]] = width - boxes[:, [0, 2]]",
    "pixel = image[:, width - 1 - x]",  # addresses a pixel, which is an index
    "n = num_columns - 1 - i",
    "last = width - 1",
    "levels = k_max - k_min + 1",
    "n = end - start + 1",
    "n = stop2 - stop1 + 1",
    "out = (size + 2 * pad - kernel) // stride + 1",
    "w = x2 - y1 + 1",
    "w = boxes[:, 2] - boxes[:, 1] + 1",
    "labels = box_labels.long()",
    "n = int(num_boxes)",
    "classes = boxes[:, 5].long()",
    "batch = rois[:, 0].long()",
    "window = torch.floor(boxes[:, :2])",
    "short = np.round(polygon, 2)",
    "cv2.rectangle(img, tuple(box.astype(int)), color)",
    "def draw_boxes(img, boxes):\n    return boxes.astype(int)",
    CONTOURS.format(half=" + 0.5"),
    "def areas(m):\n    return [cv2.contourArea(c) for c in cv2.findContours(m, 0, 1)[0]]",
    "def draw(m):\n    cv2.drawContours(m, cv2.findContours(m, 0, 1)[0][0].reshape(-1), 0, 1)",
    EDGES.format(one=" + 1"),
    "x_max = values.max()",
    "y = F.interpolate(x, scale_factor=2, mode='nearest')",
    "y = nn.Upsample(scale_factor=2 ** k, mode='nearest')",
    "y = F.interpolate(x, size=(3, 4), mode='nearest-exact')",
    "y = F.interpolate(x, size=(3, 4), mode='bilinear', align_corners=False)",
    "y = F.interpolate(x, size=(3, 4), **kwargs)",
    "y = F.interpolate(x, size=(3, 4), mode=mode)",
    "y = F.grid_sample(x, grid, align_corners=False)",
    "y = roi_align(x, rois, (7, 7), 0.25, 2, True)",
    "y = RoIAlign((7, 7), 0.25, 2, aligned=True)",
    "from detectron2.layers import ROIAlign\ny = ROIAlign((7, 7), 0.25, 2)",
    "from mmcv.ops import roi_align as op\ny = op(x, rois, 7)",
    "y = cv2.resize(x, (3, 4), interpolation=cv2.INTER_NEAREST_EXACT)",
    "y = cv2.resize(x, (3, 4))",
    "y = zoom(x, 2, grid_mode=True, mode='nearest')",
    "from matplotlib.transforms import zoom\ny = zoom(x, 2)",
    "y = image.resize((3, 4), Image.NEAREST)",  # Pillow's nearest is on grid 2
]


def rules_of(source: str) -> list[str]:
    return [finding.convention for finding in lint_text(source)]


@pytest.mark.parametrize(("rule", "source"), WRONG)
def test_each_mistake_is_found_once_by_its_rule(rule: str, source: str) -> None:
    assert rules_of(IMPORTS + source) == [rule]


@pytest.mark.parametrize("source", RIGHT)
def test_right_code_is_silent(source: str) -> None:
    assert rules_of(IMPORTS + source) == []


def test_every_rule_has_a_mistake_here() -> None:
    assert {rule for rule, _ in WRONG} == {rule.name for rule in RULES}


def test_finding_tells_where_what_and_how_to_mend_it() -> None:
    (finding,) = lint_text("\n\nw = f(x2 - x1 + 1)\n", "a.py")
    assert finding.subject == "a.py:3:7"
    assert (finding.kind, finding.status, finding.error_px) == ("source", "deviates", 1.0)
    assert finding.parameters == {"code": "x2 - x1 + 1"}
    assert "Fix: x2 - x1" in finding.sentence
    assert Finding.from_json(finding.to_json()) == finding


def test_unstated_default_costs_nothing() -> None:
    (finding,) = lint_text(IMPORTS + "y = F.grid_sample(x, grid)")
    assert (finding.status, finding.error_px) == ("aligned", 0.0)


def test_ignore_comment_hides_its_rule_only() -> None:
    source = "w = x2 - x1 + 1{}\n"
    assert rules_of(source.format("  # d2align: ignore[inclusive-size]")) == []
    assert rules_of(source.format("  # d2align: ignore")) == []
    assert rules_of(source.format("  # d2align: ignore[index-flip, inclusive-size]")) == [
        "unused-ignore"
    ]
    assert rules_of(source.format("  # d2align: ignore[index-flip]")) == [
        "inclusive-size",
        "unused-ignore",
    ]


def test_ignore_on_any_line_of_the_expression() -> None:
    assert rules_of("w = (x2\n     - x1 + 1)  # d2align: ignore[inclusive-size]\n") == []


def test_ignore_in_a_string_is_none() -> None:
    assert rules_of("w = x2 - x1 + 1; s = '# d2align: ignore'\n") == ["inclusive-size"]


def test_stale_and_misspelt_ignores_are_told() -> None:
    (stale,) = lint_text("a = 1  # d2align: ignore\n")
    assert (stale.convention, stale.status) == ("unused-ignore", "failed")
    (misspelt,) = lint_text("a = 1  # d2align: ignore[index-flop]\n")
    assert "index-flop (no such rule)" in misspelt.sentence


def test_source_that_does_not_parse_is_a_finding() -> None:
    (finding,) = lint_text("print 'python 2'\n", "old.py")
    assert finding.status == "failed"
    assert "line 1" in finding.sentence
    assert lint_text("a = '\0'")[0].status == "failed"


def test_folders_are_searched_and_environments_left_out(tmp_path: Path) -> None:
    for name in ("b.py", "a.py", "deep/c.py", "deep/note.txt", ".venv/d.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("w = x2 - x1 + 1\n")
    (tmp_path / "e.py").write_bytes(b"# -*- coding: no-such -*-\n")
    found = [Path(f.subject).name for f in lint_source([tmp_path])]
    assert found == ["a.py:1:5", "b.py:1:5", "c.py:1:5", "e.py"]
    assert [Path(f.subject).name for f in lint_source(tmp_path / "a.py")] == ["a.py:1:5"]


@pytest.mark.parametrize("name", ["missing", "note.txt"])
def test_bad_paths_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "note.txt").write_text("")
    with pytest.raises(ValueError, match=r"paths: got .*expected \*\.py"):
        lint_source([tmp_path / name])


def test_names_are_read_by_their_last_word() -> None:
    assert words("gtBoxes_2") == ["gt", "boxes", "2"]
    nouns = ["gt_boxes", "bboxes", "box_labels", "predBoxes2", "ROIs", "xyxy"]
    assert [noun(name) for name in nouns] == ["box", "bbox", "label", "box", "roi", "xyxy"]


def test_opposite_edges_need_one_axis() -> None:
    import ast

    def opposite(upper: str, lower: str) -> bool:
        return are_opposite_edges(ast.parse(upper).body[0].value, ast.parse(lower).body[0].value)

    assert opposite("ymax", "ymin") and opposite("bb_right", "bb_left") and opposite("x1", "x0")
    assert not opposite("ymax", "xmin") and not opposite("k2", "k1") and not opposite("a", "b")
