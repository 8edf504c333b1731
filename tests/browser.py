"""A real browser, where there is one: Chromium by Playwright, with every request refused but for files."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Error, Page, Route, sync_playwright

ALLOWED = ("file:", "data:", "blob:")
# Debian's, or what `playwright install chromium` brought, which Playwright finds by itself.
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Chromium without a window. Raises playwright's Error where there is none."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


def missing() -> str:
    """Why no browser can be started here, or nothing."""
    if CHROMIUM:
        return ""
    try:
        with sync_playwright() as playwright:
            present = Path(playwright.chromium.executable_path).exists()
    except Error as error:
        return str(error).splitlines()[0]
    return "" if present else "no Chromium here: apt install chromium, or playwright install chromium"


class Opened:
    """A page, with what it asked for in vain and what went wrong in it.

    server: an address that may be asked besides.
    """

    def __init__(
        self,
        browser: Browser,
        width: int = 1000,
        *,
        dark: bool = False,
        touch: bool = False,
        scripts: bool = True,
        server: str = "file:",
    ) -> None:
        self.allowed = (*ALLOWED, server)
        self.context = browser.new_context(
            viewport={"width": width, "height": 800},
            color_scheme="dark" if dark else "light",
            has_touch=touch,
            java_script_enabled=scripts,
        )
        self.page: Page = self.context.new_page()
        self.refused: list[str] = []
        self.errors: list[str] = []
        self.page.route("**/*", self._route)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _route(self, route: Route) -> None:
        if route.request.url.startswith(self.allowed):
            route.continue_()
        else:
            self.refused.append(route.request.url)
            route.abort()

    def go(self, path: Path) -> Page:
        """Open a file."""
        self.page.goto(path.resolve().as_uri())
        return self.page

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()
