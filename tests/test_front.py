"""The front page and the index of quarters, from tables that may be empty."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from screenshots import WIDTHS, open_page, set_screen
from test_display import EVIL, Tags
from test_pages import CONTEXT

from icp_lib import front

HEADLINE = pd.DataFrame(
    {
        "segment_id": "s1",
        "segment": "Carriers",
        "metric": ["win_rate", "margin_per_day", "cycle_median_days"],
        "estimate": [0.342, 44.7, np.nan],
        "conf_low": [0.30, 38.2, np.nan],
        "conf_high": [0.39, 51.3, np.nan],
        "conf_level": 0.95,
        "n": [431, 431, 0],
        "n_events": [147, 147, 0],
        "comparison": [0.20, 17.0, np.nan],
        "method": "",
        "note": [None, None, "no deal won yet"],
    }
)
CLAIMS = pd.DataFrame(
    {
        "claim_id": ["01_1", "01_2", "02_1"],
        "claim": ["Carriers are worth more.", "New carriers.", EVIL],
        "segment_id": "s1",
        "metric": ["lift", "lift", "win_rate"],
        "estimate": [2.7, 9.9, 0.3],
        "conf_low": [2.2, 1.0, 0.2],
        "conf_high": [3.2, 99.0, 0.4],
        "n": [431, 29, 50],
        "hypotheses": 3914,
        "estimate_found": [2.9, np.nan, 0.4],
        "p_adjusted": 0.01,
        "holdout_p_adjusted": 0.01,
        "explained_by": None,
        "verdict": ["confirmed", "not enough data", "explained by region"],
        "note": [None, "8 of 15 won", EVIL],
    }
)
PROFILE = {
    "name": "road-freight carriers with 5 to 20 employees",
    "verdict": "confirmed",
    "quarter": "2026-Q3",
    "version": 4,
    "lead": "They earn €45 for each selling day.",
    "exclusions": ["tender-only buyers", {"words": "in-house fleets"}],
    "sign_offs": [{"name": "Ann Roe", "role": "head of sales", "at": "2 Oct 2026"}, {"role": "head of marketing"}],
}
FRONT = {**CONTEXT, "name": "index"}
HISTORY = pd.DataFrame(
    {
        "quarter": ["2026-Q2", "2026-Q3", "2026-Q2", "2026-Q3"],
        "metric": ["win_rate", "win_rate", "margin_per_day", "margin_per_day"],
        "estimate": [0.33, 0.342, 55.0, 44.7],
        "conf_low": [0.29, 0.30, 47.0, 38.2],
        "conf_high": [0.38, 0.39, 62.0, 51.3],
        "change": [np.nan, 0.012, np.nan, -10.3],
        "change_low": [np.nan, -0.03, np.nan, -17.0],
        "change_high": [np.nan, 0.04, np.nan, -4.0],
        "p_adjusted": [np.nan, 0.8, np.nan, 0.01],
        "since": [None, "2026-Q2", None, "2026-Q2"],
        "cause": None,
        "note": None,
    }
)
ACTIONS = pd.DataFrame(
    {
        "team": ["sales", "Marketing", "sales"],
        "kind": ["stop", "find out", "do"],
        "action": ["Stop opening retailers.", EVIL, "Call the carriers first."],
        "evidence": ["They cost too much.", None, None],
        "who": ["Head of sales", None, "All reps"],
        "when": ["from 5 Oct", None, None],
        "page": [1.0, np.nan, 1.0],
    }
)


def industry(value: str) -> dict:
    return {"attribute": "industry", "op": "is", "value": value}


def employees(low: int, high: int | None) -> dict:
    return {"attribute": "employees", "op": "between", "value": [low, high]}


def build_segments() -> pd.DataFrame:
    """Five segments: two offered, one hostile name, one without a lead, one below the minimum."""
    rows = [
        ("s1", "Carriers, 5 to 20", [industry("Carriers"), employees(5, 21)], 431, 147, 45, 0.34, 31, "confirmed"),
        ("s2", "Carriers, 21 to 50", [industry("Carriers"), employees(21, 51)], 236, 70, 28, 0.28, 40, "promising"),
        ("s3", EVIL, [industry(EVIL)], 79, 17, 10, 0.12, 210, "contradicted"),
        ("s4", "Makers", [industry("Makers")], 300, 60, 18, 0.2, 50, "not supported"),
        (
            "s5",
            "Carriers, 101 or more",
            [industry("Carriers"), employees(101, None)],
            29,
            8,
            99,
            0.7,
            9,
            "not enough data",
        ),
    ]
    table = pd.DataFrame(
        rows,
        columns=["segment_id", "segment", "conditions", "n_opportunities", "n_won", "margin_per_day", "win_rate",
                 "cycle_median_days", "verdict"],
    )  # fmt: skip
    table["conditions"] = table["conditions"].map(json.dumps)
    for name, width in (("margin_per_day", 7), ("win_rate", 0.05)):
        table[f"{name}_low"], table[f"{name}_high"] = table[name] - width, table[name] + width
    return table.assign(
        n_accounts=table["n_opportunities"] // 2, margin_per_opportunity=table["margin_per_day"] * 40,
        margin_per_day_rest=17.0, win_rate_rest=0.2, lift_found=2.9, p_adjusted=0.001, holdout_lift=2.7,
        holdout_lift_low=2.2, holdout_lift_high=3.2, stability_rate=0.96, is_emerging=False, reachable_accounts=2140,
        note=[None, None, None, None, "8 of 15 won"],
    )  # fmt: skip


SEGMENTS = build_segments()
NOISE = pd.DataFrame({"n_opportunities": [20, 100, 800], "noise_50": [2.0, 1.5, 1.1], "noise_95": [3.0, 2.0, 1.5]})
VERSIONS = [
    {"quarter": "2026-Q2", "version": 1, "name": "Carriers", "status": "published", "changed": ["industry: carriers"],
     "why": "The first.", "signed": ["Ann Roe, head of sales"], "href": "../2026-Q2/index.html"},
    {"quarter": "2026-Q3", "version": 2, "name": "Carriers, 5 to 20", "status": "draft",
     "changed": ["industry: carriers", "+ employees: 5 to 20", "- region: north"], "signed": []},
]  # fmt: skip


def render_all(**context) -> str:
    """The front page with every table there is."""
    return front.render_front(
        FRONT | context, HEADLINE, CLAIMS, PROFILE, SEGMENTS.head(2), SEGMENTS, HISTORY, ACTIONS, VERSIONS, NOISE,
        pd.DataFrame({"part": ["found", "recent"], "hypotheses": [3914, 20]}),
    )  # fmt: skip


def words_of(html: str) -> str:
    """The page's words alone, without scripts, styles and tags."""
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def test_front_page_answers_in_order():
    html = render_all()
    assert "<h1>Road-freight carriers with 5 to 20 employees.</h1>" in html
    order = [
        "How sure?", "What changed?", "What first?", "What is it worth, and what moved?", "What should we do now?",
        "What do we know, and how well?", "Could it be another segment?", "How has the profile changed?",
        "Did every page run?",
    ]  # fmt: skip
    assert [html.index(words) for words in order] == sorted(html.index(words) for words in order)
    assert "likely €38 to €51" in html and "n = 431" in html and "the rest 20%" in html
    ordered = [html.index(words) for words in ("likely 30% to 39%", "likely €38 to €51")]
    assert ordered == sorted(ordered)  # as in the table
    assert "02 failed; 2 of 3 pages ran" in html and "Demo company: all data are generated." in html
    assert 'href="wall.html"' in html


def test_state_line_says_who_signed_and_who_did_not():
    words = words_of(render_all())
    assert "Draft. 1 of 2 sign-offs missing: head of marketing" in words and "Profile version 4" in words
    assert "Signed by Ann Roe, head of sales, 2 Oct 2026." in words
    approval = {"approved_by": [{"name": "Bo Li", "role": "head of marketing"}], "approved_at": "2026-10-05"}
    words = words_of(render_all(report_status="published", approval=approval, version=5))
    assert "Published. Signed by Bo Li, head of marketing, 2026-10-05" in words and "Profile version 5" in words
    assert "missing" not in words.partition("What is it worth")[0]
    assert "Draft. Nobody has signed it yet" in words_of(front.render_front(FRONT, HEADLINE, CLAIMS, {}))


def test_what_changed_names_only_what_moved_beyond_noise():
    words = words_of(render_all())
    assert "What changed? Margin per selling day: −€10, worse. 1 other figure did not move beyond noise." in words
    assert "What first? Call the carriers first." in words
    first = words_of(front.render_front(FRONT, HEADLINE.head(2), CLAIMS, PROFILE))
    assert "What changed? First report: no earlier one to compare with." in first and "What first?" not in first


def test_actions_stand_by_team_in_the_order_do_stop_find_out():
    words = words_of(render_all())
    said = ["Sales Do Call the carriers first. All reps", "Stop Stop opening retailers.", "Marketing Find out"]
    assert [words.index(each) for each in said] == sorted(words.index(each) for each in said)
    assert "Head of sales from 5 Oct 01 Segment discovery" in words
    without = words_of(front.render_front(FRONT, HEADLINE, CLAIMS, PROFILE))
    assert "What should we do now?" not in without and "This report proposes no actions yet." in without
    one = words_of(front.render_front(FRONT, HEADLINE, CLAIMS, PROFILE, actions=ACTIONS.head(1)))
    assert "Nothing for marketing this quarter." in one


def test_a_missing_figure_keeps_its_card_and_gives_its_reason():
    html = front.render_front(FRONT, HEADLINE, CLAIMS, PROFILE)
    assert "Not measured" in html and "no deal won yet" in html
    assert not re.search(r"\bnan\b", words_of(html), re.IGNORECASE)


def test_who_is_refused_stands_under_the_answer():
    assert "Not for us: tender-only buyers, in-house fleets." in words_of(render_all())


def test_front_page_is_safe_and_repeatable():
    hostile = {**PROFILE, "name": EVIL, "lead": EVIL, "exclusions": [EVIL]}
    arguments = ({**FRONT, "company": EVIL}, HEADLINE.assign(note=EVIL), CLAIMS, hostile, SEGMENTS, None, HISTORY)
    html = front.render_front(*arguments, ACTIONS, [{**each, "why": EVIL, "changed": [EVIL]} for each in VERSIONS])
    tags = Tags(html)
    kinds = [attrs.get("type") for attrs in tags.find("script")]
    assert kinds == [None, None, None, "application/json"] and not tags.find("img")
    assert not [name for _, attrs in tags.tags for name in attrs if name.startswith("on")]
    again = front.render_front(*arguments, ACTIONS, [{**each, "why": EVIL, "changed": [EVIL]} for each in VERSIONS])
    assert html == again


def test_empty_tables_say_what_is_missing():
    html = front.render_front(FRONT, HEADLINE.iloc[:0], CLAIMS.iloc[:0], {})
    assert "No profile yet." in html and "No figure yet." in html and "No claim yet." in html
    assert "Could it be another segment?" not in html and "How has the profile changed?" not in html
    empty = pd.DataFrame()
    assert front.render_front(FRONT, empty, empty, {}, empty, empty, empty, empty, [], empty) == html


RUNS = [
    {"quarter": "2026-Q1", "status": "published", "headline": "Carriers.", "signed": ["Ann Roe, head of sales"]},
    {"quarter": "2026-Q3", "status": "draft", "headline": EVIL, "as_of": "30 Sep 2026", "version": 4},
    {"quarter": "2026-Q2", "status": "failed", "status_words": "Failed: 03", "headline": "Makers.",
     "last_good": {"quarter": "2026-Q1", "href": "2026-Q1/index.html"}},
    {"quarter": "2025-Q4", "status": "failed", "href": None,
     "attempt": {"status": "failed", "words": "00_data_check failed: accounts.csv is empty.", "at": "3 Jan 2026"}},
]  # fmt: skip


def test_index_lists_failures_first_and_then_the_newest_quarter():
    html = front.render_index(RUNS, "Northlane")
    order = ["2026-Q2/index.html", ">2025-Q4<", "2026-Q3/index.html", ">2026-Q1</a></h2>"]
    assert [html.index(words) for words in order] == sorted(html.index(words) for words in order)
    words = words_of(html)
    assert "2026-Q2, 2025-Q4 failed." in words and "Failed: 03" in words
    assert "Last that ran whole: 2026-Q1" in words and "Signed by Ann Roe, head of sales" in words
    assert "As of 30 Sep 2026 Profile version 4" in words and len(Tags(html).find("script")) == 1


def test_index_shows_a_failed_attempt_with_its_words_and_no_link():
    html = front.render_index(RUNS[3:], "Northlane")
    words = words_of(html)
    assert "The last attempt failed, 3 Jan 2026. 00_data_check failed: accounts.csv is empty." in words
    assert "No report of this quarter" in words and 'href="2025-Q4' not in html
    older = front.render_index([RUNS[1] | {"attempt": RUNS[3]["attempt"]}], "Northlane")
    assert "Below is the report made before it." in older and 'href="2026-Q3/index.html"' in older


def test_index_without_a_quarter_says_what_to_run():
    assert "No report yet." in front.render_index([], "Northlane")


@pytest.fixture
def opened(browser, tmp_path):
    """Open the full front page at a width."""

    def open_at(width: int = WIDTHS["laptop"], address: str = "", html: str | None = None):
        path = tmp_path / "index.html"
        path.write_text(html or render_all(), encoding="utf-8")
        browser.get_log("browser")
        set_screen(browser, width)
        open_page(browser, path.as_uri() + address)
        return browser

    return open_at


@pytest.mark.parametrize("width", [1440, 1000, 780, 390])
def test_front_page_is_no_wider_than_the_screen_and_quiet(opened, width):
    driver = opened(width)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    assert [entry["message"] for entry in driver.get_log("browser")] == []


def test_first_screen_ends_under_the_headline_figures(opened):
    eight = pd.concat([HEADLINE.head(2)] * 4).reset_index(drop=True)
    html = front.render_front(FRONT, eight, CLAIMS, PROFILE, history=HISTORY, versions=VERSIONS)
    driver = opened(1440, html=html)
    bottom = driver.execute_script("return document.querySelector('.cards').getBoundingClientRect().bottom")
    assert bottom <= 900


def test_phone_folds_all_but_confirmed_and_contradicted_and_shows_jump_chips(opened):
    script = """return [[...document.querySelectorAll('#known .group')].map((each) => each.open),
        getComputedStyle(document.querySelector('.jump')).display]"""
    assert opened(390).execute_script(script) == [[True, False, False], "flex"]
    assert opened(1440).execute_script(script) == [[True, True, True], "none"]


def test_a_version_opens_at_a_click_and_closes_the_others(opened):
    driver = opened()
    shown = "return [...document.querySelectorAll('.version-panel:not([hidden])')].map((each) => each.id)"
    assert driver.execute_script(shown) == ["version-1"]  # the published one
    driver.find_element("css selector", '.node[href="#version-2"]').click()
    assert driver.execute_script(shown) == ["version-2"]
    assert driver.execute_script("return location.hash") == ""
