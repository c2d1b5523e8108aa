"""The front page of a quarter and the index of all quarters, rendered from tables, without a kernel."""

from __future__ import annotations

from icp_lib.display import shared_note
from icp_lib.formats import UNITS, column_name, format_interval, format_of, format_range, format_value, is_missing
from icp_lib.marks import (
    VERDICTS,
    axis,
    nice_scale,
    place,
    range_bar,
    status_mark,
    verdict_key,
    verdict_mark,
    verdict_sentence,
)
from icp_lib.pages import render_template, shell
from icp_lib.schemas import METRICS

#: The headline figures in their order, and the number of the page that measures each.


_READ_HELD = "Dot and bar: newer deals that were kept aside. Ring: what we saw when we first found it."
_READ_FOUND = "Bar: likely range, widened for the number of groups looked at. Line: the rest."


def _safe(html: str):
    from markupsafe import Markup

    return Markup(html)


def _name(metric: str) -> object:
    """Return a card's name; a defined metric carries its definition."""
    from markupsafe import escape

    if metric in METRICS:
        return _safe(f'<span class="icp-term" data-metric="{metric}" title="">{escape(METRICS[metric].name)}</span>')
    return column_name(metric)


def _split_unit(text: str, kind: str) -> tuple[str, str]:
    """Return the number and the words of its unit, which a card writes smaller."""
    number, _, unit = text.partition(" ") if kind in UNITS else (text, "", "")
    return number, unit


def _missing_card(metric: str, note) -> dict:
    return {
        "name": _name(metric),
        "number": "",
        "unit": "",
        "none": "Not measured",
        "note": "No estimate in this quarter's data." if is_missing(note) else str(note),
        "bar": _safe(range_bar(None, None, None, metric, (0, 1, [], False))),
    }


def _card(row: dict, verdict: str) -> dict:
    """Return one headline figure: number, likely range, n, bar and comparison."""
    metric, value = str(row["metric"]), row.get("estimate")
    if is_missing(value):
        return _missing_card(metric, row.get("note"))
    low, high, rest = row.get("conf_low"), row.get("conf_high"), row.get("comparison")
    kind = format_of("estimate", metric)
    rest = None if is_missing(rest) or isinstance(rest, str) else float(rest)
    scale = nice_scale([end for end in (value, low, high, rest) if not is_missing(end)], kind)
    number, unit = _split_unit(format_value(value, "estimate", low, high, metric=metric), kind)
    likely = format_range(low, high, "estimate", value, metric, unit=True)
    words = str(row["comparison"]) if isinstance(row.get("comparison"), str) else ""
    if rest is not None:
        words = (
            "same as the rest"
            if kind == "ratio" and rest == 1
            else f"the rest {format_value(rest, 'estimate', metric=metric)}"
        )
    unit = unit or ("a day" if metric == "margin_per_day" else "")
    return {
        "name": _name(metric),
        "number": number,
        "unit": unit,
        "likely": f"likely {likely}" if likely else "",
        "n": "" if is_missing(row.get("n")) else f"n = {format_value(row['n'], 'n')}",
        "bar": _safe(range_bar(value, low, high, "estimate", scale, verdict, rest, metric=metric)),
        "rest": words,
        "rest_at": None if rest is None else round(place(rest, scale), 1),
        "note": "" if is_missing(row.get("note")) else str(row["note"]),
    }


def _claim(row: dict, scales: dict, pages: list[dict], shared: str) -> dict:
    """Return one claim as a line: words, bar, value with range, n and its page; a note shared by all stands above."""
    metric = row.get("metric")
    is_few = verdict_key(row["verdict"]) == "not enough data"
    kind = format_of("estimate", metric)
    value = None if is_few else row.get("estimate")
    rest = 1.0 if kind == "ratio" else None
    bar = (
        range_bar(
            value,
            row.get("conf_low"),
            row.get("conf_high"),
            "estimate",
            scales[kind],
            row["verdict"],
            rest,
            row.get("estimate_found"),
            metric,
        )
        if not is_missing(value)
        else ""
    )
    words = format_interval(value, row.get("conf_low"), row.get("conf_high"), "estimate", metric)
    if is_missing(value):
        words = str(row["note"]) if not is_missing(row.get("note")) else "no figure"
    number = str(row["claim_id"])[:2]
    under = [column_name(str(metric))] if not is_missing(metric) else []
    has_words = not is_missing(row.get("note")) and not is_missing(value) and row["note"] != shared
    under += [str(row["note"])] if has_words else []
    return {
        "text": str(row["claim"]),
        "under": "; ".join(under),
        "bar": _safe(bar),
        "value": words,
        "n": "" if is_missing(row.get("n")) else format_value(row["n"], "n"),
        "page": next((each for each in pages if each["number"] == number), None),
    }


def _groups(claims, pages: list[dict], shared: str) -> tuple[list[dict], str]:
    """Return the claims by verdict, in the report's order, and the axis of their ratios."""
    rows = [
        {**row, "verdict": "untested" if is_missing(row.get("verdict")) else str(row["verdict"])}
        for row in (claims.to_dict("records") if len(claims) else [])
    ]
    by_kind: dict[str, list] = {}
    for row in rows:
        ends = [row.get(name) for name in ("estimate", "conf_low", "conf_high", "estimate_found")]
        by_kind.setdefault(format_of("estimate", row.get("metric")), []).extend(e for e in ends if not is_missing(e))
    scales = {kind: nice_scale(values, kind) for kind, values in by_kind.items()}
    groups = []
    for key in VERDICTS:
        found = [row for row in rows if verdict_key(row["verdict"]) == key]
        if found:
            sentence = (
                verdict_sentence(key) if key != "explained by" else "The lead shrinks once like is compared with like."
            )
            groups.append(
                {
                    "word": "Explained by something else" if key == "explained by" else key.capitalize(),
                    "mark": _safe(verdict_mark(key)),
                    "sentence": sentence,
                    "is_open": key in ("confirmed", "promising", "contradicted") or len(rows) <= 8,
                    "claims": [_claim(row, scales, pages, shared) for row in found],
                }
            )
    return groups, _safe(axis(scales["ratio"], "lift")) if "ratio" in scales else ""


def _profile(profile: dict) -> tuple[dict, dict]:
    """Return the profile's words and how sure we are; without a profile, what is missing."""
    if not profile.get("name"):
        why = "Page 07 did not run, so nothing names a profile."
        empty = {"name": "No profile yet.", "quarter": "", "lead": str(profile.get("lead") or why)}
        return empty, {
            "mark": "",
            "word": "Nothing to be sure of",
            "sentence": "A profile needs one segment that holds.",
        }
    name = str(profile["name"]).rstrip(".") + "."
    verdict = "untested" if is_missing(profile.get("verdict")) else str(profile["verdict"])
    return (
        {
            "name": name[0].upper() + name[1:],
            "lead": str(profile.get("lead") or ""),
            "quarter": str(profile.get("quarter") or ""),
        },
        {"mark": _safe(verdict_mark(verdict)), "word": verdict.capitalize(), "sentence": verdict_sentence(verdict)},
    )


def _ran(pages: list[dict]) -> str:
    """Return how many pages ran, and which failed or were skipped.

    Examples
    --------
    >>> _ran([{"number": "00", "status": "ok"}, {"number": "06", "status": "failed"}])
    '1 of 2 pages ran; 06 failed'
    """
    ran = [each for each in pages if each["status"] in ("ok", "warnings")]
    words = [f"{len(ran)} of {len(pages)} pages ran"]
    for status, word in (("failed", "failed"), ("not measured", "not measured"), ("not produced", "skipped")):
        numbers = [each["number"] for each in pages if each["status"] == status]
        words += [f"{', '.join(numbers)} {word}"] if numbers else []
    return "; ".join(words)


def render_front(context: dict, headline, claims, profile: dict) -> str:
    """Return the front page of a quarter.

    Parameters
    ----------
    context : dict
        As for `pages.render_page`.
    headline : DataFrame
        One row a figure: segment_id, segment, metric, estimate, conf_low, conf_high, conf_level, n, n_events,
        comparison, method, note. May be empty.
    claims : DataFrame
        Rows of the `claims_<nn>` tables; `claim_id` starts with the number of its page. May be empty.
    profile : dict
        name (of the segment, ready for a sentence), verdict, lead (a sentence), quarter; and, where there, changed and
        first, each a sentence. May be empty.
    """
    page = shell(context)
    page["title"] = f"{page['company']}: ideal customer, {page['quarter']}"
    words, sure = _profile(profile)
    answers = [
        {"head": head, "words": str(profile[key])}
        for head, key in (("What changed?", "changed"), ("What first?", "first"))
        if profile.get(key)
    ]
    shared = shared_note(claims)
    groups, scale_line = _groups(claims, page["pages"], shared)
    verdict = str(profile.get("verdict") or "untested")
    legend = range_bar(30, 20, 42, "n", (0, 60, [], False), verdict, rest=10)
    legend = legend.replace('role="img"', 'aria-hidden="true"')
    is_held = len(claims) > 0 and claims["holdout_p_adjusted"].notna().any()
    return render_template(
        "front.html.j2",
        page,
        profile=words,
        sure=sure,
        answers=answers,
        groups=groups,
        axis=scale_line,
        shared=shared,
        ran=_ran(page["pages"]),
        is_said="pages ran" in page["status_words"],
        legend=_safe(legend),
        how_to_read=_READ_HELD if is_held else _READ_FOUND,
        cards=[_card(row, verdict) for row in headline.to_dict("records")],
    )


def render_index(runs: list[dict], company: str) -> str:
    """Return the list of all quarters, newest first.

    Parameters
    ----------
    runs : list of dict
        quarter, status, status_words, headline (a sentence); and, where there, as_of, version, ran_at.
    company : str
        The company's name.
    """
    page = shell({"company": company})
    page["title"] = f"{company}: ideal customer profile, all quarters"
    rows = [
        {
            "quarter": str(run["quarter"]),
            "mark": _safe(status_mark(run["status"])),
            "status_words": run.get("status_words") or run["status"].capitalize(),
            "headline": run.get("headline") or "No profile in this quarter.",
            "facts": [
                f"{head} {run[key]}"
                for head, key in (("As of", "as_of"), ("Profile version", "version"), ("Made", "ran_at"))
                if run.get(key)
            ],
        }
        for run in sorted(runs, key=lambda run: str(run["quarter"]), reverse=True)
    ]
    return render_template("index.html.j2", page, runs=rows)
