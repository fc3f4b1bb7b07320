"""The hosts as people and programs are told of them."""

from __future__ import annotations

import json

import pytest

from devices.chip import HOSTS
from devices.hosts_cli import main
from devices.simulated import model_error


def test_every_host_has_its_line_and_powers_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    for host in HOSTS.values():
        assert sum(line.split()[:1] == [host.name] for line in lines) == 2, (
            "numbers, and what it is"
        )
    assert [line.split(" draws ")[0] for line in lines if line.startswith("power")] == [
        "power: the accelerator",
        "power, dev-board: the whole board",
    ]


def test_json_has_all_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json"]) == 0
    told = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert list(told) == list(HOSTS)
    assert told["dev-board"]["overhead_ns"] == HOSTS["dev-board"].overhead_ns
    assert told["pi4-usb3"]["power_w"]["active"] == {"low": 1.0, "likely": 2.0, "high": 2.5}
    assert told["dev-board"]["power_w"]["includes"] == "the whole board"


def test_how_far_a_rate_is_to_be_trusted() -> None:
    """A slow one is told with as many digits as say something."""
    device = {"name": "usb:0", "host": "pi4-usb3", "spread": 0.25}
    assert model_error([device], 100.0).endswith("factor 1.25, here 80.0 to 125.0/s")
    assert model_error([device], 0.004).endswith("here 0.0032 to 0.005/s")
