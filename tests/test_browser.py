"""A finished report in a real browser: offline, quiet, no wider than the screen, and every control does its work.

The report is `ICP_REPORT`, else the demo's ``reports/2026-Q3``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from screenshots import WIDTHS, list_pages, set_screen
from selenium.webdriver import ActionChains, Keys

REPORT = Path(os.environ.get("ICP_REPORT") or Path(__file__).resolve().parents[1] / "reports" / "2026-Q3").resolve()
PAGES = list_pages(REPORT)
NOTEBOOK_PAGES = [page for page in PAGES if page.stem[:2].isdigit()]

pytestmark = pytest.mark.skipif(not PAGES, reason="no report to look at: run `make report` or set ICP_REPORT")
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.stem}")
every_notebook_page = pytest.mark.parametrize("page", NOTEBOOK_PAGES, ids=lambda page: page.stem)


@pytest.fixture
def opened(browser, page):
    """The page on a laptop's screen, its logs emptied first."""
    for log in ("performance", "browser"):
        browser.get_log(log)
    set_screen(browser, WIDTHS["laptop"])
    browser.get(page.as_uri())
    return browser


def run(driver, script: str, *arguments):
    """Return what a line of JavaScript returns; `visible(selector, inside)` is at hand."""
    helper = """const visible = (selector, inside = document) => [...inside.querySelectorAll(selector)].filter(
        (element) => element.checkVisibility({visibilityProperty: true}));"""
    return driver.execute_script(helper + script, *arguments)


@every_page
def test_a_page_asks_the_network_for_nothing(opened):
    entries = [json.loads(entry["message"])["message"] for entry in opened.get_log("performance")]
    asked = [each["params"]["request"]["url"] for each in entries if each["method"] == "Network.requestWillBeSent"]
    assert asked, "the log of requests is empty, so it proves nothing"
    assert [url for url in asked if url.partition(":")[0] not in ("file", "data", "blob")] == []


@every_page
def test_a_page_leaves_the_console_empty(opened):
    assert [entry["message"] for entry in opened.get_log("browser")] == []


@every_page
def test_a_page_has_a_title_and_one_heading(opened):
    assert opened.title.strip()
    headings = run(opened, "return [...document.querySelectorAll('h1')].map((h1) => h1.textContent.trim())")
    assert len(headings) == 1 and headings[0]


@every_page
@pytest.mark.parametrize("width", WIDTHS.values())
def test_a_page_is_no_wider_than_the_screen(opened, width):
    set_screen(opened, width)
    content, window = run(opened, "return [document.documentElement.scrollWidth, window.innerWidth]")
    assert content <= width + 1
    assert window <= width + 1, "a phone would zoom out: <meta name=viewport> is missing or something is wider"


@every_page
def test_every_link_inside_the_report_leads_somewhere(opened, page):
    """Links to files exist on disk; links within the page have their target."""
    hrefs = run(opened, "return [...document.querySelectorAll('a[href]')].map((a) => a.getAttribute('href'))")
    ids = set(run(opened, "return [...document.querySelectorAll('[id]')].map((element) => element.id)"))
    parts = [urlsplit(href) for href in hrefs]
    local = [unquote(part.path) for part in parts if not part.scheme and part.path]
    assert [path for path in local if not (page.parent / path).exists()] == []
    within = [unquote(part.fragment) for part in parts if not part.scheme and not part.path and part.fragment]
    assert [name for name in within if name not in ids] == []


@every_page
def test_the_theme_button_changes_the_paper_and_back(opened):
    papers = []
    for _ in range(3):
        papers.append(run(opened, "return getComputedStyle(document.body).backgroundColor"))
        opened.find_element("id", "icp-theme").click()
    opened.find_element("id", "icp-theme").click()  # the choice is remembered: leave it as it was
    assert papers[0] != papers[1] and papers[0] == papers[2]


@every_notebook_page
def test_code_is_hidden_until_the_switch_shows_it(opened):
    visible_code = "return visible('.icp-code pre').length"
    counts = [run(opened, visible_code)]
    for _ in range(2):
        opened.find_element("id", "icp-code-switch").click()
        counts.append(run(opened, visible_code))
    assert counts[1] == len(opened.find_elements("css selector", ".icp-code")) > 0
    assert counts[0] == counts[2] == 0


@every_notebook_page
def test_a_defined_metric_tells_its_definition_on_focus_and_escape_closes_it(opened):
    definition = "return [...document.querySelectorAll(':popover-open')].map((each) => each.textContent.trim())"
    if not run(opened, "visible('.icp-term[popovertarget]')[0]?.focus(); return visible('.icp-term').length"):
        pytest.skip("this page shows no defined metric")
    assert len(run(opened, definition)) == 1 and run(opened, definition)[0]
    ActionChains(opened).send_keys(Keys.ESCAPE).perform()
    assert run(opened, definition) == []


@pytest.fixture
def table(opened):
    """The longest table of the page; short ones have no search field."""
    script = """const rows = (table) => table.querySelectorAll("tbody tr").length;
        return [...document.querySelectorAll(".icp-table")].sort((a, b) => rows(b) - rows(a))[0]"""
    found = run(opened, script)
    if found is None or len(column_texts(opened, found)) <= 5:
        pytest.skip("this page has no table of more than five rows")
    return found


def column_texts(driver, table) -> list[str]:
    """First cell of every row, shown or folded, in the order of the page."""
    script = "return [...arguments[0].querySelectorAll('tbody tr')].map((row) => row.cells[0].textContent.trim())"
    return run(driver, script, table)


@every_notebook_page
def test_a_table_sorts_by_its_first_column(opened, table):
    sort = """const th = arguments[0].querySelector("thead th");
        th.querySelector(".icp-sort").click();
        return th.getAttribute("aria-sort")"""
    before = column_texts(opened, table)
    directions = {run(opened, sort, table): column_texts(opened, table) for _ in range(2)}
    assert set(directions) == {"ascending", "descending"}
    assert all(sorted(order) == sorted(before) for order in directions.values())
    if len(set(before)) == len(before):
        assert directions["ascending"] == directions["descending"][::-1]


@every_notebook_page
def test_a_search_leaves_the_rows_that_hold_the_words(opened, table):
    search = run(opened, "return visible('input[type=search]', arguments[0])[0]", table)
    assert search, "the table has no search field"
    shown = "return visible('tbody tr', arguments[0]).map((row) => row.textContent.toLowerCase())"
    word = column_texts(opened, table)[-1].split()[0].lower()
    search.send_keys(word)
    rows = run(opened, shown, table)
    assert rows and all(word in row for row in rows)
    search.clear()
    search.send_keys("no row holds these words")
    assert run(opened, shown, table) == []
