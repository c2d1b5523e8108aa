"""What a new customer costs to win: fully loaded, with the lag from spend to win, by segment, channel and quarter.

CAC of a period = (media + events + tools, each when its leads become customers; salaries of the deals opened in a
month, when those of them that are won are won) / new customers + onboarding and support until live per live customer.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats as distributions

from icp_lib.costs import (
    LAGS,
    MIN_CUSTOMERS,
    MIN_KNOWN,
    YEAR,
    Costs,
    build_costs,
    cost_each,
    count_costs,
    describe_cost,
    draw_cost,
)
from icp_lib.customers import mark_segments
from icp_lib.ledger import CATEGORIES, RULES, SHARED, Ledger, pick_pools

REST = "The rest"
COLUMNS = ["metric", "estimate", "conf_low", "conf_high", "conf_level", "n", "method", "note"]
WITHOUT_SUPPORT = tuple(name for name in CATEGORIES if name != "support")


def name_quarter(quarter: str, back: int) -> str:
    """Return the name of a quarter so many before this one.

    Examples
    --------
    >>> name_quarter("2026-Q1", 1)
    '2025-Q4'
    """
    year, number = divmod(int(quarter[:4]) * 4 + int(quarter[-1]) - 1 - back, 4)
    return f"{year}-Q{number + 1}"


def name_quarters(quarter: str, n: int = 8) -> list[str]:
    """Return the names of the last quarters, this one first."""
    return [name_quarter(quarter, back) for back in range(n)]


def group_segments(accounts: pd.DataFrame, segments: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the offered segments and the rest of the accounts, with who belongs to which.

    Returns
    -------
    groups : DataFrame
        segment_id, segment; last "The rest", where there is a segment.
    masks : array of bool, shape (n_accounts, n_groups)
    """
    masks = mark_segments(accounts, segments)
    groups = segments.reindex(columns=["segment_id", "segment"])
    if len(groups):
        groups = pd.concat([groups, pd.DataFrame({"segment_id": ["rest"], "segment": [REST]})], ignore_index=True)
        masks = np.column_stack([masks, ~masks.any(axis=1)])
    return groups, masks


def group_channels(ledger: Ledger) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the channels by which accounts came in, with who came by which; largest first."""
    channel = ledger.accounts["channel"]
    won = channel.iloc[ledger.customers["account"]].value_counts().reindex(channel.dropna().unique(), fill_value=0)
    names = won.reset_index().sort_values([won.name, won.index.name or "index"], ascending=[False, True]).iloc[:, 0]
    names = names.astype(str).tolist()
    masks = np.column_stack([channel == name for name in names]) if names else np.zeros((len(channel), 0), bool)
    return pd.DataFrame({"segment_id": names, "segment": names}, dtype=object), masks


#: metric -> (lag, categories): the ways in which the table by segment gives a cost.
METRICS_OF = {
    "cac": (LAGS[0], CATEGORIES),
    "cac_without_support": (LAGS[0], WITHOUT_SUPPORT),
    "cac_zero_lag": (LAGS[1], CATEGORIES),
    "cac_all_lagged": (LAGS[2], CATEGORIES),
}


def estimate_by_group(costs: Costs, period=YEAR, metrics=tuple(METRICS_OF)) -> pd.DataFrame:
    """Return what a customer of each group costs to win, with the lag and without: `cac_by_segment`.

    Returns
    -------
    DataFrame
        segment_id, segment, metric, estimate, conf_low, conf_high, conf_level, n (new customers of the period), n_live,
        method, note. No rows without spend.
    """
    columns = ["segment_id", "segment", *COLUMNS[:6], "n_live", *COLUMNS[6:]]
    if not len(costs.ledger.entries):
        return pd.DataFrame(columns=columns)
    rows = []
    for metric in metrics:
        lag, parts = METRICS_OF[metric]
        counted = count_costs(costs, period, lag=lag)
        rows += [named | describe_cost(counted, group, metric, parts) for group, named in enumerate(_names(costs))]
    return pd.DataFrame(rows, columns=columns)


def _names(costs: Costs) -> list[dict]:
    return costs.groups.to_dict("records")


def estimate_by_quarter(costs: Costs, quarter: str, n_quarters: int = 8) -> pd.DataFrame:
    """Return CAC by quarter of the win, with the lag and without, for every group: `cac`.

    Parameters
    ----------
    quarter : str
        This quarter's name, '2026-Q3'.
    n_quarters : int
        How far back; quarters without any known spend are left out.

    Returns
    -------
    DataFrame
        quarter and the columns of `estimate_by_group`; newest quarter first.
    """
    most = min(n_quarters, costs.ledger.n_months // 3)
    parts = [
        estimate_by_group(costs, (3 * back + 1, 3 * back + 2, 3 * back + 3), ("cac", "cac_zero_lag")).assign(
            quarter=name_quarter(quarter, back)
        )
        for back in range(most)
    ]
    empty = estimate_by_group(costs._replace(ledger=costs.ledger._replace(entries=costs.ledger.entries.head(0))))
    table = pd.concat(parts, ignore_index=True) if parts else empty.assign(quarter=pd.Series([], dtype=str))
    return table[["segment_id", "segment", "quarter", *table.columns.drop(["segment_id", "segment", "quarter"])]]


def draw_cac(costs: Costs, period=YEAR) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the fully loaded CAC of every group by the house rule, as it is and in every shared draw.

    Returns
    -------
    keys : DataFrame
        segment_id, segment, n_new (new customers of the period); last "All customers", its id empty.
    cac : array, shape (n_keys, 1 + n_draws)
        `costs.draw_cost`; NaN without spend, without a customer, or where the spend begins too late.
    """
    inside = [month - 1 for month in period if month <= len(costs.won)]
    keys = costs.groups.assign(n_new=costs.won[inside].sum(axis=0)[:, 0].astype(int))
    if not len(costs.ledger.entries):
        return keys, np.full(costs.won.shape[1:], np.nan)
    counted = count_costs(costs, period)
    values = draw_cost(counted)
    return keys, values if counted.known >= MIN_KNOWN else np.full(values.shape, np.nan)


def name_draws(keys: pd.DataFrame, draws: np.ndarray) -> pd.DataFrame:
    """Return draws as `Run.save_draws` keeps them: one row a draw, one column a key, "all" for the company."""
    return pd.DataFrame(draws[:, 1:].T, columns=[key or "all" for key in keys["segment_id"]])


def estimate_channels(ledger: Ledger) -> pd.DataFrame:
    """Return what a customer costs by the channel of its first deal or lead: `cac_by_channel`.

    Returns
    -------
    DataFrame
        channel, and the columns of `estimate_by_group`; most customers first, all of them last.
    """
    table = estimate_by_group(build_costs(ledger, *group_channels(ledger)), metrics=("cac", "cac_zero_lag"))
    return table.drop(columns="segment_id").rename(columns={"segment": "channel"})


def compare_quarters(costs: Costs, before: Costs) -> pd.DataFrame:
    """Compare CAC of the last four quarters with that of the four that ended a quarter earlier: `cac_changes`.

    Both are computed in the same shared draws, so the three quarters that they share do not widen the difference. The
    ranges are widened for the number of groups whose change is told (Bonferroni): together they miss in 5 % at most.

    Returns
    -------
    DataFrame
        segment, cac_before, cac, cac_change with its range, n, reading. Fewer than 20 customers on either side: no
        change is told.
    """
    columns = ["segment", "cac_before", "cac", "cac_change", "cac_change_low", "cac_change_high", "n", "reading"]
    (keys, now), (_, was) = draw_cac(costs), draw_cac(before)
    if not len(costs.ledger.entries) or not len(before.ledger.entries):
        return pd.DataFrame(columns=columns)
    counts = [count_costs(each).won[:, 0] for each in (costs, before)]
    is_told = (np.minimum(*counts) >= MIN_CUSTOMERS) & ~np.isnan(now[:, 0] - was[:, 0])
    tail, rows = 0.025 / max(1, is_told.sum()), []
    for i, name in enumerate(keys["segment"]):
        with np.errstate(invalid="ignore"):  # both infinite: only where nothing is told
            change = now[i] - was[i]
        low = high = np.nan
        reading = f"fewer than {MIN_CUSTOMERS} customers"
        if is_told[i]:
            low, high = np.nanquantile(change[1:], [tail, 1 - tail])
            reading = "dearer" if low > 0 else "cheaper" if high < 0 else "within noise"
        elif np.isnan(change[0]):
            reading = "not known a quarter ago"
        few = np.isnan(low)
        rows.append([name, was[i, 0], now[i, 0], np.nan if few else change[0], low, high, int(counts[0][i]), reading])
    return pd.DataFrame(rows, columns=columns)


def build_statement(costs: Costs, period=YEAR) -> pd.DataFrame:
    """Return the ledger of a period, from what was spent to what its customers cost: `cac_ledger`.

    Returns
    -------
    DataFrame
        One row a category, then the total. spend: the rows of `spend` in the period, to the cent; spend_on_existing
        (audience existing); spend_after_live (support of live customers, and care of companies that were not won);
        spend_moved, the lag: spent earlier for these customers, less what was spent now for later ones; cost_counted =
        spend - spend_on_existing - spend_after_live + spend_moved; cost_uncharged, the part of spend that no rule
        could charge to a segment; cac, cost_counted / n, with its range, n, note.
    """
    columns = ["category", "spend", "spend_on_existing", "spend_after_live", "spend_moved", "cost_counted",
               "cost_uncharged", "cac", "cac_low", "cac_high", "n", "note"]  # fmt: skip
    entries = costs.ledger.entries
    if not len(entries):
        return pd.DataFrame(columns=columns)
    counted, direct = count_costs(costs, period), pick_pools(costs.ledger, "direct")[0]
    inside = entries[entries["ago"].isin(period)]
    direct = direct[direct["ago"].isin(period) & (direct["pool"] < 0)]
    rows = []
    for category in CATEGORIES:
        mine = inside[inside["category"] == category]
        spent, existing, after = mine["amount"].sum(), 0.0, 0.0
        if category in SHARED:
            existing = mine.loc[mine["audience"] == "existing", "amount"].sum()
        else:
            when = costs.care[category][:, -1, 0]
            after = spent - when[[month - 1 for month in period if month <= len(when)]].sum()
        total = (counted.shared | counted.care)[category][-1, 0]
        uncharged = direct.loc[direct["category"] == category, "amount"].sum()
        rows.append([category, spent, existing, after, total - (spent - existing - after), total, uncharged])
    table = pd.DataFrame(rows, columns=columns[:7])
    table.loc[len(table)] = ["fully loaded", *table[columns[1:7]].sum()]
    parts = [(name,) for name in CATEGORIES] + [CATEGORIES]
    each = pd.DataFrame([describe_cost(counted, -1, "cac", names) for names in parts])
    each = each.rename(columns={"estimate": "cac", "conf_low": "cac_low", "conf_high": "cac_high"})
    return pd.concat([table, each[columns[7:]]], axis=1)


def rank_segments(costs: Costs, period=YEAR) -> pd.DataFrame:
    """Rank the segments by every rule and lag: `cac_ranks`.

    Segments with fewer than 20 new customers are not ranked, nor is the rest.

    Returns
    -------
    DataFrame
        segment_id, segment, rule, lag, estimate (CAC), rank (1 is cheapest), is_house, p_first (share of draws in which
        it is cheapest by the house rule). No rows with fewer than two segments to rank.
    """
    columns = ["segment_id", "segment", "rule", "lag", "metric", "estimate", "rank", "is_house", "p_first", "n"]
    if not len(costs.ledger.entries):
        return pd.DataFrame(columns=columns)
    n = count_costs(costs, period).won[:, 0]
    ranked = np.flatnonzero((n >= MIN_CUSTOMERS) & ~costs.groups["segment_id"].isin(["", "rest"]).to_numpy())
    if len(ranked) < 2:
        return pd.DataFrame(columns=columns)
    house, rows = cost_each(count_costs(costs, period))[ranked], []
    drawn = np.where(np.isnan(house[:, 1:]), np.inf, house[:, 1:])
    first = np.bincount(drawn.argmin(axis=0), minlength=len(ranked)) / drawn.shape[1]
    for rule in [rule for rule in RULES if rule in costs.by_month and len(costs.ledger.keys[rule])]:
        for lag in LAGS:
            value = cost_each(count_costs(costs, period, rule, lag))[ranked, 0]
            place = distributions.rankdata(value, method="min").astype(int)
            for i, group in enumerate(ranked):
                named = _names(costs)[group]
                rows.append({**named, "rule": rule, "lag": lag, "metric": "cac", "estimate": value[i], "rank": place[i],
                             "is_house": (rule, lag) == (RULES[0], LAGS[0]), "p_first": first[i],
                             "n": int(n[group])})  # fmt: skip
    return pd.DataFrame(rows, columns=columns)
