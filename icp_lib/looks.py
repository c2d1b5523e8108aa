"""Looking at an experiment before its end: planned looks (O'Brien-Fleming spending), and the always-valid interval."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import norm

from icp_lib.checks import DataError, check_range
from icp_lib.differences import set_interval, widen_few

N_NODES = 200
#: Nearer looks are one look; the quadrature needs the distance.
LEAST_APART = 0.01
MOST_Z = 8.5


def spend_alpha(shares, alpha: float = 0.05) -> np.ndarray:
    """Return the two-sided error spent by each share of the information, after O'Brien and Fleming.

    References
    ----------
    Lan and DeMets (1983), Biometrika 70: alpha_1*, half of alpha on each side.

    Examples
    --------
    >>> spend_alpha([0.5, 1.0]).round(4)
    array([0.0031, 0.05  ])
    """
    return 4 * norm.sf(norm.isf(alpha / 4) / np.sqrt(np.asarray(shares, float)))


def find_boundaries(shares: Sequence[float], alpha: float = 0.05) -> np.ndarray:
    """Return the |z| that ends the experiment at each look.

    The estimates at the looks are normal with correlation sqrt(t_j / t_k). The density of the score among experiments
    that went on is carried from look to look (Gauss-Legendre), and the boundary solved for the error to be spent.

    Parameters
    ----------
    shares : sequence of float
        Shares of the information, rising, the last at most 1.
    alpha : float
        Two-sided.

    References
    ----------
    Armitage, McPherson and Rowe (1969); Jennison and Turnbull (2000), Group Sequential Methods, ch. 7 and 19.

    Examples
    --------
    >>> find_boundaries([0.2, 0.4, 0.6, 0.8, 1.0]).round(3)
    array([4.877, 3.357, 2.68 , 2.29 , 2.031])
    """
    shares = _check_shares(shares)
    boundaries, grid = [], None
    for number, due in enumerate(np.diff(spend_alpha(shares, alpha), prepend=0.0)):
        step = shares[number] - (shares[number - 1] if number else 0.0)

        def excess(z, number=number, due=due, step=step, grid=grid):
            return _cross(grid, z * np.sqrt(shares[number]), step, 0.0) - due

        boundaries.append(brentq(excess, 0.0, MOST_Z, xtol=1e-10) if excess(MOST_Z) < 0 < excess(0.0) else MOST_Z)
        grid = _go_on(grid, boundaries[-1] * np.sqrt(shares[number]), step, 0.0)
    return np.array(boundaries)


def find_power(shares: Sequence[float], boundaries, drift: float) -> float:
    """Return the chance that an experiment ends beyond a boundary at some look.

    Parameters
    ----------
    shares, boundaries : sequence of float
    drift : float
        Mean of z at the full information: the effect over its standard error then.

    Examples
    --------
    >>> shares = [0.5, 1.0]
    >>> round(find_power(shares, find_boundaries(shares), 0.0), 6)
    0.05
    """
    shares, grid, crossed = _check_shares(shares), None, 0.0
    for number, z in enumerate(boundaries):
        step = shares[number] - (shares[number - 1] if number else 0.0)
        crossed += _cross(grid, z * np.sqrt(shares[number]), step, drift)
        grid = _go_on(grid, z * np.sqrt(shares[number]), step, drift)
    return float(crossed)


def _check_shares(shares) -> np.ndarray:
    shares = np.asarray(shares, float)
    if not len(shares) or (np.diff(shares, prepend=0.0) < LEAST_APART - 1e-12).any() or shares[-1] > 1:
        raise DataError(
            f"looks: shares must rise by {LEAST_APART} or more from look to look and end at 1 or before; "
            f"got {', '.join(f'{each:g}' for each in shares) or 'none'}."
        )
    return shares


def _cross(grid, bound: float, step: float, drift: float) -> float:
    """Chance of a score beyond the bound after a step, among experiments that went on (all, at the first look)."""
    nodes, weights = grid or (np.zeros(1), np.ones(1))
    middle, spread = nodes + drift * step, np.sqrt(step)
    return float(weights @ (ndtr((middle - bound) / spread) + ndtr((-bound - middle) / spread)))


def _go_on(grid, bound: float, step: float, drift: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes within the bound, and weights that hold the density there."""
    nodes, weights = grid or (np.zeros(1), np.ones(1))
    points, lengths = _unit_nodes()
    points = bound * points
    density = np.exp(-np.square(points[:, None] - nodes - drift * step) / (2 * step)) / np.sqrt(2 * np.pi * step)
    return points, bound * lengths * (density @ weights)


@cache
def _unit_nodes() -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(N_NODES)


def plan_looks(shares: Sequence[float], *, alpha: float = 0.05) -> pd.DataFrame:
    """Return one row a planned look: what it spends, and the level its interval has.

    Columns: look, share, alpha_spent (so far), z, p_nominal (a p-value below it ends the experiment), conf_level.

    Examples
    --------
    >>> plan_looks([0.5, 1.0])[["z", "p_nominal"]].round(4).values.tolist()
    [[2.9626, 0.0031], [1.9686, 0.049]]
    """
    z = find_boundaries(shares, alpha)
    return pd.DataFrame(
        {
            "look": np.arange(1, len(z) + 1),
            "share": np.asarray(shares, float),
            "alpha_spent": spend_alpha(shares, alpha),
            "z": z,
            "p_nominal": 2 * norm.sf(z),
            "conf_level": 1 - 2 * norm.sf(z),
        }
    )


def adjust_look(results: pd.DataFrame, shares: Sequence[float], look: int, *, alpha: float = 0.05) -> pd.DataFrame:
    """Return results with interval and p-value that hold although there are several looks.

    Repeated intervals, effect +- z_k se, hold at all looks together, whatever is done with them. The p-value is the
    smallest two-sided error at which this look would have ended the experiment.

    Parameters
    ----------
    results : DataFrame
        From `trials.compare_arms`, best at the level of this look (`find_level`): then an interval of draws has the
        draws' own point at that level; before `trials.adjust_arms`.
    shares : sequence of float
        Information at each look: as it was at those that took place, as planned at the others.
    look : int
        From 1.
    alpha : float

    References
    ----------
    Jennison and Turnbull (2000), ch. 9: repeated confidence intervals.
    """
    if not 1 <= look <= len(shares):
        raise DataError(f"looks: look {look} of {len(shares)} planned ones.")
    if len(shares) == 1 and shares[0] >= 1:
        return results.assign(adjustment="fixed horizon")
    level = find_level(shares, look, alpha=alpha)
    rows = [set_interval(row, level) for row in results.to_dict("records")]
    table = pd.DataFrame(rows, columns=results.columns, index=results.index)
    p_values = [_repeated_p(each, shares[:look]) for each in results["p_value"]]
    return table.assign(p_value=p_values, adjustment=f"look {look} of {len(shares)}, O'Brien-Fleming spending")


def find_level(shares: Sequence[float], look: int, *, alpha: float = 0.05) -> float:
    """Return the level that the interval has at a look.

    Examples
    --------
    >>> round(find_level([0.5, 1.0], 1), 4), find_level([1.0], 1)
    (0.9969, 0.95)
    """
    if len(shares) == 1 and shares[0] >= 1:
        return 1 - alpha
    return float(plan_looks(shares[:look], alpha=alpha)["conf_level"].iloc[-1])


def _repeated_p(p_value: float, shares: Sequence[float]) -> float:
    """The alpha at which the last of the looks is just crossed, found on the scale of its logarithm."""
    if np.isnan(p_value):
        return p_value
    z, low, high = norm.isf(p_value / 2), np.log(1e-12), np.log(0.9999)

    def excess(log_alpha):
        return find_boundaries(shares, np.exp(log_alpha))[-1] - z

    if excess(high) > 0:
        return 1.0
    return float(np.exp(brentq(excess, low, high, xtol=1e-5))) if excess(low) > 0 else 1e-12


def always_valid(results: pd.DataFrame, mde: float, *, alpha: float = 0.05) -> pd.DataFrame:
    """Return results with interval and p-value that hold at any moment, for a look that nobody planned.

    Likelihood of the estimate under effects spread as N(0, mde^2) against none (mixture sequential test): with
    r = 1 + mde^2 / se^2 the interval is effect +- se sqrt((r log(r / alpha^2)) / (r - 1)), the p-value
    sqrt(r) exp(-z^2 (r - 1) / (2 r)). It rests on the normal approximation of the estimate, hence on 50 accounts an arm
    or more. A spread of the minimum detectable effect makes the interval about as narrow as it can be at the planned
    end, where mde / se = 2.8. For shares of few events no range is narrower than Newcombe's at the level of so many
    standard errors.

    References
    ----------
    Robbins (1970), Annals of Mathematical Statistics 41; Johari et al. (2017), KDD; Howard et al. (2021), Annals of
    Statistics 49; Waudby-Smith et al. (2024), Annals of Statistics 52 (asymptotic confidence sequences).
    """
    check_range(mde, 1e-12, np.inf, "mde")
    error = results["se"].where(results["se"] > 0)
    r = 1 + mde**2 / error**2
    half = np.sqrt(r * np.log(r / alpha**2) / (r - 1))
    z, ratio = results["effect"] / error, results["effect_relative"] + 1
    factor = np.exp(half * results["se_relative"])
    ends = [_widen(*each) for each in zip(results.to_dict("records"), half, half * error, strict=True)]
    return results.assign(
        effect_low=[low for low, _ in ends],
        effect_high=[high for _, high in ends],
        effect_relative_low=ratio / factor - 1,
        effect_relative_high=ratio * factor - 1,
        p_value=np.minimum(1.0, np.sqrt(r) * np.exp(-(z**2) * (r - 1) / (2 * r))),
        adjustment="always valid (a look that was not planned)",
        note=results["note"].where(error.notna() | (results["note"] != ""), "No two accounts differ yet: no interval."),
    )


def _widen(row: dict, points: float, half: float) -> tuple[float, float]:
    """effect +- half, so many standard errors; with few events of a share no narrower than Newcombe's."""
    low, high = row["effect"] - half, row["effect"] + half
    if np.isnan(half) or not np.isfinite(row.get("events_arm", np.nan)):
        return low, high
    return widen_few(row, low, high, float(2 * ndtr(min(points, MOST_Z)) - 1))
