"""The segment explorer of the front page: what its script draws, and the ranking that stands without it."""

from __future__ import annotations

import json
import math

import pandas as pd

from icp_lib.answers import widen_ranges
from icp_lib.cards import safe
from icp_lib.explorer_chart import build_chart, has_older, place_segment, scale_values
from icp_lib.formats import column_name, format_interval, format_of, format_value, is_missing
from icp_lib.marks import (
    VERDICTS,
    nice_scale,
    place,
    verdict_key,
    verdict_mark,
    verdict_sentence,
)
from icp_lib.rules import level_label

#: Measures that a reader may weigh: column, name of the slider, weight at the start, whether more is better.
WEIGHTS = (
    ("margin_per_day", "Margin per selling day", 40, True),
    ("win_rate", "Wins", 25, True),
    ("cycle_median_days", "Speed of the sale", 15, False),
    ("n_opportunities", "Many deals", 20, True),
)
_NOT_OFFERED = "not offered"
_DOT = (
    '<svg class="icp-mark" width="16" height="16" viewBox="0 0 16 16" role="img" aria-label="not offered" '
    'focusable="false"><circle cx="8" cy="8" r="3.2" style="fill:var(--control,#7C8894)"/></svg>'
)
_BARS = ("margin_per_day", "win_rate", "cycle_median_days", "holdout_lift")
_MOST = 120
_SENTENCE = "Not on the list that newer deals judge."


def build_explorer(
    segments=None, segments_all=None, segment_noise=None, rest: float | None = None, hypotheses: int | None = None
) -> dict | None:
    """Return the explorer: ranked rows for the page, and the data of the chart; None where no segment was searched.

    Parameters
    ----------
    segments : DataFrame, optional
        The offered segments (table `segments`); and p_first (chance of being first, 0 to 1) where it is known. Without
        `margin_per_day` the chart shows how many times the rest they are.
    segments_all : DataFrame, optional
        What the search kept: segment_id, segment, conditions, n_opportunities, n_won, lift_found, p_adjusted, reason
        (why it is not offered); any column of `segments`. One without a verdict is drawn as found, and is not ranked.
        A segment in both is taken from `segments`.
    segment_noise : DataFrame, optional
        n_opportunities, noise_50, noise_95: the lift that the best of a search without truth reaches at that size.
    rest : float, optional
        What the rest earns a selling day; by default the median of `margin_per_day_rest`.
    hypotheses : int, optional
        How many groups were looked at.
    """
    table, n_all = _stack(segments, segments_all)
    if not len(table):
        return None
    if is_missing(rest):
        rest = table["margin_per_day_rest"].median() if "margin_per_day_rest" in table else None
    has_margin = "margin_per_day" in table and table["margin_per_day"].notna().any()
    value = "margin_per_day" if has_margin or not is_missing(rest) else "holdout_lift"
    unit = 1.0 if value == "holdout_lift" else None if is_missing(rest) else float(rest)
    rows = [_add_heights(row, value, unit) for row in table.to_dict("records")]
    weights = _scale_measures(rows)
    _rank(rows, weights)
    facets = _facets(rows)
    drawn = _draw(rows, value)
    chart = build_chart(rows, value, segment_noise, unit)
    plain = [{name: each[name] for name in each if name != "mark"} for each in drawn]
    data = {"segments": plain, "facets": facets, "weights": weights, "chart": chart}
    looked = "" if is_missing(hypotheses) else f" {hypotheses:,.0f} groups were looked at."
    return {
        "data": safe(to_script_json(data)),
        "rows": drawn,
        "marks": [*((key, safe(verdict_mark(key))) for key in VERDICTS), (_NOT_OFFERED, safe(_DOT))],
        "title": _title(rows),
        "subtitle": column_name(value) + ("; grey dots: as found, not offered" if _has_dots(rows) else ""),
        "value_name": column_name(value),
        "deals_name": "Deals where found" if has_older(rows) else "Deals",
        "has_first": any(each["first"] for each in drawn),
        "has_noise": bool(chart and chart["noise"]),
        "cut": (f"The {len(drawn)} with the most evidence of {n_all:,} kept." if n_all > len(drawn) else "") + looked,
    }


def to_script_json(data) -> str:
    """Return data as JSON that may stand inside a script element: nothing in it can end the element.

    Examples
    --------
    >>> to_script_json({"a": "</script>"})
    '{"a":"\\\\u003c/script\\\\u003e"}'
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.translate({ord(mark): f"\\u{ord(mark):04x}" for mark in "<>&\u2028\u2029"})


def _stack(segments, segments_all) -> tuple[pd.DataFrame, int]:
    """Return the segments to show, the offered first, then by verdict and lower end, and how many there are."""
    shown = None if segments is None else widen_ranges(segments)
    frames = [frame for frame in (shown, segments_all) if frame is not None and len(frame)]
    if not frames:
        return pd.DataFrame(), 0
    table = pd.concat([frame.assign(is_offered=frame is shown) for frame in frames], ignore_index=True)
    table = table.drop_duplicates("segment_id", keep="first")
    if "verdict" not in table:
        table["verdict"] = None
    order = {key: i for i, key in enumerate([*VERDICTS, _NOT_OFFERED])}
    table["key"] = [_NOT_OFFERED if is_missing(verdict) else verdict_key(verdict) for verdict in table["verdict"]]
    table["verdict"] = table["verdict"].where(table["key"] != _NOT_OFFERED, _NOT_OFFERED).astype(str)
    table["_order"] = table["key"].map(order)
    lows = [name for name in ("holdout_lift_low", "margin_per_day_low") if name in table][:1]
    keys = ["is_offered", "_order", *lows]
    table = table.sort_values(keys, ascending=[False, True, False][: len(keys)], kind="stable")
    return table.drop(columns="_order").head(_MOST), len(table)


def _add_heights(row: dict, value: str, unit: float | None) -> dict:
    """Return a row with its place on the chart: estimate and range in newer deals, what it was when found, and deals.

    Below the minimum there is none of them.
    """
    is_few, found = row["key"] == "not enough data", row.get("lift_found")
    for name, column in (("y", value), ("y_low", f"{value}_low"), ("y_high", f"{value}_high")):
        row[name] = None if is_few or is_missing(row.get(column)) else float(row[column])
    row["y_found"] = None if is_few or unit is None or is_missing(found) else unit * float(found)
    n_found = row.get("found_n_opportunities")
    row["n"] = int(row["n_opportunities"] if is_missing(n_found) else n_found)
    return row


def _has_dots(rows: list[dict]) -> bool:
    return any(row["y"] is None and row["y_found"] is not None for row in rows)


def _scale_measures(rows: list[dict]) -> list[dict]:
    """Add to every row its measures between 0 (worst here) and 1 (best), and return the measures to weigh."""
    able, weights = [row for row in rows if row["y"] is not None], []
    for row in rows:
        row["parts"] = []
    for column, name, weight, is_more in WEIGHTS:
        values = [_measure(row, column) for row in able]
        known = [value for value in values if value is not None]
        if len(set(known)) < 2:
            continue
        low, high = min(known), max(known)
        for row in rows:
            value = None if row["y"] is None else _measure(row, column)
            part = None if value is None else (value - low) / (high - low)
            row["parts"].append(None if part is None else round(part if is_more else 1 - part, 4))
        weights.append({"id": column, "name": name, "weight": weight})
    return weights


def _measure(row: dict, column: str) -> float | None:
    value = row.get(column)
    if is_missing(value) or not math.isfinite(value):
        return None
    return math.log(max(value, 1)) if column == "n_opportunities" else float(value)


def _rank(rows: list[dict], weights: list[dict]) -> None:
    """Add the score under the weights at the start to every row, and put the rows in its order."""
    for row in rows:
        pairs = [(each["weight"], part) for each, part in zip(weights, row["parts"], strict=True) if part is not None]
        total = sum(weight for weight, _ in pairs)
        row["score"] = sum(weight * part for weight, part in pairs) / total if total else None
    rows.sort(key=lambda row: (row["score"] is None, -(row["score"] or 0)))


def _scale(rows: list[dict], column: str) -> tuple | None:
    """Return the scale of one measure over all segments with enough data; a far upper end does not stretch it."""
    rows = [row for row in rows if row["key"] != "not enough data"]
    values = [row.get(column) for row in rows if not is_missing(row.get(column))]
    largest = max((abs(value) for value in values), default=0)
    ends = [row.get(f"{column}{end}") for row in rows for end in ("_low", "_high")]
    near = [end for end in ends if not is_missing(end) and abs(end) <= 2 * largest]
    return nice_scale([*values, *near], format_of(column)) if values else None


def _facets(rows: list[dict]) -> list[dict]:
    """Return the attributes that conditions use, those of offered segments first, with their levels."""
    found: dict[str, dict[str, tuple]] = {}
    for row in rows:
        for rule in _rules(row):
            order = _order(rule)
            found.setdefault(rule["attribute"], {})[name_level(rule)] = order
            row.setdefault("levels", {}).setdefault(rule["attribute"], []).append(name_level(rule))
    n_used = {
        name: [
            sum(name in row.get("levels", {}) for row in part) for part in ([r for r in rows if r["is_offered"]], rows)
        ]
        for name in found
    }
    return [
        {"id": name, "name": column_name(name), "levels": sorted(found[name], key=lambda label: found[name][label])}
        for name in sorted(found, key=lambda name: ([-n for n in n_used[name]], name))
    ]


def _rules(row: dict) -> list[dict]:
    return [] if is_missing(row.get("conditions")) else json.loads(row["conditions"])


def name_level(rule: dict) -> str:
    """Return the level that a rule asks for, in words.

    Examples
    --------
    >>> name_level({"attribute": "employees", "op": "between", "value": [5, 21]})
    '5 to 20'
    """
    if rule["op"] == "between":
        return level_label(*rule["value"])
    if rule["op"] == "missing":
        return "not filled in"
    return " or ".join(map(str, rule["value"])) if rule["op"] == "in" else str(rule["value"])


def _order(rule: dict) -> tuple:
    """Return where a level stands among its attribute's: numbers by size, then words."""
    low = rule["value"][0] if rule["op"] == "between" else None
    return (rule["op"] != "between", -math.inf if low is None else low, name_level(rule))


def _draw(rows: list[dict], value: str) -> list[dict]:
    """Return every segment as the script and the table need it; below the minimum it carries no number."""
    scales, axis = {name: _scale(rows, name) for name in _BARS}, scale_values(rows, value)
    drawn = []
    for row in rows:
        words, n, first = _words(row, value), format_value(row["n"], "n_opportunities"), row.get("p_first")
        is_listed = row["key"] == _NOT_OFFERED
        drawn.append({
            "id": str(row["segment_id"]),
            "name": str(row["segment"]),
            "key": row["key"],
            "verdict": row["verdict"][0].upper() + row["verdict"][1:],
            "mark": safe(_DOT if is_listed else verdict_mark(row["verdict"])),
            "sentence": _SENTENCE if is_listed else verdict_sentence(row["verdict"]),
            "offered": bool(row["is_offered"]),
            "levels": row.get("levels", {}),
            "parts": row["parts"],
            "score": None if row["score"] is None else f"{row['score']:.2f}",
            "n": row["n"],
            "deals": n,
            "at": place_segment(row, axis),
            "value": words,
            "label": f"{row['segment']}: {words}, {n} deals, {row['verdict']}",
            "first": "" if is_missing(first) else "under 1%" if 0 < first < 0.01 else f"{100 * first:.0f}%",
            "counts": _counts(row),
            "bars": [bar for name in _BARS if row["y"] is not None and (bar := _bar(row, name, scales[name]))],
            "notes": _notes(row),
        })  # fmt: skip
    return drawn


def _words(row: dict, value: str) -> str:
    """Return a segment's value with its range; else what it was when found; else why there is none."""
    if row["y"] is not None:
        return format_interval(row["y"], row["y_low"], row["y_high"], value)
    if row["y_found"] is not None:
        return f"{format_value(row['y_found'], value)} as found"
    if not is_missing(row.get("note")):
        return str(row["note"])
    return "too few to print a figure" if row["key"] == "not enough data" else "no figure"


def _counts(row: dict) -> str:
    deals = "deals" if row["n"] == row["n_opportunities"] else "deals in all"
    parts = [
        f"{format_value(row[name], name)} {word}"
        for name, word in (("n_opportunities", deals), ("n_won", "won"), ("n_accounts", "companies"))
        if not is_missing(row.get(name))
    ]
    reach = row.get("reachable_accounts")
    more = "" if is_missing(reach) else f" {format_value(reach, 'n')} more still to win."
    return ", ".join(parts) + "." + more


def _bar(row: dict, name: str, scale: tuple | None) -> dict | None:
    """Return one measure of the detail panel: name, value with its range in words, and places in per cent."""
    if scale is None or is_missing(row.get(name)):
        return None
    ends = (row[name], row.get(f"{name}_low"), row.get(f"{name}_high"))
    words = format_interval(*ends, name)
    against = 1.0 if name == "holdout_lift" else row.get(f"{name}_rest")
    places = [None if is_missing(end) else round(place(end, scale), 1) for end in (*ends, against)]
    return {"name": column_name(name), "text": words, "at": places}


def _notes(row: dict) -> list[str]:
    """Return the sentences of the detail panel that the row can back."""
    if row["key"] == "not enough data":
        return [] if is_missing(row.get("note")) else [str(row["note"])]
    notes = [] if row["is_offered"] or is_missing(row.get("reason")) else [f"{row['reason']}."]
    if not is_missing(row.get("lift_found")):
        held = row.get("holdout_lift")
        newer = "not checked on newer deals" if is_missing(held) else f"newer deals {format_value(held, 'lift')}"
        found = format_value(row["lift_found"], "lift")
        notes.append(f"Found at {found} the rest (optimistic); {newer}.")
    if not is_missing(row.get("p_adjusted")):
        notes.append(f"Chance of luck, given the whole search: {format_value(row['p_adjusted'], 'p_adjusted')}.")
    if not is_missing(row.get("stability_rate")):
        notes.append(f"Found again in {format_value(row['stability_rate'], 'stability_rate')} of resamples.")
    if row.get("is_emerging") in (True, "True"):
        notes.append("New: seen in the newest three quarters alone.")
    return notes + ([] if is_missing(row.get("note")) else [str(row["note"])])


def _title(rows: list[dict]) -> str:
    """Return the chart's finding, in numbers."""
    judged = [row for row in rows if row["key"] != _NOT_OFFERED]
    counts = {key: sum(row["key"] == key for row in judged) for key in VERDICTS}
    said = [f"{counts[key]} {key if key != 'explained by' else 'explained by something else'}"
            for key in VERDICTS if counts[key]]  # fmt: skip
    if not said:
        return "No segment stands out enough to be offered"
    return f"{len(judged)} segment{'' if len(judged) == 1 else 's'}: {', '.join(said)}"
