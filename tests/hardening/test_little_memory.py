"""Memory that runs out: an error that says so, and results that are whole or absent."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from trouble import finish, start_script

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")

LIMIT = """
import resource
import sys

import torch
torch.set_num_threads(1)


def room(mebibytes):
    "Let this process have so much more memory than it has now."
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    limit = int(status["VmSize"].split()[0]) * 1024 + mebibytes * 2**20
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
"""
PASTE = """
from d2align.geometry import paste_masks, paste_masks_to_rle, paste_soft_masks, roi_align

masks, boxes = torch.ones(200, 28, 28), torch.tensor([[0.0, 0.0, 50.0, 50.0]]).repeat(200, 1)
size = (2000, 2000)
dense = paste_masks(masks[:1], boxes[:1], size)
rle = paste_masks_to_rle(masks[:1], boxes[:1], size)
soft = paste_soft_masks(masks[:1], boxes[:1], size)
room(150)
for call in (paste_masks, paste_soft_masks):
    try:
        call(masks, boxes, size)
    except (MemoryError, RuntimeError) as error:
        print(call.__name__, type(error).__name__, error)
    else:
        raise SystemExit("there was room")
# What fits goes on as before, bit for bit.
assert torch.equal(paste_masks(masks[:1], boxes[:1], size), dense)
assert paste_masks_to_rle(masks, boxes, size) == rle * 200
"""
EVALUATE = """
from pathlib import Path

import numpy as np
from detectron2.data import MetadataCatalog
from detectron2.structures import Boxes, Instances

import json
from d2align.evaluation import COCOEvaluator

folder = Path(sys.argv[1])
n = 60
images = [{"id": i, "height": 1000, "width": 1000, "file_name": str(i)} for i in range(n)]
box = [0, 0, 50, 50]
polygon = [[0, 0, 50, 0, 50, 50, 0, 50]]
annotations = [
    {"id": i + 1, "image_id": i, "category_id": 1, "bbox": box, "area": 2500, "iscrowd": 0,
     "segmentation": polygon} for i in range(n)
]
truth = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "a"}]}
(folder / "truth.json").write_text(json.dumps(truth))
MetadataCatalog.get("little").set(json_file=str(folder / "truth.json"), evaluator_type="coco",
    thing_dataset_id_to_contiguous_id={1: 0}, thing_classes=["a"])


def evaluate(count):
    evaluator = COCOEvaluator("little", output_dir=str(folder / "out"))
    evaluator.reset()
    for image in images:
        masks = torch.zeros(count, 1000, 1000, dtype=torch.bool)
        masks[:, :50, :50] = True
        found = Instances((1000, 1000), pred_boxes=Boxes(torch.tensor([box]).repeat(count, 1)),
            scores=torch.full((count,), 0.5), pred_classes=torch.zeros(count, dtype=torch.int64),
            pred_masks=masks)
        evaluator.process([{"image_id": image["id"]}], [{"instances": found}])
    return evaluator.evaluate()


small = evaluate(1)
for path in (folder / "out").iterdir():
    path.unlink()
room(100)
try:
    evaluate(200)
except (MemoryError, RuntimeError) as error:
    print("evaluate", type(error).__name__, error)
else:
    raise SystemExit("there was room")
assert list((folder / "out").iterdir()) == []
assert json.dumps(evaluate(1)) == json.dumps(small)  # NaN where there is nothing
"""
INFER = """
import tiny_models

model = tiny_models.tiny_model(tiny_models.tiny_config())
entry = tiny_models.tiny_batch()[0]
before = tiny_models.detections(model, [entry])
room(100)
large = {**entry, "height": 20000, "width": 20000}
try:
    tiny_models.detections(model, [large])
except (MemoryError, RuntimeError) as error:
    print("inference", type(error).__name__, error)
else:
    raise SystemExit("there was room")
tiny_models.assert_same_instances(tiny_models.detections(model, [entry]), before)
"""


@pytest.mark.parametrize("script", [PASTE, EVALUATE, INFER], ids=["paste", "evaluate", "infer"])
def test_the_error_says_memory_and_what_fits_goes_on(tmp_path: Path, script: str) -> None:
    code, said, error = finish(start_script(LIMIT + script, str(tmp_path)))
    assert code == 0, error[-2000:]
    told = [line for line in said.splitlines() if "Error" in line]
    assert told and all("memory" in line.lower() for line in told), said
    results = tmp_path / "out" / "coco_instances_results.json"
    if results.exists():
        assert len(json.loads(results.read_text())) == 60
