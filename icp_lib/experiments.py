"""Notebook 06: what the ICP tests show, and what the protocol says to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

import numpy as np
import pandas as pd

from icp_lib import outcomes, stats, trials
from icp_lib.experiment_effects import check_guardrails, compare_tests, find_look
from icp_lib.experiment_health import check_health, list_withheld
from icp_lib.outcomes import Sources
from icp_lib.protocols import DECISION_WORDS, Guardrail, Measure, Protocol, name_day, name_words
from icp_lib.rules import Segment
from icp_lib.schemas import CLAIM_COLUMNS
from icp_lib.studies import FULL, Study

PROTOCOL = [
    "experiment_id", "test", "state", "design", "candidate", "question", "primary", "arms", "control", "written_on",
    "assigned_on", "n_assigned", "mde", "smallest_worth", "looks", "guardrails", "cost_per_account", "hash",
    "deviations", "why",
]  # fmt: skip
DECIDED = [
    "experiment_id", "candidate", "arm", "control", "decision", "why", "look", "metric", "effect", "effect_low",
    "effect_high", "p_adjusted", "adjustment", "guardrails", "worth", "n_successes", "break_even", "gain", "gain_low",
    "gain_high", "p_best", "expected_regret", "n", "verdict", "note",
]  # fmt: skip
WITHHELD, PLANNED = "withheld", "not started"
ARCHIVE = ["experiment_id", "test", "candidate", "concluded_on", "decision", "what", "afterwards", "hash"]
CHANGED = ["experiment_id", "candidate", "arm", "decision_before", "decision", "effect_before", "effect", "metric",
           "reading"]  # fmt: skip
_Z, _LATE_DAYS = 1.959963985, 7
_NO_GAIN = "No gain: every candidate got the same treatment, so what it brings over going on as usual is not known."
_AMONG = "Only accounts with a deal are counted; the groups may also differ in who has one."
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
    }  # fmt: skip


def _say_guardrail(guard: Guardrail) -> str:
    """A guardrail in words."""
    sign = "+" if guard.not_worse_than > 0 else ""
    return f"{guard.words}: not worse than {sign}{_amount(guard, guard.not_worse_than)}"


def _amount(measure: Measure, value: float) -> str:
    """A difference in the measure's own unit."""
    unit = "pt" if measure.is_rate else "days" if measure.is_lower_better else "of margin"
    return f"{value * (100 if measure.is_rate else 1):g} {unit}".replace("-", "−")


def find_state(test: Study, end: datetime) -> str:
    """Return where a test stands: no protocol, concluded, not started, running or through."""
    if test.protocol is None:
        return "no protocol"
    if test.protocol.concluded and pd.Timestamp(test.protocol.concluded.day) < pd.Timestamp(end):
        return "concluded"
    if not len(test.lines):
        return PLANNED
    return "through" if test.shares[-1] >= FULL else "running"


def list_deviations(test: Study) -> list[str]:
    """Return what was done otherwise than agreed: logged by the team, or seen in the list."""
    protocol, said = test.protocol, []
    said += [f"{name_day(each.day)}: {each.what.rstrip('.')}." for each in protocol.deviations]
    first = test.lines["assigned_at"].min() if len(test.lines) else pd.NaT
    if pd.notna(first) and abs(first - pd.Timestamp(protocol.assigned_on)) > pd.Timedelta(days=_LATE_DAYS):
        said.append(f"Assigned from {name_day(first)} on; planned was {name_day(protocol.assigned_on)}.")
    return said


def decide(
    tests: Iterable[Study],
    compared: pd.DataFrame,
    guarded: pd.DataFrame,
    withheld: Mapping[str, str],
    accounts: pd.DataFrame,
    sources: Sources,
    end: datetime,
) -> pd.DataFrame:
    """Say for every arm what its protocol says to do: the table `experiment_decisions`.

    Between planned looks nothing is decided: continue. At one, ship: better beyond luck (adjusted p at most 5 %) and
    every guardrail holds. stop: the likely range ends below the smallest effect worth having, or a guardrail fails, or
    it is worse beyond luck, or better but with a gain that likely is a loss. continue: neither, and windows are open or
    accounts are left. cannot answer: neither, and nothing is left. withheld: a health check failed. not started: nobody
    is assigned.

    The gain is effect x what one more success has been worth - the cost of an account, per account worked; its range
    holds the errors of both. A sample test has none: its control is another candidate, not going on as usual.
    """
    rows = []
    for test in tests:
        own = compared[(compared["experiment_id"] == test.experiment_id) & (compared["role"] == "primary")]
        if test.protocol is None or not len(own):
            rows += _undecided(test, withheld, end)
            continue
        worths = [_find_worth(test, row.candidate, row.arm, accounts, sources, end) for row in own.itertuples()]
        ranked = _rank(test, own, worths)
        for row, worth, best in zip(own.to_dict("records"), worths, ranked, strict=True):
            guards = guarded[(guarded["experiment_id"] == test.experiment_id) & (guarded["arm"] == row["arm"])
                             & (guarded["candidate"] == row["candidate"])]  # fmt: skip
            decided = _decide_row(test, row, guards, withheld)
            rows.append(_pay(decided | worth | _gain(test.protocol, row, worth) | best))
    return pd.DataFrame(rows, columns=DECIDED)


def _pay(row: dict) -> dict:
    """Stop what is better and cannot pay: the whole likely range of its gain is a loss."""
    if row["decision"] == "ship" and row["gain_high"] < 0:
        return row | {"decision": "stop", "why": f"{row['why']}; but it costs more than it brings"}
    return row


def _undecided(test: Study, withheld: Mapping[str, str], end: datetime) -> list[dict]:
    """The row of a test without a comparison: concluded ones stand in the archive."""
    row = {"experiment_id": test.experiment_id, "n": len(test.frame), "guardrails": ""}
    if test.experiment_id in withheld:
        return [row | {"decision": WITHHELD, "why": withheld[test.experiment_id]}]
    if find_state(test, end) == "concluded":
        return []
    candidate = ", ".join(each.id for each in test.protocol.profiles)
    why = f"planned for {name_day(test.protocol.assigned_on)}; nobody is assigned yet."
    return [row | {"decision": PLANNED, "why": why, "candidate": candidate, "arm": ", ".join(test.protocol.treated)}]


def _decide_row(test: Study, row: dict, guards: pd.DataFrame, withheld: Mapping[str, str]) -> dict:
    taken, left, is_now = find_look(test.shares, test.protocol.looks)
    states = [f"{guard.outcome}: {guard.state}" for guard in guards.itertuples()]
    kept = {name: row[name] for name in ("experiment_id", "candidate", "arm", "control", "metric", "effect",
                                         "effect_low", "effect_high", "p_adjusted", "adjustment", "note")}  # fmt: skip
    look = f"{len(taken)} of {len(taken) + len(left)}" if taken else "none yet"
    kept |= {"look": look, "guardrails": "; ".join(states), "n": row["n_arm"] + row["n_control"]}
    if test.protocol.design == "sample":
        kept["note"] = f"{row['note']} {_NO_GAIN}".strip()
    if test.protocol.primary.is_ratio:
        kept["note"] = f"{kept['note']} {_AMONG}".strip()
    decision, why = _choose(test, row, list(guards["state"]), withheld, is_now, left)
    is_weak = test.protocol.primary.is_ratio or not test.protocol.is_dated
    return kept | {"decision": decision, "why": why, "verdict": judge_row(row, decision, is_weak)}


def _waits_for_guardrails(test: Study) -> bool:
    """Whether a guardrail's window is still open for some accounts."""
    slots = [slot for slot, each in enumerate(test.measured) if each.role == "guardrail" and not each.absent]
    return any(test.frame[f"m{slot}_is_mature"].mean() < FULL for slot in slots)


def _choose(
    test: Study, row: dict, guards: list[str], withheld: Mapping[str, str], is_now: bool, left: list[float]
) -> tuple[str, str]:
    """The decision table of the protocol, first rule that applies."""
    if test.experiment_id in withheld:
        return WITHHELD, withheld[test.experiment_id]
    protocol, sign = test.protocol, -1.0 if row["is_lower_better"] else 1.0
    high = max(sign * row["effect_low"], sign * row["effect_high"])
    is_beyond_luck = row["p_adjusted"] <= stats.MAX_P
    is_open = test.shares[-1] < FULL
    if np.isnan(row["effect"]):
        return ("continue", "no window is over yet") if is_open else ("cannot answer", row["note"].rstrip("."))
    if not is_now and not left:
        return "continue", "the last planned look was taken; accounts that came later need a protocol of their own"
    if not is_now:
        return "continue", "no planned look is due; this one is extra"
    if "fails" in guards:
        return "stop", "what must not get worse did"
    if is_beyond_luck and sign * row["effect"] < 0:
        return "stop", "worse beyond luck"
    if high < protocol.smallest_worth:
        least = _amount(protocol.primary, protocol.smallest_worth)
        return "stop", f"the likely range ends below {least}, the smallest difference worth having"
    if is_beyond_luck and all(state == "holds" for state in guards):
        return "ship", "better beyond luck" + (", and what must not get worse held" if guards else "")
    if is_beyond_luck and _waits_for_guardrails(test):
        return "continue", "better beyond luck; what must not get worse is not known yet"
    why = "neither better beyond luck nor ruled out"
    why = "better beyond luck, but whether something else got worse cannot be told" if is_beyond_luck else why
    return ("continue", f"{why}; accounts are left") if is_open else ("cannot answer", f"{why}; no account is left")


def judge_row(row: Mapping, decision: str, is_weak: bool = False) -> str:
    """Return the word for how sure we are of one effect, from `stats.verdict`.

    A test whose protocol came before its first account is its own kept-aside data: nothing was searched in it. One
    chance of luck has to serve both checks of the vocabulary, so the first is passed at 5 %, and the second by what is
    left of it: given that p is at most 5 %, p / 5 % is again a fair p-value. So confirmed needs 0.25 % one-sided, as
    rare under luck as a segment that is found and holds. `is_weak`: at most promising, because nothing says when the
    protocol was written, or because only accounts with a deal are counted.
    """
    if decision == WITHHELD:
        return ""
    sign, p_two, usual = -1.0 if row["is_lower_better"] else 1.0, row["p_adjusted"], abs(row["value_control"])
    p_better = p_two / 2 if sign * row["effect"] > 0 else 1 - p_two / 2
    ratio = 1.0 + sign * row["effect"] / usual if usual > 0 else 1.0 + sign * row["effect"]
    return stats.verdict(
        row["n_arm"] + row["n_control"], row["n_events"], np.nan if np.isnan(row["effect"]) else np.inf,
        min(1.0, p_better / stats.MAX_P), holdout_lift=ratio, holdout_p_adjusted=p_better,
        holdout_p_opposite=1 - p_better, holdout_expected_won=row["n_events"], capped_at_promising=is_weak,
    )  # fmt: skip


def _find_worth(test: Study, candidate: str, arm: str, accounts, sources: Sources, end: datetime) -> dict:
    """What one more success of the primary measure has been worth among accounts of the profile outside the test."""
    primary, name = test.protocol.primary, arm if test.group == "candidate" else candidate
    if test.protocol.design == "sample":  # its control is another candidate, not going on as usual
        return {"worth": np.nan, "worth_se": np.nan, "n_successes": np.nan}
    if primary.metric == "margin_per_account":
        return {"worth": 1.0, "worth_se": 0.0, "n_successes": np.nan}
    if not primary.is_rate:
        return {"worth": np.nan, "worth_se": np.nan, "n_successes": np.nan}
    conditions = next((each.conditions for each in test.protocol.profiles if each.id == name), [])
    rules = [each.model_dump() for each in conditions]
    inside = Segment.of(*rules).mask(accounts) if rules else np.ones(len(accounts), bool)
    members = set(accounts.loc[inside, "account_id"]) - set(test.lines["account_id"])
    return outcomes.estimate_success(outcomes.build_events(primary, sources), list(members), sources, end)


def _gain(protocol: Protocol, row: Mapping, worth: Mapping) -> dict:
    """Effect x worth - cost per account worked, with the errors of both; the effect at which it pays for itself."""
    value, cost = worth["worth"], protocol.cost_per_account
    middle = row["effect"] * value - cost
    half = np.hypot((row["effect_high"] - row["effect_low"]) / 2 * value, _Z * worth["worth_se"] * row["effect"])
    pays = cost / value if value and value > 0 else np.nan
    return {"gain": middle, "gain_low": middle - half, "gain_high": middle + half, "break_even": pays}


def _rank(test: Study, own: pd.DataFrame, worths: list[dict]) -> list[dict]:
    """P(best) and expected regret of every arm under the protocol's prior, going on as usual among the choices."""
    worth = np.array([each["worth"] for each in worths], float)
    if own["effect"].isna().any() or not np.isfinite(worth).all():
        return [{"p_best": np.nan, "expected_regret": np.nan}] * len(own)
    table = trials.rank_arms(
        own.reset_index(drop=True), test.protocol.mde, worth=worth, cost=test.protocol.cost_per_account
    )
    return table.head(len(own))[["p_best", "expected_regret"]].to_dict("records")



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
