"""Assignment by lot within strata, drawn again until it balances; and the test that draws by the same rule."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from icp_lib.checks import DataError, check_range
from icp_lib.stats import NAN

#: Drawn at once while looking for balanced ones.
BLOCK = 2000
#: Two sums of the same numbers in another order differ in the last of 16 digits.
TIE = 1e-9


def draw_arms(
    strata,
    shares: dict[str, float],
    covariates=None,
    *,
    threshold: float = np.inf,
    family=None,
    n_draws: int = 1,
    seed: int = 0,
) -> np.ndarray:
    """Assign accounts to arms by lot, as often as asked for.

    Within a stratum every arm gets its share of the families, rounded down; who takes the places left over is drawn by
    lot, without repeats, by the shares. A family goes to one arm whole; its stratum is its first account's. Draws whose
    `balance` exceeds the threshold are thrown away.

    Parameters
    ----------
    strata : array of int, shape (n,)
    shares : dict of str to float
        By arm, in any unit.
    covariates : array of float, shape (n, k), optional
        What the arms should balance on; a missing value takes the mean.
    threshold : float
        See `find_threshold`.
    family : array, shape (n,), optional
        Codes; without it every account stands alone.
    n_draws, seed : int

    Returns
    -------
    array of int8, shape (n_draws, n)
        Position of the arm in the sorted names.

    Raises
    ------
    DataError
        Where fewer than 1 in 10,000 draws passes the threshold.

    References
    ----------
    Morgan and Rubin (2012), Annals of Statistics 40: rerandomisation.

    Examples
    --------
    >>> drawn = draw_arms(np.repeat([0, 1], 4), {"letter": 1, "usual": 1}, n_draws=3)
    >>> drawn.shape, drawn[:, :4].sum(axis=1).tolist()
    ((3, 8), [2, 2, 2])
    """
    strata, weights = np.asarray(strata), np.array([shares[name] for name in sorted(shares)], float)
    if len(weights) < 2 or not (weights > 0).all():
        raise DataError("draw_arms: needs two arms or more, each with a share above 0.")
    first, member = _heads(strata, family)
    rng = np.random.default_rng(seed)
    if covariates is None or not np.isfinite(threshold):
        return _draw(strata[first], weights, n_draws, rng)[:, member]
    kept, n_kept, n_tried = [], 0, 0
    while n_kept < n_draws:
        block = _draw(strata[first], weights, BLOCK, rng)[:, member]
        block = block[balance(block, covariates, len(weights)) <= threshold]
        kept, n_kept, n_tried = [*kept, block], n_kept + len(block), n_tried + BLOCK
        if n_tried >= 10_000 and n_kept * 10_000 < n_tried:
            raise DataError(f"draw_arms: {n_kept:,} of {n_tried:,} draws balance to {threshold:.3g}. Raise it.")
    return np.concatenate(kept)[:n_draws]


def _heads(strata, family) -> tuple[np.ndarray, np.ndarray]:
    """First account of each family, and each account's family."""
    if family is None:
        return np.arange(len(strata)), np.arange(len(strata))
    _, first, member = np.unique(np.asarray(family), return_index=True, return_inverse=True)
    return first, member


def _draw(strata, weights, n_draws: int, rng) -> np.ndarray:
    """Draws x units: the sure places of each stratum and the places by lot, dealt out in a random order."""
    drawn = np.empty((n_draws, len(strata)), np.int8)
    chances = weights / weights.sum()
    for stratum in np.unique(strata):
        here = np.flatnonzero(strata == stratum)
        sure = np.floor(len(here) * chances + 1e-9).astype(int)
        places = np.tile(np.repeat(np.arange(len(weights)), sure), (n_draws, 1))
        n_left = len(here) - sure.sum()
        if n_left:  # one place each for the first arms in a race at the speed of what they are still due
            left = np.maximum(len(here) * chances - sure, 1e-12)
            race = rng.exponential(size=(n_draws, len(weights))) / left
            places = np.concatenate([places, np.argsort(race, axis=1)[:, :n_left]], axis=1)
        drawn[:, here] = rng.permuted(places, axis=1)
    return drawn


def balance(assigned, covariates, n_arms: int) -> np.ndarray:
    """Return how far the arms' means lie from the mean of all, per draw.

    Sum over arms of n_a (mean_a - mean)' S^-1 (mean_a - mean), S the covariance of all accounts; without a rule it is
    about chi-square with k (arms - 1) degrees of freedom.

    Parameters
    ----------
    assigned : array of int, shape (n_draws, n)
    covariates : array of float, shape (n, k)
    n_arms : int

    Returns
    -------
    array of float, shape (n_draws,)
    """
    table = fill_missing(covariates)
    left, spread, _ = np.linalg.svd(table - table.mean(axis=0), full_matrices=False)
    white = left[:, spread > 1e-9 * spread.max(initial=0.0)] * np.sqrt(len(table) - 1)
    total = np.zeros(len(assigned))
    for code in range(n_arms):
        inside = (assigned == code).astype(float)
        total += np.square(inside @ white).sum(axis=1) / np.maximum(inside.sum(axis=1), 1)
    return total


def find_threshold(
    strata,
    shares: dict[str, float],
    covariates,
    *,
    family=None,
    accept: float = 0.10,
    n_draws: int = 1000,
    seed: int = 0,
) -> tuple[float, np.ndarray]:
    """Return the balance that a share of all draws reaches, and the balance of all draws looked at.

    The best tenth is kept, not the best of many: whoever takes the best of very many draws has hardly any draws left to
    test against.

    Examples
    --------
    >>> sizes = np.arange(40.0)[:, None]
    >>> threshold, distances = find_threshold(np.zeros(40, int), {"a": 1, "b": 1}, sizes)
    >>> bool(np.isclose((distances <= threshold).mean(), 0.1, atol=0.005))
    True
    """
    check_range(accept, 0.001, 1.0, "accept")
    drawn = draw_arms(strata, shares, family=family, n_draws=n_draws, seed=seed)
    distances = balance(drawn, covariates, len(shares))
    return float(np.quantile(distances, accept)), distances


def take_off(values, covariates) -> np.ndarray:
    """Return numerator and denominator without what the covariates explain of the numerator.

    One regression over all accounts, whatever their arm, of the linearised value (n - R d) / mean(d): so it is the same
    for every draw, and a test on what is left stays exact. It has more power, and fewer draws tie.

    Parameters
    ----------
    values : array of float, shape (n, 2)
    covariates : array of float, shape (n, k)
        A missing value takes the mean. With fewer than three accounts a coefficient nothing is taken off.

    References
    ----------
    Rosenbaum (2002), Statistical Science 17: covariance adjustment in randomized experiments.
    """
    values, table = np.asarray(values, float), fill_missing(covariates)
    if len(values) < 3 * (table.shape[1] + 1) or not values[:, 1].sum() > 0:
        return values
    table = table - table.mean(axis=0)
    top, bottom = values.T
    slopes = np.linalg.lstsq(table, top - top.sum() / bottom.sum() * bottom, rcond=None)[0]
    return np.column_stack([top - table @ slopes, bottom])


def fill_missing(table) -> np.ndarray:
    """Return the covariates with the mean of each in place of what is missing, 0 where all is."""
    table = np.asarray(table, float)
    known = ~np.isnan(table)
    means = np.where(known, table, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(known, table, means)


def randomise_test(values, assigned, draws, arm: int, control: int, conf_level: float = 0.95) -> dict:
    """Compare two arms with what the same lot would have given had it fallen otherwise.

    Statistic: the difference of the two ratios of sums over its standard error (delta method), so that the test is
    exact where the treatment does nothing to anyone, and right in large samples where it only does nothing on average.
    Interval: effect +- q se with q the level's point of |t| over the draws; 0 lies outside exactly where p is below.
    A level beyond the draws has the largest of them, or the normal point as much wider as the draws are at 95 %.
    Of an inversion it differs by taking the distribution of t as the same at every effect; an inversion is not defined
    for a ratio.

    Parameters
    ----------
    values : array of float, shape (n, 2)
        Numerator and denominator of the units drawn (accounts or families); a mean has the denominator 1. For
        covariates see `take_off`.
    assigned : array of int, shape (n,)
    draws : array of int, shape (n_draws, n)
        By the rule of the assignment.
    arm, control : int
        Codes.
    conf_level : float

    Returns
    -------
    dict
        value_arm, value_control, effect, effect_low, effect_high, p_value, se (half of the interval over the normal
        quantile), se_arm, se_control; NaN where nothing varies.

    References
    ----------
    Chung and Romano (2013), Annals of Statistics 41; Wu and Ding (2021), Journal of the American Statistical
    Association 116: studentised statistics. (1 + count) / (B + 1): Phipson and Smyth (2010).
    """
    values = np.asarray(values, float)
    seen, ratios, errors = (each[0] for each in _studentise(values, np.asarray(assigned)[None], arm, control))
    (value, usual), error = ratios, np.hypot(*errors)
    found = {"value_arm": value, "value_control": usual, "effect": value - usual, "se_arm": errors[0]}
    found["se_control"] = errors[1]
    if not error > 0 or not np.isfinite(seen):
        return found | dict.fromkeys(("effect_low", "effect_high", "p_value", "se"), NAN)
    drawn = np.abs(_studentise(values, draws, arm, control)[0])
    drawn = np.sort(np.where(np.isnan(drawn), np.inf, drawn))
    below = np.searchsorted(drawn, abs(seen) * (1 - TIE))
    half = _find_point(drawn, conf_level) * error
    found |= {"effect_low": value - usual - half, "effect_high": value - usual + half}
    p_value = (1 + len(drawn) - below) / (len(drawn) + 1)
    return found | {"p_value": float(p_value), "se": float(half / norm.ppf(0.5 + conf_level / 2))}


def _find_point(drawn, conf_level: float) -> float:
    """The level's point of sorted |t|."""
    place = int(np.ceil((len(drawn) + 1) * conf_level - 1e-9))
    if place <= len(drawn):
        return drawn[place - 1]
    usual = int(np.ceil((len(drawn) + 1) * 0.95 - 1e-9))
    if usual > len(drawn):
        return np.inf
    return max(drawn[-1], drawn[usual - 1] * norm.ppf(0.5 + conf_level / 2) / norm.ppf(0.975))


def _studentise(values, draws, arm: int, control: int) -> tuple[np.ndarray, ...]:
    """t per draw, and of both arms the ratio and its standard error, (n_draws, 2)."""
    top, bottom = values.T
    parts = np.column_stack([np.ones(len(values)), top, bottom, top**2, top * bottom, bottom**2])
    ratios, variances = [], []
    with np.errstate(all="ignore"):
        for code in (arm, control):
            blocks = np.array_split(draws, max(-(-len(draws) // BLOCK), 1))
            n, y, d, yy, yd, dd = np.concatenate([(each == code).astype(float) @ parts for each in blocks]).T
            ratio = y / d
            spread = (yy - 2 * ratio * yd + ratio**2 * dd) / (n - 1)  # the linearised values have the mean 0
            ratios.append(ratio)
            variances.append(np.maximum(spread, 0) * n / d**2)
        error = np.sqrt(variances[0] + variances[1])
        gap = ratios[0] - ratios[1]
        t = np.where(error > 0, gap / error, np.where(gap == 0, 0.0, np.sign(gap) * np.inf))
    return t, np.column_stack(ratios), np.sqrt(np.column_stack(variances))
