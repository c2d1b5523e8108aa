"""What page 06 says: what to do first, nothing twice, and no sentence without its figures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from experiments_of import CUTOFFS, build_accounts, build_list, build_tests, meet, write_protocol

from icp_lib import designs, display, experiment_design, experiments
from icp_lib import experiment_answers as words
from icp_lib.checks import DataError
from icp_lib.protocols import DECISION_WORDS, DECISIONS, Protocols

NO_DESIGN = pd.DataFrame(columns=experiment_design.COLUMNS)


@pytest.fixture(scope="module")
def judged():
    protocols = [write_protocol(), write_protocol(id="call", arms=["call", "as_usual"], smallest_worth=0.1),
                 write_protocol(id="visit", arms=["visit", "as_usual"])]  # fmt: skip
    listed = pd.concat([build_list(400), build_list(400, ("call", "as_usual"), "call", 400)], ignore_index=True)
    met = [*(2 * np.arange(60)), *(2 * np.arange(30) + 1), *(400 + 2 * np.arange(32)), *(401 + 2 * np.arange(30))]
    tests, accounts, sources = build_tests(protocols, listed, meet([f"A{i:05d}" for i in met]))
    return experiments.judge_tests(tests, accounts, sources, CUTOFFS[-1]), tests


def test_what_to_do_comes_first_and_every_decision_has_its_sentence(judged):
    results, tests = judged
    answers = words.pick_answers(results.decisions, results.compared, tests, NO_DESIGN)
    assert answers["decision"].tolist() == ["ship", "stop", "not started"]
    said = display.say(answers, words.SENTENCES, by="decision").text
    assert "Letter for makers: use it. Meeting within 45 days: 30.0% against 15.0%, a difference of 15 pt" in said
    assert "Call for makers: stop." in said and "below 10 pt, the smallest difference" in said
    assert "Visit for makers: planned for 2 Mar 2026" in said
    assert set(words.SENTENCES) == {*words._LIMITS}


@pytest.mark.parametrize(
    ("changes", "words_of_it"),
    [
        ({}, "As planned it cannot answer: 150 in each group see 14 pt, 12 pt was agreed, which needs {needed}."),
        ({"mde": 0.14}, " see only a little more than agreed, 14 pt was agreed, which needs {needed}."),
        ({"conditions": [{"attribute": "employes", "op": "is", "value": 1.0}]}, "no account has 'employes'."),
        ({"mde": 0.2}, ""),
    ],
)
def test_a_test_that_as_planned_cannot_answer_says_so_first(changes, words_of_it):
    protocol = write_protocol(**{"expected_rate": 0.2, "assignment": {"n_per_arm": 150}} | changes)
    tests, accounts, sources = build_tests(protocol, build_list(0), accounts=build_accounts(500))
    design = experiment_design.build_design(tests, accounts, sources, CUTOFFS[-1])
    results = experiments.judge_tests(tests, accounts, sources, CUTOFFS[-1])
    answers = words.pick_answers(results.decisions, results.compared, tests, design)
    said = display.say(answers, words.SENTENCES, by="decision").text
    needed = designs.required_accounts(protocol.mde, rate=0.2)
    assert "nobody is assigned yet." in said and words_of_it.format(needed=needed) in said
    assert ("cannot answer" in said) == bool(words_of_it)


@pytest.mark.parametrize("decision", ["continue", "cannot answer", "withheld"])
def test_the_other_sentences_can_be_filled(judged, decision):
    results, tests = judged
    answers = words.pick_answers(results.decisions, results.compared, tests, NO_DESIGN)
    answers = answers.head(1).assign(decision=decision)
    assert display.say(answers, words.SENTENCES, by="decision").text.startswith("Letter for makers")


def test_a_decision_without_a_sentence_is_an_error(judged):
    results, tests = judged
    answers = words.pick_answers(results.decisions, results.compared, tests, NO_DESIGN).assign(decision="shrug")
    with pytest.raises(DataError, match="no sentence for the decision 'shrug'"):
        display.say(answers, words.SENTENCES, by="decision")


def test_failed_checks_come_first_and_are_counted():
    health = pd.DataFrame({"experiment_id": "a", "test": "A", "check": list("xyz"),
                           "state": ["passed", "noted", "failed"],
                           "found": "f", "p_value": np.nan, "todo": ["", "b", "c"]})  # fmt: skip
    assert words.pick_health(health)["state"].tolist() == ["failed", "noted", "passed"]
    counted = words.summarise_health(health).iloc[0].to_dict()
    assert counted == {"n_passed": 1, "n_failed": 1, "n_noted": 1, "n_checks": 3}
    assert words.summarise_health(health.head(0)).empty


def test_the_adjustment_stands_beside_its_number(judged):
    table = words.pick_results(judged[0].compared)
    assert table["note"].str.fullmatch(r"Main outcome: [\d.]+% against 15.0%; decided at one look").all()
    assert table["n_compared"].eq(400).all()
    assert table["outcome"].tolist()[1] == "Letter for makers: Meeting within 45 days"


def test_the_words_of_a_protocol_and_those_of_the_page_stand_side_by_side(repo):
    page = (repo / "notebooks" / "06_icp_ab_test.ipynb").read_text(encoding="utf-8")
    pairs = [f"*{name}* as *{DECISION_WORDS[name]}*" for name in DECISIONS if DECISION_WORDS[name] != name]
    assert len(pairs) == 3 and all(pair in page for pair in pairs)


def test_a_state_is_said_in_words(judged):
    agreed = experiments.build_protocols(judged[1], CUTOFFS[-1])
    assert words.pick_protocols(agreed)["state"].tolist() == ["finished", "finished", "not started"]


def test_refused_kinds_are_counted_and_not_shown():
    within = pd.DataFrame({"segment": ["a", "b"], "arm": "letter", "metric": "touch_rate", "effect_inside": 0.1,
                           "effect_outside": 0.0, "difference": 0.1, "difference_low": 0.0, "difference_high": 0.2,
                           "p_adjusted": [0.04, np.nan], "n_arm": 30, "n_control": 30, "is_refused": [False, True],
                           "note": ["", "underpowered"]})  # fmt: skip
    assert words.pick_within(within)["segment"].tolist() == ["a"]
    assert "compared with the others: 1 differ beyond luck, 1 had too few" in words.count_within(within)
    refused = words.count_within(within.tail(1))
    assert refused == "Not one of 1 kinds of accounts has enough accounts with the outcome to tell."
    assert words.count_within(within.head(0)) == ""


def test_what_is_missing_is_named():
    nothing, one = Protocols({}, {}), Protocols({"letter": write_protocol()}, {})
    assert words.list_needs(nothing, build_list(0)) == ("assignments", "experiments.yml")
    assert words.list_needs(one, build_list(0)) == ("assignments",) and words.list_needs(one, build_list(2)) == ()


def test_a_withheld_result_is_an_amber_banner_with_its_counts():
    frame = pd.DataFrame([{"experiment": "Letter <b>", "why": "Sizes of the arms: 80 against 40."}])
    shown = display.banner(frame, "Result withheld: {experiment}", "{why}", nothing="None.")
    assert 'class="icp-banner warn"' in shown.html and "Letter &lt;b&gt;" in shown.html
    assert "80 against 40" in shown.text
    assert display.banner(frame.head(0), "x", nothing="None.").text == "None."


def test_next_quarter_reads_as_changed_or_as_before(judged):
    results, _ = judged
    moved = experiments.compare_quarters(results.decisions, results.decisions.head(2).assign(decision="continue"))
    table = words.pick_moved(moved).set_index("experiment")
    assert table.loc["Letter for makers", ["decision_before", "decision", "reading"]].tolist() == [
        "go on", "use it", "changed"]  # fmt: skip
    assert table.loc["Visit for makers", "note"] == "Was not there a quarter ago."


def test_each_test_has_its_chance_of_luck_and_its_own_limits(judged):
    results, tests = judged
    answers = words.pick_answers(results.decisions, results.compared, tests, NO_DESIGN)
    said = words.list_luck(answers, experiments.build_protocols(tests, CUTOFFS[-1]))
    assert len(said) == 2 and said[0].startswith("**Letter for makers**: chance of luck **")
    assert "less than 10 pt is not worth having" in said[1] and "less than 0 pt" in said[0]


def test_each_test_has_what_a_success_of_it_is_worth(judged):
    results, tests = judged
    answers = words.pick_answers(results.decisions, results.compared, tests, NO_DESIGN)
    agreed = experiments.build_protocols(tests, CUTOFFS[-1])
    assert words.list_worth(answers.head(0), agreed) == (words.NOTHING,)
    priced = answers.assign(worth=[2000.0, 1.0, np.nan], n_successes=[90, np.nan, np.nan], break_even=[0.02, 0.3, 0.1])
    said = words.list_worth(priced, agreed)
    assert len(said) == 3 and said[2] == words.ASSUMED
    assert said[0].startswith("**Letter for makers**: one more success has brought €2,000") and "90 accounts" in said[0]
    assert said[0].endswith("from 2 pt more on.")
    assert said[1].startswith("**Call for makers**: its outcome is margin itself")
    cheap = words.list_worth(priced.assign(break_even=0.02), agreed)
    assert cheap[1].endswith("The protocol asks for more than that: at least 10 pt.") and "asks for" not in cheap[0]
    unknown = words.list_worth(answers, agreed)
    assert unknown[0] == "**Letter for makers**: what a success is worth is not known."
    assert words.ASSUMED not in unknown


@pytest.mark.parametrize(("p", "effect", "is_said"), [(0.04, 0.05, True), (0.06, 0.05, False), (0.04, -0.05, False)])
def test_an_outcome_that_points_the_other_way_beyond_luck_is_said(judged, p, effect, is_said):
    results, tests = judged
    outcome = "Deal opened within 90 days"
    beside = results.compared.assign(role="secondary", outcome=outcome, p_adjusted=p, effect=effect)
    compared = pd.concat([results.compared, beside], ignore_index=True)
    stopped = words.pick_answers(results.decisions, compared, tests, NO_DESIGN).set_index("decision")["why"]["stop"]
    assert ("But deal opened within 90 days: " in stopped) == is_said
    assert not is_said or "chance of luck 0.040, not what the test was planned for" in stopped


@pytest.mark.parametrize(("worth", "is_said"), [(0.05, False), (0.10, True)])
def test_a_gain_that_may_be_too_small_to_be_worth_it_says_so(worth, is_said):
    """60 of 200 against 30 of 200: 15 pt, from 7 to 23."""
    tests, accounts, sources = build_tests(
        write_protocol(smallest_worth=worth), build_list(400),
        meet([f"A{i:05d}" for i in (*(2 * np.arange(60)), *(2 * np.arange(30) + 1))]),
    )  # fmt: skip
    results = experiments.judge_tests(tests, accounts, sources, CUTOFFS[-1])
    (why,) = words.pick_answers(results.decisions, results.compared, tests, NO_DESIGN)["why"]
    assert results.decisions["decision"].tolist() == ["ship"]
    assert why.endswith(". Less than 10 pt, the least worth having, is possible too") == is_said


def test_under_the_question_stands_who_matches_the_profile():
    conditions = [{"attribute": "employees", "op": "between", "value": [5, 21]}]
    plans = [write_protocol(conditions=conditions), write_protocol(id="call")]
    tests, _, _ = build_tests(plans, build_list(0))
    notes = words.pick_protocols(experiments.build_protocols(tests, CUTOFFS[-1]))["note"].tolist()
    assert notes == ["Does a letter help?", "Does a letter help? Makers: Companies with 5 to 20 employees"]
