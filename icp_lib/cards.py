"""Headline figures of the front page: number, likely range, comparison, change since a quarter ago, small chart."""

from __future__ import annotations

import re
from html import escape

from icp_lib.formats import UNITS, column_name, format_of, format_range, format_value, is_missing
from icp_lib.marks import nice_scale, paint, place, range_bar
from icp_lib.metrics import METRICS
from icp_lib.stats import MIN_WON

#: Figures of which less is better; of all others more is.
LOWER_IS_BETTER = ("cycle_median_days", "cac", "payback_months")
#: The head of a change where no earlier quarter has a report.
FIRST_REPORT = "First report"
_MOST_QUARTERS = 8
_WAVES = "M1.5 6.2c2-2.4 4.2-2.4 6.5 0s4.5 2.4 6.5 0M1.5 10.8c2-2.4 4.2-2.4 6.5 0s4.5 2.4 6.5 0"


def safe(html: str):
    """Mark HTML that this package made, so that a template does not escape it again."""
    from markupsafe import Markup

    return Markup(html)


def name_metric(metric: str) -> str:
    """Return a metric's name as it is defined; of one that is not, the words of its column."""
    return METRICS[metric].name if metric in METRICS else column_name(metric)


def mark_metric(metric: str):
    """Return a metric's name for a page; a defined metric carries its definition."""
    if metric in METRICS:
        return safe(f'<span class="icp-term" data-metric="{metric}" title="">{escape(name_metric(metric))}</span>')
    return name_metric(metric)


def build_cards(headline, history, quarter: str, verdict: str, has_earlier: bool = False) -> list[dict]:
    """Return the headline figures, one a row of the table, in its order.

    Parameters
    ----------
    headline : DataFrame
        metric, estimate, conf_low, conf_high, n, n_events, comparison (a number in the metric's unit, or words), note;
        and, where there, compared_with (whom the number is of; "the rest" by itself) or comparison_words, which
        stand at the comparison's line.
    history : DataFrame
        quarter, metric, estimate, conf_low, conf_high; and, in the row of the quarter that is reported: change,
        change_low, change_high, p_adjusted (Holm over the headline figures), since (the quarter compared with), cause
        (late data, definition, mix or rate; may be empty) and note. May be empty.
    quarter : str
        The quarter that is reported.
    verdict : str
        The profile's verdict: it colours the bars.
    has_earlier : bool
        Whether an earlier quarter has a report; without one there is nothing to compare with.
    """
    past = history.to_dict("records") if history is not None and len(history) else []
    return [_card(row, past, str(quarter), verdict, has_earlier) for row in headline.to_dict("records")]


def _card(row: dict, past: list[dict], quarter: str, verdict: str, has_earlier: bool) -> dict:
    """Return one headline figure."""
    metric, value = str(row["metric"]), row.get("estimate")
    if is_missing(value):
        return _missing_card(row)
    low, high = row.get("conf_low"), row.get("conf_high")
    rest, words = read_comparison(row)
    kind = format_of("estimate", metric)
    scale = nice_scale([end for end in (value, low, high, rest) if not is_missing(end)], kind)
    is_placed = not all(is_missing(end) for end in (low, high, rest))
    number, unit = _split_unit(format_value(value, "estimate", low, high, metric=metric), kind)
    likely = format_range(low, high, "estimate", value, metric, unit=True)
    mine = [each for each in past if each["metric"] == metric]
    bar = range_bar(value, low, high, "estimate", scale, verdict, rest, metric=metric, rest_name=name_compared(row))
    return {
        "name": mark_metric(metric),
        "number": number,
        "unit": unit or (" a day" if metric == "margin_per_day" else ""),
        "likely": f"likely {likely}" if likely else "",
        "n": "" if is_missing(row.get("n")) else f"n = {format_value(row['n'], 'n')}",
        "bar": safe(bar) if is_placed else "",
        "rest": words,
        "rest_at": None if rest is None else round(place(rest, scale), 1),
        "note": "" if is_missing(row.get("note")) else str(row["note"]),
        "chart": safe(draw_quarters(mine, quarter, metric)),
        "change": describe_change(mine, quarter, metric, has_earlier),
    }


def _missing_card(row: dict) -> dict:
    """Return a figure that cannot be given: what is missing, or how far it is from the minimum."""
    metric, n_won = str(row["metric"]), row.get("n_events")
    card = {"name": mark_metric(metric), "number": "", "progress": None, "likely": "", "note": ""}
    reason = "no estimate in this quarter's data" if is_missing(row.get("note")) else str(row["note"])
    if not is_missing(n_won) and 0 < n_won < MIN_WON:
        share = 100 * n_won / MIN_WON
        return card | {"none": f"{n_won:.0f} of {MIN_WON} won", "progress": round(share), "note": reason}
    first, _, more = reason.partition(". ")
    return card | {"none": "Not measured", "likely": first, "note": more}


def _split_unit(text: str, kind: str) -> tuple[str, str]:
    """Return the number and its unit, which a card writes smaller."""
    if kind in UNITS:
        number, _, unit = text.partition(" ")
        return number, f" {unit}" if unit else ""
    is_ended = text[-1:] in "%×" and text[:-1]
    return (text[:-1], text[-1]) if is_ended else (text, "")


def read_comparison(row: dict) -> tuple[float | None, str]:
    """Return where a figure's comparison lies, if it is a number, and its words.

    Parameters
    ----------
    row : dict
        A row of `headline`; read from a file, a number of its column `comparison` may be text.

    Examples
    --------
    >>> read_comparison({"metric": "win_rate", "comparison": "0.2"})
    (0.2, 'the rest 20%')
    """
    given, metric = row.get("comparison"), str(row["metric"])
    words = "" if is_missing(row.get("comparison_words")) else str(row["comparison_words"])
    if is_missing(given):
        return None, words
    try:
        rest = float(given)
    except ValueError:
        return None, words or str(given)
    if format_of("estimate", metric) == "ratio" and rest == 1:
        return rest, words or "same as the rest"
    return rest, words or f"{name_compared(row)} {format_value(rest, 'estimate', metric=metric)}"


def name_compared(row: dict) -> str:
    """Return whom a figure's comparison is of: the rest, where its row names nobody else."""
    return "the rest" if is_missing(row.get("compared_with")) else str(row["compared_with"])


def _signed(text: str) -> str:
    return text if text.startswith("−") or not any(digit in text for digit in "123456789") else f"+{text}"


def describe_change(rows: list[dict], quarter: str, metric: str, has_earlier: bool = False) -> dict:
    """Return how a figure moved: its mark, two lines of words, and kind (noise, better, worse or none).

    A triangle appears only beyond noise (`p_adjusted` at most 0.05); it points where the number went.

    Examples
    --------
    >>> row = {"quarter": "2026-Q3", "metric": "cac", "change": 520, "change_low": 130, "change_high": 920,
    ...        "p_adjusted": 0.01, "since": "2026-Q2"}
    >>> change = describe_change([row], "2026-Q3", "cac")
    >>> change["head"], change["words"]
    ('Beyond noise: worse', '+€500 since Q2 (+100 to +900)')
    """
    row = next((each for each in rows if str(each["quarter"]) == quarter), {})
    note = "" if is_missing(row.get("note")) else str(row["note"])
    if row.get("cause") == "definition":
        return _change("none", "Definition changed", note)
    change = row.get("change")
    if is_missing(change):
        if has_earlier or any(str(each["quarter"]) < quarter for each in rows):
            return _change("none", "Not compared", note or "this run made no comparison with earlier quarters")
        return _change("none", FIRST_REPORT, "no earlier one to compare with")
    column = "gap_rate" if format_of("estimate", metric) == "rate" else "estimate"
    low, high = row.get("change_low"), row.get("change_high")
    moved = _signed(format_value(change, column, low, high, metric=metric))
    ends = [_signed(format_value(end, column, low, high, metric=metric, unit=False)) for end in (low, high)]
    if all(re.search(r"\.0(?!\d)", text) for text in (moved, *ends)):  # three whole numbers
        moved, *ends = (re.sub(r"\.0(?!\d)", "", text) for text in (moved, *ends))
    likely = "" if is_missing(low) or is_missing(high) else f" ({' to '.join(ends)})"
    since = "" if is_missing(row.get("since")) else f" since {str(row['since'])[-2:]}"
    words = "; ".join(filter(None, [f"{moved}{since}{likely}", note]))
    if is_missing(row.get("p_adjusted")):
        return _change("none", "Not tested against noise", words)
    if row["p_adjusted"] > 0.05 or not change:
        return _change("noise", "Within noise", words)
    is_better = (change < 0) == (metric in LOWER_IS_BETTER)
    word = "better" if is_better else "worse"
    return _change(word, f"Beyond noise: {word}", words, is_up=change > 0)


def _change(kind: str, head: str, words: str, is_up: bool = False) -> dict:
    """Return a change with its mark: waves, a triangle, or a circle with a dash."""
    grey, colour = paint("ink3"), paint("blue" if kind == "better" else "verm")
    line = f"fill:none;stroke:{grey};stroke-width:1.5;stroke-linecap:round"
    body = {
        "noise": f'<path d="{_WAVES}" style="{line}"/>',
        "none": f'<circle cx="8" cy="8" r="6.2" style="{line}"/><path d="M5.2 8h5.6" style="{line}"/>',
    }.get(kind, f'<path d="{"M8 3 14 13H2z" if is_up else "M8 13 2 3h12z"}" style="fill:{colour}"/>')
    mark = f'<svg class="icp-mark" width="16" height="16" viewBox="0 0 16 16" aria-hidden="true">{body}</svg>'
    return {"kind": kind, "mark": safe(mark), "head": head, "words": words}


def draw_quarters(rows: list[dict], quarter: str, metric: str) -> str:
    """Return the small chart: up to eight quarters, dot and likely range each, the last one blue; else nothing."""
    rows = [each for each in rows if not is_missing(each.get("estimate")) and str(each["quarter"]) <= quarter]
    rows = sorted(rows, key=lambda each: str(each["quarter"]))[-_MOST_QUARTERS:]
    if len(rows) < 2 or str(rows[-1]["quarter"]) != quarter:
        return ""
    spans = [[end for end in (each["estimate"], each.get("conf_low"), each.get("conf_high")) if not is_missing(end)]
             for each in rows]  # fmt: skip
    bottom, top = min(map(min, spans)), max(map(max, spans))
    points = [(6 + 104 * i / (len(rows) - 1), each) for i, each in enumerate(rows)]

    def level(value: float) -> float:
        return round(36 - 32 * (value - bottom) / ((top - bottom) or 1), 1)

    line = " ".join(f"{x:.1f},{level(each['estimate'])}" for x, each in points)
    parts = [f'<polyline points="{line}" style="fill:none;stroke:{paint("rule")};stroke-width:1"/>']
    for i, (x, each) in enumerate(points):
        is_last = i == len(points) - 1
        ends = level(min(spans[i])), level(max(spans[i]))
        colours = paint("blue2" if is_last else "rule"), paint("blue" if is_last else "control")
        parts.append(f'<path d="M{x:.1f} {ends[0]}V{ends[1]}" style="stroke:{colours[0]};stroke-width:1.6"/>')
        middle = level(each["estimate"])
        parts.append(f'<circle cx="{x:.1f}" cy="{middle}" r="{3.4 if is_last else 1.8}" style="fill:{colours[1]}"/>')
    first, last = (
        f"{format_value(each['estimate'], 'estimate', each.get('conf_low'), each.get('conf_high'), metric=metric)} "
        f"in {each['quarter']}"
        for each in (rows[0], rows[-1])
    )
    return (
        f'<svg class="quarters-chart" width="116" height="40" viewBox="0 0 116 40" role="img" focusable="false" '
        f'aria-label="{escape(f"{len(rows)} quarters: from {first} to {last}")}">{"".join(parts)}</svg>'
    )
