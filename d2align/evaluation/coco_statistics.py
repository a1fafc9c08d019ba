"""COCO's statistics of results held as columns, by hotcoco."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import hotcoco
import numpy as np

from d2align.evaluation.coco_results import ImageResults

TASKS = ("bbox", "segm", "keypoints")


@dataclass(frozen=True)
class GroundTruth:
    """The annotations of a data set, in hotcoco.

    Attributes:
        coco: the annotations.
        image_numbers: image id -> its number in ``coco``: itself, unless ids are not numbers.
        num_keypoints: of an annotated object, or None where there are no keypoints.
    """

    coco: hotcoco.COCO
    image_numbers: dict[Any, int]
    num_keypoints: int | None

    def known_images(self, image_ids: Iterable[Any]) -> list[int]:
        """Return the numbers of images that are to be evaluated.

        Args:
            image_ids: those that the data set does not have are left out.

        Returns:
            Sorted numbers, at least one.

        Raises:
            ValueError: none of them is in the data set.
        """
        known = sorted({self.image_numbers[i] for i in image_ids if i in self.image_numbers})
        if not known:  # to hotcoco, none means all
            raise ValueError("img_ids: got no image of the data set, expected one, or None for all")
        return known


def load_ground_truth(dataset: Mapping[str, Any]) -> GroundTruth:
    """Load annotations into hotcoco.

    Args:
        dataset: the content of a COCO json.

    Returns:
        The annotations.
    """
    ids = [image["id"] for image in dataset["images"]]
    images, annotations = dataset["images"], dataset["annotations"]
    if all(isinstance(i, int) and i >= 0 for i in ids):
        numbers = {i: i for i in ids}
    else:
        # In the order of ids, in which equal scores of different images are ranked.
        numbers = {i: number for number, i in enumerate(sorted(ids), start=1)}
        images = [{**image, "id": numbers[image["id"]]} for image in images]
        annotations = [{**a, "image_id": numbers[a["image_id"]]} for a in annotations]
    coco = hotcoco.COCO(
        {"images": images, "categories": dataset["categories"], "annotations": annotations}
    )
    lengths = (len(a["keypoints"]) // 3 for a in annotations if a.get("keypoints"))
    return GroundTruth(coco, numbers, next(lengths, None))


def load_results(
    ground_truth: GroundTruth, results: Sequence[ImageResults], task: str
) -> hotcoco.COCO:
    """Load what one task needs of the results into hotcoco.

    Args:
        ground_truth: what is to be found.
        results: not all of them empty, their categories the data set's.
        task: bbox | segm | keypoints.

    Returns:
        The detections.

    Raises:
        ValueError: results lack what the task needs.
    """
    found = [one for one in results if len(one)]
    _check_results(found, task)
    return _LOADERS[task](ground_truth, found)


def evaluate_results(
    ground_truth: GroundTruth,
    results: Sequence[ImageResults],
    task: str,
    *,
    max_detections: Sequence[int] = (1, 10, 100),
    image_ids: Iterable[Any] | None = None,
    keypoint_sigmas: Sequence[float] = (),
) -> hotcoco.COCOeval:
    """Evaluate one task, with COCOeval's printed summary.

    Args:
        ground_truth: what is to be found.
        results: not all of them empty, their categories the data set's.
        task: bbox | segm | keypoints.
        max_detections: three limits of detections an image and category; not for keypoints,
            whose limit is 20.
        image_ids: images to evaluate; None takes all.
        keypoint_sigmas: the OKS sigma of each keypoint; none takes COCO's 17.

    Returns:
        What holds the statistics as ``stats`` and ``eval``, as pycocotools' COCOeval does, and
        further ones: ``tide_errors()``, ``calibration()``, ``confusion_matrix()``, ...

    Raises:
        ValueError: results lack what the task needs, or sigmas that do not fit the keypoints.
    """
    detections = load_results(ground_truth, results, task)
    evaluation = hotcoco.COCOeval(ground_truth.coco, detections, task)
    params = evaluation.params
    if task == "keypoints":
        if len(keypoint_sigmas):
            params.kpt_oks_sigmas = [float(sigma) for sigma in keypoint_sigmas]
        _check_keypoints(ground_truth, results, len(params.kpt_oks_sigmas))
    else:
        params.maxDets = sorted(max_detections)
    if image_ids is not None:
        params.imgIds = ground_truth.known_images(image_ids)
    evaluation.evaluate()
    evaluation.accumulate()
    _print_summary(evaluation)
    return evaluation


def _print_summary(evaluation: hotcoco.COCOeval) -> None:
    """Print the statistics as pycocotools does, to the space, since tools read these lines."""
    with contextlib.redirect_stdout(io.StringIO()) as printed, warnings.catch_warnings():
        # That limits or sigmas are not COCO's need not be told to who asked for them.
        warnings.filterwarnings("ignore", message="hotcoco: ", category=UserWarning)
        evaluation.summarize()
    text = printed.getvalue().replace("Precision (AP)", "Precision  (AP)")
    print(text.replace("Recall (AR)    ", "Recall     (AR) "), end="")


def _load_boxes(ground_truth: GroundTruth, results: list[ImageResults]) -> hotcoco.COCO:
    return ground_truth.coco.load_res(_table(ground_truth, results))


def _load_masks(ground_truth: GroundTruth, results: list[ImageResults]) -> hotcoco.COCO:
    rles = [
        {"size": one.mask_size, "counts": counts}
        for one in results
        for counts in one.mask_counts or ()
    ]
    detections = ground_truth.coco.load_res(_table(ground_truth, results), segmentation=rles)
    # Masks are small, medium or large by their own area, not by that of their box.
    areas = hotcoco.mask.area(rles).astype(np.float64)
    detections.update_anns(ids=np.arange(1, len(rles) + 1), area=areas)
    return detections


def _load_keypoints(ground_truth: GroundTruth, results: list[ImageResults]) -> hotcoco.COCO:
    rows = []
    for one in results:
        number = ground_truth.image_numbers[one.image_id]
        for row in one:
            row.pop("segmentation", None)
            rows.append({**row, "image_id": number})
    return ground_truth.coco.load_res(rows)


_LOADERS = {"bbox": _load_boxes, "segm": _load_masks, "keypoints": _load_keypoints}


def _table(ground_truth: GroundTruth, results: list[ImageResults]) -> np.ndarray:
    """Image, x, y, w, h, score and category of each detection."""
    numbers = [ground_truth.image_numbers[one.image_id] for one in results]
    table = np.empty((sum(map(len, results)), 7))
    table[:, 0] = np.repeat(numbers, [len(one) for one in results])
    table[:, 1:5] = np.concatenate([one.boxes for one in results])
    table[:, 5] = np.concatenate([one.scores for one in results])
    table[:, 6] = np.concatenate([one.categories for one in results])
    return table


def _check_results(results: list[ImageResults], task: str) -> None:
    if task not in TASKS:
        raise ValueError(f"tasks: got {task!r}, expected some of {TASKS}")
    field, column = {
        "bbox": ("pred_boxes", "boxes"),
        "segm": ("pred_masks or pred_masks_rle", "mask_counts"),
        "keypoints": ("pred_keypoints", "keypoints"),
    }[task]
    for one in results:
        if getattr(one, column) is None:
            raise ValueError(
                f"tasks: got {task!r}, but the detections of image {one.image_id!r} have no "
                f"{field}: leave the task out, or turn on that head of the model"
            )


def _check_keypoints(
    ground_truth: GroundTruth, results: Sequence[ImageResults], num_sigmas: int
) -> None:
    predicted = next(one.keypoints.shape[1] // 3 for one in results if len(one))
    if not predicted == num_sigmas == ground_truth.num_keypoints:
        raise ValueError(
            f"kpt_oks_sigmas: got {num_sigmas}, {predicted} keypoints in predictions and "
            f"{ground_truth.num_keypoints} in annotations, expected the same number: set "
            "cfg.TEST.KEYPOINT_OKS_SIGMAS to one sigma for each keypoint"
        )
