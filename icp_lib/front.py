"""The front page of a quarter and the index of all quarters, rendered from tables, without a kernel."""

from __future__ import annotations

from icp_lib.cards import FIRST_REPORT, build_cards, describe_change, name_metric, safe
from icp_lib.explorer import build_explorer
from icp_lib.formats import is_missing
from icp_lib.knowledge import group_claims
from icp_lib.marks import range_bar, status_mark, verdict_mark, verdict_sentence
from icp_lib.pages import render_template, shell
from icp_lib.timeline import build_timeline

_READ_HELD = (
    "Dot and bar: newer deals that were kept aside (costs: all; tests: their accounts). "
    "Ring: what we saw when we first found it."
)
_READ_FOUND = "Bar: likely range, widened for the number of groups looked at. Line: the rest."
_MOST_WORDS = 90  # characters that "What first?" has room for
#: Pages that ask what changed since last quarter, by the same functions on the extract as it stood then.
_COMPARING = ("01", "02", "03", "06")
_STYLES = ("page.css", "front.css")
_KINDS = {"do": "Do", "stop": "Stop", "find out": "Find out"}
_FAULTS = (("failed", "failed"), ("not measured", "not measured"), ("not produced", "skipped"))


def render_front(
    context: dict,
    headline,
    claims,
    profile: dict,
    segments=None,
    segments_all=None,
    history=None,
    actions=None,
    versions: list[dict] | None = None,
    segment_noise=None,
    segment_search=None,
) -> str:
    """Return the front page of a quarter. Any table may be None or empty: the page says what is missing.

    Parameters
    ----------
    context : dict
        As for `pages.render_page`; and, where there, report_status (draft or published), approval (what
        ``approval.yml`` holds), version, versions (as `versions`), compared_with (words for the footer).
    headline, history : DataFrame
        As for `cards.build_cards`.
    claims : DataFrame
        Rows of the `claims_<nn>` tables; `claim_id` starts with the number of its page.
    profile : dict
        name (of the segment, ready for a sentence), verdict, lead (a sentence), quarter; and, where there, version,
        exclusions (whom to refuse: words, or dicts with words), sign_offs (role, and name and at where signed),
        changed and first, each a sentence.
    segments, segments_all, segment_noise : DataFrame, optional
        As for `explorer.build_explorer`.
    segment_search : DataFrame, optional
        hypotheses: how many groups each search looked at; the first row is that of the offered segments.
    actions : DataFrame, optional
        team (sales or marketing), kind (do, stop or find out), action (a sentence), evidence (a sentence), who, when,
        page (number of the page it rests on).
    versions : list of dict, optional
        As for `timeline.build_timeline`.
    """
    page = shell(context, styles=_STYLES, scripts=("page.js", "front.js", "explorer.js"))
    page["title"] = f"{page['company']}: ideal customer, {page['quarter']}"
    words, sure = _profile(profile)
    verdict = "untested" if is_missing(profile.get("verdict")) else str(profile["verdict"])
    versions = versions or context.get("versions") or []
    has_earlier = any(str(each["quarter"]) < page["quarter"] for each in versions)
    groups, axis, shared = group_claims(claims, page["pages"])
    steps, tasks = build_timeline(versions, page["quarter"]), _actions(actions, page["pages"])
    is_held = len(claims) > 0 and claims["holdout_p_adjusted"].notna().any()
    return render_template(
        "front.html.j2",
        page,
        profile=words,
        sure=sure,
        state=_state(context, profile),
        answers=_answers(profile, headline, history, page, has_earlier, tasks),
        cards=build_cards(headline, history, page["quarter"], verdict, has_earlier)[:8],
        legend=_legend(verdict),
        tasks=tasks,
        groups=groups,
        axis=axis,
        shared=shared,
        how_to_read=_READ_HELD if is_held else _READ_FOUND,
        explorer=build_explorer(segments, segments_all, segment_noise, _rest(headline), _looked(segment_search)),
        steps=steps,
        ran=_ran(page["pages"]),
        compared_with=str(context.get("compared_with") or ""),
    )


def _profile(profile: dict) -> tuple[dict, dict]:
    """Return the profile's words and how sure we are; without a profile, what is missing."""
    listed = profile.get("exclusions") or []
    refused = [each if isinstance(each, str) else str(each.get("words") or "") for each in listed]
    words = {"quarter": str(profile.get("quarter") or ""), "not_for_us": ", ".join(filter(None, refused))}
    if not profile.get("name"):
        why = "Page 07 did not run, so nothing names a profile."
        sentence = "A profile needs one segment that holds."
        return words | {"name": "No profile yet.", "lead": str(profile.get("lead") or why)}, {
            "mark": "",
            "word": "Nothing to be sure of",
            "sentence": sentence,
        }
    name = str(profile["name"]).rstrip(".") + "."
    verdict = "untested" if is_missing(profile.get("verdict")) else str(profile["verdict"])
    sentence = verdict_sentence(verdict)
    return (
        words | {"name": name[0].upper() + name[1:], "lead": str(profile.get("lead") or "")},
        {"mark": safe(verdict_mark(verdict)), "word": verdict[0].upper() + verdict[1:], "sentence": sentence},
    )


def _state(context: dict, profile: dict) -> dict:
    """Return the words of the state line: draft or published, who signed and who did not, the profile's version."""
    approval, listed = context.get("approval") or {}, profile.get("sign_offs") or []
    people = approval.get("approved_by") or [each for each in listed if each.get("at")]
    at = f", {approval['approved_at']}" if approval.get("approved_at") else ""
    names = "; ".join(", ".join(str(each[key]) for key in ("name", "role", "at") if each.get(key)) for each in people)
    missing = [str(each["role"]) for each in listed if not each.get("at")]
    is_published = context.get("report_status") == "published"
    version = context.get("version") or profile.get("version")
    return {
        "word": "Published." if is_published else "Draft.",
        "signed": f"Signed by {names}{at}" if names else "" if is_published else "Nobody has signed it yet",
        "missing": f"{len(missing)} of {len(listed)} sign-offs missing: {', '.join(missing)}"
        if missing and not approval
        else "",
        "version": f"Profile version {version}" if version else "",
    }


def _answers(profile: dict, headline, history, page: dict, has_earlier: bool, tasks: list[dict]) -> list[dict]:
    """Return "What changed?" and "What first?": the profile's words, else those that the tables can back."""
    changed, note = profile.get("changed"), ""
    if not changed:
        changed, note = _changed(headline, history, page["quarter"], has_earlier)
        note = _compared(page["pages"]) if changed.startswith(FIRST_REPORT) else note
    doing = [each["action"] for task in tasks for each in task["items"] if each["kind"] == "Do"]
    first = profile.get("first") or " ".join(doing[: 2 if len(" ".join(doing[:2])) <= _MOST_WORDS else 1])
    answers = [{"head": "What changed?", "words": str(changed), "note": note}] if changed else []
    return answers + ([{"head": "What first?", "words": str(first), "note": ""}] if first else [])


def _changed(headline, history, quarter: str, has_earlier: bool) -> tuple[str, str]:
    """Return the figures that moved beyond noise, as a sentence, and what is to be said of the others."""
    metrics = [str(each) for each in headline["metric"]] if len(headline) else []
    past = history.to_dict("records") if history is not None and len(history) else []
    changes = {
        metric: describe_change([each for each in past if each["metric"] == metric], quarter, metric, has_earlier)
        for metric in metrics
    }
    moved = [
        f"{name_metric(metric)}: {change['words'].partition(' since ')[0]}, {change['kind']}."
        for metric, change in changes.items()
        if change["kind"] in ("better", "worse")
    ]
    n_still = sum(change["kind"] == "noise" for change in changes.values())
    if moved:
        others = f"{n_still} other figure{' did' if n_still == 1 else 's did'} not move beyond noise."
        return " ".join(moved), others if n_still else ""
    if n_still:
        return "Nothing beyond noise.", ""
    if metrics and all(change["head"] == FIRST_REPORT for change in changes.values()):
        return f"{FIRST_REPORT}: no earlier one to compare with.", ""
    return "", ""


def _compared(pages: list[dict]) -> str:
    """Return which pages compare today's data with those of a quarter ago; nothing where none of them ran.

    Examples
    --------
    >>> _compared([{"number": number, "status": "ok"} for number in ("00", "01", "02", "06")])
    'Pages 01, 02 and 06 compare with the data of a quarter ago.'
    """
    ran = [each["number"] for each in pages if each["number"] in _COMPARING and each["status"] in ("ok", "warnings")]
    if len(ran) < 2:
        return f"Page {ran[0]} compares with the data of a quarter ago." if ran else ""
    return f"Pages {', '.join(ran[:-1])} and {ran[-1]} compare with the data of a quarter ago."


def _legend(verdict: str):
    legend = range_bar(30, 20, 42, "n", (0, 60, [], False), verdict, rest=10)
    return safe(legend.replace('role="img"', 'aria-hidden="true"'))


def _rest(headline) -> float | None:
    """Return what the rest earns a selling day, where the headline says it as a number."""
    rows = headline.to_dict("records") if len(headline) else []
    given = next((row.get("comparison") for row in rows if row["metric"] == "margin_per_day"), None)
    try:
        return None if is_missing(given) else float(given)
    except ValueError:
        return None


def _looked(search) -> int | None:
    """Return how many groups the search looked at, where its table says it."""
    has = search is not None and len(search) and "hypotheses" in search.columns
    return None if not has or is_missing(search["hypotheses"].iloc[0]) else int(search["hypotheses"].iloc[0])


def _actions(actions, pages: list[dict]) -> list[dict]:
    """Return the actions by team, each team's in the order Do, Stop, Find out; no table, no teams."""
    rows = actions.to_dict("records") if actions is not None and len(actions) else []
    teams = []
    for team in ("sales", "marketing"):
        mine = [row for row in rows if str(row["team"]).strip().casefold() == team]
        items = [
            {
                "kind": word,
                **{name: "" if is_missing(row.get(name)) else str(row[name]) for name in ("action", "evidence")},
                "facts": [str(row[name]) for name in ("who", "when") if not is_missing(row.get(name))],
                "page": _page(row.get("page"), pages),
            }
            for kind, word in _KINDS.items()
            for row in mine
            if str(row["kind"]).strip().casefold() == kind
        ]
        teams.append({"name": team.capitalize(), "items": items})
    return teams if any(team["items"] for team in teams) else []


def _page(number, pages: list[dict]) -> dict | None:
    """Return the page of a number; a table from a file may hold it as 5 or 5.0."""
    if is_missing(number):
        return None
    text = str(number).removesuffix(".0").zfill(2)[:2]
    return next((each for each in pages if each["number"] == text), None)


def _ran(pages: list[dict]) -> str:
    """Return which pages failed, which found something wrong, how many ran, and which were skipped.

    Examples
    --------
    >>> _ran([{"number": "00", "status": "ok"}, {"number": "06", "status": "failed"}])
    '06 failed; 1 of 2 pages ran'
    """
    numbers = {word: [each["number"] for each in pages if each["status"] == status] for status, word in _FAULTS}
    ran = sum(each["status"] in ("ok", "warnings") for each in pages)
    words = {word: f"{', '.join(found)} {word}" for word, found in numbers.items() if found}
    wrong = [f"{each['number']}: {each['status_words']}" for each in pages if "failed" in each.get("status_words", "")
             and each["status"] == "warnings"]  # fmt: skip
    said = [words.pop("failed", ""), *wrong, f"{ran} of {len(pages)} pages ran", *words.values()]
    return "; ".join(filter(None, said))


def render_index(runs: list[dict], company: str) -> str:
    """Return the list of all quarters: those whose last attempt failed first, then newest first.

    Parameters
    ----------
    runs : list of dict
        quarter; status (draft, published, or failed where a page of the report failed), status_words, headline (a
        sentence); and, where there, as_of, version, ran_at, href (None where there is no report),
        signed (lines), attempt (status, words, at: the last attempt where it failed and put nothing in place),
        last_good (quarter and href of the last report that ran whole).
    company : str
        The company's name.
    """
    page = shell({"company": company}, styles=_STYLES)
    page["title"] = f"{company}: ideal customer profile, all quarters"
    rows = sorted((_run(run) for run in runs), key=lambda row: row["quarter"], reverse=True)
    rows.sort(key=lambda row: not row["is_failed"])
    failed = [row["quarter"] for row in rows if row["is_failed"]]
    return render_template("index.html.j2", page, runs=rows, failed=failed)


def _run(run: dict) -> dict:
    """Return one quarter of the index."""
    quarter, attempt, status = str(run["quarter"]), run.get("attempt") or {}, str(run.get("status") or "draft")
    href = run.get("href", f"{quarter}/index.html")
    is_failed = bool(attempt) or status == "failed"
    words = run.get("status_words") or {"failed": "Failed", "ok": "Draft"}.get(status, status.capitalize())
    mark = {"draft": "", "published": "ok"}.get(status, status)
    facts = (("As of", "as_of"), ("Profile version", "version"), ("Made", "ran_at"), ("Signed by", "signed"))
    good = run.get("last_good") or {}
    return {
        "quarter": quarter,
        "href": str(href or ""),
        "is_failed": is_failed,
        "mark": safe(status_mark(mark)) if mark and not (attempt and not href) else "",
        "status_words": str(words) if href else "No report of this quarter",
        "headline": str(run.get("headline") or ("No profile in this quarter." if href else "")),
        "attempt": str(attempt.get("words") or "The last attempt failed.") if attempt else "",
        "attempt_at": str(attempt.get("at") or ""),
        "attempt_mark": safe(status_mark("failed")) if attempt else "",
        "last_good": good if good.get("quarter") != quarter else {},
        "facts": [f"{head} {_joined(run[key])}" for head, key in facts if run.get(key)],
    }


def _joined(words) -> str:
    return "; ".join(map(str, words)) if isinstance(words, (list, tuple)) else str(words)
