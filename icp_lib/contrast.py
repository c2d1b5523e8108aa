"""How common each trait is among the best customers, and among everybody else: the base rate stands beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats as distributions

from icp_lib import draws, evidence, stats
from icp_lib.rules import Segment, is_named
from icp_lib.space import PLACEBOS

#: Whom the best customers are compared with; no account of any of them is among the best.
AGAINST = {
    "market": "the market",
    "other": "other customers",
    "churned": "customers who left",
    "lost": "lost deals",
    "lost_all": "lost deals, those for bad timing too",
}
#: What only a deal has: companies that never had one say nothing of it.
OF_THE_DEAL = ("buyer_role", "lead_source")
MIN_HOLDERS = stats.MIN_WON

Levels = Sequence[tuple[str, str, Segment]]

TRAIT_COLUMNS = [
    "attribute", "level", "segment_id", "segment", "conditions", "against", "base", "best_rate", "best_rate_low",
    "best_rate_high", "base_rate", "base_rate_low", "base_rate_high", "gap_base_rate", "gap_base_rate_low",
    "gap_base_rate_high", "base_lift", "base_lift_low", "base_lift_high", "n_best", "n_base", "n_best_with",
    "n_base_with", "p_value", "p_adjusted", "woe", "information_value", "information_bias", "holdout_best_rate",
    "holdout_base_rate", "holdout_gap_base_rate", "holdout_gap_base_rate_low", "holdout_gap_base_rate_high",
    "holdout_base_lift", "holdout_base_lift_low", "holdout_base_lift_high", "holdout_n_best", "holdout_n_base",
    "holdout_p_value", "holdout_p_adjusted", "hypotheses", "verdict", "note",
]  # fmt: skip

CHANGE_COLUMNS = ["segment_id", "segment", "base_lift_before", "base_lift", "base_lift_change", "base_lift_change_low",
                  "base_lift_change_high", "reading", "note"]  # fmt: skip


def estimate_contrast(
    labelled: pd.DataFrame,
    levels: Levels,
    prospects: pd.DataFrame | None = None,
    coverage: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """How common every level is among the best customers against five base rates: `traits`.

    Made on the older part of the judged accounts, checked on the newer one. The market is `prospects` where they have
    the attribute, else every account with a deal of the same time that is not best. Intervals: Newcombe for the
    difference and the same Wilson limits for the ratio (MOVER), sample sizes divided by the design effect of families.
    p-values: Fisher's exact test, two-sided (twice the smaller tail), Benjamini-Hochberg over the levels of a base; in
    the newer part one-sided in the direction found, Holm over the levels found, over all levels for the others. Claims
    are made against the market alone.

    Parameters
    ----------
    labelled : DataFrame
        `traits.label_accounts`.
    levels : sequence of (attribute, level, Segment)
        `traits.build_trait_levels`.
    prospects : DataFrame, optional
    coverage : DataFrame, optional
        `quality.estimate_coverage`: a trait filled in after the sale is held at promising.

    Returns
    -------
    DataFrame
        One row a level and base, columns TRAIT_COLUMNS. `best_rate` and `base_rate` are where found, 0 to 1; a row has
        both or neither. `base_lift` is their ratio; `information_value` is the attribute's, `information_bias` what
        luck alone adds to it.

    References
    ----------
    Newcombe (1998), Statistics in Medicine 17; Donner and Zou (2012), Statistical Methods in Medical Research 21, for
    MOVER; Kish (1965), Survey Sampling, for the design effect.
    """
    if not levels or not labelled["is_best"].any():
        return pd.DataFrame(columns=TRAIT_COLUMNS)
    parts = [_compare_part(labelled, levels, prospects, part) for part in ("found", "held_out")]
    table = parts[0].join(parts[1].drop(columns=["base"]).add_prefix("holdout_"))
    named = pd.DataFrame([{"attribute": a, "level": level, **each.describe()} for a, level, each in levels])
    table = pd.concat([named.loc[np.tile(np.arange(len(levels)), len(AGAINST))].reset_index(drop=True), table], axis=1)
    table["against"] = np.repeat(list(AGAINST), len(levels))
    above = (table["gap_base_rate"] > 0).to_numpy()
    table["holdout_p_value"] = np.where(above, table["holdout_p_above"], table["holdout_p_below"])
    by_base = table.groupby("against", sort=False)
    table["p_adjusted"] = by_base["p_value"].transform(evidence.adjust_bh)
    table["hypotheses"] = by_base["p_adjusted"].transform("count")
    listed = table["p_adjusted"] <= stats.MAX_P
    table["holdout_p_adjusted"] = by_base["holdout_p_value"].transform(stats.adjust_holm)
    short = table["holdout_p_value"].where(listed).groupby(table["against"], sort=False).transform(stats.adjust_holm)
    table["holdout_p_adjusted"] = short.where(listed, table["holdout_p_adjusted"])
    opposite = np.where(above, table["holdout_p_below"], table["holdout_p_above"])
    noted = [] if coverage is None else zip(coverage["attribute"], coverage["note"], strict=True)
    late = {attribute for attribute, note in noted if "after the sale" in str(note)}
    opposite = np.where(listed, opposite, 1.0)  # what was not found cannot be contradicted
    table["verdict"] = [_judge(row, p, late) for row, p in zip(table.to_dict("records"), opposite, strict=True)]
    table["note"] = [_note(row, late) for row in table.to_dict("records")]
    return table.reindex(columns=TRAIT_COLUMNS)


def _masks(frame: pd.DataFrame, levels: Levels) -> np.ndarray:
    """Return which rows have which level, shape (n, n_levels); a column that is absent gives no row."""
    none = np.zeros(len(frame), bool)
    return np.array(
        [each.mask(frame) if attribute in frame else none for attribute, _, each in levels], bool
    ).T.reshape(len(frame), len(levels))  # fmt: skip


def _known(frame: pd.DataFrame, levels: Levels) -> np.ndarray:
    """Return of which rows a level can be told, shape (n, n_levels): all, for a gap itself."""
    known = {name: frame[name].notna().to_numpy() for name in {a for a, _, _ in levels} if name in frame}
    every = np.ones(len(frame), bool)
    told = [known.get(name, ~every) if is_named(level) else every for name, level, _ in levels]
    return np.array(told, bool).T.reshape(len(frame), len(levels))


def _compare_part(labelled, levels, prospects, part: str) -> pd.DataFrame:
    """Return the comparison of the best with every base in one part, one block of levels a base.

    Prospects come from another source: a trait may be filled in more often on one side. So of the market, shares are
    among those of whom the trait is known.
    """
    masks, known = _masks(labelled, levels), _known(labelled, levels)
    inside, group = (labelled["part"] == part).to_numpy(), labelled["group"].to_numpy()
    best = inside & labelled["is_best"].to_numpy()
    family = pd.factorize(labelled["family_id"])[0]
    side = _count(masks[best], family[best])
    blocks = []
    for base in AGAINST:
        ours = side
        if base == "market":
            counts, words = _count_market(labelled, levels, masks, known, prospects, inside, family)
            ours = _count(masks[best], family[best], known[best])
        else:
            names = ["lost", "lost_timing"] if base == "lost_all" else [base]
            rows = inside & np.isin(group, names)
            counts, words = _count(masks[rows], family[rows]), np.full(len(levels), AGAINST[base], object)
        blocks.append(compare_rates(*ours, *counts).assign(base=words, **_evidence(levels, ours, counts)))
    return pd.concat(blocks, ignore_index=True)


def _count(masks: np.ndarray, family: np.ndarray, known=None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return of each level how many have it, of how many (or of those known), and the design effect of families."""
    known = np.ones(masks.shape, bool) if known is None else known
    n_with, total = masks.sum(axis=0), known.sum(axis=0)
    if len(masks) == 0:
        return n_with, total, np.ones(masks.shape[1])
    code = np.unique(family, return_inverse=True)[1]
    sums, sizes = np.zeros((2, code.max() + 1, masks.shape[1]))
    np.add.at(sums, code, masks)
    np.add.at(sizes, code, known)
    share = np.divide(n_with, total, out=np.zeros(len(total)), where=total > 0)
    robust = np.square(sums - sizes * share).sum(axis=0)
    binomial = total * share * (1 - share)
    effect = np.divide(robust, binomial, out=np.ones(len(share)), where=binomial > 0)
    return n_with, total, np.maximum(1.0, effect.round(9))


def _count_market(labelled, levels, masks, known, prospects, inside, family):
    """Return the counts of the market for each level: prospects where they have it, else accounts with a deal."""
    opened, best = labelled["first_opportunity_at"], labelled["is_best"].to_numpy()
    rows = opened.between(opened[inside].min(), opened[inside].max()).to_numpy() & ~best
    n_with, n, effect = _count(masks[rows], family[rows], known[rows])
    words = np.full(len(levels), "companies with a deal that are not best", object)
    if prospects is None or prospects.empty:
        return (n_with, n, effect), words
    listed = [name in prospects and prospects[name].notna().any() and name not in OF_THE_DEAL for name, _, _ in levels]
    theirs, told = _masks(prospects, levels).sum(axis=0), _known(prospects, levels).sum(axis=0)
    return (
        np.where(listed, theirs, n_with),
        np.where(listed, told, n),
        np.where(listed, 1.0, effect),
    ), np.where(listed, "prospects", words)


def compare_rates(with_1, n_1, effect_1, with_0, n_0, effect_0) -> pd.DataFrame:
    """Compare the shares of many levels in two groups.

    Parameters
    ----------
    with_1, with_0, n_1, n_0 : array of int, shape (k,)
        How many have the level, of how many; 1 are the best customers, 0 the base.
    effect_1, effect_0 : array of float, shape (k,)
        Design effects: counts are divided by the larger one for the test, each by its own for its limits.

    Returns
    -------
    DataFrame
        best_rate, base_rate, gap_base_rate, base_lift, each with `_low` and `_high`; p_value (two-sided), p_above,
        p_below (one-sided), n_best, n_base, n_best_with, n_base_with. All NaN where a group is empty.

    Examples
    --------
    >>> found = compare_rates(*(np.array([each]) for each in (56, 70, 1.0, 48, 80, 1.0))).iloc[0]
    >>> [round(float(found[name]), 4) for name in ("gap_base_rate", "gap_base_rate_low", "gap_base_rate_high")]
    [0.2, 0.0524, 0.3339]
    """
    p_1, low_1, high_1 = _wilson(with_1, n_1, effect_1)
    p_0, low_0, high_0 = _wilson(with_0, n_0, effect_0)
    gap = p_1 - p_0
    below, above = np.hypot(p_1 - low_1, high_0 - p_0), np.hypot(high_1 - p_1, p_0 - low_0)
    with np.errstate(invalid="ignore", divide="ignore"):
        lift = np.where(p_0 > 0, p_1 / p_0, np.nan)
        product = p_1 * p_0
        lift_low = (product - np.sqrt(product**2 - low_1 * high_0 * (2 * p_1 - low_1) * (2 * p_0 - high_0))) / (
            high_0 * (2 * p_0 - high_0)
        )
        lift_high = (product + np.sqrt(product**2 - high_1 * low_0 * (2 * p_1 - high_1) * (2 * p_0 - low_0))) / (
            low_0 * (2 * p_0 - low_0)
        )
    larger = np.maximum(effect_1, effect_0)
    p_above, p_below = _exact(*(np.rint(each / larger) for each in (with_1, n_1, with_0, n_0)))
    table = pd.DataFrame({
        "best_rate": p_1, "best_rate_low": low_1, "best_rate_high": high_1,
        "base_rate": p_0, "base_rate_low": low_0, "base_rate_high": high_0,
        "gap_base_rate": gap, "gap_base_rate_low": gap - below, "gap_base_rate_high": gap + above,
        "base_lift": lift, "base_lift_low": np.where(p_0 > 0, lift_low, np.nan),
        "base_lift_high": np.where((p_0 > 0) & (low_0 > 0), lift_high, np.nan),
        "p_value": np.minimum(1.0, 2 * np.minimum(p_above, p_below)), "p_above": p_above, "p_below": p_below,
    })  # fmt: skip
    table[(np.asarray(n_1) == 0) | (np.asarray(n_0) == 0)] = np.nan
    return table.assign(n_best=n_1, n_base=n_0, n_best_with=with_1, n_base_with=with_0)


def _wilson(n_with, n, effect) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share and its Wilson limits, the sample divided by the design effect; NaN of nobody."""
    n = np.asarray(n, float)
    share = np.divide(n_with, n, out=np.full(n.shape, np.nan), where=n > 0)
    z, size = distributions.norm.ppf(0.975), np.where(n > 0, n / effect, np.nan)
    middle = (share + z**2 / (2 * size)) / (1 + z**2 / size)
    half = z / (1 + z**2 / size) * np.sqrt(share * (1 - share) / size + z**2 / (4 * size**2))
    return share, np.maximum(0.0, middle - half), np.minimum(1.0, middle + half)


def _exact(with_1, n_1, with_0, n_0) -> tuple[np.ndarray, np.ndarray]:
    """Fisher's one-sided p-values that the first share is above, and below, the second."""
    total, holders = n_1 + n_0, with_1 + with_0
    above = distributions.hypergeom.sf(with_1 - 1, total, holders, n_1)
    return above, distributions.hypergeom.cdf(with_1, total, holders, n_1)


def _evidence(levels: Levels, best: tuple, base: tuple) -> dict[str, np.ndarray]:
    """Weight of evidence of each level; information value and its bias of its attribute, of a list's item alone."""
    woe, value, bias = (np.full(len(levels), np.nan) for _ in range(3))
    names = np.array([f"{attribute}: {level}" if each.is_list else attribute for attribute, level, each in levels])
    for name in np.unique(names):
        rows = np.flatnonzero(names == name)
        events, others = best[0][rows], base[0][rows]
        if levels[rows[0]][2].is_list:
            events, others = ([each[0][rows[0]], each[1][rows[0]] - each[0][rows[0]]] for each in (best, base))
        found = evidence.estimate_woe(events, others)
        woe[rows], value[rows], bias[rows] = found.woe[: len(rows)], found.information_value, found.bias
    return {"woe": woe, "information_value": value, "information_bias": bias}


def _judge(row: dict, p_opposite: float, late: set[str]) -> str:
    """The verdict of one row: its gates are the best customers, those compared, and who has the level at all."""
    holders = row["n_best_with"] + row["n_base_with"]
    enough = holders >= MIN_HOLDERS
    return stats.verdict(
        row["n_best"] + row["n_base"],
        min(row["n_best"], row["n_base"]) * enough,
        row["base_lift"] if row["base_rate"] > 0 else np.inf if row["best_rate"] > 0 else np.nan,
        row["p_adjusted"],
        holdout_lift=row["holdout_base_lift"],
        holdout_p_adjusted=row["holdout_p_adjusted"],
        holdout_p_opposite=p_opposite,
        holdout_expected_won=min(row["holdout_n_best"], row["holdout_n_base"]),
        capped_at_promising=row["attribute"] in late,
    )


def _note(row: dict, late: set[str]) -> str:
    """What a reader must know of one row."""
    if row["attribute"] in PLACEBOS:
        return "Made from nothing but the account's id"
    if row["verdict"] == "not enough data":
        if row["n_base"] == 0:
            return f"Nobody to compare with among {row['base']}"
        if row["n_best"] < stats.MIN_WON:
            return f"{row['n_best']:,} best customers of the {stats.MIN_WON} needed"
        if row["n_base"] < stats.MIN_WON:
            return f"{row['n_base']:,} of {row['base']}, {stats.MIN_WON} needed"
        return f"{row['n_best_with'] + row['n_base_with']:,} companies have it, {MIN_HOLDERS} needed"
    if row["attribute"] in late:
        return "Filled in more often for won deals than for others, perhaps after the sale"
    return "" if is_named(row["level"]) else "A gap in the data, not a trait"


def has_base(traits: pd.DataFrame) -> bool:
    """Return whether every share among the best stands beside its base rate."""
    return bool((traits["best_rate"].isna() | traits["base_rate"].notna()).all())


def compare_quarters(
    labelled: pd.DataFrame, before: pd.DataFrame, levels: Levels, segment_ids, n_draws: int = 1000
) -> pd.DataFrame:
    """Compare how common traits are among the best with what it was a quarter ago: `traits_changes`.

    On all accounts judged by either end, against those with a deal that are not best. The ratio of the two ratios has
    the range of shared draws of families (Poisson bootstrap), widened for the number of traits (Bonferroni): most
    accounts are in both quarters and weigh alike in both.

    Parameters
    ----------
    labelled, before : DataFrame
        `traits.label_accounts` at this quarter's end and at the one before, from today's extract.
    levels : sequence of (attribute, level, Segment)
        The levels of this quarter.
    segment_ids : sequence of str
        Which of them.

    Returns
    -------
    DataFrame
        segment_id, segment, base_lift_before, base_lift, base_lift_change with its range, reading, note.
    """
    chosen = [each for _, _, each in levels if each.segment_id in set(segment_ids)]
    rows, tail = [], 0.025 / max(1, len(chosen))
    drawn = [_draw_lifts(frame, chosen, n_draws) for frame in (before, labelled)]
    for each, then, now in zip(chosen, *drawn, strict=True):
        with np.errstate(divide="ignore", invalid="ignore"):
            moved = now / then
        moved = np.where(np.isfinite(moved), moved, np.nan)
        is_known = np.isfinite(moved[0]) and np.isfinite(moved[1:]).mean() > 0.9
        low, high = np.nanquantile(moved[1:], [tail, 1 - tail]) if is_known else (np.nan, np.nan)
        words = "Nothing to compare with" if not is_known else "Within noise" if low <= 1 <= high else "Beyond noise"
        none = [when for lift, when in ((then[0], "a quarter ago"), (now[0], "now")) if lift == 0]
        note = f"None among the best {' and '.join(none)}" if none else ""
        change = moved[0] if is_known else np.nan
        rows.append([each.segment_id, each.name, then[0], now[0], change, low, high, words, note])
    return pd.DataFrame(rows, columns=CHANGE_COLUMNS)


def _draw_lifts(frame: pd.DataFrame, chosen: list[Segment], n_draws: int) -> np.ndarray:
    """The ratio as it is, then in every draw; shape (n_levels, 1 + n_draws)."""
    if not chosen:
        return np.zeros((0, 1 + n_draws))
    tried = frame[frame["first_opportunity_at"].notna()]
    family, code = np.unique(tried["family_id"].to_numpy(object), return_inverse=True)
    weights = np.column_stack([np.ones(len(family)), draws.draw_weights(family, n_draws)]).astype(np.float32)
    masks = np.array([each.mask(tried) for each in chosen], np.float32)
    shares = []
    for side in (tried["is_best"].to_numpy(), ~tried["is_best"].to_numpy()):
        held = np.zeros((len(chosen) + 1, len(family)), np.float32)
        np.add.at(held.T, code[side], np.vstack([masks, np.ones(len(tried), np.float32)])[:, side].T)
        sums = held @ weights
        with np.errstate(divide="ignore", invalid="ignore"):
            shares.append(sums[:-1] / sums[-1])
    with np.errstate(divide="ignore", invalid="ignore"):
        return shares[0] / shares[1]
