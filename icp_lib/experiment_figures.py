"""Figures of the tests: what each showed, and what a number of accounts can show.

Each `plot_*` takes result tables and returns a `Chart`; a figure of nothing says so in words.
"""

from __future__ import annotations

import numpy as np

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
from icp_lib.formats import format_interval, format_value, is_missing
from icp_lib.labels import ON_BAR, ON_LINE, Label
from icp_lib.marks import nice_scale
from icp_lib.planes import build_plane, name_across, name_line, write_marks
from icp_lib.protocols import DECISION_WORDS
from icp_lib.sentences import fill

_MOST_EFFECT = 0.4


def plot_effects(
    effects, title: str = "", subtitle: str = "", caption: str = "", name: str = "experiment_effects", needs=None
) -> Chart:
    """Plot the primary effect of every arm and its likely range against going on as usual.

    Parameters
    ----------
    effects : DataFrame
        `experiment`, `effect` with its ends, `metric`, `outcome`, `decision`, `verdict`, `n`, in the order shown.
    title, subtitle, caption : str
        Templates filled from the first row; without a title it is made from the data.
    needs : str or tuple of str, optional
        What is missing when there is no effect.

    Returns
    -------
    Chart
    """
    if len(effects) == 0:
        return missing_chart(name, needs, "No test has a result that can be shown yet.")
    check_columns(effects, ["experiment", "effect", "effect_low", "effect_high", "metric"], "plot_effects")
    rows = effects.to_dict("records")
    texts = [_interval(row) for row in rows]
    finding = fill(rows[0], title) if title else _effects_title(rows, texts)
    every = "; ".join(f"{row['experiment']}: {text}" for row, text in zip(rows, texts, strict=True))
    same = len({row["outcome"] for row in rows}) == 1
    what = f"{rows[0]['outcome']}, difference" if same else "Difference, in each test's own measure,"
    return Chart(
        name=name,
        title=finding,
        subtitle=fill(rows[0], subtitle) if subtitle else f"{what} to as usual; dot = estimate, bar = likely range",
        caption=fill(rows[0], caption),
        alt=f"Range chart: the difference that each arm made, against as usual. {finding}. {every}.",
        **draw_both(_draw_effects, rows, texts),
    )


def _interval(row: dict) -> str:
    return format_interval(row["effect"], row["effect_low"], row["effect_high"], "effect", row["metric"])


def _effects_title(rows: list[dict], texts: list[str]) -> str:
    shipped = [row for row in rows if row.get("decision") == "ship"]
    if not shipped:
        beyond = [row for row in rows if row["effect_low"] > 0]
        return f"{beyond[0]['experiment']} differs beyond luck" if beyond else "No test shows a difference beyond luck"
    value = format_value(shipped[0]["effect"], "effect", shipped[0]["effect_low"], shipped[0]["effect_high"],
                         metric=shipped[0]["metric"])  # fmt: skip
    rest = sum(row["effect_low"] <= 0 <= row["effect_high"] for row in rows if row not in shipped)
    words = "the other shows" if rest == 1 and len(rows) == 2 else f"{rest} of {len(rows)} show"
    tail = f"; {words} nothing beyond luck" if rest else ""
    return f"{shipped[0]['experiment']} makes a difference of {value}{tail}"


def _draw_effects(rows: list[dict], texts: list[str], is_narrow: bool) -> str:
    names = [str(row["experiment"]) for row in rows]
    said = [DECISION_WORDS.get(row.get("decision"), "") for row in rows]
    under = [f"{word} · n = {row.get('n', 0):,.0f}" for word, row in zip(said, rows, strict=True)]
    per_row = 0.5 if any(len(wrap_name(each)) > 1 for each in names) else 0.44
    figure, axes = canvas(len(rows), 2.15, 1.55, per_row, n_lines=count_lines(names, under), is_narrow=is_narrow)
    metric = rows[0]["metric"]
    ends = [row[end] for row in rows for end in ("effect", "effect_low", "effect_high") if not is_missing(row[end])]
    scale = nice_scale([*ends, 0.0], "points")
    set_scale(axes, scale, "effect", metric)
    if is_narrow:
        axes.hlines(range(len(rows)), *scale[:2], color=LIGHT["line"], lw=0.8)
        for label, side in zip(np.array(axes.get_xticklabels())[[0, -1]], ("left", "right"), strict=True):
            label.set_horizontalalignment(side)  # no room for half of a name outside
    draw_reference(axes, 0.0, len(rows), "as usual", is_narrow)
    for i, row in enumerate(rows):
        verdict = row.get("verdict") or "untested"
        draw_range(axes, i, row["effect"], row["effect_low"], row["effect_high"], verdict, scale)
    write_rows(axes, names, under, texts, {0}, is_narrow)
    return to_svg(figure)


def plot_detectable(
    curves, design, title: str = "", subtitle: str = "", caption: str = "", name: str = "experiment_curve", needs=None
) -> Chart:
    """Plot the smallest effect that a number of accounts a group would show, and where the test stands.

    Parameters
    ----------
    curves : DataFrame
        `experiment_id`, `n_per_group`, `effect`, from `experiment_design.build_curves`, of one test.
    design : DataFrame
        Its row of `experiment_design`.
    title, subtitle, caption : str
        Templates filled from the design's row; without a title it is made from the data.
    needs : str or tuple of str, optional
        What is missing when there is no curve.

    Returns
    -------
    Chart
    """
    known = curves[np.isfinite(curves["effect"].to_numpy(float))] if len(curves) else curves
    if len(known) == 0 or len(design) == 0:
        return missing_chart(name, needs, "No test is planned whose size could be worked out.")
    row = design.iloc[0].to_dict() 
    finding = fill(row, title) if title else _curve_title(row)
    points = [(float(n), float(effect)) for n, effect in zip(known["n_per_group"], known["effect"], strict=True)]
    every = "; ".join(f"{n:,.0f} accounts: {_points(effect)}" for n, effect in points)
    return Chart(
        name=name,
        title=finding,
        subtitle=fill(row, subtitle or "Smallest difference found 4 times in 5, by accounts in each group"),
        caption=fill(row, caption or "as usual, {control_rate} reach the outcome · both groups of one size"),
        alt=f"Line chart: the smallest effect found, by number of accounts. {finding}. {every}.",
        **draw_both(_draw_curve, points, row),
    )


def _points(effect) -> str:
    return format_value(effect, "effect", metric="touch_rate")


def _curve_title(row: dict) -> str:
    what = str(row["test"])
    if is_missing(row.get("detectable")):
        return f"{what}: no difference would show with {row['n_per_group']:,.0f} accounts in each group"
    able = "as agreed" if row["detectable"] <= row["mde"] * 1.0001 else f"more than the {_points(row['mde'])} agreed"
    return f"{what}: {row['n_per_group']:,.0f} accounts in each group see {_points(row['detectable'])} or more, {able}"


def _draw_curve(points: list[tuple[float, float]], row: dict, is_narrow: bool) -> str:
    label = f"{row['n_per_group']:,.0f} in each group: {_points(row['detectable'])}"
    figure, axes = build_plane(3.3, [label], is_narrow)
    xs, ys = (np.array(values) for values in zip(*points, strict=True))
    axes.set_xscale("log")
    axes.minorticks_off()
    ticks = [tick for tick in (25, 50, 100, 200, 400, 800) if xs.min() <= tick <= xs.max()]
    axes.set_xlim(xs.min() / 1.15, xs.max() * 1.15)
    axes.set_xticks(ticks, [format_value(tick, "n") for tick in ticks])
    top = min(max(ys.max(), row["mde"]), _MOST_EFFECT)
    uprights = nice_scale([0.0, top], "points")[2]
    axes.set_ylim(0, max(uprights))
    axes.set_yticks(uprights, [_points(tick) for tick in uprights])
    axes.plot(xs, ys, color=LIGHT["control"], lw=2, zorder=2)
    axes.axhline(row["mde"], color=LIGHT["ink2"], lw=1.2, zorder=1.5)
    dense = np.geomspace(xs.min(), xs.max(), 60)
    blocked = [(x, y, ON_BAR) for x, y in zip(dense, np.interp(dense, xs, ys), strict=True)]
    line = [(x, row["mde"], ON_LINE) for x in dense]
    marks = []
    if not is_missing(row["detectable"]):
        axes.plot(row["n_per_group"], row["detectable"], marker="o", ms=8, color=LIGHT["blue"], ls="none", zorder=4)
        marks = [Label(row["n_per_group"], row["detectable"], label, colour=LIGHT["blue"], is_bold=True)]
    write_marks(axes, marks, [name_line(f"agreed: {_points(row['mde'])}", line)], [*blocked, *line], is_narrow)
    name_across(axes, "accounts in each group")
    return to_svg(figure)
