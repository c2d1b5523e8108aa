"""Figures of credit and reach: every rule beside the others, and expected customers against the target."""

from __future__ import annotations

from icp_lib.charts import (
    LIGHT,
    NOTE_SIZE,
    WIDTH,
    Chart,
    canvas,
    count_lines,
    draw_both,
    draw_range,
    draw_reference,
    missing_chart,
    set_scale,
    to_svg,
    write_rows,
)
from icp_lib.checks import check_columns
from icp_lib.formats import format_interval, format_value, is_missing
from icp_lib.marks import nice_scale
from icp_lib.sentences import fill

#: The most channels drawn; the table has all of them.
MOST_CHANNELS = 12
_LEFT, _GAP = 1.6, 0.12
NOT_ENOUGH = "Not enough customers with a known channel to split the credit."
NO_RATE = "Not enough accounts were contacted, or became leads, to say what reaching more of them would bring."


def _share(value) -> str:
    return "none" if value == 0 else format_value(value, "share_rate") if value >= 0.01 else "under 1%"


def plot_attribution(
    attribution, house: str = "Equal split", title: str = "", caption: str = "", name: str = "attribution", needs=None
) -> Chart:
    """Plot the share of credit of each channel under every rule, side by side; the house rule in blue.

    Parameters
    ----------
    attribution : DataFrame
        Rows of one group: `rule`, `channel`, `share_rate` with its ends, `n`. Channels in the order given, rules too.
    house : str
        The rule that is drawn in blue and, on a phone, as the dot; the bar is then the least and the most of all rules.
    title, caption : str
        Templates with the fields of the leading channel: channel, least, most, n_first, n_rules, n.
    name : str
    needs : str or tuple of str, optional
        What is missing when there are no rows.

    Returns
    -------
    Chart
    """
    if len(attribution) == 0:
        return missing_chart(name, needs, NOT_ENOUGH)
    check_columns(attribution, ["rule", "channel", "share_rate", "n"], "plot_attribution")
    able = attribution[attribution["channel"].notna()]
    if len(able) == 0:
        return missing_chart(name, None, NOT_ENOUGH)
    rules, channels = list(dict.fromkeys(able["rule"])), list(dict.fromkeys(able["channel"]))
    cells = able.set_index(["rule", "channel"]).to_dict("index")
    firsts = [max(channels, key=lambda each, rule=rule: cells[rule, each]["share_rate"]) for rule in rules]
    first = max(channels, key=firsts.count)
    spread = [cells[rule, first]["share_rate"] for rule in rules]
    row = {"channel": first, "least": _share(min(spread)), "most": _share(max(spread)), "n_rules": len(rules),
           "n_first": firsts.count(first), "n": cells[rules[0], first]["n"]}  # fmt: skip
    shown, left = channels[:MOST_CHANNELS], len(channels) - MOST_CHANNELS
    finding = fill(row, title or _credit_title(row))
    words = fill(row, caption or "n = {n} customers · credit, not cause")
    last = cells[house if house in rules else rules[0], shown[-1]]["share_rate"]
    return Chart(
        name=name,
        title=finding,
        subtitle=f"Share of customers credited, by rule; line = likely range; {house.lower()} in blue. "
        f"On a phone: dot = {house.lower()}, bar = from the rule that gives least to the one that gives most",
        caption=words + (f" · {left} more channels in the table" if left > 0 else ""),
        alt=f"Bars: share of credit of {len(shown)} channels under {len(rules)} rules. {finding}. "
        f"{shown[-1]}: {_share(last)} by {house.lower()}.",
        **draw_both(_draw_credit, rules, shown, cells, house if house in rules else rules[0]),
    )


def _credit_title(row: dict) -> str:
    if row["n_first"] == row["n_rules"]:
        return "{channel} gets more credit than any other channel under each of {n_rules} rules, {least} to {most}"
    return "{channel} gets more credit than any other channel under {n_first} of {n_rules} rules, {least} to {most}"


def _draw_credit(rules: list[str], channels: list[str], cells: dict, house: str, is_narrow: bool) -> str:
    none = [""] * len(channels)
    ends = [cells[rule, each].get("share_rate_high") for rule in rules for each in channels]
    tops = [cells[rule, each]["share_rate"] for rule in rules for each in channels]
    most = 1.05 * max([*tops, *(end for end in ends if not is_missing(end))])
    if is_narrow:
        return _draw_spread(rules, channels, cells, house, most)
    figure, axes = canvas(len(channels), _LEFT, 0.1, 0.29, top=0.42)
    write_rows(axes, channels, none, none, set())
    box = axes.get_position()
    axes.set(xticks=[])
    axes.spines[:].set_visible(False)
    width = (WIDTH - _LEFT - 0.1 - _GAP * (len(rules) - 1)) / len(rules)
    for number, rule in enumerate(rules):
        left = (_LEFT + number * (width + _GAP)) / WIDTH
        panel = figure.add_axes([left, box.y0, width / WIDTH, box.height])
        panel.set(xlim=(0, most * 1.45), ylim=axes.get_ylim(), xticks=[], yticks=[])
        panel.grid(False)
        panel.spines["bottom"].set_visible(False)
        panel.axvline(0, color=LIGHT["rule"], lw=0.8)
        _draw_panel(panel, rule, channels, cells, rule == house)
        place = {"xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False}
        look = {"weight": "bold", "color": LIGHT["blue"]} if rule == house else {"color": LIGHT["ink2"]}
        panel.annotate(rule, (0, 1), (0, 6), size=NOTE_SIZE, **look, **place)
    return to_svg(figure)


def _draw_panel(panel, rule: str, channels: list[str], cells: dict, is_house: bool) -> None:
    """Draw one rule: a bar, its likely range as a line, the share at its end."""
    for at, channel in enumerate(channels):
        cell = cells[rule, channel]
        low, high = cell.get("share_rate_low"), cell.get("share_rate_high")
        panel.barh(at, cell["share_rate"], 0.5, color=LIGHT["blue" if is_house else "control"], alpha=0.55)
        if not is_missing(low):
            panel.plot([low, high], [at, at], color=LIGHT["blue" if is_house else "ink2"], lw=1.4)
        end = max(cell["share_rate"], 0 if is_missing(high) else high)
        place = {"textcoords": "offset points", "annotation_clip": False, "va": "center", "size": NOTE_SIZE}
        panel.annotate(_share(cell["share_rate"]), (end, at), (4, 0), color=LIGHT["ink"], **place)


def _draw_spread(rules: list[str], channels: list[str], cells: dict, house: str, most: float) -> str:
    """Draw, for a phone, one row a channel: the dot by the house rule, the bar from the least to the most of all."""
    texts, spreads = [], []
    for channel in channels:
        shares = [cells[rule, channel]["share_rate"] for rule in rules]
        spreads.append((min(shares), max(shares)))
        likely = f"{_share(min(shares))} to {_share(max(shares))}"
        texts.append(f"{_share(cells[house, channel]['share_rate'])} ({likely})")
    none = [""] * len(channels)
    figure, axes = canvas(len(channels), 0, 0, n_lines=count_lines(channels, none), is_narrow=True)
    scale = nice_scale([0, most], "rate")
    set_scale(axes, scale, "share_rate", None)
    axes.hlines(range(len(channels)), *scale[:2], color=LIGHT["line"], lw=0.8)
    for at, (channel, (low, high)) in enumerate(zip(channels, spreads, strict=True)):
        axes.plot([low, high], [at, at], color=LIGHT["control"], lw=5, alpha=0.5)
        axes.plot(cells[house, channel]["share_rate"], at, "o", color=LIGHT["blue"], ms=7.5, clip_on=False)
    write_rows(axes, channels, none, texts, set(), is_narrow=True)
    return to_svg(figure)


def plot_reach(reach, title: str = "", caption: str = "", name: str = "reach", needs=None) -> Chart:
    """Plot how many customers contacting everybody of a kind would bring, against the target.

    Parameters
    ----------
    reach : DataFrame
        `reach`: the company first, then segments. With segments the company stands in the caption.
    title, caption : str
        Templates filled from the row with the most expected customers that is drawn.
    name : str
    needs : str or tuple of str, optional
        What is missing when there are no rows.

    Returns
    -------
    Chart
    """
    if len(reach) == 0:
        return missing_chart(name, needs, NO_RATE)
    check_columns(reach, ["segment_id", "segment", "expected_customers", "target", "target_met_rate"], "plot_reach")
    able = reach[reach["expected_customers"].notna()]
    if len(able) == 0:
        return missing_chart(name, needs, NO_RATE)
    is_company = able["segment_id"].map(is_missing)
    rows = (able if is_company.all() else able[~is_company]).to_dict("records")
    rows.sort(key=lambda row: -row["expected_customers"])
    target = None if is_missing(rows[0]["target"]) else float(rows[0]["target"])
    texts = [_expected(row) for row in rows]
    finding = fill(rows[0], title or _reach_title(rows, target))
    whole = able[is_company].to_dict("records") if not is_company.all() else []
    words = "Contacts so far; what followed, not what they caused"
    words += "".join(f" · all companies: {_expected(row)}" for row in whole)
    return Chart(
        name=name,
        title=finding,
        subtitle="Customers to expect if every contactable company is contacted in the quarter; bar = likely range",
        caption=fill(rows[0], caption) if caption else words,
        alt=f"Range chart: expected customers of {len(rows)} groups"
        f"{' against the target' if target is not None else ''}. {finding}. {rows[-1]['segment']}: {texts[-1]}.",
        **draw_both(_draw_reach, rows, texts, target),
    )


def _expected(row: dict) -> str:
    ends = row.get("expected_customers_low"), row.get("expected_customers_high")
    return format_interval(row["expected_customers"], *ends, "expected_customers")


def _reach_title(rows: list[dict], target: float | None) -> str:
    best = rows[0]
    if target is None:
        return "{segment}: contacting all of them would bring {expected_customers} customers"
    wanted = format_value(target, "n_target")
    if best["target_met_rate"] >= 0.5:
        return f"{{segment}} alone would likely bring the {wanted} customers wanted"
    if is_missing(best["segment_id"]):
        return f"Contacting everybody would bring {{expected_customers}} customers; {wanted} are wanted"
    return f"No segment alone brings the {wanted} customers wanted; the largest would bring {{expected_customers}}"


def _draw_reach(rows: list[dict], texts: list[str], target: float | None, is_narrow: bool) -> str:
    names = [str(row["segment"]) for row in rows]
    under = [_reach_words(row) for row in rows]
    ends = [row.get(f"expected_customers{end}") for row in rows for end in ("", "_low", "_high")]
    scale = nice_scale([0.0, 1.15 * (target or 0.0), *(end for end in ends if not is_missing(end))], "count")
    n_lines = count_lines(names, under)
    figure, axes = canvas(len(rows), 2.35, 1.2, 0.62, n_lines=n_lines, is_narrow=is_narrow)
    set_scale(axes, scale, "n_customers", None)
    if is_narrow:
        axes.hlines(range(len(rows)), *scale[:2], color=LIGHT["line"], lw=0.8)
    if target is not None:
        draw_reference(axes, target, len(rows), f"target {format_value(target, 'n_target')}", is_narrow)
    for at, row in enumerate(rows):
        low, high = row.get("expected_customers_low"), row.get("expected_customers_high")
        draw_range(axes, at, row["expected_customers"], low, high, "confirmed", scale)
    write_rows(axes, names, under, texts, {0}, is_narrow)
    return to_svg(figure)


def _reach_words(row: dict) -> str:
    if is_missing(row.get("target_met_rate")):
        return f"{format_value(row['n_contactable'], 'n_contactable')} contactable"
    return f"chance of the target: {format_value(row['target_met_rate'], 'target_met_rate')}"
