"""The ICP this quarter: the headline figures and the profile itself (notebook 07)."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from icp_lib import stats
from icp_lib.rules import is_named

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
_METHODS = {
    "margin_per_day": "lift × the rest's margin per day; Student t on log lift, clustered by family",
    "lift": "ratio of standardised ratios; Student t on log lift, clustered by family",
    "win_rate": "Wilson, effective sample size by family",
    "cycle_median_days": "order statistics",
}


def choose_best(levels: pd.DataFrame) -> pd.DataFrame:
    """Return the one level to lead with: enough data, better than the rest, the highest lower bound; or no row.

    Parameters
    ----------
    levels : DataFrame
        `segment_levels`.
    """
    if levels.empty:
        return levels
    able = levels[(levels["verdict"] != "not enough data") & levels["level"].map(is_named) & (levels["lift"] > 1)]
    return able.sort_values(
        ["lift_low", "segment_id"], ascending=[False, True], kind="stable", na_position="last"
    ).head(1)


def build_headline(best: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return the headline figures of the leading segment, one row a metric: `headline`.

    A figure that cannot be given stays, as missing with a note.

    Parameters
    ----------
    best : DataFrame
        One row of `segment_levels`, or none.
    measure : str
        The value measure in use; in money only where it is a margin.
    """
    rows = []
    for metric in ("margin_per_day" if measure.startswith("margin") else "lift", "win_rate", "cycle_median_days"):
        for _, row in best.iterrows():
            comparison = 1.0 if metric == "lift" else row[f"{metric}_rest"]
            is_rate = metric in ("win_rate", "cycle_median_days")
            few = f"{row['n_mature']:,} deals are a year old; a figure needs {stats.MIN_OPPORTUNITIES}"
            note = "" if np.isfinite(row[metric]) else few if is_rate else row["note"]
            rows.append(
                [
                    row["segment_id"],
                    row["segment"],
                    metric,
                    row[metric],
                    row[f"{metric}_low"],
                    row[f"{metric}_high"],
                    0.95,
                    row["n_mature"] if is_rate else row["n_opportunities"],
                    row["n_won"],
                    comparison,
                    _METHODS[metric],
                    note,
                ]
            )
    return pd.DataFrame(rows, columns=HEADLINE_COLUMNS)


def build_profile(best: pd.DataFrame, quarter: str, measure_note: str = "") -> dict:
    """Return the profile as it is written to ``profile.yml``: name, quarter, status, attributes, evidence.

    Parameters
    ----------
    best : DataFrame
        One row of `segment_levels`, or none: then the profile has no attributes and says so.
    """
    if best.empty:
        return {
            "name": "",
            "quarter": quarter,
            "status": "draft",
            "segment_id": "",
            "attributes": [],
            "verdict": "not supported",
            "lead": "No trait stands above the rest in this extract.",
            "note": measure_note,
        }
    row = best.iloc[0]
    return {
        "name": row["segment"],
        "quarter": quarter,
        "status": "draft",
        "segment_id": row["segment_id"],
        "attributes": json.loads(row["conditions"]),
        "verdict": row["verdict"],
        "lead": "One trait at a time, on all deals so far. Whether it holds in newer deals is not checked yet.",
        "note": measure_note,
    }


def build_findings(claims: pd.DataFrame) -> pd.DataFrame:
    """Return every claim of the quarter in one table: `findings`, in the order of their ids' pages.

    Parameters
    ----------
    claims : DataFrame
        The claims tables of the pages, stacked; may be empty.
    """
    columns = [
        "claim_id",
        "claim",
        "segment_id",
        "metric",
        "estimate",
        "conf_low",
        "conf_high",
        "n",
        "hypotheses",
        "estimate_found",
        "p_adjusted",
        "holdout_p_adjusted",
        "explained_by",
        "verdict",
        "note",
    ]
    return claims.reindex(columns=columns)


def pick_headline(headline: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of the headline that a reader compares."""
    return headline[["metric", "estimate", "conf_low", "conf_high", "comparison", "n", "note"]]


def pick_findings(findings: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of the findings that a reader compares."""
    columns = ["claim", "metric", "estimate", "conf_low", "conf_high", "n", "p_adjusted", "verdict", "note"]
    return findings[columns]
