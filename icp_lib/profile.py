"""The ICP this quarter: the headline figures and the profile itself (notebook 07)."""

from __future__ import annotations

import json

import pandas as pd

from icp_lib.schemas import CLAIM_COLUMNS, missing_words

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
    "compared_with",
    "method",
    "note",
]
NAN = float("nan")
#: Verdicts that a profile may be led by.
LEADING = ("confirmed", "promising", "untested")
_METHODS = {
    "margin_per_day": "held-out lift × the rest's margin a day; Student t on log lift, by family, Bonferroni",
    "margin_per_opportunity": "held-out lift × the rest's margin a deal; Student t on log lift, by family, Bonferroni",
    "lift": "held-out ratio of standardised ratios; Student t on log lift, by family, Bonferroni",
    "win_rate": "Wilson, effective sample size by family",
    "cycle_median_days": "order statistics",
    "share_of_margin": "Poisson bootstrap of families",
    "reachable_accounts": "count",
}
#: Whom page 03 gives beside the segments, and what they are called here.
BESIDE = {"rest": "the rest", "": "all customers"}
#: Figures of page 03 that a profile is judged by, and the tables without which they are not measured.
ECONOMICS = {"cac": "spend", "payback_months": ("spend", "revenue"), "retention_12": "revenue"}


def choose_best(segments: pd.DataFrame) -> pd.DataFrame:
    """Return the one segment to lead with, or no row: the first by verdict and held-out lower bound that is better.

    What is new this quarter cannot lead: nothing newer has checked it.

    Parameters
    ----------
    segments : DataFrame
        `segments`, in its order.
    """
    lift = segments["holdout_lift"].fillna(segments["lift_found"])
    is_able = segments["verdict"].isin(LEADING) & ~segments["is_emerging"].astype(bool) & (lift > 1)
    return segments[is_able].head(1)


def build_headline(best: pd.DataFrame, measure: str, *economics: pd.DataFrame) -> pd.DataFrame:
    """Return the headline figures of the leading segment, one row a metric: `headline`.

    The lead is that of newer deals, its range widened for the length of the list. A figure that cannot be given stays,
    as missing with a note.

    Parameters
    ----------
    best : DataFrame
        One row of `segments`, or none.
    measure : str
        The value measure in use; in money only where it is a margin.
    *economics : DataFrame
        Tables of page 03 with segment_id, segment, metric, estimate, conf_low, conf_high, n, method, note: cost,
        payback and retention are taken from them. Any may be empty.
    """
    rows = [row for each in best.to_dict("records") for row in _headline_rows(each, measure)]
    columns = ["metric", "estimate", "conf_low", "conf_high", "n", "n_events", "comparison", "note"]
    table = pd.DataFrame(rows, columns=columns)
    table["method"] = table["metric"].map(_METHODS)
    if len(best):
        beside = _pick_economics(best["segment_id"].iloc[0], *economics)
        table = pd.concat([table.iloc[:-1], beside, table.iloc[-1:]], ignore_index=True)
    table = table.reindex(columns=HEADLINE_COLUMNS)
    for name in ("segment_id", "segment"):
        table[name] = best[name].iloc[0] if len(best) else ""
    return table.assign(conf_level=0.95)


def _pick_economics(segment_id: str, *tables: pd.DataFrame) -> pd.DataFrame:
    """Cost, payback and retention of one segment beside those of the rest; what is not there says what it needs."""
    known = [table for table in tables if len(table)]
    found = pd.concat(known, ignore_index=True) if known else pd.DataFrame(columns=["metric", "segment_id"])
    found["segment_id"] = found["segment_id"].fillna("")  # all customers, read back from a file
    rows = []
    for metric, needs in ECONOMICS.items():
        alike = found[found["metric"] == metric]
        own, others = alike[alike["segment_id"] == segment_id], alike[alike["segment_id"].isin(BESIDE)]
        row = own.iloc[0].to_dict() if len(own) else {"note": missing_words(needs).removeprefix("Not measured: ")}
        row |= {"metric": metric, "comparison": NAN, "compared_with": ""}
        for other in others.head(1).itertuples():
            row |= {"comparison": other.estimate, "compared_with": BESIDE[other.segment_id]}
        rows.append(row)
    return pd.DataFrame(rows).reindex(columns=HEADLINE_COLUMNS)


def _headline_rows(row: dict, measure: str) -> list[list]:
    """The figures of one segment: value first, then what stands beside it."""
    value = measure if measure.startswith("margin") else "lift"
    rest = row[f"{value}_rest"] if value != "lift" else 1.0
    is_held = row["holdout_lift"] == row["holdout_lift"]
    ends = ("holdout_lift", "holdout_joint_low", "holdout_joint_high") if is_held else ("lift_found",)
    figures = [rest * row[end] for end in ends] + [NAN] * (3 - len(ends))
    n = row["holdout_n_opportunities"] if is_held else row["found_n_opportunities"]
    won = row["holdout_n_won"] if is_held else row["found_n_won"]
    few = f"{row['n_mature']:,.0f} deals are a year old, {row['n_mature_won']:,.0f} of them won: too few for a figure"
    share = ["share_of_margin", row["share_of_margin"], row["share_of_margin_low"], row["share_of_margin_high"],
             row["n_opportunities"], row["n_won"], NAN, f"{row['deal_share_rate']:.0%} of all deals"]  # fmt: skip
    note = "" if is_held else "As found, which is optimistic: newer deals have not checked it"
    return [
        [value, *figures, n, won, rest, "No deal of the rest is a year old" if rest != rest else note],
        *(
            [name, row[name], row[f"{name}_low"], row[f"{name}_high"], row["n_mature"], row["n_mature_won"],
             row[f"{name}_rest"], few if row[name] != row[name] else ""]
            for name in ("win_rate", "cycle_median_days")
        ),
        *([share] if measure.startswith("margin") else []),
        ["reachable_accounts", row["reachable_accounts"], NAN, NAN, NAN, NAN, NAN, row["reachable_note"]],
    ]  # fmt: skip


def build_profile(best: pd.DataFrame, quarter: str, searched: pd.DataFrame, measure_note: str = "") -> dict:
    """Return the profile as it is written to ``profile.yml``: name, quarter, status, attributes, evidence.

    Parameters
    ----------
    best : DataFrame
        One row of `segments`, or none: then the profile has no name and says so.
    quarter : str
    searched : DataFrame
        `segment_search`: how many groups were searched.
    measure_note : str
        What a reader must know of the value measure.
    """
    row = best.iloc[0].to_dict() if len(best) else {}
    n_searched = int(searched["hypotheses"].head(1).sum())
    nothing = f"{n_searched:,} groups were searched. None has a lead that luck could not give."
    leads = {
        "confirmed": f"The best of {n_searched:,} groups in older deals, and seen again in newer deals kept aside.",
        "promising": f"The best of {n_searched:,} groups. Newer deals point the same way; luck could still explain it.",
        "untested": f"The best of {n_searched:,} groups in older deals. Too few newer deals to check it yet.",
    }
    empty = nothing if n_searched else "No group has enough deals to be searched."
    return {
        "name": row.get("segment", ""),
        "quarter": quarter,
        "status": "draft",
        "segment_id": row.get("segment_id", ""),
        "attributes": json.loads(row.get("conditions", "[]")),
        "verdict": row.get("verdict", "not supported" if n_searched else "not enough data"),
        "lead": leads[row["verdict"]] if row else empty,
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
    return headline[["metric", "estimate", "conf_low", "conf_high", "comparison", "compared_with", "n", "note"]]


def pick_findings(findings: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of the findings that a reader compares."""
    columns = ["claim", "metric", "estimate", "conf_low", "conf_high", "n", "p_adjusted", "verdict", "note"]
    return findings[columns].assign(compared_with=findings["metric"].map({"base_lift": "the market"}))
