"""The plan of the house as data: wings from the ground up, and what each may import of its room.

``docs/architecture.md`` shows the same plan for people.  A wing (or a module that stands beside the
wings) may only be given wings that are listed before it, so no circle can be written down here.
Which rooms a room may import is said where the rooms themselves ask for it:
``edgetpu_pipeline.BUILDS_ON``.
"""

from __future__ import annotations

PLAN: dict[str, dict[str, str]] = {
    "devices": {
        "errors": "",
        "device": "",
        "files": "errors",
        "kept_file": "",
        "status": "",
        "exclusive": "errors",
        "endings": "",
        "executable": "errors device kept_file",
        "chip": "errors device status endings executable",
        "process": "errors device chip status",
        "nursery": "errors endings process",
        "hosted": "errors device process nursery",
        "config": "errors chip",
        "local": "errors device chip process",
        "coral": "errors device executable chip nursery hosted",
        "simulated": "device exclusive chip hosted",
        "attached": "errors device chip config coral",
        "libedgetpu": "errors device chip process nursery simulated attached",
        "trial": "errors hosted simulated",
        "apart": "errors device chip nursery hosted",
        "hosts_cli": "chip",
        "listing": "device status coral",
        "pool": "errors device endings chip nursery hosted config coral simulated",
    },
    "zoo": {
        "statistics": "",
        "randomness": "",
        "quantization": "",
        "shapes": "quantization",
        "serialize": "quantization",
        "layers": "statistics randomness",
        "draft": "statistics quantization serialize layers",
        "operators": "statistics quantization shapes serialize layers draft",
        "builder": "statistics quantization shapes layers draft operators",
        "random_graph": "randomness shapes draft builder",
        "networks": "quantization shapes layers draft builder",
        "catalogue": "layers builder networks",
        "cli": "catalogue",
        "__main__": "",
    },
    "compiler": {
        "graph": "",
        "drawing": "graph",
        "ordering": "",
        "deadline": "",
        "options": "",
        "flags": "",
        "cutting": "graph",
        "reading": "graph ordering deadline cutting",
        "appending": "graph reading",
        "mapping": "graph",
        "quantizing": "graph flags reading",
        "planning": "graph deadline options cutting mapping",
        "executables": "graph deadline options cutting mapping planning",
        "compile": "graph deadline options cutting planning executables",
        "reasons": "executables",
        "supported": "mapping",
        "log": "mapping executables reasons",
        "models": "graph deadline options cutting reading executables compile reasons log",
        "arguments": "options flags",
        "command": "graph deadline reading executables compile reasons log models arguments",
        "cli": "supported log arguments command",
        "inspecting": "graph drawing deadline options flags reading mapping planning executables "
        "compile log",
        "accuracy": "graph cutting mapping reading compile",
    },
    "pipeline": {
        "errors": "",
        "channels": "errors",
        "observing": "channels",
        "stages": "errors channels observing",
        "host": "errors channels",
        "supervising": "errors channels observing stages host",
        "timeline": "channels observing stages host",
        "running": "channels observing stages host supervising timeline",
        "arguments": "",
        "batches": "errors host running",
        "asynchronous": "errors host running",
        "observable": "observing stages running",
        "assembling": "stages supervising timeline running",
        "runner": "errors observing host supervising timeline running arguments batches "
        "asynchronous observable assembling",
        "describing": "",
        "experiment": "stages host observing timeline runner describing",
        "compare_cli": "experiment",
        "cli": "observing describing experiment compare_cli",
    },
    "partitioner": {
        "leash": "",
        "scratch": "",
        "problem": "",
        "solving": "problem",
        "graphs": "problem",
        "bounding": "problem",
        "beliefs": "problem bounding",
        "strategies": "problem solving beliefs",
        "certificate": "problem solving bounding",
        "measuring": "leash problem solving",
        "sizing": "problem graphs bounding strategies certificate",
        "reporting": "problem certificate measuring sizing",
        "command": "scratch problem graphs strategies measuring sizing reporting",
        "segmenter": "scratch problem graphs strategies measuring",
        "experiment_timeline": "",
        "experiment_page": "experiment_timeline",
        "experiment": "segmenter experiment_page",
        "partition_file": "problem",
        "check_partition": "problem graphs certificate measuring reporting partition_file",
        "cli": "command",
    },
    "pycoral": {
        "interpreter_like": "",
        "model_file": "",
        "opened_device": "",
        "delegate": "opened_device",
        "edge_tpus": "opened_device",
        "interpreter": "model_file opened_device",
        "raw_input": "interpreter interpreter_like",
        "learn": "",
        "described_tensors": "interpreter_like",
        "adapters": "interpreter_like described_tensors",
        "utils": "interpreter_like model_file delegate edge_tpus interpreter raw_input",
        "pybind": "utils",
        "pipeline": "interpreter raw_input described_tensors",
        "examples_cli": "",
        "doctor": "",
    },
}

MOST_MODULES = 16
"""In one folder; with more, nobody sees the plan from its listing."""

LONGEST_LINES = 350
"""Of a module of the rooms: no file that is longer has one idea."""

RUN_AS_PROGRAMS = {"devices.process.main"}
"""Modules that a process is started with, which their wing's package must not import for them."""
