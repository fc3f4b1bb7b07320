"""The networks are the published ones: operators, multiplications, parameters, branches.

Every expected number comes from a paper, from Keras, torchvision or Coral's measurements, or
from a layer table written out here by hand; none from the builder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flatbuffers import flexbuffers

import zoo
from tests.zoo.conftest import WEIGHED

Build = Callable[[str], bytes]
Read = Callable[[bytes], Any]

# -- MobileNetV2 ------------------------------------------------------------------------------

MOBILENET_ROWS = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                  (6, 160, 3, 2), (6, 320, 1, 1)]  # fmt: skip
"""t, c, n, s of table 2 of the MobileNetV2 paper."""


def mobilenet_features(side: int) -> tuple[int, int, int]:
    """(MACs, weights + biases, side of the last map) of table 2 up to the 1280 channels."""
    side = -(-side // 2)
    macs, parameters = side * side * 27 * 32, 27 * 32 + 32
    channels = 32
    for t, c, n, s in MOBILENET_ROWS:
        for repeat in range(n):
            wide = t * channels
            if t > 1:
                macs += side * side * channels * wide
                parameters += channels * wide + wide
            if repeat == 0 and s == 2:
                side = -(-side // 2)
            macs += side * side * (9 * wide + wide * c)
            parameters += 9 * wide + wide + wide * c + c
            channels = c
    macs += side * side * 320 * 1280
    return macs, parameters + 320 * 1280 + 1280, side


def test_mobilenet_v2_is_the_published_one(model_bytes: Build, reading: Read) -> None:
    read = reading(model_bytes("mobilenet_v2_1.0_224"))
    # 17 bottlenecks, all but the first with an expansion; stem and last 1x1; 10 residuals
    # (n - 1 for each row of table 2).
    assert Counter(read.kinds()) == {
        "CONV_2D": 1 + 16 + 17 + 1,
        "DEPTHWISE_CONV_2D": 17,
        "ADD": sum(n - 1 for _, _, n, _ in MOBILENET_ROWS),
        "MEAN": 1,
        "FULLY_CONNECTED": 1,
        "SOFTMAX": 1,
    }
    # Keras: 3,538,984 parameters, 3,504,872 of them trained (torchvision's number too). The
    # rest are the moving mean and variance of each normalised channel. Folding leaves one bias
    # where the trained ones have a factor and an offset.
    keras_total, keras_trained = 3_538_984, 3_504_872
    normalised_channels = (keras_total - keras_trained) // 2
    folded = keras_trained - normalised_channels
    assert read.parameters() == folded == 3_487_816
    macs, parameters, _ = mobilenet_features(224)
    assert parameters + 1280 * 1000 + 1000 == folded
    assert read.macs() == macs + 1280 * 1000
    assert round(read.macs() / 1e6) == 301  # the paper's "300M"


# -- ResNet-50 --------------------------------------------------------------------------------


def test_resnet50_is_the_published_one(model_bytes: Build, reading: Read) -> None:
    read = reading(model_bytes("resnet50_224"))
    blocks = 3 + 4 + 6 + 3
    assert Counter(read.kinds()) == {
        "PAD": 2,
        "CONV_2D": 1 + 3 * blocks + 4,
        "MAX_POOL_2D": 1,
        "ADD": blocks,
        "MEAN": 1,
        "FULLY_CONNECTED": 1,
        "SOFTMAX": 1,
    }
    # torchvision: 25,557,032, with factor and offset per normalised channel and no conv bias.
    normalised_channels = 64 + sum(
        n * (c + c + 4 * c) + 4 * c for c, n in ((64, 3), (128, 4), (256, 6), (512, 3))
    )
    folded = 25_557_032 - normalised_channels
    assert read.parameters() == folded == 25_530_472
    # Keras: 25,636,712, with four numbers per normalised channel and a bias beside them.
    assert read.parameters() == 25_636_712 - 4 * normalised_channels
    # torchvision's v1.5 does 4.089 G: 4,089,184,256. Version 1 has the stride of a stage in its
    # first 1x1 convolution, which then works on a quarter of the positions.
    saved = 3 * (28 * 28 * 256 * 128 + 14 * 14 * 512 * 256 + 7 * 7 * 1024 * 512)
    assert read.macs() == 4_089_184_256 - saved
    assert round(read.macs() / 1e7) == 386  # "3.86 GMACs"; the paper says 3.8


def test_resnet50_strides_where_version_1_does(model_bytes: Build, reading: Read) -> None:
    read = reading(model_bytes("resnet50_224"))
    strided = {
        read.graph.tensors[operator.outputs[0]].name.decode()
        for operator in read.graph.operators
        if read.kind(operator) == "CONV_2D" and operator.builtinOptions.strideH == 2
    }
    assert strided == {"conv1"} | {
        f"conv{stage}_block1/{conv}" for stage in (3, 4, 5) for conv in ("conv1", "shortcut")
    }


# -- Inception v3 -----------------------------------------------------------------------------

ConvRow = tuple[int, int, int, int, int]
"""Positions of the output, kernel height, kernel width, channels in, channels out."""


def inception_table() -> list[ConvRow]:
    """All 94 convolutions of Keras' Inception v3."""
    table: list[ConvRow] = [
        (149 * 149, 3, 3, 3, 32),
        (147 * 147, 3, 3, 32, 32),
        (147 * 147, 3, 3, 32, 64),
        (73 * 73, 1, 1, 64, 80),
        (71 * 71, 3, 3, 80, 192),
    ]
    p = 35 * 35
    for c, pool in ((192, 32), (256, 64), (288, 64)):  # mixed0 .. mixed2
        table += [(p, 1, 1, c, 64), (p, 1, 1, c, 48), (p, 5, 5, 48, 64), (p, 1, 1, c, 64),
                  (p, 3, 3, 64, 96), (p, 3, 3, 96, 96), (p, 1, 1, c, pool)]  # fmt: skip
    table += [(17 * 17, 3, 3, 288, 384), (p, 1, 1, 288, 64), (p, 3, 3, 64, 96),
              (17 * 17, 3, 3, 96, 96)]  # mixed3  # fmt: skip
    p = 17 * 17
    for c in (128, 160, 160, 192):  # mixed4 .. mixed7
        table += [(p, 1, 1, 768, 192), (p, 1, 1, 768, c), (p, 1, 7, c, c), (p, 7, 1, c, 192),
                  (p, 1, 1, 768, c), (p, 7, 1, c, c), (p, 1, 7, c, c), (p, 7, 1, c, c),
                  (p, 1, 7, c, 192), (p, 1, 1, 768, 192)]  # fmt: skip
    table += [(p, 1, 1, 768, 192), (64, 3, 3, 192, 320), (p, 1, 1, 768, 192),
              (p, 1, 7, 192, 192), (p, 7, 1, 192, 192), (64, 3, 3, 192, 192)]  # mixed8  # fmt: skip
    p = 8 * 8
    for c in (1280, 2048):  # mixed9, mixed10
        table += [(p, 1, 1, c, 320), (p, 1, 1, c, 384), (p, 1, 3, 384, 384), (p, 3, 1, 384, 384),
                  (p, 1, 1, c, 448), (p, 3, 3, 448, 384), (p, 1, 3, 384, 384),
                  (p, 3, 1, 384, 384), (p, 1, 1, c, 192)]  # fmt: skip
    return table


def test_inception_v3_is_the_published_one(model_bytes: Build, reading: Read) -> None:
    read = reading(model_bytes("inception_v3_299"))
    table = inception_table()
    assert len(table) == 94
    assert Counter(read.kinds()) == {
        "CONV_2D": 94,
        "MAX_POOL_2D": 2 + 2,  # stem, mixed3 and mixed8
        "AVERAGE_POOL_2D": 9,  # every other mixed
        "CONCATENATION": 11 + 4,  # mixed0 .. mixed10, and two forks in each of the last two
        "MEAN": 1,
        "FULLY_CONNECTED": 1,
        "SOFTMAX": 1,
    }
    # Keras: 23,851,784 in all, 23,817,352 trained. Its normalisation has an offset but no
    # factor, so what folding leaves is exactly what is trained.
    folded = 23_817_352
    assert (23_851_784 - folded) // 2 == sum(row[4] for row in table)
    assert read.parameters() == folded
    # torchvision publishes 5.713 GFLOPS (counted as multiply-accumulates).
    macs = sum(p * h * w * c * out for p, h, w, c, out in table) + 2048 * 1000
    assert read.macs() == macs
    assert round(macs / 1e6) == 5713


def test_every_inception_block_has_the_published_width(model_bytes: Build, reading: Read) -> None:
    read = reading(model_bytes("inception_v3_299"))
    shapes = {t.name.decode(): tuple(t.shape) for t in read.graph.tensors}
    sides = [35] * 3 + [17] * 5 + [8] * 3
    widths = [256, 288, 288, 768, 768, 768, 768, 768, 1280, 2048, 2048]
    for block, (side, width) in enumerate(zip(sides, widths, strict=True)):
        assert shapes[f"mixed{block}"] == (1, side, side, width)


# -- SSD MobileNetV2 --------------------------------------------------------------------------

SSD_MAPS = [(19, 576, 3), (10, 1280, 6), (5, 512, 6), (3, 256, 6), (2, 256, 6), (1, 128, 6)]
"""Side, channels and boxes per position of the six feature maps."""
SSD_EXTRA = [(10, 1280, 256, 5, 512), (5, 512, 128, 3, 256), (3, 256, 128, 2, 256),
             (2, 256, 64, 1, 128)]  # fmt: skip
"""Side and channels in, channels of the 1x1, side and channels out of the 3x3 of stride 2."""


def test_ssd_is_the_published_one(model_bytes: Build, reading: Read) -> None:
    read = reading(model_bytes("ssd_mobilenet_v2_300"))
    assert Counter(read.kinds()) == {
        "CONV_2D": 35 + 2 * len(SSD_EXTRA) + 2 * len(SSD_MAPS),
        "DEPTHWISE_CONV_2D": 17,
        "ADD": 10,
        "RESHAPE": 2 * len(SSD_MAPS),
        "CONCATENATION": 2,
        "LOGISTIC": 1,
        "DEQUANTIZE": 2,
        "CUSTOM": 1,
    }
    macs, parameters, side = mobilenet_features(300)
    assert side == 10
    for side_in, c, narrow, side_out, wide in SSD_EXTRA:
        macs += side_in**2 * c * narrow + side_out**2 * 9 * narrow * wide
        parameters += c * narrow + narrow + 9 * narrow * wide + wide
    for side, c, boxes in SSD_MAPS:
        macs += side**2 * c * boxes * (4 + 91)
        parameters += (c + 1) * boxes * (4 + 91)
    assert read.macs() == macs
    assert read.parameters() == parameters


def test_ssd_weighs_what_coral_measured(model_bytes: Build, reading: Read) -> None:
    """Google's compiled SSD MobileNetV2 keeps 2914752 + 3608512 bytes of parameters on its two
    TPUs: one byte per weight and four per bias, plus padding to the chip's tiles."""
    read = reading(model_bytes("ssd_mobilenet_v2_300"))
    biases = sum(
        read.shape(operator.inputs[2])[0]
        for operator in read.graph.operators
        if read.kind(operator) in ("CONV_2D", "DEPTHWISE_CONV_2D")
    )
    own = read.parameters() - biases + 4 * biases
    assert own <= 2_914_752 + 3_608_512 <= 1.1 * own


def test_ssd_tail_has_the_interface_of_corals_detectors(model_bytes: Build, reading: Read) -> None:
    read = reading(model_bytes("ssd_mobilenet_v2_300"))
    assert read.kinds()[-3:] == ["DEQUANTIZE", "DEQUANTIZE", "CUSTOM"]
    custom = read.graph.operators[-1]
    assert [read.shape(i) for i in custom.inputs] == [(1, 1917, 4), (1, 1917, 91), (1917, 4)]
    assert list(custom.outputs) == list(read.graph.outputs)
    assert [read.shape(i) for i in custom.outputs] == [(1, 20, 4), (1, 20), (1, 20), (1,)]
    assert sum(side**2 * boxes for side, _, boxes in SSD_MAPS) == 1917


def test_ssd_predictors_skip_over_the_graph(model_bytes: Build, reading: Read) -> None:
    """The first map's predictions wait for the concatenation at the end, as long as a cutter
    could wish for."""
    read = reading(model_bytes("ssd_mobilenet_v2_300"))
    made = {int(o.outputs[0]): n for n, o in enumerate(read.graph.operators)}
    joins = [n for n, kind in enumerate(read.kinds()) if kind == "CONCATENATION"]
    for join in joins:
        sources = read.graph.operators[join].inputs
        assert len(sources) == 6
        assert [read.shape(i)[1] for i in sources] == [s * s * boxes for s, _, boxes in SSD_MAPS]
        assert join - made[int(sources[0])] > 25


def test_anchors_known_from_the_object_detection_api(model_bytes: Build, reading: Read) -> None:
    read = reading(model_bytes("ssd_mobilenet_v2_300"))
    tensor = read.graph.tensors[read.graph.operators[-1].inputs[2]]
    boxes = np.asarray(read.model.buffers[tensor.buffer].data).view(np.float32).reshape(-1, 4)
    root = np.sqrt(2)
    half = 0.5 / 19
    assert boxes[:3] == pytest.approx(
        np.array(
            [
                [half, half, 0.1, 0.1],
                [half, half, 0.2 / root, 0.2 * root],
                [half, half, 0.2 * root, 0.2 / root],
            ]
        )
    )
    assert boxes[3, :2] == pytest.approx([half, 3 * half])  # columns first
    assert boxes[-1] == pytest.approx([0.5, 0.5, np.sqrt(0.95), np.sqrt(0.95)])


def test_anchors_and_options_are_those_of_corals_detector(
    model_bytes: Build, reading: Read, coral_ssd: Any
) -> None:
    found = []
    for read in (reading(model_bytes("ssd_mobilenet_v2_300")), coral_ssd):
        operator = read.graph.operators[-1]
        tensor = read.graph.tensors[operator.inputs[2]]
        boxes = np.asarray(read.model.buffers[tensor.buffer].data).view(np.float32)
        options = flexbuffers.Loads(bytes(bytearray(operator.customOptions)))
        found.append((boxes, options))
    (own, own_options), (corals, corals_options) = found
    assert own == pytest.approx(corals, abs=1e-6)
    # Coral's 0.3 leaves rows that the kernel never writes; see zoo.networks.ssd.SCORE_THRESHOLD.
    assert corals_options.pop("nms_score_threshold") == pytest.approx(0.3)
    assert own_options.pop("nms_score_threshold") == pytest.approx(1e-8)
    assert own_options == corals_options


# -- all --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WEIGHED)
def test_files_are_full_int8_with_nothing_the_edge_tpu_refuses(
    name: str, model_bytes: Build, reading: Read
) -> None:
    read = reading(model_bytes(name))
    for operator in read.graph.operators:
        kind = read.kind(operator)
        on_cpu = kind in ("DEQUANTIZE", "CUSTOM")
        for index in [*operator.inputs, *operator.outputs]:
            tensor = read.graph.tensors[index]
            assert len(tensor.shape) <= 4
            if len(tensor.shape) > 1 and tensor.buffer == 0:
                assert tensor.shape[0] == 1
            if tensor.buffer == 0 and not on_cpu:
                assert tensor.type == 9  # int8
        if kind in ("MAX_POOL_2D", "AVERAGE_POOL_2D"):
            assert operator.builtinOptions.fusedActivationFunction == 0
        if kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            weights = read.graph.tensors[operator.inputs[1]]
            axis = 0 if kind == "CONV_2D" else 3
            assert weights.quantization.quantizedDimension == axis
            assert len(weights.quantization.scale) == weights.shape[axis]
        if kind == "FULLY_CONNECTED":
            assert len(read.graph.tensors[operator.inputs[1]].quantization.scale) == 1
    names = [tensor.name for tensor in read.graph.tensors]
    assert len(set(names)) == len(names)
    assert all(names)


@pytest.mark.parametrize("name", WEIGHED)
def test_the_listing_tells_what_is_in_the_file(
    name: str, model_bytes: Build, reading: Read
) -> None:
    data = model_bytes(name)
    read, model = reading(data), zoo.describe(name)
    assert model.name == name
    assert model.input_shape == read.shape(read.graph.inputs[0])
    assert model.operators == len(read.graph.operators)
    assert model.macs == read.macs()
    assert model.parameters == read.parameters()
    assert model.size_bytes == len(data)


def test_an_unknown_name_is_refused_with_the_names_that_come_closest() -> None:
    with pytest.raises(zoo.UnknownModelError, match=r"no model 'vgg16'.*vgg16_224.*lists"):
        zoo.build("vgg16")
    with pytest.raises(zoo.UnknownModelError, match=r"no model '~'.*mobilenet_v2_1.0_224.*lists"):
        zoo.build("~")


def test_chains_come_in_any_size_within_reason() -> None:
    assert zoo.describe("dense7x5_x3layers").macs == 7 * 5 + 2 * 5 * 5
    assert zoo.describe("conv3x1x8_6x4_x2layers").macs == 6 * 4 * 3 * (3 * 8 + 8 * 8)
    for name in ("dense7x5_x0layers", "dense7x5_x10000layers", "conv3x1x8_6x4_x2layersx"):
        with pytest.raises(zoo.UnknownModelError):
            zoo.describe(name)


def test_names_are_in_one_group_each() -> None:
    grouped = [name for members in zoo.groups().values() for name in members]
    assert grouped == list(zoo.names())
    assert len(set(grouped)) == len(grouped)
