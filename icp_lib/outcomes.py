"""What assigned accounts did: one row an account, a metric within so many days after its assignment."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import numpy as np
import pandas as pd

from icp_lib.protocols import Measure
from icp_lib.value import WINDOW_DAYS, first_year_margin

#: Tables that a metric is made of.
NEEDED = {"touch_rate": "touches", "stage_rate": "stage_history"}
MIN_SUCCESSES = 15


class Sources(NamedTuple):
    """The tables that outcomes are made of, cut at the quarter's end."""

    opportunities: pd.DataFrame
    touches: pd.DataFrame
    stage_history: pd.DataFrame
    stages: pd.DataFrame
    gross_margin_rate: float = 1.0


def build_events(measure: Measure, sources: Sources) -> pd.DataFrame:
    """Return what the metric counts, one row an event, on all accounts.

    Returns
    -------
    DataFrame
        account_id; at, when it counts; by, until when its numerator must have happened (= at, but for the margin per
        deal: opened then, won later); numerator, denominator.
    """
    deals = sources.opportunities[sources.opportunities["is_relevant"]]
    won = deals[deals["status"] == "won"]
    margin = first_year_margin(won, sources.gross_margin_rate)
    margin = margin.fillna(margin.mean()).fillna(0.0)  # as in the value measure: nothing would make its arm look poor
    if measure.metric == "touch_rate":
        table, at = _of_kind(sources.touches, "touch_type", measure.touch_type), "occurred_at"
        return _events(table, at)
    if measure.metric == "stage_rate":
        reached = _reached(sources, str(measure.stage)).merge(deals[["opportunity_id", "account_id"]])
        return _events(reached, "entered_at")
    if measure.metric == "opportunity_rate":
        return _events(deals, "created_at")
    if measure.metric == "win_rate":
        return _events(won, "closed_at")
    if measure.metric == "margin_per_account":
        return _events(won, "closed_at", numerator=margin)
    if measure.metric == "margin_per_opportunity":
        got = margin.reindex(deals.index).fillna(0.0)
        return _events(deals, "created_at", numerator=got, by=deals["closed_at"].where(deals["status"] == "won"))
    days = ((won["closed_at"] - won["created_at"]).dt.total_seconds() / 86400).clip(lower=0)
    return _events(won, "closed_at", numerator=days)


def _events(table: pd.DataFrame, at: str, numerator=1.0, by=None) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "account_id": table["account_id"],
            "at": table[at],
            "by": table[at] if by is None else by,
            "numerator": numerator,
            "denominator": 1.0,
        }
    ).dropna(subset=["account_id", "at"], ignore_index=True)


def _of_kind(table: pd.DataFrame, column: str, word) -> pd.DataFrame:
    """Rows whose word is the one asked for, whatever its capitals."""
    return table[table[column].str.strip().str.casefold() == str(word).strip().casefold()]


def _reached(sources: Sources, stage: str) -> pd.DataFrame:
    """Entries into a stage or a later one that is not a loss: who skips a stage has reached it."""
    stages, wanted = sources.stages, {stage.strip().casefold()}
    order = _of_kind(stages, "stage", stage)["stage_order"]
    if len(order):
        lost = stages["is_closed"].fillna(False).astype(bool) & ~stages["is_won"].fillna(False).astype(bool)
        later = stages[(stages["stage_order"] >= order.iloc[0]) & ~lost]
        wanted |= set(later["stage"].str.strip().str.casefold())
    history = sources.stage_history
    return history[history["stage"].str.strip().str.casefold().isin(wanted)]


def measure_accounts(
    assigned: pd.DataFrame, measure: Measure, events: pd.DataFrame, cutoff: datetime
) -> pd.DataFrame:
    """Return what each assigned account did within the window after its assignment, and before it.

    Parameters
    ----------
    assigned : DataFrame
        account_id, assigned_at; one row an account.
    measure : Measure
    events : DataFrame
        From `build_events`.
    cutoff : datetime
        The first moment after as-of.

    Returns
    -------
    DataFrame
        In the rows of `assigned`: numerator (NaN where the window is not over), denominator (1 but for ratios),
        before and before_denominator (the same in the days just before the assignment), is_mature. A share of accounts
        is 1 or 0 an account, however often something happened. A measure with `winsorise` is capped, before too, at
        that quantile of what the accounts with something got, whatever their arm.
    """
    window = pd.Timedelta(days=measure.window_days)
    start = assigned.set_index("account_id")["assigned_at"]
    own = events[events["account_id"].isin(start.index)]
    began = start.reindex(own["account_id"]).set_axis(own.index)
    since, until = own["at"] - began, own["by"] - began  # of lists and exports without times: the day itself is after
    after = own[(since >= pd.Timedelta(0)) & (since < window)]
    got = after[(until < window).reindex(after.index)]
    earlier = own[(since < pd.Timedelta(0)) & (since >= -window)]
    had = earlier[(until < pd.Timedelta(0)).reindex(earlier.index)]
    is_mature = (assigned["assigned_at"] + window <= pd.Timestamp(cutoff)).to_numpy()
    columns = {}
    for name, hits, counted in (("numerator", got, after), ("before", had, earlier)):
        total = hits.groupby("account_id")["numerator"].sum().reindex(start.index).fillna(0.0).to_numpy()
        number = counted.groupby("account_id")["denominator"].sum().reindex(start.index).fillna(0.0).to_numpy()
        columns[name] = np.minimum(total, 1.0) if measure.is_rate else total
        columns["denominator" if name == "numerator" else "before_denominator"] = (
            number if measure.is_ratio else np.ones(len(start))
        )
    columns["numerator"] = np.where(is_mature, columns["numerator"], np.nan)
    got_something = columns["numerator"][columns["numerator"] > 0]
    if measure.winsorise and len(got_something):
        cap = np.quantile(got_something, measure.winsorise, method="lower")  # of few accounts too, not the largest
        columns |= {name: np.minimum(columns[name], cap) for name in ("numerator", "before")}
    return pd.DataFrame(columns, index=assigned.index).assign(is_mature=is_mature)


def find_absent(measure: Measure, events: pd.DataFrame, sources: Sources) -> str:
    """Return why nobody can have the metric ('' where somebody has it): no table, or no such word in it."""
    table = NEEDED.get(measure.metric, "opportunities")
    frame = getattr(sources, table)
    if not len(frame):
        return f"needs {table}, which this extract does not have"
    if len(events):
        return ""
    word, column = measure.touch_type or measure.stage, "touch_type" if measure.touch_type else "stage"
    if word is None:
        return f"no row of {table} counts"
    common = frame[column].dropna().value_counts().index[:5]
    return f"no row of {table} has the {column.replace('_', ' ')} '{word}'; the commonest are {', '.join(common)}"


def estimate_success(events: pd.DataFrame, members, sources: Sources, cutoff: datetime) -> dict:
    """Return what a first success has been worth: margin of the deals won in the year after it.

    Parameters
    ----------
    events : DataFrame
        From `build_events`, of the primary measure.
    members : array of str
        Accounts that match the candidate and were not in the test.
    sources : Sources
    cutoff : datetime

    Returns
    -------
    dict
        worth (mean contracted first-year margin an account, NaN below 15 accounts; a deal without an amount takes the
        mean of the others), worth_se, n_successes. A figure of
        accounts that came by themselves: that one more success is worth as much is an assumption.
    """
    own = events[events["account_id"].isin(members)]
    first = own.groupby("account_id")["at"].min()
    first = first[first <= pd.Timestamp(cutoff) - pd.Timedelta(days=WINDOW_DAYS)]
    deals = sources.opportunities
    won = deals[deals["is_relevant"] & (deals["status"] == "won")]
    margin = first_year_margin(won, sources.gross_margin_rate)
    margin = margin.fillna(margin.mean()).fillna(0.0)  # as in `build_events`
    won = won[won["account_id"].isin(first.index)]
    began = first.reindex(won["account_id"]).set_axis(won.index)
    since = (won["closed_at"] - began).dt.total_seconds() / 86400
    got = margin[won.index].where((since >= 0) & (since <= WINDOW_DAYS), 0.0)
    per_account = got.groupby(won["account_id"]).sum().reindex(first.index).fillna(0.0)
    if len(first) < MIN_SUCCESSES:
        return {"worth": np.nan, "worth_se": np.nan, "n_successes": len(first)}
    error = float(per_account.std(ddof=1) / np.sqrt(len(first)))
    return {"worth": float(per_account.mean()), "worth_se": error, "n_successes": len(first)}
