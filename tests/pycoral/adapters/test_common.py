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


PIXEL_RANGES = [
    ("as they are", 1.0, -128, lambda pixel: pixel),
    ("from 0 to 1", 1 / 255, -128, lambda pixel: pixel / 255),
    ("from 0 to 1, a power of two", 1 / 256, -128, lambda pixel: pixel / 255),
    ("centred by a converter", 1 / 127.5, -1, lambda pixel: pixel / 127.5 - 1),
    ("centred by a converter, rounded up", 1 / 127.5, 0, lambda pixel: pixel / 127.5 - 1),
    ("centred about 128", 1 / 128, 0, lambda pixel: (pixel - 128) / 128),
]


@pytest.mark.parametrize(("kind", "scale", "zero_point", "real"), PIXEL_RANGES)
def test_pictures_for_int8_inputs_stand_for_what_the_model_takes_them_for(
    fake_interpreter, kind, scale, zero_point, real
):
    """Every pixel, against the real value it stands for: off by a step of the model at most."""
    interpreter = image_interpreter(fake_interpreter, np.int8, (1, 16, 16, 1))
    interpreter.quantization = (scale, zero_point)
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    common.set_input(interpreter, pixels)
    stored = interpreter.inputs[0][0].astype(int)
    assert stored.ravel().tolist() == list(range(-128, 128))
    meant = real(pixels.astype(float))
    assert np.abs(scale * (stored - zero_point) - meant).max() <= 1.01 * scale
    # The same picture as real values: quantised, as the reference says.
    common.set_input(interpreter, meant)
    exact = np.clip(np.round(meant / scale) + zero_point, -128, 127)
    assert np.array_equal(interpreter.inputs[0][0], exact)


@pytest.mark.parametrize(
    ("scale", "zero_point"),
    [(0.0186, -14), (0.0, 0), (1 / 64, 0), (1 / 128, 100), (1 / 512, -128), (2.0, -128)],
)
def test_pictures_for_int8_inputs_that_do_not_say_what_pixels_are_are_refused(
    fake_interpreter, scale, zero_point
):
    interpreter = image_interpreter(fake_interpreter, np.int8)
    interpreter.quantization = (scale, zero_point)
    with pytest.raises(ValueError, match=rf"'tensor_0' is int8 .* zero point {zero_point}, .*std"):
        common.set_input(interpreter, np.full((4, 6, 3), 200, np.uint8))
    assert (interpreter.inputs[0] == 7).all()


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_real_values_are_quantised_or_refused(fake_interpreter, dtype):
    interpreter = image_interpreter(fake_interpreter, dtype)
    zero_point = 0 if dtype == np.int8 else 128
    interpreter.quantization = (1 / 128, zero_point)
    for value, stored in ((-1.0, -128), (0.0, 0), (0.3, 38), (0.992, 127), (0.995, 127)):
        common.set_input(interpreter, np.full((4, 6, 3), value, np.float32))
        assert (interpreter.inputs[0] == stored + zero_point).all()
    for value in (-1.1, 300.0, np.nan):
        with pytest.raises(ValueError, match=r"takes real values from -1 to 0\.9922"):
            common.set_input(interpreter, np.full((4, 6, 3), value))
    pixels = np.full((4, 6, 3), 217.0)
    if dtype == np.uint8:  # as pycoral: numbers that are quantised already
        common.set_input(interpreter, pixels)
        assert (interpreter.inputs[0] == 217).all()
    else:
        with pytest.raises(ValueError, match="217 to 217 were given; normalise"):
            common.set_input(interpreter, pixels)


def test_whole_numbers_are_stored_as_they_are_if_they_fit(fake_interpreter):
    for dtype, fits, too_large in ((np.int8, [-128, 127], 128), (np.uint8, [0, 255], -1)):
        interpreter = image_interpreter(fake_interpreter, dtype)
        interpreter.quantization = (1 / 128, 0)
        for value in fits:
            common.set_input(interpreter, np.full((4, 6, 3), value))
            assert (interpreter.inputs[0] == value).all()
        with pytest.raises(ValueError, match=f"{too_large} to {too_large} were given; give pixel"):
            common.set_input(interpreter, np.full((4, 6, 3), too_large))
    signed = np.full((4, 6, 3), -3, np.int8)
    with pytest.raises(ValueError, match="stores uint8 from 0 to 255, and -3 to -3"):
        common.set_input(interpreter, signed)


def test_pixels_for_a_float_input_stay_what_they_are(fake_interpreter):
    interpreter = image_interpreter(fake_interpreter, np.float32)
    common.set_input(interpreter, np.full((4, 6, 3), 217, np.uint8))
    assert (interpreter.inputs[0] == 217.0).all()


def test_a_resized_picture_for_an_int8_input_has_a_black_rest(fake_interpreter):
    interpreter = image_interpreter(fake_interpreter, np.int8)
    interpreter.quantization = (1 / 128, 0)
    common.set_resized_input(
        interpreter, (12, 16), lambda size: np.full((size[1], size[0], 3), 217, np.uint8)
    )
    assert (interpreter.inputs[0][0, :, :3] == 89).all()
    assert (interpreter.inputs[0][0, :, 3:] == -128).all()


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
