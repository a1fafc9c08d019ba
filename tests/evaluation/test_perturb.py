import copy

import pytest

from d2align.evaluation.perturb import shift_boxes


def test_each_edge_moves_alone_and_the_input_stays():
    results = [{"image_id": 1, "category_id": 2, "score": 0.5, "bbox": [10, 20, 30, 40]}]
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


@pytest.mark.parametrize("result", [{"image_id": 1}, {"bbox": [1, 2, 3]}])
def test_a_result_without_a_box_is_refused(result):
    with pytest.raises(ValueError, match=r"results\[0\]: got bbox"):
        shift_boxes([result], left=1)
