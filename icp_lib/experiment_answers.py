"""What page 06 says of its tests: sentences by decision, facts, and the columns that a reader compares."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from icp_lib.protocols import Protocols
from icp_lib.studies import Study

NOTHING = "No test has a result yet."
SENTENCES = {
    "ship": "**{experiment}: use it.** {outcome}: {value_arm} against {value_control}, a difference of {effect} "
    "({interval:effect}); {why}.",
    "stop": "**{experiment}: stop.** {outcome}: {value_arm} against {value_control}, a difference of {effect} "
    "({interval:effect}); {why}.",
    "continue": "{experiment}: go on. {progress_rate} of the accounts are through; {why}.",
    "cannot answer": "{experiment}: this test cannot answer. {outcome}: {value_arm} against {value_control}, a "
    "difference of {effect} ({interval:effect}); {why}.",
    "withheld": "{experiment}: no verdict, a check of the test failed.",
    "not started": "{experiment}: {why}",
}
FACTS = {
    "Tests": "{n_tests} with a protocol or a list",
    "Accounts": "{n_accounts} assigned",
    "With a decision": "{n_decided}",
    "Withheld": "{n_withheld}",
}
KINDS = (
    "{n_searched} kinds of accounts were compared with the others: {n_differ} differ beyond luck, {n_refused} have too "
    "few accounts with the outcome to tell."
)
LUCK = (
    "Chance of luck: **{p_adjusted}** ({adjustment}).",
    "The difference agreed beforehand was {mde}; less than {smallest_worth} would not be worth having.",
)
HEALTH = "{n_passed} of {n_checks} checks passed, {n_noted} are noted, {n_failed} failed."
WORTH = (
    "One more success has brought **{worth}** of first-year margin in the year after it, over {n_successes} accounts "
    "outside the test.",
    "So it pays for itself from {break_even} more on. That a success that we cause is worth as much as one that came "
    "by itself is an assumption.",
)
_LIMITS = {
    "ship": "a guardrail fails, or the deals that follow do not come: see the longer windows",
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
    words = {column: frame[column].fillna("").astype(str).str.replace("_", " ") for column in
             ("experiment_id", "arm", "candidate") if column in frame}  # fmt: skip
    arm, candidate = words.get("arm", ""), words.get("candidate", "").str.replace("-", " ")
    name = arm.str.capitalize() + np.where(candidate.ne("") & arm.ne(""), " for ", "") + candidate
    return name.where(arm.ne(""), words["experiment_id"])


def pick_answers(decisions: pd.DataFrame, compared: pd.DataFrame, tests: Iterable[Study]) -> pd.DataFrame:
    """Return the rows of the answer, those that say what to do first; one row where there is no test at all."""
    if not len(decisions):
        return decisions
    keys = ["experiment_id", "candidate", "arm"]
    values = compared[compared["role"] == "primary"][[*keys, "outcome", "value_arm", "value_control"]]
    shares = {test.experiment_id: test.shares[-1] for test in tests}
    table = decisions.merge(values, "left", keys).assign(experiment=name_tests(decisions).to_numpy())
    table["progress_rate"] = table["experiment_id"].map(shares)
    order = table["decision"].map({each: i for i, each in enumerate(SENTENCES)})
    return table.assign(_order=order).sort_values("_order", kind="stable").drop(columns="_order")


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
    return order[["check", "experiment_id", "state", "found"]].assign(note=order["todo"])


def summarise_health(health: pd.DataFrame) -> pd.DataFrame:
    """Return one row: how many checks passed, failed, were noted; no row where none was made."""
    counts = health["state"].value_counts()
    row = {f"n_{word}": int(counts.get(word, 0)) for word in ("passed", "failed", "noted")}
    return pd.DataFrame([row | {"n_checks": len(health)}]).head(len(health))


def pick_results(compared: pd.DataFrame) -> pd.DataFrame:
    """Return every comparison of every test; the note names the adjustment of its range and its chance of luck."""
    table = compared.assign(experiment=name_tests(compared) if len(compared) else [])
    said = table["adjustment"].where(table["effect"].notna(), table["note"])
    table = table.assign(note=table["role"].str.capitalize() + "; " + said, n=table["n_arm"] + table["n_control"])
    table["outcome"] = table["experiment"] + ": " + table["outcome"]
    columns = ["outcome", "metric", "effect", "effect_low", "effect_high", "value_arm", "value_control", "p_adjusted",
               "n", "note"]  # fmt: skip
    return table[columns].assign(comparison=0.0)


def pick_effects(decisions: pd.DataFrame, compared: pd.DataFrame) -> pd.DataFrame:
    """Return the primary effect of every arm that has one, for the figure."""
    keys = ["experiment_id", "candidate", "arm"]
    values = compared[compared["role"] == "primary"][[*keys, "outcome", "value_arm", "value_control"]]
    table = decisions[decisions["effect"].notna()].merge(values, "left", keys)
    return table.assign(experiment=name_tests(table) if len(table) else []).sort_values(
        "effect", ascending=False, kind="stable", ignore_index=True
    )


def pick_leader(answers: pd.DataFrame, protocols: pd.DataFrame) -> pd.DataFrame:
    """Return the arm that the page leads with, and what was agreed about its test; no row where none has a result."""
    known = answers[answers["effect"].notna()] if len(answers) else answers
    return known.head(1).merge(protocols[["experiment_id", "mde", "smallest_worth"]], "left", "experiment_id")


def pick_guardrails(guarded: pd.DataFrame) -> pd.DataFrame:
    """Return every guardrail: the difference, its range, and the loss that would still be acceptable as the line."""
    table = guarded.assign(experiment=name_tests(guarded) if len(guarded) else [], comparison=guarded["not_worse_than"])
    columns = ["experiment", "outcome", "metric", "effect", "effect_low", "effect_high", "state", "comparison", "note"]
    return table[columns]


def pick_worth(decisions: pd.DataFrame) -> pd.DataFrame:
    """Return what each arm brings for an account worked, after its cost, and how likely it is the best choice."""
    table = decisions[decisions["gain"].notna()]
    table = table.assign(experiment=name_tests(table) if len(table) else [], comparison=0.0)
    columns = ["experiment", "gain", "gain_low", "gain_high", "p_best", "expected_regret", "comparison", "verdict"]
    return table[columns].sort_values("gain", ascending=False, kind="stable", ignore_index=True)


def pick_within(within: pd.DataFrame, most: int = 8) -> pd.DataFrame:
    """Return the kinds of accounts of which the test can tell, least luck first; the others are in the saved table."""
    if not len(within):
        return within
    known = within[~within["is_refused"].astype(bool)]
    table = known.sort_values(["p_adjusted", "segment"], kind="stable", ignore_index=True).head(most)
    columns = ["segment", "arm", "metric", "effect_inside", "effect_outside", "difference", "difference_low",
               "difference_high", "p_adjusted", "n_arm", "n_control", "note"]  # fmt: skip
    return table[columns].assign(arm=table["arm"].str.replace("_", " "))


def summarise_within(within: pd.DataFrame) -> pd.DataFrame:
    """Return one row: how many kinds were searched, how many differ beyond luck, how many had too few accounts."""
    if not len(within):
        return within
    refused = within["is_refused"].astype(bool)
    n_differ = int((within["p_adjusted"] <= 0.05).sum())
    return pd.DataFrame([{"n_searched": len(within), "n_differ": n_differ, "n_refused": int(refused.sum())}])


def pick_design(design: pd.DataFrame) -> pd.DataFrame:
    """Return whether each test can ever answer, and what it takes."""
    table = design.assign(experiment=design["experiment_id"])
    columns = ["experiment", "is_able", "metric", "control_rate", "mde", "detectable", "n_per_group", "n_available",
               "n_needed", "share_of_new", "share_of_margin", "note"]  # fmt: skip
    return table[columns]


def pick_protocols(protocols: pd.DataFrame) -> pd.DataFrame:
    """Return what was agreed, the question under the name, and what was done otherwise."""
    columns = ["experiment_id", "state", "primary", "guardrails", "hash", "deviations"]
    table = protocols[columns].assign(note=protocols["question"])
    filled = {name: table[name].replace("", "none").fillna("none") for name in ("deviations", "guardrails")}
    return table.assign(**filled)


def pick_archive(archive: pd.DataFrame) -> pd.DataFrame:
    """Return the concluded tests, what was seen under the name."""
    return archive[["experiment_id", "concluded_on", "decision", "afterwards"]].assign(note=archive["what"])


def list_limits(answers: pd.DataFrame) -> pd.DataFrame:
    """Return, for every decision, what would change it."""
    if not len(answers):
        return answers
    return answers.assign(would_change=answers["decision"].map(_LIMITS))[["experiment", "decision", "would_change"]]


def sort_design(design: pd.DataFrame, protocols: pd.DataFrame) -> pd.DataFrame:
    """Return the designs, what comes next first: not started, then running, then through."""
    place = {"not started": 0, "running": 1, "through": 2}
    states = design["experiment_id"].map(protocols.set_index("experiment_id")["state"]).map(place)
    order = design.assign(_place=states).sort_values("_place", kind="stable", ignore_index=True)
    return order.drop(columns="_place")


def pick_simulated(simulated: pd.DataFrame) -> pd.DataFrame:
    """Return how often made-up tests were said to be better, against how often they should be."""
    table = simulated.assign(experiment=simulated["experiment_id"])
    columns = ["experiment", "metric", "with_effect", "n_per_group", "n_runs", "ship_rate", "ship_rate_low",
               "ship_rate_high"]  # fmt: skip
    return table[columns].assign(comparison=simulated["expected_rate"])


def pick_moved(moved: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of the comparison with last quarter that a reader compares."""
    table = moved.assign(experiment=name_tests(moved) if len(moved) else [])
    note = np.where(table["effect_before"].isna(), "No result a quarter ago.", "")
    columns = ["experiment", "decision_before", "decision", "metric", "effect_before", "effect", "reading"]
    return table[columns].assign(note=note)
