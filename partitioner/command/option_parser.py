"""The options of ``partition-with-profiling`` as its help shows them."""

from __future__ import annotations

import argparse

import edgetpu_pipeline
from compiler import FlagParser

_HELP = """\
Cut a quantised TensorFlow Lite model into segments for a pipeline of Edge TPUs,
so that no segment holds up the others.

Starts from the cut that published constants of the chip suggest (or from a
split into equal parameter bytes, as edgetpu_compiler --num_segments:
--first_cut parameter-count), then compiles and measures segments and cuts
again, until slowest minus fastest segment is under --diff_threshold_ns or no
better cut exists, and says which of the two.  When the time or the
measurements allowed are spent, the best cut measured is written.

  a model file   partition-with-profiling --model_path m.tflite --num_segments 4
  a built-in one ... --model_path zoo:resnet50_224 --num_segments 3
  the optimum    ... --diff_threshold_ns 0
  PCIe devices   ... --device_type pcionly
  your own cuts  ... --strategy manual --cuts 16,75,104
  your compiler  ... --edgetpu_compiler_binary /usr/bin/edgetpu_compiler
  how many TPUs? partition-with-profiling --model_path m.tflite --sweep 1-8
  just enough    ... --num_segments auto --target_fps 100 --max_latency_ms 30
  to look at     ... --report result.html
  to a program   ... --json --quiet

Options take dashes or underscores, and --name value or --name=value."""

_EPILOG = """\
In the output directory: <model>_segment_<i>_of_<n>.tflite, the same
_edgetpu.tflite for a device, the compiler's .log for each, and partition.json,
which tells how the cut was found.  A sweep without --num_segments writes
sweep.json instead.
Exit code 0 on success; 2 when an option, the model or a device is not usable;
3 when no plan meets the target, and the nearest one is shown; 130 and 143 when
stopped by Ctrl-C or SIGTERM.  Only with 0 anything is written, and of a sweep
that was stopped what it had found; but the files are there, too, where only the
report could not be printed (2, which says so, or 141 when its reader has
left)."""


def parser() -> FlagParser:
    """Describes the options; values are checked by :func:`parse`."""
    result = FlagParser("partition-with-profiling", _HELP, _EPILOG)
    edgetpu_pipeline.add_version(result)

    def add(name: str, metavar: str, text: str, default: str | None = None) -> None:
        result.add_argument(name, metavar=metavar, help=text, default=default)

    add("--model_path", "MODEL", "the model: a .tflite file, or zoo:NAME; required")
    add(
        "--num_segments",
        "N",
        "segments to cut into, at least 2, or auto: the cheapest number that meets the targets, "
        "without any the one of most throughput per TPU; required, except with --sweep",
    )
    add(
        "--sweep",
        "LOW-HIGH",
        "compare these numbers of TPUs, as a pipeline, as copies of the whole model and as both "
        "(auto: 1-8)",
    )
    add("--target_fps", "FPS", "inferences per second that auto has to reach")
    add("--max_latency_ms", "MS", "latency of one inference alone that auto must not exceed")
    add(
        "--margin",
        "PERCENT",
        "what a plan must have to spare of its targets, such as 20 %% (default: how far 4 of 5 "
        "real latencies are at most from the simulated ones; with real devices 5 %%)",
    )
    add(
        "--host_cores",
        "N",
        "cores of the host's CPU for operators that do not map, which all TPUs share when numbers "
        "of them are compared (default %(default)s)",
        "1",
    )
    add("--output_dir", "DIR", "where to write, created if absent (%(default)s)", "/tmp/models")
    add(
        "--edgetpu_compiler_binary",
        "FILE",
        "compiler to run for each segment (default: the built-in one); the devices must be able "
        "to load what it makes",
    )
    add(
        "--device_type",
        "TYPE",
        "devices to measure on: pcionly, usbonly or any (default any: USB for simulated devices, "
        "the first device's kind with --pool)",
        "any",
    )
    add(
        "--diff_threshold_ns",
        "NS",
        "stop when slowest minus fastest segment is below this (default 1000000, i.e. 1 ms)",
        "1000000",
    )
    add(
        "--partition_search_step",
        "OPS",
        "try only cuts a multiple of this many operators away from the starting ones (default 1)",
        "1",
    )
    add(
        "--delegate_search_step",
        "OPS",
        "operators the compiler gives up per try when a segment does not compile (default 1)",
        "1",
    )
    add(
        "--initial_lower_bound_ns",
        "NS",
        "a slowest segment at or under this is good enough: stop there",
        "-1",
    )
    add(
        "--initial_upper_bound_ns",
        "NS",
        "do not try cuts whose slowest segment is above this, unless none is at or under it",
        "-1",
    )
    add(
        "--num_devices",
        "N",
        "devices to measure on at the same time (default: one for every segment; one suffices, "
        "but then the finished pipeline is not run)",
    )
    add(
        "--pool",
        "FILE|TEXT",
        "the simulated devices to measure on: a YAML file, or in a word what they are attached to "
        "and how many there are, such as pi4-usb3:4 or usb3-x86:2,pcie-x86:2 (edgetpu-hosts lists "
        "the hosts); without a number, as many as are needed (default: usb3-x86)",
    )
    result.add_argument(
        "--real",
        action="store_true",
        help="measure on all real Edge TPUs of this machine (needs libedgetpu and "
        "--edgetpu_compiler_binary)",
    )
    add("--cache_dir", "DIR", "where results of --edgetpu_compiler_binary are kept")
    result.add_argument(
        "--cache",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="keep them for the next run (default: yes, in the user's cache directory)",
    )
    add(
        "--strategy",
        "NAME",
        "how to search: optimal (default), bisection (Google's search), parameter-count (do not "
        "search), manual (measure --cuts), exhaustive (measure every segment)",
    )
    add(
        "--order",
        "ORDER",
        "orders of the operators to cut in: any (default; parallel branches may come in either "
        "order) or file; parameter-count counts in Coral's order, with file in the file's",
        "any",
    )
    add(
        "--first_cut",
        "FROM",
        "which cut the strategy optimal measures first: the fastest by the published constants of "
        "what the devices are attached to (pool, the default; real ones: usb3-x86 or pcie-x86) or "
        "of another host (edgetpu-hosts lists them), or parameter-count, the split into equal "
        "parameter bytes; it decides how many segments are measured, and nothing that is said of "
        "them",
    )
    add(
        "--cuts",
        "A,B,...",
        "with --strategy manual: the operators, as the report counts them, at which the second, "
        "third, ... segment begins",
    )
    add("--max_measurements", "N", "stop after measuring this many segments")
    add("--timeout_sec", "S", "stop searching after this many seconds, with the best cut so far")
    result.add_argument(
        "--verify",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="run the segments as a pipeline and compare every output value with the uncut "
        "model's before writing (default: yes)",
    )
    add("--input", "FILE", "picture or array (.npy) to verify with (default: noise)")
    add("--report", "FILE", "write an HTML page with charts, too")
    result.add_argument("--json", action="store_true", help="print partition.json, not a table")
    result.add_argument("--quiet", action="store_true", help="no progress lines")
    return result
