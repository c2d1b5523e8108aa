"""The value measure: what each opportunity brought, against what its creation quarter would expect."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd

from icp_lib.checks import DataError, check_in
from icp_lib.schemas import METRICS

WINDOW_DAYS = 365
MIN_WON_PER_QUARTER = 20
MEASURES = ("margin_per_day", "margin_per_opportunity", "win_rate", "retention")
CHURN_MONTHS, RETENTION_MONTH, FOLLOWED_MONTHS = 3, 12, 15


def choose_measure(opportunities: pd.DataFrame, measure: str, gross_margin_rate: float = 1.0) -> pd.DataFrame:
    """Return one row: the value measure that this extract allows, the one declared, and what a reader must know of it.

    Columns: measure, declared, note.
    """
    check_in(measure, MEASURES, "measure")
    used, notes = measure, []
    if measure.startswith("margin"):
        has = opportunities[["amount", "gross_margin", "gross_margin_rate", "term_months"]].notna().any()
        if not has["amount"] and not has["gross_margin"]:
            used = "win_rate"
            notes.append("No opportunity has an amount, so the value measure is the win rate.")
        elif not has["gross_margin"] and not has["gross_margin_rate"]:
            rate = f", so {gross_margin_rate:.0%} of the amount stands for it." if gross_margin_rate < 1 else "."
            notes.append("Revenue, not margin: no gross margin is given" + rate)
        if used == measure and not has["term_months"]:
            notes.append("No contract term is given, so 12 months are assumed.")
    words = f"The value measure is {METRICS[used].name.lower() if used in METRICS else used}."
    note = " ".join(notes if used != measure else [words, *notes])
    return pd.DataFrame({"measure": [used], "declared": [measure], "note": [note]})


def build_units(
    opportunities: pd.DataFrame,
    accounts: pd.DataFrame,
    *,
    cutoff: datetime,
    measure: str = "margin_per_day",
    gross_margin_rate: float = 1.0,
    revenue: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return what each unit got and what its creation quarter would expect: the ground of every comparison.

    For opportunity i created in quarter q: m is the contracted first-year gross margin if won within 365 days of
    creation and by as-of, else 0; d the days to close, to as-of or to day 365, whichever is first (for the other
    measures d is 1); v_q = sum(m) / sum(d) over all opportunities of q, neighbouring quarters merged until 20 are won;
    e = v_q d. Comparing like quarters removes censoring: recent quarters count for what they can have brought by now.

    Parameters
    ----------
    opportunities : DataFrame
        Cut at the quarter's end, with `is_relevant`.
    accounts : DataFrame
        The account table (`account_id`, `family_id`).
    cutoff : datetime
        The first moment after as-of, naive UTC.
    measure : {'margin_per_day', 'margin_per_opportunity', 'win_rate', 'retention'}
    gross_margin_rate : float
        Used where neither `gross_margin` nor `gross_margin_rate` is given.
    revenue : DataFrame, optional
        For retention.

    Returns
    -------
    DataFrame
        account_id, family_id, created_at, quarter (integer), m, d, e, is_won (within 365 days), days (to that win, else
        NaN), is_mature (created at least 365 days before as-of), is_open; sorted by account_id, created_at.
    """
    check_in(measure, MEASURES, "measure")
    if measure == "retention":
        units = _retention_units(opportunities, revenue, cutoff)
    else:
        units = _opportunity_units(opportunities, cutoff, measure, gross_margin_rate)
    units = units.merge(accounts[["account_id", "family_id"]], on="account_id")
    units = units.sort_values(["account_id", "created_at", "m", "d"], kind="stable", ignore_index=True)
    units["quarter"] = units["created_at"].dt.year * 4 + units["created_at"].dt.quarter - 1
    units["e"] = expected(
        units["m"].to_numpy(), units["d"].to_numpy(), units["quarter"].to_numpy(), units["is_won"].to_numpy()
    )
    return units


def _opportunity_units(opportunities, cutoff, measure, gross_margin_rate) -> pd.DataFrame:
    table = opportunities[opportunities["is_relevant"]]
    closed = (table["closed_at"] - table["created_at"]).dt.total_seconds() / 86400
    so_far = (pd.Timestamp(cutoff) - table["created_at"]).dt.total_seconds() / 86400
    is_won = (table["status"] == "won") & (closed <= WINDOW_DAYS)
    rate = table["gross_margin_rate"].fillna(gross_margin_rate)
    margin = table["gross_margin"].fillna(table["amount"] * rate) * 12 / table["term_months"].fillna(12)
    value = margin.fillna(0.0) if measure.startswith("margin") else 1.0
    days = closed.fillna(so_far).clip(0, WINDOW_DAYS)
    return pd.DataFrame(
        {
            "account_id": table["account_id"],
            "created_at": table["created_at"],
            "m": np.where(is_won, value, 0.0),
            "d": days if measure == "margin_per_day" else 1.0,
            "is_won": is_won,
            "days": closed.clip(lower=0).where(is_won),
            "is_mature": so_far >= WINDOW_DAYS,
            "is_open": table["status"] == "open",
        }
    )


def _retention_units(opportunities, revenue, cutoff) -> pd.DataFrame:
    """Customers won at least 15 months before as-of, by quarter of win; m = 1 if not churned at month 12."""
    if revenue is None or revenue.empty:
        raise DataError(
            "retention: needs revenue (account_id, month, revenue). Add it, or set measure: margin_per_day in icp.yml."
        )
    won = opportunities[opportunities["is_relevant"] & (opportunities["status"] == "won")]
    live = won.groupby("account_id")["closed_at"].min()
    paid = revenue[revenue["revenue"] > 0].groupby("account_id")["month"]
    live = paid.min().reindex(live.index).fillna(live)
    live = live[live + pd.DateOffset(months=FOLLOWED_MONTHS) <= pd.Timestamp(cutoff)]
    by = (live + pd.DateOffset(months=RETENTION_MONTH)).dt.to_period("M")
    months = revenue.loc[revenue["revenue"] > 0, ["account_id", "month"]].assign(
        at=lambda rows: rows["month"].dt.to_period("M")
    )
    months = months.merge(by.rename("by"), left_on="account_id", right_index=True)
    near = (months["at"] > months["by"] - 1) & (months["at"] < months["by"] + CHURN_MONTHS)
    kept = live.index.isin(months.loc[near, "account_id"])
    return pd.DataFrame(
        {
            "account_id": live.index,
            "created_at": live.to_numpy(),
            "m": kept.astype(float),
            "d": 1.0,
            "is_won": kept,
            "days": np.nan,
            "is_mature": True,
            "is_open": False,
        }
    )


def expected(m, d, quarter, is_won) -> np.ndarray:
    """Return e = v_q d, with v_q = sum(m) / sum(d) of the creation quarter, neighbours merged until 20 are won.

    Parameters
    ----------
    m, d : array of float, shape (n,)
    quarter : array of int, shape (n,)
    is_won : array of bool, shape (n,)

    Examples
    --------
    >>> expected(np.array([4.0, 0.0]), np.array([1.0, 3.0]), np.array([1, 1]), np.array([True, False]))
    array([1., 3.])
    """
    quarters, code = np.unique(quarter, return_inverse=True)
    won = np.bincount(code, weights=is_won, minlength=len(quarters))
    block, blocks, have = np.zeros(len(quarters), int), 0, 0.0
    for i, here in enumerate(won):
        block[i], have = blocks, have + here
        if have >= MIN_WON_PER_QUARTER:
            blocks, have = blocks + 1, 0.0
    if blocks and have < MIN_WON_PER_QUARTER:
        block[block == blocks] = blocks - 1
    code = block[code]
    got, days = np.bincount(code, weights=m), np.bincount(code, weights=d)
    rate = np.divide(got, days, out=np.zeros_like(got), where=days > 0)
    return rate[code] * d
