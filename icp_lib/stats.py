"""Estimators and the vocabulary of certainty: numbers and arrays, no CRM."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats as distributions

from icp_lib.checks import check_range

MIN_OPPORTUNITIES, MIN_WON, MAX_P = 50, 15, 0.05
#: Of 1,000 made-up quarters without any truth, those in which page 01 said so (docs/bench.md: the larger of two kinds).
FALSE_OF_1000 = {"confirmed": 1, "promising": 12}
CALIBRATION = (
    f"In made-up quarters without any truth page 01 confirmed a segment in {FALSE_OF_1000['confirmed']} of 1,000 and "
    f"called one promising in {FALSE_OF_1000['promising']} of 1,000, at most."
)
NAN = float("nan")


class Estimate(NamedTuple):
    """An estimate with its interval and the two-sided p-value against no difference."""

    value: float
    low: float
    high: float
    p_value: float = NAN


def estimate_lift(m, e, inside, cluster, conf_level: float = 0.95) -> Estimate:
    """Ratio of standardised ratios, inside against outside, with a cluster-robust interval.

    Lift = (sum m / sum e inside) / (sum m / sum e outside). On the log scale its variance is the sum over clusters of
    the squared influence (O - r E) / sum O; a cluster that lies on both sides counts once, with both parts. Student's t
    has as many degrees of freedom as the side with fewer clusters that got something, less one.

    Parameters
    ----------
    m, e : array of float, shape (n,)
        What was got and what was expected, per unit (same unit of both).
    inside : array of bool, shape (n,)
    cluster : array of int, shape (n,)
        Codes from 0 of the units' clusters.
    conf_level : float

    Returns
    -------
    Estimate
        NaN where either side has nothing got or expected; the interval is NaN with fewer than two clusters that got
        something on either side.

    References
    ----------
    Taylor (delta) linearisation of a ratio of totals: Cochran (1977), Sampling Techniques, ch. 6.

    Examples
    --------
    >>> inside = np.array([True, True, False, False])
    >>> float(estimate_lift(np.array([2.0, 4.0, 1.0, 1.0]), np.ones(4), inside, np.arange(4)).value)
    3.0
    """
    check_range(conf_level, 0.5, 0.9999999, "conf_level")
    m, e, inside = np.asarray(m, float), np.asarray(e, float), np.asarray(inside, bool)
    got_in, exp_in = m[inside].sum(), e[inside].sum()
    got_out, exp_out = m[~inside].sum(), e[~inside].sum()
    if min(exp_in, exp_out, got_out) <= 0:
        return Estimate(NAN, NAN, NAN)
    value = (got_in / exp_in) / (got_out / exp_out)
    n_clusters = min(len(np.unique(np.asarray(cluster)[side & (m != 0)])) for side in (inside, ~inside))
    if n_clusters < 2 or got_in <= 0:
        return Estimate(value if got_in >= 0 else NAN, NAN, NAN)
    influence = np.where(inside, (m - got_in / exp_in * e) / got_in, -(m - got_out / exp_out * e) / got_out)
    error = np.sqrt(np.square(np.bincount(cluster, weights=influence)).sum())
    half = distributions.t.ppf(0.5 + conf_level / 2, n_clusters - 1) * error
    p_value = 2 * distributions.t.sf(abs(np.log(value)) / error, n_clusters - 1) if error > 0 else NAN
    return Estimate(value, value * np.exp(-half), value * np.exp(half), p_value)


def estimate_proportion(event, cluster, conf_level: float = 0.95) -> Estimate:
    """Wilson interval of a proportion, with the sample shrunk to its effective size where clusters repeat.

    The design effect is the cluster-robust variance over the binomial one, at least 1.

    Parameters
    ----------
    event : array of bool, shape (n,)
    cluster : array of int, shape (n,)

    References
    ----------
    Wilson (1927); Korn and Graubard (1998) for the effective sample size.

    Examples
    --------
    >>> low, high = estimate_proportion(np.repeat([True, False], [10, 30]), np.arange(40))[1:3]
    >>> round(float(low), 4), round(float(high), 4)
    (0.1419, 0.4019)
    """
    event = np.asarray(event, float)
    n = len(event)
    if n == 0:
        return Estimate(NAN, NAN, NAN)
    share = event.mean()
    robust = np.square(np.bincount(cluster, weights=event - share)).sum() / n**2
    binomial = share * (1 - share) / n
    effective = n / max(1.0, robust / binomial) if binomial > 0 else n
    return _wilson(share, effective, conf_level)


def estimate_difference(events_1: int, n_1: int, events_0: int, n_0: int, conf_level: float = 0.95) -> Estimate:
    """Difference of two independent proportions with Newcombe's interval (his method 10).

    References
    ----------
    Newcombe (1998), Statistics in Medicine 17, 873-890.

    Examples
    --------
    >>> found = estimate_difference(56, 70, 48, 80)
    >>> [round(float(each), 4) for each in found[:3]]
    [0.2, 0.0524, 0.3339]
    """
    if not n_1 or not n_0:
        return Estimate(NAN, NAN, NAN)
    share_1, low_1, high_1, _ = _wilson(events_1 / n_1, n_1, conf_level)
    share_0, low_0, high_0, _ = _wilson(events_0 / n_0, n_0, conf_level)
    value = share_1 - share_0
    return Estimate(
        value, value - np.hypot(share_1 - low_1, high_0 - share_0), value + np.hypot(high_1 - share_1, share_0 - low_0)
    )


def _wilson(share: float, n: float, conf_level: float) -> Estimate:
    z = distributions.norm.ppf(0.5 + conf_level / 2)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half))


def estimate_median(values, conf_level: float = 0.95) -> Estimate:
    """Median with the distribution-free interval between two order statistics.

    Parameters
    ----------
    values : array of float, shape (n,)
        Below six values no pair of order statistics reaches 95 %: the interval is NaN.

    References
    ----------
    Conover (1999), Practical Nonparametric Statistics, 3.2.

    Examples
    --------
    >>> estimate_median(np.arange(1, 12))[:3]
    (6.0, 2.0, 10.0)
    """
    values = np.sort(np.asarray(values, float))
    n = len(values)
    if n == 0:
        return Estimate(NAN, NAN, NAN)
    below = int(distributions.binom.ppf((1 - conf_level) / 2, n, 0.5))
    if below < 1:
        return Estimate(float(np.median(values)), NAN, NAN)
    return Estimate(float(np.median(values)), float(values[below - 1]), float(values[n - below]))


def adjust_holm(p_values) -> np.ndarray:
    """Holm's step-down adjustment; NaN stays NaN and is not counted.

    References
    ----------
    Holm (1979), Scandinavian Journal of Statistics 6.

    Examples
    --------
    >>> adjust_holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    p_values = np.asarray(p_values, float)
    adjusted = np.full(p_values.shape, NAN)
    order = np.argsort(p_values, kind="stable")[: int(np.isfinite(p_values).sum())]
    steps = p_values[order] * (len(order) - np.arange(len(order)))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps)) if len(order) else steps
    return adjusted


def verdict(
    n_opportunities: float,
    n_won: float,
    lift: float,
    p_adjusted: float = NAN,
    *,
    holdout_lift: float = NAN,
    holdout_p_adjusted: float = NAN,
    holdout_p_opposite: float = NAN,
    holdout_expected_won: float = 0.0,
    is_contradicted_pooled: bool = False,
    explained_by: str = "",
    capped_at_promising: bool = False,
) -> str:
    """The word for how sure we are: the only place that knows the rules; the first one that applies.

    Parameters
    ----------
    n_opportunities, n_won : float
        Where it was found.
    lift, p_adjusted : float
        The effect where found (above 1 is better) and its p-value adjusted for the search.
    holdout_lift, holdout_p_adjusted : float
        In the held-out part, the one-sided p-value on the side where found, adjusted for the list; NaN where there is
        none.
    holdout_p_opposite : float
        One-sided p-value of a held-out lift on the other side of 1 than where found; not adjusted.
    holdout_expected_won : float
        Wins expected in the held-out part at the company's rate.
    is_contradicted_pooled : bool
        Pooled over another attribute the effect has the other sign, its interval beyond zero (`pooling.judge_pooled`).
    explained_by : str
        The attribute that leaves less than half of the effect, "the rep", or "".
    capped_at_promising : bool
        Whether something about the data forbids more: an attribute filled in more often for won deals than for others.

    Returns
    -------
    str
        'not enough data', 'contradicted', 'explained by ...', 'untested', 'confirmed', 'promising' or 'not supported'.

    Examples
    --------
    >>> verdict(431, 147, 2.8, 0.001, holdout_lift=2.7, holdout_p_adjusted=0.001, holdout_expected_won=40)
    'confirmed'
    >>> verdict(20, 8, 2.8, 0.001)
    'not enough data'
    """
    if n_opportunities < MIN_OPPORTUNITIES or n_won < MIN_WON or np.isnan(lift):
        return "not enough data"
    is_same_side = not np.isnan(holdout_lift) and (lift > 1) == (holdout_lift > 1)
    if is_contradicted_pooled or (not is_same_side and holdout_p_opposite <= MAX_P):
        return "contradicted"
    if explained_by:
        return f"explained by {explained_by}"
    is_found, is_held = p_adjusted <= MAX_P, holdout_p_adjusted <= MAX_P
    if is_found and (holdout_expected_won < MIN_WON or np.isnan(holdout_lift)):
        return "untested"
    if is_found and is_held and is_same_side:
        return "promising" if capped_at_promising else "confirmed"
    if (is_found or is_held) and is_same_side:
        return "promising"
    return "not supported"
