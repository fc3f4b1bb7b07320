"""Which operators of an executable run on the host's CPU, whoever compiled it."""

from __future__ import annotations

from dataclasses import dataclass

import tflite

from devices.executable import CUSTOM_OPERATOR, DamageError, check_structure


@dataclass(frozen=True)
class ExecutableOperators:
    """``on_cpu``: kinds of the operators on the CPU, in order; ``on_edge_tpu``: whether there are
    others."""

    on_cpu: tuple[str, ...]
    on_edge_tpu: bool


def operators_of(executable: bytes) -> ExecutableOperators:
    """Read them from a file of our compiler or of Google's.

    What is mapped stands in it as custom operators of one name, all others are the CPU's.  Of what
    is no sound ``.tflite`` file nothing is known, and what a device makes of it is its affair.
    """
    try:
        if executable[4:8] != b"TFL3":
            raise DamageError
        check_structure(executable)
    except DamageError:
        return ExecutableOperators((), True)
    model = tflite.Model.GetRootAs(executable, 0)
    subgraph = model.Subgraphs(0)
    kinds = []
    for place in range(subgraph.OperatorsLength()):
        code = model.OperatorCodes(subgraph.Operators(place).OpcodeIndex())
        custom = (code.CustomCode() or b"").decode("utf-8", "replace")
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        kinds.append(custom or _NAMES.get(builtin, str(builtin)))
    on_cpu = tuple(kind for kind in kinds if kind != CUSTOM_OPERATOR)
    return ExecutableOperators(on_cpu, len(on_cpu) < len(kinds))


_NAMES = {number: name for name, number in vars(tflite.BuiltinOperator).items() if name.isupper()}
