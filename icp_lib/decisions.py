"""What the protocol of a test says to do about its result: ship, stop, continue, or that it cannot answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import numpy as np
import pandas as pd

from icp_lib import outcomes, stats, trials
from icp_lib.experiment_effects import find_look
from icp_lib.outcomes import Sources
from icp_lib.protocols import Measure, Protocol, name_day
from icp_lib.rules import Segment
from icp_lib.studies import FULL, Study

DECIDED = [
    "experiment_id", "candidate", "arm", "control", "decision", "why", "as_agreed", "look", "metric", "effect",
    "effect_low", "effect_high", "p_adjusted", "adjustment", "guardrails", "worth", "n_successes", "break_even", "gain",
    "gain_low", "gain_high", "p_best", "expected_regret", "n", "verdict", "note",
]  # fmt: skip
WITHHELD, PLANNED = "withheld", "not started"
_Z = 1.959963985
_NO_GAIN = "No gain: every candidate got the same treatment, so what it brings over going on as usual is not known."
_AMONG = "Only accounts with a deal are counted; the groups may also differ in who has one."


def find_state(test: Study, end: datetime) -> str:
    """Return where a test stands: no protocol, concluded, not started, running or through."""
    if test.protocol is None:
        return "no protocol"
    if test.protocol.concluded and pd.Timestamp(test.protocol.concluded.day) < pd.Timestamp(end):
        return "concluded"
    if not len(test.lines):
        return PLANNED
    return "through" if test.shares[-1] >= FULL else "running"


def say_amount(measure: Measure, value: float) -> str:
    """A difference in the measure's own unit."""
    unit = "pt" if measure.is_rate else "days" if measure.is_lower_better else "of margin"
    return f"{value * (100 if measure.is_rate else 1):g} {unit}".replace("-", "−")


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
    kept["as_agreed"] = test.protocol.decision.get(decision, "")
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
        least = say_amount(protocol.primary, protocol.smallest_worth)
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
