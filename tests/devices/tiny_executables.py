"""Executables made by hand, small enough to check every number by eye.

``read_tiny(Path("anywhere/double"))`` is a reader for :class:`devices.SimulatedChip`, importable in
device processes.  The arithmetic: int8 of scale 1, so additions are exact and saturate.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from devices.device import TensorSpec
from devices.errors import ModelError
from devices.executable.description import Executable, ExecutableInfo, OperatorWork, Part
from tests.tiny import FLOAT32, INT8, Tiny

X = TensorSpec("x", "int8", (1, 4))
Y = TensorSpec("y", "int8", (1, 4))
Z = TensorSpec("z", "int8", (1, 4))
W = TensorSpec("w", "int8", (1, 4))
F = TensorSpec("f", "float32", (1, 4))


def model(steps: list[tuple[str, list[TensorSpec], TensorSpec]], custom: str = "") -> bytes:
    """A ``.tflite`` of a chain of operators; tensors not made by a step are inputs."""
    tiny = Tiny()
    numbers: dict[TensorSpec, int] = {}
    for _, reads, makes in steps:
        for spec in (*reads, makes):
            if spec not in numbers:
                kind, scale = (INT8, 1.0) if spec.dtype == "int8" else (FLOAT32, None)
                numbers[spec] = tiny.tensor(spec.name, spec.shape, type_=kind, scale=scale)
    for kind, reads, makes in steps:
        inputs, output = [numbers[spec] for spec in reads], numbers[makes]
        if kind == "ADD":
            tiny.add(*inputs, output)
        elif kind == "CUSTOM":
            tiny.operator("CUSTOM", inputs, [output], custom=custom.encode())
        else:
            tiny.operator(kind, inputs, [output], version=2)
    made = [makes for _, _, makes in steps]
    read = {spec for _, reads, _ in steps for spec in reads}
    return tiny.ends(
        [number for spec, number in numbers.items() if spec not in made],
        [numbers[spec] for spec in made if spec not in read],
    ).build()


def work(name: str = "ADD", target: str = "tpu", **fields: object) -> OperatorWork:
    """An operator's work, everything not given being 0 and on chip."""
    values: dict[str, object] = {
        "macs": 0,
        "input_bytes": 0,
        "output_bytes": 0,
        "output_height": 0,
        "output_width": 0,
        "output_channels": 0,
        "input_channels": 0,
        "kernel_height": 0,
        "kernel_width": 0,
        "parameter_bytes": 0,
        "on_chip": True,
    }
    return OperatorWork(name=name, target=target, **(values | fields))  # type: ignore[arg-type]


def info(*operators: OperatorWork, token: int = 7, offset: int = 0) -> ExecutableInfo:
    """A description with round numbers."""
    return ExecutableInfo(13, token, offset, 1_000, 8_000_000, operators)


def mapped(described: ExecutableInfo, model: bytes) -> Part:
    """A part that makes y of x."""
    return Part(described, (X,), (Y,), model)


def executable(*models: bytes | Part, outputs: tuple[TensorSpec, ...] = (Y,)) -> Executable:
    """An executable that takes x, of these parts and CPU models."""
    parts = tuple(one for one in models if isinstance(one, Part))
    every = tuple(one.model if isinstance(one, Part) else one for one in models)
    return Executable(
        Path("tiny"), (X,), outputs, parts, tuple(one for one in every if one is not None)
    )


_CACHED = info(work(parameter_bytes=3_200))
_TWICE = model([("ADD", [X, X], Y)])
_DOUBLE = executable(mapped(_CACHED, _TWICE))
_LATER = info(work(parameter_bytes=6_400), work("RELU", "cpu"), offset=3_200)


def _remembering() -> bytes:
    """y = x + 2 z, where z is the y before."""
    tiny = Tiny()
    x, y, z = (tiny.tensor(name, scale=1.0, variable=name == "z") for name in "xyz")
    tiny.add(x, z, y)
    tiny.add(y, y, z)
    return tiny.ends([x], [y]).build()


TINY = {
    # y = 2 x
    "double": _DOUBLE,
    "other_token": executable(mapped(info(work(parameter_bytes=3_200), token=8), _TWICE)),
    # y = 2 x on the chip; on the CPU z = x + y (a file input read late) and f = float(z)
    "tail": executable(
        mapped(
            info(work(parameter_bytes=3_200), work(target="cpu"), work("DEQUANTIZE", "cpu")),
            _TWICE,
        ),
        model([("ADD", [X, Y], Z), ("DEQUANTIZE", [Z], F)]),
        outputs=(F,),
    ),
    # y = 2 x on the chip, z = x + y on the CPU, w = y + z on the chip again
    "two_parts": executable(
        mapped(_CACHED, _TWICE),
        model([("ADD", [X, Y], Z)]),
        Part(_LATER, (Y, Z), (W,), model([("ADD", [Y, Z], W)])),
        outputs=(W,),
    ),
    "remembering": executable(mapped(_CACHED, _remembering())),
    # the input is an output as well
    "passing": replace(_DOUBLE, outputs=(X, Y)),
    "cpu_only": executable(Part(info(work(target="cpu"), token=0)), _TWICE),
    "custom": executable(mapped(info(token=0), model([("CUSTOM", [X], Y)], "fake-op-double"))),
    "junk": executable(mapped(_CACHED, b"junk" * 100)),
    "misnamed": replace(_DOUBLE, inputs=(replace(X, name="w"),)),
    "misshaped": replace(_DOUBLE, inputs=(replace(X, shape=(1, 5)),)),
    "twins": replace(_DOUBLE, inputs=(X, X)),
    "too_new": executable(mapped(replace(_CACHED, min_runtime_version=15), _TWICE)),
    "too_big": executable(mapped(info(work(parameter_bytes=8_388_609)), _TWICE)),
    "no_token": executable(mapped(info(work(parameter_bytes=64), token=0), _TWICE)),
}


def read_tiny(path: Path) -> Executable:
    """The executable of that name, as if it had been read from ``path``."""
    if path.name not in TINY:
        raise ModelError(f"{path} does not exist; give the path of an executable")
    return replace(TINY[path.name], path=path)
