"""What customers brought against what they signed, on three kinds of customer that can be added up by hand."""

from __future__ import annotations

import companies
import numpy as np
import pandas as pd
import pytest

from icp_lib import draws, realised
from icp_lib.rules import Segment

COLUMNS = ["segment", "n", "realised_rate", "realised_rate_low", "realised_rate_high", "note"]
CUTOFF = companies.CUTOFF
SEGMENT = Segment.of({"attribute": "industry", "op": "is", "value": "Freight"})
SEGMENTS = pd.DataFrame([SEGMENT.describe()])


def deal(account_id: str, won_at: str, amount: float, status: str = "won") -> dict:
    """One deal, 30 days from opened to closed."""
    days_ago = (CUTOFF - pd.Timestamp(won_at)).days + 30
    return {"account_id": account_id, "days_ago": days_ago, "days": 30, "status": status, "amount": amount}


def months(account_id: str, start: str, n: int, revenue: float, margin: float = np.nan) -> pd.DataFrame:
    when = pd.date_range(start, periods=n, freq="MS")
    return pd.DataFrame({"account_id": account_id, "month": when, "revenue": revenue, "gross_margin": margin})


#: Signed 1,200, 600 + 600 and 1,000; realised 12 x 100, 9 x 100 and nothing: 2,100 of 3,400.
def build_customers(copies: int) -> tuple[companies.Frames, pd.DataFrame]:
    deals, paid = [], []
    for copy in range(copies):
        steady, growing, silent = (f"{name}{copy}" for name in ("steady", "growing", "silent"))
        deals += [
            deal(steady, "2025-03-10", 1200.0),
            deal(steady, "2026-04-10", 9000.0),  # more than a year after the first
            deal(growing, "2025-03-10", 600.0),
            deal(growing, "2025-09-10", 600.0),
            deal(silent, "2025-03-10", 1000.0),
            deal(silent, "2025-04-10", 5000.0, "lost"),
        ]
        paid += [
            months(steady, "2025-02-01", 1, 7000.0),  # before the win
            months(steady, "2025-03-01", 14, 200.0),  # no margin: half of the revenue; two months too many
            months(growing, "2025-06-01", 9, 500.0, 100.0),
        ]
    deals += [deal("early", "2024-09-30", 1e6), deal("late", "2025-10-02", 1e6)]
    deals += [deal("lost", "2025-03-10", 1e6, "lost")]
    paid += [months(name, "2025-01-01", 12, 1e6) for name in ("early", "late", "lost")]
    deals = pd.DataFrame(deals)
    ids = deals["account_id"].unique()
    industry = np.where(pd.Series(ids).str.startswith(("steady", "growing")), "Freight", "Retail")
    return companies.build_frames({"account_id": ids, "industry": industry}, deals), pd.concat(paid, ignore_index=True)


def estimate(copies: int, segments=SEGMENTS, paid=None, **options) -> pd.DataFrame:
    frames, revenue = build_customers(copies)
    here = companies.build_space(frames, ["industry"], **options)
    return realised.estimate_realised(here, segments, revenue if paid is None else paid, CUTOFF, gross_margin_rate=0.5)


def test_the_rate_is_what_can_be_added_up_by_hand():
    table = estimate(8)
    assert table.columns.tolist() == COLUMNS
    assert table["segment"].tolist() == ["Freight companies", "All customers"]
    assert table["n"].tolist() == [16, 24] and (table["note"] == "").all()
    assert table["realised_rate"].tolist() == pytest.approx([2100 / 2400, 2100 / 3400], rel=1e-12)


def test_the_range_is_that_of_the_shared_draws():
    row = estimate(8).iloc[1]
    kinds = [("growing", 900, 1200), ("silent", 0, 1000), ("steady", 1200, 1200)]
    table = pd.DataFrame([(f"{name}{copy}", *sums) for name, *sums in kinds for copy in range(8)])
    weights = draws.draw_weights(table[0]).astype(float)
    rates = (table[1].to_numpy() @ weights) / (table[2].to_numpy() @ weights)
    assert [row["realised_rate_low"], row["realised_rate_high"]] == pytest.approx(np.quantile(rates, [0.025, 0.975]))
    assert row["realised_rate_low"] < row["realised_rate"] < row["realised_rate_high"]


def test_three_customers_are_too_few_for_a_figure():
    table = estimate(1)
    assert table["n"].tolist() == [2, 3]
    assert table["note"].tolist() == ["2 customers of the 15 needed", "3 customers of the 15 needed"]
    assert table[["realised_rate", "realised_rate_low", "realised_rate_high"]].isna().all(axis=None)


def test_customers_won_outside_of_the_year_do_not_count():
    """A win two years and a day ago, and one less than a year ago, would each bring a million."""
    assert estimate(8)["realised_rate"].max() < 1


def test_the_default_margin_is_that_of_the_company():
    frames, revenue = build_customers(8)
    here = companies.build_space(frames, ["industry"])
    whole = realised.estimate_realised(here, SEGMENTS, revenue, CUTOFF)
    assert whole["realised_rate"].iloc[1] == pytest.approx((2400 + 900) / 3400)


def test_without_revenue_customers_or_a_margin_there_are_no_rows():
    revenue = build_customers(8)[1]
    for table in (estimate(8, paid=revenue.iloc[:0]), estimate(8, measure="win_rate"), estimate(0)):
        assert table.empty and table.columns.tolist() == COLUMNS
    assert estimate(8, SEGMENTS.iloc[:0])["segment"].tolist() == ["All customers"]
