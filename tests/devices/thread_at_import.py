"""Importing this leaves a thread running, which makes a process unfit for forking."""

from __future__ import annotations

import threading

threading.Thread(target=threading.Event().wait, daemon=True).start()
