"""Raw outputs on disk: what is read is what was written, or a refusal."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from d2align.ablation.raw_outputs.store import RawOutputs, RawStore

IDENTITY = {"weights": "abc", "data set": "shapes_val"}


def _image(image_id: int, num_rois: int, num_found: int) -> RawOutputs:
    rng = np.random.default_rng(image_id)

    def random(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    return RawOutputs(
        image_id,
        (48, 64),
        (60, 80),
        *(random(num_rois, columns) for columns in (4, 12, 4)),
        boxes=random(num_found, 4),
        labels=rng.integers(0, 3, num_found),
        confidences=random(num_found),
        masks=random(num_found, 7, 7),
    )


def _same(a: RawOutputs, b: RawOutputs) -> bool:
    pairs = zip(dataclasses.astuple(a), dataclasses.astuple(b), strict=True)
    return all(np.array_equal(x, y) for x, y in pairs)


def test_what_is_read_is_what_was_written_in_order(tmp_path: Path):
    images = [_image(7, 5, 2), _image(3, 0, 0), _image(9, 4, 1)]
    store = RawStore(tmp_path / "raw", IDENTITY)
    store.append(images[:2])
    again = RawStore(tmp_path / "raw", IDENTITY)  # as a run that goes on
    assert again.num_images == 2
    again.append(images[2:])
    read = list(RawStore(tmp_path / "raw", IDENTITY))
    assert all(_same(a, b) for a, b in zip(read, images, strict=True))
    assert read[0].deltas.dtype == read[0].masks.dtype == np.float32
    # float32, nothing else: RoIs and masks, and a fixed overhead a shard
    content = sum(a.nbytes for i in images for a in dataclasses.astuple(i) if hasattr(a, "nbytes"))
    assert content < store.num_bytes + again.num_bytes < content + 2 * 4096 * 2


def test_a_damaged_missing_or_half_written_file_is_refused(tmp_path: Path):
    store = RawStore(tmp_path, IDENTITY)
    store.append([_image(1, 3, 1)])
    shard = tmp_path / "shard-00000.npz"
    whole = shard.read_bytes()
    for damage in (whole[:-1], whole[:200] + bytes([whole[200] ^ 1]) + whole[201:], whole + b"\0"):
        shard.write_bytes(damage)
        with pytest.raises(ValueError, match="not as it was written"):
            list(store)
    shard.unlink()
    with pytest.raises(ValueError, match="missing"):
        list(store)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match="damaged manifest"):
        RawStore(tmp_path, IDENTITY)


@pytest.mark.parametrize("name", ["", ".", "..", "../shard-00000.npz", "/etc/hostname"])
def test_a_manifest_names_files_of_its_own_folder_alone(tmp_path: Path, name: str):
    store = RawStore(tmp_path, IDENTITY)
    store.append([_image(1, 3, 1)])
    manifest = json.loads(store.manifest.read_text())
    manifest["shards"][0]["file"] = name
    store.manifest.write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="damaged manifest"):
        RawStore(tmp_path, IDENTITY)


def test_outputs_of_something_else_are_not_mixed_in(tmp_path: Path):
    RawStore(tmp_path, IDENTITY)
    before = (tmp_path / "manifest.json").read_bytes()
    with pytest.raises(ValueError, match=r"raw outputs of other \['weights'\]"):
        RawStore(tmp_path, {**IDENTITY, "weights": "xyz"})
    assert (tmp_path / "manifest.json").read_bytes() == before


def test_a_shard_that_was_not_entered_in_the_manifest_is_written_again(tmp_path: Path):
    store = RawStore(tmp_path, IDENTITY)
    (tmp_path / "shard-00000.npz").write_bytes(b"killed here")
    store.append([_image(1, 2, 1)])
    assert len(json.loads((tmp_path / "manifest.json").read_text())["shards"]) == 1
    assert len(list(store)) == 1
