from .description import CUSTOM_OPERATOR, Executable, ExecutableInfo, OperatorWork
from .file import executable_from_bytes, read_executable
from .google_package import describe_google_package
from .sealing import METADATA_NAME, seal

__all__ = [
    "CUSTOM_OPERATOR",
    "METADATA_NAME",
    "Executable",
    "ExecutableInfo",
    "OperatorWork",
    "describe_google_package",
    "executable_from_bytes",
    "read_executable",
    "seal",
]
