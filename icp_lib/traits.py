"""Who the best customers are, and what they share that others do not (notebook 02)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd

from icp_lib import draws, stats, value
from icp_lib.checks import DataError
from icp_lib.rules import Segment, build_levels, is_comparable
from icp_lib.schemas import check_trait
from icp_lib.space import PLACEBOS

#: Share of the customers that are called best.
BEST_SHARE = 0.2
#: Where fewer customers than this, and fewer than half, are old enough, they are ranked by what they signed.
MIN_RANKED = int(stats.MIN_WON / BEST_SHARE)
#: What "best" was judged by, in a part of the accounts.
BASES = {
    "list": "a list of the team",
    "first year": "gross margin less support and onboarding in the first twelve months",
    "signed": "the first-year margin of the first deal signed",
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
    time. Each part of the accounts is ranked by itself. Where fewer than half of a part's customers (and fewer than 75)
    are old enough, all of them are ranked by the first-year margin that their first deal signed; where no amount is
    known either, every customer counts as best.

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
        The rows of `accounts` and: `group` (best, other, new, churned, lost, lost_timing or market: each account is in
        one; new are customers too young to be judged; lost_timing lost only because the time was wrong), `is_best`,
        `is_modelled` (has a closed opportunity and can be judged), `value_12`, `basis` (a key of BASES; empty outside
        the two parts), and the two placebo attributes.

    Raises
    ------
    DataError
        An id of `best_customers` is not an account with a won deal.
    """
    basis, ranked = _rank_values(accounts, opportunities, revenue, cutoff, gross_margin_rate, best_customers)
    is_best = ranked["is_best"].to_numpy()
    customer = accounts["is_customer"].to_numpy()
    is_churned = accounts["account_id"].isin(find_churned(revenue, cutoff)).to_numpy()
    lost, timing = _lost(accounts, opportunities)
    group = np.select(
        [is_best, customer & ranked["is_new"].to_numpy(), customer & is_churned, customer, timing, lost],
        ["best", "new", "churned", "other", "lost_timing", "lost"],
        "market",
    )
    placebos = {name: draws.placebo_levels(accounts["account_id"], n) for name, n in PLACEBOS.items()}
    return accounts.assign(
        group=group,
        is_best=is_best,
        is_modelled=np.isin(group, ["best", "churned", "other", "lost_timing", "lost"]),
        value_12=ranked["value"].to_numpy(float),
        basis=basis,
        **placebos,
    )


def _rank_values(accounts, opportunities, revenue, cutoff, gross_margin_rate, best_customers):
    """Return the basis of each account, and its value, whether it is best and whether it is too young to tell."""
    first_year = estimate_first_year(accounts, revenue, cutoff, gross_margin_rate)
    signed = _signed(accounts, opportunities, gross_margin_rate)
    ranked = pd.DataFrame({"value": first_year.fillna(signed), "is_best": False, "is_new": False})
    if len(best_customers):
        ranked["is_best"] = accounts["account_id"].isin(_check_listed(accounts, best_customers)).to_numpy()
        return np.full(len(accounts), "list", object), ranked
    basis = np.full(len(accounts), "", object)
    for part in ("found", "held_out"):
        inside = (accounts["part"] == part).to_numpy()
        customers = inside & accounts["is_customer"].to_numpy()
        n, n_old, n_signed = customers.sum(), first_year[customers].notna().sum(), signed[customers].notna().sum()
        if n_old >= min(MIN_RANKED, max(1, n / 2)):
            name, values = "first year", first_year
        elif n_signed >= max(1, value.MIN_KNOWN * n):
            name, values = "signed", signed
        else:
            name, values = "won", pd.Series(1.0, accounts.index)
        basis[inside] = name
        known = values.where(customers)
        top = known.rank(ascending=False, pct=True) <= BEST_SHARE
        ranked.loc[customers, "is_best"] = (top & (known > 0))[customers] if name != "won" else True
        ranked.loc[customers, "is_new"] = known.isna()[customers]
        ranked.loc[inside, "value"] = np.nan if name == "won" else known[inside]
    return basis, ranked


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
        NaN for accounts that were not won at least 12 months before as-of, for those won before the first month of
        `revenue`, and for those without any revenue row.
    """
    if revenue.empty:
        return pd.Series(np.nan, accounts.index)
    won_at = accounts["first_won_at"]
    won_month = (won_at + (pd.Timestamp(cutoff).round("D") - pd.Timestamp(cutoff))).dt.to_period("M").dt.to_timestamp()
    is_seen = (won_at <= pd.Timestamp(cutoff) - pd.DateOffset(months=12)) & (won_month >= revenue["month"].min())
    start = revenue["account_id"].map(won_month.set_axis(accounts["account_id"]))
    age = (revenue["month"].dt.year - start.dt.year) * 12 + revenue["month"].dt.month - start.dt.month
    margin = revenue["gross_margin"].fillna(revenue["revenue"] * gross_margin_rate)
    margin = margin - revenue["support_cost"].fillna(0.0) - revenue["onboarding_cost"].fillna(0.0)
    total = margin.where(age.between(0, 11), 0.0).groupby(revenue["account_id"]).sum()
    return accounts["account_id"].map(total).where(is_seen).astype(float)


def _signed(accounts: pd.DataFrame, opportunities: pd.DataFrame, gross_margin_rate: float) -> pd.Series:
    """First-year margin of each account's first won deal; NaN where no amount is known."""
    won = opportunities[opportunities["is_relevant"] & (opportunities["status"] == "won")]
    rate = won["gross_margin_rate"].fillna(gross_margin_rate)
    margin = won["gross_margin"].fillna(won["amount"] * rate) * 12 / won["term_months"].fillna(12)
    first = won.assign(margin=margin.astype(float)).sort_values(["closed_at", "opportunity_id"], kind="stable")
    return accounts["account_id"].map(first.groupby("account_id")["margin"].nth(0).set_axis(
        first["account_id"].drop_duplicates())).astype(float)  # fmt: skip


def find_churned(revenue: pd.DataFrame, cutoff: datetime) -> np.ndarray:
    """Return the ids of accounts that had revenue, then none for three months in a row by as-of."""
    paid = revenue.loc[revenue["revenue"] > 0, ["account_id", "month"]].drop_duplicates()
    if paid.empty:
        return np.array([], object)
    end = pd.Timestamp(cutoff).round("D")
    ago = (end.year - paid["month"].dt.year) * 12 + end.month - paid["month"].dt.month
    paid = paid.assign(ago=ago).sort_values(["account_id", "ago"], ascending=[True, False])
    following = paid.groupby("account_id")["ago"].shift(-1).fillna(0)
    gone = paid["ago"] - following > value.CHURN_MONTHS
    return paid.loc[gone, "account_id"].unique()


def _lost(accounts: pd.DataFrame, opportunities: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return which accounts have a lost deal, and which have only losses for the wrong time."""
    table = opportunities[opportunities["is_relevant"] & (opportunities["status"] == "lost")]
    timing = table["is_timing_loss"].fillna(False).astype(bool).groupby(table["account_id"]).all()
    lost = accounts["account_id"].isin(timing.index).to_numpy()
    return lost, accounts["account_id"].isin(timing.index[timing]).to_numpy()


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
