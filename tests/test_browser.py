"""A finished report in a real browser: offline, quiet, no wider than the screen, and every control does its work.

The report is `ICP_REPORT`: an older one that lies about would say nothing of today's code.
"""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from screenshots import WIDTHS, list_pages, open_page, set_screen
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.support.ui import WebDriverWait

REPORT = os.environ.get("ICP_REPORT")
PAGES = list_pages(Path(REPORT).resolve()) if REPORT else []
NOTEBOOK_PAGES = [page for page in PAGES if page.stem[:2].isdigit()]
SCREEN_PAGES = [page for page in PAGES if page.stem != "wall"]  # the page for the wall is made to be printed

pytestmark = pytest.mark.skipif(not PAGES, reason="no report to look at: set ICP_REPORT to the folder of a quarter")
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.stem}")
every_screen_page = pytest.mark.parametrize("page", SCREEN_PAGES, ids=lambda page: f"{page.parent.name}/{page.stem}")
every_notebook_page = pytest.mark.parametrize("page", NOTEBOOK_PAGES, ids=lambda page: page.stem)


@pytest.fixture
def opened(browser, page):
    """The page on a laptop's screen, its logs emptied first."""
    for log in ("performance", "browser"):
        browser.get_log(log)
    set_screen(browser, WIDTHS["laptop"])
    open_page(browser, page.as_uri())
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
    asked = [url for url in asked if url != "about:blank"]  # where the browser waited before it
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
@pytest.mark.parametrize("width", [*WIDTHS.values(), 780, 1180])
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


@every_screen_page
def test_the_theme_button_changes_the_paper_and_back(opened):
    papers = []
    for _ in range(3):
        papers.append(run(opened, "return getComputedStyle(document.body).backgroundColor"))
        opened.find_element("id", "icp-theme").click()
    opened.find_element("id", "icp-theme").click()  # the choice is remembered: leave it as it was
    assert papers[0] != papers[1] and papers[0] == papers[2]


@every_notebook_page
def test_code_is_hidden_until_the_switch_shows_it(opened):
    if not opened.find_elements("css selector", ".icp-code"):
        pytest.skip("this page has no code")
    visible_code = "return visible('.icp-code pre').length"
    counts = [run(opened, visible_code)]
    for _ in range(2):
        opened.find_element("id", "icp-code-switch").click()
        counts.append(run(opened, visible_code))
    assert counts[1] == len(opened.find_elements("css selector", ".icp-code")) > 0
    assert counts[0] == counts[2] == 0


OPEN = "return [...document.querySelectorAll(':popover-open')].map((each) => each.textContent.trim())"


@pytest.fixture
def term(opened):
    """The first defined metric on the page."""
    found = run(opened, "return visible('.icp-term[aria-describedby]')[0]")
    if found is None:
        pytest.skip("this page shows no defined metric")
    run(opened, "arguments[0].scrollIntoView({block: 'center'})", found)
    return found


def press(driver, *keys) -> None:
    ActionChains(driver).send_keys(*keys).perform()


def wait_until(driver, script: str, wanted) -> None:
    WebDriverWait(driver, 5).until(lambda _: run(driver, script) == wanted)


@every_notebook_page
def test_a_definition_opens_on_focus_and_escape_closes_it(opened, term):
    run(opened, "arguments[0].focus()", term)
    assert len(run(opened, OPEN)) == 1 and run(opened, OPEN)[0]
    press(opened, Keys.ESCAPE)
    assert run(opened, OPEN) == []


@every_notebook_page
def test_a_definition_opens_on_hover_stays_under_the_pointer_and_closes_after_it(opened, term):
    ActionChains(opened).move_to_element(term).perform()
    assert len(run(opened, OPEN)) == 1
    ActionChains(opened).move_to_element(opened.find_element("css selector", ":popover-open")).pause(0.5).perform()
    assert len(run(opened, OPEN)) == 1, "a reader must be able to reach the link in it"
    ActionChains(opened).move_to_element(opened.find_element("css selector", "h1")).perform()
    wait_until(opened, OPEN, [])


@every_notebook_page
def test_a_tap_pins_a_definition_and_its_link_leads_to_the_glossary(opened, term):
    address = opened.current_url
    term.click()
    assert opened.current_url == address
    ActionChains(opened).move_to_element(opened.find_element("css selector", "h1")).pause(0.5).perform()
    assert len(run(opened, OPEN)) == 1
    press(opened, Keys.ESCAPE)
    assert run(opened, OPEN) == []


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
    run(opened, "visible('.icp-back', arguments[0])[0].click()", table)
    assert len(run(opened, shown, table)) > 0 and run(opened, "return document.activeElement.type") == "search"


@every_notebook_page
def test_long_tables_are_folded_on_screen_and_whole_on_paper(opened):
    script = """return [...document.querySelectorAll('.icp-table')].map((table) =>
        [Number(table.dataset.n), Number(table.dataset.rows), visible('tbody tr', table).length])"""
    tables = run(opened, script)
    if not tables:
        pytest.skip("this page has no table")
    assert [shown for *_, shown in tables] == [min(n, limit) for n, limit, _ in tables]
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert [shown for *_, shown in run(opened, script)] == [n for n, *_ in tables]
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


@every_notebook_page
def test_a_table_is_cut_only_where_no_margin_is_left(opened):
    cut = """return [...document.querySelectorAll('.part:not(.noted) .icp-table .scroll')].filter((scroll) =>
        scroll.scrollWidth > scroll.clientWidth && scroll.clientWidth < 900).map((scroll) => scroll.ariaLabel)"""
    assert run(opened, cut) == []


@every_screen_page
def test_paper_has_no_controls_and_every_fold_open(opened):
    closed = "return document.querySelectorAll('details:not([open], .menu, .icp-code)').length"
    before = run(opened, closed)
    run(opened, "dispatchEvent(new Event('beforeprint'))")
    assert run(opened, closed) == 0
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    controls = "return visible('.tool, input, .icp-tools, .icp-sort, .switch, .skip, .menu, .contents').length"
    assert run(opened, controls) == 0
    wide = run(opened, "return [visible('.drawing.wide').length, document.querySelectorAll('.drawing.wide').length]")
    assert wide[0] == wide[1]
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    run(opened, "dispatchEvent(new Event('afterprint'))")
    assert run(opened, closed) == before


@every_notebook_page
def test_a_phone_sees_the_narrow_drawings_without_scrolling(opened):
    drawn = "return [visible('.drawing.wide').length, visible('.drawing.narrow').length]"
    wide, none = run(opened, drawn)
    assert none == 0
    set_screen(opened, WIDTHS["phone"])
    assert run(opened, drawn) == [0, wide]
    scrolled = "return visible('.drawing.narrow').filter((each) => each.scrollWidth > each.clientWidth + 1).length"
    assert run(opened, scrolled) == 0


@every_notebook_page
def test_notes_stand_in_the_margin_and_under_their_finding_where_there_is_none(opened):
    beside = """return visible('.part.noted').map((part) => {
        const [body, margin] = ['.body', '.margin'].map((name) => part.querySelector(name).getBoundingClientRect());
        return margin.left >= body.right && margin.top <= body.top + 30})"""
    below = """return visible('.part.noted').map((part) => {
        const [body, margin] = ['.body', '.margin'].map((name) => part.querySelector(name).getBoundingClientRect());
        return margin.top >= body.bottom - 1})"""
    assert all(run(opened, beside))
    set_screen(opened, WIDTHS["tablet"])
    assert all(run(opened, below)) and len(run(opened, below)) == len(run(opened, beside))


@every_notebook_page
def test_the_contents_mark_where_the_reader_is(opened):
    here = "return [...document.querySelectorAll('.contents ol a[aria-current]')].map((link) => link.hash)"
    hashes = run(opened, "return [...document.querySelectorAll('.contents ol a')].map((link) => link.hash)")
    assert run(opened, here) == hashes[:1]
    run(opened, "scrollTo(0, document.body.scrollHeight)")
    wait_until(opened, here, hashes[-1:])


@every_page
def test_every_control_is_reached_by_the_keyboard_in_order_with_a_ring(opened):
    """Tab goes through every link, button and field that can be seen, in the order of the page."""
    wanted = run(
        opened,
        """window.walk = visible('a[href], button, input, summary, [tabindex="0"]').filter((each) => !each.disabled
            && each.tabIndex >= 0 && !each.closest('[popover]'));
        walk.forEach((each, i) => { each.dataset.walk = i; });
        return walk.length""",
    )
    reached, bare = [], []
    at = """const here = document.activeElement, style = getComputedStyle(here), dot = here.querySelector('.hit');
        const ring = dot ? getComputedStyle(dot) : null;  // a point of a chart is ringed by a circle
        return ring ? [here.dataset.walk, parseFloat(ring.strokeWidth), ring.stroke, here.outerHTML]
            : [here.dataset.walk ?? null, parseFloat(style.outlineWidth), style.outlineStyle, here.outerHTML]"""
    for _ in range(wanted + 40):
        press(opened, Keys.TAB)
        number, width, style, html = run(opened, at)
        if number is None:
            continue
        if reached and int(number) <= reached[-1]:
            break
        reached.append(int(number))
        bare += [html] if style == "none" or width < 2 else []
    assert reached == list(range(wanted))
    assert bare == []


@every_screen_page
def test_the_skip_link_is_first_and_leads_to_the_answer(opened):
    press(opened, Keys.TAB)
    assert run(opened, "return [document.activeElement.className, document.activeElement.hash]") == ["skip", "#main"]
    assert run(opened, "return document.activeElement.getBoundingClientRect().width") > 20, "seen while it has focus"


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core, from whichever of the two packages this Python has."""
    places = {"axe_selenium_python": "node_modules/axe-core/axe.min.js", "axe_core_python": "axe.min.js"}
    found = [(find_spec(name), path) for name, path in places.items()]
    package, path = next((spec, path) for spec, path in found if spec)
    return (Path(package.submodule_search_locations[0]) / path).read_text(encoding="utf-8")


@every_page
@pytest.mark.parametrize(("screen", "theme"), [("laptop", "light"), ("laptop", "dark"), ("phone", "light")])
def test_axe_finds_nothing(opened, page, axe, screen, theme):
    set_screen(opened, WIDTHS[screen], theme=theme)
    open_page(opened, page.as_uri())
    opened.execute_script(axe)
    script = """const done = arguments[arguments.length - 1];
        axe.run(document, {resultTypes: ['violations']}).then((result) => done([result.passes.length,
            ...result.violations.map((each) => `${each.id} (${each.impact}): ${each.nodes[0].html.slice(0, 120)}`)]))"""
    passes, *violations = opened.execute_async_script(script)
    assert violations == []
    assert passes > 10, "axe looked at nothing"


@pytest.mark.parametrize("page", [page for page in PAGES if page.stem == "glossary"], ids=["glossary"][: len(PAGES)])
def test_the_glossary_finds_words_and_offers_the_way_back(opened):
    field = opened.find_element("css selector", ".icp-search")
    every = run(opened, "return visible('.entry').length")
    field.send_keys("selling day")
    found = run(opened, "return visible('.entry').map((each) => each.textContent.toLowerCase())")
    assert 0 < len(found) < every and all("selling day" in text for text in found)
    field.clear()
    field.send_keys("no entry holds these words")
    assert run(opened, "return visible('.entry, .part:not(.opening)').length") == 0
    run(opened, "visible('.icp-back')[0].click()")
    assert run(opened, "return visible('.entry').length") == every
