"""COCO average precision under integer image weights, fast enough for thousands of draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RECALL_POINTS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True)
class WeightedAP:
    """Everything about a set of matched detections that no image weight can change.

    The precision envelope at any recall is reached at a true positive, so a draw only looks
    at those. A "segment" is one (threshold, category) pair, numbered ``t * K + k``.
    """

    num_thresholds: int
    num_categories: int
    det_image: np.ndarray  # (D,) image of each detection, sorted by category, then score
    tp_image: np.ndarray  # (S,) image of each true positive, sorted by segment, then score
    tp_segment: np.ndarray  # (S,)
    tp_det_end: np.ndarray  # (S,) detections up to and including this true positive
    tp_det_begin: np.ndarray  # (S,) detections before its category
    tp_begin: np.ndarray  # (S,) true positives before its segment
    is_first: np.ndarray  # (S,) first true positive of its segment
    ignored_image: np.ndarray  # (I,) image of each ignored detection, one entry per threshold
    ignored_end: np.ndarray  # (S,) ignored entries before this true positive
    ignored_begin: np.ndarray  # (S,) ignored entries before its segment
    gt_image: np.ndarray  # (G,) image of each ground truth that counts
    gt_category: np.ndarray  # (G,)

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """Average precision of each threshold and category when images count ``weights`` times.

        Args:
            weights: (N,) int64 multiplicity of each image.

        Returns:
            (T, K) float64 in 0..1; NaN where the weighted images have no ground truth.
        """
        num_gt = np.bincount(self.gt_category, weights[self.gt_image], self.num_categories)
        segments = self.num_thresholds * self.num_categories
        area = np.zeros(segments)
        if len(self.tp_image):
            true_positives = _span(weights[self.tp_image], self._tp_end, self.tp_begin)
            detections = _span(weights[self.det_image], self.tp_det_end, self.tp_det_begin)
            if len(self.ignored_image):
                ignored = weights[self.ignored_image]
                detections -= _span(ignored, self.ignored_end, self.ignored_begin)
            recall = true_positives / np.maximum(num_gt, 1.0)[self.tp_segment % self.num_categories]
            precision = true_positives / np.maximum(detections, 1)
            envelope = self._envelope(precision)
            area = np.bincount(self.tp_segment, envelope * self._points(recall), segments)
        ap = area.reshape(self.num_thresholds, self.num_categories) / len(RECALL_POINTS)
        ap[:, num_gt == 0] = np.nan
        return ap

    @property
    def _tp_end(self) -> np.ndarray:
        return np.arange(1, len(self.tp_image) + 1)

    def _envelope(self, precision: np.ndarray) -> np.ndarray:
        # Best precision at this recall or a higher one, within the segment. Lifting each
        # earlier segment above the later ones keeps a single running maximum from leaking.
        lift = self.num_thresholds * self.num_categories - self.tp_segment
        return np.maximum.accumulate((precision + lift)[::-1])[::-1] - lift

    def _points(self, recall: np.ndarray) -> np.ndarray:
        # How many of the 101 recall points this true positive is the first to reach.
        reached = np.searchsorted(RECALL_POINTS, recall, side="right")
        reached[recall == 0] = 0  # an undrawn detection reaches nothing, not even recall 0
        points = np.diff(reached, prepend=0)
        points[self.is_first] = reached[self.is_first]
        return points


def weighted_ap(
    det_image: np.ndarray,
    det_category: np.ndarray,
    matched: np.ndarray,
    ignored: np.ndarray,
    gt_image: np.ndarray,
    gt_category: np.ndarray,
    num_categories: int,
) -> WeightedAP:
    """Prepare matched detections for repeated weighted evaluation.

    Args:
        det_image: (D,) image index of each detection, sorted by category, then falling score.
        det_category: (D,) category index of each detection.
        matched: (T, D) bool, matched to a ground truth at this threshold.
        ignored: (T, D) bool, neither right nor wrong at this threshold.
        gt_image: (G,) image index of each ground truth that is not ignored.
        gt_category: (G,) its category index.
        num_categories: K.

    Returns:
        A callable from (N,) image weights to (T, K) average precisions.
    """
    counts = ~ignored.all(axis=0)
    det_image, det_category = det_image[counts], det_category[counts]
    matched, ignored = matched[:, counts], ignored[:, counts]
    num_thresholds, num_dets = matched.shape

    threshold, position = np.nonzero(matched & ~ignored)
    category = det_category[position]
    segment = threshold * num_categories + category
    det_begin = np.searchsorted(det_category, np.arange(num_categories))
    is_first = np.diff(segment, prepend=-1) > 0

    ignored_threshold, ignored_position = np.nonzero(ignored)
    ignored_key = ignored_threshold * num_dets + ignored_position
    begin_key = threshold * num_dets + det_begin[category]
    return WeightedAP(
        num_thresholds=num_thresholds,
        num_categories=num_categories,
        det_image=det_image,
        tp_image=det_image[position],
        tp_segment=segment,
        tp_det_end=position + 1,
        tp_det_begin=det_begin[category],
        tp_begin=np.searchsorted(segment, segment),
        is_first=is_first,
        ignored_image=det_image[ignored_position],
        ignored_end=np.searchsorted(ignored_key, threshold * num_dets + position),
        ignored_begin=np.searchsorted(ignored_key, begin_key),
        gt_image=gt_image,
        gt_category=gt_category,
    )


def _span(counts: np.ndarray, end: np.ndarray, begin: np.ndarray) -> np.ndarray:
    """Sum ``counts[begin:end]`` for each pair of bounds."""
    total = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=total[1:])
    return total[end] - total[begin]
