"""Is it something else? A ratio pooled over the strata of another attribute, and long lists drawn to their middle."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats as distributions

from icp_lib.checks import check_range
from icp_lib.stats import NAN, Estimate

MIN_COMPARABLE, MAX_LEFT, MAX_P_SHIFT = 0.5, 0.5, 0.10


class Pooled(NamedTuple):
    """A ratio pooled over strata with its interval, beside the ratio of the same units without strata."""

    value: float
    low: float
    high: float
    p_value: float
    crude: float
    p_shift: float
    n_strata: int
    comparable_rate: float


def estimate_pooled_ratio(m, e, inside, stratum, cluster, conf_level: float = 0.95) -> Pooled:
    """Mantel-Haenszel rate ratio, m as events and e as exposure, with a cluster-robust interval on the log scale.

    ratio = N / D, N = sum_k m1k e0k / ek, D = sum_k m0k e1k / ek (1 inside, 0 outside, ek both). The variance is the
    sum over clusters of the squared sum of influences (`_pool`): a cluster may lie on both sides and in several strata.
    With one stratum it is `stats.estimate_lift`; Student's t has the same degrees of freedom as there.

    Parameters
    ----------
    m, e : array of float, shape (n,)
        What was got and what was expected, per unit (same unit of both).
    inside : array of bool, shape (n,)
    stratum : array of int, shape (n,)
        Codes from 0; -1 where it is not known. Strata where one side expects nothing contribute nothing, nor do units
        without a known stratum.
    cluster : array of int, shape (n,)
        Codes from 0 of the units' clusters.
    conf_level : float

    Returns
    -------
    Pooled
        value, low, high, p_value (two-sided, against 1). crude: the ratio of the same units, strata forgotten; p_shift:
        two-sided, of no difference between the two. n_strata with both sides; comparable_rate: their share of what the
        inside expects. NaN as in `stats.estimate_lift`.

    References
    ----------
    Mantel and Haenszel (1959), for rates of exposure as in Rothman and Greenland (1998), Modern Epidemiology, ch. 15;
    the variance by Taylor linearisation: Cochran (1977), Sampling Techniques, ch. 6.

    Examples
    --------
    Nearly four times the rest in all, twice the rest in either stratum:

    >>> inside, stratum = np.array([True, True, False, False]), np.array([0, 1, 0, 1])
    >>> m, e = np.array([8.0, 1.0, 2.0, 2.0]), np.array([2.0, 1.0, 1.0, 4.0])
    >>> found = estimate_pooled_ratio(m, e, inside, stratum, np.arange(4))
    >>> round(found.value, 6), round(found.crude, 6), found.n_strata, found.comparable_rate
    (2.0, 3.75, 2, 1.0)
    """
    check_range(conf_level, 0.5, 0.9999999, "conf_level")
    m, e, inside = np.asarray(m, float), np.asarray(e, float), np.asarray(inside, bool)
    stratum, cluster = np.asarray(stratum), np.asarray(cluster)
    kept = _comparable(e, inside, stratum)
    all_in = e[inside].sum()
    comparable_rate = float(e[kept & inside].sum() / all_in) if all_in > 0 else NAN
    m, e, inside, stratum, cluster = (each[kept] for each in (m, e, inside, stratum, cluster))
    value, influence = _pool(m, e, inside, stratum)
    crude, crude_influence = _pool(m, e, inside, np.zeros(len(m), int))
    found = Pooled(value, NAN, NAN, NAN, crude, NAN, len(np.unique(stratum)), comparable_rate)
    n_clusters = min(len(np.unique(cluster[side & (m != 0)])) for side in (inside, ~inside))
    if n_clusters < 2 or not min(value, crude) > 0:
        return found
    error = np.sqrt(np.square(np.bincount(cluster, weights=influence)).sum())
    shift_error = np.sqrt(np.square(np.bincount(cluster, weights=influence - crude_influence)).sum())
    half = distributions.t.ppf(0.5 + conf_level / 2, n_clusters - 1) * error
    return found._replace(
        low=value * np.exp(-half),
        high=value * np.exp(half),
        p_value=_p_value(np.log(value), error, n_clusters),
        p_shift=_p_value(np.log(value / crude), shift_error, n_clusters),
    )


def _comparable(e: np.ndarray, inside: np.ndarray, stratum: np.ndarray) -> np.ndarray:
    """Which units lie in a known stratum where both sides expect something."""
    code = stratum + 1
    size = code.max(initial=0) + 1
    both = np.minimum(*(np.bincount(code, weights=e * side, minlength=size) for side in (inside, ~inside))) > 0
    both[0] = False
    return both[code]


def _pool(m: np.ndarray, e: np.ndarray, inside: np.ndarray, stratum: np.ndarray) -> tuple[float, np.ndarray]:
    """The Mantel-Haenszel ratio and the influence of every unit on its logarithm, where all strata have both sides.

    With b_k = (m0k + m1k / ratio) / ek, the rate of the outside if one ratio held in all strata, the derivative of
    log N - log D by the weight of a unit is (e0k / ek) (m - ratio b_k e) / N inside and -(e1k / ek) (m - b_k e) / D
    outside.
    """
    size = stratum.max(initial=-1) + 1
    m1, e1 = (np.bincount(stratum, weights=x * inside, minlength=size) for x in (m, e))
    m0, e0 = (np.bincount(stratum, weights=x * ~inside, minlength=size) for x in (m, e))
    whole = np.where(e1 + e0 > 0, e1 + e0, 1.0)
    top, bottom = (m1 * e0 / whole).sum(), (m0 * e1 / whole).sum()
    if bottom <= 0 or top <= 0:
        return 0.0 if top == 0 < bottom else NAN, np.zeros(len(m))
    ratio = float(top / bottom)
    base, out = ((m0 + m1 / ratio) / whole)[stratum], (e0 / whole)[stratum]
    return ratio, np.where(inside, out * (m - ratio * base * e) / top, (out - 1) * (m - base * e) / bottom)


def _p_value(distance: float, error: float, n_clusters: int) -> float:
    """Two-sided, by Student's t; 1 where both agree to the last digit, as with one stratum."""
    if error < 1e-12:
        return 1.0 if abs(distance) < 1e-12 else NAN
    return float(2 * distributions.t.sf(abs(distance) / error, n_clusters - 1))


def judge_pooled(crude: Estimate, pooled: Pooled) -> str:
    """Say what pooling over the strata of another attribute does to a lift.

    It can only judge a lift that is there, on enough of the group. Less than half of a lift is left by luck alone where
    the lift is small, or where a part of the group has nothing to compare with; so "explained" asks that the lift's
    interval leaves out 1, that less than half is left both of the whole lift and of the lift of the units compared
    (logarithms), and that the difference to the latter is beyond noise (one-sided 5 %).

    Parameters
    ----------
    crude : Estimate
        `stats.estimate_lift` of the whole group.
    pooled : Pooled
        Of the same group, over the strata of an attribute that is not in its rule.

    Returns
    -------
    str
        'not comparable' (less than half of what the group expects lies in strata with both sides, or no ratio could be
        formed), 'contradicted' (the pooled effect has the other sign, its interval beyond 1), 'explained', or ''.

    Examples
    --------
    >>> pooled = Pooled(1.1, 0.9, 1.3, 0.4, crude=2.0, p_shift=0.001, n_strata=8, comparable_rate=0.9)
    >>> judge_pooled(Estimate(2.0, 1.6, 2.5), pooled)
    'explained'
    """
    if not pooled.comparable_rate >= MIN_COMPARABLE or not min(pooled.value, pooled.crude, crude.value) > 0:
        return "not comparable"
    if (crude.value > 1 and pooled.high < 1) or (crude.value < 1 and pooled.low > 1):
        return "contradicted"
    side = 1 if crude.value > 1 else -1
    whole, alike, left = (side * np.log(ratio) for ratio in (crude.value, pooled.crude, pooled.value))
    is_there = crude.low > 1 or crude.high < 1
    is_beyond_noise = left < alike and pooled.p_shift <= MAX_P_SHIFT
    return "explained" if is_there and is_beyond_noise and left < MAX_LEFT * min(whole, alike) else ""


def shrink_lifts(log_lift, se) -> tuple[np.ndarray, float]:
    """Log lifts of a long list, each drawn to the common mean by as much as its error deserves.

    Normal-normal: log_lift_i ~ N(theta_i, se_i^2), theta_i ~ N(mu, tau2). tau2 is Paule and Mandel's: the one at which
    sum_i (log_lift_i - mu)^2 / (se_i^2 + tau2) equals the number of lifts less one (0 if it is less at 0); mu is the
    mean with weights 1 / (se_i^2 + tau2). It orders a list; it has no interval.

    Parameters
    ----------
    log_lift, se : array of float, shape (n,)
        Pairs that are not finite, or without a positive error, are not counted and stay NaN.

    Returns
    -------
    shrunk : array of float, shape (n,)
        mu + tau2 / (tau2 + se^2) (log_lift - mu). One lift alone has no mean to be drawn to and stays as it is.
    tau2 : float
        Variance of the true log lifts; NaN for fewer than two.

    References
    ----------
    Paule and Mandel (1982), Journal of Research of the National Bureau of Standards 87; solved as in DerSimonian and
    Kacker (2007), Contemporary Clinical Trials 28; shrunk as in Efron and Morris (1975), Journal of the American
    Statistical Association 70.

    Examples
    --------
    >>> shrunk, tau2 = shrink_lifts([0.0, 1.0], [0.5, 0.5])
    >>> shrunk.tolist(), tau2
    ([0.25, 0.75], 0.25)
    """
    log_lift, se = np.asarray(log_lift, float), np.asarray(se, float)
    known = np.isfinite(log_lift) & np.isfinite(se) & (se > 0)
    shrunk = np.where(known, log_lift, NAN)
    y, variance = log_lift[known], se[known] ** 2
    if len(y) < 2:
        return shrunk, NAN
    tau2 = _paule_mandel(y, variance)
    mean = np.average(y, weights=1 / (variance + tau2))
    shrunk[known] = mean + tau2 / (tau2 + variance) * (y - mean)
    return shrunk, tau2


def _paule_mandel(y: np.ndarray, variance: np.ndarray) -> float:
    """The root of a sum that falls with tau2 and is convex: Newton's steps from 0 never pass it."""
    tau2 = 0.0
    for _ in range(200):
        weight = 1 / (variance + tau2)
        squares = weight * np.square(y - np.average(y, weights=weight))
        excess = squares.sum() - (len(y) - 1)
        if excess <= 1e-12 * len(y):
            break
        tau2 += excess / (weight * squares).sum()
    return float(tau2)
