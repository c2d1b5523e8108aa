"""Before and during an experiment: what it can show, and whether its arms are what the lot made them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import binomtest, chi2, chisquare, fisher_exact, ncx2, ttest_ind

from icp_lib import looks, stats
from icp_lib.checks import DataError, check_columns, check_range
from icp_lib.stats import NAN

ALARM, POWER, MIN_EXPECTED, N_TABLES = 0.01, 0.8, 5.0, 99_999


def check_ratio(counts: dict[str, int], shares: dict[str, float], *, alarm: float = ALARM) -> pd.DataFrame:
    """Test whether arms that a coin filled have the sizes it should give (sample ratio mismatch).

    Chi-square over all arms; with fewer than five expected in one, exact: the binomial test for two arms, else the
    chi-square statistic among 99,999 tables drawn. Not for arms of fixed size: there nothing can deviate.

    Parameters
    ----------
    counts : dict of str to int
    shares : dict of str to float
        As planned, in any unit.
    alarm : float

    Returns
    -------
    DataFrame
        One row: n, p_value, passes, detectable_share (the smallest shift of one arm's share that alarms in 4 of 5
        experiments), method, note.

    Examples
    --------
    >>> check_ratio({"letter": 500, "usual": 420}, {"letter": 1, "usual": 1})["p_value"].round(4).tolist()
    [0.0084]
    """
    unknown = sorted(set(counts) ^ set(shares))
    if unknown:
        raise DataError(f"check_ratio: arms {', '.join(unknown)} are in the counts or in the shares, not in both.")
    names = sorted(shares)
    seen, planned = np.array([counts[name] for name in names]), np.array([shares[name] for name in names], float)
    planned, n = planned / planned.sum(), int(seen.sum())
    if not n:
        row = {"n": 0, "p_value": NAN, "passes": False, "detectable_share": NAN, "method": ""}
        return pd.DataFrame([row | {"note": "No accounts."}])
    if (n * planned).min() >= MIN_EXPECTED:
        p_value, method = chisquare(seen, n * planned).pvalue, "chi-square"
    elif len(seen) == 2:
        p_value, method = binomtest(int(seen[0]), n, planned[0]).pvalue, "exact"
    else:
        tables = np.vstack([seen, np.random.default_rng(0).multinomial(n, planned, N_TABLES)])
        distance = np.square(tables - n * planned) @ (1 / planned)
        p_value, method = float((distance >= distance[0] * (1 - 1e-9)).mean()), "exact"
    critical, freedom = chi2.isf(alarm, len(seen) - 1), len(seen) - 1
    away = brentq(lambda each: ncx2.sf(critical, freedom, each) - POWER, 1e-6, 1e4)
    shift = float(np.sqrt(away * (planned * (1 - planned)).max() / n))
    note = "" if p_value >= alarm else "The arms do not have the sizes that the lot gives: accounts were lost or added."
    return pd.DataFrame(
        {
            "n": [n], "p_value": [float(p_value)], "passes": [p_value >= alarm], "detectable_share": [shift],
            "method": [method], "note": [note],
        }
    )  # fmt: skip


def check_loss(
    assigned: dict[str, int], analysed: dict[str, int], *, control: str, alarm: float = ALARM
) -> pd.DataFrame:
    """Test whether an arm lost more of its assigned accounts than the control: Fisher's exact test, Holm over arms.

    Returns
    -------
    DataFrame
        arm, control, n_assigned, n_analysed, loss_rate, loss_rate_control, p_value, p_adjusted, passes.

    Examples
    --------
    >>> found = check_loss({"letter": 100, "usual": 100}, {"letter": 80, "usual": 99}, control="usual")
    >>> found[["n_analysed", "n_assigned", "passes"]].values.tolist()
    [[80, 100, False]]
    """
    rows = []
    for name in sorted(set(assigned) - {control}):
        pair = [(assigned.get(each, 0), analysed.get(each, 0)) for each in (name, control)]
        lost = [1 - kept / n if n else NAN for n, kept in pair]
        p_value = fisher_exact([[n - kept, kept] for n, kept in pair]).pvalue if all(n for n, _ in pair) else NAN
        rows.append((name, control, *pair[0], *lost, p_value))
    columns = ["arm", "control", "n_assigned", "n_analysed", "loss_rate", "loss_rate_control", "p_value"]
    table = pd.DataFrame(rows, columns=columns)
    adjusted = stats.adjust_holm(table["p_value"])
    return table.assign(p_adjusted=adjusted, passes=~(adjusted < alarm))


def check_balance(
    frame: pd.DataFrame, covariates: Sequence[str], *, control: str, arm: str = "arm", alarm: float = ALARM
) -> pd.DataFrame:
    """Compare the arms in what was known before the assignment; missing values are left out.

    Returns
    -------
    DataFrame
        covariate, arm, control, n_arm, n_control, mean_arm, mean_control, difference_in_sd, p_value (Welch),
        p_adjusted (Holm over all), passes.
    """
    check_columns(frame, [arm, *covariates], "check_balance")
    rows = []
    for covariate in covariates:
        usual = frame.loc[frame[arm] == control, covariate].dropna().astype(float)
        for name in sorted(set(frame[arm]) - {control}):
            here = frame.loc[frame[arm] == name, covariate].dropna().astype(float)
            is_enough = min(len(here), len(usual)) > 1
            spread = np.sqrt((here.var() + usual.var()) / 2) if is_enough else NAN
            gap = (here.mean() - usual.mean()) / spread if spread > 0 else NAN
            p_value = ttest_ind(here, usual, equal_var=False).pvalue if spread > 0 else NAN
            rows.append((covariate, name, control, len(here), len(usual), here.mean(), usual.mean(), gap, p_value))
    columns = ["covariate", "arm", "control", "n_arm", "n_control", "mean_arm", "mean_control", "difference_in_sd"]
    table = pd.DataFrame(rows, columns=[*columns, "p_value"])
    adjusted = stats.adjust_holm(table["p_value"])
    return table.assign(p_adjusted=adjusted, passes=~(adjusted < alarm))


def find_drift(
    n_comparisons: int, look_shares: Sequence[float] = (1.0,), power: float = POWER, alpha: float = 0.05
) -> tuple[float, float]:
    """Return the last look's boundary, and the effect in standard errors that is found with the power asked for."""
    check_range(power, 0.05, 0.999, "power")
    z = looks.find_boundaries(look_shares, alpha / n_comparisons)
    drift = brentq(lambda each: looks.find_power(look_shares, z, each) - power, 0.0, 20.0, xtol=1e-8)
    return float(z[-1]), drift


def _error_needed(effect, rate: float, ratio: float, z: float, drift: float) -> float:
    """z se(no effect) + (drift - z) se(effect) of a difference of two shares, times the root of the arm's accounts."""
    other = rate + effect
    pooled = (other + ratio * rate) / (1 + ratio)
    under_null = np.sqrt(pooled * (1 - pooled) * (1 + 1 / ratio))
    return z * under_null + (drift - z) * np.sqrt(max(other * (1 - other) + rate * (1 - rate) / ratio, 0.0))


def detectable_effect(
    n_arm: int,
    n_control: int,
    *,
    rate: float | None = None,
    sd: float | None = None,
    n_comparisons: int = 1,
    look_shares: Sequence[float] = (1.0,),
    power: float = POWER,
    alpha: float = 0.05,
) -> float:
    """Return the smallest effect found with the power asked for: a rise of a share, or a difference of means.

    Parameters
    ----------
    n_arm, n_control : int
    rate, sd : float, optional
        One of the two: the control's share, or the spread of the values between accounts.
    n_comparisons : int
        Arms and candidates that share the error (the first step of Holm).
    look_shares : sequence of float
        Planned looks.
    power, alpha : float
        Two-sided.

    Returns
    -------
    float
        NaN where not even a share of 1 would be found, or an arm is empty.

    References
    ----------
    Fleiss, Levin and Paik (2003), Statistical Methods for Rates and Proportions, ch. 4, without continuity correction.

    Examples
    --------
    >>> round(detectable_effect(50, 50, rate=0.22), 2)
    0.26
    """
    if (rate is None) == (sd is None):
        raise DataError("detectable_effect: give rate (of a share) or sd (of a mean), one of the two.")
    if min(n_arm, n_control) < 1:
        return NAN
    z, drift = find_drift(n_comparisons, look_shares, power, alpha)
    if sd is not None:
        return float(drift * sd * np.sqrt(1 / n_arm + 1 / n_control))

    def excess(effect):
        return effect - _error_needed(effect, rate, n_control / n_arm, z, drift) / np.sqrt(n_arm)

    most = 1 - rate
    return float(brentq(excess, 0.0, most, xtol=1e-9)) if most > 0 and excess(most) > 0 > excess(0.0) else NAN


def required_accounts(
    effect: float,
    *,
    rate: float | None = None,
    sd: float | None = None,
    ratio: float = 1.0,
    n_comparisons: int = 1,
    look_shares: Sequence[float] = (1.0,),
    power: float = POWER,
    alpha: float = 0.05,
) -> int:
    """Return the accounts an arm needs to show an effect, with `ratio` control accounts for each of the arm.

    Arguments as of `detectable_effect`.

    Examples
    --------
    >>> required_accounts(0.10, rate=0.20)
    294
    """
    if (rate is None) == (sd is None):
        raise DataError("required_accounts: give rate (of a share) or sd (of a mean), one of the two.")
    check_range(effect, 1e-9, np.inf if rate is None else 1 - rate, "effect")
    z, drift = find_drift(n_comparisons, look_shares, power, alpha)
    spread = drift * sd * np.sqrt(1 + 1 / ratio) if sd is not None else _error_needed(effect, rate, ratio, z, drift)
    return int(np.ceil((spread / effect) ** 2 - 1e-9))


def can_answer(
    *,
    n_available: int,
    mde: float,
    rate: float | None = None,
    sd: float | None = None,
    n_arms: int = 2,
    n_comparisons: int | None = None,
    accounts_per_week: float = 0.0,
    window_days: int = 0,
    weeks_max: float = 52.0,
    look_shares: Sequence[float] = (1.0,),
    power: float = POWER,
    alpha: float = 0.05,
) -> pd.DataFrame:
    """Return whether a test with equal arms can ever answer: one row, before launch.

    Parameters
    ----------
    n_available : int
        Accounts that can be assigned today.
    mde : float
        The smallest effect worth knowing.
    rate, sd, look_shares, power, alpha
        As of `detectable_effect`; several arms share the error.
    n_arms : int
        With the control.
    n_comparisons : int, optional
        That share the error; default the arms without the control.
    accounts_per_week : float
        That become available later.
    window_days : int
        From the assignment of an account to its outcome.
    weeks_max : float
        The longest that anybody will wait.

    Returns
    -------
    DataFrame
        n_needed (all arms), n_available, n_by_deadline, mde, detectable (by the deadline), weeks_needed, answers, note.

    Examples
    --------
    >>> found = can_answer(n_available=100, mde=0.1, rate=0.2, accounts_per_week=5, window_days=45)
    >>> found[["n_needed", "n_by_deadline", "answers"]].values.tolist()
    [[588, 327, False]]
    """
    shared = {"rate": rate, "sd": sd, "look_shares": look_shares, "power": power, "alpha": alpha}
    shared["n_comparisons"] = n_comparisons or max(n_arms - 1, 1)
    needed = required_accounts(mde, **shared) * n_arms
    window = window_days / 7
    by_deadline = int(n_available + max(weeks_max - window, 0.0) * accounts_per_week) if window <= weeks_max else 0
    missing = max(needed - n_available, 0)
    wait = missing / accounts_per_week if accounts_per_week else (NAN if missing else 0.0)
    detectable = detectable_effect(by_deadline // n_arms, by_deadline // n_arms, **shared)
    answers = needed <= by_deadline
    note = "" if answers else f"Needs {needed:,} accounts; {by_deadline:,} can have their outcome by the deadline."
    return pd.DataFrame(
        {
            "n_needed": [needed], "n_available": [n_available], "n_by_deadline": [by_deadline], "mde": [mde],
            "detectable": [detectable], "weeks_needed": [wait + window], "answers": [answers], "note": [note],
        }
    )  # fmt: skip
