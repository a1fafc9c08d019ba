"""Tools write nothing outside their output and caches, and open no connection unasked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
CONFIG = str(ROOT / "configs" / "shapes" / "ablation_aligned.yaml")

# Python tells a hook of every file that is opened, every folder made, every connection.
WATCHER = """
import json, os, runpy, sys
seen = []
def watch(event, args):
    if event == "open" and isinstance(args[0], (str, bytes)):
        mode, flags = args[1] or "", args[2] or 0
        if any(m in mode for m in "wax+") or flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            seen.append(["write", os.path.abspath(os.fsdecode(args[0]))])
    elif event in ("os.mkdir", "os.remove", "os.rmdir", "os.rename") and args[-1] not in (-1, None):
        pass  # within an open folder, as when a temporary one is removed
    elif event in ("os.mkdir", "os.remove", "os.rmdir", "os.truncate"):
        seen.append([event, os.path.abspath(os.fsdecode(args[0]))])
    elif event == "os.rename":
        seen.append([event, os.path.abspath(os.fsdecode(args[1]))])
    elif event == "socket.connect" and isinstance(args[1], tuple):
        seen.append([event, str(args[1])])
    elif event == "socket.getaddrinfo" and args[0] not in (None, "", "localhost"):
        seen.append([event, str(args[0])])
sys.addaudithook(watch)
log, setup, *sys.argv = sys.argv[1:]
try:
    exec(setup)
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    kept = list(seen)
    with open(log, "w") as file:
        json.dump(kept, file)
"""
FEW = """
from d2align.data.shapes.register import register_shapes_subset
import d2align.data
register_shapes_subset("few", "shapes_128_val", 4)
"""
# The last one is set by torch itself, in a process whose environment the tools inherit.
CACHES = ("D2ALIGN_CACHE", "FVCORE_CACHE", "MPLCONFIGDIR", "NUMBA_CACHE_DIR", "TMPDIR")
CACHES += ("TORCHINDUCTOR_CACHE_DIR",)
SMALL = [
    *("DATASETS.TRAIN", "('few',)", "DATASETS.TEST", "('few',)", "SOLVER.MAX_ITER", "2"),
    *("SOLVER.IMS_PER_BATCH", "2", "DATALOADER.NUM_WORKERS", "0", "MODEL.DEVICE", "cpu"),
    *("MODEL.SMALL_RESNET.CHANNELS", "[8, 8, 10, 12, 16]", "MODEL.FPN.OUT_CHANNELS", "16"),
    *("MODEL.ROI_BOX_HEAD.FC_DIM", "32", "MODEL.ROI_MASK_HEAD.CONV_DIM", "8"),
]


def run(tmp_path: Path, *command: str, setup: str = "", code: int = 0) -> list[tuple[str, str]]:
    """What a tool wrote and connected to, when run in a folder of its own."""
    place = tmp_path / "cwd"
    place.mkdir(exist_ok=True)
    log = tmp_path / "log.json"
    caches = {name: str(tmp_path / "caches" / name) for name in CACHES}
    for path in caches.values():
        Path(path).mkdir(parents=True, exist_ok=True)
    tool = str(ROOT / "tools" / command[0])
    done = subprocess.run(
        [sys.executable, "-B", "-c", WATCHER, str(log), setup, tool, *command[1:]],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=place,
        env={**os.environ, **caches, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == code, done.stderr[-2000:]
    return [(event, path) for event, path in json.loads(log.read_text())]


def strange(seen: list[tuple[str, str]], tmp_path: Path, *outputs: Path) -> list[tuple[str, str]]:
    """What is neither under the outputs nor in a cache or a temporary folder."""
    allowed = [str(p) for p in (*outputs, tmp_path / "caches")]
    allowed += ["/dev/", "/proc/", "/sys/"]  # pipes, shared memory
    return [
        (event, path)
        for event, path in seen
        if not any(path == a or path.startswith(a.rstrip("/") + "/") for a in allowed)
    ]


def test_the_watcher_sees_what_it_should(tmp_path: Path) -> None:
    out = tmp_path / "elsewhere.txt"
    setup = (
        f"open({str(out)!r}, 'w').close()\n"
        "import socket\n"
        "try: socket.create_connection(('192.0.2.1', 9), 0.01)\n"
        "except OSError: pass\n"
    )
    seen = run(tmp_path, "audit.py", "--help", setup=setup)
    found = strange(seen, tmp_path)
    assert ("write", str(out)) in found
    assert any(event.startswith("socket.") and "192.0.2.1" in what for event, what in found)


def test_training_and_evaluation(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("train_net.py", "--config-file", CONFIG, *SMALL, "OUTPUT_DIR", str(out))
    seen = run(tmp_path, *command, setup=FEW)
    assert (out / "model_final.pth").is_file() and (out / "metrics.json").is_file()
    assert strange(seen, tmp_path, out) == []
    assert list((tmp_path / "cwd").iterdir()) == []


def test_the_audit_of_a_project(tmp_path: Path) -> None:
    card, page = tmp_path / "out" / "card.json", tmp_path / "out" / "page.html"
    card.parent.mkdir()
    opts = [o for o in SMALL if "few" not in o and not o.startswith(("DATASETS", "SOLVER"))]
    opts = opts[opts.index("DATALOADER.NUM_WORKERS") :]
    command = ("audit.py", "--config-file", CONFIG, "--json", str(card), "--pictures", str(page))
    seen = run(tmp_path, *command, *opts)
    assert card.is_file() and page.is_file()
    assert strange(seen, tmp_path, card.parent) == []
    assert list((tmp_path / "cwd").iterdir()) == []


def test_pictures_and_the_price_of_a_pixel(tmp_path: Path) -> None:
    out = tmp_path / "out"
    seen = run(tmp_path, "plot_conventions.py", "--output", str(out))
    assert len(list(out.glob("*.png"))) >= 5
    assert strange(seen, tmp_path, out) == []
    annotations, boxes = tmp_path / "instances.json", tmp_path / "boxes.json"
    write_problem(annotations, boxes)
    priced = tmp_path / "priced"
    words = ("--annotations", str(annotations), "--boxes", str(boxes), "--output", str(priced))
    words += ("--quick", "--workers", "1")
    seen = run(tmp_path, "price_of_a_pixel.py", *words)
    assert any(priced.iterdir())
    assert strange(seen, tmp_path, priced) == []
    assert list((tmp_path / "cwd").iterdir()) == []


def write_problem(annotations: Path, boxes: Path) -> None:
    """A data set of ten images with one box each, and detections of them."""
    rng = np.random.default_rng(0)
    images, truth, found = [], [], []
    for i in range(1, 11):
        x, y, w, h = (float(v) for v in rng.uniform(20, 60, 4))
        images.append({"id": i, "height": 128, "width": 128, "file_name": f"{i}.png"})
        corners = [x, y, x + w, y, x + w, y + h, x, y + h]
        truth.append(
            {"id": i, "image_id": i, "category_id": 1, "bbox": [x, y, w, h], "area": w * h}
            | {"iscrowd": 0, "segmentation": [corners]}
        )
        found.append({"image_id": i, "category_id": 1, "bbox": [x, y, w, h], "score": 0.9})
    categories = [{"id": 1, "name": "thing"}]
    annotations.write_text(
        json.dumps({"images": images, "annotations": truth, "categories": categories})
    )
    boxes.write_text(json.dumps(found))


def test_a_url_that_the_user_names_is_all_that_is_asked_for(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("train_net.py", "--config-file", CONFIG, *SMALL, "OUTPUT_DIR", str(out))
    weights = ("MODEL.WEIGHTS", "https://weights.invalid/a.pth")
    seen = run(tmp_path, *command, *weights, setup=FEW, code=2)
    assert {what for event, what in seen if event == "socket.getaddrinfo"} == {"weights.invalid"}
