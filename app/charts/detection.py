"""How well a ranking finds what is known to be wrong."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from app.charts.theme import GREY, color, style
from ols_core.analysis.embedding import Detection

__all__ = ["precision_recall_curves"]

_MAX_POINTS = 500  # of a curve: about one for every second pixel


def precision_recall_curves(found: Mapping[str, Detection], height: int = 440) -> go.Figure:
    """Draw precision by recall, one curve a run, in the order of the runs' colours."""
    figure = go.Figure()
    for position, (name, detection) in enumerate(found.items()):
        n = len(detection.recall)
        drawn = np.linspace(0, n - 1, min(n, _MAX_POINTS)).round().astype(int)
        figure.add_scatter(
            x=detection.recall[drawn],
            y=detection.precision[drawn],
            customdata=detection.n_checked[drawn],
            name=f"{name}: average precision {detection.average_precision:.2f}",
            mode="lines",
            line={"color": color(position), "width": 2},
            hovertemplate=(
                f"{name}<br>first %{{customdata}} samples<br>recall %{{x:.1%}}"
                "<br>precision %{y:.1%}<extra></extra>"
            ),
        )
    chance = next(iter(found.values())).chance
    figure.add_hline(
        y=chance,
        line={"color": GREY, "dash": "dash", "width": 1},
        annotation_text=f"by chance {chance:.0%}",
        annotation_position="bottom left",
    )
    figure.update_xaxes(
        title="recall: share of the flipped labels found", tickformat=".0%", range=[0, 1.02]
    )
    figure.update_yaxes(
        title="precision: share flipped among those looked at", tickformat=".0%", range=[0, 1.05]
    )
    return style(figure, "Flipped labels found", height, legend_lines=len(found))
