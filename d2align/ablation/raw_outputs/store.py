"""Raw outputs on disk: shards of images, each checksummed, and a manifest of what they are of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from d2align.atomic import replacing, write_text

_CHUNK = 1 << 20


@dataclass(frozen=True)
class RawOutputs:
    """What the heads put out for one image, in network pixels, float32.

    Attributes:
        image_id: of the data set.
        size: (h, w) of the original image.
        network_size: (h, w) of the image that the network saw.
        proposals: (R, 4) boxes that the last box stage refines.
        deltas: (R, 4) or (R, 4K) of that stage.
        scores: (R, K + 1) probabilities, background last; a cascade's are the mean of its stages.
        boxes: (N, 4) final detections.
        labels: (N,) their classes, contiguous.
        confidences: (N,) their scores.
        masks: (N, M, M) probabilities of their masks; M is 0 for a model without masks.
    """

    image_id: int
    size: tuple[int, int]
    network_size: tuple[int, int]
    proposals: np.ndarray
    deltas: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    confidences: np.ndarray
    masks: np.ndarray


_NUMBERS = ("image_id", "size", "network_size")
_ARRAYS = tuple(f.name for f in fields(RawOutputs) if f.name not in _NUMBERS)
_PER_ROI = ("proposals", "deltas", "scores")


class RawStore:
    """A folder of shards; what is in it was checked when written and is checked when read."""

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        """Open a folder, or make it.

        Args:
            folder: of the shards and of manifest.json.
            identity: JSON values that say what the outputs are of (weights, config, data set).

        Raises:
            ValueError: the folder holds outputs of something else, or is damaged.
        """
        self.folder, self.manifest = folder, folder / "manifest.json"
        self.shards: list[dict[str, Any]] = []
        if self.manifest.exists():
            self._open(identity)
            return
        folder.mkdir(parents=True, exist_ok=True)
        self.identity = identity
        self._save()

    @property
    def num_images(self) -> int:
        """How many images are kept, from the data set's start."""
        return sum(shard["images"] for shard in self.shards)

    @property
    def num_bytes(self) -> int:
        """What the shards take on disk."""
        return sum((self.folder / shard["file"]).stat().st_size for shard in self.shards)

    def append(self, images: Sequence[RawOutputs]) -> None:
        """Keep some more images, all of them or none.

        Args:
            images: the next ones, at least one.
        """
        name = f"shard-{len(self.shards):05d}.npz"
        with replacing(self.folder / name) as partial, open(partial, "wb") as file:
            np.savez(file, **_pack(images))
        digest = file_sha256(self.folder / name)
        self.shards.append({"file": name, "images": len(images), "sha256": digest})
        self._save()

    def __iter__(self) -> Iterator[RawOutputs]:
        """Yield the kept images, in the data set's order.

        Yields:
            One RawOutputs an image.

        Raises:
            ValueError: a shard is missing, or is not what was written.
        """
        for shard in self.shards:
            path = self.folder / shard["file"]
            self._check(path, shard["sha256"])
            with np.load(path, allow_pickle=False) as arrays:
                yield from _unpack({name: arrays[name] for name in arrays.files})

    def _open(self, identity: dict[str, Any]) -> None:
        try:
            content = json.loads(self.manifest.read_text())
            self.identity, self.shards = dict(content["identity"]), list(content["shards"])
            for shard in self.shards:
                _check_entry(shard)
        except (ValueError, KeyError, TypeError) as e:
            raise ValueError(
                f"{self.manifest}: got a damaged manifest ({e}), expected the one that was "
                "written: remove the folder and record again"
            ) from None
        names = {*identity, *self.identity}
        changed = [k for k in names if identity.get(k) != self.identity.get(k)]
        if changed:
            raise ValueError(
                f"output: got {self.folder}, which holds raw outputs of other {sorted(changed)}; "
                "expected an empty folder or the same settings: name another, or remove it"
            )

    def _check(self, path: Path, digest: str) -> None:
        if not path.exists() or file_sha256(path) != digest:
            raise ValueError(
                f"{path}: got a file that is missing or not as it was written, expected sha256 "
                f"{digest[:12]}...: remove the folder and record again"
            )

    def _save(self) -> None:
        content = {"identity": self.identity, "shards": self.shards}
        write_text(self.manifest, json.dumps(content, indent=1))


def _check_entry(shard: dict[str, Any]) -> None:
    expected = {"file": str, "images": int, "sha256": str}
    for key, kind in expected.items():
        if not isinstance(shard[key], kind):
            raise TypeError(f"{key} is {shard[key]!r}")
    if Path(shard["file"]).name != shard["file"] or shard["file"] in ("", ".."):
        raise ValueError(f"file is {shard['file']!r}")


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file.

    Args:
        path: the file.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _pack(images: Sequence[RawOutputs]) -> dict[str, np.ndarray]:
    table = [(i.image_id, *i.size, *i.network_size, len(i.proposals), len(i.boxes)) for i in images]
    packed = {name: np.concatenate([getattr(i, name) for i in images]) for name in _ARRAYS}
    return {"images": np.array(table, dtype=np.int64), **packed}


def _unpack(arrays: dict[str, np.ndarray]) -> Iterator[RawOutputs]:
    roi = found = 0
    for image_id, h, w, net_h, net_w, num_rois, num_found in arrays["images"].tolist():
        parts = {}
        for name in _ARRAYS:
            start, count = (roi, num_rois) if name in _PER_ROI else (found, num_found)
            parts[name] = arrays[name][start : start + count]
        roi, found = roi + num_rois, found + num_found
        yield RawOutputs(image_id, (h, w), (net_h, net_w), **parts)
