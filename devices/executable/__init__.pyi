from .description import (
    CUSTOM_OPERATOR,
    Executable,
    ExecutableInfo,
    OperatorWork,
    Part,
    together,
)
from .file import executable_from_bytes, read_executable
from .google_package import GOOGLE_IDENTIFIER, describe_google_package, google_packages
from .sealing import METADATA_NAME, Package, seal
from .structure import DamageError, check_structure

__all__ = [
    "CUSTOM_OPERATOR",
    "GOOGLE_IDENTIFIER",
    "METADATA_NAME",
    "DamageError",
    "Executable",
    "ExecutableInfo",
    "OperatorWork",
    "Package",
    "Part",
    "check_structure",
    "describe_google_package",
    "executable_from_bytes",
    "google_packages",
    "read_executable",
    "seal",
    "together",
]
