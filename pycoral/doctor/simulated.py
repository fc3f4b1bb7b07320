"""Simulated Edge TPUs: which devices programs are given, and whether they compute as LiteRT."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from compiler import compile_graph, read_graph
from compiler.reading import read_source
from devices import DevicePool
from devices.apart import run_apart
from devices.attached import VARIABLE, attached_devices
from devices.coral import CoralRecord
from devices.errors import EdgeTpuError
from pycoral.doctor.finding import Finding, failed, ok
from pycoral.doctor.machine import PROBE

_COUNT = 2


def what_programs_see() -> Finding:
    """The devices that Coral programs are given, and why."""
    name = "given to programs"
    try:
        devices = attached_devices()
    except EdgeTpuError as error:
        return failed(name, str(error), f"set or unset {VARIABLE}")
    real = sum(isinstance(device.source, CoralRecord) for device in devices)
    kind = "real" if real else "simulated"
    names = ", ".join(device.name for device in devices) or "none"
    return ok(name, f"{names} ({kind}; {VARIABLE} says which to simulate)")


def simulated_devices() -> Finding:
    """A network of the zoo, compiled and run on each of two devices, beside LiteRT."""
    name = "simulated devices"
    try:
        model = read_source(PROBE)[0]
        segment = compile_graph(read_graph(PROBE))
        with tempfile.TemporaryDirectory() as folder, DevicePool.simulated(_COUNT) as pool:
            path = Path(folder, "probe_edgetpu.tflite")
            path.write_bytes(segment.data)
            for device in pool.devices:
                loaded = device.load(path)
                (spec,) = loaded.inputs
                value = np.random.default_rng(2).integers(-128, 128, spec.shape, spec.dtype)
                for _ in range(2):  # the first loads the parameters
                    outputs, timing = device.run(loaded.handle, {spec.name: value})
                expected = run_apart(model, [[value]])[0][0]
                if outputs[loaded.outputs[0].name].tobytes() != expected.tobytes():
                    return failed(
                        name, f"{device.name} computes {PROBE} otherwise than LiteRT", "report this"
                    )
    except (EdgeTpuError, OSError) as error:
        return failed(name, str(error))
    modelled_ms = timing.total_ns / 1e6
    return ok(
        name,
        f"{_COUNT} compute {PROBE} as LiteRT does, bit for bit; modelled {modelled_ms:.3f} ms an "
        "inference",
    )
