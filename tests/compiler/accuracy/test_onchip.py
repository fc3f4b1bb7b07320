"""The rule for parameter memory beside published compiler logs, and writing tables into a page."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.accuracy.__main__ import filled, main
from compiler.accuracy.onchip import logs, onchip_report
from devices.errors import ConfigError
from tests.tiny import tiny_chain

DOCS = Path(__file__).resolve().parents[3] / "docs"


def test_how_far_the_rule_is_off() -> None:
    errors = sorted(abs(one.error_mib) for one in logs())
    assert errors[len(errors) // 2] <= 0.2
    assert sum(error <= 1.0 for error in errors) >= 0.8 * len(errors)


def test_the_page_shows_the_logs() -> None:
    page = (DOCS / "compiler.md").read_text(encoding="utf-8")
    assert page == filled(page, {"onchip": onchip_report()})


def test_a_section_is_filled_and_nothing_else() -> None:
    page = "a\n<!-- one -->\n<!-- end -->\nb\n<!-- two -->\nold\n<!-- end -->\nc"
    page = filled(page, {"one": "first", "none": ""})
    assert page == "a\n<!-- one -->\nfirst\n<!-- end -->\nb\n<!-- two -->\nold\n<!-- end -->\nc"
    assert filled(filled(page, {"two": "x"}), {"two": "y"}).endswith(
        "<!-- two -->\ny\n<!-- end -->\nc"
    )
    with pytest.raises(ConfigError, match="no section <!-- three -->"):
        filled(page, {"three": ""})


def test_a_page_without_the_sections(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.tflite").write_bytes(tiny_chain())
    page = tmp_path / "page.md"
    page.write_text("nothing")
    assert main([str(tmp_path), "--write", str(page)]) == 2
    assert "no section" in capsys.readouterr().err
    assert page.read_text() == "nothing"
