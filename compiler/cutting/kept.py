"""What an executable keeps of the model it was made from, beside what decides the numbers.

Programs read labels and normalisation from it: metadata, a description, and files attached behind
the flatbuffer, as TFLite's metadata tools do.  (Signatures are kept by every cut that has all their
tensors at its edge.)

    whole model     all of it, but for entries that number what is somewhere else now
    segment         ``min_runtime_version``; attached files if it makes the model's outputs, for
                    they are labels; not TFLITE_METADATA, which lists inputs and outputs by place
"""

from __future__ import annotations

import copy
import io
import zipfile
import zlib
from typing import Any

from compiler.graph import Graph
from devices.executable import tflite_file

_OF_ANY_PART = frozenset({"min_runtime_version"})
"""Metadata that is true of every segment."""

_OF_ONE_FILE = frozenset({"OfflineMemoryAllocation", "DEBUG_METADATA"})
"""Metadata that numbers tensors or operators of the file it is in."""


def keep(frame: Any, graph: Graph, *, whole: bool) -> None:
    """Put metadata and description of the graph's model into ``frame``, the tree of another."""
    source = graph.source
    if whole:
        frame.description = source.description
    frame.metadata = []
    for entry in source.metadata or ():
        name = (entry.name or b"").decode("utf-8", "replace")
        wanted = name not in _OF_ONE_FILE if whole else name in _OF_ANY_PART
        if wanted and 0 <= entry.buffer < len(source.buffers):
            kept = copy.copy(entry)
            kept.buffer = len(frame.buffers)
            frame.buffers.append(tflite_file.aligned_buffer(source.buffers[entry.buffer].data))
            frame.metadata.append(kept)


def attach(data: bytes, files: bytes) -> bytes:
    """A model with what was attached to another behind it.

    A zip archive says where in the file its entries lie, so it is written anew; one that cannot be
    read is taken as it is, like anything else.
    """
    result = io.BytesIO(data)
    try:
        with zipfile.ZipFile(io.BytesIO(files)) as source, zipfile.ZipFile(result, "a") as target:
            target.comment = source.comment
            for entry in source.infolist():
                target.writestr(copy.copy(entry), source.read(entry))
    except (zipfile.BadZipFile, zlib.error, RuntimeError, ValueError, EOFError):
        return data + files
    return result.getvalue()
