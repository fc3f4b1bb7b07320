"""Whole models, as the command and programs compile them.

One model, in one piece or cut as the options say (``compiled``).
"""

from __future__ import annotations

from compiler.models.compiled import (
    CompiledModel,
    compile_file,
    compile_model,
    spare_the_models,
)

__all__ = ["CompiledModel", "compile_file", "compile_model", "spare_the_models"]
