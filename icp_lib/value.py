"""The value measure: what each opportunity brought, against what its creation quarter would expect."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd

from icp_lib.checks import DataError, check_in
from icp_lib.metrics import METRICS
from icp_lib.moments import months_ago, months_before

WINDOW_DAYS = 365
MIN_WON_PER_QUARTER = 20
MEASURES = ("margin_per_day", "margin_per_opportunity", "win_rate", "retention")
CAP, MIN_KNOWN = 0.95, 0.5
CHURN_MONTHS, RETENTION_MONTH, FOLLOWED_MONTHS = 3, 12, 15


def choose_measure(opportunities: pd.DataFrame, measure: str, gross_margin_rate: float = 1.0) -> pd.DataFrame:
    """Return one row: the value measure that this extract allows, the one declared, and what a reader must know of it.

    Columns: measure, declared, note. A margin needs an amount or a gross margin for half of the relevant won deals.
    """
    check_in(measure, MEASURES, "measure")
    used, notes = measure, []
    if measure.startswith("margin"):
        won = opportunities[opportunities["is_relevant"] & (opportunities["status"] == "won")]
        n_known = int((won["amount"].notna() | won["gross_margin"].notna()).sum())
        if n_known < MIN_KNOWN * len(won) or not n_known:
            used = "win_rate"
            few = f"{n_known:,} of {len(won):,} won deals have an amount" if n_known else "No opportunity has an amount"
            notes.append(f"{few}, so the value measure is the win rate.")
        else:
            notes += _margin_notes(won, n_known, gross_margin_rate)
    sentence = METRICS[used].sentence if used in METRICS else "Share of customers still there after twelve months."
    note = " ".join(notes if used != measure else [sentence, *notes])
    return pd.DataFrame({"measure": [used], "declared": [measure], "note": [note]})


def _margin_notes(won: pd.DataFrame, n_known: int, gross_margin_rate: float) -> list[str]:
    """What was assumed about the margins of won deals."""
    notes, has_margin = [], won["gross_margin"].notna() | won["gross_margin_rate"].notna()
    if n_known < len(won):
        few = f"{len(won) - n_known:,} of {len(won):,} won deals have no amount"
        notes.append(f"{few}: the average of the others stands in.")
    if not has_margin.any():
        rate = f", so {gross_margin_rate:.0%} of the amount stands for it." if gross_margin_rate < 1 else "."
        notes.append("Revenue, not margin: no gross margin is given" + rate)
    elif not has_margin.all():
        few = f"{int((~has_margin).sum()):,} of {len(won):,} won deals"
        notes.append(f"{few} take the default margin, {gross_margin_rate:.0%}.")
    if not won["term_months"].notna().any():
        notes.append("No contract term is given, so 12 months are assumed.")
    return notes


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
    A won deal without an amount gets the mean of the others: nothing would make its group look poor, leaving it out
    would make it look unsuccessful.

    Parameters
    ----------
    opportunities : DataFrame
        Cut at the quarter's end, with `is_relevant`.
    accounts : DataFrame
        The account table (`account_id`, `family_id`).
    cutoff : datetime
        The first moment after as-of, naive UTC; quarters are counted back from it.
    measure : {'margin_per_day', 'margin_per_opportunity', 'win_rate', 'retention'}
    gross_margin_rate : float
        Used where neither `gross_margin` nor `gross_margin_rate` is given.
    revenue : DataFrame, optional
        For retention, one row a month.

    Returns
    -------
    DataFrame
        account_id, family_id, created_at, quarter (-1 is the last, -2 the one before), m, d, e, is_won (within 365
        days), has_won (by as-of), days (to the win within 365 days, else NaN), is_mature (created at least 365 days
        before as-of), is_open, owner_id and lead_source of the opportunity; sorted by account_id, created_at.
    """
    check_in(measure, MEASURES, "measure")
    if measure == "retention":
        units = _retention_units(opportunities, revenue, cutoff)
    else:
        units = _opportunity_units(opportunities, cutoff, measure, gross_margin_rate)
    units = units.merge(accounts[["account_id", "family_id"]], on="account_id")
    units = units.sort_values(["account_id", "created_at", "m", "d"], kind="stable", ignore_index=True)
    units["quarter"] = months_before(units["created_at"], cutoff) // -3
    return units.assign(e=expected(units))


def _opportunity_units(opportunities, cutoff, measure, gross_margin_rate) -> pd.DataFrame:
    table = opportunities[opportunities["is_relevant"]]
    closed = (table["closed_at"] - table["created_at"]).dt.total_seconds() / 86400
    so_far = (pd.Timestamp(cutoff) - table["created_at"]).dt.total_seconds() / 86400
    is_won = (table["status"] == "won") & (closed <= WINDOW_DAYS)
    margin = first_year_margin(table, gross_margin_rate)
    value = margin.fillna(margin[is_won].mean()) if measure.startswith("margin") else 1.0
    days = closed.fillna(so_far).clip(0, WINDOW_DAYS)
    return pd.DataFrame(
        {
            "account_id": table["account_id"],
            "created_at": table["created_at"],
            "m": np.where(is_won, value, 0.0),
            "d": days if measure == "margin_per_day" else 1.0,
            "is_won": is_won,
            "has_won": table["status"] == "won",
            "days": closed.clip(lower=0).where(is_won),
            "is_mature": so_far >= WINDOW_DAYS,
            "is_open": table["status"] == "open",
            "owner_id": table.get("owner_id"),
            "lead_source": table.get("lead_source"),
        }
    )


def first_year_margin(opportunities: pd.DataFrame, gross_margin_rate: float = 1.0) -> pd.Series:
    """Return the contracted gross margin of the first year of each deal; NaN where no amount is known."""
    rate = opportunities["gross_margin_rate"].fillna(gross_margin_rate)
    whole = opportunities["gross_margin"].fillna(opportunities["amount"] * rate)
    return whole * 12 / opportunities["term_months"].fillna(12)


def _retention_units(opportunities, revenue, cutoff) -> pd.DataFrame:
    """Customers live for 15 months, dated by their win; m = 1 if not churned at month 12.

    Churned: three months in a row without revenue, the first of them by month 12.
    """
    if revenue is None or revenue.empty:
        raise DataError(
            "retention: needs revenue (account_id, month, revenue). Add it, or set measure: margin_per_day in icp.yml."
        )
    won = opportunities[opportunities["is_relevant"] & (opportunities["status"] == "won")]
    won_at = won.groupby("account_id")["closed_at"].min()
    paid = revenue[(revenue["revenue"] > 0) & revenue["account_id"].isin(won_at.index)]
    before = pd.DataFrame({"account_id": paid["account_id"], "ago": months_ago(paid["month"], cutoff)})
    live = before.groupby("account_id")["ago"].max().reindex(won_at.index)
    live = live.fillna(months_before(won_at, cutoff))
    live = live[live >= FOLLOWED_MONTHS]
    age = before["account_id"].map(live) - before["ago"]
    months = np.zeros((len(live), FOLLOWED_MONTHS), bool)
    early = age.between(0, FOLLOWED_MONTHS - 1)
    months[live.index.get_indexer(before.loc[early, "account_id"]), age[early].astype(int)] = True
    gaps = [~months[:, start : start + CHURN_MONTHS].any(axis=1) for start in range(1, RETENTION_MONTH + 1)]
    kept = ~np.any(gaps, axis=0)
    return pd.DataFrame(
        {
            "account_id": live.index,
            "created_at": won_at[live.index].to_numpy(),
            "m": kept.astype(float),
            "d": 1.0,
            "is_won": kept,
            "has_won": kept,
            "days": np.nan,
            "is_mature": True,
            "is_open": False,
            "owner_id": None,
            "lead_source": None,
        }
    )


def expected(units: pd.DataFrame) -> np.ndarray:
    """Return e = v_q d, with v_q = sum(m) / sum(d) of the creation quarter, neighbours merged until 20 are won.

    Parameters
    ----------
    units : DataFrame
        m, d, quarter (integer) and is_won.

    Examples
    --------
    >>> expected(pd.DataFrame({"m": [4.0, 0.0], "d": [1.0, 3.0], "quarter": [1, 1], "is_won": [True, False]}))
    array([1., 3.])
    """
    quarters, code = np.unique(units["quarter"].to_numpy(), return_inverse=True)
    won = np.bincount(code, weights=units["is_won"].to_numpy(float), minlength=len(quarters))
    block, blocks, have = np.zeros(len(quarters), int), 0, 0.0
    for i, here in enumerate(won):
        block[i], have = blocks, have + here
        if have >= MIN_WON_PER_QUARTER:
            blocks, have = blocks + 1, 0.0
    if blocks and have < MIN_WON_PER_QUARTER:
        block[block == blocks] = blocks - 1
    code = block[code]
    got, days = (np.bincount(code, weights=units[name].to_numpy(float)) for name in ("m", "d"))
    rate = np.divide(got, days, out=np.zeros(len(got)), where=days > 0)
    return rate[code] * units["d"].to_numpy(float)


def cap(units: pd.DataFrame) -> pd.DataFrame:
    """Return units whose m ends at the 95th percentile of what won ones got; for tests."""
    got = units.loc[units["is_won"], "m"]
    capped = units.assign(m=units["m"].clip(upper=got.quantile(CAP))) if len(got) else units
    return capped.assign(e=expected(capped))
