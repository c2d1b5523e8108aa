"""The wall page: the profile on one sheet of A4 for everybody who sells, rendered from tables."""

from __future__ import annotations

from icp_lib.cards import name_compared, name_metric, read_comparison, safe
from icp_lib.explorer import name_level
from icp_lib.formats import column_name, format_interval, format_of, format_value, is_missing
from icp_lib.marks import TOKENS, VERDICTS, nice_scale, range_bar, verdict_key, verdict_mark, verdict_sentence
from icp_lib.pages import render_template, shell

#: How many entries a part has room for, and how many characters each of their texts.
_ROOM = {
    "name": 90, "lead": 260, "traits": 7, "level": 40, "refused": 3, "refusal": 80, "figures": 7, "dimensions": 7,
    "words": 130, "objection": 50, "reach": 200, "personas": 3, "persona": 50, "stages": 6, "stage": 44, "known": 4,
    "claim": 110, "tasks": 3, "task": 110, "signs": 4, "person": 40,
}  # fmt: skip
_ESSENTIAL = ("who", "refused", "worth", "dimensions", "say", "find", "decides", "buy")
_NAMES = {
    "who": "who they are", "refused": "not for us", "worth": "what they are worth", "dimensions": "seven dimensions",
    "say": "what we say", "find": "where to find them", "decides": "who decides", "buy": "how they buy",
}  # fmt: skip


def render_wall(context: dict, headline, claims, profile: dict, actions=None) -> str:
    """Return the wall page: A4, one page, ink on white. A part that nothing backs is left out and named at the foot.

    Every text has a fixed number of lines, so the sheet never grows; one that is longer ends in "…".

    Parameters
    ----------
    context, headline, claims, actions
        As for `front.render_front`.
    profile : dict
        As for `front.render_front`; and, where there: attributes (rules, with verdict, best_rate and market_rate),
        exclusions (words, or dicts with words and verdict), dimensions (dimension, score from 0 to 5, low, high, n,
        note), playbook (problem, instead, ask, objections: objection and answer), reach (words), personas (role,
        words), journey (stage, when, words, question, roles, stops), sign_offs (role, name, at).
    """
    page = shell(context, styles=("page.css", "wall.css"))
    page["css"] += safe(":root:root:root{" + "".join(f"--{name}:{pair[0]};" for name, pair in TOKENS.items()) + "}")
    page["title"] = f"{page['company']}: ideal customer on one page, {page['quarter']}"
    parts = {
        "who": _traits(profile),
        "refused": _refused(profile),
        "worth": _figures(headline, str(profile.get("verdict") or "untested")),
        "dimensions": _dimensions(profile),
        "say": _playbook(profile.get("playbook") or {}),
        "find": _clip(profile.get("reach"), "reach"),
        "decides": _entries(profile, "personas", "personas", {"role": "persona", "words": "persona"}),
        "buy": _entries(profile, "journey", "stages", dict.fromkeys(
            ("stage", "when", "words", "question", "roles", "stops"), "stage")),
    }  # fmt: skip
    absent = [_NAMES[name] for name in _ESSENTIAL if not parts[name]]
    is_roomy = not parts["say"] or not parts["buy"]
    return render_template(
        "wall.html.j2",
        page,
        profile=_head(context, profile),
        parts=parts,
        is_roomy=is_roomy,
        sentence=verdict_sentence(str(profile["verdict"])) if is_roomy and profile.get("verdict") else "",
        known=_known(claims) if is_roomy else [],
        tasks=_tasks(actions) if is_roomy else [],
        signs=_signs(context, profile),
        absent=", ".join(absent),
        legend=[(key, safe(verdict_mark(key))) for key in VERDICTS if _is_used(key, claims, profile)],
    )


def _clip(text, room: str) -> str:
    """Return a text that fits its room, cut at a word's end."""
    text, most = "" if is_missing(text) else " ".join(str(text).split()), _ROOM[room]
    if len(text) <= most:
        return text
    cut = text[: most - 1]
    return f"{cut[: cut.rfind(' ')] if ' ' in cut[most // 2 :] else cut}…".replace(",…", "…")


def _mark(verdict):
    return safe(verdict_mark("untested" if is_missing(verdict) else str(verdict)))


def _head(context: dict, profile: dict) -> dict:
    """Return the sheet's head: who, how sure, which version."""
    name = _clip(str(profile.get("name") or "No profile yet").rstrip("."), "name")
    name += "" if name.endswith("…") else "."
    verdict = str(profile.get("verdict") or "") if profile.get("name") else ""
    version = context.get("version") or profile.get("version")
    return {
        "name": name[0].upper() + name[1:],
        "lead": _clip(profile.get("lead"), "lead"),
        "verdict": verdict[:1].upper() + verdict[1:],
        "mark": _mark(verdict) if verdict else "",
        "version": f", version {version}" if version else "",
        "state": "published" if context.get("report_status") == "published" else "draft",
    }


def _traits(profile: dict) -> list[dict]:
    """Return the profile's attributes; with the share of best customers and of the market where both are known."""
    rows = []
    for rule in (profile.get("attributes") or [])[: _ROOM["traits"]]:
        best, market = rule.get("best_rate"), rule.get("market_rate")
        has_rates = not is_missing(best) and not is_missing(market)
        rows.append({
            "mark": _mark(rule.get("verdict") or profile.get("verdict")),
            "name": _clip(column_name(str(rule["attribute"])), "level"),
            "level": _clip(name_level(rule), "level"),
            "best": f"{100 * best:.0f}%" if has_rates else "",
            "market": f"{100 * market:.0f}%" if has_rates else "",
            "at": [round(100 * market), round(100 * best)] if has_rates else [],
        })  # fmt: skip
    return rows


def _refused(profile: dict) -> list[dict]:
    rows = [{"words": each} if isinstance(each, str) else each for each in profile.get("exclusions") or []]
    return [
        {"mark": _mark(each["verdict"]) if each.get("verdict") else "–", "words": _clip(each.get("words"), "refusal")}
        for each in rows[: _ROOM["refused"]]
    ]


def _figures(headline, verdict: str) -> list[dict]:
    """Return the headline figures with their bars; one that is not measured says so."""
    rows = []
    for row in headline.to_dict("records")[: _ROOM["figures"]] if len(headline) else []:
        metric, value = str(row["metric"]), row.get("estimate")
        if is_missing(value):
            rows.append({"name": name_metric(metric), "number": "", "range": "not measured", "bar": ""})
            continue
        low, high = row.get("conf_low"), row.get("conf_high")
        rest, _ = read_comparison(row)
        ends = [end for end in (value, low, high, rest) if not is_missing(end)]
        scale = nice_scale(ends, format_of("estimate", metric))
        named = {"metric": metric, "rest_name": name_compared(row)}
        bar = range_bar(value, low, high, "estimate", scale, verdict, rest, **named) if len(ends) > 1 else ""
        number, _, likely = format_interval(value, low, high, "estimate", metric).partition(" (")
        rows.append({
            "name": _clip(name_metric(metric), "level"),
            "number": number,
            "range": f"({likely}" if likely else "",
            "bar": safe(bar),
        })  # fmt: skip
    return rows


def _dimensions(profile: dict) -> list[dict]:
    """Return the seven dimensions, 0 to 5; one without evidence says why."""
    rows = []
    for each in (profile.get("dimensions") or [])[: _ROOM["dimensions"]]:
        name, score = _clip(each.get("dimension"), "level"), each.get("score")
        if is_missing(score):
            note = _clip(each.get("note") or "no evidence", "persona")
            rows.append({"name": name, "score": "", "n": "", "bar": "", "note": note})
            continue
        ends = (each.get("low"), each.get("high"))
        bar = range_bar(score, *ends, "score", (0, 5, [], False), str(profile.get("verdict") or "untested"))
        n = "" if is_missing(each.get("n")) else f"n = {format_value(each['n'], 'n')}"
        rows.append({"name": name, "score": f"{score:.1f}", "n": n, "bar": safe(bar), "note": ""})
    return rows


def _playbook(playbook: dict) -> list[dict]:
    """Return what we say, as (head, words)."""
    heads = (("problem", "Problem."), ("instead", "Instead."), ("ask", "Ask."))
    said = [{"head": head, "words": _clip(playbook[key], "words")} for key, head in heads if playbook.get(key)]
    objections = [
        {"head": f"“{_clip(each.get('objection'), 'objection')}”", "words": _clip(each.get("answer"), "words")}
        for each in playbook.get("objections") or []
    ]
    return (said + objections)[:4]


def _entries(profile: dict, key: str, most: str, rooms: dict[str, str]) -> list[dict]:
    """Return the first entries of a list of the profile, each text cut to its room."""
    rows = profile.get(key) or []
    return [{name: _clip(each.get(name), room) for name, room in rooms.items()} for each in rows[: _ROOM[most]]]


def _known(claims) -> list[dict]:
    """Return the claims that are best known, in the order of their verdicts."""
    rows = claims.to_dict("records") if len(claims) else []
    order = ("confirmed", "contradicted", "promising", "untested")
    told = [row for key in order for row in rows if verdict_key(str(row.get("verdict"))) == key]
    return [
        {"mark": _mark(row["verdict"]), "words": _clip(row["claim"], "claim"), "value": _value(row)}
        for row in told[: _ROOM["known"]]
    ]


def _value(row: dict) -> str:
    if is_missing(row.get("estimate")):
        return ""
    return format_interval(row["estimate"], row.get("conf_low"), row.get("conf_high"), "estimate", row.get("metric"))


def _tasks(actions) -> list[dict]:
    """Return the first things to do and to stop."""
    rows = actions.to_dict("records") if actions is not None and len(actions) else []
    able = [row for kind in ("do", "stop") for row in rows if str(row["kind"]).casefold() == kind]
    return [{"words": _clip(row["action"], "task"), "who": _clip(row.get("who"), "person")}
            for row in able[: _ROOM["tasks"]]]  # fmt: skip


def _signs(context: dict, profile: dict) -> list[dict]:
    """Return who agreed and when, and whose sign-off is open."""
    approval = context.get("approval") or {}
    at = str(approval.get("approved_at") or "")
    people = approval.get("approved_by") or profile.get("sign_offs") or []
    return [
        {
            "role": _clip(each.get("role"), "person"),
            "name": _clip(each.get("name"), "person"),
            "at": str(each.get("at") or at),
        }
        for each in people[: _ROOM["signs"]]
    ]


def _is_used(key: str, claims, profile: dict) -> bool:
    given = [profile.get("verdict"), *(claims["verdict"] if len(claims) else [])]
    given += [each.get("verdict") for name in ("attributes", "exclusions") for each in profile.get(name) or []
              if isinstance(each, dict)]  # fmt: skip
    return any(verdict_key(str(verdict)) == key for verdict in given if not is_missing(verdict))
