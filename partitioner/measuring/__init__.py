"""Asking devices: compile a segment, run it until its median is known, compare the outputs."""

from __future__ import annotations

from partitioner.measuring.bench import DRIFT, Measurement
from partitioner.measuring.compile_cache import CachedCompiler, FingerprintedCompiler
from partitioner.measuring.compilers import (
    BuiltInCompiler,
    CompilationFailed,
    ExternalCompiler,
    SegmentCompiler,
    SegmentFiles,
)
from partitioner.measuring.confidence import Confidence, compact, confidence_in
from partitioner.measuring.device_kinds import DeviceKind, kinds_of, placement, stage_devices
from partitioner.measuring.executable_operators import operators_of
from partitioner.measuring.kept import KeptFiles, default_cache_directory
from partitioner.measuring.measurement_store import MeasurementStore, can_be_stored
from partitioner.measuring.profile import DeviceProfiler
from partitioner.measuring.random_tensors import random_tensors
from partitioner.measuring.stopping import MeasuringStopped, StopSign
from partitioner.measuring.trial_run import TrialRun, try_pipeline
from partitioner.measuring.verify import (
    UncutModelFails,
    Verification,
    input_specs,
    verify_chain,
    verify_on_devices,
)

__all__ = [
    "DRIFT",
    "BuiltInCompiler",
    "CachedCompiler",
    "CompilationFailed",
    "Confidence",
    "DeviceKind",
    "DeviceProfiler",
    "ExternalCompiler",
    "FingerprintedCompiler",
    "KeptFiles",
    "Measurement",
    "MeasurementStore",
    "MeasuringStopped",
    "SegmentCompiler",
    "SegmentFiles",
    "StopSign",
    "TrialRun",
    "UncutModelFails",
    "Verification",
    "can_be_stored",
    "compact",
    "confidence_in",
    "default_cache_directory",
    "input_specs",
    "kinds_of",
    "operators_of",
    "placement",
    "random_tensors",
    "stage_devices",
    "try_pipeline",
    "verify_chain",
    "verify_on_devices",
]
