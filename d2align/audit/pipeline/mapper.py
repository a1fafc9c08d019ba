"""The data set mapper: do annotations go where the image goes, after resize, flip and crop?

The image is the judge. A disc is mapped at several places with the same random choices; where it
lands gives the image's own map, by which every annotation should have moved.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from d2align.audit.guard import ProbeFailure
from d2align.audit.pipeline.drift import find_drift, measure_drift
from d2align.audit.pipeline.image_map import ImageMap, find_image
from d2align.audit.pipeline.load import Pipeline
from d2align.audit.pipeline.mapped import Fields, call_mapper, fields_of, image_centre, image_of
from d2align.audit.pipeline.targets import Target, targets, write_image, write_labels
from d2align.audit.probes.blobs import fit_affine
from d2align.audit.record import Finding

_SEEDS = 12  # draws of random choices, at most
_TEST_SEEDS = 2
_WHOLE_PX = 0.5  # what a mask on another grid of the same pitch is off by rounding
_FIRST = (480, 640)  # tells how large the network's images are
_RATIO = 1.61  # between an original image and the network's, about
_EXACT_PX, _RASTER_PX, _RASTER_NOISE_PX = 0.02, 0.12, 0.15
_MARGIN = 3.0  # from the border, at which nothing is cut off, pixels


@dataclass
class Case:
    """What happened to images in one way, such as "resize and flip", and to their annotations."""

    map: ImageMap
    expected: dict[str, list[np.ndarray]] = field(default_factory=lambda: defaultdict(list))
    measured: dict[str, list[np.ndarray]] = field(default_factory=lambda: defaultdict(list))


def audit_mapper(pipeline: Pipeline) -> list[Finding]:
    """Measure both mappers of a pipeline.

    Args:
        pipeline: what is audited.

    Returns:
        A finding for each case and field of the training mapper, and for the image in testing.

    Raises:
        ProbeFailure: the training mapper cannot be measured.
    """
    semantic = hasattr(pipeline.model, "sem_seg_head")
    found = []
    with tempfile.TemporaryDirectory() as folder:
        probe = Prober(pipeline.train_mapper, Path(folder), pipeline.num_keypoints, semantic)
        found += _judge_cases("mapper", probe.cases())
        if pipeline.test_mapper is not None:
            probe = Prober(pipeline.test_mapper, Path(folder), 0, False)
            tested = _judge_cases("test mapper", probe.cases(_TEST_SEEDS))
            found += [f for f in tested if f.subject.endswith(": image")]
    return found


class Prober:
    """Calls one mapper on targets, and sorts what comes by what happened to the image."""

    def __init__(self, mapper: Any, folder: Path, num_keypoints: int, semantic: bool) -> None:
        """Make a prober.

        Args:
            mapper: from a record to the model's input.
            folder: for images.
            num_keypoints: of an object.
            semantic: whether to give maps of labels.
        """
        self.mapper, self.folder = mapper, folder
        self.num_keypoints, self.semantic = num_keypoints, semantic
        self.takes_polygons = True

    def cases(self, seeds: int = _SEEDS) -> dict[str, Case]:
        """Return what happened, by its name; draws go on until both flips were seen."""
        network = image_of(self._call(targets(_FIRST)[0], 0, False)).shape
        original = (round(network[0] / _RATIO), round(network[1] / _RATIO))
        found: dict[str, Case] = {}
        seen = set()
        for seed in range(seeds):
            for size in self._sizes(original, seed):
                case = self._case(size, seed)
                if case is not None:
                    found.setdefault(case.map.name, case)
                    seen.add(case.map.flipped)
            if len(seen) > 1 and len(found) > 3:
                break
        if not found:
            raise ProbeFailure("the mapper's images do not show the disc of the image file")
        return found

    def _sizes(self, size: tuple[int, int], seed: int) -> Iterator[tuple[int, int]]:
        """The size of an image that is resized, and that of one that needs no resize."""
        yield size
        h, w = image_of(self._call(targets(size)[0], seed, False)).shape
        if (h, w) != size:
            yield h, w

    def _case(self, size: tuple[int, int], seed: int) -> Case | None:
        """All targets, mapped with the same random choices; None if too few can be seen."""
        shown = []
        for target in targets(size):
            mapped = self._call(target, seed, False)
            centre = image_centre(mapped)
            if centre is not None:
                shown.append((target, mapped, centre))
        if len(shown) < 3:
            return None
        matrix, residual = fit_affine(
            np.array([t.centre for t, _, _ in shown]), np.array([c for _, _, c in shown])
        )
        case = Case(find_image(size, shown[0][1], matrix, residual))
        for target, mapped, _ in shown:
            self._compare(case, target, mapped, encoded=not self.takes_polygons)
        if "polygons as bitmasks" in case.measured:
            for target, _, _ in shown:
                self._compare(case, target, self._call(target, seed, True), encoded=True)
        return case

    def _compare(self, case: Case, target: Target, mapped: dict[str, Any], encoded: bool) -> None:
        wanted = Fields.of_target(target, case.map.matrix)
        if not case.map.holds(wanted.box, _MARGIN):
            return
        for name, got in fields_of(mapped, encoded).items():
            if encoded and self.takes_polygons and name != "bitmasks":
                continue  # measured before
            case.measured[name].append(got)
            case.expected[name].append(wanted.get(name))

    def _call(self, target: Target, seed: int, encoded: bool) -> dict[str, Any]:
        stem = f"{target.size[0]}x{target.size[1]}_{target.centre[0]}_{target.centre[1]}"
        path = self.folder / f"{stem}.png"
        labels = self.folder / f"{stem}_labels.png"
        if not path.exists():
            write_image(target, path)
            write_labels(target, labels)
        record: dict[str, Any] = {
            "file_name": str(path),
            "height": target.size[0],
            "width": target.size[1],
            "image_id": 1,
        }
        if self.semantic:
            record["sem_seg_file_name"] = str(labels)
        encoded = encoded or not self.takes_polygons
        record["annotations"] = [target.annotation(self.num_keypoints, encoded)]
        try:
            return call_mapper(self.mapper, record, seed)
        except ProbeFailure as e:
            if encoded:
                raise
            why = e
        # Detectron2's crop of polygons needs a package that may be missing; that of masks does not.
        record["annotations"] = [target.annotation(self.num_keypoints, True)]
        try:
            mapped = call_mapper(self.mapper, record, seed)
        except ProbeFailure:
            raise why from None
        self.takes_polygons = False
        return mapped


def _judge_cases(mapper: str, cases: dict[str, Case]) -> list[Finding]:
    # If it moves images at random, small moves look like none.
    moves = any(case.map.is_moved for case in cases.values())
    return [f for name, case in cases.items() for f in _judge(f"{mapper}, {name}", case, moves)]


def _judge(stage: str, case: Case, moves: bool) -> list[Finding]:
    """What is to be said of one case, of a mapper that crops or turns images or does not."""
    parameters = {"scale": case.map.scale, "flipped": case.map.flipped}
    found = case.map.findings(stage, moves)
    tolerance = _RASTER_PX
    if moves or case.map.steps_alike:
        tolerance += _WHOLE_PX * max(1.0, case.map.scale)
    for name, measured in case.measured.items():
        raster = "bitmask" in name or name == "labels"
        found.append(
            find_drift(
                stage,
                name,
                measure_drift(case.expected[name], measured, _RASTER_NOISE_PX * raster),
                tolerance=tolerance if raster else _EXACT_PX,
                scatter=1.0 if raster else 0.3,
                parameters=parameters,
            )
        )
    return found
