"""The page as a browser shows it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reporting.browser import Browser, chromium

BEYOND = """[...document.querySelectorAll('body *')].filter(element => {
  const box = element.getBoundingClientRect();
  return box.width > 1 && (box.right > window.innerWidth + 0.5 || box.left < -0.5)
    && !element.closest('.skip') }).map(element => element.outerHTML.slice(0, 120))"""
"""Elements that reach out of the window."""

SCROLLED = """[...document.querySelectorAll('.scroll')].filter(one => one.scrollWidth > one.clientWidth + 1)
  .map(one => one.getAttribute('aria-label'))"""
"""Tables that do not fit and have to be scrolled."""

EMPTY = """[...document.querySelectorAll('.view')].filter(view => {
  if (getComputedStyle(view).display == 'none') return false;
  const shown = [...view.querySelectorAll('svg')].filter(svg => svg.getBoundingClientRect().height > 100);
  return shown.length != 1 || shown[0].querySelectorAll('path').length < 3 }).length"""
"""Charts that do not show exactly one drawing."""

SMALL = """[...document.querySelectorAll('svg.drawing text')].map(text => text.getBoundingClientRect().height)
  .filter(height => height > 0 && height < 8).length"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = chromium()
    if program is None:
        assert not os.environ.get("CI"), "CI opens the report in Chromium: apt-get install chromium"
        pytest.skip("no Chromium here to open the report in: apt-get install chromium")
    with Browser(program) as one:
        yield one


@pytest.fixture(scope="module")
def file(page: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page)
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_figure_is_drawn_and_nothing_is_cut_off(browser: Browser, file: Path, width: int, scheme: str) -> None:
    browser.open(file, width, scheme)
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    browser.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert browser.evaluate(BEYOND) == []
    assert browser.evaluate(SCROLLED) == []
    assert browser.evaluate(EMPTY) == 0
    assert browser.evaluate(SMALL) == 0
    assert browser.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    ground = browser.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (sum(int(part) for part in ground[4:-1].split(",")) > 384) == (scheme == "light")


def test_no_request_leaves_the_file_and_the_console_is_silent(browser: Browser, file: Path) -> None:
    browser.open(file, 1280)
    methods = [event.get("method") for event in browser.events]
    urls = {
        event["params"]["request"]["url"]
        for event in browser.events
        if event.get("method") == "Network.requestWillBeSent"
    }
    assert {url for url in urls if not url.startswith("data:")} == {file.resolve().as_uri()}
    assert "Runtime.consoleAPICalled" not in methods
    assert "Runtime.exceptionThrown" not in methods
    assert "Log.entryAdded" not in methods


def test_the_keyboard_reaches_the_other_view_of_a_figure(browser: Browser, file: Path) -> None:
    browser.open(file, 1280)
    shown = "getComputedStyle(document.querySelectorAll('#figure-metric .view')[1]).display"
    assert browser.evaluate(shown) == "none"
    browser.evaluate("document.getElementById('view-metric-1').focus()")
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key="ArrowRight", code="ArrowRight", windowsVirtualKeyCode=39)
    assert browser.evaluate(shown) == "block"


def test_everything_prints(browser: Browser, file: Path, tmp_path: Path) -> None:
    browser.open(file, 1280, "dark")
    browser.print(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").stat().st_size > 20_000
