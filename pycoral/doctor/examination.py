"""All checks, one after the other, each told as soon as it is known."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import distributions
from typing import Any

import edgetpu_pipeline
from devices.coral import attached_edge_tpus, survey
from devices.nursery import hold_nursery
from pycoral.doctor import machine, real, simulated
from pycoral.doctor.finding import Finding
from pycoral.doctor.real import Trial

_TELLING = ("EDGETPU_", "USB_", "LD_LIBRARY_PATH")
_PACKAGES = {"ai-edge-litert", "edgetpu-pipeline", "numpy", "pycoral", "tflite-runtime"}


def examination(library: str, trial: Trial) -> Iterator[Finding]:
    """Check the machine, real Edge TPUs, and simulated ones; each check ends within its time."""
    release = hold_nursery()
    try:
        attached = attached_edge_tpus()
        surveyed = survey(library=library)
        yield machine.system()
        yield machine.litert()
        yield machine.library(library, surveyed, attached)
        yield from real.attached_and_listed(attached, surveyed)
        for record in surveyed.records:
            yield from real.examine(record, attached, library, trial)
        yield simulated.what_programs_see()
        yield simulated.simulated_devices()
    finally:
        release()


def report(findings: Sequence[Finding]) -> dict[str, Any]:
    """What there is to send to who helps: the findings, and what they may depend on."""
    installed = {
        distribution.name: distribution.version
        for distribution in distributions()
        if distribution.name.lower().replace("_", "-") in _PACKAGES
    }
    return {
        "edgetpu_pipeline": edgetpu_pipeline.VERSION,
        "kernel": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "python": platform.python_version(),
        "packages": dict(sorted(installed.items())),
        "environment": {
            name: value for name, value in sorted(os.environ.items()) if name.startswith(_TELLING)
        },
        "attached": [
            {**asdict(device), "node": str(device.node)} for device in attached_edge_tpus()
        ],
        "findings": [asdict(finding) for finding in findings],
    }
