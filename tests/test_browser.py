"""What people see, in a real browser: the explorer moved by key, by mouse and by touch; pages read."""

import base64
import io
import re
import shutil
from itertools import pairwise

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import pytest
from playwright.sync_api import expect

from horticulture import architecture
from horticulture.analysis import explorer
from horticulture.analysis.curves import DRAWN, SPARSE
from horticulture.study import pages, parameters
from tests import browser
from tests.benchmarks import moves
from tests.executed import REFERENCE
from tests.test_explorer import WHOLE, pruned, scratch, shared, single_weights

NO_BROWSER = browser.missing()
pytestmark = pytest.mark.skipif(bool(NO_BROWSER), reason=NO_BROWSER)

ROUNDS = 40
ROUNDS_OF_ONE = [(-1, -1, None, 9.0)]
NARROW = WHOLE.with_widths((8, 16, 32))
# Every text, of the page or within an element, with the colour behind it: contrast as the WCAG count it.
CONTRAST = """within => {
  const light = color => {
    const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = color.map(v => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const parts = color => color.match(/[\\d.]+/g).map(Number).concat(1).slice(0, 4);
  const over = ([r, g, b, a], below) => [r, g, b].map((v, i) => a * v + (1 - a) * below[i]);
  const dark = matchMedia("screen and (prefers-color-scheme: dark)").matches;
  const paper = dark ? [18, 18, 18] : [255, 255, 255];
  const above = node => node.parentElement ?? node.getRootNode().host;
  const behind = node => {
    const own = parts(getComputedStyle(node).backgroundColor);
    return own[3] == 1 ? own.slice(0, 3) : over(own, above(node) ? behind(above(node)) : paper);
  };
  const faint = node => node ? +getComputedStyle(node).opacity * faint(above(node)) : 1;
  const found = [];
  const walk = root => {
    for (const node of root.querySelectorAll("*")) {
      if (node.shadowRoot) walk(node.shadowRoot);
      const text = [...node.childNodes].filter(one => one.nodeType == 3).map(one => one.data.trim()).join("");
      if (!text || !node.getClientRects().length || node.matches("style, script, option")) continue;
      const style = getComputedStyle(node), below = behind(node);
      const [r, g, b, a] = parts(node instanceof SVGElement ? style.fill : style.color);
      const [one, other] = [light(over([r, g, b, a * faint(node)], below)), light(below)];
      const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
      if (contrast < 4.5) found.push(`${contrast.toFixed(1)} ${text.slice(0, 40)}`);
    }
  };
  walk(within ?? document);
  return found;
}"""

PAPER = 718  # width of A4 less margins of a centimetre, in pixels of CSS
# Of each table: where the cells of the last row of its head and of the first of its body end.
RIGHT_EDGES = """() => [...document.querySelectorAll("table")].map(
  ({tHead, tBodies}) => [tHead?.rows[tHead.rows.length - 1], tBodies[0].rows[0]].map(
    row => [...(row?.cells ?? [])].map(cell => cell.getBoundingClientRect().right)))"""
# What is wider than its box: it is cut, or moved sideways on a screen.
CUT = """() => [...document.querySelectorAll("pre, table, figure, .wide, .cell_output, .output_area")]
  .filter(e => e.scrollWidth > e.clientWidth && e.clientWidth)
  .map(e => `${e.tagName} ${e.className}: ${e.textContent.trim().slice(0, 40)}`)"""


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium() as found:
        yield found


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A page with the explorer of two pruning runs of forty rounds and a narrower network."""
    first = [(-1, -1, None, 9.0), *((2, n, 0.5, 9 + n / 10) for n in range(1, ROUNDS + 1))]
    second = [(-1, -1, None, 9.5), *((n % 2 + 1, n, 0.5, 9 + n / 20) for n in range(1, ROUNDS + 1))]
    frames = [pruned(0, first), pruned(1, second)]
    others = pd.DataFrame([scratch("width", NARROW, 11.0, latency_1=2.5)])
    shapes = {NARROW.id: NARROW} | frames[0][2] | frames[1][2]
    timed = [frames[0][1].assign(latency_1=lambda rows: 4 - rows["round"] / 40), frames[1][1]]
    shown = explorer.from_frames(
        pd.concat([*timed, others], ignore_index=True), pd.concat([frame[0] for frame in frames]), shapes
    )
    return written(shown, tmp_path_factory.mktemp("explorer"))


def written(shown, folder):
    """The page with the explorer."""
    path = folder / "explorer.html"
    path.write_text(
        "<!DOCTYPE html><html lang=en><meta charset=utf-8><title>Explorer</title>"
        "<meta name=viewport content='width=device-width'><meta name=color-scheme content='light dark'>"
        f"<body style='height: 2000px'>{shown.html}"
    )
    return path


@pytest.fixture
def opened(chromium, study):
    with browser.Opened(chromium) as found:
        found.go(study)
        yield found
    assert (found.refused, found.errors) == ([], [])


@pytest.fixture
def page(opened):
    return opened.page


def heights(page, style="left"):
    """Of the bars, in channels of the whole network's widest group."""
    actual = [float(bar.get_attribute("height")) for bar in page.locator(f"rect.{style}").all()]
    widest = max(float(bar.get_attribute("height")) for bar in page.locator("rect.whole").all())
    return [round(64 * height / widest) for height in actual]


def choice(page, name):
    return page.get_by_role("combobox", name=name)


def said(page):
    return page.get_by_role("slider").get_attribute("aria-valuetext")


def spot(page, which="circle.at:not(.beside)"):
    """Where the point is on the curves."""
    box = page.locator(which).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_the_keys_move_the_network_and_its_point(page):
    slider = page.get_by_role("slider", name="round")
    slider.focus()
    assert heights(page) == [16, 32, 44]  # it begins in the middle
    assert said(page).startswith("round 20 of 40: ")
    before = spot(page)
    slider.press("ArrowRight")
    assert heights(page) == [16, 32, 43]
    assert re.match(r"round 21 of 40: [\d,]+ \(\d+ %\) parameters, test error 11.1 %; removed last: "
                    r"channel 21 of group 3.1, saliency 0.500$", said(page))  # fmt: skip
    assert spot(page)[0] < before[0]  # fewer parameters
    assert spot(page)[1] < before[1]  # a higher error
    slider.press("Home")
    assert heights(page) == [16, 32, 64]
    assert said(page).endswith("removed last: nothing (round 0: fine-tuned only)")
    slider.press("End")
    assert heights(page) == [16, 32, 24]


def test_the_group_that_lost_a_channel_is_framed(page):
    frame, bars = page.locator("rect.lost"), page.locator("rect.left")
    assert abs(frame.bounding_box()["x"] - bars.nth(2).bounding_box()["x"]) < 5
    page.get_by_role("slider").press("Home")
    expect(frame).to_be_hidden()


def test_the_slider_and_the_point_are_dragged(page):
    box = page.get_by_role("slider").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.9 * box["width"], middle, steps=4)
    page.mouse.up()
    assert heights(page)[2] == pytest.approx(64 - 36, abs=1)
    page.get_by_role("slider").press("End")
    x, y = spot(page)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 500, y, steps=4)  # beyond the end: the whole network has most parameters
    page.mouse.up()
    assert said(page).startswith("round 0 of 40")


def test_it_plays_to_the_end_and_can_be_stopped(page):
    page.get_by_role("slider").press("Home")
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("slider")).not_to_have_js_property("value", "0")
    page.get_by_role("button", name="Pause").click()
    stopped = said(page)
    assert not stopped.startswith(("round 0 ", "round 40 "))
    page.evaluate("() => new Promise(done => setTimeout(done, 250))")  # two rounds at this pace
    assert said(page) == stopped
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Play")).to_be_visible(timeout=10_000)
    assert said(page).startswith("round 40 ")


def test_another_run_is_shown_at_the_nearest_place_on_the_axis(page):
    assert heights(page, "other") == heights(page) == [16, 32, 44]  # nothing beside: the same again
    choice(page, "beside it").select_option(label="fisher, seed 1")
    # 20 channels of the third group cost as much as 26 of the second and third in turns
    below = heights(page, "other")
    assert below[0] == 16
    assert below[1] < 32
    assert below[2] > 44
    assert "beside it fisher, seed 1, round 2" in said(page)
    choice(page, "against").select_option(label="round")
    assert heights(page, "other") == [16, 22, 54]
    assert spot(page, "circle.beside")[0] == pytest.approx(spot(page)[0], abs=0.5)
    assert page.locator("path.course").count() == 2


def test_a_network_of_two_criteria_is_in_the_menu_of_each_and_a_run_has_its_criterions_colour(
    chromium, tmp_path
):
    with browser.Opened(chromium) as opened:
        page = opened.go(written(explorer.from_frames(*shared()), tmp_path))

        def menu():
            return {
                group.get_attribute("label"): group.locator("option").count()
                for group in choice(page, "beside it").locator("optgroup").all()
            }

        shape = {"pruning by": 1, "Fisher shape from scratch (Scratch-E)": 2}
        assert menu() == {**shape, "narrower from scratch": 1}
        colors = "rects => rects.map(rect => getComputedStyle(rect).fill)"
        assert set(page.locator("rect.left").evaluate_all(colors)) == {"rgb(0, 114, 178)"}
        choice(page, "beside it").select_option(label="l1, seed 0")
        assert set(page.locator("rect.other").evaluate_all(colors)) == {"rgb(213, 94, 0)"}
        choice(page, "pruning by").select_option(label="l1, seed 0")
        assert menu() == {"pruning by": 1, "L1 shape from scratch (Scratch-E)": 2}
        assert set(page.locator("rect.left").evaluate_all(colors)) == {"rgb(213, 94, 0)"}


def test_single_weights_that_were_removed_are_counted(chromium, tmp_path):
    with browser.Opened(chromium) as opened:
        page = opened.go(written(explorer.from_frames(*single_weights()), tmp_path))
        page.get_by_role("slider").press("End")
        assert said(page).endswith("removed last: 1,000 single weights, no channels")


def test_another_run_is_taken_apart(page):
    choice(page, "pruning by").select_option(label="fisher, seed 1")
    assert heights(page) == [16, 22, 54]
    assert choice(page, "beside it").locator("option").all_text_contents()[1] == "fisher, seed 0"


def test_pointing_at_a_network_shows_its_widths_and_a_press_keeps_it(page):
    mark = page.locator("path.network")
    mark.hover()
    assert heights(page, "other") == list(NARROW.widths)
    expect(page.locator("dl")).to_contain_text(f"{NARROW.params:,}")
    expect(page.locator(".shape + figcaption")).to_contain_text(
        f"below: narrower from scratch: {NARROW.params:,}"
    )
    assert page.locator("dd.two").last.text_content() == "—"  # pruning removed nothing from it
    page.mouse.move(5, 5)
    assert heights(page, "other") == heights(page)
    mark.click()
    page.mouse.move(5, 5)
    assert heights(page, "other") == list(NARROW.widths)
    assert said(page).endswith(
        f"{NARROW.params / WHOLE.params:.0%}".replace("%", " %) parameters, test error 11.0 %")
    )
    mark.click()
    page.mouse.move(5, 5)
    assert heights(page, "other") == heights(page)


def test_the_axis_is_chosen_and_that_of_times_does_not_begin_at_zero(page):
    before = spot(page)
    choice(page, "against").select_option(label="latency of a batch of 1 (ms)")
    assert spot(page)[0] != before[0]
    assert spot(page)[1] == pytest.approx(before[1], abs=0.5)
    ticks = page.locator(".curve text[text-anchor=middle]").all_text_contents()
    assert float(ticks[0]) > 2
    expect(page.locator("dl")).to_contain_text("3.50 ms")
    choice(page, "beside it").select_option(label="fisher, seed 1")  # nobody timed it
    assert page.locator("circle.at:visible").count() == 1
    expect(page.locator("dl")).to_contain_text("not timed")


def test_a_finger_keeps_a_network_and_moves_the_point(chromium, study):
    with browser.Opened(chromium, width=380, touch=True) as opened:
        page = opened.go(study)
        x, y = spot(page, "path.network")
        page.touchscreen.tap(x + 8, y + 8)  # fingers are wide
        assert heights(page, "other") == list(NARROW.widths)
        right = page.locator(".curve").bounding_box()
        page.touchscreen.tap(right["x"] + right["width"] - 8, y - 60)
        assert said(page).startswith("round 0 ")


def test_a_finger_scrolls_the_page_past_the_curves_and_sideways_moves_the_point(chromium, study):
    with browser.Opened(chromium, width=380, touch=True) as opened:
        page = opened.go(study)
        finger, before = opened.context.new_cdp_session(page), said(page)

        def swipe(across, down, on=".curve", at=(180, 150)):
            box = page.locator(on).bounding_box()
            for step in range(11):
                where = {
                    "x": box["x"] + at[0] + across * step / 10,
                    "y": box["y"] + at[1] + down * step / 10,
                }
                kind = "touchMove" if step else "touchStart"
                finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [where]})
            finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

        page.evaluate("scrollTo(0, 200)")
        swipe(0, -100)
        page.wait_for_function("scrollY > 250")
        assert said(page) == before
        page.evaluate("scrollTo(0, 0)")
        swipe(0, -100, "input", (60, 20))
        page.wait_for_function("scrollY > 50")
        assert said(page) == before
        swipe(170, 0)
        assert said(page).startswith("round 0 of 40")


def test_the_slider_has_a_row_of_its_own_on_a_phone_and_fingers_find_every_control(chromium, study):
    with browser.Opened(chromium, width=380) as opened:
        page = opened.go(study)
        assert page.get_by_role("slider", name="round").bounding_box()["width"] > 300
        for control in page.locator("button, input, select").all():
            assert not control.is_visible() or control.bounding_box()["height"] >= 44
        menus = [menu.bounding_box() for menu in page.locator("select").all()]
        assert len({(box["x"], box["width"]) for box in menus}) == 1  # one below the other
        edge = page.locator("[data-study]").bounding_box()
        right = max(box["x"] + box["width"] for box in menus)
        assert right + 5 <= edge["x"] + edge["width"]  # the ring of the focus is not cut off
    with browser.Opened(chromium) as opened:  # beside the button where there is room
        page = opened.go(study)
        button, slider = (page.locator(name).bounding_box()["y"] for name in ("button", "input"))
        assert slider == pytest.approx(button, abs=5)


def test_the_legend_tells_what_is_cut_off_and_only_names_what_is_faint_where_something_is(chromium, tmp_path):
    rounds = [(-1, -1, None, 12.0), *((2, n, 0.5, 12 + n / 40) for n in range(1, ROUNDS)), (2, 0, 0.5, 40.0)]
    removals, course, shapes = pruned(0, rounds)
    timed = scratch("width", NARROW, 12.5, latency_1=2.5)
    others = pd.DataFrame([timed, scratch("width", NARROW, 12.4, seed=1)])
    results = pd.concat([course.assign(latency_1=4.0), others], ignore_index=True)
    with browser.Opened(chromium) as opened:
        page = opened.go(
            written(explorer.from_frames(results, removals, {NARROW.id: NARROW} | shapes), tmp_path)
        )
        legend = page.locator(".curve + figcaption")
        expect(legend).to_contain_text("faint: other seeds")
        expect(legend).to_contain_text("on the top edge: errors above 13.1 %")
        name = page.locator(".curve text", has_text="test error").bounding_box()
        ticks = [tick.bounding_box()["x"] for tick in page.locator(".curve text[text-anchor=end]").all()]
        assert "12.8" in page.locator(".curve text[text-anchor=end]").all_text_contents()
        assert min(ticks) > name["x"] + name["width"]
        choice(page, "against").select_option(label="latency of a batch of 1 (ms)")
        expect(legend).not_to_contain_text("faint")  # nobody timed the other seed's


def test_measured_rounds_are_dots_unless_they_would_touch(chromium, page, tmp_path):
    dots = page.locator("path.measured")
    assert dots.get_attribute("d").count("M") == ROUNDS + 1
    expect(page.locator(".curve + figcaption")).to_contain_text("dots: measured rounds")
    many = [(-1, -1, None, 9.0), *((1 + n % 2, n, 0.5, 9 + n / 10) for n in range(1, 61))]
    with browser.Opened(chromium) as opened:
        removals, course, shapes = pruned(0, many)
        page = opened.go(written(explorer.from_frames(course, removals, shapes), tmp_path))
        assert page.locator("path.measured").count() == 0
        expect(page.locator(".curve + figcaption")).not_to_contain_text("dots")


@pytest.mark.parametrize("name", ["vit-4-64", "vit-8-64", "wrn-10-1", "wrn-40-2", "preresnet-164"])
def test_the_names_of_groups_touch_neither_one_another_nor_the_edge_on_a_phone(chromium, tmp_path, name):
    whole = architecture.named(name, image=(3, 32, 32), classes=10)
    removals, course, _ = pruned(0, ROUNDS_OF_ONE)
    frames = [frame.assign(architecture=whole.id) for frame in (course, removals)]
    with browser.Opened(chromium, width=380) as opened:
        page = opened.go(written(explorer.from_frames(*frames, {whole.id: whole}), tmp_path))
        boxes = [box.bounding_box() for box in page.locator("text.group").all()]
        edge = page.locator("svg.shape").bounding_box()
        title = page.locator("svg.shape text").last.bounding_box()
    assert len(boxes) >= 3
    assert max(box["x"] + box["width"] for box in boxes) <= edge["x"] + edge["width"]
    for y in {box["y"] for box in boxes}:
        row = sorted((box["x"], box["x"] + box["width"]) for box in boxes if box["y"] == y)
        assert all(left - right >= 4 for (_, right), (left, _) in pairwise(row))
    assert title["y"] + title["height"] <= edge["y"] + edge["height"] + 1


def test_the_legend_is_silent_where_nothing_is_cut_off(page):
    expect(page.locator(".curve + figcaption")).not_to_contain_text("top edge")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_marks_of_every_curve_stand_out_from_the_paper(chromium, tmp_path, dark):
    curves = [name for name in DRAWN if name != "pruned-tuned" and not name.startswith(SPARSE)]
    removals, course, shapes = pruned()
    others = pd.DataFrame([scratch(curve, NARROW, 10 + n, seed=n % 2) for n, curve in enumerate(curves)])
    results = pd.concat([course, others], ignore_index=True)
    shown = explorer.from_frames(results, removals, {NARROW.id: NARROW} | shapes)
    with browser.Opened(chromium, dark=dark) as opened:
        page = opened.go(written(shown, tmp_path))
        fills = page.locator(".network, .at, .left, .key path").evaluate_all(
            "marks => marks.map(mark => getComputedStyle(mark).fill)"
        )
        strokes = page.locator(".network, .course").evaluate_all(
            "marks => marks.map(mark => getComputedStyle(mark).stroke)"
        )
        faint = page.locator(".network.seed").first.evaluate("mark => +getComputedStyle(mark).opacity")
    assert len(fills) > 2 * len(curves)
    paper = luminance("rgb(18, 18, 18)" if dark else "rgb(255, 255, 255)")
    for color in {*fills, *strokes}:
        low, high = sorted((luminance(color), paper))
        assert (high + 0.05) / (low + 0.05) >= 3, color
        if dark:
            shown = [18 + faint * (int(part) - 18) for part in re.findall(r"\d+", color)[:3]]
            seen = luminance(f"rgb({', '.join(f'{round(part)}' for part in shown)})")
            assert (seen + 0.05) / (paper + 0.05) >= 3, color  # of other seeds
    assert faint >= 0.6


def luminance(color):
    """Relative, of a colour as the browser writes it: WCAG 2.1."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_can_be_read_in_the_light_in_the_dark_and_on_a_phone(chromium, study, dark):
    with browser.Opened(chromium, width=380, dark=dark) as opened:
        page = opened.go(study)
        choice(page, "beside it").select_option(label="fisher, seed 1")
        assert (page.locator("[data-study]").get_attribute("dark") is not None) == dark
        assert page.evaluate(CONTRAST) == []
        assert page.evaluate("document.documentElement.scrollWidth") == 380


def test_it_follows_a_page_that_is_made_dark_by_itself_as_jupyterlab_is(page):
    element = page.locator("[data-study]")
    assert element.get_attribute("dark") is None
    page.evaluate("document.body.style.cssText += '; color: #ddd; background: #111'")
    page.evaluate("document.body.dataset.jpThemeLight = 'false'")
    expect(element).to_have_attribute("dark", "")
    assert page.evaluate(CONTRAST) == []


def test_on_paper_it_has_the_colours_of_the_light_and_its_round_but_nothing_to_press(chromium, study):
    with browser.Opened(chromium, dark=True) as opened:
        page = opened.go(study)
        page.add_style_tag(content="@media print { body { color: #000 } }")
        expect(page.locator("[data-study]")).to_have_attribute("dark", "")
        page.emulate_media(media="print")
        expect(page.locator("[data-study]")).not_to_have_attribute("dark", "")
        expect(page.get_by_text("round 20 of 40", exact=True)).to_be_visible()
        for useless in ("button", "input", "select", ".hint"):
            assert not page.locator(useless).first.is_visible()


def test_without_scripts_the_still_picture_and_its_words_stay(chromium, study):
    with browser.Opened(chromium, scripts=False) as opened:
        picture = opened.go(study).get_by_role("img")
        expect(picture).to_be_visible()
        assert picture.get_attribute("alt").startswith("Pruning by fisher, seed 0, after round 20 of 40: ")
        assert picture.bounding_box()["width"] > 300


def test_a_move_at_1300_rounds_and_163_groups_is_painted_within_50_ms(chromium):
    """The fastest quarter: the others tell how busy the machine is."""
    took = moves.measure(chromium)
    assert sorted(took)[len(took) // 4] < 50


# --- pages -----------------------------------------------------------------------------------------------


def executed(source, data, about=None):
    output = nbformat.v4.new_output("display_data", data=data, metadata=about or {})
    return nbformat.v4.new_code_cell(source, outputs=[output], execution_count=1)


def wide_figure():
    """Three panels side by side, as a notebook keeps them."""
    figure, _ = plt.subplots(1, 3, figsize=(14, 4))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    plt.close(figure)
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.fixture(scope="module")
def book(tmp_path_factory, study):
    """The pages of the five notebooks and of their texts, and one with all that is wide or moves."""
    folder = tmp_path_factory.mktemp("book")
    table = pd.DataFrame({f"column {n}": ["a verdict in words"] for n in range(12)}).to_html()
    wide = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell(
                "# Wide\n\n$$" + " + ".join(f"x_{{{n}}}^2" for n in range(40)) + "$$"
            ),
            executed("x = " + " + ".join(map(str, range(100))), {"text/html": table, "text/plain": ""}),
            executed("plot()", {"image/png": wide_figure()}, {"image/png": {"alt": "three panels"}}),
            executed("explore()", {"text/html": study.read_text().partition("px'>")[2]}),
        ]
    )
    nbformat.write(wide, folder / "00_wide.ipynb")
    pages.write(folder / "00_wide.ipynb")
    for source in [*parameters.notebooks(), *parameters.notebooks()[0].parent.glob("*.md")]:
        pages.write(shutil.copy(source, folder / source.name))
    return folder


PAGES = ["00_wide", *(path.stem for path in parameters.notebooks()), "glossary", "solutions"]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_by_itself_and_is_read_on_a_phone(chromium, book, name, dark):
    with browser.Opened(chromium, width=380, dark=dark) as opened:
        page = opened.go(book / f"{name}.html")
        assert page.evaluate("document.documentElement.scrollWidth") == 380
        assert page.evaluate(CONTRAST) == []
        assert "$$" not in page.inner_text("body")
        assert page.locator("img:not([alt]), img[alt='']").count() == 0
    assert (opened.refused, opened.errors) == ([], [])


def test_what_is_wide_is_moved_sideways_and_not_cut_or_made_tiny(chromium, book):
    with browser.Opened(chromium, width=380) as opened:
        page = opened.go(book / "00_wide.html")
        for wide in ("pre", "table", ".output_area:has(.output_png)", "math[display=block]"):
            inner, outer = page.locator(wide).first.evaluate("e => [e.scrollWidth, e.clientWidth]")
            assert inner > outer
            assert page.locator(wide).first.evaluate("e => getComputedStyle(e).overflowX") == "auto"
        assert page.locator("img").first.bounding_box()["width"] > 550


def check_paper(chromium, path, dark, columns=0):
    """A page in print: nothing is wider than the paper or cut, and text is dark on it.

    columns: those of its widest table, at least.
    """
    with browser.Opened(chromium, width=PAPER, dark=dark) as opened:
        page = opened.go(path)
        page.emulate_media(media="print")
        assert page.evaluate("document.documentElement.scrollWidth") == PAPER
        assert page.evaluate(CUT) == []
        assert page.evaluate(CONTRAST) == []
        tables = page.evaluate(RIGHT_EDGES)
    assert max((edge for table in tables for row in table for edge in row), default=0) <= PAPER
    assert max((len(row) for table in tables for row in table), default=0) >= columns
    for head, body in filter(all, tables):
        assert head == body


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_on_paper_headings_stand_over_their_columns_and_nothing_is_cut_or_pale(chromium, tmp_path, dark):
    source = REFERENCE / "quick" / "notebooks" / "05_analysis.ipynb"
    check_paper(chromium, pages.write(shutil.copy(source, tmp_path / source.name)), dark, columns=9)


@pytest.mark.parametrize(
    ("columns", "last"), [(("verdict",), "seeds needed"), (("better", "worse"), "mean lower")]
)
def test_a_phone_shows_the_answers_of_a_table_beside_its_names(chromium, tmp_path, columns, last):
    source = REFERENCE / "quick" / "notebooks" / "05_analysis.ipynb"
    with browser.Opened(chromium, width=380) as opened:
        page = opened.go(pages.write(shutil.copy(source, tmp_path / source.name)))
        table = page.locator("table", has=page.locator(f"th:text-is('{last}')")).filter(
            has=page.locator(f"th:text-is('{columns[0]}')")
        )
        for column in columns:
            box = table.locator(f"th:text-is('{column}')").bounding_box()
            assert box["x"] + box["width"] <= 380 - 16


def test_the_explorer_moves_in_a_page(chromium, book):
    with browser.Opened(chromium) as opened:
        page = opened.go(book / "00_wide.html")
        page.get_by_role("slider").press("End")
        assert heights(page) == [16, 32, 24]


def check_shadows(page, wide):
    """What goes on beyond the window has a shadow at that edge."""
    box = wide.bounding_box()
    edges = [{**box, "width": 4}, {**box, "x": box["x"] + box["width"] - 4, "width": 4}]

    def darkest():
        shots = [page.screenshot(clip=edge, full_page=True) for edge in edges]
        return [plt.imread(io.BytesIO(shot))[3:9, 1:3, :3].min() for shot in shots]

    left, right = darkest()
    assert left > 0.96 > right
    wide.evaluate("e => e.scrollLeft = e.scrollWidth")
    left, right = darkest()
    assert left < 0.96 < right


def hints(page):
    """The pictures that are said to go on to the right, and those that do."""
    said = page.evaluate(
        """() => [...document.querySelectorAll("*")].flatMap(e => ["::before", "::after"].map(
             part => getComputedStyle(e, part).content)).filter(text => text.includes("goes on")).length"""
    )
    cut = "all => all.filter(e => e.getBoundingClientRect().right > innerWidth).length"
    return said, page.locator("img:visible").evaluate_all(cut)


@pytest.mark.parametrize("wide", ["table", "pre"])
def test_a_table_and_code_have_a_shadow_where_they_go_on_beyond_a_phone(chromium, book, wide):
    with browser.Opened(chromium, width=380) as opened:
        page = opened.go(book / "00_wide.html")
        check_shadows(page, page.locator(wide).first)


@pytest.mark.parametrize(("width", "number"), [(380, 1), (1000, 0)])
def test_a_line_says_that_a_picture_goes_on_beyond_a_phone(chromium, book, width, number):
    with browser.Opened(chromium, width=width) as opened:
        assert hints(opened.go(book / "00_wide.html")) == (number, number)


def test_one_page_leads_to_the_next(chromium, book):
    with browser.Opened(chromium) as opened:
        page = opened.go(book / "01_train.html")
        page.get_by_role("link", name="Prune").last.click()
        expect(page).to_have_title(re.compile("Prune"))
        page.get_by_role("link", name="Answers").click()
        expect(page).to_have_url(re.compile("solutions.html#2-prune"))
        assert page.locator("#2-prune".replace("#2", "#\\32 ")).is_visible()
