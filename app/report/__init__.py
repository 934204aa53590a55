"""What the pages show of some runs, in one document: a page without a network, pictures, tables.

Every number comes from the same cached functions as those of the pages.
"""

from __future__ import annotations

from app.report.build import MAX_RUNS, build_report
from app.report.content import Chart, Missing, Report, Section, Table
from app.report.html import to_html
from app.report.pictures import draw_pictures

__all__ = [
    "MAX_RUNS",
    "Chart",
    "Missing",
    "Report",
    "Section",
    "Table",
    "build_report",
    "draw_pictures",
    "to_html",
]
