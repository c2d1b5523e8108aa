"""Which groups of accounts are worth most (notebook 01)."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd
from scipy import stats as distributions

from icp_lib import groups, pooling, stats
from icp_lib.checks import check_in
from icp_lib.rules import build_levels, is_comparable, is_named


def estimate_levels(
    accounts: pd.DataFrame,
    opportunities: pd.DataFrame,
    traits: dict[str, dict],
    *,
    cutoff: datetime,
    measure: str = "margin_per_day",
    gross_margin_rate: float = 1.0,
    revenue: pd.DataFrame | None = None,
    coverage: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Value, win rate and cycle of every level of every trait against the rest: `segment_levels`.

    Single traits on all data up to as-of; nothing is kept aside, so no level can be better than untested. p-values are
    those of values capped at the 95th percentile, Holm-adjusted over all levels with enough data on both sides.

    Parameters
    ----------
    accounts, opportunities : DataFrame
        The account table; the opportunities cut at the quarter's end.
    traits : dict
        Attribute -> how it is cut into levels (`rules.build_levels`).
    cutoff, measure, gross_margin_rate, revenue
        See `value.build_units`.
    coverage : DataFrame, optional
        `quality.estimate_coverage`: its notes are carried to the levels.

    Returns
    -------
    DataFrame
        One row a level, sorted by verdict, then by the lower bound of the lift, then attribute and level. `lift_shrunk`
        is the lift drawn to the mean of its attribute (`pooling.shrink_lifts`), without a range.
    """
    frames = groups.build_frames(
        accounts, opportunities, cutoff=cutoff, measure=measure, gross_margin_rate=gross_margin_rate, revenue=revenue
    )
    known = {name: is_comparable(accounts, name) for name in traits if name in accounts.columns}
    levels = build_levels(accounts, traits)
    if not levels:
        return pd.DataFrame(columns=["attribute", "level", "segment_id", "segment", "verdict", "note"])
    ids = accounts["account_id"].to_numpy()
    rows = [
        {"attribute": attribute, "level": level, **each.describe(),
         **groups.estimate_group(ids[each.mask(accounts)], frames)}
        for attribute, level, each in levels
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    table["is_comparable"] = table["attribute"].map(known)
    compared = [name for name in table if name.startswith(("lift", "margin", "win_rate", "close_rate", "p_value"))]
    table.loc[~table["is_comparable"], compared] = np.nan
    enough = (table["n_opportunities"] >= stats.MIN_OPPORTUNITIES) & table["lift"].notna() & table["is_comparable"]
    enough &= table[["n_won", "n_won_rest"]].min(axis=1) >= stats.MIN_WON
    table["p_adjusted"] = stats.adjust_holm(table["p_value"].where(enough))
    table["lift_shrunk"] = _shrink(table.where(enough))
    table["verdict"] = [
        stats.verdict(
            row.n_opportunities, min(row.n_won, row.n_won_rest) * row.is_comparable, row.lift, row.p_adjusted
        )
        for row in table.itertuples()
    ]
    told = {} if coverage is None else coverage.set_index("attribute")["note"].to_dict()
    table["note"] = [_note(row, measure, told.get(row.attribute)) for row in table.itertuples()]
    return groups.sort_by_verdict(table, "lift_low", ["attribute", "level"])


def _shrink(table: pd.DataFrame) -> pd.Series:
    """Lifts of a long list, each drawn to the mean of its attribute by as much as its error deserves."""
    logs = np.log(table[["lift", "lift_low", "lift_high"]].astype(float).where(lambda each: each > 0))
    error = (logs["lift_high"] - logs["lift_low"]) / (2 * distributions.norm.isf(0.025))
    parts = [pd.Series(pooling.shrink_lifts(logs.loc[rows, "lift"], error[rows])[0], rows)
             for rows in table.groupby("attribute").groups.values()]  # fmt: skip
    return np.exp(pd.concat(parts)).reindex(table.index) if parts else pd.Series(np.nan, table.index)


def _note(row, measure: str, coverage_note=None) -> str:
    """What a reader must know of one level."""
    if row.verdict == "not enough data":
        if not row.is_comparable:
            return "Known only for won deals, so it cannot be compared"
        if row.n_won_rest < stats.MIN_WON:
            return f"{row.n_won_rest:,} won in the rest, {stats.MIN_WON} needed to compare"
        if row.n_won < stats.MIN_WON:
            return f"{row.n_won:,} won of the {stats.MIN_WON} needed"
        return f"{row.n_opportunities:,} deals of the {stats.MIN_OPPORTUNITIES} needed"
    notes = [coverage_note] if isinstance(coverage_note, str) and coverage_note else []
    if measure == "margin_per_day" and np.isnan(row.margin_per_day_rest):
        notes.append("No deal of the rest is a year old, so there is no value in money yet")
    if measure == "margin_per_day" and _disagree(row):
        open_long = f"; {row.stale_rate:.0%} of its open deals are over a year old" if row.stale_rate > 0 else ""
        notes.append(f"Per deal it is on the other side of the rest{open_long}")
    return ". ".join(notes)


def _disagree(row) -> bool:
    """Whether the two ways of counting point to different sides, and one of them clearly to its own."""
    apart = (row.lift > 1) != (row.lift_per_opportunity > 1)
    ranges = ((row.lift_low, row.lift_high), (row.lift_per_opportunity_low, row.lift_per_opportunity_high))
    return bool(apart and any(low > 1 or high < 1 for low, high in ranges))


def pick_levels(levels: pd.DataFrame, side: str = "all", most: int = 12) -> pd.DataFrame:
    """Return the columns that a reader compares; columns without any value are left out.

    Parameters
    ----------
    levels : DataFrame
        `segment_levels`.
    side : {'all', 'better'}
        better: only levels with enough data above the rest, the highest lower bound first, at most `most`.
    """
    check_in(side, ("all", "better"), "side")
    table = levels
    if side == "better" and len(levels):
        able = (levels["verdict"] != "not enough data") & (levels["lift"] > 1) & levels["level"].map(is_named)
        table = levels[able].sort_values("lift_low", ascending=False, kind="stable").head(most)
    columns = ["segment", "lift", "lift_low", "lift_high"]
    if side == "all":
        columns.append("lift_shrunk")
    for name in ("margin_per_day", "win_rate", "cycle_median_days"):
        if name in table and table[name].notna().any():
            columns += [name, f"{name}_low", f"{name}_high"]
    return _hide_thin(table.reindex(columns=[*columns, "n_opportunities", "verdict", "note"]))


def _hide_thin(table: pd.DataFrame) -> pd.DataFrame:
    """Take the estimates out of rows without enough data: below the minimum no figure is printed, only the counts."""
    estimates = [name for name in table.columns if name.startswith(("lift", "margin", "win_rate", "cycle", "share"))]
    return table.assign(**{name: table[name].mask(table["verdict"] == "not enough data") for name in estimates})


def find_disagreement(*tables: pd.DataFrame) -> pd.DataFrame:
    """Return the groups with enough data whose two ways of counting point to different sides of the rest.

    At least one of the two ranges must lie wholly on its side: two values near the rest differ by luck alone.
    """
    columns = ["segment", "lift", "lift_low", "lift_high", "lift_per_opportunity", "lift_per_opportunity_low",
               "lift_per_opportunity_high", "stale_rate", "n_opportunities", "verdict"]  # fmt: skip
    parts = [each.reindex(columns=columns) for each in tables if len(each)]
    table = pd.concat(parts or [pd.DataFrame(columns=columns)]).drop_duplicates("segment")  # a level may be offered
    apart = [row.verdict != "not enough data" and _disagree(row) for row in table.itertuples()]
    return table[np.array(apart, bool)]


def pick_largest(levels: pd.DataFrame, most: int = 12) -> pd.DataFrame:
    """Return, for the first levels, how much of the value the largest account holds and the lift without it."""
    columns = ["segment", "n_accounts", "n_won", "share_largest", "lift", "lift_without_largest", "verdict", "note"]
    return _hide_thin(levels.reindex(columns=columns).head(most))
