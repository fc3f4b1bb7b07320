"""Log lines of all processes in one stream, with device and segment, also on a full disk."""

from __future__ import annotations

import io
import logging
import multiprocessing
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from devices import ConfigError
from devices.process.log_records import LogFields, SafeLogger, add_log_fields
from pipeline import PipelinedModelRunner, configure_logging
from pipeline.observing.logs import LogStream, remove_logging
from tests.pipeline.scripted import line, local_device, process_device

Start = Callable[..., PipelinedModelRunner]
ROOT = Path(__file__).parents[3]
TIME = r"\d\d:\d\d:\d\d\.\d\d\d "


def x(value: int) -> dict[str, Any]:
    return {"x": np.full((1, 4), value % 128, np.int8)}


@pytest.fixture(autouse=True)
def no_logging_left() -> Iterator[None]:
    level = logging.getLogger().level
    yield
    remove_logging()
    assert logging.getLogger().level == level


def run_pipeline(start: Start, make: Callable[[str], Any]) -> None:
    devices = [make(f"{'ab'[index]}:{index}") for index in range(2)]
    for device in devices:
        getattr(device, "wait_ready", lambda: None)()
    with start(line(2), devices) as runner:
        assert len(runner.map([x(value) for value in range(5)])) == 5
    for device in devices:
        device.close()


@pytest.mark.usefixtures("patient_ends")
@pytest.mark.parametrize("make", [local_device, process_device])
def test_lines_name_device_and_segment(
    start: Start, tmp_path: Path, make: Callable[[str], Any]
) -> None:
    """Of stages in device processes and, alike, in threads of the host."""
    log = tmp_path / "log.txt"
    log.write_text("a line from before\n")
    configure_logging("INFO", file=log)
    logging.getLogger("user").warning("the program speaks, too")
    run_pipeline(start, make)
    remove_logging()
    lines = log.read_text().splitlines()
    assert lines[0] == "a line from before"
    assert re.fullmatch(TIME + "host WARNING the program speaks, too", lines[1])
    for place in ("a:0 segment 0", "b:1 segment 1"):
        own = [line for line in lines if re.match(TIME + place + " ", line)]
        assert [re.sub(TIME, "", line) for line in own] == [
            f"{place} INFO the stage is ready",
            f"{place} INFO the stage ended; 5 items inferred, 0 failed here and 0 before",
        ]
    assert len(lines) == 6


def test_records_carry_device_and_segment(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    run_pipeline(start, process_device)
    records = [r for r in caplog.records if r.name.endswith("pipeline.stages.program")]
    places = {(record.device, record.segment) for record in records}  # type: ignore[attr-defined]
    assert places == {("a:0", 0), ("b:1", 1)}


def test_fields_belong_to_their_thread() -> None:
    def fields_of(record: logging.LogRecord) -> dict[str, Any]:
        LogFields(device="usb:9").filter(record)
        return {name: vars(record)[name] for name in ("device", "segment") if name in vars(record)}

    seen: list[dict[str, Any]] = []

    def work() -> None:
        add_log_fields(device="usb:1")
        add_log_fields(segment=4)
        seen.append(fields_of(logging.makeLogRecord({})))
        seen.append(fields_of(logging.makeLogRecord({"segment": 7})))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [{"device": "usb:1", "segment": 4}, {"device": "usb:1", "segment": 7}]
    assert fields_of(logging.makeLogRecord({})) == {"device": "usb:9"}


@pytest.mark.parametrize("to", ["file", "stream"])
def test_a_full_disk_costs_log_lines_and_nothing_else(
    start: Start, capfd: pytest.CaptureFixture[str], to: str
) -> None:
    if to == "file":
        configure_logging(logging.DEBUG, file="/dev/full")
        run_pipeline(start, process_device)
    else:
        full = open("/dev/full", "w")  # noqa: SIM115 - closing it fails, as it should
        configure_logging(logging.DEBUG, stream=full)
        run_pipeline(start, process_device)
        remove_logging()
        with pytest.raises(OSError, match="No space left"):
            full.close()
    remove_logging()
    assert capfd.readouterr() == ("", "")


def test_lost_lines_are_counted_once_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    class Disk(io.StringIO):
        full = False

        def write(self, text: str) -> int:
            if self.full:
                raise OSError(28, "No space left on device")
            return super().write(text)

    disk = Disk()
    handler = LogStream(disk)
    for number, disk.full in enumerate((False, True, True, False, False)):
        handler.handle(logging.makeLogRecord({"msg": f"line {number}", "levelname": "INFO"}))
    handler.close()
    lines = disk.getvalue().splitlines()
    assert [re.sub(TIME, "", line) for line in lines] == [
        "host INFO line 0",
        "2 log lines were lost: [Errno 28] No space left on device",
        "host INFO line 3",
        "host INFO line 4",
    ]


def test_a_line_cut_short_is_ended_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = LogStream(file=tmp_path / "log")
    write = os.write
    with monkeypatch.context() as patch:
        calls: list[int] = []

        def nearly_full(descriptor: int, data: Any) -> int:
            calls.append(len(data))
            if len(calls) > 1:
                raise OSError(28, "No space left on device")
            return write(descriptor, data[:5])

        patch.setattr("os.write", nearly_full)
        handler.handle(logging.makeLogRecord({"msg": "one", "levelname": "INFO"}))
    handler.handle(logging.makeLogRecord({"msg": "two", "levelname": "INFO"}))
    handler.close()
    first, lost, second = (tmp_path / "log").read_text().splitlines()
    assert len(first) == 5
    assert lost.startswith("1 log lines were lost")
    assert second.endswith("host INFO two")


def test_a_handler_that_raises_does_not_end_a_device(start: Start) -> None:
    """A user's own handler, one that does not catch what goes wrong in it."""

    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError(28, "No space left on device")

    root = logging.getLogger()
    broken, level = Broken(), root.level
    root.addHandler(broken)
    root.setLevel(logging.DEBUG)
    try:
        for make in (process_device, local_device):
            run_pipeline(start, make)
        SafeLogger("anything").exception("said to nobody")
    finally:
        root.removeHandler(broken)
        root.setLevel(level)


def test_children_forked_by_the_program_share_the_stream(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        f"""
import logging, multiprocessing, sys
sys.path.insert(0, {str(ROOT)!r})
multiprocessing.set_start_method("fork")
from pipeline import configure_logging
configure_logging(logging.INFO, file=sys.argv[1])
child = multiprocessing.Process(target=logging.info, args=("from %s", "a child"), name="child-7")
child.start()
child.join()
logging.info("from the parent")
"""
    )
    log = tmp_path / "log.txt"
    subprocess.run([sys.executable, str(program), str(log)], check=True)
    lines = [re.sub(TIME, "", line) for line in log.read_text().splitlines()]
    assert sorted(lines) == ["child-7 INFO from a child", "host INFO from the parent"]


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_any_start_method_is_served(tmp_path: Path, method: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        f"""
import logging, multiprocessing, sys
sys.path.insert(0, {str(ROOT)!r})
multiprocessing.set_start_method({method!r})
from pipeline import configure_logging
configure_logging("INFO")
try:
    raise ValueError("inner")
except ValueError:
    logging.exception("outer")
"""
    )
    result = subprocess.run(
        [sys.executable, str(program)], check=True, capture_output=True, text=True
    )
    lines = result.stderr.splitlines()
    assert re.fullmatch(TIME + "host ERROR outer", lines[0])
    assert lines[-1] == "ValueError: inner"


def test_mistakes_get_their_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be written: .*choose another file for the log"):
        configure_logging(file=tmp_path / "absent" / "log.txt")
    with pytest.raises(ConfigError, match="not both"):
        configure_logging(stream=sys.stderr, file=tmp_path / "log.txt")
    with pytest.raises(ConfigError, match="log level is 'LOUD'"):
        configure_logging("LOUD")


def test_setting_up_again_replaces(tmp_path: Path) -> None:
    root = logging.getLogger()
    before = list(root.handlers)
    configure_logging(file=tmp_path / "one")
    configure_logging(file=tmp_path / "two")
    logging.getLogger().error("here")
    remove_logging()
    assert root.handlers == before
    assert (tmp_path / "one").read_text() == ""
    assert "here" in (tmp_path / "two").read_text()
