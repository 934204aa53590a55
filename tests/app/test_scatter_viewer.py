"""The scatter viewer: its messages, and the component in a real Chromium on synthetic points."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import streamlit
from playwright.sync_api import Locator, Page, expect
from streamlit.testing.v1 import AppTest

from app.charts.palettes import palette
from app.components.scatter_viewer import (
    DIMMED,
    Atlas,
    Frame,
    Legend,
    Panel,
    Selection,
    current_selection,
    scatter_viewer,
    selected_points,
)
from ols_core.errors import ArgumentError
from tests.app.browser import REPOSITORY, received_bytes, sent_bytes, served
from tests.app.scatter_page import KEY, TILE, frame_of, labels_of, points_of, tile_color

MARGIN = 14  # pixels between the outermost points and the edge of a canvas
N = 500  # points of the page, if the URL does not say otherwise


# --- messages ----------------------------------------------------------------------------------


def _run(**chosen: object) -> AppTest:
    app = AppTest.from_file(str(REPOSITORY / "tests/app/scatter_page.py"), default_timeout=60)
    for key, value in chosen.items():
        app.query_params[key] = str(value)
    app.run()
    assert not app.exception
    return app


def _message(app: AppTest, component: str) -> tuple[dict, bytes]:
    """Header and body of what a mounted component is sent."""
    protos = [element.proto for element in app.get("bidi_component")]
    data = next(proto.bytes for proto in protos if proto.component_name == component)
    length = int.from_bytes(data[:4], "little")
    return json.loads(data[4 : 4 + length]), data[4 + length :]


def _array(body: bytes, place: list) -> np.ndarray:
    kind, start, length = place
    return np.frombuffer(body, kind, length, start)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_points_are_off_by_at_most_half_a_step_of_65535(dimensions):
    header, body = _message(_run(n=300, p=2, t=3, d=dimensions), "scatter_points")
    for panel, sent in enumerate(header["panels"]):
        truth = np.stack([points_of(300, dimensions, panel, t) for t in range(3)])
        codes = [_array(body, frame["points"]) for frame in sent["frames"]]
        planes = np.stack(codes).reshape(3, dimensions, 300)
        shown = planes.swapaxes(1, 2) * sent["step"] + sent["low"]
        extent = np.ptp(truth, axis=(0, 1)).max()
        assert np.abs(shown - truth).max() <= extent / 65535 / 2 * 1.01
        assert np.linalg.norm(
            truth - (truth.max((0, 1)) + truth.min((0, 1))) / 2, axis=-1
        ).max() <= (sent["radius"] * 1.0001)


def test_labels_and_predictions_arrive_and_equal_arrays_travel_once():
    header, body = _message(_run(n=300, p=3, t=4), "scatter_points")
    assert _array(body, header["labels"]).tolist() == labels_of(300).tolist()
    frames = [frame for panel in header["panels"] for frame in panel["frames"]]
    assert _array(body, frames[4]["predicted"]).tolist() == ((labels_of(300) + 1) % 10).tolist()
    assert _array(body, frames[0]["confidence"])[[0, -1]].tolist() == [0, 100]
    assert len({tuple(frame["confidence"]) for frame in frames}) == 1
    coordinates = 3 * 4 * 300 * 2 * 2
    assert len(body) == coordinates + (1 + 2 + 1) * 300  # labels = predicted of the first panel


def test_colours_are_those_of_the_palette_or_of_cividis():
    header, body = _message(_run(kind="dimmed"), "scatter_paint")
    assert header["palette"] == [list(swatch) for swatch in palette(4)]
    codes = _array(body, header["panels"][0]["frames"][0]["colors"])
    assert set(codes.tolist()) == {0, 1, 2, 3, DIMMED}
    header, _ = _message(_run(kind="confidence"), "scatter_paint")
    assert [color for color, _ in header["palette"][:: DIMMED - 1]] == ["#00224e", "#fee838"]
    assert len(header["palette"]) == DIMMED


def test_fifty_groups_have_swatches_of_their_own():
    assert len(set(palette(50))) == 50


@pytest.fixture(scope="module")
def layout() -> str:
    return _message(_run(), "scatter_points")[0]["layout"]


SQUARE = [[-9, -9], [9, -9], [9, 9], [-9, 9]]
TURN = [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    "change",
    [
        {"polygon": [[0, 0], [1, 1]]},
        {"polygon": [[0, 0], [1, 1], [float("nan"), 0]]},
        {"polygon": [[0, 0, 0]] * 3},
        {"polygon": [["a", 0]] * 3},
        {"polygon": [[0, 0], [1]]},
        {"polygon": [[0, 0]] * 5000},
        {"polygon": "nonsense"},
        {"panel": 1},
        {"panel": -1},
        {"frame": 1},
        {"frame": "0"},
        {"rotation": TURN},
        {"layout": "another"},
        "nonsense",
        {},
    ],
)
def test_a_state_from_anywhere_is_a_selection_of_these_points_or_none(layout, change, monkeypatch):
    good = {"layout": layout, "panel": 0, "frame": 0, "polygon": SQUARE, "rotation": None}
    state = change if change == "nonsense" else good | change
    monkeypatch.setattr(streamlit, "session_state", {KEY: {"selection": state}})
    panels = [Panel("", [frame_of(N, 2, 0, 0, "class")])]
    selection = current_selection(panels, KEY)
    assert (selection is None) == bool(change)
    if selection is not None:
        assert selected_points(selection, points_of(N, 2, 0, 0)).all()


def test_a_polygon_in_space_is_one_in_the_turned_plane():
    points = np.random.default_rng(0).normal(size=(1000, 3)).astype(np.float32)
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    corners = np.array([[-0.5, -0.2], [1.0, -0.2], [1.0, 0.7], [-0.5, 0.7]], np.float32)
    u, v = points.astype(float) @ turn[0], points.astype(float) @ turn[1]
    inside = (u > corners[0, 0]) & (u < 1) & (v > corners[0, 1]) & (v < corners[2, 1])
    found = selected_points(Selection(0, 0, corners, turn), points)
    assert found.sum() > 50
    np.testing.assert_array_equal(found, inside)


POINTS = np.zeros((4, 2), np.float32)
FRAME = Frame("", POINTS, np.zeros(4, np.uint8), None, None)
ATLAS = Atlas("", b"", "image/webp", 1, 8, np.zeros(3, np.int32))


@pytest.mark.parametrize(
    ("panels", "more", "name"),
    [
        ([], {}, "panels"),
        ([Panel("", [FRAME])] * 7, {}, "panels"),
        ([Panel("", [])], {}, "panels"),
        ([Panel("", [FRAME] * 2), Panel("", [FRAME] * 3)], {}, "panels"),
        ([Panel("", [Frame("", POINTS[:3], FRAME.colors, None, None)])], {}, "points"),
        ([Panel("", [Frame("", POINTS + np.nan, FRAME.colors, None, None)])], {}, "points"),
        ([Panel("", [FRAME])], {"selected": np.zeros(5, bool)}, "selected"),
        ([Panel("", [FRAME])], {"atlas": ATLAS}, "tiles"),
    ],
)
def test_what_does_not_fit_together_is_refused(panels, more, name):
    with pytest.raises(ArgumentError, match=f"^{name} must be"):
        scatter_viewer(
            panels, labels=np.zeros(4, int), class_names=["a"], legend=Legend(""), key="k", **more
        )


# --- in the browser ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address():
    with served("tests/app/scatter_page.py") as address:
        yield address


def _open(page: Page, address: str, query: str = "") -> None:
    page.goto(f"{address}/?{query}")
    expect(page.get_by_text("runs 1", exact=True)).to_be_visible()
    page.wait_for_function(
        """() => [...document.querySelectorAll('[data-testid="stBidiComponentIsolated"]')]
            .some((host) => host.shadowRoot?.querySelector(".overlay")?.style.height)"""
    )


def _canvas(page: Page, panel: int = 0) -> Locator:
    return page.locator("canvas.overlay").nth(panel)


def _size(page: Page) -> tuple[float, float]:
    return tuple(_canvas(page).evaluate("(canvas) => [canvas.clientWidth, canvas.clientHeight]"))


def _places(page: Page, panel: int = 0, frame: int = 0, n: int = N, t: int = 1) -> np.ndarray:
    """Where on a canvas the points of the plane are, (n, 2), from the points themselves."""
    width, height = _size(page)
    every = np.concatenate([points_of(n, 2, panel, i) for i in range(t)]).astype(float)
    low, high = every.min(0), every.max(0)
    scale = ((np.array([width, height]) - 2 * MARGIN) / (high - low)).min()
    moved = (points_of(n, 2, panel, frame) - (low + high) / 2) * scale
    return np.array([width, height]) / 2 + moved * [1, -1]


def _is_lonely(places: np.ndarray, i: int) -> bool:
    """Whether no other point is nearby, so that pointing at it is unambiguous."""
    apart = np.linalg.norm(places - places[i], axis=1)
    return bool((np.delete(apart, i) > 12).all())


def _lonely(places: np.ndarray) -> int:
    return next(i for i in range(len(places)) if _is_lonely(places, i))


def _drag(page: Page, path: list[tuple[float, float]], panel: int = 0, steps: int = 4) -> None:
    box = _canvas(page, panel).bounding_box()
    page.mouse.move(box["x"] + path[0][0], box["y"] + path[0][1])
    page.mouse.down()
    for x, y in path[1:]:
        page.mouse.move(box["x"] + x, box["y"] + y, steps=steps)
    page.mouse.up()


def _tool(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def _colors(page: Page, panel: int = 0) -> set[tuple[int, ...]]:
    """All colours of a panel's points and background."""
    data = (
        page.locator("canvas.points")
        .nth(panel)
        .evaluate(
            """(canvas) => {
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
          return [...new Set(new Uint32Array(data.buffer))]
        }"""
        )
    )
    return {tuple(int(pixel).to_bytes(4, "little")[:3]) for pixel in data}


def _groups_in_color(page: Page, panel: int = 0) -> set[int]:
    """Groups of which a pixel is covered by one point alone, on white."""
    seen = _colors(page, panel)
    found = set()
    for group, (color, _) in enumerate(palette(10)):
        rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
        cover = round(0.85 * 256)
        found |= {group} if tuple((rgb * cover + 255 * (256 - cover)) >> 8) in seen else set()
    return found


def _tip(page: Page) -> list[str]:
    return page.locator(".tip > div > div").all_text_contents()


def test_a_lasso_selects_what_is_inside_in_all_panels_and_little_is_sent(page, address):
    sent = sent_bytes(page)
    _open(page, address, "p=3")
    places = _places(page, panel=1)
    width, height = (round(side) for side in _size(page))
    corner = round(width * 0.3), round(height * 0.2)
    leg = round(height * 0.6 / 20) * 20
    sent.clear()
    _drag(page, [corner, (corner[0] + leg, corner[1]), (corner[0], corner[1] + leg), corner], 1)
    x, y = (places - corner).T
    inside = (x > 0) & (y > 0) & (x + y < leg)
    assert 50 < inside.sum() < N - 50
    expect(page.get_by_text(f"inside {inside.sum()}", exact=True)).to_be_visible()
    expect(page.locator(".count")).to_have_text(f"{inside.sum()} of {N} selected")
    expect(page.locator(".spoken")).to_have_text(f"{inside.sum()} of {N} selected")
    assert sum(sent) < 10_000


def test_a_long_lasso_is_simplified_and_the_browser_finds_what_python_finds(page, address):
    _open(page, address, "silent=1&n=5000")
    width, height = _size(page)
    angle = np.linspace(0, 2 * np.pi, 60)
    radius = np.where(np.arange(60) % 2, 0.4, 0.3)  # a star
    x = width / 2 + height * radius * np.cos(angle)
    _drag(page, np.stack([x, height * (0.5 + radius * np.sin(angle))], axis=1).tolist())
    vertices = page.get_by_text(re.compile("^vertices [0-9]"))
    expect(vertices).to_be_visible()
    assert 60 <= int(vertices.text_content().split()[1]) <= 200  # of 236 that were drawn
    inside = int(page.get_by_text(re.compile("^inside")).text_content().split()[1])
    expect(page.locator(".count")).to_have_text(f"{inside:,} of 5,000 selected")


def test_the_box_marks_the_points_where_they_settle_and_leaves_the_others_grey(page, address):
    _open(page, address, "p=2&t=4")
    assert _groups_in_color(page, 1) == set(range(10))
    _slide(page, 2.8)
    group = _places(page, frame=3, t=4)[labels_of(N) == 4]
    _tool(page, "Box")
    _drag(page, [tuple(group.min(0) - 2), tuple(group.max(0) + 2)])
    expect(page.get_by_text(f"inside {N // 10}", exact=True)).to_be_visible()
    expect(page.get_by_role("slider")).to_have_js_property("value", "3")
    assert _groups_in_color(page, 0) == {4}
    assert _groups_in_color(page, 1) == {4}


def test_a_selection_is_cleared_in_four_ways(page, address):
    _open(page, address)
    ways = (
        lambda: _canvas(page).press("Escape"),
        lambda: _canvas(page).click(position={"x": 3, "y": 3}),
        lambda: _tool(page, "Clear selection"),
        lambda: _tool(page, "Forget"),
    )
    for i, clear in enumerate(ways):
        _drag(page, [(20, 20), (700, 20), (700, 500), (20, 500)])
        expect(page.get_by_text(f"runs {2 * i + 2}", exact=True)).to_be_visible()
        expect(page.locator(".count")).to_contain_text("selected")
        clear()
        expect(page.get_by_text(f"runs {2 * i + 3}", exact=True)).to_be_visible()
        expect(page.get_by_text("inside none", exact=True)).to_be_visible()
        expect(page.locator(".count")).to_have_text(f"{N} points")
    assert _groups_in_color(page) == set(range(10))
    expect(page.get_by_role("button", name="Clear selection")).to_be_disabled()


def test_the_tip_shows_the_right_picture_and_names_as_text(page, address):
    _open(page, address, "atlas=1&p=2")
    places = _places(page)
    sample = _lonely(places)
    x, y = places[sample]
    _canvas(page).hover(position={"x": x + 3, "y": y - 2})
    expect(page.locator(".tip canvas")).to_be_visible()
    pixels = page.locator(".tip canvas").evaluate(
        """(canvas) => [canvas.clientWidth, canvas.width,
            ...canvas.getContext("2d").getImageData(0, 0, 1, 1).data.slice(0, 3)]"""
    )
    assert pixels == [2 * TILE, TILE, *tile_color(sample)]
    names = ["<b>first</b>", *(f"group {i}" for i in range(1, 10))]
    percent = round(100 * np.linspace(0, 1, N)[sample])
    assert _tip(page) == [
        f"true: {names[sample % 10]}",
        f"Synthetic 0: predicted {percent} %: {names[sample % 10]}",
        f"Synthetic 1: predicted {percent} %: {names[(sample + 1) % 10]}",
    ]
    expect(page.locator(".tip b")).to_have_count(0)
    for panel in (0, 1):
        ring = _canvas(page, panel).evaluate(
            """(canvas, [x, y]) => [...canvas.getContext("2d")
                .getImageData(x - 14, y - 14, 28, 28).data].some((value) => value)""",
            [round(value) for value in _places(page, panel)[sample]],
        )
        assert ring


def test_a_click_picks_the_sample_for_one_run(page, address):
    _open(page, address, "atlas=1")
    # The last sample has no picture.
    x, y = _places(page)[N - 1]
    _canvas(page).click(position={"x": x, "y": y})
    expect(page.locator(".tip")).to_contain_text("true: group 9")
    expect(page.locator(".tip canvas")).to_have_count(0)
    expect(page.get_by_text(f"picked {N - 1}", exact=True)).to_be_visible()
    page.get_by_text("Confidence").click()
    expect(page.get_by_text("picked None", exact=True)).to_be_visible()
    _canvas(page).hover(position={"x": 3, "y": 3})
    expect(page.locator(".tip")).to_be_hidden()


def _slide(page: Page, position: float) -> None:
    """Hold the slider somewhere, as a mouse that is still down."""
    page.get_by_role("slider", name="Frame").evaluate(
        "(slider, to) => { slider.value = to; slider.dispatchEvent(new Event('input')) }", position
    )


def _expect_point(page: Page, sample: int, place: np.ndarray) -> None:
    """The sample is where it should be, as its tip says when that place is pointed at."""
    _canvas(page).hover(position={"x": 2, "y": 2})
    _canvas(page).hover(position=dict(zip("xy", place.tolist(), strict=True)))
    expect(page.locator(".tip")).to_contain_text(f"predicted {round(100 * sample / (N - 1))} %")


def test_points_move_between_the_frames_and_settle_on_one(page, address):
    _open(page, address, "t=3")
    slider = page.get_by_role("slider", name="Frame")
    expect(slider).to_have_attribute("aria-valuetext", "epoch 2")
    first, second, last = (_places(page, frame=frame, t=3) for frame in range(3))
    between = 0.7 * first + 0.3 * second
    sample = next(i for i in range(N) if all(_is_lonely(p, i) for p in (first, between, last)))
    _expect_point(page, sample, last[sample])
    _slide(page, 0.3)
    _expect_point(page, sample, between[sample])
    slider.dispatch_event("change")
    expect(page.locator(".label")).to_have_text("epoch 0")
    expect(slider).to_have_js_property("value", "0")
    _expect_point(page, sample, first[sample])
    slider.press("End")
    expect(slider).to_have_js_property("value", "2")
    _expect_point(page, sample, last[sample])
    slider.press("ArrowLeft")
    slider.press("ArrowLeft")
    expect(slider).to_have_js_property("value", "0")
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(slider).to_have_js_property("value", "2")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    expect(page.get_by_text("runs 1", exact=True)).to_be_visible()


def test_the_canvas_is_moved_and_zoomed_by_keyboard_and_by_pointer(page, address):
    _open(page, address)
    canvas = _canvas(page)
    places, middle = _places(page), np.array(_size(page)) / 2
    for key in ("+", "ArrowLeft", "ArrowUp"):
        canvas.press(key)
    moved = middle + 1.25 * (places - middle) + 40
    sample = next(
        i for i in range(N) if _is_lonely(moved, i) and (abs(moved[i] - middle) < 150).all()
    )
    _expect_point(page, sample, moved[sample])
    canvas.press("0")
    sample = _lonely(places)
    _expect_point(page, sample, places[sample])
    _tool(page, "Pan")
    _drag(page, [(300, 300), (350, 280)])
    _expect_point(page, sample, places[sample] + [50, -20])
    canvas.dblclick(position={"x": 3, "y": 3})
    _expect_point(page, sample, places[sample])
    canvas.hover(position=dict(zip("xy", places[sample].tolist(), strict=True)))
    page.mouse.wheel(0, -100)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    _expect_point(page, sample, places[sample])
    assert _groups_in_color(page)
    expect(page.get_by_text("runs 1", exact=True)).to_be_visible()


def test_a_lasso_on_turned_points_in_space(page, address):
    _open(page, address, "d=3&silent=1&n=2000")
    before = _colors(page)
    _tool(page, "Rotate")
    _drag(page, [(300, 300), (420, 250)])
    canvas = _canvas(page)
    canvas.press("ArrowLeft")
    canvas.press("+")
    _tool(page, "Lasso")
    width, height = _size(page)
    _drag(page, [(width * 0.5, 40), (width * 0.6, height * 0.7), (width * 0.4, height * 0.5)])
    inside = page.get_by_text(re.compile("^inside [0-9]"))
    expect(inside).to_be_visible()
    count = int(inside.text_content().split()[1])
    assert 20 < count < 1900
    expect(page.locator(".count")).to_have_text(f"{count:,} of 2,000 selected")
    assert _colors(page) != before


def test_colours_change_under_a_selection_and_other_points_end_it(page, address):
    _open(page, address)
    _drag(page, [(20, 20), (700, 20), (700, 500), (20, 500)])
    inside = page.get_by_text(re.compile("^inside [0-9]"))
    expect(inside).to_be_visible()
    count = page.locator(".count").text_content()
    assert count == f"{inside.text_content().split()[1]} of {N} selected"
    expect(page.locator(".legend")).to_contain_text("group 3")
    page.get_by_text("Confidence").click()
    expect(page.locator(".legend")).not_to_contain_text("group 3")
    expect(page.locator(".count")).to_have_text(count)
    page.get_by_text("Other layout").click()
    expect(page.get_by_text("inside none", exact=True)).to_be_visible()
    expect(page.locator(".count")).to_have_text(f"{N} points")


def test_the_samples_that_python_selects_win(page, address):
    _open(page, address, "only=4")
    expect(page.locator(".count")).to_have_text(f"{N // 10} of {N} selected")
    assert _groups_in_color(page) == {4}
    _drag(page, [(20, 20), (700, 20), (700, 500), (20, 500)])
    expect(page.get_by_text(re.compile("^inside [0-9]"))).to_be_visible()
    expect(page.locator(".count")).to_have_text(f"{N // 10} of {N} selected")


def test_points_and_pictures_travel_once(page, address):
    sizes = received_bytes(page)
    _open(page, address, "n=20000&p=2&atlas=1")
    page.wait_for_timeout(300)
    assert sum(sizes) > 2 * 20000 * 4
    sizes.clear()
    _drag(page, [(20, 20), (500, 20), (500, 300), (20, 300)])
    expect(page.get_by_text(re.compile("^inside [0-9]"))).to_be_visible()
    assert sum(sizes) < 80_000


def test_a_viewer_that_was_away_is_drawn_again_in_another_theme_too(page, address):
    _open(page, address, "t=2")
    page.get_by_text("Hide").click()
    expect(page.locator(".overlay")).to_have_count(0)
    page.get_by_text("Hide").click()
    expect(page.get_by_text("runs 3", exact=True)).to_be_visible()
    expect(page.locator(".label")).to_have_text("epoch 1")
    page.wait_for_timeout(300)
    assert _groups_in_color(page) == set(range(10))
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(
        """() => [...document.querySelectorAll('[data-testid="stBidiComponentIsolated"]')]
            .map((host) => host.shadowRoot?.querySelector("canvas.points")).filter(Boolean)
            .every((canvas) => canvas.getContext("2d").getImageData(1, 1, 1, 1).data[0] < 50)"""
    )
    assert (255, 255, 255) not in _colors(page)


def test_it_is_crisp_on_a_dense_screen_and_panels_wrap_in_a_narrow_window(browser, address):
    context = browser.new_context(viewport={"width": 1280, "height": 900}, device_scale_factor=2)
    page = context.new_page()
    _open(page, address, "p=3")
    canvas = _canvas(page)
    assert canvas.evaluate("(canvas) => canvas.width / canvas.clientWidth") == 2
    places = _places(page)
    _expect_point(page, _lonely(places), places[_lonely(places)])

    def rows() -> int:
        return len({_canvas(page, panel).bounding_box()["y"] for panel in range(3)})

    assert rows() == 1
    page.set_viewport_size({"width": 560, "height": 900})
    page.wait_for_timeout(300)
    assert rows() == 3
    context.close()
