"""``edgetpu-doctor``: what it says of a sound machine, and of one that is not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from devices.attached import VARIABLE
from devices.coral import Attached, survey
from pycoral.doctor import machine, real
from pycoral.doctor.cli import main
from pycoral.doctor.finding import failed, ok
from tests.devices.coral.stub import USB_A, Stub, compiled, stub, stub_library

__all__ = ["compiled", "stub", "stub_library"]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real, "RUNS", 3)
    monkeypatch.delenv(VARIABLE, raising=False)


def by_name(text: str) -> dict[str, tuple[str, str]]:
    """The lines: outcome and text by the name of the check."""
    lines = re.findall(r"^(ok|failed|skipped) +(\S.{20}\S|\S.*?)  +(.*)$", text, re.MULTILINE)
    return {name.strip(): (outcome, found) for outcome, name, found in lines}


def test_without_a_real_device(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    assert main(["--library", str(tmp_path / "libedgetpu.so.1"), "--output", str(report)]) == 0
    out = capsys.readouterr().out
    told = by_name(out)
    assert told["system"][0] == told["LiteRT"][0] == "ok"
    assert re.search(r"takes registrations of \d+ bytes", told["LiteRT"][1])
    assert told["libedgetpu"][0] == "skipped"
    assert "bit for bit" in told["simulated devices"][1]
    document: dict[str, Any] = json.loads(report.read_text())
    assert [one["name"] for one in document["findings"]] == list(told)
    assert "ai-edge-litert" in document["packages"]
    counts = [sum(outcome == kind for outcome, _ in told.values()) for kind in ("ok", "skipped")]
    assert out.splitlines()[-1] == f"{counts[0]} ok, 0 failed, {counts[1]} skipped"


@pytest.mark.parametrize(("times", "agrees"), [(0.1, "outside"), (1.0, "within")])
def test_with_one_and_a_compiled_file(
    stub: Stub,
    compiled: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    times: float,
    agrees: str,
) -> None:
    """As published for a USB 3 desktop: docs/device-model.md."""
    modelled_ns = real.modelled_ns(machine.PROBE, "usb3-x86")
    monkeypatch.setattr(real.statistics, "median", lambda times_ns: times * modelled_ns)
    stub.attach(USB_A)
    stub.behave("old-struct")
    asked = ["--library", stub.library, "--compiled", str(compiled), "--model", machine.PROBE]
    assert main(asked) == 0
    told = by_name(capsys.readouterr().out)
    assert told["libedgetpu"] == ("ok", f"{stub.library}, BuildLabel(STUB=1), RuntimeVersion(14)")
    assert told["listed"] == ("ok", f"usb:0 {USB_A}")
    assert told["usb:0 opened"][0] == "ok"
    outcome, found = told["usb:0 run"]
    assert outcome == "ok"
    modelled_ms = modelled_ns / 1e6
    assert f" takes {times * modelled_ms:.3f} ms (median of 3)" in found
    assert f"registrations of 64 bytes; modelled on usb3-x86 {modelled_ms:.3f} ms, 4 of 5" in found
    assert found.endswith(f": {agrees}")


def test_a_device_that_does_not_open_fails(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    stub.attach(USB_A)
    stub.behave("abort-create")
    assert main(["--library", stub.library, "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    (opened,) = [one for one in findings if one["name"] == "usb:0 opened"]
    assert opened["outcome"] == "failed"
    assert "SIGABRT" in opened["found"]
    assert [one["outcome"] for one in findings if one["name"] == "usb:0 run"] == ["skipped"]


def test_the_library_of_simulated_devices_is_told_from_googles(stub: Stub) -> None:
    stub.behave("simulated")
    surveyed = survey(library=stub.library)
    found = machine.library(stub.library, surveyed, ())
    assert (found.outcome, "for simulated devices" in found.found) == ("ok", True)
    stick = Attached("usb", USB_A, Path("/dev/null"))
    found = machine.library(stub.library, surveyed, (stick,))
    assert (found.outcome, "Google's" in found.remedy) == ("failed", True)


def test_a_report_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pycoral.doctor.cli.examination", lambda *_: iter([ok("a", "b")]))
    (tmp_path / "file").touch()
    assert main(["--output", str(tmp_path / "file" / "report.json")]) == 2
    assert "output" in capsys.readouterr().err


def test_a_finding_is_one_line_whatever_it_quotes() -> None:
    line = failed("usb:0 opened", "died; its last output was:\n  F usb.cc] Abort", "replug").line()
    assert (
        line == "failed   usb:0 opened           died; its last output was: F usb.cc] Abort; replug"
    )
