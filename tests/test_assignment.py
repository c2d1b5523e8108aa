"""Who takes part in a test, and the lot: by strata, families whole, among the best tenth of draws, never twice."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from experiments_of import DAY, build_accounts, build_deals, write_protocol

from icp_lib import __main__ as command
from icp_lib import designs, randomisation
from icp_lib.assignment import (
    assign_accounts,
    build_strata,
    estimate_flow,
    find_eligible,
    find_taken,
)
from icp_lib.checks import DataError
from icp_lib.protocols import Candidate, Protocols
from icp_lib.studies import numeric_columns

ALL = Candidate(id="makers")


def test_customers_open_deals_other_tests_and_their_families_are_not_eligible():
    accounts = build_accounts(8)
    accounts.loc[1, "family_id"] = "A00000"
    accounts.loc[7, "created_at"] = DAY + pd.Timedelta(days=1)
    deals = build_deals([("A00000", -50, -20, "won", 1.0), ("A00002", -5, None, "open", np.nan),
                         ("A00003", -50, -20, "lost", np.nan), ("A00004", -5, 3, "lost", np.nan),
                         ("A00005", 2, None, "open", np.nan)])  # fmt: skip
    free = find_eligible(ALL, accounts, deals, DAY, ["A00006"])
    assert free["account_id"].tolist() == ["A00003", "A00005"]


def test_arms_are_even_in_every_stratum_and_families_are_whole():
    accounts = build_accounts(120, country=np.repeat(np.resize(["DE", "DE", "NL"], 60), 2))
    accounts["family_id"] = [f"F{i // 2}" for i in range(120)]
    plan = {"n_per_arm": 40, "stratify_by": ["country"], "balance_on": ["employees"]}
    drawn, audit = assign_accounts(write_protocol(assignment=plan), accounts, build_deals())
    counts = drawn.groupby(["stratum", "arm"]).size().unstack()
    assert len(drawn) == 80 and (counts.diff(axis=1).iloc[:, -1].abs() <= 2).all()
    arms = drawn.merge(accounts[["account_id", "family_id"]]).groupby("family_id")["arm"].nunique()
    assert (arms == 1).all()
    assert audit["balance"].iloc[0] <= audit["threshold"].iloc[0] and audit["n_draws"].iloc[0] == 1000
    assert list(drawn.columns)[:4] == ["experiment_id", "account_id", "arm", "candidate"]


def test_equal_seeds_give_equal_lists_and_others_do_not():
    accounts = build_accounts(100)
    protocols = [write_protocol(assignment={"seed": seed}) for seed in (1, 1, 2)]
    lists = [assign_accounts(each, accounts, build_deals())[0] for each in protocols]
    assert lists[0].equals(lists[1]) and not lists[0].equals(lists[2])


def test_shuffled_accounts_give_the_same_list():
    accounts, protocol = build_accounts(100), write_protocol(assignment={"balance_on": ["employees"]})
    shuffled = accounts.sample(frac=1, random_state=3)
    one, other = (assign_accounts(protocol, table, build_deals())[0] for table in (accounts, shuffled))
    pd.testing.assert_frame_equal(one, other)


def test_the_lot_is_among_the_best_tenth_and_not_the_best():
    accounts, places = build_accounts(60), []
    size = numeric_columns(accounts["employees"], "employees")["employees"].to_numpy()[:, None]
    every = randomisation.draw_arms(np.zeros(60, int), {"as_usual": 1, "letter": 1}, n_draws=4000, seed=5)
    distances = np.sort(randomisation.balance(every, size, 2))
    for seed in range(40):
        plan = {"balance_on": ["employees"], "seed": seed}
        _, audit = assign_accounts(write_protocol(assignment=plan), accounts, build_deals())
        places.append(np.searchsorted(distances, audit["balance"].iloc[0]) / len(distances))
    assert max(places) < 0.15  # the threshold is itself estimated on 1,000 draws
    assert np.mean(places) == pytest.approx(0.05, abs=0.02)  # even over the best tenth: s.e. 0.0046


def test_a_sample_test_takes_as_many_of_each_candidate():
    accounts = build_accounts(90, country=np.resize(["DE", "DE", "NL"], 90))
    rules = {name: [{"attribute": "country", "op": "is", "value": name}] for name in ("DE", "NL")}
    candidates = [{"id": name, "conditions": rules[name]} for name in rules]
    protocol = write_protocol(design="sample", candidate=None, candidates=candidates, control="DE", arms=["letter"])
    drawn, audit = assign_accounts(protocol, accounts, build_deals())
    assert drawn["candidate"].value_counts().to_dict() == {"DE": 30, "NL": 30} and set(drawn["arm"]) == {"letter"}
    assert audit["candidate"].tolist() == ["DE", "NL"]


def test_more_of_the_current_effort_than_agreed_is_refused():
    accounts = build_accounts(100)
    deals = build_deals([(f"A{i:05d}", -90, -30, "lost", np.nan) for i in range(50)])
    flow = estimate_flow(ALL, accounts, deals, DAY, 50, 100)
    assert flow["share_of_new"] == pytest.approx(0.5) and np.isnan(flow["share_of_margin"])
    said = "would use 50% of the effort, counted by the new opportunities of the year before; max_share is 20%"
    with pytest.raises(DataError, match=said):
        assign_accounts(write_protocol(), accounts, deals)


def test_customers_do_not_dilute_the_share_of_the_effort_and_an_unknown_amount_is_the_mean():
    """Of 100 accounts 60 are customers: 20 worked of the 40 that can be are half, not a fifth."""
    accounts = build_accounts(100)
    won = [(f"A{i:05d}", -90, -30, "won", 100.0 if i else np.nan) for i in range(60)]
    lost = [(f"A{i:05d}", -90, -30, "lost", np.nan) for i in range(60, 100)]
    with pytest.raises(DataError, match="would use 50% of the effort, counted by the new opportunities"):
        assign_accounts(write_protocol(assignment={"n_per_arm": 20}), accounts, build_deals(won + lost))
    half = Candidate(id="few", conditions=[{"attribute": "employees", "op": "is", "value": 1.0}])
    flow = estimate_flow(half, accounts, build_deals(won), DAY, 1, 1)  # A00000 and A00050 of 60 alike
    assert flow["share_of_margin"] == pytest.approx(2 / 60)


def test_an_amount_without_a_margin_takes_the_default_rate():
    """Two alike halves: one gives margins of 30, the other amounts of 100 at a rate of 30 %."""
    won = build_deals([(f"A{i:05d}", -90, -30, "won", 30.0 if i < 25 else np.nan) for i in range(50)])
    won["amount"] = np.where(won["gross_margin"].isna(), 100.0, np.nan)
    first = Candidate(id="few", conditions=[{"attribute": "employees", "op": "between", "value": [None, 26]}])
    flow = estimate_flow(first, build_accounts(50), won, DAY, 25, 25, gross_margin_rate=0.3)
    assert flow["share_of_margin"] == pytest.approx(0.5)


def test_mistakes_are_named():
    accounts = build_accounts(100)
    with pytest.raises(DataError, match=r"no account has 'contry'\. Did you mean 'country'"):
        build_strata(accounts.assign(country="DE"), ["contry"])
    with pytest.raises(DataError, match="2 accounts of makers are free, too few"):
        assign_accounts(write_protocol(), accounts.head(2), build_deals())
    wrong = {"conditions": [{"attribute": "employes", "op": "between", "value": [1.0, None]}]}
    with pytest.raises(DataError, match="Did you mean 'employees'"):
        assign_accounts(write_protocol(**wrong), accounts, build_deals())


def test_an_account_is_taken_while_its_window_is_open():
    listed = pd.DataFrame({"experiment_id": ["letter", "letter", "other"], "account_id": ["A", "B", "C"],
                           "assigned_at": [DAY, DAY - pd.Timedelta(days=60), DAY - pd.Timedelta(days=900)]})
    protocols = Protocols({"letter": write_protocol()}, {})
    assert find_taken(listed, protocols, DAY + pd.Timedelta(days=10)) == {"A", "C"}


def write_call(company, tmp_path, rules: str) -> list[str]:
    """Write sixty shops with a protocol for them, and return the command that draws its arms."""
    rows = "".join(f"A{i},2024-01-01,Retail\n" for i in range(60))
    folder = company(accounts="account_id,created_at,industry\n" + rows)
    protocol = (
        "experiments:\n  - {id: letter, question: q, candidate: shops, arms: [letter, as_usual], control: as_usual,\n"
        f"     assigned_on: 2026-03-02, max_share: 1.0, {rules},\n"
        "     primary: {metric: opportunity_rate, window_days: 90},\n"
        "     decision: {ship: a, stop: b, continue: c, cannot answer: d}}\n"
    )
    (folder / "experiments.yml").write_text(protocol, encoding="utf-8")
    return ["assign", "--experiment", "letter", "--data", str(folder), "--out", str(tmp_path / "out")]


@pytest.mark.parametrize(("expected", "mde", "is_warned"), [(0.2, 0.1, True), (0.2, 0.5, False)])
def test_the_command_warns_where_the_accounts_are_too_few(company, tmp_path, capsys, expected, mde, is_warned):
    """The numbers are those that the design gives for 30 accounts in each group."""
    call = write_call(company, tmp_path, f"mde: {mde}, expected_rate: {expected}")
    assert command.main(call) == 0
    said = capsys.readouterr().out
    assert ("WARNING: Letter for shops cannot answer with these accounts: " in said) == is_warned
    needed = designs.required_accounts(mde, rate=expected)
    assert (f"10 pt was agreed, which needs {needed}." in said) == is_warned and "Write `agreed: " in said


def test_the_command_writes_a_list_once(company, tmp_path, capsys):
    call = write_call(company, tmp_path, "mde: 0.1")
    assert command.main(call) == 0
    said = capsys.readouterr().out
    drawn = pd.read_csv(tmp_path / "out" / "assignments" / "letter.csv")
    assert set(drawn["arm"].value_counts()) <= {28, 29, 30} and "Write `agreed: " in said
    assert (tmp_path / "out" / "assignments" / "letter_audit.csv").exists()
    assert command.main(call) == 2 and "has its list already" in capsys.readouterr().err
