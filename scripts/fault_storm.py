"""Kill, stop, slow down and confuse devices under random pipelines, and count what goes wrong.

    python scripts/fault_storm.py --faults 10000 --seed 1

Every round builds a random pipeline: a random graph cut at random places and computed exactly,
or a model of the zoo whose devices compute time only.  While items flow, devices are killed,
stopped (found by their deadline), delayed (stopped for a moment), made to answer with an error,
to corrupt what they send and to die in the middle of an inference, and the log goes to a disk
that is full.  Every result is compared bit for bit with the uncut model.  Exits with 1 if an item
was lost, doubled, out of order or wrong, if a call hung, or if a process was left behind.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

import contextlib

import zoo
from compiler import compile_graph, compile_segment, graph_from_bytes
from devices import DeviceConfig, DevicePool
from devices.device import TensorSpec
from devices.faults import Fault
from devices.local import LocalDevice
from devices.simulated_chip import SimulatedChip
from pipeline import InferenceError, PipelinedModelRunner
from zoo.random_graph import random_graph

HANG_S = 60.0
"""A pop that takes longer is counted as hung."""

DEADLINE_S = 0.5


@dataclass
class Tally:
    """What happened so far."""

    injected: Counter[str] = field(default_factory=Counter)
    prepared: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    items: int = 0
    failed: int = 0
    rounds: int = 0
    restarts: int = 0
    replays: int = 0
    longest_s: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def faults(self) -> int:
        return sum(self.injected.values())

    def fault_of(self, kind: str, note: str) -> None:
        self.wrong[kind] += 1
        self.notes.append(f"{kind}: {note}")


@dataclass
class Model:
    """Executables of one model, its inputs, and what the uncut model makes of them."""

    executables: list[Path]
    items: list[dict[str, Any]]
    expected: list[dict[str, Any]] | None


def random_model(seeded: random.Random, directory: Path, number: int) -> Model:
    """A random graph cut at random places, with its outputs for a few inputs."""
    graph = graph_from_bytes(random_graph(seeded.randrange(1 << 30)), f"random_{number}.tflite")
    whole = directory / f"{number}_whole.tflite"
    whole.write_bytes(compile_graph(graph).data)
    stages = seeded.randint(1, min(4, len(graph.operators)))
    cuts = sorted(seeded.sample(range(1, len(graph.operators)), stages - 1))
    paths = []
    for index, (first, end) in enumerate(
        zip([0, *cuts], [*cuts, len(graph.operators)], strict=True)
    ):
        paths.append(directory / f"{number}_{index}.tflite")
        paths[-1].write_bytes(compile_segment(graph, first, end).data)
    reference = LocalDevice(SimulatedChip("reference", DeviceConfig()))
    loaded = reference.load(whole)
    generator = np.random.default_rng(seeded.randrange(1 << 30))
    items = [
        {spec.name: random_tensor(generator, spec) for spec in loaded.inputs} for _ in range(5)
    ]
    expected = [reference.run(loaded.handle, item)[0] for item in items]
    reference.close()
    return Model(paths, items, expected)


def random_tensor(generator: np.random.Generator, spec: TensorSpec) -> Any:
    """Random contents of a tensor."""
    dtype = np.dtype(spec.dtype)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return generator.integers(info.min, int(info.max) + 1, spec.shape, dtype, endpoint=False)
    return generator.random(spec.shape).astype(dtype)


class Storm:
    """Faults from outside the process, at random moments of one pipeline's life."""

    def __init__(self, seeded: random.Random, tally: Tally) -> None:
        self._seeded = seeded
        self._tally = tally

    def strike(self, runner: PipelinedModelRunner) -> None:
        """Do something to one of the devices in use."""
        device: Any = self._seeded.choice(runner.devices)
        kind = self._seeded.choices(("kill", "stop", "delay"), (8, 1, 3))[0]
        if not device.alive:
            return
        try:
            if kind == "kill":
                os.kill(device.pid, signal.SIGKILL)
            else:
                os.kill(device.pid, signal.SIGSTOP)
                if kind == "delay":
                    timer = threading.Timer(self._seeded.random() * 0.05, resume, [device.pid])
                    timer.daemon = True
                    timer.start()
        except ProcessLookupError:
            return
        self._tally.injected[kind] += 1


def resume(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def inner_faults(seeded: random.Random, items: int) -> tuple[Fault, ...]:
    """Faults a device brings along."""
    faults = []
    for kind in ("die", "error", "corrupt"):
        if seeded.random() < 0.35:
            faults.append(Fault(kind, at=seeded.randint(1, items)))  # type: ignore[arg-type]
    return tuple(faults)


def one_round(seeded: random.Random, model: Model, items: int, tally: Tally) -> None:
    """One pipeline over its whole life."""
    stages = len(model.executables)
    exact = model.expected is not None
    clock = seeded.choice(("virtual", "virtual", "realtime"))
    configs = [
        DeviceConfig(
            compute="exact" if exact else "none",
            clock=clock,
            latency_scale=0.01 if clock == "realtime" else 1.0,
            faults=inner_faults(seeded, items),
        )
        for _ in range(stages)
    ]
    configs += [replace(configs[0], faults=())] * seeded.randint(0, 1)
    planned = [fault for config in configs for fault in config.faults]
    share = stages > 1 and seeded.random() < 0.25
    with DevicePool(configs) as pool:
        devices: Any = pool
        if share:
            devices = [seeded.choice(pool.devices[: max(1, stages - 1)]) for _ in range(stages)]
        storm = Storm(seeded, tally)
        strikes = sorted(seeded.randrange(items) for _ in range(seeded.randint(1, 30)))
        runner = PipelinedModelRunner(
            model.executables,
            devices,
            outputs=None if model.expected is None else list(model.expected[0]),
            queue_size=seeded.randint(1, 3),
            output_queue_size=seeded.choice((None, 1, 4)),
            share_devices=share,
            spares=() if not share else [d for d in pool.devices if d not in devices],
            item_deadline_s=DEADLINE_S,
            max_replays=3,
            verify_outputs=True,
        )

        def push() -> None:
            for value in range(items):
                runner.push(model.items[value % len(model.items)])
            runner.push({})

        pushing = threading.Thread(target=push, daemon=True)
        pushing.start()
        broken = False
        for item in range(items + 1):
            while strikes and strikes[0] <= item and not broken:
                strikes.pop(0)
                storm.strike(runner)
            began = time.monotonic()
            try:
                result = runner.pop_result(HANG_S)
            except InferenceError as error:
                tally.failed += 1
                if error.item != item:
                    tally.fault_of("out of order", f"error of item {error.item} at {item}")
                continue
            except TimeoutError:
                tally.fault_of("hung", f"item {item} of {items}, {stages} stages")
                break
            except Exception as error:
                # A list of devices has no way to start one anew, so the last may be gone.
                if not share:
                    tally.fault_of("broken", str(error))
                broken = True
                break
            finally:
                tally.longest_s = max(tally.longest_s, time.monotonic() - began)
            if item == items:
                if result is not None:
                    tally.fault_of("doubled", f"item {result.item} after the end")
            elif result is None:
                tally.fault_of("lost", f"the end came before item {item} of {items}")
                break
            elif result.item != item:
                kind = "doubled" if result.item < item else "lost"
                tally.fault_of(kind, f"item {result.item} came at the place of item {item}")
            elif model.expected is not None and not equal(
                result.outputs, model.expected[item % len(model.expected)]
            ):
                tally.fault_of("wrong", f"item {item}")
            else:
                tally.items += 1
        stats = runner.stats()
        runner.cancel() if broken else runner.close()
        tally.restarts += sum(stage.restarts for stage in stats.stages)
        tally.replays += sum(stage.replays for stage in stats.stages)
        tally.prepared.update(fault.kind for fault in planned)
        pushing.join(10)
        if pushing.is_alive():
            tally.fault_of("hung", "a push")
    tally.rounds += 1


def equal(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    return all(np.array_equal(found[name], expected[name]) for name in expected)


def fill_the_log() -> None:
    """Log to a device that is always full; nothing of it may stop the work."""
    if os.path.exists("/dev/full"):
        logging.raiseExceptions = False
        logging.basicConfig(filename="/dev/full", level=logging.INFO)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faults", type=int, default=200, help="stop after so many faults")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="or after this time")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    fill_the_log()
    seeded = random.Random(arguments.seed)
    tally = Tally()
    began = time.monotonic()
    before = len(os.listdir("/proc/self/fd"))
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        models = [random_model(seeded, directory, number) for number in range(8)]
        graph = graph_from_bytes(zoo.build("mobilenet_v2_1.0_224"), "mobilenet.tflite")
        quarter = len(graph.operators) // 4
        paths = [directory / f"mobilenet_{i}.tflite" for i in range(4)]
        for index, path in enumerate(paths):
            end = len(graph.operators) if index == 3 else (index + 1) * quarter
            path.write_bytes(compile_segment(graph, index * quarter, end).data)
        spec = graph.tensors[graph.inputs[0]]
        image = np.zeros(spec.shape, np.int8)
        models.append(Model(paths, [{spec.name: image}], None))
        while tally.faults < arguments.faults and time.monotonic() - began < arguments.seconds:
            one_round(seeded, seeded.choice(models), seeded.randint(20, 200), tally)
    children = psutil.Process().children(recursive=True)
    if children:
        tally.fault_of("orphan", f"{len(children)} processes")
    left = len(os.listdir("/proc/self/fd")) - before
    if left > 0:
        tally.fault_of("descriptor", f"{left} left open")
    print(f"{tally.faults} faults in {tally.rounds} pipelines, {time.monotonic() - began:.0f} s:")
    print("  " + ", ".join(f"{kind} {count}" for kind, count in sorted(tally.injected.items())))
    carried = ", ".join(f"{kind} {count}" for kind, count in sorted(tally.prepared.items()))
    print(f"  and devices carried, to happen unless they are killed before: {carried}")
    print(f"  {tally.items} items right and in order, {tally.failed} failed alone at their place")
    print(f"  {tally.restarts} stages restarted, {tally.replays} items replayed")
    print(f"  longest wait for a result {tally.longest_s:.2f} s (deadline {DEADLINE_S} s)")
    kinds = ("lost", "doubled", "out of order", "wrong", "hung", "broken", "orphan", "descriptor")
    print("  " + ", ".join(f"{kind} {tally.wrong[kind]}" for kind in kinds))
    for note in tally.notes[:20]:
        print("  !", note)
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
