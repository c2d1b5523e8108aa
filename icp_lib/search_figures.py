"""Figures of the search: what luck reaches, what held in newer deals, and what the data could have shown.

Each `plot_*` takes result tables and returns a `Chart`; a figure of nothing says so in words. Lifts lie on log axes.
"""

from __future__ import annotations

import math

import numpy as np

from icp_lib.charts import (
    LIGHT,
    Chart,
    canvas,
    dot_style,
    draw_both,
    draw_reference,
    missing_chart,
    set_scale,
    to_svg,
    write_rows,
)
from icp_lib.checks import check_columns
from icp_lib.formats import format_interval, format_range, format_value, is_missing
from icp_lib.labels import ON_BAR, ON_LINE, Label, write_labels
from icp_lib.marks import nice_scale
from icp_lib.planes import (
    build_plane,
    draw_same,
    draw_segment,
    draw_upright,
    fill_caption,
    lift_scale,
    name_across,
    name_line,
    range_scale,
    say_count,
    set_upright,
    split_rows,
    trace,
    write_marks,
)
from icp_lib.sentences import fill

#: The most bars of a histogram, and the width below which a bar could not be seen (log of a lift).
_N_BINS, _THINNEST = 30, 0.015


def _lift(value, low=None, high=None) -> str:
    return format_value(value, "lift", low, high)


def _newer(row: dict) -> tuple:
    return row["holdout_lift"], row.get("holdout_lift_low"), row.get("holdout_lift_high")


def plot_noise(
    draws, segments, title: str = "", subtitle: str = "", caption: str = "", name: str = "noise", needs=None
) -> Chart:
    """Plot the best lift of each shuffled search, and what was found, as an upright.

    Parameters
    ----------
    draws : DataFrame
        One row a shuffled search: `lift`, of the best group that it came back with.
    segments : DataFrame
        `segment`, `lift_found`, and where there `is_emerging`: the first that is not emerging is what we found.
    title, subtitle, caption : str
        Templates with the fields noise (the best shuffled search), n (how many), found, segment. Without a title it
        is made from the data.
    needs : str or tuple of str, optional
        What is missing when there are no draws.

    Returns
    -------
    Chart
    """
    if len(draws) == 0:
        return missing_chart(name, needs, "No search was shuffled: there was nothing to search, or too many companies.")
    check_columns(draws, ["lift"], "plot_noise")
    lifts = np.sort([float(value) for value in draws["lift"] if not is_missing(value) and 0 < value < math.inf])
    if not len(lifts):
        return missing_chart(name, needs, "No shuffled search came back with a group that has a lead.")
    able = split_rows(segments, "lift_found")[0] if len(segments) else []
    leader = next((row for row in able if row.get("is_emerging") not in (True, "True")), None)
    found = leader["lift_found"] if leader else None
    row = {"noise": _lift(lifts[-1]), "n": format_value(len(draws), "n"), "found": _lift(found)}
    row["segment"] = leader["segment"] if leader else "none"
    finding = fill(row, title or _noise_title(found, lifts))
    against = " against what we found" if leader else ""
    return Chart(
        name=name,
        title=finding,
        subtitle=fill(row, subtitle or "Times the rest; how many shuffled searches ended at each value"),
        caption=fill(row, caption),
        alt=f"Histogram: the best lift of {row['n']} shuffled searches{against}. {finding}. "
        f"Half of the shuffled searches end above {_lift(float(np.median(lifts)))}.",
        **draw_both(_draw_noise, lifts, row, found),
    )


def _noise_title(found: float | None, lifts) -> str:
    if found is None:
        return "Noise alone comes to {noise} at best in {n} tries; no segment stood out"
    if found <= lifts[-1]:
        return f"{int((lifts >= found).sum()):,} of {{n}} shuffled searches reached the {{found}} that we found"
    return "Noise came to {noise} at best in {n} tries; we found {found}"


def _draw_noise(lifts, row: dict, found: float | None, is_narrow: bool) -> str:
    figure, axes = build_plane(3.3, [], is_narrow)
    furthest = max(lifts[-1], found or 0)
    set_scale(axes, lift_scale([*lifts, found, furthest * (1.5 if furthest > lifts[-1] else 1.3)]), "lift", None)
    low, high = lifts[0] / 1.01, lifts[-1] * 1.01
    n_bins = int(np.clip(np.log(high / low) / _THINNEST, 1, _N_BINS))
    counts, edges = np.histogram(lifts, np.geomspace(low, high, n_bins + 1))
    most = counts.max() * (1.75 if is_narrow else 1.35)
    ticks = [tick for tick in nice_scale([counts.max()], "count")[2] if tick <= most and tick == round(tick)]
    axes.set_yticks(ticks, [format_value(tick, "n") for tick in ticks])
    axes.set_ylim(0, most)
    axes.bar(edges[:-1], counts, np.diff(edges), align="edge", color=LIGHT["control"], ec=LIGHT["paper"], lw=0.6)
    axes.axvline(1, color=LIGHT["ink2"], lw=1.2)
    middles, peak = np.sqrt(edges[:-1] * edges[1:]), int(counts.argmax())
    blocked = [(x, y, ON_BAR) for x, n in zip(middles, counts, strict=True) for y in np.linspace(0, n, 15)]
    blocked += [(1, y, ON_LINE) for y in np.linspace(0, most, 40)]
    labels = [
        Label(middles[peak], counts[peak], f"{row['n']} shuffled searches", colour=LIGHT["ink2"], is_small=True),
        Label(lifts[-1], counts[-1], f"best that noise reached: {row['noise']}", is_small=True),
        name_line("the rest", [(1, y, ON_LINE) for y in np.linspace(0.8 * most, 0.97 * most, 20)]),
    ]
    if found is not None:
        top = most * (0.62 if found > lifts[-1] and not is_narrow else 0.92)
        axes.plot([found, found], [0, top], color=LIGHT["blue"], lw=2)
        axes.plot(found, top, **dot_style("confirmed"))
        blocked += [(found, y, ON_BAR) for y in np.linspace(0, top, 40)]
        words = f"what we found: {row['found']}"
        labels.insert(0, Label(found, top, words, str(row["segment"]), LIGHT["blue"], is_bold=True))
    write_labels(axes, labels, blocked, 21)
    name_across(axes, "lift of the best group that each search came back with")
    return to_svg(figure)


def plot_holdout(
    segments, title: str = "", subtitle: str = "", caption: str = "", name: str = "holdout", needs=None
) -> Chart:
    """Plot each segment's lift in newer deals (up) against its lift when found (across).

    Parameters
    ----------
    segments : DataFrame
        `segment`, `lift_found`, `holdout_lift` with `_low` and `_high`, `verdict`, and where there `note`. Rows without
        one of the two lifts, or without enough data, are named in the caption instead.
    title, subtitle, caption : str
        Templates filled from the first row drawn; without a title it is made from the data.
    needs : str or tuple of str, optional
        What is missing when nothing can be drawn.

    Returns
    -------
    Chart
    """
    if len(segments) == 0:
        return missing_chart(name, needs, "No segment was found, so there is nothing to check in newer deals.")
    check_columns(segments, ["segment", "lift_found", "holdout_lift", "verdict"], "plot_holdout")
    rows, left_out = split_rows(segments, "lift_found", "holdout_lift")
    if not rows:
        return missing_chart(name, needs, f"Too few newer deals to check yet: {say_count(len(left_out))} to wait for.")
    finding = fill(rows[0], title) if title else _holdout_title(rows)
    odd = min(rows, key=lambda row: row["holdout_lift"])
    newer = format_interval(*_newer(odd), "lift")
    words = subtitle or "Times the rest, newer deals (up) against when found (across); bar = likely range"
    return Chart(
        name=name,
        title=finding,
        subtitle=fill(rows[0], words),
        caption=fill_caption(rows[0], caption, left_out),
        alt=f"Scatter chart: lift in newer deals against lift when found, {say_count(len(rows))}. {finding}. "
        f"Lowest: {odd['segment']}, {_lift(odd['lift_found'])} when found, {newer} in newer deals.",
        **draw_both(_draw_holdout, rows),
    )


def _holdout_title(rows: list[dict]) -> str:
    n_shrank = sum(row["holdout_lift"] < row["lift_found"] for row in rows)
    below = [row for row in rows if row["holdout_lift"] < 1]
    head = f"{n_shrank} of {len(rows)} leads shrank on newer deals"
    if len(rows) == 1:
        head = f"The lead {'shrank' if n_shrank else 'did not shrink'} on newer deals"
    elif n_shrank in (0, len(rows)):
        head = f"{'Every' if n_shrank else 'No'} lead shrank on newer deals"
    if len(below) == 1:
        return f"{head}; {below[0]['segment']} fell to {_lift(*_newer(below[0]))} the rest"
    if below:
        return f"{head}; {len(below)} of {len(rows)} fell below the rest"
    last = min(rows, key=lambda row: row["holdout_lift"])
    if len(rows) == 1:
        return f"{head}: it is {_lift(*_newer(last))} the rest"
    low, high = last.get("holdout_lift_low"), last.get("holdout_lift_high")
    around = "" if is_missing(low) else f" ({format_range(low, high, 'lift')})"
    return f"{head}; the lowest is {_lift(*_newer(last))} the rest{around}"


def _draw_holdout(rows: list[dict], is_narrow: bool) -> str:
    figure, axes = build_plane(4.1, [str(row["segment"]) for row in rows], is_narrow)
    across, scale = lift_scale([row["lift_found"] * room for row in rows for room in (1, 1.55)]), range_scale(rows)
    set_scale(axes, across, "lift", None)
    set_upright(axes, scale)
    axes.grid(axis="x")
    blocked, same = draw_same(axes, across, "no better than the rest")
    ends = max(across[0], scale[0]), min(across[1], scale[1])
    axes.plot(ends, ends, color=LIGHT["control"], lw=1.2, zorder=1.5)
    slope = trace((ends[0],) * 2, (ends[1],) * 2, ON_LINE)
    blocked += slope
    marks = []
    for i, row in enumerate(rows):
        blocked += draw_upright(axes, row["lift_found"], *_newer(row)[1:], row["verdict"], scale)
        marks.append(draw_segment(axes, row, row["lift_found"], row["holdout_lift"], scale, i == 0))
    write_marks(axes, marks, [same, name_line("held in full", slope)], blocked, is_narrow)
    name_across(axes, "when found")
    return to_svg(figure)


def _share(value) -> str:
    return format_value(value, "share_rate")


def plot_power(frame, title: str = "", subtitle: str = "", caption: str = "", name: str = "power", needs=None) -> Chart:
    """Plot the smallest lead that the data would have confirmed, by the share of accounts that has it.

    Parameters
    ----------
    frame : DataFrame
        `account_share_rate` (0 to 1), rising, and `lift` (confirmed with a probability of 80 %; missing: no lead is).
    title, subtitle, caption : str
        Templates filled from the first row; without a title it is made from the data.
    needs : str or tuple of str, optional
        What is missing when the frame is empty.

    Returns
    -------
    Chart
    """
    if len(frame) == 0:
        return missing_chart(name, needs, "No segment was searched, so there is no smallest lead to tell.")
    check_columns(frame, ["account_share_rate", "lift"], "plot_power")
    rows = frame.to_dict("records")
    finding = fill(rows[0], title) if title else _power_title(rows)
    every = "; ".join(f"{_share(row['account_share_rate'])}: {_power_words(row)}" for row in rows)
    return Chart(
        name=name,
        title=finding,
        subtitle=fill(rows[0], subtitle or "Times the rest: the smallest lead that would be confirmed 4 times in 5"),
        caption=fill(rows[0], caption),
        alt=f"Dot chart: the smallest lead that would be confirmed, by share of accounts. {finding}. {every}.",
        **draw_both(_draw_power, rows),
    )


def _can_confirm(row: dict) -> bool:
    return not is_missing(row["lift"]) and 0 < row["lift"] < math.inf


def _power_words(row: dict) -> str:
    return _lift(row["lift"]) if _can_confirm(row) else "no lead would do"


def _power_title(rows: list[dict]) -> str:
    known = [row for row in rows if _can_confirm(row)]
    shares = [_share(row["account_share_rate"]) for row in (rows[0], rows[-1])]
    if not known:
        return f"No lead on {shares[0]} to {shares[1]} of accounts would have been confirmed"
    first, last = ((_share(row["account_share_rate"]), _lift(row["lift"])) for row in (known[0], known[-1]))
    if len(known) < len(rows):
        return f"No lead on {shares[0]} of accounts would have been confirmed; on {last[0]} it takes {last[1]} the rest"
    head = f"A lead on {first[0]} of accounts has to reach {first[1]} the rest to be confirmed"
    return f"{head}; on {last[0]}, {last[1]}" if len(known) > 1 else head


def _draw_power(rows: list[dict], is_narrow: bool) -> str:
    names = [f"{_share(row['account_share_rate'])} of accounts" for row in rows]
    figure, axes = canvas(len(rows), 1.3, 1.55, 0.34, n_lines=1, is_narrow=is_narrow)
    set_scale(axes, lift_scale([row["lift"] for row in rows]), "lift", None)
    draw_reference(axes, 1, len(rows), "same", is_narrow)
    for i, row in enumerate(rows):
        if _can_confirm(row):
            axes.plot([1, row["lift"]], [i, i], color=LIGHT["control"], lw=1.5, zorder=1.8)
            axes.plot(row["lift"], i, marker="o", ms=7, color=LIGHT["ink2"], ls="none")
    write_rows(axes, names, [""] * len(rows), [_power_words(row) for row in rows], set(), is_narrow)
    return to_svg(figure)
