"""The explorer in JupyterLab, in a real browser: still where the notebook is not trusted, then alive."""

import os
import re
import secrets
import subprocess
import sys
import threading
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect

import horticulture
from tests import browser

NO_BROWSER = browser.missing()
pytestmark = pytest.mark.skipif(bool(NO_BROWSER), reason=NO_BROWSER)

QUICK = Path(__file__).parents[1] / "outputs/reference/quick"
NEWS = ".jupyter/lab/user-settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
READY = """() => {
  const session = window.jupyterapp?.shell?.currentWidget?.sessionContext;
  return session?.isReady && session.session?.kernel?.status === "idle";
}"""


@pytest.fixture
def lab(tmp_path):
    """JupyterLab on a folder with one notebook, which somebody else has run: its address and its token."""
    shown = horticulture.explore(QUICK)
    data, about = shown._repr_mimebundle_()
    output = nbformat.v4.new_output("execute_result", data=data, metadata=about, execution_count=1)
    source = f"import horticulture\nhorticulture.explore({str(QUICK)!r})"
    cell = nbformat.v4.new_code_cell(source, outputs=[output], execution_count=1)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book = nbformat.v4.new_notebook(
        cells=[cell, nbformat.v4.new_code_cell("1")], metadata={"kernelspec": kernel}
    )
    home, root = tmp_path / "home", tmp_path / "root"
    (home / NEWS).parent.mkdir(parents=True)
    (home / NEWS).write_text('{"fetchNews": "false", "checkForUpdates": false}')
    root.mkdir()
    nbformat.write(book, root / "explore.ipynb")
    token = secrets.token_hex(16)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JUPYTER")}
    environment |= {"HOME": str(home), "JUPYTER_TOKEN": token}
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


def command(page, name, **arguments):
    page.evaluate(
        "([name, arguments]) => void jupyterapp.commands.execute(name, arguments)", [name, arguments]
    )


def test_the_explorer_is_still_until_the_cell_is_run_and_then_takes_the_keys(lab):
    address, token = lab
    with browser.chromium() as chromium, browser.Opened(chromium, width=1280, server=address) as opened:
        page = opened.page
        page.set_default_timeout(120_000)
        page.goto(f"{address}lab/tree/explore.ipynb?reset&token={token}", wait_until="domcontentloaded")
        picture = page.locator(".jp-OutputArea img")
        expect(picture).to_be_visible(timeout=120_000)
        assert picture.get_attribute("alt").startswith("Pruning by fisher, seed 0, after 115 of 192 rounds")
        assert page.locator("[data-study]").count() == 0
        page.wait_for_function(READY)
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
        command(page, "apputils:change-theme", theme="JupyterLab Dark")
        expect(element).to_have_attribute("dark", "", timeout=60_000)
    assert opened.refused == []
    assert opened.errors == []
