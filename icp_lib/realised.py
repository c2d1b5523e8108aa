"""What customers brought in their first year, against what was signed."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd

from icp_lib import draws, stats
from icp_lib.moments import months_ago, months_before
from icp_lib.rules import Segment
from icp_lib.space import Space


def estimate_realised(
    space: Space, segments: pd.DataFrame, revenue: pd.DataFrame, cutoff: datetime, gross_margin_rate: float = 1.0
) -> pd.DataFrame:
    """What customers brought in their first twelve months, against what was signed: `segment_realised`.

    Customers won between 24 and 12 months before as-of. Realised is their gross margin (revenue times the default rate
    where no margin is given) in the month of the win and the eleven after it; signed is the first-year margin of the
    deals won in that time.

    Returns
    -------
    DataFrame
        segment, n (customers), realised_rate (realised / signed) with the range of 1,000 shared draws, note; every
        offered segment, then all customers. No rows without revenue, or where the measure is not a margin.
    """
    columns = ["segment", "n", "realised_rate", "realised_rate_low", "realised_rate_high", "note"]
    units = space.frames.per_deal
    won_at = units["created_at"] + pd.to_timedelta(units["days"], unit="D")
    first = won_at.groupby(units["account_id"]).min()
    end = pd.Timestamp(cutoff)
    first = first[(first > end - pd.DateOffset(months=24)) & (first <= end - pd.DateOffset(months=12))]
    if revenue.empty or first.empty or not space.frames.measure.startswith("margin"):
        return pd.DataFrame(columns=columns)
    paid = revenue[revenue["account_id"].isin(first.index)]
    start = paid["account_id"].map(first)
    months = months_before(start, cutoff) - months_ago(paid["month"], cutoff)
    margin = paid["gross_margin"].fillna(paid["revenue"] * gross_margin_rate).where(months.between(0, 11), 0.0)
    signed = units[won_at.notna() & (won_at <= units["account_id"].map(first) + pd.DateOffset(months=12))]
    table = pd.DataFrame({
        "realised": margin.groupby(paid["account_id"]).sum().reindex(first.index).fillna(0.0),
        "signed": signed.groupby("account_id")["m"].sum().reindex(first.index),
    })  # fmt: skip
    return pd.DataFrame(_realised_rows(space, segments, table), columns=columns)


def _realised_rows(space: Space, segments: pd.DataFrame, table: pd.DataFrame) -> list[list]:
    """One row a segment, then all customers."""
    known = space.accounts.set_index("account_id").loc[table.index]
    weights = np.column_stack([np.ones(len(table)), draws.draw_weights(known["family_id"]).astype(float)])
    named = segments[["segment", "conditions"]].to_numpy()
    masks = [(name, Segment.from_json(rules).mask(known)) for name, rules in named]
    rows = []
    for name, mask in [*masks, ("All customers", np.ones(len(table), bool))]:
        got, signed = (table[column].to_numpy() * mask @ weights for column in ("realised", "signed"))
        with np.errstate(invalid="ignore", divide="ignore"):
            rate = got / signed
        n = int(mask.sum())
        is_few = n < stats.MIN_WON
        low, high = (np.nan, np.nan) if is_few else np.nanquantile(rate[1:], [0.025, 0.975])
        note = f"{n} customers of the {stats.MIN_WON} needed" if is_few else ""
        rows.append([name, n, np.nan if is_few else rate[0], low, high, note])
    return rows
