"""The front page and the index of quarters, from tables that may be empty."""

from __future__ import annotations

import numpy as np
import pandas as pd
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
    "lead": "They earn €45 for each selling day.",
}
FRONT = {**CONTEXT, "name": "index"}


def test_front_page_answers_in_order():
    html = front.render_front(FRONT, HEADLINE, CLAIMS, PROFILE)
    assert "<h1>Road-freight carriers with 5 to 20 employees.</h1>" in html
    order = ["How sure?", "What is it worth?", "What do we know, and how well?", "Did every page run?"]
    assert [html.index(words) for words in order] == sorted(html.index(words) for words in order)
    assert "likely €38 to €51" in html and "n = 431" in html and "the rest 20%" in html
    ordered = [html.index(words) for words in ("likely 30% to 39%", "likely €38 to €51")]
    assert ordered == sorted(ordered)  # as in the table
    assert "2 of 3 pages ran; 02 failed" in html and "Demo company: all data are generated." in html


def test_a_missing_figure_keeps_its_card_and_gives_its_reason():
    html = front.render_front(FRONT, HEADLINE, CLAIMS, PROFILE)
    assert "Not measured" in html and "no deal won yet" in html and "nan" not in html.lower().replace("finance", "")


def test_claims_stand_under_their_verdict_without_numbers_where_too_few():
    html = front.render_front(FRONT, HEADLINE, CLAIMS, PROFILE)
    assert html.index("Carriers are worth more.") < html.index("New carriers.")
    assert "9.9" not in html and "8 of 15 won" in html and "2.7× (2.2 to 3.2)" in html
    assert 'href="01_segment_discovery.html"' in html


def test_front_page_is_safe_and_repeatable():
    hostile = {**PROFILE, "name": EVIL, "lead": EVIL}
    html = front.render_front({**FRONT, "company": EVIL}, HEADLINE.assign(note=EVIL), CLAIMS, hostile)
    tags = Tags(html)
    assert len(tags.find("script")) == 1 and not tags.find("img")
    assert not [name for _, attrs in tags.tags for name in attrs if name.startswith("on")]
    assert html == front.render_front({**FRONT, "company": EVIL}, HEADLINE.assign(note=EVIL), CLAIMS, hostile)


def test_empty_tables_say_what_is_missing():
    html = front.render_front(FRONT, HEADLINE.iloc[:0], CLAIMS.iloc[:0], {})
    assert "No profile yet." in html and "No figure yet." in html and "No claim yet." in html
    assert front.render_front(FRONT, pd.DataFrame(), pd.DataFrame(), {}) == html


def test_index_lists_the_newest_quarter_first():
    runs = [
        {"quarter": "2026-Q2", "status": "ok", "status_words": "Published", "headline": "Carriers."},
        {"quarter": "2026-Q3", "status": "warnings", "headline": EVIL, "as_of": "30 Sep 2026"},
    ]
    html = front.render_index(runs, "Northlane")
    assert html.index("2026-Q3/index.html") < html.index("2026-Q2/index.html")
    assert len(Tags(html).find("script")) == 1 and "As of 30 Sep 2026" in html
    assert "No report yet." in front.render_index([], "Northlane")
