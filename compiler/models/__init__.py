"""Whole models, as the command and programs compile them.

One model, in one piece or cut as the options say (``compiled``); several for one device, in the
order that streams least (``order``).
"""

from __future__ import annotations

from compiler.models.compiled import (
    CompiledModel,
    compile_file,
    compile_model,
    spare_the_models,
)
from compiler.models.order import BestOrder, compile_in_best_order
from compiler.models.order_text import order_data, order_text

__all__ = [
    "BestOrder",
    "CompiledModel",
    "compile_file",
    "compile_in_best_order",
    "compile_model",
    "order_data",
    "order_text",
    "spare_the_models",
]
