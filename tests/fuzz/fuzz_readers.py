"""Fuzzed: what reads users' files: data sets, graphs, cards, excuses, results, configs, records.

Each takes a damaged file, or ends with one line on standard error and exit code 2.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_mutations import mutated_bytes, mutated_json
from fuzz_target import Finding, Tally
from hypothesis.strategies import DataObject, SearchStrategy

from d2align.ablation.price.inputs import load_inputs
from d2align.ablation.raw_outputs.store import RawOutputs, RawStore
from d2align.ablation.runner import prepare_folder
from d2align.ablation.study import quick_study
from d2align.audit.card import Card, write_card
from d2align.audit.record import Finding as AuditFinding
from d2align.cli.command import main
from d2align.cli.politely import fail_politely
from d2align.engine import find_config, load_config
from d2align.evaluation.matches import match_detections


@dataclass(frozen=True)
class Reader:
    """Something that reads a file.

    Attributes:
        contents: draws the bytes of the file.
        read: reads it, given the file and a folder for anything else; returns an exit code.
    """

    contents: Callable[[], SearchStrategy[bytes]]
    read: Callable[[Path, Path], int]


def _dataset() -> dict[str, Any]:
    outline = [2.0, 3.0, 30.0, 3.0, 30.0, 25.5, 2.0, 25.5]
    one = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 630.0}
    shapes = {"bbox": [2.0, 3.0, 28.0, 22.5], "segmentation": [outline]}
    crowd = {"counts": [1000, 500, 3300], "size": [60, 80]}
    points = {"keypoints": [4, 5, 2, 6, 7, 1], "num_keypoints": 2}
    return {
        "images": [{"id": 1, "width": 80, "height": 60, "file_name": "1.png"}, _image(2)],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [
            {**one, **shapes, **points},
            {**one, "id": 2, "image_id": 2, **shapes},
            {**one, "id": 3, "iscrowd": 1, "bbox": [0, 0, 10, 10], "segmentation": crowd},
        ],
    }


def _image(number: int) -> dict[str, Any]:
    return {"id": number, "width": 80, "height": 60, "file_name": f"{number}.png"}


def _results() -> list[dict[str, Any]]:
    from pycocotools import mask as coco_mask

    mask = coco_mask.encode(np.asfortranarray(np.eye(60, 80, dtype=np.uint8)))
    mask["counts"] = mask["counts"].decode("ascii")
    row = {"image_id": 1, "category_id": 1, "score": 0.5, "bbox": [1.0, 2.0, 20.0, 20.0]}
    return [{**row, "segmentation": mask}, {**row, "image_id": 2, "segmentation": mask}]


def _roi_masks() -> bytes:
    buffer = io.BytesIO()
    rows = np.array([[1, 1, 0.5, 1, 2, 20, 20.0]])
    np.savez(buffer, rows=rows, masks=np.full((1, 4, 4), 200, np.uint8))
    return buffer.getvalue()


def _card() -> bytes:
    made = AuditFinding(
        kind="resize",
        subject="A: f",
        convention="half_pixel",
        status="aligned",
        sentence="On grid 2.",
        error_px=0.0,
        residual_px=0.0,
        parameters={"ties": "up", "end_shift_px": 0.1},
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "card.json"
        write_card(Card({"a": "1"}, [made], {"c": "not here"}), path)
        return path.read_bytes()


_EXCUSES = b"""
[[deviation]]
kind = "dataset boxes"
subject = "data.json"
reason = "known"
error_px = 1.0

[[deviation]]
kind = "resize"
subject = "A: *"
reason = "also known"
status = "unknown"
"""


def _graph() -> bytes:
    import onnx

    scales = onnx.numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "s")
    floats, shape = onnx.TensorProto.FLOAT, (1, 1, 4, 4)
    x = onnx.helper.make_tensor_value_info("x", floats, shape)
    y = onnx.helper.make_tensor_value_info("y", floats, None)
    node = onnx.helper.make_node(
        "Resize", ["x", "", "s"], ["y"], name="r", mode="linear", cubic_coeff_a=-0.5
    )
    made = onnx.helper.make_graph([node], "g", [x], [y], [scales])
    opset = [onnx.helper.make_opsetid("", 13)]
    return onnx.helper.make_model(made, opset_imports=opset).SerializeToString()


def _price(role: str) -> Callable[[Path, Path], int]:
    def read(path: Path, folder: Path) -> int:
        annotations = folder / "annotations.json"
        annotations.write_text(json.dumps(_dataset()))
        given = {"annotations": annotations, role: path}
        return fail_politely(lambda: _loaded(load_inputs(**given)))

    return read


def _loaded(inputs: Any) -> int:
    """Use what was read as the measurement does."""
    inputs.count_objects()
    assert inputs.image_sizes and inputs.objects_by_image is not None
    if inputs.has_masks:
        found = inputs.results if inputs.results_have_masks else []
        assert np.isfinite(inputs.mask_truth.errors(found).values).all()
    for metric in ("bbox", "segm") if inputs.results_have_masks else ():
        table = match_detections(inputs.dataset, inputs.results, metric, areas=["all"])
        assert -1 <= table.ap() <= 1
    return 0


def _json_of(original: Callable[[], Any]) -> Callable[[], SearchStrategy[bytes]]:
    return lambda: mutated_json(original())


def _bytes_of(original: Callable[[], bytes]) -> Callable[[], SearchStrategy[bytes]]:
    return lambda: mutated_bytes(original())


@functools.cache
def _record() -> tuple[bytes, bytes]:
    """The manifest and the shard of a recording."""
    with tempfile.TemporaryDirectory() as folder:
        store = RawStore(Path(folder), {"weights": "a"})
        boxes = np.zeros((2, 4), np.float32)
        rest = (boxes, boxes, np.zeros((2, 3), np.float32), boxes[:1], np.zeros(1, np.int64))
        last = (np.ones(1, np.float32), np.zeros((1, 4, 4), np.float32))
        store.append([RawOutputs(1, (60, 80), (60, 80), *rest, *last)])
        paths = Path(folder) / "manifest.json", Path(folder) / "shard-00000.npz"
        return paths[0].read_bytes(), paths[1].read_bytes()


def _recording(place: int) -> Callable[[Path, Path], int]:
    names = ("manifest.json", "shard-00000.npz")

    def read(path: Path, folder: Path) -> int:
        for name, content in zip(names, _record(), strict=True):
            (folder / name).write_bytes(content)
        (folder / names[place]).write_bytes(path.read_bytes())
        return fail_politely(lambda: len(list(RawStore(folder, {"weights": "a"}))) * 0)

    return read


def _study(path: Path, folder: Path) -> int:
    (folder / "study.json").write_bytes(path.read_bytes())
    return fail_politely(lambda: prepare_folder(quick_study(), folder))


def _config(path: Path, folder: Path) -> int:
    return fail_politely(lambda: 0 * len(load_config(str(path))))


def _compare(path: Path, folder: Path) -> int:
    good = folder / "good.json"
    good.write_bytes(_card())
    return main(["audit", "--compare", str(good), str(path)])


def _excused(path: Path, folder: Path) -> int:
    data = folder / "data.json"
    data.write_text(json.dumps(_dataset()))
    options = ["--known-deviations", str(path), "--fail-over", "0.1"]
    return main(["audit", "--dataset", str(data), *options])


def _yaml() -> bytes:
    """The base of the built-in configs without its own base, which lies beside it."""
    lines = Path(find_config("configs/shapes/Base-shapes.yaml")).read_text().splitlines()
    kept = [line for line in lines if not line.startswith("_BASE_")]
    return "\n".join([*kept, "D2ALIGN:", "  FLIP: index", "  PASTE_MASK: aligned"]).encode()


READERS = {
    "audit --dataset": Reader(
        _json_of(_dataset), lambda path, folder: main(["audit", "--dataset", str(path)])
    ),
    "audit --onnx": Reader(
        _bytes_of(_graph), lambda path, folder: main(["audit", "--onnx", str(path)])
    ),
    "audit --compare": Reader(
        lambda: mutated_json(json.loads(_card())) | mutated_bytes(_card()), _compare
    ),
    "audit --known-deviations": Reader(_bytes_of(lambda: _EXCUSES), _excused),
    "price --annotations": Reader(
        _json_of(_dataset),
        lambda path, folder: fail_politely(lambda: _loaded(load_inputs(path))),
    ),
    "price --boxes": Reader(_json_of(_results), _price("boxes")),
    "price --roi-masks": Reader(_bytes_of(_roi_masks), _price("roi_masks")),
    "replay manifest": Reader(lambda: mutated_json(json.loads(_record()[0])), _recording(0)),
    "replay shard": Reader(lambda: mutated_bytes(_record()[1]), _recording(1)),
    "ablation study.json": Reader(lambda: mutated_json(quick_study().settings()), _study),
    "config file": Reader(lambda: mutated_bytes(_yaml()), _config),
}


def check_reader(name: str, data: DataObject, tally: Tally | None = None) -> None:
    """A damaged file is taken, or ends in one line and exit code 2."""
    reader = READERS[name]
    content = data.draw(reader.contents(), label="content")
    tally = tally or Tally()
    said = io.StringIO()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(content)
        beside = Path(folder) / "beside"
        beside.mkdir()
        try:
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
                code = reader.read(path, beside)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            raise Finding(
                f"a traceback, not a line: {type(error).__name__}: {error} "
                f"({Path(where.filename).name}:{where.lineno})\n{content!r:.600}"
            ) from error
    lines = [line for line in said.getvalue().splitlines() if line.startswith("error: ")]
    if code == 2 and not lines:
        raise Finding(f"exit code 2 without a reason\n{content!r:.600}")
    if code not in (0, 1, 2):
        raise Finding(f"exit code {code}\n{content!r:.600}")
    tally.odd_refused += code == 2
    tally.odd_accepted += code != 2
