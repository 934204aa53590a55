"""A page with one scatter plot of synthetic points: the scatter viewer, ECharts, or Scattergl."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

# `streamlit run` puts only this file's folder on the path.
sys.path[:] = dict.fromkeys([str(Path(__file__).resolve().parents[2]), *sys.path])

from app.charts.palettes import palette  # noqa: E402
from app.components.scatter_viewer import (  # noqa: E402
    Panel,
    Selection,
    current_selection,
    scatter_viewer,
    selected_points,
)
from tests.app.scatter_page import (  # noqa: E402
    KEY,
    Legend,
    frame_of,
    group_names,
    labels_of,
    points_of,
)

HEIGHT = 600


def viewer(n: int, layout: int) -> int:
    panels = [Panel("", [frame_of(n, 2, layout, 0, "class")])]
    selection = current_selection(panels, KEY)
    inside = selection and selected_points(selection, panels[0].frames[0].points)
    names = group_names()
    scatter_viewer(
        panels,
        labels=labels_of(n),
        class_names=names,
        legend=Legend("class", names),
        selected=inside,
        key=KEY,
    )
    return 0 if inside is None else int(inside.sum())


def echarts(n: int, layout: int) -> int:
    """One series a group, large mode on, and the polygon's points found by numpy."""
    points = points_of(n, 2, layout, 0)
    datasets, series = [], []
    for group, (color, _) in enumerate(palette(10)):
        of_group = pd.DataFrame(points[labels_of(n) == group], columns=["x", "y"])
        datasets.append({"source": of_group})
        series.append(
            {"type": "scatter", "datasetIndex": group, "symbolSize": 4, "large": True}
            | {"encode": {"x": "x", "y": "y"}, "itemStyle": {"color": color}}
        )
    option = {
        "dataset": datasets,
        "series": series,
        "xAxis": {"scale": True},
        "yAxis": {"scale": True},
        "animation": False,
        "brush": {"xAxisIndex": "all", "throttleType": "debounce", "throttleDelay": 100},
        "toolbox": {"feature": {"brush": {"type": ["polygon"]}}, "left": 0, "top": 0},
    }
    state = st.echarts_chart(option, height=HEIGHT, on_select="rerun", key=KEY)
    if not state.selection.areas:
        return 0
    polygon = np.array(state.selection.areas[0]["coord_range"], np.float32)
    return int(selected_points(Selection(0, 0, polygon), points).sum())


def scattergl(n: int, layout: int) -> int:
    points = points_of(n, 2, layout, 0)
    figure = go.Figure()
    for group, (color, _) in enumerate(palette(10)):
        x, y = points[labels_of(n) == group].T
        figure.add_scattergl(x=x, y=y, mode="markers", marker={"size": 4, "color": color})
    figure.update_layout(height=HEIGHT, dragmode="lasso")
    state = st.plotly_chart(figure, on_select="rerun", selection_mode="lasso", key=KEY)
    return len(state.selection.point_indices)


def main() -> None:
    st.set_page_config(layout="wide")
    draw = {"viewer": viewer, "echarts": echarts, "scattergl": scattergl}
    layout = int(st.toggle("Other layout"))
    found = draw[st.query_params["chart"]](int(st.query_params.get("n", 50_000)), layout)
    st.text(f"inside {found}")


if __name__ == "__main__":
    main()
