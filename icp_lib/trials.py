"""Comparison of the arms of an experiment, account by account; several arms; guardrails; which arm to choose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from scipy.stats import norm
from scipy.stats import t as student

from icp_lib import differences, stats
from icp_lib.checks import DataError, check_columns, check_range
from icp_lib.differences import DRAWN_BELOW, FEW, MIN_EVENTS, RESULT_COLUMNS, Measure
from icp_lib.randomisation import randomise_test, take_off
from icp_lib.stats import NAN

_ACCOUNTS = "_accounts"
ADJUSTED = "The effect is adjusted for what was known before; the values of both arms are as they were."
ROUGH = f"Few accounts: rough below {FEW} in an arm, or {MIN_EVENTS} of them with something."


def compare_arms(
    data,
    measures: Iterable[Measure],
    *,
    control: str,
    arm: str = "arm",
    account: str = "account_id",
    family: str | None = None,
    covariates: Sequence[str] = (),
    conf_level: float = 0.95,
    draws: np.ndarray | None = None,
) -> pd.DataFrame:
    """Compare every arm with the control, account by account.

    By tea-tasting: a mean or a ratio of sums (variance by the delta method) with Welch's t, a proportion with the
    pooled z and Wald's interval, fewer than ten events with Fisher's exact test and Newcombe's interval; a measure's
    own `covariate` is taken off with one slope for both arms (CUPED). With `covariates`, the regression of each arm on
    them (Lin, HC3). With `draws`, p and interval from drawing again, the covariates taken off first: for a metric with
    few accounts (fewer than 100 clusters, or ten accounts with something, in an arm), and for every metric where no
    covariates are given, because an assignment redrawn until it balances varies less than formulas know.

    Accounts of one family and arm count as one cluster; a family in two arms counts once in each, which errs to the
    wide side.

    Parameters
    ----------
    data : DataFrame or ibis Table
        One row an account. A row in which a column of the metric is empty is left out of that metric: it has not
        matured. Of an ibis table only counts, means, variances and covariances come back (no `family`, `covariates` or
        `draws`).
    measures : iterable of Measure
    control : str
    arm, account : str
        Columns.
    family : str, optional
        Column of the clusters; an account without one stands alone.
    covariates : sequence of str
        Numeric columns that the assignment was balanced on; a missing value takes the mean.
    conf_level : float
    draws : array of int, shape (n_draws, n_rows), optional
        The same rows assigned again by the same rule, as positions in the sorted names of the arms
        (`randomisation.draw_arms`). 999 are enough for a level of 95 %; a look at 99.7 % needs 9,999.

    Returns
    -------
    DataFrame
        RESULT_COLUMNS, one row a metric and arm, arms in order of name. value_arm and value_control are as they were;
        covariates adjust the effect alone, and the note says so. `se_relative` is the standard error of
        log(value_arm / value_control); events_arm and events_control are filled for shares of few events, whose
        interval is never narrower than Newcombe's. What cannot be computed is NaN, and `note` says why.

    Raises
    ------
    DataError
        Rows that are not accounts (leads, deals), or an account in two arms.

    References
    ----------
    Deng, Knoblich and Lu (2018), KDD: the delta method; Deng et al. (2013), WSDM: CUPED; Lin (2013), Annals of Applied
    Statistics 7.

    Examples
    --------
    >>> frame = pd.DataFrame({"account_id": range(400), "arm": ["letter", "usual"] * 200})
    >>> frame["met"] = [1.0, 0.0] * 40 + [1.0] * 80 + [0.0] * 240
    >>> found = compare_arms(frame, [Measure("touch_rate", "met")], control="usual")
    >>> found[["effect", "effect_low", "effect_high"]].round(3).values.tolist()
    [[0.2, 0.112, 0.288]]
    """
    check_range(conf_level, 0.5, 0.9999999, "conf_level")
    measures, is_frame = list(measures), isinstance(data, pd.DataFrame)
    if not is_frame and (family or len(covariates) or draws is not None):
        raise DataError("compare_arms: families, covariates and draws need the accounts themselves, in a DataFrame.")
    names = [account, arm, *([family] if family else []), *covariates, *(c for each in measures for c in each.columns)]
    check_columns(data, dict.fromkeys(names), "compare_arms")
    check_units(data, account, arm)
    if not is_frame:
        tables = [(each, _read_moments(data.drop_null(each.columns), each, arm)) for each in measures]
        rows = [differences.compare_moments(m, each, control=control, conf_level=conf_level) for each, m in tables]
        return pd.DataFrame([row for part in rows for row in part], columns=list(RESULT_COLUMNS))
    if draws is not None and np.shape(draws)[1] != len(data):
        raise DataError(f"compare_arms: draws has {np.shape(draws)[1]:,} accounts, the table {len(data):,}.")
    design = {"control": control, "arm": arm, "family": family, "covariates": list(covariates)}
    rows = [row for each in measures for row in _compare_measure(data, each, draws, conf_level=conf_level, **design)]
    return pd.DataFrame(rows, columns=list(RESULT_COLUMNS))


def check_units(data, account: str = "account_id", arm: str = "arm") -> None:
    """Refuse rows that are not the accounts that were assigned: an account in two arms, or several rows of one."""
    is_frame = isinstance(data, pd.DataFrame)
    n_rows = len(data) if is_frame else int(data.count().execute())
    n_accounts = data[account].nunique() if is_frame else int(data[account].nunique().execute())
    if n_rows == n_accounts:
        return
    if is_frame:
        n_arms = data.groupby(account)[arm].nunique()
        torn = n_arms.index[n_arms > 1]
        if len(torn):
            raise DataError(
                f"experiment: {len(torn):,} accounts are in more than one arm, the first is {torn[0]!r}. What was done "
                "to them is not known: correct assignments, or leave these accounts out and say so."
            )
    raise DataError(
        f"experiment: {n_rows:,} rows of {n_accounts:,} accounts. The arms were assigned by account, so the leads or "
        "deals of one account are not independent, and a test on them finds effects where there are none. Sum "
        "numerator and denominator to one row an account."
    )


def _read_moments(data, measure: Measure, arm: str) -> dict:
    """Count, means, variances and covariances by arm; one query where the data is a table of the engine."""
    from tea_tasting.aggr import read_aggregates
    from tea_tasting.metrics import RatioOfMeans

    return read_aggregates(data, arm, **RatioOfMeans(*measure[1:5]).aggr_cols._asdict())


def _compare_measure(data, measure: Measure, draws, *, control, arm, family, covariates, conf_level) -> list[dict]:
    """One metric, from the accounts where it is known."""
    arms = sorted(data[arm].unique())
    is_known = data[measure.columns].notna().all(axis=1).to_numpy()
    part = data[is_known]
    cluster = code_families(part, family)
    units, used = _sum_families(part, measure, arm, cluster)
    found = _read_moments(units, used, arm) if len(units) else {}
    rows = differences.compare_moments(found, used, control=control, conf_level=conf_level)
    found = {row["arm"]: row for row in rows}
    sizes, some = part[arm].value_counts(), part.loc[part[measure.numerator] != 0, arm].value_counts()
    told = f"{(~is_known).sum():,} of {len(data):,} accounts are left out: not old enough, or not known."
    rows = []
    for name in [each for each in arms if each != control]:
        row = found.get(name, differences.empty_row(measure, name, control)) | {"metric": measure.metric}
        pair = [name, control]
        is_few = min(some.get(each, 0) for each in pair) < MIN_EVENTS or row["method"] == differences.COUNTED
        n_fewest = min(row["n_clusters_arm"], row["n_clusters_control"])
        is_few, is_drawn = is_few or n_fewest < FEW, is_few or n_fewest < DRAWN_BELOW or not covariates
        if np.isfinite(row["se"]) and draws is not None and is_drawn:
            codes = np.searchsorted(arms, part[arm].to_numpy(object).astype(str))
            row |= _draw_again(
                part,
                measure,
                codes,
                np.asarray(draws)[:, is_known],
                cluster,
                [arms.index(each) for each in pair],
                covariates,
                conf_level,
            )
        elif np.isfinite(row["se"]) and row["method"] != differences.COUNTED:
            if covariates:
                inside = part[arm].isin(pair).to_numpy()
                row |= _regress(part[inside], measure, name, arm, cluster[inside], covariates, conf_level)
            row["note"] = " ".join(filter(None, [row["note"], ROUGH if is_few else ""]))
        row |= {"n_arm": int(sizes.get(name, 0)), "n_control": int(sizes.get(control, 0))}
        row = _tell_raw(row, part, measure, arm, conf_level)
        rows.append(row | {"note": " ".join(filter(None, [row["note"], "" if is_known.all() else told]))})
    return rows


def _tell_raw(row: dict, part, measure: Measure, arm: str, conf_level: float) -> dict:
    """The values of both arms as they were; the interval of a share of few events widened to Newcombe's."""
    values = [build_values(part[part[arm] == each], measure) for each in (row["arm"], row["control"])]
    sums = [each.sum(axis=0) for each in values]
    if not all(each[1] > 0 for each in sums) or np.isnan(row["effect"]):
        return row
    row |= {"value_arm": sums[0][0] / sums[0][1], "value_control": sums[1][0] / sums[1][1]}
    raw = row["value_arm"] - row["value_control"]
    if abs(row["effect"] - raw) > differences.ROUNDING * max(abs(raw), abs(row["value_control"])):
        row["note"] = " ".join(filter(None, [row["note"], ADJUSTED]))
    counts = [(int(each[0]), len(table)) for each, table in zip(sums, values, strict=True)]
    is_share = measure.denominator is None and all(np.isin(each[:, 0], (0, 1)).all() for each in values)
    if not is_share or min(min(got, n - got) for got, n in counts) >= MIN_EVENTS:
        return row
    row |= {"events_arm": counts[0][0], "events_control": counts[1][0]}
    if np.isnan(row["se"]) and raw == 0:
        row |= {"p_value": 1.0, "note": ""}
    return differences.set_interval(row, conf_level)


def code_families(part: pd.DataFrame, family: str | None) -> np.ndarray:
    """Return the codes of the clusters, shape (n,); an account without a family stands alone."""
    if family is None:
        return np.arange(len(part))
    code = pd.factorize(part[family])[0]
    return np.where(code < 0, code.max(initial=-1) + 1 + np.arange(len(code)), code)


def _sum_families(part, measure: Measure, arm: str, cluster) -> tuple[pd.DataFrame, Measure]:
    """One row a family and arm, means turned into sums over numbers of accounts; as they are where none share one."""
    units = part[[arm, *measure.columns]]
    if len(np.unique(cluster)) == len(part):
        return units.astype(dict.fromkeys(measure.columns, float)), measure
    by = [part[arm].to_numpy(), cluster]
    units = units.assign(**{_ACCOUNTS: 1.0}).groupby(by)[[*measure.columns, _ACCOUNTS]].sum()
    used = measure._replace(denominator=measure.denominator or _ACCOUNTS)
    if measure.covariate:
        used = used._replace(covariate_denominator=measure.covariate_denominator or _ACCOUNTS)
    return units.reset_index(level=0, names=[arm]).reset_index(drop=True), used


def build_values(part: pd.DataFrame, measure: Measure) -> np.ndarray:
    """Return numerator and denominator, shape (n, 2); a mean has the denominator 1."""
    bottom = part[measure.denominator] if measure.denominator else pd.Series(1.0, part.index)
    return np.column_stack([part[measure.numerator], bottom]).astype(float)


def _draw_again(part, measure, codes, draws, cluster, pair, covariates, conf_level) -> dict:
    """The randomisation test over families where each lies in one arm, else over accounts."""
    values = build_values(part, measure)
    table = _build_covariates(part, measure, covariates)
    values = take_off(values, table) if table.shape[1] else values
    _, first, member = np.unique(cluster, return_index=True, return_inverse=True)
    if (codes == codes[first][member]).all():
        values = np.column_stack([np.bincount(member, weights=column) for column in values.T])
        codes, draws = codes[first], draws[:, first]
    found = randomise_test(values, codes, draws, *pair, conf_level)
    row = differences.describe([found["value_arm"], found["value_control"]], [NAN, NAN], [NAN, NAN])
    errors = np.array([found["se_arm"], found["se_control"]])
    levels = np.array([found["value_arm"], found["value_control"]])
    relative = np.hypot(*(errors / levels)) if (levels > 0).all() else NAN
    row |= found | {"se_relative": relative * found["se"] / np.hypot(*errors)}
    row = differences.set_interval(row | {"df": np.inf}, conf_level) | {"method": "randomisation", "note": ""}
    return {name: row[name] for name in RESULT_COLUMNS if name in row}


def _regress(part, measure, name, arm, cluster, covariates, conf_level) -> dict:
    """Lin's regression; the metric's own covariate joins the others."""
    table = _build_covariates(part, measure, covariates)
    is_arm = (part[arm] == name).to_numpy()
    found = differences.compare_regressed(build_values(part, measure), table, is_arm, cluster, conf_level)
    return found or {"note": "Too few accounts for the covariates: compared without them."}


def _build_covariates(part, measure: Measure, covariates) -> np.ndarray:
    """The covariates of the assignment, and the metric's own."""
    return part[[*covariates, *([measure.covariate] if measure.covariate else [])]].to_numpy(float)


def adjust_arms(results: pd.DataFrame) -> pd.DataFrame:
    """Return results with `p_adjusted`: Holm over all arms and candidates of one metric and role.

    Intervals stay as they are, one at a time; `adjustment` says so.

    Examples
    --------
    >>> two = pd.DataFrame({"metric": "win_rate", "role": "primary", "p_value": [0.01, 0.04], "adjustment": ""})
    >>> adjust_arms(two)[["p_adjusted", "adjustment"]].values.tolist()
    [[0.02, 'Holm over 2 comparisons'], [0.04, 'Holm over 2 comparisons']]
    """
    results = results.copy()
    for _, index in results.groupby(["metric", "role"], sort=False).groups.items():
        p_values = results.loc[index, "p_value"].to_numpy(float)
        results.loc[index, "p_adjusted"] = stats.adjust_holm(p_values)
        n = int(np.isfinite(p_values).sum())
        said = f"Holm over {n} comparisons" if n > 1 else "one comparison"
        before = results.loc[index, "adjustment"].fillna("")
        results.loc[index, "adjustment"] = (before + np.where(before != "", "; ", "") + said).to_numpy()
    return results


def check_guardrails(
    results: pd.DataFrame, margins: dict[str, float], *, lower_is_better: Sequence[str] = (), level: float = 0.025
) -> pd.DataFrame:
    """Judge metrics that must not get worse by more than a margin: one-sided, and all must pass.

    Because all must pass, each keeps its whole level: no correction. It is judged on the end of its own interval, that
    of few events, of draws or of a regression, as `compare_arms` made it.

    Parameters
    ----------
    results : DataFrame
        From `compare_arms`; rows of other metrics are left out.
    margins : dict of str to float
        By metric, in its unit: -0.05 where more is better, +10 where less is better.
    lower_is_better : sequence of str
        Metrics.
    level : float

    Returns
    -------
    DataFrame
        metric, arm, control, n_arm, n_control, effect, effect_low, effect_high (two-sided, twice the level outside),
        bound (the worst that is likely: one of these ends), not_worse_than, p_value (of being worse than the margin;
        NaN for a share of few events, whose interval has none), passes, is_worse (the whole interval is), note.

    References
    ----------
    Non-inferiority by the interval: ICH E9 (1998), 3.3.2.

    Examples
    --------
    >>> row = {"metric": "opportunity_rate", "arm": "letter", "control": "usual", "n_arm": 900, "n_control": 900}
    >>> found = pd.DataFrame([row | {"effect": -0.01, "se": 0.015, "df": np.inf, "note": ""}])
    >>> check_guardrails(found, {"opportunity_rate": -0.05})[["bound", "passes"]].round(4).values.tolist()
    [[-0.0394, True]]
    """
    table = results[results["metric"].isin(list(margins))].reset_index(drop=True)
    sign = np.where(table["metric"].isin(list(lower_is_better)), -1.0, 1.0)
    margin, freedom = table["metric"].map(margins).astype(float), table["df"].fillna(np.inf)
    above = sign * (table["effect"] - margin)
    p_value = pd.Series(student.sf(above / table["se"], freedom), table.index)
    blank = {"effect_relative": NAN, "se_relative": NAN, "method": "", "events_arm": NAN}
    rows = [blank | row for row in table.to_dict("records")]
    rows = [row if np.isnan(row["effect"]) else differences.set_interval(row, 1 - 2 * level) for row in rows]
    ends = pd.DataFrame(rows, index=table.index).reindex(columns=["effect_low", "effect_high"]).astype(float)
    low, high = (ends[name].where(table["effect"].notna()) for name in ends)
    bound, best = low.where(sign > 0, high), high.where(sign > 0, low)
    unknown = np.where(bound.isna(), "No interval: not shown to be safe.", "")
    note = (table["note"].fillna("") + " " + unknown).str.strip()
    is_few = [np.isfinite(row["events_arm"]) for row in rows]
    columns = ["metric", "arm", "control", "n_arm", "n_control", "effect"]
    return table[columns].assign(
        effect_low=low, effect_high=high, bound=bound, not_worse_than=margin, p_value=p_value.mask(is_few),
        passes=sign * (bound - margin) > 0, is_worse=sign * (best - margin) < 0, note=note,
    )  # fmt: skip


def rank_arms(
    results: pd.DataFrame, mde: float, *, worth=1.0, cost=0.0, n_draws: int = 100_000, seed: int = 0
) -> pd.DataFrame:
    """Return how likely each arm is the best to choose, and what choosing it would lose on average.

    Prior of every effect: normal around 0 with the minimum detectable effect as its spread, so that the best of several
    is not taken at its face value. Arms of one candidate share its control and its error; candidates are independent.
    Utility of an arm: effect x worth - cost; of going on as usual: 0. Probabilities from draws of the posterior.

    Parameters
    ----------
    results : DataFrame
        Rows of one metric; with `candidate` where there are several.
    mde : float
        In units of the effect.
    worth, cost : float or array of float, shape (n_rows,)
        Money per unit of the effect, and per account.
    n_draws, seed : int

    Returns
    -------
    DataFrame
        candidate (where given), arm, effect_shrunk, effect_shrunk_low, effect_shrunk_high, utility, p_best,
        expected_regret, note; the last row is the control. An arm without a standard error keeps its prior, and the
        note says so.

    Examples
    --------
    >>> rows = pd.DataFrame({"arm": ["a", "b"], "control": "usual", "effect": [0.1, 0.0], "se": 0.05})
    >>> rows["se_control"] = 0.03
    >>> rank_arms(rows, 0.1)[["effect_shrunk", "p_best"]].round(2).values.tolist()
    [[0.08, 0.93], [-0.01, 0.05], [0.0, 0.03]]
    """
    check_range(mde, 1e-12, np.inf, "mde")
    known = results["se"].gt(0).to_numpy()
    effect = np.where(known, results["effect"], 0.0)
    group = results["candidate"] if "candidate" in results else pd.Series("", results.index)
    same = (group.to_numpy()[:, None] == group.to_numpy()) & known[:, None] & known
    usual = results["se_control"].fillna(0.0).to_numpy(float)
    covariance = np.where(same, np.minimum.outer(usual, usual) ** 2, 0.0)
    np.fill_diagonal(covariance, np.where(known, results["se"], 1.0) ** 2)
    weight = np.where(known[:, None] & known, np.linalg.inv(covariance), 0.0)
    spread = np.linalg.inv(weight + np.eye(len(results)) / mde**2)
    middle = spread @ weight @ effect
    worth, cost = np.broadcast_to(worth, len(results)), np.broadcast_to(cost, len(results))
    drawn = np.random.default_rng(seed).multivariate_normal(middle, spread, n_draws, method="cholesky")
    utility = np.column_stack([drawn * worth - cost, np.zeros(n_draws)])
    best = np.bincount(utility.argmax(axis=1), minlength=len(results) + 1) / n_draws
    half = norm.ppf(0.975) * np.sqrt(np.diag(spread))
    table = pd.DataFrame({"arm": [*results["arm"], results["control"].iloc[0]], "effect_shrunk": [*middle, 0.0]})
    if "candidate" in results:
        table.insert(0, "candidate", [*group, ""])
    return table.assign(
        effect_shrunk_low=[*(middle - half), 0.0], effect_shrunk_high=[*(middle + half), 0.0],
        utility=[*(middle * worth - cost), 0.0], p_best=best,
        expected_regret=(utility.max(axis=1)[:, None] - utility).mean(axis=0),
        note=[*np.where(known, "", "No standard error: only the prior speaks."), ""],
    )  # fmt: skip
