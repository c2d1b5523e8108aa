"""The front page as one page of words, to be sent by e-mail: `summary.md` and, without markup, `summary.txt`."""

from __future__ import annotations

import re
import textwrap

from icp_lib.cards import read_comparison
from icp_lib.checks import check_in
from icp_lib.formats import TURNING, column_name, format_interval, format_value, is_missing
from icp_lib.marks import VERDICTS, verdict_key, verdict_sentence
from icp_lib.metrics import METRICS

WIDTH = 78
#: Claims of one verdict that are told; the others are counted, so that the summary stays one page.
MOST = 5


def build_summary(context: dict, headline, claims, profile: dict, kind: str) -> str:
    """Return the summary of a quarter.

    Parameters
    ----------
    context : dict
        As for `front.render_front`: company, quarter, as_of, status_words, run_id, fingerprint, pages.
    headline, claims : DataFrame
        As for `front.render_front`; may be empty.
    profile : dict
        As for `front.render_front`; may be empty.
    kind : str
        'md' or 'txt'. Text has no markup and no line longer than 78 characters.

    Returns
    -------
    str

    Examples
    --------
    >>> import pandas as pd
    >>> context = {"company": "Northlane", "quarter": "2026-Q3", "as_of": "30 Sep 2026", "pages": []}
    >>> print(build_summary(context, pd.DataFrame(), pd.DataFrame(), {}, "txt").splitlines()[0])
    Northlane: ideal customer, 2026-Q3
    """
    check_in(kind, ("md", "txt"), "kind")
    blocks = [
        ("title", f"{context['company']}: ideal customer, {context['quarter']}"),
        ("words", _state(context)),
        *_profile_blocks(profile),
        ("head", "What is it worth?"),
        *_figure_blocks(headline),
        ("head", "What do we know, and how well?"),
        *_claim_blocks(claims),
        *_failed_blocks(context.get("pages", [])),
        ("head", "Where from"),
        ("words", _source(context)),
    ]
    lines = [line for block in blocks for line in (_markdown(*block) if kind == "md" else _plain(*block))]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip().translate(TURNING) + "\n"


def _state(context: dict) -> str:
    said = str(context.get("status_words") or "").rstrip(".")
    return ". ".join(words for words in (said, f"As of {context['as_of']}") if words) + "."


def _source(context: dict) -> str:
    demo = " Demo company: all data are generated." if context.get("is_demo") else ""
    return (
        f"Run {context.get('run_id', '')}, data fingerprint {context.get('fingerprint', '')}. A range in brackets is a "
        "95% interval: it would hold the true value 19 times in 20. The whole report, with every table and its "
        f"definitions: index.html beside this file.{demo}"
    )


def _profile_blocks(profile: dict) -> list[tuple[str, str]]:
    lead = [("words", str(profile["lead"]))] if profile.get("lead") else []
    if not profile.get("name"):
        return [("strong", "No profile yet."), *(lead or [("words", "Page 07 did not run, so nothing names one.")])]
    name, verdict = str(profile["name"]), profile.get("verdict")
    verdict = "untested" if is_missing(verdict) else str(verdict)
    sure = f"How sure are we? {verdict.capitalize()}. {verdict_sentence(verdict)}"
    return [("strong", f"{name[:1].upper()}{name[1:].rstrip('.')}."), *lead, ("words", sure)]


def _figure_blocks(headline) -> list[tuple[str, str]]:
    rows = headline.to_dict("records")
    return [("item", _figure(row)) for row in rows] or [("words", "No figure yet: no segment was offered.")]


def _figure(row: dict) -> str:
    """One headline figure: name, value with its range, what it is compared with, n."""
    metric = str(row["metric"])
    name = METRICS[metric].name if metric in METRICS else column_name(metric)
    if is_missing(row.get("estimate")):
        note = "no estimate in this quarter's data" if is_missing(row.get("note")) else str(row["note"])
        return f"{name}: not measured ({note})."
    said = [format_interval(row["estimate"], row.get("conf_low"), row.get("conf_high"), "estimate", metric)]
    said += [words for words in (read_comparison(row)[1],) if words]
    if not is_missing(row.get("n")):
        said.append(f"n = {format_value(row['n'], 'n')}")
    return f"{name}: {'; '.join(said)}."


def _claim_blocks(claims) -> list[tuple[str, str]]:
    rows = claims.to_dict("records")
    blocks = []
    for key in VERDICTS:
        found = [row for row in rows if _verdict(row) == key]
        if found:
            sentence = "The lead shrinks once like is compared with like." if key == "explained by" else None
            word = "Explained by something else" if key == "explained by" else key.capitalize()
            blocks.append(("strong", f"{word} ({len(found):,}). {sentence or verdict_sentence(key)}"))
            blocks += [("item", _claim(row)) for row in found[:MOST]]
            if len(found) > MOST:
                blocks.append(("item", f"{len(found) - MOST:,} more: see the front page."))
    return blocks or [("words", "No claim yet: none of the pages 01 to 06 saved one in this run.")]


def _verdict(row: dict) -> str:
    return "untested" if is_missing(row.get("verdict")) else verdict_key(row["verdict"])


def _claim(row: dict) -> str:
    claim, note = str(row["claim"]).rstrip("."), row.get("note")
    if _verdict(row) == "not enough data" or is_missing(row.get("estimate")):
        return f"{claim}." if is_missing(note) else f"{claim}: {note}."
    metric = row.get("metric")
    value = format_interval(row["estimate"], row.get("conf_low"), row.get("conf_high"), "estimate", metric)
    counted = "" if is_missing(row.get("n")) else f", n = {format_value(row['n'], 'n')}"
    return f"{claim}: {value}{counted}."


def _failed_blocks(pages: list[dict]) -> list[tuple[str, str]]:
    failed = [each for each in pages if each["status"] in ("failed", "not produced")]
    words = [f"{each['number']} {each['title']}: {each.get('words') or each['status_words']}" for each in failed]
    return [("head", "Which pages failed?"), *(("item", each) for each in words)] if failed else []


def _markdown(kind: str, text: str) -> list[str]:
    """One block as Markdown; nothing in the text can act as markup."""
    safe = re.sub(r"([\\`*_\[\]#|~$])", r"\\\1", " ".join(text.split()))
    safe = safe.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    form = {"title": "# {}", "head": "\n## {}\n", "strong": "\n**{}**\n", "item": "- {}", "words": "\n{}\n"}[kind]
    return form.format(safe).split("\n")


def _plain(kind: str, text: str) -> list[str]:
    """One block as plain text, wrapped."""
    hold = "\N{NO-BREAK SPACE}"  # keeps "n = 12" on one line
    text = " ".join(text.split()).replace("n = ", f"n{hold}={hold}")
    marks = {"initial_indent": "  - ", "subsequent_indent": "    "} if kind == "item" else {}
    lines = [line.replace(hold, " ") for line in textwrap.wrap(text, WIDTH, **marks)]
    if kind == "item":
        return lines
    if kind in ("title", "head"):
        return ["", *lines, ("=" if kind == "title" else "-") * max(map(len, lines)), ""]
    return ["", *lines, ""]
