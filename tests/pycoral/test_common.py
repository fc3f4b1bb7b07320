"""``pycoral.adapters.common`` on tensors worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pycoral.adapters import common


def image_interpreter(fake_interpreter, dtype=np.uint8, shape=(1, 4, 6, 3)):
    return fake_interpreter(
        inputs=[np.full(shape, 7, dtype)],
        outputs=[np.arange(5, dtype=np.uint8)[None], np.array([9.5], np.float32)],
    )


def test_output_tensor_is_a_view_of_the_output_asked_for(fake_interpreter):
    interpreter = image_interpreter(fake_interpreter)
    first = common.output_tensor(interpreter, 0)
    assert first.shape == (1, 5)
    interpreter.outputs[0][0, 2] = 99
    assert first[0, 2] == 99
    assert common.output_tensor(interpreter, 1).tolist() == [9.5]
    with pytest.raises(IndexError):
        common.output_tensor(interpreter, 2)


def test_input_details_size_and_tensor(fake_interpreter):
    interpreter = image_interpreter(fake_interpreter)
    assert common.input_details(interpreter, "name") == "tensor_0"
    assert common.input_size(interpreter) == (6, 4)
    view = common.input_tensor(interpreter)
    assert view.shape == (4, 6, 3)
    view[1, 2, 0] = 42
    assert interpreter.inputs[0][0, 1, 2, 0] == 42


def test_input_size_of_a_vector_input_is_a_value_error_naming_the_shape(fake_interpreter):
    with pytest.raises(ValueError, match=r"\(1, 10\)"):
        common.input_size(image_interpreter(fake_interpreter, shape=(1, 10)))


def test_set_input_copies_with_numpys_rules(fake_interpreter):
    interpreter = image_interpreter(fake_interpreter)
    data = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    common.set_input(interpreter, data)
    assert np.array_equal(interpreter.inputs[0][0], data)
    data[:] = 0
    assert interpreter.inputs[0][0, 3, 5, 2] == 71

    common.set_input(interpreter, np.array([1, 2, 3]))
    assert interpreter.inputs[0][0, 3, 5].tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="broadcast"):
        common.set_input(interpreter, np.zeros((4, 5, 3)))


def test_set_input_wraps_uint8_values_in_an_int8_input(fake_interpreter):
    interpreter = image_interpreter(fake_interpreter, np.int8)
    common.set_input(interpreter, np.full((4, 6, 3), 200, np.uint8))
    assert (interpreter.inputs[0] == -56).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_set_resized_input_keeps_the_aspect_ratio_and_pads_with_zero(fake_interpreter, dtype):
    interpreter = image_interpreter(fake_interpreter, dtype)
    asked = []

    def resize(size):
        asked.append(size)
        return np.full((size[1], size[0], 3), 5, dtype)

    # 12 x 16 into 6 x 4: the height binds, 4 / 16; 12 * 0.25 = 3 wide.
    resized, scale = common.set_resized_input(interpreter, (12, 16), resize)
    assert asked == [(3, 4)]
    assert scale == (0.25, 0.25)
    assert resized.shape == (4, 3, 3)
    assert (interpreter.inputs[0][0, :, :3] == 5).all()
    assert (interpreter.inputs[0][0, :, 3:] == 0).all()


def test_set_resized_input_reshapes_flat_pixels(fake_interpreter):
    interpreter = image_interpreter(fake_interpreter, shape=(1, 2, 2, 1))
    _, scale = common.set_resized_input(interpreter, (1, 1), lambda size: [1, 2, 3, 4])
    assert scale == (2.0, 2.0)
    assert interpreter.inputs[0][0, :, :, 0].tolist() == [[1, 2], [3, 4]]
