"""The chart of the segment explorer: where segments lie, the axes, and what luck alone reaches."""

from __future__ import annotations

import math
from itertools import pairwise

from icp_lib.formats import format_of, format_value, is_missing
from icp_lib.marks import nice_scale, place, tick_name


def scale_values(rows: list[dict], value: str) -> tuple | None:
    """Return the scale of the chart over all that is drawn; a far upper end does not stretch it."""
    values = [row[name] for row in rows for name in ("y", "y_found") if row[name] is not None]
    ends = [row[name] for row in rows for name in ("y_low", "y_high") if row[name] is not None]
    near = [end for end in ends if end <= 2 * max(values)] if values else []
    return nice_scale([*values, *near], format_of(value)) if values else None


def place_segment(row: dict, axis: tuple | None) -> list[float | None] | None:
    """Return where estimate, low, high and the value when found lie on the chart, 0 to 100; None: nothing to draw."""
    values = [row[name] for name in ("y", "y_low", "y_high", "y_found")]
    if axis is None or (values[0] is None and values[3] is None):
        return None
    return [None if value is None else round(place(value, axis), 2) for value in values]


def has_older(rows: list[dict]) -> bool:
    """Whether deals are counted where a segment was found, not all of them."""
    return any(not is_missing(row.get("found_n_opportunities")) for row in rows)


def build_chart(rows: list[dict], value: str, noise, unit: float | None) -> dict | None:
    """Return the axes of the chart, the line of the rest and the funnel of luck; None where nothing can be drawn.

    Parameters
    ----------
    rows : list of dict
        y, y_low, y_high, y_found (any may be None) and n, the deals of the axis.
    value : str
        The column that the chart shows: margin_per_day or holdout_lift.
    noise : DataFrame or None
        n_opportunities, noise_50, noise_95, as lifts.
    unit : float or None
        What a lift of 1 is worth in the unit of the chart.
    """
    axis, drawn = scale_values(rows, value), [row for row in rows if row["y"] is not None or row["y_found"] is not None]
    if axis is None:
        return None
    counts = [max(1, row["n"]) for row in drawn]
    low, high = max(1.0, min(counts) / 1.25), max(counts) * 1.25
    steps = [base * 10**power for power in range(0, 8) for base in (1, 2, 5)]
    line = "the rest" if value == "holdout_lift" or unit is None else f"the rest {format_value(unit, value)}"
    return {
        "x": [math.log(low), math.log(high)],
        "xname": "deals where it was found →" if has_older(rows) else "deals →",
        "xticks": [[math.log(n), f"{n:,}"] for n in steps if low <= n <= high],
        "yticks": [[round(place(tick, axis), 2), tick_name(tick, axis, value)] for tick in axis[2]],
        "rest": None if unit is None else [round(place(unit, axis), 2), line],
        "noise": [] if unit is None else _noise(noise, axis, unit, low, high),
    }


def _noise(noise, axis: tuple, unit: float, low: float, high: float) -> list[list[float]]:
    """Return what luck alone reaches: log of deals, place of the middle and of 1 in 20, in order of size.

    A lift becomes money by what the rest earns; the lines end where the chart ends.
    """
    columns = ["n_opportunities", "noise_50", "noise_95"]
    if noise is None or not len(noise) or not set(columns) <= set(noise.columns):
        return []
    table = noise[columns].dropna().sort_values("n_opportunities")
    table = table[table["n_opportunities"] > 0]
    points = [(math.log(n), unit * half, unit * most) for n, half, most in table.itertuples(index=False)]
    edges = [_between(points, math.log(end)) for end in (low, high)]
    inside = [point for point in points if math.log(low) < point[0] < math.log(high)]
    funnel = [edges[0], *inside, edges[1]] if len(points) > 1 else []
    return [[round(x, 4), *(round(place(value, axis), 2) for value in pair)] for x, *pair in filter(None, funnel)]


def _between(points: list[tuple], x: float) -> tuple | None:
    """Return the point of a broken line at x; beyond its ends, none."""
    for one, two in pairwise(points):
        if one[0] <= x <= two[0] and two[0] > one[0]:
            share = (x - one[0]) / (two[0] - one[0])
            return tuple(a + share * (b - a) for a, b in zip(one, two, strict=True))
    return None
