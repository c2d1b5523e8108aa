"""What each trait adds when all others stay as they are: the joint model of the best customers (notebook 02)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from icp_lib import evidence, logistic, stats
from icp_lib.rules import Segment
from icp_lib.trait_levels import Attribute, Modelled, build_modelled, dummies

CONF_LEVEL = 0.95
#: One level for so many best customers.
BEST_PER_LEVEL = 10
COLUMNS = ["attribute", "level", "segment_id", "segment", "conditions", "metric", "estimate", "conf_low", "conf_high",
           "conf_level", "p_value", "p_adjusted", "adjustment", "n", "n_events", "with_rate", "without_rate", "method",
           "note"]  # fmt: skip
METHODS = {
    "marginal_effect": "logistic, penalty 0.25 b^2, standardised, sandwich by family",
    "gap_alone_rate": "difference of two shares, Newcombe",
}


def estimate_model(labelled: pd.DataFrame, levels: Sequence[tuple[str, str, Segment]]) -> pd.DataFrame:
    """Average marginal effect of each level on the chance to be a best customer, and its difference by itself.

    A logistic regression of best against all other accounts with a closed opportunity, on at most one level for every
    ten best customers (or others, if they are fewer), with a fixed penalty of 0.25 b^2 on each level and a free
    intercept for each block of creation quarters (deals opened lately that closed already are not like the others).
    Which levels enter never depends on who is best: every attribute gives its most informative level
    (share x (1 - share)) before any gives a second, each needs as many accounts as hold five best customers at the
    average, inside and outside, and one that a combination of those before says already is left out. What is left out
    of an attribute is the reference, all together.

    Parameters
    ----------
    labelled : DataFrame
        `traits.label_accounts`.
    levels : sequence of (attribute, level, segment)
        `traits.build_trait_levels`. Placebos stay out: they have their test in the selection.

    Returns
    -------
    DataFrame
        `trait_model`: for each level a row of metric marginal_effect (everybody with the level against everybody with
        the reference, everything else as it is) and one of metric gap_alone_rate (those who have it against all
        others). In the model first, largest effect first; levels left out are NaN with a note. `n` and `n_events` count
        the level's accounts and best customers; p-values of the model are adjusted for its levels (Benjamini-Hochberg).

    References
    ----------
    Events per variable: Peduzzi et al. (1996), Journal of Clinical Epidemiology 49; the rest in `logistic`.
    """
    data = build_modelled(labelled, levels)
    attributes = [each for each in data.attributes if not each.is_placebo]
    chosen = choose_levels(data, attributes)
    effects = dict(zip(chosen, _estimate(data, attributes, chosen), strict=True))
    rows = [
        _describe(data, attribute, place, effects.get((number, place)))
        for number, attribute in enumerate(attributes)
        for place in range(len(attribute.levels))
    ]
    table = pd.DataFrame([row for pair in rows for row in pair], columns=COLUMNS)
    if table.empty:
        return table
    is_effect = table["metric"] == "marginal_effect"
    table.loc[is_effect, "p_adjusted"] = evidence.adjust_bh(table.loc[is_effect, "p_value"].to_numpy(float))
    table["adjustment"] = np.where(table["p_adjusted"].notna(), f"Benjamini-Hochberg over {len(chosen):,} levels", "")
    largest = table["segment_id"].map(table[is_effect].set_index("segment_id")["estimate"])
    order = table.assign(_largest=-largest, _metric=~is_effect)
    order = order.sort_values(["_largest", "attribute", "level", "_metric"], kind="stable", na_position="last")
    return order[COLUMNS].reset_index(drop=True)


def choose_levels(data: Modelled, attributes: Sequence[Attribute]) -> list[tuple[int, int]]:
    """Return (attribute, level) of the levels that enter, in that order; who is best has no say, only how many."""
    n = len(data.outcome)
    if data.few:
        return []
    candidates = []
    for number, attribute in enumerate(attributes):
        share = attribute.members.mean(axis=0)
        enough = np.minimum(share, 1 - share) * n >= data.least
        places = sorted(np.flatnonzero(enough), key=lambda i: (-(share * (1 - share))[i].round(12), i))
        candidates += [(turn, -share[i] * (1 - share[i]), number, int(i)) for turn, i in enumerate(places)]
    chosen: list[tuple[int, int]] = []
    columns = dummies(data.stratum)
    for _, _, number, place in sorted(candidates):
        if len(chosen) == data.n_scarce // BEST_PER_LEVEL:
            break
        more = np.column_stack([columns, attributes[number].members[:, place]])
        if logistic.count_rank(more) == more.shape[1]:
            chosen, columns = [*chosen, (number, place)], more
    return chosen


def _estimate(data: Modelled, attributes: Sequence[Attribute], chosen: list[tuple[int, int]]) -> list[dict]:
    """Effects of the levels chosen, in that order."""
    if not chosen:
        return []
    free = dummies(data.stratum)
    design = np.column_stack([free, *(attributes[number].members[:, place] for number, place in chosen)])
    owner = np.array([number for number, _ in chosen])
    groups = [free.shape[1] + np.flatnonzero(owner == number) for number in dict.fromkeys(owner)]
    penalty = np.r_[np.zeros(free.shape[1]), np.full(len(chosen), logistic.PENALTY)]
    found = logistic.estimate_effects(design, data.outcome, groups, data.family, penalty, conf_level=CONF_LEVEL)
    order = np.argsort(np.concatenate(groups))
    return [{name: values[i] for name, values in found._asdict().items()} for i in order]


def _describe(data: Modelled, attribute: Attribute, place: int, effect: dict | None) -> list[dict]:
    """The two rows of one level."""
    inside = attribute.members[:, place]
    n, n_events = int(inside.sum()), int(data.outcome[inside].sum())
    n_out, events_out = len(inside) - n, int(data.outcome[~inside].sum())
    shared = {"attribute": attribute.name, "level": attribute.levels[place], **attribute.segments[place].describe(),
              "n": n, "n_events": n_events, "conf_level": CONF_LEVEL}  # fmt: skip
    by_itself = stats.estimate_difference(n_events, n, events_out, n_out, CONF_LEVEL)
    row, alone = (shared | {"metric": metric, "method": method, "note": ""} for metric, method in METHODS.items())
    alone |= {"estimate": by_itself.value, "conf_low": by_itself.low, "conf_high": by_itself.high}
    alone |= {"with_rate": n_events / n if n else np.nan, "without_rate": events_out / n_out if n_out else np.nan}
    if effect is None:
        return [row | {"note": _left_out(data, n)}, alone]
    row |= {"estimate": effect["effect"], "conf_low": effect["low"], "conf_high": effect["high"]}
    row |= {"p_value": effect["p_value"], "with_rate": effect["rate_with"], "without_rate": effect["rate_without"]}
    return [row, alone]


def _left_out(data: Modelled, n: int) -> str:
    """Why a level is not in the model."""
    if data.few:
        return f"No model: {data.few}"
    if n < data.least:
        return f"Too few accounts: {n:,} of the {int(np.ceil(data.least)):,} needed"
    if len(data.outcome) - n < data.least:
        return "Almost every account has it"
    return "In the reference: one level for ten best customers, and none twice"


def pick_model(model: pd.DataFrame, most: int = 12) -> pd.DataFrame:
    """Return the levels in the model as a reader compares them: what they add, and their difference by itself.

    Parameters
    ----------
    model : DataFrame
        `trait_model`.
    most : int
        At most so many, those first whose interval says the most: the effect in standard errors.

    Returns
    -------
    DataFrame
        segment, marginal_effect with its range, gap_alone_rate, with_rate, without_rate, p_adjusted, n_accounts,
        n_best; largest effect first.
    """
    effects = model[(model["metric"] == "marginal_effect") & model["estimate"].notna()]
    effects = effects.loc[effects["p_value"].sort_values(kind="stable").index].head(most).sort_index()
    alone = model[model["metric"] == "gap_alone_rate"].set_index("segment_id")["estimate"]
    named = {"estimate": "marginal_effect", "conf_low": "marginal_effect_low", "conf_high": "marginal_effect_high",
             "n": "n_accounts", "n_events": "n_best"}  # fmt: skip
    columns = ["segment", "marginal_effect", "marginal_effect_low", "marginal_effect_high", "gap_alone_rate",
               "with_rate", "without_rate", "p_adjusted", "n_accounts", "n_best"]  # fmt: skip
    table = effects.rename(columns=named).assign(gap_alone_rate=effects["segment_id"].map(alone))
    return table[columns].reset_index(drop=True)


def describe_model(labelled: pd.DataFrame, model: pd.DataFrame) -> pd.DataFrame:
    """Return one row about the model: n_accounts, n_best, n_levels (in the model), n_left_out, note."""
    modelled = labelled[labelled["is_modelled"].astype(bool)]
    effects = model[model["metric"] == "marginal_effect"]
    is_in = effects["estimate"].notna()
    row = {
        "n_accounts": len(modelled),
        "n_best": int(modelled["is_best"].sum()),
        "n_levels": int(is_in.sum()),
        "n_left_out": int((~is_in).sum()),
        "note": "" if is_in.any() or effects.empty else effects["note"].iloc[0],
    }
    return pd.DataFrame([row])
