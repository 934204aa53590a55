from __future__ import annotations

import dataclasses

import numpy as np
import plotly.graph_objects as go
import pytest

from app.charts.convergence import QUANTITIES, convergence_curves
from app.charts.curves import CURVES, training_curves
from app.charts.matrix import heatmap, make_axis
from app.charts.neighbours import neighbour_bars, neighbour_lines
from app.charts.palettes import DIMMED, Legend
from app.charts.reliability import reliability_overlay, reliability_panels
from app.charts.scale import Scale, scale_of
from app.charts.scatter import ScatterPanel, scatter_panels
from app.charts.theme import DIVERGING, RUN_COLORS, on_page
from ols_core.analysis.calibration import calibrated_band, wilson_interval
from ols_core.analysis.similarity import class_hierarchy, dendrogram
from ols_core.analysis.soft_labels import convergence

NAMES = ["ant", "bee", "cat", "dog"]
LABELS = {"title": "t", "quantity": "mass", "row": "target", "column": "class"}


def _matrix():
    return np.random.default_rng(0).dirichlet(np.ones(4), 4).astype(np.float32)


def _trace(matrix, kind):
    axis = make_axis(NAMES, np.arange(4))
    return heatmap(matrix, axis, scale=scale_of(matrix, kind), **LABELS).data[0]


def test_a_heatmap_draws_the_matrix_it_was_given():
    matrix = _matrix()
    scale = Scale("linear", 0.0, 0.9)
    figure = heatmap(matrix, make_axis(NAMES, np.arange(4)), scale=scale, **LABELS)
    trace = figure.data[0]
    np.testing.assert_array_equal(trace.z, matrix)
    assert (trace.zmin, trace.zmax) == (0.0, 0.9)
    assert list(trace.x) == list(trace.y) == NAMES
    # Row 0 is drawn on top, as in the matrix.
    assert figure.layout.yaxis.autorange == "reversed"
    assert figure.layout.xaxis.title.text == "class"
    assert figure.layout.yaxis.title.text == "target"


def test_logarithmic_colours_keep_the_true_values_for_hovering():
    matrix = _matrix()
    trace = _trace(matrix, "log")
    np.testing.assert_allclose(trace.z, np.log10(matrix), rtol=1e-6)
    np.testing.assert_array_equal(trace.customdata, matrix)
    shown = [float(text) for text in trace.colorbar.ticktext]
    np.testing.assert_allclose(np.log10(shown), trace.colorbar.tickvals)


@pytest.mark.parametrize(("n_cells", "leaves"), [(4, [0, 1, 2, 3]), (2, [-0.25, 0.25, 0.75, 1.25])])
def test_a_tree_grows_from_the_rows_that_it_joins(n_cells, leaves):
    similarity = np.array(
        [[1, 0.9, 0.2, 0.1], [0.9, 1, 0.2, 0.1], [0.2, 0.2, 1, 0.6], [0.1, 0.1, 0.6, 1]]
    )
    tree = dendrogram(class_hierarchy(similarity))
    axis = make_axis(NAMES[:n_cells], np.arange(n_cells))
    matrix = similarity[:n_cells, :n_cells]
    figure = heatmap(matrix, axis, scale=scale_of(matrix, "linear"), tree=tree, **LABELS)
    (shape,) = figure.layout.shapes
    joins = [[p.split(",") for p in join.split(" L")] for join in shape.path[1:].split(" M")]
    ends = sorted(float(y) for join in joins for x, y in (join[0], join[-1]) if float(x) == 1.01)
    assert ends == leaves
    assert max(float(x) for join in joins for x, _ in join) == pytest.approx(1.13)


@pytest.mark.parametrize("value", [0.0, 0.25, np.nan])
@pytest.mark.parametrize("kind", ["linear", "log", "diverging"])
def test_flat_and_empty_matrices_have_a_scale(value, kind):
    trace = _trace(np.full((4, 4), value), kind)
    assert np.isfinite([trace.zmin, trace.zmax]).all()
    assert trace.zmin < trace.zmax


def test_groups_are_separated_and_named_where_classes_have_no_room():
    axis = make_axis(NAMES, np.array([1, 0, 2, 3]), ["insect", "insect", "pet", "pet"])
    assert axis.names == ["bee", "ant", "cat", "dog"]
    assert axis.groups == [("insect", 2), ("pet", 2)]
    layout = heatmap(_matrix(), axis, scale=Scale("linear", 0, 1), **LABELS).layout
    assert (layout.xaxis.tickmode, layout.xaxis.ticktext) == ("linear", None)
    assert [shape.x0 for shape in layout.shapes] == [1.5, 0]
    groups = ["insect"] * 20 + ["pet"] * 30
    axis = make_axis([f"class {i}" for i in range(50)], np.arange(50), groups)
    layout = heatmap(np.eye(50), axis, scale=Scale("linear", 0, 1), **LABELS).layout
    assert list(layout.xaxis.ticktext) == ["insect", "pet"]
    np.testing.assert_allclose(layout.xaxis.tickvals, [9.5, 34.5], atol=0.01)


def _band(n=500, n_bins=10):
    random = np.random.default_rng(1)
    confidence = random.uniform(0.2, 1, n)
    correct = random.uniform(size=n) < confidence**2
    return calibrated_band(confidence, correct, n_bins, n_redraws=200)


def test_the_reliability_diagram_draws_exactly_what_was_computed():
    band = _band()
    bins = band.bins
    figure = reliability_panels({"one": band, "two": band}, first=1)

    accuracy, gap, shade, counts = figure.data[:4]
    np.testing.assert_array_equal(accuracy.y.astype(float), bins.accuracy)
    for boxes, low, high in ((gap, bins.accuracy, bins.confidence), (shade, band.low, band.high)):
        corners = np.stack([boxes.x, boxes.y], axis=-1).astype(float).reshape(-1, 6, 2)
        np.testing.assert_array_equal(corners[:, 0], np.stack([bins.edges[:-1], low], axis=1))
        np.testing.assert_array_equal(corners[:, 2], np.stack([bins.edges[1:], high], axis=1))
    np.testing.assert_array_equal(counts.y, bins.counts)
    np.testing.assert_allclose(accuracy.x - accuracy.width / 2, bins.edges[:-1])
    filled = bins.counts > 0
    low, high = wilson_interval(bins.accuracy[filled], bins.counts[filled])
    whiskers = accuracy.error_y
    np.testing.assert_allclose((bins.accuracy + whiskers.array.astype(float))[filled], high)
    np.testing.assert_allclose((bins.accuracy - whiskers.arrayminus.astype(float))[filled], low)
    assert not filled.all()
    assert np.isnan(whiskers.array[~filled].astype(float)).all()
    assert accuracy.marker.color == RUN_COLORS[1]
    assert figure.data[4].marker.color == RUN_COLORS[2]
    assert figure.layout.yaxis3.range[1] > bins.counts.max()


def test_the_reliability_diagram_says_what_calibration_would_give():
    band = _band()
    titles = [note.text for note in reliability_panels({"one": band}).layout.annotations]
    assert len(titles) == 1
    assert f"ECE {band.bins.ece:.2%}" in titles[0]
    assert f"would give {band.expected_ece:.2%}, p = {band.p_value:.3f}" in titles[0]
    certain = dataclasses.replace(band, p_value=0.0001)
    note = reliability_panels({"one": certain}).layout.annotations[0]
    assert note.text.endswith("p < 0.001")


def test_a_row_that_is_not_full_leaves_room():
    full, half = reliability_panels({"one": _band()}), reliability_panels({"one": _band()}, 3, 2)
    assert full.layout.xaxis.domain[1] == 1
    assert half.layout.xaxis.domain[1] < 0.5
    assert len(full.data) == len(half.data)


def test_runs_on_common_axes_keep_bins_and_colours():
    band = _band()
    figure = reliability_overlay({"one": band, "two": band})
    lines = [trace for trace in figure.data if trace.mode == "lines+markers"]
    for position, line in enumerate(lines):
        np.testing.assert_array_equal(line.x, band.bins.confidence)
        np.testing.assert_array_equal(line.y, band.bins.accuracy)
        assert line.line.color == line.error_y.color == RUN_COLORS[position]
    assert [line.name.split(",")[0] for line in lines] == ["one", "two"]
    steps = figure.data[-1]
    np.testing.assert_array_equal(steps.x, band.bins.edges)
    np.testing.assert_array_equal(steps.y[:-1], band.bins.counts)
    assert steps.line.shape == "hv"


@pytest.mark.parametrize("title", CURVES)
def test_training_curves_show_each_run_in_its_colour(title):
    keys = [key for key, _, _ in CURVES[title][1]]
    histories = {
        name: [{"epoch": e} | dict.fromkeys(keys, e + i) for e in (1, 2, 3)]
        for i, name in enumerate(("first", "second"))
    }
    figure = training_curves(histories, title)
    assert len(figure.data) == 2 * len(keys)
    assert [trace.name for trace in figure.data if trace.showlegend] == ["first", "second"]
    assert list(figure.data[-1].y) == [2, 3, 4]
    assert figure.data[-1].line.color == RUN_COLORS[1]
    assert figure.layout.xaxis.title.text == "epoch"


@pytest.mark.parametrize("histories", [{}, {"one": []}, {"one": [{"epoch": 1}]}])
def test_no_history_gives_a_titled_empty_figure(histories):
    figure = training_curves(histories, "NLL")
    assert isinstance(figure, go.Figure)
    assert not figure.data
    assert figure.layout.title.text == "NLL"
    assert "No history" in figure.layout.annotations[0].text


def test_neighbours_keep_their_order_and_colours():
    figure = neighbour_bars({"a": [0.2, 0.1], "b": [0.1, 0.3]}, ["cat", "dog"], "t", 300)
    assert [list(trace.x) for trace in figure.data] == [[0.2, 0.1], [0.1, 0.3]]
    assert [trace.marker.color for trace in figure.data] == list(RUN_COLORS[:2])
    assert not neighbour_bars({}, [], "t", 300).data


@pytest.mark.parametrize("dimensions", [2, 3])
def test_scatter_puts_every_point_in_its_group_and_the_rest_behind(dimensions):
    points = np.arange(6.0 * dimensions).reshape(6, dimensions)
    codes = np.array([0, 1, DIMMED, 0, 1, DIMMED], np.uint8)
    panel = ScatterPanel("one", points, codes)
    figure = scatter_panels([panel, panel], Legend("pet", ["cat", "dog"]))
    rest, cat, dog = figure.data[:3]
    assert (rest.name, cat.name, dog.name) == ("others", "cat", "dog")
    assert list(cat.x) == points[[0, 3], 0].tolist()
    assert list(dog.y) == points[[1, 4], 1].tolist()
    assert sum(len(trace.x) for trace in figure.data) == 12
    assert [trace.showlegend for trace in figure.data] == [True] * 3 + [False] * 3


def test_scatter_shows_a_quantity_between_its_ends():
    codes = np.array([0, 127, 254, DIMMED], np.uint8)
    panel = ScatterPanel("one", np.zeros((4, 2)), codes)
    rest, scale = scatter_panels([panel], Legend("confidence", low=0.0, high=1.0)).data
    np.testing.assert_allclose(scale.marker.color, [0, 0.5, 1])
    assert (scale.marker.cmin, scale.marker.cmax) == (0, 1)
    assert len(rest.x) == 1


def test_differences_have_zero_in_the_middle_of_two_hues():
    difference = _matrix() - _matrix()[::-1]
    trace = _trace(difference, "diverging")
    np.testing.assert_array_equal(trace.z, difference)
    assert trace.zmin == -trace.zmax
    assert tuple(shade for _, shade in trace.colorscale) == DIVERGING
    assert "+.4f" in trace.hovertemplate


def test_no_difference_at_all_still_has_a_scale():
    trace = _trace(np.zeros((4, 4)), "diverging")
    assert (trace.zmin, trace.zmax) == (-1.0, 1.0)


@pytest.mark.parametrize("title", QUANTITIES)
def test_convergence_draws_what_was_computed(title):
    matrices = np.random.default_rng(1).dirichlet(np.ones(4), (5, 4))
    counts = np.full((5, 4), 3)
    counts[0] = 0
    found = convergence(matrices, counts)
    figure = convergence_curves({"one": found, "two": found}, title)
    # Without a mode, few points would be drawn as dots.
    assert {trace.mode for trace in figure.data} == {"lines"}
    lines = [trace for trace in figure.data if not trace.fill]
    expected = {
        "Change": found.mean_change,
        "Row entropy": found.entropy[:, 2],
        "Own mass": found.target_mass[:, 2],
    }[title]
    drawn = np.flatnonzero(np.isfinite(expected))
    assert [line.name for line in lines] == ["one", "two"]
    for line in lines:
        np.testing.assert_array_equal(line.x, drawn)
        np.testing.assert_array_equal(line.y, expected[drawn])
    assert len(figure.data) == len(lines) + (0 if title == "Change" else 2)
    assert figure.layout.xaxis.dtick == 1
    assert figure.layout.yaxis.title.text == QUANTITIES[title]


def test_lines_of_a_class_are_its_row_over_the_epochs():
    rows = _matrix()[:3, :2]
    fallback = np.array([True, False, False])
    figure = neighbour_lines([0, 1, 2], rows, ["bee", "cat"], fallback, "t", 300)
    assert [(shade.x0, shade.x1) for shade in figure.layout.shapes] == [(-0.5, 0.5)]
    assert [trace.name for trace in figure.data] == ["bee", "cat"]
    for position, trace in enumerate(figure.data):
        np.testing.assert_array_equal(trace.y, rows[:, position])


def test_a_figure_on_a_page_can_be_drawn_a_second_time_for_nothing():
    numbers = np.linspace(0, 1, 6, dtype=np.float32)
    figure = go.Figure(layout={"template": "plotly_white", "xaxis": {"showgrid": True}})
    figure.add_scatter(
        x=np.arange(6), y=numbers, marker={"color": numbers}, customdata=numbers.reshape(3, 2)
    )
    figure.add_heatmap(z=numbers.reshape(2, 3), xaxis="x2", yaxis="y2")
    figure.update_layout(title="Title", annotations=[{"text": "note"}])
    before = figure.to_json()

    light, dark = (on_page(figure, dark=dark).to_dict() for dark in (False, True))

    assert figure.to_json() == before
    assert light["data"] == dark["data"]
    scatter, heat = light["data"]
    assert scatter["x"] == list(range(6))
    assert scatter["y"] == scatter["marker"]["color"] == numbers.tolist()
    assert scatter["customdata"] == numbers.reshape(3, 2).tolist()
    assert heat["z"] == numbers.reshape(2, 3).tolist()
    for drawn in (light, dark):
        layout = drawn["layout"]
        assert not layout.get("template")
        assert "datarevision" in layout
        assert layout["title"]["text"] == "Title"
        assert layout["annotations"] == [{"text": "note"}]
        assert layout["xaxis"]["showgrid"] is True
    assert light["layout"]["paper_bgcolor"] != dark["layout"]["paper_bgcolor"]
