"""How a process that serves a host begins and ends, whatever it serves it with."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn


def serve_and_exit(work: Callable[[], object], *, parent_pid: int) -> NoReturn:
    """Do the work until it returns or the host is gone (``EOFError``), then end this process.

    ``parent_pid`` is who started it and must still be there.  Signals are as in a new program,
    but for Ctrl-C, which is the host's to handle.  What goes wrong is written to standard error,
    which the host keeps for its error message; the exit code is 1 then.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A host may ignore it, which is inherited, and nobody learns how a child ended then.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # whatever the starting thread had blocked
    faulthandler.enable()  # a crash inside native code leaves a stack there, too
    exit_code = 0
    try:
        if os.getppid() != parent_pid:
            raise EOFError("the host ended while this process was starting")
        work()
    except EOFError:
        pass
    except BaseException:
        traceback.print_exc()
        exit_code = 1
    finally:
        with contextlib.suppress(Exception):  # the host may have taken the pipe with it
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(exit_code)
