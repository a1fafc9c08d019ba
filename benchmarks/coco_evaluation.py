#!/usr/bin/env python
"""COCO evaluation of the same detections by d2align and by Detectron2, ratios of CPU time.

Both begin with RoI masks and end with the metrics of boxes and masks. "From RoI masks" is
everything: detections to the original image (d2align's masks straight to RLE, Detectron2's pasted
and dense), ``process`` and ``evaluate``. "From dense masks" leaves the paste out on both sides. The
peer is the installed Detectron2's COCOEvaluator as it comes: its compiled COCOeval_opt where that
is built, else pycocotools.

    python benchmarks/coco_evaluation.py
    python benchmarks/coco_evaluation.py --annotations instances_val2017.json --detections found.npz
    python benchmarks/coco_evaluation.py --full      # memory of 5,000 images measured
"""

from __future__ import annotations

import contextlib
import copy
import functools
import io
import logging
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import detectron2  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from _coco_problem import (  # noqa: E402
    DETECTIONS,
    Problem,
    blobs,
    draw_boxes,
    draw_problem,
    load_problem,
    to_instances,
)
from _timing import paired_ratio, peak_memory, row, run_script  # noqa: E402
from detectron2.data import MetadataCatalog  # noqa: E402
from detectron2.evaluation import COCOEvaluator as D2COCOEvaluator  # noqa: E402
from detectron2.evaluation import coco_evaluation as d2_evaluation  # noqa: E402
from detectron2.modeling.postprocessing import (  # noqa: E402
    detector_postprocess as d2_postprocess,
)
from detectron2.structures import Instances  # noqa: E402

from d2align.evaluation import COCOEvaluator  # noqa: E402
from d2align.modeling import detector_postprocess_to_rle  # noqa: E402

DENSE_IMAGES = 20
FULL_IMAGES = 5000
FULL_SIZE = (480, 640)


def main() -> int:
    """Measure and print."""
    return run_script(
        measure,
        __doc__ or "",
        annotations={"metavar": "JSON", "help": "real annotations, with --detections"},
        detections={"metavar": "NPZ", "help": "real detections: rows and masks"},
        full={
            "action": "store_true",
            "help": "measure the memory of 5,000 images, not extrapolate it",
        },
    )


def measure(
    quick: bool,
    annotations: str | None = None,
    detections: str | None = None,
    full: bool = False,
) -> dict[str, Any]:
    """Return ratios of CPU time, Detectron2's over d2align's.

    Args:
        quick: fewer images and rounds.
        annotations: a COCO json; None draws problems.
        detections: an npz of RoI masks for it.
        full: whether to measure the memory of 5,000 images, not extrapolate it.

    Returns:
        {"title", "rows", "notes"}.
    """
    quieten()
    rounds = 2 if quick else 5
    rows, differences = [], []
    for title, problem in problems(quick, annotations, detections):
        differences.append(largest_difference(problem))
        rows += rows_from_roi(title, problem, rounds)
        rows.append(row_from_dense(title, problem, rounds))
    return {
        "title": f"COCO evaluation, boxes and masks, against Detectron2 {detectron2.__version__} "
        f"({peer()})",
        "rows": rows,
        "curves": [images_curve(quick)],
        "notes": {"largest difference of a metric, of 100": max(differences), **memory(full)},
    }


def rows_from_roi(title: str, problem: Problem, rounds: int) -> list[dict[str, Any]]:
    """Measure everything from RoI masks to metrics, without and with the files of results."""
    rows = []
    for more, files in (("", False), (", files written", True)):
        ours = functools.partial(ours_from_roi, problem, files)
        theirs = functools.partial(theirs_from_roi, problem, files)
        rows.append(row(f"{title}, from RoI masks{more}", paired_ratio(ours, theirs, rounds)))
    return rows


def row_from_dense(title: str, problem: Problem, rounds: int) -> dict[str, Any]:
    """Measure process and evaluate alone; of few images, since dense masks fill the memory."""
    part = Problem(problem.name, *(column[:DENSE_IMAGES] for column in problem[1:]))
    dense = paste(part)
    ours = functools.partial(evaluate, COCOEvaluator, part, dense)
    theirs = functools.partial(evaluate, D2COCOEvaluator, part, dense)
    title = f"{title}, {len(dense)} from dense masks"
    return row(title, paired_ratio(ours, theirs, rounds))


def images_curve(quick: bool) -> dict[str, Any]:
    """Measure how the cost from RoI masks grows with the number of images; files are written."""
    numbers = (5, 15) if quick else (3, 10, 30, 100, 300)
    curve: dict[str, Any] = {
        "title": "number of images (480x640, 100 masks each, files written)",
        **{"x": list(numbers), "ours_ms": [], "peer_ms": []},
    }
    for number in numbers:
        problem = draw_problem(number, FULL_SIZE)
        works = (functools.partial(f, problem, True) for f in (ours_from_roi, theirs_from_roi))
        found = paired_ratio(*works, 1 if number > 100 else 3)
        curve["ours_ms"].append(found["ours_ms"])
        curve["peer_ms"].append(found["peer_ms"])
    return curve


def problems(
    quick: bool, annotations: str | None, detections: str | None
) -> list[tuple[str, Problem]]:
    """Return what to measure, named."""
    if annotations and detections:
        problem = load_problem(annotations, detections)
        return [(f"{len(problem.raw)} real images", problem)]
    sizes = [(10, 480, 640)] if quick else [(40, 480, 640), (20, 800, 1333)]
    return [(f"{n} images {h}x{w}", draw_problem(n, (h, w))) for n, h, w in sizes]


def peer() -> str:
    """Return which COCOeval Detectron2's evaluator takes by itself."""
    return "pycocotools" if d2_evaluation.COCOeval_opt is d2_evaluation.COCOeval else "COCOeval_opt"


def quieten() -> None:
    """Leave only the benchmark's own lines."""
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore", category=DeprecationWarning)


def ours_from_roi(problem: Problem, files: bool = False) -> dict[str, Any]:
    """Evaluate from RoI masks, straight to RLE."""
    return from_roi(COCOEvaluator, detector_postprocess_to_rle, problem, files)


def theirs_from_roi(problem: Problem, files: bool = False) -> dict[str, Any]:
    """Evaluate from RoI masks, pasted to dense ones."""
    return from_roi(D2COCOEvaluator, d2_postprocess, problem, files)


def from_roi(cls: Any, postprocess: Callable[..., Any], problem: Problem, files: bool) -> Any:
    """Process and evaluate as a test loop does, one image at a time."""
    folder = tempfile.mkdtemp(prefix="d2align_benchmark_") if files else None
    evaluator = build(cls, problem.name, folder)
    for image_id, size, raw in zip(problem.image_ids, problem.sizes, problem.raw, strict=True):
        found = postprocess(as_new(raw), *size)
        evaluator.process([{"image_id": image_id}], [{"instances": found}])
    with contextlib.redirect_stdout(io.StringIO()):
        results = evaluator.evaluate()
    if folder:
        shutil.rmtree(folder)
    return results


def as_new(raw: Instances) -> Instances:
    """Return detections whose boxes may be scaled in place, as Detectron2 does."""
    return Instances(raw.image_size, **{**raw.get_fields(), "pred_boxes": raw.pred_boxes.clone()})


def paste(problem: Problem) -> list[Any]:
    """Return Detectron2's dense detections."""
    return [
        d2_postprocess(as_new(raw), *size)
        for raw, size in zip(problem.raw, problem.sizes, strict=True)
    ]


def evaluate(cls: Any, problem: Problem, detections: list[Any]) -> Any:
    """Process and evaluate finished detections."""
    evaluator = build(cls, problem.name, None)
    for image_id, found in zip(problem.image_ids, detections, strict=True):
        evaluator.process([{"image_id": image_id}], [{"instances": found}])
    with contextlib.redirect_stdout(io.StringIO()):
        return evaluator.evaluate()


@functools.cache
def loaded(cls: Any, name: str) -> Any:
    """Build an evaluator once: the annotations are loaded before the test loop."""
    return cls(name, distributed=False)


def build(cls: Any, name: str, folder: str | None) -> Any:
    """Return an evaluator without predictions."""
    evaluator = copy.copy(loaded(cls, name))
    evaluator._output_dir = folder
    evaluator.reset()
    return evaluator


def largest_difference(problem: Problem) -> float:
    """Return by how much any metric of ours differs from Detectron2's, of 100."""
    ours, theirs = ours_from_roi(problem), theirs_from_roi(problem)
    pairs = [(ours[task][key], theirs[task][key]) for task in theirs for key in theirs[task]]
    assert all(np.isnan(a) == np.isnan(b) for a, b in pairs)
    return max(abs(a - b) for a, b in pairs if not np.isnan(a))


def memory(full: bool) -> dict[str, str]:
    """Return peak memory of 5,000 images of 100 masks each, from RoI masks to metrics.

    Without ``full`` it is the straight line through two smaller numbers of images.
    """
    found = {}
    for name, evaluator, post, sizes in (
        ("d2align", COCOEvaluator, detector_postprocess_to_rle, (100, 400)),
        ("Detectron2", D2COCOEvaluator, d2_postprocess, (20, 60)),
    ):
        if full and evaluator is COCOEvaluator:
            peak = peak_memory(functools.partial(prepare, evaluator, post, FULL_IMAGES))
            found[name] = f"{peak:.0f}, measured"
            continue
        low, high = (peak_memory(functools.partial(prepare, evaluator, post, n)) for n in sizes)
        slope = (high - low) / (sizes[1] - sizes[0])
        peak = high + slope * (FULL_IMAGES - sizes[1])
        found[name] = (
            f"{peak:.0f}, extrapolated from {low:.0f} at {sizes[0]} and {high:.0f} at {sizes[1]}"
        )
    return {
        f"peak MiB above start, {FULL_IMAGES} images x {DETECTIONS} masks, {name}": value
        for name, value in found.items()
    }


def prepare(cls: Any, postprocess: Callable[..., Any], images: int) -> Callable[[], Any]:
    """Return the work whose memory is measured: detections drawn one image at a time."""
    quieten()
    torch.set_num_threads(1)
    name = draw_problem(images, FULL_SIZE).name
    rng = np.random.default_rng(1)
    masks = blobs(2000, rng)
    evaluator = cls(name, distributed=False)
    classes = len(MetadataCatalog.get(name).thing_classes)

    # The first call is not measured; a small one leaves no freed pages that hide those of the next.
    calls = iter((5, images))

    def work() -> Any:
        evaluator.reset()
        for image_id in range(1, next(calls) + 1):
            chosen = torch.from_numpy(rng.integers(len(masks), size=DETECTIONS))
            raw = to_instances(
                draw_boxes(DETECTIONS, FULL_SIZE, rng),
                rng.uniform(0, 1, DETECTIONS),
                rng.integers(classes, size=DETECTIONS),
                FULL_SIZE,
                masks[chosen],
            )
            found = postprocess(raw, *FULL_SIZE)
            evaluator.process([{"image_id": image_id}], [{"instances": found}])
        with contextlib.redirect_stdout(io.StringIO()):
            return evaluator.evaluate()

    return work


if __name__ == "__main__":
    sys.exit(main())
