"""Logistic regression with a fixed weak penalty, average marginal effects, and how well scores rank: arrays, no CRM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats as distributions
from scipy.special import expit

from icp_lib.checks import DataError, check_range

#: Multiplies the square of each dummy's coefficient: an odds ratio above 16 is a surprise (two standard deviations).
PENALTY = 0.25
#: Keeps a coefficient finite where a level has all or none of the events, and a column apart from its copy.
FLOOR = 1e-6
MOST_STEPS, TOLERANCE = 60, 1e-9


class Fit(NamedTuple):
    """Coefficients, shape (p,), the log-likelihood at them without its penalty, and the penalised Hessian, (p, p)."""

    coefficients: np.ndarray
    log_likelihood: float
    hessian: np.ndarray


def fit_logistic(design, outcome, penalty=0.0, weights=None, start=None) -> Fit:
    """Maximise sum of w (y eta - log(1 + exp(eta))) less sum of penalty b^2, by Newton's method with halved steps.

    Parameters
    ----------
    design : array of float, shape (n, p)
        With a column of ones where an intercept is wanted.
    outcome : array of bool, shape (n,)
    penalty : float or array of float, shape (p,)
        For each column; below 1e-6 it is taken as 1e-6, so that levels with all or none of the events stay finite.
    weights : array of float, shape (n,), optional
    start : array of float, shape (p,), optional
        Coefficients to begin with, to save steps; where they end is the same.

    Returns
    -------
    Fit

    Raises
    ------
    DataError
        A value is not finite, or the steps do not settle.

    References
    ----------
    le Cessie and van Houwelingen (1992), Applied Statistics 41: ridge estimators in logistic regression.

    Examples
    --------
    >>> design = np.column_stack([np.ones(8), np.repeat([0, 1], 4)])
    >>> fit_logistic(design, [1, 0, 0, 0, 1, 1, 0, 0]).coefficients.round(3).tolist()
    [-1.099, 1.099]
    """
    design, outcome = np.asarray(design, float), np.asarray(outcome, float)
    weights = np.ones(len(outcome)) if weights is None else np.asarray(weights, float)
    wrong = np.argwhere(~np.isfinite(design))
    if len(wrong):
        raise DataError(
            f"fit_logistic: {len(wrong):,} values of the design are not finite (first: row {wrong[0][0]:,}, column "
            f"{wrong[0][1]:,}). Make a missing value a level of its own."
        )
    penalty = np.maximum(np.broadcast_to(np.asarray(penalty, float), design.shape[1]), FLOOR)
    beta = np.zeros(design.shape[1]) if start is None else np.asarray(start, float)
    eta = design @ beta
    value = _log_likelihood(eta, outcome, weights) - penalty @ beta**2
    for _ in range(MOST_STEPS):
        p = expit(eta)
        hessian = (design * (weights * p * (1 - p))[:, None]).T @ design + np.diag(2 * penalty)
        step = np.linalg.solve(hessian, design.T @ (weights * (outcome - p)) - 2 * penalty * beta)
        share = 1.0
        while True:
            new = beta + share * step
            eta = design @ new
            likelihood = _log_likelihood(eta, outcome, weights)
            gain = likelihood - penalty @ new**2 - value
            if gain >= -TOLERANCE or share < 1e-6:
                break
            share /= 2
        beta, value = new, value + gain
        if abs(gain) <= TOLERANCE:
            p = expit(eta)
            hessian = (design * (weights * p * (1 - p))[:, None]).T @ design + np.diag(2 * penalty)
            return Fit(beta, likelihood, hessian)
    raise DataError(
        f"fit_logistic: {MOST_STEPS} steps did not settle for {len(outcome):,} rows and {len(beta):,} columns. "
        "Give a penalty, or leave out columns that few rows have."
    )


def _log_likelihood(eta: np.ndarray, outcome: np.ndarray, weights: np.ndarray) -> float:
    return float(weights @ (outcome * eta - np.logaddexp(0.0, eta)))


def count_rank(design, weights=None) -> int:
    """Return how many columns of a design say something that the others do not."""
    design = np.asarray(design, float)
    if not design.shape[1]:
        return 0
    scaled = design if weights is None else design * np.sqrt(np.asarray(weights, float))[:, None]
    gram = scaled.T @ scaled
    size = np.sqrt(np.maximum(np.diag(gram), 1e-300))
    return int(np.linalg.matrix_rank(gram / np.outer(size, size), tol=1e-9, hermitian=True))


def compare_fits(base, added, outcome, weights=None, fitted: Fit | None = None) -> tuple[float, int, float]:
    """Likelihood-ratio test of columns that are added to others.

    Parameters
    ----------
    base, added : array of float, shapes (n, p) and (n, q)
    outcome : array of bool, shape (n,)
    weights : array of float, shape (n,), optional
        At most 1 each. With 1 / size of the family a family counts once: then the test keeps its level whether or not
        the members of a family are alike, and asks for more where they are not.
    fitted : Fit, optional
        The fit of `base` alone without a penalty, where it is known: many columns are compared with the same base.

    Returns
    -------
    statistic, degrees of freedom, p-value
        The degrees of freedom count the columns that are no combination of others; without any, p is 1.

    Examples
    --------
    >>> added = np.repeat([[0], [1]], 4, axis=0)
    >>> statistic, freedom, p = compare_fits(np.ones((8, 1)), added, [1, 0, 0, 0, 1, 1, 0, 0])
    >>> round(statistic, 3), freedom, round(p, 2)
    (0.541, 1, 0.46)
    """
    base, both = np.asarray(base, float), np.column_stack([base, added]).astype(float)
    freedom = count_rank(both, weights) - count_rank(base, weights)
    if freedom <= 0:
        return 0.0, 0, 1.0
    fitted = fitted or fit_logistic(base, outcome, weights=weights)
    start = np.r_[fitted.coefficients, np.zeros(both.shape[1] - base.shape[1])]
    more = fit_logistic(both, outcome, weights=weights, start=start).log_likelihood
    statistic = max(0.0, 2 * (more - fitted.log_likelihood))
    return statistic, freedom, float(distributions.chi2.sf(statistic, freedom))


class Effects(NamedTuple):
    """Average marginal effects: arrays of shape (n_effects,).

    `rate_with` and `rate_without` are the mean chances when everybody has the level, and when nobody has.
    """

    effect: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p_value: np.ndarray
    rate_with: np.ndarray
    rate_without: np.ndarray


def estimate_effects(
    design,
    outcome,
    attributes: Sequence[Sequence[int]],
    cluster,
    penalty=0.0,
    weights=None,
    conf_level: float = 0.95,
) -> Effects:
    """Average marginal effect of every level of every attribute, by standardisation.

    The effect of a level is the mean over all units of the difference between two fitted chances: one with the unit's
    attribute set to the level, one with it set to the reference, everything else as it is. Its variance sums, over
    clusters, the squared influence of the units: their own difference less the mean, and their part in the
    coefficients (the sandwich). Student's t has as many degrees of freedom as the side of the level with fewer clusters
    that had an event, less one, at least one.

    Parameters
    ----------
    design : array of float, shape (n, p)
    outcome : array of bool, shape (n,)
    attributes : sequence of sequence of int
        The columns of each attribute: dummies of its levels, the reference having none.
    cluster : array of int, shape (n,)
        Codes from 0.
    penalty, weights
        See `fit_logistic`.
    conf_level : float

    Returns
    -------
    Effects
        In the order of the columns as `attributes` gives them. The interval is NaN where all units are of one cluster.

    References
    ----------
    Standardisation (g-computation): Robins (1986), Mathematical Modelling 7; delta method with averaging: Terza (2016),
    Health Services Research 51; clustered sandwich: Liang and Zeger (1986), Biometrika 73.

    Examples
    --------
    >>> design = np.column_stack([np.ones(80), np.repeat([0, 1], 40)])
    >>> found = estimate_effects(design, np.tile([1, 0, 0, 0], 20), [[1]], np.arange(80))
    >>> round(float(found.rate_with[0]), 3), round(float(abs(found.effect[0])), 3)
    (0.25, 0.0)
    """
    check_range(conf_level, 0.5, 0.9999999, "conf_level")
    design, outcome = np.asarray(design, float), np.asarray(outcome, float)
    weights = np.ones(len(outcome)) if weights is None else np.asarray(weights, float)
    fitted = fit_logistic(design, outcome, penalty, weights)
    share = weights / weights.sum()
    eta = design @ fitted.coefficients
    score = design * (weights * (outcome - expit(eta)))[:, None]
    rows = []
    for columns in attributes:
        columns = list(columns)
        none = eta - design[:, columns] @ fitted.coefficients[columns]
        blank = design.copy()
        blank[:, columns] = 0.0
        without = expit(none)
        for column in columns:
            found = expit(none + fitted.coefficients[column])
            slope = (found * (1 - found) - without * (1 - without)) * share
            gradient = slope @ blank
            gradient[column] = share @ (found * (1 - found))
            effect = share @ (found - without)
            influence = share * (found - without - effect) + score @ np.linalg.solve(fitted.hessian, gradient)
            error, freedom = _clustered_error(influence, cluster, outcome, weights, design[:, column] != 0)
            rows.append((effect, error, freedom, share @ found, share @ without))
    effect, error, freedom, found, without = np.array(rows, float).reshape(-1, 5).T
    half = distributions.t.ppf(0.5 + conf_level / 2, freedom) * error
    with np.errstate(divide="ignore", invalid="ignore"):
        p_value = 2 * distributions.t.sf(np.abs(effect) / error, freedom)
    return Effects(effect, effect - half, effect + half, p_value, found, without)


def _clustered_error(influence, cluster, outcome, weights, inside) -> tuple[float, float]:
    """Standard error from the clusters' influences, and its degrees of freedom."""
    cluster = np.asarray(cluster)
    n = len(np.unique(cluster[weights > 0]))
    if n < 2:
        return np.nan, np.nan
    sums = np.bincount(cluster, weights=influence)
    events = (outcome > 0) & (weights > 0)
    freedom = min(len(np.unique(cluster[events & side])) for side in (inside, ~inside)) - 1
    return float(np.sqrt(np.square(sums).sum() * n / (n - 1))), max(1.0, freedom)


def estimate_auc(scores, outcome, weights) -> np.ndarray:
    """Chance that an event scores higher than a non-event, ties counting one half, under each column of weights.

    Parameters
    ----------
    scores : array of float, shape (n,)
    outcome : array of bool, shape (n,)
    weights : array of float, shape (n, n_draws)

    Returns
    -------
    array of float, shape (n_draws,)
        NaN where a draw has no event or nothing else.

    References
    ----------
    Mann and Whitney (1947), Annals of Mathematical Statistics 18.

    Examples
    --------
    >>> estimate_auc(np.array([0.1, 0.4, 0.4, 0.8]), np.array([0, 0, 1, 1]), np.ones((4, 1))).tolist()
    [0.875]
    """
    scores, outcome, weights = np.asarray(scores, float), np.asarray(outcome, bool), np.asarray(weights)
    order = np.flatnonzero(~outcome)[np.argsort(scores[~outcome], kind="stable")]
    sides = [np.searchsorted(scores[order], scores[outcome], side) for side in ("left", "right")]
    bounds = np.unique([0, len(order), *sides[0], *sides[1]])  # others are added up only where an event stands
    others = np.zeros((len(bounds), weights.shape[1]))
    if len(order):
        np.cumsum(np.add.reduceat(weights[order], bounds[:-1], axis=0, dtype=float), axis=0, out=others[1:])
    events = weights[outcome].astype(float)
    below = sum(others[np.searchsorted(bounds, side)] for side in sides) / 2
    pairs = events.sum(axis=0) * others[-1]
    return np.divide((events * below).sum(axis=0), pairs, out=np.full(weights.shape[1], np.nan), where=pairs > 0)
