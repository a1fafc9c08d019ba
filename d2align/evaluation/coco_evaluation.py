"""Detectron2's COCOEvaluator, the same statistics many times faster."""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import itertools
import os
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

import hotcoco
import numpy as np
from detectron2.config import CfgNode
from detectron2.evaluation import COCOEvaluator as D2COCOEvaluator
from detectron2.utils import comm
from detectron2.utils.file_io import PathManager

from d2align.evaluation.coco_dataset import (
    check_annotations,
    check_classes,
    dataset_categories,
    make_json,
)
from d2align.evaluation.coco_results import ImageResults, instances_to_results, write_results
from d2align.evaluation.coco_statistics import (
    TASKS,
    GroundTruth,
    evaluate_results,
    load_ground_truth,
)
from d2align.evaluation.predictions_file import as_rows, write_predictions

Prediction = dict[str, Any]


class COCOEvaluator(D2COCOEvaluator):
    """Detectron2's COCOEvaluator on hotcoco: the same arguments, results, tables and files.

    Convention: Detectron2's boxes and keypoints in; XYWH boxes and keypoint indices in results.

    Masks may come encoded, as ``pred_masks_rle``: see ``detector_postprocess_to_rle``.

    Differs from: Detectron2's in that bad input gets a ValueError before anything is written,
        in that keypoints given to ``process`` are left as they are, and in that an annotation
        whose id is 0 can be found (pycocotools takes its matches for misses).

    Attributes:
        coco_evals: task -> hotcoco's COCOeval of the last evaluation, for all that it can tell
            besides: ``stats`` with recalls, ``tide_errors()``, ``calibration()``,
            ``confusion_matrix()``, ``f_scores()``, ``slice_by(...)``.
    """

    coco_evals: dict[str, hotcoco.COCOeval]
    _results_file = "coco_instances_results.json"

    def __init__(
        self,
        dataset_name: str,
        tasks: Sequence[str] | CfgNode | None = None,
        distributed: bool = True,
        output_dir: str | None = None,
        *,
        max_dets_per_image: int | None = None,
        use_fast_impl: bool = True,
        kpt_oks_sigmas: Sequence[float] = (),
        allow_cached_coco: bool = True,
    ) -> None:
        """Load the annotations of a data set.

        Args:
            dataset_name: registered, with a COCO json or as Detectron2's standard dicts.
            tasks: some of bbox, segm, keypoints; None takes what the predictions have. A config
                in their place, Detectron2's old style, gives the OKS sigmas.
            distributed: gather the predictions of all processes.
            output_dir: folder for instances_predictions.pth, coco_instances_results.json and
                box_proposals.pkl; None writes nothing.
            max_dets_per_image: detections counted an image and category, 100 if None; not for
                keypoints.
            use_fast_impl: False evaluates by pycocotools.
            kpt_oks_sigmas: the OKS sigma of each keypoint; empty takes COCO's 17.
            allow_cached_coco: take a json of converted dicts that is already in output_dir.

        Raises:
            ValueError: an unknown data set or task, or nowhere to write converted dicts.
        """
        _check_tasks(tasks)
        _check_limit(max_dets_per_image, use_fast_impl)
        make_json(dataset_name, output_dir, allow_cached_coco)
        super().__init__(
            dataset_name,
            tasks,
            distributed,
            output_dir,
            use_fast_impl=False,  # else it tells that a compiled operator is missing
            kpt_oks_sigmas=kpt_oks_sigmas,
        )
        self._use_fast_impl = use_fast_impl
        self._max_dets_per_image = [1, 10, max_dets_per_image or 100]
        self.reset()

    def reset(self) -> None:
        """Forget predictions and evaluations."""
        self._predictions: list[Prediction] = []
        self.coco_evals = {}

    def process(self, inputs: Iterable[dict[str, Any]], outputs: Iterable[dict[str, Any]]) -> None:
        """Take the model's outputs for some images.

        Args:
            inputs: the model's inputs, with image_id.
            outputs: dicts with Instances as "instances", as "proposals", or both.

        Raises:
            ValueError: a score is NaN, or masks are not of the whole image.
        """
        for one, output in zip(inputs, outputs, strict=True):
            image_id = one["image_id"]
            prediction: Prediction = {"image_id": image_id}
            if "instances" in output:
                instances = output["instances"].to(self._cpu_device)
                prediction["instances"] = instances_to_results(instances, image_id)
            if "proposals" in output:
                prediction["proposals"] = output["proposals"].to(self._cpu_device)
            if len(prediction) > 1:
                self._predictions.append(prediction)

    def evaluate(self, img_ids: Iterable[Any] | None = None) -> dict[str, dict[str, float]]:
        """Evaluate what was processed, in all processes together if distributed.

        Args:
            img_ids: images to evaluate; None takes all.

        Returns:
            task -> metric -> 0..100, or NaN where there is nothing to measure; empty in all
            processes but the main one.

        Raises:
            ValueError: predictions that do not fit the data set.
        """
        predictions = self._predictions
        if self._distributed:
            comm.synchronize()
            predictions = list(itertools.chain(*comm.gather(predictions, dst=0)))
            if not comm.is_main_process():
                return {}
        if not predictions:
            self._logger.warning("[COCOEvaluator] Did not receive valid predictions.")
            return {}
        results = [p["instances"] for p in predictions if len(p.get("instances", ()))]
        check_classes(results, self._category_ids(), self._metadata.name)
        if self._do_evaluation:
            check_annotations(results, self._metadata, self._coco_api)
        if self._output_dir:
            PathManager.mkdirs(self._output_dir)
            path = os.path.join(self._output_dir, "instances_predictions.pth")
            write_predictions(path, predictions)
        self._results, self.coco_evals = OrderedDict(), {}
        if "proposals" in predictions[0]:
            self._eval_box_proposals(predictions)
        if "instances" in predictions[0]:
            self._eval_predictions(predictions, img_ids=img_ids)
        return copy.deepcopy(self._results)

    def _eval_predictions(
        self, predictions: list[Prediction], img_ids: Iterable[Any] | None = None
    ) -> None:
        if not self._use_fast_impl:
            super()._eval_predictions([as_rows(p) for p in predictions], img_ids=img_ids)
            return
        self._logger.info("Preparing results for COCO format ...")
        results = self._in_dataset_categories(predictions)
        if self._output_dir:
            path = os.path.join(self._output_dir, self._results_file)
            self._logger.info(f"Saving results to {path}")
            write_results(path, results)
        if not self._do_evaluation:
            self._logger.info("Annotations are not available for evaluation.")
            return
        self._logger.info("Evaluating predictions with hotcoco ...")
        for task in sorted(self._tasks or _tasks_of(results)):
            self._results[task] = self._evaluate_task(results, task, img_ids)

    def _evaluate_task(
        self, results: list[ImageResults], task: str, img_ids: Iterable[Any] | None
    ) -> dict[str, float]:
        if any(map(len, results)):
            self.coco_evals[task] = evaluate_results(
                self._ground_truth,
                results,
                task,
                max_detections=self._max_dets_per_image,
                image_ids=img_ids,
                keypoint_sigmas=self._kpt_oks_sigmas,
            )
        names = self._metadata.get("thing_classes")
        return self._derive_coco_results(self.coco_evals.get(task), task, class_names=names)

    @functools.cached_property
    def _ground_truth(self) -> GroundTruth:
        if any(annotation["id"] == 0 for annotation in self._coco_api.dataset["annotations"]):
            self._logger.warning("The annotation of id 0 can be found here, not in pycocotools.")
        return load_ground_truth(self._coco_api.dataset)

    def _category_ids(self) -> np.ndarray | None:
        return dataset_categories(self._metadata)

    def _in_dataset_categories(self, predictions: list[Prediction]) -> list[ImageResults]:
        results = [p["instances"] for p in predictions]
        ids = self._category_ids()
        if ids is None:
            return results
        return [dataclasses.replace(one, categories=ids[one.categories]) for one in results]


def _tasks_of(results: list[ImageResults]) -> list[str]:
    found = [one for one in results if len(one)]
    masks = any(one.mask_counts is not None for one in found)
    keypoints = any(one.keypoints is not None for one in found)
    return ["bbox", *["segm"] * masks, *["keypoints"] * keypoints]


def _check_tasks(tasks: Any) -> None:
    if tasks is None or isinstance(tasks, CfgNode):
        return
    if isinstance(tasks, str) or not set(tasks) <= set(TASKS):
        raise ValueError(f"tasks: got {tasks!r}, expected None or a tuple of some of {TASKS}")


def _check_limit(max_dets_per_image: int | None, use_fast_impl: bool) -> None:
    if max_dets_per_image is None:
        return
    if not isinstance(max_dets_per_image, int) or max_dets_per_image < 1:
        raise ValueError(f"max_dets_per_image: got {max_dets_per_image!r}, expected at least 1")
    known = inspect.signature(D2COCOEvaluator.__init__).parameters
    if not use_fast_impl and "max_dets_per_image" not in known:
        raise ValueError(
            "max_dets_per_image: got a limit with use_fast_impl=False, which this Detectron2 does "
            "not have: leave out one of them"
        )
