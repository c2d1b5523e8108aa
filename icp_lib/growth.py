"""Who grows and who brings others: expansion and referrals of customers (notebook 03)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from icp_lib import stats
from icp_lib.intervals import estimate_draws, estimate_rare
from icp_lib.moments import months_before
from icp_lib.months import MIN_CUSTOMERS, YEAR, Months, build_row, build_rows, code_families
from icp_lib.value import CHURN_MONTHS

MOST_EXPANSION = 36


def estimate_growth(
    months: Months,
    keys: pd.DataFrame,
    members: np.ndarray,
    opportunities: pd.DataFrame | None = None,
    referrals: pd.DataFrame | None = None,
    conf_level: float = 0.95,
) -> pd.DataFrame:
    """Return who buys more and who brings others, for every key: the third part of `unit_economics`.

    months_to_expansion: the month after going live by which half have bought more, leaving being a competing risk;
    expansion_12: the share that has by month 12. referral_rate: share of the last year's new customers who were
    referred; referrals_per_customer: customers won in that year whom the key's older customers had referred, each.

    Parameters
    ----------
    months : Months
    keys, members
        `months.mark_customers`.
    opportunities : DataFrame, optional
        Cut at the quarter's end: account_id, type, status, closed_at. Expansion is a won deal of that type.
    referrals : DataFrame, optional
        referrer_account_id, referred_account_id, referred_at (may be missing).

    Returns
    -------
    DataFrame
        `months.COLUMNS`; no rows on expansion without such a deal or without revenue, on referrals without any.
    """
    rows = [
        _expansion_rows(months, inside, opportunities, conf_level)
        + _referral_rows(months, inside, referrals, conf_level)
        for inside in members.T
    ]
    return build_rows(rows, keys, conf_level)


def draw_incidence(time, event, cluster, weights, most: int = MOST_EXPANSION) -> np.ndarray:
    """Return, in every draw, the share to whom event 1 has happened by each month, event 2 ending the wait.

    Parameters
    ----------
    time : array of int, shape (n,)
        Months to whatever came first.
    event : array of int, shape (n,)
        1 the event, 2 the competing one, 0 the end of follow-up (still at risk in its month).
    cluster : array of int, shape (n,)
    weights : array, shape (1 + B, n_families)

    Returns
    -------
    array of float, shape (1 + B, most + 1)
        NaN from the first month on that nobody has been followed into, in the data or in the draw.

    References
    ----------
    Aalen and Johansen (1978), Scandinavian Journal of Statistics 5, 141-150; without event 2 this is one less the
    product-limit estimate of Kaplan and Meier (1958).

    Examples
    --------
    >>> weights = np.ones((1, 4))
    >>> draw_incidence([1, 2, 2, 3], [1, 2, 1, 0], np.arange(4), weights, 3)[0].tolist()
    [0.0, 0.25, 0.5, 0.5]
    """
    time, event = np.asarray(time), np.asarray(event)
    families, code = np.unique(cluster, return_inverse=True)
    months = np.arange(most + 1)
    counts = []
    for marks in (time[:, None] >= months, *((time[:, None] == months) & (event == k)[:, None] for k in (1, 2))):
        by_family = np.zeros((len(families), most + 1))
        np.add.at(by_family, code, marks.astype(float))
        counts.append(weights[:, families].astype(float) @ by_family)
    risk, first, second = counts
    with np.errstate(invalid="ignore", divide="ignore"):
        gone = np.where(risk > 0, (first + second) / risk, 0.0)
        share = np.where(risk > 0, first / risk, 0.0)
    waiting = np.cumprod(1 - gone, axis=1)
    before = np.concatenate([np.ones((len(waiting), 1)), waiting[:, :-1]], axis=1)
    over = (before <= 0) | (risk > 0)  # where all have had one of the two events the share is known for good
    return np.where(np.logical_and.accumulate(over, axis=1), np.cumsum(before * share, axis=1), np.nan)


def _expansion_rows(months: Months, inside: np.ndarray, opportunities, conf_level: float) -> list[dict]:
    """The share that has bought more by month 12, and the month by which half have."""
    more = None if opportunities is None else opportunities[opportunities["type"] == "expansion"]
    if more is None or more.empty or not months.revenue.shape[1]:
        return []
    live, churned = (months.customers[name].to_numpy(float) for name in ("live", "churned"))
    end = months.last - CHURN_MONTHS
    able = inside & (months.customers["won"] >= months.first).to_numpy() & (live <= end)
    bought = _first_after(months, more[more["status"] == "won"], live)
    waits = np.column_stack([np.full(len(live), end), bought, churned])[able] - live[able, None]
    time = np.nanmin(waits, axis=1)
    event = np.select([waits[:, 1] == time, waits[:, 2] == time], [1, 2], 0)
    followed = ((end - live[able])[:, None] >= np.arange(MOST_EXPANSION + 1)).sum(axis=0)  # whatever became of them
    n, n_events = int(able.sum()), int((event == 1).sum())
    curve = draw_incidence(time, event, months.cluster[able], months.weights)
    last = int((followed >= MIN_CUSTOMERS).sum()) - 1
    method = "cumulative incidence, leaving as a competing risk"
    words = f"up to {last} months after going live" if last >= 0 else ""
    half = np.nan_to_num(curve[:, : last + 1]) >= 0.5
    reached = np.where(half.any(axis=1), half.argmax(axis=1), np.inf) if last >= 0 else np.full(len(curve), np.nan)
    waited = estimate_draws(reached, conf_level)
    rows = [build_row("months_to_expansion", "Months to first expansion", waited, n, n_events, words, method)]
    if n >= MIN_CUSTOMERS and np.isinf(reached[0]):
        rows[0]["note"] = f"Fewer than half have bought more within the {last} months followed"
    is_told = end - live[able] >= YEAR
    early = ((event == 1) & (time <= YEAR))[is_told]
    share = (np.nan,) * 3
    if last >= YEAR:
        share = _widen_rare(curve[:, YEAR], early, code_families(months, able)[is_told], conf_level)
    words = f"{YEAR} months after going live"
    rows.append(build_row("expansion_12", "Bought more within a year", share, n, n_events, words, method))
    if n >= MIN_CUSTOMERS and last < YEAR:
        rows[1]["note"] = f"Followed for {last} months only"
    return rows


def _widen_rare(drawn: np.ndarray, early: np.ndarray, cluster: np.ndarray, conf_level: float) -> tuple:
    """The estimate of the draws; where few have bought, with the wider range of theirs and Wilson's of a plain share.

    Draws of nobody have no width.
    """
    value, low, high = estimate_draws(drawn, conf_level)[:3]
    if early.sum() < MIN_CUSTOMERS:
        plain = stats.estimate_proportion(early, cluster, conf_level)
        low, high = np.fmin(low, plain.low), np.fmax(high, plain.high)
    return value, low, high


def _first_after(months: Months, deals: pd.DataFrame, live: np.ndarray) -> np.ndarray:
    """The month of each customer's first such deal since it went live; NaN without one."""
    place = pd.Index(months.customers["account_id"]).get_indexer(deals["account_id"])
    at = (months.last + 1 - months_before(deals["closed_at"], months.cutoff)).to_numpy(float)
    keep = (place >= 0) & (at >= live[place])
    first = np.full(len(live), np.inf)
    np.minimum.at(first, place[keep], at[keep])
    return np.where(np.isinf(first), np.nan, first)


def _referral_rows(months: Months, inside: np.ndarray, referrals, conf_level: float) -> list[dict]:
    """The share of a year's new customers who were referred, and how many the key's customers brought."""
    if referrals is None or referrals.empty:
        return []
    brought = find_referred(months, referrals)
    is_new = (months.customers["won"] > months.last - YEAR).to_numpy()
    new, referred = inside & is_new, brought != -1
    share = stats.estimate_proportion(referred[new], code_families(months, new), conf_level)
    words, n_new = "won in the last 12 months", int(new.sum())
    counts = n_new, int((new & referred).sum())
    rows = [build_row("referral_rate", "Referred", share, *counts, words, "share, range of Wilson by family")]
    given = np.bincount(brought[is_new & (brought >= 0)], minlength=len(is_new))
    there = inside & (months.customers["won"] <= months.last - YEAR).to_numpy()
    each = estimate_rare(given[there], np.ones(there.sum()), months.cluster[there], conf_level)
    counts, words = (int(there.sum()), int(given[there].sum())), "in the last 12 months, by customers older than that"
    method = "mean per customer, gamma limits by family"
    return [*rows, build_row("referrals_per_customer", "Customers brought", each, *counts, words, method)]


def find_referred(months: Months, referrals: pd.DataFrame) -> np.ndarray:
    """Return the row of the customer who referred each customer, -1 where nobody did.

    Of several referrals the first counts; one dated after the win did not bring it, and a referrer that is no customer
    of ours is -2: referred, by somebody else.

    Returns
    -------
    array of int, shape (n_customers,)
    """
    index = pd.Index(months.customers["account_id"])
    known = referrals[referrals["referred_account_id"].isin(index)]
    if "referred_at" in known:
        won = months.customers.set_index("account_id")["won_at"].reindex(known["referred_account_id"]).to_numpy()
        known = known[~(known["referred_at"].to_numpy() > won)]
        known = known.sort_values("referred_at", kind="stable")
    known = known.drop_duplicates("referred_account_id")
    found = np.full(len(index), -1)
    by = index.get_indexer(known["referrer_account_id"])
    found[index.get_indexer(known["referred_account_id"])] = np.where(by < 0, -2, by)
    return found


def adjust_referrals(spend: float, n_direct: float, n_referred: float) -> float:
    """Return spend per customer won, directly or because a customer referred them.

    Only for a count that does not hold the referred yet: of a CAC over all new customers they are part already.

    Examples
    --------
    >>> adjust_referrals(1.0, 1, 1)
    0.5
    """
    return spend / (n_direct + n_referred) if n_direct + n_referred > 0 else np.nan


def estimate_referral_cac(
    months: Months,
    keys: pd.DataFrame,
    members: np.ndarray,
    referrals: pd.DataFrame,
    cac: tuple[pd.DataFrame, np.ndarray],
    conf_level: float = 0.95,
) -> pd.DataFrame:
    """Return what a customer would cost if only those won directly were counted, beside the CAC that holds all.

    The fully loaded CAC divides by all new customers, so it is adjusted for referrals already (cac_referral_adjusted);
    cac_direct undoes that, CAC x new / (new - referred), with the referred of the last twelve months.

    Parameters
    ----------
    cac : (DataFrame, array of float, shape (n, 1 + B))
        Keys with `segment_id`, and the CAC over all new customers in the shared draws.

    Returns
    -------
    DataFrame
        `months.COLUMNS`; no rows without referrals.
    """
    if referrals is None or referrals.empty:
        return build_rows([], keys, conf_level)
    is_new = (months.customers["won"] > months.last - YEAR).to_numpy()
    referred = find_referred(months, referrals) != -1
    place = pd.Index(cac[0]["segment_id"]).get_indexer(keys["segment_id"])
    rows = [[] for _ in range(len(keys))]
    for key in np.flatnonzero(place >= 0):
        inside = members[:, key]
        n_new, n_referred = int((inside & is_new).sum()), int((inside & is_new & referred).sum())
        every, won_directly = (_count_draws(months, each) for each in (inside & is_new, inside & is_new & ~referred))
        with np.errstate(invalid="ignore", divide="ignore"):
            rate = np.where(won_directly > 0, every / won_directly, np.inf)
        rate[0] = rate[0] if won_directly[0] else np.nan
        cost = np.asarray(cac[1][place[key]], float)
        for metric, name, values, method in (
            ("cac_referral_adjusted", "CAC, referred customers counted", cost, "spend / (direct + referred)"),
            ("cac_direct", "CAC, referred customers left out", cost * rate, "spend / direct"),
        ):
            counts = n_new, n_referred, "won in the last 12 months"
            rows[key].append(build_row(metric, name, estimate_draws(values, conf_level), *counts, method))
    return build_rows(rows, keys, conf_level)


def _count_draws(months: Months, inside: np.ndarray) -> np.ndarray:
    """How many customers in every draw, shape (1 + B,)."""
    return months.weights.astype(float) @ np.bincount(months.cluster, inside, months.weights.shape[1])
