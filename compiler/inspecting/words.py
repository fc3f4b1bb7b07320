"""How facts are said, in tables and on pages alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from compiler.inspecting.attachments import RUNTIME_ENTRY
from compiler.inspecting.description import (
    CompiledFacts,
    ModelDescription,
    OperatorFacts,
    PackageFacts,
    Prediction,
    Quantization,
    TensorFacts,
)
from compiler.log import format_size

Rows = list[tuple[str, str]]
"""What is told, and what of it."""

_PREFIXES = ("", "k", "M", "G", "T")


def sections(model: ModelDescription) -> list[tuple[str, Rows]]:
    """All but the operators, under headings; headings without rows are left out."""
    found: list[tuple[str, Rows]] = [("Model", _model(model))]
    if model.compiled is not None:
        found += _compiled(model.compiled)
    elif model.prediction is not None:
        found.append(("edgetpu_compiler", _predicted(model, model.prediction)))
    elif model.is_float:
        found.append(("edgetpu_compiler", [("would", float_advice(model))]))
    found += [
        ("Inputs", [(t.name, tensor_words(t)) for t in model.main.inputs]),
        ("Outputs", [(t.name, tensor_words(t)) for t in model.main.outputs]),
    ]
    return [(title, rows) for title, rows in found if rows]


def float_advice(model: ModelDescription) -> str:
    """What to do with a float model."""
    return (
        f"map nothing: the model is {model.numbers}, and the Edge TPU computes with 8-bit "
        "integers; edgetpu-quantize makes it full-integer"
    )


def _model(model: ModelDescription) -> Rows:
    main = model.main
    kinds = Counter(one.kind for one in main.operators)
    rows = [
        ("size", bytes_words(model.file_bytes)),
        ("numbers", model.numbers),
        ("operators", f"{len(main.operators)}: {counted(kinds)}" if kinds else "0"),
        ("work", _work(model)),
        ("constants", bytes_words(sum(one.parameter_bytes for one in main.operators))),
    ]
    if model.description:
        rows.append(("description", model.description))
    if model.runtime_version:
        rows.append(("TensorFlow Lite", f"{model.runtime_version} or newer"))
    for number, graph in enumerate(model.subgraphs[1:], 1):
        rows.append((f"subgraph {number}", f"{graph.name}: {len(graph.operators)} operators"))
    rows += metadata_rows(model)
    for one in model.attached_files:
        rows.append(("attached file", f"{one.name}, {bytes_words(one.size_bytes)}"))
    for signature in model.signatures:
        takes = ", ".join(f"{name} = {tensor}" for name, tensor in signature.inputs)
        gives = ", ".join(f"{name} = {tensor}" for name, tensor in signature.outputs)
        rows.append((f"signature {signature.key}", f"takes {takes or 'nothing'}; gives {gives}"))
    return rows


def metadata_rows(model: ModelDescription) -> Rows:
    """The metadata but for what is said elsewhere."""
    return [
        (f"metadata {one.name}", one.text or bytes_words(one.size_bytes))
        for one in model.metadata
        if one.name != RUNTIME_ENTRY
    ]


def _work(model: ModelDescription) -> str:
    said = f"{model.main.macs:,} multiply-accumulates"
    packages = () if model.compiled is None else model.compiled.packages
    if any(package.mapped_operators is None for package in packages):
        return f"{said} on the CPU; what the Edge TPU's part does is not in the file"
    return said


def _compiled(compiled: CompiledFacts) -> list[tuple[str, Rows]]:
    if not compiled.packages:
        text = f"by {compiled.by}; nothing in it runs on the Edge TPU"
        return [("Compiled", [("compiled", text)])]
    count = len(compiled.packages)
    return [
        (
            "Edge TPU's part" + (f" {number} of {count}" if count > 1 else ""),
            [("compiled", f"by {compiled.by}"), *package_rows(package)],
        )
        for number, package in enumerate(compiled.packages, 1)
    ]


def package_rows(package: PackageFacts) -> Rows:
    """What a package is and needs."""
    mapped = package.mapped_operators
    rows = [
        ("mapped", "operators unknown" if mapped is None else f"{mapped} operators"),
        ("on the CPU before", counted(Counter(package.head)) or "nothing"),
        ("on the CPU behind", counted(Counter(package.tail)) or "nothing"),
        ("caching token", token_words(package.caching_token)),
        ("Edge TPU runtime", f"{package.min_runtime_version} or newer"),
        ("on-chip parameters", bytes_words(package.on_chip_bytes)),
        ("off-chip parameters", bytes_words(package.off_chip_bytes)),
        ("instructions", bytes_words(package.instruction_bytes)),
        ("package", bytes_words(package.package_bytes)),
    ]
    if package.offset_bytes:
        rows.append(("on-chip offset", bytes_words(package.offset_bytes)))
    if package.kinds:
        rows.append(("executables", ", ".join(package.kinds)))
    if package.compiler_version:
        rows.append(("compiler", package.compiler_version))
    rows += [("takes", f"{t.name}: {tensor_words(t)}") for t in package.inputs]
    rows += [("gives", f"{t.name}: {tensor_words(t)}") for t in package.outputs]
    return rows


def _predicted(model: ModelDescription, prediction: Prediction) -> Rows:
    if prediction.refusal:
        return [("would refuse it", prediction.refusal)]
    main = model.main
    mapped, folded = main.count("tpu"), main.count("compiler")
    count = len(main.operators) - folded
    computed = Counter(o.kind for o in main.operators if o.runs_on == "compiler")
    return [
        (
            "would map",
            f"{mapped} of {count} operators, {prediction.mapped_share:.1%} of the work"
            + (f", in {prediction.parts} parts" if prediction.parts > 1 else ""),
        ),
        (
            "on the CPU",
            counted(Counter(o.kind for o in main.operators if o.runs_on == "cpu")) or "-",
        ),
        *([("would compute", f"{counted(computed)}, once and for all")] if folded else []),
        ("Edge TPU runtime", f"{prediction.min_runtime_version} or newer"),
        ("on-chip parameters", bytes_words(prediction.on_chip_bytes)),
        ("on-chip, left", bytes_words(prediction.remaining_on_chip_bytes)),
        ("off-chip parameters", bytes_words(prediction.off_chip_bytes)),
        ("instructions", f"about {bytes_words(prediction.instruction_bytes)}"),
    ]


def tensor_words(tensor: TensorFacts) -> str:
    """Type, shape and quantisation."""
    said = f"{tensor.dtype} {shape_words(tensor.shape)}"
    quantization = quantization_words(tensor.quantization)
    return f"{said}, {quantization}" if quantization else said


def shape_words(shape: Sequence[int]) -> str:
    """``1x224x224x3``; ``?`` for what is not known before run time, ``[]`` without any."""
    return "x".join("?" if n < 0 else str(n) for n in shape) or "[]"


def quantization_words(quantization: Quantization | None) -> str:
    """Scale and zero point, or how many and in which range; empty without."""
    if quantization is None:
        return ""
    scales, points = quantization.scales, quantization.zero_points
    if len(scales) == 1:
        point = points[0] if points else 0
        return f"scale {scales[0]:.6g}, zero point {point}"
    return (
        f"{len(scales)} scales {min(scales):.3g} to {max(scales):.3g} "
        f"along dimension {quantization.dimension}"
    )


def place_words(operator: OperatorFacts) -> str:
    """Where an operator runs; parameters that do not stay on the chip are said to be streamed."""
    if operator.runs_on == "tpu":
        return "TPU, streamed" if operator.on_chip is False else "TPU"
    return "compiler" if operator.runs_on == "compiler" else operator.runs_on.upper()


def bytes_words(size_bytes: int) -> str:
    """Exactly, and in the compiler's manner where that is shorter."""
    if size_bytes < 1024:
        return f"{size_bytes} bytes"
    return f"{size_bytes:,} bytes ({format_size(size_bytes)})"


def short_number(value: int) -> str:
    """Four digits at most: ``884``, ``13.57M``."""
    scaled = float(value)
    for prefix in _PREFIXES:
        if scaled < 999.5 or prefix == _PREFIXES[-1]:
            return f"{scaled:.4g}{prefix}" if prefix else str(value)
        scaled /= 1000
    raise AssertionError


def token_words(token: int) -> str:
    """As in Google's tools; 0 means that nothing is cached."""
    return f"{token:016x}" if token else "none, nothing is cached"


def counted(kinds: Counter[str]) -> str:
    """``12 CONV_2D, SOFTMAX``, most frequent first."""
    return ", ".join(
        kind if count == 1 else f"{count} {kind}" for kind, count in kinds.most_common()
    )


def names_for_compiler(operators: Iterable[OperatorFacts]) -> list[str]:
    """Names that ``edgetpu_compiler --intermediate_tensors`` takes, which a comma would cut."""
    computed = (one for one in operators if one.runs_on != "compiler")
    names = (tensor.name for one in computed for tensor in one.outputs)
    return [name for name in dict.fromkeys(names) if name == name.strip() and "," not in name]
