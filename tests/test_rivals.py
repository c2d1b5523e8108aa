"""Rival definitions and cohorts on the company of twelve accounts, by arithmetic that is written out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import twelve
from test_efficiency import DAYS, EVERY, W2, W3, build, by_month, salaries

from icp_lib import costs, lags, rivals

LAGGED = 450 * 5 + 450 * (W2 + W3) + 900 * W2
CARE = (330 + 220 + 440 + 330 + 880) / 5 + (20 * 4 + 50) / 5


@pytest.fixture
def ledger(monkeypatch):
    monkeypatch.setattr(lags, "MIN_AT_RISK", 3)
    return build(rules=("direct",)).ledger


def compare(ledger, *paid_channels: str) -> pd.DataFrame:
    made = costs.build_costs(ledger, *rivals.group_payers(ledger, paid_channels))
    return rivals.compare_definitions(made, paid_channels).set_index("definition")


def test_every_definition_by_hand(ledger):
    table = compare(ledger, "Search")
    paid = salaries(DAYS)
    # leads of Search: three of four of the first quarter were won, the one of the second, not the one of the third;
    # of Fair two of three of the first quarter
    won_media = 225 * 3 * 3 / 4 + 225 * 3 * 2 / 3 + 225 * (2 + W2 + W3)
    won_pay = (1000 * by_month(["A1", "A2", "A3", "A4", "B1", "B2"]) / EVERY).sum()
    assert table["estimate"].to_dict() == pytest.approx({
        "Ours: fully loaded, lag by category": (LAGGED + paid) / 6 + CARE,
        "Ours, without support until live": (LAGGED + paid) / 6 + 440,
        "Sales and marketing only": (LAGGED + paid) / 6,
        "Same-quarter spend": (5400 + 9000 + 2200 + 130) / 6,
        "Everything moved by the lead's lag": table["estimate"].iloc[4],  # by hand in test_efficiency
        "Blended": (5400 + 9000 + 2250 + 2200 + 130) / 6,
        "Marketing only": 5400 / 6,
        "Deals won only": (won_media + won_pay) / 6 + CARE,
        "Paid only": 2700 / 4,
        "Paid only, with the lag": LAGGED / 2 / 4,
    })  # fmt: skip
    assert table["n"].tolist() == [6] * 8 + [4] * 2
    ours = table["estimate"].iloc[0]
    assert table["difference_rate"].tolist() == pytest.approx((table["estimate"] / ours - 1).tolist())


def test_without_paid_channels_what_rests_on_them_is_missing_and_says_so(ledger):
    table = compare(ledger)
    lost = table[table.index.str.startswith("Paid")]
    assert lost[["estimate", "conf_low", "conf_high"]].isna().all(axis=None)
    assert set(lost["note"]) == {"needs paid_channels in icp.yml, named as the channels in spend"}
    assert table["estimate"].notna().sum() == 8


def test_cohorts_by_hand(ledger):
    table = rivals.estimate_cohorts(ledger, ["2026-Q3", "2026-Q2", "2026-Q1"]).set_index("cohort")
    # first quarter: all days of A1, A2, A3, A5, B1, B2, B3, won or lost
    days = by_month(["A1", "A2", "A3", "A5", "B1", "B2", "B3"])
    care = (330 + 220 + 440 + 880) / 4 + (20 * 3 + 50) / 4
    assert table.loc["2026-Q1", "estimate"] == pytest.approx((1350 + (1000 * days / EVERY).sum()) / 5 + care)
    assert table["n"].tolist() == [0, 1, 5]
    # by the lag curve nothing is won before the second month after the lead's
    assert table["maturity_rate"].tolist() == pytest.approx([W2 / 3, (W2 + W3 + 1 + 1) / 3, 1])
    assert table["is_mature"].tolist() == [False, False, True]
    assert table.loc["2026-Q2", "note"].startswith("too young: 88% of its wins should be in")
    assert np.isnan(table.loc["2026-Q3", "estimate"])


def test_a_cohort_that_rounds_to_what_is_mature_is_said_to_be_just_under_it(ledger, monkeypatch):
    monkeypatch.setattr(rivals, "MATURE", 0.16)  # the youngest one's is 15.6 %
    table = rivals.estimate_cohorts(ledger, ["2026-Q3", "2026-Q2", "2026-Q1"])
    assert table["note"].iloc[0].startswith("too young: just under 16% of its wins")


def test_a_cohort_of_which_nobody_is_live_has_no_cost_rather_than_one_without_onboarding(ledger):
    waiting = ledger._replace(customers=ledger.customers.assign(is_live=ledger.customers["ago"] > 4))
    table = rivals.estimate_cohorts(waiting, ["2026-Q3", "2026-Q2", "2026-Q1"]).set_index("cohort")
    assert table.loc["2026-Q2", "n"] == 1 and table.loc["2026-Q2", ["estimate", "conf_low", "conf_high"]].isna().all()
    assert table.loc["2026-Q2", "note"].endswith("None is live yet, so onboarding is not known")
    assert table.loc["2026-Q1", "estimate"] > 0


def test_without_spend_there_are_no_rows():
    nothing = build(spend=twelve.build_spend().head(0), rules=("direct",)).ledger
    assert rivals.estimate_cohorts(nothing, ["2026-Q3"]).empty and compare(nothing, "Search").empty
