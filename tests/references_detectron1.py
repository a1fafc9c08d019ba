"""Detectron's steps, one box at a time in float64, written from their definitions.

Boxes are lists x1, y1, x2, y2 of the first and last pixel; a size is (h, w).
"""

from __future__ import annotations

import math
from typing import Any

LARGEST = math.log(1000 / 16)


def area(box: Any) -> float:
    return (box[2] - box[0] + 1) * (box[3] - box[1] + 1)


def iou(a: Any, b: Any) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (area(a) + area(b) - width * height)


def nms(boxes: Any, scores: Any, threshold: float) -> list[int]:
    """Indices kept, best first: each suppresses what it overlaps by the threshold or more."""
    kept: list[int] = []
    for i in sorted(range(len(scores)), key=lambda j: -scores[j]):
        if all(iou(boxes[i], boxes[j]) < threshold for j in kept):
            kept.append(i)
    return kept


def encode(src: Any, target: Any, weights: Any = (1, 1, 1, 1)) -> list[float]:
    deltas = []
    for axis in (0, 1):
        size, new_size = (b[axis + 2] - b[axis] + 1 for b in (src, target))
        moved = (target[axis] + new_size / 2) - (src[axis] + size / 2)
        deltas.append((moved / size, math.log(new_size / size)))
    (dx, dw), (dy, dh) = deltas
    return [w * d for w, d in zip(weights, (dx, dy, dw, dh), strict=True)]


def decode(
    src: Any, deltas: Any, weights: Any = (1, 1, 1, 1), last_pixel: float = 1
) -> list[float]:
    """The decoded box; last_pixel 0 is py-faster-rcnn, whose x2 and y2 are a pixel too far."""
    d = [float(v) / w for v, w in zip(deltas, weights, strict=True)]
    edges = []
    for axis in (0, 1):
        size = src[axis + 2] - src[axis] + 1
        centre = src[axis] + size / 2 + d[axis] * size
        half = math.exp(min(d[axis + 2], LARGEST)) * size / 2
        edges.append((centre - half, centre + half - last_pixel))
    (x1, x2), (y1, y2) = edges
    return [x1, y1, x2, y2]


def clip(box: Any, size: tuple[float, float]) -> list[float]:
    h, w = size
    limits = (w - 1, h - 1, w - 1, h - 1)
    return [max(min(v, m), 0.0) for v, m in zip(box, limits, strict=True)]


def is_proposal(box: Any, size: tuple[float, float], im_scale: float, least: float) -> bool:
    """Whether a clipped proposal is large enough, in original pixels, and centred inside."""
    for axis, limit in ((0, size[1]), (1, size[0])):
        side = box[axis + 2] - box[axis]
        if side / im_scale + 1 < max(least, 1) or box[axis] + (side + 1) / 2 >= limit:
            return False
    return True


def proposals(
    levels: Any,
    size: tuple[float, float],
    im_scale: float,
    before: int,
    after: int,
    threshold: float = 0.7,
    least: float = 0,
    last_pixel: float = 1,
) -> list[tuple[float, list[float]]]:
    """(score, box) of one image, best first; levels: (anchors, scores, deltas) of each."""
    found = []
    for anchors, scores, deltas in levels:
        best = sorted(range(len(scores)), key=lambda j: -scores[j])[:before]
        boxes = [clip(decode(anchors[i], deltas[i], last_pixel=last_pixel), size) for i in best]
        kept = [j for j, b in enumerate(boxes) if is_proposal(b, size, im_scale, least)]
        chosen = nms([boxes[j] for j in kept], [scores[best[j]] for j in kept], threshold)
        found += [(float(scores[best[kept[j]]]), boxes[kept[j]]) for j in chosen[:after]]
    return sorted(found, key=lambda pair: -pair[0])[:after]


def anchor_labels(
    anchors: Any, gt_boxes: Any, size: tuple[float, float], straddle: float = 0
) -> tuple[list[int], list[int]]:
    """For each anchor 1, 0 or -1 before sampling, and its ground truth."""
    h, w = size
    inside = [
        a[0] >= -straddle and a[1] >= -straddle and a[2] < w + straddle and a[3] < h + straddle
        for a in anchors
    ]
    overlaps = [[iou(a, g) for g in gt_boxes] for a in anchors]
    best = [
        max(o[g] for o, ok in zip(overlaps, inside, strict=True) if ok)
        for g in range(len(gt_boxes))
    ]
    labels, matched = [], []
    for row, ok in zip(overlaps, inside, strict=True):
        label = 1 if max(row) >= 0.7 else 0 if max(row) < 0.3 else -1
        if any(o == b for o, b in zip(row, best, strict=True)):
            label = 1
        labels.append(label if ok else -1)
        matched.append(row.index(max(row)))
    return labels, matched


def level(box: Any) -> int:
    """The pyramid level, 2 to 5, of a RoI in network pixels."""
    return min(max(math.floor(4 + math.log2(math.sqrt(area(box)) / 224 + 1e-6)), 2), 5)


def detections(
    rois: Any,
    scores: Any,
    deltas: Any,
    original: tuple[int, int],
    im_scale: float,
    weights: Any = (10, 10, 5, 5),
    least_score: float = 0.05,
    threshold: float = 0.5,
    most: int = 100,
    last_pixel: float = 1,
) -> list[tuple[float, int, list[float]]]:
    """(score, class, x y w h in original pixels) of one image, best first.

    rois in network pixels; scores (R, K + 1) with background last; deltas (R, 4K).
    """
    found = []
    for label in range(len(scores[0]) - 1):
        boxes, confidences = [], []
        for roi, score, delta in zip(rois, scores, deltas, strict=True):
            if score[label] > least_score:
                src = [v / im_scale for v in roi]
                of_class = delta[4 * label : 4 * label + 4]
                boxes.append(clip(decode(src, of_class, weights, last_pixel), original))
                confidences.append(float(score[label]))
        for i in nms(boxes, confidences, threshold):
            x1, y1, x2, y2 = boxes[i]
            found.append((confidences[i], label, [x1, y1, x2 - x1 + 1, y2 - y1 + 1]))
    return sorted(found, key=lambda item: -item[0])[:most]


def clean_box(xywh: Any, size: tuple[int, int]) -> list[float] | None:
    """A ground-truth box in original pixels, or None where it is dropped."""
    x, y, w, h = xywh
    box = clip([x, y, x + max(0.0, w - 1), y + max(0.0, h - 1)], size)
    return box if box[2] > box[0] and box[3] > box[1] else None


def keypoints_of_heatmaps(heatmaps: Any, box: Any) -> list[list[float]]:
    """Points (x, y) in original pixels, read off (K, S, S) heatmaps enlarged to their box."""
    import cv2
    import numpy as np

    w, h = max(box[2] - box[0], 1.0), max(box[3] - box[1], 1.0)
    columns, rows = math.ceil(w), math.ceil(h)
    points = []
    for heatmap in heatmaps:
        large = cv2.resize(heatmap, (columns, rows), interpolation=cv2.INTER_CUBIC)
        i, j = np.unravel_index(int(large.argmax()), large.shape)
        points.append([box[0] + (j + 0.5) * w / columns, box[1] + (i + 0.5) * h / rows])
    return points
