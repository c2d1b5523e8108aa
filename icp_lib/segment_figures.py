"""Figures of the segments: how large the prize of each is, and how distinct they are from one another.

Each `plot_*` takes result tables and returns a `Chart`; a figure of nothing says so in words. Lifts lie on log axes.
"""

from __future__ import annotations

import math

import numpy as np

from icp_lib.charts import (
    LIGHT,
    NOTE_SIZE,
    WIDTH,
    Chart,
    canvas,
    count_lines,
    draw_both,
    missing_chart,
    to_svg,
    write_rows,
)
from icp_lib.checks import DataError, check_columns, check_in
from icp_lib.formats import format_value, is_missing
from icp_lib.labels import Label
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
    set_counts,
    set_upright,
    split_rows,
    write_marks,
)
from icp_lib.sentences import fill

_BARELY, _ALLOWED, _LEFT = 0.15, 1 / 3, 2.45
#: Shares up to which a cell has an opacity; the number in it is ink, on a full one paper: both themes can read it.
_SHADES = ((0.1, 0.1), (0.2, 0.25), (_ALLOWED, 0.45))
#: What luck reaches in 1 search of 20 and in 1 of 2, and the colour of each.
_LUCK = {"noise_95": "tint-grey", "noise_50": "line"}


def _lift(value) -> str:
    return format_value(value, "lift")


def plot_map(
    segments,
    noise=None,
    x: str = "reachable_accounts",
    title: str = "",
    subtitle: str = "",
    caption: str = "",
    name: str = "segment_map",
    needs=None,
) -> Chart:
    """Plot how much better each segment is (up) against how many accounts or deals it has (across).

    Up is the lift in newer deals; a ring where only the lift when found is known. With `noise` the lift when found is
    drawn for all, because that is what the funnel is about.

    Parameters
    ----------
    segments : DataFrame
        `segment`, `lift_found`, `holdout_lift` with `_low` and `_high`, `verdict`, the column `x`, and where there
        `note`. Rows without a lift, without `x` or without enough data are named in the caption instead.
    noise : DataFrame, optional
        `n_opportunities`, `noise_50`, `noise_95`: what luck alone reaches at that size; with x="n_opportunities" only.
        Segments then stand at their deals when found, `found_n_opportunities`, where that column is there.
    x : {'reachable_accounts', 'n_opportunities'}
    title, subtitle, caption : str
        Templates filled from the first row drawn; without a title it is made from the data.
    needs : str or tuple of str, optional
        What is missing when nothing can be drawn.

    Returns
    -------
    Chart
    """
    check_in(x, ("reachable_accounts", "n_opportunities"), "x")
    if noise is not None and x != "n_opportunities":
        raise DataError('plot_map: the noise is by deals. Pass x="n_opportunities", or no noise.')
    if len(segments) == 0:
        return missing_chart(name, needs, "No segment was found, so there is nothing to compare.")
    check_columns(segments, ["segment", "lift_found", "holdout_lift", "verdict", x], "plot_map")
    luck = [] if noise is None else check_columns(noise, ["n_opportunities", *_LUCK], "plot_map")
    funnel = [] if not len(luck) else luck.dropna().sort_values("n_opportunities").to_dict("records")
    x = f"found_{x}" if funnel and f"found_{x}" in segments else x
    up = segments["lift_found"] if funnel else segments["holdout_lift"].fillna(segments["lift_found"])
    rows, left_out = split_rows(segments.assign(up_lift=up), "up_lift", x)
    what = {"reachable_accounts": "companies still to win", "n_opportunities": "deals"}.get(x, "deals when found")
    if not rows:
        return missing_chart(name, needs, f"No segment has both a lift and a count of {what}.")
    finding = fill(rows[0], title) if title else _map_title(rows, x, what, funnel)
    last = min(rows, key=lambda row: row["up_lift"])
    return Chart(
        name=name,
        title=finding,
        subtitle=fill(rows[0], subtitle or _map_subtitle(what, bool(funnel))),
        caption=fill_caption(rows[0], caption, left_out),
        alt=f"Map: lift over the rest against {what}, {say_count(len(rows))}. {finding}. "
        f"Lowest: {last['segment']}, {_lift(last['up_lift'])} with {format_value(last[x], 'n')}.",
        **draw_both(_draw_map, rows, x, what, funnel),
    )


def _map_subtitle(what: str, is_funnel: bool) -> str:
    if is_funnel:
        return "Times the rest when found (up), deals (across); grey = what luck alone reaches at that size"
    return f"Times the rest in newer deals (up), {what} (across); ring = when found, bar = likely range"


def _map_title(rows: list[dict], x: str, what: str, funnel: list[dict]) -> str:
    if funnel:
        sizes, most = (np.log([row[key] for row in funnel]) for key in ("n_opportunities", "noise_95"))
        n_above = sum(row["up_lift"] > np.exp(np.interp(math.log(row[x]), sizes, most)) for row in rows)
        how_many = f"{n_above} of {len(rows)} segments"
        if n_above in (0, len(rows)):
            how_many = f"{'All' if n_above else 'None'} of {say_count(len(rows))}"
        return f"{how_many} lie above what luck alone reaches at their size"
    ahead = [row for row in rows if row["up_lift"] > 1]
    if not ahead:
        return f"None of {say_count(len(rows))} is ahead of the rest"
    top, prize = (max(ahead, key=key) for key in (lambda row: row["up_lift"], lambda row: row["up_lift"] * row[x]))
    most = "at most " if x == "reachable_accounts" and not is_missing(prize.get("reachable_note")) else ""
    said = f"{prize['segment']}, {_lift(prize['up_lift'])} the rest with {most}{format_value(prize[x], 'n')} {what}"
    return f"The highest lead is also the largest prize: {said}" if top is prize else f"The largest prize is {said}"


def _draw_map(rows: list[dict], x: str, what: str, funnel: list[dict], is_narrow: bool) -> str:
    figure, axes = build_plane(4.1, [str(row["segment"]) for row in rows], is_narrow)
    luck = [row[key] for row in funnel for key in _LUCK]
    scale = lift_scale([*luck, *(row["up_lift"] for row in rows)]) if funnel else range_scale(rows, "up_lift")
    set_upright(axes, scale)
    across = set_counts(axes, [row[x] for row in rows])
    blocked, same = draw_same(axes, across, "no better than the rest")
    lines = [same, *([_draw_funnel(axes, funnel, across)] if funnel else [])]
    marks = []
    for i, row in enumerate(rows):
        is_held = not is_missing(row["holdout_lift"])
        if is_held and not funnel:
            ends = row.get("holdout_lift_low"), row.get("holdout_lift_high")
            blocked += draw_upright(axes, row[x], *ends, row["verdict"], scale)
        marks.append(draw_segment(axes, row, row[x], row["up_lift"], scale, i == 0, not (is_held or funnel)))
    write_marks(axes, marks, lines, blocked, is_narrow)
    name_across(axes, what)
    return to_svg(figure)


def _draw_funnel(axes, funnel: list[dict], across: tuple) -> Label:
    """Draw what luck alone reaches by size, level beyond the first and last size; return its name."""
    sizes, at = np.log([row["n_opportunities"] for row in funnel]), np.geomspace(*across, 80)
    tops = {key: np.exp(np.interp(np.log(at), sizes, np.log([row[key] for row in funnel]))) for key in _LUCK}
    for key, token in _LUCK.items():
        axes.fill_between(at, 1, tops[key], color=LIGHT[token], zorder=0.5)
    edge = zip(at[::-1], tops["noise_95"][::-1], strict=True)
    return name_line("luck alone, 1 in 20", [(float(x), float(y), 0) for x, y in edge])


def plot_overlap(
    segments,
    overlap,
    title: str = "",
    subtitle: str = "",
    caption: str = "",
    name: str = "overlap",
    needs=None,
    what: str = "new margin",
) -> Chart:
    """Plot the accounts that each two segments share, and what only each of them holds.

    Parameters
    ----------
    segments : DataFrame
        `segment_id`, `segment`, `margin_share_rate` (0 to 1; missing is said); the order of the rows.
    overlap : DataFrame
        `segment_id`, `other_id`, `share_rate`: shared accounts as a share of the smaller segment's, for all pairs.
    title, subtitle, caption : str
        Templates filled from the first row; without a title it is made from the data.
    needs : str or tuple of str, optional
        What is missing when there is no segment.
    what : str
        What `margin_share_rate` is a share of; without a margin it is wins.

    Returns
    -------
    Chart

    Raises
    ------
    DataError
        A pair of segments without a row.
    """
    if len(segments) == 0:
        return missing_chart(name, needs, "No segment was found, so none can overlap.")
    check_columns(segments, ["segment_id", "segment", "margin_share_rate"], "plot_overlap")
    rows = segments.to_dict("records")
    shares = _build_shares(rows, overlap)
    finding = fill(rows[0], title) if title else _overlap_title(rows, shares, what)
    pairs = [(shares[i][k], i, k) for i in range(len(rows)) for k in range(i)]
    most, i, k = max(pairs, default=(0, 0, 0), key=lambda pair: pair[0])
    odd = f" Most shared: {rows[k]['segment']} and {rows[i]['segment']}, {_share(most)}." if most else ""
    words = subtitle or "Shared accounts as a share of the smaller segment; a third at most is allowed"
    return Chart(
        name=name,
        title=finding,
        subtitle=fill(rows[0], words),
        caption=fill(rows[0], caption),
        alt=f"Matrix and bars: shared accounts and own share of {what}, {say_count(len(rows))}. {finding}.{odd}",
        **draw_both(_draw_overlap, rows, shares, what),
    )


def _share(value) -> str:
    return format_value(value, "share_rate")


def _build_shares(rows: list[dict], overlap) -> list[list[float]]:
    """Return the share of every two segments, the later row first."""
    known = {}
    if len(overlap):
        check_columns(overlap, ["segment_id", "other_id", "share_rate"], "plot_overlap")
        known = overlap.set_index(["segment_id", "other_id"])["share_rate"].to_dict()
    ids = [row["segment_id"] for row in rows]
    lacking = [(a, b) for i, a in enumerate(ids) for b in ids[:i] if is_missing(known.get((a, b)))]
    if lacking:
        raise DataError(
            f"plot_overlap: {len(lacking)} pairs of segments have no share_rate (first: {' and '.join(lacking[0])}). "
            "Pass one row for every two segments."
        )
    return [[float(known[a, b]) for b in ids[:i]] for i, a in enumerate(ids)]


def _overlap_title(rows: list[dict], shares: list[list[float]], what: str) -> str:
    own = [row["margin_share_rate"] for row in rows if not is_missing(row["margin_share_rate"])]
    held = f" hold {_share(sum(own))} of {what}" if len(own) == len(rows) else ""
    most = max((share for row in shares for share in row), default=0.0)
    if len(rows) == 1:
        return f"The one segment holds {_share(own[0])} of {what}" if own else "There is one segment to compare"
    head = f"The {say_count(len(rows))}"
    if most == 0:
        return f"{head} do not overlap and{held}" if held else f"{head} do not overlap"
    held = held.replace(" hold ", " hold at least ")
    if most <= _BARELY:
        return f"{head} barely overlap and{held}" if held else f"{head} barely overlap: {_share(most)} at most"
    return f"{head} share up to {_share(most)} of their accounts" + (f" and{held}" if held else "")


def _draw_overlap(rows: list[dict], shares: list[list[float]], what: str, is_narrow: bool) -> str:
    n, names, none = len(rows), [str(row["segment"]) for row in rows], [""] * len(rows)
    values = [row["margin_share_rate"] for row in rows]
    texts = ["not measured" if is_missing(value) else _share(value) for value in values]
    if is_narrow:
        side, names = 0.36, [f"{i} · {name}" for i, name in enumerate(names, 1)]
        figure, bars = canvas(n, 0, 0, top=0.75 + side * n, n_lines=count_lines(names, none), is_narrow=True)
        width, height = figure.get_size_inches()
        matrix = figure.add_axes([0.35 / width, 1 - (0.25 + side * n) / height, side * n / width, side * n / height])
        write_rows(bars, names, none, texts, {0}, is_narrow=True)
    else:
        side, right = min(0.44, 2.8 / n), 0.85 if any(map(is_missing, values)) else 0.5
        figure, matrix = canvas(n, _LEFT, WIDTH - _LEFT - side * n, 0.42)
        box, start = matrix.get_position(), _LEFT + side * n + 0.35
        bars = figure.add_axes([start / WIDTH, box.y0, 1 - (start + right) / WIDTH, box.height])
        bars.set_ylim(matrix.get_ylim())
        write_rows(matrix, names, none, none, {0})
        for i, text in enumerate(texts):
            at = 0 if is_missing(values[i]) else max(values[i], 0)
            bars.annotate(text, (at, i), (6, 0), va="center", textcoords="offset points", annotation_clip=False)
    _draw_matrix(matrix, shares, is_narrow)
    colours = [LIGHT["control" if i else "blue"] for i in range(n)]
    widths = [0 if is_missing(value) else value for value in values]
    bars.barh(range(n), widths, 0.3 if is_narrow else 0.5, color=colours)
    bars.set_xlim(min([0, *widths]), max([0.01, *widths]))
    for axes, words in ((matrix, "overlap"), (bars, f"{what} only it holds")):
        axes.set(xticks=[], yticks=[])
        axes.grid(False)
        axes.spines[:].set_visible(False)
        place = {"xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False}
        axes.annotate(words, (0, 1), (0, 6), size=NOTE_SIZE, color=LIGHT["ink2"], **place)
    return to_svg(figure)


def _draw_matrix(axes, shares: list[list[float]], is_narrow: bool) -> None:
    """Draw the lower triangle, the share printed in each cell; on the narrow drawing rows carry numbers."""
    from matplotlib.patches import Rectangle

    axes.set(xlim=(-0.5, len(shares) - 0.5), ylim=(len(shares) - 0.5, -0.5))
    for i, row in enumerate(shares):
        for k, share in enumerate([*row, None]):
            fill_token, alpha, ink = _cell_look(share)
            look = {"color": LIGHT[fill_token], "alpha": alpha}
            axes.add_patch(Rectangle((k - 0.47, i - 0.46), 0.94, 0.92, **look))
            text = "" if share is None else "0" if share == 0 else "<1%" if share < 0.005 else _share(round(share, 2))
            axes.text(k, i, text, ha="center", va="center", color=LIGHT[ink])
        if is_narrow:
            axes.text(-0.7, i, str(i + 1), ha="right", va="center")


def _cell_look(share: float | None) -> tuple[str, float, str]:
    """Return a cell's colour token, its opacity, and the token of its number; None is a segment with itself."""
    if share is None:
        return "control", 1, "ink"
    if share == 0:
        return "wash", 1, "ink2"
    if share > _ALLOWED + 1e-9:
        return "blue", 1, "paper"
    return "blue", next(alpha for most, alpha in _SHADES if share <= most + 1e-9), "ink"


