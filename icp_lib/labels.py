"""Names beside marks: each label gets the place where it covers least, the same on every run."""

from __future__ import annotations

import textwrap
from typing import NamedTuple

import numpy as np

from icp_lib.charts import LIGHT, NOTE_SIZE

LINE = 11.0
_GAP, _FAR, _PASSES = 8.0, 16.0, 8
_GAPS = (_GAP, 32.0, 64.0)
_STEPS = (0, 7, -7, 14, -14, 21, -21, 30, -30, 42, -42, 56, -56, 72, -72, 90, -90)
#: What it costs to cover a point of a line, of a bar or a mark, and a square point of another label; to leave the axes
#: by a point; to stand a point away from the mark; to stand left of it, above or below it.
ON_LINE, ON_BAR, ON_MARK = 3.0, 8.0, 60.0
_ON_LABEL, _OUTSIDE, _AWAY, _LEFT, _MIDDLE = 2.0, 40.0, 0.8, 4.0, 6.0


class Label(NamedTuple):
    """Words that belong to the point (x, y) of the axes; `under` is small and stands below them.

    The name of a line has points of the line in `along`: it hugs the line near one of them, the first best.
    """

    x: float
    y: float
    text: str
    under: str = ""
    colour: str = LIGHT["ink"]
    is_bold: bool = False
    is_small: bool = False
    along: tuple[tuple[float, float], ...] = ()


class _Place(NamedTuple):
    """Left, bottom, right and top in points, how the lines are aligned, and what the place itself costs."""

    left: float
    bottom: float
    right: float
    top: float
    align: str
    cost: float


def write_labels(axes, labels: list[Label], blocked=(), width: int = 26) -> None:
    """Write labels beside their points, a hairline to those that had to go further away.

    Each label tries places to the right, left, above and below its point; in turn each takes the one that covers the
    least of `blocked`, of the other points and of the other labels, until none moves.

    Parameters
    ----------
    axes : Axes
        With its final limits and scales.
    labels : list of Label
        The first choose first.
    blocked : iterable of (x, y, cost)
        Points of lines and bars, in the units of the axes, and what it costs to cover them.
    width : int
        Characters of a line; longer text is wrapped to two lines.
    """
    if not labels:
        return
    points = [_to_points(axes, label.x, label.y) for label in labels]
    lines = [_lines(label, width) for label in labels]
    hard = [(*_to_points(axes, x, y), cost) for x, y, cost in blocked]
    hard += [(*point, ON_MARK) for point, label in zip(points, labels, strict=True) if not label.along]
    hard = np.array(hard, float).reshape(-1, 3).T
    box = axes.bbox.transformed(axes.figure.dpi_scale_trans.inverted())
    area = tuple(72 * each for each in (box.x0, box.y0, box.x1 + 0.1, box.y1))
    choices = []
    for label, point, words in zip(labels, points, lines, strict=True):
        size = _measure(words)
        places = _list_along(axes, label, size) if label.along else _list_around(point, size)
        choices.append(sorted((_price(place, area, hard) for place in places), key=lambda place: place.cost))
    for label, point, words, place in zip(labels, points, lines, _settle(choices), strict=True):
        _write(axes, label, point, words, place)


def _to_points(axes, x: float, y: float) -> tuple[float, float]:
    x, y = axes.transData.transform((x, y)) * 72 / axes.figure.dpi
    return float(x), float(y)


def _lines(label: Label, width: int) -> list[tuple[str, dict]]:
    """Return each line of a label with its style."""
    style = {"color": label.colour, "weight": "bold" if label.is_bold else "normal"}
    style |= {"size": NOTE_SIZE} if label.is_small else {"size": 9}
    small = {"color": LIGHT["ink2"], "size": NOTE_SIZE, "weight": "normal"}
    first = textwrap.wrap(label.text, width, max_lines=2, placeholder=" …") or ["–"]
    under = textwrap.wrap(label.under, width + 4, max_lines=2, placeholder=" …")
    return [(line, style) for line in first] + [(line, small) for line in under]


def _measure(lines: list[tuple[str, dict]]) -> tuple[float, float]:
    """Return width and height of lines in points, in the theme's font: none that a page may use is wider."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    widths = [
        TextPath((0, 0), text, size=style["size"], prop=FontProperties(weight=style["weight"])).get_extents().x1
        for text, style in lines
    ]
    return max(widths), LINE * len(lines)


def _list_around(point, size) -> list[_Place]:
    """Return the places right, left, above and below a mark, with what each costs by itself."""
    (x, y), (width, height) = point, size
    places = []
    for step in _STEPS:
        away = _AWAY * abs(step)
        for gap in _GAPS:
            cost = away + _AWAY * (gap - _GAP)
            places.append((x + gap, y + step - height / 2, "left", cost))
            places.append((x - gap - width, y + step - height / 2, "right", cost + _LEFT))
        bottom = y + _GAP + step if step >= 0 else y - _GAP - height + step
        places.append((x - width / 2, bottom, "center", away + _MIDDLE))
    return [_Place(left, bottom, left + width, bottom + height, *rest) for left, bottom, *rest in places]


def _list_along(axes, label: Label, size) -> list[_Place]:
    """Return the places above and below a line, on both sides of each of its points; later points cost more."""
    places, (width, height) = [], size
    for i, point in enumerate(label.along):
        x, y = _to_points(axes, *point)
        for step in _STEPS[1:7]:
            bottom = y + step - height / 2
            for align, left in (("left", x + 2), ("right", x - 2 - width)):
                places.append(_Place(left, bottom, left + width, bottom + height, align, i * _LEFT + _AWAY * abs(step)))
    return places


def _price(place: _Place, area, hard) -> _Place:
    """Return a place with what it costs without the other labels."""
    left, bottom, right, top, align, cost = place
    outside = max(0, area[0] - left) + max(0, right - area[2]) + max(0, area[1] - bottom) + max(0, top - area[3])
    x, y, weight = hard
    on = weight[(left - 3 < x) & (x < right + 3) & (bottom - 1 < y) & (y < top + 1)].sum()
    return _Place(left, bottom, right, top, align, cost + _OUTSIDE * outside + float(on))


def _settle(choices: list[list[_Place]]) -> list[_Place]:
    """Return one place for each label: in turn each takes the cheapest, given the others, until none moves."""
    chosen = [places[0] for places in choices]
    for _ in range(_PASSES):
        before = list(chosen)
        for i, places in enumerate(choices):
            others = [place for k, place in enumerate(chosen) if k != i]
            chosen[i] = min(places, key=lambda place: place.cost + _ON_LABEL * _overlap(place, others))
        if chosen == before:
            break
    return chosen


def _overlap(place: _Place, others: list[_Place]) -> float:
    """Return the area that a place shares with others, each with a hair of air around it."""
    total = 0.0
    for other in others:
        wide = min(place.right, other.right) - max(place.left, other.left) + 4
        high = min(place.top, other.top) - max(place.bottom, other.bottom) + 1
        total += max(0.0, wide) * max(0.0, high)
    return total


def _write(axes, label: Label, point, lines, place: _Place) -> None:
    """Write a label's lines at its place."""
    at = {"left": place.left, "right": place.right, "center": (place.left + place.right) / 2}[place.align]
    for k, (text, style) in enumerate(lines):
        down = place.top - LINE * (k + 0.5)
        axes.annotate(
            text,
            (label.x, label.y),
            (at - point[0], down - point[1]),
            textcoords="offset points",
            ha=place.align,
            va="center",
            annotation_clip=False,
            **style,
        )
    near = min(max(point[0], place.left), place.right), min(max(point[1], place.bottom), place.top)
    dx, dy = near[0] - point[0], near[1] - point[1]
    if not label.along and max(abs(dx), abs(dy)) > _FAR:
        arrow = {"arrowstyle": "-", "color": LIGHT["control"], "lw": 0.7, "shrinkA": 1, "shrinkB": 5}
        axes.annotate("", (label.x, label.y), (dx, dy), textcoords="offset points", arrowprops=arrow)
