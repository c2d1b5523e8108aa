"""The ledger charged to groups of accounts, in the data and in every shared draw: what the customers of a period cost.

CAC of a period = (media + events + tools, each when its leads become customers; salaries of the deals opened in a
month, when those of them that are won are won) / new customers + onboarding and support until live per customer of the
period who is live.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats as distributions

from icp_lib import draws, lags, stats
from icp_lib.checks import check_in
from icp_lib.intervals import calibrate_draws
from icp_lib.ledger import CARE, CATEGORIES, RULES, SHARED, Ledger, pick_pools

#: How the time from spend to win is counted; the first is the house rule.
LAGS = ("by category", "none", "all by the lead")
YEAR = tuple(range(1, 13))
#: Ages of deals in months: a deal that is not won counts as ended after a year, so it can be seen in 13 of them.
N_AGES = 14
MIN_CUSTOMERS, MIN_KNOWN, CONF = 20, 0.95, 0.95
DRAWN, EXACT = "shared draws of accounts", "exact Poisson limits"
ALL = "All customers"


class Costs(NamedTuple):
    """What the ledger says of some groups of accounts; arrays end with (n_groups, 1 + n_draws).

    groups: segment_id, segment. by_month: rule -> category -> (n_months, ...), shared costs when they were spent.
    days: (n_months, n_ages, ...) open days of deals by their age in months; the last age holds all that are older.
    seen_rate: (n_months, 1, 1 + n_draws) share of the days of deals opened in a month that should have come by as-of.
    care: category -> (n_months, ...); care_won, won, live: (n_months, ...) by the month of the win. lag.
    """

    ledger: Ledger
    groups: pd.DataFrame
    masks: np.ndarray
    by_month: dict[str, dict[str, np.ndarray]]
    days: np.ndarray
    seen_rate: np.ndarray
    care: dict[str, np.ndarray]
    care_won: dict[str, np.ndarray]
    won: np.ndarray
    live: np.ndarray
    lag: lags.LagCurve
    deal_lag: lags.LagCurve


def build_costs(ledger: Ledger, groups: pd.DataFrame, masks: np.ndarray, rules=("direct",)) -> Costs:
    """Charge the ledger to groups of accounts, in the data as they are and in every shared draw.

    Parameters
    ----------
    ledger : Ledger
    groups : DataFrame, shape (n_groups, ...)
        segment_id, segment.
    masks : array of bool, shape (n_accounts, n_groups)
    rules : sequence of str
        Of `ledger.RULES`.

    Returns
    -------
    Costs
        With the group of all customers as its last: it bears every cost for winning customers, also what no rule could
        charge to anybody.
    """
    groups = pd.concat([groups[["segment_id", "segment"]], pd.DataFrame({"segment_id": [""], "segment": [ALL]})])
    masks = np.column_stack([masks, np.ones(len(ledger.accounts), bool)])
    n_months, spans, won = ledger.n_months, ledger.spans, ledger.customers
    def total(frame, row, n_rows, amount):
        return _total_by_group(ledger, masks, frame["account"], row, n_rows, amount)

    seen = spans[spans["ago"] <= n_months]
    cell = (seen["ago"] - 1) * N_AGES + np.minimum(seen["opened"] - seen["ago"], N_AGES - 1)
    days = total(seen, cell, n_months * N_AGES, seen["days"])
    care = ledger.care[ledger.care["is_before"]]
    won_ago = won.set_index("account")["ago"].reindex(care["account"]).to_numpy()
    is_live = care["account"].isin(won.loc[won["is_live"], "account"])
    span = int(won["ago"].max()) if len(won) else 0
    care_when, care_won = {}, {}
    for category in CARE:
        mine = (care["category"] == category).to_numpy()
        inside = mine & (care["ago"] <= n_months).to_numpy()
        care_when[category] = total(care[inside], care["ago"][inside] - 1, n_months, care["amount"][inside])
        mine = mine & is_live.to_numpy()
        care_won[category] = total(care[mine], won_ago[mine].astype(int) - 1, span, care["amount"][mine])
    live = won[won["is_live"]]
    return Costs(
        ledger=ledger,
        groups=groups.reset_index(drop=True),
        masks=masks,
        by_month={rule: _shared_by_month(ledger, masks, check_in(rule, RULES, "rule")) for rule in rules},
        days=days.reshape(n_months, N_AGES, *days.shape[1:]),
        seen_rate=_find_seen(ledger, n_months),
        care=care_when,
        care_won=care_won,
        won=total(won, won["ago"] - 1, span, np.ones(len(won))),
        live=total(live, live["ago"] - 1, span, np.ones(len(live))),
        lag=lags.estimate_lag(ledger),
        deal_lag=lags.estimate_deal_lag(ledger),
    )


def _find_seen(ledger: Ledger, n_months: int) -> np.ndarray:
    """Share of a deal's open days that have come by as-of, by the month it was opened in: (n_months, 1, n_columns).

    From the mean open days at each age over all deals that can have reached it, as for any sum of monthly means.
    """
    spans, deals, family = ledger.spans, ledger.deals, ledger.accounts["family"].to_numpy()
    age = np.minimum(spans["opened"] - spans["ago"], N_AGES - 1)
    at_age = draws.sum_draws(age, family[spans["account"]], spans["days"], N_AGES, ledger.weights)
    oldest = np.minimum(deals["opened"].to_numpy(int) - 1, N_AGES - 1)
    reached = draws.sum_draws(oldest, family[deals["account"]], np.ones(len(deals)), N_AGES, ledger.weights)
    mean = _ratio(at_age, reached[::-1].cumsum(axis=0)[::-1])
    by_age = np.cumsum(mean, axis=0)
    share = _ratio(by_age, by_age[-1:])
    return share[np.minimum(np.arange(n_months), N_AGES - 1)][:, None]


def _total_by_group(ledger: Ledger, masks, account, row, n_rows: int, amount) -> np.ndarray:
    """Totals by row and group, shape (n_rows, n_groups, 1 + n_draws)."""
    account, row, amount = (np.asarray(each) for each in (account, row, amount))
    family, n_groups = ledger.accounts["family"].to_numpy()[account], masks.shape[1]
    at, group = np.nonzero(masks[account])  # all groups at once: the weights are made numbers once
    place = row[at].astype(int) * n_groups + group
    total = draws.sum_draws(place, family[at], amount[at], n_rows * n_groups, ledger.weights)
    return total.reshape(n_rows, n_groups, total.shape[1])


def _shared_by_month(ledger: Ledger, masks: np.ndarray, rule: str) -> dict[str, np.ndarray]:
    """Shared costs by category, in the month of spend, charged by a rule; the last group bears all of them."""
    entries, keys = pick_pools(ledger, rule)
    n_pools = 1 + int(np.max(np.append(entries["pool"], keys["pool"]), initial=0))
    by_pool = _total_by_group(ledger, masks, keys["account"], keys["pool"], n_pools, keys["amount"])
    whole = by_pool[:, -1:]
    # a draw without any lead of a pool does not know who bore its cost: it stays with those who did
    share = np.where(whole > 0, _ratio(by_pool, whole), _ratio(by_pool[..., :1], whole[..., :1]))
    n_months, costs = ledger.n_months, {}
    for category in SHARED:
        mine = entries[entries["category"] == category]
        put = np.zeros((n_months, n_pools))
        charged = mine[mine["pool"] >= 0]
        np.add.at(put, (charged["ago"] - 1, charged["pool"]), charged["amount"])
        costs[category] = np.einsum("mp,pgd->mgd", put, share)
        costs[category][:, -1] = np.bincount(mine["ago"] - 1, mine["amount"], n_months)[:, None]
    return costs


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below, 0 where there is nothing to divide by."""
    below = np.broadcast_to(below, above.shape)
    return np.divide(above, below, out=np.zeros(above.shape), where=below > 0)


class Counted(NamedTuple):
    """Costs of a period's customers: categories -> (n_groups, 1 + n_draws); customers; share of spend that is known."""

    shared: dict[str, np.ndarray]
    care: dict[str, np.ndarray]
    won: np.ndarray
    n_live: np.ndarray
    known: float


def count_costs(costs: Costs, period=YEAR, rule: str = "direct", lag: str = "by category") -> Counted:
    """Return what the customers of a period cost, by category.

    Parameters
    ----------
    costs : Costs
    period : sequence of int
        Whole quarters, as months back from as-of: 1, 2, 3 are the last quarter.
    rule : {'direct', 'opportunities', 'touches', 'open days'}
    lag : {'by category', 'none', 'all by the lead'}
        'none' divides a period's spend by the period's customers; 'all by the lead' moves every category as media.

    Returns
    -------
    Counted
        `care` is per live customer x customers where the lag is by category, so the sum of both over `won` is CAC.
    """
    check_in(lag, LAGS, "lag")
    n_months, by_month = costs.ledger.n_months, costs.by_month[rule]
    inside = np.array([month - 1 for month in period])
    won, live = (_pick(each, inside) for each in (costs.won, costs.live))
    if lag == "none":
        share, known = np.zeros((n_months, 1)), np.array([(inside < n_months).mean()])
        share[inside[inside < n_months]] = 1.0
    else:
        share, known = lags.spread_lags(costs.lag.weights, period, n_months)
        share = share / np.maximum(known, 1e-9)
    shared = {name: np.einsum("md,mgd->gd", np.broadcast_to(share, (n_months, won.shape[1])), by_month[name])
              for name in SHARED}  # fmt: skip
    if lag != "by category":
        care = {name: np.einsum("md,mgd->gd", np.broadcast_to(share, (n_months, won.shape[1])), costs.care[name])
                for name in CARE}  # fmt: skip
        return Counted(shared, care, won, live, float(known[0]))
    shared["salaries"], paid = _count_salaries(costs, period, rule)
    care = {name: count_care(_pick(costs.care_won[name], inside), live, won, costs.care_won[name]) for name in CARE}
    return Counted(shared, care, won, live, float(min(known[0], paid)))


def count_care(cost: np.ndarray, live: np.ndarray, won: np.ndarray, ever: np.ndarray) -> np.ndarray:
    """Return cost per live customer x customers; NaN where none is live yet and the company has such costs.

    A draw without a live customer takes the cost of one in the data.

    Parameters
    ----------
    cost, live, won : array of float, shape (n_groups, 1 + n_draws)
        Onboarding or support of live customers, live customers, customers.
    ever : array
        Such costs of all time.
    """
    each = np.where(live > 0, _ratio(cost, live), _ratio(cost, live)[:, :1])
    return np.where((live[:, :1] > 0) | (not ever.any()), each * won, np.nan)


def _pick(by_month: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Sum of some months, those beyond the first one being empty."""
    return by_month[inside[inside < len(by_month)]].sum(axis=0)


def _count_salaries(costs: Costs, period, rule: str) -> tuple[np.ndarray, float]:
    """Salaries of the deals whose wins came in the period, lost deals of the same months included.

    Each month's salaries are split over the days on which deals were open. All deals opened in a month bear theirs
    together, and they count when those of them that are won are won: as the lag from opening to win says. What a young
    month's deals have still to cost is added in proportion to the days that they have still to be open. By open days a
    group has the salaries of its own deals; by another rule its share of each month's salaries. A month without any
    open deal counts for the customers of that month.
    """
    salaries, every = costs.by_month[rule]["salaries"], costs.days.sum(axis=1)[:, -1:]
    n_months, n_columns = salaries.shape[0], salaries.shape[2]
    share, known = lags.spread_lags(costs.deal_lag.weights, period, n_months)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(costs.seen_rate[:, 0] > 0, share / np.maximum(known, 1e-9) / costs.seen_rate[:, 0], 0.0)
    moved = np.zeros((n_months, costs.days.shape[2], n_columns))  # of a month's days, what counts for the period
    for age in range(min(N_AGES, n_months)):
        moved[: n_months - age] += costs.days[: n_months - age, age] * factor[age:, None]
    part = _ratio(moved, every)
    if rule in ("direct", "open days"):
        counted = np.einsum("mgd,md->gd", part, salaries[:, -1])
    else:
        counted = np.einsum("md,mgd->gd", part[:, -1], salaries)
    empty = every[:, 0] == 0
    idle = np.array([month - 1 for month in period if month <= n_months], int)
    counted[-1] += (salaries[idle, -1] * empty[idle]).sum(axis=0)
    return counted, float(known[0])


def cost_each(counted: Counted, parts=(*SHARED, *CARE)) -> np.ndarray:
    """Cost per new customer of the named categories, shape (n_groups, 1 + n_draws); NaN without a customer."""
    whole = counted.shared | counted.care
    total = sum(whole[name] for name in parts)
    return np.divide(total, counted.won, out=np.full(total.shape, np.nan), where=counted.won > 0)


def estimate_cost(counted: Counted, group: int, parts=CATEGORIES) -> tuple[stats.Estimate, str]:
    """Return a group's cost per new customer with its interval, and how the interval was made.

    Spend is constant. From 20 customers on, what is charged, the lags and the customers vary with the shared draws,
    studentised: the error of a draw is its cost over the root of its customers. Below, the number of customers has
    exact Poisson limits, onboarding and support of one customer Student's t limits with the draws' standard error, and
    the limits of both are joined as those of a sum of two independent estimates.

    References
    ----------
    Garwood (1936), Biometrika 28, for the limits of a Poisson mean; Zou and Donner (2008), Statistics in Medicine 27,
    1693-1702, for those of a sum.
    """
    value, n = cost_each(counted, parts)[group], counted.won[group, 0]
    tail = (1 - CONF) / 2
    if np.isnan(value[0]) and n:
        return stats.Estimate(np.nan, np.nan, np.nan), ""
    if n >= MIN_CUSTOMERS:
        low, high = np.nanquantile(_studentise(value, counted.won[group])[1:], [tail, 1 - tail])
        return stats.Estimate(value[0], low, high), DRAWN
    return stats.Estimate(value[0], *_limit_few(counted, group, parts, tail)), EXACT


def _studentise(value: np.ndarray, won: np.ndarray) -> np.ndarray:
    """Draws of a cost per new customer, shape (1 + n_draws,), moved to the bootstrap-t interval."""
    return calibrate_draws(value, value / np.sqrt(np.where(won > 0, won, np.nan)), won[0])


def _limit_few(counted: Counted, group: int, parts, tail) -> tuple:
    """Both limits of a cost per new customer where few are new, each with the chance `tail` beyond it."""
    value, n = cost_each(counted, parts)[group], counted.won[group, 0]
    shared = sum((counted.shared[name][group, 0] for name in parts if name in SHARED), 0.0)
    most = distributions.chi2.ppf(1 - tail, 2 * n + 2) / 2
    if not n:
        return shared / most, np.inf
    fewest = distributions.chi2.ppf(tail, 2 * n) / 2
    care = sum((counted.care[name][group] for name in parts if name in CARE), np.zeros(len(value)))
    each = care / np.where(counted.won[group] > 0, counted.won[group], np.nan)
    error, n_live = np.nanstd(each[1:]), counted.n_live[group, 0]
    half = 0.0 if not each[0] else np.inf
    if n_live > 1:
        half = distributions.t.ppf(1 - tail, n_live - 1) * error
    down, up = shared / n - shared / most, shared / fewest - shared / n
    return value[0] - np.hypot(down, np.minimum(half, each[0])), value[0] + np.hypot(up, half)


def draw_cost(counted: Counted) -> np.ndarray:
    """Return every group's cost per new customer in every draw, with the limits of `estimate_cost` as its quantiles.

    A draw in which nobody was won costs more than anything: it is infinite, never left out. Below 20 customers the
    limits of `estimate_cost` at evenly spaced levels are put in the place of the plain draws in order of size, so who
    is dear in which draw stays.

    Returns
    -------
    array, shape (n_groups, 1 + n_draws)
        NaN where the cost is not known.

    Examples
    --------
    A plain draw without a customer takes the upper of the limits of two customers, not the place of a missing value:

    >>> won, none = np.array([[2.0, 0.0, 4.0]]), np.zeros((1, 3))
    >>> parts = [{name: none for name in names} for names in (SHARED, CARE)]
    >>> counted = Counted(parts[0] | {"media": none + 180}, parts[1], won, won, 1.0)
    >>> draw_cost(counted).round().tolist()
    [[90.0, 187.0, 46.0]]
    """
    value = cost_each(counted)
    is_known = ~np.isnan(value[:, 0])
    is_few = counted.won[:, 0] < MIN_CUSTOMERS
    for group in np.flatnonzero(is_known & ~is_few):
        value[group] = _studentise(value[group], counted.won[group])
    value = np.where(is_known[:, None] & (counted.won == 0), np.inf, value)
    level = (np.arange(value.shape[1] - 1) + 0.5) / max(1, value.shape[1] - 1)
    for group in np.flatnonzero(is_known & is_few):
        low, high = _limit_few(counted, group, CATEGORIES, np.minimum(level, 1 - level))
        order = np.argsort(np.argsort(value[group, 1:], kind="stable"), kind="stable")
        value[group, 1:] = np.where(level < 0.5, low, high)[order]
    return value


def describe_cost(counted: Counted, group: int, metric: str, parts=CATEGORIES) -> dict:
    """Return a group's cost as columns of a result table; NaN with a note where too little of the money is known."""
    found, method = estimate_cost(counted, group, parts)
    n, live = int(counted.won[group, 0]), int(counted.n_live[group, 0])
    notes = []
    if n < MIN_CUSTOMERS:
        notes.append(f"{n} new customers, fewer than {MIN_CUSTOMERS}" if n else "No new customer")
    if 0 < live < n:
        notes.append(f"{n - live} not live yet")
    if n and not live and np.isnan(found.value):
        notes.append("None is live yet, so onboarding is not known")
    row = {"metric": metric, "estimate": found.value, "conf_low": found.low, "conf_high": found.high}
    row |= {"conf_level": CONF, "n": n, "n_live": live, "method": method}
    if counted.known < MIN_KNOWN:
        row |= {"estimate": np.nan, "conf_low": np.nan, "conf_high": np.nan}
        notes = [f"Only {counted.known:.0%} of the money behind these customers is in spend: it begins too late"]
    return row | {"note": ". ".join(notes)}
