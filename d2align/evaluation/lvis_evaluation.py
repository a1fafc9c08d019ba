"""Detectron2's LVISEvaluator without the package lvis, the same statistics many times faster."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import hotcoco
import numpy as np
from detectron2.config import CfgNode
from detectron2.utils.logger import create_small_table

from d2align.evaluation.coco_dataset import dataset_categories
from d2align.evaluation.coco_evaluation import COCOEvaluator
from d2align.evaluation.coco_results import ImageResults
from d2align.evaluation.coco_statistics import load_results

_METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf")
# LVIS counts an image's best detections of all categories together.
_MAX_DETECTIONS = 300
_SOME_AREA = [5e-324, 1e300]


class LVISEvaluator(COCOEvaluator):
    """Detectron2's LVISEvaluator on hotcoco: the same arguments, results, tables and files.

    Convention: as COCOEvaluator.

    LVIS annotates only some categories of an image; detections of the others are not counted.

    Attributes:
        coco_evals: task -> hotcoco's COCOeval of the last evaluation.
    """

    _results_file = "lvis_instances_results.json"

    def __init__(
        self,
        dataset_name: str,
        tasks: Sequence[str] | CfgNode | None = None,
        distributed: bool = True,
        output_dir: str | None = None,
        *,
        max_dets_per_image: int | None = None,
    ) -> None:
        """Load the annotations of a data set.

        Args:
            dataset_name: registered with an LVIS json.
            tasks: bbox, segm or both; None takes what the predictions have.
            distributed: gather the predictions of all processes.
            output_dir: folder for instances_predictions.pth, lvis_instances_results.json and
                box_proposals.pkl; None writes nothing.
            max_dets_per_image: detections counted an image, 300 if None.

        Raises:
            ValueError: an unknown data set or task.
        """
        super().__init__(
            dataset_name, tasks, distributed, output_dir, max_dets_per_image=max_dets_per_image
        )
        self._max_dets_per_image = max_dets_per_image or _MAX_DETECTIONS
        annotations = self._coco_api.dataset.get("annotations", ())
        self._do_evaluation = len(annotations) > 0
        for annotation in annotations:  # LVIS has no crowds; box proposals ask for them
            annotation.setdefault("iscrowd", 0)

    def _category_ids(self) -> np.ndarray | None:
        ids = dataset_categories(self._metadata)
        if ids is None:
            ids = np.arange(1, len(self._coco_api.cats) + 1)
        return ids

    def _limit(self, detections: hotcoco.COCO) -> hotcoco.COCO:
        """Keep each image's best detections, then drop what has no area, as lvis does."""
        capped = detections.cap_detections_per_image(self._max_dets_per_image)
        kept = capped.filter(area_rng=_SOME_AREA, drop_empty_images=False)
        # It is the cap which tells hotcoco that its own default is not wanted.
        return kept.cap_detections_per_image(self._max_dets_per_image)

    def _evaluate_task(
        self, results: list[ImageResults], task: str, img_ids: Iterable[Any] | None
    ) -> dict[str, float]:
        if not any(map(len, results)):
            self._logger.warning("No predictions from the model!")
            return dict.fromkeys(_METRICS, float("nan"))
        detections = load_results(self._ground_truth, results, task)
        detections = self._limit(detections)
        evaluation = hotcoco.COCOeval(self._ground_truth.coco, detections, task, lvis_style=True)
        if img_ids is not None:
            evaluation.params.imgIds = self._ground_truth.known_images(img_ids)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        self.coco_evals[task] = evaluation
        found = evaluation.get_results()
        metrics = {name: float(found[name] * 100) for name in _METRICS}
        table = create_small_table(metrics)
        self._logger.info(f"Evaluation results for {task}: \n{table}")
        return metrics
