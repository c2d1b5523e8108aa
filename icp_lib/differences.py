"""Two arms of an experiment against each other: from moments, by regression, with the interval at any level."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri, stdtr, stdtrit

from icp_lib import stats
from icp_lib.randomisation import fill_missing
from icp_lib.stats import NAN

#: Below this many clusters in an arm, or this many accounts with or without something, normal theory is not trusted.
FEW, MIN_EVENTS = 50, 10
#: Below this many in an arm an HC3 interval errs to the wide side: where the lot can be drawn again, it is.
DRAWN_BELOW = 100
SHOWN = (
    "metric", "role", "arm", "control", "n_arm", "n_control", "value_arm", "value_control", "effect", "effect_low",
    "effect_high", "effect_relative", "effect_relative_low", "effect_relative_high", "p_value", "p_adjusted",
    "adjustment", "note",
)  # fmt: skip
#: What readers see of a comparison, and what corrections for looks and the ranking of arms need of it.
RESULT_COLUMNS = (
    *SHOWN, "se", "df", "se_control", "se_relative", "n_clusters_arm", "n_clusters_control", "method", "events_arm",
    "events_control",
)  # fmt: skip
COUNTED = "counts"
#: Of two numbers that are equal but for rounding the difference is smaller than this share of their size.
ROUNDING = 1e-12


class Measure(NamedTuple):
    """One metric of an experiment as columns of the table of accounts.

    Attributes
    ----------
    metric : str
    numerator : str
    denominator : str, optional
        Without it the metric is the mean of the numerator over accounts (a proportion where it is 0 or 1), with it
        sum(numerator) / sum(denominator).
    covariate, covariate_denominator : str, optional
        The same before the assignment, for CUPED.
    role : str
        primary, secondary or guardrail.
    """

    metric: str
    numerator: str
    denominator: str | None = None
    covariate: str | None = None
    covariate_denominator: str | None = None
    role: str = "primary"

    @property
    def columns(self) -> list[str]:
        """Columns that a row must have filled to count."""
        return list(dict.fromkeys(name for name in self[1:5] if name))


def empty_row(measure: Measure, arm: str, control: str) -> dict:
    """Return the row of a comparison that cannot be made."""
    return dict.fromkeys(RESULT_COLUMNS, NAN) | {
        "metric": measure.metric, "role": measure.role, "arm": arm, "control": control, "n_arm": 0, "n_control": 0,
        "n_clusters_arm": 0, "n_clusters_control": 0, "adjustment": "", "method": "",
        "note": "No account of one of the arms has this metric yet.",
    }  # fmt: skip


def compare_moments(moments: dict, measure: Measure, *, control: str, conf_level: float = 0.95) -> list[dict]:
    """Compare every arm with the control from counts, means, variances and covariances alone.

    Parameters
    ----------
    moments : dict of str to tea_tasting.aggr.Aggregates
        By arm; over accounts, or over families.
    measure : Measure
    control : str
    conf_level : float

    Returns
    -------
    list of dict
        One an arm, RESULT_COLUMNS; n are the rows counted.
    """
    rows = []
    for name in sorted(set(moments) - {control}):
        sizes = [int(moments[each].count()) if each in moments else 0 for each in (name, control)]
        row = empty_row(measure, name, control) | {
            "n_arm": sizes[0], "n_control": sizes[1], "n_clusters_arm": sizes[0], "n_clusters_control": sizes[1],
        }  # fmt: skip
        rows.append(row | (_compare_pair(moments[name], moments[control], measure, conf_level) if min(sizes) else {}))
    return rows


def _compare_pair(arm, control, measure: Measure, conf_level: float) -> dict:
    """Effect, interval and p-value by tea-tasting, and what the corrections need beside them."""
    from tea_tasting.metrics import Proportion, RatioOfMeans

    pair, sizes = (arm, control), [arm.count(), control.count()]
    if measure.denominator and not all(each.mean(measure.denominator) > 0 for each in pair):
        return {"note": f"Nothing to divide by in one of the arms: no {measure.denominator}."}
    if measure.covariate_denominator and not all(each.mean(measure.covariate_denominator) > 0 for each in pair):
        measure = measure._replace(covariate=None, covariate_denominator=None)
    values = [each.mean(measure.numerator) / each.mean(measure.denominator) for each in pair]
    if min(sizes) < 2:
        return describe(values, [NAN, NAN], [NAN, NAN]) | {"note": "One account or family in an arm: no interval."}
    slope, freedom = _slope(arm + control, measure), [n - 1 for n in sizes]
    variances = [_variance(each, measure, slope) / n for each, n in zip(pair, sizes, strict=True)]
    options = {"confidence_level": conf_level, "alternative": "two-sided"}
    if not measure.denominator and not measure.covariate and all(_is_share(each, measure) for each in pair):
        events = [(round(value * n), n) for value, n in zip(values, sizes, strict=True)]
        is_few = min(min(got, n - got) for got, n in events) < MIN_EVENTS
        test = Proportion(measure.numerator, method="fisher" if is_few else "norm", correction=False, **options)
        row = describe(values, variances, freedom, conf_level, COUNTED if is_few else "proportions", sizes)
        row |= {"p_value": float(test.analyze_aggregates(control, arm).pvalue), "note": ""}
        return row | ({"events_arm": events[0][0], "events_control": events[1][0]} if is_few else {})
    if not sum(variances) > 0:
        return describe(values, variances, freedom)
    found = RatioOfMeans(*measure[1:5], equal_var=False, use_t=True, **options).analyze_aggregates(control, arm)
    method = "CUPED" if measure.covariate else "ratio by the delta method" if measure.denominator else "Welch"
    row = describe([found.treatment, found.control], variances, freedom, conf_level, method)
    return row | {"p_value": float(found.pvalue)}


def _is_share(each, measure: Measure) -> bool:
    """Whether the values are 0 and 1: only then is the mean of the squares the mean."""
    mean, n = each.mean(measure.numerator), each.count()
    square = each.var(measure.numerator) * (n - 1) / n + mean**2
    return 0 <= mean <= 1 and abs(square - mean) <= 1e-9


def _slope(both, measure: Measure) -> float:
    """CUPED's slope over both arms; 0 where the covariate does not vary."""
    if not measure.covariate:
        return 0.0
    spread = both.ratio_var(*measure[3:5])
    return both.ratio_cov(*measure[1:5]) / spread if spread > 0 else 0.0


def _variance(each, measure: Measure, slope: float) -> float:
    variance, mean = each.ratio_var(*measure[1:3]), each.mean(measure.numerator) / each.mean(measure.denominator)
    size = each.var(measure.numerator) / each.mean(measure.denominator) ** 2 + mean**2
    if variance <= ROUNDING * size:
        return 0.0
    if slope:
        variance += slope**2 * each.ratio_var(*measure[3:5]) - 2 * slope * each.ratio_cov(*measure[1:5])
    return max(float(variance), 0.0)


def describe(values, variances, freedom, conf_level: float = 0.95, method: str = "", sizes=(0, 0)) -> dict:
    """Return effect, errors and interval of two estimates, the arm's first.

    Parameters
    ----------
    values, variances, freedom : sequence of two floats
        Estimates, their squared standard errors and degrees of freedom, which Welch and Satterthwaite's rule combines.
    conf_level : float
    method : str
    sizes : sequence of two int
        Accounts, needed by the method of counts only.

    Returns
    -------
    dict
        Part of RESULT_COLUMNS; NaN where the variance is 0 or missing.
    """
    (value, usual), (variance, variance_usual) = map(float, values), map(float, variances)
    total = variance + variance_usual
    row = {"value_arm": value, "value_control": usual, "effect": value - usual, "effect_relative": NAN, "note": ""}
    if usual > 0 and value >= 0:
        row["effect_relative"] = value / usual - 1
    both = value > 0 and usual > 0
    row["se_relative"] = np.sqrt(variance / value**2 + variance_usual / usual**2) if both else NAN
    row |= {"se": np.sqrt(total) if total > 0 else NAN, "se_control": np.sqrt(variance_usual)}
    parts = [each**2 / n for each, n in zip((variance, variance_usual), freedom, strict=True) if n > 0]
    row["df"] = total**2 / sum(parts) if total > 0 and sum(parts) > 0 else NAN
    row["p_value"] = float(2 * stdtr(row["df"], -abs(row["effect"]) / row["se"])) if total > 0 else NAN
    if not total > 0:
        row["note"] = "Every account has the same value: no interval."
    row |= {"method": method} | (dict(zip(("n_arm", "n_control"), sizes, strict=True)) if method == COUNTED else {})
    return set_interval(row, conf_level)


def set_interval(row: dict, conf_level: float) -> dict:
    """Return the row with its intervals at another level.

    Newcombe's for proportions of few events; for all others effect +- t se, and on the log scale for the relative one.
    Where a share of few events (`events_arm`, `events_control`) was compared otherwise, drawn again or by families, the
    wider end of both: with one event every draw has the same |t|, and its interval says nothing.
    """
    half = -(stdtrit(row["df"], (1 - conf_level) / 2) if np.isfinite(row["df"]) else ndtri((1 - conf_level) / 2))
    effect, error, ratio = row["effect"], row["se"], row["effect_relative"] + 1
    low, high = effect - half * error, effect + half * error
    if row["method"] == COUNTED:
        counts = (round(row["value_arm"] * row["n_arm"]), row["n_arm"])
        usual = (round(row["value_control"] * row["n_control"]), row["n_control"])
        low, high = stats.estimate_difference(*counts, *usual, conf_level)[1:3]
    elif np.isfinite(row.get("events_arm", NAN)):
        low, high = widen_few(row, low, high, conf_level)
    factor = np.exp(half * row["se_relative"])
    ends = {"effect_low": low, "effect_high": high}
    ends |= {"effect_relative_low": ratio / factor - 1, "effect_relative_high": ratio * factor - 1}
    return row | {name: float(value) for name, value in ends.items()}


def widen_few(row: dict, low: float, high: float, conf_level: float) -> tuple[float, float]:
    """Return the ends of an interval, moved out to Newcombe's of the same few events where these lie further out."""
    counts = (row["events_arm"], row["n_arm"], row["events_control"], row["n_control"])
    found = stats.estimate_difference(*counts, conf_level)
    return float(np.fmin(low, found[1])), float(np.fmax(high, found[2]))


def compare_regressed(values, covariates, is_arm, cluster, conf_level: float = 0.95) -> dict:
    """Compare two arms with each arm's regression on covariates, read off at the mean of both.

    Of a ratio of sums R the linearised value (n - R d) / mean(d) is regressed, so that a mean is the case d = 1: then
    the effect is the coefficient of the arm in the regression on arm, centred covariates and their products. Variance:
    HC3, residuals over 1 - leverage, summed by cluster before they are squared.

    Parameters
    ----------
    values : array of float, shape (n, 2)
        Numerator and denominator.
    covariates : array of float, shape (n, k)
        A missing value takes the mean; one that does not vary is left out.
    is_arm : array of bool, shape (n,)
    cluster : array of int, shape (n,)
    conf_level : float

    Returns
    -------
    dict
        As `describe`; empty where an arm has fewer than three clusters a coefficient.

    References
    ----------
    Lin (2013), Annals of Applied Statistics 7, 295-318; MacKinnon and White (1985), Journal of Econometrics 29.
    """
    values, is_arm, cluster = np.asarray(values, float), np.asarray(is_arm, bool), np.asarray(cluster)
    table = fill_missing(covariates)
    spread = table.std(axis=0)
    table = (table[:, spread > 0] - table[:, spread > 0].mean(axis=0)) / spread[spread > 0]
    found = [_read_off(values[side], table[side], cluster[side]) for side in (is_arm, ~is_arm)]
    if any(each is None for each in found):
        return {}
    return describe(*zip(*found, strict=True), conf_level, "Lin, HC3")


def _read_off(values, table, cluster) -> tuple[float, float, float] | None:
    """One arm's value at the mean of the covariates, which is 0, its variance and degrees of freedom."""
    n_clusters, n_terms = len(np.unique(cluster)), table.shape[1] + 1
    if n_clusters < 3 * n_terms or not values[:, 1].sum() > 0:
        return None
    ratio = values[:, 0].sum() / values[:, 1].sum()
    linear = (values[:, 0] - ratio * values[:, 1]) / values[:, 1].mean()
    design = np.column_stack([np.ones(len(table)), table])
    inverse = np.linalg.pinv(design)
    coefficients = inverse @ linear
    leverage = np.einsum("ij,ji->i", design, inverse)
    influence = inverse[0] * (linear - design @ coefficients) / np.clip(1 - leverage, 1e-9, None)
    summed = np.bincount(np.unique(cluster, return_inverse=True)[1], weights=influence)
    return ratio + coefficients[0], float(np.square(summed).sum()), n_clusters - n_terms
