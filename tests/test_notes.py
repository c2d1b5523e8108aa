"""What stands in the margin: five checks with their numbers, remarks, facts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from test_display import Tags

from icp_lib import display, notes, offer
from icp_lib.checks import DataError

CLAIM = {
    "claim": "Carriers are worth more.", "metric": "lift", "estimate": 2.7, "conf_low": 2.2, "conf_high": 3.2, "n": 431,
    "hypotheses": 3914, "estimate_found": 2.9, "p_adjusted": 0.001, "holdout_p_adjusted": 0.0002,
    "explained_by": "nothing", "stability_rate": 0.94, "verdict": "confirmed", "note": None,
}  # fmt: skip
FEW = {**CLAIM, "verdict": "not enough data", "note": "8 won of the 15 needed", "n": 29}


def test_a_confirmed_claim_shows_five_checks_with_their_numbers():
    shown = notes.how_sure(CLAIM)
    for words in (
        "How sure are we? Confirmed. Seen where we looked, and seen again in newer deals we had kept aside. "
        "5 of 5 checks passed.",
        "Times the rest, newer data: 2.7× (2.2 to 3.2)",
        "Beats luck. Chance of luck 0.001; 3,914 groups looked at.",
        "Holds in newer data. 2.7× against 2.9× when found; chance of luck under 0.001.",
        "Stable. Found again in 94% of resamples.",
        "Not a disguise. More than half of it stays",
        "Enough data. n = 431.",
        "Carriers are worth more.",
    ):
        assert words in str(shown)
    tags = Tags(shown.html)
    assert tags.find("span", **{"class": "icp-meter", "aria-label": "5 of 5 checks passed"})
    assert len(tags.find("svg", **{"aria-label": "yes"})) == 5
    assert shown.html.startswith('<aside class="icp-aside sure"')


def test_a_check_without_data_is_not_checked_yet_and_never_passed():
    bare = {"verdict": "untested", "n": 431, "p_adjusted": 0.01}
    assert [check.is_passed for check in notes.list_checks(bare)] == [True, None, None, None, True]
    shown = notes.how_sure(bare)
    assert str(shown).count("Not checked yet.") == 3 and "2 of 5 checks passed, 3 not made yet" in str(shown)
    meter = shown.html[shown.html.index("icp-meter") : shown.html.index("checks passed, 3")]
    assert meter.count("var(--blue") == 2 and "var(--verm" not in meter
    every = notes.list_checks(dict.fromkeys(CLAIM))
    assert [check.is_passed for check in every] == [None] * 5


@pytest.mark.parametrize(
    ("changed", "number", "words"),
    [
        ({"p_adjusted": 0.2, "verdict": "not supported"}, 0, "Chance of luck 0.20; 3,914 groups looked at."),
        ({"holdout_p_adjusted": 0.4, "verdict": "promising"}, 1, "2.7× against 2.9× when found; chance of luck 0.40."),
        ({"holdout_p_adjusted": 0.01, "verdict": "contradicted"}, 1, "chance of luck 0.010."),
        ({"stability_rate": 0.41}, 2, "Found again in 41% of resamples; 80% is called stable, and no verdict"),
        ({"explained_by": "region", "verdict": "explained by"}, 3, "stays once region is compared like with like."),
    ],
)
def test_a_check_that_failed_says_by_how_much(changed, number, words):
    checks = notes.list_checks({**CLAIM, **changed})
    assert [check.is_passed for check in checks].count(False) == 1
    assert checks[number].is_passed is False and words in checks[number].words
    assert 'aria-label="no"' in notes.how_sure({**CLAIM, **changed}).html


def test_a_confirmed_range_that_touches_the_rest_says_so():
    touching = notes.list_checks({**CLAIM, "conf_low": 0.98})[1]
    assert touching.is_passed and "The range touches the rest" in touching.words
    assert "touches" not in notes.list_checks(CLAIM)[1].words
    assert "touches" not in notes.list_checks({**CLAIM, "metric": "margin_per_day", "conf_low": 0.5})[1].words


def test_below_the_minimum_there_is_a_bar_and_no_figure():
    shown = notes.how_sure(FEW)
    assert "2.7" not in str(shown) + shown.html and "n = 29. 8 won of the 15 needed." in str(shown)
    assert Tags(shown.html).find("span", role="img", **{"aria-label": "8 of 15 won"})
    assert [check.is_passed for check in notes.list_checks(FEW)] == [None, None, None, None, False]


def test_the_cause_is_named_in_the_verdict():
    rep = notes.how_sure({**CLAIM, "verdict": "explained by", "explained_by": "the rep"})
    assert "Explained by the rep." in str(rep) and "once the rep is compared like with like" in str(rep)


def test_claims_of_page_01_can_be_shown():
    found = pd.DataFrame(
        {
            "segment_id": ["a"], "segment": ["Carriers"], "lift_found": [1.6], "holdout_joint_low": [np.nan],
            "holdout_joint_high": [np.nan], "holdout_lift": [np.nan], "found_n_opportunities": [431],
            "holdout_n_opportunities": [np.nan], "hypotheses": [90], "p_adjusted": [0.001],
            "holdout_p_adjusted": [np.nan], "explained_by": [""], "verdict": ["untested"], "note": [""],
        }
    )  # fmt: skip
    text = str(notes.how_sure(offer.build_claims(found)))
    assert "Times the rest, where found: 1.6×" in text and "2 of 5 checks passed, 3 not made yet" in text


def test_a_remark_is_filled_from_its_row():
    row = {"found": 47.0, "p": 0.001}
    shown = display.aside(row, "In numbers", "No shuffle reached **{found:margin_per_day}**.", "Luck: {p:p_value}.")
    assert str(shown) == "In numbers\n  No shuffle reached €47.\n  Luck: 0.001."
    assert "<b>€47</b>" in shown.html and Tags(shown.html).find("aside", **{"aria-label": "In numbers"})


def test_facts_keep_their_order():
    shown = display.facts({"n_found": 3106, "n_held": 1843}, {"Found on": "{n_found} deals", "Checked on": "{n_held}"})
    assert str(shown) == "Found on: 3,106 deals\nChecked on: 1,843"
    assert shown.html.count("<dt>") == 2 and shown.html.index("Found on") < shown.html.index("Checked on")


def test_nothing_to_show_says_what_is_missing_and_several_rows_are_refused():
    empty = pd.DataFrame(columns=list(CLAIM))
    for shown in (
        display.how_sure(empty, needs="spend"),
        display.aside(empty, "x", "{n}", needs="spend"),
        display.facts(empty, {"x": "{n}"}, needs="spend"),
    ):
        assert str(shown).startswith("Not measured: needs spend.")
    with pytest.raises(DataError, match=r"how_sure: one row is needed, the frame has 2. Take one: frame.iloc"):
        display.how_sure(pd.DataFrame([CLAIM, CLAIM]))
    with pytest.raises(DataError, match="aside: one row is needed, the frame has 2"):
        display.aside(pd.DataFrame([CLAIM, CLAIM]), "x", "{n}")
