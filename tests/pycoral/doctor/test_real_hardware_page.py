"""The programs of docs/real-hardware.md, as far as they can run without hardware."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from compiler import compile_graph, read_graph
from compiler.reading import read_source
from devices.attached import VARIABLE
from devices.nursery import hold_nursery
from pycoral.edge_tpus import edge_tpus
from tests.devices.coral.stub import USB_A, Stub, compiled, stub, stub_library

__all__ = ["compiled", "stub", "stub_library"]

PAGE = Path(__file__).resolve().parents[3] / "docs" / "real-hardware.md"
NAME = "mobilenet_v1_0.25_128"


def program(word: str) -> str:
    """The one program of the page that has this word."""
    programs = re.findall(r"```py\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (found,) = [text for text in programs if word in text]
    return found


def test_the_comparison_with_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, "usb:1")
    Path(f"{NAME}.tflite").write_bytes(read_source(f"zoo:{NAME}")[0])
    Path(f"{NAME}_edgetpu.tflite").write_bytes(compile_graph(read_graph(f"zoo:{NAME}")).data)
    try:
        exec(program("same"), {})
    finally:
        edge_tpus().close()
    assert capsys.readouterr().out == "same: 10 of 10\n"


def test_the_loop_survives_a_stick_that_is_pulled_out(
    stub: Stub,
    compiled: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(Path(stub.library).parent))
    stub.attach(USB_A)
    compiled.rename(f"{NAME}_edgetpu.tflite")

    def pull_out() -> None:
        stub.behave("abort-invoke")

    def be_gone() -> None:
        stub.behave("busy")
        stub.attach()

    def plug_in() -> None:
        stub.behave()
        stub.attach(USB_A)

    seconds = iter([pull_out, be_gone, plug_in])
    monkeypatch.setattr(time, "sleep", lambda _: next(seconds)())
    release = hold_nursery()
    try:
        exec(program("goes on"), {})
    finally:
        edge_tpus().close()
        release()
    sentences = re.findall(r"^device usb:0 .*", out := capsys.readouterr().out, re.MULTILINE)
    assert "killed by SIGABRT" in sentences[0]
    assert "it is not attached any more" in sentences[1]
    assert out.endswith("\ngoes on\n")
