"""How far what is said of models is off: beside Google's packages, and beside measured latencies.

``packages`` compares with Google's compiled files, ``segments`` with those that it cut.
``measured`` holds latencies that others published, ``predicting`` what the product says of the same
networks, ``fitting`` finds the numbers that explain them best, with one network left out or with
all; ``reporting`` tells it.
"""

from __future__ import annotations

from compiler.accuracy.fitting import Numbers, fit, numbers_in_use
from compiler.accuracy.measured import Measured, measurements
from compiler.accuracy.packages import compare, compare_zoo
from compiler.accuracy.predicting import Compiled, compiled, predicted
from compiler.accuracy.reporting import Row, latency_report, rows
from compiler.accuracy.segments import detector_of_its_time

__all__ = [
    "Compiled",
    "Measured",
    "Numbers",
    "Row",
    "compare",
    "compare_zoo",
    "compiled",
    "detector_of_its_time",
    "fit",
    "latency_report",
    "measurements",
    "numbers_in_use",
    "predicted",
    "rows",
]
