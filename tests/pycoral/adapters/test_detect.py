"""``pycoral.adapters.detect``: box algebra, and objects read from each output layout."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycoral.adapters import detect
from pycoral.adapters.detect import BBox, Object

BOXES = np.array([[[0.1, 0.2, 0.5, 0.6], [0.0, 0.25, 1.0, 0.75]]], np.float32)
IDS = np.array([[16, 3]], np.float32)
SCORES = np.array([[0.75, 0.5]], np.float32)
COUNT = np.array([1], np.float32)


def test_width_height_area_and_validity():
    box = BBox(1, 2, 4, 7)
    assert (box.width, box.height, box.area, box.valid) == (3, 5, 15, True)
    assert BBox(1, 1, 1, 1).valid
    assert not BBox(2, 1, 1, 3).valid
    assert not BBox(1, 3, 2, 1).valid


def test_scale_translate_map():
    assert BBox(1, 2, 3, 4).scale(10, 100) == BBox(10, 200, 30, 400)
    assert BBox(1, 2, 3, 4).translate(-1, 5) == BBox(0, 7, 2, 9)
    assert BBox(1.9, -1.9, 3.2, 4.0).map(int) == BBox(1, -1, 3, 4)


def test_intersection_union_iou():
    a, b = BBox(0, 0, 4, 4), BBox(2, 1, 6, 3)
    assert BBox.intersect(a, b) == BBox(2, 1, 4, 3)
    assert BBox.union(a, b) == BBox(0, 0, 6, 4)
    # Shared 2 * 2, covered 16 + 8 - 4.
    assert BBox.iou(a, b) == pytest.approx(4 / 20)
    apart = BBox(5, 5, 6, 6)
    assert not BBox.intersect(a, apart).valid
    assert BBox.iou(a, apart) == 0.0
    assert BBox.iou(BBox(1, 1, 1, 1), BBox(1, 1, 1, 1)) == 0.0


coordinates = st.integers(0, 20)
boxes = st.builds(
    lambda x, y, w, h: BBox(x, y, x + w, y + h), coordinates, coordinates, coordinates, coordinates
)


@given(boxes, boxes)
def test_iou_is_the_share_of_grid_cells(a, b):
    """Counting unit cells gives the same areas as the formula."""

    def cells(box):
        return {(x, y) for x in range(box.xmin, box.xmax) for y in range(box.ymin, box.ymax)}

    shared, covered = cells(a) & cells(b), cells(a) | cells(b)
    expected = len(shared) / len(covered) if covered else 0.0
    assert BBox.iou(a, b) == pytest.approx(expected)


def interpreter_with(fake_interpreter, outputs, **kwargs):
    return fake_interpreter([np.zeros((1, 100, 200, 3), np.uint8)], outputs, **kwargs)


# The input is 200 wide and 100 high: y * 100, x * 200, rounded towards zero.
EXPECTED = [
    Object(16, 0.75, BBox(xmin=40, ymin=10, xmax=120, ymax=50)),
    Object(3, 0.5, BBox(xmin=50, ymin=0, xmax=150, ymax=100)),
]


def signature(*names):
    return {
        "serving_default": {
            "inputs": {"input": 0},
            "outputs": {name: index + 1 for index, name in enumerate(names)},
        }
    }


@pytest.mark.parametrize(
    ("outputs", "signatures"),
    [
        ([BOXES, IDS, SCORES, COUNT], {}),
        ([SCORES, BOXES, COUNT, IDS], {}),
        (
            [SCORES, IDS, BOXES, COUNT],
            signature("output_1", "output_2", "output_3", "output_0"),
        ),
    ],
    ids=["boxes first", "scores first", "signature"],
)
def test_each_output_layout_gives_the_same_objects(fake_interpreter, outputs, signatures):
    interpreter = interpreter_with(fake_interpreter, outputs, signatures=signatures)
    assert detect.get_objects(interpreter) == EXPECTED
    assert detect.get_objects(interpreter, score_threshold=0.6) == EXPECTED[:1]
    halved = detect.get_objects(interpreter, image_scale=(0.5, 2.0))
    assert halved[0].bbox == BBox(80, 5, 240, 25)
    assert all(isinstance(coordinate, int) for coordinate in halved[0].bbox)


def test_the_count_is_not_used(fake_interpreter):
    """pycoral lists every row whatever the model's count says, and programs filter by score."""
    interpreter = interpreter_with(fake_interpreter, [BOXES, IDS, SCORES, COUNT])
    assert len(detect.get_objects(interpreter)) == 2


def test_several_signatures_are_refused(fake_interpreter):
    signatures = signature("output_0") | {"other": {}}
    interpreter = interpreter_with(fake_interpreter, [BOXES], signatures=signatures)
    with pytest.raises(ValueError, match=r"Only support model with one signature\."):
        detect.get_objects(interpreter)


def test_a_signature_with_other_outputs_is_refused_by_name(fake_interpreter):
    signatures = signature("output_0", "probabilities")
    interpreter = interpreter_with(fake_interpreter, [BOXES, IDS], signatures=signatures)
    with pytest.raises(ValueError, match=r"probabilities.*output_3"):
        detect.get_objects(interpreter)


def test_a_model_with_one_output_is_no_detection_model(fake_interpreter):
    interpreter = interpreter_with(fake_interpreter, [BOXES])
    with pytest.raises(IndexError, match=r"four outputs.*this one has 1"):
        detect.get_objects(interpreter)
