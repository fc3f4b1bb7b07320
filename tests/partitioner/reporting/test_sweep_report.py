"""Numbers of TPUs on the terminal, in JSON and on the page: the same words and figures."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html import unescape

from partitioner.reporting import SweepReport, sweep_json, sweep_page, sweep_text
from partitioner.reporting.sweep_report import sweep_cells, sweep_notes
from partitioner.sizing import NOT_LOOKED_AT, Target, recommend
from partitioner.sizing.how_many import sweep_of
from partitioner.sizing.plans import PipelineCost
from tests.partitioner.sizing.test_how_many import LARGE, SMALL, cost


def report(counts: Sequence[int] = range(1, 9), target: Target | None = None) -> SweepReport:
    pipelines = [replace(one, outcome="budget") if one.segments == 2 else one for one in LARGE]
    table = sweep_of(pipelines, counts, {5: NOT_LOOKED_AT})
    return SweepReport(
        model="made <up>.tflite",
        model_sha256="0" * 64,
        compiler="none",
        devices=({"name": "usb:0", "link": "usb", "host": "pi4-usb3", "spread": 0.29},),
        options={"host_cores": 1, "order": "any"},
        warnings=("it is warm",),
        lost_devices={"usb:3": "it died"},
        sweep=table,
        recommendation=recommend(table, target or Target()),
        measurements=1,
    )


def words(page: str) -> str:
    """What a page says, without its tags."""
    return re.sub(r"\s+", " ", unescape(re.sub("<[^>]*>", " ", page)))


def test_page_and_terminal_say_the_same() -> None:
    told = report(target=Target(fps=350))
    text, page = sweep_text(told), words(sweep_page(told))
    content = json.loads(sweep_json(told))
    assert "1 segment measured." in text
    assert "1 segment measured" in page
    advice = told.recommendation
    for sentence in (advice.sentence, advice.how_to_run, *sweep_notes(told.sweep)):
        assert sentence
        assert sentence in text
        assert sentence in page
    assert (content["recommendation"]["sentence"], content["recommendation"]["how_to_run"]) == (
        advice.sentence,
        advice.how_to_run,
    )
    for row in told.sweep.rows:
        cells = sweep_cells(row)
        assert re.search(" +".join(map(re.escape, cells)), text)
        assert all(cell in page for cell in cells[:6] + cells[7:])
    for name, what in (("lost device", "usb:3: it died"), ("warning", "it is warm")):
        assert f"{name}: {what}" in text
        assert f"{name.capitalize()}: {what}" in page
    assert "within a factor 1.29" in text
    assert "within a factor 1.29" in page
    assert content["cuts_by_num_segments"]["2"]["outcome"] == "budget"
    assert "host_cores 1" in page  # to reproduce


def test_notes() -> None:
    """The whole model has one cut, so no search for it ends too early."""
    hurried = sweep_of([PipelineCost((), (40,), outcome="budget"), *LARGE[1:]], range(1, 9))
    assert "better cut" not in " ".join(sweep_notes(hurried))
    notes = sweep_notes(report().sweep)
    assert notes[0].startswith("Into 2 segments: the search ended with its time or measurements")
    assert notes[1] == f"5 segments were not looked at: {NOT_LOOKED_AT}."
    why = {k: f"num_segments is {k}, but there are 2" for k in (3, 4, 5)}
    few = sweep_of([cost(2.0), cost(1.0, 1.0)], range(1, 6), why)
    assert (
        sweep_notes(few)[0]
        == "3 to 5 segments are not possible: num_segments is 3, but there are 2."
    )
    apart = sweep_of(SMALL, range(1, 5), {5: "a", 7: "a"})
    assert sweep_notes(apart)[0] == "5, 7 segments are not possible: a."
    uncut = sweep_of([cost(1.0, 1.0)], [2], {1: "too large."})
    assert sweep_notes(uncut)[0] == "1 segment is not possible: too large."
    assert sweep_notes(sweep_of(SMALL, [1])) == []  # one TPU shares nothing


def test_the_row_that_stands_out_is_the_plan_recommended() -> None:
    """Plans that leave TPUs over are the best of several rows, and the plan of one."""
    model = PipelineCost((), (20_000_000,), cpu_ns=(10_000_000,), cpu_operators=(3,))
    table = sweep_of([model], range(1, 6), host_cores=1)
    told = replace(report(), sweep=table, recommendation=recommend(table, Target(fps=90)))
    page = sweep_page(told)
    assert [row.best.num_devices for row in table.rows] == [1, 2, 2, 2, 2]
    assert page.count("class=chosen") == 1
    assert "class=chosen><td>2</td>" in page


def test_the_chart_shows_what_was_asked_for() -> None:
    """350 inferences/s with a fifth to spare are 420."""
    page = sweep_page(report(target=Target(fps=350, margin=0.2)))
    assert "asked for, with the margin: 420;" in page.replace('"', ";")
    assert "asked for" not in sweep_page(report())
