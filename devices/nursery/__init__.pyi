from .launch import explain_exit
from .start import hold_nursery, import_early, start_device_process

__all__ = [
    "explain_exit",
    "hold_nursery",
    "import_early",
    "start_device_process",
]
