"""What a model file carries beside its graphs: metadata, signatures, appended files."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import Any

from flatbuffers.table import Table

from compiler.graph import Graph
from compiler.inspecting.description import Attachment, SignatureFacts

RUNTIME_ENTRY = "min_runtime_version"
"""Metadata entry by which a converter says which TensorFlow Lite is new enough."""

_STANDARD_ENTRY = "TFLITE_METADATA"
_STANDARD_TEXTS = {0: "name", 1: "description", 2: "version", 4: "author", 5: "license"}
"""Slots of ``ModelMetadata`` in TensorFlow Lite's metadata schema that hold a text."""

_LONGEST_TEXT = 400


def metadata_of(graph: Graph) -> tuple[Attachment, ...]:
    """The metadata entries; those of TensorFlow Lite's metadata schema that are texts, too."""
    model = graph.source
    found = []
    for entry in model.metadata or ():
        name = _text(entry.name)
        in_file = 0 <= entry.buffer < len(model.buffers)
        data = model.buffers[entry.buffer].data if in_file else None
        content = b"" if data is None else data.tobytes()
        found.append(Attachment(name, len(content), _shown(content)))
        if name == _STANDARD_ENTRY:
            found += [
                Attachment(f"{name}: {field}", len(text.encode()), text)
                for field, text in _standard_texts(content).items()
            ]
    return tuple(found)


def runtime_of(metadata: tuple[Attachment, ...]) -> str:
    """The oldest TensorFlow Lite that runs the model, if its converter says so; else empty."""
    return next((one.text for one in metadata if one.name == RUNTIME_ENTRY), "")


def _shown(content: bytes) -> str:
    """The content if it is a short text, else nothing."""
    stripped = content.rstrip(b"\0")
    if len(stripped) > _LONGEST_TEXT:
        return ""
    try:
        text = stripped.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return text if text.isprintable() else ""


def _standard_texts(content: bytes) -> dict[str, str]:
    found = {}
    try:
        table = Table(content, struct.unpack_from("<I", content, 0)[0])
        for slot, name in _STANDARD_TEXTS.items():
            offset = table.Offset(4 + 2 * slot)
            if offset:
                found[name] = bytes(table.String(table.Pos + offset)).decode("utf-8", "replace")
    except Exception:  # written by whoever; a flatbuffer with a wrong offset fails anywhere
        return {}
    return found


def signatures_of(
    graph: Graph, tensor_names: tuple[tuple[str, ...], ...]
) -> tuple[SignatureFacts, ...]:
    """The signatures; ``tensor_names`` are those of every subgraph."""
    found = []
    for one in graph.source.signatureDefs or ():
        number = int(one.subgraphIndex)
        names = tensor_names[number] if 0 <= number < len(tensor_names) else ()
        found.append(
            SignatureFacts(
                key=_text(one.signatureKey),
                subgraph=number,
                inputs=_pairs(one.inputs, names),
                outputs=_pairs(one.outputs, names),
            )
        )
    return tuple(found)


def _pairs(entries: Any, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (
            _text(entry.name),
            names[entry.tensorIndex]
            if 0 <= entry.tensorIndex < len(names)
            else f"tensor {entry.tensorIndex}, which is not there",
        )
        for entry in entries or ()
    )


def attached_files(data: bytes) -> tuple[Attachment, ...]:
    """Files appended to the model as a ZIP archive, as label files are."""
    stream = io.BytesIO(data)  # shares the bytes
    if not zipfile.is_zipfile(stream):
        return ()
    try:
        with zipfile.ZipFile(stream) as archive:
            return tuple(Attachment(one.filename, one.file_size) for one in archive.infolist())
    except (zipfile.BadZipFile, ValueError):
        return ()  # constants that look like the end of an archive


def _text(value: str | bytes | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""
