"""The command on pools of devices: unequal, noisy, hot, dying, real."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from devices import DevicePool
from partitioner.check_partition import main as check
from tests.partitioner.command.running import COMPILER, Run, script


def test_pool_with_a_device_that_dies(run: Run, model: Path, out: Path, tmp_path: Path) -> None:
    pool = tmp_path / "pool.yaml"
    pool.write_text(
        "link: pcie\nclock: realtime\ndevices:\n"
        "  - {faults: [{kind: die, at: 6}]}\n  - {count: 1}\n  - {link: usb}\n"
    )
    code, _, _ = run(
        "--model_path", model, "--num_segments", 2, "--output_dir", out, "--pool", pool
    )
    assert code == 0
    report = json.loads((out / "partition.json").read_text())
    assert [device["link"] for device in report["devices"]] == ["pcie", "pcie", "usb"]
    assert list(report["lost_devices"]) == ["pcie:0"]
    assert all(segment["device"] != "pcie:0" for segment in report["segments"])


def test_all_devices_die(run: Run, model: Path, out: Path, tmp_path: Path) -> None:
    pool = tmp_path / "pool.yaml"
    pool.write_text("devices: [{faults: [{kind: die, at: 3}]}]\n")
    code, printed, told = run(
        "--model_path", model, "--num_segments", 2, "--output_dir", out, "--pool", pool, "--quiet"
    )
    assert (code, printed) == (2, "")
    assert "no device is left to measure segments on" in told
    assert not out.exists()
    assert not out.parent.exists()


def test_a_device_that_dies_when_the_finished_pipeline_is_run(
    run: Run, model: Path, out: Path, tmp_path: Path
) -> None:
    """What is only predicted then is not told without saying why."""
    pool = tmp_path / "pool.yaml"
    pool.write_text("faults: [{kind: die, at: 60}]\ndevices: 2\n")
    base = ("--model_path", model, "--num_segments", 2, "--output_dir", out, "--pool", pool)
    code, printed, _ = run(*base)
    assert code == 0
    assert "inferences/s (predicted)" in printed
    report = json.loads((out / "partition.json").read_text())
    assert report["trial_run"] is None
    (warning,) = report["warnings"]
    assert warning.startswith("the finished pipeline could not be run to its end: The pipeline")
    assert warning in " ".join(printed.split())


def test_unequal_devices(run: Run, model: Path, out: Path, tmp_path: Path) -> None:
    pool = tmp_path / "pool.yaml"
    pool.write_text("devices: [{link: usb}, {link: pcie, count: 2}, {latency_scale: 9}]\n")
    base = ("--model_path", model, "--num_segments", 3, "--output_dir", out, "--pool", pool)
    code, printed, _ = run(*base, "--diff_threshold_ns", 0)
    assert code == 0
    report = json.loads((out / "partition.json").read_text())
    segments = report["segments"]
    assert len({segment["device"] for segment in segments}) == 3
    assert sorted(segment["kind"] for segment in segments) == ["pcie", "pcie", "usb3-x86 1"]
    assert all(segment["device"].startswith(segment["link"]) for segment in segments)
    assert all(segment["device"] in printed for segment in segments)
    assert report["trial_run"]["throughput"] == pytest.approx(1e9 / report["bottleneck_ns"])
    fewer = run(*base, "--num_devices", 2)[0]
    assert fewer == 0
    report = json.loads((out / "partition.json").read_text())
    assert [device["name"] for device in report["devices"]] == ["usb:0"]
    assert run(*base, "--strategy", "parameter-count")[0] == 2


def test_noise_by_seed(run: Run, model: Path, out: Path, tmp_path: Path) -> None:
    pool = tmp_path / "pool.yaml"
    pool.write_text("noise_sigma: 0.05\nnoise_seed: 4\ndevices: 2\n")
    base = ("--model_path", model, "--num_segments", 2, "--output_dir", out, "--pool", pool)
    base = (*base, "--no-cache", "--max_measurements", 8)
    contents = []
    for _ in range(2):
        code, printed, _ = run(*base, "--diff_threshold_ns", 0)
        assert code == 0
        contents.append((out / "partition.json").read_bytes())
    assert contents[0] == contents[1]
    report = json.loads(contents[0])
    assert 0.0 < report["confidence"]["probability"] <= 1.0
    assert report["confidence"]["widest"] > 0.0
    assert f"{100 * report['confidence']['probability']:.0f} % that no cut measured" in printed
    for segment in report["segments"]:
        low, high = segment["interval_ns"]
        assert low <= segment["latency_ns"] <= high
        assert segment["runs"] >= 6
    widest = f"known to {100 * report['confidence']['widest']:.1f} %"
    assert f"runs scatter: those of this cut are {widest}" in report["why"]
    assert widest in printed.replace(report["why"], "").replace("\n", " ")


def test_devices_faster_than_their_clock(run: Run, model: Path, out: Path, tmp_path: Path) -> None:
    """Nothing is divided by the 0 ns that everything takes."""
    pool = tmp_path / "pool.yaml"
    pool.write_text("latency_scale: 0.000001\ndevices: 2\n")
    base = ("--model_path", model, "--num_segments", 2, "--output_dir", out, "--pool", pool)
    code, printed, _ = run(*base, "--report", tmp_path / "page.html")
    assert code == 0
    assert "unlimited" in printed
    assert "does not compile" not in printed
    report = json.loads((out / "partition.json").read_text())
    assert (report["bottleneck_ns"], report["trial_run"], report["speed_up"]) == (0, None, None)
    assert check([str(out / "partition.json")]) == 0


def test_a_hot_device_is_used_last(run: Run, model: Path, out: Path, tmp_path: Path) -> None:
    pool = tmp_path / "pool.yaml"
    hot = "{faults: [{kind: slow, at: 1, factor: 3, count: null}]}"
    base = ("--model_path", model, "--num_segments", 2, "--output_dir", out, "--pool", pool)
    for spare, told in ((", {count: 2}", False), (", {count: 1}", True)):
        pool.write_text(f"devices: [{hot}{spare}]\n")
        assert run(*base)[0] == 0
        warnings = json.loads((out / "partition.json").read_text())["warnings"]
        assert "usb:0 takes 3.00 times as long as its peers" in warnings[0]
        assert (len(warnings) == 2) == told
        if told:
            assert "the finished pipeline reached" in warnings[1]


def test_real_devices(
    run: Run, model: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to the device, which is a simulated one here."""
    monkeypatch.setattr(DevicePool, "coral", lambda: DevicePool.simulated(3))
    binary = script(tmp_path, COMPILER)
    base = (
        "--real", "--edgetpu_compiler_binary", binary, "--model_path", model,
        "--num_segments", 2, "--output_dir", out, "--cache_dir", tmp_path / "kept",
    )  # fmt: skip
    code, _, _ = run(*base)
    assert code == 0
    report = json.loads((out / "partition.json").read_text())
    assert [device["name"] for device in report["devices"]] == ["usb:0", "usb:1", "usb:2"]
    assert report["outputs_identical"].startswith("yes")
    assert list((tmp_path / "kept").iterdir())
    assert run(*base, "--num_devices", 1)[0] == 0
    report = json.loads((out / "partition.json").read_text())
    assert report["outputs_identical"] == "not compared, there are fewer devices than segments"
    code, _, told = run(*base, "--device_type", "pcionly")
    assert code == 2
    assert "no Edge TPU of that kind" in told


def test_no_real_devices(run: Run, model: Path, out: Path, tmp_path: Path) -> None:
    code, _, told = run(
        "--real", "--edgetpu_compiler_binary", script(tmp_path, ""), "--model_path", model,
        "--num_segments", 2, "--output_dir", out,
    )  # fmt: skip
    assert code == 2
    assert "no Edge TPU is attached" in told
    assert not out.exists()
