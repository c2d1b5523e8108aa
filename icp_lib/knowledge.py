"""What we know, and how well: the claims of a quarter, under their verdicts."""

from __future__ import annotations

from icp_lib.cards import safe
from icp_lib.display import shared_note
from icp_lib.formats import column_name, format_interval, format_of, format_value, is_missing
from icp_lib.marks import VERDICTS, axis, nice_scale, range_bar, verdict_key, verdict_mark, verdict_sentence

_MOST, _FEW = 12, 6
#: Where there is no difference, by what a claim is measured in.
_SAME = {"ratio": 1.0, "points": 0.0}
_OPEN = ("confirmed", "promising", "contradicted")


def group_claims(claims, pages: list[dict]) -> tuple[list[dict], str, str]:
    """Return the claims by verdict in the report's order, the axis where all are ratios, and a note that all share.

    Parameters
    ----------
    claims : DataFrame
        Rows of the `claims_<nn>` tables; `claim_id` starts with the number of its page. May be empty.
    pages : list of dict
        number and file of each page.
    """
    shared = shared_note(claims)
    rows = [{**row, "verdict": _verdict(row)} for row in (claims.to_dict("records") if len(claims) else [])]
    by_kind: dict[str, list] = {}
    for row in (row for row in rows if verdict_key(row["verdict"]) != "not enough data"):
        ends = [row.get(name) for name in ("estimate", "conf_low", "conf_high", "estimate_found")]
        by_kind.setdefault(format_of("estimate", row.get("metric")), []).extend(e for e in ends if not is_missing(e))
    scales = {kind: nice_scale(values, kind) for kind, values in by_kind.items()}
    groups = []
    for key in VERDICTS:
        found = [row for row in rows if verdict_key(row["verdict"]) == key]
        if found:
            listed = [_claim(row, scales, pages, shared) for row in found]
            groups.append(_group(key, listed, is_open=key in _OPEN or len(found) <= _FEW))
    return groups, safe(axis(scales["ratio"], "lift")) if list(scales) == ["ratio"] else "", shared


def _verdict(row: dict) -> str:
    """Return a claim's verdict; one that is explained names what explains it."""
    verdict = "untested" if is_missing(row.get("verdict")) else str(row["verdict"]).strip()
    is_bare = verdict == "explained by" and not is_missing(row.get("explained_by"))
    return f"{verdict} {row['explained_by']}" if is_bare else verdict


def _group(key: str, claims: list[dict], is_open: bool) -> dict:
    sentence = "The lead shrinks once like is compared with like."
    more = claims[_MOST:]
    numbers = sorted({each["page"]["number"] for each in more if each["page"]})
    where = f" on page {numbers[0]}" if len(numbers) == 1 else f" on pages {', '.join(numbers)}" if numbers else ""
    return {
        "word": "Explained by something else" if key == "explained by" else key.capitalize(),
        "mark": safe(verdict_mark(key)),
        "sentence": verdict_sentence(key) if key != "explained by" else sentence,
        "is_open": is_open,
        "is_open_on_phone": key in ("confirmed", "contradicted"),
        "n": len(claims),
        "claims": claims[:_MOST],
        "more": f"{len(more)} more{where}" if more else "",
    }


def _claim(row: dict, scales: dict, pages: list[dict], shared: str) -> dict:
    """Return one claim as a line: words, bar, value with range, n and its page; a note shared by all stands above."""
    metric = row.get("metric")
    kind = format_of("estimate", metric)
    value = None if verdict_key(row["verdict"]) == "not enough data" else row.get("estimate")
    low, high, bar = row.get("conf_low"), row.get("conf_high"), ""
    if not is_missing(value):
        rest = _SAME.get(kind)
        found = row.get("estimate_found")
        at = "the market" if metric == "base_lift" else "no difference" if kind == "points" else "the rest"
        bar = range_bar(value, low, high, "estimate", scales[kind], row["verdict"], rest, found, metric, at)
    words = format_interval(value, low, high, "estimate", metric)
    if is_missing(value):
        words = str(row["note"]) if not is_missing(row.get("note")) else "no figure"
    under = [column_name(str(metric))] if not is_missing(metric) else []
    under += [row["verdict"]] if verdict_key(row["verdict"]) == "explained by" else []
    has_words = not is_missing(row.get("note")) and not is_missing(value) and row["note"] != shared
    under += [str(row["note"])] if has_words else []
    number = str(row["claim_id"])[:2]
    return {
        "text": str(row["claim"]),
        "under": ". ".join(under),
        "bar": safe(bar),
        "value": words,
        "n": "" if is_missing(row.get("n")) else format_value(row["n"], "n"),
        "page": next((each for each in pages if each["number"] == number), None),
    }
