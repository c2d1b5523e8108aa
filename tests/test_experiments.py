"""What the tests show and what their protocols say: by hand, by laws, and on worlds with a known truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from experiments import SMALLEST_WORTH, decide_worlds
from experiments_of import CUTOFFS, DAY, build_accounts, build_deals, build_list, build_tests, meet, write_protocol
from scipy import stats as distributions

from icp_lib import decisions, demo, experiment_effects, experiments, heterogeneity
from icp_lib.experiment_effects import RESULTS, find_look
from icp_lib.formats import column_name
from icp_lib.looks import find_level
from icp_lib.protocols import METRIC_NAMES
from icp_lib.rules import Segment
from icp_lib.schemas import CLAIM_COLUMNS
from icp_lib.studies import find_shares

END = CUTOFFS[-1]
#: Windows are over, and the list may still grow: nobody was assigned for less than a quarter.
GROWING = {"end": DAY + pd.Timedelta(days=60), "cutoffs": [DAY + pd.Timedelta(days=60)]}


def met_of(n: int, arm: int, usual: int) -> pd.DataFrame:
    """Meetings of the first accounts of each arm of `build_list`, whose arms come in turn."""
    return meet([f"A{2 * i:05d}" for i in range(arm)] + [f"A{2 * i + 1:05d}" for i in range(usual)])


def decide(protocol, n: int, arm: int, usual: int, end=END, **given):
    cutoffs = [each for each in CUTOFFS if each <= end]
    options = {"touches": met_of(n, arm, usual), "cutoffs": cutoffs} | given
    tests, accounts, sources = build_tests(protocol, build_list(n), **options)
    return experiments.judge_tests(tests, accounts, sources, end), tests


@pytest.mark.parametrize(
    ("arm", "usual", "worth", "decision"),
    [
        (60, 30, 0.05, "ship"),
        (30, 60, 0.05, "stop"),  # worse beyond luck
        (31, 30, 0.12, "stop"),  # ends below what is worth having
        (36, 30, 0.05, "cannot answer"),
    ],
)
def test_the_decision_table_at_the_end(arm, usual, worth, decision):
    judged, _ = decide(write_protocol(smallest_worth=worth), 400, arm, usual)
    row = judged.decisions.iloc[0]
    assert row["decision"] == decision and row["look"] == "1 of 1"
    assert row["effect"] == pytest.approx((arm - usual) / 200)


def test_a_test_goes_on_while_accounts_are_left():
    judged, _ = decide(write_protocol(assignment={"n_per_arm": 400}), 400, 60, 30, **GROWING)
    row = judged.decisions.iloc[0]
    assert row["decision"] == "continue" and "no planned look is due" in row["why"]
    assert "always valid" in row["adjustment"]
    planned, _ = decide(write_protocol(assignment={"n_per_arm": 400}, looks=[0.5, 1.0]), 400, 70, 30, **GROWING)
    row = planned.decisions.iloc[0]
    assert (row["decision"], row["look"]) == ("ship", "1 of 2") and "look 1 of 2, O'Brien-Fleming" in row["adjustment"]


def test_an_early_look_needs_more_than_the_last_one():
    kept = {"looks": [0.5, 1.0]}
    early, _ = decide(write_protocol(assignment={"n_per_arm": 400}, **kept), 400, 50, 30, **GROWING)
    last, _ = decide(write_protocol(**kept), 400, 50, 30)
    assert (early.decisions["decision"][0], last.decisions["decision"][0]) == ("continue", "ship")
    widths = [each.decisions["effect_high"][0] - each.decisions["effect_low"][0] for each in (early, last)]
    assert widths[0] > 1.3 * widths[1]


def test_a_guardrail_has_the_level_of_the_look():
    """At half of the accounts a margin is shown only by what would cross the first boundary."""
    given = {"guardrails": [{"metric": "opportunity_rate", "window_days": 45, "not_worse_than": -0.05}]}
    deals = build_deals([(f"A{i:05d}", 5, None, "open", np.nan) for i in range(40)])
    widths = []
    for looks in ([1.0], [0.5, 1.0]):
        plan = write_protocol(looks=looks, assignment={"n_per_arm": 400}, **given)
        row = decide(plan, 400, 50, 30, deals=deals, **GROWING)[0].guarded.iloc[0]
        widths.append(row["effect_high"] - row["effect_low"])
    first, plain = (distributions.norm.isf((1 - level) / 2) for level in (find_level([0.5, 1.0], 1), 0.95))
    assert widths[1] / widths[0] == pytest.approx(first / plain, rel=0.06)  # Student's t, and Newcombe's where few


def test_before_any_window_is_over_there_is_no_figure():
    judged, tests = decide(write_protocol(), 400, 60, 30, end=pd.Timestamp("2026-04-01"))
    row = judged.decisions.iloc[0]
    assert row["decision"] == "continue" and np.isnan(row["effect"]) and judged.compared["value_arm"].isna().all()
    assert experiments.build_claims(judged.decisions, tests).empty


@pytest.mark.parametrize(
    ("shares", "taken", "left", "is_now"),
    [
        ([0.0, 0.0], [], [0.5, 1.0], False),
        ([0.3, 0.6], [0.6], [1.0], True),
        ([0.6, 0.8], [0.6], [1.0], False),
        ([0.6, 1.0, 1.0], [0.6, 1.0], [], True),
        ([0.2, 0.995], [0.995], [], True),
    ],
)
def test_a_look_is_taken_once_at_the_share_that_it_had(shares, taken, left, is_now):
    assert find_look(shares, [0.5, 1.0]) == (taken, left, is_now)


def test_a_guardrail_that_fails_stops_and_one_that_cannot_tell_holds_back():
    guard = {"metric": "opportunity_rate", "window_days": 45, "not_worse_than": -0.05}
    protocol = write_protocol(guardrails=[guard])

    def opened(arm: int, usual: int):
        ids = [f"A{2 * i:05d}" for i in range(arm)] + [f"A{2 * i + 1:05d}" for i in range(usual)]
        return build_deals([(each, 5, None, "open", np.nan) for each in ids])

    decisions = {}
    for name, deals in (("holds", opened(8, 8)), ("cannot tell", opened(20, 26)), ("fails", opened(2, 60))):
        judged, _ = decide(protocol, 400, 60, 30, deals=deals)
        assert judged.guarded["state"].tolist() == [name]
        decisions[name] = judged.decisions["decision"][0]
    assert decisions == {"holds": "ship", "cannot tell": "cannot answer", "fails": "stop"}


def test_between_looks_nothing_is_decided_also_by_a_guardrail():
    guard = {"metric": "opportunity_rate", "window_days": 45, "not_worse_than": -0.05}
    deals = build_deals([(f"A{2 * i + 1:05d}", 5, None, "open", np.nan) for i in range(60)])
    given = {"guardrails": [guard], "assignment": {"n_per_arm": 400}}
    for looks, decision in (([1.0], "continue"), ([0.5, 1.0], "stop")):
        judged, _ = decide(write_protocol(looks=looks, **given), 400, 30, 30, deals=deals, **GROWING)
        assert judged.guarded["state"].tolist() == ["fails"] and judged.decisions["decision"][0] == decision


def test_a_list_that_nobody_adds_to_is_all_there_is_after_a_quarter():
    """200 of 400 planned: while they are new the test goes on, a quarter after the last of them it is through."""
    protocol = write_protocol(assignment={"n_per_arm": 400})
    early, tests = decide(protocol, 400, 30, 30, **GROWING)
    assert tests[0].shares == [0.5]
    late, tests = decide(protocol, 400, 36, 30)
    assert tests[0].shares[-1] == 1.0 and late.decisions["decision"][0] == "cannot answer"
    assert (early.decisions["decision"][0], early.decisions["look"][0]) == ("continue", "none yet")


def test_kinds_of_accounts_are_searched_at_a_look_only_by_families_and_over_all_tests(monkeypatch):
    seen, search = [], heterogeneity.search_effects
    monkeypatch.setattr(heterogeneity, "search_effects", lambda *args, **options: seen.append(options) or
                        search(*args, **options | {"n_draws": 39}))  # fmt: skip
    protocols = [write_protocol(mde=0.9), write_protocol(id="call", mde=0.9)]
    stratum = np.resize(["a", "a", "b", "b"], 400)
    listed = [build_list(400, stratum=stratum), build_list(400, name="call", first=400, stratum=stratum)]
    accounts = build_accounts(800, country=np.resize(["DE", "DE", "NL", "NL", "NL"], 800))
    touches = meet([f"A{i:05d}" for i in range(0, 800, 3)])
    tests, _, _ = build_tests(protocols, pd.concat(listed, ignore_index=True), touches, accounts)
    traits = {"country": {"kind": "words"}}
    monkeypatch.setattr(experiment_effects, "build_levels", lambda *_: [("", "", Segment.of(
        {"attribute": "country", "op": "is", "value": "DE"}))])  # fmt: skip
    both = experiment_effects.compare_within(tests, {}, traits)
    one = experiment_effects.compare_within(tests[:1], {}, traits)
    assert [each["family"] for each in seen] == ["family_id"] * 3 and set(seen[0]["strata"]) == {0, 1}
    assert both["n_searches"].tolist() == [2, 2] and one["n_searches"].tolist() == [1]
    expected = min(1.0, 2 * one["p_adjusted"][0])
    assert both.set_index("experiment_id")["p_adjusted"][one["experiment_id"][0]] == pytest.approx(expected)
    between = [each._replace(shares=[0.4]) for each in tests]
    assert experiment_effects.compare_within(between, {}, traits).empty


def test_several_arms_share_the_error():
    listed = build_list(600, arms=("letter", "call", "as_usual"))
    protocol = write_protocol(arms=["letter", "call", "as_usual"])
    ids = {arm: listed.loc[listed["arm"] == arm, "account_id"] for arm in protocol.arms}
    touches = meet([*ids["letter"].head(44), *ids["call"].head(30), *ids["as_usual"].head(28)])
    tests, accounts, sources = build_tests(protocol, listed, touches)
    judged = experiments.judge_tests(tests, accounts, sources, END)
    rows = judged.compared.set_index("arm")
    assert rows["adjustment"].str.contains("Holm over 2 comparisons").all()
    assert rows.loc["letter", "p_adjusted"] == pytest.approx(2 * rows.loc["letter", "p_value"])
    assert rows.loc["letter", "p_value"] < 0.05 < rows.loc["letter", "p_adjusted"]
    assert (judged.decisions["decision"] != "ship").all()


def test_a_sample_test_compares_candidates_and_never_says_caused():
    candidates = [{"id": "makers"}, {"id": "carriers"}]
    protocol = write_protocol(design="sample", candidate=None, candidates=candidates, control="makers", arms=["letter"])
    listed = build_list(400, arms=("letter",), candidate=np.resize(["carriers", "makers"], 400))
    tests, accounts, sources = build_tests(protocol, listed, met_of(400, 60, 30))
    judged = experiments.judge_tests(tests, accounts, sources, END)
    assert judged.decisions[["arm", "control", "decision"]].values.tolist() == [["carriers", "makers", "ship"]]
    assert not set(judged.health["check"]) & {"Sizes of the groups", "Alike before", "Control left alone"}
    assert tests[0].covariates == [] and judged.compared["method"].tolist() == ["proportions"]
    claim = experiments.build_claims(judged.decisions, tests)["claim"][0]
    assert claim == "Carriers respond better than makers: meeting within 45 days."
    money = ["worth", "gain", "gain_low", "gain_high", "p_best", "expected_regret"]  # over what going on would bring?
    assert judged.decisions[money].isna().all(axis=None) and "No gain" in judged.decisions["note"][0]


def test_the_gain_is_effect_times_worth_less_cost():
    accounts = build_accounts(440)
    old = [f"A{i:05d}" for i in range(400, 440)]
    touches = pd.concat([met_of(400, 60, 30), meet(old, -400.0)])
    deals = build_deals([(each, -390, -300, "won", 1000.0) for each in old[:10]])
    given = {"touches": touches, "deals": deals, "accounts": accounts}
    judged, _ = decide(write_protocol(cost_per_account=20.0), 400, 0, 0, **given)
    row = judged.decisions.iloc[0]
    assert (row["worth"], row["n_successes"]) == (250.0, 40)
    assert row["gain"] == pytest.approx(0.15 * 250 - 20) and row["break_even"] == pytest.approx(0.08)
    assert row["gain_low"] < row["effect_low"] * 250 - 20 < row["gain"] < row["gain_high"]
    assert 0.5 < row["p_best"] <= 1 and row["expected_regret"] >= 0


def test_what_is_better_and_costs_more_than_it_brings_is_stopped():
    old = [f"A{i:05d}" for i in range(400, 440)]
    touches = pd.concat([met_of(400, 60, 30), meet(old, -400.0)])
    deals = build_deals([(each, -390, -300, "won", 1000.0) for each in old[:10]])
    given = {"touches": touches, "deals": deals, "accounts": build_accounts(440)}
    row = decide(write_protocol(cost_per_account=900.0), 400, 0, 0, **given)[0].decisions.iloc[0]
    assert row["decision"] == "stop" and row["gain_high"] < 0 and row["why"].endswith("it costs more than it brings")


def test_a_protocol_without_a_day_and_a_share_of_deals_stay_promising():
    dated, undated = (decide(write_protocol(written_on=day), 1200, 190, 110)[0] for day in (DAY.date(), None))
    assert decide(write_protocol(), 1200, 190, 110)[0].decisions["verdict"][0] == "confirmed"
    assert undated.decisions["verdict"][0] == "promising" and "promising" in " ".join(undated.health["todo"])
    assert dated.decisions["decision"][0] == "withheld"  # written on the day itself
    days = [(f"A{i:05d}", 1, 31 + 9 * (i % 2) + i % 5, "won", 1.0) for i in range(600)]
    row = decide(write_protocol(primary={"metric": "cycle_days", "window_days": 60}, mde=5.0), 600, 0, 0,
                 deals=build_deals(days))[0].decisions.iloc[0]  # fmt: skip
    assert row["decision"] == "ship" and row["verdict"] == "promising" and "who has one" in row["note"]


def test_a_better_arm_waits_for_a_guardrail_with_a_longer_window():
    guard = {"metric": "margin_per_account", "window_days": 365, "not_worse_than": -500.0}
    deals = build_deals([("A00001", 5, 30, "won", 900.0)])
    row = decide(write_protocol(guardrails=[guard]), 400, 60, 30, deals=deals)[0].decisions.iloc[0]
    assert row["decision"] == "continue" and "not known yet" in row["why"]
    unclear = decide(write_protocol(guardrails=[guard]), 400, 36, 30, deals=deals)[0].decisions
    assert unclear["decision"][0] == "cannot answer"


def test_accounts_that_come_after_the_last_look_are_extra():
    """Two waves of 200 a quarter apart and no planned number: the first was decided on when it was through."""
    day = pd.Series(pd.to_datetime(np.where(np.arange(400) < 200, DAY, DAY + pd.Timedelta(days=135))))
    listed = build_list(400, assigned_at=day)
    listed["exposed_at"] = (day + pd.Timedelta(days=1)).where(listed["arm"] != "as_usual")
    tests, accounts, sources = build_tests(write_protocol(), listed, touches=met_of(400, 60, 30))
    assert tests[0].shares[-3:] == [0.0, 1.0, 2.0]
    row = experiments.judge_tests(tests, accounts, sources, END).decisions.iloc[0]
    assert row["decision"] == "continue" and "the last planned look was taken" in row["why"]
    assert "always valid" in row["adjustment"]


@pytest.mark.parametrize(("n_per_arm", "shares"), [(None, [0.0, 0.0, 0.0, 1.0]), (240, [0.125, 0.375, 0.625, 1.0])])
def test_of_a_list_that_grows_nobody_knows_the_share_without_the_planned_number(n_per_arm, shares):
    """120 accounts a quarter, in the middle of it windows of 45 days end: at the first end half of those so far."""
    ends = pd.date_range("2026-04-01", periods=5, freq="QS")
    day = [end - pd.Timedelta(days=ago) for end in ends[:4] for ago in [80] * 60 + [20] * 60]
    plan = write_protocol(looks=[0.3, 1.0], assignment={"n_per_arm": n_per_arm} if n_per_arm else {})
    assert find_shares(pd.DataFrame({"assigned_at": day}), plan, [*ends[:3], ends[4]]) == shares


@pytest.mark.parametrize(
    ("arm", "usual", "claim"),
    [
        (60, 30, "Letter brings makers to a meeting within 45 days more often than as usual."),
        (32, 30, "Letter does not bring makers to a meeting within 45 days more often than luck could."),
        (30, 60, "Letter brings makers to a meeting within 45 days less often than as usual."),
    ],
)
def test_a_claim_is_a_sentence_in_the_direction_of_its_verdict(arm, usual, claim):
    judged, tests = decide(write_protocol(), 400, arm, usual)
    row = experiments.build_claims(judged.decisions, tests).iloc[0]
    assert row["claim"] == claim and row["note"].startswith("A planned test; its accounts were drawn by lot.")
    assert column_name(row["metric"]) == "Difference: meeting within 45 days"


@pytest.mark.parametrize("metric", [name for name in METRIC_NAMES if name not in ("touch_rate", "stage_rate")])
def test_every_measure_has_its_claim(metric):
    protocol = write_protocol(primary={"metric": metric, "window_days": 90})
    row = {"arm": "letter", "control": "as_usual", "candidate": "makers"}
    ends = {"promising": " as usual.", "contradicted": " as usual.", "not supported": " luck could."}
    for verdict, word in ends.items():
        said = experiments._claim(protocol, row | {"verdict": verdict})
        assert said.startswith("Letter ") and said.endswith(word) and "_" not in said and "{" not in said


def test_results_and_claims_have_the_columns_of_the_method():
    judged, tests = decide(write_protocol(), 400, 60, 30)
    assert list(judged.compared.columns[: len(RESULTS)]) == RESULTS
    assert RESULTS[:4] == ["experiment_id", "candidate", "metric", "role"]
    claims = experiments.build_claims(judged.decisions, tests)
    assert list(claims.columns) == CLAIM_COLUMNS and claims["claim_id"].tolist() == ["06-letter-makers-letter"]
    row = claims.iloc[0]
    assert row["holdout_p_adjusted"] == pytest.approx(row["p_adjusted"] / 2) and row["conf_low"] < row["estimate"]


@pytest.mark.parametrize(
    ("n", "arm", "usual", "verdict"),
    [
        (400, 70, 30, "confirmed"),
        (400, 46, 30, "promising"),
        (400, 32, 30, "not supported"),
        (400, 30, 60, "contradicted"),
        (400, 9, 2, "not enough data"),
        (40, 14, 4, "not enough data"),
    ],
)
def test_the_word_for_how_sure_we_are(n, arm, usual, verdict):
    judged, _ = decide(write_protocol(), n, arm, usual)
    assert judged.decisions["verdict"][0] == verdict


def test_under_luck_confirmed_is_as_rare_as_a_segment_that_is_found_and_holds():
    rng = np.random.default_rng(4)
    p_two = rng.random(40_000)
    row = {"is_lower_better": False, "value_control": 0.2, "n_arm": 500, "n_control": 500, "n_events": 200}
    effects = rng.choice([-0.05, 0.05], len(p_two))
    words = pd.Series([decisions.judge_row(row | {"effect": e, "p_adjusted": p}, "ship")
                       for e, p in zip(effects[:8000], p_two[:8000], strict=True)])  # fmt: skip
    shares = words.value_counts(normalize=True)
    error = np.sqrt(0.0025 * 0.9975 / len(words))
    assert abs(shares["confirmed"] - 0.0025) < 3.5 * error
    assert abs(shares["promising"] + shares["confirmed"] - 0.05) < 3.5 * np.sqrt(0.05 * 0.95 / len(words))


def test_shuffled_rows_and_later_rows_change_nothing():
    protocol, listed, touches = write_protocol(), build_list(400), met_of(400, 60, 30)
    later = pd.concat([touches, meet([f"A{i:05d}" for i in range(50)], 400.0)])
    frames = []
    shuffled = listed.sample(frac=1, random_state=2), later.sample(frac=1, random_state=3)
    for rows, seen in ((listed, touches), shuffled):
        tests, accounts, sources = build_tests(protocol, rows, seen, build_accounts(400))
        frames.append(experiments.judge_tests(tests, accounts, sources, END).compared[RESULTS])
    pd.testing.assert_frame_equal(*frames, rtol=1e-9)  # sums in another order


def test_nothing_gives_tables_without_rows():
    tests, accounts, sources = build_tests([], build_list(0))
    judged = experiments.judge_tests(tests, accounts, sources, END)
    for table in (judged.health, judged.compared, judged.guarded, judged.decisions):
        assert len(table) == 0 and len(table.columns) > 5
    assert experiments.build_claims(judged.decisions, tests).columns.tolist() == CLAIM_COLUMNS
    assert experiments.is_withheld(judged) and len(experiments.list_archive(tests, END)) == 0


def test_a_concluded_test_stands_in_the_archive_from_that_day_on():
    concluded = {"day": pd.Timestamp("2026-07-10").date(), "decision": "stop", "what": "nothing seen"}
    tests, _, _ = build_tests(write_protocol(concluded=concluded), build_list(0), accounts=build_accounts(10))
    assert experiments.list_archive(tests, END)["decision"].tolist() == ["stop"]
    assert experiments.list_archive(tests, pd.Timestamp("2026-07-01")).empty


def test_in_50_worlds_the_planted_effect_is_found_and_the_other_is_not():
    plans = {planted["id"]: planted for planted in demo.TRUTH["experiments"]}
    found = decide_worlds(range(50), CUTOFFS[-1:])  # at one look, the last
    false_alarms = (found["decision"] == "withheld").sum()
    assert false_alarms <= distributions.binom.ppf(0.999, 100, 0.02)  # balance and loss, each at 1 %
    found = found[found["decision"] != "withheld"]
    truth = found["experiment_id"].map({name: planted["effect"] for name, planted in plans.items()})
    is_real = truth > 0
    shipped = found["decision"] == "ship"
    power = distributions.norm.sf(1.96 - 0.12 / np.sqrt((0.24 * 0.76 + 0.12 * 0.88) / 177))
    few, many = distributions.binom.ppf([0.001, 0.999], 50, [power, 0.025])
    assert few <= shipped[is_real].sum() and shipped[~is_real].sum() <= many
    covered = (found["effect_low"] <= truth) & (truth <= found["effect_high"])
    assert covered.sum() >= distributions.binom.ppf(0.001, len(found), 0.95)
    stopped = (found.loc[is_real, "decision"] == "stop").sum()
    wrong = distributions.norm.sf((0.12 - SMALLEST_WORTH + 1.96 * 0.0406) / 0.0406)
    assert stopped <= distributions.binom.ppf(0.999, 50, wrong)
