"""A data set on disk: PNG files and ``annotations.json``, generated once and cached."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from tqdm import tqdm

from .cache import cache_dir, cached_folder
from .coco import Record, annotation, dataset
from .scene import make_scene
from .specs import ShapesSpec, get_spec

_CHUNK = 20  # images handed to a worker at a time
_MAX_WORKERS = 8
_JSON_NAME, _IMAGES_NAME = "annotations.json", "images"


class ShapesPaths(NamedTuple):
    """Where a generated data set lies."""

    image_root: Path
    json_file: Path


def _write_image(spec: ShapesSpec, folder: Path, index: int) -> Record:
    pixels, objects = make_scene(spec, index)
    size = (pixels.shape[0], pixels.shape[1])
    name = f"{index:06d}.png"
    Image.fromarray(pixels).save(folder / name, compress_level=1)
    annotations = [annotation(spec, thing, size) for thing in objects]
    record = {"id": index, "file_name": name, "height": size[0], "width": size[1]}
    return {**record, "annotations": annotations}


def _write_chunk(spec: ShapesSpec, folder: Path, indices: range) -> list[Record]:
    return [_write_image(spec, folder, index) for index in indices]


def _default_workers() -> int:
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), _MAX_WORKERS)
    return min(os.cpu_count() or 1, _MAX_WORKERS)


def _in_parallel(
    work: Callable[[range], list[Record]], chunks: list[range], num_workers: int
) -> Iterator[list[Record]]:
    # A forked worker needs no importable main module and only ever runs numpy and Pillow.
    method = "fork" if sys.platform == "linux" else "spawn"
    context = multiprocessing.get_context(method)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
        with ProcessPoolExecutor(num_workers, mp_context=context) as pool:
            yield from pool.map(work, chunks)


def _records(
    work: Callable[[range], list[Record]], chunks: list[range], num_workers: int
) -> Iterator[list[Record]]:
    """Do the chunks in order, in processes where that is allowed and worth it."""
    done = 0
    daemonic = multiprocessing.current_process().daemon  # such a process may have no children
    if num_workers > 1 and len(chunks) > 1 and not daemonic:
        try:
            for records in _in_parallel(work, chunks, min(num_workers, len(chunks))):
                done += 1
                yield records
        except (BrokenProcessPool, ImportError, PermissionError):  # no semaphores, or killed
            pass
    for chunk in chunks[done:]:
        yield work(chunk)


def _generate(
    folder: Path, spec: ShapesSpec, num_images: int, num_workers: int, quiet: bool
) -> None:
    images = folder / _IMAGES_NAME
    images.mkdir()
    starts = range(0, num_images, _CHUNK)
    chunks = [range(start, min(start + _CHUNK, num_images)) for start in starts]
    records: list[Record] = []
    bar = tqdm(total=num_images, desc=f"generating {spec.name}", disable=quiet or None)
    with bar:
        for chunk in _records(partial(_write_chunk, spec, images), chunks, num_workers):
            records += chunk
            bar.update(len(chunk))
    with open(folder / _JSON_NAME, "w") as handle:
        json.dump(dataset(spec, records), handle)


def _is_complete(folder: Path, num_images: int) -> bool:
    images = folder / _IMAGES_NAME
    if not (folder / _JSON_NAME).is_file() or not images.is_dir():
        return False
    return sum(name.endswith(".png") for name in os.listdir(images)) == num_images


def _checked_count(spec: ShapesSpec, num_images: int | None) -> int:
    count = spec.num_images if num_images is None else num_images
    if count < 1:
        raise ValueError(f"num_images must be at least 1, not {count}")
    return count


def shapes_paths(
    name: str, cache: str | os.PathLike[str] | None = None, num_images: int | None = None
) -> ShapesPaths:
    """Return where a data set lies, or will lie once generated.

    Args:
        name: one of the names in ``SPECS``.
        cache: the cache folder; :func:`~.cache.cache_dir` by default.
        num_images: number of images; the data set's own number by default.

    Returns:
        The paths of the image folder and of the COCO json.

    Raises:
        ValueError: for an unknown name or a number of images below 1.
    """
    spec = get_spec(name)
    root = (cache_dir() if cache is None else Path(cache)).absolute() / "shapes"
    folder = root / spec.folder_name(_checked_count(spec, num_images))
    return ShapesPaths(folder / _IMAGES_NAME, folder / _JSON_NAME)


def generate_shapes(
    name: str,
    cache: str | os.PathLike[str] | None = None,
    num_images: int | None = None,
    num_workers: int | None = None,
    quiet: bool = False,
) -> ShapesPaths:
    """Generate a data set unless it is cached already.

    Image ``i`` is the same whatever the number of images, of workers, and their order.

    Convention: polygons and boxes are stored in coords, pixel ``i`` being ``[i, i + 1]``;
    keypoints in index coordinates, ``coord - 0.5``, as in COCO.

    Args:
        name: one of the names in ``SPECS``.
        cache: the cache folder; :func:`~.cache.cache_dir` by default.
        num_images: number of images, the first ones; the data set's own number by default.
        num_workers: number of processes; the number of usable cores, at most 8, by default.
        quiet: show no progress bar; there is none either where stderr is no terminal.

    Returns:
        The paths of the image folder and of the COCO json.

    Raises:
        ValueError: for an unknown name or a number of images below 1.
        OSError: if the cache cannot be written.
    """
    spec, paths = get_spec(name), shapes_paths(name, cache, num_images)
    count = _checked_count(spec, num_images)
    workers = _default_workers() if num_workers is None else num_workers
    cached_folder(
        paths.json_file.parent,
        lambda folder: _generate(folder, spec, count, workers, quiet),
        lambda folder: _is_complete(folder, count),
    )
    return paths
