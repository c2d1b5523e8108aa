"""Is it something else? Each finding compared like with like, within every attribute that is not in its rule."""

from __future__ import annotations

import numpy as np
import pandas as pd

from icp_lib import groups, pooling, stats
from icp_lib.rules import Segment, is_comparable
from icp_lib.space import PLACEBOS, Space

#: Columns of opportunities that every finding is compared within too, and what they are called.
WITHIN_UNITS = {"owner_id": "the rep", "lead_source": "where the deal came from"}
LEADER = "the leading segment"
COLUMNS = ["segment_id", "segment", "within", "lift", "lift_pooled", "lift_pooled_low", "lift_pooled_high",
           "share_left_rate", "comparable_rate", "n_strata", "judged"]  # fmt: skip


def compare_within(space: Space, segments: list[Segment]) -> pd.DataFrame:
    """Pool each segment's lift over the levels of every other attribute, over owners, lead sources and the leader.

    Mantel-Haenszel rate ratios on all deals up to as-of, values capped at the 95th percentile; "half" is half of the
    logarithm. Single levels are never tested. Owners or sources known only for won deals are not comparable.

    Parameters
    ----------
    space : Space
    segments : list of Segment
        The first is the leader: the others are compared inside and outside of it, lest they borrow its lead.

    Returns
    -------
    DataFrame
        One row a segment and attribute: segment_id, segment, within, lift (not pooled), lift_pooled with its range,
        share_left_rate (of the logarithm of the lift of the deals compared), comparable_rate, n_strata, judged
        ('', 'explained', 'contradicted', 'not comparable'); the least that is left first.
    """
    units = space.frames.capped
    cluster = pd.factorize(units["family_id"])[0]
    strata = _build_strata(space)
    ids = space.accounts["account_id"].to_numpy()
    insides = [groups.find_units(units, ids[segment.mask(space.accounts)]) for segment in segments]
    rows = []
    for number, (segment, inside) in enumerate(zip(segments, insides, strict=True)):
        crude = stats.estimate_lift(units["m"], units["e"], inside, cluster)
        used = {_name_attribute(rule) for rule in segment.rules}
        leader = {("", LEADER): (insides[0].astype(int), ["outside", "inside"])} if number else {}
        for (attribute, within), (stratum, _) in (strata | leader).items():
            if attribute not in used:
                pooled = pooling.estimate_pooled_ratio(units["m"], units["e"], inside, stratum, cluster)
                rows.append(_describe(segment, within, crude, pooled))
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.sort_values(["segment_id", "share_left_rate", "within"], kind="stable", ignore_index=True)


def _describe(segment: Segment, within: str, crude: stats.Estimate, pooled: pooling.Pooled) -> dict:
    is_known = pooled.value > 0 and pooled.crude > 0 and pooled.crude != 1
    return {
        "segment_id": segment.segment_id,
        "segment": segment.name,
        "within": within,
        "lift": crude.value,
        "lift_pooled": pooled.value,
        "lift_pooled_low": pooled.low,
        "lift_pooled_high": pooled.high,
        "share_left_rate": np.log(pooled.value) / np.log(pooled.crude) if is_known else np.nan,
        "comparable_rate": pooled.comparable_rate,
        "n_strata": pooled.n_strata,
        "judged": pooling.judge_pooled(crude, pooled),
    }


def _name_attribute(rule: dict) -> str:
    """The attribute of a rule as `Space.attribute` has it: each item of a list is one of its own."""
    return f"{rule['attribute']}: {rule['value']}" if Segment.of(rule).is_list else rule["attribute"]


def _build_strata(space: Space) -> dict[tuple[str, str], tuple[np.ndarray, list[str]]]:
    """(attribute, its words) -> the level of each unit, and the levels' names; every item of a list is a yes or no.

    Missing is a level. Reps are numbers: who they are is nobody's business here. A rep who is written down only when a
    deal is won stands for the win itself: then each unit is a level of its own, so that nothing is compared.
    """
    units = space.frames.capped
    code = pd.Index(space.accounts["account_id"]).get_indexer(units["account_id"])
    strata = {}
    for name in dict.fromkeys(space.attribute):
        attribute, _, item = name.partition(": ")
        if attribute not in PLACEBOS:
            here = np.flatnonzero(space.attribute == name)
            member = space.membership[:, here]
            level = np.where(member.any(axis=1), member.argmax(axis=1) + 1, 0)
            names = ["no", "yes"] if item else ["not known, or rare", *(space.levels[each][1] for each in here)]
            words = item or attribute.replace("_", " ")
            words = name.replace("_", " ") if words in {each for _, each in strata} else words  # an item of two lists
            strata[name, words] = level[code], names
    for column, words in WITHIN_UNITS.items():
        if units[column].notna().any():
            strata.pop((column, column.replace("_", " ")), None)
            known = pd.DataFrame({column: units[column], "n_won": units["has_won"].astype(int), "n_opportunities": 1})
            level, found = pd.factorize(units[column], sort=True)
            names = found if column == "lead_source" else [f"Rep {number}" for number in range(1, 1 + len(found))]
            is_able = is_comparable(known, column)
            strata[column, words] = (level + 1, ["not known", *names]) if is_able else (np.arange(len(units)), [])
    return strata


def list_strata(space: Space, segments: list[Segment], within: pd.DataFrame) -> pd.DataFrame:
    """Show, level by level, the comparison that leaves the least of each segment's lead: `segment_strata`.

    Shown, never tested: so many levels differ by luck. Values are capped as in `compare_within`.

    Returns
    -------
    DataFrame
        segment_id, segment, within, level, n_opportunities, n_won, n_opportunities_rest, n_won_rest, lift (NaN with
        fewer than 15 won on either side); levels with deals on both sides, most deals of the segment first.
    """
    units, strata = space.frames.capped, _build_strata(space)
    ids = space.accounts["account_id"].to_numpy()
    insides = {each.segment_id: groups.find_units(units, ids[each.mask(space.accounts)]) for each in segments}
    least = within[within["judged"] != "not comparable"].dropna(subset="share_left_rate").drop_duplicates("segment_id")
    columns = ["segment_id", "segment", "within", "level", "n_opportunities", "n_won", "n_opportunities_rest",
               "n_won_rest", "lift"]  # fmt: skip
    tables = []
    for row in least.itertuples():
        if row.within == LEADER:
            stratum, names = insides[segments[0].segment_id].astype(int), ["outside", "inside"]
        else:
            stratum, names = next(each for (_, words), each in strata.items() if words == row.within)
        sums = [units[["m", "e", "has_won"]].assign(n=1).astype(float)[side].groupby(stratum[side]).sum()
                for side in (insides[row.segment_id], ~insides[row.segment_id])]  # fmt: skip
        mine, rest = (each.reindex(sums[0].index.intersection(sums[1].index)) for each in sums)
        lift = (mine["m"] / mine["e"]) / (rest["m"] / rest["e"])
        is_enough = np.minimum(mine["has_won"], rest["has_won"]) >= stats.MIN_WON
        tables.append(pd.DataFrame({
            "segment_id": row.segment_id, "segment": row.segment, "within": row.within,
            "level": [names[number] for number in mine.index], "n_opportunities": mine["n"].astype(int),
            "n_won": mine["has_won"].astype(int), "n_opportunities_rest": rest["n"].astype(int),
            "n_won_rest": rest["has_won"].astype(int), "lift": lift.where(is_enough),
        }).sort_values("n_opportunities", ascending=False, kind="stable"))  # fmt: skip
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def estimate_without(space: Space, segments: list[Segment]) -> pd.DataFrame:
    """What each condition adds: the lift of the segment without it, on all deals up to as-of.

    Returns
    -------
    DataFrame
        segment_id, segment, without (the condition), others (the segment that is left), lift, lift_without with its
        range, n_opportunities; for segments of two conditions or more.
    """
    units = space.frames.units
    ids = space.accounts["account_id"].to_numpy()
    rows = []
    for segment in (each for each in segments if len(each.rules) > 1):
        lift = groups.estimate_units(units, groups.find_units(units, ids[segment.mask(space.accounts)])).value
        for rule in segment.rules:
            others = Segment.of(*(each for each in segment.rules if each is not rule))
            inside = groups.find_units(units, ids[others.mask(space.accounts)])
            left = groups.estimate_units(units, inside)
            rows.append(
                {
                    "segment_id": segment.segment_id,
                    "segment": segment.name,
                    "without": Segment.of(rule).name,
                    "others": others.name,
                    "lift": lift,
                    "lift_without": left.value,
                    "lift_without_low": left.low,
                    "lift_without_high": left.high,
                    "n_opportunities": int(inside.sum()),
                }
            )
    columns = ["segment_id", "segment", "without", "others", "lift", "lift_without", "lift_without_low",
               "lift_without_high", "n_opportunities"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)
