"""Who the best customers are, and what they share that others do not (notebook 02)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd

from icp_lib import accounts as account_table
from icp_lib import draws, stats
from icp_lib.checks import DataError
from icp_lib.customers import build_customers
from icp_lib.moments import to_local
from icp_lib.rules import Segment, build_levels, is_comparable
from icp_lib.schemas import check_trait
from icp_lib.space import PLACEBOS

#: Share of the customers that are called best.
BEST_SHARE = 0.2
#: Where fewer customers than this, and fewer than half, are old enough, nobody waits for the first year to end.
MIN_RANKED = int(stats.MIN_WON / BEST_SHARE)
#: What "best" was judged by.
BASES = {
    "list": "a list of the team",
    "first year": "gross margin less support and onboarding in the first twelve months",
    "signed": "the first-year margin that the first deal signed, support and onboarding not in it: needs revenue",
    "won": "having bought at all: neither revenue nor amounts are known",
}


def label_accounts(
    accounts: pd.DataFrame,
    opportunities: pd.DataFrame,
    revenue: pd.DataFrame,
    cutoff: datetime,
    *,
    gross_margin_rate: float = 1.0,
    best_customers: Sequence[str] = (),
) -> pd.DataFrame:
    """Return the account table with who is best, who is not, and of whom it cannot be told yet.

    Best is the top fifth by gross margin less support and onboarding in the month of the first win and the eleven after
    it, among customers won at least 12 months before as-of: over its whole life an old customer has simply had more
    time. Without revenue, the first-year margin of the first deal stands for it. Others are judged at the same age:
    their first closed opportunity closed at least 12 months before as-of, or the newest lost accounts would stand
    against customers that are all older. Where fewer than half of the customers (and fewer than 75) are old enough,
    nobody waits and what they signed decides; without any amount every customer is best.

    Parameters
    ----------
    accounts : DataFrame
        The account table.
    opportunities, revenue : DataFrame
        Cut at the quarter's end; `revenue` may have no rows.
    cutoff : datetime
        The first moment after as-of, naive UTC.
    gross_margin_rate : float
        Used where no margin is given.
    best_customers : sequence of str
        Account ids, if the team names them itself.

    Returns
    -------
    DataFrame
        The rows of `accounts` and: `group` (best, other, new, unknown, churned, lost, lost_timing or market: each
        account is in one; new are customers too young to be judged; unknown are old enough, but what they brought is
        not known, as of those won before the revenue table begins; lost_timing lost only because the time was wrong),
        `is_best`, `is_modelled` (judged: has an outcome that is old enough), `has_churned`, `value_12`, `basis` (a key
        of BASES), the two placebos, and `part` anew: `accounts.build_part` over the judged accounts alone, missing for
        others; what is newer among all accounts is held out here too, so its older part lies within that of all.

    Raises
    ------
    DataError
        An id of `best_customers` is not an account with a won deal.
    """
    values, basis, waits = _choose_values(accounts, opportunities, revenue, cutoff, gross_margin_rate, best_customers)
    customer = accounts["is_customer"].to_numpy()
    if basis == "list":
        is_best = accounts["account_id"].isin(_check_listed(accounts, best_customers)).to_numpy()
    elif basis == "won":
        is_best = customer
    else:
        known = values.where(customer)
        is_best = ((known.rank(ascending=False, pct=True) <= BEST_SHARE) & (known > 0)).to_numpy()
    is_unknown = customer & ~is_best & values.isna().to_numpy() & (basis not in ("list", "won"))
    year_ago = pd.Timestamp(cutoff) - pd.DateOffset(months=12)
    is_new = is_unknown & waits & (accounts["first_won_at"] > year_ago).to_numpy()
    customers = build_customers(accounts, opportunities, revenue, cutoff)
    left = customers.loc[customers["churned_at"].notna(), "account_id"]
    is_churned = accounts["account_id"].isin(left).to_numpy()
    lost, timing, closed_at = _lost(accounts, opportunities)
    is_old = closed_at <= (year_ago if waits else pd.Timestamp(cutoff))
    group = np.select(
        [is_best, is_new, is_unknown, customer & is_churned, customer, timing, lost],
        ["best", "new", "unknown", "churned", "other", "lost_timing", "lost"],
        "market",
    )
    is_modelled = is_best | (is_old.to_numpy() & np.isin(group, ["churned", "other", "lost_timing", "lost"]))
    opened = accounts["first_opportunity_at"]
    part = account_table.build_part(accounts["family_id"], opened.where(is_modelled))
    is_newer = account_table.build_part(accounts["family_id"], opened) == "held_out"
    part = part.mask(is_newer & part.notna(), "held_out")
    placebos = {name: draws.placebo_levels(accounts["account_id"], n) for name, n in PLACEBOS.items()}
    return accounts.assign(
        group=group, is_best=is_best, is_modelled=is_modelled, has_churned=is_churned, value_12=values, basis=basis,
        part=part, **placebos,
    )  # fmt: skip


def _choose_values(accounts, opportunities, revenue, cutoff, gross_margin_rate, best_customers):
    """Return the value of each account's first year, what it is, and whether customers must be 12 months old."""
    first_year = estimate_first_year(accounts, revenue, cutoff, gross_margin_rate)
    signed = _signed(accounts, opportunities, gross_margin_rate)
    old_signed = signed.where(accounts["first_won_at"] <= pd.Timestamp(cutoff) - pd.DateOffset(months=12))
    n = int(accounts["is_customer"].sum())
    ways = (("first year", first_year, True), ("signed", old_signed, True), ("signed", signed, False))
    enough = [values.notna().sum() >= max(1, min(MIN_RANKED, n / 2)) for _, values, _ in ways]
    chosen = next((way for way, is_enough in zip(ways, enough, strict=True) if is_enough), None)
    if len(best_customers):
        return chosen[1] if chosen else signed, "list", False
    name, values, waits = chosen or ("won", pd.Series(np.nan, accounts.index), False)
    return values, name, waits


def _check_listed(accounts: pd.DataFrame, listed: Sequence[str]) -> list[str]:
    """Return the listed ids if each is an account that bought."""
    wanted = list(dict.fromkeys(str(each) for each in listed))
    customers = set(accounts.loc[accounts["is_customer"], "account_id"])
    wrong = [each for each in wanted if each not in customers]
    if wrong:
        known = set(accounts["account_id"])
        why = "has not won a relevant deal by as-of" if wrong[0] in known else "is not among the accounts"
        raise DataError(
            f"icp.yml: best_customers: {len(wrong):,} of {len(wanted):,} ids are no customers (first: {wrong[0]!r} "
            f"{why}). Write the account_id of accounts.csv, or take the ids out."
        )
    return wanted


def estimate_first_year(
    accounts: pd.DataFrame, revenue: pd.DataFrame, cutoff: datetime, gross_margin_rate: float = 1.0
) -> pd.Series:
    """Gross margin less support and onboarding in the month of the first win and the eleven after it.

    Returns
    -------
    Series of float, shape (n_accounts,)
        Won, but without any revenue row: 0. NaN for accounts that were not won at least 12 months before as-of and
        for those whose first year is not inside the months of `revenue`. Where fewer than half of the others have a
        row, the table does not cover the customers, and those without a row are NaN too.
    """
    if revenue.empty:
        return pd.Series(np.nan, accounts.index)
    won_at = accounts["first_won_at"]
    won_month = to_local(won_at, cutoff).dt.to_period("M").dt.to_timestamp()
    last = revenue["month"].max() - pd.DateOffset(months=10)  # the month of as-of may not be billed yet
    is_seen = (won_at <= pd.Timestamp(cutoff) - pd.DateOffset(months=12)) & won_month.between(
        revenue["month"].min(), last
    )
    start = revenue["account_id"].map(won_month.set_axis(accounts["account_id"]))
    age = (revenue["month"].dt.year - start.dt.year) * 12 + revenue["month"].dt.month - start.dt.month
    margin = revenue["gross_margin"].fillna(revenue["revenue"] * gross_margin_rate)
    margin = margin - revenue["support_cost"].fillna(0.0) - revenue["onboarding_cost"].fillna(0.0)
    total = margin.where(age.between(0, 11), 0.0).groupby(revenue["account_id"]).sum()
    values = accounts["account_id"].map(total).where(is_seen).astype(float)
    is_covered = values.notna().sum() >= is_seen.sum() / 2
    return values.mask(is_seen & values.isna(), 0.0) if is_covered else values


def _signed(accounts: pd.DataFrame, opportunities: pd.DataFrame, gross_margin_rate: float) -> pd.Series:
    """First-year margin of each account's first won deal; NaN where no amount is known."""
    won = opportunities[opportunities["is_relevant"] & (opportunities["status"] == "won")]
    rate = won["gross_margin_rate"].fillna(gross_margin_rate)
    margin = won["gross_margin"].fillna(won["amount"] * rate) * 12 / won["term_months"].fillna(12)
    first = won.assign(margin=margin.astype(float)).sort_values(["closed_at", "opportunity_id"], kind="stable")
    return accounts["account_id"].map(first.groupby("account_id")["margin"].nth(0).set_axis(
        first["account_id"].drop_duplicates())).astype(float)  # fmt: skip


def _lost(accounts: pd.DataFrame, opportunities: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, pd.Series]:
    """Return which accounts have a lost deal, which only losses for the wrong time, and when the first deal closed."""
    table = opportunities[opportunities["is_relevant"] & (opportunities["status"] == "lost")]
    timing = table["is_timing_loss"].fillna(False).astype(bool).groupby(table["account_id"]).all()
    lost = accounts["account_id"].isin(timing.index).to_numpy()
    closed = opportunities[opportunities["is_relevant"] & opportunities["status"].isin(["won", "lost"])]
    closed_at = closed.groupby("account_id")["closed_at"].min().reindex(accounts["account_id"]).set_axis(accounts.index)
    return lost, accounts["account_id"].isin(timing.index[timing]).to_numpy(), closed_at


def build_trait_levels(
    labelled: pd.DataFrame, traits: dict[str, dict], roles: dict[str, str] | None = None
) -> list[tuple[str, str, Segment]]:
    """Return every level of every trait that can be compared, missing ones too, and those of the two placebos.

    Parameters
    ----------
    labelled : DataFrame
        From `label_accounts`.
    traits : dict
        Attribute -> how it is cut into levels (`rules.build_levels`).
    roles : dict, optional
        Column -> role: a trait with another role is refused.

    Raises
    ------
    DataError
        A trait is known only after the sale, or is an identifier, a cost or a date.
    """
    roles = roles or {}
    able = {
        name: how
        for name, how in traits.items()
        if check_trait(name, {name: "trait"} | roles) in labelled and is_comparable(labelled, name)
    }
    return build_levels(labelled, able | {name: {} for name in PLACEBOS})


def describe_labels(labelled: pd.DataFrame) -> pd.DataFrame:
    """Return one row that says who is best: counts, what they were judged by, and what a reader must know of it.

    Columns: n_best, n_judged (customers), n_new (too young to be judged), n_unknown (what they brought is not known),
    n_found_best, n_holdout_best, n_churned_best, value_12 (of the last one that is best), basis_words, unjudged_words,
    note.
    """
    best, basis = labelled[labelled["is_best"]], labelled["basis"].iloc[0] if len(labelled) else "won"
    customers = labelled["is_customer"].astype(bool)
    n_new, n_unknown = (int((labelled["group"] == group).sum()) for group in ("new", "unknown"))
    words = [f"{n_new:,} {'is' if n_new == 1 else 'are'} too young"] if n_new or not n_unknown else []
    words += [f"of {n_unknown:,} the first year is not known"] if n_unknown else []
    row = {
        "n_best": len(best),
        "n_judged": int((customers & ~labelled["group"].isin(["new", "unknown"])).sum()),
        "n_new": n_new,
        "n_unknown": n_unknown,
        "n_found_best": int((best["part"] == "found").sum()),
        "n_holdout_best": int((best["part"] == "held_out").sum()),
        "n_churned_best": int(best["has_churned"].sum()),
        "value_12": best["value_12"].min() if basis in ("first year", "signed") else np.nan,
        "basis_words": BASES[basis],
        "unjudged_words": ", ".join(words),
        "note": ""
        if len(best)
        else "No customer can be called best yet: none is old enough, or all have the same value",
    }
    return pd.DataFrame([row])
