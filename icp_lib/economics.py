"""What a customer is worth and when the cost of winning one is paid back (notebook 03)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from icp_lib.intervals import estimate_draws
from icp_lib.months import COLUMNS, MIN_CUSTOMERS, Months, build_rows, draw_cumulative, shift_to_win
from icp_lib.value import CHURN_MONTHS

#: Customers needed behind the last month of a lifetime value.
MIN_LIFETIME = 30
#: The furthest month of a lifetime value, and of a payback curve.
MOST_LIFETIME, MOST_PAYBACK = 36, 60
CURVE_COLUMNS = ["segment_id", "segment", "month", "net", "net_low", "net_high", "n", "target_months", "payback_months",
                 "payback_months_low", "payback_months_high"]  # fmt: skip
SUMMED = "mean margin less support by month since the win, summed"


class Economics(NamedTuple):
    """What `draw_economics` found: per key (a row of `keys`) the value of a customer by month since the win.

    `curves[i]` has shape (1 + B, n_months), row 0 of the data; `seen[i]` counts the customers behind each month;
    `cac` has shape (n_keys, 1 + B), NaN where it is not known; `n` and `n_left` count customers, and those who left;
    `n_new` the new customers that `cac` was divided by, NaN where that is not told.
    """

    keys: pd.DataFrame
    curves: list[np.ndarray]
    seen: list[np.ndarray]
    cac: np.ndarray
    n: np.ndarray
    n_left: np.ndarray
    n_new: np.ndarray
    note: str


def draw_economics(
    months: Months,
    keys: pd.DataFrame,
    members: np.ndarray,
    cac: tuple[pd.DataFrame, np.ndarray] | None = None,
    min_customers: int = MIN_CUSTOMERS,
) -> Economics:
    """Return the value of a customer by month since the win, and what one costs, in every shared draw.

    Parameters
    ----------
    months : Months
        `months.build_months`.
    keys, members
        `months.mark_customers`.
    cac : (DataFrame, array of float, shape (n, 1 + B)), optional
        Keys with `segment_id` and `n_new`, the new customers, and the cost of winning one in the same draws: inf where
        nobody was won (`efficiency.draw_cac`).
    min_customers : int
        A curve ends with the last month before which every month has been seen for so many customers.

    Returns
    -------
    Economics

    Examples
    --------
    The cells of the notebook, with a constant in the place of the cost:

    >>> from datetime import datetime
    >>> from icp_lib.months import build_months, mark_customers
    >>> customers = pd.DataFrame({"account_id": list("AB"), "family_id": list("AB"),
    ...     "won_at": pd.to_datetime(["2026-01-10", "2026-01-20"]), "churned_at": pd.to_datetime([None, None]),
    ...     "live_at": pd.to_datetime(["2026-02-01"] * 2), "followed_until": pd.to_datetime(["2026-01-01"] * 2)})
    >>> paid = pd.DataFrame({"account_id": ["A", "B", "A"], "revenue": [100.0, 60.0, 100.0],
    ...                      "month": pd.to_datetime(["2026-02-01", "2026-02-01", "2026-03-01"])})
    >>> months = build_months(customers, paid, datetime(2026, 4, 1))
    >>> keys, members = mark_customers(months, customers, pd.DataFrame())
    >>> found = draw_economics(months, keys, members, (keys, np.full((1, 1001), 90.0)), min_customers=2)
    >>> found.curves[0][0].tolist()
    [0.0, 80.0, 130.0]
    """
    margin, is_seen = shift_to_win(months, MOST_PAYBACK)
    curves, seen = [], []
    for inside in members.T:
        count = is_seen[inside].sum(axis=0)
        enough = np.append(count >= max(min_customers, 1), False)
        end = int(enough.argmin())
        part = margin[inside, :end], is_seen[inside, :end], months.cluster[inside]
        curves.append(draw_cumulative(*part, months.weights) if end else np.zeros((len(months.weights), 0)))
        seen.append(count)
    left = members & months.customers["churned"].notna().to_numpy()[:, None]
    cost, n_new = np.full((len(keys), len(months.weights)), np.nan), np.full(len(keys), np.nan)
    if cac is not None:
        place = pd.Index(cac[0]["segment_id"]).get_indexer(keys["segment_id"])
        cost[place >= 0] = np.asarray(cac[1], float)[place[place >= 0]]
        n_new[place >= 0] = cac[0].reindex(columns=["n_new"])["n_new"].to_numpy(float)[place[place >= 0]]
    return Economics(keys, curves, seen, cost, members.sum(axis=0), left.sum(axis=0), n_new, months.note)


def find_horizon(seen: np.ndarray, length: int) -> int:
    """Return H: the last month, at most 36, up to which every month has been seen for 30 customers, or -1.

    Examples
    --------
    >>> find_horizon(np.array([50, 40, 31, 12]), 4)
    2
    """
    enough = np.append(seen[: min(length, MOST_LIFETIME + 1)] >= MIN_LIFETIME, False)
    return int(enough.argmin()) - 1


def find_payback(curve: np.ndarray, cac: np.ndarray) -> np.ndarray:
    """Return the months until the cumulative margin less support covers the cost; inf where it does not.

    Linear between the ends of two months; months count from the end of the month of the win, so what that month
    brought is there at 0.

    Parameters
    ----------
    curve : array of float, shape (1 + B, n_months)
    cac : array of float, shape (1 + B,)

    Examples
    --------
    >>> find_payback(np.array([[0.0, 10.0, 30.0], [0.0, 10.0, 15.0]]), np.array([20.0, 20.0])).tolist()
    [1.5, inf]
    """
    net = curve - cac[:, None]
    is_paid = np.column_stack([net >= 0, np.ones(len(net), bool)])
    at = is_paid.argmax(axis=1)
    row = np.arange(len(net))
    here, before = net[row, np.minimum(at, net.shape[1] - 1)], net[row, np.maximum(at - 1, 0)]
    with np.errstate(invalid="ignore", divide="ignore"):
        between = at - here / (here - before)
    reached = np.where(at == 0, 0.0, np.where(at < net.shape[1], between, np.inf))
    return np.where(np.isnan(cac), np.nan, reached)


def estimate_economics(found: Economics, target_months: float = 12.0, conf_level: float = 0.95) -> pd.DataFrame:
    """Return lifetime value, payback and their ratio to the cost, for every key: the first part of `unit_economics`.

    ltv: LTV(H), H in `name`; ltv_alike: the same up to the H that all compared have, so that they can be compared;
    ltv_alike_to_cac: that over CAC; ltv_to_cac: LTV(H) / CAC, and ltv_to_cac_above_3, the chance that it is above 3,
    only where H is 36 months; payback_months, and payback_by_target: the chance that it is at most `target_months`,
    the headline. A draw in which nobody was won is not paid back.

    Parameters
    ----------
    found : Economics
    target_months : float
        `payback_target_months` of icp.yml.

    Returns
    -------
    DataFrame
        `months.COLUMNS`; one row a key and metric. What cannot be told is NaN with a `note`; a payback that is not
        reached as far as customers can be followed is infinite. Chances have no range. What rests on CAC has the new
        customers of its period as n, and says so in its note, and whether they are few.
    """
    if not len(found.keys) or not any(curve.shape[1] for curve in found.curves):
        return pd.DataFrame(columns=COLUMNS)
    horizons = [find_horizon(seen, curve.shape[1]) for seen, curve in zip(found.seen, found.curves, strict=True)]
    alike = min((h for h in horizons if h > 0), default=-1)
    rows = [
        _count_new(found.n_new[i], _payback_rows(found, i, target_months, conf_level)
                   + _lifetime_rows(found, i, horizons[i], alike, conf_level))
        for i in range(len(found.keys))
    ]
    return build_rows(rows, found.keys, conf_level)


def _row(found: Economics, key: int, metric: str, name: str, estimate, **others) -> dict:
    """One row: an Estimate, or a number that has no range."""
    value, low, high = estimate[:3] if isinstance(estimate, tuple) else (estimate, np.nan, np.nan)
    base = {"metric": metric, "name": name, "estimate": value, "conf_low": low, "conf_high": high}
    return base | {"n": found.n[key], "n_events": found.n_left[key], "horizon": "", "note": "", **others}


def _count_new(n: float, rows: list[dict]) -> list[dict]:
    """Put the number of new customers on the rows that rest on CAC, where it is told."""
    for row in rows:
        if row["metric"] not in ("ltv", "ltv_alike") and not np.isnan([n, row["estimate"]]).any():
            few = f", fewer than {MIN_CUSTOMERS}" if n < MIN_CUSTOMERS else ""
            row |= {"n": int(n), "note": _join(f"CAC of {n:,.0f} new customers{few}", row["note"])}
    return rows


def _lifetime_rows(found: Economics, key: int, horizon: int, alike: int, conf_level: float) -> list[dict]:
    """LTV(H), the same up to the common H, and over CAC."""
    seen, curve, cac = found.seen[key], found.curves[key], found.cac[key]
    if horizon < 1:
        few = f"{seen[1]:,} customers of the {MIN_LIFETIME} needed"
        short = {"method": SUMMED, "note": few}
        rows = [_row(found, key, name, "LTV", np.nan, **short) for name in ("ltv", "ltv_alike")]
        both = ("ltv_to_cac", "ltv_alike_to_cac")
        return rows + [_row(found, key, name, "LTV/CAC", np.nan, **short) for name in both]
    rows = []
    for metric, month in (("ltv", horizon), ("ltv_alike", alike)):
        words = f"{month} months after the win; {seen[month]:,} customers were won so early"
        value = estimate_draws(curve[:, month], conf_level)
        told = {"horizon": words, "method": SUMMED, "note": found.note}
        rows.append(_row(found, key, metric, f"LTV({month})", value, **told))
    name, told = f"LTV({horizon})/CAC", {"horizon": rows[0]["horizon"], "method": "LTV(H) / fully loaded CAC"}
    if np.isnan(cac[0]):
        told["note"] = "No CAC to compare with"
        return rows + [_row(found, key, each, name, np.nan, **told) for each in ("ltv_to_cac", "ltv_alike_to_cac")]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio, same = curve[:, horizon] / cac, curve[:, alike] / cac
    words = f"LTV over CAC: up to {alike} months after the win, which all compared have had"
    rows.append(_row(found, key, "ltv_alike_to_cac", f"LTV({alike})/CAC", estimate_draws(same, conf_level),
                     horizon=rows[1]["horizon"], method=told["method"], note=words))  # fmt: skip
    rows.append(_row(found, key, "ltv_to_cac", name, estimate_draws(ratio, conf_level), **told))
    if horizon < MOST_LIFETIME:
        rows[-1]["note"] = f"Chance of more than 3 not told: it takes {MOST_LIFETIME} months of follow-up"
        return rows
    above = np.nanmean(ratio[1:] > 3)
    return [*rows, _row(found, key, "ltv_to_cac_above_3", f"Chance that {name} is above 3", above, **told)]


def _payback_rows(found: Economics, key: int, target: float, conf_level: float) -> list[dict]:
    """The months until the cost is covered, and the chance that it is by the target."""
    curve, cac, last = found.curves[key], found.cac[key], found.curves[key].shape[1] - 1
    by_target = f"Paid back within {target:g} months"
    told = {"method": "survival-weighted: " + SUMMED + ", against fully loaded CAC", "note": found.note}
    if last < 0 or np.isnan(cac[0]):
        few = f"{found.n[key]:,} customers of the {MIN_CUSTOMERS} needed" if last < 0 else "No CAC to cover"
        told["note"] = few
        names = (("payback_by_target", by_target), ("payback_months", "Payback"))
        return [_row(found, key, metric, name, np.nan, **told) for metric, name in names]
    told["horizon"] = f"followed for {last} months after the win; {found.seen[key][last]:,} customers were won so early"
    reached = find_payback(curve, cac)
    months = _row(found, key, "payback_months", "Payback", estimate_draws(reached, conf_level), **told)
    if np.isinf(reached[0]):
        months["note"] = _join(f"Not paid back within the {last} months followed", found.note)
    known = reached[1:][~np.isnan(reached[1:])]
    chance = _row(found, key, "payback_by_target", by_target, (known <= target).mean(), **told)
    if target > last:
        chance |= {"estimate": np.nan, "note": _join(f"Followed for {last} months only", found.note)}
    return [chance, months]


def _join(*notes: str) -> str:
    return ". ".join(note for note in notes if note)


def build_payback_curves(found: Economics, target_months: float = 12.0, conf_level: float = 0.95) -> pd.DataFrame:
    """Return what a customer brought less what one cost, by month since the win: `payback_curves`.

    Returns
    -------
    DataFrame
        segment_id, segment, month, net with its range, n (customers won so early), target_months; the payback with its
        range, alike in all rows of a key. Keys without CAC, or with too few customers for a finite range, have no rows.
    """
    rows = []
    for key, (curve, cac) in enumerate(zip(found.curves, found.cac, strict=True)):
        if not curve.shape[1] or np.isnan(cac[0]) or np.isinf(estimate_draws(cac, conf_level).high):
            continue
        named = found.keys.iloc[key]
        paid_back = estimate_draws(find_payback(curve, cac), conf_level)[:3]
        for month in range(curve.shape[1]):
            ends = estimate_draws(curve[:, month] - cac, conf_level)[:3]
            seen = found.seen[key][month]
            rows.append([named["segment_id"], named["segment"], month, *ends, seen, target_months, *paid_back])
    return pd.DataFrame(rows, columns=CURVE_COLUMNS)


def pick_draws(found: Economics, metric: str = "payback_months") -> pd.DataFrame:
    """Return the shared draws of a figure, one column a key (its segment_id, "all" for the company).

    Parameters
    ----------
    metric : {'payback_months', 'ltv', 'ltv_to_cac'}
    """
    columns = {}
    for key, segment_id in enumerate(found.keys["segment_id"]):
        curve, cac = found.curves[key], found.cac[key]
        horizon = find_horizon(found.seen[key], curve.shape[1])
        if metric == "payback_months":
            values = find_payback(curve, cac) if curve.shape[1] else np.full(len(cac), np.nan)
        else:
            values = curve[:, horizon] if horizon > 0 else np.full(len(cac), np.nan)
            values = values / cac if metric == "ltv_to_cac" else values
        columns[segment_id or "all"] = values[1:]
    return pd.DataFrame(columns)


def rival_values(months: Months, inside: np.ndarray, horizon: int, cac: float = np.nan) -> dict[str, float]:
    """Return what other definitions make of the same customers.

    Parameters
    ----------
    months : Months
    inside : array of bool, shape (n_customers,)
    horizon : int
        H of our lifetime value, for the product of means.
    cac : float

    Returns
    -------
    dict
        product_of_means: the mean over customers of their margin per paying month x the mean number of paying months
        within H; arpa_over_churn: margin per paying customer of the last month / monthly churn of the last twelve
        months that can be judged; simple_payback: CAC / that margin.
    """
    paid, margin = months.revenue[inside] > 0, months.margin[inside]
    since, is_seen = shift_to_win(months._replace(margin=(months.revenue > 0).astype(float)), max(horizon, 0))
    with np.errstate(invalid="ignore", divide="ignore"):
        stay = (since[inside].sum(axis=0) / is_seen[inside].sum(axis=0)).sum() if horizon >= 0 else np.nan
        each = (margin * paid).sum(axis=1)[paid.any(axis=1)] / paid.sum(axis=1)[paid.any(axis=1)]
        now = margin[:, -1:][paid[:, -1:]].sum() / paid[:, -1:].sum()
        churn = _monthly_churn(months, inside)
        return {
            "product_of_means": float(each.mean() * stay) if len(each) else np.nan,
            "arpa_over_churn": float(now / churn),
            "simple_payback": float(cac / now),
        }


def _monthly_churn(months: Months, inside: np.ndarray) -> float:
    """Customers that left / customer-months, in the twelve months up to the last in which leaving can be seen."""
    live, churned = (months.customers[name].to_numpy(float)[inside, None] for name in ("live", "churned"))
    month = months.last - CHURN_MONTHS + 1 - np.arange(12)
    there = (live < month) & ~(churned < month)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (there & (churned == month)).sum() / np.float64(there.sum())


def compare_definitions(months: Months, found: Economics, members: np.ndarray, key: int = -1) -> pd.DataFrame:
    """Return our lifetime value and payback beside other definitions, with their values: `economics_definitions`.

    Returns
    -------
    DataFrame
        definition, counts (what is divided by what), metric, estimate, note (why not ours); ours first of each. No rows
        where there is no revenue.
    """
    columns = ["definition", "counts", "metric", "estimate", "note"]
    curve, cac = found.curves[key], found.cac[key]
    if not curve.shape[1]:
        return pd.DataFrame(columns=columns)
    horizon = find_horizon(found.seen[key], curve.shape[1])
    rival = rival_values(months, members[:, key], horizon, cac[0])
    rows = [
        ["Ours: survival-weighted payback", f"{SUMMED} until CAC is covered", "payback_months",
         find_payback(curve, cac)[0], ""],
        ["Simple payback", "CAC / (ARPA × gross margin)", "payback_months", rival["simple_payback"],
         "as if nobody left, everybody were live at the win, and all paid what those who stayed pay"],
        [f"Ours: LTV({horizon})" if horizon >= 0 else "Ours: LTV(H)", f"{SUMMED} to H", "ltv",
         curve[0, horizon] if horizon >= 0 else np.nan, ""],
        ["LTV by churn", "ARPA × gross margin / monthly churn", "ltv", rival["arpa_over_churn"],
         "reaches beyond what anybody has seen, and a few customers who leave decide it"],
        ["Product of means", "mean margin a paying month × mean paying months within H", "ltv",
         rival["product_of_means"], "as if large customers stayed as long as small ones"],
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def pick_alike(table: pd.DataFrame) -> pd.DataFrame:
    """Return the lifetime values that can be compared, highest first, beside that of all customers (`comparison`).

    Groups with too few customers come last; where there is nothing but all customers, that row.

    Parameters
    ----------
    table : DataFrame
        `unit_economics`.
    """
    rows = table[table["metric"] == "ltv_alike"]
    everybody = rows.loc[rows["segment_id"] == "", "estimate"]
    some = rows[rows["segment_id"] != ""].sort_values("estimate", ascending=False, kind="stable")
    picked = (some if some["estimate"].notna().any() else rows).assign(
        comparison=everybody.iloc[0] if len(everybody) else np.nan
    )
    return picked.assign(verdict=np.where(picked["estimate"].isna(), "not enough data", ""))
