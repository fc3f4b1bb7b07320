"""Mutated files: whatever is done to a model or an executable, a sentence or a sound result.

    python scripts/checks/mutated_files.py --models 4000 --executables 4000 --prepare 300

Models are mutated and compiled, executables are mutated and opened; each must either be refused
with ``ModelError`` or go through.  What the compiler accepts is then prepared by LiteRT in a child,
with and without the trial that ``edgetpu_compiler`` makes.  Counted are tracebacks, hangs, deaths,
and accepted models that LiteRT refuses.  Exit code 1 if there are tracebacks, hangs or deaths, or
if LiteRT refuses what the command would have written.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from compiler import CompileOptions, compile_graph, graph_from_bytes
from devices.errors import EdgeTpuError, ModelError
from devices.executable import executable_from_bytes
from devices.nursery import hold_nursery
from devices.trial import try_to_load
from zoo.random_graph import random_graph

HANG_S = 20
"""After which a single file, of a few kilobytes, hangs."""

_SMALLEST, _LARGEST = -(1 << 31), (1 << 31) - 1
_ODD_SCALES = (0.0, -0.5, float("nan"), float("inf"), 1e-40, 1e30)


def main() -> int:
    """Mutate, count, print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--models", type=int, default=4000, help="mutated models to compile")
    parser.add_argument("--executables", type=int, default=4000, help="mutated ones to open")
    parser.add_argument("--prepare", type=int, default=300, help="accepted models LiteRT is asked")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("files", nargs="*", type=Path, help="models to mutate, beside random ones")
    asked = parser.parse_args()
    signal.signal(signal.SIGALRM, _hangs)
    sources = [random_graph(seed, 10) for seed in range(8)]
    sources += [path.read_bytes() for path in asked.files]
    stream = random.Random(asked.seed)

    kinds, accepted = _compile_all(islice(mutants(stream, sources), asked.models))
    _tell(f"{asked.models} mutated models", kinds)
    several = CompileOptions(enable_multiple_subgraphs=True)
    executables = [compile_graph(graph_from_bytes(data, "m"), several).data for data in sources]
    opened = _open_all(stream, executables, asked.executables)
    _tell(f"{asked.executables} mutated executables", opened)
    stream.shuffle(accepted)
    release = hold_nursery()  # trials are quick as long as it holds
    alone, tried = Counter[str](), Counter[str]()
    for data in accepted[: asked.prepare]:
        answer = prepared(data)
        alone[answer] += 1
        try:
            _within(lambda data=data: try_to_load([("m", data)], HANG_S))  # type: ignore[misc]
        except ModelError as error:
            tried["refused by the command"] += 1
            print(f"  {error}")
        else:
            tried[f"accepted by the command, LiteRT: {answer}"] += 1
    release()
    _tell(f"{sum(alone.values())} models accepted by compile_graph, LiteRT", alone)
    _tell("the same, as edgetpu_compiler does it", tried)
    bad = sum(count for kinds_ in (kinds, opened) for kind, count in kinds_.items() if "!" in kind)
    refused = sum(n for what, n in tried.items() if "LiteRT" in what and "LiteRT: ok" not in what)
    return 1 if bad or refused else 0


def mutants(stream: random.Random, sources: list[bytes]) -> Iterator[bytes]:
    """Half with flipped bytes, a fifth of those cut off; half with changed fields of the schema."""
    while True:
        data = stream.choice(sources)
        mutant = flipped(stream, data) if stream.random() < 0.5 else changed(stream, data)
        if mutant != data:
            yield mutant


def flipped(stream: random.Random, data: bytes) -> bytes:
    """Some bytes are others, mostly near the ends, where most of the structure is."""
    result = bytearray(data)
    for _ in range(stream.choice((1, 1, 2, 4, 12))):
        near = min(stream.randrange(len(data)), stream.randrange(len(data)))
        place = stream.choice((near, len(data) - 1 - near))
        result[place] = stream.choice((0, 255, stream.randrange(256), result[place] ^ 1))
    if stream.random() < 0.2:
        del result[stream.randrange(len(result)) :]
    return bytes(result)


def changed(stream: random.Random, data: bytes) -> bytes:
    """A sound flatbuffer in which one to three fields have other values."""
    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    graph = tree.subgraphs[0]
    for _ in range(stream.choice((1, 1, 2, 3))):
        stream.choice((_scale, _shape, _type, _option, _indices, _constant))(stream, tree, graph)
    builder = flatbuffers.Builder(len(data))
    try:
        builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")
    except Exception:  # a value that cannot be written is no file
        return data
    return bytes(builder.Output())


def _scale(stream: random.Random, tree: object, graph: schema.SubGraphT) -> None:
    found = stream.choice(graph.tensors).quantization
    if found is None or found.scale is None or not len(found.scale):
        return
    what = stream.randrange(5)
    if what == 0:
        found.scale = None
    elif what == 1:
        found.scale = found.scale[:-1]
    elif what == 2:
        found.zeroPoint = found.zeroPoint + stream.choice((-300, -1, 1, 300))
    elif what == 3:
        found.quantizedDimension = stream.choice((-1, 0, 1, 3, 9))
    else:
        found.scale = np.array(found.scale)
        scale = stream.choice((*_ODD_SCALES, float(found.scale[0]) * stream.choice((0.1, 2, 50))))
        found.scale[stream.randrange(len(found.scale))] = scale


def _shape(stream: random.Random, tree: object, graph: schema.SubGraphT) -> None:
    tensor = stream.choice(graph.tensors)
    if tensor.shape is None or not len(tensor.shape):
        return
    shape = np.array(tensor.shape)
    what = stream.randrange(4)
    if what == 0:
        shape = shape[:-1]
    elif what == 1:
        shape = shape[::-1]
    else:
        place = stream.randrange(len(shape))
        shape[place] = stream.choice((0, 1, shape[place] + 1, shape[place] * 2, -1, 1 << 20))
    tensor.shape = shape.astype(np.int32)


def _type(stream: random.Random, tree: object, graph: schema.SubGraphT) -> None:
    stream.choice(graph.tensors).type = stream.choice((0, 1, 2, 3, 4, 6, 7, 9, 17))


def _option(stream: random.Random, tree: object, graph: schema.SubGraphT) -> None:
    options = stream.choice(graph.operators).builtinOptions
    names = [] if options is None else [n for n, v in vars(options).items() if isinstance(v, int)]
    if names:
        values = (0, 1, 2, 3, 5, 127, -1, 1 << 20, _LARGEST, _SMALLEST)
        setattr(options, stream.choice(names), stream.choice(values))


def _indices(stream: random.Random, tree: object, graph: schema.SubGraphT) -> None:
    operator = stream.choice(graph.operators)
    field = stream.choice(("inputs", "outputs"))
    found = np.array(getattr(operator, field))
    found[stream.randrange(len(found))] = stream.randrange(-1, len(graph.tensors) + 1)
    setattr(operator, field, found.astype(np.int32))


def _constant(stream: random.Random, tree: schema.ModelT, graph: schema.SubGraphT) -> None:
    buffer = stream.choice(tree.buffers)
    if buffer.data is not None and len(buffer.data):
        data = np.array(buffer.data)
        data[stream.randrange(len(data))] = stream.randrange(256)
        buffer.data = data if stream.random() < 0.8 else data[:-1]


def _compile_all(files: Iterator[bytes]) -> tuple[Counter[str], list[bytes]]:
    kinds, accepted = Counter[str](), []
    for data in files:
        kinds[_outcome(lambda d=data: accepted.append(_compiled(d)))] += 1  # type: ignore[misc]
    return kinds, accepted


def _compiled(data: bytes) -> bytes:
    return compile_graph(graph_from_bytes(data, "m")).data


def _open_all(stream: random.Random, executables: list[bytes], count: int) -> Counter[str]:
    """Mutate and open; one that opens must have the package that was sealed."""
    kinds = Counter[str]()
    sound = [_sealed(data) for data in executables]
    for _ in range(count):
        number = stream.randrange(len(executables))
        change = stream.choice((flipped, changed))
        data = change(stream, executables[number])

        def check(data: bytes = data, number: int = number) -> None:
            if _sealed(data) != sound[number]:
                raise AssertionError("a package that was not sealed was opened")

        kinds[_outcome(check)] += 1
    return kinds


def _sealed(data: bytes) -> object:
    opened = executable_from_bytes(data, Path("m"))
    return opened.parts


def _outcome(work: Callable[[], object]) -> str:
    try:
        _within(work)
    except EdgeTpuError as error:
        return "! two lines" if "\n" in str(error) else "refused in a sentence"
    except TimeoutError:
        return "! hangs"
    except Exception as error:
        print(f"traceback: {type(error).__name__}: {error}", file=sys.stderr)
        return "! tracebacks"
    return "accepted"


def _within(work: Callable[[], object]) -> None:
    signal.alarm(HANG_S)
    try:
        work()
    finally:
        signal.alarm(0)


def _hangs(*_: object) -> None:
    raise TimeoutError


def prepared(data: bytes) -> str:
    """What LiteRT says of the models an executable is made of, asked in a child."""
    child = multiprocessing.get_context("fork").Process(target=_prepare, args=(data,))
    child.start()
    child.join(HANG_S)
    if child.is_alive():
        child.kill()
        child.join()
        return "hangs"
    if child.exitcode is not None and child.exitcode < 0:
        return f"dies ({signal.Signals(-child.exitcode).name})"
    return "ok" if child.exitcode == 0 else "refuses"


def _prepare(data: bytes) -> None:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    executable = executable_from_bytes(data, Path("m"))
    for model in executable.models:
        interpreter = Interpreter(
            model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN
        )
        interpreter.allocate_tensors()


def _tell(what: str, counts: Counter[str]) -> None:
    found = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
    print(f"{what}: {found or 'none'}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
