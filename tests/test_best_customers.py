"""What the best pay and get: sums by hand, the flag below two, and who was asked."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from icp_lib import best_customers
from icp_lib.rules import build_levels

LABELLED = pd.DataFrame({
    "account_id": ["a", "b", "c", "d"], "family_id": ["a", "b", "c", "d"], "is_customer": [True, True, True, False],
    "is_best": [True, True, False, False], "value_12": [50.0, 90.0, 10.0, np.nan], "has_churned": [False, True, False,
    False], "first_won_at": pd.Timestamp("2025-01-10"), "industry": ["Mills", None, "Yards", "Mills"],
})  # fmt: skip
MONTHS = pd.date_range("2025-01-01", periods=18, freq="MS")
REVENUE = pd.concat([
    pd.DataFrame({"account_id": "a", "month": MONTHS, "revenue": [10.0] * 12 + [20.0] * 6}),
    pd.DataFrame({"account_id": "b", "month": MONTHS[:3], "revenue": 30.0}),
])  # fmt: skip
SURVEYS = pd.DataFrame({
    "account_id": ["a", "a", "b", "c"], "value_received": [900.0, 200.0, 1080.0, np.nan],
    "answered_at": pd.to_datetime(["2025-05-05", "2025-12-20", "2025-03-03", "2025-03-03"]),
})  # fmt: skip


def received():
    return best_customers.estimate_received(LABELLED, REVENUE, SURVEYS).set_index("account_id")


def test_paid_is_the_year_that_ends_with_the_last_answer():
    table = received()
    assert table.loc["a", ["paid", "value_received"]].tolist() == [120.0, 200.0]  # twelve months to December 2025
    assert table.loc["b", ["paid", "received_ratio"]].tolist() == [360.0, 3.0]  # three months, scaled to a year
    assert table.loc["c"].isna().all() and "d" not in table.index


def test_one_invoice_a_year_is_a_years_price():
    yearly = pd.DataFrame({"account_id": "a", "month": MONTHS[[2, 14]], "revenue": 12_000.0})
    rest = REVENUE[REVENUE["account_id"] == "b"].assign(account_id="c")
    told = SURVEYS[SURVEYS["account_id"] == "a"].tail(1)
    for months, surveys in ((yearly, SURVEYS.head(0)), (yearly.head(1), SURVEYS.head(0)), (yearly, told.assign(
            answered_at=pd.Timestamp("2026-05-05")))):  # fmt: skip
        revenue = pd.concat([months, rest, REVENUE[REVENUE["account_id"] == "a"].assign(account_id="b")])
        table = best_customers.estimate_received(LABELLED, revenue, surveys).set_index("account_id")
        assert table.loc["a", "paid"] == 12_000.0
        assert table.loc["c", "paid"] == 90.0  # paid three months and left: what a year brought
    table = best_customers.estimate_received(LABELLED, yearly, told).set_index("account_id")
    assert np.isnan(table.loc["a", "paid"])  # ten months after one invoice nobody can say


def test_the_ten_best_are_flagged_below_two_and_described_in_words():
    levels = build_levels(LABELLED.assign(part="found"), {"industry": {}})
    table = best_customers.rank_best(LABELLED, received().reset_index(), levels)
    assert table["account_id"].tolist() == ["b", "a"] and table["rank"].tolist() == [1, 2]
    assert table["segment"].tolist() == ["Nothing is known of it", "Mills companies"]
    assert table["is_below_target"].tolist() == [False, True]
    assert table["note"].tolist() == ["", "Below the target for its price"]
    assert table["has_churned"].tolist() == [True, False]
    assert list(best_customers.pick_best(table)) == ["account", "description", "paid", "value_received",
                                                     "received_ratio", "value_12", "has_churned", "note"]  # fmt: skip


def test_how_many_were_asked_stands_beside_what_they_get():
    n = 60
    many = pd.DataFrame({"account_id": [f"x{i}" for i in range(n)], "family_id": [f"x{i}" for i in range(n)],
                         "is_customer": True, "is_best": np.arange(n) < 20})  # fmt: skip
    told = pd.DataFrame(
        {"account_id": many["account_id"], "paid": 100.0, "value_received": 300.0, "received_ratio": 3.0}
    )
    told.loc[told.index % 2 == 1, ["value_received", "received_ratio"]] = np.nan
    table = best_customers.estimate_measured(many, told).set_index("group")
    assert table.loc["All customers", ["n", "n_measured", "measured_rate", "received_ratio"]].tolist() == [
        60,
        30,
        0.5,
        3,
    ]
    assert table.loc["All customers", "below_target_rate"] == 0.0
    best = table.loc["Best customers"]
    assert np.isnan(best["received_ratio"]) and best["note"] == "10 answers of the 15 needed"


def test_without_surveys_or_revenue_there_is_a_table_without_rows():
    table = best_customers.estimate_received(LABELLED, REVENUE, SURVEYS.head(0))
    assert table["received_ratio"].isna().all() and table.set_index("account_id").loc["a", "paid"] == pytest.approx(
        180.0
    )
    empty = best_customers.estimate_measured(LABELLED, table)
    assert empty.empty and list(empty) == best_customers.MEASURED_COLUMNS
    assert best_customers.estimate_received(LABELLED, REVENUE.head(0), SURVEYS)["paid"].isna().all()
