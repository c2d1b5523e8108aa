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


def draw_ratio(y, x, cluster, weights) -> np.ndarray:
    """Return a ratio of totals, sum y / sum x, in every draw, calibrated (`calibrate_draws`).

    Parameters
    ----------
    y, x : array of float, shape (n,)
    cluster : array of int, shape (n,)
        Codes from 0.
    weights : array, shape (1 + B, n_clusters)
        Row 0 is 1.

    Returns
    -------
    array of float, shape (1 + B,)
        NaN in a draw without any x.

    Examples
    --------
    >>> draw_ratio([2.0, 1.0], [1.0, 2.0], np.array([0, 1]), np.array([[1, 1], [2, 0]]))[0]
    np.float64(1.0)
    """
    n = weights.shape[1]
    y, x = (np.bincount(cluster, weights=np.asarray(each, float), minlength=n) for each in (y, x))
    is_in = (np.bincount(cluster, minlength=n) > 0) & ((x != 0) | (y != 0))
    y, x, weights = y[is_in], x[is_in], weights[:, is_in].astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        below = weights @ x
        ratio = np.where(below > 0, weights @ y / below, np.nan)
        squares = weights @ (y * y) - 2 * ratio * (weights @ (x * y)) + ratio**2 * (weights @ (x * x))
        errors = np.sqrt(np.maximum(squares, 0)) / below
    return calibrate_draws(ratio, errors, is_in.sum())


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
