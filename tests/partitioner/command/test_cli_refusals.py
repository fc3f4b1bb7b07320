"""The command, given what it cannot use, or stopped."""

from __future__ import annotations

import os
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from ai_edge_litert import schema_py_generated as schema

import partitioner.command.acceptance
import partitioner.command.output_directory
from partitioner.measuring import UncutModelFails
from pipeline.errors import InferenceError
from tests.partitioner.command.running import Run, expected_files, files_of, one_sentence
from tests.tiny import Tiny


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "model_path is missing"),
        (["--model_path", "x.tflite"], "num_segments is missing"),
        (["--num_segments", "0"], "num_segments is 0, it must be at least 2"),
        (["--num_segments", "1"], "num_segments is 1, it must be at least 2"),
        (["--num_segments", "-4"], "num_segments is -4, it must be at least 2"),
        (["--num_segments", "two"], "num_segments is 'two', a whole number is needed"),
        (["--num_segments", "13"], "12 operators"),
        (["--num_segments", "2", "--diff_threshold_ns", "-1"], "diff_threshold_ns is -1"),
        (["--num_segments", "2", "--diff_threshold_ns", "1ms"], "diff_threshold_ns is '1ms'"),
        (["--num_segments", "2", "--partition_search_step", "0"], "partition_search_step is 0"),
        (["--num_segments", "2", "--delegate_search_step", "0"], "delegate_search_step is 0"),
        (["--num_segments", "2", "--device_type", "tpu"], "device_type is 'tpu'"),
        (["--num_segments", "2", "--strategy", "best"], "strategy is 'best'"),
        (["--num_segments", "2", "--order", "best"], "order is 'best', it must be any or file"),
        (["--num_segments", "2", "--num_devices", "0"], "num_devices is 0"),
        (["--num_segments", "2", f"--num_devices={10**20}"], "it must be at most 1024"),
        (["--num_segments=--"], "num_segments is '--', which is no value"),
        (["--num_segments", "2", "--pool", "x" * 300], "File name too long"),
        (["--num_segments", "2", "--report", "x" * 300], "File name too long"),
        (["--num_segments", "2", "--max_measurements", "0"], "max_measurements is 0"),
        (["--num_segments", "2", "--pool", "no.yaml"], "pool no.yaml does not exist"),
        (["--num_segments", "2", "--input", "no.bmp"], "input no.bmp does not exist"),
        (["--num_segments", "2", "--output_dir", ""], "output_dir is empty"),
        (["--num_segments", "2", "--target_fps", "5"], "target_fps is given, but num_segments is"),
        (["--num_segments", "auto", "--target_fps", "-5"], "target_fps is '-5'"),
        (["--num_segments", "auto", "--margin", "20 %"], "margin is given, but no target"),
        (["--target_fps=5", "--num_segments=auto", "--margin", "-5"], "margin is '-5', a percent"),
        (["--num_segments", "auto", "--host_cores", "0"], "host_cores is 0"),
        (["--num_segments", "auto", "--max_latency_ms", "nan"], "max_latency_ms is 'nan'"),
        (["--num_segments", "auto", "--max_latency_ms", "1e303"], "from 0.000001 to 1000000000"),
        (["--num_segments", "auto", "--max_latency_ms", "1e-9"], "max_latency_ms is '1e-9'"),
        (["--num_segments", "auto", "--strategy", "bisection"], "sought with optimal only"),
        (["--sweep", "1-2", "--strategy", "exhaustive"], "sought with optimal only"),
        (["--sweep", "3-1"], "sweep is '3-1', the numbers must ascend"),
        (["--sweep", "0-2"], "sweep is '0-2'"),
        (["--sweep", "1-1000"], "from 1 to 64 at most"),
        (["--sweep", "few"], "numbers of TPUs such as 1-8 are needed"),
        (["--num_segments", "2", "--real"], "real is given, but no edgetpu_compiler_binary"),
        (["--num_segments", "2", "--real", "--pool", "p.yaml"], "real and pool are both given"),
        (["--num_segments", "2", "--report", "/no/such/dir/x.html"], "cannot be written"),
        (["--num_segments", "2", "--report", "/"], "report / is a directory"),
        (["--num_segments", "2", "--report", "/dev/null"], "report /dev/null is no regular file"),
        (["--num_segments", "2", "--first_cut", "pi6"], "first_cut is 'pi6', it must be pool, "),
        (
            ["--num_segments", "2", "--first_cut", "pool", "--strategy", "bisection"],
            "first_cut is given, but strategy is 'bisection'",
        ),
        (["--num_segments", "2", "--surprise"], "unrecognized arguments: --surprise"),
        (["--num_segments", "2", "--edgetpu_compiler_binary", "/no/such"], "does not exist"),
        (
            [
                "--num_segments",
                "2",
                "--initial_lower_bound_ns",
                "5",
                "--initial_upper_bound_ns",
                "5",
            ],
            "initial_upper_bound_ns is 5, it must be above initial_lower_bound_ns, 5",
        ),
    ],
)
def test_wrong_options(
    run: Run, model: Path, out: Path, arguments: list[str], sentence: str
) -> None:
    given = arguments
    if arguments and "--model_path" not in arguments:
        given = ["--model_path", str(model), "--output_dir", str(out), *arguments]
    code, printed, told = run(*given)
    assert (code, printed) == (2, "")
    assert sentence in told
    assert one_sentence(told)
    assert not out.exists()


def test_wrong_models(run: Run, out: Path, tmp_path: Path) -> None:
    rubbish = tmp_path / "rubbish.tflite"
    rubbish.write_bytes(b"rubbish" * 100)
    for path in (tmp_path / "missing.tflite", tmp_path, rubbish, "zoo:no_such_model"):
        code, printed, told = run("--model_path", path, "--num_segments", 2, "--output_dir", out)
        assert (code, printed) == (2, "")
        assert one_sentence(told)
    assert not out.exists()


def test_wrong_pools(run: Run, model: Path, out: Path, tmp_path: Path) -> None:
    pool = tmp_path / "pool.yaml"
    base = ("--model_path", model, "--num_segments", 2, "--output_dir", out, "--pool", pool)
    for content, options, sentence in [
        ("devices: [", (), "is not valid YAML"),
        ("devices: 2\ndevices: 3", (), "pool.yaml:2:1: the key 'devices' stands here a second"),
        ("link: usb\ndevices:\n- {}\n- {hst: x}", (), "pool.yaml:4:4: "),
        ("devices:\n- {faults: [{kind: die, at: 0}]}", (), "pool.yaml:2:29: "),
        ("devices: none", (), "must be a number of devices"),
        ("devices: 2", ("--num_devices", 3), "has 2 devices, but 3 are needed"),
        ("devices: 2", ("--device_type", "pcionly"), "has 0 pcie devices"),
    ]:
        pool.write_text(content)
        code, _, told = run(*base, *options)
        assert code == 2
        assert sentence in told
        assert one_sentence(told)
    assert not out.exists()


def test_output_dir_that_is_a_file(run: Run, model: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("precious")
    for path in (file, file / "below"):
        code, _, told = run("--model_path", model, "--num_segments", 2, "--output_dir", path)
        assert code == 2
        assert "is not a valid directory" in told
    assert file.read_text() == "precious"


def test_output_dir_without_permission(
    run: Run, model: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(partitioner.command.output_directory.tempfile, "TemporaryFile", refuse)
    code, _, told = run("--model_path", model, "--num_segments", 2, "--output_dir", out)
    assert code == 2
    assert one_sentence(told)
    assert f"permission denied to output_dir {out}" in told
    assert not out.parent.exists()


def test_all_files_or_none(run: Run, model: Path, out: Path) -> None:
    """The place of one is taken by a directory, so nothing else may stay either."""
    (out / "partition.json").mkdir(parents=True)
    page = out.parent / "page.html"
    base = ("--model_path", model, "--num_segments", 2, "--output_dir", out, "--quiet")
    code, _, told = run(*base, "--report", page)
    assert code == 2
    assert one_sentence(told)
    assert files_of(out) == {"partition.json"}
    assert files_of(out.parent) == {out.name}
    (out / "partition.json").rmdir()
    assert run(*base, "--report", page)[0] == 0
    assert files_of(out.parent) == {out.name, page.name}


def test_never_over_its_own_model(run: Run, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "partition.json"
    path.write_bytes(data)
    code, _, told = run("--model_path", path, "--num_segments", 2, "--output_dir", tmp_path)
    assert code == 2
    assert "holds the model" in told
    assert path.read_bytes() == data
    assert files_of(tmp_path) - {"cache"} == {"partition.json"}


def test_no_report_over_what_is_read_or_written_besides(
    run: Run, model: Path, out: Path, tmp_path: Path, data: bytes
) -> None:
    pool, beside = tmp_path / "pool.yaml", tmp_path / "link.html"
    pool.write_text("devices: 2\n")
    beside.symlink_to(model)
    out.mkdir(parents=True)
    base = ("--model_path", model, "--num_segments", 2, "--output_dir", out, "--pool", pool)
    for report, what in (
        (model, "there and no HTML page, which would be lost"),
        (beside, "there and no HTML page, which would be lost"),
        (pool, "there and no HTML page, which would be lost"),
        (out / "partition.json", "written besides"),
        (out / "net.v2_segment_1_of_2_edgetpu.tflite", "written besides"),
    ):
        code, printed, told = run(*base, "--report", report)
        assert (code, printed) == (2, "")
        assert told == f"report {report} is {what}; give another path.\n"
    assert model.read_bytes() == data
    assert not files_of(out)


def test_a_name_too_long(run: Run, model: Path, tmp_path: Path) -> None:
    code, _, told = run("--model_path", model, "--num_segments", 2, "--output_dir", "x" * 300)
    assert code == 2
    assert "cannot be used (File name too long); give another directory" in told
    assert one_sentence(told)


def test_interrupt_leaves_nothing(
    run: Run, model: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(partitioner.command.acceptance, "verify_chain", interrupted)
    code, _, told = run("--model_path", model, "--num_segments", 2, "--output_dir", out, "--quiet")
    assert code == 130
    assert "Interrupted; nothing was written." in told
    assert not out.exists()


def test_sigterm_leaves_nothing(
    run: Run, model: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def terminated(*_: Any, **__: Any) -> None:
        signal.raise_signal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(partitioner.command.acceptance, "verify_chain", terminated)
    code, _, told = run(
        "--model_path", model, "--num_segments", 2, "--output_dir", out, "--quiet",
        "--report", tmp_path / "page.html",
    )  # fmt: skip
    assert code == 143
    assert told == "Terminated; nothing was written.\n"
    assert not out.exists()
    assert not list(tmp_path.glob("*.html*"))
    assert not list(tmp_path.glob(".*html*"))
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_files_are_moved_comes_too_late(
    run: Run, model: Path, out: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """All files are there then, which would not be said."""
    move = os.replace

    def disturbed(source: Path, target: Path) -> None:
        move(source, target)
        if target.parent == out:
            signal.raise_signal(number)

    monkeypatch.setattr("devices.files.os.replace", disturbed)
    base = ("--model_path", model, "--num_segments", 2, "--output_dir", out, "--quiet")
    code, printed, told = run(*base, "--no-verify")
    assert (code, told) == (0, "")
    assert "Segments have been saved" in printed
    assert files_of(out) == expected_files(2)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_segments_that_cannot_run_are_not_written(
    run: Run, model: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise InferenceError(item=0, segment=1, device="usb:1", cause="LiteRT gives up")

    monkeypatch.setattr(partitioner.command.acceptance, "verify_chain", fails)
    code, printed, told = run(
        "--model_path", model, "--num_segments", 2, "--output_dir", out, "--quiet"
    )
    assert (code, printed) == (2, "")
    assert one_sentence(told)
    assert "the segments cannot be run (Item 0 failed in segment 1" in told
    assert not out.exists()


def test_an_uncut_model_that_cannot_run_is_excused(
    run: Run, model: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise UncutModelFails("the uncut model cannot be run by LiteRT: no such operator")

    monkeypatch.setattr(partitioner.command.acceptance, "verify_chain", fails)
    code, printed, _ = run(
        "--model_path", model, "--num_segments", 2, "--output_dir", out, "--quiet"
    )
    assert code == 0
    assert "not compared, the uncut model cannot be run by LiteRT" in printed


@pytest.mark.parametrize("arguments", [("--num_segments", 2), ("--num_segments", "auto")])
def test_nothing_is_advised_where_nothing_is_mapped(
    run: Run, out: Path, tmp_path: Path, arguments: tuple[object, ...]
) -> None:
    """Three operators, all on the CPU of the host: cutting or copying helps nobody."""
    tiny = Tiny()
    tensors = [tiny.tensor(f"t{i}") for i in range(4)]
    for before, after in pairwise(tensors):
        tiny.operator("HARD_SWISH", [before], [after], schema.HardSwishOptionsT())
    path = tmp_path / "m.tflite"
    path.write_bytes(tiny.ends([tensors[0]], [tensors[-1]]).build())
    code, printed, told = run("--model_path", path, "--output_dir", out, "--quiet", *arguments)
    assert (code, printed) == (2, "")
    assert one_sentence(told)
    assert "none of its 3 operators run on an Edge TPU (the first, HARD_SWISH #0" in told
    assert "nothing to advise" in told
    assert not out.exists()
