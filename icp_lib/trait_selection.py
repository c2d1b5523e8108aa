"""Which attributes matter: few that each add something, none kept because a number was wanted (notebook 02)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import expit

from icp_lib import draws, logistic
from icp_lib.rules import Segment
from icp_lib.stats import MAX_P
from icp_lib.trait_levels import Attribute, Modelled, build_modelled, collapse, dummies

MOST_SELECTED, FEW = 10, 5
CONF_LEVEL, N_DRAWS = 0.95, 1000
COLUMNS = ["step", "attribute", "verdict", "says_same_as", "n_levels", "statistic", "degrees_of_freedom", "p_value",
           "attributes_left", "p_adjusted", "p_alone", "p_alone_adjusted", "is_placebo", "n", "n_events",
           "note"]  # fmt: skip
CURVE_COLUMNS = ["step", "attribute", "is_selected", "metric", "estimate", "conf_low", "conf_high", "conf_level", "n",
                 "n_events", "method", "note"]  # fmt: skip


def select_attributes(
    labelled: pd.DataFrame, levels: Sequence[tuple[str, str, Segment]], most: int = MOST_SELECTED
) -> pd.DataFrame:
    """Forward selection of whole attributes among the older accounts: the next must beat luck, however many are left.

    At each step the attribute with the smallest likelihood-ratio p-value given those already in enters, if that p-value
    times the number of attributes left is at most 0.05; else the selection ends. Both placebos take part. Each item of
    a list is an attribute of its own and counts as one. Levels with too few accounts stand with the rest of their
    attribute (`trait_levels.collapse`: who is best has no say), accounts are compared with those of the same block of
    creation quarters, and a family counts once, whatever its size. The newer accounts are not read.

    Parameters
    ----------
    labelled : DataFrame
        `traits.label_accounts`.
    levels : sequence of (attribute, level, segment)
        `traits.build_trait_levels`.
    most : int
        At most so many enter.

    Returns
    -------
    DataFrame
        `attribute_selection`, one row an attribute: `step` (1, 2, ... where it entered, else NaN), `verdict`
        ('selected', 'says the same' as those in `says_same_as`, 'no evidence', or 'not enough data'), levels compared,
        likelihood ratio, degrees of freedom and p-value at the step where it entered (for the others: at the end),
        `attributes_left` then, their product `p_adjusted`, and the p-value by itself, likewise times all attributes.
        Selected ones first, in order; then those that say the same; then by p-value and name.

    Notes
    -----
    An attribute that would have entered as the first, but did not enter in the end, says the same as a selected one
    where less than half of its likelihood ratio is left beside it (the one that leaves least); where no single one does
    that, as all of them together; where even those leave more, its note says that luck could give what it adds.

    References
    ----------
    Bonferroni over what is left at each step: a step-down test as Holm's (1979), conditional on what has entered.
    """
    data = build_modelled(labelled, levels, "found")
    designs = [collapse(each, data.least) for each in data.attributes]
    able = [] if data.few else [i for i, each in enumerate(designs) if each.levels]
    weights = 1 / np.bincount(data.family)[data.family] if len(data.family) else np.zeros(0)
    columns = {i: designs[i].members.astype(float) for i in able}
    base = dummies(data.stratum)
    alone = _compare(data, base, {i: columns[i] for i in able}, weights)
    tests, entered, last = dict(alone), {}, {}
    while tests:
        left = len(tests)
        last = {i: (*found, left, min(1.0, found[2] * left)) for i, found in tests.items()}
        best = min(tests, key=lambda i: (tests[i][2], -tests[i][0], designs[i].name))
        if last[best][4] > MAX_P or len(entered) == most:
            break
        entered[best] = last[best]
        base = np.column_stack([base, columns[best]])
        tests = _compare(data, base, {i: columns[i] for i in tests if i != best}, weights)
    same = {
        i: _find_same(data, columns, i, alone[i][0], list(entered), weights)
        for i in able
        if i not in entered and alone[i][2] * len(able) <= MAX_P
    }
    rows = [
        _describe(data, designs[i], alone.get(i), len(able), entered.get(i) or last.get(i),
                  list(entered).index(i) + 1 if i in entered else np.nan,
                  None if i not in same else [designs[each].name for each in same[i]])
        for i in range(len(designs))
    ]  # fmt: skip
    return _sort(pd.DataFrame(rows, columns=COLUMNS))


def _compare(data: Modelled, base: np.ndarray, columns: dict, weights) -> dict:
    """Likelihood-ratio tests of each attribute's columns, added to the same base."""
    if not columns:
        return {}
    fitted = logistic.fit_logistic(base, data.outcome, weights=weights)
    return {i: logistic.compare_fits(base, added, data.outcome, weights, fitted) for i, added in columns.items()}


def _find_same(data: Modelled, columns: dict, i: int, alone: float, entered: list[int], weights) -> list[int]:
    """The selected attribute beside which less than half of the likelihood ratio is left, or all of them; else none."""
    free = dummies(data.stratum)

    def left(beside: list[int]) -> float:
        base = np.column_stack([free, *(columns[each] for each in beside)])
        return logistic.compare_fits(base, columns[i], data.outcome, weights)[0]

    each_left = [left([each]) for each in entered]
    if min(each_left, default=alone) <= alone / 2:
        return [entered[int(np.argmin(each_left))]]
    return entered if left(entered) <= alone / 2 else []


def _describe(data: Modelled, design: Attribute, alone, n_attributes: int, found, step: float, same) -> dict:
    """One row of the table."""
    n_best = int(data.outcome.sum())
    row = {"step": step, "attribute": design.name, "says_same_as": "", "n_levels": len(design.levels) + 1,
           "is_placebo": design.is_placebo, "n": len(data.outcome), "n_events": n_best, "note": ""}  # fmt: skip
    if alone is None:
        small = f"Fewer than two levels with the {int(np.ceil(min(data.least, 1e9))):,} accounts needed"
        return row | {"n_levels": np.nan, "verdict": "not enough data", "note": data.few or small}
    names = ("statistic", "degrees_of_freedom", "p_value", "attributes_left", "p_adjusted")
    row |= dict(zip(names, found, strict=True))
    row |= {"p_alone": alone[2], "p_alone_adjusted": min(1.0, alone[2] * n_attributes)}
    if design.is_placebo and not np.isnan(step):
        row["note"] = "Made of the account's id: luck selected it, so distrust this list"
    if same:
        return row | {"verdict": "says the same", "says_same_as": ", ".join(same)}
    if same is not None:
        row["note"] = "By itself it would have entered; luck could give what it adds to the others"
    return row | {"verdict": "no evidence" if np.isnan(step) else "selected"}


def _sort(table: pd.DataFrame) -> pd.DataFrame:
    """Selected first, in order; then what says the same; then by p-value and name."""
    rank = table["verdict"].map({"selected": 0, "says the same": 1, "no evidence": 2, "not enough data": 3})
    order = table.assign(_rank=rank).sort_values(
        ["_rank", "step", "p_alone", "attribute"], kind="stable", na_position="last"
    )
    return order[COLUMNS].reset_index(drop=True)


def estimate_curve(
    labelled: pd.DataFrame,
    levels: Sequence[tuple[str, str, Segment]],
    selection: pd.DataFrame,
    most: int = MOST_SELECTED,
    n_draws: int = N_DRAWS,
) -> pd.DataFrame:
    """How well the first k attributes, fitted to the older accounts, foretell the best among the newer ones.

    After the selected attributes the curve goes on with those that would come next, by their p-value at the end, to
    show where it flattens; they are marked. It decides nothing. The fit is penalised as the joint model is (0.25 b^2).

    Parameters
    ----------
    labelled, levels
        As for `select_attributes`.
    selection : DataFrame
        `attribute_selection`.
    most : int
        At most so many attributes.
    n_draws : int
        Draws of the families of the newer accounts (`draws.draw_weights`), for the intervals; percentiles.

    Returns
    -------
    DataFrame
        `selection_curve`: per step (0: nothing known of an account) and metric a row. log_score_gain: mean gain of the
        log score over the older accounts' rate, in nats an account, above 0 is better; auc: chance that a best customer
        ranks above another account (0.5 knows nothing). `n` newer accounts, `n_events` best among them. Without any
        best customer on either side the estimates are NaN with a note.

    References
    ----------
    Logarithmic score: Good (1952), Journal of the Royal Statistical Society B 14.
    """
    older, newer = (build_modelled(labelled, levels, part) for part in ("found", "held_out"))
    tested = selection[(selection["verdict"] != "not enough data") & ~selection["is_placebo"].astype(bool)]
    selected = tested[tested["step"].notna()]
    following = tested[tested["step"].isna()].sort_values(["p_value", "attribute"], kind="stable")
    names = [*selected["attribute"], *following["attribute"]][:most]
    note = _say_missing(older, newer)
    scores = np.zeros((len(newer.outcome), 0)) if note else _foretell(older, newer, names)
    weights = np.column_stack([np.ones(len(newer.outcome)), draws.draw_weights(newer.accounts["family_id"], n_draws)])
    rows = []
    for step, name in enumerate(["", *names]):
        shared = {"step": step, "attribute": name, "is_selected": step <= len(selected), "conf_level": CONF_LEVEL,
                  "n": len(newer.outcome), "n_events": int(newer.outcome.sum()), "note": note,
                  "method": "fitted to older accounts, families of newer ones redrawn"}  # fmt: skip
        for metric in ("log_score_gain", "auc"):
            values = np.full(2, np.nan) if note else _score(metric, scores[:, step], scores[:, 0], newer, weights)
            low, high = np.nanquantile(values[1:], [0.025, 0.975]) if np.isfinite(values[1:]).any() else (np.nan,) * 2
            rows.append(shared | {"metric": metric, "estimate": values[0], "conf_low": low, "conf_high": high})
    return pd.DataFrame(rows if len(tested) else [], columns=CURVE_COLUMNS)


def _say_missing(older: Modelled, newer: Modelled) -> str:
    """Why there is no curve."""
    if newer.outcome.all() or not newer.outcome.any():
        return (
            f"{int(newer.outcome.sum()):,} best customers among {len(newer.outcome):,} newer accounts: nothing to rank"
        )
    return f"{older.few}, older accounts" if older.few else ""


def _foretell(older: Modelled, newer: Modelled, names: list[str]) -> np.ndarray:
    """Log-odds of newer accounts after each step, shape (n, 1 + steps)."""
    designs = [np.ones((len(each.outcome), 1)) for each in (older, newer)]
    columns = [logistic.fit_logistic(designs[0], older.outcome).coefficients @ designs[1].T]
    by_name = {each.name: (each, beside) for each, beside in zip(older.attributes, newer.attributes, strict=True)}
    for name in names:
        kept = collapse(by_name[name][0], older.least)
        places = [by_name[name][0].levels.index(level) for level in kept.levels]
        designs = [np.column_stack([design, each.members[:, places]]) for design, each in
                   zip(designs, by_name[name], strict=True)]  # fmt: skip
        penalty = np.r_[0.0, np.full(designs[0].shape[1] - 1, logistic.PENALTY)]
        columns.append(designs[1] @ logistic.fit_logistic(designs[0], older.outcome, penalty).coefficients)
    return np.column_stack(columns)


def _score(metric: str, scores: np.ndarray, base: np.ndarray, newer: Modelled, weights: np.ndarray) -> np.ndarray:
    """The metric as it is, then in every draw, shape (1 + n_draws,)."""
    if metric == "auc":
        return logistic.estimate_auc(expit(scores), newer.outcome, weights)
    gain = _log_score(scores, newer.outcome) - _log_score(base, newer.outcome)
    return gain @ weights / np.maximum(weights.sum(axis=0), 1)


def _log_score(scores: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    return outcome * scores - np.logaddexp(0.0, scores)


def describe_selection(selection: pd.DataFrame) -> pd.DataFrame:
    """Return one row: n_selected, names, n_attributes (tried), n_placebos selected, n, n_events, and a note.

    The note says that there are fewer than five, and why the list was not filled up.
    """
    tried = selection[selection["verdict"] != "not enough data"]
    selected = selection[selection["verdict"] == "selected"]
    none = selection["note"].iloc[0] if len(selection) and tried.empty else "Nothing was tried"
    few = (
        f"{len(selected):,} of at most {MOST_SELECTED}: no other adds more than luck would, and none is kept to fill up"
    )
    note = none if tried.empty else few if len(selected) < FEW else ""
    row = {"n_selected": len(selected), "attributes": ", ".join(selected["attribute"]), "n_attributes": len(tried),
           "n_placebos": int(selected["is_placebo"].astype(bool).sum()), "n": selection["n"].max(),
           "n_events": selection["n_events"].max(), "note": note}  # fmt: skip
    return pd.DataFrame([row])
