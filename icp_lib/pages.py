"""An executed notebook becomes one HTML page that opens offline: words, tables, figures, code folded away.

What a notebook displays is trusted only where `icp_lib` made it; any other HTML is shown as plain text. The page loads
nothing, and its policy names the one script by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from html import escape
from importlib.resources import files

from icp_lib.marks import STATUS_WORDS, TOKENS, status_mark
from icp_lib.schemas import METRICS

_HIDDEN_TAGS = {"parameters", "injected-parameters", "setup", "papermill-error-cell-tag"}
_OURS = ('<div class="icp-table"', '<p class="icp-say', '<aside class="icp-sure"', '<div class="icp-missing"')
_MOST_COLUMNS = 5  # a table with more stretches into the margin where no note stands beside it
_TERM = re.compile(r'<span class="icp-term" data-metric="([a-z0-9_]+)" title="[^"]*">([^<]*)</span>')
_FONT = re.compile(r"font-family: [^;\"]+")
_PATH = re.compile(r"(?<![\w/.])(?:[A-Za-z]:)?(?:[\\/][\w.@~ -]*[\w.@~-])+[\\/]([\w.@~-]+)")


def token_css() -> str:
    """Return the colour tokens as CSS: light, dark by the system or by the button, light on paper."""
    light, dark = (";".join(f"--{name}:{pair[i]}" for name, pair in TOKENS.items()) for i in (0, 1))
    return (
        f":root{{{light};color-scheme:light}}\n"
        f"@media (prefers-color-scheme:dark){{:root{{{dark};color-scheme:dark}}}}\n"
        f":root[data-theme=dark]{{{dark};color-scheme:dark}}\n:root[data-theme=light]{{{light};color-scheme:light}}\n"
        f"@media print{{:root:root{{{light};color-scheme:light}}}}\n"
    )


@cache
def _asset(name: str) -> str:
    return files("icp_lib.page").joinpath(name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _safe(html: str):
    from markupsafe import Markup

    return Markup(html)


def shell(context: dict) -> dict:
    """Return what the shell of a page needs: the context with defaults, marks, style, script and policy."""
    script, status = _asset("page.js"), context.get("status", "ok")
    pages = [
        {
            **each,
            "mark": _safe(status_mark(each["status"])),
            "status_words": each.get("status_words") or STATUS_WORDS.get(each["status"], ""),
        }
        for each in context.get("pages", [])
    ]
    here = next((i for i, each in enumerate(pages) if each["file"] == f"{context.get('name')}.html"), None)
    plain = {
        key: str(context.get(key, ""))
        for key in ("company", "quarter", "as_of", "run_id", "fingerprint", "currency", "counts")
    }
    return {
        **plain,
        "pages": pages,
        "status": status,
        "mark": _safe(status_mark(status)),
        "status_words": context.get("status_words") or STATUS_WORDS.get(status, ""),
        "is_demo": bool(context.get("is_demo")),
        "js": script,
        "css": token_css() + _asset("page.css"),
        "csp": _policy(script),
        "definitions": "",
        "tables": [],
        "contents": [],
        "next": pages[here + 1] if here is not None and here + 1 < len(pages) else None,
        "previous": pages[here - 1] if here else None,
        "here": pages[here] if here is not None else None,
    }


def define_terms(html: str) -> str:
    """Make every defined metric of a page a button, and add its definition once at the page's end.

    Parameters
    ----------
    html : str
        A page made by this package; the metrics' marks are those of `display.show`.
    """
    used = sorted({name for name, _ in _TERM.findall(html) if name in METRICS})
    html = _TERM.sub(
        lambda m: (
            f'<button type="button" class="icp-term" popovertarget="def-{m[1]}" data-metric="{m[1]}">{m[2]}</button>'
            if m[1] in METRICS
            else m[2]
        ),
        html,
    )
    blocks = []
    for name in used:
        metric = METRICS[name]
        facts = [("Counts", metric.numerator), ("Out of", metric.denominator), ("From", metric.window)]
        rows = "".join(f"<dt>{head}</dt><dd>{escape(words)}</dd>" for head, words in facts if words)
        blocks.append(
            f'<div popover id="def-{name}" class="icp-def" role="tooltip"><b>{escape(metric.name)}</b>'
            f"{escape(metric.sentence)}<code>{escape(metric.formula)}</code><dl>{rows}</dl></div>"
        )
    return html.replace("</body>", "".join(blocks) + "\n</body>")


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.casefold()).strip("-") or "part"


def prepare_svg(svg: str, name: str, alt: str) -> str:
    """Return a figure's SVG ready to stand in a page: colours as variables, the page's font, ids of its own, a name."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", svg)
    for token, (light, _) in TOKENS.items():
        svg = re.sub(light, f"var(--{token})", svg, flags=re.IGNORECASE)
    svg = _FONT.sub("font-family: var(--sans)", svg)
    box = re.search(r'viewBox="([^"]*)"', svg)
    head = f'<svg viewBox="{box[1] if box else "0 0 518.4 295.2"}" role="img" aria-label="{escape(alt)}">'
    return re.sub(r"<svg\b[^>]*>", lambda _: head, svg, count=1)


def _figure(svg: str, chart: dict, tables: list[str]) -> str:
    """Return one figure as HTML: title, subtitle, drawing, caption with a link to its table."""
    name, alt = _slug(str(chart.get("name", "figure"))), str(chart.get("alt", ""))
    caption = [escape(str(chart["caption"]))] if chart.get("caption") else []
    if f"{chart.get('name')}.csv" in tables:
        caption.append(f'<a href="tables/{escape(str(chart["name"]))}.csv">Table (CSV)</a>')
    return (
        f'<figure class="icp-figure" id="figure-{name}"><p class="title">{escape(str(chart.get("title", "")))}</p>'
        f'<p class="subtitle">{escape(str(chart.get("subtitle", "")))}</p>'
        f'<div class="drawing" tabindex="0" role="group" aria-label="Figure">{prepare_svg(svg, name, alt)}</div>'
        f"<figcaption>{' · '.join(caption)}</figcaption></figure>"
    )


def _text(value) -> str:
    return "".join(value) if isinstance(value, list) else str(value)


def _picture(data: dict, metadata: dict) -> str:
    """Return a picture that no chart of ours made as an image: inert, with its words."""
    kind = next(kind for kind in ("image/svg+xml", "image/png", "image/jpeg") if kind in data)
    raw = _text(data[kind])
    packed = base64.b64encode(raw.encode()).decode() if kind == "image/svg+xml" else raw.replace("\n", "")
    alt = metadata.get("alt") or _text(data.get("text/plain", "Figure"))
    return (
        f'<figure class="icp-figure"><img src="data:{kind};base64,{escape(packed)}" alt="{escape(str(alt))}"></figure>'
    )


def _output_html(output, tables: list[str], has_note: bool) -> str:
    """Return one output of a cell as HTML, or an empty text where it does not belong on the page."""
    if output.output_type == "stream":
        return f"<pre>{escape(_text(output.text))}</pre>" if output.name == "stdout" else ""
    if output.output_type == "error":
        return ""
    data, metadata = output.data, output.metadata
    if metadata.get("icp") == "chart-text":
        return ""
    if metadata.get("icp") == "chart" and "image/svg+xml" in data:
        return _figure(_text(data["image/svg+xml"]), metadata, tables)
    html = _text(data.get("text/html", ""))
    if html.startswith(_OURS):
        name = re.match(r'<div class="icp-table" data-name="([\w-]+)"', html)
        if name and f"{name[1]}.csv" in tables:
            html = html.replace('<div class="icp-table"', f'<div class="icp-table" data-href="tables/{name[1]}.csv"', 1)
        columns = re.search(r'data-columns="(\d+)"', html[:300])
        if columns and int(columns[1]) > _MOST_COLUMNS and not has_note:
            html = html.replace('<div class="icp-table"', '<div class="icp-table wide"', 1)
        return html
    if any(kind in data for kind in ("image/svg+xml", "image/png", "image/jpeg")):
        return _picture(data, metadata)
    return f"<pre>{escape(_text(data['text/plain']))}</pre>" if "text/plain" in data else ""


@cache
def _markdown():
    """Return the Markdown renderer: raw HTML is escaped, pictures become their words, headings get an anchor."""
    import mistune

    class Words(mistune.HTMLRenderer):
        def heading(self, text, level, **attrs):
            anchor = _slug(re.sub(r"<[^>]+>", "", text))
            return f'<h{level} id="{anchor}">{text}</h{level}>\n'

        def image(self, text, url, title=None):
            return f"<em>{escape(text)}</em>"

    return mistune.create_markdown(renderer=Words(escape=True), plugins=["table", "strikethrough"])


def _question(nb, page: dict) -> tuple[str, str]:
    """Return (kicker, question) from the notebook's first heading, ``# 03 · Name: question?``."""
    for cell in nb.cells:
        found = re.match(r"# (.+?)\s*(?:\n|$)(.*)", cell.source, re.DOTALL) if cell.cell_type == "markdown" else None
        if found:
            cell.source = found[2].strip()
            name, _, question = found[1].partition(": ")
            kicker = name.replace(" ·", "") if question else ""
            question = question or name
            return kicker, question[0].upper() + question[1:]
    here = page["here"]
    return "", f"{here['number']} {here['title']}" if here else "Untitled page"


def clean_message(text: str) -> str:
    """Return an error's message without colours, and with file names in the place of paths.

    Examples
    --------
    >>> clean_message("assignments.csv: no arm (/home/ann/acme/assignments.csv, row 118)")
    'assignments.csv: no arm (assignments.csv, row 118)'
    """
    return _PATH.sub(r"\1", re.sub(r"\x1b\[[0-9;]*m", "", text)).strip()


def _banner(head: str, message: str, what_to_do: str = "") -> str:
    rest = f" {escape(what_to_do)}" if what_to_do else ""
    return (
        f'<div class="icp-banner" role="alert">{status_mark("failed")}<div><p><b>{escape(head)}</b></p>'
        f"<p>{escape(message)}{rest}</p></div></div>"
    )


def _failure(nb) -> str:
    """Return the banner of the first error among all cells, or an empty text."""
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                message = clean_message(output.evalue)
                if output.ename != "DataError":
                    message = (
                        f"An error that no check foresaw: {output.ename}: {message}. "
                        "Open the notebook in JupyterLab to see the cell."
                    )
                return _banner("This page failed. Below is what it had so far.", message)
    return ""


def _tidy(nb, tables: list[str]):
    """Return the notebook's cells for the page: hidden ones dropped, words and outputs rendered into the metadata."""
    kept, has_note = [], False
    for cell in nb.cells:
        if _HIDDEN_TAGS & set(cell.metadata.get("tags", [])):
            continue
        if cell.cell_type == "markdown":
            cell.metadata["icp_html"] = _safe(_markdown()(cell.source))
            has_note = has_note and not re.search(r"^##? ", cell.source, re.MULTILINE)
            kept.append(cell)
        elif cell.cell_type == "code":
            outputs = [_output_html(output, tables, has_note) for output in cell.outputs]
            has_note = has_note or any(html.startswith('<aside class="icp-sure"') for html in outputs)
            lines = len(cell.source.strip().splitlines())
            cell.metadata["icp_lines"] = f"{lines} line{'' if lines == 1 else 's'}"
            cell.metadata["icp_outputs"] = [_safe(html) for html in outputs if html]
            kept.append(cell)
    nb.cells = kept
    return nb


def _contents(nb) -> list[dict]:
    """Return the h2 headings (id, text) and make every anchor the only one of its name."""
    contents, seen = [], set()
    for cell in nb.cells:
        if cell.cell_type != "markdown":
            continue

        def own(match):
            level, anchor, text = match.groups()
            number = next(i for i in range(1, 1000) if (anchor, i) not in seen)
            seen.add((anchor, number))
            anchor = anchor if number == 1 else f"{anchor}-{number}"
            if level == "2":
                contents.append({"id": anchor, "text": _safe(re.sub(r"<[^>]+>", "", text))})
            lone = ' class="lone"' if anchor == "in-short" else ""
            return f'<h{level} id="{anchor}"{lone}>{text}</h{level}>'

        cell.metadata["icp_html"] = _safe(re.sub(r'<h([1-6]) id="([^"]*)">(.*?)</h\1>', own, cell.metadata["icp_html"]))
    return contents


def _render(nb, page: dict) -> str:
    """Return the page from nbconvert with our own template; everything is escaped unless this package made it."""
    from nbconvert.exporters import TemplateExporter

    exporter = TemplateExporter(template_file="notebook.html.j2", extra_template_paths=[str(files("icp_lib.page"))])
    exporter.environment.autoescape = True
    html, _ = exporter.from_notebook_node(nb, resources={"page": page})
    return define_terms(html)


def render_page(notebook, context: dict) -> str:
    """Return an executed notebook as one HTML page.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        Executed, or executed up to its failure; it is not changed.
    context : dict
        company, quarter, as_of, status (ok, warnings, failed, not measured, not produced), status_words, run_id,
        fingerprint, currency, is_demo, name (the page's file stem), pages (list of file, number, title, status,
        status_words), tables (names of the CSV files this notebook saved); and, where wished, counts (words for the
        state line, such as ``n = 4,949 deals``).

    Returns
    -------
    str
        The same for the same notebook and context, byte for byte. Parameter and setup cells, prompts, warnings on
        stderr and paths are not in it.
    """
    import copy

    nb, page = copy.deepcopy(notebook), shell(context)
    page["tables"] = [f"{str(name).removesuffix('.csv')}.csv" for name in context.get("tables", [])]
    page["banner"] = _safe(_failure(nb))
    page["kicker"], page["question"] = _question(nb, page)
    nb = _tidy(nb, page["tables"])
    page["contents"] = _contents(nb)
    page["has_code"] = any(cell.metadata.get("icp_outputs") for cell in nb.cells)
    page["title"] = f"{page['question']} {page['company']}, {page['quarter']}"
    return _render(nb, page)


def render_missing_page(context: dict, message: str, what_to_do: str) -> str:
    """Return the page of a notebook that failed before it showed anything, or was not produced.

    Parameters
    ----------
    context : dict
        As for `render_page`.
    message, what_to_do : str
        What happened, and the next step, in plain words.
    """
    from nbformat.v4 import new_notebook

    page = shell(context)
    here = page["here"] or {"number": "", "title": context.get("name", "")}
    page["kicker"], page["question"] = "", f"{here['number']} {here['title']}".strip()
    page["title"] = f"{page['question']}: {page['company']}, {page['quarter']}"
    head = {"failed": "This page failed.", "not produced": "This page was not made."}.get(page["status"])
    if head:
        page["banner"] = _safe(_banner(head, clean_message(message), what_to_do))
    else:
        page["banner"] = _safe(
            f'<div class="icp-missing"><p><b>{escape(clean_message(message))}</b></p><p>{escape(what_to_do)}</p></div>'
        )
    return _render(new_notebook(), page)


def render_template(name: str, page: dict, **values) -> str:
    """Return a page without a notebook from one of the templates; all values are escaped."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("icp_lib", "page"),
        autoescape=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    return define_terms(environment.get_template(name).render(page=page, **values))
