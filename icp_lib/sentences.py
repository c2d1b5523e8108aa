"""Sentences filled from a row, and what is said where something is missing."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from icp_lib.checks import DataError, hint
from icp_lib.formats import NEVER_ALONE, format_range, format_value, is_missing
from icp_lib.marks import verdict_key, verdict_mark
from icp_lib.schemas import missing_words


@dataclass(frozen=True)
class Shown:
    """A piece of the page: `html` for the browser, `text` where there is none."""

    html: str
    text: str

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"text/html": self.html, "text/plain": self.text}

    def __repr__(self) -> str:
        return self.text


def missing(needs) -> Shown:
    """Return the block that stands where nothing can be shown; `needs` as for `missing_words`."""
    text = missing_words(needs)
    head, _, rest = text.partition(". ") if needs else (text, "", "")
    rest = f"<p>{escape(rest)}</p>" if rest else ""
    return Shown(f'<div class="icp-missing"><p><b>{escape(head.rstrip("."))}.</b></p>{rest}</div>', text)


def as_row(row, what: str = "fill") -> Mapping | None:
    """Return a Series, a mapping or a frame's only row as a mapping; None where there is no row.

    Raises
    ------
    DataError
        A frame of several rows; `what` names the function that needs one.
    """
    if hasattr(row, "columns"):
        if len(row) > 1:
            raise DataError(
                f"{what}: one row is needed, the frame has {len(row)}. Take one: frame.iloc[0] or frame.head(1)."
            )
        return row.iloc[0].to_dict() if len(row) else None
    return row.to_dict() if hasattr(row, "to_dict") else dict(row) if row is not None else None


def _ends(row: Mapping, column: str) -> tuple:
    low, high = ("conf_low", "conf_high") if column == "estimate" else (f"{column}_low", f"{column}_high")
    return row.get(low), row.get(high)


def _field(row: Mapping, name: str, spec: str) -> str:
    """Format one field of a template: ``{column}``, ``{column:written_as}`` or ``{interval:column}``."""
    column = spec if name == "interval" and spec else name
    if column not in row:
        raise DataError(f"say: the row has no '{column}'. {hint(column, row)}")
    metric = row.get("metric")
    if name == "interval" and spec:
        return format_range(*_ends(row, column), column, row[column], metric) or "range not measured"
    if spec:
        return format_value(row[column], spec, *_ends(row, spec), metric=metric)
    base, _, end = column.rpartition("_")
    base = "estimate" if base == "conf" else base
    if end in ("low", "high") and base in row:
        likely = format_range(*_ends(row, base), base, row[base], metric).split(" to ")
        return likely[0 if end == "low" else -1] or "not measured"
    return format_value(row[column], column, *_ends(row, column), metric=metric)


def fill(row, template: str, as_html: bool = False) -> str:
    """Fill a template's fields from a row, each formatted by its column's name.

    Parameters
    ----------
    row : Series, mapping or frame of one row
    template : str
        ``{margin_per_day}`` gives ``€45``, ``{margin_per_day_low}`` gives ``38``, ``{interval:margin_per_day}`` gives
        ``38 to 51``, ``{rest:margin_per_day}`` writes `rest` as that measure; ``**words**`` are bold.
    as_html : bool
        Escape everything and make bold words ``<b>``; otherwise plain text.

    Raises
    ------
    DataError
        A field that the row does not have; the message names the closest column.

    Examples
    --------
    >>> row = {"segment": "Carriers", "margin_per_day": 44.7, "margin_per_day_low": 38.2, "margin_per_day_high": 51.3}
    >>> fill(row, "{segment} earn {margin_per_day} ({interval:margin_per_day}).")
    'Carriers earn €45 (38 to 51).'
    """
    row, parts, is_bold = as_row(row), [], False
    clean, fields = escape if as_html else str, list(string.Formatter().parse(template))
    used = {word for _, name, spec, _ in fields for word in (name, spec)}
    for name, base in NEVER_ALONE.items():
        if name in used and base not in used:
            raise DataError(f"say: '{name}' without '{base}' says nothing. Write both.")
    for literal, name, spec, _ in fields:
        for i, piece in enumerate(literal.split("**")):
            if i:
                is_bold = not is_bold
                parts.append(("<b>" if is_bold else "</b>") if as_html else "")
            parts.append(clean(piece))
        if name is not None:
            text = clean(_field(row, name, spec))
            parts.append(text.replace(" ", "&nbsp;") if as_html and name == "interval" else text)
    return "".join(parts)


def _pick_template(row: Mapping, template: str | Mapping[str, str], by: str) -> str:
    if isinstance(template, str):
        return template
    value = row.get(by)
    key = "" if is_missing(value) else verdict_key(value) if by == "verdict" else str(value)
    if key not in template and "" not in template:
        raise DataError(
            f"say: no sentence for the {by} '{key or 'none'}'. Add one under that word, or under '' for all others."
        )
    return template.get(key, template.get("", ""))


def _say_one(row: Mapping, template: str | Mapping[str, str], tag: str, by: str) -> tuple[str, str]:
    """Return one sentence as (HTML, text), its verdict's mark in front."""
    verdict, words = row.get("verdict"), _pick_template(row, template, by)
    mark, word = ("", "") if is_missing(verdict) else (verdict_mark(verdict), f" ({verdict})")
    has_mark = " has-mark" if mark else ""
    html = f'<{tag} class="icp-say{has_mark}">{mark}<span>{fill(row, words, as_html=True)}</span></{tag}>'
    return html, fill(row, words) + word


def say(row, template: str | Mapping[str, str], needs=None, by: str = "verdict") -> Shown:
    """Show a sentence filled from a row, its verdict's mark in front; a frame of several rows becomes a list.

    Parameters
    ----------
    row : Series, mapping or frame
        An empty frame shows what is missing.
    template : str or mapping
        The sentence, its fields as for `fill`; or one sentence a verdict, ``{"confirmed": "...", "": "..."}``, the
        one under ``""`` for all others.
    needs : str or tuple of str, optional
        What is missing when the frame is empty.
    by : str
        Column whose words choose among several sentences.

    Raises
    ------
    DataError
        A field that the row does not have, or a verdict without a sentence.

    Examples
    --------
    >>> say({"segment": "Carriers", "win_rate": 0.342, "verdict": "confirmed"}, "{segment} win {win_rate}.")
    Carriers win 34%. (confirmed)
    """
    if not hasattr(row, "columns"):
        return Shown(*_say_one(as_row(row), template, "p", by))
    records = row.to_dict("records")
    if len(records) < 2:
        return Shown(*_say_one(records[0], template, "p", by)) if records else missing(needs)
    lines = [_say_one(record, template, "li", by) for record in records]
    return Shown(
        f'<ul class="icp-says">{"".join(html for html, _ in lines)}</ul>', "\n".join(f"- {text}" for _, text in lines)
    )
