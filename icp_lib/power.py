"""What the data could have shown: the smallest lift that would have been confirmed."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from icp_lib.checks import check_range
from icp_lib.stats import MAX_P, MIN_OPPORTUNITIES, MIN_WON, NAN

SHARES = (0.05, 0.10, 0.20)
N_OFFERED = 6
HELD_OUT = float(norm.isf(MAX_P / N_OFFERED))


def detectable_lift(
    r,
    is_found,
    m,
    account,
    critical_found: float,
    critical_held_out: float = HELD_OUT,
    *,
    shares=SHARES,
    power: float = 0.8,
) -> np.ndarray:
    """Smallest lift of a set of accounts that this data would have confirmed with the power asked for.

    Confirmed is: T = sum r / sqrt(sum r^2) of the set passes the search's critical value among the older accounts and
    the list's among the newer ones. Planted is a random set of accounts whose units bring something kappa times as
    often as all do, the others less often, so that all together bring what they brought; how much a win brings, and in
    how many days, stays as it is. (A lift that comes from larger or faster deals must be larger than the one told.)
    T of n accounts is taken as normal with mean sqrt(n) E(r) / sqrt(E(r^2)) and the variance of the influence of one
    account on that (`_moments`), times 1 - share: residuals are centred, what the set holds the rest lacks. The two
    parts are independent; the kappa at which both pass with the power asked for is found by root search.

    Parameters
    ----------
    r : array of float, shape (n_accounts,)
        Residuals as searched: sums of m - e, capped, centred within creation quarter and part.
    is_found : array of bool, shape (n_accounts,)
        The older part, where it is searched; the others confirm.
    m : array of float, shape (n_units,)
        What was got, per unit (opportunity), capped as in `r`; above 0 where it was won.
    account : array of int, shape (n_units,)
        Which account of `r` the unit belongs to.
    critical_found : float
        95 % point of the largest T of the whole search under permutation.
    critical_held_out : float
        The same for the list offered; without it the normal's, with Bonferroni over six.
    shares : sequence of float
        Shares of the accounts that the set holds, each between 0 and 0.5.
    power : float

    Returns
    -------
    array of float, shape (n_shares,)
        Lift over the rest; NaN where no lift would have been confirmed, or where the set would hold fewer units in the
        older part, or expected wins in the newer one, than a verdict needs.

    References
    ----------
    Normal approximation of a self-normalised sum away from its null, variance by the delta method: de la Pena, Lai and
    Shao (2009), Self-Normalized Processes.

    Examples
    --------
    >>> won = np.random.default_rng(1).random(4000) < 0.25
    >>> detectable_lift(won - won.mean(), np.arange(4000) < 2400, won, np.arange(4000), critical_found=4.0).round(1)
    array([2. , 1.8, 1.6])
    """
    check_range(power, 0.01, 0.99, "power")
    r, is_found = np.asarray(r, float), np.asarray(is_found, bool)
    m, account = np.asarray(m, float), np.asarray(account)
    sums = np.stack([np.bincount(account, weights=m**k, minlength=len(r)) for k in (1, 2, 3, 4)])
    parts = [
        (r[is_found], sums[:, is_found], critical_found),
        (r[~is_found], sums[:, ~is_found], critical_held_out),
    ]
    units = np.bincount(is_found[account], minlength=2)
    won = np.bincount(is_found[account], weights=m > 0, minlength=2)
    lifts = np.full(len(shares), NAN)
    for i, share in enumerate(shares):
        check_range(share, 0.001, 0.5, "shares")
        if share * units[1] < MIN_OPPORTUNITIES or share * won[0] < MIN_WON or not won[1]:
            continue
        most = min(1 / share, *(units / won))
        kappa = max(_solve(parts, share, power, most), MIN_WON / (share * won[1]))
        if kappa < most:
            lifts[i] = kappa * (1 - share) / (1 - kappa * share)
    return lifts


def _solve(parts: list, share: float, power: float, most: float) -> float:
    """How many times as often the set must bring something; NaN where even `most` times is not enough."""

    def excess(kappa: float) -> float:
        return np.prod([_power(*part, share, kappa) for part in parts]) - power

    if excess(1.0) >= 0:
        return 1.0
    return brentq(excess, 1.0, most, xtol=1e-4) if excess(most) > 0 else NAN


def _power(r: np.ndarray, sums: np.ndarray, critical: float, share: float, kappa: float) -> float:
    """Probability that T of a set passes its critical value."""
    first, second, third, fourth = _moments(r, sums, kappa)
    slope = first / (2 * second)
    variance = second - first**2 - 2 * slope * (third - first * second) + slope**2 * (fourth - second**2)
    middle = np.sqrt(share * len(r) / second) * first
    return float(norm.sf((critical - middle) / np.sqrt(max((1 - share) * variance / second, 1e-9))))


def _moments(r: np.ndarray, sums: np.ndarray, kappa: float) -> list[float]:
    """First four moments of an account's r where each of its units brings its m kappa times as often.

    For one unit, the mean of any function of m becomes kappa times itself, and 1 - kappa times its value at m = 0: the
    cumulants of a Bernoulli variable, kappa in place of its probability, times powers of m. Units of one account add.
    """
    bernoulli = kappa * (1 - kappa)
    a = r + (kappa - 1) * sums[0]
    b = bernoulli * sums[1]
    c = bernoulli * (1 - 2 * kappa) * sums[2]
    d = bernoulli * (1 - 6 * bernoulli) * sums[3]
    powers = (a, b + a**2, c + 3 * a * b + a**3, d + 4 * a * c + 3 * b**2 + 6 * a**2 * b + a**4)
    return [float(each.mean()) for each in powers]
