"""The networks are as large as those who made them say.

Built without weights, and read back with the schema alone. Counts of parameters are exact: of a
convolution and the batch normalisation after it a converter leaves one bias where training had a
factor and an offset, so ``trained`` numbers lose one for each such channel. The largest networks
are built with ``EXHAUSTIVE=1`` only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import zoo
from compiler import compile_graph, graph_from_bytes
from tests.zoo.conftest import EXHAUSTIVE

Read = Callable[[bytes], Any]
CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")


@dataclass(frozen=True)
class Published:
    """What is known of a network.

    ``macs`` are those published, in millions, and ``within`` the share by which ours may differ:
    half of the last digit published where only few are. ``trained`` are the parameters that
    training changes, of 1000 classes; ``features`` is how many numbers the classifier has of
    each class besides its bias, where ours has 1001 classes.
    """

    name: str
    operators: int
    macs: float
    within: float
    source: str
    trained: int | None = None
    features: int | None = None
    large: bool = False


TIMM = "timm's results and model cards (Wightman)"
TORCHVISION = "torchvision's table of weights: num_params, GFLOPS (counted as MACs)"
MOBILENET = "Howard et al. 2017, tables 6 and 7; trained: Keras' MobileNet"

PUBLISHED = [
    Published("mobilenet_v1_1.0_224", 31, 569, 0.002, MOBILENET, 4_231_976, 1024),
    Published("mobilenet_v1_1.0_192", 31, 418, 0.002, MOBILENET, 4_231_976, 1024),
    Published("mobilenet_v1_1.0_160", 31, 290, 0.003, MOBILENET, 4_231_976, 1024),
    Published("mobilenet_v1_1.0_128", 31, 186, 0.003, MOBILENET, 4_231_976, 1024),
    Published("mobilenet_v1_0.75_224", 31, 325, 0.002, MOBILENET),
    Published("mobilenet_v1_0.5_224", 31, 149, 0.004, MOBILENET),
    Published("mobilenet_v1_0.25_224", 31, 41, 0.012, MOBILENET),
    Published("mobilenet_v1_0.5_160", 31, 77, 0.007, "TensorFlow-Slim's table of MobileNet v1"),
    Published("mobilenet_v1_0.25_128", 31, 14, 0.036, "TensorFlow-Slim's table of MobileNet v1"),
    Published("inception_v1_224", 83, 1498, 0.001, TORCHVISION + ", googlenet", 6_624_904, 1024),
    # The first convolution is separable here, which saves 87 M of what the paper's has.
    Published("inception_v2_224", 96, 1940, 0.005, "Sandler et al. and others: 1.94 B"),
    Published("inception_v4_299", 195, 12_280, 0.003, TIMM, 42_679_816, 1536, large=True),
    # Keras' normalisation has no factor here, so that all that is trained stays.
    Published("inception_resnet_v2_299", 335, 13_180, 0.003, TIMM, large=True),
    Published(
        "efficientnet_edgetpu_S", 64, 1810, 0.015, TIMM + ", efficientnet_es", 5_438_392, 1280
    ),
    Published(
        "efficientnet_edgetpu_M", 84, 3040, 0.015, TIMM + ", efficientnet_em", 6_899_496, 1280
    ),
    Published(
        "efficientnet_edgetpu_L", 95, 8000, 0.015, TIMM + ", efficientnet_el", 10_589_712, 1536
    ),
    Published("squeezenet_1.0_224", 39, 819, 0.001, TORCHVISION),
    Published("squeezenet_1.1_224", 39, 349, 0.001, TORCHVISION),
    Published("vgg16_224", 23, 15_470, 0.001, TORCHVISION, large=True),
    Published("deeplabv3_mnv2_513", 72, 2750, 0.004, "Sandler et al. 2018, table 7 (OS 16)"),
    Published("mobilenet_edgetpu_1.0_224", 78, 990, 0.005, "TensorFlow-Slim's MobileNetEdgeTPU"),
    Published("ssdlite_mobiledet", 126, 1530, 0.003, "Xiong et al. 2021, table 3"),
]


def sizes(read: Any, kinds: tuple[str, ...], position: int) -> list[int]:
    """Last sizes of the constants that operators of ``kinds`` read at ``position``."""
    return [
        read.shape(operator.inputs[position])[-1]
        for operator in read.graph.operators
        if read.kind(operator) in kinds and read.graph.tensors[operator.inputs[position]].buffer
    ]


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda published: published.name)
def test_the_network_is_as_large_as_published(published: Published, reading: Read) -> None:
    if published.large and not EXHAUSTIVE:
        pytest.skip("large: EXHAUSTIVE=1 builds it")
    read = reading(zoo.build(published.name, weights="zeros"))
    assert len(read.graph.operators) == published.operators
    assert read.macs() / 1e6 == pytest.approx(published.macs, rel=published.within)
    if published.trained is not None and published.features is not None:
        last = "FULLY_CONNECTED" in read.kinds()
        normalised = sum(sizes(read, CONVOLUTIONS, 2)) - (0 if last else 1001)
        own = read.parameters() - (published.features + 1)  # one class more
        assert own + normalised == published.trained


@pytest.mark.parametrize(
    ("name", "parameters"), [("squeezenet_1.0_224", 1_248_424), ("squeezenet_1.1_224", 1_235_496)]
)
def test_squeezenet_has_nothing_to_fold(name: str, parameters: int, reading: Read) -> None:
    assert reading(zoo.build(name, weights="zeros")).parameters() == parameters  # torchvision


@pytest.mark.skipif(not EXHAUSTIVE, reason="large: EXHAUSTIVE=1 builds them")
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("vgg16_224", 138_357_544),  # Keras
        ("inception_resnet_v2_299", 55_813_192 + 1537),  # Keras, trained; one class more
    ],
)
def test_large_networks_have_the_published_parameters(
    name: str, parameters: int, reading: Read
) -> None:
    assert reading(zoo.build(name, weights="zeros")).parameters() == parameters


@pytest.mark.parametrize(
    ("layers", "trained"),
    [(50, 25_557_032), (101, 44_549_160), (152, 60_192_808)],  # torchvision
)
def test_resnet_v1_at_every_depth(layers: int, trained: int) -> None:
    if layers == 152 and not EXHAUSTIVE:
        pytest.skip("large: EXHAUSTIVE=1 builds it")
    blocks = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}[layers]
    model = zoo.describe(f"resnet{layers}_224")
    normalised = 64 + sum(
        n * 6 * c + 4 * c for c, n in zip((64, 128, 256, 512), blocks, strict=True)
    )
    assert model.parameters + normalised == trained
    assert model.operators == 2 + 1 + 1 + 4 * sum(blocks) + 4 + 3


@pytest.mark.parametrize(
    ("layers", "trained"),
    [(50, 25_568_360), (101, 44_577_896), (152, 60_236_904)],  # Keras' ResNet50V2, ...
)
def test_resnet_v2_keeps_the_normalisations_before_its_sums(
    layers: int, trained: int, reading: Read
) -> None:
    if layers > 50 and not EXHAUSTIVE:
        pytest.skip("large: EXHAUSTIVE=1 builds it")
    blocks = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}[layers]
    read = reading(zoo.build(f"resnet{layers}_v2_299", weights="zeros"))
    factors, offsets = sizes(read, ("MUL",), 1), sizes(read, ("ADD",), 1)
    assert len(factors) == len(offsets) == sum(blocks) + 1
    # Each block's first two convolutions are followed by one that is folded.
    folded = sum(n * 2 * c for c, n in zip((64, 128, 256, 512), blocks, strict=True))
    own = read.parameters() + sum(factors) + sum(offsets) - 2049  # one class more
    assert own + folded == trained
    assert read.kinds().count("ADD") == 2 * sum(blocks) + 1


def test_resnet_v2_halves_at_the_end_of_a_stage(reading: Read) -> None:
    """As TensorFlow-Slim and Keras do, and unlike version 1: 75, 38, 19, 10 positions a side."""
    read = reading(zoo.build("resnet50_v2_299", weights="zeros"))
    macs, side, channels = 150 * 150 * 49 * 3 * 64, 75, 64
    for c, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            after = -(-side // 2) if block == blocks - 1 and c < 512 else side
            macs += side**2 * channels * c + after**2 * (9 * c * c + 4 * c * c)
            macs += side**2 * channels * 4 * c if channels != 4 * c else 0
            side, channels = after, 4 * c
    assert read.macs() == macs + 2048 * 1001


@pytest.mark.parametrize(
    ("layers", "blocks", "trained", "macs"),
    [
        (121, (6, 12, 24, 16), 7_978_856, 2834),
        (169, (6, 12, 32, 32), 14_149_480, 3360),
        (201, (6, 12, 48, 32), 20_013_928, 4291),
    ],
)
def test_densenet_keeps_the_normalisations_after_its_concatenations(
    layers: int, blocks: tuple[int, ...], trained: int, macs: int, reading: Read
) -> None:
    """``trained``: Keras, and all of torchvision's, which also counts the MACs, in millions."""
    if layers > 121 and not EXHAUSTIVE:
        pytest.skip("large: EXHAUSTIVE=1 builds it")
    read = reading(zoo.build(f"densenet{layers}_224", weights="zeros"))
    factors, offsets = sizes(read, ("MUL",), 1), sizes(read, ("ADD",), 1)
    assert len(factors) == len(offsets) == sum(blocks) + 3 + 1
    folded = 64 + 128 * sum(blocks)
    unbiased = sum(sizes(read, CONVOLUTIONS, 2)) - folded  # TFLite gives them zeros
    own = read.parameters() + sum(factors) + sum(offsets)
    assert own + folded - unbiased == trained
    assert round(read.macs() / 1e6) == macs


DETECTORS = [
    ("efficientdet_lite0_320", 3.2, (40, 20, 10, 5, 3), 64, 3),
    ("efficientdet_lite1_384", 4.2, (48, 24, 12, 6, 3), 88, 3),
    ("efficientdet_lite2_448", 5.3, (56, 28, 14, 7, 4), 112, 3),
    ("efficientdet_lite3_512", 8.4, (64, 32, 16, 8, 4), 160, 4),
    ("efficientdet_lite3x_640", 9.3, (80, 40, 20, 10, 5), 200, 4),
    ("efficientdet_lite4_640", 15.1, (80, 40, 20, 10, 5), 224, 4),
]


@pytest.mark.parametrize(("name", "millions", "sides", "channels", "layers"), DETECTORS)
def test_efficientdet_is_the_published_one(
    name: str, millions: float, sides: tuple[int, ...], channels: int, layers: int, reading: Read
) -> None:
    """Parameters in the authors' table, which count what levels share only once."""
    if millions > 4 and not EXHAUSTIVE:
        pytest.skip("large: EXHAUSTIVE=1 builds it")
    read = reading(zoo.build(name, weights="zeros"))
    layer = channels * (channels + 1) + channels * (9 + 1)
    heads = sum(layers * layer + 10 * channels + (channels + 1) * 9 * n for n in (90, 4))
    once = read.parameters() - (len(sides) - 1) * heads
    assert once / 1e6 == pytest.approx(millions, rel=0.02)
    anchors = sum(side * side for side in sides) * 9
    assert [read.shape(i)[-2:] for i in read.graph.operators[-1].inputs] == [
        (anchors, 4),
        (anchors, 90),
        (anchors, 4),
    ]


def test_ssd_with_a_pyramid_weighs_what_corals_does(reading: Read) -> None:
    """Coral's page: 37.7 MB when compiled."""
    data = zoo.build("ssd_fpn_mobilenet_v1_640", weights="zeros")
    assert len(data) / 1e6 == pytest.approx(37.7, rel=0.02)
    anchors = sum(side * side for side in (80, 40, 20, 10, 5)) * 6
    assert reading(data).shape(reading(data).graph.operators[-1].inputs[2]) == (anchors, 4)


@pytest.mark.parametrize(
    ("name", "width"), [("ssd_mobilenet_v1_coco", 1.0), ("ssd_mobilenet_v1_0.75_coco", 0.75)]
)
def test_ssd_mobilenet_v1_by_hand(name: str, width: float, reading: Read) -> None:
    """Table 1 of the MobileNet paper at 300 x 300, then SSD's extra layers and predictors."""
    rows = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)]
    rows += [(512, 1)] * 5 + [(1024, 2), (1024, 1)]
    side, c = 150, int(32 * width)
    macs, parameters = side**2 * 27 * c, 28 * c
    maps = []
    for wide, stride in rows:
        out = int(wide * width)
        if stride == 2:
            maps.append((side, c))
            side = -(-side // 2)
        macs += side**2 * (9 * c + c * out)
        parameters += 10 * c + (c + 1) * out
        c = out
    maps = [maps[-1], (side, c)]
    for narrow, wide in ((256, 512), (128, 256), (128, 256), (64, 128)):
        macs += side**2 * c * narrow
        side = -(-side // 2)
        macs += side**2 * 9 * narrow * wide
        parameters += (c + 1) * narrow + (9 * narrow + 1) * wide
        c = wide
        maps.append((side, c))
    assert [side for side, _ in maps] == [19, 10, 5, 3, 2, 1]
    for boxes, (side, c) in zip((3, 6, 6, 6, 6, 6), maps, strict=True):
        macs += side**2 * c * boxes * 95
        parameters += (c + 1) * boxes * 95
    read = reading(zoo.build(name, weights="zeros"))
    assert (read.macs(), read.parameters()) == (macs, parameters)


def test_unet_is_the_tutorials(reading: Read) -> None:
    """TensorFlow's tutorial on segmentation prints 4,660,323 parameters that are trained (the way
    up) and 1,843,904 that are not (MobileNetV2, and the moving averages of the way up)."""
    read = reading(zoo.build("unet_mv2_128", weights="zeros"))
    up = [o for o in read.graph.operators if read.kind(o) == "TRANSPOSE_CONV"]
    shapes = [read.shape(o.inputs[1]) for o in up]
    weights = sum(a * b * c * d for a, b, c, d in shapes)
    normalised = sum(shape[0] for shape in shapes[:-1])
    assert weights + 2 * normalised + shapes[-1][0] == 4_660_323
    channels = sum(sizes(read, CONVOLUTIONS, 2))
    unnormalised = 320  # MobileNetV2's last bottleneck is read before its normalisation
    own = read.parameters() + 3 * channels - 4 * unnormalised
    assert own + 2 * normalised == 1_843_904
    assert read.shape(read.graph.outputs[0]) == (1, 128, 128, 3)


@pytest.mark.parametrize(
    ("name", "macs"),
    [
        ("synthetic_conv5x3x3_64x64_F32", 154_533_888),
        ("synthetic_conv5x3x3_64x64_F702", 72_744_542_208),
        ("synthetic_fc5_N100", 37_400),
        ("synthetic_fc5_N2620", 20_787_080),
    ],
)
def test_chains_are_those_that_were_measured(name: str, macs: int) -> None:
    """Multiply-accumulates as published with the measurements (EdgeTPU-QuantRL-Evaluation)."""
    assert zoo.describe(name).macs == macs


def test_as_much_of_deeplab_is_mapped_as_google_maps() -> None:
    """64 of 72 operators: what stays is what depends on the first resize."""
    name = "deeplabv3_mnv2_dm05_513"
    compiled = compile_graph(graph_from_bytes(zoo.build(name, weights="zeros"), name))
    on_cpu = [work.name for work in compiled.info.operators if work.target == "cpu"]
    assert compiled.report.mapped_operators == 64
    assert on_cpu[0] == "RESIZE_BILINEAR"
    assert len(on_cpu) == 8


@pytest.mark.skipif(not EXHAUSTIVE, reason="compiling all takes minutes: EXHAUSTIVE=1 does it")
@pytest.mark.parametrize("name", zoo.names())
def test_every_network_is_mapped_but_for_its_tail(name: str) -> None:
    compiled = compile_graph(graph_from_bytes(zoo.build(name, weights="zeros"), name))
    on_cpu = Counter(work.name for work in compiled.info.operators if work.target == "cpu")
    if name.startswith("deeplab"):
        assert on_cpu.total() == 8
    elif name in zoo.groups()["detectors"]:
        assert on_cpu == {"DEQUANTIZE": 2, "TFLite_Detection_PostProcess": 1}
    elif name.startswith(("posenet", "bodypix")):
        assert on_cpu == {"PosenetDecoderOp": 1}
    else:
        assert not on_cpu
