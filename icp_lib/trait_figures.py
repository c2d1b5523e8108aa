"""Figures of the trait analysis: what is more common among the best, the map of groups, and what each trait adds."""

from __future__ import annotations

import math

from icp_lib.charts import (
    LIGHT,
    NARROW_WIDTH,
    NOTE_SIZE,
    WIDTH,
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
from icp_lib.formats import column_name, format_interval, format_value, is_missing
from icp_lib.marks import nice_scale
from icp_lib.sentences import fill
from icp_lib.stats import MAX_P

_APART, _GUESS = 0.2, 0.5
_BY_LUCK = "No difference between the groups is beyond luck"


def plot_lifts(
    frame, title: str = "", subtitle: str = "", caption: str = "", name: str = "traits", needs=None, nothing: str = ""
) -> Chart:
    """Plot how many times as common each trait is among the best customers as in the base, found and in newer ones.

    Parameters
    ----------
    frame : DataFrame
        `contrast.pick_lifts`: segment, base_lift and holdout_base_lift with their ends, best_rate, base_rate, verdict.
        Ring and thin bar: where found; dot and thick bar: newer accounts.
    title, subtitle, caption : str
        Templates of `display.fill`, filled from the first row.

    Returns
    -------
    Chart
    """
    if len(frame) == 0:
        return missing_chart(name, needs, nothing)
    check_columns(frame, ["segment", "base_lift", "best_rate", "base_rate", "base"], "plot_lifts")
    rows = frame.to_dict("records")
    first = max(rows, key=lambda row: _strength(row))
    # Without their ranges both shares have the same digits.
    plain = {key: value for key, value in first.items() if not key.startswith(("best_rate_", "base_rate_"))}
    finding = fill(plain, title or _lifts_title(first))
    drawn = [row[key] for row in rows for key in ("base_lift", "holdout_base_lift") if not is_missing(row[key])]
    scale = nice_scale([min(max(value, 1 / 8), 8) for value in drawn if value > 0], "ratio")
    alt = (
        f"Range chart: how many times as common {len(rows)} traits are among the best customers as among "
        f"{first['base']}. {finding}. Last: {rows[-1]['segment']}, {format_value(rows[-1]['base_lift'], 'base_lift')}."
    )
    return Chart(
        name=name,
        title=finding,
        subtitle=fill(
            first, subtitle or "Times as common among the best customers; ring and shares = found, dot = newer accounts"
        ),
        caption=fill(first, caption),
        alt=alt,
        **draw_both(_draw_lifts, rows, scale),
    )


def _strength(row: dict) -> float:
    p = row.get("p_adjusted")
    return 0.0 if is_missing(p) else -float(p)


def _lifts_title(row: dict) -> str:
    if row["verdict"] in ("confirmed", "promising", "untested", "contradicted"):
        return "{segment}: {best_rate} of the best customers, {base_rate} of {base}, when found"
    newer = ", {holdout_base_lift} in newer ones" if not is_missing(row["holdout_base_lift"]) else ""
    return "No trait stands out beyond luck; nearest: {segment}, {base_lift} as common when found" + newer


def _draw_lifts(rows: list[dict], scale: tuple, is_narrow: bool) -> str:
    names = [row["segment"] for row in rows]
    under = [f"{format_value(row['best_rate'], 'best_rate')} of the best, "
             f"{format_value(row['base_rate'], 'base_rate')} of the base" for row in rows]  # fmt: skip
    texts = [_newer_words(row) for row in rows]
    figure, axes = canvas(len(rows), 2.35, 1.35, 0.5, n_lines=count_lines(names, under), is_narrow=is_narrow)
    set_scale(axes, scale, "base_lift", None)
    draw_reference(axes, 1.0, len(rows), "as common", is_narrow)
    for i, row in enumerate(rows):
        _draw_found(axes, i - (_APART / 5 if is_narrow else _APART), row, scale)
        value = row["holdout_base_lift"]
        if not is_missing(value):
            low, high = row["holdout_base_lift_low"], row["holdout_base_lift_high"]
            draw_range(axes, i + _APART / 2, value, low, high, row["verdict"], scale)
    write_rows(axes, names, under, texts, set(), is_narrow)
    return to_svg(figure)


def _draw_found(axes, at: float, row: dict, scale: tuple) -> None:
    """Draw where it was found: a ring on a thin line."""
    value, low, high = (row[key] for key in ("base_lift", "base_lift_low", "base_lift_high"))
    left = scale[0] if is_missing(low) else min(max(low, scale[0]), scale[1])
    right = scale[1] if is_missing(high) else max(min(high, scale[1]), scale[0])
    axes.plot([left, right], [at, at], color=LIGHT["control"], lw=1.2, clip_on=False)
    if not is_missing(value) and scale[0] <= value <= scale[1]:
        axes.plot(value, at, marker="o", ms=6, mfc=LIGHT["paper"], mec=LIGHT["control"], mew=1.2, ls="none")


def _newer_words(row: dict) -> str:
    if is_missing(row["holdout_base_lift"]):
        return "no newer ones"
    ends = row["holdout_base_lift_low"], row["holdout_base_lift_high"]
    return format_interval(row["holdout_base_lift"], *ends, "base_lift")


def plot_heat(
    frame, columns: dict[str, str], title: str = "", caption: str = "", name: str = "traits_map", needs=None,
    nothing: str = "",
) -> Chart:  # fmt: skip
    """Plot the share of each group that has each trait, the number in every cell.

    Parameters
    ----------
    frame : DataFrame
        One row a trait: `segment` and the columns named in `columns`, 0 to 1.
    columns : dict
        Column -> the group's name above it; the first is the best customers.
    title : str, optional
        Template filled from the row where the best differ most from a group other than the last, beyond luck if any
        does (`<group>_p_adjusted`, where there); else made from it.

    Returns
    -------
    Chart
    """
    if len(frame) == 0:
        return missing_chart(name, needs, nothing)
    shown = {key: words for key, words in columns.items() if key in frame and frame[key].notna().any()}
    check_columns(frame, ["segment", *shown], "plot_heat")
    rows, keys = frame.to_dict("records"), list(shown)
    # The last group is the market, which the figure of the lifts is about.
    pairs = [(row, key) for row in rows for key in keys[1:-1] or keys[-1:] if not is_missing(row[key])]
    luck = [row.get(f"{key.removesuffix('_rate')}_p_adjusted", 0.0) for row, key in pairs]
    told = [pair for pair, p in zip(pairs, luck, strict=True) if p <= MAX_P]
    most, other = max(
        told or pairs, key=lambda pair: abs(_or_zero(pair[0][keys[0]]) - pair[0][pair[1]]), default=(rows[0], "")
    )
    shares = (f"{format_value(most[key], key)} of {shown[key].lower()}" for key in (keys[0], other) if key)
    words = f"{most['segment']}: {', '.join(shares)}"
    finding = fill(most, title) if title else words if told else f"{_BY_LUCK}; largest: {words}"
    return Chart(
        name=name,
        title=finding,
        subtitle="Share of each group that has the trait; the stronger the colour, the larger",
        caption=fill(most, caption),
        alt=f"Heat map: {len(rows)} traits against {len(keys)} groups. {finding}.",
        **draw_both(_draw_heat, rows, shown),
    )


def _or_zero(value) -> float:
    return 0.0 if is_missing(value) else float(value)


def _draw_heat(rows: list[dict], shown: dict[str, str], is_narrow: bool) -> str:
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    names = [wrap_name(row["segment"]) for row in rows]
    width, left, right, top, bottom = (
        (NARROW_WIDTH, 0.06, 0.06, 0.55, 0.08) if is_narrow else (WIDTH, 2.35, 0.1, 0.5, 0.08)
    )
    per_row = 0.34 + (0.2 * max(map(len, names)) if is_narrow else 0.06)
    height = top + bottom + per_row * len(rows)
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes([left / width, bottom / height, 1 - (left + right) / width, 1 - (top + bottom) / height])
    axes.set_xlim(0, len(shown))
    axes.set_ylim(len(rows), 0)
    axes.axis("off")
    largest = max(_or_zero(row[key]) for row in rows for key in shown) or 1.0
    tall = 0.3 / per_row if is_narrow else 0.9
    for i, row in enumerate(rows):
        for j, key in enumerate(shown):
            value = row[key]
            place = (j + 0.02, i + (1 - tall) - 0.02 if is_narrow else i + 0.05)
            share = 0.0 if is_missing(value) else float(value) / largest
            look = {"color": LIGHT["blue"], "alpha": 0.06 + 0.86 * share}
            axes.add_patch(Rectangle(place, 0.96, tall, lw=0, **look))
            words = "–" if is_missing(value) else format_value(value, "best_rate")
            ink = LIGHT["paper"] if share > 0.55 else LIGHT["ink"]
            axes.text(j + 0.5, place[1] + tall / 2, words, ha="center", va="center", color=ink,
                      weight="bold" if j == 0 else "normal")  # fmt: skip
        label = {"ha": "left"} if is_narrow else {"ha": "right"}
        at = (0.02, i + (1 - tall) / 2) if is_narrow else (-0.06, i + 0.5)
        axes.text(*at, "\n".join(names[i]), va="center", **label)
    for j, words in enumerate(shown.values()):
        axes.text(j + 0.5, -0.12, "\n".join(words.split(" ", 1)), ha="center", va="bottom", size=NOTE_SIZE,
                  color=LIGHT["ink2"], weight="bold" if j == 0 else "normal")  # fmt: skip
    return to_svg(figure)


def plot_curve(
    frame, metric: str = "auc", title: str = "", caption: str = "", name: str = "selection_curve", needs=None,
    nothing: str = "",
) -> Chart:  # fmt: skip
    """Plot how well the attributes tell the best customers among newer accounts, one more at every step.

    Parameters
    ----------
    frame : DataFrame
        `trait_selection.estimate_curve`. Filled dots: selected; rings: what would come next, and was not taken.
    metric : str
        Which of its metrics.

    Returns
    -------
    Chart
    """
    chosen = frame[frame["metric"] == metric] if len(frame) else frame
    if len(chosen) == 0 or not chosen["estimate"].notna().any():
        return missing_chart(name, needs, nothing)
    rows = chosen.sort_values("step").to_dict("records")
    taken = [row for row in rows if row["is_selected"] and row["step"] > 0]
    end = taken[-1] if taken else rows[0]
    value = format_interval(end["estimate"], end["conf_low"], end["conf_high"], metric)
    n = "1 attribute ranks" if len(taken) == 1 else f"{len(taken)} attributes rank"
    words = (
        f"{n} a newer best customer above another company {value} of the time; guessing has 0.5"
        if taken
        else "No attribute is taken; adding the next ones anyway would not tell the best among newer accounts"
    )
    return Chart(
        name=name,
        title=fill(end, title) if title else words,
        subtitle="How often a newer best customer ranks above another company, by attributes known; filled = taken",
        caption=fill(end, caption),
        alt=f"Line chart: {column_name(metric).lower()} of newer accounts over {len(rows) - 1} steps. {words}.",
        **draw_both(_draw_curve, rows, metric),
    )


def _draw_curve(rows: list[dict], metric: str, is_narrow: bool) -> str:
    names = ["Nothing known" if not row["step"] else f"+ {column_name(str(row['attribute']))}" for row in rows]
    under = ["taken" if row["is_selected"] and row["step"] else "" for row in rows]
    texts = [format_interval(row["estimate"], row["conf_low"], row["conf_high"], metric) for row in rows]
    figure, axes = canvas(len(rows), 2.35, 1.55, 0.36, n_lines=count_lines(names, under), is_narrow=is_narrow)
    ends = [row[key] for row in rows for key in ("estimate", "conf_low", "conf_high") if not is_missing(row[key])]
    low, high = math.floor(min([0.4, *ends]) * 10) / 10, math.ceil(max([0.6, *ends]) * 10) / 10
    ticks = [tick / 10 for tick in range(round(low * 10), round(high * 10) + 1)]
    scale = (low, high, ticks, False)
    set_scale(axes, scale, metric, None)
    draw_reference(axes, _GUESS, len(rows), "guessing", is_narrow)
    if not is_narrow:
        axes.plot([row["estimate"] for row in rows], range(len(rows)), color=LIGHT["rule"], lw=1.2)
    for i, row in enumerate(rows):
        look = "confirmed" if row["is_selected"] else "untested"
        draw_range(axes, i, row["estimate"], row["conf_low"], row["conf_high"], look, scale)
    write_rows(axes, names, under, texts, set(), is_narrow)
    return to_svg(figure)
