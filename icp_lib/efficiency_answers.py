"""What page 03 says of the cost to win customers: the answer, the claims, and the columns that a reader compares."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats as distributions
from scipy.special import ndtri

from icp_lib import stats
from icp_lib.costs import MIN_CUSTOMERS
from icp_lib.metrics import METRICS
from icp_lib.schemas import CLAIM_COLUMNS

EVERYBODY = "All customers"
CHARGED = "All of the spend could be charged to somebody."
TOO_FEW = "Fewer than two segments have enough new customers to be ranked."
GIVEN = "Nothing had to be assumed about leads, lags or care."
NOTHING = "There is no claim about what a segment costs."
ANSWER = "**A new customer costs {cac} to win ({interval:cac})**, everything counted; {n} were won in four quarters."
CREDIT = "{channel} gets {least_rate} to {most_rate} of the credit for customers, by rule: credit, not cause."
PAID = (
    "{segment}: paid back within {target_words} with a chance of {payback_by_target}; estimated {payback_months} "
    "after the win ({interval:payback_months}){picked}"
)
SENTENCES = {
    "untested": "**{who} cost {estimate} to win ({interval:estimate}), the rest {rest}.** {held}.",
    "not supported": "{who} cost {estimate} to win ({interval:estimate}), the rest {rest}: luck could give that.",
    "not enough data": "{segment}: {note}.",
    "": "{segment} cost {estimate} to win ({interval:estimate}).",
}
NOT_CHECKED = "Not checked on customers kept aside: costs of newer customers are not complete yet"
#: What the page of the segments says of one that it does not confirm.
DOUBTS = {
    "promising": "a segment that page 01 calls promising only",
    "untested": "a segment that page 01 has not checked yet",
    "not supported": "a segment that page 01 does not support",
    "contradicted": "a segment that page 01 contradicts",
    "not enough data": "a segment of which page 01 knows too little",
}
CHANNELS = {
    "apart": "**{cheapest} brings the cheapest customers, {cac_cheapest} ({interval:cac_cheapest}); {dearest} the "
    "dearest, {cac_dearest} ({interval:cac_dearest}).** Widened for the number of channels, their ranges do not meet.",
    "": "{cheapest} has the cheapest customers, {cac_cheapest} ({interval:cac_cheapest}), and {dearest} the dearest, "
    "{cac_dearest} ({interval:cac_dearest}). That one of so many is the dearest could be luck.",
    "few": "Fewer than two channels have enough customers to be compared.",
}
#: Measures in which the leading segment is set against all customers, and whether more is better.
COMPARED = {"ltv_alike": True, "nrr": True, "grr": True, "logo_churn_rate": False, "retention_12": True,
            "expansion_12": True, "referrals_per_customer": True}  # fmt: skip
WORSE = {
    "worse": "{segment} are worse than all customers in one measure: {measure}, {estimate} ({interval:estimate}) "
    "against {comparison}.",
    "": "{segment} are clearly worse than all customers in none of: {measure}.",
    "nobody": "No segment leads, so none is set against all customers.",
}
FACTS = {
    "Customers": "{n} won in the last four quarters, {n_live} of them live",
    "Lag": "{n_leads} companies with a lead, followed up to {lag_months}; half of the wins come by {half_months}",
    "Not counted by the lag": "{open_rate} of the companies followed that long have a deal open still",
    "Charged to nobody": "{uncharged_rate} of the spend",
}
WHY = (
    "Money is spent before its customers come. While spend grows, this quarter's spend over this quarter's customers "
    "is too high; moving all of it by the lead's lag is too low, because salaries and onboarding come late.",
    "Media, events and tools wait for their leads. Salaries go to the deals that were open, lost ones too, and count "
    "when the deals of that age that are won are won. Onboarding and support come after the win.",
)


def summarise(by_segment: pd.DataFrame, statement: pd.DataFrame, costs) -> pd.DataFrame:
    """Return one row: the company's cost to win a customer in every way of counting, and what it rests on.

    No rows without spend.
    """
    whole = by_segment[by_segment["segment_id"] == ""]
    if not len(whole):
        return pd.DataFrame()
    row: dict = {"n": int(whole["n"].iloc[0]), "n_live": int(whole["n_live"].iloc[0])}
    for each in whole.to_dict("records"):
        ends = {"": each["estimate"], "_low": each["conf_low"], "_high": each["conf_high"]}
        row |= {each["metric"] + end: value for end, value in ends.items()}
    lag, total = costs.lag, statement.iloc[-1]
    half = int(np.searchsorted(np.cumsum(lag.weights[:, 0]), 0.5))
    notes = [*costs.ledger.notes, *([lag.note] if lag.note else [])]
    row |= {"n_leads": lag.n_leads, "lag_months": len(lag.weights), "half_months": half,
            "open_rate": lag.open_rate, "uncharged_rate": total["cost_uncharged"] / total["spend"], 
            "note": " ".join(notes) or GIVEN}  # fmt: skip
    return pd.DataFrame([row])


def build_claims(keys: pd.DataFrame, cac: np.ndarray, by_segment: pd.DataFrame, segments: pd.DataFrame,
                 ranks: pd.DataFrame) -> pd.DataFrame:  # fmt: skip
    """Return one claim a segment, "costs less (or more) to win than the rest": the first part of `claims_03`.

    The test is of the ratio of a segment's CAC to that of the rest, on the log scale, with the standard error of the
    shared draws, Holm over the segments. No customers are kept aside here, so nothing is better than untested.

    Parameters
    ----------
    keys, cac
        `efficiency.draw_cac`.
    by_segment, segments, ranks : DataFrame
        `cac_by_segment`, `segments` and `cac_ranks`.

    Returns
    -------
    DataFrame
        `CLAIM_COLUMNS`; estimate is the CAC; beside it for the page `segment`, `who` (with the doubts that page 01 has
        of it), `rest`, `held`; cheapest first.
    """
    columns = [*CLAIM_COLUMNS, "segment", "who", "rest", "held"]
    rest = keys["segment_id"] == "rest"
    if not rest.any() or np.isnan(cac[:, 0]).all():
        return pd.DataFrame(columns=columns)
    other = cac[rest.to_numpy()][0]
    table = by_segment[(by_segment["metric"] == "cac") & ~by_segment["segment_id"].isin(["", "rest"])]
    place = pd.Index(keys["segment_id"]).get_indexer(table["segment_id"])
    with np.errstate(invalid="ignore", divide="ignore"):  # a cost that may be infinite leaves no error: nothing is told
        ratio = np.log(np.where(cac[place] > 0, cac[place], np.nan) / np.where(other > 0, other, np.nan))
        error = np.nanstd(ratio[:, 1:], axis=1)
    is_told = (error > 0) & (table["n"] >= stats.MIN_WON).to_numpy()
    p_value = np.where(is_told, 2 * distributions.norm.sf(np.abs(ratio[:, 0]) / np.where(is_told, error, 1)), np.nan)
    adjusted = stats.adjust_holm(p_value)
    known = segments.set_index("segment_id").reindex(table["segment_id"])
    rows = []
    for i, row in enumerate(table.to_dict("records")):
        # above 1 is better, as for every verdict: the rest's cost over the segment's
        verdict = stats.verdict(known["n_opportunities"].iloc[i], row["n"], np.exp(-ratio[i, 0]), adjusted[i])
        note = ". ".join(filter(None, (row["note"], NOT_CHECKED)))
        if verdict == "not enough data":
            note = f"{row['n']} of {stats.MIN_WON} new customers"
        side = "less" if ratio[i, 0] < 0 else "more"
        rows.append({"claim_id": f"03-cac-{row['segment_id']}", "segment_id": row["segment_id"], "metric": "cac",
                     "claim": f"{row['segment']} cost {side} to win than the rest", "segment": row["segment"],
                     "who": _name_doubt(row["segment"], known["verdict"].iloc[i] if "verdict" in known else None),
                     "estimate": row["estimate"], "conf_low": row["conf_low"], "conf_high": row["conf_high"],
                     "n": row["n"], "hypotheses": len(table), "estimate_found": np.nan, "p_adjusted": adjusted[i],
                     "holdout_p_adjusted": np.nan, "explained_by": "", "verdict": verdict, "note": note,
                     "rest": other[0], "held": say_rank(ranks, row["segment_id"])})  # fmt: skip
    found = pd.DataFrame(rows, columns=columns).sort_values("estimate", kind="stable", na_position="last")
    is_few = found["verdict"] == "not enough data"
    return pd.concat([found[~is_few], found[is_few]], ignore_index=True)


def _name_doubt(segment: str, verdict) -> str:
    """Return a segment's name, and what page 01 says against it; a confirmed segment's name alone."""
    said = verdict if isinstance(verdict, str) else ""
    doubt = f"a segment that page 01 finds {said}" if said.startswith("explained by") else DOUBTS.get(said)
    return f"{segment}, {doubt}," if doubt else segment


def say_rank(ranks: pd.DataFrame, segment_id: str) -> str:
    """Return a segment's best place by cost to win, and under how many ways of counting it has it.

    Examples
    --------
    >>> ranks = pd.DataFrame({"segment_id": ["a", "b"] * 2, "rank": [1, 2] * 2})
    >>> say_rank(ranks, "a"), say_rank(ranks, "b")
    ('Cheaper than the other segment under 2 of 2 ways of counting', \
'Dearer than the other segment under 2 of 2 ways of counting')
    """
    mine = ranks[ranks["segment_id"] == segment_id]
    if not len(mine):
        return f"Fewer than {MIN_CUSTOMERS} customers, or nothing to compare with: not ranked"
    place, n = mine["rank"].min(), len(mine)
    best, n_segments = int((mine["rank"] == place).sum()), ranks["segment_id"].nunique()
    if n_segments == 2:
        n_first = int((mine["rank"] == 1).sum())
        name, best = ("Cheaper", n_first) if 2 * n_first >= n else ("Dearer", n - n_first)
        return f"{name} than the other segment under {best} of {n} ways of counting"
    name = {1: "Cheapest", 2: "Second cheapest", 3: "Third cheapest"}.get(place, f"Place {place}")
    name += f" of the {n_segments} segments compared"
    return f"{name} under {best} of {n} ways of counting" + ("" if place == 1 else ", never cheaper")


def pick_answers(claims: pd.DataFrame, summary: pd.DataFrame, most: int = 2) -> pd.DataFrame:
    """Return the claims of the answer, cheapest segment first; without a segment, the company's cost alone."""
    if len(claims):
        return claims.head(most)
    renamed = {"cac": "estimate", "cac_low": "conf_low", "cac_high": "conf_high"}
    return summary.rename(columns=renamed).assign(metric="cac", segment=EVERYBODY, verdict=None)


def pick_company(quarters: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of all customers."""
    return quarters[quarters["segment_id"] == ""].reset_index(drop=True)


def pick_channels(by_channel: pd.DataFrame) -> pd.DataFrame:
    """Return the cost by channel with the lag, cheapest first and all customers last, their average as the line."""
    table = by_channel[by_channel["metric"] == "cac"]
    whole = table.loc[table["channel"] == EVERYBODY, "estimate"]
    table = table.assign(_last=table["channel"] == EVERYBODY).sort_values(["_last", "estimate"], kind="stable")
    columns = ["channel", "metric", "estimate", "conf_low", "conf_high", "n", "note"]
    rest = whole.iloc[0] if len(whole) else np.nan
    return table[columns].assign(rest=rest, compared_with="all customers").reset_index(drop=True)


def pick_ends(channels: pd.DataFrame) -> pd.DataFrame:
    """Return one row: the cheapest and the dearest channel of `pick_channels`, and whether their ranges are apart.

    The ends of a list are the farthest by choice, so the ranges that must be apart are widened for its length
    (Bonferroni, on the log scale).
    """
    known = channels[(channels["channel"] != EVERYBODY) & channels["estimate"].notna()]
    if len(known) < 2:
        return pd.DataFrame([{"kind": "few"}] * (len(channels) > 0))
    row = {"verdict": None}
    for name, each in (("cheapest", known.iloc[0]), ("dearest", known.iloc[-1])):
        row |= {name: each["channel"], f"cac_{name}": each["estimate"], f"cac_{name}_low": each["conf_low"],
                f"cac_{name}_high": each["conf_high"]}  # fmt: skip
    wider = ndtri(1 - 0.025 / len(known)) / ndtri(0.975)
    high, low = (
        row[f"cac_{name}"] * (row[f"cac_{name}_{end}"] / row[f"cac_{name}"]) ** wider
        for name, end in (("cheapest", "high"), ("dearest", "low"))
    )
    return pd.DataFrame([row | {"kind": "apart" if high < low else ""}])


def pick_worse(unit: pd.DataFrame, claims: pd.DataFrame) -> pd.DataFrame:
    """Return in which measures the leading segment is worse than all customers, beyond its likely range.

    Returns
    -------
    DataFrame
        One row a measure: segment, metric, measure, estimate with its range, comparison, kind ("worse"); else one row
        that names what was compared. No rows without revenue.
    """
    leading = claims["segment_id"].head(1)
    mine, all_of = (unit[unit["segment_id"].isin(keys)].set_index("metric") for keys in (leading, [""]))
    if not len(all_of):
        return pd.DataFrame()
    rows, names = [], []
    for metric in COMPARED:
        if not len(claims) or metric not in mine.index or metric not in all_of.index:
            continue
        row, whole = mine.loc[metric], all_of.loc[metric, "estimate"]
        if np.isnan(row["estimate"]) or np.isnan(whole):
            continue
        name = METRICS[metric].name
        names.append(name if name[1:2].isupper() else name[0].lower() + name[1:])
        if row["conf_high"] < whole if COMPARED[metric] else row["conf_low"] > whole:
            rows.append({"segment": row["segment"], "metric": metric, "measure": names[-1], "estimate": row["estimate"],
                         "conf_low": row["conf_low"], "conf_high": row["conf_high"], "comparison": whole,
                         "kind": "worse"})  # fmt: skip
    if not names:
        return pd.DataFrame([{"kind": "nobody"}])
    return pd.DataFrame(rows or [{"segment": claims["segment"].iloc[0], "measure": "; ".join(names), "kind": ""}])


def list_limits(claims: pd.DataFrame) -> pd.DataFrame:
    """Return, for every claim, what would change it, and where it stands."""
    words = {
        "untested": "a difference from the rest that luck could give, in the next report's four quarters",
        "not supported": "a difference from the rest that luck could not give, in the next report's four quarters",
        "not enough data": f"{stats.MIN_WON} new customers in four quarters: then judged",
    }
    renamed = {"estimate": "cac", "conf_low": "cac_low", "conf_high": "cac_high", "rest": "cac_rest"}
    table = claims.rename(columns=renamed).assign(would_change=claims["verdict"].map(words))
    return table[["segment", "cac", "cac_low", "cac_high", "cac_rest", "would_change", "verdict"]]


def pick_claims(claims: pd.DataFrame) -> pd.DataFrame:
    """Return the claims as they are saved."""
    return claims[CLAIM_COLUMNS]


def pick_segments(by_segment: pd.DataFrame, claims: pd.DataFrame) -> pd.DataFrame:
    """Return one row a segment, all customers last: cost to win with its range, and the other ways of counting."""
    wide = by_segment.pivot(index=["segment_id", "segment"], columns="metric", values="estimate")
    house = by_segment[by_segment["metric"] == "cac"].set_index(["segment_id", "segment"])
    table = house[["estimate", "conf_low", "conf_high", "n", "note"]].rename(
        columns={"estimate": "cac", "conf_low": "cac_low", "conf_high": "cac_high"}
    )
    for name in ("cac_without_support", "cac_zero_lag", "cac_all_lagged"):
        table[name] = wide[name].reindex(table.index) if name in wide else np.nan
    table = table.reset_index().merge(claims[["segment_id", "verdict"]], on="segment_id", how="left")
    place = table["segment_id"].map({"rest": 1, "": 2}).fillna(0)
    table = table.assign(_place=place).sort_values(["_place", "cac"], kind="stable", na_position="last")
    whole = table.loc[table["segment_id"] == "", "cac"]
    table = table.assign(rest=whole.iloc[0] if len(whole) else np.nan, compared_with="all customers")
    columns = ["segment", "cac", "cac_low", "cac_high", "cac_zero_lag", "n", "verdict", "note", "rest", "compared_with"]
    return table[columns].reset_index(drop=True)


def pick_statement(statement: pd.DataFrame) -> pd.DataFrame:
    """Return the ledger as a reader adds it up: spend - spend_on_others + spend_moved = cost_counted."""
    others = statement["spend_on_existing"] + statement["spend_after_live"]
    table = statement.assign(category=statement["category"].str.capitalize(), spend_on_others=others)
    return table[["category", "spend", "spend_on_others", "spend_moved", "cost_counted", "cac"]]


def pick_robustness(ranks: pd.DataFrame) -> pd.DataFrame:
    """Return one row a segment: in how many ways of counting it is cheapest, and the chance by the house rule.

    The range of `cac` is the lowest and the highest of all ways of counting, not a likely range.
    """
    if not len(ranks):
        return ranks[["segment_id", "segment"]]
    grouped = ranks.groupby(["segment_id", "segment"], sort=False)
    table = grouped.agg(
        first_of=("rank", lambda place: f"{(place == 1).sum()} of {len(place)}"), worst_place=("rank", "max"),
        chance_first_rate=("p_first", "first"), cac_least=("estimate", "min"), cac_most=("estimate", "max"),
    ).reset_index()  # fmt: skip
    house = ranks[ranks["is_house"]].set_index("segment_id")["rank"]
    order = table["segment_id"].map(house).sort_values(kind="stable").index
    return table.loc[order].reset_index(drop=True)


def pick_rivals(rivals: pd.DataFrame) -> pd.DataFrame:
    """Return each definition with its value and how far it is from ours; below, what it counts or why it has none."""
    reason = rivals["note"].where(rivals["estimate"].isna(), "")
    words = [". ".join(filter(None, each)) for each in zip(rivals["counts"], reason, strict=True)]
    columns = ["definition", "metric", "estimate", "conf_low", "conf_high", "difference_rate", "note"]
    return rivals.assign(note=words)[columns]


def pick_payback(paid: pd.DataFrame, claims: pd.DataFrame, target: float) -> pd.DataFrame:
    """Return the chance of payback within `target` months of the leading segment and of all customers, where known.

    Of three and more segments the cheapest is partly so by luck, and its row says it.
    """
    if "payback_by_target" not in paid or "payback_months" not in paid:
        return paid.head(0)
    leading = [*claims["segment_id"].head(1), ""]
    table = paid[paid["segment_id"].isin(leading) & paid["payback_months"].notna()]
    order = table["segment_id"].map({name: place for place, name in enumerate(leading)})
    n = int((claims["metric"] == "cac").sum())
    words = f"; picked as the cheapest of {n} segments, so perhaps too good." if n > 2 else "."
    picked = np.where(table["segment_id"] != "", words, ".")
    table = table.assign(target_words=f"{target:.3g} month" + "s" * (target != 1), picked=picked)
    return table.loc[order.sort_values().index].reset_index(drop=True)
