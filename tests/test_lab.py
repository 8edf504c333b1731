"""The notebooks in JupyterLab, in a real browser: run, moved, interrupted, seen light and dark."""

import os
import re
import secrets
import subprocess
import sys
import threading
from pathlib import Path

import matplotlib
import nbformat
import pytest
from playwright.sync_api import expect

import horticulture
from horticulture.analysis import widgets
from horticulture.study import parameters, study_files
from tests import browser
from tests.test_browser import CONTRAST

NO_BROWSER = browser.missing()
pytestmark = pytest.mark.skipif(bool(NO_BROWSER), reason=NO_BROWSER)

QUICK = Path(__file__).parents[1] / "outputs/reference/quick"
SMOKE = study_files.read("smoke").parameters
NEWS = ".jupyter/lab/user-settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
LIGHT, DARK = "JupyterLab Light", "JupyterLab Dark"
TRAINING = "session.execute([point.run for point in wholes]"  # in 01
READY = """path => {
  const book = window.jupyterapp?.shell?.currentWidget, session = book?.sessionContext;
  return book?.context?.path === path && session?.isReady && session.session?.kernel?.status === "idle";
}"""
# Nothing runs, and every cell has run, or one has failed and nothing runs after it.
STOPPED = """() => {
  const book = jupyterapp.shell.currentWidget;
  const cells = [...book.content.model.cells].filter(cell => cell.type === "code");
  const failed = cell => cell.outputs.toJSON().some(output => output.output_type === "error");
  return book.sessionContext.session.kernel.status === "idle"
    && cells.every(cell => cell.executionState !== "running" && !cell.isBusy)
    && (cells.every(cell => cell.executionCount) || cells.some(failed));
}"""
CLOSED = """async () => {
  const book = jupyterapp.shell.currentWidget;
  if (!book?.sessionContext) return;
  await book.context.save();
  await book.sessionContext.shutdown();
  book.dispose();
}"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The folder that JupyterLab shows: the notebooks, to be run at the size of `smoke`.

    Beside them the training of 01 alone, of more epochs than anybody waits for, and a notebook that somebody
    else has run.
    """
    root = tmp_path_factory.mktemp("root")
    values = {**SMOKE, "study": "smoke", "outputs": str(root / "outputs")}
    for path in parameters.notebooks():
        book = nbformat.read(path, 4)
        declared = parameters.notebook_parameters(path)
        more = [f"{name} = {value!r}" for name, value in values.items() if name not in declared]
        first = next(cell for cell in book.cells if cell.cell_type == "code")
        first.source = "\n".join([parameters.fill_in(first.source, values), *more])  # each runs alone, too
        nbformat.write(book, root / path.name)
    book = nbformat.read(root / "01_train.ipynb", 4)
    first, opening, *rest = [cell for cell in book.cells if cell.cell_type == "code"]
    first.source = parameters.fill_in(first.source, {"study": "stopped", "epochs": 300})
    book.cells = [first, opening, next(cell for cell in rest if TRAINING in cell.source)]
    nbformat.write(book, root / "stopped.ipynb")
    shown = horticulture.explore(QUICK)
    data, about = shown._repr_mimebundle_()
    output = nbformat.v4.new_output("execute_result", data=data, metadata=about, execution_count=1)
    source = f"import horticulture\nhorticulture.explore({str(QUICK)!r})"
    book.cells = [nbformat.v4.new_code_cell(source, outputs=[output], execution_count=1)]
    book.cells.append(nbformat.v4.new_code_cell("1"))
    nbformat.write(book, root / "explore.ipynb")
    return root


@pytest.fixture(scope="module")
def lab(root, tmp_path_factory):
    """JupyterLab on that folder: its address and its token."""
    home = tmp_path_factory.mktemp("home")
    (home / NEWS).parent.mkdir(parents=True)
    (home / NEWS).write_text('{"fetchNews": "false", "checkForUpdates": false}')
    token = secrets.token_hex(16)
    ours = ("JUPYTER", "HORTICULTURE")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment |= {"HOME": str(home), "JUPYTER_TOKEN": token, "HORTICULTURE_DATA": str(home / "data")}
    environment |= {"MPLCONFIGDIR": matplotlib.get_cachedir()}  # or every font is looked for again
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        "--port=0",
    ]
    command += [f"--ServerApp.root_dir={root}", "--LabApp.expose_app_in_browser=True"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        found = (re.search(r"http://127\.0\.0\.1:\d+/", line) for line in process.stderr)
        address = next(match[0] for match in found if match)
        threading.Thread(target=process.stderr.read, daemon=True).start()  # or the pipe fills up
        yield address, token
        process.terminate()


@pytest.fixture(scope="module")
def opened(lab):
    """JupyterLab in a browser; a notebook is opened in it by `show`."""
    address, token = lab
    with browser.chromium() as chromium, browser.Opened(chromium, width=1280, server=address) as opened:
        opened.page.set_default_timeout(600_000)
        expect.set_options(timeout=120_000)
        opened.page.goto(f"{address}lab?reset&token={token}", wait_until="domcontentloaded")
        opened.page.wait_for_function("() => window.jupyterapp?.restored.then(() => true)")
        yield opened
        expect.set_options(timeout=5_000)


@pytest.fixture
def page(opened):
    yield opened.page
    opened.page.evaluate(CLOSED)
    assert (opened.refused, opened.errors) == ([], [])


def command(page, name, **arguments):
    page.evaluate(
        "([name, arguments]) => void jupyterapp.commands.execute(name, arguments)", [name, arguments]
    )


def show(page, name):
    """Open a notebook, and wait until its kernel is ready."""
    command(page, "docmanager:open", path=name)
    page.wait_for_function(READY, arg=name)


def theme(page, name):
    command(page, "apputils:change-theme", theme=name)
    light = "false" if name == DARK else "true"
    expect(page.locator(f"body[data-jp-theme-name='{name}'][data-jp-theme-light='{light}']")).to_be_attached()
    expect(page.locator("#jupyterlab-splash")).to_have_count(0)  # it covers the page, and fades


def outputs_of(page, source):
    """What the cell with that in its source shows."""
    cell = page.locator(".jp-Notebook .jp-CodeCell").filter(
        has=page.locator(".jp-InputArea", has_text=source)
    )
    shown = cell.locator(".jp-OutputArea").first
    shown.scroll_into_view_if_needed()
    return shown


def moved(page, shown, change):
    """Do `change`, and wait until the picture of a panel is another, and says so in other words."""
    picture = shown.locator(".widget-html img, .jupyter-widgets img").first
    words, source = picture.get_attribute("alt"), picture.get_attribute("src")
    change()
    expect(picture).not_to_have_attribute("src", source)
    expect(picture).not_to_have_attribute("alt", words)
    assert picture.evaluate("it => it.getBoundingClientRect().right") <= right_of(shown)  # nothing is cut off


def right_of(shown):
    box = shown.bounding_box()
    return box["x"] + box["width"]


def prune(page):
    """The menus of 02."""
    shown = outputs_of(page, "widgets.panel(scores_by_layer")
    for name in ("criterion", "round"):
        menu = shown.get_by_role("combobox", name=name)
        moved(page, shown, lambda menu=menu: menu.select_option(index=1))


def scale(page):
    """The menu of 04, whose arrow is light in the dark."""
    shown = outputs_of(page, "widgets.panel(family_members")
    theme(page, DARK)
    assert widgets.ARROW in shown.get_by_role("combobox", name="size").evaluate(
        "menu => getComputedStyle(menu).backgroundImage"
    )
    theme(page, LIGHT)
    moved(page, shown, lambda: shown.get_by_role("combobox", name="size").select_option(label="15 %"))


def analyse(page):
    """The explorer of 05, by keyboard and by mouse."""
    shown = outputs_of(page, "horticulture.explore(session.folder)")
    slider = shown.get_by_role("slider", name="round")
    slider.focus()
    for key, round_ in (("Home", 0), ("ArrowRight", 1), ("End", SMOKE["rounds"])):
        slider.press(key)
        said = slider.get_attribute("aria-valuetext")
        assert said.startswith(f"round {round_} of {SMOKE['rounds']}: ")
    last = drawn(shown)
    box = slider.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] - 8, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 2, middle, steps=4)
    page.mouse.up()
    assert slider.get_attribute("aria-valuetext").startswith(f"round 0 of {SMOKE['rounds']}: ")
    first = drawn(shown)
    assert sum(last) < sum(first)
    assert all(after <= before for after, before in zip(last, first, strict=True))


def drawn(shown):
    """The heights of the explorer's bars."""
    return [float(bar.get_attribute("height")) for bar in shown.locator("rect.left").all()]


BY_HAND = {"02_prune": prune, "04_scale": scale, "05_analysis": analyse}


@pytest.mark.parametrize("name", [path.stem for path in parameters.notebooks()])
def test_a_notebook_runs_to_its_last_cell_and_what_can_be_moved_moves(page, root, name):
    show(page, f"{name}.ipynb")
    command(page, "notebook:run-all-cells")
    page.wait_for_function(STOPPED)
    page.evaluate("() => jupyterapp.shell.currentWidget.context.save()")
    cells = [cell for cell in nbformat.read(root / f"{name}.ipynb", 4).cells if cell.cell_type == "code"]
    assert [output for cell in cells for output in cell.outputs if output.output_type == "error"] == []
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    if name in BY_HAND:
        BY_HAND[name](page)


def test_a_training_that_is_stopped_keeps_its_picture_and_run_again_goes_on(page):
    show(page, "stopped.ipynb")
    command(page, "notebook:run-all-cells")
    kept, picture = stop(page)
    shown = outputs_of(page, TRAINING)
    for name in (DARK, LIGHT):
        theme(page, name)
        assert shown.evaluate(CONTRAST) == []
    command(page, "notebook:run-cell")
    expect(shown.get_by_text("% kept from before")).to_be_visible()
    more, _ = stop(page, before=picture)
    assert more > kept > 0


def stop(page, before=""):
    """Stop the training by JupyterLab's command when its picture has changed.

    before: the words of the picture that there was. Returns how much is kept (%), and the picture's words.
    """
    shown = outputs_of(page, TRAINING)
    curve = shown.get_by_role("img", name=re.compile(r"^loss: .* to [\d.]+ at epoch \d+$"))
    expect(curve).not_to_have_attribute("aria-label", before)
    command(page, "notebook:interrupt-kernel")
    line = shown.get_by_text("InterruptedRun").inner_text().strip()
    page.wait_for_function(STOPPED)
    kept = re.fullmatch(
        r"InterruptedRun: training: stopped, (\d+\.\d) % is kept \(0 of 1 finished, 1 started\); "
        "run the cell again to resume",
        line,
    )
    assert kept
    assert curve.is_visible()  # the picture stays
    return float(kept[1]), curve.get_attribute("aria-label")


def test_the_explorer_is_still_until_the_cell_is_run_and_then_takes_the_keys(page):
    show(page, "explore.ipynb")
    picture = page.locator(".jp-OutputArea img")
    expect(picture).to_be_visible()
    assert picture.get_attribute("alt").startswith("Pruning by fisher, seed 0, after round 115 of 192")
    assert page.locator("[data-study]").count() == 0
    command(page, "notebook:run-all-cells")
    slider = page.get_by_role("slider", name="round")
    slider.wait_for()
    slider.focus()
    for key, round_ in (("ArrowRight", 116), ("ArrowDown", 115), ("Home", 0), ("ArrowUp", 1)):
        page.keyboard.press(key)
        assert slider.get_attribute("aria-valuetext").startswith(f"round {round_} of 192: ")
    page.keyboard.press("b")  # JupyterLab's key for a new cell
    assert page.locator(".jp-Notebook .jp-Cell").count() == 2
    element = page.locator("[data-study]")
    assert element.get_attribute("dark") is None
    assert element.locator("..").evaluate(CONTRAST) == []
    theme(page, DARK)
    expect(element).to_have_attribute("dark", "")
    assert element.locator("..").evaluate(CONTRAST) == []
    theme(page, LIGHT)
