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
WIDTH = 7.2
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
    "hatch.linewidth": 0.8,
}  # fmt: skip
NOTE_SIZE, _LINE = 8.25, 11.0


@dataclass(frozen=True)
class Chart:
    """One figure: `name` of file and anchor, `svg`, the finding as `title`, and what a screen reader says as `alt`.

    An empty `svg` means that there is nothing to draw; the title then says what is missing.
    """

    name: str
    svg: str
    title: str
    subtitle: str = ""
    caption: str = ""
    alt: str = ""

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
            {"image/svg+xml": self.svg, "text/plain": self.alt},
            raw=True,
            metadata={"icp": "chart", "name": self.name, **words},
        )
        if self.caption:
            display(
                {"text/html": f"<p><small>{escape(self.caption)}</small></p>", "text/plain": self.caption},
                raw=True,
                metadata={"icp": "chart-text"},
            )


def missing_chart(name: str, needs) -> Chart:
    """Return a chart without a drawing that says what is missing."""
    words = missing_words(needs)
    return Chart(name, "", words, alt=words)


def canvas(n_rows: int, left: float, right: float, per_row: float = 0.44, top: float = 0.3):
    """Return (figure, axes) with margins in inches and room for `n_rows`; y runs down from row 0."""
    from matplotlib.figure import Figure

    bottom = 0.36
    wanted = top + bottom + per_row * n_rows
    height = next((each for each in (3.3, 4.1, 4.6) if wanted <= each), wanted)
    height = wanted if wanted < 2.6 else height
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes([left / WIDTH, bottom / height, 1 - (left + right) / WIDTH, 1 - (top + bottom) / height])
    axes.set_ylim(n_rows - 0.5, -0.5)
    axes.set_yticks([])
    return figure, axes


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


def wrap_name(name: str) -> list[str]:
    """Return a name in at most two lines."""
    return textwrap.wrap(name, 28, max_lines=2, placeholder=" …") or ["–"]


def write_names(axes, names: list[str], under: list[str], bold: set[int]) -> None:
    """Write each row's name, and small words under it, right-aligned at the axis."""
    for i, (name, small) in enumerate(zip(names, under, strict=True)):
        lines = wrap_name(name)
        up = (_LINE * len(lines) + (_LINE - 1 if small else 0)) / 2
        for k, line in enumerate([*lines, *([small] if small else [])]):
            is_small = k == len(lines)
            axes.annotate(
                line,
                (0, i),
                (-10, up - _LINE * (k + 0.5)),
                va="center",
                ha="right",
                annotation_clip=False,
                xycoords=axes.get_yaxis_transform(),
                textcoords="offset points",
                weight="bold" if i in bold and not is_small else "normal",
                **({"size": NOTE_SIZE, "color": LIGHT["ink3"]} if is_small else {}),
            )


def write_values(axes, texts: list[str]) -> None:
    """Write each row's value to the right of the axes."""
    for i, text in enumerate(texts):
        axes.annotate(
            text,
            (1, i),
            (12, 0),
            va="center",
            xycoords=axes.get_yaxis_transform(),
            textcoords="offset points",
            annotation_clip=False,
        )


def draw_range(axes, at: int, value: float, low: float, high: float, verdict: str, scale: tuple) -> None:
    """Draw one row: likely range, arrow where it leaves the scale, dot shaped by the verdict."""
    key, paper = verdict_key(verdict), LIGHT["paper"]
    token = VERDICTS[key][0]
    colour, is_few = LIGHT["blue" if token == "blue2" else token], key == "not enough data"
    left = scale[0] if is_missing(low) or math.isinf(low) else max(low, scale[0])
    leaves = is_missing(high) or high > scale[1] * (1 + 1e-9)
    if not (is_missing(low) and is_missing(high)):
        style = {"lw": 1.2, "ls": (0, (3, 2))} if is_few else {"lw": 5, "alpha": 0.3}
        axes.plot([left, scale[1] if leaves else high], [at, at], color=LIGHT[token], clip_on=False, **style)
        if leaves:
            axes.plot(scale[1], at, marker=">", ms=5, color=LIGHT[token], clip_on=False)
    look = {
        "promising": {"marker": "o", "fillstyle": "left", "markerfacecoloralt": paper},
        "contradicted": {"marker": "s"},
        "untested": {"marker": "o", "mfc": paper},
        "explained by": {"marker": "D", "ms": 6},
        "not supported": {"marker": "o", "ms": 4.5},
        "not enough data": {"marker": "o", "mfc": paper},
    }.get(key, {"marker": "o"})
    if not is_missing(value) and scale[0] <= value <= scale[1]:
        axes.plot(value, at, ls="none", **{"ms": 7.5, "color": colour, "mec": colour, "mew": 1.2, **look})
