"""What each customer brought, month by month since the win, and the sums of its means over all customers."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import numpy as np
import pandas as pd

from icp_lib import draws
from icp_lib.customers import mark_segments
from icp_lib.intervals import MANY, calibrate_draws
from icp_lib.metrics import METRICS
from icp_lib.moments import first_day, months_ago, months_before

EVERYBODY = "All customers"
#: A table whose first month has a customer won longer before than this begins in the middle of the company's life.
BEGAN_MONTHS = 6
YEAR = 12
#: Customers needed behind a figure of what they pay.
MIN_CUSTOMERS = 20
#: The columns of `unit_economics`.
COLUMNS = ["segment_id", "segment", "metric", "name", "estimate", "conf_low", "conf_high", "conf_level", "n",
           "n_events", "horizon", "method", "note"]  # fmt: skip


class Months(NamedTuple):
    """Customers by calendar month. Months are whole numbers, year x 12 + month - 1.

    `cutoff` is the first moment after as-of. `customers` has one row a customer, with `won`, `live` and `churned` as
    months (NaN: never had revenue, has not left). `revenue` and `margin` (gross margin less support) have shape
    (n_customers, n_months), the first column is month `first`, the last one `last`. `cluster` and `weights`
    (1 + B, n_families) are the shared draws of families; `note` is what was assumed.
    """

    cutoff: datetime
    customers: pd.DataFrame
    revenue: np.ndarray
    margin: np.ndarray
    first: int
    last: int
    cluster: np.ndarray
    weights: np.ndarray
    note: str


def build_months(
    customers: pd.DataFrame,
    revenue: pd.DataFrame,
    cutoff: datetime,
    gross_margin_rate: float = 1.0,
    n_draws: int = 1000,
) -> Months:
    """Return what customers brought by month, up to the last whole month before `cutoff`.

    Parameters
    ----------
    customers : DataFrame
        `customers.build_customers`.
    revenue : DataFrame
        account_id, month, revenue, gross_margin, support_cost; a month without a row is a month without revenue.
        Months before the table begins are unknown, not empty: it begins with its first month where a customer paid then
        who had been won more than six months before, else with the first win.
    cutoff : datetime
        The first moment after as-of, naive UTC.
    gross_margin_rate : float
        Used where no gross margin is given; support that is not given costs nothing. Both are said in `note`. Support
        up to the month of going live is part of what winning the customer costs, so it is not taken off again.
    n_draws : int

    Returns
    -------
    Months
        With no columns of months where there is no revenue.
    """
    end = first_day(cutoff)
    last = end.year * 12 + end.month - 2
    rows = revenue[revenue["account_id"].isin(customers["account_id"])]
    at = last + 1 - months_ago(rows["month"], cutoff).to_numpy() if len(rows) else np.zeros(0, int)
    rows, at = rows[at <= last], at[at <= last].astype(int)
    won = last + 1 - months_before(customers["won_at"], cutoff)
    first = _first_month(at, won.to_numpy()[pd.Index(customers["account_id"]).get_indexer(rows["account_id"])], last)
    shape = len(customers), last + 1 - first
    place = pd.Index(customers["account_id"]).get_indexer(rows["account_id"]), at - first
    paid, margin = np.zeros(shape), np.zeros(shape)
    given = rows["gross_margin"] if "gross_margin" in rows else pd.Series(np.nan, rows.index)
    support = rows["support_cost"] if "support_cost" in rows else pd.Series(np.nan, rows.index)
    np.add.at(paid, place, rows["revenue"].fillna(0).to_numpy(float))
    is_after = ~(at <= (last + 1 - months_before(customers["live_at"], cutoff)).to_numpy()[place[0]])
    less = given.fillna(rows["revenue"] * gross_margin_rate).fillna(0) - support.fillna(0) * is_after
    np.add.at(margin, place, less.to_numpy(float))
    had, left = customers["live_at"].where((paid > 0).any(axis=1)), customers["churned_at"]
    whens = {name: last + 1 - months_before(when, cutoff) for name, when in (("live", had), ("churned", left))}
    table = customers.assign(won=won, **whens)
    cluster, families = pd.factorize(customers["family_id"])
    weights = np.ones((1 + n_draws, len(families)), np.uint8)
    weights[1:] = draws.draw_weights(families, n_draws).T
    return Months(cutoff, table, paid, margin, first, last, cluster, weights, _note(given, support, gross_margin_rate))


def _first_month(at: np.ndarray, won: np.ndarray, last: int) -> int:
    """The first month that is known: a table that begins in the middle of a company's life says nothing before it."""
    if not len(at):
        return last + 1
    first = int(at.min())
    is_cut = bool((won[at == first] < first - BEGAN_MONTHS).any())
    return first if is_cut else min(first, int(won.min()))


def _note(margin: pd.Series, support: pd.Series, rate: float) -> str:
    """What was assumed about margins and support, in words."""
    if not len(margin):
        return ""
    notes = []
    if margin.isna().all():
        notes.append("Revenue, not margin" if rate == 1 else f"{rate:.0%} of revenue stands for the margin")
    elif margin.isna().any():
        notes.append(f"{int(margin.isna().sum()):,} of {len(margin):,} months take the default margin, {rate:.0%}")
    if support.isna().all():
        notes.append("No support cost is given")
    return ". ".join(notes)


def shift_to_win(months: Months, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return margin less support by month since the win, and which of these months have been seen.

    Month 0 is the month of the win, month k the k-th calendar month after it. A month is seen if it is in the revenue
    table's time and before as-of: then a customer who is not live yet, or has left, brought 0.

    Returns
    -------
    margin : array of float, shape (n_customers, most + 1)
        0 where not seen.
    is_seen : array of bool, same shape
    """
    won = months.customers["won"].to_numpy()[:, None]
    column = (won + np.arange(most + 1) - months.first).astype(int)
    is_seen = (column >= 0) & (column < months.margin.shape[1])
    if not months.margin.shape[1]:
        return np.zeros(column.shape), is_seen
    taken = np.take_along_axis(months.margin, np.clip(column, 0, months.margin.shape[1] - 1), axis=1)
    return np.where(is_seen, taken, 0.0), is_seen


def draw_cumulative(margin, is_seen, cluster, weights) -> np.ndarray:
    """Return, in every draw, the mean margin of month k summed over months up to k: the value of a customer by age.

    The mean of month k is over all customers whose month k has been seen, those who have left with 0. Nothing is
    multiplied that depends on one another (what customers pay, and how long they stay), and nobody is left out for
    being young: each month takes those who were won early enough.

    Parameters
    ----------
    margin, is_seen : array, shape (n, n_months)
        `shift_to_win`; each month seen for at least one customer.
    cluster : array of int, shape (n,)
        Codes of families, the columns of `weights`.
    weights : array, shape (1 + B, n_families)
        Row 0 is 1.

    Returns
    -------
    array of float, shape (1 + B, n_months)
        Row 0 of the data, the others calibrated (`intervals.calibrate_draws`); above 3,000 families the plain draws.

    References
    ----------
    Sums of means over those under observation: Bang and Tsiatis (2000), Biometrika 87, 329-343, the partitioned
    estimator, where follow-up ends by the calendar alone.
    """
    value, errors = sum_means(margin, is_seen, cluster, weights)
    if errors is None:
        return value
    n_families = [len(np.unique(cluster[seen])) for seen in is_seen.T]
    return calibrate_draws(value, errors, n_families)


def sum_means(margin, is_seen, cluster, weights) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the sums of monthly means in every draw, and their standard errors by family.

    Parameters as for `draw_cumulative`. A family's influence on the sum up to month k is that of its rows on each mean,
    summed: (x - n mean) / N, with x and n the family's margin and customers in a month and N all customers in it.

    Returns
    -------
    value, errors : array of float, shape (1 + B, n_months)
        No errors above 3,000 families.
    """
    families, code = np.unique(cluster, return_inverse=True)
    x, n = (np.zeros((len(families), margin.shape[1])) for _ in range(2))
    np.add.at(x, code, margin)
    np.add.at(n, code, is_seen.astype(float))
    total, count = _times(weights, families, x), _times(weights, families, n)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = total / count
    means = np.where(count > 0, means, means[0])  # a draw without anybody that old says nothing of that month
    value = means.cumsum(axis=1)
    if len(families) > MANY:
        return value, None
    errors = np.empty_like(value)
    for b, mean in enumerate(means):
        part = ((x - n * mean) / np.where(count[b] > 0, count[b], np.inf)).cumsum(axis=1)
        errors[b] = np.sqrt(weights[b, families].astype(float) @ np.square(part))
    return value, errors


def _times(weights, families, values) -> np.ndarray:
    """Weighted sums of families, in pieces: weights are kept in one byte each."""
    total = np.zeros((len(weights), values.shape[1]))
    for at in range(0, len(families), 4096):
        total += weights[:, families[at : at + 4096]].astype(float) @ values[at : at + 4096]
    return total


def mark_customers(months: Months, accounts: pd.DataFrame, segments: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """Return whom figures are made for: every segment, then all customers.

    Parameters
    ----------
    months : Months
    accounts : DataFrame
        The account table.
    segments : DataFrame
        segment_id, segment, conditions, as in the table `segments`; may have no rows.

    Returns
    -------
    keys : DataFrame
        segment_id ("" for all customers), segment.
    members : array of bool, shape (n_customers, n_keys)
    """
    known = accounts.set_index("account_id", drop=False).reindex(months.customers["account_id"])
    marks = mark_segments(known, segments)
    names = segments.reindex(columns=["segment_id", "segment"])
    company = pd.DataFrame({"segment_id": [""], "segment": [EVERYBODY]})
    keys = pd.concat([names, company], ignore_index=True) if len(names) else company
    return keys, np.column_stack([marks, np.ones(len(known), bool)])


def code_families(months: Months, inside: np.ndarray) -> np.ndarray:
    """Return codes from 0 of the families of some customers."""
    return np.unique(months.cluster[inside], return_inverse=True)[1]


def build_row(metric: str, name: str, estimate, n: int, n_events: int, horizon: str, method: str) -> dict:
    """Return one row of `unit_economics` without its key; below the minimum of customers the counts only."""
    value, low, high = estimate[:3] if n >= MIN_CUSTOMERS else (np.nan,) * 3
    note = "" if n >= MIN_CUSTOMERS else f"{n:,} customers of the {MIN_CUSTOMERS} needed"
    return {"metric": metric, "name": name, "estimate": value, "conf_low": low, "conf_high": high, "n": n,
            "n_events": n_events, "horizon": horizon, "method": method, "note": note}  # fmt: skip


def build_rows(rows: list[list[dict]], keys: pd.DataFrame, conf_level: float) -> pd.DataFrame:
    """Return the rows of every key as one table, metric by metric (`COLUMNS`)."""
    named = keys[["segment_id", "segment"]].to_dict("records")
    flat = [key | row for key, found in zip(named, rows, strict=False) for row in found]
    table = pd.DataFrame(flat, columns=[name for name in COLUMNS if name != "conf_level"]).assign(conf_level=conf_level)
    place = {metric: number for number, metric in enumerate(table["metric"].unique())}
    return table[COLUMNS].sort_values("metric", key=lambda names: names.map(place), kind="stable", ignore_index=True)


def join_tables(*tables: pd.DataFrame) -> pd.DataFrame:
    """Return the parts of `unit_economics` as one table."""
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=COLUMNS)


def pick_metrics(table: pd.DataFrame, metrics: tuple[str, ...]) -> pd.DataFrame:
    """Return some metrics of `unit_economics` side by side, one row a key, as a reader compares them.

    Parameters
    ----------
    table : DataFrame
        `unit_economics`.
    metrics : tuple of str
        In the order of the columns; one that nobody has is left out.

    Returns
    -------
    DataFrame
        segment_id, segment, each metric with its range (`<metric>_low`, `<metric>_high`), n, note. Where the metrics
        rest on different customers there is no column n: the note says how many are behind each.
    """
    rows = table[table["metric"].isin(metrics)]
    known = [metric for metric in metrics if (rows["metric"] == metric).any()]
    if not known:
        return pd.DataFrame(columns=["segment_id", "segment", *metrics, "n", "note"])
    parts = rows[["segment_id", "segment"]].drop_duplicates(ignore_index=True)
    for metric in known:
        values = rows[rows["metric"] == metric].set_index("segment_id")
        for source, name in (("estimate", metric), ("conf_low", f"{metric}_low"), ("conf_high", f"{metric}_high")):
            parts[name] = parts["segment_id"].map(values[source])
    notes = rows.groupby("segment_id")["note"].agg(
        lambda each: ". ".join(dict.fromkeys(part for note in each if note for part in note.split(". ")))
    )
    parts["note"] = parts["segment_id"].map(notes)
    counts = rows.groupby("segment_id")["n"]
    if (counts.nunique() <= 1).all():
        return parts.assign(n=parts["segment_id"].map(counts.first()))[[*parts.columns[:-1], "n", "note"]]
    said = {key: _say_counts(each) for key, each in rows.groupby("segment_id")}
    return parts.assign(note=[". ".join(filter(None, (row.note, said[row.segment_id]))) for row in parts.itertuples()])


def _say_counts(rows: pd.DataFrame) -> str:
    """Return how many customers are behind each metric of one key, in words."""
    names = rows["metric"].map(lambda metric: METRICS[metric].name)
    return "n = " + "; ".join(f"{n:,} ({', '.join(each)})" for n, each in names.groupby(rows["n"], sort=False))
