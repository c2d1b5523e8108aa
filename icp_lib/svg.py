"""A figure on a page: its drawing in the page's colours and font, a narrow one for phones, and the words around it."""

from __future__ import annotations

import base64
import re
from html import escape

from icp_lib.charts import NARROW
from icp_lib.marks import TOKENS

_FONT = re.compile(r"font-family: [^;\"]+")
_TAG = re.compile(r"<[^>]+>")
_FAINT = re.compile(r"\b((?:stroke-|fill-)?opacity): 0\.3(?=[;\"])")


def make_anchor(text: str) -> str:
    """Return a text as the name of an anchor.

    Examples
    --------
    >>> make_anchor("Could it be luck?")
    'could-it-be-luck'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.casefold()).strip("-") or "part"


def prepare_svg(svg: str, name: str, alt: str) -> str:
    """Return a figure's SVG ready to stand in a page.

    Colours become the page's variables, the likely range's faintness too (a dark page needs more of it), the font the
    page's; ids get the figure's name in front, so that two figures never share one.

    Parameters
    ----------
    svg : str
        As matplotlib writes it, text kept as text.
    name : str
        The figure's anchor.
    alt : str
        What a screen reader says.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    svg = _TAG.sub(lambda tag: _prepare_tag(tag[0], name), svg)
    box = re.search(r'viewBox="([^"]*)"', svg)
    head = f'<svg viewBox="{box[1] if box else "0 0 518.4 295.2"}" role="img" aria-label="{escape(alt)}">'
    return re.sub(r"<svg\b[^>]*>", lambda _: head, svg, count=1)


def _prepare_tag(tag: str, name: str) -> str:
    """One tag of a figure in the page's colours and font, its ids the figure's own; words between tags stay."""
    tag = re.sub(r'\bid="', f'id="{name}-', tag.replace("xlink:href", "href"))
    tag = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", tag)
    for token, (light, _) in TOKENS.items():
        tag = re.sub(light, f"var(--{token})", tag, flags=re.IGNORECASE)
    return _FAINT.sub(r"\1: var(--faint)", _FONT.sub("font-family: var(--sans)", tag))


def _drawing(svg: str, name: str, alt: str, kind: str, label: str) -> str:
    inner = prepare_svg(svg, name, alt)
    return f'<div class="drawing {kind}" tabindex="0" role="group" aria-label="{escape(label)}">{inner}</div>'


def render_figure(data: dict, chart: dict, tables: list[str]) -> str:
    """Return one figure as HTML: title, subtitle, drawing, caption with a link to its table.

    A figure is named after its table; where a page draws one table twice, what it draws follows: ``segments_map``.

    Parameters
    ----------
    data : dict
        The output's data; the narrow drawing, where there is one, stands in for the wide one on a phone.
    chart : dict
        name, title, subtitle, caption, alt: the output's metadata.
    tables : list of str
        File names of the tables that the page's notebook saved.
    """
    name, alt, title = make_anchor(str(chart.get("name", "figure"))), str(chart.get("alt", "")), chart.get("title", "")
    caption = [escape(str(chart["caption"]))] if chart.get("caption") else []
    table = _find_table(str(chart.get("name")), tables)
    if table:
        caption.append(f'<a href="tables/{escape(table)}">Table (CSV)</a>')
    label, narrow = f"Figure: {title}" if title else "Figure", as_text(data.get(NARROW, ""))
    drawings = _drawing(as_text(data["image/svg+xml"]), name, alt, "wide" if narrow else "only", label)
    if narrow:
        drawings += _drawing(narrow, f"{name}-narrow", alt, "narrow", label)
    return (
        f'<figure class="icp-figure" id="figure-{name}"><p class="title">{escape(str(title))}</p>'
        f'<p class="subtitle">{escape(str(chart.get("subtitle", "")))}</p>'
        f"{drawings}<figcaption>{' · '.join(caption)}</figcaption></figure>"
    )


def _find_table(name: str, tables: list[str]) -> str:
    """The file of the table that a figure is named after, the longest name first; an empty text without one."""
    names = [table for table in tables if f"{name}_".startswith(f"{table.removesuffix('.csv')}_")]
    return max(names, key=len, default="")


def as_text(value) -> str:
    """Return an output's text, which a notebook file may hold as lines."""
    return "".join(value) if isinstance(value, list) else str(value)


def render_picture(data: dict, metadata: dict) -> str:
    """Return a picture that no chart of ours made as an image: inert, with its words."""
    kind = next(kind for kind in ("image/svg+xml", "image/png", "image/jpeg") if kind in data)
    raw = as_text(data[kind])
    packed = base64.b64encode(raw.encode()).decode() if kind == "image/svg+xml" else raw.replace("\n", "")
    alt = metadata.get("alt") or as_text(data.get("text/plain", "Figure"))
    return (
        f'<figure class="icp-figure"><img src="data:{kind};base64,{escape(packed)}" alt="{escape(str(alt))}"></figure>'
    )
