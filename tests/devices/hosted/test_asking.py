"""Asking a function in a process of its own: its answer, its error, its death, its silence."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from devices.errors import ConfigError, DeviceDied, DeviceError
from devices.hosted import ask


def add(first: int, second: int) -> tuple[int, int]:
    return first + second, os.getpid()


def refuse(text: str) -> None:
    raise ConfigError(text)


def die(how: signal.Signals) -> None:
    signal.raise_signal(how)


def wait_for_ever() -> None:
    threading.Event().wait()


def test_the_answer_comes_from_another_process() -> None:
    total, pid = ask("sum", add, 2, 3, within_s=60)
    assert total == 5
    assert pid != os.getpid()
    assert not os.path.exists(f"/proc/{pid}")


def test_an_error_is_raised_here() -> None:
    with pytest.raises(ConfigError, match="no such thing"):
        ask("sum", refuse, "no such thing", within_s=60)


@pytest.mark.parametrize("how", [signal.SIGABRT, signal.SIGSEGV, signal.SIGKILL])
def test_a_death_is_an_error(how: signal.Signals) -> None:
    with pytest.raises(DeviceDied) as death:
        ask("sum", die, how, within_s=60)
    assert death.value.exit_code == -how


def test_silence_has_an_end() -> None:
    with pytest.raises(DeviceDied, match=r"^sum did not answer within 0\.2 s$") as death:
        ask("sum", wait_for_ever, within_s=0.2)
    assert death.value.exit_code is None


def test_what_cannot_travel_is_refused() -> None:
    with pytest.raises(DeviceError, match="must be picklable"):
        ask("sum", lambda: 1, within_s=60)
