from .interpreter import explain_exit, is_stopped
from .start import hold_nursery, import_early, start_device_process

__all__ = [
    "explain_exit",
    "hold_nursery",
    "import_early",
    "is_stopped",
    "start_device_process",
]
