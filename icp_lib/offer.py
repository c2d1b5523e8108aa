"""The offered segments, checked: what they are worth, whether it is something else, how they overlap (notebook 01)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from icp_lib import draws, groups, stats
from icp_lib.discovery import (
    MOST_OFFERED,
    MOST_P,
    MOST_SHARED,
    N_HELD_OUT,
    Checked,
    Found,
    check_held_out,
    estimate_stability,
)
from icp_lib.metrics import METRICS
from icp_lib.rules import Segment
from icp_lib.schemas import CLAIM_COLUMNS
from icp_lib.space import RECENT_QUARTERS, Space

SEGMENT_COLUMNS = [
    "segment_id", "segment", "conditions", "n_accounts", "n_opportunities", "n_won", "win_rate", "win_rate_low",
    "win_rate_high", "margin_per_opportunity", "lift_per_opportunity", "lift_per_opportunity_low",
    "lift_per_opportunity_high", "margin_per_day", "margin_per_day_low", "margin_per_day_high", "cycle_median_days",
    "cycle_median_days_low", "cycle_median_days_high", "found_n_opportunities", "found_n_won", "lift_found",
    "lift_capped", "p_adjusted", "hypotheses", "holdout_n_opportunities", "holdout_n_won", "holdout_lift",
    "holdout_lift_low", "holdout_lift_high", "holdout_joint_low", "holdout_joint_high", "holdout_p_adjusted",
    "stability_rate", "explained_by", "is_emerging", "n_mature", "n_mature_won", "reachable_accounts", "reachable_note",
    "share_of_margin", "share_of_margin_low", "share_of_margin_high", "deal_share_rate", "margin_share_rate",
    "uncovered_rate", "stale_rate", "lift", "share_largest", "lift_without_largest", "margin_per_day_rest",
    "margin_per_opportunity_rest", "win_rate_rest", "cycle_median_days_rest", "verdict", "note",
]  # fmt: skip

PLACEBO_FOUND = "A made-up trait was found, as luck allows in one search of twenty: believe what is new here less."


def judge_offered(
    space: Space,
    offered: pd.DataFrame,
    within: pd.DataFrame,
    coverage: pd.DataFrame | None = None,
    n_draws: int = N_HELD_OUT,
) -> pd.DataFrame:
    """Check the fixed list on newer deals and say how sure we are of each: one function for every verdict.

    Segments that are new this quarter have nothing newer to check them.

    Parameters
    ----------
    space : Space
    offered : DataFrame
        `list_offered`; the newer accounts are read here for the first time.
    within : DataFrame
        `disguise.compare_within` of the same list.
    coverage : DataFrame, optional
        `quality.estimate_coverage`: an attribute filled in after the sale holds its segments at promising.
    n_draws : int
        Permutations of the newer part.

    Returns
    -------
    DataFrame
        `offered` with the holdout columns, explained_by, is_contradicted, is_filled_late and verdict.
    """
    masks = find_members(space, offered)
    table = _add_held_out(offered, check_held_out(space, masks[:, ~offered["is_emerging"].to_numpy(bool)], n_draws))
    table = _add_explanation(table, within)
    noted = pd.DataFrame(columns=["attribute", "note"]) if coverage is None else coverage
    late = set(noted.loc[noted["note"].astype(str).str.contains("after the sale"), "attribute"])
    table["is_filled_late"] = [any(rule["attribute"] in late for rule in each.rules) for each in offered["rules"]]
    return table.assign(verdict=[_judge(row) for row in table.itertuples()])


def find_members(space: Space, offered: pd.DataFrame) -> np.ndarray:
    """Return which accounts each offered segment holds, shape (n_accounts, n_offered)."""
    masks = [space.members(conjunction) for conjunction in offered["conjunction"]]
    return np.array(masks, bool).reshape(len(offered), len(space.accounts)).T


def build_segments(
    space: Space, older: Found, judged: pd.DataFrame, prospects: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return all figures of the offered segments: `segments`.

    The lift to quote is the held-out one; `lift_found` is optimistic and has no interval. Win rate, cycle and counts
    are of all deals up to as-of.

    Parameters
    ----------
    space : Space
    older : Found
        For `stability_rate`.
    judged : DataFrame
        `judge_offered`.
    prospects : DataFrame, optional
        Companies that are not in the accounts yet, for `reachable_accounts`.

    Returns
    -------
    DataFrame
        One row an offered segment, by verdict, then by the held-out lower bound.
    """
    if judged.empty:
        return pd.DataFrame(columns=SEGMENT_COLUMNS)
    masks, ids = find_members(space, judged), space.accounts["account_id"].to_numpy()
    rows = [groups.estimate_group(ids[mask], space.frames) for mask in masks.T]
    table = pd.concat([judged, pd.DataFrame(rows), estimate_shares(space, masks)], axis=1)
    for end in ("", "_low", "_high"):
        table[f"margin_per_day{end}"] = table[f"holdout_lift{end}"] * table["margin_per_day_rest"]
    reachable = [count_reachable(each, space, prospects) for each in table["rules"]]
    table["reachable_accounts"], table["reachable_note"] = zip(*reachable, strict=True)
    table.loc[~table["is_emerging"], "stability_rate"] = estimate_stability(space, older)
    table["note"] = [_note(row, space) for row in table.itertuples()]
    return groups.sort_by_verdict(table, "holdout_lift_low", ["segment_id"]).reindex(columns=SEGMENT_COLUMNS)


def list_offered(space: Space, older: Found, recent: Found | None = None) -> pd.DataFrame:
    """Return the fixed lists as one: conjunction, rules (`Segment`), what the search gave, is_emerging."""
    tables = []
    for found, is_emerging in ((older, False), (recent, True)):
        if found is not None and len(found.offered):
            table = found.offered.reset_index(drop=True)
            table["conjunction"] = list(found.conjunctions[table["number"]])
            table["rules"] = [space.segment(conjunction) for conjunction in table["conjunction"]]
            tables.append(table.assign(is_emerging=is_emerging, hypotheses=len(found.conjunctions)))
    columns = ["conjunction", "rules", "found_n_opportunities", "found_n_won", "lift_found", "lift_capped",
               "p_adjusted", "hypotheses", "is_emerging"]  # fmt: skip
    if not tables:
        return pd.DataFrame(columns=["segment_id", "segment", "conditions", *columns])
    table = pd.concat(tables, ignore_index=True)
    renamed = {"lift": "lift_found", "n_opportunities": "found_n_opportunities", "n_won": "found_n_won"}
    named = pd.DataFrame([each.describe() for each in table["rules"]])
    return pd.concat([named, table.rename(columns=renamed)[columns]], axis=1)


def _add_held_out(table: pd.DataFrame, checked: Checked) -> pd.DataFrame:
    """Put in what newer deals say; segments that are new have nothing newer."""
    table, is_old = table.copy(), ~table["is_emerging"].astype(bool)
    columns = {
        "holdout_n_opportunities": checked.n_opportunities,
        "holdout_n_won": checked.n_won,
        "holdout_expected_won": checked.expected_won,
        "holdout_lift": [each.value for each in checked.lift],
        "holdout_lift_low": [each.low for each in checked.lift],
        "holdout_lift_high": [each.high for each in checked.lift],
        "holdout_joint_low": [each.low for each in checked.joint],
        "holdout_joint_high": [each.high for each in checked.joint],
        "holdout_p_adjusted": checked.p_adjusted,
        "holdout_p_opposite": checked.p_opposite,
    }
    for name, values in columns.items():
        table[name] = np.nan
        table.loc[is_old, name] = np.asarray(values, float)
    return table


def _add_explanation(table: pd.DataFrame, within: pd.DataFrame) -> pd.DataFrame:
    """Name what takes most of a lead ("nothing"; empty where nothing could be compared), and whether it turns round."""
    table = table.assign(explained_by="nothing", is_contradicted=False)
    for i, segment_id in enumerate(table["segment_id"]):
        mine = within[within["segment_id"] == segment_id]
        table.loc[i, "is_contradicted"] = bool((mine["judged"] == "contradicted").any())
        takes = mine[mine["judged"] == "explained"].sort_values("share_left_rate", kind="stable")
        if len(takes) or (mine["judged"] == "not comparable").all():
            table.loc[i, "explained_by"] = takes["within"].iloc[0] if len(takes) else ""
    return table


def _judge(row) -> str:
    return stats.verdict(
        row.found_n_opportunities,
        row.found_n_won,
        row.lift_found,
        row.p_adjusted,
        holdout_lift=row.holdout_lift,
        holdout_p_adjusted=row.holdout_p_adjusted,
        holdout_p_opposite=row.holdout_p_opposite,
        holdout_expected_won=row.holdout_expected_won,
        is_contradicted_pooled=row.is_contradicted,
        explained_by="" if row.explained_by == "nothing" else row.explained_by,
        capped_at_promising=row.is_filled_late,
    )


def _note(row, space: Space) -> str:
    """What a reader must know of one segment."""
    if row.verdict == "not enough data":
        if row.found_n_won < stats.MIN_WON:
            return f"{row.found_n_won:,} won of the {stats.MIN_WON} needed"
        return f"{row.found_n_opportunities:,} deals of the {stats.MIN_OPPORTUNITIES} needed"
    notes = []
    if row.is_emerging:
        inside = groups.find_units(space.frames.units, space.accounts.loc[row.rules.mask(space.accounts), "account_id"])
        counts = space.frames.units.loc[inside, "quarter"].value_counts()
        said = [f"{counts.get(-back, 0):,}" for back in range(RECENT_QUARTERS, 0, -1)]
        start = "New" if counts.get(-1, 0) else "No deal in the newest quarter"
        notes.append(f"{start}: {', '.join(said[:-1])}, then {said[-1]} deals in the last {RECENT_QUARTERS} quarters")
    if row.is_contradicted:
        notes.append("A fairer comparison points the other way")
    if row.is_filled_late:
        notes.append("A trait of it is filled in more often for won deals: after the sale?")
    if np.isnan(row.margin_per_day_rest) and space.frames.measure == "margin_per_day":
        notes.append("No deal of the rest is a year old, so there is no value in money yet")
    return ". ".join(notes)


def count_reachable(segment: Segment, space: Space, prospects: pd.DataFrame | None) -> tuple[int, str]:
    """Return how many companies of a segment could still be won, and for how many less is known than it asks.

    These are accounts that are no customers, and prospects. What a list of companies does not know (the buyer's role,
    before anybody called) is open: who may be of the segment is counted.
    """
    free, untried = space.accounts[~space.accounts["is_customer"]], space.untried
    listed = pd.DataFrame() if prospects is None else prospects
    missing = segment.list_unknown(untried)
    total, n_open, unknown = 0, 0, set()
    for companies, mask, names in (
        (free, segment.mask_open(free, missing), missing),
        (untried, segment.mask_open(untried, missing), missing),
        (listed, segment.mask_prospects(listed), segment.list_unknown(listed)),
    ):
        is_open = mask & ~segment.mask_open(companies, [])
        total, n_open = total + int(mask.sum()), n_open + int(is_open.sum())
        unknown |= {name.replace("_", " ") for name in names if is_open.any()}
    words = f"At most: of {n_open:,} of them the {' and '.join(sorted(unknown))} is not known" if n_open else ""
    return total, words


def estimate_shares(space: Space, masks: np.ndarray) -> pd.DataFrame:
    """How much of what all deals brought each segment holds.

    Parameters
    ----------
    space : Space
    masks : array of bool, shape (n_accounts, n_offered)

    Returns
    -------
    DataFrame
        share_of_margin with the range of 1,000 shared draws of families; deal_share_rate, its share of all deals;
        margin_share_rate, what only this segment of the list holds; uncovered_rate, what none of the list holds.
    """
    units, n = space.frames.units, len(space.accounts)
    code = pd.Index(space.accounts["account_id"]).get_indexer(units["account_id"])
    got = np.bincount(code, weights=units["m"], minlength=n)
    families, family = np.unique(space.accounts["family_id"], return_inverse=True)
    parts = [got, *(got * mask for mask in masks.T)]
    by_family = np.column_stack([np.bincount(family, weights=part, minlength=len(families)) for part in parts])
    total, *mine = draws.sum_families(by_family, families)
    with np.errstate(invalid="ignore"):
        shares = np.array(mine).reshape(-1, len(total)) / total
    low, high = np.nanquantile(shares[:, 1:], [0.025, 0.975], axis=1)
    alone = masks & (masks.sum(axis=1, keepdims=True) == 1)
    is_any = got.sum() > 0
    return pd.DataFrame(
        {
            "share_of_margin": shares[:, 0],
            "share_of_margin_low": low,
            "share_of_margin_high": high,
            "deal_share_rate": np.bincount(code, minlength=n) @ masks / len(units),
            "margin_share_rate": got @ alone / got.sum() if is_any else np.nan,
            "uncovered_rate": got @ ~masks.any(axis=1) / got.sum() if is_any else np.nan,
        }
    )


def build_overlap(space: Space, segments: pd.DataFrame) -> pd.DataFrame:
    """How many accounts two offered segments share, as a share of the smaller: `segment_overlap`.

    Returns
    -------
    DataFrame
        segment_id, segment, other_id, other, n_shared, share_rate; every ordered pair, a segment with itself too.
    """
    rules = [Segment.from_json(each) for each in segments["conditions"]]
    masks = [each.mask(space.accounts) for each in rules]
    rows = [
        {
            "segment_id": one.segment_id, "segment": one.name, "other_id": two.segment_id, "other": two.name,
            "n_shared": int((mask & other).sum()),
            "share_rate": (mask & other).sum() / max(1, min(mask.sum(), other.sum())),
        }
        for one, mask in zip(rules, masks, strict=True)
        for two, other in zip(rules, masks, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["segment_id", "segment", "other_id", "other", "n_shared", "share_rate"])


def build_claims(segments: pd.DataFrame) -> pd.DataFrame:
    """Return one row a claim: every offered segment, in the order of `segments`: `claims_01`.

    The estimate is that of newer deals, its range widened for the length of the list; where nothing newer is there, the
    found one without a range.
    """
    table = segments.reset_index(drop=True)
    words = {
        "not supported": " do not stand out from the rest beyond luck.",
        "contradicted": " do not hold: newer deals, or a fairer comparison, point the other way.",
    }
    kind = table["verdict"].str.replace(r"^explained by .*", "explained by", regex=True)
    claims = pd.DataFrame(
        {
            "claim_id": "01-" + table["segment_id"],
            "claim": table["segment"] + kind.map(words).fillna(" are worth more than the rest."),
            "segment_id": table["segment_id"],
            "metric": "lift",
            "estimate": table["holdout_lift"].fillna(table["lift_found"]),
            "conf_low": table["holdout_joint_low"],
            "conf_high": table["holdout_joint_high"],
            "n": table["holdout_n_opportunities"].fillna(table["found_n_opportunities"]),
            "hypotheses": table["hypotheses"],
            "estimate_found": table["lift_found"],
            "p_adjusted": table["p_adjusted"],
            "holdout_p_adjusted": table["holdout_p_adjusted"],
            "explained_by": table["explained_by"],
            "verdict": table["verdict"],
            "note": table["note"],
        }
    )
    return claims.reindex(columns=CLAIM_COLUMNS)


def list_candidates(space: Space, found: Found, most: int = 200) -> pd.DataFrame:
    """Return the best groups of the search, offered or not, and why not: `segments_all`.

    Returns
    -------
    DataFrame
        segment_id, segment, conditions, n_accounts, n_opportunities, n_won, lift_found, p_adjusted, is_offered,
        reason; the largest test statistic first, at most `most`. Groups that add nothing to a wider one are not in it.
    """
    table = found.candidates[~found.candidates["has_placebo"]].head(most).reset_index(drop=True)
    masks = [space.members(found.conjunctions[number]) for number in table["number"]]
    offered = [(mask, space.segment(found.conjunctions[number]).name)
               for mask, number, is_offered in zip(masks, table["number"], table["is_offered"], strict=True)
               if is_offered]  # fmt: skip
    reasons = [_reason(row, mask, offered) for row, mask in zip(table.itertuples(), masks, strict=True)]
    named = pd.DataFrame(
        [space.segment(found.conjunctions[number]).describe() for number in table["number"]],
        columns=["segment_id", "segment", "conditions"],
    )
    kept = table[["n_accounts", "n_opportunities", "n_won", "lift", "p_adjusted", "is_offered"]]
    return pd.concat([named, kept.rename(columns={"lift": "lift_found"})], axis=1).assign(reason=reasons)


def _reason(row, mask: np.ndarray, offered: list) -> str:
    """Why a candidate is not offered."""
    if row.is_offered:
        return ""
    if row.p_adjusted > MOST_P:
        return "Luck alone gives as much in more than one search of five"
    if row.n_won < stats.MIN_WON:
        return f"{row.n_won:,} won of the {stats.MIN_WON} needed"
    for other, name in offered:
        if (mask & other).sum() > MOST_SHARED * min(mask.sum(), other.sum()):
            return f"Shares too many accounts with: {name}"
    return f"{MOST_OFFERED} are offered already"


def describe_search(space: Space, older: Found, recent: Found | None = None) -> pd.DataFrame:
    """Return what was searched, and what luck gave: `segment_search`, one row a search.

    Returns
    -------
    DataFrame
        `Found.about`, and measure, n_offered, lift_noise (the best lift of the leader's size in any shuffled search),
        found_until (day of the last company of the older part), holdout_n_accounts, holdout_n_opportunities,
        is_placebo_found, placebo_words.
    """
    rows = []
    for found in filter(None, (older, recent)):
        rows.append(found.about.assign(n_offered=len(found.offered), lift_noise=found.draws["lift"].max()))
    table = pd.concat(rows, ignore_index=True)
    used = space.frames.measure
    table["measure"] = METRICS[used].name if used in METRICS else used.capitalize()
    is_old = space.accounts["part"] == "found"
    newer = space.accounts.loc[space.accounts["part"] == "held_out", "account_id"]
    came_at = space.accounts.groupby("family_id")["first_opportunity_at"].transform("min")
    table["found_until"] = came_at[is_old].max()
    table["holdout_n_accounts"] = len(newer)
    table["holdout_n_opportunities"] = int(groups.find_units(space.frames.units, newer).sum())
    table["is_placebo_found"] = table["placebo_p_adjusted"] <= stats.MAX_P
    is_any = table["is_placebo_found"].any()
    table["placebo_words"] = PLACEBO_FOUND if is_any else "Neither of two made-up traits was found."
    return table
