"""The operator table: which operators map, under which limits, and what the log says if not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from compiler import Status, graph_from_bytes
from compiler.mapping.support import SUPPORTED, status_of
from tests.tiny import FLOAT32, Tiny

INT32 = schema.TensorType.INT32


def options_of(kind: str, **fields: Any) -> Any:
    """An options object such as ``Conv2DOptionsT`` with some fields set."""
    options = getattr(schema, f"{kind}OptionsT")()
    for name, value in fields.items():
        assert hasattr(options, name), name
        setattr(options, name, value)
    return options


def status(
    kind: str,
    inputs: Sequence[Sequence[int] | np.ndarray[Any, Any]],
    output: Sequence[int],
    options: Any = None,
    *,
    runtime: int = 14,
    spoil: Callable[[Tiny], None] | None = None,
) -> Status:
    """Status of one operator; an array among ``inputs`` is a constant, a shape an activation."""
    tiny = Tiny()
    places = []
    for n, found in enumerate(inputs):
        if isinstance(found, np.ndarray):
            type_ = INT32 if found.dtype == np.int32 else schema.TensorType.INT8
            scale = None if found.dtype == np.int32 else 0.5
            places.append(tiny.tensor(f"c{n}", found.shape, data=found, type_=type_, scale=scale))
        else:
            places.append(tiny.tensor(f"x{n}", found))
    given = [
        place
        for place, found in zip(places, inputs, strict=True)
        if not isinstance(found, np.ndarray)
    ]
    result = tiny.tensor("y", output)
    tiny.operator(kind, places, [result], options)
    tiny.ends(given, [result])
    if spoil is not None:
        spoil(tiny)
    return status_of(graph_from_bytes(tiny.build(), "m"), 0, runtime)


def ints(*values: int) -> np.ndarray[Any, Any]:
    return np.array(values, np.int32)


IMAGE = (1, 8, 8, 4)
FILTER = np.zeros((4, 3, 3, 4), np.int8)
BIAS = np.zeros(4, np.int32)
RELU = schema.ActivationFunctionType.RELU
MAPPED, LIMIT, NO = Status.MAPPED, Status.LIMITATION, Status.NOT_SUPPORTED

CASES: list[tuple[str, Status, tuple[Any, ...], int]] = [
    # convolution
    ("conv", MAPPED, ("CONV_2D", [IMAGE, FILTER, BIAS], IMAGE, options_of("Conv2D")), 14),
    (
        "conv dilated alike",
        MAPPED,
        (
            "CONV_2D",
            [IMAGE, FILTER, BIAS],
            IMAGE,
            options_of("Conv2D", dilationWFactor=2, dilationHFactor=2),
        ),
        14,
    ),
    (
        "conv dilated unevenly",
        LIMIT,
        ("CONV_2D", [IMAGE, FILTER, BIAS], IMAGE, options_of("Conv2D", dilationWFactor=2)),
        14,
    ),
    (
        "conv with computed weights",
        LIMIT,
        ("CONV_2D", [IMAGE, (4, 3, 3), BIAS], IMAGE, options_of("Conv2D")),
        14,
    ),
    *[
        (
            f"dilated depthwise, runtime {runtime}",
            expected,
            (
                "DEPTHWISE_CONV_2D",
                [IMAGE, FILTER[:1], BIAS],
                IMAGE,
                options_of("DepthwiseConv2D", dilationWFactor=2, dilationHFactor=2),
            ),
            runtime,
        )
        for runtime, expected in ((12, LIMIT), (13, MAPPED))
    ],
    # pools and concatenation
    ("pool", MAPPED, ("AVERAGE_POOL_2D", [IMAGE], IMAGE, options_of("Pool2D")), 14),
    (
        "pool with activation",
        LIMIT,
        ("MAX_POOL_2D", [IMAGE], IMAGE, options_of("Pool2D", fusedActivationFunction=RELU)),
        14,
    ),
    (
        "concatenation",
        MAPPED,
        ("CONCATENATION", [IMAGE, IMAGE, IMAGE], (1, 8, 8, 12), options_of("Concatenation")),
        14,
    ),
    (
        "concatenation with zeros",
        MAPPED,
        (
            "CONCATENATION",
            [IMAGE, np.zeros(IMAGE, np.int8)],
            (1, 8, 8, 8),
            options_of("Concatenation"),
        ),
        14,
    ),
    (
        "concatenation with other constant",
        LIMIT,
        (
            "CONCATENATION",
            [IMAGE, np.ones(IMAGE, np.int8)],
            (1, 8, 8, 8),
            options_of("Concatenation"),
        ),
        14,
    ),
    (
        "concatenation of three with zeros",
        LIMIT,
        (
            "CONCATENATION",
            [IMAGE, IMAGE, np.zeros(IMAGE, np.int8)],
            (1, 8, 8, 12),
            options_of("Concatenation"),
        ),
        14,
    ),
    # fully connected, softmax
    (
        "fully connected",
        MAPPED,
        (
            "FULLY_CONNECTED",
            [(1, 4), np.zeros((3, 4), np.int8)],
            (1, 3),
            options_of("FullyConnected"),
        ),
        14,
    ),
    (
        "fully connected on a batch",
        LIMIT,
        (
            "FULLY_CONNECTED",
            [(5, 4), np.zeros((3, 4), np.int8)],
            (5, 3),
            options_of("FullyConnected"),
        ),
        14,
    ),
    (
        "fully connected, shuffled weights",
        LIMIT,
        (
            "FULLY_CONNECTED",
            [(1, 4), np.zeros((3, 4), np.int8)],
            (1, 3),
            options_of("FullyConnected", weightsFormat=1),
        ),
        14,
    ),
    ("softmax", MAPPED, ("SOFTMAX", [(1, 16000)], (1, 16000), options_of("Softmax")), 14),
    ("long softmax", LIMIT, ("SOFTMAX", [(1, 16001)], (1, 16001), options_of("Softmax")), 14),
    ("softmax over rows", LIMIT, ("SOFTMAX", [(1, 3, 5)], (1, 3, 5), options_of("Softmax")), 14),
    # reductions
    ("mean y x", MAPPED, ("MEAN", [IMAGE, ints(1, 2)], (1, 4), options_of("Reducer")), 12),
    ("mean y x from behind", MAPPED, ("MEAN", [IMAGE, ints(-3, -2)], (1, 4), None), 12),
    ("mean z old", LIMIT, ("MEAN", [IMAGE, ints(3)], (1, 8, 8), None), 12),
    ("mean z", MAPPED, ("MEAN", [IMAGE, ints(3)], (1, 8, 8), None), 13),
    ("mean odd z", LIMIT, ("MEAN", [(1, 8, 8, 5), ints(-1)], (1, 8, 8), None), 13),
    ("mean batch", LIMIT, ("MEAN", [IMAGE, ints(0)], (8, 8, 4), None), 14),
    ("mean unknown", LIMIT, ("MEAN", [IMAGE, (2,)], (1, 4), None), 14),
    ("sum z", MAPPED, ("SUM", [IMAGE, ints(3)], (1, 8, 8), None), 13),
    ("sum y", LIMIT, ("SUM", [IMAGE, ints(1)], (1, 8, 4), None), 13),
    ("sum old", NO, ("SUM", [IMAGE, ints(3)], (1, 8, 8), None), 12),
    # moving data
    (
        "pad y x",
        MAPPED,
        ("PAD", [IMAGE, np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32)], (1, 10, 10, 4)),
        12,
    ),
    (
        "pad z old",
        LIMIT,
        ("PAD", [IMAGE, np.array([[0, 0], [0, 0], [0, 0], [0, 4]], np.int32)], (1, 8, 8, 8)),
        12,
    ),
    (
        "pad z",
        MAPPED,
        ("PAD", [IMAGE, np.array([[0, 0], [0, 0], [0, 0], [0, 4]], np.int32)], (1, 8, 8, 8)),
        13,
    ),
    ("pack", MAPPED, ("PACK", [(8, 4), (8, 4)], (8, 4, 2), options_of("Pack", axis=2)), 13),
    (
        "pack in batch",
        LIMIT,
        ("PACK", [(1, 8, 4)], (1, 1, 8, 4), options_of("Pack", axis=0)),
        13,
    ),
    ("reshape", MAPPED, ("RESHAPE", [IMAGE, ints(1, 256)], (1, 256), options_of("Reshape")), 14),
    ("reshape by options", MAPPED, ("RESHAPE", [IMAGE], (1, 256), options_of("Reshape")), 14),
    ("reshape unknown", LIMIT, ("RESHAPE", [IMAGE, (2,)], (1, 256), options_of("Reshape")), 14),
    (
        "resize",
        MAPPED,
        (
            "RESIZE_BILINEAR",
            [IMAGE, ints(16, 16)],
            (1, 16, 16, 4),
            options_of("ResizeBilinear"),
        ),
        14,
    ),
    ("slice", MAPPED, ("SLICE", [IMAGE, ints(0, 0, 0, 0), ints(1, 4, 4, 4)], (1, 4, 4, 4)), 14),
    ("split", MAPPED, ("SPLIT", [ints(3), IMAGE], (1, 8, 8, 4), options_of("Split")), 14),
    ("split batch", LIMIT, ("SPLIT", [ints(0), IMAGE], IMAGE, options_of("Split")), 14),
    ("squeeze leading", MAPPED, ("SQUEEZE", [(1, 1, 5, 10)], (5, 10), options_of("Squeeze")), 12),
    ("squeeze inner old", LIMIT, ("SQUEEZE", [(1, 5, 1, 10)], (5, 10), None), 12),
    ("squeeze inner", MAPPED, ("SQUEEZE", [(1, 5, 1, 10)], (5, 10), None), 13),
    *[
        (
            f"strided slice {fields} by {stride}",
            expected,
            (
                "STRIDED_SLICE",
                [IMAGE, ints(0, 0, 0, 0), ints(1, 4, 4, 4), ints(1, stride, 1, 1)],
                (1, 4, 4, 4),
                options_of("StridedSlice", **fields),
            ),
            14,
        )
        for fields, stride, expected in (
            ({}, 1, MAPPED),
            ({}, 2, LIMIT),
            ({"ellipsisMask": 1}, 1, LIMIT),
            ({"newAxisMask": 2}, 1, LIMIT),
        )
    ],
    # runtime versions and strangers
    ("quantize", MAPPED, ("QUANTIZE", [IMAGE], IMAGE), 13),
    ("quantize old", NO, ("QUANTIZE", [IMAGE], IMAGE), 12),
    ("expand old", NO, ("EXPAND_DIMS", [(8, 4), ints(0)], (1, 8, 4)), 12),
    ("hard swish", NO, ("HARD_SWISH", [IMAGE], IMAGE), 14),
    ("add", MAPPED, ("ADD", [IMAGE, np.zeros((1,), np.int8)], IMAGE, options_of("Add")), 10),
    # rank
    ("rank 5", Status.RANK, ("RELU", [(2, 1, 8, 8, 4)], (2, 1, 8, 8, 4)), 14),
    ("batch", Status.RANK, ("RELU", [(2, 8, 8, 4)], (2, 8, 8, 4)), 14),
    ("rank 5 of ones", MAPPED, ("RELU", [(1, 1, 8, 8, 4)], (1, 1, 8, 8, 4)), 14),
    ("rank 3", MAPPED, ("RELU", [(7, 8, 4)], (7, 8, 4)), 14),
]


@pytest.mark.parametrize(("name", "expected", "case", "runtime"), CASES, ids=[c[0] for c in CASES])
def test_limits(name: str, expected: Status, case: tuple[Any, ...], runtime: int) -> None:
    assert status(*case, runtime=runtime) is expected


def make_float(tiny: Tiny) -> None:
    for tensor in tiny.graph.tensors:
        tensor.type = FLOAT32
        tensor.quantization = None


def make_16_bit(tiny: Tiny) -> None:
    tiny.graph.tensors[0].type = schema.TensorType.INT16


def drop_scale(tiny: Tiny) -> None:
    tiny.graph.tensors[1].quantization = None


@pytest.mark.parametrize("spoil", [make_float, make_16_bit, drop_scale])
def test_only_quantised_8_bit_maps(spoil: Callable[[Tiny], None]) -> None:
    assert status("RELU", [IMAGE], IMAGE, spoil=spoil) is Status.DATA_TYPE
    assert status("RELU", [IMAGE], IMAGE) is Status.MAPPED


def test_custom_operator_is_never_taken_for_a_builtin_of_the_same_name() -> None:
    tiny = Tiny()
    x, y = tiny.tensor("x"), tiny.tensor("y")
    tiny.operator("CUSTOM", [x], [y], custom=b"RELU")
    graph = graph_from_bytes(tiny.ends([x], [y]).build(), "m")
    assert status_of(graph, 0, 14) is Status.NOT_SUPPORTED


def test_table_is_corals() -> None:
    """The operators Coral's page lists; LSTM is known from a compiled file only."""
    page = """Add AveragePool2d Concatenation Conv2d DepthwiseConv2d ExpandDims FullyConnected
        L2Normalization Logistic Maximum MaxPool2d Mean Minimum Mul Pack Pad Quantize Relu Relu6
        ReluN1To1 Reshape ResizeBilinear ResizeNearestNeighbor Slice Softmax SpaceToDepth Split
        Squeeze StridedSlice Sub Sum Tanh TransposeConv""".lower().split()
    ours = {kind.replace("_", "").lower() for kind in SUPPORTED}
    assert ours - {"unidirectionalsequencelstm"} == set(page)
    new = {kind for kind, support in SUPPORTED.items() if support.since_runtime == 13}
    assert new == {"EXPAND_DIMS", "PACK", "QUANTIZE", "SUM", "TRANSPOSE_CONV"}


def test_status_texts() -> None:
    assert [s.value for s in Status] == [
        "Mapped to Edge TPU",
        "Operation not supported",
        "More than one subgraph is not supported",
        "Operation is working on an unsupported data type",
        "Tensor has unsupported rank (up to 3 innermost dimensions mapped)",
        "Operation is otherwise supported, but not mapped due to some unspecified limitation",
    ]
