from .description import CUSTOM_OPERATOR, Executable, ExecutableInfo, OperatorWork
from .file import METADATA_NAME, read_executable, seal
from .google_package import describe_google_package

__all__ = [
    "CUSTOM_OPERATOR",
    "METADATA_NAME",
    "Executable",
    "ExecutableInfo",
    "OperatorWork",
    "describe_google_package",
    "read_executable",
    "seal",
]
