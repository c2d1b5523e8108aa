"""Figures of what a customer costs to win: the ledger as a waterfall, CAC by quarter, and ranks by way of counting."""

from __future__ import annotations

import math

import numpy as np

from icp_lib.charts import (
    LIGHT,
    NARROW_WIDTH,
    NOTE_SIZE,
    WIDTH,
    Chart,
    canvas,
    draw_both,
    missing_chart,
    set_scale,
    to_svg,
    wrap_name,
    write_rows,
)
from icp_lib.checks import check_columns
from icp_lib.formats import format_interval, format_value, is_missing
from icp_lib.marks import nice_scale, tick_name
from icp_lib.sentences import fill

_WAYS = {"none": "none", "by category": "ours", "all by the lead": "all"}
_RULES = {"direct": "as charged", "opportunities": "by deals", "touches": "by touches", "open days": "by open days"}


def _money(value) -> str:
    return format_value(value, "cac")


def plot_waterfall(frame, caption: str = "", name: str = "cac_ledger", needs=None) -> Chart:
    """Plot what one new customer costs, part by part, as a waterfall that ends in the total with its range.

    Parameters
    ----------
    frame : DataFrame
        `cac_ledger`: `category`, `cac` with its ends, `n`; the total is the last row.
    caption : str
        Template filled from the total.
    needs : str or tuple of str, optional
        What is missing when the frame is empty.

    Returns
    -------
    Chart
    """
    if len(frame) == 0 or is_missing(frame["cac"].iloc[-1]):
        note = "" if len(frame) == 0 else f"{frame['note'].iloc[-1]}."
        return missing_chart(name, needs if len(frame) == 0 else None, note)
    check_columns(frame, ["category", "cac", "cac_low", "cac_high"], "plot_waterfall")
    rows = frame.to_dict("records")
    total, parts = rows[-1], sorted(rows[:-1], key=lambda row: -row["cac"])
    first = parts[0]
    share = format_value(first["cac"] / total["cac"], "share_rate")
    finding = f"{first['category'].capitalize()} are {share} of what a new customer costs to win"
    if not first["category"].endswith("s"):
        finding = finding.replace(" are ", " is ")
    said = "; ".join(f"{row['category']} {_money(row['cac'])}" for row in parts)
    return Chart(
        name=name,
        title=finding,
        subtitle="Cost to win one customer; the parts add up to the total; bar = likely range",
        caption=fill(total, caption) if caption else "",
        alt=f"Waterfall: what one new customer costs. {finding}. {said}; together {_total_words(total)}.",
        **draw_both(_draw_waterfall, parts, total),
    )


def _total_words(total: dict) -> str:
    return format_interval(total["cac"], total["cac_low"], total["cac_high"], "cac")


def _draw_waterfall(parts: list[dict], total: dict, is_narrow: bool) -> str:
    names = [row["category"].capitalize() for row in parts] + ["One new customer"]
    figure, axes = canvas(len(names), 1.5, 1.7, 0.36, 0.12, n_lines=1, is_narrow=is_narrow)
    top = total["cac_high"] if math.isfinite(total["cac_high"]) else total["cac"]
    set_scale(axes, nice_scale([0.0, total["cac"], top], "money"), "cac", None)
    axes.set_ylim(axes.get_ylim()[0] + 0.25, axes.get_ylim()[1])
    half, at = 0.14 if is_narrow else 0.27, 0.0
    for i, row in enumerate(parts):
        colour = LIGHT["blue" if i == 0 else "control"]
        axes.fill([at, at + row["cac"], at + row["cac"], at], [i - half, i - half, i + half, i + half], color=colour)
        at += row["cac"]
        axes.plot([at, at], [i + half, i + 1 - half], color=LIGHT["rule"], lw=0.8)
    last = len(parts)
    axes.fill([0, at, at, 0], [last - half, last - half, last + half, last + half], color=LIGHT["ink2"])
    below = last + half + (0.1 if is_narrow else 0.13)
    axes.plot([total["cac_low"], min(top, axes.get_xlim()[1])], [below, below], color=LIGHT["blue"], lw=3, alpha=0.3,
              clip_on=False)  # fmt: skip
    axes.plot(total["cac"], below, "o", ms=4.5, color=LIGHT["blue"], clip_on=False)
    shares = [format_value(row["cac"] / total["cac"], "share_rate") for row in parts]
    texts = [f"{_money(row['cac'])} · {share}" for row, share in zip(parts, shares, strict=True)]
    write_rows(axes, names, [""] * len(names), [*texts, _total_words(total)], {last}, is_narrow)
    return to_svg(figure)


def plot_quarters(frame, caption: str = "", name: str = "cac", needs=None) -> Chart:
    """Plot CAC by the quarter in which customers were won: dot and bar with the lag, ring without.

    Parameters
    ----------
    frame : DataFrame
        `cac` of one group: `quarter`, `metric` (cac, cac_zero_lag), `estimate` with its ends, `n`, `note`. Quarters
        whose spend is not known are left out with the lag.
    caption : str
        Template filled from the newest quarter.

    Returns
    -------
    Chart
    """
    known = frame[(frame["metric"] == "cac") & frame["estimate"].notna()].sort_values("quarter")
    if len(known) == 0:
        words = "Spend does not reach back far enough to show a quarter with the lag." if len(frame) else ""
        return missing_chart(name, None if words else needs, words)
    rows = known.to_dict("records")
    bare = frame[frame["metric"] == "cac_zero_lag"].set_index("quarter")["estimate"].to_dict()
    now = rows[-1]
    said = format_interval(now["estimate"], now["conf_low"], now["conf_high"], "cac")
    finding = f"A customer won in {now['quarter']} costs {said}{_against(rows)}"
    ring = bare.get(now["quarter"])
    return Chart(
        name=name,
        title=finding,
        subtitle="Cost to win a customer, by quarter of the win; dot and bar = with the lag, ring = without",
        caption=fill(now, caption) if caption else "",
        alt=f"Dot chart: cost to win a customer in {len(rows)} quarters. {finding}. Without the lag: {_money(ring)}.",
        **draw_both(_draw_quarters, rows, bare),
    )


def _against(rows: list[dict]) -> str:
    """Which likely ranges before it the newest quarter's range overlaps, in words."""
    before, now = rows[:-1], rows[-1]
    if not before:
        return ""
    if all(now["conf_low"] > row["conf_high"] for row in before):
        return ", dearer than in any quarter before"
    if all(now["conf_high"] < row["conf_low"] for row in before):
        return ", cheaper than in any quarter before"
    apart = [row["quarter"] for row in before
             if now["conf_low"] > row["conf_high"] or now["conf_high"] < row["conf_low"]]  # fmt: skip
    if apart:
        return f"; its range is apart from that of {', '.join(apart)}, not of the others"
    words = "that of the quarter before" if len(before) == 1 else f"those of all {len(before)} quarters before"
    return f"; its range overlaps {words}"


def _draw_quarters(rows: list[dict], bare: dict, is_narrow: bool) -> str:
    from matplotlib.figure import Figure

    width, height, left, right, top, bottom = (NARROW_WIDTH if is_narrow else WIDTH), 3.3, 0.62, 0.85, 0.2, 0.42
    right = 0.62 if is_narrow else right
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes([left / width, bottom / height, 1 - (left + right) / width, 1 - (top + bottom) / height])
    tops = [row["conf_high"] for row in rows if math.isfinite(row["conf_high"])]
    rings = [bare[row["quarter"]] for row in rows if not is_missing(bare.get(row["quarter"]))]
    scale = nice_scale([0.0, *tops, *rings, *(row["estimate"] for row in rows)], "money")
    axes.set_ylim(*scale[:2])
    axes.set_yticks(scale[2], [tick_name(tick, scale, "cac", None) for tick in scale[2]])
    axes.grid(axis="y")
    axes.grid(axis="x", visible=False)
    axes.set_xlim(-0.5, len(rows) - 0.5)
    every = 2 if is_narrow and len(rows) > 5 else 1
    shown = [i for i in range(len(rows)) if (len(rows) - 1 - i) % every == 0]
    axes.set_xticks(shown, [rows[i]["quarter"] for i in shown])
    for i, row in enumerate(rows):
        is_last = i == len(rows) - 1
        colour = LIGHT["blue" if is_last else "control"]
        axes.plot([i, i], [row["conf_low"], min(row["conf_high"], scale[1])], color=colour, lw=5, alpha=0.3)
        axes.plot(i, row["estimate"], "o", ms=7.5, color=colour)
        if not is_missing(bare.get(row["quarter"])):
            axes.plot(i + 0.22, bare[row["quarter"]], "o", ms=6, mfc=LIGHT["paper"], color=LIGHT["ink2"], mew=1.1)
    _name_ends(axes, rows, bare, scale)
    return to_svg(figure)


def _name_ends(axes, rows: list[dict], bare: dict, scale: tuple) -> None:
    """Write what dot and ring are beside the newest quarter, apart where they would touch."""
    last, ring = len(rows) - 1, bare.get(rows[-1]["quarter"])
    least = 0.075 * (scale[1] - scale[0])
    high, place = rows[-1]["estimate"], {"textcoords": "offset points", "va": "center", "annotation_clip": False}
    low = None if is_missing(ring) else ring
    if low is not None and abs(high - low) < least:
        middle, sign = (high + low) / 2, 1 if high >= low else -1
        high, low = middle + sign * least / 2, middle - sign * least / 2
    axes.annotate("with lag", (last + 0.3, high), (6, 0), color=LIGHT["blue"], weight="bold", size=NOTE_SIZE, **place)
    if low is not None:
        axes.annotate("without", (last + 0.3, low), (6, 0), color=LIGHT["ink2"], size=NOTE_SIZE, **place)


def plot_ranks(frame, caption: str = "", name: str = "cac_ranks", needs=None, nothing: str = "") -> Chart:
    """Plot the rank of each segment's cost to win under every rule for shared cost and every lag.

    Parameters
    ----------
    frame : DataFrame
        `cac_ranks`: `segment`, `rule`, `lag`, `rank`, `is_house`, `p_first`, `estimate`.
    nothing : str
        What an empty frame means, where nothing is missing.

    Returns
    -------
    Chart
    """
    if len(frame) == 0:
        return missing_chart(name, None if nothing else needs, nothing)
    lags, rules = list(_WAYS), list(dict.fromkeys(frame["rule"]))
    ways = [(rule, lag) for rule in rules for lag in lags]
    house = frame[frame["is_house"]].sort_values(["rank", "segment"])
    ranks = {name: [int(part.loc[(part["rule"] == rule) & (part["lag"] == lag), "rank"].iloc[0]) for rule, lag in ways]
             for name, part in frame.groupby("segment")}  # fmt: skip
    names = house["segment"].tolist()
    first = ranks[names[0]].count(1)
    how = "every one" if first == len(ways) else f"{first}"
    finding = f"{names[0]} are cheapest to win under {how} of {len(ways)} ways of counting"
    chance = format_value(house["p_first"].iloc[0], "chance_first_rate")
    return Chart(
        name=name,
        title=finding,
        subtitle="Place by cost to win, 1st = cheapest. Shared cost is split as the ledger charges it, or by deals, "
        "touches or days open; spend is moved to its wins not at all (none), by category (ours) or by the lead (all)",
        caption=fill(house.iloc[0], caption) if caption else "",
        alt=f"Rank chart: {len(names)} segments under {len(ways)} ways of counting. {finding}; the chance of being "
        f"cheapest by our way is {chance}. Last by our way: {names[-1]}.",
        **draw_both(_draw_ranks, names, ranks, ways),
    )


def _draw_ranks(names: list[str], ranks: dict, ways: list[tuple], is_narrow: bool) -> str:
    from matplotlib.figure import Figure

    n, per = len(names), 0.62 if is_narrow else 0.5
    width, left, right, top, bottom = (NARROW_WIDTH if is_narrow else WIDTH), 0.45, 2.5, 0.3, 0.8
    right = 0.2 if is_narrow else right
    height = top + bottom + per * max(n - 1, 1) + (0.35 if is_narrow else 0.0)
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes([left / width, bottom / height, 1 - (left + right) / width, 1 - (top + bottom) / height])
    axes.set_ylim(n + (0.75 if is_narrow else 0.2), 0.75)
    axes.set_xlim(-0.4, len(ways) - 0.6)
    axes.set_yticks(range(1, n + 1), ["1st", *map(str, range(2, n + 1))])
    axes.grid(axis="y")
    axes.grid(axis="x", visible=False)
    x = np.arange(len(ways))
    for i, name in reversed(list(enumerate(names))):
        colour, wide = (LIGHT["blue"], 2) if i == 0 else (LIGHT["control"], 1.2)
        axes.plot(x, ranks[name], "-o", color=colour, lw=wide, ms=6 if i == 0 else 4.5, zorder=3 if i == 0 else 2)
        look = {"color": LIGHT["blue" if i == 0 else "ink"], "weight": "bold" if i == 0 else "normal",
                "textcoords": "offset points", "annotation_clip": False}  # fmt: skip
        at = (x[-1], ranks[name][-1])
        words = "\n".join(wrap_name(name))
        if is_narrow:
            axes.annotate(words, (0, ranks[name][0]), (0, -8), va="top", size=NOTE_SIZE, **look)
        else:
            axes.annotate(words, at, (12, 0), va="center", size=NOTE_SIZE + 0.5, **look)
    axes.set_xticks(x, [_WAYS[lag] for _, lag in ways], rotation=90 if is_narrow else 0)
    axes.spines["bottom"].set_visible(False)
    for start in range(0, len(ways), len(_WAYS)):
        words, drop = _RULES[ways[start][0]], -44 if is_narrow else -28
        place = {"xycoords": axes.get_xaxis_transform(), "textcoords": "offset points", "annotation_clip": False}
        axes.annotate(words, (start + 1, 0), (0, drop), ha="center", size=NOTE_SIZE, color=LIGHT["ink2"], **place)
    return to_svg(figure)
