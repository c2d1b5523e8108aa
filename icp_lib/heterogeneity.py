"""Does an arm work better in some segment? Effects inside against outside, adjusted for the search."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.stats import norm

from icp_lib import designs
from icp_lib.checks import DataError, check_columns
from icp_lib.contrasts import MIN_EVENTS, Measure
from icp_lib.permutation import DRAW_BYTES, adjust_by_best
from icp_lib.trials import build_values, check_units

COLUMNS = (
    "segment", "arm", "control", "n_arm", "n_control", "effect_inside", "effect_outside", "difference",
    "difference_low", "difference_high", "p_value", "p_adjusted", "detectable", "is_refused", "note",
)  # fmt: skip


def search_effects(
    frame: pd.DataFrame,
    measure: Measure,
    segments: pd.DataFrame,
    *,
    control: str,
    arm: str = "arm",
    account: str = "account_id",
    strata=None,
    mde: float | None = None,
    n_draws: int = 999,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare each arm's effect inside every segment with its effect outside.

    t is the difference of the two effects over its standard error. What the best of all segments and arms would show if
    each arm worked alike everywhere: each arm's mean effect is taken off its accounts, the arms are dealt out again
    within strata, and the largest |t| kept (max-T).

    A claim is refused where the test could not have borne it out: a difference found with 80 % power, at the level that
    so many segments leave, would have to exceed `mde`, or without it the arm's whole effect; or a side of a segment has
    fewer than ten accounts with something in an arm.

    Parameters
    ----------
    frame : DataFrame
        One row an account; rows where the metric is empty are left out.
    measure : Measure
        Its covariates are not used.
    segments : DataFrame of bool, shape (n, M)
        Who is inside, a column a segment, in the order of the rows; known before the assignment.
    control, arm, account : str
    strata : array of int, shape (n,), optional
        Within which the lot was drawn.
    mde : float, optional
    n_draws, seed : int

    Returns
    -------
    DataFrame
        COLUMNS, a row a segment and arm; n_arm and n_control inside. The interval is 95 %, one at a time; of refused
        rows both p-values are NaN.

    References
    ----------
    Ding, Feller and Miratrix (2016), Journal of the Royal Statistical Society B 78: randomisation tests for effects
    that vary, with the mean effect put in; Westfall and Young (1993): max-T.
    """
    check_columns(frame, [account, arm, *measure.columns], "search_effects")
    check_units(frame, account, arm)
    if len(segments) != len(frame):
        raise DataError(f"search_effects: segments has {len(segments):,} rows, the accounts are {len(frame):,}.")
    known = frame[measure.columns].notna().all(axis=1).to_numpy()
    arms = sorted(set(frame.loc[known, arm]) - {control})
    inside = segments.to_numpy(bool)[known].reshape(-1, segments.shape[1])
    names = [(segment, name) for segment in segments.columns for name in arms]
    if not names or control not in set(frame.loc[known, arm]):
        return pd.DataFrame(columns=list(COLUMNS))
    codes = frame.loc[known, arm].map({name: number for number, name in enumerate([control, *arms])}).to_numpy()
    values = build_values(frame[known], measure)
    totals = [values[codes == code].sum(axis=0) for code in range(len(arms) + 1)]
    with np.errstate(all="ignore"):
        whole = np.array([top / bottom for top, bottom in totals]) - totals[0][0] / totals[0][1]
    values[:, 0] -= np.nan_to_num(whole)[codes] * values[:, 1]
    cells = _build_cells(values, inside)
    seen = _compare_cells(codes[None], cells, len(arms))
    strata = np.zeros(len(codes), int) if strata is None else np.asarray(strata)[known]
    max_t = np.concatenate(
        [
            np.abs(_compare_cells(block, cells, len(arms))[0]).max(axis=(1, 2))
            for block in _deal(codes, strata, n_draws, seed)
        ]
    )
    t, effects, errors = seen[0][0], seen[1][0], seen[2][0]
    table = pd.DataFrame(names, columns=["segment", "arm"]).assign(control=control)
    sizes = np.array([[(inside.T & (codes == code)).sum(axis=1)] for code in range(len(arms) + 1)])[:, 0]
    has = np.array(
        [_count_some(inside, codes == code, frame.loc[known, measure.numerator]) for code in range(len(arms) + 1)]
    )
    fewest = np.minimum(has[1:], has[:1]).min(axis=1)
    shift = whole[1:, None]
    table["n_arm"], table["n_control"] = sizes[1:].T.ravel(), np.repeat(sizes[0], len(arms))
    table["effect_inside"], table["effect_outside"] = ((each + shift).T.ravel() for each in effects)
    table["difference"] = (effects[0] - effects[1]).T.ravel()
    half = norm.ppf(0.975) * errors.T.ravel()
    table["difference_low"], table["difference_high"] = table["difference"] - half, table["difference"] + half
    table["p_value"] = 2 * norm.sf(np.abs(t.T.ravel()))
    table["p_adjusted"] = adjust_by_best(np.abs(t.T.ravel()), max_t)
    table["detectable"] = designs.find_drift(len(table))[1] * errors.T.ravel()
    worth = np.full(len(table), mde) if mde else np.abs(np.tile(whole[1:], segments.shape[1]))
    return _refuse(table, worth, fewest.T.ravel())[list(COLUMNS)]


def _refuse(table: pd.DataFrame, worth, fewest) -> pd.DataFrame:
    """Mark what the test could not have shown, and take its p-values away."""
    is_few, is_weak = fewest < MIN_EVENTS, ~(table["detectable"].to_numpy() <= worth)
    weak = [
        f"underpowered: only a difference of {least:.3g} would have been found, more than {most:.3g}"
        for least, most in zip(table["detectable"], worth, strict=True)
    ]
    few = [f"underpowered: {n:,.0f} accounts with something on one side, {MIN_EVENTS} are needed" for n in fewest]
    table["is_refused"] = is_few | is_weak
    table["note"] = np.where(is_few, few, np.where(is_weak, weak, ""))
    table[["p_value", "p_adjusted"]] = table[["p_value", "p_adjusted"]].mask(table["is_refused"])
    return table


def _count_some(inside, is_arm, numerator) -> np.ndarray:
    """Accounts with something inside and outside, shape (2, M)."""
    some = (numerator.to_numpy() != 0) & is_arm
    within = some.astype(float) @ inside
    return np.stack([within, some.sum() - within])


def _build_cells(values, inside) -> np.ndarray:
    """Additive parts of each account, of all and of each segment's, shape (n, parts x (M + 1))."""
    top, bottom = values.T
    parts = np.column_stack([np.ones(len(values)), top, bottom, top**2, top * bottom, bottom**2])
    member = np.column_stack([np.ones(len(values)), inside])
    return (parts[:, :, None] * member[:, None, :]).reshape(len(values), -1)


def _compare_cells(labels, cells, n_arms: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """t (draws, arms, M), effects inside and outside (draws, 2, arms, M), and the error of their difference."""
    values, variances = [], []
    with np.errstate(all="ignore"):
        for code in range(n_arms + 1):
            sums = ((labels == code).astype(float) @ cells).reshape(len(labels), 6, -1)
            sides = np.stack([sums[:, :, 1:], sums[:, :, :1] - sums[:, :, 1:]], axis=1)  # inside, outside
            n, y, d, yy, yd, dd = np.moveaxis(sides, 2, 0)
            ratio = y / d
            values.append(ratio)
            variances.append(np.maximum(yy - 2 * ratio * yd + ratio**2 * dd, 0) / (n - 1) * n / d**2)
        effects = np.stack([each - values[0] for each in values[1:]], axis=2)
        errors = np.sqrt(np.stack([(each + variances[0]).sum(axis=1) for each in variances[1:]], axis=1))
        t = (effects[:, 0] - effects[:, 1]) / errors
    return np.where(np.isfinite(t), t, 0.0), effects, errors


def _deal(codes, strata, n_draws: int, seed: int) -> Iterator[np.ndarray]:
    """Blocks of the arms dealt out again within strata."""
    rng, step = np.random.default_rng(seed), max(1, DRAW_BYTES // (8 * len(codes)))
    places = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    for start in range(0, n_draws, step):
        labels = np.empty((min(step, n_draws - start), len(codes)), np.int8)
        for here in places:
            labels[:, here] = rng.permuted(np.tile(codes[here].astype(np.int8), (len(labels), 1)), axis=1)
        yield labels
