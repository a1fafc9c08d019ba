"""The data sets in Detectron2's catalogs, generated when first loaded."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from typing import Any

import pycocotools.mask as coco_mask
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import load_coco_json

from .figures import KEYPOINT_FLIP_MAP
from .generate import generate_shapes, shapes_paths
from .specs import SPECS, get_spec

Cache = str | os.PathLike[str] | None

# Data sets whose masks are RLE, which resize as pixels do, and those of which they are made.
ENCODED = {
    name.replace("_train", "_rle_train"): name
    for name, spec in SPECS.items()
    if spec.split == "train" and not spec.has_keypoints
}

_REGISTERED: dict[str, partial[list[dict[str, Any]]]] = {}


def _load(name: str, base: str, cache: str, num_images: int | None) -> list[dict[str, Any]]:
    paths = generate_shapes(base, cache, num_images)
    return load_coco_json(str(paths.json_file), str(paths.image_root), name)


def _load_encoded(name: str, base: str, cache: str, num_images: int | None) -> list[dict[str, Any]]:
    records = _load(name, base, cache, num_images)
    for record in records:
        size = record["height"], record["width"]
        for annotation in record["annotations"]:
            if isinstance(annotation["segmentation"], list):
                parts = coco_mask.frPyObjects(annotation["segmentation"], *size)
                annotation["segmentation"] = coco_mask.merge(parts)
    return records


def _metadata(base: str, image_root: str, json_file: str) -> dict[str, Any]:
    spec = get_spec(base)
    metadata: dict[str, Any] = {
        "thing_classes": list(spec.categories),
        "thing_dataset_id_to_contiguous_id": {i + 1: i for i in range(len(spec.categories))},
        "json_file": json_file,
        "image_root": image_root,
        "evaluator_type": "coco",
    }
    if spec.has_keypoints:
        metadata["keypoint_names"] = list(spec.keypoint_names)
        metadata["keypoint_flip_map"] = list(KEYPOINT_FLIP_MAP)
    return metadata


def _register(
    name: str, base: str, num_images: int | None, cache: Cache, load: Any = _load
) -> None:
    paths = shapes_paths(base, cache, num_images)
    root = str(paths.json_file.parents[2])  # fixed now: later the environment may differ
    loader = partial(load, name, base, root, num_images)
    DatasetCatalog.register(name, loader)
    _REGISTERED[name] = loader
    entries = _metadata(base, str(paths.image_root), str(paths.json_file))
    MetadataCatalog.get(name).set(**entries)


def register_shapes(cache: Cache = None) -> None:
    """Register the eight data sets; a name that is registered already is left as it is.

    Those of instances to train on are registered once more, as ``shapes_128_rle_train`` and
    ``shapes_800_rle_train``: the same images and boxes, with RLE masks in place of polygons.
    Nothing is generated until a data set is loaded. The cache folder is settled here.

    Args:
        cache: the cache folder; :func:`~.cache.cache_dir` by default.
    """
    for name in SPECS:
        if name not in DatasetCatalog.list():
            _register(name, name, None, cache)
    for encoded, name in ENCODED.items():
        if encoded not in DatasetCatalog.list():
            _register(encoded, name, None, cache, _load_encoded)


def register_shapes_subset(name: str, base: str, num_images: int, cache: Cache = None) -> None:
    """Register the first images of a data set under a name of their own.

    Only these images are generated, when the data set is first loaded. To register the same
    again changes nothing.

    Args:
        name: the new name.
        base: one of the names in ``SPECS``.
        num_images: how many images it has.
        cache: the cache folder; :func:`~.cache.cache_dir` by default.

    Raises:
        ValueError: for an unknown base, a number of images below 1, or a name that is taken.
    """
    paths = shapes_paths(base, cache, num_images)
    if name not in DatasetCatalog.list():
        _register(name, base, num_images, cache)
    elif MetadataCatalog.get(name).get("json_file") != str(paths.json_file):
        raise ValueError(f"{name!r} is registered already, as another data set")


def is_shapes(name: str) -> bool:
    """Return whether a data set is one of shapes that was registered here, a subset included.

    Args:
        name: a registered name.

    Returns:
        True if ``prepare_shapes`` would generate it.
    """
    return name in _REGISTERED


def prepare_shapes(names: Iterable[str]) -> None:
    """Generate those of the named data sets that are shapes registered here; ignore others.

    An evaluator opens ``json_file`` when it is built, perhaps before anything was loaded.

    Args:
        names: registered names, such as ``cfg.DATASETS.TRAIN + cfg.DATASETS.TEST``.

    Raises:
        OSError: if the cache cannot be written.
    """
    for name in names:
        if name in _REGISTERED:
            _, base, cache, num_images = _REGISTERED[name].args
            generate_shapes(base, cache, num_images)
