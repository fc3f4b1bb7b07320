"""Out of descriptors, memory, threads or processes at any moment: an error, and nothing is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from devices import Deadlines, DeviceError
from devices.nursery import client
from pipeline import PipelinedModelRunner
from tests.pipeline.scripted import line, process_device, whole
from tests.starving import CALLS, starving
from tests.waiting import LONG_S

pytestmark = pytest.mark.usefixtures("quick_collections")
FOR_EVER = 10**9
NEVER_S = 1e6


def use(paths: list[Path]) -> None:
    """Devices, a pipeline over them, two items, the end."""
    devices = []
    try:
        for index in range(len(paths)):
            never = Deadlines(start_s=NEVER_S, load_s=NEVER_S, run_s=NEVER_S)
            devices.append(process_device(f"device:{index}", deadlines=never))
        for device in devices:
            device.wait_ready()
        with PipelinedModelRunner(paths, devices, item_deadline_s=None) as runner:
            for value in range(2):
                runner.push({"x": np.full((1, 4), value, np.int8)})
            for value in range(2):
                outputs = runner.pop(timeout=LONG_S)
                expected = whole(line(len(paths)), {"x": np.full((1, 4), value, np.int8)})
                assert outputs is not None
                np.testing.assert_array_equal(outputs["y"], expected["y"])
    finally:
        for device in devices:
            device.close()


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("what", CALLS)
def test_every_call_may_fail(
    what: str,
    lasting: bool,
    tmp_path: Path,
    leaves_nothing: Callable[[], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing of it is found by its taking too long: then this would take for ever."""
    monkeypatch.setattr(client, "START_S", NEVER_S)
    monkeypatch.setattr(client, "FORK_S", NEVER_S)
    paths = [script.write(tmp_path / f"{i}.json") for i, script in enumerate(line(2))]
    first = refused = 0
    while True:
        last = FOR_EVER if lasting else None
        with leaves_nothing(), starving(what, first, last=last) as seen:
            try:
                use(paths)
            except DeviceError:
                refused += 1
        if not seen.failed:
            break
        first += 1
    assert refused or what == "processes"
