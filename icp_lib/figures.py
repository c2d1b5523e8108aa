"""Figures: `plot_*` take a result table and return a `Chart` that shows itself as text, SVG and text.

The title is the finding, filled from the data; a figure of nothing says what is missing.
"""

from __future__ import annotations

import math

from icp_lib.charts import (
    LIGHT,
    Chart,
    canvas,
    count_lines,
    draw_both,
    draw_range,
    draw_reference,
    missing_chart,
    set_scale,
    to_svg,
    wrap_name,
    write_rows,
)
from icp_lib.checks import check_columns
from icp_lib.formats import column_name, format_interval, format_of, format_value, is_missing
from icp_lib.marks import nice_scale, read_progress, verdict_key
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
        counted = read_progress(row.get("note"))
        return f"{counted[0]:,} of {counted[1]:,} {counted[2]}" if counted else "not enough data"
    return format_interval(row[value], row.get(low), row.get(high), value, row.get("metric"))


def _draw_ranges(rows: list[dict], columns: tuple, scale: tuple, rest, rest_name: str, texts: list[str], is_narrow):
    """Draw the rows of `plot_ranges` and return the SVG; `columns` names label, value and its two ends."""
    label, value, low, high = columns
    names, metric, under = [str(row[label]) for row in rows], rows[0].get("metric"), [_row_words(row) for row in rows]
    per_row = 0.5 if any(len(wrap_name(name)) > 1 for name in names) else 0.44
    n_lines = count_lines(names, under)
    right = max(1.55, 0.2 + 0.072 * max(map(len, texts)))
    figure, axes = canvas(len(rows), 2.15, right, per_row, n_lines=n_lines, is_narrow=is_narrow)
    set_scale(axes, scale, value, metric)
    if is_narrow:
        axes.hlines(range(len(rows)), *scale[:2], color=LIGHT["line"], lw=0.8)
    if rest is not None:
        is_same = format_of(value, metric) == "ratio" and rest == 1
        words = "same" if is_same else f"{rest_name} {format_value(rest, value, metric=metric)}"
        draw_reference(axes, rest, len(rows), words, is_narrow)
    for i, row in enumerate(rows):
        draw_range(axes, i, row[value], row.get(low), row.get(high), row.get("verdict", "confirmed"), scale)
    write_rows(axes, names, under, texts, {0}, is_narrow)
    return to_svg(figure)


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
    drawings = draw_both(_draw_ranges, rows, (label, value, low, high), scale, rest, rest_name, texts)
    measure = column_name(str(metric) if value == "estimate" and not is_missing(metric) else value)
    finding = fill(rows[0], title) if title else f"{rows[0][label]} come first"
    odd = next(
        (i for i, row in enumerate(rows) if verdict_key(row.get("verdict", "")) == "contradicted"), len(rows) - 1
    )
    against = f", against {rest_name}" if rest is not None else ""
    alt = f"Range chart: {measure.lower()} of {len(rows)} rows{against}. {finding}. {rows[odd][label]}: {texts[odd]}."
    return Chart(
        name=name,
        title=finding,
        subtitle=fill(rows[0], subtitle) if subtitle else f"{measure}; dot = estimate, bar = likely range",
        caption=fill(rows[0], caption) if caption else "",
        alt=alt,
        **drawings,
    )


def _bars(axes, values: list[float], colours: list[str], is_narrow: bool) -> None:
    import seaborn

    limits = axes.get_ylim()
    axes.set_yticks(range(len(values)))
    seaborn.barplot(
        x=values,
        y=[str(i) for i in range(len(values))],
        hue=[str(i) for i in range(len(values))],
        palette=colours,
        saturation=1,
        width=0.3 if is_narrow else 0.5,
        legend=False,
        errorbar=None,
        ax=axes,
    )
    axes.set(xlabel="", ylabel="", yticks=[], ylim=limits)
    axes.spines["bottom"].set_visible(False)


def _draw_coverage(rows: list[dict], odd: list[bool], is_narrow: bool) -> str:
    """Draw the rows of `plot_coverage` and return the SVG."""
    figure, axes = canvas(len(rows), 2.15, 1.75, 0.3, n_lines=1, is_narrow=is_narrow)
    colours = [LIGHT["verm" if is_odd else "rule"] for is_odd in odd]
    _bars(axes, [row["coverage_rate"] for row in rows], colours, is_narrow)
    set_scale(axes, (0, 1, [0, 0.25, 0.5, 0.75, 1], False), "coverage_rate", None)
    draw_reference(axes, _COVERAGE_MINIMUM, len(rows), "80% is enough", is_narrow)
    look = {"ls": "none", "ms": 5, "mfc": LIGHT["paper"], "color": LIGHT["ink2"], "mew": 1.1}
    for i, row in enumerate(rows):
        for outcome, marker in (("won", "o"), ("not_won", "D")):
            share = row.get(f"coverage_{outcome}_rate")
            if not is_missing(share):
                axes.plot(share, i, marker=marker, clip_on=False, zorder=4, **look)
    names = [column_name(row["attribute"]) for row in rows]
    write_rows(axes, names, [""] * len(rows), [_coverage_words(row) for row in rows], set(), is_narrow)
    return to_svg(figure)


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
    drawings = draw_both(_draw_coverage, rows, odd)
    finding = fill(rows[-1], title) if title else _coverage_finding(rows, odd)
    alt = (
        f"Bar chart: share filled in of {len(rows)} attributes. {finding}. Least filled: "
        f"{column_name(rows[-1]['attribute'])}, {_coverage_words(rows[-1])}."
    )
    subtitle = "Share of accounts with a value; ring = won, diamond = not won"
    return Chart(name=name, title=finding, subtitle=subtitle, caption=caption, alt=alt, **drawings)


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


def _draw_population(names: list[str], values: list[float], total: float, column: str, is_narrow: bool) -> str:
    """Draw the rows of `plot_population` and return the SVG."""
    n_rows, under = len(names), [""] * len(names)
    figure, axes = canvas(n_rows, 2.55, 1.35, 0.34, 0.12, count_lines(names, under), is_narrow)
    colours = [LIGHT["blue" if i == n_rows - 1 else "control"] for i in range(n_rows)]
    _bars(axes, values, colours, is_narrow)
    set_scale(axes, nice_scale(values, "count"), column, None)
    texts = [f"{format_value(v, 'n')} · {format_value(v / total, 'share_rate')}" for v in values]
    write_rows(axes, names, under, texts, {n_rows - 1}, is_narrow)
    return to_svg(figure)


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
    drawings = draw_both(_draw_population, [str(row[label]) for row in rows], values, total, value)
    analysed, read = format_value(values[-1], "n"), format_value(values[0], "n")
    finding = fill(rows[-1], title) if title else f"{analysed} of {read} are analysed"
    parts = "; ".join(f"{row[label]} {format_value(v, 'n')}" for row, v in zip(rows[1:-1], values[1:-1], strict=True))
    alt = f"Bar chart: what was read, left out and analysed. {finding}. Between them: {parts or 'nothing left out'}."
    subtitle = "Rows read, left out for each reason, and analysed"
    return Chart(name=name, title=finding, subtitle=subtitle, caption=caption, alt=alt, **drawings)
