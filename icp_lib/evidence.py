"""Evidence of levels for one group against another, and many tests at once: numbers and arrays, no CRM."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from icp_lib.checks import DataError


class Evidence(NamedTuple):
    """Weight of evidence of each level, shape (k,), the information value of all, and what luck alone gives it."""

    woe: np.ndarray
    iv: np.ndarray
    information_value: float
    bias: float


def estimate_woe(events, others, pseudo: float = 0.5) -> Evidence:
    """Weight of evidence of each level of one attribute, and the attribute's information value.

    woe = log(share of the events in the level / share of the others in it), in nats; above 0 the level speaks for an
    event. iv = (difference of the two shares) x woe, and its sum is the information value (Jeffreys' divergence). It is
    never below 0, so luck alone gives it about bias = (k - 1)(1 / n_events + 1 / n_others).

    Parameters
    ----------
    events, others : array of int, shape (k,)
        Counts by level, all levels of the attribute, missing among them.
    pseudo : float
        Added to every count, so that an empty cell is strong evidence and not infinite; 0 leaves such a level NaN and
        out of the sum.

    Returns
    -------
    Evidence
        NaN where either side has nobody.

    Raises
    ------
    DataError
        The counts of the two sides have different lengths, or one is negative.

    References
    ----------
    Good (1950), Probability and the Weighing of Evidence; Kullback (1959), Information Theory and Statistics, ch. 6,
    for the mean of the divergence without a difference; Haldane (1956) for one half as the pseudo-count.

    Examples
    --------
    >>> found = estimate_woe([30, 10], [20, 60], pseudo=0)
    >>> found.woe.round(3).tolist(), round(found.information_value, 3), round(found.bias, 4)
    ([1.099, -1.099], 1.099, 0.0375)
    """
    events, others = np.atleast_1d(np.asarray(events, float)), np.atleast_1d(np.asarray(others, float))
    if events.shape != others.shape or (events < 0).any() or (others < 0).any():
        raise DataError(
            f"estimate_woe: {len(events):,} counts of events, {len(others):,} of others. "
            "Give one count a level for each side, none below 0."
        )
    n_events, n_others = events.sum(), others.sum()
    used = int(((events + others) > 0).sum())
    if not n_events or not n_others:
        nothing = np.full(events.shape, np.nan)
        return Evidence(nothing, nothing, np.nan, np.nan)
    share = (events + pseudo) / (n_events + pseudo * len(events))
    share_others = (others + pseudo) / (n_others + pseudo * len(others))
    known = (share > 0) & (share_others > 0)
    ratio = np.divide(share, share_others, out=np.full(share.shape, np.nan), where=known)
    woe = np.log(ratio)
    iv = (share - share_others) * woe
    return Evidence(woe, iv, float(np.nansum(iv)), float((used - 1) * (1 / n_events + 1 / n_others)))


def adjust_bh(p_values) -> np.ndarray:
    """Benjamini and Hochberg's adjustment (false discovery rate); NaN stays NaN and is not counted.

    References
    ----------
    Benjamini and Hochberg (1995), Journal of the Royal Statistical Society B 57.

    Examples
    --------
    >>> adjust_bh([0.01, 0.04, 0.03, np.nan]).round(3).tolist()
    [0.03, 0.04, 0.04, nan]
    """
    p_values = np.asarray(p_values, float)
    adjusted = np.full(p_values.shape, np.nan)
    n = int(np.isfinite(p_values).sum())
    order = np.argsort(p_values, kind="stable")[:n]
    steps = p_values[order] * n / np.arange(1, n + 1)
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(steps[::-1])[::-1])
    return adjusted
