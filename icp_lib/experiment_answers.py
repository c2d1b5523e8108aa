"""What page 06 says of its tests: sentences by decision, facts, and the columns that a reader compares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from icp_lib.decisions import say_amount
from icp_lib.experiment_design import count_groups
from icp_lib.formats import format_value
from icp_lib.protocols import DECISION_WORDS, Protocol, Protocols, name_words
from icp_lib.sentences import fill
from icp_lib.stats import MAX_P
from icp_lib.studies import Study

NOTHING = "No test has a result yet."
SENTENCES = {
    "ship": "**{experiment}: use it.** {outcome}: {value_arm} against {value_control}, a difference of {effect} "
    "({interval:effect}); {why}.",
    "stop": "**{experiment}: stop.** {outcome}: {value_arm} against {value_control}, a difference of {effect} "
    "({interval:effect}); {why}.",
    "continue": "**{experiment}: go on.** {progress_rate} of the accounts have finished; {why}.",
    "cannot answer": "**{experiment}: cannot tell.** {outcome}: {value_arm} against {value_control}, a "
    "difference of {effect} ({interval:effect}); {why}.",
    "withheld": "**{experiment}: withheld.** A check of the test failed, so there is no verdict.",
    "not started": "{experiment}: {why}",
}
FACTS = {
    "Tests": "{n_tests} with a protocol or a list",
    "Accounts": "{n_accounts} assigned",
    "With a decision": "{n_decided}",
    "Withheld": "{n_withheld}",
}
HEALTH = "{n_passed} of {n_checks} checks passed, {n_noted} are noted, {n_failed} failed."
WORTH = {
    "known": "one more success has brought {worth} of first-year margin in the year after it, over {n_successes} "
    "accounts outside the test. So it pays for itself from {break_even} more on.",
    "margin": "its outcome is margin itself. It pays for itself from {break_even} more on.",
    "not known": "what a success is worth is not known.",
}
MORE = " The protocol asks for more than that: at least {smallest_worth}."
ASSUMED = "That a success that we cause is worth as much as one that came by itself is an assumption."
_ROLES = {"primary": "Main outcome", "secondary": "Also looked at", "guardrail": "Must not get worse"}
_ADJUSTED = {
    "fixed horizon": "decided at one look", "; one comparison": "", ", O'Brien-Fleming spending": "",
    "always valid (a look that was not planned)": "a look that was not planned, and counted as such",
    "Holm over": "counted for",
}  # fmt: skip
_STATES = {"through": "finished"}
_LIMITS = {
    "ship": "something that must not get worse gets worse, or the deals that follow do not come: see the longer "
    "windows",
    "stop": "a new protocol with a reason to expect a larger effect",
    "continue": "the next planned look",
    "cannot answer": "more accounts, or an outcome that more accounts reach",
    "withheld": "the failed check is mended at its source",
    "not started": "nothing is known yet; the protocol says what would decide",
}


def list_needs(protocols: Protocols, assignments: pd.DataFrame) -> tuple[str, ...]:
    """Return what is missing for a result: protocols, an assignment list, or both."""
    has_protocol = bool(protocols.by_id or protocols.problems)
    has = {"assignments": len(assignments) > 0, "experiments.yml": has_protocol}
    return tuple(name for name in has if not has[name])


def name_tests(frame: pd.DataFrame) -> pd.Series:
    """Return a reader's name of every row: the arm, and the candidate where there is one."""
    words = {column: frame[column].fillna("").astype(str).map(name_words) for column in
             ("experiment_id", "arm", "candidate")}  # fmt: skip
    arm, candidate = words["arm"], words["candidate"]
    name = arm.str[:1].str.upper() + arm.str[1:] + np.where(candidate.ne("") & arm.ne(""), " for ", "") + candidate
    return name.where(arm.ne(""), words["experiment_id"].str.capitalize())


def pick_answers(
    decisions: pd.DataFrame, compared: pd.DataFrame, tests: Iterable[Study], design: pd.DataFrame
) -> pd.DataFrame:
    """Return the rows of the answer, those that say what to do first; a test that as planned cannot answer says so."""
    if not len(decisions):
        return decisions
    keys = ["experiment_id", "candidate", "arm"]
    values = compared[compared["role"] == "primary"][[*keys, "outcome", "value_arm", "value_control"]]
    tests = list(tests)
    shares = {test.experiment_id: min(1.0, test.shares[-1]) for test in tests}
    table = _join(decisions, values, keys).assign(experiment=name_tests(decisions).to_numpy())
    table["progress_rate"] = table["experiment_id"].map(shares)
    table["why"] += _say_small(table, tests)
    table["why"] += _say_other_way(table, compared)
    unable = _say_unable_tests(tests, design)
    is_planned = table["decision"].eq("not started")
    table["why"] += [unable.get(each, "") for each in table["experiment_id"].where(is_planned, "")]
    order = table["decision"].map({each: i for i, each in enumerate(SENTENCES)})
    return table.assign(_order=order).sort_values("_order", kind="stable").drop(columns="_order")


def say_unable(row: Mapping, protocol: Protocol) -> str:
    """Return why a test of `build_design` cannot answer, without a full stop; nothing where it can.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> row = {"is_able": False, "metric": "win_rate_90d", "n_per_group": 120, "detectable": 0.15, "mde": 0.14}
    >>> two_arms = SimpleNamespace(design="uplift", arms=["letter", "as_usual"])
    >>> say_unable(row | {"n_needed": 274}, two_arms)
    '120 in each group see 15 pt, 14 pt was agreed, which needs 137'
    """
    if row["is_able"]:
        return ""
    if pd.isna(row["detectable"]) or row["detectable"] <= row["mde"]:
        return str(row["note"]).strip().rstrip(".?")
    seen, agreed = (format_value(row[each], each, metric=row["metric"]) for each in ("detectable", "mde"))
    seen = "only a little more than agreed" if seen == agreed else seen
    needed = -(-int(row["n_needed"]) // count_groups(protocol))
    return f"{row['n_per_group']:,} in each group see {seen}, {agreed} was agreed, which needs {needed:,}"


def _say_unable_tests(tests: Iterable[Study], design: pd.DataFrame) -> dict[str, str]:
    """Return, for every test that as planned cannot answer, the sentence that says so."""
    protocols, said = {test.experiment_id: test.protocol for test in tests}, {}
    for row in design[~design["is_able"].astype(bool)].to_dict("records"):
        said.setdefault(row["experiment_id"], []).append(say_unable(row, protocols[row["experiment_id"]]))
    return {name: f" As planned it cannot answer: {'; '.join(dict.fromkeys(each))}." for name, each in said.items()}


def _say_small(decisions: pd.DataFrame, tests: Iterable[Study]) -> list[str]:
    """Return, for every arm to use whose gain may be smaller than is worth having, the words that say so."""
    protocols, said = {test.experiment_id: test.protocol for test in tests}, []
    for row in decisions.to_dict("records"):
        protocol = protocols[row["experiment_id"]]
        if row["decision"] != "ship":
            said.append("")
            continue
        least = -row["effect_high"] if protocol.primary.is_lower_better else row["effect_low"]
        amount = say_amount(protocol.primary, protocol.smallest_worth)
        is_small = least < protocol.smallest_worth
        said.append(f". Less than {amount}, the least worth having, is possible too" if is_small else "")
    return said


def _say_other_way(decisions: pd.DataFrame, compared: pd.DataFrame) -> list[str]:
    """Return, for every decision, the outcomes beside the main one that point the other way beyond luck, in words."""
    beside = compared[compared["role"].ne("primary") & compared["p_adjusted"].le(MAX_P)]
    towards = {"ship": 1.0, "stop": -1.0}
    said = []
    for row in decisions.to_dict("records"):
        keys = ["experiment_id", "candidate", "arm"]
        own = beside[(beside[keys] == pd.Series(row)[keys]).all(axis=1)].drop_duplicates("outcome")
        signs = np.sign(own["effect"].astype(float)) * np.where(own["is_lower_better"].astype(bool), -1.0, 1.0)
        other = own[signs == -towards.get(row["decision"], np.nan)].to_dict("records")
        found = "; ".join(_say_outcome(each) for each in other)
        said.append(f". But {found}" if found else "")
    return said


def _say_outcome(row: dict) -> str:
    arm, usual = (format_value(row[each], each, metric=row["metric"]) for each in ("value_arm", "value_control"))
    luck = format_value(row["p_adjusted"], "p_adjusted")
    name = row["outcome"][0].lower() + row["outcome"][1:]
    return f"{name}: {arm} against {usual} (chance of luck {luck}, not what the test was planned for)"


def list_luck(answers: pd.DataFrame, protocols: pd.DataFrame) -> tuple[str, ...]:
    """Return, for every arm with a result, the chance of luck and what was agreed beforehand: templates of `aside`."""
    if not len(answers) or answers["effect"].isna().all():
        return (NOTHING,)
    agreed = protocols.set_index("experiment_id")
    said = []
    for row in answers[answers["effect"].notna()].to_dict("records"):
        rules = agreed.loc[row["experiment_id"]]
        mde, least = (format_value(rules[each], each, metric=row["metric"]) for each in ("mde", "smallest_worth"))
        luck, how = format_value(row["p_adjusted"], "p_adjusted"), _say_adjustment(row["adjustment"])
        said.append(
            f"**{row['experiment']}**: chance of luck **{luck}** ({how}). Planned to see a difference of {mde}; less "
            f"than {least} is not worth having."
        )
    return tuple(each.replace("{", "{{").replace("}", "}}") for each in said)


def list_worth(answers: pd.DataFrame, protocols: pd.DataFrame) -> tuple[str, ...]:
    """Return what a success is worth in every test with a result, a paragraph each: templates of `aside`, filled."""
    known = answers[answers["effect"].notna()] if len(answers) else answers
    if not len(known):
        return (NOTHING,)
    agreed = protocols.set_index("experiment_id")["smallest_worth"]
    said = []
    for row in known.assign(smallest_worth=known["experiment_id"].map(agreed)).to_dict("records"):
        kind = "not known" if pd.isna(row["worth"]) else "margin" if pd.isna(row["n_successes"]) else "known"
        template = WORTH[kind] + (MORE if row["smallest_worth"] > row["break_even"] else "")
        said.append(f"**{row['experiment']}**: {fill(row, template)}")
    if (known["worth"].notna() & known["n_successes"].notna()).any():
        said.append(ASSUMED)
    return tuple(each.replace("{", "{{").replace("}", "}}") for each in said)


def _say_adjustment(adjustment: str) -> str:
    """How the chance of luck was made, in words."""
    for term, plain in _ADJUSTED.items():
        adjustment = adjustment.replace(term, plain)
    return adjustment


def pick_kind(answers: pd.DataFrame, *decisions: str) -> pd.DataFrame:
    """Return the rows of these decisions."""
    return answers[answers["decision"].isin(decisions)].reset_index(drop=True)


def describe_page(tests: Iterable[Study], decisions: pd.DataFrame) -> pd.DataFrame:
    """Return the one row of the page's facts: n_tests, n_accounts, n_decided, n_withheld."""
    tests = list(tests)
    counts = decisions["decision"].value_counts()
    decided = sum(int(counts.get(word, 0)) for word in ("ship", "stop", "cannot answer"))
    row = {"n_tests": len(tests), "n_accounts": sum(len(test.lines) for test in tests), "n_decided": decided}
    return pd.DataFrame([row | {"n_withheld": int(counts.get("withheld", 0))}])


def pick_health(health: pd.DataFrame) -> pd.DataFrame:
    """Return the checks that a reader must see first: failed, noted, not made; then those that passed."""
    place = {"failed": 0, "noted": 1, "not made yet": 2, "passed": 3}
    order = health.assign(_place=health["state"].map(place)).sort_values("_place", kind="stable", ignore_index=True)
    note = order["test"] + np.where(order["todo"].ne(""), ". ", "") + order["todo"]
    return order[["check", "state", "found"]].assign(note=note)


def summarise_health(health: pd.DataFrame) -> pd.DataFrame:
    """Return one row: how many checks passed, failed, were noted; no row where none was made."""
    counts = health["state"].value_counts()
    row = {f"n_{word}": int(counts.get(word, 0)) for word in ("passed", "failed", "noted")}
    return pd.DataFrame([row | {"n_checks": len(health)}]).head(len(health))


def pick_results(compared: pd.DataFrame) -> pd.DataFrame:
    """Return every comparison of every test; the note names its role, both values and how its luck was counted."""
    table = compared.assign(experiment=name_tests(compared) if len(compared) else [])
    said = table["adjustment"].map(_say_adjustment, na_action="ignore")
    said = said.where(table["effect"].notna(), _shorten(table["note"]))
    said = said.fillna("").map(lambda each: each[:1].lower() + each[1:])
    shares = [": " + " against ".join(format_value(row[each], each, metric=row["metric"])
                                      for each in ("value_arm", "value_control")) if pd.notna(row["effect"]) else ""
              for row in table.to_dict("records")]  # fmt: skip
    shares = pd.Series(shares, table.index, dtype=object)
    note = table["role"].map(_ROLES).astype(object) + shares + "; " + said.astype(object)
    table = table.assign(note=note, n_compared=table["n_arm"] + table["n_control"])
    table["outcome"] = table["experiment"].astype(object) + ": " + table["outcome"].astype(object)
    columns = ["outcome", "metric", "effect", "effect_low", "effect_high", "p_adjusted", "n_compared", "note"]
    return table[columns].assign(comparison=0.0, compared_with="no difference")


def _shorten(notes: pd.Series) -> pd.Series:
    """Notes of rows; why a result is withheld stands once, in the banner."""
    return notes.map(lambda note: "Result withheld." if str(note).startswith("Result withheld") else note)


def pick_effects(decisions: pd.DataFrame, compared: pd.DataFrame) -> pd.DataFrame:
    """Return the primary effect of every arm that has one, for the figure."""
    keys = ["experiment_id", "candidate", "arm"]
    values = compared[compared["role"] == "primary"][[*keys, "outcome", "value_arm", "value_control"]]
    table = _join(decisions[decisions["effect"].notna()], values, keys)
    return table.assign(experiment=name_tests(table) if len(table) else []).sort_values(
        "effect", ascending=False, kind="stable", ignore_index=True
    )


def _join(table: pd.DataFrame, values: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Join on names; without any name a column would be one of numbers, which joins nothing."""
    as_names = dict.fromkeys(keys, object)
    return table.astype(as_names).merge(values.astype(as_names), "left", keys)


def pick_guardrails(guarded: pd.DataFrame) -> pd.DataFrame:
    """Return every guardrail: the difference, its range, and the loss that would still be acceptable as the line."""
    table = guarded.assign(experiment=name_tests(guarded) if len(guarded) else [], comparison=guarded["not_worse_than"],
                           note=_shorten(guarded["note"]))  # fmt: skip
    columns = ["experiment", "outcome", "metric", "effect", "effect_low", "effect_high", "state", "comparison", "note"]
    return table[columns].assign(compared_with="the loss still acceptable")


def pick_worth(decisions: pd.DataFrame) -> pd.DataFrame:
    """Return what each arm brings for an account worked, after its cost, and how likely it is the best choice."""
    table = decisions[decisions["gain"].notna()]
    table = table.assign(experiment=name_tests(table) if len(table) else [], comparison=0.0)
    columns = ["experiment", "gain", "gain_low", "gain_high", "p_best", "expected_regret", "comparison", "verdict",
               "verdict_words"]  # fmt: skip
    regret = table["expected_regret"]  # whole money, as the gain beside it
    table = table.assign(verdict_words=table["decision"].map(DECISION_WORDS),
                         expected_regret=regret.where(regret < 1, regret.round()))  # fmt: skip
    table = table[columns].assign(compared_with="no gain")
    return table.sort_values("gain", ascending=False, kind="stable", ignore_index=True)


def pick_within(within: pd.DataFrame, most: int = 8) -> pd.DataFrame:
    """Return the kinds of accounts of which the test can tell, least luck first; the others are in the saved table."""
    if not len(within):
        return within
    known = within[~within["is_refused"].astype(bool)]
    table = known.sort_values(["p_adjusted", "segment"], kind="stable", ignore_index=True).head(most)
    columns = ["segment", "arm", "metric", "effect_inside", "effect_outside", "difference", "difference_low",
               "difference_high", "p_adjusted", "n_arm", "n_control", "note"]  # fmt: skip
    return table[columns].assign(arm=table["arm"].map(name_words))


def count_within(within: pd.DataFrame) -> str:
    """Return how many kinds were compared, how many differ beyond luck, how many had too few accounts; empty for none.

    Examples
    --------
    >>> count_within(pd.DataFrame({"p_adjusted": [0.2, np.nan], "is_refused": [False, True]}))
    '2 kinds of accounts were compared with the others: 0 differ beyond luck, 1 had too few with the outcome to tell'
    """
    if not len(within):
        return ""
    n_refused, n_differ = int(within["is_refused"].astype(bool).sum()), int((within["p_adjusted"] <= MAX_P).sum())
    if n_refused == len(within):
        return f"Not one of {n_refused:,} kinds of accounts has enough accounts with the outcome to tell."
    words = f"{len(within):,} kinds of accounts were compared with the others: {n_differ:,} differ beyond luck"
    return words + (f", {n_refused:,} had too few with the outcome to tell" if n_refused else "")


def pick_design(design: pd.DataFrame) -> pd.DataFrame:
    """Return whether each test can ever answer, and what it takes."""
    table = design.assign(experiment=design["test"])
    columns = ["experiment", "is_able", "metric", "control_rate", "mde", "detectable", "n_per_group", "n_available",
               "n_needed", "share_of_new", "share_of_margin", "note"]  # fmt: skip
    return table[columns]


def pick_protocols(protocols: pd.DataFrame) -> pd.DataFrame:
    """Return what was agreed, the question under the name, and what was done otherwise."""
    columns = ["test", "state", "primary", "guardrails", "hash", "deviations"]
    question, who = (protocols[name].fillna("").astype(str) for name in ("question", "who"))
    asked = (question + " " + who).str.strip()
    table = protocols[columns].assign(note=asked, state=protocols["state"].replace(_STATES))
    filled = {name: table[name].replace("", "none").fillna("none") for name in ("deviations", "guardrails")}
    return table.assign(**filled)


def pick_archive(archive: pd.DataFrame) -> pd.DataFrame:
    """Return the concluded tests, what was seen under the name."""
    table = archive[["test", "concluded_on", "decision", "afterwards"]]
    return table.assign(decision=table["decision"].map(DECISION_WORDS), note=archive["what"])


def list_limits(answers: pd.DataFrame) -> pd.DataFrame:
    """Return, for every decision, what its protocol says of it, and what would change it."""
    if not len(answers):
        return answers
    decision, would_change = (answers["decision"].map(words) for words in (DECISION_WORDS, _LIMITS))
    agreed = answers["as_agreed"].fillna("")
    return answers[["experiment"]].assign(decision=decision, as_agreed=agreed, would_change=would_change)


def sort_design(design: pd.DataFrame, protocols: pd.DataFrame) -> pd.DataFrame:
    """Return the designs, what comes next first: not started, then running, then finished."""
    place = {"not started": 0, "running": 1, "through": 2}
    states = design["experiment_id"].map(protocols.set_index("experiment_id")["state"]).map(place)
    order = design.assign(_place=states).sort_values("_place", kind="stable", ignore_index=True)
    return order.drop(columns="_place")


def pick_simulated(simulated: pd.DataFrame) -> pd.DataFrame:
    """Return how often made-up tests were said to be better, against how often they should be."""
    table = simulated.assign(experiment=simulated["test"])
    columns = ["experiment", "metric", "with_effect", "n_per_group", "n_runs", "ship_rate", "ship_rate_low",
               "ship_rate_high"]  # fmt: skip
    return table[columns].assign(comparison=simulated["expected_rate"], compared_with="expected")


def pick_moved(moved: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of the comparison with last quarter that a reader compares."""
    table = moved.assign(experiment=name_tests(moved) if len(moved) else [])
    is_new, is_bare = table["decision_before"].isna(), table["effect_before"].isna()
    note = np.select([is_new, is_bare], ["Was not there a quarter ago.", "No result a quarter ago."], "")
    decisions = {each: table[each].map(DECISION_WORDS) for each in ("decision_before", "decision")}
    columns = ["experiment", "decision_before", "decision", "metric", "effect_before", "effect", "reading"]
    return table.assign(**decisions)[columns].assign(note=note)
