"""Notebook 06: what the ICP tests show, and what the protocol says to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import numpy as np
import pandas as pd

from icp_lib import looks, outcomes, stats, studies, trials
from icp_lib.outcomes import Sources
from icp_lib.protocols import Protocol
from icp_lib.rules import Segment
from icp_lib.studies import Measured, Study

RESULTS = [
    "experiment_id", "candidate", "metric", "role", "arm", "control", "n_arm", "n_control", "value_arm",
    "value_control", "effect", "effect_low", "effect_high", "effect_relative", "effect_relative_low",
    "effect_relative_high", "p_value", "p_adjusted", "adjustment", "note",
]  # fmt: skip
_SAYS = ["effect", "effect_low", "effect_high", "effect_relative", "effect_relative_low", "effect_relative_high",
         "p_value", "p_adjusted"]  # fmt: skip
PROTOCOL = [
    "experiment_id", "state", "design", "candidate", "question", "primary", "arms", "control", "written_on",
    "assigned_on", "n_assigned", "mde", "smallest_worth", "looks", "guardrails", "cost_per_account", "hash",
    "deviations", "why",
]  # fmt: skip
DECIDED = [
    "experiment_id", "candidate", "arm", "control", "decision", "why", "look", "metric", "effect", "effect_low",
    "effect_high", "p_adjusted", "adjustment", "guardrails", "worth", "n_successes", "break_even", "gain", "gain_low",
    "gain_high", "p_best", "expected_regret", "n", "verdict", "note",
]  # fmt: skip
WITHHELD, TOO_EARLY, PLANNED = "withheld", "continue", "not started"
_Z, _FULL, _LATE_DAYS = 1.959963985, 0.999, 7


def build_protocols(tests: Iterable[Study], end: datetime) -> pd.DataFrame:
    """Return the protocol of every test and where it stands: the table `experiment_protocol`.

    state is no protocol, concluded, not started, running or through; `deviations` are those that the team logged, and
    those that the list shows.
    """
    rows = []
    for test in tests:
        row = {"experiment_id": test.experiment_id, "n_assigned": len(test.lines), "deviations": test.problem}
        rows.append(row | {"state": "no protocol"} | (_describe(test, end) if test.protocol else {}))
    return pd.DataFrame(rows, columns=PROTOCOL)


def _describe(test: Study, end: datetime) -> dict:
    protocol = test.protocol
    guards = [f"{each.words} not worse than {each.not_worse_than:+g}" for each in protocol.guardrails]
    return {
        "state": find_state(test, end), "design": protocol.design, "question": protocol.question, "why": protocol.why,
        "candidate": ", ".join(each.id for each in protocol.profiles), "arms": ", ".join(protocol.arms),
        "control": protocol.control, "primary": protocol.primary.words, "mde": protocol.mde,
        "written_on": protocol.written_on, "assigned_on": protocol.assigned_on,
        "smallest_worth": protocol.smallest_worth, "looks": ", ".join(f"{look:.0%}" for look in protocol.looks),
        "guardrails": "; ".join(guards), "cost_per_account": protocol.cost_per_account, "hash": protocol.hash,
        "deviations": " ".join(list_deviations(test)),
    }  # fmt: skip


def find_state(test: Study, end: datetime) -> str:
    """Return where a test stands: no protocol, concluded, not started, running or through."""
    if test.protocol is None:
        return "no protocol"
    if test.protocol.concluded and pd.Timestamp(test.protocol.concluded.day) < pd.Timestamp(end):
        return "concluded"
    if not len(test.lines):
        return PLANNED
    return "through" if test.shares[-1] >= _FULL else "running"


def list_deviations(test: Study) -> list[str]:
    """Return what was done otherwise than agreed: logged by the team, or seen in the list."""
    protocol, said = test.protocol, []
    said += [f"{each.day:%d %b %Y}: {each.what.rstrip('.')}." for each in protocol.deviations]
    first = test.lines["assigned_at"].min() if len(test.lines) else pd.NaT
    if pd.notna(first) and abs(first - pd.Timestamp(protocol.assigned_on)) > pd.Timedelta(days=_LATE_DAYS):
        said.append(f"Assigned from {first:%d %b %Y} on; planned was {protocol.assigned_on:%d %b %Y}.")
    return said


def find_look(shares: list[float], planned: list[float]) -> tuple[list[float], list[float], bool]:
    """Return the looks taken (as shares that they had), those to come, and whether now is one of them.

    A look is taken at the first quarter's end at which its share of the accounts is through; one that jumps over
    several takes them as one. Reading the same accounts again later is the same look.

    Examples
    --------
    >>> find_look([0.0, 0.6, 1.0], [0.5, 1.0])
    ([0.6, 1.0], [], True)
    >>> find_look([0.0, 0.3], [0.5, 1.0])
    ([], [0.5, 1.0], False)
    """
    taken, left, most = [], list(planned), 0.0
    for share in shares:
        due = [look for look in left if look < share + looks.LEAST_APART]
        if due and share > most:
            taken, left = [*taken, min(1.0, share)], [look for look in left if look not in due]
        most = max(most, share)
    return taken, left, bool(taken) and most - taken[-1] < looks.LEAST_APART


def compare_tests(tests: Iterable[Study], withheld: Mapping[str, str]) -> pd.DataFrame:
    """Compare what each test compares, on every measure of its protocol, at the look that is due.

    Parameters
    ----------
    tests : iterable of Study
    withheld : mapping
        Tests with a failed check -> why: their values by arm stay, effects and p-values are left out.

    Returns
    -------
    DataFrame
        RESULTS, and what later functions need: outcome (words), se, df, se_control, method, is_lower_better, is_look (a planned
        one), n_events (accounts with something).
    """
    frames = []
    for test in tests:
        parts = [_compare_group(test, name, part) for name, part in studies.list_groups(test)]
        parts = [part for part in parts if len(part)]
        if not parts:
            continue
        found = trials.adjust_arms(pd.concat(parts, ignore_index=True))
        if test.experiment_id in withheld:
            found[_SAYS], found["adjustment"] = np.nan, ""
            found["note"] = f"Result withheld. {withheld[test.experiment_id]}"
        frames.append(found)
    extra = ["outcome", "se", "df", "se_control", "method", "is_lower_better", "is_look", "n_events"]
    table = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=[*RESULTS, *extra])
    return table[[*RESULTS, *extra]]


def _compare_group(test: Study, candidate: str, part: pd.DataFrame) -> pd.DataFrame:
    """Every measure of one candidate's arms (or of the candidates), adjusted for looks."""
    control = test.protocol.control
    if control not in set(part["group"]) or part["group"].nunique() < 2 or part["account_id"].duplicated().any():
        return pd.DataFrame()
    covariates = [name for name in test.covariates if part[name].std() > 0]
    options = {"control": control, "arm": "group", "covariates": covariates, "family": "family_id"}
    measures = [each.columns for each in test.measured]
    found = trials.compare_arms(part, measures, draws=studies.draw_again(test, part), **options)
    frames = [_adjust(test, each, rows) for each, rows in zip(test.measured, _split(found, test.measured), strict=True)]
    found = pd.concat(frames, ignore_index=True).assign(experiment_id=test.experiment_id, candidate=candidate)
    top = {(each.role, each.measure.id): part[each.columns.numerator] > 0 for each in test.measured}
    inside = [part["group"].isin([row.arm, control]) & top[row.role, row.metric] for row in found.itertuples()]
    return found.assign(n_events=[int(each.sum()) for each in inside])


def _split(found: pd.DataFrame, measured: list[Measured]) -> list[pd.DataFrame]:
    """The rows of each measure; two measures of one id (a guardrail may repeat one) are told apart by their role."""
    return [found[(found["metric"] == each.measure.id) & (found["role"] == each.role)] for each in measured]


def _adjust(test: Study, measured: Measured, rows: pd.DataFrame) -> pd.DataFrame:
    """Adjust the rows of one measure for the looks taken, or say why there is nothing to read."""
    name, slot = measured.measure.id, test.measured.index(measured)
    rows = rows.assign(outcome=measured.measure.words, is_lower_better=measured.measure.is_lower_better, is_look=True)
    if measured.absent:
        nothing = [*_SAYS, "value_arm", "value_control"]
        return rows.assign(note=f"{measured.absent}.", **dict.fromkeys(nothing, np.nan))
    share = float(test.frame[f"m{slot}_is_mature"].mean())
    if measured.role == "primary" or test.protocol.primary.id == name:
        taken, left, is_now = find_look(test.shares, test.protocol.looks)
        if is_now:
            return looks.adjust_look(rows, [*taken, *left], len(taken))
    elif share >= _FULL:
        return looks.adjust_look(rows, [1.0], 1)
    if share == 0 or rows["se"].isna().all():
        return rows.assign(is_look=False)
    mde = test.protocol.mde if measured.measure.is_rate else 2.8 * float(rows["se"].median()) * np.sqrt(share)
    return looks.always_valid(rows, mde).assign(is_look=False)


def check_guardrails(tests: Iterable[Study], compared: pd.DataFrame) -> pd.DataFrame:
    """Return every guardrail of every arm: holds, fails, or cannot tell (non-inferiority, one-sided 97.5 %).

    experiment_id, candidate, arm, outcome, metric, effect, effect_low, effect_high (one at a time), not_worse_than,
    state, note.
    """
    frames = []
    for test in tests:
        rows = compared[(compared["experiment_id"] == test.experiment_id) & (compared["role"] == "guardrail")]
        if test.protocol is None or not len(rows):
            continue
        guards = test.protocol.guardrails
        lower = [each.id for each in guards if each.is_lower_better]
        margins = {each.id: each.not_worse_than for each in guards}
        judged = trials.check_guardrails(rows.reset_index(drop=True), margins, lower_is_better=lower)
        state = np.select([judged["passes"], judged["is_worse"]], ["holds", "fails"], "cannot tell")
        rows = rows.reset_index(drop=True)
        half = _Z * rows["se"]
        named = rows[["experiment_id", "candidate", "arm", "control", "outcome", "metric", "effect", "note"]]
        state = np.where(rows["effect"].isna(), "not judged", state)
        ends = {"effect_low": rows["effect"] - half, "effect_high": rows["effect"] + half}
        frames.append(named.assign(**ends, not_worse_than=judged["not_worse_than"], state=state))
    columns = ["experiment_id", "candidate", "arm", "control", "outcome", "metric", "effect", "effect_low",
               "effect_high", "not_worse_than", "state", "note"]  # fmt: skip
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


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

    ship: better beyond luck (adjusted p at most 5 %) and every guardrail holds. stop: the likely range ends below the
    smallest effect worth having, or a guardrail fails, or it is worse beyond luck. continue: neither, and windows are
    open, accounts are left, or no planned look is due. cannot answer: neither, and nothing is left. withheld: a health
    check failed. not started: nobody is assigned.

    The gain is effect x what one more success has been worth - the cost of an account, per account worked; its range
    holds the errors of both.
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
            rows.append(_decide_row(test, row, guards, withheld) | worth | _gain(test.protocol, row, worth) | best)
    return pd.DataFrame(rows, columns=DECIDED)


def _undecided(test: Study, withheld: Mapping[str, str], end: datetime) -> list[dict]:
    """The row of a test without a comparison: concluded ones stand in the archive."""
    row = {"experiment_id": test.experiment_id, "n": len(test.frame), "guardrails": ""}
    if test.experiment_id in withheld:
        return [row | {"decision": WITHHELD, "why": withheld[test.experiment_id]}]
    if find_state(test, end) == "concluded":
        return []
    candidate = ", ".join(each.id for each in test.protocol.profiles)
    why = f"planned for {test.protocol.assigned_on:%d %b %Y}; nobody is assigned yet."
    return [row | {"decision": PLANNED, "why": why, "candidate": candidate, "arm": ", ".join(test.protocol.treated)}]


def _decide_row(test: Study, row: dict, guards: pd.DataFrame, withheld: Mapping[str, str]) -> dict:
    taken, left, is_now = find_look(test.shares, test.protocol.looks)
    states = [f"{guard.outcome}: {guard.state}" for guard in guards.itertuples()]
    kept = {name: row[name] for name in ("experiment_id", "candidate", "arm", "control", "metric", "effect",
                                         "effect_low", "effect_high", "p_adjusted", "adjustment", "note")}  # fmt: skip
    look = f"{len(taken)} of {len(taken) + len(left)}" if taken else "none yet"
    kept |= {"look": look, "guardrails": "; ".join(states), "n": row["n_arm"] + row["n_control"]}
    decision, why = _choose(test, row, list(guards["state"]), withheld, is_now)
    return kept | {"decision": decision, "why": why, "verdict": judge_row(row, decision)}


def _choose(test: Study, row: dict, guards: list[str], withheld: Mapping[str, str], is_now: bool) -> tuple[str, str]:
    """The decision table of the protocol, first rule that applies."""
    if test.experiment_id in withheld:
        return WITHHELD, withheld[test.experiment_id]
    protocol, sign = test.protocol, -1.0 if row["is_lower_better"] else 1.0
    low, high = sorted((sign * row["effect_low"], sign * row["effect_high"]))
    is_beyond_luck = row["p_adjusted"] <= stats.MAX_P
    is_open = test.shares[-1] < _FULL
    if np.isnan(row["effect"]):
        return ("continue", "no window is over yet") if is_open else ("cannot answer", row["note"].rstrip("."))
    if "fails" in guards:
        return "stop", "a guardrail fails"
    if is_beyond_luck and sign * row["effect"] < 0:
        return "stop", "worse beyond luck"
    if high < protocol.smallest_worth:
        return "stop", "the likely range ends below the smallest effect worth having"
    if not is_now:
        return "continue", "no planned look is due; this one is extra"
    if is_beyond_luck and all(state == "holds" for state in guards):
        return "ship", "better beyond luck" + (", and every guardrail holds" if guards else "")
    why = "better beyond luck, but a guardrail cannot tell" if is_beyond_luck else "neither better beyond luck nor ruled out"
    return ("continue", f"{why}, and accounts are left") if is_open else ("cannot answer", f"{why}, and no account is left")


def judge_row(row: Mapping, decision: str) -> str:
    """Return the word for how sure we are of one effect, from `stats.verdict`.

    A test whose protocol came before its first account is its own kept-aside data: nothing was searched in it. One
    chance of luck has to serve both checks of the vocabulary, so the first is passed at 5 %, and the second by what is
    left of it: given that p is at most 5 %, p / 5 % is again a fair p-value. So confirmed needs 0.25 % one-sided, as
    rare under luck as a segment that is found and holds.
    """
    if decision == WITHHELD:
        return ""
    sign, p_two, usual = -1.0 if row["is_lower_better"] else 1.0, row["p_adjusted"], abs(row["value_control"])
    p_better = p_two / 2 if sign * row["effect"] > 0 else 1 - p_two / 2
    ratio = 1.0 + sign * row["effect"] / usual if usual > 0 else 1.0 + sign * row["effect"]
    return stats.verdict(
        row["n_arm"] + row["n_control"], row["n_events"], np.nan if np.isnan(row["effect"]) else np.inf,
        min(1.0, p_better / stats.MAX_P), holdout_lift=ratio, holdout_p_adjusted=p_better,
        holdout_p_opposite=1 - p_better, holdout_expected_won=row["n_events"],
    )  # fmt: skip


def _find_worth(test: Study, candidate: str, arm: str, accounts, sources: Sources, end: datetime) -> dict:
    """What one more success of the primary measure has been worth among accounts of the profile outside the test."""
    primary, name = test.protocol.primary, arm if test.group == "candidate" else candidate
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


def compare_within(tests: Iterable[Study], withheld: Mapping[str, str], traits: Mapping[str, dict]) -> pd.DataFrame:
    """Search for kinds of accounts in which an arm does better or worse than in the others, adjusted for the search."""
    from icp_lib import heterogeneity
    from icp_lib.rules import build_levels

    frames = []
    for test in tests:
        if test.group == "candidate" or test.experiment_id in withheld or test.protocol is None:
            continue
        for candidate, part in studies.list_groups(test):
            over = part[part["m0_is_mature"].astype(bool)].reset_index(drop=True)
            masks = _build_masks(over, build_levels(over, dict(traits)) if len(over) else [])
            if masks.shape[1] and test.protocol.control in set(over["arm"]) and over["arm"].nunique() > 1:
                found = heterogeneity.search_effects(
                    over, test.measured[0].columns, masks, control=test.protocol.control, mde=test.protocol.mde
                )
                frames.append(found.assign(experiment_id=test.experiment_id, candidate=candidate,
                                           metric=test.protocol.primary.id))  # fmt: skip
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _build_masks(part: pd.DataFrame, levels: list) -> pd.DataFrame:
    """Levels with at least 20 accounts of every arm, inside and outside; of two that are the same, one."""
    masks: dict[str, np.ndarray] = {}
    for _, _, segment in levels:
        mask = segment.mask(part)
        sizes = [part.loc[side, "arm"].value_counts().reindex(part["arm"].unique(), fill_value=0).min()
                 for side in (mask, ~mask)]  # fmt: skip
        if min(sizes) >= 20 and not any((mask == other).all() or (mask == ~other).all() for other in masks.values()):
            masks[segment.name] = mask
    return pd.DataFrame(masks, index=part.index)
