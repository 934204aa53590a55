"""A report as one page that needs nothing else: figures, their library and all texts are in it."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from string import Template

import plotly.graph_objects as go
from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs

from app.report.content import (
    Block,
    Cell,
    Chart,
    Heading,
    Missing,
    Report,
    Section,
    Table,
    Text,
    cell_text,
)

__all__ = ["to_html"]

_FOLDER = Path(__file__).parent
_TITLE = "Online Label Smoothing: report on {}"


def to_html(report: Report) -> str:
    """Return the page of a report.

    Figures take the colours of the reader's system, light or dark, and light ones on paper.
    """
    sections = "\n".join(_section(*numbered) for numbered in enumerate(report.sections, 1))
    charts = {_figure_id(chart): _spec(chart.figure) for chart in report.charts()}
    return Template(_part("template.html")).substitute(
        title=escape(_title(report)),
        style=_part("report.css"),
        about=_about(report),
        contents=_contents(report.sections),
        sections=sections,
        # Plotly escapes "<", so that no name can end the script that holds it.
        figures=to_json_plotly(charts),
        plotly=get_plotlyjs(),
        script=_part("report.js"),
    )


def _part(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8").rstrip("\n")


def _title(report: Report) -> str:
    n_runs = len(report.run_ids)
    return _TITLE.format(report.run_ids[0] if n_runs == 1 else f"{n_runs} runs")


def _about(report: Report) -> str:
    facts = {
        "Made": f"{report.created:%Y-%m-%d %H:%M %Z}",
        "Runs": ", ".join(report.run_ids),
        "With": ", ".join(f"{name} {version}" for name, version in report.versions),
    }
    return _tag("dl", "".join(f"<dt>{n}</dt><dd>{escape(v)}</dd>" for n, v in facts.items()))


def _contents(sections: tuple[Section, ...]) -> str:
    items = []
    for number, section in enumerate(sections, 1):
        inner = "".join(
            _tag("li", _link(f"s{number}-{place}", block.text))
            for place, block in enumerate(section.blocks)
            if isinstance(block, Heading)
        )
        below = _tag("ul", inner) if inner else ""
        items.append(_tag("li", _link(f"s{number}", section.title) + below))
    return _tag("ul", "\n".join(items))


def _section(number: int, section: Section) -> str:
    blocks = [_block(block, f"s{number}-{place}") for place, block in enumerate(section.blocks)]
    heading = f'<h2 id="s{number}">{escape(section.title)}</h2>'
    return _tag("section", "\n".join([heading, *blocks]))


def _block(block: Block, anchor: str) -> str:
    match block:
        case Heading(text):
            return f'<h3 id="{anchor}">{escape(text)}</h3>'
        case Text(text):
            return _tag("p", escape(text))
        case Missing(text):
            return f'<p class="missing">{escape(text)}</p>'
        case Chart():
            return _figure(block)
        case Table():
            return _table(block)


def _figure(chart: Chart) -> str:
    style = f"height:{chart.figure.layout.height}px"
    if chart.most_width is not None:
        style += f";max-width:{chart.most_width}px"
    kind = ' class="narrow"' if chart.narrow else ""
    return (
        f'<figure{kind}><div id="{_figure_id(chart)}" style="{style}"></div>'
        f"<figcaption>{escape(chart.caption)}</figcaption></figure>"
    )


def _figure_id(chart: Chart) -> str:
    return escape(f"figure-{chart.name}")


def _spec(figure: go.Figure) -> dict[str, object]:
    """A figure without the template it was born with, whose colours only Streamlit can resolve."""
    spec: dict[str, object] = figure.to_dict()
    layout = figure.layout.to_plotly_json()
    layout.pop("template", None)
    return {"data": spec["data"], "layout": layout}


def _table(table: Table) -> str:
    numeric = [
        any(not isinstance(row[place], str) for row in table.rows)
        for place in range(len(table.header))
    ]
    head = "".join(
        f'<th scope="col"{_class(number)}>{escape(title)}</th>'
        for title, number in zip(table.header, numeric, strict=True)
    )
    rows = "\n".join(_tag("tr", "".join(_cells(row, numeric))) for row in table.rows)
    title = escape(table.title)
    caption = "" if table.folded else _tag("caption", title)
    drawn = (
        f'<div class="wide" tabindex="0" role="region" aria-label="{title}"><table>{caption}'
        f"<thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table></div>"
    )
    if table.note:
        drawn += f'<p class="note">{escape(table.note)}</p>'
    return f"<details><summary>{title}</summary>{drawn}</details>" if table.folded else drawn


def _cells(row: tuple[Cell, ...], numeric: list[bool]) -> Iterator[str]:
    yield f'<th scope="row">{escape(cell_text(row[0]))}</th>'
    for cell, number in zip(row[1:], numeric[1:], strict=True):
        yield f"<td{_class(number)}>{escape(cell_text(cell))}</td>"


def _class(number: bool) -> str:
    return ' class="number"' if number else ""


def _link(anchor: str, text: str) -> str:
    return f'<a href="#{anchor}">{escape(text)}</a>'


def _tag(name: str, content: str) -> str:
    return f"<{name}>{content}</{name}>"
