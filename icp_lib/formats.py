"""Numbers in words: how a value, a range and a column's name are written, decided by the column's name alone."""

from __future__ import annotations

import math
import re
from datetime import date

from icp_lib.metrics import METRICS

SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "INR": "₹"}
UNITS = {"days": "days", "months": "months"}
_MONEY_WORDS = {"margin", "revenue", "amount", "cost", "cac", "spend", "price", "paid", "received", "ltv", "gain",
                "regret", "worth"}  # fmt: skip
_ALIKE = ("estimate", "conf_low", "conf_high", "comparison", "rest", "estimate_found", "value_arm", "value_control")
#: Differences between two values of the row's metric: of a share they are points.
_EFFECTS = ("effect", "effect_before", "effect_inside", "effect_outside", "difference", "detectable", "not_worse_than",
            "break_even", "mde", "effect_shrunk", "smallest_worth", "with_effect")  # fmt: skip
#: Two shares beside their difference keep a decimal: as whole per cents they need not add up to it.
_PAIR = ("value_arm", "value_control")
_NAMES = {
    "n": "n",
    "segment": "Segment",
    "explained_by": "Explained by",
    "p_value": "Chance of luck",
    "n_matching": "Companies still to win",
    "stability_rate": "Found again in resamples",
    "conf_level": "Level",
    "holdout_p_adjusted": "Chance of luck, newer deals",
    "coverage_won_rate": "Filled in, won",
    "coverage_not_won_rate": "Filled in, not won",
    "gap_rate": "Gap, won less not won",
    "estimate": "Estimate",
    "is_emerging": "New",
    "n_best": "Best customers",
    "n_base": "Compared with",
    "holdout_base_lift": "Times as common, newer ones",
    "holdout_best_rate": "Of the newer best",
    "holdout_base_rate": "Its base rate",
    "holdout_n_best": "Newer best customers",
    "n_measured": "Answered",
    "measured_rate": "Share who answered",
    "p_alone_adjusted": "Chance of luck, by itself",
    "experiment_id": "Test",
    "value_arm": "With",
    "value_control": "As usual",
    "effect": "Difference",
    "effect_before": "Difference before",
    "todo": "What to do",
    "mde": "Effect to see",
    "detectable": "Smallest effect seen",
    "gain": "Gain for each account worked",
    "hash": "Fingerprint",
    "is_able": "Can answer",
    "n_per_group": "Accounts a group",
    "n_compared": "Accounts",
    "experiment": "Test",
    "primary": "Main outcome",
    "guardrails": "Must not get worse",
    "share_of_new": "Share of new deals",
    "control_rate": "As usual",
    "ship_rate": "Said to be better",
    "with_effect": "True difference",
    "placebo_a": "Made-up trait A",
    "placebo_b": "Made-up trait B",
    "information_bias": "Of it by luck",
    **{f"fit_{name}": f"{name.capitalize()} fit" for name in
       ("technical", "functional", "resource", "competence", "experience", "cultural")},
    "cost_per_mql": "Cost per MQL",
    "expected_mqls": "Expected MQLs",
    "n_credited": "Credited",
    "first_of": "Cheapest in",
}

#: A share of the best customers says nothing without the base rate: neither tables nor sentences print it alone.
NEVER_ALONE = {"best_rate": "base_rate", "holdout_best_rate": "holdout_base_rate"}

#: Marks that turn the direction of all text after them, its figures too: kept in tables, left out where people read.
TURNING = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])
_FLAGS = ("bool", "bool_")
#: A rate nearer to 0 is 0: what rounding in exact limits leaves. Chances nearer to 0 or 1 are "under" or "over".
_NOTHING, _SURE = 1e-9, 0.01

_symbol = "€"


def set_currency(code: str) -> str:
    """Set the currency in which money is written and return its symbol; a run calls this once, at its start.

    Examples
    --------
    >>> set_currency("CHF")
    'CHF '
    >>> set_currency("EUR")
    '€'
    """
    global _symbol
    _symbol = SYMBOLS.get(code.upper(), f"{code.upper()} ")
    return _symbol


def is_missing(value) -> bool:
    """Return whether a cell has no value: None, NaN, NaT, NA or an empty text."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):
        return type(value).__name__ == "NAType"


def stem_of(column: str) -> str:
    """Return the measure behind a column: without ``holdout_``, ``_found``, ``_low``, ``_high``.

    Examples
    --------
    >>> stem_of("holdout_lift_low")
    'lift'
    """
    stem = column.removeprefix("holdout_")
    for suffix in ("_low", "_high", "_found"):
        stem = stem.removesuffix(suffix)
    return stem


def format_of(column: str, metric: str | None = None) -> str:
    """Return how a column is written: money, rate, points, days, months, count, ratio, number, p or date.

    `metric` is the row's metric: it decides for `estimate`, `conf_low`, `conf_high`, `comparison`, `rest`.

    Examples
    --------
    >>> format_of("margin_per_day_low"), format_of("stability_rate"), format_of("estimate", "win_rate")
    ('money', 'rate', 'rate')
    """
    stem = stem_of(metric if column in _ALIKE and metric and not is_missing(metric) else column)
    is_effect = stem in _EFFECTS and isinstance(metric, str)
    if is_effect or stem.startswith("effect_"):
        kind = format_of("estimate", metric) if is_effect else format_of(stem.removeprefix("effect_"))
        return "points" if kind == "rate" else kind
    if stem in METRICS:
        return METRICS[stem].format
    known = next((name for name in METRICS if stem.startswith(f"{name}_")), None)
    if known:
        return METRICS[known].format
    words = stem.split("_")
    by_end = {
        "rate": "rate",
        "share": "rate",
        "days": "days",
        "months": "months",
        "at": "date",
        "date": "date",
        "relative": "rate",
        "lift": "ratio",
        "ratio": "ratio",
        "accounts": "count",
        "won": "count",
    }
    if words[0] == "n" or stem in ("rows", "count", "hypotheses", "depth"):
        return "count"
    if words[0] == "gap" and words[-1] == "rate":
        return "points"
    if words[0] == "p":
        return "p"
    if words[-1] in by_end:
        return by_end[words[-1]]
    if words[0] in ("lift", "share"):
        return "ratio" if words[0] == "lift" else "rate"
    return "money" if _MONEY_WORDS & set(words) else "number"


def column_name(column: str) -> str:
    """Return the name that a reader sees for a column.

    Examples
    --------
    >>> column_name("margin_per_day"), column_name("holdout_lift"), column_name("n_contacts")
    ('Margin per selling day', 'Times the rest, newer deals', 'Contacts')
    >>> column_name("effect_touch_rate_meeting_45d"), column_name("effect_opportunity_rate_90d")
    ('Difference: meeting within 45 days', 'Difference: deal opened within 90 days')
    """
    if column in _NAMES:
        return _NAMES[column]
    name, _, item = column.partition(": ")
    if item:  # an item of a list keeps the capitals of the data
        return f"{column_name(name)}: {'not filled in' if item == 'Missing' else item}"
    stem = stem_of(column)
    if stem.startswith("effect_") and (said := _name_effect(stem.removeprefix("effect_"))):
        return said
    known = stem if stem in METRICS else next((name for name in METRICS if stem.startswith(f"{name}_")), None)
    if known:
        text = ", ".join([METRICS[known].name, *([stem[len(known) + 1 :].replace("_", " ")] if stem != known else [])])
    else:
        text = stem.removeprefix("n_").removeprefix("is_").removeprefix("has_")
        for suffix in ("_rate", "_days", "_months", "_at"):
            text = text.removesuffix(suffix) or text
        text = text.replace("_", " ").strip().capitalize()
    return (
        text
        + (", newer deals" if column.startswith("holdout_") else "")
        + (", when found" if column.endswith("_found") else "")
    )


def _name_effect(metric: str) -> str:
    """Return the name of a difference in a metric of a test, such as touch_rate_meeting_45d; empty where unknown."""
    known = next((name for name in METRICS if metric == name or metric.startswith(f"{name}_")), None)
    if known is None:
        return ""
    what, days = re.fullmatch(r"_?(.*?)_?(?:(\d+)d)?", metric.removeprefix(known)).groups()
    what = what.replace("_", " ") or METRICS[known].name.split(" within ")[0]
    return f"Difference: {what[0].lower()}{what[1:]}" + (f" within {days} days" if days else "")


def _exponent(numbers: list[float], width: float | None, kind: str) -> int:
    """Return the power of ten of the last digit shown: about a tenth of the range's width, three significant."""
    largest = max((abs(number) for number in numbers), default=0.0)
    if width and kind == "ratio" and largest < 10:
        return -1 if width >= 0.2 else -2
    if width:
        last = math.floor(math.log10(width / 4.5))
    elif kind == "count":
        return 0
    elif kind == "money":
        last = 0 if largest >= 10 or largest == 0 else -2
    elif kind in ("rate", "points"):
        last = 0 if 10 <= largest <= 99 or largest in (0, 100) else -1
    elif kind in UNITS:
        last = 0 if largest >= 10 else -1
    elif kind == "ratio":
        last = -1 if largest >= 1 else -2
    else:
        last = math.floor(math.log10(largest)) - 2 if largest else 0
    return max(last, math.floor(math.log10(largest)) - 2) if largest else last


def _keep_sign(ends: list[float], last: int, kind: str) -> int:
    """Return the power of ten of the last digit, lower where it would make 0 of an end that is not and digits show it.

    A range from 0.4 is not one from 0: on which side of 0 it ends is what a reader looks for.

    Examples
    --------
    >>> [_keep_sign(ends, 0, "points") for ends in ([0.4, 16.6], [0.0001, 16.6])], _keep_sign([-33, 559], 2, "money")
    ([-1, 0], 1)
    """
    if not any(end and not round(end, -last) for end in ends):
        return last
    least = max(0 if kind in ("count", "money") else -3, math.floor(math.log10(max(map(abs, ends)))) - 2)
    finer = (digit for digit in range(last - 1, least - 1, -1) if all(round(end, -digit) or not end for end in ends))
    return next(finer, last)


def _plain(number: float, last: int, kind: str, trim: bool) -> str:
    """Write a number down to its last digit, with thousands and a true minus; `trim` drops a closing .0."""
    rounded = round(number, -last) + 0.0
    text = f"{rounded:,.{max(0, -last)}f}"
    if trim and kind != "ratio" and "." in text and float(rounded).is_integer():
        text = text.split(".")[0]
    elif trim and kind == "number" and "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.replace("-", "−")


def _with_unit(text: str, kind: str) -> str:
    if kind == "money":
        return f"−{_symbol}{text[1:]}" if text.startswith("−") else f"{_symbol}{text}"
    if kind in UNITS:
        return f"{text} {UNITS[kind].removesuffix('s') if text == '1' else UNITS[kind]}"
    return text + {"rate": "%", "points": " pt", "ratio": "×"}.get(kind, "")


def _format_p(value: float) -> str:
    if value < 0.001:
        return "under 0.001"
    return f"{value:.3f}" if value < 0.1 else f"{min(value, 0.99):.2f}" if value < 1 else "1"


def _is_chance(column: str, metric: str | None) -> bool:
    """Whether a rate is a chance from draws, which is never quite 0 or 1."""
    stem = stem_of(metric if column in _ALIKE and metric and not is_missing(metric) else column)
    return stem.startswith("chance_") or (stem in METRICS and METRICS[stem].unit == "chance")


def _as_number(value) -> float | None:
    if is_missing(value) or isinstance(value, str) or type(value).__name__ in _FLAGS:
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _format_text(value) -> str:
    if isinstance(value, date):
        return f"{value.day} {value:%b %Y}"
    if type(value).__name__ in _FLAGS:
        return "yes" if value else "no"
    if isinstance(value, (list, tuple, set)):
        return ", ".join(map(str, value))
    return str(value)


def format_value(value, column: str, low=None, high=None, metric: str | None = None, unit: bool = True) -> str:
    """Write one value as its column asks; its range decides the digits.

    Parameters
    ----------
    value : scalar
        Number, text, flag or date. Missing becomes ``not measured``; an infinite number ``not reached``.
    column : str
        The column's name: its metric or suffix decides unit and digits (rates are 0 to 1 and become per cent).
    low, high : float, optional
        The range of the value.
    metric : str, optional
        The row's metric, for long tables whose column is `estimate`.
    unit : bool
        Whether the unit is written.

    Examples
    --------
    >>> format_value(44.72, "margin_per_day", 38.2, 51.3), format_value(0.342, "win_rate"), format_value(3, "n_won")
    ('€45', '34%', '3')
    """
    if is_missing(value):
        return "not measured"
    number = _as_number(value)
    if number is None:
        return _format_text(value)
    kind = format_of(column, metric)
    if math.isinf(number):
        return "not reached"
    if kind == "p":
        return _format_p(number)
    if kind == "date":
        return str(value)
    if kind == "rate" and _is_chance(column, metric) and not _SURE <= number <= 1 - _SURE:
        return ("over 99" if number > 0.5 else "under 1") + ("%" if unit else "")
    scale = 100 if kind in ("rate", "points") else 1
    if kind == "rate" and abs(number) < _NOTHING:
        return "0%" if unit else "0"
    if kind == "rate" and 0 < number < 0.0005:
        return "under 0.1%" if unit else "under 0.1"
    ends = [scale * end for end in map(_as_number, (low, high)) if end is not None and math.isfinite(end)]
    width = ends[1] - ends[0] if len(ends) == 2 and ends[1] > ends[0] else None
    is_pair = column in _PAIR and kind == "rate"
    last = -1 if is_pair else _exponent([scale * number, *ends], width, kind)
    last = _keep_sign(ends, last, kind) if width else last
    text = _plain(scale * number, last, kind, trim=width is None and not is_pair)
    return _with_unit(text, kind) if unit else text


def format_range(low, high, column: str, value=None, metric: str | None = None, unit: bool = False) -> str:
    """Write a range, ``38 to 51``; with `unit` as in a sentence of its own, ``€38 to €51`` or ``28 to 34 days``.

    An end that the data do not reach is written ``not reached``; a range without ends is an empty text.

    Examples
    --------
    >>> format_range(38.2, 51.3, "margin_per_day"), format_range(28, 34, "cycle_median_days", unit=True)
    ('38 to 51', '28 to 34 days')
    """
    if _as_number(low) is None and _as_number(high) is None:
        return ""
    kind, finite = format_of(column, metric), []
    ends = [math.inf if number is None else number for number in map(_as_number, (low, high))]
    others = [end for end in (*ends, _as_number(value)) if end is not None and math.isfinite(end)]
    width_from = ends if all(map(math.isfinite, ends)) else [min(others), max(others)] if others else [None, None]
    last_unit = max((i for i in (0, 1) if math.isfinite(ends[i])), default=None)
    for i, end in enumerate(ends):
        here = unit and (i == last_unit or kind not in UNITS)
        finite.append(format_value(end, column, *width_from, metric=metric, unit=here))
    return " to ".join(finite)


def format_interval(value, low, high, column: str, metric: str | None = None, unit: bool = True) -> str:
    """Write a value with its range, the unit once.

    Examples
    --------
    >>> format_interval(44.72, 38.2, 51.3, "margin_per_day")
    '€45 (38 to 51)'
    >>> format_interval(0.084, 0.004, 0.165, "effect", "touch_rate"), format_interval(263, -33, 559, "gain")
    ('8.4 pt (0.4 to 16.5)', '€260 (−30 to 560)')
    >>> format_interval(48, 34, float("inf"), "payback_months")
    '48 months (34 to not reached)'
    >>> format_interval(float("inf"), float("inf"), float("inf"), "payback_months")
    'not reached'
    """
    ends = [number for number in map(_as_number, (low, high, value)) if number is not None and math.isfinite(number)]
    closed = all(_as_number(end) is not None and math.isfinite(_as_number(end)) for end in (low, high))
    digits = (low, high) if closed else (min(ends), max(ends)) if ends else (None, None)
    text = format_value(value, column, *digits, metric=metric, unit=unit)
    likely = format_range(low, high, column, value, metric)
    is_never = all(_as_number(end) == math.inf for end in (value, low, high))
    return f"{text} ({likely})" if likely and not is_missing(value) and not is_never else text
