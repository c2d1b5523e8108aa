"""Notebook 06: what the ICP tests show, and what the protocol says to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

import numpy as np
import pandas as pd

from icp_lib.decisions import WITHHELD, decide, find_state, say_amount
from icp_lib.experiment_effects import check_guardrails, compare_tests
from icp_lib.experiment_health import check_health, list_withheld
from icp_lib.outcomes import Sources
from icp_lib.protocols import DECISION_WORDS, Candidate, Guardrail, Measure, Protocol, name_day, name_words
from icp_lib.rules import Segment
from icp_lib.schemas import CLAIM_COLUMNS
from icp_lib.studies import Study

PROTOCOL = [
    "experiment_id", "test", "state", "design", "candidate", "question", "primary", "arms", "control", "written_on",
    "assigned_on", "n_assigned", "mde", "smallest_worth", "looks", "guardrails", "cost_per_account", "hash",
    "deviations", "why", "who",
]  # fmt: skip
ARCHIVE = ["experiment_id", "test", "candidate", "concluded_on", "decision", "what", "afterwards", "hash"]
CHANGED = ["experiment_id", "candidate", "arm", "decision_before", "decision", "effect_before", "effect", "metric",
           "reading"]  # fmt: skip
_LATE_DAYS = 7
_LOT = {
    "uplift": "A planned test; its accounts were drawn by lot.",
    "sample": "A planned test; the accounts of each kind were drawn by lot, their kind was not.",
}
_NOT_SHOWN = ("not supported", "not enough data", "untested")
#: What an arm does to accounts, by measure: the verb, done, undone, to what, and whether it is a matter of how often.
_DOES = {
    "touch_rate": ("bring", "brings", "brings", "{who} to {what} within {days} days", True),
    "stage_rate": ("bring", "brings", "brings", "{who} to the stage {what} within {days} days", True),
    "opportunity_rate": ("bring", "brings", "brings", "{who} to a deal within {days} days", True),
    "win_rate": ("win", "wins", "wins", "{who} within {days} days", True),
    "margin_per_account": ("raise", "raises", "lowers", "the margin from {who} within {days} days", False),
    "margin_per_opportunity": ("raise", "raises", "lowers", "the margin per deal of {who} within {days} days", False),
    "cycle_days": ("shorten", "shortens", "lengthens", "the sales cycle of {who} won within {days} days", False),
}


class Judged(NamedTuple):
    """All results of a quarter: health, why results are withheld, comparisons, guardrails and decisions."""

    health: pd.DataFrame
    withheld: dict[str, str]
    compared: pd.DataFrame
    guarded: pd.DataFrame
    decisions: pd.DataFrame


def judge_tests(tests: list[Study], accounts: pd.DataFrame, sources: Sources, end: datetime) -> Judged:
    """Check, compare and decide every test, in this order: a failed check withholds the result.

    Parameters
    ----------
    tests : list of Study
        From `studies.build_studies`.
    accounts : DataFrame
        The account table.
    sources : Sources
    end : datetime
        The first moment after as-of.

    Returns
    -------
    Judged
    """
    health = check_health(tests)
    withheld = list_withheld(health)
    compared = compare_tests(tests, withheld)
    guarded = check_guardrails(tests, compared)
    return Judged(
        health, withheld, compared, guarded, decide(tests, compared, guarded, withheld, accounts, sources, end)
    )


def build_protocols(tests: Iterable[Study], end: datetime) -> pd.DataFrame:
    """Return the protocol of every test and where it stands: the table `experiment_protocol`.

    state is no protocol, concluded, not started, running or through; `deviations` are those that the team logged, and
    those that the list shows.
    """
    rows = []
    for test in tests:
        row = {"experiment_id": test.experiment_id, "test": test.title, "n_assigned": len(test.lines)}
        row |= {"deviations": test.problem, "state": "no protocol"}
        rows.append(row | (_describe(test, end) if test.protocol else {}))
    return pd.DataFrame(rows, columns=PROTOCOL)


def _describe(test: Study, end: datetime) -> dict:
    protocol = test.protocol
    guards = [_say_guardrail(each) for each in protocol.guardrails]
    return {
        "state": find_state(test, end), "design": protocol.design, "question": protocol.question, "why": protocol.why,
        "candidate": ", ".join(each.id for each in protocol.profiles), "arms": ", ".join(protocol.arms),
        "control": protocol.control, "primary": protocol.primary.words, "mde": protocol.mde,
        "written_on": protocol.written_on, "assigned_on": protocol.assigned_on,
        "smallest_worth": protocol.smallest_worth, "looks": ", ".join(f"{look:.0%}" for look in protocol.looks),
        "guardrails": "; ".join(guards), "cost_per_account": protocol.cost_per_account, "hash": protocol.hash,
        "deviations": " ".join(list_deviations(test)),
        "who": "; ".join(_say_who(each) for each in protocol.profiles if each.conditions),
    }  # fmt: skip


def _say_who(candidate: Candidate) -> str:
    """Which accounts match a candidate profile, in words."""
    rules = [each.model_dump() for each in candidate.conditions]
    return f"{_capital(name_words(candidate.id))}: {Segment.of(*rules).name}"


def _say_guardrail(guard: Guardrail) -> str:
    """A guardrail in words."""
    sign = "+" if guard.not_worse_than > 0 else ""
    return f"{guard.words}: not worse than {sign}{say_amount(guard, guard.not_worse_than)}"


def list_deviations(test: Study) -> list[str]:
    """Return what was done otherwise than agreed: logged by the team, or seen in the list."""
    protocol, said = test.protocol, []
    said += [f"{name_day(each.day)}: {each.what.rstrip('.')}." for each in protocol.deviations]
    first = test.lines["assigned_on"].min() if len(test.lines) else pd.NaT
    if pd.notna(first) and abs(first - pd.Timestamp(protocol.assigned_on)) > pd.Timedelta(days=_LATE_DAYS):
        said.append(f"Assigned from {name_day(first)} on; planned was {name_day(protocol.assigned_on)}.")
    return said


def build_claims(decisions: pd.DataFrame, tests: Iterable[Study]) -> pd.DataFrame:
    """Return one row a claim: every arm of a test that has a result, `claims_06`.

    `metric` is effect_<metric>: the estimate is a difference. The p-value is two-sided, Holm-adjusted and adjusted for
    looks; `holdout_p_adjusted` is its half on the side that was hoped for (see `judge_row`).
    """
    rows, by_id = [], {test.experiment_id: test for test in tests}
    judged = decisions[decisions["effect"].notna()]
    for row in judged.to_dict("records"):
        protocol = by_id[row["experiment_id"]].protocol
        name = row["arm"] if protocol.design == "sample" else row["candidate"]
        rules = [each.model_dump() for one in protocol.profiles if one.id == name for each in one.conditions]
        sign = -1.0 if protocol.primary.is_lower_better else 1.0
        p_two = row["p_adjusted"]
        same = decisions["experiment_id"].eq(row["experiment_id"]) & decisions["effect"].notna()
        rows.append({
            "claim_id": f"06-{row['experiment_id']}-{row['candidate']}-{row['arm']}".replace(" ", "-"),
            "claim": _claim(protocol, row), "segment_id": Segment.of(*rules).segment_id if rules else "",
            "metric": f"effect_{row['metric']}", "estimate": row["effect"], "conf_low": row["effect_low"],
            "conf_high": row["effect_high"], "n": row["n"], "hypotheses": int(same.sum()), "p_adjusted": p_two,
            "holdout_p_adjusted": p_two / 2 if sign * row["effect"] > 0 else 1 - p_two / 2,
            "explained_by": "", "verdict": row["verdict"],
            "note": f"{_LOT[protocol.design]} {_capital(DECISION_WORDS[row['decision']])}: {row['why']}.",
        })  # fmt: skip
    return pd.DataFrame(rows, columns=CLAIM_COLUMNS)


def _claim(protocol: Protocol, row: Mapping) -> str:
    """The claim as a sentence, its direction that of the verdict: better, worse, or neither beyond luck."""
    primary, verdict = protocol.primary, row["verdict"]
    arm, usual, who = map(name_words, (row["arm"], row["control"], row["candidate"]))
    if protocol.design == "sample":
        luck = " beyond luck" if verdict in _NOT_SHOWN else ""
        how = "no better" if luck else "worse" if verdict == "contradicted" else "better"
        return f"{_capital(arm)} respond {how} than {usual}{luck}: {_small(primary.words)}."
    verb, better, worse, what, times = _DOES[primary.metric]
    what = what.format(who=who, what=_name_touch(primary), days=primary.window_days)
    if verdict in _NOT_SHOWN:
        return f"{_capital(arm)} does not {verb} {what} {'more often' if times else 'more'} than luck could."
    than = f"{'less' if verdict == 'contradicted' else 'more'} often than" if times else "against"
    return f"{_capital(arm)} {worse if verdict == 'contradicted' else better} {what} {than} {usual}."


def _name_touch(primary: Measure) -> str:
    """A contact with its article; a stage as it is called."""
    if primary.metric != "touch_rate":
        return str(primary.stage)
    word = _small(str(primary.touch_type))
    return f"{'an' if word[0].casefold() in 'aeiou' else 'a'} {word}"


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _small(words: str) -> str:
    return words if words[1:2].isupper() else words[:1].lower() + words[1:]


def list_archive(tests: Iterable[Study], end: datetime) -> pd.DataFrame:
    """Return the tests that were concluded, the newest first, with what was decided and what happened afterwards."""
    rows = []
    for test in tests:
        if find_state(test, end) == "concluded":
            protocol, known = test.protocol, test.protocol.concluded
            rows.append({
                "experiment_id": protocol.id, "test": test.title,
                "candidate": ", ".join(each.id for each in protocol.profiles),
                "concluded_on": known.day, "decision": known.decision, "what": known.what,
                "afterwards": known.afterwards, "hash": protocol.hash,
            })  # fmt: skip
    table = pd.DataFrame(rows, columns=ARCHIVE)
    return table.sort_values("concluded_on", ascending=False, kind="stable", ignore_index=True)


def compare_quarters(now: pd.DataFrame, before: pd.DataFrame) -> pd.DataFrame:
    """Return every decision beside the one that the same functions made a quarter earlier, and how to read both."""
    keys = ["experiment_id", "candidate", "arm"]
    earlier = before[[*keys, "decision", "effect"]].rename(
        columns={"decision": "decision_before", "effect": "effect_before"}
    )
    table = now.astype({key: object for key in keys}).merge(earlier.astype({key: object for key in keys}), "left", keys)
    is_new = table["decision_before"].isna()
    is_same = table["decision_before"] == table["decision"]
    table["reading"] = np.select([is_new, is_same], ["new this quarter", "as before"], "changed")
    return table.reindex(columns=CHANGED)


def is_withheld(judged: Judged) -> bool:
    """Return whether no test with a failed check has an effect or a decision."""
    table, bare = judged.decisions, judged.compared
    inside = table["experiment_id"].isin(list(judged.withheld))
    is_bare = bare.loc[bare["experiment_id"].isin(list(judged.withheld)), "effect"].isna().all()
    return bool((table.loc[inside, "decision"] == WITHHELD).all() and is_bare)
