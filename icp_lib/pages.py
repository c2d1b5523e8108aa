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

from icp_lib.formats import TURNING
from icp_lib.marks import FAINT, STATUS_WORDS, TOKENS, status_mark
from icp_lib.svg import as_text, make_anchor, render_figure, render_picture
from icp_lib.terms import define_terms

_HIDDEN_TAGS = {"parameters", "injected-parameters", "setup", "papermill-error-cell-tag"}
_ASIDE, _SAID = '<aside class="icp-aside', ('<p class="icp-say', '<ul class="icp-says"')
_OURS = ('<div class="icp-table"', '<div class="icp-missing"', '<div class="icp-banner', _ASIDE, *_SAID)
_MOST_COLUMNS = 5  # a table with more stretches into the margin where no note stands beside it
_IN_SHORT = "in-short"
_HEADING = re.compile(r'<h([1-6]) id="([^"]*)">(.*?)</h\1>')
_PATH = re.compile(r"(?<![\w/.])(?:[A-Za-z]:)?(?:[\\/][\w.@~ -]*[\w.@~-])+[\\/]([\w.@~-]+)")


def token_css() -> str:
    """Return the colour tokens as CSS: light, dark by the system or by the button, light on paper."""
    tokens = TOKENS | {"faint": FAINT}
    light, dark = (";".join(f"--{name}:{pair[i]}" for name, pair in tokens.items()) for i in (0, 1))
    return (
        f":root{{{light};color-scheme:light}}\n"
        f"@media (prefers-color-scheme:dark){{:root{{{dark};color-scheme:dark}}}}\n"
        f":root[data-theme=dark]{{{dark};color-scheme:dark}}\n:root[data-theme=light]{{{light};color-scheme:light}}\n"
        f"@media print{{:root:root{{{light};color-scheme:light}}}}\n"
    )


@cache
def _asset(name: str) -> str:
    return files("icp_lib.page").joinpath(name).read_text(encoding="utf-8")


def _policy(scripts: list[str]) -> str:
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    named = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {named}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _safe(html: str):
    from markupsafe import Markup

    return Markup(html)


def shell(context: dict, styles: tuple[str, ...] = ("page.css",), scripts: tuple[str, ...] = ("page.js",)) -> dict:
    """Return what the shell of a page needs: the context with defaults, marks, styles, scripts and policy.

    Parameters
    ----------
    context : dict
        As for `render_page`.
    styles, scripts : tuple of str
        Files of `icp_lib/page`, in their order; the policy names each script by its hash.
    """
    code, status = [_asset(name) for name in scripts], context.get("status", "ok")
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
        "scripts": [_safe(each) for each in code],
        "css": _safe(token_css() + "".join(map(_asset, styles))),
        "csp": _policy(code),
        "name": str(context.get("name", "")),
        "tables": [],
        "contents": [],
        "parts": [],
        "next": pages[here + 1] if here is not None and here + 1 < len(pages) else None,
        "previous": pages[here - 1] if here else None,
        "here": pages[here] if here is not None else None,
    }


def _output_html(output, tables: list[str]) -> str:
    """Return one output of a cell as HTML, or an empty text where it does not belong on the page."""
    if output.output_type == "stream":
        return f"<pre>{escape(as_text(output.text))}</pre>" if output.name == "stdout" else ""
    if output.output_type == "error":
        return ""
    data, metadata = output.data, output.metadata
    if metadata.get("icp") == "chart-text":
        return ""
    if metadata.get("icp") == "chart" and "image/svg+xml" in data:
        return render_figure(data, metadata, tables)
    html = as_text(data.get("text/html", ""))
    if html.startswith(_OURS):
        name = re.match(r'<div class="icp-table" data-name="([\w-]+)"', html)
        if name and f"{name[1]}.csv" in tables:
            html = html.replace('<div class="icp-table"', f'<div class="icp-table" data-href="tables/{name[1]}.csv"', 1)
        columns = re.search(r'data-columns="(\d+)"', html[:300])
        if columns and int(columns[1]) > _MOST_COLUMNS:
            html = html.replace('<div class="icp-table"', '<div class="icp-table many"', 1)
        return html
    if any(kind in data for kind in ("image/svg+xml", "image/png", "image/jpeg")):
        return render_picture(data, metadata)
    return f"<pre>{escape(as_text(data['text/plain']))}</pre>" if "text/plain" in data else ""


@cache
def _markdown():
    """Return the Markdown renderer: raw HTML is escaped, pictures become their words, headings get an anchor."""
    import mistune

    class Words(mistune.HTMLRenderer):
        def heading(self, text, level, **attrs):
            anchor = make_anchor(re.sub(r"<[^>]+>", "", text))
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


def _banner(head: str, message: str, what_to_do: str = "", last_good: dict | None = None) -> str:
    """Return the banner of a page that failed, with a link to the last quarter's page that did not."""
    rest = f" {escape(what_to_do)}" if what_to_do else ""
    link = ""
    if last_good:
        words = f"See the page of {last_good['quarter']}, the last one that ran"
        link = f'<p><a href="{escape(str(last_good["href"]))}">{escape(words)}</a></p>'
    return (
        f'<div class="icp-banner" role="alert">{status_mark("failed")}<div><p><b>{escape(head)}</b></p>'
        f"<p>{escape(message)}{rest}</p>{link}</div></div>"
    )


def _failure(nb, last_good: dict | None) -> str:
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
                return _banner("This page failed. Below is what it had so far.", message, "", last_good)
    return ""


def _code(source: str, is_quiet: bool) -> str:
    """Return a cell's code, folded; a quiet one shows nothing until the switch opens all."""
    lines = len(source.strip().splitlines())
    words = f"Code, {lines} line{'' if lines == 1 else 's'}"
    kind = "icp-code quiet" if is_quiet else "icp-code"
    return f'<details class="{kind}"><summary>{words}</summary><pre><code>{escape(source)}</code></pre></details>'


def _parts(nb, tables: list[str]) -> list[dict]:
    """Return the page's parts, the opening and one for each heading: its blocks, and the notes for its margin."""
    parts = [{"blocks": [], "notes": []}]
    for cell in nb.cells:
        if _HIDDEN_TAGS & set(cell.metadata.get("tags", [])):
            continue
        if cell.cell_type == "markdown":
            for piece in re.split(r"(?=<h2 )", _markdown()(cell.source)):
                if piece.startswith("<h2 ") and not piece.startswith(f'<h2 id="{_IN_SHORT}"'):
                    parts.append({"blocks": [], "notes": []})
                parts[-1]["blocks"].append(piece)
        elif cell.cell_type == "code":
            outputs = [html for html in (_output_html(output, tables) for output in cell.outputs) if html]
            parts[-1]["notes"] += [html for html in outputs if html.startswith(_ASIDE)]
            parts[-1]["blocks"] += [html for html in outputs if not html.startswith(_ASIDE)]
            is_quiet = all(html.startswith((_ASIDE, *_SAID)) for html in outputs)
            parts[-1]["blocks"] += [_code(cell.source, is_quiet)] if outputs else []
    return [{name: [_safe(html) for html in pieces] for name, pieces in part.items()} for part in parts]


def _contents(parts: list[dict]) -> list[dict]:
    """Return the h2 headings (id, text) and make every anchor the only one of its name."""
    contents, seen = [], set()

    def own(match):
        level, anchor, text = match.groups()
        number = next(i for i in range(1, 1000) if (anchor, i) not in seen)
        seen.add((anchor, number))
        anchor = anchor if number == 1 else f"{anchor}-{number}"
        if level == "2":
            contents.append({"id": anchor, "text": _safe(re.sub(r"<[^>]+>", "", text))})
        lone = ' class="lone"' if anchor == _IN_SHORT else ""
        return f'<h{level} id="{anchor}"{lone}>{text}</h{level}>'

    for part in parts:
        part["blocks"] = [_safe(_HEADING.sub(own, html)) for html in part["blocks"]]
    return contents


def _render(nb, page: dict) -> str:
    """Return the page from nbconvert with our own template; everything is escaped unless this package made it."""
    from nbconvert.exporters import TemplateExporter

    exporter = TemplateExporter(template_file="notebook.html.j2", extra_template_paths=[str(files("icp_lib.page"))])
    exporter.environment.autoescape = True
    html, _ = exporter.from_notebook_node(nb, resources={"page": page})
    return define_terms(html).translate(TURNING)


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
        state line, such as ``n = 4,949 deals``) and last_good (quarter, href: this page in the last quarter in which
        it ran, for the banner of one that failed).

    Returns
    -------
    str
        The same for the same notebook and context, byte for byte. Parameter and setup cells, prompts, warnings on
        stderr and paths are not in it.
    """
    import copy

    nb, page = copy.deepcopy(notebook), shell(context)
    page["tables"] = [f"{str(name).removesuffix('.csv')}.csv" for name in context.get("tables", [])]
    page["banner"] = _safe(_failure(nb, context.get("last_good")))
    page["kicker"], page["question"] = _question(nb, page)
    page["parts"] = _parts(nb, page["tables"])
    page["contents"] = _contents(page["parts"])
    page["has_code"] = any('<details class="icp-code' in html for part in page["parts"] for html in part["blocks"])
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
        page["banner"] = _safe(_banner(head, clean_message(message), what_to_do, context.get("last_good")))
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
    return define_terms(environment.get_template(name).render(page=page, **values)).translate(TURNING)
