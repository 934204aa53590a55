"""The matrix viewer: its codes, and the component in a real Chromium on synthetic matrices."""

from __future__ import annotations

import re

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from streamlit.testing.v1 import AppTest

from app.charts.scale import Scale, scale_of
from app.components.frames import (
    BLANK,
    TOP,
    Window,
    cut_detail,
    detail_side,
    encode,
    max_side,
    pool,
    pool_counts,
    prepare_frames,
)
from app.components.matrix_viewer import palette
from tests.app.browser import REPOSITORY, received_bytes, served
from tests.app.viewer_page import class_names, frames_of, order_of, synthetic_matrices

VERMILION = [0xD5, 0x5E, 0x00]
GREY = [0x9A, 0xA0, 0xA6]  # of the line around the plot


def _decode(codes: np.ndarray, scale: Scale) -> np.ndarray:
    share = codes / TOP
    if scale.kind == "log":
        return scale.low * (scale.high / scale.low) ** share
    return scale.low + share * (scale.high - scale.low)


# --- preparation -------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "side"), [(7, 3), (10, 4), (1000, 156), (5, 5), (3, 8)])
def test_pooling_takes_the_largest_value_of_each_block_and_ignores_nan(n, side):
    random = np.random.default_rng(0)
    matrix = random.random((n, n))
    np.fill_diagonal(matrix, np.nan)
    pooled = pool(matrix, side, "linear")
    edges = np.arange(min(n, side) + 1) * n // min(n, side)
    for i, j in random.integers(0, len(pooled), (50, 2)):
        block = matrix[edges[i] : edges[i + 1], edges[j] : edges[j + 1]]
        if np.isnan(block).all():
            assert np.isnan(pooled[i, j])
        else:
            assert pooled[i, j] == np.nanmax(block)


def test_pooling_differences_takes_the_value_farthest_from_zero():
    matrix = np.array([[0.1, -0.5, np.nan, np.nan], [0.2, 0.3, np.nan, np.nan]] * 2)
    pooled = pool(matrix, 2, "diverging")
    np.testing.assert_array_equal(pooled, [[-0.5, np.nan], [-0.5, np.nan]])


@pytest.mark.parametrize("kind", ["linear", "diverging"])
def test_a_linear_code_is_off_by_at_most_half_a_step(kind):
    values = np.random.default_rng(1).normal(size=(50, 50))
    scale = scale_of(values, kind)
    shown = np.clip(values, scale.low, scale.high)
    error = np.abs(_decode(encode(values, scale), scale) - shown)
    assert error.max() <= (scale.high - scale.low) / TOP / 2 * 1.0001


def test_a_logarithmic_code_is_off_by_at_most_half_a_step_of_the_ratio():
    values = 10 ** np.random.default_rng(1).uniform(-5, 0, (50, 50))
    scale = Scale("log", 1e-5, 1.0)
    ratio = _decode(encode(values, scale), scale) / values
    bound = (scale.high / scale.low) ** (1 / TOP / 2) * 1.0001
    assert ratio.max() <= bound
    assert ratio.min() >= 1 / bound


@pytest.mark.parametrize("kind", ["linear", "log", "diverging"])
def test_values_beyond_the_scale_take_its_ends_and_nan_is_blank(kind):
    scale = Scale(kind, -2.0 if kind == "diverging" else 0.5, 2.0)
    codes = encode(np.array([-9.0, 0.0, 2.0, 9.0, np.nan]), scale)
    zero = TOP // 2 if kind == "diverging" else 0
    assert codes.tolist() == [0, zero, TOP, TOP, BLANK]


@pytest.mark.parametrize("kind", ["linear", "log", "diverging"])
@pytest.mark.parametrize("value", [0.0, 0.25, np.nan])
def test_a_matrix_of_equal_or_no_values_still_has_a_scale(kind, value):
    matrix = np.full((3, 3), value)
    scale = scale_of(matrix, kind)
    assert scale.low < scale.high
    assert kind != "log" or scale.low > 0
    assert (encode(matrix, scale) == BLANK).all() == np.isnan(value)


@pytest.mark.parametrize("n", [2, 3])
def test_frames_of_few_classes_are_in_the_order_asked_for(n):
    order = np.arange(n)[::-1]
    matrices = [np.arange(n * n, dtype=np.float32).reshape(n, n) * (t + 1) for t in range(2)]
    frames = prepare_frames(matrices, order, Scale("linear", 0, 254), max_side(n, 2))
    assert frames.codes.shape == (2, n, n)
    np.testing.assert_array_equal(frames.codes[1], matrices[1][::-1, ::-1])


@pytest.mark.parametrize("n_panels", [1, 2, 3])
@pytest.mark.parametrize("n_frames", [1, 2, 20, 61, 91])
@pytest.mark.parametrize("n_classes", [2, 100, 1000])
def test_all_that_is_sent_stays_small(n_classes, n_frames, n_panels):
    side = max_side(n_classes, n_frames, n_panels)
    assert min(n_classes, 50) <= side <= n_classes
    exact = 4 * min(n_classes, detail_side(n_panels)) ** 2
    pooled = 0 if side == n_classes else n_panels * exact
    assert n_panels * n_frames * (side**2 + side) + pooled <= 1_100_000


def test_pooled_counts_keep_the_rows_without_a_sample():
    counts = np.array([[5, 0, 7, 9, 8], [1, 2, 3, 4, 5]])
    assert pool_counts(counts, 2).tolist() == [[0, 7], [1, 3]]
    assert pool_counts(counts, 5).tolist() == counts.tolist()


def test_the_detail_is_exact_in_a_small_window_and_pooled_in_a_large_one():
    matrix = np.random.default_rng(2).random((600, 600)).astype(np.float32)
    order = order_of(600)
    small = cut_detail(matrix, order, Window(5, 400, 30), "log", 200)
    np.testing.assert_array_equal(small, matrix[order[5:35]][:, order[400:430]])
    large = cut_detail(matrix, order, Window(0, 0, 600), "log", 200)
    assert large.shape == (200, 200)
    assert large.max() == matrix.max()


@pytest.mark.parametrize("kind", ["linear", "diverging"])
def test_a_blank_cell_looks_like_no_value(kind):
    colors = palette(kind)
    assert (colors[: TOP + 1, 3] == 255).all()
    if kind == "linear":
        assert colors[BLANK].tolist() == [0, 0, 0, 0]
    else:
        assert colors[TOP // 2].tolist() == [255, 255, 255, 255]
        red, green, blue, opacity = colors[BLANK].tolist()
        assert (max(red, green, blue) < 200, opacity) == (True, 255)
        assert max(red, green, blue) - min(red, green, blue) < 10


@pytest.mark.parametrize(
    ("view", "frame"),
    [
        ({"frame": 4, "window": None}, 4),
        ({"frame": 99, "window": [-5, 1e9, 3]}, 11),
        ({"frame": -1, "window": [900, 900, 900]}, 0),
        ({"frame": "4"}, 11),
        ("nonsense", 11),
    ],
)
def test_a_state_from_anywhere_becomes_a_frame_that_exists(view, frame):
    app = AppTest.from_file(str(REPOSITORY / "tests/app/viewer_page.py"), default_timeout=60)
    app.query_params["k"] = "300"
    app.session_state["viewer"] = {"view": view}
    app.run()
    assert not app.exception
    assert app.text[1].value == f"frame {frame}"


# --- in the browser ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address():
    with served("tests/app/viewer_page.py") as address:
        yield address


def _open(page: Page, address: str, query: str) -> None:
    page.goto(f"{address}/?{query}")
    expect(page.get_by_text("runs 1", exact=True)).to_be_visible()
    page.wait_for_function(
        """() => [...document.querySelectorAll('[data-testid="stBidiComponentIsolated"]')]
            .some((host) => host.shadowRoot?.querySelector("canvas")?.style.height)"""
    )


def _plot(page: Page) -> tuple[int, int, int]:
    """Left, top and side of the cells on the canvas, found by the line around them."""
    pixels = page.locator("canvas").evaluate(
        """(canvas, grey) => {
          const context = canvas.getContext("2d")
          const lines = (...area) => {
            const { data } = context.getImageData(...area)
            return [...Array(data.length / 4).keys()].filter(
              (i) => grey.every((channel, j) => data[4 * i + j] === channel)
            )
          }
          const across = lines(0, canvas.height >> 1, canvas.width, 1)
          return { across, down: lines(across[0] + 2, 0, 1, canvas.height) }
        }""",
        GREY,
    )
    left, top = pixels["across"][0] + 1, pixels["down"][0] + 1
    return left, top, pixels["down"][-1] - top


def _middle(page: Page, row: int, column: int, side: int) -> tuple[float, float]:
    """Where on the canvas a cell is, in a window of `side` classes."""
    left, top, size = _plot(page)
    return left + (column + 0.5) * size / side, top + (row + 0.5) * size / side


def _color(page: Page, x: float, y: float) -> list[int]:
    return page.locator("canvas").evaluate(
        "(canvas, [x, y]) => [...canvas.getContext('2d').getImageData(x, y, 1, 1).data]",
        [int(x), int(y)],
    )


def _hover(page: Page, row: int, column: int, side: int) -> None:
    x, y = _middle(page, row, column, side)
    page.locator("canvas").hover(position={"x": x, "y": y})


def _click(page: Page, row: int, column: int, side: int) -> None:
    x, y = _middle(page, row, column, side)
    page.locator("canvas").click(position={"x": x, "y": y})


def _tip(page: Page) -> list[str]:
    return page.locator(".tip div").all_text_contents()


@pytest.mark.parametrize(("k", "t", "kind"), [(2, 3, "log"), (100, 12, "diverging")])
def test_cells_have_the_colours_of_their_codes(page, address, k, t, kind):
    _open(page, address, f"k={k}&t={t}&kind={kind}")
    colors, codes = palette(kind), frames_of(k, t, kind).codes
    for row, column in np.random.default_rng(3).integers(0, k, (20, 2)).tolist():
        seen = _color(page, *_middle(page, row, column, k))
        assert seen == colors[codes[-1, row, column]].tolist()


def test_a_thousand_classes_are_drawn_without_holes(page, address):
    _open(page, address, "k=1000&t=12")
    left, top, size = _plot(page)
    colors = {tuple(color) for color in palette("log").tolist()}
    seen = [tuple(_color(page, left + size * i / 40, top + size * 0.5)) for i in range(1, 40)]
    assert set(seen) <= colors
    assert len(set(seen)) > 10


def test_scrubbing_draws_every_frame_and_runs_nothing_until_it_settles(page, address):
    _open(page, address, "k=10&t=12")
    slider = page.get_by_role("slider", name="Epoch")
    before = _color(page, *_middle(page, 0, 1, 10))
    box = slider.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] - 6, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 6, middle, steps=12)
    expect(page.locator(".label")).to_have_text("epoch 0")
    page.wait_for_timeout(700)
    assert _color(page, *_middle(page, 0, 1, 10)) != before
    expect(page.get_by_text("runs 1", exact=True)).to_be_visible()
    page.mouse.up()
    expect(page.get_by_text("frame 0", exact=True)).to_be_visible()
    expect(page.get_by_text("runs 2", exact=True)).to_be_visible()
    expect(page.locator(".label")).to_have_text("epoch 0")


def test_keys_move_the_frame_and_settle_once(page, address):
    _open(page, address, "k=10&t=12")
    page.get_by_role("slider", name="Epoch").focus()
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    expect(page.get_by_text("frame 7", exact=True)).to_be_visible()
    page.get_by_role("button", name="Play").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("frame 8", exact=True)).to_be_visible()
    expect(page.get_by_text("runs 3", exact=True)).to_be_visible()


def test_playing_goes_on_to_the_end_and_settles_there(page, address):
    _open(page, address, "k=10&t=4")
    page.get_by_role("slider", name="Epoch").focus()
    page.keyboard.press("Home")
    expect(page.get_by_text("frame 0", exact=True)).to_be_visible()
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(page.get_by_text("frame 3", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    expect(page.get_by_text("runs 3", exact=True)).to_be_visible()


def test_the_frame_can_be_set_from_python_and_moved_on_from_there(page, address):
    _open(page, address, "k=10&t=12")
    page.get_by_role("button", name="Show frame 1").click()
    expect(page.locator(".label")).to_have_text("epoch 1")
    expect(page.get_by_text("frame 1", exact=True)).to_be_visible()
    page.get_by_role("slider", name="Epoch").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("frame 2", exact=True)).to_be_visible()


@pytest.mark.parametrize(("k", "row", "column"), [(2, 0, 1), (100, 12, 70)])
def test_a_click_names_the_classes_of_the_shown_order(page, address, k, row, column):
    _open(page, address, f"k={k}&t=3")
    order = order_of(k).tolist()
    assert order != list(range(k))
    _click(page, row, column, k)
    expect(page.get_by_text(f"cell ({order[row]}, {order[column]})", exact=True)).to_be_visible()
    page.get_by_role("slider", name="Epoch").press("Home")
    expect(page.get_by_text("cell None", exact=True)).to_be_visible()


def test_the_tip_shows_names_as_text_and_the_exact_value_of_the_settled_frame(page, address):
    _open(page, address, "k=100&t=12")
    order, names = order_of(100), class_names(100)
    row, column = order.tolist().index(0), 40
    value = synthetic_matrices(100, 12, "log")[-1][0, order[column]]
    _hover(page, row, column, 100)
    expect(page.locator(".tip")).to_be_visible()
    target, receiver, mass = _tip(page)
    assert target == "target class: <b>first</b>"
    assert receiver == f"class that receives: {names[order[column]]}"
    assert float(mass.removeprefix("mass: ").replace("−", "-")) == pytest.approx(value, rel=6e-3)
    expect(page.locator(".tip b")).to_have_count(0)


def test_the_tip_names_the_groups(page, address):
    _open(page, address, "k=100&t=3&groups=20")
    _hover(page, 7, 93, 100)
    names, order = class_names(100), order_of(100)
    target, receiver, _ = _tip(page)
    assert target == f"target class: {names[order[7]]} (group 1)"
    assert receiver == f"class that receives: {names[order[93]]} (group 18)"


@pytest.mark.parametrize(("groups", "lines"), [(20, 19), (100, 0)])
def test_lines_between_groups_never_veil_the_values(page, address, groups, lines):
    _open(page, address, f"k=100&t=3&groups={groups}")
    left, top, size = _plot(page)
    row = page.locator("canvas").evaluate(
        "(canvas, area) => [...canvas.getContext('2d').getImageData(...area).data]",
        [left + 1, top + int(50.5 * size / 100), size - 2, 1],
    )
    # The blank diagonal and the edges of cells, where two colours meet, are no lines.
    colors = {tuple(color) for color in palette("log").tolist()}
    foreign = [tuple(pixel) not in colors for pixel in np.array(row).reshape(-1, 4).tolist()]
    assert abs(count_runs(np.array(foreign)) - lines) <= 1


def test_panels_side_by_side_are_read_and_chosen_together(page, address):
    _open(page, address, "k=30&t=3&panels=2")
    order, names = order_of(30), class_names(30)
    left, top, size = _plot(page)
    edges = page.locator("canvas").evaluate(
        """(canvas, grey) => {
          const area = [0, canvas.height >> 1, canvas.width, 1]
          const { data } = canvas.getContext("2d").getImageData(...area)
          return [...Array(canvas.width).keys()].filter(
            (i) => grey.every((channel, j) => data[4 * i + j] === channel)
          )
        }""",
        GREY,
    )
    second = next(edge for edge in edges if edge > left + size + 2) + 1
    spot = {"x": second + 20.5 * size / 30, "y": top + 4.5 * size / 30}
    page.locator("canvas").hover(position=spot)
    values = [synthetic_matrices(30, 3, "log", seed)[-1][order[4], order[20]] for seed in (0, 1)]
    target, receiver, quantity, *shown = _tip(page)
    assert target == f"target class: {names[order[4]]}"
    assert receiver == f"class that receives: {names[order[20]]}"
    assert quantity == "mass:"
    for panel, (text, value) in enumerate(zip(shown, values, strict=True)):
        name, number = text.split(": ")
        assert name == f"Synthetic {panel}"
        assert float(number.replace("−", "-")) == pytest.approx(value, rel=6e-3)
    page.locator("canvas").click(position=spot)
    expect(page.get_by_text(f"cell ({order[4]}, {order[20]})", exact=True)).to_be_visible()


def test_rows_without_samples_stand_out_and_say_so(page, address):
    _open(page, address, "k=10&t=3&counted=1")
    order = order_of(10).tolist()
    left, top, size = _plot(page)
    empty = order.index(1)
    for row in range(10):
        strip = _color(page, left - 9, top + (row + 0.5) * size / 10)
        assert (strip[:3] == VERMILION) == (row == empty)
    _hover(page, empty, (empty + 1) % 10, 10)
    assert _tip(page)[-1].endswith("(no correct images, uniform fallback)")
    _hover(page, order.index(6), 0, 10)
    assert _tip(page)[-1].endswith("(7 correct images)")


def test_a_value_of_two_rows_tells_the_samples_of_both(page, address):
    _open(page, address, "k=10&t=3&counted=1&symmetric=1")
    order = order_of(10).tolist()
    _hover(page, order.index(1), order.index(6), 10)
    row, column, value = _tip(page)
    assert row == "target class: class 1 (no correct images, uniform fallback)"
    assert column == "class that receives: class 6 (7 correct images)"
    assert "images" not in value


def test_a_tree_and_its_cut_are_drawn_beside_the_rows(page, address):
    _open(page, address, "k=10&t=1&tree=1")
    left, top, size = _plot(page)
    # Whatever is beside the cut belongs to two subtrees, so that the line crosses two of its legs.
    colors = page.locator("canvas").evaluate(
        "(canvas, area) => [...canvas.getContext('2d').getImageData(...area).data]",
        [left + size + 8, top, 78, size],
    )
    pixels = np.array(colors).reshape(size, 78, 4)
    marked = (pixels[..., :3] == VERMILION).all(axis=2).any(axis=0)
    assert 1 <= marked.sum() <= 3
    cut = int(np.flatnonzero(marked)[0])
    drawn = pixels[..., 3] > 60
    assert count_runs(drawn[:, cut - 3]) == 2
    assert count_runs(drawn[:, 2]) == 10


def count_runs(line: np.ndarray) -> int:
    """Strokes that cross a line of pixels."""
    return int((np.diff(np.r_[0, line.astype(int)]) == 1).sum())


def test_a_frame_that_goes_by_shows_approximate_values(page, address):
    _open(page, address, "k=100&t=12")
    slider = page.get_by_role("slider", name="Epoch")
    slider.evaluate("(s) => { s.value = 6; s.dispatchEvent(new Event('input')) }")
    _hover(page, 10, 40, 100)
    expect(page.locator(".tip div").last).to_have_text(re.compile("^mass: [≈≲≳] "))
    expect(page.get_by_text("runs 1", exact=True)).to_be_visible()


def test_the_canvas_is_used_by_keyboard(page, address):
    _open(page, address, "k=10&t=3")
    order = order_of(10).tolist()
    page.locator("canvas").focus()
    for key in ("ArrowUp", "ArrowUp", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    # The first key starts the crosshair in the middle.
    expect(page.get_by_text(f"cell ({order[4]}, {order[6]})", exact=True)).to_be_visible()
    expect(page.locator(".spoken")).to_contain_text(f"target class: class {order[4]}")
    for key in ("PageDown", "Home", "Enter"):
        page.keyboard.press(key)
    expect(page.get_by_text(f"cell ({order[9]}, {order[0]})", exact=True)).to_be_visible()
    for key in ("PageUp", "End", "Enter"):
        page.keyboard.press(key)
    expect(page.get_by_text(f"cell ({order[0]}, {order[9]})", exact=True)).to_be_visible()
    expect(page.locator(".hint")).to_contain_text("by keys: +, Escape, arrows and Enter")


def test_zooming_into_a_thousand_classes_fetches_exact_values(page, address):
    _open(page, address, "k=1000&t=12")
    left, top, size = _plot(page)
    box = page.locator("canvas").bounding_box()
    page.mouse.move(box["x"] + left + size * 0.5, box["y"] + top + size * 0.5)
    expect(page.locator(".tip div").last).to_have_text(re.compile("^largest mass: [≈≲≳]?"))
    page.mouse.down()
    page.mouse.move(box["x"] + left + size * 0.6, box["y"] + top + size * 0.6, steps=3)
    page.mouse.up()
    expect(page.get_by_text("runs 2", exact=True)).to_be_visible()
    page.wait_for_timeout(500)
    page.mouse.move(box["x"] + left + size * 0.3, box["y"] + top + size * 0.7)
    target, receiver, mass = _tip(page)
    names = class_names(1000)
    row, column = (names.index(line.split(": ", 1)[1]) for line in (target, receiver))
    value = synthetic_matrices(1000, 12, "log")[-1][row, column]
    assert float(mass.removeprefix("mass: ").replace("−", "-")) == pytest.approx(value, rel=6e-3)

    page.locator("canvas").dblclick(position={"x": left + 50, "y": top + 50})
    expect(page.get_by_text("runs 3", exact=True)).to_be_visible()
    expect(page.get_by_text("cell None", exact=True)).to_be_visible()


def test_zooming_a_small_matrix_runs_nothing(page, address):
    _open(page, address, "k=100&t=3")
    x, y = _middle(page, 50, 50, 100)
    page.locator("canvas").hover(position={"x": x, "y": y})
    before = page.locator(".tip div").first.text_content()
    page.keyboard.down("Control")
    for _ in range(6):
        page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    page.wait_for_timeout(600)
    expect(page.locator(".tip div").first).to_have_text(before)
    expect(page.get_by_text("runs 1", exact=True)).to_be_visible()


def test_another_order_replaces_the_frames(page, address):
    _open(page, address, "k=10&t=3")
    page.get_by_text("Backwards").click()
    expect(page.get_by_text("runs 2", exact=True)).to_be_visible()
    backwards = order_of(10)[::-1].tolist()
    page.wait_for_timeout(500)
    codes = frames_of(10, 3, "log", True).codes[-1]
    assert _color(page, *_middle(page, 2, 7, 10)) == palette("log")[codes[2, 7]].tolist()
    _click(page, 2, 7, 10)
    expect(page.get_by_text(f"cell ({backwards[2]}, {backwards[7]})", exact=True)).to_be_visible()


def test_a_viewer_that_was_away_is_drawn_again(page, address):
    _open(page, address, "k=10&t=3")
    page.get_by_text("Hide").click()
    expect(page.locator("canvas")).to_have_count(0)
    page.get_by_text("Hide").click()
    expect(page.get_by_text("runs 3", exact=True)).to_be_visible()
    expect(page.locator(".label")).to_have_text("epoch 2")
    page.wait_for_timeout(500)
    assert _color(page, *_middle(page, 4, 4, 10)) == [0, 0, 0, 0]


def test_the_theme_can_change_while_it_is_open(page, address):
    _open(page, address, "k=10&t=3")
    text_color = "() => getComputedStyle(document.querySelector('.stApp')).color"
    light = page.evaluate(text_color)
    brightness = """(canvas) => canvas.getContext("2d")
        .getImageData(0, 0, 40, canvas.height).data
        .filter((value, i) => i % 4 === 0).reduce((a, b) => Math.max(a, b))"""
    assert page.locator("canvas").evaluate(brightness) < 200
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"(light) => ({text_color})() !== light", arg=light)
    page.wait_for_timeout(1000)
    assert page.locator("canvas").evaluate(brightness) > 200


def test_frames_travel_once(page, address):
    sizes = received_bytes(page)
    _open(page, address, "k=100&t=40")
    page.wait_for_timeout(500)
    codes = 40 * 100 * 100
    assert sum(sizes) > codes
    for key, frame in (("Home", 0), ("End", 39)):
        sizes.clear()
        page.get_by_role("slider", name="Epoch").press(key)
        expect(page.get_by_text(f"frame {frame}", exact=True)).to_be_visible()
        assert sum(sizes) < codes / 3


def test_it_is_crisp_on_a_dense_screen_and_fits_a_narrow_column(browser, address):
    context = browser.new_context(
        viewport={"width": 1000, "height": 900}, device_scale_factor=2, color_scheme="dark"
    )
    page = context.new_page()
    _open(page, address, "k=100&t=3&groups=20")
    canvas = page.locator("canvas")
    width = canvas.evaluate("(canvas) => [canvas.width, canvas.clientWidth]")
    assert width[0] == 2 * width[1]
    page.set_viewport_size({"width": 800, "height": 900})
    page.wait_for_timeout(500)
    narrow = canvas.evaluate("(canvas) => [canvas.width, canvas.clientWidth]")
    assert narrow[0] == 2 * narrow[1] < width[0]
    context.close()
