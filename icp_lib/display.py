"""What a notebook shows: `show` for tables, `say` for sentences, `how_sure`, `aside` and `facts` for the margin.

They return small objects that Jupyter displays as HTML, with the same words as plain text. Everything that comes from
data is escaped; formats follow the columns' names (`icp_lib.formats`).
"""

from __future__ import annotations

import math
from html import escape

from icp_lib.checks import DataError, hint
from icp_lib.formats import (
    NEVER_ALONE,
    UNITS,
    column_name,
    format_interval,
    format_of,
    format_range,
    format_value,
    is_missing,
    set_currency,
    stem_of,
)
from icp_lib.marks import axis, nice_scale, progress_bar, range_bar, read_progress, status_mark, verdict_mark
from icp_lib.metrics import METRICS
from icp_lib.notes import aside, banner, facts, how_sure
from icp_lib.sentences import Shown, fill, missing, missing_words, say

__all__ = [
    "Shown", "aside", "banner", "facts", "fill", "format_interval", "format_range", "format_value", "how_sure",
    "missing_words", "passed", "say", "set_currency", "show", "verdict_mark",
]  # fmt: skip

_NEVER_COLUMNS = ("verdict", "verdict_words", "note", "conf_level")
_FOLDED_FROM = 12
_LONG_TEXT, _WORDS = 40, ' class="words"'


def _plan(frame, bar: str | None) -> list[tuple[str, str | None, str | None]]:
    """Return the columns to show as (column, its low, its high); ends and words shown elsewhere are left out."""
    columns = list(frame.columns)
    ends = {"estimate": ("conf_low", "conf_high")} if "estimate" in columns else {}
    ends |= {
        name: (f"{name}_low", f"{name}_high")
        for name in columns
        if f"{name}_low" in columns and f"{name}_high" in columns
    }
    hidden = {end for pair in ends.values() for end in pair} | set(_NEVER_COLUMNS)
    if "outcome" in columns:  # the metric in words
        hidden.add("metric")
    if "segment" in columns:
        hidden |= {"segment_id", "conditions"}
    if bar is not None:
        if bar not in columns:
            raise DataError(f"show: bar='{bar}' is not a column. {hint(bar, columns)}")
        hidden |= {"rest", "comparison", "compared_with", f"{bar}_found"} - {bar}
    if "metric" in columns[1:] and frame["metric"].nunique() == 1:
        hidden.add("metric")
    return [(name, *ends.get(name, (None, None))) for name in columns if name not in hidden]


def shared_note(frame) -> str:
    """Return the note that all rows of a frame share; it is said once, not on every row."""
    notes = set(frame["note"]) if "note" in frame and len(frame) > 1 else set()
    note = notes.pop() if len(notes) == 1 else None
    return "" if is_missing(note) else str(note)


def _scale_of(row: dict, bar: str) -> tuple[str, str | None]:
    """Return the format of a row's bar, and the metric where it has a scale of its own: shares and ratios share one."""
    kind = format_of(bar, row.get("metric"))
    return kind, None if bar != "estimate" or kind in ("ratio", "rate", "points") else row.get("metric")


def _scales(rows: list[dict], bar: str, low: str | None, high: str | None) -> dict[tuple, tuple]:
    """Return the scales of the bar's column (`_scale_of`); a far upper end does not stretch one."""
    by_kind: dict[tuple, list] = {}
    for row in rows:
        values = by_kind.setdefault(_scale_of(row, bar), [])
        values += [row.get(name) for name in (bar, low, "rest", "comparison", f"{bar}_found") if name]
        values.append((row.get(high), row.get(bar)) if high else None)
    scales = {}
    for key, values in by_kind.items():
        numbers = [v for v in values if isinstance(v, (int, float)) and not is_missing(v) and math.isfinite(v)]
        largest = max(map(abs, numbers), default=1.0)
        tops = [v[0] for v in values if isinstance(v, tuple) and not is_missing(v[0])]
        scales[key] = nice_scale([*numbers, *(top for top in tops if top <= 2 * largest)], key[0])
    return scales


def _kind(records: list[dict], column: str) -> str:
    """Return the format that all rows of a column share; nothing where rows are of different metrics."""
    kinds = {format_of(column, row.get("metric")) for row in records}
    return kinds.pop() if len(kinds) == 1 else ""


def _head(name: str, kind: str, is_number: bool) -> str:
    """Return a head cell; a defined metric carries its id, and its sentence for places without the page's script."""
    unit = f' <span class="unit">{UNITS[kind]}</span>' if kind in UNITS else ""
    text, stem = escape(column_name(name)), stem_of(name)
    if stem in METRICS:
        text = f'<span class="icp-term" data-metric="{stem}" title="{escape(METRICS[stem].sentence)}">{text}</span>'
    kind_class = ' class="num"' if is_number else ""
    return f'<th scope="col"{kind_class}>{text}{unit}</th>'


def _cell(row: dict, name: str, low, high, kind: str, is_column_number: bool) -> tuple[str, str]:
    """Return one cell as (HTML, text); a missing number is a dash, its reason stands in the row's note."""
    value, metric = row[name], row.get("metric")
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if is_missing(value) and not is_column_number:
        return '<td><span aria-label="none">–</span></td>', "–"
    if is_missing(value):
        reason = '<span class="why">not measured</span>' if is_missing(row.get("note")) else ""
        return f'<td class="num" data-sort="">–{reason}</td>', "–"
    if name == "metric":
        text = METRICS[value].name if value in METRICS else column_name(str(value))
        return f"<td>{escape(text)}</td>", text
    if not is_number:
        text = column_name(str(value)) if name == "attribute" else format_value(value, name, metric=metric)
        return f"<td{_WORDS if len(text) > _LONG_TEXT else ''}>{escape(text)}</td>", text
    text = format_interval(value, row.get(low), row.get(high), name, metric, unit=kind not in UNITS)
    return f'<td class="num" data-sort="{float(value):.10g}">{escape(text)}</td>', text


def _first_cell(row: dict, cell: str, shared: str) -> str:
    """Return the row's head: verdict mark, name, then verdict and note in words under it."""
    inner = cell[cell.index(">") + 1 : -len("</td>")]
    verdict = "" if is_missing(row.get("verdict")) else str(row["verdict"])
    note = None if row.get("note") == shared else row.get("note")
    said = row.get("verdict_words") or verdict
    under = [escape(str(words)) for words in (said[:1].upper() + said[1:], note) if not is_missing(words)]
    mark = verdict_mark(verdict) if verdict else ""
    small = f'<span class="under">{". ".join(under)}</span>' if under else ""
    return f'<th scope="row"><span class="icp-name">{mark}<span>{inner}{small}</span></span></th>'


def _bar_cell(row: dict, bar: str, ends: tuple, scales: dict) -> str:
    progress = read_progress(row.get("note")) if is_missing(row[bar]) else None
    if progress:
        return f'<td class="bar">{progress_bar(*progress)}</td>'
    rest = next((row[name] for name in ("rest", "comparison") if isinstance(row.get(name), (int, float))), None)
    found = row.get("estimate_found" if bar == "estimate" else f"{bar}_found")
    key = _scale_of(row, bar)
    rest = 1.0 if rest is None and key[0] == "ratio" else rest
    if not is_missing(row[bar]) and all(map(is_missing, (rest, *map(row.get, ends)))):
        return '<td class="bar"></td>'  # a dot alone says nothing
    verdict = row.get("verdict", "confirmed")  # without verdicts a dot is an estimate, as in figures
    drawn = range_bar(
        row[bar],
        *(row.get(end) for end in ends),
        bar,
        scales[key],
        "untested" if is_missing(verdict) else verdict,
        rest,
        found,
        row.get("metric"),
        "the rest" if is_missing(row.get("compared_with")) else row["compared_with"],
    )
    return f'<td class="bar">{drawn}</td>'


def _texts(head: list[str], lines: list[list[str]], n_rows: int) -> str:
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [head, *lines]
    ]
    return "\n".join([*table, *([f"... {n_rows - len(lines):,} more rows"] if n_rows > len(lines) else [])])


def show(
    frame,
    caption: str | None = None,
    rows: int = _FOLDED_FROM,
    bar: str | None = None,
    needs=None,
    name: str | None = None,
    nothing: str = "",
) -> Shown:
    """Show a result table.

    Parameters
    ----------
    frame : DataFrame
        ``x, x_low, x_high`` become one cell ``€45 (38 to 51)``; `estimate, conf_low, conf_high` too, by the row's
        `metric`. `verdict` becomes a mark and words (`verdict_words` where given) in the first column, `note` small
        text under it. `segment_id` and `conditions` are left out beside `segment`. Other columns stand in the frame's
        order.
    caption : str, optional
        What the table shows, in a few words.
    rows : int
        Rows shown before the rest are folded.
    bar : str, optional
        Column drawn as range bars; the upright line is the row's `rest` or `comparison`, named by `compared_with` where
        it is not the rest.
    needs : str or tuple of str, optional
        What is missing when the frame is empty: a table, ``table.column`` or a file.
    name : str, optional
        Name of the saved table, for the download.
    nothing : str, optional
        What an empty frame means, where nothing is missing.

    Returns
    -------
    Shown
        Displays itself as an HTML table; every row is in the page.
    """
    alone = next((name for name, base in NEVER_ALONE.items() if name in frame and base not in frame), None)
    if alone:
        raise DataError(f"show: '{alone}' without '{NEVER_ALONE[alone]}' says nothing. Show both.")
    if len(frame) == 0:
        return Shown(f'<p class="icp-say"><span>{escape(nothing)}</span></p>', nothing) if nothing else missing(needs)
    plan, records = _plan(frame, bar), frame.to_dict("records")
    kinds = {column: _kind(records, column) for column, _, _ in plan}
    ends = next(((low, high) for column, low, high in plan if column == bar), (None, None))
    scales = _scales(records, bar, *ends) if bar else {}
    numbers = {column for column in frame.columns if frame[column].dtype.kind in "iuf"}
    only = records[0].get("metric") if "metric" in frame and frame["metric"].nunique() == 1 else None
    shared, head, plain_head, body, lines = shared_note(frame), [], [], [], []
    for i, (column, _, _) in enumerate(plan):
        if column == bar:
            ticks = axis(next(iter(scales.values())), bar, records[0].get("metric")) if len(scales) == 1 else ""
            head.append(f'<th class="bar" scope="col"><span class="sr">Range</span>{ticks}</th>')
        named = str(only) if column == "estimate" and only is not None else column
        head.append(_head(named, kinds[column], column in numbers and i > 0))
        plain_head.append(column_name(named) + (f", {UNITS[kinds[column]]}" if kinds[column] in UNITS else ""))
    for number, row in enumerate(records):
        cells = [_cell(row, column, low, high, kinds[column], column in numbers) for column, low, high in plan]
        html = [
            "".join(
                [
                    _bar_cell(row, bar, ends, scales) if plan[i][0] == bar else "",
                    _first_cell(row, cell[0], shared) if i == 0 else cell[0],
                ]
            )
            for i, cell in enumerate(cells)
        ]
        folded = ' class="more"' if number >= rows else ""
        body.append(f"<tr{folded}>{''.join(html)}</tr>")
        if number < rows:
            verdict = "" if is_missing(row.get("verdict")) else f" ({row.get('verdict_words') or row['verdict']})"
            lines.append([cells[0][1] + verdict, *(text for _, text in cells[1:])])
    said = ". ".join(text.rstrip(".") for text in (caption or "", shared) if text) + ("." if shared else "")
    words = f"<caption>{escape(said)}</caption>" if said else ""
    html = (
        f'<div class="icp-table" data-name="{escape(name or "table")}" data-rows="{rows}" data-n="{len(frame)}" '
        f'data-columns="{len(plan) + bool(bar)}">'
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(caption or "Table")}"><table>{words}'
        f"<thead><tr>{''.join(head)}</tr></thead><tbody>{''.join(body)}</tbody></table></div></div>"
    )
    return Shown(html, (f"{said}\n" if said else "") + _texts(plain_head, lines, len(frame)))


def passed(words: str) -> Shown:
    """Show a check that passed: a tick and its words."""
    return Shown(f'<p class="icp-say has-mark">{status_mark("ok")}<span>{escape(words)}</span></p>', f"✓ {words}")
