"""How credit for customers is split over the channels of their journeys, rule by rule: arrays, no tables of results."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd

from icp_lib.moments import months_ago

#: Months before as-of in which deals are still followed, so neither they nor what was spent then count.
FOLLOWED_MONTHS = 12
FIRST, LAST, EQUAL, MARKOV, W = "First touch", "Last touch", "Equal split", "Markov removal", "W-shaped"
RULES = (FIRST, LAST, EQUAL, MARKOV, W)
#: Shares of W: first visit, visit in which the lead came in, in which the deal was opened, all others together.
W_SHARES = (0.3, 0.3, 0.3, 0.1)


def credit_journeys(journeys: pd.DataFrame, channels: list[str]) -> dict[str, np.ndarray]:
    """Split each won journey's customer over the channels of its path, by every rule that looks at one journey.

    - First touch, Last touch: all to the first or the last channel visited.
    - Equal split: evenly over the distinct channels. This is the Shapley value of the game in which channels work
      together and v(S) counts the customers whose channels all lie in S.
    - W-shaped: 30 % each to the first visit, the visit in which the lead came in and the one in which the deal was
      opened, 10 % evenly over the others; what a journey does not have is shared by what it has, in proportion. The
      shares are a convention of attribution software, not an estimate.

    Parameters
    ----------
    journeys : DataFrame, shape (n, ...)
        `journeys.build_journeys`.
    channels : list of str, length k
        All that stand in a path.

    Returns
    -------
    dict
        Rule -> array of float, shape (n, k): rows of journeys that were won, with a path, add up to 1, others to 0.

    References
    ----------
    Shapley (1953), A value for n-person games: each won journey is a unanimity game of its channels, whose value is
    split evenly among them, and the value is additive over games.

    Examples
    --------
    >>> one = pd.DataFrame({"path": [["Fair", "Phone", "Fair"]], "is_won": [True], "lead_visit": [1],
    ...                     "deal_visit": [2]})
    >>> {rule: credit.round(3).tolist()[0] for rule, credit in credit_journeys(one, ["Fair", "Phone"]).items()}
    {'First touch': [1.0, 0.0], 'Last touch': [1.0, 0.0], 'Equal split': [0.5, 0.5], 'W-shaped': [0.7, 0.3]}
    """
    journey, channel, place, length = _flatten(journeys, channels)
    shape, won = (len(journeys), len(channels)), journeys["is_won"].to_numpy(bool)[journey]
    journey, channel, place, length = journey[won], channel[won], place[won], length[won]

    def spread(share: np.ndarray) -> np.ndarray:
        return np.bincount(journey * shape[1] + channel, share, np.prod(shape)).reshape(shape)

    met = spread(np.ones(len(journey))) > 0
    equal = met / np.maximum(met.sum(axis=1, keepdims=True), 1)
    return {
        FIRST: spread((place == 0).astype(float)),
        LAST: spread((place == length - 1).astype(float)),
        EQUAL: equal,
        W: spread(_share_w(journeys, journey, place, length)),
    }


def _flatten(journeys: pd.DataFrame, channels: list[str]) -> tuple[np.ndarray, ...]:
    """Return one entry a visit: its journey, its channel, its place from 0, and the journey's length."""
    lengths = journeys["path"].str.len().to_numpy(np.int64)
    journey = np.repeat(np.arange(len(lengths)), lengths)
    visited = [channel for path in journeys["path"] for channel in path]
    channel = pd.Index(channels).get_indexer(visited)
    place = np.arange(len(journey)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return journey, channel, place, lengths[journey]


def _share_w(journeys: pd.DataFrame, journey: np.ndarray, place: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The share of each visit under W; the three moments may fall into one visit, which then has all their shares."""
    marks = [place == 0, *(place == journeys[name].to_numpy()[journey] - 1 for name in ("lead_visit", "deal_visit"))]
    rest = ~np.any(marks, axis=0)
    share = sum(part * mark for part, mark in zip(W_SHARES, marks, strict=False))
    count = np.bincount(journey, rest, len(journeys))[journey]
    share = share + np.where(rest, W_SHARES[3] / np.maximum(count, 1), 0.0)
    return share / np.bincount(journey, share, len(journeys))[journey]


def list_steps(journeys: pd.DataFrame, channels: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """List the steps of all journeys between start, channels, customer and none.

    Parameters
    ----------
    journeys, channels
        See `credit_journeys`; a journey without a path has no steps.

    Returns
    -------
    journey : array of int, shape (n_steps,)
        Position of the journey.
    step : array of int, shape (n_steps,)
        Place in the matrix from-to, by rows: from k channels and the start (last), to k channels, a customer, none.
        Steps within one channel are not listed: they change no removal effect.
    """
    k = len(channels)
    journey, channel, place, length = _flatten(journeys, channels)
    before = np.where(place == 0, k, np.append(k, channel)[: len(channel)])
    is_moved, is_end = before != channel, place == length - 1
    end = np.where(journeys["is_won"].to_numpy(bool)[journey[is_end]], k, k + 1)
    step = np.append((before * (k + 2) + channel)[is_moved], channel[is_end] * (k + 2) + end)
    return np.append(journey[is_moved], journey[is_end]), step


def measure_removal(steps: np.ndarray) -> np.ndarray:
    """Removal effect of each channel in the Markov chain of order one whose steps were counted.

    The chain's share of walks that end with a customer, lost when every walk that comes to the channel ends without
    one. It equals the share of the customers' walks that pass through the channel: with N = (I - Q)^-1,
    (N[start, c] / N[c, c]) * P(customer | c) / P(customer | start); no chain has to be solved once a channel.

    Parameters
    ----------
    steps : array of float, shape (..., (k + 1) * (k + 2))
        How often each step of `list_steps` was taken; several chains at once.

    Returns
    -------
    array of float, shape (..., k)
        From 0 to 1; NaN where no walk ends with a customer.

    References
    ----------
    Anderl, Becker, von Wangenheim and Schumann (2016), Mapping the customer journey; first passage: Kemeny and Snell
    (1960), Finite Markov Chains, ch. 3.

    Examples
    --------
    >>> both = pd.DataFrame({"path": [["Fair", "Phone"], ["Phone"], ["Fair"]], "is_won": [True, True, False]})
    >>> steps = np.bincount(list_steps(both, ["Fair", "Phone"])[1], minlength=3 * 4)
    >>> measure_removal(steps).round(3).tolist()
    [0.5, 1.0]
    """
    k = round((np.sqrt(1 + 4 * steps.shape[-1]) - 3) / 2)
    chain = steps.reshape(*steps.shape[:-1], k + 1, k + 2)
    total = chain.sum(axis=-1, keepdims=True)
    chain = np.divide(chain, total, out=np.zeros(chain.shape), where=total > 0)
    moves = np.zeros((*chain.shape[:-2], k + 1, k + 1))
    moves[..., :k] = chain[..., :k]
    visits = np.linalg.inv(np.eye(k + 1) - moves)
    wins = np.einsum("...ij,...j->...i", visits, chain[..., k])
    reached = visits[..., k, :k] / np.diagonal(visits, axis1=-2, axis2=-1)[..., :k]
    start = wins[..., k:]
    return np.divide(reached * wins[..., :k], start, out=np.full(reached.shape, np.nan), where=start > 0)


def sum_spend(spend: pd.DataFrame, cutoff: datetime) -> tuple[pd.Series, pd.Timestamp]:
    """Media and events by channel, in months that ended a year before as-of, and the first of these months.

    Parameters
    ----------
    spend : DataFrame
        month, category, amount, channel; what has no channel is not counted.
    cutoff : datetime
        The first moment after as-of, naive UTC; also returned as the first month where nothing was spent.

    Examples
    --------
    >>> bought = pd.DataFrame({"month": pd.to_datetime(["2025-01-01", "2026-01-01"]), "category": "media",
    ...                        "amount": [300.0, 50.0], "channel": "Fair"})
    >>> sum_spend(bought, datetime(2026, 7, 1))[0].to_dict()
    {'Fair': 300.0}
    """
    bought = spend[spend["category"].isin(["media", "events"]) & spend["channel"].notna()]
    bought = bought[months_ago(bought["month"], cutoff) > FOLLOWED_MONTHS] if len(bought) else bought
    since = pd.Timestamp(bought["month"].min()) if len(bought) else pd.Timestamp(cutoff)
    return bought.groupby("channel")["amount"].sum().astype(float), since
