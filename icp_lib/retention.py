"""Who stays: net and gross revenue retention, churn, and who is kept for a year (notebook 03)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from icp_lib import stats
from icp_lib.intervals import estimate_rare
from icp_lib.months import MIN_CUSTOMERS, YEAR, Months, build_row, build_rows, code_families
from icp_lib.value import CHURN_MONTHS, FOLLOWED_MONTHS, RETENTION_MONTH

QUARTER = 3
TOO_YOUNG = "No customer has been live for thirteen months yet."
PERIODS = ["period", "metric", "estimate", "conf_low", "conf_high", "n", "n_events", "note"]
COHORTS = ["cohort", "nrr", "nrr_low", "nrr_high", "n", "n_left", "note"]
NAMES = {"nrr": "NRR", "grr": "GRR", "logo_churn_rate": "Logo churn", "retention_12": "Kept twelve months"}


def estimate_retention(
    months: Months, keys: pd.DataFrame, members: np.ndarray, conf_level: float = 0.95
) -> pd.DataFrame:
    """Return who stays, for every key over a year: the second part of `unit_economics`.

    nrr, grr: revenue of the last month before as-of over that of the same customers twelve months earlier; for GRR no
    customer counts for more than then, so it is never above 1. logo_churn_rate: customers of fifteen months ago who had
    left within a year (leaving takes three months to be seen). retention_12: not churned at month 12 after going live,
    among those followed for fifteen months; a customer who never brought revenue was not kept.

    Parameters
    ----------
    months : Months
    keys, members
        `months.mark_customers`.

    Returns
    -------
    DataFrame
        `months.COLUMNS`; no rows where there is no revenue.
    """
    if not months.revenue.shape[1]:
        return build_rows([], keys, conf_level)
    return build_rows([_revenue_rows(months, inside, conf_level) for inside in members.T], keys, conf_level)


def _revenue_rows(months: Months, inside: np.ndarray, conf_level: float) -> list[dict]:
    """NRR and GRR of a year, churn of the last year in which leaving can be seen, and who is kept at month 12."""
    rows = _net_gross(months, inside, months.last - YEAR, months.last, conf_level)
    rows.append(_churn(months, inside, months.last - CHURN_MONTHS - YEAR, months.last - CHURN_MONTHS, conf_level))
    table, own = months.customers, inside & (months.customers["won"] >= months.first).to_numpy()
    live = table["live"].fillna(table["won"]).to_numpy()
    followed = own & (live <= months.last + 1 - FOLLOWED_MONTHS)
    kept = ~(table["churned"].to_numpy() - live <= RETENTION_MONTH) & table["live"].notna().to_numpy()
    share = stats.estimate_proportion(kept[followed], code_families(months, followed), conf_level)
    words = f"live for at least {FOLLOWED_MONTHS} months"
    lost = int((~kept)[followed].sum())
    method = "share, range of Wilson by family"
    return [*rows, build_row("retention_12", NAMES["retention_12"], share, int(followed.sum()), lost, words, method)]


def _net_gross(months: Months, inside: np.ndarray, start: int, end: int, conf_level: float) -> list[dict]:
    """NRR and GRR of the customers paying in month `start`, in month `end`; no rows where `start` is not known."""
    if start < months.first:
        return []
    then, now = months.revenue[inside, start - months.first], months.revenue[inside, end - months.first]
    is_base = then > 0
    then, now, cluster = then[is_base], now[is_base], months.cluster[inside][is_base]
    found = estimate_net_gross(then, now, cluster, conf_level)
    words, counts = f"{_name(end)} over {_name(start)}", (len(then), int((now <= 0).sum()))
    method = "ratio of revenue, gamma limits by family"
    return [build_row(metric, NAMES[metric], each, *counts, words, method) for metric, each in found.items()]


def estimate_net_gross(then, now, cluster, conf_level: float = 0.95) -> dict[str, stats.Estimate]:
    """Return NRR and GRR of customers that paid `then` and pay `now`, with ranges that hold for few who leave.

    GRR = 1 - lost, NRR = 1 - lost + gained, each part over what was paid then, with gamma limits
    (`intervals.estimate_rare`); those of the difference by the method of variance estimates recovery.

    Parameters
    ----------
    then, now : array of float, shape (n,)
    cluster : array of int, shape (n,)
        Codes of families.

    References
    ----------
    Zou and Donner (2008), Statistics in Medicine 27, 1693-1702.

    Examples
    --------
    >>> found = estimate_net_gross(np.array([10.0, 10.0]), np.array([15.0, 4.0]), np.arange(2))
    >>> round(found["nrr"].value, 2), round(found["grr"].value, 2)
    (0.95, 0.7)
    """
    lost = estimate_rare(np.maximum(then - now, 0), then, cluster, conf_level)
    gained = estimate_rare(np.maximum(now - then, 0), then, cluster, conf_level)
    value = 1 - lost.value + gained.value
    low = value - np.hypot(lost.high - lost.value, gained.value - gained.low)
    high = value + np.hypot(lost.value - lost.low, gained.high - gained.value)
    grr = stats.Estimate(1 - lost.value, max(0.0, 1 - lost.high), min(1.0, 1 - lost.low))
    return {"nrr": stats.Estimate(value, max(0.0, low), high), "grr": grr}


def _churn(months: Months, inside: np.ndarray, start: int, end: int, conf_level: float) -> dict:
    """Share of the customers at the end of month `start` who had left by the end of month `end`."""
    live, churned = (months.customers[name].to_numpy(float) for name in ("live", "churned"))
    there = inside & (live <= start) & ~(churned <= start) & (start >= months.first)
    left = churned[there] <= end
    share = stats.estimate_proportion(left, code_families(months, there), conf_level)
    words = f"{_name(start + 1)} to {_name(end)}"
    counts = int(there.sum()), int(left.sum())
    return build_row(
        "logo_churn_rate", NAMES["logo_churn_rate"], share, *counts, words, "share, range of Wilson by family"
    )


def _name(month: int) -> str:
    """A month in words: 24320 is 'Sep 2026'."""
    return f"{pd.Timestamp(month // 12, month % 12 + 1, 1):%b %Y}"


def estimate_quarters(months: Months, conf_level: float = 0.95) -> pd.DataFrame:
    """Return NRR, GRR and logo churn of all customers by quarter: `retention_by_quarter`.

    Quarters are counted back from as-of; each compares its last month with the month before it began. Leaving is seen
    three months later, so the newest quarter has no churn yet.

    Returns
    -------
    DataFrame
        period (its months), metric, estimate with its range, n (customers when it began), n_events (who left), note;
        oldest first, from the first quarter that began with 20 customers; a later one with fewer has its counts only.
    """
    everybody = np.ones(len(months.customers), bool)
    rows = []
    for end in range(months.last, months.first + QUARTER - 1, -QUARTER):
        start = end - QUARTER
        found = _net_gross(months, everybody, start, end, conf_level)
        churn = _churn(months, everybody, start, end, conf_level)
        if end > months.last - CHURN_MONTHS:
            late = "Leaving takes three months to be seen"
            churn |= {"estimate": np.nan, "conf_low": np.nan, "conf_high": np.nan, "n_events": np.nan, "note": late}
        period = f"{_name(start + 1)[:3]}–{_name(end)}"
        rows.append([{"period": period, **row} for row in (*found, churn)])
    rows = rows[::-1]
    begun = next((i for i, quarter in enumerate(rows) if quarter[0]["n"] >= MIN_CUSTOMERS), len(rows))
    return pd.DataFrame([row for quarter in rows[begun:] for row in quarter], columns=PERIODS)


def estimate_cohorts(months: Months, conf_level: float = 0.95) -> pd.DataFrame:
    """Return NRR by half-year of going live: `retention_cohorts`.

    Revenue of the thirteenth month after going live over that of the first: the month of going live is often a part.

    Returns
    -------
    DataFrame
        cohort, nrr with its range, n (customers), n_left (without revenue in the thirteenth month), note; oldest first.
        Only customers won since revenue is known, live for at least thirteen months.
    """
    table = months.customers
    live = table["live"].to_numpy(float)
    able = (live <= months.last - YEAR - 1) & (table["won"] >= months.first).to_numpy() & (live >= months.first)
    half = (live - (months.last + 1)) // 6  # half-years counted back from as-of
    rows = []
    for each in np.unique(half[able]):
        is_in = able & (half == each)
        base, row = live[is_in].astype(int) + 1 - months.first, np.flatnonzero(is_in)
        then, now = months.revenue[row, base], months.revenue[row, base + YEAR]
        found = estimate_net_gross(then, now, months.cluster[is_in], conf_level)["nrr"]
        start = int(months.last + 1 + 6 * each)
        n = len(row)
        value = found[:3] if n >= MIN_CUSTOMERS else (np.nan,) * 3
        note = "" if n >= MIN_CUSTOMERS else f"{n:,} customers of the {MIN_CUSTOMERS} needed"
        rows.append([f"Live {_name(start)} to {_name(start + 5)}", *value, n, int((now <= 0).sum()), note])
    return pd.DataFrame(rows, columns=COHORTS)
