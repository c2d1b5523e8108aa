"""Customers on cases written out by hand: won, live, left, came back, not followed long enough."""

from __future__ import annotations

import numpy as np
import pandas as pd

from icp_lib import customers
from icp_lib.moments import to_local
from icp_lib.rules import Segment

CUTOFF = pd.Timestamp("2026-09-30 22:00")  # midnight in Berlin


def deal(account_id: str, closed_at: str | None, status: str = "won", is_relevant: bool = True) -> dict:
    return {"account_id": account_id, "closed_at": pd.Timestamp(closed_at), "status": status,
            "is_relevant": is_relevant}  # fmt: skip


def paid(account_id: str, *months: str) -> pd.DataFrame:
    return pd.DataFrame({"account_id": account_id, "month": pd.to_datetime(list(months)), "revenue": 10.0})


def build(deals: list[dict], *revenue: pd.DataFrame) -> pd.DataFrame:
    accounts = pd.DataFrame({"account_id": [*"ABCD"], "family_id": [*"ABCC"]})
    frame = pd.concat(revenue) if revenue else paid("A")
    return customers.build_customers(accounts, pd.DataFrame(deals), frame, CUTOFF).set_index("account_id")


def days(moments: pd.Series) -> list[str]:
    """Days on the clock of Berlin."""
    return to_local(moments, CUTOFF).dt.strftime("%Y-%m-%d").fillna("never").tolist()


def test_the_first_relevant_win_makes_the_customer():
    found = build([deal("A", "2026-03-05"), deal("A", "2026-01-05"), deal("A", "2025-01-05", is_relevant=False),
                   deal("B", "2026-02-01", "lost"), deal("Z", "2026-02-01")])  # fmt: skip
    assert found.index.tolist() == ["A"]
    assert found["won_at"].tolist() == [pd.Timestamp("2026-01-05")]
    assert found["live_at"].tolist() == [pd.Timestamp("2026-01-05")] and found["churned_at"].isna().all()
    assert days(found["followed_until"]) == ["2026-07-01"]


def test_three_months_without_revenue_are_leaving_two_are_a_pause():
    deals = [deal("A", "2025-12-20"), deal("B", "2025-12-20"), deal("C", "2025-12-20"), deal("D", "2025-12-20")]
    found = build(
        deals,
        paid("A", "2026-01-01", "2026-02-01", "2026-05-01", "2026-06-01"),  # July, August, September without
        paid("B", "2026-01-01", "2026-05-01", "2026-09-01"),  # February to April without: left, and came back
        paid("C", "2026-03-01", "2026-06-01", "2026-07-01"),  # two months so far
        paid("D", "2026-01-01", "2026-04-01", "2026-07-01", "2026-09-01").assign(revenue=[10.0, 0.0, 10.0, 10.0]),
    )
    assert days(found["live_at"]) == ["2026-01-01", "2026-01-01", "2026-03-01", "2026-01-01"]
    assert days(found["churned_at"]) == ["2026-07-01", "2026-02-01", "never", "2026-02-01"]


def test_without_revenue_or_customers_the_columns_stay():
    none = build([deal("A", None, "open")])
    assert none.reset_index().columns.tolist() == customers.COLUMNS and not len(none)


def test_segments_are_marked_as_their_rules_say():
    accounts = pd.DataFrame({"account_id": [*"ABC"], "industry": ["Freight", "Food", None], "employees": [5, 50, 9]})
    segments = [Segment.of({"attribute": "industry", "op": "is", "value": "Freight"}),
                Segment.of({"attribute": "employees", "op": "between", "value": [None, 10]})]  # fmt: skip
    frame = pd.DataFrame([each.describe() for each in segments])
    assert customers.mark_segments(accounts, frame).tolist() == [[True, True], [False, False], [False, True]]
    assert customers.mark_segments(accounts, frame.head(0)).shape == (3, 0)
    assert customers.mark_segments(accounts, pd.DataFrame()).shape == (3, 0)


def test_rows_in_another_order_change_nothing():
    rng = np.random.default_rng(5)
    months = pd.concat([paid(a, *pd.date_range("2025-06-01", periods=9, freq="MS").astype(str)) for a in "ABCD"])
    months = months[rng.random(len(months)) < 0.6]
    deals = [deal(account, "2025-05-20") for account in "ABCD"]
    one, other = build(deals, months), build(deals[::-1], months.sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(one, other)
