"""Marks of the report: colour tokens, verdicts, page status and the range bar, as small inline SVG.

Every mark carries its meaning in its shape and in words; colours are CSS variables with the light value as fallback.
"""

from __future__ import annotations

import math
import re
from html import escape

from icp_lib.formats import format_of, format_range, format_value

#: Colour tokens, light and dark: the only colours that figures and pages use.
TOKENS = {
    "paper": ("#FFFFFF", "#12181E"),
    "wash": ("#F5F6F8", "#1A2129"),
    "ink": ("#16202B", "#E9EEF3"),
    "ink2": ("#45515E", "#BAC4CE"),
    "ink3": ("#5C6875", "#9AA6B2"),
    "control": ("#7C8894", "#7A8794"),
    "rule": ("#B3BCC5", "#465260"),
    "line": ("#DCE1E6", "#2C3641"),
    "blue": ("#1F4FA8", "#9DBEFA"),
    "blue2": ("#5A86CF", "#5B82C4"),
    "verm": ("#B8400E", "#FF8F66"),
    "amber": ("#855700", "#E3B34F"),
    "tint-blue": ("#E7EDF8", "#1B2A45"),
    "tint-verm": ("#FBEAE2", "#40231A"),
    "tint-amber": ("#FAF0D9", "#362B12"),
    "tint-grey": ("#EDF0F3", "#232C35"),
}

#: Opacity of a likely range, light and dark: the same bar needs more of it on a dark page.
FAINT = (0.3, 0.6)

#: Verdict -> (colour token of mark and bar, the sentence that stands beside it), in the order of the report.
VERDICTS = {
    "confirmed": ("blue", "Seen where we looked, and seen again in newer deals we had kept aside."),
    "promising": ("blue2", "Beats luck once; not clearly enough, or not a second time yet, to be sure."),
    "contradicted": ("verm", "Newer deals, or a fairer comparison, point the other way."),
    "untested": ("blue2", "Seen once. Not checked in newer deals yet."),
    "explained by": ("control", "The lead shrinks below half once {} is compared like with like."),
    "not supported": (
        "control",
        "No lead that luck could not give. Not proof of none: the range says what is still possible.",
    ),
    "not enough data": ("control", "Below the minimum of deals and wins. Too few to print a figure."),
}
STATUS_WORDS = {
    "ok": "Ran",
    "warnings": "Warnings",
    "failed": "Failed",
    "not measured": "Not measured",
    "not produced": "Skipped",
}
#: Letters of tick names that have room over the range bars of a table.
_AXIS_LETTERS = 26
_OCTAGON = "M5 1h6l4 4v6l-4 4H5l-4-4V5z"


def paint(token: str) -> str:
    """Return a token as a CSS colour that also works where the page's style sheet is absent."""
    return f"var(--{token},{TOKENS[token][0]})"


def verdict_key(verdict: str) -> str:
    """Return the verdict's key: ``explained by region`` is ``explained by``; anything unknown is ``untested``."""
    text = str(verdict).strip().casefold()
    return next((key for key in VERDICTS if text.startswith(key)), "untested")


def verdict_sentence(verdict: str) -> str:
    """Return the sentence that stands beside a verdict.

    Examples
    --------
    >>> verdict_sentence("untested")
    'Seen once. Not checked in newer deals yet.'
    """
    key = verdict_key(verdict)
    cause = str(verdict).strip()[len(key) :].strip() or "another attribute"
    return VERDICTS[key][1].format(cause)


def _svg(body: str, name: str) -> str:
    return (
        f'<svg class="icp-mark" width="16" height="16" viewBox="0 0 16 16" role="img" '
        f'aria-label="{escape(name)}" focusable="false">{body}</svg>'
    )


def _stroke(path: str, colour: str, width: float = 1.7) -> str:
    return (
        f'<path d="{path}" style="fill:none;stroke:{colour};stroke-width:{width}" '
        f'stroke-linecap="round" stroke-linejoin="round"/>'
    )


def _disc(style: str, radius: float = 7) -> str:
    return f'<circle cx="8" cy="8" r="{radius}" style="{style}"/>'


def verdict_mark(verdict: str) -> str:
    """Return a verdict's mark as inline SVG, 16 px; the shape alone tells the verdicts apart."""
    key, paper = verdict_key(verdict), paint("paper")
    colour = paint("blue" if VERDICTS[key][0] == "blue2" else VERDICTS[key][0])
    ring = _disc(f"fill:{paper};stroke:{colour};stroke-width:1.6", 6.2)
    body = {
        "confirmed": _disc(f"fill:{colour}") + _stroke("M4.8 8.3l2.2 2.2 4.3-4.6", paper),
        "promising": ring + f'<path d="M8 1.8a6.2 6.2 0 0 0 0 12.4z" style="fill:{colour}"/>',
        "contradicted": f'<path d="{_OCTAGON}" style="fill:{colour}"/>'
        + _stroke("M5.6 5.6l4.8 4.8M10.4 5.6l-4.8 4.8", paper),
        "untested": ring,
        "explained by": _disc(f"fill:{colour}") + _stroke("M4.5 8h6.6M8.6 5.3 11.3 8l-2.7 2.7", paper, 1.5),
        "not supported": _disc(f"fill:{colour}") + _stroke("M5 8h6", paper),
        "not enough data": _disc(f"fill:none;stroke:{colour};stroke-width:1.5;stroke-dasharray:2.4 2", 6.2),
    }[key]
    return _svg(body, str(verdict))


def status_mark(status: str) -> str:
    """Return a page status as inline SVG: tick, amber triangle, vermilion octagon, or grey circle with a dash."""
    ink, amber, verm, grey = paint("ink"), paint("amber"), paint("verm"), paint("control")
    warn = "M8 2 14.8 14H1.2z"
    body = {
        "ok": _stroke("M3 8.6l3.2 3.2L13 4.6", ink, 1.6),
        "warnings": _stroke(warn, amber, 1.4) + _stroke("M8 6.6v3.2M8 11.9v.1", amber, 1.6),
        "failed": _stroke(_OCTAGON, verm, 1.5) + _stroke("M8 4.6v4M8 11.2v.1", verm, 1.7),
    }.get(status, _disc(f"fill:none;stroke:{grey};stroke-width:1.4", 6.2) + _stroke("M5.2 8h5.6", grey, 1.5))
    return _svg(body, STATUS_WORDS.get(status, status))


def check_mark(is_passed: bool | None) -> str:
    """Return the mark of one check of a claim: tick, cross, or a dashed ring where it was not made yet."""
    if is_passed is None:
        return _svg(_disc(f"fill:none;stroke:{paint('control')};stroke-width:1.5;stroke-dasharray:2.4 2", 5), "not yet")
    path, colour, word = ("M3 8.6l3.2 3.2L13 4.6", "ink", "yes") if is_passed else ("M4 4l8 8M12 4l-8 8", "verm", "no")
    return _svg(_stroke(path, paint(colour), 1.6), word)


def meter(checks: list[bool | None]) -> str:
    """Return a meter of one segment a check: full where it passed, crossed where it did not, empty where not made."""
    width, parts = 100 / len(checks), []
    for i, is_passed in enumerate(checks):
        left, right = f"{i * width + 0.5:.1f}%", f"{(i + 1) * width - 0.5:.1f}%"
        colour, thick = (paint("blue"), 8) if is_passed else (paint("control"), 1.5)
        if is_passed is False:
            colour, thick = paint("verm"), 2
        parts.append(f'<line x1="{left}" x2="{right}" y1="8" y2="8" style="stroke:{colour};stroke-width:{thick}"/>')
        if is_passed is False:
            cross = _stroke("M-3.5-3.5l7 7M3.5-3.5l-7 7", colour, 2)
            parts.append(f'<svg x="{(i + 0.5) * width:.1f}%" y="8" overflow="visible">{cross}</svg>')
    words = f"{sum(check is True for check in checks)} of {len(checks)} checks passed"
    return _strip("icp-meter", words, "".join(parts), 16)


def _strip(name: str, words: str, body: str, height: int) -> str:
    """Return a drawing as wide as its place, in words for a screen reader."""
    return (
        f'<span class="{name}" role="img" aria-label="{escape(words)}"><svg width="200" height="{height}" '
        f'aria-hidden="true" focusable="false">{body}</svg></span>'
    )


def read_progress(note) -> tuple[int, int, str] | None:
    """Return (have, needed, what) from a note of a group below the minimum, or None where it counts nothing.

    Examples
    --------
    >>> read_progress("8 won of the 15 needed")
    (8, 15, 'won')
    """
    found = re.match(r"([\d,]+) (won|deals|customers) of the ([\d,]+) needed", str(note))
    return (int(found[1].replace(",", "")), int(found[3].replace(",", "")), found[2]) if found else None


def progress_bar(have: int, needed: int, what: str) -> str:
    """Return how far a group is from the minimum that a figure needs, as a bar; its words in `aria-label`."""
    share = 100 * min(1.0, have / needed)
    body = f'<line x1="0" x2="100%" y1="10" y2="10" style="stroke:{paint("line")};stroke-width:6"/>'
    body += f'<line x1="0" x2="{share:.2f}%" y1="10" y2="10" style="stroke:{paint("control")};stroke-width:6"/>'
    return _strip("icp-bar icp-progress", f"{have:,} of {needed:,} {what}", body, 20)


def nice_scale(values, kind: str) -> tuple[float, float, list[float], bool]:
    """Return (low, high, ticks, is_log) of an axis for estimates and ends of ranges; ratios lie around 1 on a log axis.

    Examples
    --------
    >>> nice_scale([17, 45, 38, 51], "money")
    (0, 60, [0, 20, 40, 60], False)
    """
    values = [float(value) for value in values if value is not None and math.isfinite(value)]
    if kind == "ratio":
        reach = max([2.0, *(max(value, 1 / value) for value in values if value > 0)])
        power = min(4, math.ceil(math.log2(reach) - 1e-9))
        return 2.0**-power, 2.0**power, [2.0**p for p in range(-power, power + 1)], True
    low, high = min([0.0, *values]), max([0.0, *values])
    span = (high - low) or 1.0
    base = 10 ** math.floor(math.log10(span / 3))
    step = next(base * factor for factor in (1, 2, 2.5, 5, 10) if span / (base * factor) <= 4)
    low, high = step * math.floor(low / step + 1e-9), step * math.ceil(high / step - 1e-9)
    if high == low:
        high = low + step
    count = round((high - low) / step)
    return low, high, [round(low + step * i, 10) for i in range(count + 1)], False


def tick_name(tick: float, scale: tuple, column: str, metric: str | None = None) -> str:
    """Return a tick's name; on a ratio's axis 1 is the same, and small fractions are written as such.

    Examples
    --------
    >>> [tick_name(tick, nice_scale([0.5, 2], "ratio"), "lift") for tick in (0.5, 1, 2)]
    ['½', 'same', '2×']
    """
    if scale[3]:
        return {0.0625: "1/16", 0.125: "⅛", 0.25: "¼", 0.5: "½", 1: "same"}.get(tick, f"{tick:g}×")
    return format_value(tick, column, metric=metric)


def place(value: float, scale: tuple) -> float:
    """Return where a value lies on a scale, in per cent, held between 0 and 100."""
    low, high, _, is_log = scale
    if is_log:
        value, low, high = math.log(max(value, 1e-9)), math.log(low), math.log(high)
    return min(100.0, max(0.0, 100 * (value - low) / (high - low)))


def _dot(verdict: str, at: float) -> str:
    key, paper = verdict_key(verdict), paint("paper")
    token = VERDICTS[key][0]
    colour = paint("blue" if token == "blue2" else token)
    ring = f'<circle r="4.4" style="fill:{paper};stroke:{colour};stroke-width:1.4"/>'
    body = {
        "promising": ring + f'<path d="M0 -4.4a4.4 4.4 0 0 0 0 8.8z" style="fill:{colour}"/>',
        "contradicted": f'<path d="M-4.5-4.5h9v9h-9z" style="fill:{colour}"/>',
        "untested": ring,
        "explained by": f'<path d="M0-5.6 5.6 0 0 5.6-5.6 0z" style="fill:{colour}"/>',
        "not supported": f'<circle r="3.4" style="fill:{colour}"/>',
        "not enough data": ring.replace("/>", ' stroke-dasharray="2 1.6"/>'),
    }.get(key, f'<circle r="5" style="fill:{colour}"/>')
    return f'<svg class="dot" x="{at:.2f}%" y="10" overflow="visible">{body}</svg>'


def range_bar(
    value,
    low,
    high,
    column: str,
    scale: tuple,
    verdict: str = "confirmed",
    rest=None,
    found=None,
    metric: str | None = None,
    rest_name: str = "the rest",
) -> str:
    """Return a range bar: track, likely range, comparison line, ring where it was found, dot; words in `aria-label`.

    Parameters
    ----------
    value, low, high : float
        Estimate and its likely range, in the unit of `scale`; a missing value leaves the track alone.
    scale : tuple
        From `nice_scale`. An end beyond it is drawn as an arrow.
    rest, found : float, optional
        The comparison and the value where it was found.
    rest_name : str
        Whom or what the comparison is of.
    """
    has = [number is not None and number == number for number in (value, low, high, rest, found)]
    colour = paint(VERDICTS[verdict_key(verdict)][0])
    is_few, faint = verdict_key(verdict) == "not enough data", f"var(--faint,{FAINT[0]})"
    parts = [f'<line class="track" x1="0" x2="100%" y1="10" y2="10" style="stroke:{paint("line")}"/>']
    label = format_value(value, column, low, high, metric=metric) if has[0] else "not measured"
    if has[0] and (has[1] or has[2]):
        ends = [place(low if has[1] else -math.inf, scale) if has[1] else 0.0, place(high, scale) if has[2] else 100.0]
        dash = ' stroke-dasharray="4 3"' if is_few else ""
        parts.append(
            f'<line class="range" x1="{ends[0]:.2f}%" x2="{ends[1]:.2f}%" y1="10" y2="10"{dash} '
            f'style="stroke:{colour};stroke-width:{1.5 if is_few else 6};stroke-opacity:{1 if is_few else faint}"/>'
        )
        if not has[2] or high > scale[1] * (1 + 1e-9):
            parts.append(
                f'<svg x="100%" y="10" overflow="visible"><path d="M-5-5 1 0-5 5z" style="fill:{colour}"/></svg>'
            )
        label += f", likely {format_range(low, high, column, value, metric, unit=True)}"
    if has[3]:
        at = place(rest, scale)
        parts.append(
            f'<line class="rest" x1="{at:.2f}%" x2="{at:.2f}%" y1="-60" y2="400" '
            f'style="stroke:{paint("ink2")};stroke-width:1.5"/>'
        )
        same = format_of(column, metric) == "ratio" and rest == 1
        label += (
            f"; the line is at the same as {rest_name}"
            if same
            else f"; {rest_name} {format_value(rest, column, metric=metric)}"
        )
    if has[4]:
        parts.append(
            f'<svg class="found" x="{place(found, scale):.2f}%" y="10" overflow="visible"><circle r="4" '
            f'style="fill:none;stroke:{paint("control")};stroke-width:1.2"/></svg>'
        )
        label += f"; {format_value(found, column, metric=metric)} when found"
    if has[0]:
        parts.append(_dot(verdict, place(value, scale)))
    return (
        f'<span class="icp-bar" role="img" aria-label="{escape(label)}"><svg width="200" height="20" '
        f'aria-hidden="true" focusable="false">{"".join(parts)}</svg></span>'
    )


def axis(scale: tuple, column: str, metric: str | None = None) -> str:
    """Return the names of a scale's ticks, placed in per cent over the range bars; every second where many."""
    named = [(tick, tick_name(tick, scale, column, metric)) for tick in scale[2]]
    if len(named) > 5 or sum(len(name) for _, name in named) > _AXIS_LETTERS:
        named = named[::2]
    names = (f'<i style="left:{place(tick, scale):.1f}%">{escape(name)}</i>' for tick, name in named)
    return f'<span class="icp-axis" aria-hidden="true">{"".join(names)}</span>'
