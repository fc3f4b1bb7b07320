"""The ``edgetpu_compiler`` command: files, messages, exit codes, refusals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from compiler import cli, command, cut, read_graph
from compiler.log import format_size
from compiler.mapping import SUPPORTED
from devices.errors import ConfigError
from devices.executable.file import read_executable
from devices.files import write_together
from tests.compiler.cutting.test_boundary import skipping_model
from tests.compiler.mapping.test_mapping import branches, float_input_model
from tests.compiler.test_compile import float_model
from tests.tiny import Tiny, tiny_chain
from zoo.random_graph import random_graph

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def model_file(name: str = "m.tflite", data: bytes | None = None) -> str:
    Path(name).write_bytes(random_graph(1, 12) if data is None else data)
    return name


def files() -> set[str]:
    return {path.name for path in Path().rglob("*") if path.is_file()}


Capture = pytest.CaptureFixture[str]


def refused(capsys: Capture, *arguments: str) -> str:
    """The sentence with which a command is refused; nothing may have been written."""
    before = files()
    assert cli.main(arguments) == 2
    printed = capsys.readouterr()
    sentence = printed.err
    assert sentence.count("\n") == 1
    assert sentence.endswith("\n")
    assert "succeeded" not in printed.out
    assert files() == before
    return sentence


# --------------------------------------------------------------------------------- compiling


def test_one_model(capsys: Capture) -> None:
    data = branches()[0].build()
    assert cli.main([model_file("net.v1.tflite", data)]) == 0
    assert files() == {"net.v1.tflite", "net.v1_edgetpu.tflite", "net.v1_edgetpu.log"}
    executable = read_executable(Path("net.v1_edgetpu.tflite"))
    assert len(executable.info.operators) == 6
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0].startswith("Edge TPU Compiler version 16.0")
    assert lines[1] == "Started a compilation timeout timer of 180 seconds."
    for expected in (
        "Input model: net.v1.tflite",
        f"Input size: {format_size(len(data))}",
        "Output model: net.v1_edgetpu.tflite",
        f"Output size: {format_size(Path('net.v1_edgetpu.tflite').stat().st_size)}",
        "On-chip memory used for caching model parameters: 0.00B",
        "On-chip memory remaining for caching model parameters: 7.74MiB",
        "Off-chip memory used for streaming uncached model parameters: 0.00B",
        "Number of Edge TPU subgraphs: 1",
        "Total number of operations: 6",
        "Operation log: net.v1_edgetpu.log",
        "Number of operations that will run on Edge TPU: 3",
        "Number of operations that will run on CPU: 3",
        "Compilation succeeded!",
    ):
        assert expected in lines
    assert "Model compiled successfully in " in out
    assert "not all operations are supported by the Edge TPU" in out
    assert "HARD_SWISH" not in out
    log = Path("net.v1_edgetpu.log").read_text()
    table, why = "\n".join(log.splitlines()[6:]).split("\n\n")
    rows = {tuple(line.split(None, 2)) for line in table.splitlines()}
    assert rows == {
        ("RELU", "3", "Mapped to Edge TPU"),
        ("HARD_SWISH", "1", "Operation not supported"),
        ("RELU", "1", "More than one subgraph is not supported"),
        ("ADD", "1", "More than one subgraph is not supported"),
    }
    assert "CPU: HARD_SWISH #1 " in why
    assert "behind HARD_SWISH #1" in why
    assert "hint: " in why


def test_fully_mapped_model_has_no_word_about_the_cpu(capsys: Capture) -> None:
    assert cli.main([model_file(data=skipping_model()), "-s"]) == 0
    out = capsys.readouterr().out
    assert "CPU" not in out
    assert "RELU                           2          Mapped to Edge TPU" in out


@pytest.mark.parametrize(
    "option", ["-n 3", "--num_segments 3", "--num-segments=3", "-num_segments=3", "-n3"]
)
def test_segments(option: str) -> None:
    assert cli.main([*option.split(), "-o", "out", model_file()]) == 0
    stems = [f"m_segment_{i}_of_3_edgetpu" for i in range(3)]
    expected = {f"{stem}.{suffix}" for stem in stems for suffix in ("tflite", "log")}
    assert {path.name for path in Path("out").iterdir()} == expected
    executables = [read_executable(Path("out") / f"{stem}.tflite") for stem in stems]
    assert sum(len(e.info.operators) for e in executables) == 12
    assert len({e.info.caching_token for e in executables} - {0}) == 1


@pytest.mark.parametrize("mark", ["4", "#4", "-o . --order coral 4"])
def test_segments_cut_by_hand_are_named_as_the_others(mark: str) -> None:
    *options, mark = mark.split()
    assert cli.main([*options, "--cut-at", mark, model_file(data=tiny_chain(6))]) == 0
    stems = [f"m_segment_{i}_of_2_edgetpu" for i in range(2)]
    assert files() == {
        "m.tflite",
        *(f"{s}.{suffix}" for s in stems for suffix in ("tflite", "log")),
    }
    executables = [read_executable(Path(f"{stem}.tflite")) for stem in stems]
    assert [len(e.info.operators) for e in executables] == [4, 2]
    assert len({e.info.caching_token for e in executables}) == 1


def test_one_segment_is_the_whole_model_under_its_plain_name() -> None:
    assert cli.main(["--num_segments=1", model_file()]) == 0
    assert "m_edgetpu.tflite" in files()


def test_co_compilation_in_command_line_order(capsys: Capture) -> None:
    a, b = "zoo:mobilenet_v2_1.0_224", "zoo:resnet50_224"
    assert cli.main(["--out-dir", "deep/out", a, b]) == 0
    first, second = (
        read_executable(Path(f"deep/out/{stem}_edgetpu.tflite")).info
        for stem in ("mobilenet_v2_1.0_224", "resnet50_224")
    )
    assert first.caching_token == second.caching_token
    assert second.on_chip_offset_bytes == first.on_chip_bytes > 3_000_000
    out = capsys.readouterr().out
    assert f"streaming uncached model parameters: {format_size(second.off_chip_bytes)}" in out


def test_intermediate_tensors() -> None:
    model_file("a.tflite", tiny_chain(4))
    model_file("b.tflite", tiny_chain(4))
    assert cli.main(["-i", "t2", "a.tflite"]) == 0
    assert [s.name for s in read_executable(Path("a_edgetpu.tflite")).parts[0].outputs] == ["t2"]
    assert cli.main(["--intermediate-tensors", "t1:t3", "a.tflite", "b.tflite"]) == 0
    assert [s.name for s in read_executable(Path("a_edgetpu.tflite")).parts[0].outputs] == ["t1"]
    assert [s.name for s in read_executable(Path("b_edgetpu.tflite")).parts[0].outputs] == ["t3"]


def test_colon_in_the_name_of_a_tensor_of_the_only_model() -> None:
    tiny = Tiny()
    x, a, y = tiny.tensor("x"), tiny.tensor("call:0"), tiny.tensor("y")
    tiny.relu(x, a)
    tiny.relu(a, y)
    model_file("a.tflite", tiny.ends([x], [y]).build())
    assert cli.main(["-i", "call:0", "a.tflite"]) == 0


def test_minimum_runtime_decides_what_maps(capsys: Capture) -> None:
    tiny = Tiny()
    x, a, y = (tiny.tensor(name) for name in "xay")
    tiny.relu(x, a)
    tiny.operator("QUANTIZE", [a], [y])
    model_file("q.tflite", tiny.ends([x], [y]).build())
    for runtime, on_cpu in (("14", 0), ("10", 1)):
        assert cli.main(["-m", runtime, "q.tflite"]) == 0
        info = read_executable(Path("q_edgetpu.tflite")).info
        assert info.min_runtime_version == int(runtime)
        assert sum(w.target == "cpu" for w in info.operators) == on_cpu


@pytest.mark.parametrize("seconds", ["0.5e3", "1e30", "inf"])
def test_any_long_time_limit(seconds: str) -> None:
    assert cli.main(["-t", seconds, model_file()]) == 0


@pytest.mark.parametrize("flags", ["-a", "-sa", "-dsa", "--enable_multiple_subgraphs", "-as"])
def test_several_subgraphs(capsys: Capture, flags: str) -> None:
    assert cli.main([flags, model_file(data=branches()[0].build())]) == 0
    out = capsys.readouterr().out
    assert "Number of Edge TPU subgraphs: 2\n" in out
    assert "Number of operations that will run on CPU: 1\n" in out
    told = (
        "Number of Edge TPU subgraphs: 2\n"
        "Edge TPU subgraph 1: 3 operations #0, #3, #4\n"
        "Edge TPU subgraph 2: 2 operations #2, #5, behind HARD_SWISH #1\n"
        "CPU: HARD_SWISH #1 "
    )
    assert told in Path("m_edgetpu.log").read_text()
    assert len(read_executable(Path("m_edgetpu.tflite")).parts) == 2
    assert (told in out) == (flags not in ("-a", "--enable_multiple_subgraphs"))


def test_several_subgraphs_as_json(capsys: Capture) -> None:
    assert cli.main(["-a", "--json", model_file(data=branches()[0].build())]) == 0
    (model,) = json.loads(capsys.readouterr().out)["models"]
    assert model["edge_tpu_subgraphs"] == 2
    assert model["subgraphs"] == [
        {"operators": [0, 3, 4], "behind": None},
        {"operators": [2, 5], "behind": 1},
    ]


def test_several_subgraphs_go_with_other_options(capsys: Capture) -> None:
    data = branches()[0].build()
    model_file("a.tflite", data)
    model_file("b.tflite", data)

    def parts(name: str) -> int:
        return len(read_executable(Path(f"{name}_edgetpu.tflite")).parts)

    assert cli.main(["-a", "a.tflite", "b.tflite"]) == 0
    assert (parts("a"), parts("b")) == (2, 2)
    assert cli.main(["-a", "-i", "b", "a.tflite"]) == 0  # what the second part would begin with
    assert parts("a") == 1
    assert cli.main(["-a", "--cut_at", "1", "a.tflite"]) == 0
    assert [parts(f"a_segment_{i}_of_2") for i in (0, 1)] == [1, 1]
    assert cli.main(["-a", "-n", "2", "a.tflite"]) == 0


def test_search_delegate_is_accepted(capsys: Capture) -> None:
    assert cli.main(["-d", "-k", "4", model_file()]) == 0
    out = capsys.readouterr().out
    assert "Searching for valid delegate with step 4" in out
    assert "Try to compile segment with 12 ops" in out


def test_float_inputs_map_behind_their_converter(capsys: Capture) -> None:
    assert cli.main([model_file(data=float_input_model()), "-s"]) == 0
    out = capsys.readouterr().out
    assert "Number of operations that will run on Edge TPU: 1" in out
    assert "QUANTIZE                       1          Operation is otherwise supported" in out


def test_names_with_spaces_and_shell_characters() -> None:
    name = "a b; $(touch x) 'é'.tflite"
    assert cli.main([model_file(name)]) == 0
    assert files() == {
        name,
        "a b; $(touch x) 'é'_edgetpu.tflite",
        "a b; $(touch x) 'é'_edgetpu.log",
    }


def test_help_and_version(capsys: Capture) -> None:
    for flag in ("-h", "--help"):
        assert cli.main([flag]) == 0
        out = capsys.readouterr().out
        for option in ("--num_segments", "--intermediate_tensors", "zoo:NAME", "co-compiled"):
            assert option in out
    for flag in ("-v", "--version"):
        assert cli.main([flag]) == 0
        assert capsys.readouterr().out.startswith("Edge TPU Compiler version 16.0")


def test_as_a_process() -> None:
    model_file()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "compiler.cli"]
    done = subprocess.run(
        [*command, "m.tflite"], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    failed = subprocess.run(
        [*command, "gone.tflite"], env=environment, capture_output=True, text=True, check=False
    )
    assert failed.returncode == 2
    assert failed.stderr.startswith("gone.tflite does not exist")


# --------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("", "No model was given"),
        ("gone.tflite", "gone.tflite does not exist"),
        ("m.tflite gone.tflite", "gone.tflite does not exist"),
        ("zoo:nothing", "nothing"),
        ("-n 0 m.tflite", "num_segments is 0"),
        ("-n -2 m.tflite", "num_segments is -2"),
        ("-n 13 m.tflite", "num_segments is 13, but m.tflite has 12 operators"),
        ("-n many m.tflite", "num_segments is 'many', a whole number is needed"),
        ("-n 2 m.tflite n.tflite", "num_segments cannot be used with several models"),
        ("-n 2 -i x m.tflite", "num_segments cannot be combined with intermediate_tensors"),
        ("--cut_at 3 m.tflite n.tflite", "cut_at cannot be used with several models"),
        ("--cut_at 3 -n 2 m.tflite", "num_segments cannot be combined with cut_at"),
        ("--cut_at 3 -i x m.tflite", "cut_at cannot be combined with intermediate_tensors"),
        ("--cut_at , m.tflite", "cut_at is empty"),
        ("--cut_at nix m.tflite", "cut_at names 'nix', but no operation of m.tflite makes"),
        ("-d m.tflite n.tflite", "search_delegate cannot be used with several models"),
        ("-k 0 m.tflite", "delegate_search_step is 0"),
        ("-m 99 m.tflite", "min_runtime_version is 99, a runtime version from 10 to 14"),
        ("-t 0 m.tflite", "timeout_sec is 0"),
        ("-t soon m.tflite", "timeout_sec is 'soon'"),
        ("-t 0.000001 m.tflite", "longer than timeout_sec = 1e-06"),
        ("-t 1e-12 m.tflite", "longer than timeout_sec = 1e-12"),
        ("-i nix m.tflite", "'nix', but no tensor of m.tflite"),
        ("-i a m.tflite n.tflite", "1 lists separated by colons, but there are 2 models"),
        ("-i , m.tflite", "intermediate_tensors is empty"),
        ("-x m.tflite", "unrecognized arguments: -x"),
        ("--num_segments", "expected one argument"),
        ("m.tflite sub/m.tflite", "both be written to m_edgetpu.tflite"),
        ("-o m.tflite m.tflite", "out_dir m.tflite cannot be written"),
        ("text.tflite", "text.tflite: this is not a .tflite file"),
        ("float.tflite", "Invalid model: float.tflite: Model not quantized"),
        ("cut_off.tflite", "truncated"),
        ("done_edgetpu.tflite", "already compiled"),
    ],
)
def test_refusals(capsys: Capture, arguments: str, sentence: str) -> None:
    Path("sub").mkdir()
    for name in ("m.tflite", "n.tflite", "sub/m.tflite"):
        model_file(name)
    graph = float_model()
    model_file("float.tflite", cut(graph, 0, len(graph)))
    model_file("cut_off.tflite", random_graph(1, 12)[:-30])
    model_file("text.tflite", b"just some text, nothing else here")
    assert cli.main([model_file("done.tflite")]) == 0
    capsys.readouterr()
    assert sentence in refused(capsys, *arguments.split())


def test_outputs_never_replace_an_input(capsys: Capture) -> None:
    model_file("a.tflite")
    model_file("a_edgetpu.tflite", tiny_chain())
    assert "write over the input" in refused(capsys, "a.tflite", "a_edgetpu.tflite")


def test_outputs_appear_together_or_not_at_all(capsys: Capture) -> None:
    model_file()
    Path("out/m_segment_2_of_3_edgetpu.tflite").mkdir(parents=True)
    assert "cannot be written" in refused(capsys, "-n", "3", "-o", "out", "m.tflite")
    assert {path.name for path in Path("out").iterdir()} == {"m_segment_2_of_3_edgetpu.tflite"}


def test_earlier_outputs_are_replaced_whole() -> None:
    write_together(Path("o"), {"a": b"old and long", "b": b"1"})
    write_together(Path("o"), {"a": b"new"})
    assert {p.name: p.read_bytes() for p in Path("o").iterdir()} == {"a": b"new", "b": b"1"}


def test_interrupted_writing_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = os.replace, []

    def replace_once(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(os, "replace", replace_once)
    with pytest.raises(KeyboardInterrupt):
        write_together(Path("o"), {"a": b"1", "b": b"2", "c": b"3"})
    assert list(Path("o").iterdir()) == []


def test_full_disk_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match=r"out_dir o cannot be written \(No space left"):
        write_together(Path("o"), {"a": b"1"})
    assert list(Path("o").iterdir()) == []


def test_mistake_of_ours_is_one_line_too(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(command, "read_graph", broken)
    assert cli.main([model_file()]) == 1
    assert capsys.readouterr().err == (
        "Internal compiler error. Aborting! (ZeroDivisionError: oops)\n"
    )


def test_timer_is_put_back() -> None:
    import signal

    handler = signal.getsignal(signal.SIGALRM)
    assert cli.main([model_file()]) == 0
    assert signal.getsignal(signal.SIGALRM) == handler
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_same_command_same_files() -> None:
    for directory in ("one", "two"):
        assert cli.main(["-n", "2", "-o", directory, model_file()]) == 0
    for path in Path("one").iterdir():
        assert path.read_bytes() == (Path("two") / path.name).read_bytes()


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0.00B"),
        (1023, "1023.00B"),
        (1024, "1.00KiB"),
        (209_664, "204.75KiB"),
        (3_900_864, "3.72MiB"),
        (67_108_864, "64.00MiB"),
        (5 * 2**30, "5.00GiB"),
    ],
)
def test_sizes_as_the_compiler_prints_them(size: int, text: str) -> None:
    assert format_size(size) == text


def test_zoo_model_by_name() -> None:
    assert cli.main(["zoo:mobilenet_v2_1.0_224"]) == 0
    graph = read_graph("zoo:mobilenet_v2_1.0_224")
    executable = read_executable(Path("mobilenet_v2_1.0_224_edgetpu.tflite"))
    assert executable.parts[0].model == cut(graph, 0, len(graph))


def test_json_tells_where_and_why(capsys: Capture) -> None:
    assert cli.main([model_file(data=branches()[0].build()), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (model,) = document["models"]
    assert Path(model["output_model"]).exists()
    assert model["mapped_operators"] == 3
    by_index = {one["index"]: one for one in model["operators"]}
    assert by_index[1]["runs_on"] == "cpu"
    assert "not among the operators" in by_index[1]["reason"]
    assert by_index[2]["behind"] == 1


def test_nothing_mapped_is_not_called_a_success(capsys: Capture) -> None:
    tiny = Tiny()
    x, y = tiny.tensor("x"), tiny.tensor("y")
    tiny.operator("HARD_SWISH", [x], [y])
    assert cli.main([model_file(data=tiny.ends([x], [y]).build())]) == 0
    out = capsys.readouterr().out
    assert "Nothing runs on the Edge TPU: all 1 operations stay on the CPU" in out
    assert "no operation is mapped" in out
    assert "Compilation succeeded!" not in out


def test_the_table_is_printed_as_it_decides(capsys: Capture) -> None:
    assert cli.main(["--supported_ops"]) == 0
    text = capsys.readouterr().out
    assert cli.main(["--supported-ops=markdown"]) == 0
    markdown = capsys.readouterr().out
    for kind in SUPPORTED:
        assert f"\n{kind} " in text
        assert f"| {kind} |" in markdown
    assert "at most 16,000 elements" in text
    assert "seen in Google's packages" in text


# ----------------------------------------------------------------------- tried on a device


def of_an_unknown_version() -> bytes:
    """Nothing contradicts anything, but LiteRT has no such RELU."""
    tiny = Tiny()
    x, y = tiny.tensor("x"), tiny.tensor("y")
    tiny.operator("RELU", [x], [y], version=99)
    return tiny.ends([x], [y]).build()


def test_what_litert_refuses_is_not_written(capsys: Capture) -> None:
    model = model_file("m.tflite", of_an_unknown_version())
    sentence = refused(capsys, model)
    assert sentence.startswith("m.tflite cannot be prepared by LiteRT: ")
    assert "RELU" in sentence
    assert cli.main(["--skip_load_check", model]) == 0
    assert "Not checked with LiteRT: --skip_load_check was given." in capsys.readouterr().out


def test_whether_it_was_tried_is_in_the_document(capsys: Capture) -> None:
    model = model_file()
    assert cli.main(["--json", model]) == 0
    assert json.loads(capsys.readouterr().out)["not_checked_with_litert"] is None


def test_without_device_processes_the_own_checks_decide(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "fork")
    assert cli.main([model_file()]) == 0
    out = capsys.readouterr().out
    assert "Not checked with LiteRT: there are no device processes on this system." in out
