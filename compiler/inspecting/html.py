"""Descriptions as one HTML page: no script, no network, readable in the dark and on a phone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby

from compiler.drawing import COLOURS, Node, draw_layout, lay_out, legend, page, tiles
from compiler.inspecting.comparison import Comparison
from compiler.inspecting.comparison_text import verdict
from compiler.inspecting.description import ModelDescription, OperatorFacts, Place, SubgraphFacts
from compiler.inspecting.words import (
    Rows,
    float_advice,
    place_words,
    quantization_words,
    sections,
    shape_words,
    short_number,
)
from compiler.log import format_size
from devices.executable import CUSTOM_OPERATOR

_FILL: dict[Place, str] = {
    "tpu": COLOURS[0],
    "cpu": COLOURS[1],
    "compiler": COLOURS[2],
    "": COLOURS[9],
}
_PLACES: tuple[tuple[Place, str], ...] = (
    ("tpu", "Edge TPU"),
    ("cpu", "CPU"),
    ("compiler", "computed by the compiler"),
    ("", "not asked"),
)
_GROUP: dict[Place, int] = {"tpu": 0, "cpu": 1, "compiler": 2, "": 3}
_NARROW_LAYERS = 12
"""Layers of the drawing that fit the width of a phone."""

_MOST_TWICE = 1_500
"""Operators up to which the graph is drawn a second time, for phones; more scroll in a box."""

_MOST_REASONS = 40
"""Reasons listed below the drawing; the table has all."""

_STYLE = f"""
a {{ color: var(--accent); }}
svg.narrow {{ display: none; }}
svg a:focus rect, svg a:hover rect {{ stroke: var(--ink); stroke-width: 2; }}
.tall {{ max-height: 90vh; overflow: auto; }}
table.facts, table.ops {{ width: 100%; }}
table.facts th {{ vertical-align: top; text-align: left; width: 190px; overflow-wrap: anywhere; }}
table.facts td, table.ops td.wide {{ white-space: normal; overflow-wrap: anywhere;
  text-align: left; }}
table.ops tr:target td {{ font-weight: 700; }}
td.tpu {{ color: {_FILL["tpu"]}; font-weight: 650; }}
td.cpu {{ color: {_FILL["cpu"]}; font-weight: 650; }}
td.compiler {{ color: {_FILL["compiler"]}; font-weight: 650; }}
table.ops td:nth-child(3) {{ min-width: 340px; }}
table.ops td:last-child {{ min-width: 200px; }}
section + h1 {{ margin-top: 34px; }}
ul.reasons {{ font-size: 13.5px; padding-left: 20px; overflow-wrap: anywhere; }}
.hint {{ color: var(--dim); display: block; }}
@media (max-width: 700px) {{
  main {{ padding: 16px 10px 40px; }}
  section {{ padding: 14px 12px 8px; }}
  .tiles {{ grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); }}
  svg.both {{ display: none; }}
  svg.narrow {{ display: block; }}
  table.facts, table.facts tbody, table.facts tr, table.facts th, table.facts td {{
    display: block; width: auto; padding: 0; border: 0; }}
  table.facts tr {{ border-bottom: 1px solid var(--rule); padding: 4px 0; }}
  table.ops tr:first-child {{ display: none; }}
  table.ops, table.ops tbody {{ display: block; }}
  table.ops tr {{ display: block; border-bottom: 1px solid var(--rule); padding: 6px 0; }}
  table.ops td {{ display: block; border: 0; padding: 0; text-align: left; white-space: normal;
    overflow-wrap: anywhere; }}
  table.ops td[data-label]::before {{ content: attr(data-label) ": "; color: var(--dim);
    font-weight: 400; }}
  table.ops td:nth-child(3) {{ min-width: 0; }}
  table.ops td:nth-child(-n+2) {{ display: inline; font-weight: 650; margin-right: 6px; }}
  table.facts td[data-label]::before {{ content: attr(data-label) " "; color: var(--dim); }}
  table.ops td:empty, table.facts td:empty {{ display: none; }}
}}
"""


def models_page(models: Sequence[ModelDescription], comparison: Comparison | None = None) -> str:
    """The page on these models; of two, with what differs in front."""
    parts: list[str] = []
    if comparison is not None:
        parts.append(_compared(comparison))
    for number, model in enumerate(models):
        parts += _model(model, number)
    return page(", ".join(_short(model) for model in models), parts, _STYLE)


def _short(model: ModelDescription) -> str:
    return model.name.rsplit("/", 1)[-1]


def _model(model: ModelDescription, number: int) -> Iterator[str]:
    yield f"<h1>{escape(_short(model))}</h1>"
    by = f", compiled by {escape(model.compiled.by)}" if model.compiled else ""
    yield f'<p class="dim">{escape(model.numbers)}{by}</p>'
    yield tiles(_tiles(model))
    if model.is_float and not model.compiled:
        yield _advice(f"edgetpu_compiler would {float_advice(model)}.")
    elif model.prediction is not None and model.prediction.refusal:
        yield _advice(f"edgetpu_compiler would refuse it: {model.prediction.refusal}")
    for at, graph in enumerate(model.subgraphs):
        yield _drawing(model, graph, number, at)
    for title, rows in sections(model):
        yield f"<section><h2>{escape(title)}</h2>{_facts(rows)}</section>"
    for at, graph in enumerate(model.subgraphs):
        yield _operators(graph, number, at)


def _advice(text: str) -> str:
    return f'<section><p class="advice">{escape(text)}</p></section>'


def _tiles(model: ModelDescription) -> list[tuple[str, str]]:
    main = model.main
    found = [("file", format_size(model.file_bytes)), ("operators", f"{len(main.operators)}")]
    prediction, compiled = model.prediction, model.compiled
    if compiled is not None:
        packages = compiled.packages
        found += [
            ("operators on the CPU", f"{main.count('cpu')}"),
            ("on-chip parameters", format_size(sum(one.on_chip_bytes for one in packages))),
            ("streamed parameters", format_size(sum(one.off_chip_bytes for one in packages))),
            ("instructions", format_size(sum(one.instruction_bytes for one in packages))),
        ]
    elif prediction is not None and not prediction.refusal:
        found += [
            ("of the work on the Edge TPU", f"{prediction.mapped_share:.1%}"),
            ("operators on the CPU", f"{main.count('cpu')}"),
            ("on-chip parameters", format_size(prediction.on_chip_bytes)),
            ("streamed parameters", format_size(prediction.off_chip_bytes)),
        ]
    else:
        found.append(("multiply-accumulates", short_number(main.macs)))
    return found


def _facts(rows: Rows) -> str:
    cells = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows
    )
    return f'<table class="facts">{cells}</table>'


def _drawing(model: ModelDescription, graph: SubgraphFacts, number: int, at: int) -> str:
    layout = lay_out(len(graph.operators), graph.edges)
    nodes = [
        Node(
            group=_GROUP[one.runs_on],
            label="TPU" if one.kind == CUSTOM_OPERATOR else str(one.index),
            fill=_FILL[one.runs_on],
            note=_note(one),
            link=f"#{_anchor(number, at, one)}",
            angular=one.runs_on == "cpu",
        )
        for one in graph.operators
    ]
    if not nodes:
        return ""
    label = f"{len(nodes)} operators coloured by where they run"
    twice = len(nodes) <= _MOST_TWICE
    drawn = draw_layout(layout, nodes, label, css="both" if twice else "")
    if twice:
        drawn += draw_layout(layout, nodes, label, layers_per_band=_NARROW_LAYERS, css="narrow")
    else:
        drawn = f'<div class="tall">{drawn}</div>'
    places = [
        (_FILL[place], f"{name} ({graph.count(place)})")
        for place, name in _PLACES
        if graph.count(place)
    ]
    would = "would run" if model.compiled is None else "run"
    where = f"by where its operators {would}" if graph.count("") < len(nodes) else ""
    title = f"The graph {where}".strip() + (f", subgraph {at}" if len(model.subgraphs) > 1 else "")
    return (
        f"<section><h2>{title}</h2>"
        '<p class="note">From left to right; dashed lines go between Edge TPU and CPU. '
        "Every number leads to its operator in the table.</p>"
        f"{legend(places)}{drawn}{_reasons(graph, number, at)}</section>"
    )


def _note(one: OperatorFacts) -> str:
    said = [f"#{one.index} {one.kind}", place_words(one), one.reason, one.hint]
    return ": ".join(filter(None, said))


def _anchor(number: int, at: int, one: OperatorFacts) -> str:
    return f"m{number}g{at}o{one.index}"


def _reasons(graph: SubgraphFacts, number: int, at: int) -> str:
    """What keeps operators on the CPU; neighbours with the same reason share a line."""
    left = [one for one in graph.operators if one.reason]
    lines = []
    for (reason, hint), group in groupby(left, key=lambda one: (one.reason, one.hint)):
        alike = list(group)
        links = ", ".join(
            f'<a href="#{_anchor(number, at, one)}">{one.index}</a> {escape(one.kind)}'
            for one in alike[:6]
        )
        more = f" and {len(alike) - 6} more" if len(alike) > 6 else ""
        tip = f'<span class="hint">{escape(hint)}</span>' if hint else ""
        lines.append(f"<li>{links}{more}: {escape(reason)}{tip}</li>")
    if not lines:
        return ""
    more = f"<li>and {len(lines) - _MOST_REASONS} more, see the table</li>"
    shown = "".join(lines[:_MOST_REASONS]) + (more if len(lines) > _MOST_REASONS else "")
    return f'<h2>Why on the CPU</h2><ul class="reasons">{shown}</ul>'


_COLUMNS = ("#", "operator", "result", "quantisation", "MACs", "constants", "runs on", "why")


def _operators(graph: SubgraphFacts, number: int, at: int) -> str:
    left = {"operator", "result", "quantisation", "why"}
    header = "".join(f"<th{' class=left' if name in left else ''}>{name}</th>" for name in _COLUMNS)
    rows = "".join(_row(one, _anchor(number, at, one)) for one in graph.operators)
    title = "Operators" + (f" of subgraph {at}" if at else "")
    return f'<section><h2>{title}</h2><table class="ops"><tr>{header}</tr>{rows}</table></section>'


def _row(one: OperatorFacts, anchor: str) -> str:
    names = "<br>".join(
        f"{escape(t.name)} <span class='dim'>{t.dtype} {shape_words(t.shape)}</span>"
        for t in one.outputs
    )
    scales = "<br>".join(escape(quantization_words(t.quantization)) for t in one.outputs)
    why = "; ".join(filter(None, (one.reason, one.assumed and f"assumed: {one.assumed}")))
    tip = f'<span class="hint">{escape(one.hint)}</span>' if one.hint else ""
    is_package = one.kind == CUSTOM_OPERATOR
    size = one.chip_bytes if is_package and one.chip_bytes else one.parameter_bytes
    return (
        f'<tr id="{anchor}"><td>{one.index}</td><td class="left">{escape(one.kind)}</td>'
        f'<td class="wide" data-label="result">{names}</td>'
        f'<td class="wide" data-label="quantisation">{scales or "none"}</td>'
        f'<td data-label="MACs">{"-" if is_package else format(one.macs, ",")}</td>'
        f'<td data-label="constants">{size:,}</td>'
        f'<td class="{one.runs_on}">{place_words(one)}</td>'
        f'<td class="wide">{escape(why)}{tip}</td></tr>'
    )


def _compared(comparison: Comparison) -> str:
    rows = "".join(
        f"<tr><th>{escape(one.what)}</th><td data-label='-'>{escape(one.left)}</td>"
        f"<td data-label='+'>{escape(one.right)}</td></tr>"
        for one in comparison.differences
    )
    left, right = escape(_short(comparison.left)), escape(_short(comparison.right))
    names = f"<th>- {left}</th><th>+ {right}</th>"
    table = f'<table class="facts"><tr><th></th>{names}</tr>{rows}</table>' if rows else ""
    alike = f'<p class="note">Alike: {escape(", ".join(comparison.alike))}.</p>' if rows else ""
    return (
        f"<h1>{left} and {right}</h1>"
        f'<section><h2>What differs</h2><p class="advice">{verdict(comparison)}</p>{table}{alike}'
        "</section>"
    )
