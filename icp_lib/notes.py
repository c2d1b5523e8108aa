"""What stands in a page's margin: how sure we are of a claim, a remark with its numbers, and the facts at the top."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import NamedTuple

from icp_lib.formats import column_name, format_interval, format_of, format_value, is_missing
from icp_lib.marks import (
    check_mark,
    meter,
    progress_bar,
    read_progress,
    status_mark,
    verdict_key,
    verdict_mark,
    verdict_sentence,
)
from icp_lib.sentences import Shown, as_row, fill, missing

#: Share of resamples in which a finding must come back to be called stable here; no verdict depends on it.
STABLE_FROM = 0.8
_LUCK = 0.05


class Check(NamedTuple):
    """One of the five checks of a claim: passed, not passed, or not checked yet (None)."""

    name: str
    is_passed: bool | None
    words: str


def _p_words(p: float) -> str:
    return f"chance of luck {format_value(p, 'p_adjusted')}"


def _beats_luck(row: Mapping) -> Check:
    p, n = row.get("p_adjusted"), row.get("hypotheses")
    if is_missing(p):
        return Check("Beats luck", None, "")
    words = _p_words(p).capitalize()
    words += "" if is_missing(n) else f"; {format_value(n, 'n')} groups looked at"
    return Check("Beats luck", float(p) <= _LUCK, f"{words}.")


def _holds(row: Mapping) -> Check:
    p, found, metric = row.get("holdout_p_adjusted"), row.get("estimate_found"), row.get("metric")
    if is_missing(p):
        return Check("Holds in newer data", None, "")
    parts = []
    if not is_missing(row.get("estimate")):
        value = format_value(row["estimate"], "estimate", row.get("conf_low"), row.get("conf_high"), metric=metric)
        against = "" if is_missing(found) else f" against {format_value(found, 'estimate', metric=metric)} when found"
        parts.append(value + against)
    parts.append(_p_words(p))
    is_held = float(p) <= _LUCK and verdict_key(row.get("verdict")) != "contradicted"
    same = 1.0 if format_of("estimate", metric) == "ratio" else None
    touches = same is not None and not is_missing(row.get("conf_low")) and row["conf_low"] <= same <= row["conf_high"]
    end = " The range touches the rest; the check asks for one side only." if is_held and touches else ""
    return Check("Holds in newer data", is_held, f"{'; '.join(parts)}.{end}")


def _stable(row: Mapping) -> Check:
    share = row.get("stability_rate")
    if is_missing(share):
        return Check("Stable", None, "")
    is_stable = float(share) >= STABLE_FROM
    more = "" if is_stable else f"; {STABLE_FROM:.0%} is called stable, and no verdict rests on it"
    return Check("Stable", is_stable, f"Found again in {format_value(share, 'stability_rate')} of resamples{more}.")


def _no_disguise(row: Mapping) -> Check:
    cause = row.get("explained_by")
    if is_missing(cause):
        return Check("Not a disguise", None, "")
    if str(cause) == "nothing":
        return Check("Not a disguise", True, "More than half of it stays, whatever is compared like with like.")
    words = f"Less than half of it stays once {cause} is compared like with like."
    return Check("Not a disguise", False, words)


def _enough(row: Mapping) -> Check:
    is_enough = verdict_key(row.get("verdict")) != "not enough data"
    if is_enough and is_missing(row.get("n")):
        return Check("Enough data", None, "")
    n = "" if is_missing(row.get("n")) else f"n = {format_value(row['n'], 'n')}."
    note = "" if is_enough or is_missing(row.get("note")) else f"{str(row['note']).rstrip('.')}."
    return Check("Enough data", is_enough, " ".join(word for word in (n, note) if word))


def list_checks(claim) -> list[Check]:
    """Return the five checks of a claim, each with the number behind it; one without data is not checked yet.

    Parameters
    ----------
    claim : Series, mapping or frame of one row
        A row of a `claims_<nn>` table, and `stability_rate` where there is one. `explained_by` names a cause, is
        ``nothing`` where every comparison was made and none took half of the effect, and is empty where none was made.

    Examples
    --------
    >>> [check.is_passed for check in list_checks({"verdict": "untested", "p_adjusted": 0.01, "n": 431})]
    [True, None, None, None, True]
    """
    row = as_row(claim, "list_checks")
    checks = [_beats_luck(row), _holds(row), _stable(row), _no_disguise(row)]
    enough = _enough(row)
    if enough.is_passed is False:
        checks = [Check(check.name, None, "") for check in checks]
    return [*checks, enough]


def _verdict_of(row: Mapping) -> str:
    verdict = "untested" if is_missing(row.get("verdict")) else str(row["verdict"])
    if verdict.strip() == "explained by" and not is_missing(row.get("explained_by")):
        return f"explained by {row['explained_by']}"
    return verdict


def _measured(row: Mapping) -> tuple[str, str] | None:
    """Return (head, value with range) of a claim, or nothing where it may not carry a figure."""
    if verdict_key(row.get("verdict")) == "not enough data" or is_missing(row.get("estimate")):
        return None
    metric = row.get("metric")
    words = format_interval(row["estimate"], row.get("conf_low"), row.get("conf_high"), "estimate", metric)
    where = "where found" if is_missing(row.get("holdout_p_adjusted")) else "newer data"
    name = "Estimate" if is_missing(metric) else column_name(str(metric))
    return f"{name}, {where}", words


def _aside(head: str, body: str, kind: str = "") -> str:
    return (
        f'<aside class="icp-aside{kind}" role="note" aria-label="{escape(head)}">'
        f'<p class="head">{escape(head)}</p>{body}</aside>'
    )


def _check_html(check: Check) -> str:
    words = check.words or "Not checked yet."
    return f"<li>{check_mark(check.is_passed)}<span><b>{check.name}.</b> {escape(words)}</span></li>"


def how_sure(claim, needs=None) -> Shown:
    """Show in the margin how sure we are of a claim: verdict, the five checks and the number behind each.

    Parameters
    ----------
    claim : Series, mapping or frame of one row
        As for `list_checks`. An empty frame shows what is missing.
    needs : str or tuple of str, optional
        What is missing when the frame is empty.
    """
    row = as_row(claim, "how_sure")
    if row is None:
        return missing(needs)
    verdict, checks, measured = _verdict_of(row), list_checks(row), _measured(row)
    n_passed, n_open = (sum(check.is_passed is state for check in checks) for state in (True, None))
    count = f"{n_passed} of {len(checks)} checks passed" + (f", {n_open} not made yet" if n_open else "")
    progress = read_progress(row.get("note")) if verdict_key(verdict) == "not enough data" else None
    about = [str(row["claim"])] if not is_missing(row.get("claim")) else []
    if not is_missing(row.get("note")) and verdict_key(verdict) != "not enough data":
        about.append(str(row["note"]))
    html = _aside(
        "How sure are we?",
        f'<p class="verdict">{verdict_mark(verdict)}<b>{escape(verdict.capitalize())}</b></p>'
        f"<p>{escape(verdict_sentence(verdict))}</p>"
        + (progress_bar(*progress) if progress else meter([check.is_passed for check in checks]))
        + f'<p class="count">{count}</p>'
        + (f'<p class="count">{escape(": ".join(measured))}</p>' if measured else "")
        + f'<ul class="checks">{"".join(map(_check_html, checks))}</ul>'
        + "".join(f'<p class="about">{escape(words)}</p>' for words in about),
        " sure",
    )
    lines = [f"How sure are we? {verdict.capitalize()}. {verdict_sentence(verdict)} {count[0].upper()}{count[1:]}."]
    lines += [f"  {': '.join(measured)}"] if measured else []
    word = {True: "yes", False: "no", None: "open"}
    lines += [f"  {word[check.is_passed]:4s}  {check.name}. {check.words or 'Not checked yet.'}" for check in checks]
    return Shown(html, "\n".join([*lines, *about]))


def aside(row, head: str, *templates: str, needs=None) -> Shown:
    """Show a remark in the margin, beside the finding it belongs to: a head and one or more filled sentences.

    Parameters
    ----------
    row : Series, mapping or frame of one row
        An empty frame shows what is missing.
    head : str
        A question or a few words, such as ``Which figure do we publish?``
    *templates : str
        Sentences, their fields as for `fill`; each becomes a paragraph.
    needs : str or tuple of str, optional
        What is missing when the frame is empty.

    Examples
    --------
    >>> aside({"lift_null_95": 1.7}, "In numbers", "A group of this size needs **{lift_null_95}** to beat luck.")
    In numbers
      A group of this size needs 1.7× to beat luck.
    """
    fields = as_row(row, "aside")
    if fields is None:
        return missing(needs)
    html = _aside(head, "".join(f"<p>{fill(fields, template, as_html=True)}</p>" for template in templates))
    return Shown(html, "\n".join([head, *(f"  {fill(fields, template)}" for template in templates)]))


def facts(row, lines: Mapping[str, str], needs=None) -> Shown:
    """Show a short list of facts in the margin: what was searched, where it was found, the measure.

    Parameters
    ----------
    row : Series, mapping or frame of one row
        An empty frame shows what is missing.
    lines : mapping
        Head -> template of `fill`, in the order shown.
    needs : str or tuple of str, optional
        What is missing when the frame is empty.

    Examples
    --------
    >>> facts({"n_found": 3106, "n_held": 1843}, {"Found on": "{n_found} deals", "Checked on": "{n_held} deals"})
    Found on: 3,106 deals
    Checked on: 1,843 deals
    """
    fields = as_row(row, "facts")
    if fields is None:
        return missing(needs)
    items = "".join(
        f"<dt>{escape(head)}</dt><dd>{fill(fields, template, as_html=True)}</dd>" for head, template in lines.items()
    )
    html = f'<aside class="icp-aside facts" role="note" aria-label="Facts of this page"><dl>{items}</dl></aside>'
    return Shown(html, "\n".join(f"{head}: {fill(fields, template)}" for head, template in lines.items()))


def banner(frame, head: str, *templates: str, nothing: str) -> Shown:
    """Show an amber banner for every row of a frame: what is withheld, and why.

    Parameters
    ----------
    frame : DataFrame
    head, *templates : str
        Sentences, their fields as for `fill`.
    nothing : str
        What an empty frame means.

    Examples
    --------
    >>> import pandas as pd
    >>> row = {"test": "Letter", "why": "120 against 80"}
    >>> banner(pd.DataFrame([row]), "{test}: withheld", "{why}.", nothing="Nothing is withheld.")
    ! Letter: withheld
      120 against 80.
    """
    if not len(frame):
        return Shown(f'<p class="icp-say"><span>{escape(nothing)}</span></p>', nothing)
    parts, lines = [], []
    for row in frame.to_dict("records"):
        words = "".join(f"<p>{fill(row, template, as_html=True)}</p>" for template in templates)
        inside = f"<div><p><b>{fill(row, head, as_html=True)}</b></p>{words}</div>"
        parts.append(f'<div class="icp-banner warn" role="note">{status_mark("warnings")}{inside}</div>')
        lines += [f"! {fill(row, head)}", *(f"  {fill(row, template)}" for template in templates)]
    return Shown("".join(parts), "\n".join(lines))
