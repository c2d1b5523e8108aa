"""How long after the money the customer comes: lag weights from lead cohorts, and from the days deals are open."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from icp_lib import draws
from icp_lib.ledger import Ledger

MIN_AT_RISK, MAX_MONTHS = 30, 36


class LagCurve(NamedTuple):
    """From lead to win.

    weights: array (n_lags, 1 + n_draws), the share of wins that come so many months after the lead; columns add up to
    1. table: months, at_risk, won_rate (won by then), weight. open_rate: share of the leads followed into the last
    quarter of lags that have a deal open still, so that they are not counted either way. n_leads, n_won. note.
    """

    weights: np.ndarray
    table: pd.DataFrame
    open_rate: float
    n_leads: int
    n_won: int
    note: str


def estimate_lag(ledger: Ledger) -> LagCurve:
    """Months from an account's first lead to its first win, from lead cohorts.

    Won by month l is the product-limit estimate over accounts with a lead, each followed from the month of its first
    lead to as-of: an account that lost stays among those that have not won, because the end of its follow-up is known
    (Fine and Gray's risk set; with follow-up that ends at as-of only, this is the cumulative incidence of the win). It
    ends with the last quarter of lags that 30 accounts have been followed into without a win, at most 36 months, and is
    scaled to 1 there. Wins of recent quarters come from more leads than wins long ago: the lags of *wins* would be too
    short where leads grow, those of lead cohorts are not.

    Returns
    -------
    LagCurve
        Fewer than 30 accounts, or no win: all weight at lag 0, and a note.

    References
    ----------
    Fine and Gray (1999), A proportional hazards model for the subdistribution of a competing risk, section 2.
    """
    first = ledger.keys["direct"].groupby("account")["ago"].max()
    won = ledger.customers.set_index("account")["ago"].reindex(first.index)
    found = _estimate(ledger, first.index.to_numpy(int), first.to_numpy(float), won.to_numpy(float))
    few = f"{found.n_leads:,} accounts with a lead, {found.n_won:,} of them won"
    return found._replace(note=f"{few}: too few for a lag, so all cost counts at once." if found.note else "")


def estimate_deal_lag(ledger: Ledger) -> LagCurve:
    """Months from a deal's opening to its win, from deals by the month they were opened in; as `estimate_lag`."""
    deals = ledger.deals
    return _estimate(ledger, deals["account"].to_numpy(int), deals["opened"].to_numpy(), deals["won"].to_numpy())


def _estimate(ledger: Ledger, account: np.ndarray, first: np.ndarray, won: np.ndarray) -> LagCurve:
    """The lag curve of units that came in the month `first` and were won in the month `won` (NaN: not won)."""
    lag = first - won
    keep = ~(lag < 0)
    account, first, lag = account[keep], first[keep].astype(int), lag[keep]
    followed = np.minimum(np.where(np.isnan(lag), first - 1, lag), MAX_MONTHS).astype(int)
    at_risk = np.bincount(followed, minlength=MAX_MONTHS + 1)[::-1].cumsum()[::-1]
    n_lags = -(-int((at_risk[:MAX_MONTHS] >= MIN_AT_RISK).sum()) // 3) * 3
    is_won = lag < n_lags
    n_won = int(is_won.sum())
    table = pd.DataFrame({"months": np.arange(max(n_lags, 1))})
    if not n_won:
        table = table.head(1).assign(at_risk=len(lag), won_rate=np.nan, weight=1.0)
        return LagCurve(np.ones((1, 1 + ledger.weights.shape[1])), table, np.nan, len(lag), n_won, "too few")
    cluster = ledger.accounts["family"].to_numpy()[account]
    ends = draws.sum_draws(np.minimum(followed, n_lags), cluster, np.ones(len(lag)), n_lags + 1, ledger.weights)
    exposed = ends[::-1].cumsum(axis=0)[::-1][:-1]
    wins = draws.sum_draws(lag[is_won].astype(int), cluster[is_won], np.ones(n_won), n_lags, ledger.weights)
    hazard = np.divide(wins, exposed, out=np.zeros_like(wins), where=exposed > 0)
    left = np.cumprod(1 - hazard, axis=0)
    share = np.vstack([np.ones(left.shape[1]), left[:-1]]) * hazard
    total = share.sum(axis=0)
    weights = np.divide(share, total, out=np.zeros_like(share), where=total > 0)
    table = table.assign(at_risk=exposed[:, 0].astype(int), won_rate=1 - left[:, 0], weight=weights[:, 0])
    old = account[first > n_lags - 3]
    open_rate = float(ledger.accounts["is_open"].to_numpy()[old].mean()) if len(old) else np.nan
    return LagCurve(weights, table, open_rate, len(lag), n_won, "")


def spread_lags(weights: np.ndarray, period, n_months: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how much of each month's spend belongs to the customers of a period, and how much of it is known.

    Parameters
    ----------
    weights : array, shape (n_lags, n_columns)
    period : sequence of int
        Months back from as-of.
    n_months : int
        Months back to the first one with spend.

    Returns
    -------
    share : array, shape (n_months, n_columns)
        Row 0 is the last month.
    known : array, shape (n_columns,)
        Share of all the spend that the period needs which is not before the first month.

    Examples
    --------
    >>> share, known = spread_lags(np.array([[0.25], [0.75]]), [1, 2], 2)
    >>> share[:, 0].tolist(), known.tolist()
    ([0.25, 1.0], [0.625])
    """
    n_lags = len(weights)
    full = np.zeros((max(max(period) + n_lags - 1, n_months), weights.shape[1]))
    for month in period:
        full[month - 1 : month - 1 + n_lags] += weights
    share = full[:n_months]
    return share, share.sum(axis=0) / np.maximum(full.sum(axis=0), 1e-300)
