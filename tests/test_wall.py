"""The wall page: one sheet of A4, whatever its texts."""

from __future__ import annotations

import base64
import re

import pandas as pd
import pytest
from screenshots import WIDTHS, open_page, set_screen
from test_display import EVIL, Tags
from test_front import ACTIONS, CLAIMS, FRONT, HEADLINE, PROFILE, employees, industry, words_of

from icp_lib.wall import render_wall

FULL = PROFILE | {
    "attributes": [
        industry("Carriers") | {"verdict": "confirmed", "best_rate": 0.88, "market_rate": 0.31},
        employees(5, 21) | {"verdict": "promising", "best_rate": 0.81, "market_rate": 0.24},
    ],
    "dimensions": [
        {"dimension": "Ready", "score": 4.1, "low": 3.9, "high": 4.3, "n": 61},
        {"dimension": "Advocacy", "score": None, "note": "not measured: needs referrals"},
    ],
    "playbook": {
        "problem": "Delivery notes get lost.", "instead": "The photo is the note.", "ask": "Who writes the invoices?",
        "objections": [{"objection": "My drivers won’t use it.", "answer": "They sent the first one on day one."}],
    },
    "reach": "Fuel-card partners and two trade fairs.",
    "personas": [{"role": "Owner", "words": "signs"}, {"role": "Dispatcher", "words": "runs trials"}],
    "journey": [{"stage": "Trial", "when": "12 days", "words": "Runs ten jobs.", "question": "How long until it runs?",
                 "roles": "Dispatcher", "stops": "33% stop"}],
}  # fmt: skip
LONG = "An extraordinarily long sentence about carriers and everything that they have ever done " * 6


def stretch(value):
    """The same profile with every text long and every list full."""
    if isinstance(value, str):
        return LONG
    if isinstance(value, list):
        return [stretch(each) for each in value] * 8
    kept = ("verdict", "op", "value")
    if isinstance(value, dict):
        return {key: each if key in kept else stretch(each) for key, each in value.items()}
    return value


STRETCHED = stretch(FULL) | {"verdict": "confirmed"}
MANY = (pd.concat([HEADLINE] * 4), pd.concat([CLAIMS.assign(claim=LONG)] * 5))
TASKS = ACTIONS.assign(action=LONG, who=LONG)


def test_every_part_that_the_profile_backs_is_on_the_sheet():
    words = words_of(render_wall(FRONT, HEADLINE, CLAIMS, FULL, ACTIONS))
    for said in (
        "Road-freight carriers with 5 to 20 employees.", "Ideal customer profile, version 4", "2026-Q3, draft",
        "Confirmed.", "Who they are", "Industry Carriers", "88% 31%", "Employees 5 to 20",
        "Not for us – tender-only buyers",
        "What they are worth", "34% (30 to 39)", "Seven dimensions", "Ready", "4.1 n = 61",
        "not measured: needs referrals", "Problem. Delivery notes get lost.",
        "“My drivers won’t use it.” They sent", "Where to find them",
        "Who decides", "Owner signs", "How they buy", "Trial 12 days Runs ten jobs.", "33% stop", "Agreed by",
        "head of sales Ann Roe, 2 Oct 2026", "head of marketing open",
    ):  # fmt: skip
        assert said in words, said
    assert "Not in this report yet" not in words


def test_what_nothing_backs_is_left_out_and_named_at_the_foot():
    words = words_of(render_wall(FRONT, HEADLINE, CLAIMS, PROFILE, ACTIONS))
    absent = "who they are, seven dimensions, what we say, where to find them, who decides, how they buy"
    assert f"Not in this report yet: {absent}." in words and "Seven dimensions" not in words
    assert "What we know times the rest, or as written Carriers are worth more. 2.7× (2.2 to 3.2)" in words
    assert "What to do now Call the carriers first." in words


def test_an_empty_run_still_makes_a_sheet():
    empty = pd.DataFrame()
    words = words_of(render_wall(FRONT, empty, empty, {}))
    assert "No profile yet." in words and "not for us, what they are worth" in words


def test_a_figure_that_is_not_measured_says_so():
    assert "Sales cycle, won deals not measured" in words_of(render_wall(FRONT, HEADLINE, CLAIMS, FULL))


def test_who_published_stands_on_the_sheet():
    context = FRONT | {"report_status": "published", "approval": {"approved_by": [{"name": "Bo Li", "role": "finance"}],
                                                                "approved_at": "2026-10-05"}}  # fmt: skip
    words = words_of(render_wall(context, HEADLINE, CLAIMS, FULL))
    assert "2026-Q3, published" in words and "finance Bo Li, 2026-10-05" in words and "Ann Roe" not in words


def test_texts_are_cut_at_a_word():
    words = words_of(render_wall(FRONT, HEADLINE, CLAIMS, PROFILE | {"name": LONG}))
    assert re.search(r"An extraordinarily long sentence [\w ]+ \w+… ", words) and "….." not in words


def test_the_sheet_is_safe():
    hostile = {key: EVIL if isinstance(value, str) else value for key, value in FULL.items()}
    tags = Tags(render_wall(FRONT | {"company": EVIL}, HEADLINE, CLAIMS, hostile, ACTIONS))
    assert len(tags.find("script")) == 1 and not tags.find("img")


@pytest.fixture
def sheet(browser, tmp_path):
    def show(*arguments):
        path = tmp_path / "wall.html"
        path.write_text(render_wall(*arguments), encoding="utf-8")
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        open_page(browser, path.as_uri())
        return browser

    return show


@pytest.mark.parametrize(
    "arguments",
    [
        (FRONT, HEADLINE, CLAIMS, FULL, ACTIONS),
        (FRONT, HEADLINE, CLAIMS, PROFILE),
        (FRONT | {"company": LONG}, *MANY, STRETCHED, TASKS),
        (FRONT, *MANY, PROFILE | {"name": LONG, "lead": LONG, "exclusions": [LONG] * 9}, TASKS),
    ],
    ids=["full", "thin", "full and long", "thin and long"],
)
def test_it_prints_on_exactly_one_page_with_nothing_cut_off(sheet, arguments):
    driver = sheet(*arguments)
    for options in (
        {},
        {"preferCSSPageSize": True},
        {"printBackground": True, "paperWidth": 8.27, "paperHeight": 11.69},
    ):
        pdf = base64.b64decode(driver.execute_cdp_cmd("Page.printToPDF", options)["data"])
        assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 1
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        script = (
            "return ['scrollHeight', 'clientHeight', 'scrollWidth', 'clientWidth'].map((name) => arguments[0][name])"
        )
        size = driver.execute_script(script, driver.find_element("css selector", ".sheet"))
    finally:
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert size[0] <= size[1] and size[2] <= size[3]


CUT = """return [...document.querySelectorAll('.sheet *')].filter((each) => each.scrollHeight > each.clientHeight + 1
    && getComputedStyle(each).overflow === 'hidden').map((each) => each.textContent.trim()).filter((words) => words)"""


def test_a_phone_cuts_no_text(sheet):
    driver = sheet(FRONT, *MANY, STRETCHED, TASKS)
    set_screen(driver, WIDTHS["phone"])
    assert driver.execute_script(CUT) == []


def test_no_text_on_the_sheet_is_smaller_than_11_px(sheet):
    driver = sheet(FRONT, HEADLINE, CLAIMS, FULL, ACTIONS)
    script = """const isText = (node) => node.nodeType === 3 && node.textContent.trim();
        const told = [...document.querySelectorAll('.sheet *')].filter((each) => [...each.childNodes].some(isText));
        return Math.min(...told.map((each) => parseFloat(getComputedStyle(each).fontSize)))"""
    assert driver.execute_script(script) >= 11
