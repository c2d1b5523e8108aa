"""What page 02 says of the best customers: sentences by verdict, claims, facts, and the columns to compare."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats as distributions

from icp_lib import groups, stats
from icp_lib.formats import format_interval, is_missing
from icp_lib.rules import is_named
from icp_lib.schemas import CLAIM_COLUMNS
from icp_lib.space import PLACEBOS

NOTHING = "No trait can be compared: there are too few best customers, or nothing is known of them."
FACTS = {
    "Best": "{n_best} of {n_judged} customers that can be judged; {unjudged_words}",
    "Judged by": "{basis_words}",
    "Found on": "{n_found_best} best customers of the companies that came first",
    "Checked on": "{n_holdout_best} best customers of the companies that came after",
}
SENTENCES = {
    "confirmed": "**{segment}: {best_rate} of {n_best} best customers, {base_rate} of {n_base} {base}.** "
    "Seen again in newer ones: {holdout_base_lift} as common ({interval:holdout_base_lift}).",
    "promising": "{segment}: {best_rate} of {n_best} best customers, {base_rate} of {n_base} {base}. {luck_words}: "
    "{holdout_base_lift} as common in newer ones ({interval:holdout_base_lift}).",
    "untested": "{segment}: {best_rate} of {n_best} best customers, {base_rate} of {n_base} {base}. "
    "Too few newer ones to check it.",
    "contradicted": "{segment} do not hold: {base_lift} as common when found, {holdout_base_lift} in newer ones "
    "({interval:holdout_base_lift}).",
    "not supported": "{segment}: {best_rate} of {n_best} best customers, {base_rate} of {n_base} {base} when found; "
    "{newer_words}.",
    "not enough data": "{note}.",
    "": "{note}",
}
SELECTED = {
    "untested": "**{n_selected} of {n_attributes} attributes matter together: {attributes}.** {note}",
    "not enough data": "There are too few best customers to say which attributes matter together.",
    "": "Not one of {n_attributes} attributes tells more than luck would who becomes a best customer, so none is kept.",
}
RECEIVED = (
    "{group} say that they get {received_ratio} what they pay ({interval:received_ratio}); "
    "{n_measured} of {n} have said so."
)
PERSON = {
    "confirmed": "**Of newer deals where {persona} was there early, {holdout_won_with_rate} are won, else "
    "{holdout_won_without_rate}** (n = {holdout_n_with} and {holdout_n_without}). Seen when found, and again in these.",
    "promising": "Of newer deals where {persona} was there early, {holdout_won_with_rate} are won, else "
    "{holdout_won_without_rate} (n = {holdout_n_with} and {holdout_n_without}). {luck_words}",
    "untested": "Where {persona} was there early, {won_with_rate} were won, else {won_without_rate} (n = {n_with} and "
    "{n_without}). Too few newer deals to check it.",
    "contradicted": "That deals with {persona} there early end otherwise does not hold in newer ones.",
    "not enough data": "Of {persona} there is too little to say: {note}.",
    "": "Whoever was there early: in newer deals nobody makes a difference that this data can tell.",
}
MAP = {
    "best_rate": "Best customers", "other_rate": "Other customers", "churned_rate": "Customers who left",
    "lost_rate": "Lost deals", "market_rate": "The market",
}  # fmt: skip
WORTH = "By worth as a customer, not by margin per selling day"
NO_CURVE = "There is no newer best customer on whom the list could be tried."
NO_MODEL = "There are too few best customers, or nobody to tell them from, for a model of all traits."
NO_BEST = "No customer can be called best yet."
SHARES = (0.05, 0.1, 0.2, 0.4)
_FACTOR = 1.01


def _judged(traits: pd.DataFrame, against: str = "market", with_gaps: bool = False) -> pd.DataFrame:
    """Rows of one base that have enough data and say something of a company, or of a gap in the data."""
    rows = traits[traits["against"] == against]
    able = (rows["level"].map(is_named).astype(bool) | with_gaps) & ~rows["attribute"].isin(PLACEBOS)
    return rows[able & (rows["verdict"] != "not enough data")]


def _by_verdict(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows by verdict, those furthest from luck first."""
    near = rows.assign(_near=-rows["p_value"])
    return groups.sort_by_verdict(near, "_near", ["attribute", "level"]).drop(columns=["_near"])


def pick_answers(traits: pd.DataFrame, labels: pd.DataFrame, most: int = 4) -> pd.DataFrame:
    """Return the rows of the answer: what stands out against the market, else what is nearest to it, else why not."""
    rows = _by_verdict(_judged(traits))
    out = rows[rows["verdict"] != "not supported"].head(most)
    rows = out if len(out) else rows.head(2)
    if len(rows):
        newer = [_say_unsupported(row) for row in rows.to_dict("records")]
        part = np.where(rows["p_adjusted"] <= stats.MAX_P, "In newer ones it", "Where it was found, it")
        luck = [f"{each} could still be luck" for each in part]
        ends = [f"{name}_{end}" for name in ("best_rate", "base_rate") for end in ("low", "high")]
        return rows.drop(columns=ends).assign(newer_words=newer, luck_words=luck)  # both shares with the same digits
    return pd.DataFrame({"verdict": [None], "note": [labels["note"].iloc[0] or NOTHING]})


def _say_unsupported(row: dict) -> str:
    """What newer companies say of a difference that is not supported; it turned round where their whole range did."""
    newer, low, high = (row[f"holdout_base_lift{end}"] for end in ("", "_low", "_high"))
    if is_missing(newer):
        return "no newer ones. Luck could give that"
    words = f"{format_interval(newer, low, high, 'holdout_base_lift')} as common in newer ones"
    is_turned = high < 1 < row["base_lift"] or row["base_lift"] < 1 < low
    return f"{words}: the other way round" if is_turned else f"{words}. Luck could give that"


def say_newer(lifts: pd.DataFrame) -> pd.DataFrame:
    """Return one row that says which of the traits drawn reversed in newer companies, and which lost half and more."""
    rows = lifts[(lifts["base_lift"] > 0) & (lifts["holdout_base_lift"] > 0)] if len(lifts) else lifts
    if len(rows) == 0:
        return pd.DataFrame([{"newer_words": "No trait can be compared in newer companies."}])
    then, now = np.log(rows["base_lift"].astype(float)), np.log(rows["holdout_base_lift"].astype(float))
    is_reversed = then * now < 0
    is_halved = ~is_reversed & (now.abs() <= then.abs() / 2)
    words = []
    for flags, what in ((is_reversed, "reversed in newer companies"), (is_halved, "lost half or more of it")):
        names = f" ({'; '.join(rows.loc[flags, 'segment'])})" if flags.any() else ""
        words.append(f"{int(flags.sum()) or 'none'} {what}{names}")
    text = f"Of the {len(rows)} that some of the best have in both parts, {' and '.join(words)}."
    return pd.DataFrame([{"newer_words": text}])


def pick_lifts(traits: pd.DataFrame, against: str = "market", most: int = 10) -> pd.DataFrame:
    """Return the levels that differ most beyond luck from one base, the most common among the best first."""
    rows = _judged(traits, against).sort_values(["p_value", "attribute", "level"], kind="stable").head(most)
    return rows.sort_values(["base_lift", "segment"], ascending=[False, True], kind="stable", ignore_index=True)


def pick_traits(traits: pd.DataFrame, against: str = "market", most: int = 24) -> pd.DataFrame:
    """Return the columns of the contrast with one base among newer companies, the base rate beside the share."""
    rows = _by_verdict(_judged(traits, against, with_gaps=True))
    columns = ["segment", "holdout_base_lift", "holdout_base_lift_low", "holdout_base_lift_high",
               "holdout_base_lift_found", "holdout_best_rate", "holdout_base_rate", "p_adjusted", "compared_with",
               "verdict", "note"]  # fmt: skip
    rows = rows.assign(holdout_base_lift_found=_on_axis(rows["base_lift"]), compared_with=rows["base"])
    return rows[columns].head(most).reset_index(drop=True)


def _on_axis(lifts: pd.Series) -> pd.Series:
    """Ratios that a log axis can show: of nobody there is no ring."""
    return lifts.where(lifts > 0)


def pick_map(traits: pd.DataFrame, most: int = 12) -> pd.DataFrame:
    """Return one row a level with its share among the best and in every base: the levels that differ most from any.

    Shares are of all companies of a group; those of the market alone are of those of whom the trait is known. Beside
    each share of a base, its chance of luck (`<base>_p_adjusted`); `n_words` says how many stand behind the row.
    """
    able = _judged(traits)[["attribute", "level"]].merge(traits, on=["attribute", "level"])
    able = able.sort_values("against", key=lambda against: against == "market", kind="stable")  # the best beside others
    if able.empty:
        return pd.DataFrame(columns=["attribute", "level", "segment", *MAP])
    wide = able.pivot_table(index=["attribute", "level"], columns="against", values=["base_rate", "p_adjusted"])
    wide.columns = [f"{base}_{'rate' if name == 'base_rate' else name}" for name, base in wide.columns]
    wide = wide.reset_index()
    least = able.groupby(["attribute", "level"], as_index=False).agg(
        segment=("segment", "first"), best_rate=("best_rate", "first"), p_value=("p_value", "min")
    )
    table = least.merge(wide, on=["attribute", "level"]).sort_values(["p_value", "attribute", "level"], kind="stable")
    table = table.head(most).merge(_count_groups(able), on=["attribute", "level"])
    table["_apart"] = table["best_rate"] - table["market_rate"]
    table = table.sort_values(["_apart", "segment"], ascending=[False, True], kind="stable", ignore_index=True)
    luck = [f"{key.removesuffix('_rate')}_p_adjusted" for key in MAP if key != "best_rate"]
    return table.reindex(columns=["attribute", "level", "segment", *MAP, *luck, "n_words"])


def _count_groups(able: pd.DataFrame) -> pd.DataFrame:
    """How many companies stand behind the shares of each level, in words."""
    sizes = able.pivot_table(index=["attribute", "level"], columns="against", values="n_base")
    best = able.groupby(["attribute", "level"])["n_best"].first().rename("best")
    market = able[able["against"] == "market"].groupby(["attribute", "level"])["base"].first().rename("whom")
    table = sizes.join([best, market]).reset_index()
    names = {key.removesuffix("_rate"): words for key, words in MAP.items()}
    table["n_words"] = [", ".join(f"{int(row[key]):,} {row['whom'] if key == 'market' else words.lower()}"
                        for key, words in names.items() if row.get(key, 0) == row.get(key, 0))
                        for row in table.to_dict("records")]  # fmt: skip
    return table[["attribute", "level", "n_words"]]


def pick_nearest(traits: pd.DataFrame, most: int = 3) -> pd.DataFrame:
    """Return, for every base but the market, the levels that differ most; no verdict, as nothing is claimed of them."""
    parts = [_judged(traits, base).sort_values(["p_value", "attribute", "level"], kind="stable").head(most)
             for base in traits["against"].unique() if base != "market"]  # fmt: skip
    columns = ["segment", "base", "best_rate", "base_rate", "gap_base_rate", "gap_base_rate_low", "gap_base_rate_high",
               "n_best", "n_base", "p_adjusted", "note"]  # fmt: skip
    if not parts:
        return pd.DataFrame(columns=columns)
    return pd.concat(parts)[columns].reset_index(drop=True)


def pick_selected(selected: pd.DataFrame) -> pd.DataFrame:
    """Return the row of the selection with a verdict where something was selected."""
    n, note = int(selected["n_selected"].iloc[0]), selected["note"].iloc[0]
    told = selected["n_events"].iloc[0] >= stats.MIN_WON
    verdict = "untested" if n else None if told else "not enough data"
    return selected.assign(verdict=verdict, note=f"{note}." if note else "")


def pick_attributes(selection: pd.DataFrame, traits: pd.DataFrame) -> pd.DataFrame:
    """Return the attributes in the order in which they joined, then those that did not; made-up ones among them.

    The information value against the market, and what luck alone adds to it, stand beside each.
    """
    market = traits[traits["against"] == "market"]
    items = market.assign(attribute=market["attribute"] + ": " + market["level"].astype(str))
    known = pd.concat([market, items]).drop_duplicates("attribute").set_index("attribute")
    words = selection["verdict"].where(
        selection["verdict"] != "says the same", "says the same as " + selection["says_same_as"].astype(str)
    )
    columns = ["attribute", "finding", "n_levels", "p_alone_adjusted", "p_adjusted", "information_value",
               "information_bias", "note"]  # fmt: skip
    values = {name: selection["attribute"].map(known[name]).astype(float).round(3) for name in columns[5:7]}
    return selection.assign(finding=words, **values)[columns]


def list_limits(traits: pd.DataFrame, most: int = 8) -> pd.DataFrame:
    """Return, for the traits nearest to a finding, what would change their verdict, and where they stand now."""
    words = {
        "confirmed": "newer best customers no longer have it more often than the market",
        "promising": "newer best customers differ from the market beyond luck, the same way: then confirmed",
        "untested": "fifteen best customers among newer companies: then checked",
        "contradicted": "newer best customers differ from the market the first way again",
    }
    rows = _by_verdict(_judged(traits)).head(most)
    changes = [words.get(row["verdict"]) or _say_needed(row) for row in rows.to_dict("records")]
    columns = ["segment_id", "segment", "holdout_base_lift", "holdout_base_lift_low", "holdout_base_lift_high",
               "holdout_base_lift_found", "would_change", "compared_with", "verdict"]  # fmt: skip
    found = _on_axis(rows["base_lift"])
    rows = rows.assign(would_change=changes, holdout_base_lift_found=found, compared_with=rows["base"])
    return rows[columns].reset_index(drop=True)


def _say_needed(row: dict) -> str:
    """The ratio at which a trait of this base rate would be confirmed in four of five such comparisons."""
    n = f"{int(row['n_best']):,} best customers and {int(row['holdout_n_best'] or 0):,} newer ones"
    lift = _smallest_lift(row["base_rate"], _sizes(row), is_less=row["base_lift"] < 1)
    if np.isnan(lift):
        return f"more best customers: with {n} no ratio would be confirmed"
    side = "less" if row["base_lift"] < 1 else "more"
    return f"{lift:.{1 if lift >= 1 else 2}f}× or {side} among {n}: then most likely confirmed"


def pick_people(personas: pd.DataFrame) -> pd.DataFrame:
    """Return the personas that say something, at most two, of the same people one; else one row for all."""
    told = _tell_apart(personas[~personas["verdict"].isin(["not supported", "not enough data"])]).head(2)
    if told.empty:
        return personas.head(1).assign(verdict=None)
    # Beyond luck where found, or beyond luck in newer deals alone: never both, or it would be confirmed.
    part = np.where(told["p_adjusted"] <= stats.MAX_P, "In newer deals it", "Where it was found, it")
    return told.assign(luck_words=[f"{each} could still be luck." for each in part])


def _tell_apart(personas: pd.DataFrame) -> pd.DataFrame:
    """Leave out personas that are nearly the same people as one that is kept."""
    return personas[~(personas["same_as"].isin(personas["persona"]) & (personas["same_as"] != ""))]


def build_claims(
    traits: pd.DataFrame, personas: pd.DataFrame, most: int = 6, most_unsupported: int = 2
) -> pd.DataFrame:
    """Return the claims of notebook 02: the best customers against the market, then the personas: `claims_02`.

    `estimate` is the figure among newer accounts, `estimate_found` where it was found.
    """
    parts = [_claim_traits(traits, most, most_unsupported), _claim_personas(personas)]
    known = [part for part in parts if len(part)]
    return pd.concat(known, ignore_index=True) if known else pd.DataFrame(columns=CLAIM_COLUMNS)


def _claim_personas(personas: pd.DataFrame) -> pd.DataFrame:
    """Claims of the personas that say something."""
    top = _tell_apart(personas[personas["verdict"].isin(["confirmed", "promising", "untested", "contradicted"])])
    side = np.where(top["gap_won_rate_found"] > 0, "more", "less")
    words = [f"Where {row.persona} was there by day 30, deals are won {each} often." for row, each in
             zip(top.itertuples(), side, strict=True)]  # fmt: skip
    return pd.DataFrame(
        {
            "claim_id": ["02-" + f"{row.kind}-{row.persona}".lower().replace(" ", "-") for row in top.itertuples()],
            "claim": words,
            "segment_id": "",
            "metric": "gap_won_rate",
            "estimate": top["holdout_gap_won_rate"],
            "conf_low": top["holdout_gap_won_rate_low"],
            "conf_high": top["holdout_gap_won_rate_high"],
            "n": top["holdout_n_with"],
            "hypotheses": top["hypotheses"],
            "estimate_found": top["gap_won_rate_found"],
            "p_adjusted": top["p_adjusted"],
            "holdout_p_adjusted": top["holdout_p_adjusted"],
            "explained_by": "",
            "verdict": top["verdict"],
            "note": "Goes with it; nobody has tested that it is the cause",
        },
        columns=CLAIM_COLUMNS,
    )


def _claim_traits(traits: pd.DataFrame, most: int, most_unsupported: int) -> pd.DataFrame:
    """Claims of the traits that differ from the market, and of those that come nearest to it."""
    rows = _by_verdict(_judged(traits))
    is_claim = rows["verdict"] != "not supported"
    top = pd.concat([rows[is_claim].head(most), rows[~is_claim].head(most_unsupported)])
    side = np.where(top["base_lift"] > 1, "more", "less")
    words = [f"{row.segment} are {each} common among the best customers than in the market."
             for row, each in zip(top.itertuples(), side, strict=True)]  # fmt: skip
    luck = [f"{row.segment} are not more or less common among the best customers than luck gives."
            for row in top.itertuples()]  # fmt: skip
    return pd.DataFrame(
        {
            "claim_id": "02-" + top["segment_id"],
            "claim": np.where(top["verdict"] == "not supported", luck, words),
            "segment_id": top["segment_id"],
            "metric": "base_lift",
            "estimate": top["holdout_base_lift"],
            "conf_low": top["holdout_base_lift_low"],
            "conf_high": top["holdout_base_lift_high"],
            "n": top["holdout_n_best"].where(top["holdout_base_lift"].notna(), top["n_best"]),
            "hypotheses": top["hypotheses"],
            "estimate_found": top["base_lift"],
            "p_adjusted": top["p_adjusted"],
            "holdout_p_adjusted": top["holdout_p_adjusted"],
            "explained_by": "",
            "verdict": top["verdict"],
            "note": [f"{note}. {WORTH}" if note else WORTH for note in top["note"].fillna("")],
        },
        columns=CLAIM_COLUMNS,
    ).reset_index(drop=True)


def estimate_seen(traits: pd.DataFrame) -> pd.DataFrame:
    """The smallest ratio that this data would have confirmed with 80 % probability, for traits of several sizes.

    Exact: the counts among the best are binomial, Fisher's test must reach 0.05 over the number of levels where found,
    two-sided, and 0.05 in newer ones, one-sided; the base is as large as it is.

    Returns
    -------
    DataFrame
        base_rate, base_lift (NaN with a note where no ratio would), n_best, holdout_n_best, n_base, hypotheses, note.
    """
    rows = traits[(traits["against"] == "market") & traits["p_adjusted"].notna()]
    columns = ["base_rate", "base_lift", "n_best", "holdout_n_best", "n_base", "hypotheses", "note"]
    if rows.empty:
        return pd.DataFrame(columns=columns)
    first = rows.iloc[0]
    sizes = _sizes(first)
    table = []
    for share in SHARES:
        lift = _smallest_lift(share, sizes)
        note = "" if lift == lift else "However common, it would not have been confirmed"
        table.append([share, lift, sizes[0][0], sizes[1][0], sizes[0][1], int(first["hypotheses"]), note])
    return pd.DataFrame(table, columns=columns)


def _sizes(row) -> list[tuple[int, int, float]]:
    """Best customers, those compared with, and the one-sided level, where found and in newer ones."""
    newer = (int(row[name]) if row[name] == row[name] else 0 for name in ("holdout_n_best", "holdout_n_base"))
    return [(int(row["n_best"]), int(row["n_base"]), 0.025 / max(1, int(row["hypotheses"]))), (*newer, 0.05)]


def _smallest_lift(share: float, sizes: list[tuple[int, int, float]], is_less: bool = False) -> float:
    """Return the ratio nearest to 1 that both tests would see with 80 % probability; NaN where none would be."""
    if not 0 < share < 1:
        return np.nan
    lifts = np.arange(1.0, 1 / share + 0.005, _FACTOR - 1) if not is_less else np.arange(1.0, -0.005, 1 - _FACTOR)
    chance = np.ones(len(lifts))
    for n_best, n_base, alpha in sizes:
        count, rate = _critical(share, n_best, n_base, alpha, is_less), np.clip(share * lifts, 0.0, 1.0)
        law = distributions.binom
        chance *= law.cdf(count, n_best, rate) if is_less else law.sf(count - 1, n_best, rate)
    enough = np.flatnonzero(chance >= 0.8)
    return max(0.0, lifts[enough[0]]) if len(enough) else np.nan


def _critical(share: float, n_best: int, n_base: int, alpha: float, is_less: bool = False) -> int:
    """Return how many of the best must have a trait of that base rate (at most, if less) for Fisher's test at alpha."""
    held, counts = round(share * n_base), np.arange(n_best + 1)
    if is_less:
        return int((distributions.hypergeom.cdf(counts, n_best + n_base, held + counts, n_best) <= alpha).sum()) - 1
    p = distributions.hypergeom.sf(counts - 1, n_best + n_base, held + counts, n_best)
    return int(np.argmax(p <= alpha)) if (p <= alpha).any() else n_best + 1


def say_placebos(traits: pd.DataFrame, selected: pd.DataFrame) -> pd.DataFrame:
    """Return one row that says whether a made-up trait was found or selected."""
    made = traits[traits["attribute"].isin(PLACEBOS)]
    found = made[made["verdict"].isin(["confirmed", "promising", "untested", "contradicted"])]
    taken = 0 if selected.empty else int(selected["n_placebos"].iloc[0])
    words = "Two made-up traits, from nothing but the account's id, went through it all; "
    if len(found) or taken:
        n = len(found) + taken
        words += f"luck found one of them ({n} time{'s' if n > 1 else ''}): believe what is new here less."
    else:
        words += "neither was found nor selected."
    return pd.DataFrame([{"placebo_words": words, "n_found": len(found), "n_selected": taken}])
