"""Real Edge TPUs: seen, listed, allowed, opened, and one model run, its time beside the model's."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compiler import CompileOptions, compile_graph, read_graph
from devices.chip import DEFAULT_HOSTS, HOSTS, DeviceConfig, SimulatedChip
from devices.coral import (
    Attached,
    CoralDevice,
    CoralRecord,
    Survey,
    why_none_attached,
    why_unusable,
)
from devices.device import TensorSpec
from devices.errors import EdgeTpuError
from pycoral.doctor.finding import Finding, failed, ok, skipped

RUNS = 50
_WARM_UP = 3
_SUPERSPEED = 5000


@dataclass(frozen=True)
class Trial:
    """What to run on a device: a file of Google's compiler, and the model it was made of."""

    compiled: Path | None = None
    model: str | None = None
    host: str | None = None


def attached_and_listed(attached: tuple[Attached, ...], surveyed: Survey) -> Iterator[Finding]:
    """What the system sees, and whether the library sees the same."""
    if not attached:
        reason = why_none_attached()
        undriven = "no driver" in reason
        yield (failed if undriven else skipped)("attached", *_halves(reason))
    else:
        yield ok("attached", ", ".join(f"{device.path}{_state(device)}" for device in attached))
    if surveyed.version is None:
        yield skipped("listed", "libedgetpu cannot be asked")
        return
    listed = [record.path for record in surveyed.records]
    missing = [device.path for device in attached if device.path not in listed]
    if missing:
        yield failed(
            "listed",
            f"libedgetpu does not list {', '.join(missing)}",
            "check that you may read /dev/bus/usb (group plugdev), and plug it in again",
        )
    elif listed:
        yield ok("listed", ", ".join(f"{one.name} {one.path}" for one in surveyed.records))
    else:
        yield skipped("listed", "libedgetpu lists no device")


def examine(
    record: CoralRecord, attached: tuple[Attached, ...], library: str, trial: Trial
) -> Iterator[Finding]:
    """One device: permissions, link, whether it opens, whether it runs a model."""
    seen = next((device for device in attached if device.path == record.path), None)
    speed = None
    if seen is not None:
        yield _access(record, seen)
        yield _link(record, seen)
        speed = seen.speed_mbit_per_s
    opened, ran = f"{record.name} opened", f"{record.name} run"
    try:
        device = CoralDevice(record, library=library)
    except EdgeTpuError as error:
        yield failed(opened, str(error))
        yield skipped(ran, "it cannot be opened")
        return
    try:
        yield ok(opened, f"{record.path}, in process {device.pid}")
        yield _run(ran, device, trial, speed)
    except EdgeTpuError as error:
        yield failed(ran, str(error))
    finally:
        device.close()


def _access(record: CoralRecord, seen: Attached) -> Finding:
    why = why_unusable(seen)
    name = f"{record.name} access"
    return failed(name, why) if why else ok(name, f"{seen.node} can be read and written")


def _link(record: CoralRecord, seen: Attached) -> Finding:
    name = f"{record.name} link"
    if seen.link == "pcie":
        return ok(name, "PCIe")
    if seen.speed_mbit_per_s is None:
        return skipped(name, "the system does not tell its speed")
    found = f"USB, {seen.speed_mbit_per_s} Mbit/s"
    if seen.speed_mbit_per_s >= _SUPERSPEED:
        return ok(name, found)
    return ok(name, found, "this is USB 2, several times slower; use a USB 3 port, cable and hub")


def _run(name: str, device: CoralDevice, trial: Trial, speed_mbit_per_s: int | None) -> Finding:
    if trial.compiled is None:
        return skipped(
            name,
            "no file of Google's compiler was given",
            "give one with --compiled, and what it was made of with --model",
        )
    loaded = device.load(trial.compiled)
    stream = np.random.default_rng(1)
    inputs = {spec.name: _random(stream, spec) for spec in loaded.inputs}
    times_ns = [device.run(loaded.handle, inputs)[1].total_ns for _ in range(_WARM_UP + RUNS)]
    measured_ms = statistics.median(times_ns[_WARM_UP:]) / 1e6
    found = (
        f"{trial.compiled.name} takes {measured_ms:.3f} ms (median of {RUNS}), registrations of "
        f"{device.registration_layout()}"
    )
    if trial.model is None:
        return ok(name, found, "give the model it was made of with --model to compare")
    usual = "usb2-x86" if (speed_mbit_per_s or _SUPERSPEED) < _SUPERSPEED else ""
    host = HOSTS[trial.host or usual or DEFAULT_HOSTS[device.link]]
    modelled_ms = modelled_ns(trial.model, host.name) / 1e6
    low_ms, high_ms = modelled_ms / (1 + host.spread), modelled_ms * (1 + host.spread)
    agree = "within" if low_ms <= measured_ms <= high_ms else "outside"
    return ok(
        name,
        f"{found}; modelled on {host.name} {modelled_ms:.3f} ms, 4 of 5 networks from "
        f"{low_ms:.3f} to {high_ms:.3f} ms: {agree}",
    )


def modelled_ns(model: str, host: str) -> int:
    """What a simulated device on a host takes for a model whose parameters are loaded."""
    segment = compile_graph(read_graph(model), CompileOptions())
    chip = SimulatedChip("modelled", DeviceConfig(host=host, link=HOSTS[host].link, compute="none"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model_edgetpu.tflite")
        path.write_bytes(segment.data)
        loaded = chip.load(path)
        inputs = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in loaded.inputs}
        return [chip.execute(loaded.handle, inputs).total_ns for _ in range(2)][-1]


def _random(stream: np.random.Generator, spec: TensorSpec) -> np.ndarray:
    if np.issubdtype(np.dtype(spec.dtype), np.integer):
        limits = np.iinfo(spec.dtype)
        return stream.integers(limits.min, limits.max, spec.shape, spec.dtype, endpoint=True)
    return stream.random(spec.shape).astype(spec.dtype)


def _state(device: Attached) -> str:
    return " (firmware not loaded yet)" if device.dfu else ""


def _halves(sentence: str) -> tuple[str, str]:
    found, _, remedy = sentence.partition("; ")
    return found, remedy
