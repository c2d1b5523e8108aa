"""What page 01 says of its segments: sentences by verdict, facts, and the columns that a reader compares."""

from __future__ import annotations

import pandas as pd

from icp_lib import stats

NOTHING = "No group has a lead that luck could not give, so none is offered."
SENTENCES = {
    "confirmed": "**{segment} bring {holdout_lift} the rest ({interval:holdout_lift}).** Seen again in newer deals.",
    "promising": "{segment} look better, {holdout_lift} the rest ({interval:holdout_lift}); it could still be luck.",
    "untested": "{segment} brought {lift_found} the rest when found; too few newer deals have checked it.",
    "contradicted": "{segment} do not hold: {lift_found} when found, {holdout_lift} ({interval:holdout_lift}) since.",
    "explained by": "{segment}: less than half of the lead stays once {explained_by} is compared like with like.",
    "not supported": "{segment} have no lead that luck could not give.",
    "not enough data": "{segment} are new: {note}.",
    "": "None of {hypotheses} groups has a lead that luck could not give.",
}
FACTS = {
    "Searched": "{hypotheses} groups: {n_attributes} traits, up to {depth} at a time, from {min_opportunities} deals",
    "Found on": "{n_opportunities} deals of the companies that came first, until {found_until}",
    "Checked on": "{holdout_n_opportunities} deals of the companies that came after",
    "Measure": "{measure}",
}
LUCK = (
    "Chance of luck for the best group found: {p_adjusted}.",
    stats.CALIBRATION,
    "The largest deals count only up to the 95th percentile here: one of them must not make a group.",
)
SHUFFLED = "{n_draws} shuffled searches: the best group of the leader's size came to **{lift_noise}**."
IMITATED = (
    "{n_draws} searches without truth. So many companies are not shuffled one by one: each outcome was multiplied by "
    "chance, which gives the chance of luck, but no lift to show beside ours."
)
UNCOVERED = {"": "Together they leave {uncovered_rate} of {what} to companies outside of them.", "none": NOTHING,
             "unknown": "What they leave to other companies is not known."}  # fmt: skip
PUBLISHED = (
    "Always the newer one. The figure at the time of finding is too high by nature: it was picked because it was high.",
)


def name_value(measure: str) -> str:
    """Return what a share of the value is a share of.

    Examples
    --------
    >>> name_value("margin_per_day"), name_value("win_rate")
    ('new margin', 'wins')
    """
    return "new margin" if measure.startswith("margin") else {"retention": "customers kept"}.get(measure, "wins")


def widen_ranges(segments: pd.DataFrame) -> pd.DataFrame:
    """Return segments with the ranges that readers see: those of newer deals, widened for the length of the list.

    The table keeps the plain range too (holdout_lift_low, holdout_lift_high), which a segment has where it has no
    other. One figure has one range wherever it stands: in claims, the headline, page 01 and the explorer.
    """
    table = segments.copy()
    for end in ("low", "high"):
        if f"holdout_joint_{end}" not in table:
            continue
        joint = pd.to_numeric(table[f"holdout_joint_{end}"])  # read back without a number, a column is text
        table[f"holdout_lift_{end}"] = joint.fillna(table[f"holdout_lift_{end}"])
        if {"margin_per_day_rest", f"margin_per_day_{end}"} <= set(table):
            money, rest = (pd.to_numeric(table[name]) for name in (f"margin_per_day_{end}", "margin_per_day_rest"))
            table[f"margin_per_day_{end}"] = (joint * rest).where(money.notna()).fillna(money)
    return table


def pick_answers(segments: pd.DataFrame, searched: pd.DataFrame, most: int = 5) -> pd.DataFrame:
    """Return the rows of the answer: the first segments, or one row that says that there is none."""
    if len(segments):
        return widen_ranges(segments.head(most))
    return searched.head(1).assign(verdict=None)


def pick_claim(claims: pd.DataFrame, segments: pd.DataFrame) -> pd.DataFrame:
    """Return the first claim with what the margin says beside it: the share of resamples that found it again."""
    return claims.merge(segments[["segment_id", "stability_rate"]], on="segment_id").head(1)


def pick_luck(searched: pd.DataFrame) -> list[str]:
    """Return the sentences of what luck gives, for a search that was shuffled or, above 100,000 accounts, imitated."""
    first = IMITATED if (searched["null"].head(1) == "multipliers").all() else SHUFFLED
    return [first, *LUCK]


def pick_cover(segments: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return one row: what all offered segments together leave uncovered; kind "none" where none is offered."""
    if not len(segments):
        return pd.DataFrame({"kind": ["none"]})
    row = segments[["uncovered_rate"]].head(1)
    return row.assign(what=name_value(measure), kind="unknown" if row["uncovered_rate"].isna().all() else "")


def pick_rejected(candidates: pd.DataFrame, most: int = 24) -> pd.DataFrame:
    """Return the best groups that are not offered, and why."""
    table = candidates[~candidates["is_offered"].astype(bool)].head(most)
    return table[["segment", "lift_found", "p_adjusted", "n_opportunities", "reason"]]


def list_limits(segments: pd.DataFrame) -> pd.DataFrame:
    """Return, for every offered segment, what would change its verdict, and where it stands now.

    Returns
    -------
    DataFrame
        segment, holdout_lift with its range, would_change, verdict.
    """
    words = {
        "confirmed": "newer deals no longer beat the rest, or one trait takes half of the lead",
        "promising": "newer deals beat the rest beyond luck: then confirmed",
        "untested": f"{stats.MIN_WON} wins expected among newer deals: then checked",
        "contradicted": "newer deals, compared like with like, beat the rest again",
        "explained by": "more than half of the lead stays when compared like with like",
        "not supported": "a lead in newer deals that luck could not give",
        "not enough data": f"{stats.MIN_WON} won and {stats.MIN_OPPORTUNITIES} deals: then judged",
    }
    kind = segments["verdict"].str.replace(r"^explained by .*", "explained by", regex=True)
    columns = ["segment", "holdout_lift", "holdout_lift_low", "holdout_lift_high", "would_change", "verdict"]
    return widen_ranges(segments).assign(would_change=kind.map(words))[columns]


def pick_segments(segments: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of the offered segments that a reader compares; the value, with its range, stands second.

    The value is in money where it is known, else the lift; the ranges of the others are in the saved table. The number
    of deals stands under the name.
    """
    value = "margin_per_day" if segments["margin_per_day"].notna().any() else "holdout_lift"
    per_deal = ["margin_per_opportunity"] * (value == "margin_per_day")
    columns = ["segment", value, f"{value}_low", f"{value}_high", *per_deal, "win_rate", "cycle_median_days",
               "verdict", "note"]  # fmt: skip
    rest = segments["margin_per_day_rest"] if value == "margin_per_day" else 1.0
    noted = [". ".join(filter(None, (f"{n:,.0f} deals", note if isinstance(note, str) else "")))
             for n, note in zip(segments["n_opportunities"], segments["note"], strict=True)]  # fmt: skip
    table = widen_ranges(segments)[columns].assign(note=noted, rest=rest)
    return table.assign(**{f"{value}_found": segments["lift_found"] * rest})


def pick_noise(segments: pd.DataFrame) -> pd.DataFrame:
    """Return the leader as the shuffled searches see it: values capped as in the search."""
    return segments.assign(lift_found=segments["lift_capped"])[["segment", "lift_found", "is_emerging"]]


def pick_within(within: pd.DataFrame, most: int = 3) -> pd.DataFrame:
    """Return, for each segment, the comparisons that leave the least of its lead."""
    columns = ["segment", "within", "lift", "lift_pooled", "lift_pooled_low", "lift_pooled_high", "share_left_rate",
               "judged"]  # fmt: skip
    words = {"": "stays", "explained": "less than half stays", "contradicted": "turns round"}
    table = within.groupby("segment_id", sort=False).head(most)[columns]
    return table.assign(judged=table["judged"].replace(words))


def pick_strata(strata: pd.DataFrame) -> pd.DataFrame:
    """Return the levels of the comparison that leaves the least, as a reader compares them."""
    return strata[["segment", "within", "level", "lift", "n_opportunities", "n_won", "n_opportunities_rest"]]


def pick_without(without: pd.DataFrame) -> pd.DataFrame:
    """Return what is left of each segment when one of its conditions is dropped."""
    return without[["segment", "without", "lift", "lift_without", "lift_without_low", "lift_without_high"]]


def pick_moved(moved: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of the comparison with last quarter that a reader compares."""
    columns = ["segment", "lift_before", "lift", "lift_change", "lift_change_low", "lift_change_high", "reading"]
    return moved[columns].assign(compared_with="a quarter ago")
