"""COCO matching done once, kept as arrays from which AP of any image resample is cheap."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import hotcoco
import numpy as np

from .weighted_ap import WeightedAP, weighted_ap

IOU_TYPES = ("bbox", "segm", "keypoints")
AREA_RANGES = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
# COCOeval reads the area of a detection from its box when there is one. Masks are to be measured
# by their own area, as Detectron2's evaluator does, so "segm" leaves the box out.
_KEPT_FIELDS = {
    "bbox": ("bbox",),
    "segm": ("segmentation",),
    "keypoints": ("keypoints", "bbox", "segmentation"),
}


@dataclass(frozen=True)
class AreaMatches:
    """Matches of one area range, detections sorted by category, then falling score.

    Attributes:
        det_image: (D,) index into the table's images.
        det_category: (D,) index into the table's categories.
        scores: (D,) float64.
        matched: (T, D) bool, matched to a ground truth.
        ignored: (T, D) bool, counted neither as right nor as wrong.
        gt_image: (G,) image index of each ground truth that is not ignored.
        gt_category: (G,) its category index.
    """

    det_image: np.ndarray
    det_category: np.ndarray
    scores: np.ndarray
    matched: np.ndarray
    ignored: np.ndarray
    gt_image: np.ndarray
    gt_category: np.ndarray


@dataclass(frozen=True)
class MatchTable:
    """Matched detections of one arm on a set of images.

    Attributes:
        iou_type: ``"bbox"``, ``"segm"`` or ``"keypoints"``.
        image_ids: (N,) sorted COCO image ids, images without annotations included.
        category_ids: (K,) sorted COCO category ids.
        iou_thresholds: (T,) IoU (for keypoints OKS) thresholds.
        areas: matches by area range name.
    """

    iou_type: str
    image_ids: np.ndarray
    category_ids: np.ndarray
    iou_thresholds: np.ndarray
    areas: dict[str, AreaMatches]
    _prepared: dict[tuple[str, int | None], WeightedAP] = field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def num_images(self) -> int:
        """Number of images, annotated or not."""
        return len(self.image_ids)

    def ap(
        self,
        image_weights: np.ndarray | None = None,
        area: str = "all",
        iou: float | None = None,
    ) -> float:
        """Average precision as COCOeval summarises it, over categories with ground truth.

        Args:
            image_weights: (N,) non-negative integers, how often each image counts; all once
                if None.
            area: area range, ``"all"``, ``"small"``, ``"medium"`` or ``"large"``.
            iou: one IoU threshold (0.5 for AP50), or None for the mean over all of them.

        Returns:
            AP in 0..1, or -1 when no category has ground truth.

        Raises:
            ValueError: for weights of another shape or kind, or an unknown area or threshold.
        """
        by_category = self.category_ap(image_weights, area, iou)
        present = by_category[~np.isnan(by_category)]
        return float(present.mean()) if len(present) else -1.0

    def category_ap(
        self,
        image_weights: np.ndarray | None = None,
        area: str = "all",
        iou: float | None = None,
    ) -> np.ndarray:
        """Average precision of each category.

        Args:
            image_weights: (N,) non-negative integers, how often each image counts.
            area: area range name.
            iou: one IoU threshold, or None for the mean over all of them.

        Returns:
            (K,) float64 in 0..1; NaN for a category without ground truth.

        Raises:
            ValueError: for weights of another shape or kind, or an unknown area or threshold.
        """
        prepared = self._prepare(area, iou)
        if image_weights is None:
            weights = np.ones(self.num_images, dtype=np.int64)
        else:
            weights = _check_weights(image_weights, self.num_images)
        return prepared(weights).mean(axis=0)

    def _prepare(self, area: str, iou: float | None) -> WeightedAP:
        if area not in self.areas:
            raise ValueError(f"area: got {area!r}, expected one of {sorted(self.areas)}")
        index = None if iou is None else self._threshold_index(iou)
        if (area, index) not in self._prepared:
            one = self.areas[area]
            rows = slice(None) if index is None else slice(index, index + 1)
            self._prepared[area, index] = weighted_ap(
                one.det_image,
                one.det_category,
                one.matched[rows],
                one.ignored[rows],
                one.gt_image,
                one.gt_category,
                len(self.category_ids),
            )
        return self._prepared[area, index]

    def _threshold_index(self, iou: float) -> int:
        close = np.flatnonzero(np.isclose(self.iou_thresholds, iou, rtol=0, atol=1e-9))
        if not len(close):
            expected = self.iou_thresholds.round(9).tolist()
            raise ValueError(f"iou: got {iou!r}, expected None or one of {expected}")
        return int(close[0])


def match_detections(
    ground_truth: str | os.PathLike[str] | Mapping[str, Any] | Any,
    results: Sequence[Mapping[str, Any]],
    iou_type: str = "bbox",
    *,
    areas: Sequence[str] | Mapping[str, tuple[float, float]] | None = None,
    image_ids: Sequence[int] | None = None,
    max_detections: int | None = None,
    keypoint_sigmas: Sequence[float] | None = None,
) -> MatchTable:
    """Match COCO results to ground truth once, at the ten thresholds 0.50, 0.55, ..., 0.95.

    Convention:
        Boxes are float XYWH in original pixels, w = x2 - x1 without a +1, as COCO has them.

    A match to the annotation with id 0 counts, unlike in pycocotools, which takes it for a miss.

    Args:
        ground_truth: path of a COCO json, its dict, or a COCO object.
        results: COCO result dicts; may be empty.
        iou_type: ``"bbox"``, ``"segm"`` or ``"keypoints"``.
        areas: area ranges to match, in squared pixels as COCO has them; all of COCOeval's if
            None ("small" does not exist for keypoints). Fewer are faster. Or ranges of your own,
            name -> (lowest, highest).
        image_ids: images to evaluate, all if None; results on other images are left out.
        max_detections: best detections kept for each image and category; 100, keypoints 20.
        keypoint_sigmas: OKS sigma of each keypoint, COCO's 17 if None.

    Returns:
        The matches, from which AP of any resample of the images follows.

    Raises:
        ValueError: for an unknown iou_type, area, image or category, or an incomplete result.
    """
    if iou_type not in IOU_TYPES:
        raise ValueError(f"iou_type: got {iou_type!r}, expected one of {IOU_TYPES}")
    ranges = _check_areas(areas, iou_type)
    dataset = _load_dataset(ground_truth)
    all_images = np.unique([image["id"] for image in dataset["images"]]).astype(np.int64)
    categories = np.unique([one["id"] for one in dataset["categories"]]).astype(np.int64)
    images = all_images if image_ids is None else _check_image_ids(image_ids, all_images)
    clean = _clean_results(results, iou_type, set(all_images.tolist()), set(categories.tolist()))
    wanted = set(images.tolist())
    clean = [result for result in clean if result["image_id"] in wanted]

    limit = max_detections or (20 if iou_type == "keypoints" else 100)
    evaluator = _evaluate(dataset, clean, iou_type, ranges, images, limit, keypoint_sigmas)
    by_area: dict[str, list[dict[str, Any]]] = {name: [] for name in ranges}
    name_of = {area: name for name, area in ranges.items()}
    for entry in evaluator.evalImgs:
        if entry is not None:
            by_area[name_of[tuple(entry["aRng"])]].append(entry)
    thresholds = np.asarray(evaluator.params.iouThrs, dtype=np.float64)
    return MatchTable(
        iou_type=iou_type,
        image_ids=images,
        category_ids=categories,
        iou_thresholds=thresholds,
        areas={
            name: _collect(entries, images, categories, len(thresholds))
            for name, entries in by_area.items()
        },
    )


def _evaluate(
    dataset: dict[str, Any],
    results: list[dict[str, Any]],
    iou_type: str,
    ranges: Mapping[str, tuple[float, float]],
    images: np.ndarray,
    max_detections: int,
    keypoint_sigmas: Sequence[float] | None,
) -> Any:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = hotcoco.COCO(dataset)
        evaluator = hotcoco.COCOeval(coco, coco.loadRes(results), iou_type)
        params = evaluator.params
        params.imgIds = images.tolist()
        params.areaRng = [list(area) for area in ranges.values()]
        params.areaRngLbl = list(ranges)
        params.maxDets = [max_detections]
        if keypoint_sigmas is not None:
            params.kpt_oks_sigmas = [float(sigma) for sigma in keypoint_sigmas]
        evaluator.params = params
        evaluator.evaluate()
    return evaluator


def _collect(
    entries: list[dict[str, Any]], images: np.ndarray, categories: np.ndarray, num_thresholds: int
) -> AreaMatches:
    image = np.searchsorted(images, [entry["image_id"] for entry in entries])
    category = np.searchsorted(categories, [entry["category_id"] for entry in entries])
    num_dets = [len(entry["dtScores"]) for entry in entries]
    num_gts = [entry["gtIgnore"].count(False) for entry in entries]
    det_image, det_category = np.repeat(image, num_dets), np.repeat(category, num_dets)
    scores = _concatenate([entry["dtScores"] for entry in entries], (0,), np.float64)
    empty = (num_thresholds, 0)
    matched = _concatenate([entry["dtMatched"] for entry in entries], empty, bool)
    ignored = _concatenate([entry["dtIgnore"] for entry in entries], empty, bool)
    # Ties keep the order of image ids, then the order within an image, as COCOeval has it.
    order = np.lexsort((det_image, -scores, det_category))
    return AreaMatches(
        det_image=det_image[order],
        det_category=det_category[order],
        scores=scores[order],
        matched=matched[:, order],
        ignored=ignored[:, order],
        gt_image=np.repeat(image, num_gts),
        gt_category=np.repeat(category, num_gts),
    )


def _concatenate(parts: list[Any], empty: tuple[int, ...], dtype: type) -> np.ndarray:
    return np.concatenate(
        [np.zeros(empty, dtype), *(np.asarray(part, dtype) for part in parts)], axis=-1
    )


def _load_dataset(ground_truth: Any) -> dict[str, Any]:
    if isinstance(ground_truth, (str, os.PathLike)):
        with contextlib.redirect_stdout(io.StringIO()):
            return hotcoco.COCO(os.fspath(ground_truth)).dataset
    dataset = getattr(ground_truth, "dataset", ground_truth)
    if not isinstance(dataset, Mapping) or not {"images", "categories"} <= dataset.keys():
        raise ValueError(
            f"ground_truth: got {type(ground_truth).__name__}, expected a path, a dict with "
            "'images' and 'categories', or a COCO object"
        )
    return {"annotations": [], **dataset}


def _clean_results(
    results: Sequence[Mapping[str, Any]], iou_type: str, images: set[int], categories: set[int]
) -> list[dict[str, Any]]:
    needed = ("image_id", "category_id", "score", _KEPT_FIELDS[iou_type][0])
    clean = []
    for index, result in enumerate(results):
        missing = [key for key in needed if key not in result]
        if missing:
            raise ValueError(f"results[{index}]: got no {missing}, expected {list(needed)}")
        if result["image_id"] not in images:
            raise ValueError(
                f"results[{index}]: got image_id {result['image_id']!r}, expected an image of "
                "the ground truth"
            )
        if result["category_id"] not in categories:
            raise ValueError(
                f"results[{index}]: got category_id {result['category_id']!r}, expected one of "
                f"{sorted(categories)}"
            )
        score = float(result["score"])
        if not np.isfinite(score):
            raise ValueError(f"results[{index}]: got score {score}, expected a finite number")
        kept = {key: _plain(result[key]) for key in _KEPT_FIELDS[iou_type] if key in result}
        kept["image_id"] = int(result["image_id"])
        kept["category_id"] = int(result["category_id"])
        kept["score"] = score
        clean.append(kept)
    return clean


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping) and isinstance(value.get("counts"), bytes):
        return {**value, "counts": value["counts"].decode("ascii")}
    return value.tolist() if isinstance(value, np.ndarray) else value


def _check_areas(
    areas: Sequence[str] | Mapping[str, tuple[float, float]] | None, iou_type: str
) -> dict[str, tuple[float, float]]:
    if isinstance(areas, Mapping):
        ranges = {name: (float(low), float(high)) for name, (low, high) in areas.items()}
        bad = [name for name, (low, high) in ranges.items() if not 0 <= low < high]
        if bad or not ranges or len(set(ranges.values())) < len(ranges):
            raise ValueError(f"areas: got {areas!r}, expected different ranges, lowest < highest")
        return ranges
    known = [name for name in AREA_RANGES if (iou_type, name) != ("keypoints", "small")]
    unknown = [name for name in areas or () if name not in known]
    if unknown or (areas is not None and not len(areas)):
        raise ValueError(f"areas: got {areas!r}, expected some of {known}")
    names = known if areas is None else list(dict.fromkeys(areas))
    return {name: AREA_RANGES[name] for name in names}


def _check_image_ids(image_ids: Sequence[int], known: np.ndarray) -> np.ndarray:
    images = np.unique(np.asarray(list(image_ids), dtype=np.int64))
    unknown = np.setdiff1d(images, known)
    if len(unknown):
        raise ValueError(
            f"image_ids: got {unknown[:5].tolist()}, expected images of the ground truth"
        )
    return images


def _check_weights(image_weights: np.ndarray, num_images: int) -> np.ndarray:
    weights = np.asarray(image_weights)
    if weights.shape != (num_images,) or weights.dtype.kind not in "iu" or (weights < 0).any():
        raise ValueError(
            f"image_weights: got {weights.dtype} of shape {weights.shape}, expected "
            f"non-negative integers of shape ({num_images},)"
        )
    return weights.astype(np.int64, copy=False)
