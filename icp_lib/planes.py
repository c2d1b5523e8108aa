"""Figures with two axes: lifts on log scales, upright likely ranges, the line of the rest, names beside the marks."""

from __future__ import annotations

import math
import textwrap

from icp_lib.charts import LIGHT, NARROW_WIDTH, NOTE_SIZE, WIDTH, dot_style, set_scale
from icp_lib.formats import format_value, is_missing
from icp_lib.labels import ON_BAR, ON_LINE, Label, write_labels
from icp_lib.marks import VERDICTS, tick_name, verdict_key
from icp_lib.sentences import fill

_TICKS = (
    (0.5, 0.8, 1, 1.25, 1.5, 2),
    (0.25, 0.5, 1, 1.5, 2, 3, 4),
    (0.125, 0.25, 0.5, 1, 2, 4, 8, 16),
    (0.0625, 0.25, 1, 4, 16, 64),
    (0.001, 0.01, 0.1, 1, 10, 100, 1000),
)
_MOST_TICKS, _LINE = 6, 11.0
_COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")


def build_plane(height: float, names: list[str], is_narrow: bool):
    """Return (figure, axes) of a figure with two axes; a narrow one has room below for the `names` of its marks."""
    from matplotlib.figure import Figure

    width, left, right, top, bottom = WIDTH, 0.55, 0.15, 0.12, 0.62
    if is_narrow:
        key = (_LINE * sum(len(_wrap_key(name)) for name in names) + 12) / 72
        width, bottom, height = NARROW_WIDTH, bottom + key, height + key
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes([left / width, bottom / height, 1 - (left + right) / width, 1 - (top + bottom) / height])
    axes.grid(False)
    axes.grid(axis="y")
    return figure, axes


def _wrap_key(name: str) -> list[str]:
    return textwrap.wrap(name, 46, max_lines=2, placeholder=" …") or ["–"]


def write_marks(axes, marks: list[Label], lines: list[Label], blocked, is_narrow: bool) -> None:
    """Write the names of marks beside them; on a narrow figure numbers, and the names below. Then those of lines."""
    if is_narrow:
        _write_key(axes, marks)
        marks = [mark._replace(text=str(i), is_bold=True) for i, mark in enumerate(marks, 1)]
    write_labels(axes, [*marks, *lines], blocked)


def _write_key(axes, marks: list[Label]) -> None:
    """Write number and name of every mark below the axes."""
    place = {"xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False}
    down = -31 - 2 * _LINE
    for i, mark in enumerate(marks, 1):
        style = {"color": mark.colour, "size": NOTE_SIZE, "weight": "bold" if mark.is_bold else "normal"}
        axes.annotate(str(i), (0, 0), (-24, down), **style, **place)
        for line in _wrap_key(mark.text):
            axes.annotate(line, (0, 0), (-10, down), **style, **place)
            down -= _LINE


def lift_scale(values) -> tuple[float, float, list[float], bool]:
    """Return (low, high, ticks, is_log) of a log axis with a little room around lifts and around 1.

    `marks.nice_scale` lies evenly around 1; here all the room goes to where the lifts are.

    Examples
    --------
    >>> low, high, ticks, _ = lift_scale([2.8, 1.3, 0.6])
    >>> round(low, 2), round(high, 2), ticks
    (0.55, 3.14, [1, 1.5, 2, 3])
    """
    known = [float(value) for value in values if not is_missing(value) and 0 < value < math.inf]
    low, high = min([0.9, *known]) / 1.1, max([1.5, *known]) * 1.12
    for ticks in _TICKS:
        within = [tick for tick in ticks if low <= tick <= high]
        if len(within) <= _MOST_TICKS and ticks[0] <= 2 * low and high <= 1.5 * ticks[-1]:
            break
    return low, high, within, True


def range_scale(rows: list[dict], column: str = "holdout_lift") -> tuple[float, float, list[float], bool]:
    """Return a scale for lifts and for ends of their ranges in newer deals; an end far away becomes an arrow."""
    tops = [row[column] for row in rows]
    ends = [row.get(f"holdout_lift_{end}") for row in rows for end in ("low", "high")]
    least, most = min([0.5, *(top for top in tops if top > 0)]) / 2, 2 * max(tops)
    return lift_scale([*tops, *(end for end in ends if not is_missing(end) and least <= end <= most)])


def set_upright(axes, scale: tuple) -> None:
    """Give the upright axis a scale of lifts."""
    low, high, ticks, _ = scale
    axes.set_yscale("log")
    axes.minorticks_off()
    axes.set_ylim(low, high)
    axes.set_yticks(ticks, [tick_name(tick, scale, "lift") for tick in ticks])


def set_counts(axes, values) -> tuple[float, float]:
    """Give the axis across a log scale with a little room around counts; return its ends."""
    low, high = min(values) / 1.5, max(values) * 1.8
    for bases in ((1, 2, 5), (1,)):
        ticks = [base * 10.0**power for power in range(9) for base in bases if low <= base * 10.0**power <= high]
        if len(ticks) <= _MOST_TICKS:
            break
    set_scale(axes, (low, high, ticks, True), "lift", None)
    axes.set_xticks(ticks, [format_value(tick, "n") for tick in ticks])
    return low, high


def name_across(axes, words: str) -> None:
    """Write what the axis across is, flush left below its ticks."""
    place = {"xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False}
    axes.annotate(words, (0, 0), (0, -31), size=NOTE_SIZE, color=LIGHT["ink2"], **place)


def trace(start: tuple[float, float], end: tuple[float, float], cost: float) -> list[tuple[float, float, float]]:
    """Return points of a straight line on two log axes and what it costs a label to cover them."""
    import numpy as np

    xs, ys = (np.geomspace(first, last, 60) for first, last in zip(start, end, strict=True))
    return [(float(x), float(y), cost) for x, y in zip(xs, ys, strict=True)]


def draw_same(axes, across: tuple, words: str) -> tuple[list[tuple], Label]:
    """Draw the line at the height of the rest; return its points, and its name for the right end."""
    axes.axhline(1, color=LIGHT["ink2"], lw=1.2, zorder=1.5)
    points = trace((across[0], 1), (across[1], 1), ON_LINE)
    return points, name_line(words, points)


def name_line(words: str, points: list[tuple]) -> Label:
    """Return the name of a line for where it has room, the last of its points first."""
    along = tuple((x, y) for x, y, _ in points[::-10])
    return Label(*along[0], words, colour=LIGHT["ink2"], is_small=True, along=along)


def draw_upright(axes, at: float, low, high, verdict: str, scale: tuple) -> list[tuple]:
    """Draw a likely range as an upright bar, arrows where it leaves the scale; return its points."""
    if is_missing(low) and is_missing(high):
        return []
    is_cut = is_missing(low) or low < scale[0], is_missing(high) or high > scale[1]
    ends = scale[0] if is_cut[0] else low, scale[1] if is_cut[1] else high
    colour = LIGHT[VERDICTS[verdict_key(verdict)][0]]
    axes.plot([at, at], ends, color=colour, lw=5, alpha=0.3, clip_on=False)
    for end, leaves, marker in zip(ends, is_cut, "v^", strict=True):
        if leaves:
            axes.plot(at, end, marker=marker, ms=5, color=colour, clip_on=False)
    return trace((at, ends[0]), (at, ends[1]), ON_BAR)


def draw_segment(axes, row: dict, x: float, y: float, scale: tuple, is_first: bool, is_ring: bool = False) -> Label:
    """Draw the dot of a segment's verdict and return its name; a lift of nothing stands at the foot of the scale."""
    style = dot_style(row.get("verdict", "")) | ({"mfc": LIGHT["paper"], "fillstyle": "full"} if is_ring else {})
    at = max(y, scale[0])
    axes.plot(x, at, clip_on=False, zorder=4, **style)
    colour = {"confirmed": "blue", "contradicted": "verm"}.get(verdict_key(row.get("verdict", "")), "ink")
    under = "" if at == y else format_value(y, "lift")
    return Label(x, at, str(row["segment"]), under, LIGHT[colour], is_bold=is_first)


def split_rows(frame, *columns: str) -> tuple[list[dict], list[dict]]:
    """Return the rows that can be drawn, and the others: no value, or below the minimum where no figure is printed.

    A lift of nothing can be drawn (at the foot of its scale), a count of nothing cannot.
    """
    rows = frame.to_dict("records")
    can = [verdict_key(row.get("verdict", "")) != "not enough data" and all(_has(row, name) for name in columns)
           for row in rows]  # fmt: skip
    drawn, left_out = ([row for row, is_in in zip(rows, can, strict=True) if is_in is side] for side in (True, False))
    return drawn, left_out


def _has(row: dict, column: str) -> bool:
    value = row.get(column)
    return not is_missing(value) and (0 < value < math.inf or (value == 0 and "lift" in column))


def fill_caption(row: dict, template: str, left_out: list[dict]) -> str:
    """Return a caption, filled, and the names of the rows that are not drawn with their notes."""
    parts = [fill(row, template)] if template else []
    if left_out:
        parts.append(f"{'not' if parts else 'Not'} drawn: {'; '.join(map(_name_with_note, left_out))}")
    return " · ".join(parts)


def _name_with_note(row: dict) -> str:
    note = "" if is_missing(row.get("note")) else f" ({textwrap.shorten(str(row['note']), 48)})"
    return f"{row['segment']}{note}"


def say_count(n: int) -> str:
    """Return how many segments in words.

    Examples
    --------
    >>> say_count(1), say_count(12)
    ('one segment', '12 segments')
    """
    return f"{_COUNTS[n] if n < len(_COUNTS) else f'{n:,}'} segment{'' if n == 1 else 's'}"
