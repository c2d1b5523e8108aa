"""The ICP this quarter: the headline figures and the profile itself (notebook 07)."""

from __future__ import annotations

import json

import pandas as pd

from icp_lib.rules import is_named
from icp_lib.schemas import CLAIM_COLUMNS

HEADLINE_COLUMNS = [
    "segment_id",
    "segment",
    "metric",
    "estimate",
    "conf_low",
    "conf_high",
    "conf_level",
    "n",
    "n_events",
    "comparison",
    "method",
    "note",
]
#: Verdicts that a profile may be led by.
LEADING = ("confirmed", "promising", "untested")
_METHODS = {
    "margin_per_day": "lift × the rest's margin per day; Student t on log lift, by family, Bonferroni",
    "margin_per_opportunity": "lift × the rest's margin per deal; Student t on log lift, by family, Bonferroni",
    "lift": "ratio of standardised ratios; Student t on log lift, by family, Bonferroni",
    "win_rate": "Wilson, effective sample size by family",
    "cycle_median_days": "order statistics",
}


def choose_best(levels: pd.DataFrame) -> pd.DataFrame:
    """Return the one level to lead with, or no row: beyond luck, better than the rest, the highest lower bound.

    Parameters
    ----------
    levels : DataFrame
        `segment_levels`.
    """
    if levels.empty:
        return levels
    is_able = levels["verdict"].isin(LEADING) & levels["level"].map(is_named) & (levels["lift"] > 1)
    order = ["lift_low", "segment_id"]
    return levels[is_able].sort_values(order, ascending=[False, True], kind="stable").head(1)


def build_headline(best: pd.DataFrame, levels: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return the headline figures of the leading segment, one row a metric: `headline`.

    The lead was chosen among all levels tested, so the range of its lift is widened for their number (Bonferroni). A
    figure that cannot be given stays, as missing with a note.

    Parameters
    ----------
    best : DataFrame
        One row of `segment_levels`, or none.
    levels : DataFrame
        `segment_levels`.
    measure : str
        The value measure in use; in money only where it is a margin.
    """
    value = measure if measure.startswith("margin") else "lift"
    n_tested = int(levels["p_adjusted"].notna().sum()) if len(levels) else 0
    rows = []
    for row in best.to_dict("records"):
        rest = 1.0 if value == "lift" else row[value] / row["lift"]
        ends = [rest * row["lift_joint_low"], rest * row["lift_joint_high"]]
        few = f"{row['n_mature']:,} deals are a year old, {row['n_mature_won']:,} of them won: too few for a figure"
        rows += [
            [value, row[value], *ends, row["n_opportunities"], row["n_won"], rest, f"widened for {n_tested} levels"],
            ["win_rate", *_with_ends(row, "win_rate"), row["n_mature"], row["n_mature_won"], row["win_rate_rest"], few],
            ["cycle_median_days", *_with_ends(row, "cycle_median_days"), row["n_mature_won"], row["n_mature_won"],
             row["cycle_median_days_rest"], few],
        ]  # fmt: skip
    columns = ["metric", "estimate", "conf_low", "conf_high", "n", "n_events", "comparison", "note"]
    table = pd.DataFrame(rows, columns=columns)
    table["note"] = table["note"].where(table["estimate"].isna() | (table["metric"] == value), "")
    for name in ("segment_id", "segment"):
        table[name] = best[name].iloc[0] if len(best) else ""
    return table.assign(conf_level=0.95, method=table["metric"].map(_METHODS))[HEADLINE_COLUMNS]


def _with_ends(row: dict, name: str) -> list[float]:
    return [row[name], row[f"{name}_low"], row[f"{name}_high"]]


def build_profile(best: pd.DataFrame, quarter: str, n_levels: int, measure_note: str = "") -> dict:
    """Return the profile as it is written to ``profile.yml``: name, quarter, status, attributes, evidence.

    Parameters
    ----------
    best : DataFrame
        One row of `segment_levels`, or none: then the profile has no name and says so.
    quarter : str
    n_levels : int
        Levels that had enough data to be tested.
    measure_note : str
        What a reader must know of the value measure.
    """
    row = best.iloc[0].to_dict() if len(best) else {}
    nothing = f"{n_levels:,} groups were compared with the rest, and no lead is larger than luck gives."
    lead = f"The best of {n_levels:,} groups, one trait at a time, on all deals so far. Not checked on newer deals yet."
    return {
        "name": row.get("segment", ""),
        "quarter": quarter,
        "status": "draft",
        "segment_id": row.get("segment_id", ""),
        "attributes": json.loads(row.get("conditions", "[]")),
        "verdict": row.get("verdict", "not supported" if n_levels else "not enough data"),
        "lead": lead if row else nothing if n_levels else "No group has enough deals and wins to be compared.",
        "note": measure_note,
    }


def build_findings(claims: pd.DataFrame) -> pd.DataFrame:
    """Return every claim of the quarter in one table: `findings`, in the order of their ids' pages.

    Parameters
    ----------
    claims : DataFrame
        The claims tables of the pages, stacked; may be empty.
    """
    return claims.reindex(columns=CLAIM_COLUMNS)


def pick_headline(headline: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of the headline that a reader compares."""
    return headline[["metric", "estimate", "conf_low", "conf_high", "comparison", "n", "note"]]


def pick_findings(findings: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of the findings that a reader compares."""
    columns = ["claim", "metric", "estimate", "conf_low", "conf_high", "n", "p_adjusted", "verdict", "note"]
    return findings[columns]
