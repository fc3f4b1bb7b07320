"""``python -m compiler.accuracy``: how far what is said of models is off."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import edgetpu_pipeline
import zoo
from compiler.accuracy.examples import host_examples
from compiler.accuracy.fitting import FITTED, Numbers, fit
from compiler.accuracy.measured import measurements
from compiler.accuracy.onchip import onchip_report
from compiler.accuracy.packages import as_markdown, compare, compare_zoo, cuts_as_markdown
from compiler.accuracy.reporting import in_a_sentence, latency_report, plot, rows
from compiler.accuracy.segments import segments_as_markdown
from devices.errors import ConfigError
from devices.files import write_together

_DESCRIPTION = """\
Beside Google's compiler (FOLDER): every NAME_edgetpu.tflite of Google's in
these folders whose original NAME.tflite lies there, too, is compared with what
is made of the original: operators left to the CPU, parameters kept on the chip
and streamed, instructions, inputs and outputs.  Models without a package are
shown alone.  With --zoo, which takes a minute, also the networks of the zoo,
where --num_segments cuts all of these models, and the segments of the one
network of which Google's are public.

Beside real Edge TPUs (--latency): published latencies of networks of the zoo,
which are compiled and timed as a user's models are; then the same with numbers
fitted without the network in question.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare and print; 2 if there is nothing to compare."""
    given = edgetpu_pipeline.parsed(_parser(), arguments)
    if given.fit:
        print(_as_text(fit(measurements())))
        return 0
    sections: dict[str, str] = {}
    data: object
    if given.latency:
        found = rows(measurements(), progress=_tell)
        data, sections["latency"] = [asdict(row) for row in found], latency_report(found)
        sections["hosts"] = host_examples(measurements())
        sections["accuracy"] = in_a_sentence(found)
        if given.plot:
            write_together(given.plot.parent, {given.plot.name: plot(found).encode()})
    else:
        compared = list(compare(given.folders))
        if not (compared or given.zoo):
            where = given.folders[0] if given.folders else "no folder"
            print(f"There is no .tflite file in {where}; name a folder.", file=sys.stderr)
            return 2
        if compared:
            sections["packages"] = as_markdown(compared)
        if given.zoo:
            built = list(compare_zoo(zoo.names(), _tell))
            sections["zoo"] = as_markdown(built)
            compared += built
            sections["cuts"] = cuts_as_markdown(compared)
            _tell("segments")
            sections["segments"] = segments_as_markdown()
        data = [asdict(one) for one in compared]
        sections["onchip"] = onchip_report()
    if given.write:
        try:
            for path in given.write:
                page = filled(path.read_text(encoding="utf-8"), sections)
                write_together(path.parent, {path.name: page.encode()})
        except (ConfigError, OSError) as error:
            print(f"error: {path}: {error}", file=sys.stderr)
            return 2
    else:
        print(json.dumps(data, indent=2) if given.json else "\n\n".join(sections.values()))
    return 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def filled(page: str, sections: Mapping[str, str]) -> str:
    """The page with those sections that it has, between ``<!-- NAME -->`` and ``<!-- end -->``.

    Raises ``ConfigError`` where it has none of them.
    """
    end, found = "<!-- end -->", False
    for name, text in sections.items():
        before, start, rest = page.partition(f"<!-- {name} -->\n")
        _, closed, after = rest.partition(end)
        if start and closed:
            page, found = f"{before}{start}{text}\n{end}{after}", True
    if not found:
        wanted = " or ".join(f"<!-- {name} -->" for name in sections)
        raise ConfigError(
            f"the page has no section {wanted} up to {end}; write such lines where the tables go"
        )
    return page


def _as_text(numbers: Numbers) -> str:
    cycles = asdict(numbers.cycles)
    lines = ["chip: " + ", ".join(f"{name} {value:.4g}" for name, value in cycles.items())]
    for host in numbers.hosts.values():
        values = (f"{field} {getattr(host, field):.4g}" for field in FITTED)
        lines.append(f"{host.name}: " + ", ".join(values))
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m compiler.accuracy",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    edgetpu_pipeline.add_version(parser)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    parser.add_argument("--zoo", action="store_true", help="the networks of the zoo, too, and cuts")
    parser.add_argument("--latency", action="store_true", help="compare with published latencies")
    parser.add_argument(
        "--fit", action="store_true", help="print the numbers that fit the latencies best"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="with --latency: an SVG picture")
    parser.add_argument(
        "--write",
        type=Path,
        action="append",
        metavar="PAGE",
        help="write what this Markdown page has a place for into it, such as the lines between "
        "<!-- latency --> and <!-- end -->; may be given again for other pages",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


if __name__ == "__main__":
    sys.exit(edgetpu_pipeline.run_command(main))
