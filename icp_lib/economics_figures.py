"""Figures of unit economics: when a customer is paid back, what one is worth, how much of their revenue stays."""

from __future__ import annotations

import math

from icp_lib.charts import (
    LIGHT,
    NARROW_WIDTH,
    NOTE_SIZE,
    WIDTH,
    Chart,
    draw_both,
    missing_chart,
    to_svg,
)
from icp_lib.checks import check_columns
from icp_lib.figures import plot_ranges
from icp_lib.formats import format_interval, format_value, is_missing
from icp_lib.labels import ON_BAR, ON_LINE, ON_MARK, Label, write_labels
from icp_lib.marks import nice_scale
from icp_lib.sentences import fill

_LEFT, _RIGHT, _TOP, _BOTTOM, _HEIGHT = 0.74, 0.25, 0.2, 0.8, 4.1
_LINE = 11.0
#: Grey lines behind the one in colour, and quarters of a figure for a phone.
_MOST_BEHIND, _MOST_NARROW = 4, 5


def _money(value) -> str:
    return format_value(value, "cac")


def plot_payback(frame, segment_id: str = "", caption: str = "", name: str = "payback_curves", needs=None) -> Chart:
    """Plot what a customer brought less what one cost, by month since the win, with the band of one group.

    Parameters
    ----------
    frame : DataFrame
        `payback_curves`: segment_id, segment, month, net with its ends, n, target_months, payback_months with its ends.
    segment_id : str
        The group in colour, with its band and the customers behind its months; the others, at most four, are grey
        lines. "" is all customers; a group without a curve is replaced by the first that has one.
    caption : str
        Template filled from the group's row at the target.
    needs : str or tuple of str, optional
        What is missing when the frame is empty.

    Returns
    -------
    Chart
    """
    if len(frame) == 0:
        return missing_chart(name, needs, "Too few customers to follow yet.")
    check_columns(frame, ["segment_id", "segment", "month", "net", "net_low", "net_high", "n"], "plot_payback")
    named = frame.fillna({"segment_id": ""})
    by_group = {
        key: rows.sort_values("month").to_dict("records") for key, rows in named.groupby("segment_id", sort=False)
    }
    chosen = by_group[segment_id] if segment_id in by_group else next(iter(by_group.values()))
    behind = [rows for rows in by_group.values() if rows is not chosen][:_MOST_BEHIND]
    target = float(chosen[0]["target_months"])
    at_target = next((row for row in chosen if row["month"] >= target), chosen[-1])
    finding = _payback_title(chosen)
    said = format_interval(at_target["net"], at_target["net_low"], at_target["net_high"], "cac")
    return Chart(
        name=name,
        title=finding,
        subtitle="What a customer brought less what one cost, by months since the win; band = likely range",
        caption=fill(at_target, caption) if caption else "",
        alt=f"Line chart: cumulative margin less cost of {1 + len(behind)} groups by month since the win. {finding}. "
        f"{chosen[0]['segment']} after {at_target['month']:g} months: {said}.",
        **draw_both(_draw_payback, chosen, behind, target),
    )


def _payback_title(rows: list[dict]) -> str:
    ends = [rows[0][f"payback_months{end}"] for end in ("", "_low", "_high")]
    who = "A customer's cost" if not rows[0]["segment_id"] else f"{rows[0]['segment']}: the cost of one"
    if math.isinf(ends[0]):
        return f"{who} is not paid back within the {rows[-1]['month']:g} months that can be followed"
    return f"{who} is paid back after {format_interval(*ends, 'payback_months')}"


def _plane(n_names: int, is_narrow: bool):
    """Return (figure, axes) with room for numbers below the axis, and on a phone for names below them."""
    from matplotlib.figure import Figure

    width, bottom, height = WIDTH, _BOTTOM, _HEIGHT
    if is_narrow:
        more = _LINE * 1.3 * n_names / 72
        width, bottom, height = NARROW_WIDTH, _BOTTOM + more, _HEIGHT + more
    figure = Figure(figsize=(width, height))
    box = [_LEFT / width, bottom / height, 1 - (_LEFT + _RIGHT) / width, 1 - (_TOP + bottom) / height]
    axes = figure.add_axes(box)
    axes.grid(False)
    axes.grid(axis="y")
    return figure, axes


def _draw_payback(rows: list[dict], behind: list[list[dict]], target: float, is_narrow: bool) -> str:
    figure, axes = _plane(len(behind), is_narrow)
    last = max(each[-1]["month"] for each in (rows, *behind))
    ends = [row[column] for row in rows for column in ("net", "net_low", "net_high")]
    scale = nice_scale([*ends, *(row["net"] for each in behind for row in each)], "money")
    axes.set_xlim(0, max(last, target) * (1.02 if is_narrow else 1.25))  # room for names right of the curves
    axes.set_ylim(*scale[:2])
    axes.set_yticks(scale[2], [_money(tick) for tick in scale[2]])
    months = [row["month"] for row in rows]
    axes.axhline(0, color=LIGHT["ink2"], lw=1.2, zorder=1.5)
    axes.plot([target, target], scale[:2], color=LIGHT["ink2"], lw=1.2, ls=(0, (3, 2)), zorder=1.5)
    axes.fill_between(months, *([row[end] for row in rows] for end in ("net_low", "net_high")), color=LIGHT["blue"],
                      alpha=0.15)  # fmt: skip
    for each in behind:
        axes.plot([row["month"] for row in each], [row["net"] for row in each], color=LIGHT["control"], lw=1.5)
    axes.plot(months, [row["net"] for row in rows], color=LIGHT["blue"], lw=2)
    blocked = [(row["month"], row["net"], ON_BAR) for each in (rows, *behind) for row in each]
    step = (scale[1] - scale[0]) / 40
    blocked += [(x, 0, ON_LINE) for x in range(int(last) + 1)]
    blocked += [(target, scale[0] + step * i, ON_MARK) for i in range(41)]
    _name_curves(axes, rows, behind, target, scale, blocked, is_narrow)
    _count_below(axes, rows, last, is_narrow)
    return to_svg(figure)


def _name_curves(axes, rows, behind, target: float, scale: tuple, blocked, is_narrow: bool) -> None:
    """Name the curves at their ends, the zero line and the target; on a phone curves have numbers and names below."""
    place = {"xycoords": axes.get_xaxis_transform(), "textcoords": "offset points", "annotation_clip": False}
    words = f"target: {format_value(target, 'payback_months')}"
    axes.annotate(words, (target, 1), (0, 4), ha="center", size=NOTE_SIZE, color=LIGHT["ink2"], **place)
    end = rows[-1]
    labels = [Label(end["month"], end["net"], str(end["segment"]), colour=LIGHT["blue"], is_bold=True)]
    names = [str(each[-1]["segment"]) for each in behind]
    for i, (each, name) in enumerate(zip(behind, names, strict=True), 1):
        text = str(i) if is_narrow else name
        labels.append(Label(each[-1]["month"], each[-1]["net"], text, colour=LIGHT["ink2"], is_small=True))
    along = tuple((x, 0.0) for x in range(int(axes.get_xlim()[1]), 0, -3))
    labels.append(Label(*along[0], "cost covered", colour=LIGHT["ink2"], is_small=True, along=along))
    write_labels(axes, labels, blocked, 30)
    if is_narrow:
        below = {"xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False}
        for i, name in enumerate(names, 1):
            text = f"{i} · {name if len(name) < 50 else name[:49] + '…'}"
            axes.annotate(text, (0, 0), (-38, -57 - _LINE * 1.3 * i), size=NOTE_SIZE, color=LIGHT["ink2"], **below)


def _count_below(axes, rows: list[dict], last: float, is_narrow: bool) -> None:
    """Write below each tick how many customers of the group in colour were won so early."""
    step = next(each for each in (1, 2, 3, 6, 12) if last / each <= (5 if is_narrow else 10))
    ticks = list(range(0, int(last) + 1, step))
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    counts = {row["month"]: row["n"] for row in rows}
    place = {"xycoords": axes.get_xaxis_transform(), "textcoords": "offset points", "annotation_clip": False}
    for tick in ticks:
        if tick in counts:
            n = format_value(counts[tick], "n")
            axes.annotate(n, (tick, 0), (0, -29), ha="center", size=NOTE_SIZE, color=LIGHT["ink2"], **place)
    words = (
        f"months since the win; below, {str(rows[0]['segment'])[0].lower()}{str(rows[0]['segment'])[1:]} won so early"
    )
    words = "months since the win; below, customers won so early" if len(words) > 90 else words
    words = "months since the win; below, customers" if is_narrow else words
    axes.annotate(words, (0, 0), (0, -44), size=NOTE_SIZE, color=LIGHT["ink2"], **place)


def plot_worth(frame, caption: str = "", name: str = "unit_economics", needs=None) -> Chart:
    """Plot the lifetime value of each group over the same months, against that of all customers.

    Parameters
    ----------
    frame : DataFrame
        `economics.pick_alike`: segment, name, estimate with its ends, comparison, n, verdict, note; highest first.

    Returns
    -------
    Chart
    """
    known = frame[frame["estimate"].notna()] if len(frame) else frame
    if len(known) == 0:
        return missing_chart(name, needs, "No group has enough customers to follow yet.")
    first = known.iloc[0]
    title = "{segment} bring more than others within the same months: {estimate} ({interval:estimate}) a customer"
    if len(known) == 1:
        title = "{segment} bring {estimate} ({interval:estimate}) each"
    elif not first["conf_low"] > first["comparison"]:
        title = "Once won, no group is clearly worth more than all customers, {rest:ltv}, within the same months"
    return plot_ranges(
        frame.assign(rest=frame["comparison"]), "estimate", title=title, caption=caption, name=name,
        subtitle="{name}, the same months for all; dot = estimate, bar = likely range", rest_name="all customers",
    )  # fmt: skip


def plot_retention(frame, caption: str = "", name: str = "retention_by_quarter", needs=None) -> Chart:
    """Plot NRR and GRR of all customers by quarter: dot and range of NRR, ring and range of GRR, a line at 100 %.

    Parameters
    ----------
    frame : DataFrame
        `retention_by_quarter`: period, metric (nrr, grr), estimate with its ends, n.
    caption : str
        Template filled from the newest quarter's NRR.
    needs : str or tuple of str, optional
        What is missing when the frame is empty.

    Returns
    -------
    Chart
    """
    known = frame[frame["metric"].isin(("nrr", "grr")) & frame["estimate"].notna()] if len(frame) else frame
    if len(known) == 0:
        return missing_chart(name, needs, "No quarter began with enough customers yet.")
    check_columns(frame, ["period", "metric", "estimate", "conf_low", "conf_high", "n"], "plot_retention")
    series = {metric: known[known["metric"] == metric].to_dict("records") for metric in ("nrr", "grr")}
    now, kept = (series[metric][-1] for metric in ("nrr", "grr"))
    net, gross = (
        format_interval(row["estimate"], row["conf_low"], row["conf_high"], metric)
        for metric, row in (("nrr", now), ("grr", kept))
    )
    verb = "grew to" if now["conf_low"] > 1 else "shrank to" if now["conf_high"] < 1 else "stayed at"
    finding = f"In {now['period']} the customers of the quarter before {verb} {net} of their revenue"
    return Chart(
        name=name,
        title=finding,
        subtitle="Revenue of the same customers, end of quarter over its start; dot = NRR, ring = GRR",
        caption=fill(now, caption) if caption else "",
        alt=f"Dot chart: net and gross revenue retention of {len(series['nrr'])} quarters. {finding}. Without what "
        f"customers added: {gross}.",
        **draw_both(_draw_retention, series),
    )


def _draw_retention(series: dict[str, list[dict]], is_narrow: bool) -> str:
    figure, axes = _plane(0, is_narrow)
    series = {metric: rows[-(_MOST_NARROW if is_narrow else 12) :] for metric, rows in series.items()}
    n = len(series["nrr"])
    ends = [row[end] for rows in series.values() for row in rows for end in ("estimate", "conf_low", "conf_high")]
    low, high = min(0.9, *ends), max(1.05, *ends)
    step = 0.05 if high - low <= 0.3 else 0.1 if high - low <= 0.6 else 0.25
    ticks = [step * i for i in range(math.floor(low / step), math.ceil(high / step - 1e-9) + 1)]
    axes.set_ylim(ticks[0], ticks[-1])
    axes.set_yticks(ticks, [format_value(tick, "nrr") for tick in ticks])
    axes.set_xlim(-0.5, n - 0.35 + (0.35 if is_narrow else 0.55))
    axes.axhline(1, color=LIGHT["ink2"], lw=1.2, zorder=1.5)
    for metric, shift, token, face in (("nrr", -0.12, "blue", "blue"), ("grr", 0.12, "ink2", "paper")):
        for i, row in enumerate(series[metric]):
            if not is_missing(row["conf_low"]):
                axes.plot([i + shift] * 2, [row["conf_low"], row["conf_high"]], color=LIGHT[token], lw=5, alpha=0.3)
            axes.plot(i + shift, row["estimate"], "o", ms=7, color=LIGHT[token], mfc=LIGHT[face], mew=1.2, zorder=4)
        end, name = series[metric][-1], metric.upper()
        place = {"textcoords": "offset points", "annotation_clip": False, "va": "center", "color": LIGHT[token]}
        up = 8 if abs(end["estimate"] - 1) < 0.08 * (ticks[-1] - ticks[0]) else 0  # off the line at 100 %
        axes.annotate(name, (n - 1 + 0.12, end["estimate"]), (9, up), weight="bold", **place)
    names = [row["period"] for row in series["nrr"]]
    names = [name.replace(" ", "\n") for name in names] if n > 3 else names
    counts = [format_value(row["n"], "n") for row in series["nrr"]]
    labels = [f"{name}\n{count}" for name, count in zip(names, counts, strict=True)]
    axes.set_xticks(range(n), labels, size=NOTE_SIZE if is_narrow else None)
    place = {"xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False}
    axes.annotate("below, customers when it began", (0, 0), (0, -54), size=NOTE_SIZE, color=LIGHT["ink2"], **place)
    return to_svg(figure)
