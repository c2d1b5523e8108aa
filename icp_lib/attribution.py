"""Which channels get the credit for customers won, under several rules (notebook 03). Credit is not cause."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd
from scipy import stats as distributions

from icp_lib import stats
from icp_lib.credits import (
    EQUAL,
    FIRST,
    LAST,
    MARKOV,
    RULES,
    W,
    credit_journeys,
    list_steps,
    measure_removal,
    sum_spend,
)
from icp_lib.customers import mark_segments
from icp_lib.draws import draw_weights, sum_draws
from icp_lib.intervals import estimate_draws

#: Customers with a known path that a group needs: with fewer, one of them moves a share by more than 3 points.
MIN_CUSTOMERS = 30
#: Below so many customers credited, limits are those of a Poisson count.
FEW = 20
COVERAGE = ["segment_id", "segment", "n", "touched_rate", "path_rate", "path_rate_low", "path_rate_high", "staged_rate",
            "unnamed_rate", "note"]  # fmt: skip
RULE_COLUMNS = ["segment", "channel", "share_rate", "share_rate_low", "share_rate_high", "least_rate",
                "least_rule", "most_rate", "most_rule", "n_first", "n_rules", "n", "n_credited", "cost",
                "cost_per_customer", "cost_per_customer_low", "cost_per_customer_high", "cost_per_customer_least",
                "cost_per_customer_most", "note"]  # fmt: skip
EVERYBODY = "All customers"
UNMET, NONE_CREDITED = "No touch and no lead has this channel", "No customer is credited to it under this rule"
NO_SPEND = "No spend is booked on this channel"
COLUMNS = ["segment_id", "segment", "rule", "channel", "estimate", "share_rate", "share_rate_low", "share_rate_high",
           "n", "cost", "cost_per_customer", "cost_per_customer_low", "cost_per_customer_high", "note"]  # fmt: skip


def estimate_attribution(
    journeys: pd.DataFrame,
    accounts: pd.DataFrame,
    segments: pd.DataFrame,
    spend: pd.DataFrame,
    *,
    cutoff: datetime,
    min_customers: int = MIN_CUSTOMERS,
    n_draws: int = 1000,
) -> pd.DataFrame:
    """Credit channels with the customers won, under every rule, for the company and each offered segment.

    Customers are accounts that won one of the deals followed (`journeys.build_journeys`) with a channel on record. The
    credits of each rule add up to them. Ranges are quantiles of shared draws of families: noise of who happened to
    buy; what a rule means is not in them.

    Cost is media and events of the channel from the first month with spend up to the last deal followed; the cost per
    credited customer takes the credit for the customers whose deals were opened in these months, shared out among the
    journeys of these months, so a channel is not charged for years in which it was not there. It is for the company
    alone, because what a channel spent on one segment is not on record.

    Parameters
    ----------
    journeys : DataFrame
        `journeys.build_journeys`.
    accounts : DataFrame
        The account table; journeys of other accounts do not count.
    segments : DataFrame
        segment_id, segment, conditions; may have no rows.
    spend : DataFrame
        Cut at the quarter's end: month, category, amount, channel; may have no rows.
    cutoff : datetime
        The first moment after as-of, naive UTC.
    min_customers : int
        A group with fewer gets one row without figures, with the count in its note.
    n_draws : int

    Returns
    -------
    DataFrame
        `attribution`, one row a group, rule and channel: estimate (customers credited), share_rate of them with its
        range, n (customers of the group), cost, cost_per_customer with its range (in the draws the customers vary, what
        was spent does not), note. Where fewer than 20 customers stand behind
        a credit, limits are exact: binomial for the share, Poisson for the cost. Groups in the order given, rules in
        that of `RULES`, channels by their equal split in the company. A channel with spend that nobody met stays, with
        0 customers. Without any journey that has a path: no rows.
    """
    known = journeys[journeys["path"].str.len() > 0].merge(accounts[["account_id", "family_id"]], on="account_id")
    if not known["is_won"].any():
        return pd.DataFrame(columns=COLUMNS)
    costs, since = sum_spend(spend, cutoff)
    channels = sorted({channel for path in known["path"] for channel in path})
    family, families = pd.factorize(known["family_id"])
    weights, entries, is_won = draw_weights(families, n_draws), _list_entries(known, channels), known["is_won"]
    of_spend = (known["deal_at"].isna() | (known["deal_at"] >= since)).to_numpy()
    in_time = is_won.to_numpy() & of_spend
    bought = sum_draws(np.zeros(in_time.sum(), int), family[in_time], np.ones(in_time.sum()), 1, weights)[0]
    tables = []
    for key, name, mask in _list_groups(known, accounts, segments):
        n = int(is_won[mask].sum())
        table = pd.DataFrame({"note": [f"{n:,} won of the {min_customers:,} needed"]})
        if n >= min_customers:
            shares = _draw_shares(entries, mask, family, weights, len(channels))
            behind = _count_behind(entries, mask, len(channels))
            parts, paid, paid_behind = [], shares, behind
            if not key and len(costs):
                paid = _draw_shares(entries, of_spend, family, weights, len(channels))
                paid_behind = _count_behind(entries, of_spend, len(channels))
            for rule in [rule for rule in RULES if rule != W or _has_stages(known[mask])]:
                parts.append(_estimate_shares(rule, channels, shares[rule], n, behind[rule]))
                if not key:
                    credited = np.nan_to_num(paid[rule] * bought)
                    cost = _estimate_cost(credited, costs.reindex(channels), paid_behind[rule])
                    parts[-1] = pd.concat([parts[-1], cost], axis=1)
            table = pd.concat(parts) if key else _add_unmet(pd.concat(parts), costs)
        tables.append(table.assign(segment_id=key, segment=name, n=n))
    return _sort(pd.concat(tables)).reindex(columns=COLUMNS)


def _list_groups(known: pd.DataFrame, accounts: pd.DataFrame, segments: pd.DataFrame) -> list[tuple]:
    """Return (segment_id, segment, which journeys) of the company and of each segment."""
    place = pd.Index(accounts["account_id"]).get_indexer(known["account_id"])
    marks = mark_segments(accounts, segments)[place].T
    named = zip(segments["segment_id"], segments["segment"], marks, strict=True) if len(marks) else ()
    return [("", EVERYBODY, np.ones(len(known), bool)), *named]


def _list_entries(known: pd.DataFrame, channels: list[str]) -> tuple[np.ndarray, ...]:
    """Return (row, journey, amount): credits by rule and channel, then steps; what is not 0 only."""
    k, row, journey, amount = len(channels), [], [], []
    for number, credit in enumerate(credit_journeys(known, channels).values()):
        who, channel = np.nonzero(credit)
        row.append(number * k + channel)
        journey.append(who)
        amount.append(credit[who, channel])
    who, step = list_steps(known, channels)
    row, journey, amount = [*row, 4 * k + step], [*journey, who], [*amount, np.ones(len(who))]
    return np.concatenate(row), np.concatenate(journey), np.concatenate(amount)


def _draw_shares(entries: tuple, mask: np.ndarray, family: np.ndarray, weights: np.ndarray, k: int) -> dict:
    """Return each rule's share of credit by channel, shape (k, 1 + n_draws), in the order of `RULES`."""
    row, journey, amount = entries
    keep = mask[journey]
    n_rows = 4 * k + (k + 1) * (k + 2)
    totals = sum_draws(row[keep], family[journey[keep]], amount[keep], n_rows, weights)
    credit = dict(zip((FIRST, LAST, EQUAL, W), totals[: 4 * k].reshape(4, k, -1), strict=True))
    credit[MARKOV] = measure_removal(totals[4 * k :].T).T
    with np.errstate(invalid="ignore"):
        return {rule: credit[rule] / credit[rule].sum(axis=0) for rule in RULES}


def _count_behind(entries: tuple, mask: np.ndarray, k: int) -> dict:
    """How many customers stand behind each rule's credit: (sum c)^2 / sum c^2, the count where each c is 0 or 1.

    The removal effect of a channel rests on the walks that come to it, so on as many as its equal split.
    """
    row, journey, amount = entries
    keep = mask[journey] & (row < 4 * k)
    sums, squares = (np.bincount(row[keep], amount[keep] ** power, 4 * k).reshape(4, k) for power in (1, 2))
    behind = np.divide(sums**2, squares, out=np.zeros(sums.shape), where=squares > 0)
    behind = dict(zip((FIRST, LAST, EQUAL, W), behind, strict=True))
    return behind | {MARKOV: behind[EQUAL]}


def _has_stages(known: pd.DataFrame) -> bool:
    """Whether at least half of the customers have a lead and a deal that began after the first touch."""
    won = known[known["is_won"]]
    return bool(((won["lead_visit"] > 0) & (won["deal_visit"] > 0)).mean() >= 0.5)


def _estimate_shares(rule: str, channels: list[str], share: np.ndarray, n: int, n_behind: np.ndarray) -> pd.DataFrame:
    """Customers credited and their share, with ranges; exact binomial limits where few customers stand behind it."""
    rows = np.array([estimate_draws(draws)[:3] for draws in share])
    value = share[:, 0]
    n_of = np.maximum(np.where(value > 0, n_behind / np.maximum(value, 1e-12), n), n_behind)
    low = distributions.beta.ppf(0.025, np.maximum(n_behind, 1e-9), n_of - n_behind + 1)
    high = distributions.beta.ppf(0.975, n_behind + 1, np.maximum(n_of - n_behind, 1e-9))
    is_few = n_behind < FEW
    return pd.DataFrame({
        "rule": rule, "channel": channels, "estimate": value * n, "share_rate": value,
        "share_rate_low": np.where(is_few, np.where(n_behind > 0, low, 0.0), rows[:, 1]),
        "share_rate_high": np.where(is_few, high, rows[:, 2]),
    })  # fmt: skip


def _estimate_cost(credited: np.ndarray, cost: pd.Series, n_behind: np.ndarray) -> pd.DataFrame:
    """Cost of each channel, and per customer credited in the months of the spend; Poisson limits where few are behind.

    `credited` customers, shape (k, 1 + n_draws), with `n_behind` behind the credit.
    """
    money = cost.to_numpy(float)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.where(credited > 0, money / credited, np.where(np.isnan(money), np.nan, np.inf))
        limits = distributions.gamma.ppf(0.975, n_behind + 1), distributions.gamma.ppf(0.025, n_behind)
        few = np.column_stack([money[:, 0] / credited[:, 0] * n_behind / limit for limit in limits])
    rows = np.array([estimate_draws(draws)[:3] for draws in each])
    rows[:, 1:] = np.where((n_behind < FEW)[:, None], few, rows[:, 1:])
    rows[credited[:, 0] <= 0] = np.nan
    note = np.where(
        cost.notna(), np.where(credited[:, 0] > 0, "", NONE_CREDITED), NO_SPEND if cost.notna().any() else ""
    )
    return pd.DataFrame(rows, columns=COLUMNS[10:13]).assign(cost=cost.to_numpy(float), note=note)


def _add_unmet(table: pd.DataFrame, costs: pd.Series) -> pd.DataFrame:
    """Add the channels that cost money and that nobody met."""
    unmet = [channel for channel in costs.index if channel not in set(table["channel"])]
    rows = [
        {"rule": rule, "channel": channel, "estimate": 0.0, "share_rate": 0.0, "cost": costs[channel], "note": UNMET}
        for rule in table["rule"].unique()
        for channel in unmet
    ]
    return pd.concat([table, pd.DataFrame(rows)]) if rows else table


def _sort(table: pd.DataFrame) -> pd.DataFrame:
    """Groups as they came, rules as in `RULES`, channels by the company's equal split."""
    if "rule" not in table:
        return table.reset_index(drop=True)
    house = table[(table["segment_id"] == "") & (table["rule"] == EQUAL)].set_index("channel")["share_rate"]
    keys = pd.DataFrame({
        "group": pd.factorize(table["segment_id"])[0],
        "rule": pd.Categorical(table["rule"], RULES).codes,
        "share": -table["channel"].map(house).to_numpy(float),
        "channel": table["channel"].fillna("").to_numpy(),
    })  # fmt: skip
    return table.iloc[keys.sort_values(["group", "rule", "share", "channel"], kind="stable").index].reset_index(
        drop=True
    )


def estimate_coverage(journeys: pd.DataFrame, accounts: pd.DataFrame, segments: pd.DataFrame) -> pd.DataFrame:
    """Share of customers whose channels are on record: what attribution cannot see.

    Parameters
    ----------
    journeys, accounts, segments
        See `estimate_attribution`.

    Returns
    -------
    DataFrame
        `attribution_coverage`, one row a group: n (customers whose deals were followed), touched_rate (with a touch or
        a lead), path_rate (with a known channel, so with a path) and its range, staged_rate (with a first touch, a lead
        and a deal in this order, as W asks), unnamed_rate (touches without a channel), note. Without any touch or lead:
        no rows, because nothing was recorded.
    """
    known = journeys.merge(accounts[["account_id", "family_id"]], on="account_id")
    if not known["n_touches"].sum():
        return pd.DataFrame(columns=COVERAGE)
    rows = []
    for key, name, mask in _list_groups(known, accounts, segments):
        won = known[mask & known["is_won"]]
        has_path = (won["path"].str.len() > 0).to_numpy(bool)
        share = stats.estimate_proportion(has_path, pd.factorize(won["family_id"])[0])
        staged = (won["lead_visit"] > 0) & (won["deal_visit"] > 0)
        n_touches = won["n_touches"].sum()
        rows.append({
            "segment_id": key, "segment": name, "n": len(won), "touched_rate": (won["n_touches"] > 0).mean(),
            "path_rate": share.value, "path_rate_low": share.low, "path_rate_high": share.high,
            "staged_rate": staged.mean(),
            "unnamed_rate": won["n_touches_unnamed"].sum() / n_touches if n_touches else np.nan,
            "note": "" if len(won) else "No customer whose deal was followed",
        })  # fmt: skip
    return pd.DataFrame(rows, columns=COVERAGE)


def compare_rules(attribution: pd.DataFrame, segment_id: str = "") -> pd.DataFrame:
    """Set the rules side by side: what each channel gets under the house rule, and the least and most under any.

    Parameters
    ----------
    attribution : DataFrame
        `attribution`.
    segment_id : str
        One group; "" is the company.

    Returns
    -------
    DataFrame
        `attribution_rules`, one row a channel, in the order of its equal split: share_rate with its range (equal
        split), least_rate and most_rate over the rules and least_rule, most_rule; n_first, under
        how many rules the channel comes first, n_rules; n; n_credited, the customers credited to it (equal split);
        cost_per_customer with its range (equal split), and lowest and highest of all rules; note.
    """
    table = attribution[(attribution["segment_id"].fillna("") == segment_id) & attribution["channel"].notna()]
    if table.empty:
        return pd.DataFrame(columns=RULE_COLUMNS)
    shares = table.pivot(index="channel", columns="rule", values="share_rate")
    costs = table.pivot(index="channel", columns="rule", values="cost_per_customer")
    house = table[table["rule"] == EQUAL].set_index("channel")
    shares, costs = shares.loc[house.index], costs.loc[house.index]
    n_first = shares.eq(shares.max()).sum(axis=1)
    spread = pd.DataFrame({
        "least_rate": shares.min(axis=1), "least_rule": shares.idxmin(axis=1),
        "most_rate": shares.max(axis=1), "most_rule": shares.idxmax(axis=1), "n_first": n_first,
        "n_rules": shares.shape[1], "n_credited": house["estimate"], "cost_per_customer_least": costs.min(axis=1),
        "cost_per_customer_most": costs.max(axis=1),
    })  # fmt: skip
    both = pd.concat([house, spread], axis=1).reset_index()
    return both.sort_values("share_rate", ascending=False, kind="stable", ignore_index=True).reindex(
        columns=RULE_COLUMNS
    )


def pick_rules(rules: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of `compare_rules` that a reader compares; costs only where spend by channel is known.

    The range of a cost is the lowest and the highest of all rules: far wider than what luck leaves under one of them.
    """
    columns = ["channel", "share_rate", "share_rate_low", "share_rate_high", "least_rate", "most_rate", "n_credited"]
    table, name = rules[[*columns, "note"]], "cost_per_customer"
    if rules[name].notna().any():
        ends = {f"{name}_low": rules[f"{name}_least"], f"{name}_high": rules[f"{name}_most"]}
        table = table.assign(cost=rules["cost"], **{name: rules[name]}, **ends)
    return table


def is_conserved(attribution: pd.DataFrame) -> bool:
    """Whether the credits of every rule add up to the customers of its group.

    Examples
    --------
    >>> is_conserved(pd.DataFrame({"segment_id": ["", ""], "rule": "Last touch", "channel": ["Fair", "Phone"],
    ...                            "estimate": [1.5, 2.5], "n": 4}))
    True
    """
    credited = attribution[attribution["channel"].notna()]
    sums = credited.groupby(["segment_id", "rule"]).agg(estimate=("estimate", "sum"), n=("n", "first"))
    return bool(np.allclose(sums["estimate"], sums["n"].astype(float), rtol=1e-9))
