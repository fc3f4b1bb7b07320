"""A partition.json that is right passes, and every way to make it wrong is noticed."""

from __future__ import annotations

import copy
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from compiler import graph_from_bytes
from partitioner import STRATEGIES, CostTable, Problem, SearchOptions
from partitioner.certificate import check_report, digest_of
from partitioner.check_partition import check, main
from partitioner.cli import main as partition
from partitioner.strategies import ignore_round
from tests.partitioner.certificate import made_up
from tests.partitioner.command.running import Run, one_sentence

FALSIFICATIONS = 1_000

CASES: list[Callable[[], tuple[Any, Problem]]] = [
    *(lambda s=s: made_up.chain(s) for s in STRATEGIES if s != "bisection"),
    *(lambda s=s: made_up.branched(s) for s in ("optimal", "exhaustive", "parameter-count")),
    made_up.some_orders,
    made_up.pool,
]

CLAIMED = (
    "order", "execution_order", "cuts", "num_segments", "num_operators", "bottleneck_ns", "gap_ns",
    "lower_bound_ns", "lower_bound_all_orders_ns", "optimality_gap", "proven", "probability",
    "least_gap_ns", "fastest_measured_ns", "its_gap_ns", "withdrawn_bound_ns", "guard",
    "bytes_across_cuts", "on_chip_bytes", "off_chip_bytes", "whole_model_ns",
    "throughput_per_second", "speed_up",
)  # fmt: skip


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where there is a plain value, or an empty list or object."""
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    if not keys:
        yield path
    for key in keys:
        yield from leaves(value[key], (*path, key))


def falsified(content: Any, path: tuple[Any, ...], choice: random.Random) -> Any:
    """A copy with another value there: a little off, much off, or of another kind."""
    changed = copy.deepcopy(content)
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    old = holder[path[-1]]
    new: list[Any] = [None, "x", -1, 7, [], not old]
    if isinstance(old, (int, float)) and not isinstance(old, bool):
        new += [old + 1, old - 1, old * 2 + 1, old * 1.001 + 1e-6, str(old)]
    if isinstance(old, str):
        new += [old + " ", old.upper() + "!", ""]
    holder[path[-1]] = choice.choice([v for v in new if json.dumps(v) != json.dumps(old)])
    return changed


@pytest.mark.parametrize("case", range(len(CASES)))
def test_what_strategies_write_holds(case: int) -> None:
    check_report(*CASES[case]())


def test_a_thousand_falsifications_are_rejected() -> None:
    """One field each, anywhere in the file."""
    choice = random.Random(12)
    subjects = [(*case(), []) for case in CASES]
    rejected = 0
    for number in range(FALSIFICATIONS):
        content, problem, paths = subjects[number % len(subjects)]
        paths += list(leaves(content)) if not paths else []
        try:
            check_report(falsified(content, choice.choice(paths), choice), problem)
        except ValueError:
            rejected += 1
    assert rejected == FALSIFICATIONS


def test_a_thousand_falsified_claims_are_rejected_though_sealed_again() -> None:
    """Whoever falsifies can also make the digest anew; claims are worked out, not believed."""
    choice = random.Random(13)
    subjects = [case() for case in CASES]
    rejected = 0
    for number in range(FALSIFICATIONS):
        content, problem = subjects[number % len(subjects)]
        fields = [(field,) for field in CLAIMED]
        fields += [("segments", i, "latency_ns") for i in range(len(content["segments"]))]
        changed = falsified(content, choice.choice(fields), choice)
        changed["sha256"] = digest_of(changed)
        try:
            check_report(changed, problem)
        except ValueError:
            rejected += 1
    assert rejected == FALSIFICATIONS


def test_a_better_cut_of_measured_segments_is_noticed() -> None:
    """An answer of the exhaustive search replaced by a worse one, all figures made to fit."""
    content, problem = made_up.chain("exhaustive")
    worse, _ = made_up.chain("manual")
    worse["certificate"] = content["certificate"]
    worse["sha256"] = digest_of(worse)
    with pytest.raises(ValueError, match="follows from the measurements"):
        check_report(worse, problem)


def test_the_command(run: Run, model: Path, out: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With the model: its hash, the sizes and the sentence, too."""
    assert run("--model_path", model, "--num_segments", 2, "--output_dir", out)[0] == 0
    path = out / "partition.json"
    assert main([str(path)]) == 0
    content = json.loads(path.read_text())
    assert content["why"] in capfd.readouterr().out
    data = model.read_bytes()
    graph = graph_from_bytes(data, "net")
    for field, value in (
        ("why", content["why"].replace("Balanced", "Optimal")),
        ("model_sha256", "0" * 64),
    ):
        changed = {**content, field: value}
        changed["sha256"] = digest_of(changed)
        with pytest.raises(ValueError, match=field):
            check(changed, data, graph)
    changed = copy.deepcopy(content)
    changed["segments"][0]["on_chip_bytes"] += 64
    changed["on_chip_bytes"] += 64
    changed["sha256"] = digest_of(changed)
    with pytest.raises(ValueError, match="compiles to"):
        check(changed, data, graph)
    content["gap_ns"] += 1
    path.write_text(json.dumps(content))
    assert main([str(path)]) == 1
    assert "does not hold: sha256 is " in capfd.readouterr().err
    model.unlink()
    assert main([str(path)]) == 2
    assert "--model" in capfd.readouterr().err


def test_a_file_of_another_version_is_neither_confirmed_nor_contradicted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, _ = made_up.chain()
    del content["lower_bound_all_orders_ns"]
    content["format_version"] = 2
    content["sha256"] = digest_of(content)
    path = tmp_path / "partition.json"
    path.write_text(json.dumps(content))
    assert main([str(path)]) == 2
    assert capsys.readouterr().err == (
        f"{path} is of format_version 2 without lower_bound_all_orders_ns, but this program checks "
        "those of 3; check it with the edgetpu-pipeline that wrote it, or cut the model again.\n"
    )


@pytest.mark.parametrize(("longest", "holds"), [(2**53, True), (2**53 + 1, False)])
def test_latencies_hold_to_the_nanosecond_or_are_refused(longest: int, holds: bool) -> None:
    """Beyond 2^53 there are integers that are no floating-point number, in which bounds are."""
    problem = Problem(3, 2, (1,), boundaries_alike=True)
    table = CostTable(lambda first, end: longest - 2 + first if end == 3 else 7)
    found = STRATEGIES["exhaustive"](problem, table, SearchOptions(), ignore_round)
    assert found.bottleneck_ns == longest - 1
    if holds:
        content = made_up.content_of(found, problem)
        assert (content["bottleneck_ns"], content["lower_bound_ns"]) == (longest - 1,) * 2
        check_report(content, problem)
        return
    with pytest.raises(ValueError, match=f"measured names {longest} ns"):
        made_up.content_of(found, problem)


@pytest.mark.parametrize("text", ["", "[]", "{}", "\x00"])
def test_other_files_are_no_partition(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    assert main([str(path)]) == 2
    assert main([str(tmp_path / "absent.json")]) == 2
    assert capsys.readouterr().err.count("give a partition.json.\n") == 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> Path:
    """What the command writes, beside its model."""
    home = tmp_path_factory.mktemp("written")
    (home / "net.tflite").write_bytes(data)
    base = ["--model_path", str(home / "net.tflite"), "--output_dir", str(home / "out"), "--quiet"]
    assert partition([*base, "--num_segments", "3", "--max_measurements", "9", "--no-cache"]) == 0
    return home / "out"


@pytest.fixture
def written(folder: Path, tmp_path: Path) -> Path:
    """A partition.json among the executables that it is about, to be spoiled."""
    return shutil.copytree(folder, tmp_path / "written") / "partition.json"


def put(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value there, sealed again."""
    changed = copy.deepcopy(content)
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    changed["sha256"] = digest_of(changed)
    return changed


FIRST = ("segments", 0)
EVIDENCE = ("certificate", "measured")


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("format_version",), 1, "is of format_version 1, but this program checks those of 3"),
        (("strategy",), "exhaustive", "strategy is another"),
        (("certificate", "assumptions"), ["nothing at all"], "assumptions are not those"),
        (("certificate", "assumptions"), [], "assumptions are not those"),
        (("certificate", "limit"), "patience", "certificate.limit is 'patience', but input should"),
        (("certificate", "limit"), "timeout", "no timeout_sec was given"),
        (("certificate", "bases", 0, "noise"), 10**400, "certificate.bases.0.noise is "),
        (("certificate", "bases", 0, "scale"), float("nan"), "NaN is no number"),
        (("trial_run", "throughput"), float("inf"), "Infinity is no number"),
        (("trial_run", "throughput"), 10**400, "trial_run.throughput is "),
        ((*EVIDENCE, 0, -1), 10**400, "in which there is no latency"),
        ((*EVIDENCE, 0, -1), "9", "in which there is no latency"),
        ((*EVIDENCE, 0, -1), True, "in which there is no latency"),
        ((*EVIDENCE, 0, -2), 10**10, "but there are 12"),
        ((*EVIDENCE, 0), [], "begins with no operators"),
        ((*EVIDENCE, 0), [3, 1, 5], "begins with no operators"),
        ((*FIRST, "operators_in_file", 0, 1), 10**30, "operators_in_file.0.1 is 10000"),
        ((*FIRST, "interval_ns"), [1, 2], "interval_ns of segment 0 is not around"),
        ((*FIRST, "cpu_ns"), 10**9, "cpu_ns of segment 0 is more than its latency"),
        ((*FIRST, "cpu_operators"), ["RELU"], "cpu_operators of segment 0 is ['RELU']"),
        ((*FIRST, "on_edge_tpu"), False, "on_edge_tpu of segment 0 is False"),
        ((*FIRST, "input_bytes"), 1, "input_bytes of segment 0 is 1"),
        ((*FIRST, "file_sha256"), "0" * 64, "file_sha256 of segment 0"),
        ((*FIRST, "file"), "../x.tflite", "file of segment 0 is '../x.tflite', which is"),
        ((*FIRST, "file"), "x.tflite", "x.tflite is not beside it"),
        (("rounds", 0, "bottleneck_ns"), 1, "bottleneck and gap of round 0"),
        (("rounds", 0, "latencies_ns"), [1, 2, 3], "latencies of round 0 are not those measured"),
        (("rounds", 0, "index"), 1, "round 0 is numbered 1"),
        (("rounds",), [], "rounds is [], but list should have at least 1 item"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_told_beside_the_claims(
    written: Path,
    capfd: pytest.CaptureFixture[str],
    path: tuple[Any, ...],
    value: Any,
    sentence: str,
) -> None:
    written.write_text(json.dumps(put(json.loads(written.read_text()), path, value)))
    assert main([str(written)]) in (1, 2)
    told = capfd.readouterr()
    assert told.out == ""
    assert sentence in told.err
    assert one_sentence(told.err)


def test_every_field_is_needed(written: Path, capfd: pytest.CaptureFixture[str]) -> None:
    content = json.loads(written.read_text())
    for field in content:
        left = {key: value for key, value in content.items() if key != field}
        if field != "sha256":
            left["sha256"] = digest_of(left)
        written.write_text(json.dumps(left))
        assert main([str(written)]) in (1, 2), field
        assert one_sentence(capfd.readouterr().err)


def test_a_latency_listed_twice(written: Path, capfd: pytest.CaptureFixture[str]) -> None:
    content = json.loads(written.read_text())
    measured = content["certificate"]["measured"]
    measured.append([*measured[0][:-1], measured[0][-1] * 2])
    content["sha256"] = digest_of(content)
    written.write_text(json.dumps(content))
    assert main([str(written)]) == 1
    assert "twice" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("spoiled", "sentence"),
    [
        (lambda text: text.replace("{", '{"why": "Optimal.",', 1), "'why' stands twice"),
        (lambda text: text.replace('"gap_ns":', f'"gap_ns": {"9" * 5000}, "x":'), "4300 digits"),
        (lambda _: '{"certificate":' * 100_000, "nested too deep"),
        (lambda text: "\ufeff" + text, "BOM"),
        (lambda text: text[: len(text) // 2], "cannot be read"),
    ],
)
def test_what_is_not_plainly_json(
    written: Path,
    capfd: pytest.CaptureFixture[str],
    spoiled: Callable[[str], str],
    sentence: str,
) -> None:
    written.write_text(spoiled(written.read_text()))
    assert main([str(written)]) == 2
    told = capfd.readouterr().err
    assert sentence in told
    assert one_sentence(told)


def test_executables_beside_it(
    written: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Those of another cut, fewer, and none, as after it was sent to somebody."""
    text = written.read_text()
    names = [segment["file"] for segment in json.loads(text)["segments"]]
    other, model = tmp_path / "other", json.loads(text)["model"]
    base = ["--model_path", model, "--output_dir", str(other), "--no-verify", "--no-cache"]
    assert partition([*base, "--cuts", "1,2", "--quiet"]) == 0
    assert main([str(written)]) == 0
    assert "not beside it" not in capfd.readouterr().out
    kept = (written.parent / names[0]).read_bytes()
    (written.parent / names[0]).write_bytes((other / names[0]).read_bytes())
    assert main([str(written)]) == 1
    assert f"{names[0]} beside it is another" in capfd.readouterr().err
    (written.parent / names[0]).write_bytes(kept)
    (written.parent / names[2]).unlink()
    assert main([str(written)]) == 1
    assert f"{names[2]} is not beside it" in capfd.readouterr().err
    alone = tmp_path / "sent.json"
    alone.write_text(text)
    assert main([str(alone)]) == 0
    assert "not beside it, and were not looked at" in capfd.readouterr().out


def test_what_another_compiler_made_is_not_made_again(
    written: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """And so it is said, as it is where only somebody says that there was another."""
    content = put(json.loads(written.read_text()), ("compiler",), "edgetpu_compiler")
    written.write_text(json.dumps(content))
    assert main([str(written)]) == 0
    assert "Not worked out again: what another compiler made, what was" in capfd.readouterr().out


def test_an_empty_model_is_no_model(written: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([str(written), "--model", ""]) == 2
    assert one_sentence(capfd.readouterr().err)
