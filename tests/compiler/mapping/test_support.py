"""The operator table: which operators map, under which limits, and what the log says if not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from compiler import Status, graph_from_bytes
from compiler.mapping.limits import Source
from compiler.mapping.support import judge
from compiler.mapping.table import HINTS, LARGEST_ACTIVATION_BYTES, SUPPORTED
from compiler.mapping.verdict import Verdict
from tests.tiny import FLOAT32, Tiny

INT32 = schema.TensorType.INT32


class Numbers(tuple[int, ...]):
    """The shape of an int32 input: axes or sizes that are not known before run time."""


def options_of(kind: str, **fields: Any) -> Any:
    """An options object such as ``Conv2DOptionsT`` with some fields set; windows are of 1."""
    options = getattr(schema, f"{kind}OptionsT")()
    for name in ("strideH", "strideW", "filterHeight", "filterWidth"):
        if hasattr(options, name):
            setattr(options, name, 1)
    for name, value in fields.items():
        assert hasattr(options, name), name
        setattr(options, name, value)
    return options


def verdict(
    kind: str,
    inputs: Sequence[Sequence[int] | np.ndarray[Any, Any]],
    output: Sequence[int] | list[Sequence[int]],
    options: Any = None,
    *,
    runtime: int = 14,
    spoil: Callable[[Tiny], None] | None = None,
) -> Verdict:
    """The verdict on one operator; arrays among ``inputs`` are constants, shapes activations."""
    tiny = Tiny()
    places = []
    for n, found in enumerate(inputs):
        if isinstance(found, np.ndarray):
            type_ = INT32 if found.dtype == np.int32 else schema.TensorType.INT8
            scale = None if found.dtype == np.int32 else 0.5
            places.append(tiny.tensor(f"c{n}", found.shape, data=found, type_=type_, scale=scale))
        elif isinstance(found, Numbers):
            places.append(tiny.tensor(f"x{n}", found, type_=INT32, scale=None))
        else:
            places.append(tiny.tensor(f"x{n}", found))
    given = [
        place
        for place, found in zip(places, inputs, strict=True)
        if not isinstance(found, np.ndarray)
    ]
    results = [
        tiny.tensor("y", shape, scale=1 / 256 if kind == "SOFTMAX" else 0.5)
        for shape in (output if isinstance(output, list) else [output])
    ]
    if kind == "SOFTMAX":
        tiny.graph.tensors[results[0]].quantization.zeroPoint = np.array([-128], np.int64)
    tiny.operator(kind, places, results, options)
    tiny.ends(given, results)
    if spoil is not None:
        spoil(tiny)
    return judge(graph_from_bytes(tiny.build(), "m"), 0, runtime)


def status(*case: Any, **more: Any) -> Status:
    return verdict(*case, **more).status


def ints(*values: int) -> np.ndarray[Any, Any]:
    return np.array(values, np.int32)


IMAGE = (1, 8, 8, 4)
FILTER = np.zeros((4, 3, 3, 4), np.int8)
BIAS = np.zeros(4, np.int32)
RELU = schema.ActivationFunctionType.RELU
MAPPED, LIMIT, NO = Status.MAPPED, Status.LIMITATION, Status.NOT_SUPPORTED

HALVES = options_of("Split", numSplits=2)
JOINED = options_of("Concatenation", axis=3)
PACKED = options_of("Pack", axis=2, valuesCount=2)
FLAT = options_of("Reshape", newShape=[1, 256])

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
        ("CONV_2D", [IMAGE, (4, 3, 3, 4), BIAS], IMAGE, options_of("Conv2D")),
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
        (
            "CONCATENATION",
            [IMAGE, IMAGE, IMAGE],
            (1, 8, 8, 12),
            JOINED,
        ),
        14,
    ),
    (
        "concatenation with zeros",
        MAPPED,
        (
            "CONCATENATION",
            [IMAGE, np.zeros(IMAGE, np.int8)],
            (1, 8, 8, 8),
            JOINED,
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
            JOINED,
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
            JOINED,
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
    ("mean unknown", LIMIT, ("MEAN", [IMAGE, Numbers([2])], (1, 4), None), 14),
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
    (
        "pack",
        MAPPED,
        ("PACK", [(8, 4), (8, 4)], (8, 4, 2), PACKED),
        13,
    ),
    (
        "pack in batch",
        LIMIT,
        ("PACK", [(1, 8, 4)], (1, 1, 8, 4), options_of("Pack", axis=0, valuesCount=1)),
        13,
    ),
    ("reshape", MAPPED, ("RESHAPE", [IMAGE, ints(1, 256)], (1, 256), options_of("Reshape")), 14),
    (
        "reshape by options",
        MAPPED,
        ("RESHAPE", [IMAGE], (1, 256), FLAT),
        14,
    ),
    (
        "reshape unknown",
        LIMIT,
        ("RESHAPE", [IMAGE, Numbers([2])], (1, 256), options_of("Reshape")),
        14,
    ),
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
    ("split", MAPPED, ("SPLIT", [ints(3), IMAGE], [(1, 8, 8, 2)] * 2, HALVES), 14),
    ("split batch", Status.RANK, ("SPLIT", [ints(0), (2, 8, 8, 4)], [IMAGE] * 2, HALVES), 14),
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
                (1, 4 // stride, 4, 4),
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
    for tensor in tiny.graph.tensors:
        tensor.type = schema.TensorType.INT16


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
    found = judge(graph, 0, 14)
    assert (found.status, found.reason) == (Status.NOT_SUPPORTED, "custom operator 'RELU'")


def test_a_custom_operator_on_float_data_is_called_one() -> None:
    """With the status that Google's log has for TFLite_Detection_PostProcess, and no advice."""
    tiny = Tiny()
    x, y = (tiny.tensor(name, type_=FLOAT32, scale=None) for name in "xy")
    tiny.operator("CUSTOM", [x], [y], custom=b"Detect")
    graph = graph_from_bytes(tiny.ends([x], [y]).build(), "m")
    found = judge(graph, 0, 14)
    assert found.status is Status.DATA_TYPE
    assert (
        found.reason == "custom operator 'Detect'; tensor 'x' is float32, not quantised to 8 bits"
    )
    assert found.hint == ""


def test_table_is_corals() -> None:
    """The operators Coral's page lists; all others say where they are known from."""
    page = """Add AveragePool2d Concatenation Conv2d DepthwiseConv2d ExpandDims FullyConnected
        L2Normalization Logistic Maximum MaxPool2d Mean Minimum Mul Pack Pad Quantize Relu Relu6
        ReluN1To1 Reshape ResizeBilinear ResizeNearestNeighbor Slice Softmax SpaceToDepth Split
        Squeeze StridedSlice Sub Sum Tanh TransposeConv""".lower().split()
    of_page = {kind for kind, row in SUPPORTED.items() if row.source is Source.PAGE}
    assert {kind.replace("_", "").lower() for kind in of_page} == set(page)
    new = {kind for kind in of_page if SUPPORTED[kind].since_runtime == 13}
    assert new == {"EXPAND_DIMS", "PACK", "QUANTIZE", "SUM", "TRANSPOSE_CONV"}
    last = {kind for kind, row in SUPPORTED.items() if row.since_runtime == 14}
    assert last == {"PRELU", "REDUCE_MAX", "REDUCE_MIN", "TILE", "TRANSPOSE"}


REASONS: list[tuple[str, tuple[Any, ...], int, str]] = [
    ("softmax", ("SOFTMAX", [(1, 21000)], (1, 21000)), 14, "over 21,000 elements; at most 16,000"),
    ("softmax of a map", ("SOFTMAX", [(1, 6, 4, 9)], (1, 6, 4, 9)), 14, "9 of each of 24 places"),
    ("batch", ("RELU", [(30, 8, 8, 4)], (30, 8, 8, 4)), 14, "30x8x8x4: batch 30, must be 1"),
    ("runtime", ("TRANSPOSE", [IMAGE, ints(0, 2, 1, 3)], IMAGE), 13, "needs runtime 14"),
    ("prelu", ("PRELU", [IMAGE, np.zeros((1, 1, 4), np.int8)], IMAGE), 13, "needs runtime 14"),
    ("unknown", ("HARD_SWISH", [IMAGE], IMAGE), 14, "not among the operators"),
    ("resize", ("RESIZE_BILINEAR", [(1, 33, 33, 21), ints(513, 513)], (1, 513, 513, 21),
                schema.ResizeBilinearOptionsT()), 14, "33x33 to 513x513 is 15.55 times; at most 4"),
    ("tile", ("TILE", [(1, 2, 2, 4), ints(1, 2, 2, 1)], (1, 4, 4, 4)), 14, "copies 1x2x2x4"),
    ("mean", ("MEAN", [(1, 8, 8, 6), ints(3)], (1, 8, 8), schema.ReducerOptionsT()), 14,
     "reduces 6 channels; reduction of the channels from runtime 13 on, their number a multiple"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "case", "runtime", "reason"), REASONS, ids=[r[0] for r in REASONS]
)
def test_reasons_name_the_limit_and_the_number(
    name: str, case: tuple[Any, ...], runtime: int, reason: str
) -> None:
    found = verdict(*case, runtime=runtime)
    assert not found.is_mapped
    assert reason in found.reason


def test_a_parameter_that_is_computed_is_named_with_its_maker() -> None:
    options = schema.ReshapeOptionsT()
    tiny = Tiny()
    x, y = tiny.tensor("x", (1, 8)), tiny.tensor("y", (8, 1))
    half = tiny.tensor("half", (2,), type_=INT32, scale=None)
    shape = tiny.tensor("target", (2,), type_=INT32, scale=None)
    tiny.operator("ADD", [half, half], [shape], schema.AddOptionsT())
    tiny.operator("RESHAPE", [x, shape], [y], options)
    found = judge(graph_from_bytes(tiny.ends([x, half], [y]).build(), "m"), 1, 14)
    assert found.status is Status.LIMITATION
    assert "shape 'target' not known before run time (from ADD #0)" in found.reason


COPIES: list[tuple[str, tuple[Any, ...]]] = [
    ("split into one", ("SPLIT", [ints(0), IMAGE], IMAGE, options_of("Split", numSplits=1))),
    ("reshape to the same", ("RESHAPE", [IMAGE, ints(*IMAGE)], IMAGE, schema.ReshapeOptionsT())),
    ("transpose of nothing", ("TRANSPOSE", [IMAGE, ints(0, 1, 2, 3)], IMAGE)),
    ("pad by nothing", ("PAD", [IMAGE, np.zeros((4, 2), np.int32)], IMAGE, schema.PadOptionsT())),
    ("slice of all", ("SLICE", [IMAGE, ints(0, 0, 0, 0), ints(-1, -1, -1, -1)], IMAGE)),
    ("tile once", ("TILE", [IMAGE, ints(1, 1, 1, 1)], IMAGE)),
    ("split v", ("SPLIT_V", [IMAGE, ints(1), ints(0)], IMAGE, options_of("SplitV", numSplits=1))),
]


@pytest.mark.parametrize(("name", "case"), COPIES, ids=[c[0] for c in COPIES])
@pytest.mark.parametrize("runtime", [10, 14])
def test_an_operator_that_changes_nothing_ends_nothing(
    name: str, case: tuple[Any, ...], runtime: int
) -> None:
    assert status(*case, runtime=runtime) is MAPPED


def test_what_looks_like_a_copy_and_is_none() -> None:
    assert status("TRANSPOSE", [(1, 8, 8, 4), ints(0, 2, 1, 3)], (1, 8, 8, 4), runtime=13) is NO
    backwards = ("STRIDED_SLICE", [(8,), ints(-1), ints(-9), ints(-1)], (8,))
    options = options_of("StridedSlice", endMask=1)
    assert status(*backwards, options) is LIMIT


def test_enlarging_that_nobody_saw_is_marked() -> None:
    def resized(times: int) -> Verdict:
        return verdict(
            "RESIZE_BILINEAR",
            [(1, 8, 8, 4), ints(8 * times, 8 * times)],
            (1, 8 * times, 8 * times, 4),
            schema.ResizeBilinearOptionsT(),
        )

    assert (resized(2).status, resized(2).assumed) == (MAPPED, "")
    assert resized(4).status is MAPPED
    assert "taken to be mapped" in resized(4).assumed
    assert resized(16).status is LIMIT


def test_a_resize_with_an_output_too_large_stays_on_the_cpu() -> None:
    side = int((LARGEST_ACTIVATION_BYTES / 64) ** 0.5) + 1
    found = verdict(
        "RESIZE_NEAREST_NEIGHBOR",
        [(1, side, side, 64), ints(side, side)],
        (1, side, side, 64),
        schema.ResizeNearestNeighborOptionsT(),
    )
    assert found.status is LIMIT
    assert "MiB; at most 32 MiB" in found.reason


def test_hints_are_for_operators_the_converters_know() -> None:
    assert set(HINTS) <= set(vars(schema.BuiltinOperator))


def test_status_texts() -> None:
    assert [s.value for s in Status] == [
        "Mapped to Edge TPU",
        "Operation not supported",
        "More than one subgraph is not supported",
        "Operation is working on an unsupported data type",
        "Tensor has unsupported rank (up to 3 innermost dimensions mapped)",
        "Operation is otherwise supported, but not mapped due to some unspecified limitation",
    ]
