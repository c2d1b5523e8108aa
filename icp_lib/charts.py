"""The chart that shows itself, the one theme, and the parts that every figure is made of.

Token colours only, text stays text, byte for byte the same on every run.
"""

from __future__ import annotations

import io
import math
import textwrap
from dataclasses import dataclass
from html import escape

from icp_lib.formats import is_missing
from icp_lib.marks import TOKENS, VERDICTS, tick_name, verdict_key
from icp_lib.sentences import missing_words

LIGHT = {name: light for name, (light, _) in TOKENS.items()}
#: Inches of a figure, and of its second drawing for a phone (358 CSS pixels).
WIDTH, NARROW_WIDTH = 7.2, 3.73
#: The kind of output under which a notebook keeps the second drawing, beside ``image/svg+xml``.
NARROW = "application/vnd.icp.narrow+xml"
#: The theme. The font is one that every machine has, because the geometry of an SVG follows the font.
RC = {
    "figure.figsize": (WIDTH, 4.1), "figure.dpi": 96, "savefig.dpi": 192, "svg.fonttype": "none",
    "svg.hashsalt": "icp", "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 9,
    "text.color": LIGHT["ink"], "axes.facecolor": "none", "figure.facecolor": "none", "savefig.facecolor": "none",
    "axes.edgecolor": LIGHT["rule"], "axes.linewidth": 0.8, "axes.labelcolor": LIGHT["ink2"], "axes.labelsize": 9,
    "axes.labelpad": 6, "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False,
    "axes.grid": True, "axes.grid.axis": "x", "axes.axisbelow": True, "grid.color": LIGHT["line"],
    "grid.linewidth": 0.8, "xtick.color": LIGHT["rule"], "ytick.color": LIGHT["rule"],
    "xtick.labelcolor": LIGHT["ink2"], "ytick.labelcolor": LIGHT["ink2"], "xtick.labelsize": 9, "ytick.labelsize": 9,
    "xtick.major.size": 3, "ytick.major.size": 0, "lines.linewidth": 2, "lines.solid_capstyle": "round",
    "lines.markersize": 6.5, "patch.linewidth": 0, "legend.frameon": False, "hatch.color": LIGHT["rule"],
    "hatch.linewidth": 0.8, "text.parse_math": False,
}  # fmt: skip
NOTE_SIZE, _LINE, _BELOW = 8.25, 11.0, 9.0
#: Letters of a tick's name that find room at the right end of a narrow figure.
_SHORT_TICK = 4


@dataclass(frozen=True)
class Chart:
    """One figure: `name` of file and anchor, `svg`, the finding as `title`, and what a screen reader says as `alt`.

    An empty `svg` means that there is nothing to draw; the title then says what is missing. `narrow` is the same
    figure drawn for a phone; without it the phone scrolls the wide one.
    """

    name: str
    svg: str
    title: str
    subtitle: str = ""
    caption: str = ""
    alt: str = ""
    narrow: str = ""

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if not self.svg:
            html = f'<div class="icp-missing"><p>{escape(self.title)}</p></div>'
            display({"text/html": html, "text/plain": self.title}, raw=True)
            return
        words = {"title": self.title, "subtitle": self.subtitle, "caption": self.caption, "alt": self.alt}
        head = f"<p><b>{escape(self.title)}</b><br>{escape(self.subtitle)}</p>"
        display(
            {"text/html": head, "text/plain": f"{self.title}\n{self.subtitle}"},
            raw=True,
            metadata={"icp": "chart-text"},
        )
        display(
            {"image/svg+xml": self.svg, "text/plain": self.alt} | ({NARROW: self.narrow} if self.narrow else {}),
            raw=True,
            metadata={"icp": "chart", "name": self.name, **words},
        )
        if self.caption:
            display(
                {"text/html": f"<p><small>{escape(self.caption)}</small></p>", "text/plain": self.caption},
                raw=True,
                metadata={"icp": "chart-text"},
            )


def draw_both(draw, *arguments) -> dict[str, str]:
    """Return a figure's two drawings, `svg` and `narrow`, made by the same function in the theme."""
    import matplotlib

    with matplotlib.rc_context(RC):
        return {"svg": draw(*arguments, is_narrow=False), "narrow": draw(*arguments, is_narrow=True)}


def missing_chart(name: str, needs, words: str = "") -> Chart:
    """Return a chart without a drawing that says what is missing, or in `words` why there is nothing to draw."""
    words = words if words and not needs else missing_words(needs)
    return Chart(name, "", words, alt=words)


def canvas(
    n_rows: int, left: float, right: float, per_row: float = 0.44, top: float = 0.3, n_lines: int = 2, is_narrow=False
):
    """Return (figure, axes) with margins in inches and room for `n_rows`; y runs down from row 0.

    A narrow figure has no room beside the marks: each row's words, `n_lines` of them, stand above its mark.
    """
    from matplotlib.figure import Figure

    bottom, width = 0.36, WIDTH
    if is_narrow:
        width, left, right, per_row = NARROW_WIDTH, 0.1, 0.2, (_LINE * n_lines + 2.6 * _BELOW) / 72
    height = top + bottom + per_row * n_rows
    if not is_narrow and height >= 2.6:
        height = next((each for each in (3.3, 4.1, 4.6) if height <= each), height)
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes([left / width, bottom / height, 1 - (left + right) / width, 1 - (top + bottom) / height])
    below = 1.2 * _BELOW / 72 / per_row if is_narrow else 0.5
    axes.set_ylim(n_rows - 1 + below, below - 1)
    axes.set_yticks([])
    if is_narrow:
        axes.grid(False)
    return figure, axes


def draw_reference(axes, at: float, n_rows: int, words: str, is_narrow: bool) -> None:
    """Draw the upright line that the rows are compared with, and its name above; broken where words would cross it."""
    if is_narrow:
        marks = {"marker": "|", "ms": 15, "mew": 1.2, "color": LIGHT["ink2"], "ls": "none", "clip_on": False}
        axes.plot([at] * n_rows, range(n_rows), **marks)
    else:
        axes.axvline(at, color=LIGHT["ink2"], lw=1.2)
    place = {"xycoords": axes.get_xaxis_transform(), "textcoords": "offset points", "annotation_clip": False}
    axes.annotate(words, (at, 1), (0, 5), ha="center", size=NOTE_SIZE, color=LIGHT["ink2"], **place)


def to_svg(figure) -> str:
    """Return the figure as SVG text that is the same on every run."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def set_scale(axes, scale: tuple, column: str, metric: str | None) -> None:
    """Give the value axis its limits and its ticks, named as the column's format says."""
    low, high, ticks, is_log = scale
    if is_log:
        axes.set_xscale("log")
        axes.minorticks_off()
    axes.set_xlim(low, high)
    names = [tick_name(tick, scale, column, metric) for tick in ticks]
    axes.set_xticks(ticks, names)
    if axes.figure.get_figwidth() == NARROW_WIDTH and ticks[-1] == high and len(names[-1]) > _SHORT_TICK:
        axes.get_xticklabels()[-1].set_horizontalalignment("right")  # no room beside the axis


def wrap_name(name: str) -> list[str]:
    """Return a name in at most two lines."""
    return textwrap.wrap(name, 28, max_lines=2, placeholder=" …") or ["–"]


def count_lines(names: list[str], under: list[str]) -> int:
    """Return the most lines of words that a row needs."""
    return max(len(wrap_name(name)) + bool(small) for name, small in zip(names, under, strict=True))


def write_rows(axes, names: list[str], under: list[str], texts: list[str], bold: set[int], is_narrow=False) -> None:
    """Write each row's name with small words under it, and its value: beside the mark, or above it where narrow."""
    place = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points", "annotation_clip": False}
    for i, (name, small, text) in enumerate(zip(names, under, texts, strict=True)):
        lines = [*wrap_name(name), *([small] if small else [])]
        up = _BELOW + _LINE * (len(lines) - 0.5) if is_narrow else _LINE * (len(lines) - 1) / 2
        for k, line in enumerate(lines):
            is_small = bool(small) and k == len(lines) - 1
            axes.annotate(
                line,
                (0, i),
                (0 if is_narrow else -10, up - _LINE * k),
                va="center",
                ha="left" if is_narrow else "right",
                weight="bold" if i in bold and not is_small else "normal",
                **({"size": NOTE_SIZE, "color": LIGHT["ink3"]} if is_small else {}),
                **place,
            )
        beside = {"ha": "right"} if is_narrow else {}
        axes.annotate(text, (1, i), (0, up) if is_narrow else (12, 0), va="center", **beside, **place)


def draw_range(axes, at: int, value: float, low: float, high: float, verdict: str, scale: tuple) -> None:
    """Draw one row: likely range, arrow where it leaves the scale, dot shaped by the verdict."""
    key = verdict_key(verdict)
    token, is_few = VERDICTS[key][0], key == "not enough data"
    left = scale[0] if is_missing(low) or math.isinf(low) else max(low, scale[0])
    leaves = is_missing(high) or high > scale[1] * (1 + 1e-9)
    if not (is_missing(low) and is_missing(high)):
        style = {"lw": 1.2, "ls": (0, (3, 2))} if is_few else {"lw": 5, "alpha": 0.3}
        axes.plot([left, scale[1] if leaves else high], [at, at], color=LIGHT[token], clip_on=False, **style)
        if leaves:
            axes.plot(scale[1], at, marker=">", ms=5, color=LIGHT[token], clip_on=False)
    if not is_missing(value) and scale[0] <= value <= scale[1]:
        axes.plot(value, at, **dot_style(verdict))


def dot_style(verdict: str) -> dict:
    """Return how matplotlib draws a verdict's dot: the shape alone tells the verdicts apart."""
    key, paper = verdict_key(verdict), LIGHT["paper"]
    token = VERDICTS[key][0]
    colour = LIGHT["blue" if token == "blue2" else token]
    look = {
        "promising": {"marker": "o", "fillstyle": "left", "markerfacecoloralt": paper},
        "contradicted": {"marker": "s"},
        "untested": {"marker": "o", "mfc": paper},
        "explained by": {"marker": "D", "ms": 6},
        "not supported": {"marker": "o", "ms": 4.5},
        "not enough data": {"marker": "o", "mfc": paper},
    }.get(key, {"marker": "o"})
    return {"ls": "none", "ms": 7.5, "color": colour, "mec": colour, "mew": 1.2, **look}
