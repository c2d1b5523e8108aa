"""Which channels get the credit for customers won, under several rules (notebook 03). Credit is not cause."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd
from scipy import stats as distributions

from icp_lib.customers import mark_segments
from icp_lib.draws import draw_weights, sum_draws
from icp_lib.intervals import estimate_draws
from icp_lib.value import months_before

#: Customers with a known path, at least so many for a group to be shown: below, the ranges hold too seldom.
MIN_CUSTOMERS = 30
#: Below so many customers credited, limits are those of a Poisson count.
FEW = 20
#: Months before as-of in which deals are still followed, so neither they nor what was spent then count.
FOLLOWED_MONTHS = 12
FIRST, LAST, EQUAL, MARKOV, W = "First touch", "Last touch", "Equal split", "Markov removal", "W-shaped"
RULES = (FIRST, LAST, EQUAL, MARKOV, W)
#: Shares of W: first visit, visit in which the lead came in, in which the deal was opened, all others together.
W_SHARES = (0.3, 0.3, 0.3, 0.1)
EVERYBODY = "All customers"
UNMET, NONE_CREDITED = "No touch and no lead has this channel", "No customer is credited to it under this rule"
NO_SPEND = "No spend is booked on this channel"
COLUMNS = ["segment_id", "segment", "rule", "channel", "estimate", "share_rate", "share_rate_low", "share_rate_high",
           "n", "cost", "cost_per_customer", "cost_per_customer_low", "cost_per_customer_high", "note"]  # fmt: skip


def credit_journeys(journeys: pd.DataFrame, channels: list[str]) -> dict[str, np.ndarray]:
    """Split each won journey's customer over the channels of its path, by every rule that looks at one journey.

    - First touch, Last touch: all to the first or the last channel visited.
    - Equal split: evenly over the distinct channels. This is the Shapley value of the game in which channels work
      together and v(S) counts the customers whose channels all lie in S.
    - W-shaped: 30 % each to the first visit, the visit in which the lead came in and the one in which the deal was
      opened, 10 % evenly over the others; what a journey does not have is shared by what it has, in proportion. The
      shares are a convention of attribution software, not an estimate.

    Parameters
    ----------
    journeys : DataFrame, shape (n, ...)
        `journeys.build_journeys`.
    channels : list of str, length k
        All that stand in a path.

    Returns
    -------
    dict
        Rule -> array of float, shape (n, k): rows of journeys that were won, with a path, add up to 1, others to 0.

    References
    ----------
    Shapley (1953), A value for n-person games: each won journey is a unanimity game of its channels, whose value is
    split evenly among them, and the value is additive over games.

    Examples
    --------
    >>> one = pd.DataFrame({"path": [["Fair", "Phone", "Fair"]], "is_won": [True], "lead_visit": [1],
    ...                     "deal_visit": [2]})
    >>> {rule: credit.round(3).tolist()[0] for rule, credit in credit_journeys(one, ["Fair", "Phone"]).items()}
    {'First touch': [1.0, 0.0], 'Last touch': [1.0, 0.0], 'Equal split': [0.5, 0.5], 'W-shaped': [0.7, 0.3]}
    """
    journey, channel, place, length = _flatten(journeys, channels)
    shape, won = (len(journeys), len(channels)), journeys["is_won"].to_numpy(bool)[journey]
    journey, channel, place, length = journey[won], channel[won], place[won], length[won]

    def spread(share: np.ndarray) -> np.ndarray:
        return np.bincount(journey * shape[1] + channel, share, np.prod(shape)).reshape(shape)

    met = spread(np.ones(len(journey))) > 0
    equal = met / np.maximum(met.sum(axis=1, keepdims=True), 1)
    return {
        FIRST: spread((place == 0).astype(float)),
        LAST: spread((place == length - 1).astype(float)),
        EQUAL: equal,
        W: spread(_share_w(journeys, journey, place, length)),
    }


def _flatten(journeys: pd.DataFrame, channels: list[str]) -> tuple[np.ndarray, ...]:
    """Return one entry a visit: its journey, its channel, its place from 0, and the journey's length."""
    lengths = journeys["path"].str.len().to_numpy(np.int64)
    journey = np.repeat(np.arange(len(lengths)), lengths)
    visited = [channel for path in journeys["path"] for channel in path]
    channel = pd.Index(channels).get_indexer(visited)
    place = np.arange(len(journey)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return journey, channel, place, lengths[journey]


def _share_w(journeys: pd.DataFrame, journey: np.ndarray, place: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The share of each visit under W; the three moments may fall into one visit, which then has all their shares."""
    marks = [place == 0, *(place == journeys[name].to_numpy()[journey] - 1 for name in ("lead_visit", "deal_visit"))]
    rest = ~np.any(marks, axis=0)
    share = sum(part * mark for part, mark in zip(W_SHARES, marks, strict=False))
    count = np.bincount(journey, rest, len(journeys))[journey]
    share = share + np.where(rest, W_SHARES[3] / np.maximum(count, 1), 0.0)
    return share / np.bincount(journey, share, len(journeys))[journey]


def list_steps(journeys: pd.DataFrame, channels: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """List the steps of all journeys between start, channels, customer and none.

    Parameters
    ----------
    journeys, channels
        See `credit_journeys`; a journey without a path has no steps.

    Returns
    -------
    journey : array of int, shape (n_steps,)
        Position of the journey.
    step : array of int, shape (n_steps,)
        Place in the matrix from-to, by rows: from k channels and the start (last), to k channels, a customer, none.
        Steps within one channel are not listed: they change no removal effect.
    """
    k = len(channels)
    journey, channel, place, length = _flatten(journeys, channels)
    before = np.where(place == 0, k, np.append(k, channel)[: len(channel)])
    is_moved, is_end = before != channel, place == length - 1
    end = np.where(journeys["is_won"].to_numpy(bool)[journey[is_end]], k, k + 1)
    step = np.append((before * (k + 2) + channel)[is_moved], channel[is_end] * (k + 2) + end)
    return np.append(journey[is_moved], journey[is_end]), step


def measure_removal(steps: np.ndarray) -> np.ndarray:
    """Removal effect of each channel in the Markov chain of order one whose steps were counted.

    The chain's share of walks that end with a customer, lost when every walk that comes to the channel ends without
    one. It equals the share of the customers' walks that pass through the channel: with N = (I - Q)^-1,
    (N[start, c] / N[c, c]) * P(customer | c) / P(customer | start); no chain has to be solved once a channel.

    Parameters
    ----------
    steps : array of float, shape (..., (k + 1) * (k + 2))
        How often each step of `list_steps` was taken; several chains at once.

    Returns
    -------
    array of float, shape (..., k)
        From 0 to 1; NaN where no walk ends with a customer.

    References
    ----------
    Anderl, Becker, von Wangenheim and Schumann (2016), Mapping the customer journey; first passage: Kemeny and Snell
    (1960), Finite Markov Chains, ch. 3.

    Examples
    --------
    >>> both = pd.DataFrame({"path": [["Fair", "Phone"], ["Phone"], ["Fair"]], "is_won": [True, True, False]})
    >>> steps = np.bincount(list_steps(both, ["Fair", "Phone"])[1], minlength=3 * 4)
    >>> measure_removal(steps).round(3).tolist()
    [0.5, 1.0]
    """
    k = round((np.sqrt(1 + 4 * steps.shape[-1]) - 3) / 2)
    chain = steps.reshape(*steps.shape[:-1], k + 1, k + 2)
    total = chain.sum(axis=-1, keepdims=True)
    chain = np.divide(chain, total, out=np.zeros(chain.shape), where=total > 0)
    moves = np.zeros((*chain.shape[:-2], k + 1, k + 1))
    moves[..., :k] = chain[..., :k]
    visits = np.linalg.inv(np.eye(k + 1) - moves)
    wins = np.einsum("...ij,...j->...i", visits, chain[..., k])
    reached = visits[..., k, :k] / np.diagonal(visits, axis1=-2, axis2=-1)[..., :k]
    start = wins[..., k:]
    return np.divide(reached * wins[..., :k], start, out=np.full(reached.shape, np.nan), where=start > 0)


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
    credited customer takes the share of credit x the customers whose deals were opened in these months. It is for the
    company alone, because what a channel spent on one segment is not on record.

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
    costs, since = _sum_spend(spend, cutoff)
    channels = sorted({channel for path in known["path"] for channel in path})
    family, families = pd.factorize(known["family_id"])
    weights, entries, is_won = draw_weights(families, n_draws), _list_entries(known, channels), known["is_won"]
    in_time = (is_won & (known["deal_at"] >= since)).to_numpy()
    bought = sum_draws(np.zeros(in_time.sum(), int), family[in_time], np.ones(in_time.sum()), 1, weights)[0]
    tables = []
    for key, name, mask in _list_groups(known, accounts, segments):
        n = int(is_won[mask].sum())
        table = pd.DataFrame({"note": [f"{n:,} won of the {min_customers:,} needed"]})
        if n >= min_customers:
            shares = _draw_shares(entries, mask, family, weights, len(channels))
            behind = _count_behind(entries, mask, len(channels))
            parts = []
            for rule in [rule for rule in RULES if rule != W or _has_stages(known[mask])]:
                parts.append(_estimate_shares(rule, channels, shares[rule], n, behind[rule]))
                if not key:
                    paid = _estimate_cost(shares[rule], costs.reindex(channels), bought, behind[rule] * bought[0] / n)
                    parts[-1] = pd.concat([parts[-1], paid], axis=1)
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


def _estimate_cost(share: np.ndarray, cost: pd.Series, bought: np.ndarray, n_behind: np.ndarray) -> pd.DataFrame:
    """Cost of each channel, and per customer credited in the months of the spend; Poisson limits where few are behind.

    `n_behind` customers stand behind the credit of all `n`, in these months as many fewer as there were customers.
    """
    money, credited = cost.to_numpy(float)[:, None], share * bought
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


def _sum_spend(spend: pd.DataFrame, cutoff: datetime) -> tuple[pd.Series, pd.Timestamp]:
    """Media and events by channel in the months whose deals are followed, and the first of these months."""
    bought = spend[spend["category"].isin(["media", "events"]) & spend["channel"].notna()]
    bought = bought[months_before(bought["month"], cutoff) > FOLLOWED_MONTHS] if len(bought) else bought
    since = pd.Timestamp(bought["month"].min()) if len(bought) else pd.Timestamp(cutoff)
    return bought.groupby("channel")["amount"].sum().astype(float), since


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
