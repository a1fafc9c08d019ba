import copy

import numpy as np
import pytest
from detectron2.data.transforms import ResizeShortestEdge
from pycocotools import mask as coco_mask

from d2align.evaluation.perturb import (
    clip_boxes_to_images,
    network_pixel_sizes,
    resize_boxes,
    shift_boxes,
    shift_masks,
    truncate_boxes,
)


def result(bbox, image_id=1):
    return {"image_id": image_id, "category_id": 2, "score": 0.5, "bbox": bbox}


def boxes(results):
    return [one["bbox"] for one in results]


def test_each_edge_moves_alone_and_the_input_stays():
    results = [result([10, 20, 30, 40])]
    before = copy.deepcopy(results)
    moved = {
        "left": [11, 20, 29, 40],
        "top": [10, 21, 30, 39],
        "right": [10, 20, 31, 40],
        "bottom": [10, 20, 30, 41],
    }
    for edge, bbox in moved.items():
        assert shift_boxes(results, **{edge: 1}) == [{**before[0], "bbox": bbox}]
    assert shift_boxes(results, 0.5, 0.25, 0.5, 0.25)[0]["bbox"] == [10.5, 20.25, 30, 40]
    assert results == before
    assert shift_boxes([]) == []


def test_a_pixel_of_an_image_is_as_large_as_that_image_says():
    results = [result([10, 20, 30, 40], 1), result([10, 20, 30, 40], 2)]
    sizes = {1: (0.5, 0.25), 2: (2.0, 3.0)}
    moved = shift_boxes(results, left=1, bottom=1, pixel_sizes=sizes)
    assert boxes(moved) == [[10.5, 20, 29.5, 40.25], [12, 20, 28, 43]]


def test_edges_that_would_cross_leave_a_box_of_no_size():
    assert boxes(shift_boxes([result([10, 20, 1, 2])], right=-3, bottom=-3)) == [[10, 20, 0, 0]]


@pytest.mark.parametrize("bad", [{"image_id": 1}, {"bbox": [1, 2, 3]}])
@pytest.mark.parametrize(
    "function",
    [
        shift_boxes,
        truncate_boxes,
        lambda results: resize_boxes(results, 1.1),
        lambda results: clip_boxes_to_images(results, []),
    ],
)
def test_a_result_without_a_box_is_refused(function, bad):
    with pytest.raises(ValueError, match=r"results\[0\]: got bbox"):
        function([bad])


def test_boxes_are_clipped_to_their_images():
    images = [{"id": 1, "width": 50, "height": 40}]
    results = [result(box) for box in ([-5, 10, 20, 40], [10, 10, 5, 5], [60, 50, 5, 5])]
    clipped = boxes(clip_boxes_to_images(results, images))
    assert clipped == [[0, 10, 15, 30], [10, 10, 5, 5], [50, 40, 0, 0]]


def test_boxes_are_resized_about_their_centres():
    results = [result([10, 20, 30, 40])]
    assert boxes(resize_boxes(results, 1.5)) == [[2.5, 10, 45, 60]]
    assert boxes(results) == [[10, 20, 30, 40]]
    for factor in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="factor: got"):
            resize_boxes(results, factor)


def test_whole_inclusive_pixels_by_hand():
    # x: 10.6 -> 10, last 10.6 + 29.7 = 40.3 -> 40; y: 20.2 -> 20, last 22.2 -> 22.
    assert boxes(truncate_boxes([result([10.6, 20.2, 30.7, 3.0])])) == [[10, 20, 31, 3]]
    # Below a pixel wide: the pixel it starts in.
    assert boxes(truncate_boxes([result([4.9, 5.0, 0.3, 1.0])])) == [[4, 5, 1, 1]]
    # Half as large pixels: 5.3 is 10.6 of them.
    halves = truncate_boxes([result([5.3, 10.1, 15.35, 1.5])], {1: (0.5, 0.5)})
    assert boxes(halves) == [[5, 10, 15.5, 1.5]]


def test_boxes_of_whole_pixels_survive_truncation():
    rng = np.random.default_rng(0)
    results = [result(rng.integers(1, 50, 4).tolist()) for _ in range(20)]
    assert truncate_boxes(results) == results


def test_network_pixels_are_those_of_detectron2():
    rng = np.random.default_rng(0)
    images = [
        {"id": i, "width": int(w), "height": int(h)}
        for i, (w, h) in enumerate(rng.integers(20, 2500, (200, 2)))
    ]
    images.append({"id": 200, "width": 640, "height": 480})
    for short, longest in ((800, 1333), (128, 160)):
        resize = ResizeShortestEdge(short, longest)
        for image_id, size in network_pixel_sizes(images, short, longest).items():
            w, h = images[image_id]["width"], images[image_id]["height"]
            new_h, new_w = (
                resize.get_transform(np.zeros((h, w, 3), np.uint8))
                .apply_image(np.zeros((h, w, 1), np.uint8))
                .shape[:2]
            )
            assert size == (w / new_w, h / new_h)
    assert network_pixel_sizes(images)[200] == (640 / 1067, 480 / 800)


@pytest.mark.parametrize("side", ["short_side", "max_side"])
def test_network_images_of_no_pixels_are_refused(side):
    with pytest.raises(ValueError, match=f"{side}: got 0"):
        network_pixel_sizes([], **{side: 0})


@pytest.mark.parametrize("dx, dy", [(0, 0), (1, 0), (-2, 1), (3, -3), (6, 0), (-9, 2), (0, 5)])
def test_masks_move_by_whole_pixels_and_leave_the_image(dx, dy):
    rng = np.random.default_rng(0)
    mask = rng.random((5, 6)) < 0.5
    expected = np.zeros_like(mask)
    for i, j in np.argwhere(mask):
        if 0 <= i + dy < 5 and 0 <= j + dx < 6:
            expected[i + dy, j + dx] = True
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    (moved,) = shift_masks([{"image_id": 1, "segmentation": rle}], dx, dy)
    assert (coco_mask.decode(moved["segmentation"]) == expected).all()


def test_uncompressed_masks_move_too_and_others_are_refused():
    # Columns of a 2 x 3 image: [0, 1], [0, 0], [1, 0].
    rle = {"size": [2, 3], "counts": [1, 1, 2, 1, 1]}
    (moved,) = shift_masks([{"segmentation": rle}], 1)
    assert coco_mask.decode(moved["segmentation"]).tolist() == [[0, 0, 0], [0, 1, 0]]
    with pytest.raises(ValueError, match=r"results\[0\]: got no RLE"):
        shift_masks([{"segmentation": [[0, 0, 1, 1, 2, 0]]}], 1)
