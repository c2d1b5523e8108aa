"""The customers: when each was won, went live and left; and which segments an account belongs to."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd

from icp_lib.moments import first_day, months_ago, to_utc
from icp_lib.rules import Segment
from icp_lib.value import CHURN_MONTHS

COLUMNS = ["account_id", "family_id", "won_at", "live_at", "churned_at", "followed_until"]


def build_customers(
    accounts: pd.DataFrame, opportunities: pd.DataFrame, revenue: pd.DataFrame, cutoff: datetime
) -> pd.DataFrame:
    """Return one row a customer: an account with a won relevant opportunity.

    Parameters
    ----------
    accounts : DataFrame
        The account table (`account_id`, `family_id`); an opportunity of another account is not counted.
    opportunities : DataFrame
        Cut at the quarter's end, with `is_relevant`.
    revenue : DataFrame
        account_id, month, revenue; may have no rows.
    cutoff : datetime
        The first moment after as-of, naive UTC.

    Returns
    -------
    DataFrame
        account_id, family_id; won_at, the close of the first won relevant opportunity; live_at, the first month with
        revenue, else won_at; churned_at, the first month of three without revenue after one with some (NaT where there
        is none); followed_until, the last month in which leaving can have been seen, three months before as-of. Sorted
        by account_id.

    Examples
    --------
    >>> accounts = pd.DataFrame({"account_id": ["A"], "family_id": ["A"]})
    >>> deals = pd.DataFrame({"account_id": ["A"], "is_relevant": [True], "status": ["won"],
    ...                       "closed_at": [pd.Timestamp("2026-01-20")]})
    >>> paid = pd.DataFrame({"account_id": ["A"], "month": [pd.Timestamp("2026-02-01")], "revenue": [90.0]})
    >>> found = build_customers(accounts, deals, paid, datetime(2026, 7, 1))
    >>> [str(found[name][0].date()) for name in ("live_at", "churned_at", "followed_until")]
    ['2026-02-01', '2026-03-01', '2026-04-01']
    """
    won = opportunities[opportunities["is_relevant"] & (opportunities["status"] == "won")]
    won_at = won.groupby("account_id")["closed_at"].min().rename("won_at")
    table = accounts[["account_id", "family_id"]].merge(won_at, on="account_id").dropna(subset="won_at")
    table = table.sort_values("account_id", ignore_index=True)
    end = first_day(cutoff)
    live, churned = _live_and_churned(table["account_id"], revenue, cutoff)
    table["live_at"] = to_utc(_first_days(live, end), cutoff).where(live.notna(), table["won_at"])
    table["churned_at"] = to_utc(_first_days(churned, end), cutoff)
    followed = pd.Series(end - pd.DateOffset(months=CHURN_MONTHS), table.index, dtype="datetime64[us]")
    return table.assign(followed_until=to_utc(followed, cutoff))[COLUMNS]


def _live_and_churned(account_id: pd.Series, revenue: pd.DataFrame, cutoff: datetime) -> tuple[pd.Series, pd.Series]:
    """Months back from as-of (1 is the last month) of the first revenue and of the first of three months without."""
    paid = revenue[(revenue["revenue"] > 0) & (pd.Index(account_id).get_indexer(revenue["account_id"]) >= 0)]
    ago = months_ago(paid["month"], cutoff) if len(paid) else pd.Series([], dtype=float)
    months = pd.DataFrame({"account_id": paid["account_id"], "ago": ago}).drop_duplicates()
    months = months.sort_values(["account_id", "ago"], ascending=[True, False], ignore_index=True)
    after = months.groupby("account_id")["ago"].shift(-1).fillna(0)
    left = months[months["ago"] - after > CHURN_MONTHS]
    first = months.groupby("account_id")["ago"].first()
    gone = left.groupby("account_id")["ago"].first() - 1
    return account_id.map(first), account_id.map(gone)


def _first_days(ago: pd.Series, end: pd.Timestamp) -> pd.Series:
    """First days of the months so many months back from as-of; NaN is NaT."""
    months = np.datetime64(end, "M") - ago.to_numpy(float).astype("timedelta64[M]")
    return pd.Series(months.astype("datetime64[us]"), index=ago.index)


def mark_segments(accounts: pd.DataFrame, segments: pd.DataFrame) -> np.ndarray:
    """Return which account belongs to which segment.

    Parameters
    ----------
    accounts : DataFrame, shape (n_accounts, ...)
    segments : DataFrame, shape (n_segments, ...)
        With `conditions`, as in the table `segments`.

    Returns
    -------
    array of bool, shape (n_accounts, n_segments)
    """
    masks = [Segment.from_json(rules).mask(accounts) for rules in segments.get("conditions", [])]
    return np.column_stack(masks) if masks else np.zeros((len(accounts), 0), bool)
