"""The built-in data set: what is annotated is what is drawn, to a fraction of a pixel."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_util

from d2align.data.shapes import (
    KEYPOINT_FLIP_MAP,
    KEYPOINT_NAMES,
    KEYPOINT_OKS_SIGMAS,
    SPECS,
    cache_dir,
    generate_shapes,
    polygon_coverage,
    shapes_paths,
)
from d2align.data.shapes import generate as generate_module
from d2align.data.shapes.coco import stored_keypoints, uncompressed_rle
from d2align.data.shapes.figures import random_figure
from d2align.data.shapes.instances import (
    MAKERS,
    map_shape,
    random_shape,
    scaled_to,
    visible_polygons,
)
from d2align.data.shapes.polygons import (
    clip_polygon,
    keyhole,
    polygons_area,
    polygons_box,
    polygons_centroid,
    signed_area,
)
from d2align.data.shapes.render import blend, pixel_window, window_coverage
from d2align.data.shapes.scene import make_scene

RECTANGLE = np.array([[2.25, 1.5], [6.5, 1.5], [6.5, 4.75], [2.25, 4.75]])


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def load(name: str, cache: Path, num_images: int) -> dict:
    return json.loads(generate_shapes(name, cache, num_images, quiet=True).json_file.read_text())


def outlines(annotation: dict) -> list[np.ndarray]:
    return [np.array(polygon).reshape(-1, 2) for polygon in annotation["segmentation"]]


def single(dataset: dict) -> list[dict]:
    return [a for a in dataset["annotations"] if not a["iscrowd"]]


def rasterise(polygons: list[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    rles = mask_util.frPyObjects([polygon.ravel().tolist() for polygon in polygons], *size)
    return mask_util.decode(mask_util.merge(rles)).astype(bool)


def random_visible(rng: np.random.Generator, category: str, side: float, size: tuple[int, int]):
    while True:
        shape = scaled_to(random_shape(rng, category), side)
        offset = rng.uniform(0, [size[1], size[0]])
        placed = map_shape(shape, lambda coords, offset=offset: coords + offset)
        polygons = visible_polygons(placed, size)
        if polygons is not None:
            return placed, polygons


# ---- exact polygons ------------------------------------------------------------------------


def test_area_centroid_and_box_of_a_rectangle():
    assert signed_area(RECTANGLE) == 4.25 * 3.25
    assert signed_area(RECTANGLE[::-1]) == -4.25 * 3.25
    np.testing.assert_allclose(polygons_centroid([RECTANGLE]), [4.375, 3.125])
    np.testing.assert_array_equal(polygons_box([RECTANGLE]), [2.25, 1.5, 6.5, 4.75])


def test_clip_to_the_image():
    clipped = clip_polygon(RECTANGLE, (3, 5))
    assert signed_area(clipped) == 2.75 * 1.5
    np.testing.assert_array_equal(polygons_box([clipped]), [2.25, 1.5, 5, 3])
    assert clip_polygon(RECTANGLE + 100, (3, 5)).shape == (0, 2)


def test_clipping_leaves_no_spike_along_the_border():
    # a hook: visible below as a triangle, it goes round the image's corner outside
    around = [[-1, 4], [-2, 4], [-2, -2], [5, -2], [5, -3], [-3, -3], [-3, 6]]
    hook = np.array([[-1.0, 6.0], [2.0, 5.0], *around])
    clipped = clip_polygon(hook, (8, 8))
    x1, y1, x2, y2 = polygons_box([clipped])
    assert (x1, x2) == (0, 2) and 4 < y1 < 5 < y2 < 6


def test_coverage_of_a_rectangle_is_the_overlap_with_each_pixel():
    columns = [0, 0, 0.75, 1, 1, 1, 0.5, 0]
    rows = [0, 0.5, 1, 1, 0.75, 0]
    expected = np.outer(rows, columns)
    np.testing.assert_allclose(polygon_coverage([RECTANGLE], (6, 8)), expected, atol=1e-12)
    np.testing.assert_allclose(polygon_coverage([RECTANGLE[::-1]], (6, 8)), expected, atol=1e-12)


def test_coverage_refuses_polygons_outside_the_array():
    with pytest.raises(ValueError, match="outside"):
        polygon_coverage([RECTANGLE], (6, 6))


@pytest.mark.parametrize("category", list(MAKERS))
def test_coverage_keeps_area_and_centroid(category: str):
    rng, size = np.random.default_rng(5), (61, 75)
    for _ in range(20):
        _, polygons = random_visible(rng, category, rng.uniform(8, 45), size)
        coverage = polygon_coverage(polygons, size)
        area = polygons_area(polygons)
        assert coverage.sum() == pytest.approx(area, abs=1e-6)
        rows, columns = np.indices(size) + 0.5
        centroid = np.array([(coverage * columns).sum(), (coverage * rows).sum()]) / area
        np.testing.assert_allclose(centroid, polygons_centroid(polygons), atol=0.05)


@pytest.mark.parametrize("category", list(MAKERS))
def test_coverage_agrees_with_a_fine_raster(category: str):
    rng, size, fine = np.random.default_rng(6), (40, 50), 8
    for _ in range(4):
        _, polygons = random_visible(rng, category, 20.0, size)
        raster = rasterise([p * fine for p in polygons], (size[0] * fine, size[1] * fine))
        expected = raster.reshape(size[0], fine, size[1], fine).mean(axis=(1, 3))
        assert np.abs(polygon_coverage(polygons, size) - expected).max() < 0.15


# ---- keyholes ------------------------------------------------------------------------------


def test_keyhole_area_is_the_difference():
    hole = np.array([[3.0, 2.0], [5.0, 2.5], [4.0, 4.0]])
    joined = keyhole(RECTANGLE, hole)
    assert len(joined) == 4 + 3 + 3
    assert abs(signed_area(joined)) == pytest.approx(4.25 * 3.25 - abs(signed_area(hole)))
    with pytest.raises(ValueError, match="hole"):
        keyhole(RECTANGLE, hole + 10)


def test_keyhole_raster_has_no_slit():
    rng, size = np.random.default_rng(7), (64, 64)
    for _ in range(60):  # some of them cut by the image border
        shape, polygons = random_visible(rng, "ring", rng.uniform(10, 50), size)
        outer = rasterise([clip_polygon(shape[0].outer, size)], size)
        hole_polygon = clip_polygon(shape[0].hole, size)
        hole = rasterise([hole_polygon], size) if len(hole_polygon) else np.zeros_like(outer)
        ring = rasterise(polygons, size)
        # the foot of the bridge is rounded and splits an edge: single pixels on the outline
        assert (ring != (outer & ~hole)).sum() <= 2
        middle = polygon_coverage(polygons, size) > 0.999
        assert ring[middle].all()


def test_parts_are_two_polygons():
    _, polygons = random_visible(np.random.default_rng(8), "pair", 30.0, (64, 64))
    assert len(polygons) == 2


# ---- the picture against its annotation ----------------------------------------------------


def test_edges_are_found_again_in_the_intensities():
    canvas = np.full((20, 30, 3), 100, dtype=np.float32)
    box = np.array([[7.3, 4.6], [21.85, 4.6], [21.85, 15.2], [7.3, 15.2]])
    window = pixel_window([box], (20, 30))
    blend(canvas, window, window_coverage([box], window), np.float32([200, 180, 150]))
    share = (canvas[:, :, 0] - 100) / 100
    row, column = share[10], share[:, 15]
    assert row[:15].sum() == pytest.approx(15 - 7.3, abs=1e-3)
    assert row[15:].sum() == pytest.approx(21.85 - 15, abs=1e-3)
    assert column[:10].sum() == pytest.approx(10 - 4.6, abs=1e-3)
    assert column[10:].sum() == pytest.approx(15.2 - 10, abs=1e-3)


def test_pixels_are_those_of_the_annotation():
    """Unmix object and ground in finished images: the coverage comes back to a few percent."""
    spec, errors = SPECS["shapes_800_val"], []
    for index in range(3):
        pixels, objects = make_scene(spec, index)
        image, size = pixels.astype(float), pixels.shape[:2]
        for thing in objects:
            if thing.crowd:
                continue
            coverage = polygon_coverage(thing.polygons, size)
            edge = (coverage > 0) & (coverage < 1)
            for y, x in np.argwhere(edge)[::11]:
                near = np.s_[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]
                inside, outside = coverage[near] == 1, coverage[near] == 0
                if inside.any() and outside.any():
                    paint, ground = image[near][inside].mean(0), image[near][outside].mean(0)
                    step = paint - ground
                    found = ((image[y, x] - ground) @ step) / (step @ step)
                    errors.append(found - coverage[y, x])
    assert len(errors) > 100
    assert abs(np.mean(errors)) < 0.01 and np.median(np.abs(errors)) < 0.03


def test_annotated_outlines_lie_inside_the_image_and_fill_their_boxes(cache: Path):
    dataset = load("shapes_128_val", cache, 80)
    sizes = {image["id"]: (image["height"], image["width"]) for image in dataset["images"]}
    for annotation in single(dataset):
        polygons, (height, width) = outlines(annotation), sizes[annotation["image_id"]]
        x1, y1, x2, y2 = polygons_box(polygons)
        assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height
        np.testing.assert_allclose(annotation["bbox"], [x1, y1, x2 - x1, y2 - y1], atol=1e-6)
        assert annotation["area"] == pytest.approx(polygons_area(polygons), abs=1e-5)
        coverage = polygon_coverage(polygons, (height, width))
        assert coverage.sum() == pytest.approx(annotation["area"], rel=1e-6)  # simple outlines
        raster = rasterise(polygons, (height, width))
        outline = np.count_nonzero((coverage > 0) & (coverage < 1))
        assert np.count_nonzero(raster != (coverage > 0.5)) <= 0.25 * outline + 1


def test_objects_do_not_touch(cache: Path):
    dataset = load("shapes_128_val", cache, 80)
    for image in dataset["images"][:30]:
        size = (image["height"], image["width"])
        total = np.zeros(size)
        for annotation in single(dataset):
            if annotation["image_id"] == image["id"]:
                total += polygon_coverage(outlines(annotation), size) > 0
        assert total.max() == 1


def test_every_kind_of_object_occurs(cache: Path):
    dataset = load("shapes_128_val", cache, 80)
    names = [category["name"] for category in dataset["categories"]]
    assert names == ["rectangle", "ellipse", "triangle", "star", "ring", "pair"]
    assert {a["category_id"] for a in single(dataset)} == set(range(1, 7))
    sizes = {(image["height"], image["width"]) for image in dataset["images"]}
    assert len(sizes) >= 5 and any(w % 2 for _, w in sizes) and all(max(s) == 128 for s in sizes)
    borders = [a for a in single(dataset) if 0 in a["bbox"][:2]]
    assert 0 < len(borders) < 0.2 * len(single(dataset))
    assert {a["image_id"] for a in single(dataset)} == {im["id"] for im in dataset["images"]}


def test_crowd_regions_are_uncompressed_rle(cache: Path):
    dataset = load("shapes_128_val", cache, 80)
    crowds = [a for a in dataset["annotations"] if a["iscrowd"]]
    assert crowds
    for annotation in crowds:
        segmentation = annotation["segmentation"]
        rle = mask_util.frPyObjects(segmentation, *segmentation["size"])
        assert int(mask_util.area(rle)) == annotation["area"]
        np.testing.assert_array_equal(mask_util.toBbox(rle), annotation["bbox"])


def test_uncompressed_rle_counts():
    mask = np.array([[1, 0, 0], [1, 0, 1]], dtype=bool)
    assert uncompressed_rle(mask) == {"counts": [0, 2, 3, 1], "size": [2, 3]}
    assert uncompressed_rle(np.zeros((2, 2), bool))["counts"] == [4]


@pytest.mark.parametrize(
    ("name", "num_images", "bands"),
    [
        ("shapes_128_train", 300, [(10, 14), (18, 22), (36, 47)]),
        ("shapes_800_train", 40, [(35, 60), (80, 112), (180, 280)]),
    ],
)
def test_sizes_are_spread_like_a_log_normal(name: str, num_images: int, bands: list):
    sides = []
    spec = SPECS[name]
    for index in range(num_images):
        for thing in make_scene(spec, index)[1]:
            if not thing.crowd:
                x1, y1, x2, y2 = polygons_box(thing.polygons)
                sides.append(((x2 - x1) * (y2 - y1)) ** 0.5)
    assert 3 <= len(sides) / num_images <= 6
    for value, (low, high) in zip(np.percentile(sides, [10, 50, 90]), bands, strict=True):
        assert low <= value <= high


# ---- keypoints -----------------------------------------------------------------------------


def test_flip_map_pairs_every_side():
    paired = {name for pair in KEYPOINT_FLIP_MAP for name in pair}
    assert paired == set(KEYPOINT_NAMES) - {"nose"}
    for left, right in KEYPOINT_FLIP_MAP:
        assert left == right.replace("right_", "left_")
    assert len(KEYPOINT_OKS_SIGMAS) == len(KEYPOINT_NAMES) == 7


def test_the_figure_faces_the_viewer():
    rng = np.random.default_rng(9)
    for _ in range(50):
        figure = random_figure(rng)
        points = dict(zip(KEYPOINT_NAMES, figure.keypoints, strict=True))
        for left, right in KEYPOINT_FLIP_MAP:
            assert points[left][0] > points[right][0]  # its left is on the viewer's right
        shifted = figure.outline + 2
        assert polygon_coverage([shifted * 30], (120, 120)).sum() == pytest.approx(
            abs(signed_area(shifted * 30)), rel=1e-9
        )  # the outline does not cross itself


def test_a_dot_is_drawn_around_its_keypoint():
    figure = random_figure(np.random.default_rng(10)).scaled_to(40.0).moved(np.array([31.3, 30.6]))
    size = (64, 64)
    stored = stored_keypoints(figure.keypoints, size)
    indices = np.indices(size)[::-1]  # (x, y)
    for number, dot in enumerate(figure.dots()):
        coverage = polygon_coverage([dot], size)
        centroid = (indices * coverage).sum(axis=(1, 2)) / coverage.sum()
        np.testing.assert_allclose(centroid, stored[3 * number : 3 * number + 2], atol=0.05)


def test_stored_keypoints_are_found_in_the_picture():
    """The white of the eyes in a finished image is centred on the stored index coordinates."""
    spec, errors = SPECS["shapes_keypoints_800_val"], []
    for index in range(4):
        pixels, objects = make_scene(spec, index)
        size = pixels.shape[:2]
        for thing in objects:
            if thing.crowd:
                continue
            stored = np.array(stored_keypoints(thing.keypoints, size)).reshape(-1, 3)
            for x, y, v in stored[1:3]:
                column, row = round(x), round(y)
                side = np.ptp(polygons_box(thing.polygons)[[0, 2]])
                reach = int(0.055 * side)
                near = np.s_[row - reach : row + reach + 1, column - reach : column + reach + 1]
                patch = pixels[near].astype(float).min(axis=2)
                if v == 0 or patch.shape != (2 * reach + 1, 2 * reach + 1):
                    continue
                weight = np.clip(patch - 130, 0, None)
                offsets = np.arange(-reach, reach + 1)
                found = (
                    weight.sum(0) @ offsets / weight.sum() + column,
                    weight.sum(1) @ offsets / weight.sum() + row,
                )
                errors.append(np.subtract(found, (x, y)))
    assert len(errors) >= 10
    assert np.abs(errors).max() < 0.25 and np.abs(np.mean(errors, axis=0)).max() < 0.1


def test_keypoints_outside_the_image_are_zero(cache: Path):
    assert stored_keypoints(np.array([[0.0, 5.0], [-0.1, 5.0], [7.75, 3.0]]), (6, 8)) == [
        -0.5, 4.5, 2, 0, 0, 0, 7.25, 2.5, 2,
    ]  # fmt: skip
    dataset = load("shapes_keypoints_128_val", cache, 40)
    assert dataset["categories"][0]["keypoints"] == list(KEYPOINT_NAMES)
    for annotation in dataset["annotations"]:
        triplets = np.array(annotation["keypoints"]).reshape(7, 3)
        assert set(triplets[:, 2]) <= {0, 2}
        assert (triplets[triplets[:, 2] == 0] == 0).all()
        assert annotation["num_keypoints"] == (triplets[:, 2] > 0).sum()


# ---- generation and cache ------------------------------------------------------------------


def folder_bytes(name: str, cache: Path, num_images: int, workers: int) -> dict[str, bytes]:
    folder = generate_shapes(name, cache, num_images, workers, quiet=True).json_file.parent
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_number_of_workers_changes_nothing(tmp_path: Path):
    serial = folder_bytes("shapes_128_val", tmp_path / "a", 45, 1)
    assert len(serial) == 46
    assert serial == folder_bytes("shapes_128_val", tmp_path / "b", 45, 2)


def test_image_i_is_the_same_whatever_the_total(tmp_path: Path):
    few = folder_bytes("shapes_keypoints_128_val", tmp_path, 3, 1)
    many = folder_bytes("shapes_keypoints_128_val", tmp_path, 6, 1)
    few.pop("annotations.json")
    assert few.items() <= many.items()


def test_train_and_val_differ():
    train, _ = make_scene(SPECS["shapes_128_train"], 0)
    val, _ = make_scene(SPECS["shapes_128_val"], 0)
    assert train.shape != val.shape or (train != val).any()


def test_files_are_what_the_json_says(cache: Path):
    paths = generate_shapes("shapes_128_val", cache, 80, quiet=True)
    dataset = json.loads(paths.json_file.read_text())
    for image in dataset["images"][:5]:
        with Image.open(paths.image_root / image["file_name"]) as picture:
            assert picture.mode == "RGB" and picture.size == (image["width"], image["height"])
    numbers = [annotation["id"] for annotation in dataset["annotations"]]
    assert numbers == list(range(1, len(numbers) + 1))


def test_unknown_names_list_the_choices(tmp_path: Path):
    with pytest.raises(ValueError, match=r"shapes_128_train.*shapes_keypoints_800_val"):
        generate_shapes("shapes_64_train", tmp_path)
    with pytest.raises(ValueError, match="at least 1"):
        generate_shapes("shapes_128_train", tmp_path, num_images=0)


def test_cache_dir_follows_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    monkeypatch.setenv("D2ALIGN_CACHE", "/d")
    assert cache_dir() == Path("/d")
    monkeypatch.delenv("D2ALIGN_CACHE")
    assert cache_dir() == Path("/x/d2align")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "d2align"


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(generate_module.json, "dump", full_disk)
        with pytest.raises(OSError, match=r"No space left.*D2ALIGN_CACHE") as caught:
            generate_shapes("shapes_128_val", tmp_path, 2, quiet=True)
    assert caught.value.errno == 28
    left = [path for path in (tmp_path / "shapes").iterdir() if path.suffix != ".lock"]
    assert left == []
    assert generate_shapes("shapes_128_val", tmp_path, 2, quiet=True).json_file.is_file()


def test_a_cache_that_is_a_file_is_named_in_the_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="D2ALIGN_CACHE"):
        generate_shapes("shapes_128_val", tmp_path / "file", 1, quiet=True)


def test_a_half_written_folder_is_replaced(tmp_path: Path):
    paths = shapes_paths("shapes_128_val", tmp_path, 2)
    paths.image_root.mkdir(parents=True)
    paths.json_file.write_text("{}")
    generate_shapes("shapes_128_val", tmp_path, 2, quiet=True)
    assert len(json.loads(paths.json_file.read_text())["images"]) == 2
    stamp = paths.json_file.stat().st_mtime_ns
    generate_shapes("shapes_128_val", tmp_path, 2, quiet=True)  # found complete: left alone
    assert paths.json_file.stat().st_mtime_ns == stamp


def _generate_in_child(cache: str) -> None:
    generate_shapes("shapes_128_val", cache, 45, 2, quiet=True)


def test_two_processes_at_once_and_daemons(tmp_path: Path):
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    children = [
        context.Process(target=_generate_in_child, args=(str(tmp_path),), daemon=True)
        for _ in range(2)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    folders = [p for p in (tmp_path / "shapes").iterdir() if p.is_dir()]
    assert folders == [shapes_paths("shapes_128_val", tmp_path, 45).json_file.parent]


# ---- Detectron2's catalogs -----------------------------------------------------------------


def test_the_package_does_not_import_detectron2():
    code = (
        "import sys, types\n"
        "import d2align\n"  # but not d2align.data, which may import detectron2
        "data = types.ModuleType('d2align.data'); data.__path__ = [sys.argv[1]]\n"
        "sys.modules['d2align.data'] = d2align.data = data\n"
        "import d2align.data.shapes\n"
        "assert 'detectron2' not in sys.modules\n"
    )
    folder = str(Path(generate_module.__file__).parents[1])
    root = str(Path(generate_module.__file__).parents[3])
    environment = {**os.environ, "PYTHONPATH": root}
    subprocess.run([sys.executable, "-c", code, folder], check=True, env=environment)


def test_registered_names_and_metadata(tmp_path: Path):
    from detectron2.data import DatasetCatalog, MetadataCatalog

    from d2align.data.shapes.register import register_shapes

    register_shapes()
    register_shapes()
    assert set(SPECS) <= set(DatasetCatalog.list())
    metadata = MetadataCatalog.get("shapes_keypoints_128_val")
    assert metadata.evaluator_type == "coco" and metadata.thing_classes == ["figure"]
    assert metadata.keypoint_flip_map == list(KEYPOINT_FLIP_MAP)
    assert metadata.json_file.endswith("annotations.json")


def test_subset_loads_through_the_catalog(tmp_path: Path):
    from detectron2.data import DatasetCatalog, MetadataCatalog
    from detectron2.data.detection_utils import create_keypoint_hflip_indices

    from d2align.data.shapes.register import prepare_shapes, register_shapes_subset

    name = f"shapes_test_{tmp_path.name}"
    keypoints = f"{name}_keypoints"
    register_shapes_subset(name, "shapes_128_val", 12, tmp_path)
    register_shapes_subset(name, "shapes_128_val", 12, tmp_path)
    register_shapes_subset(keypoints, "shapes_keypoints_128_val", 6, tmp_path)
    with pytest.raises(ValueError, match="registered already"):
        register_shapes_subset(name, "shapes_128_val", 13, tmp_path)
    try:
        metadata = MetadataCatalog.get(name)
        assert not Path(metadata.json_file).exists()  # lazily
        prepare_shapes([name, "coco_2017_val"])
        assert Path(metadata.json_file).is_file()
        records = DatasetCatalog.get(name)
        assert len(records) == 12
        for record in records:
            assert Path(record["file_name"]).is_file()
            for annotation in record["annotations"]:
                assert 0 <= annotation["category_id"] < 6
                polygons = isinstance(annotation["segmentation"], list)
                assert polygons != bool(annotation["iscrowd"])
        _check_keypoints(DatasetCatalog.get(keypoints))
        flips = create_keypoint_hflip_indices([keypoints])
        assert list(flips) == [0, 2, 1, 4, 3, 6, 5]
    finally:
        for registered in (name, keypoints):
            DatasetCatalog.remove(registered)
            MetadataCatalog.remove(registered)


def test_encoded_masks_are_those_of_the_polygons(tmp_path: Path):
    from detectron2.data import DatasetCatalog
    from pycocotools import mask as coco_mask

    from d2align.data.shapes.register import ENCODED, _load, _load_encoded, register_shapes

    register_shapes()
    assert ENCODED["shapes_128_rle_train"] == "shapes_128_train"
    assert set(ENCODED) <= set(DatasetCatalog.list())
    drawn, encoded = (
        f("shapes_128_train", "shapes_128_train", str(tmp_path), 6) for f in (_load, _load_encoded)
    )
    count = 0
    for a, b in zip(drawn, encoded, strict=True):
        assert a["file_name"] == b["file_name"]
        for outline, mask in zip(a["annotations"], b["annotations"], strict=True):
            if outline["iscrowd"]:
                continue
            covered = polygon_coverage(outlines(outline), (a["height"], a["width"])) >= 0.5
            bits = coco_mask.decode(mask["segmentation"]).astype(bool)
            assert (covered & bits).sum() / (covered | bits).sum() > 0.85
            assert outline["bbox"] == mask["bbox"]
            count += 1
    assert count > 6


def _check_keypoints(records: list[dict]) -> None:
    """Detectron2 adds the half pixel: the loaded keypoints are coords, inside the outline."""
    for record in records:
        size = (record["height"], record["width"])
        for annotation in record["annotations"]:
            if annotation["iscrowd"]:
                continue
            coverage = polygon_coverage(outlines(annotation), size)
            for x, y, v in np.array(annotation["keypoints"]).reshape(-1, 3):
                if v:
                    row, column = min(int(y), size[0] - 1), min(int(x), size[1] - 1)
                    assert coverage[row, column] > 0.5
