"""Figures: `plot_*` take a result table and return a `Chart` that shows itself as text, SVG and text.

The title is the finding, filled from the data; a figure of nothing says what is missing.
"""

from __future__ import annotations

import math
import textwrap

from icp_lib.charts import (
    LIGHT,
    NOTE_SIZE,
    RC,
    Chart,
    canvas,
    draw_range,
    missing_chart,
    set_scale,
    to_svg,
    wrap_name,
    write_names,
    write_values,
)
from icp_lib.checks import check_columns
from icp_lib.formats import column_name, format_interval, format_of, format_value, is_missing
from icp_lib.marks import nice_scale, verdict_key
from icp_lib.sentences import fill

_COVERAGE_MINIMUM, _COVERAGE_GAP = 0.8, 0.1


def _first(frame, *columns):
    """Return the first value of the first column that has one."""
    for column in columns:
        if column in frame:
            for value in frame[column]:
                if not is_missing(value) and not isinstance(value, str):
                    return value
    return None


def _row_words(row: dict) -> str:
    n = next(
        (row[name] for name in ("n", "holdout_n_opportunities", "n_opportunities") if not is_missing(row.get(name))),
        None,
    )
    words = [
        str(row["verdict"]) if not is_missing(row.get("verdict")) else "",
        f"n = {n:,.0f}" if n is not None else "",
    ]
    return " · ".join(word for word in words if word)


def _interval_words(row: dict, value: str, low: str, high: str) -> str:
    if verdict_key(row.get("verdict", "")) == "not enough data":
        return textwrap.shorten(str(row["note"]), 24) if not is_missing(row.get("note")) else "not enough data"
    return format_interval(row[value], row.get(low), row.get(high), value, row.get("metric"))


def _draw_ranges(rows: list[dict], columns: tuple, scale: tuple, rest, rest_name: str, texts: list[str]) -> str:
    """Draw the rows of `plot_ranges` and return the SVG; `columns` names label, value and its two ends."""
    import matplotlib

    label, value, low, high = columns
    names, metric = [str(row[label]) for row in rows], rows[0].get("metric")
    with matplotlib.rc_context(RC):
        per_row = 0.5 if any(len(wrap_name(name)) > 1 for name in names) else 0.44
        figure, axes = canvas(len(rows), left=2.15, right=1.55, per_row=per_row)
        set_scale(axes, scale, value, metric)
        if rest is not None:
            is_same = format_of(value, metric) == "ratio" and rest == 1
            axes.axvline(rest, color=LIGHT["ink2"], lw=1.2)
            _above(axes, rest, "same" if is_same else f"{rest_name} {format_value(rest, value, metric=metric)}")
        for i, row in enumerate(rows):
            draw_range(axes, i, row[value], row.get(low), row.get(high), row.get("verdict", "confirmed"), scale)
        write_names(axes, names, [_row_words(row) for row in rows], {0})
        write_values(axes, texts)
        return to_svg(figure)


def _above(axes, at: float, words: str) -> None:
    """Write the name of an upright line above the axes."""
    place = {"xycoords": axes.get_xaxis_transform(), "textcoords": "offset points", "annotation_clip": False}
    axes.annotate(words, (at, 1), (0, 5), ha="center", size=NOTE_SIZE, color=LIGHT["ink2"], **place)


def plot_ranges(
    frame,
    value: str = "margin_per_day",
    label: str = "segment",
    title: str = "",
    subtitle: str = "",
    caption: str = "",
    name: str = "ranges",
    needs=None,
    rest_name: str = "the rest",
) -> Chart:
    """Plot an estimate and its likely range for each row, in the frame's order.

    Parameters
    ----------
    frame : DataFrame
        Columns `label`, `value`, its ends (``<value>_low`` and ``_high``, or `conf_low` and `conf_high`), and where
        there: `verdict` (shape and colour), `n` or `n_opportunities`, `rest` or `comparison` (the line), `note`.
    title, subtitle, caption : str
        Templates of `display.fill`, filled from the first row. The title is the finding, without a full stop.
    name : str
        Name of the figure; the table of the same name is linked on the page.
    needs : str or tuple of str, optional
        What is missing when the frame is empty.

    Returns
    -------
    Chart
    """
    if len(frame) == 0:
        return missing_chart(name, needs)
    check_columns(frame, [label, value], "plot_ranges")
    low, high = (f"{value}_low", f"{value}_high") if f"{value}_low" in frame else ("conf_low", "conf_high")
    rows, rest = frame.to_dict("records"), _first(frame, "rest", "comparison")
    metric = rows[0].get("metric")
    kind = format_of(value, metric)
    tops = [row[value] for row in rows if not is_missing(row[value])]
    bound = 2 * max(map(abs, tops), default=1)
    ends = [row.get(end) for row in rows for end in (low, high)]
    scale = nice_scale([*tops, rest, *(end for end in ends if not is_missing(end) and abs(end) <= bound)], kind)
    texts = [_interval_words(row, value, low, high) for row in rows]
    svg = _draw_ranges(rows, (label, value, low, high), scale, rest, rest_name, texts)
    measure = column_name(str(metric) if value == "estimate" and not is_missing(metric) else value)
    finding = fill(rows[0], title) if title else f"{rows[0][label]} come first"
    odd = next(
        (i for i, row in enumerate(rows) if verdict_key(row.get("verdict", "")) == "contradicted"), len(rows) - 1
    )
    against = f", against {rest_name}" if rest is not None else ""
    alt = f"Range chart: {measure.lower()} of {len(rows)} rows{against}. {finding}. {rows[odd][label]}: {texts[odd]}."
    return Chart(
        name,
        svg,
        finding,
        fill(rows[0], subtitle) if subtitle else f"{measure}; dot = estimate, bar = likely range",
        fill(rows[0], caption) if caption else "",
        alt,
    )


def _bars(axes, values: list[float], colours: list[str]) -> None:
    import seaborn

    axes.set_yticks(range(len(values)))
    seaborn.barplot(
        x=values,
        y=[str(i) for i in range(len(values))],
        hue=[str(i) for i in range(len(values))],
        palette=colours,
        saturation=1,
        width=0.5,
        legend=False,
        errorbar=None,
        ax=axes,
    )
    axes.set(xlabel="", ylabel="", yticks=[])
    axes.spines["bottom"].set_visible(False)


def plot_coverage(frame, title: str = "", caption: str = "", name: str = "coverage", needs="accounts") -> Chart:
    """Plot the share filled in of each attribute: bar overall, marks for won and for not won.

    Parameters
    ----------
    frame : DataFrame
        Columns `attribute`, `coverage_rate` and where there `coverage_won_rate`, `coverage_not_won_rate` (0 to 1).
        An attribute below 80 % or with a gap of more than 10 points is drawn in vermilion and named in the title.
    title : str, optional
        Template filled from the least filled row; without it the title is made from the data.

    Returns
    -------
    Chart
    """
    if len(frame) == 0:
        return missing_chart(name, needs)
    check_columns(frame, ["attribute", "coverage_rate"], "plot_coverage")
    ordered = frame.sort_values(["coverage_rate", "attribute"], ascending=[False, True], kind="stable")
    rows = ordered.to_dict("records")
    gaps = [row.get("coverage_won_rate", math.nan) - row.get("coverage_not_won_rate", math.nan) for row in rows]
    odd = [
        row["coverage_rate"] < _COVERAGE_MINIMUM or abs(gap) > _COVERAGE_GAP
        for row, gap in zip(rows, gaps, strict=True)
    ]
    import matplotlib

    with matplotlib.rc_context(RC):
        figure, axes = canvas(len(rows), left=2.15, right=1.75, per_row=0.3)
        _bars(axes, [row["coverage_rate"] for row in rows], [LIGHT["verm" if is_odd else "rule"] for is_odd in odd])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        set_scale(axes, (0, 1, [0, 0.25, 0.5, 0.75, 1], False), "coverage_rate", None)
        axes.axvline(_COVERAGE_MINIMUM, color=LIGHT["ink2"], lw=1.2)
        _above(axes, _COVERAGE_MINIMUM, "80% is enough")
        for i, row in enumerate(rows):
            for outcome, marker in (("won", "o"), ("not_won", "D")):
                share = row.get(f"coverage_{outcome}_rate")
                if not is_missing(share):
                    axes.plot(
                        share,
                        i,
                        ls="none",
                        marker=marker,
                        ms=5,
                        mfc=LIGHT["paper"],
                        color=LIGHT["ink2"],
                        mew=1.1,
                        clip_on=False,
                        zorder=4,
                    )
        write_names(axes, [column_name(row["attribute"]) for row in rows], [""] * len(rows), set())
        write_values(axes, [_coverage_words(row) for row in rows])
        svg = to_svg(figure)
    finding = fill(rows[-1], title) if title else _coverage_finding(rows, odd)
    alt = (
        f"Bar chart: share filled in of {len(rows)} attributes. {finding}. Least filled: "
        f"{column_name(rows[-1]['attribute'])}, {_coverage_words(rows[-1])}."
    )
    return Chart(name, svg, finding, "Share of accounts with a value; ring = won, diamond = not won", caption, alt)


def _coverage_words(row: dict) -> str:
    both = [row.get("coverage_won_rate"), row.get("coverage_not_won_rate")]
    words = [format_value(share, "coverage_rate") for share in both if not is_missing(share)]
    overall = format_value(row["coverage_rate"], "coverage_rate")
    return f"{overall} ({' / '.join(words)})" if len(words) == 2 else overall


def _coverage_finding(rows: list[dict], odd: list[bool]) -> str:
    short = [row for row, is_odd in zip(rows, odd, strict=True) if is_odd]
    if not short:
        return f"All {len(rows)} attributes are filled in for at least 80% of accounts"
    share = format_value(short[-1]["coverage_rate"], "coverage_rate")
    least = f"{column_name(short[-1]['attribute'])} is filled in for {share}"
    return least if len(short) == 1 else f"{len(short)} of {len(rows)} attributes have gaps; {least}"


def plot_population(
    frame,
    label: str = "step",
    value: str = "n",
    title: str = "",
    caption: str = "",
    name: str = "population",
    needs="accounts",
) -> Chart:
    """Plot how many rows were read, left out for each reason, and analysed; the last row stands in blue.

    Parameters
    ----------
    frame : DataFrame
        Columns `label` and `value` (a count), in order: read, each exclusion, analysed.
    title : str, optional
        Template filled from the last row; without it ``{n} of {n read} are analysed``.

    Returns
    -------
    Chart
    """
    if len(frame) == 0:
        return missing_chart(name, needs)
    check_columns(frame, [label, value], "plot_population")
    rows = frame.to_dict("records")
    values = [float(row[value]) for row in rows]
    total = max(values) or 1.0
    import matplotlib

    with matplotlib.rc_context(RC):
        figure, axes = canvas(len(rows), left=2.55, right=1.35, per_row=0.34, top=0.12)
        _bars(axes, values, [LIGHT["blue" if i == len(rows) - 1 else "control"] for i in range(len(rows))])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        set_scale(axes, nice_scale(values, "count"), value, None)
        write_names(axes, [str(row[label]) for row in rows], [""] * len(rows), {len(rows) - 1})
        write_values(axes, [f"{format_value(v, 'n')} · {format_value(v / total, 'share_rate')}" for v in values])
        svg = to_svg(figure)
    analysed, read = format_value(values[-1], "n"), format_value(values[0], "n")
    finding = fill(rows[-1], title) if title else f"{analysed} of {read} are analysed"
    parts = "; ".join(f"{row[label]} {format_value(v, 'n')}" for row, v in zip(rows[1:-1], values[1:-1], strict=True))
    alt = f"Bar chart: what was read, left out and analysed. {finding}. Between them: {parts or 'nothing left out'}."
    return Chart(name, svg, finding, "Rows read, left out for each reason, and analysed", caption, alt)
