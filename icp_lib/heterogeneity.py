"""Does an arm work better in some segment? Effects inside against outside, adjusted for the search."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from icp_lib import designs
from icp_lib.checks import DataError, check_columns, check_range
from icp_lib.differences import MIN_EVENTS, Measure
from icp_lib.permutation import DRAW_BYTES, TIE, adjust_by_best
from icp_lib.trials import build_values, check_units, code_families

COLUMNS = (
    "segment", "arm", "control", "n_arm", "n_control", "effect_inside", "effect_outside", "difference",
    "difference_low", "difference_high", "p_value", "p_adjusted", "detectable", "is_refused", "note",
)  # fmt: skip
LEVEL = 0.95


def search_effects(
    frame: pd.DataFrame,
    measure: Measure,
    segments: pd.DataFrame,
    *,
    control: str,
    arm: str = "arm",
    account: str = "account_id",
    family: str | None = None,
    strata=None,
    mde: float | None = None,
    n_draws: int = 999,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare each arm's effect inside every segment with its effect outside.

    t is the difference of the two effects over its standard error. What it would be if each arm worked alike
    everywhere: each arm's mean effect is taken off its accounts, and the arms are dealt out again within strata. From
    its own |t| a segment has its p-value and interval, from the largest of all segments and arms the adjusted p-value
    (max-T).

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
    family : str, optional
        Column of the clusters: families that lie in one arm are dealt out whole.
    strata : array of int, shape (n,), optional
        Within which the lot was drawn.
    mde : float, optional
    n_draws : int
        19 or more.
    seed : int

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
    names = [account, arm, *([family] if family else []), *measure.columns]
    check_columns(frame, names, "search_effects")
    check_units(frame, account, arm)
    check_range(n_draws, 19, 1_000_000, "n_draws")
    if len(segments) != len(frame):
        raise DataError(f"search_effects: segments has {len(segments):,} rows, the accounts are {len(frame):,}.")
    known = frame[measure.columns].notna().all(axis=1).to_numpy()
    arms = sorted(set(frame.loc[known, arm]) - {control})
    if not arms or not segments.shape[1] or control not in set(frame.loc[known, arm]):
        return pd.DataFrame(columns=list(COLUMNS))
    part, inside = frame[known], segments.to_numpy(bool)[known]
    codes = part[arm].map({name: number for number, name in enumerate([control, *arms])}).to_numpy()
    values, whole = _take_off(build_values(part, measure), codes, len(arms))
    cells = _build_cells(values, inside)
    t, effects, errors = (each[0] for each in _compare_cells(codes[None], cells, len(arms)))
    strata = np.zeros(len(codes), int) if strata is None else np.asarray(strata)[known]
    blocks = _deal(codes, strata, code_families(part, family), n_draws, seed)
    dealt = np.concatenate([np.abs(_compare_cells(block, cells, len(arms))[0]) for block in blocks])
    spread = np.maximum(np.sqrt(np.square(dealt).mean(axis=0)), 1.0) * errors
    half = np.sort(dealt, axis=0)[int(np.ceil((n_draws + 1) * LEVEL - 1e-9)) - 1] * errors
    found = {
        "n_arm": [(inside.T & (codes == code)).sum(axis=1) for code in range(1, len(arms) + 1)],
        "n_control": [(inside.T & (codes == 0)).sum(axis=1)] * len(arms),
        "effect_inside": effects[0] + whole[:, None], "effect_outside": effects[1] + whole[:, None],
        "difference": effects[0] - effects[1], "difference_low": effects[0] - effects[1] - half,
        "difference_high": effects[0] - effects[1] + half,
        "p_value": (1 + (dealt >= np.abs(t) * (1 - TIE)).sum(axis=0)) / (n_draws + 1),
        "p_adjusted": adjust_by_best(np.abs(t), dealt.max(axis=(1, 2))),
        "detectable": designs.find_drift(t.size)[1] * spread,
        "worth": np.full(t.shape, mde) if mde else np.abs(np.broadcast_to(whole[:, None], t.shape)),
        "fewest": _count_fewest(part[measure.numerator].to_numpy() != 0, inside, codes, len(arms)),
    }  # fmt: skip
    labels = [(segment, name, control) for segment in segments.columns for name in arms]
    columns = {name: np.asarray(each).T.ravel() for name, each in found.items()}
    return _refuse(pd.DataFrame(labels, columns=["segment", "arm", "control"]).assign(**columns))[list(COLUMNS)]


def _take_off(values, codes, n_arms: int) -> tuple[np.ndarray, np.ndarray]:
    """Each arm's whole effect, and the values without it."""
    totals = np.array([values[codes == code].sum(axis=0) for code in range(n_arms + 1)])
    with np.errstate(all="ignore"):
        whole = totals[:, 0] / totals[:, 1] - totals[0, 0] / totals[0, 1]
    return np.column_stack([values[:, 0] - np.nan_to_num(whole)[codes] * values[:, 1], values[:, 1]]), whole[1:]


def _refuse(table: pd.DataFrame) -> pd.DataFrame:
    """Mark what the test could not have shown, and take its p-values away."""
    is_few, is_weak = table["fewest"] < MIN_EVENTS, ~(table["detectable"] <= table["worth"])
    weak = [
        f"underpowered: only a difference of {least:.3g} would have been found, more than {most:.3g}"
        for least, most in zip(table["detectable"], table["worth"], strict=True)
    ]
    few = [f"underpowered: {n:,.0f} accounts with something on a side, {MIN_EVENTS} needed" for n in table["fewest"]]
    is_refused, note = is_few | is_weak, np.where(is_few, few, np.where(is_weak, weak, ""))
    return table.assign(is_refused=is_refused, note=note, **table[["p_value", "p_adjusted"]].mask(is_refused))


def _count_fewest(has_some, inside, codes, n_arms: int) -> np.ndarray:
    """Accounts with something inside or outside, in the arm or the control, where there are fewest: (n_arms, M)."""
    sides = []
    for code in range(n_arms + 1):
        here = (has_some & (codes == code)).astype(float)
        sides.append(np.minimum(here @ inside, here.sum() - here @ inside))
    return np.minimum(sides[1:], sides[0])


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


def _deal(codes, strata, cluster, n_draws: int, seed: int) -> Iterator[np.ndarray]:
    """Blocks of the arms dealt out again within strata; a family that lies in one arm goes to one arm whole."""
    rng, step = np.random.default_rng(seed), max(1, DRAW_BYTES // (8 * len(codes)))
    _, first, member = np.unique(cluster, return_index=True, return_inverse=True)
    is_torn = np.bincount(member, weights=codes != codes[first][member])[member] > 0
    _, first, member = np.unique(np.where(is_torn, cluster.max() + 1 + np.arange(len(codes)), cluster),
                                 return_index=True, return_inverse=True)  # fmt: skip
    heads, strata = codes[first].astype(np.int8), strata[first]
    places = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    for start in range(0, n_draws, step):
        labels = np.empty((min(step, n_draws - start), len(heads)), np.int8)
        for here in places:
            labels[:, here] = rng.permuted(np.tile(heads[here], (len(labels), 1)), axis=1)
        yield labels[:, member]
