"""What there is to say about a model file, as plain data.

Sizes are in bytes, shapes and dtypes as in the file; a dimension that is not known before run time
is -1.  Operators count as they lie in the file; in an executable of ours, where the mapped ones are
a model within the model, they count through: head, mapped part, tail.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Place = Literal["tpu", "cpu", "compiler", ""]
"""Where an operator runs, if only once, while the model is compiled; empty where nobody asks."""


@dataclass(frozen=True)
class Quantization:
    """Scales and zero points: one each, or one per slice along ``dimension``."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    dimension: int


@dataclass(frozen=True)
class TensorFacts:
    """A tensor.  ``name`` is unique among those that are computed, as ``edgetpu_compiler -i`` asks.

    ``digest`` stands for the value of a constant; it is empty for others, and where nobody asked.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int
    quantization: Quantization | None
    is_constant: bool
    digest: str = ""


@dataclass(frozen=True)
class OperatorFacts:
    """An operator: what it reads and makes, what work it is, where it runs and why.

    ``parameter_bytes`` are its constants as the file holds them, ``chip_bytes`` what they take in
    the chip's layout (``None`` off the chip) and ``on_chip`` whether they are cached there
    (``None`` without any).  ``reason``, ``hint``, ``assumed`` and ``behind`` are those of the
    compiler's verdict.
    """

    index: int
    kind: str
    version: int
    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    macs: int
    parameter_bytes: int
    runs_on: Place = ""
    chip_bytes: int | None = None
    on_chip: bool | None = None
    reason: str = ""
    hint: str = ""
    assumed: str = ""
    behind: int | None = None

    @property
    def name(self) -> str:
        """The name of its first result; empty if it has none."""
        return self.outputs[0].name if self.outputs else ""


@dataclass(frozen=True)
class SubgraphFacts:
    """A subgraph.  ``edges`` are pairs of operators, by place: a maker and a reader."""

    name: str
    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    operators: tuple[OperatorFacts, ...]
    edges: tuple[tuple[int, int], ...]

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(one.macs for one in self.operators)

    def count(self, place: Place) -> int:
        """Operators that run there."""
        return sum(one.runs_on == place for one in self.operators)


@dataclass(frozen=True)
class SignatureFacts:
    """A signature: its names for the inputs and outputs of a subgraph, and the tensors' own."""

    key: str
    subgraph: int
    inputs: tuple[tuple[str, str], ...]
    outputs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Attachment:
    """A metadata entry (``text`` is its content where that is short text), or an appended file."""

    name: str
    size_bytes: int
    text: str = ""


@dataclass(frozen=True)
class PackageFacts:
    """One custom operator of a compiled file.

    ``head`` and ``tail`` are the kinds of the operators in front of it and behind it that run on
    the CPU; ``mapped_operators`` is ``None`` where the file does not say how many there were.
    ``offset_bytes`` is what lies in front of its parameters on the chip (``None``: unknown);
    ``kinds`` are the executables of one of Google's packages.
    """

    place: int
    head: tuple[str, ...]
    tail: tuple[str, ...]
    mapped_operators: int | None
    caching_token: int
    min_runtime_version: int
    on_chip_bytes: int
    off_chip_bytes: int
    instruction_bytes: int
    package_bytes: int
    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    compiler_version: str = ""
    kinds: tuple[str, ...] = ()
    offset_bytes: int | None = None


@dataclass(frozen=True)
class CompiledFacts:
    """What is compiled: by whom, and every package; none where all operators stay on the CPU."""

    by: Literal["edgetpu-pipeline", "Google's compiler"]
    packages: tuple[PackageFacts, ...]


@dataclass(frozen=True)
class Prediction:
    """What ``edgetpu_compiler`` would make of the model; ``refusal`` says why it would not.

    Where each operator would run, and why, is said by the operators.  ``parts`` is how many
    custom operators there would be; sizes are those of all of them.
    """

    refusal: str = ""
    min_runtime_version: int = 0
    on_chip_bytes: int = 0
    remaining_on_chip_bytes: int = 0
    off_chip_bytes: int = 0
    instruction_bytes: int = 0
    mapped_share: float = 0.0
    parts: int = 0


@dataclass(frozen=True)
class ModelDescription:
    """A model file.  The first of its ``subgraphs`` is the one that is run.

    ``numbers`` is a phrase on what it computes with; ``is_float`` whether ``edgetpu-quantize`` is
    what it needs.  ``sha256`` is that of the file, empty where it was not asked for.
    """

    name: str
    file_bytes: int
    sha256: str
    description: str
    numbers: str
    is_float: bool
    subgraphs: tuple[SubgraphFacts, ...]
    signatures: tuple[SignatureFacts, ...]
    runtime_version: str
    metadata: tuple[Attachment, ...]
    attached_files: tuple[Attachment, ...]
    compiled: CompiledFacts | None
    prediction: Prediction | None

    @property
    def main(self) -> SubgraphFacts:
        """The subgraph that is run."""
        return self.subgraphs[0]
