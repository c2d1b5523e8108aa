"""Draws whose quantiles are intervals that hold with few customers: the bootstrap-t on shared draws."""

from __future__ import annotations

import numpy as np
from scipy import stats as distributions

from icp_lib.stats import Estimate

#: Above so many clusters the quantiles of plain draws hold as they are.
MANY = 3000


def calibrate_draws(draws, errors, n_clusters) -> np.ndarray:
    """Return draws moved so that their quantiles are the bootstrap-t interval; who is high in which draw stays.

    A plain draw says where an estimate would fall in a resample. With few customers and skewed values that falls short
    on the high side: a sample that lacks its largest customer has a mean too low *and* an error too small. The
    studentised draw t = (draw - estimate) / error of the draw knows both; estimate - t x error, in order of size, are
    put in the place of the plain draws in order of size. So other quantities of the same draws keep their dependence.
    t is widened by sqrt(n / (n - 1)) x t(n - 1) / z at 97.5 %, which matters only below a hundred clusters.

    Parameters
    ----------
    draws, errors : array of float, shape (1 + B, ...)
        Estimates and their standard errors: row 0 of the data as they are, then of each draw.
    n_clusters : int or array, shape (...)
        Clusters behind the estimate, where it has the fewest.

    Returns
    -------
    array of float, shape (1 + B, ...)
        Row 0 unchanged. Where an error is 0 the draw stays.

    References
    ----------
    Efron and Tibshirani (1993), An Introduction to the Bootstrap, 12.5; Hesterberg (2015), The American Statistician
    69, 371-386, for the widening. `docs/decisions.md` has what was measured.

    Examples
    --------
    >>> draws = np.array([2.0, 1.0, 2.0, 3.0])
    >>> calibrate_draws(draws, np.array([1.0, 0.5, 1.0, 2.0]), 10_000).round(2).tolist()
    [2.0, 1.5, 2.0, 4.0]
    """
    draws, errors = np.asarray(draws, float), np.asarray(errors, float)
    n = np.maximum(np.asarray(n_clusters, float), 2)
    wider = np.sqrt(n / (n - 1)) * distributions.t.ppf(0.975, n - 1) / distributions.norm.ppf(0.975)
    with np.errstate(invalid="ignore", divide="ignore"):
        moved = draws[0] - wider * (draws[1:] - draws[0]) / errors[1:] * errors[0]
    moved = np.where((errors[1:] > 0) & np.isfinite(moved), moved, draws[1:])
    order = np.argsort(np.argsort(draws[1:], axis=0, kind="stable"), axis=0, kind="stable")
    return np.concatenate([draws[:1], np.take_along_axis(np.sort(moved, axis=0), order, axis=0)])


def estimate_rare(amount, base, cluster, conf_level: float = 0.95) -> Estimate:
    """Ratio of totals, sum amount / sum base, where few units have any amount: gamma limits, as for weighted counts.

    Percentiles of draws and normal theory miss too often where the few who left decide (of 40 customers, 87 % instead
    of 95 %); with no amount at all they have no width. The lower limit is the quantile of a gamma distribution with the
    mean and variance of the weighted sum of events; the upper one adds one more event of average weight. Conservative
    with few units.

    Parameters
    ----------
    amount, base : array of float, shape (n,)
        Not negative; base with a positive total, else all is NaN.
    cluster : array of int, shape (n,)

    References
    ----------
    Fay and Feuer (1997), Statistics in Medicine 16, 791-801; the average weight: Tiwari, Clegg and Zou (2006),
    Statistical Methods in Medical Research 15, 547-569.

    Examples
    --------
    Equal weights give the exact limits of a Poisson count, here of 3 among 100:

    >>> found = estimate_rare(np.repeat([1.0, 0.0], [3, 97]), np.ones(100), np.arange(100))
    >>> [round(float(each), 4) for each in found[:3]]
    [0.03, 0.0062, 0.0877]
    """
    total = np.sum(base)
    if not total > 0:
        return Estimate(np.nan, np.nan, np.nan)
    code = np.unique(cluster, return_inverse=True)[1]
    shares = np.bincount(code, weights=np.asarray(amount, float)) / total
    value, spread, one = shares.sum(), np.square(shares).sum(), 1 / len(shares)
    tail = 0.5 - conf_level / 2
    low = spread / (2 * value) * distributions.chi2.ppf(tail, 2 * value**2 / spread) if value > 0 else 0.0
    above, wider = value + one, spread + one**2
    high = wider / (2 * above) * distributions.chi2.ppf(1 - tail, 2 * above**2 / wider)
    return Estimate(float(value), float(low), float(high))


def estimate_draws(draws, conf_level: float = 0.95) -> Estimate:
    """Return the estimate, row 0, with the quantiles of the other rows; an infinite value is a value.

    Parameters
    ----------
    draws : array of float, shape (1 + B,)
        Draws without a value are left out; where the data themselves have none all is NaN.

    Examples
    --------
    >>> estimate_draws([3.0, 1.0, 2.0, 4.0, np.inf])[:3]
    (3.0, 1.0, inf)
    """
    draws = np.asarray(draws, float)
    known = draws[1:][~np.isnan(draws[1:])]
    if np.isnan(draws[0]) or not len(known):
        return Estimate(float(draws[0]), np.nan, np.nan)
    low, high = np.quantile(known, [0.5 - conf_level / 2, 0.5 + conf_level / 2], method="inverted_cdf")
    return Estimate(float(draws[0]), float(low), float(high))
