"""Every way in which a test can be unfair is named with its counts, and withholds its result; nothing is lost."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from experiments_of import DAY, build_accounts, build_list, build_tests, meet, write_protocol

from icp_lib import experiments
from icp_lib.experiment_health import check_health, list_withheld
from icp_lib.moments import Cutoff
from icp_lib.protocols import Protocols
from icp_lib.studies import build_studies, is_reconciled

N = 120
MET = meet([f"A{i:05d}" for i in range(0, N, 3)])


def judge(protocol, listed, **given):
    """Health and all results of one test, and its checks by name."""
    tests, accounts, sources = build_tests(protocol, listed, **({"touches": MET} | given))
    judged = experiments.judge_tests(tests, accounts, sources, pd.Timestamp("2026-10-01"))
    return judged, judged.health.set_index("check"), tests


def is_withheld(judged) -> bool:
    table = judged.decisions
    return (table["decision"] == "withheld").all() and judged.compared["effect"].isna().all() and len(table) > 0


def test_a_fair_test_passes_every_check():
    judged, checks, tests = judge(write_protocol(), build_list(N))
    assert set(checks["state"]) == {"passed"} and not judged.withheld and is_reconciled(tests)
    assert judged.compared["effect"].notna().all()


def test_no_protocol_is_named_and_the_list_is_kept():
    accounts, listed = build_accounts(N), build_list(N)
    _, _, sources = build_tests(write_protocol(), listed, MET)
    found = build_studies(Protocols({}, {}), listed, pd.DataFrame(), accounts, sources, [pd.Timestamp("2026-10-01")])
    health = check_health(found)
    assert health["state"].tolist() == ["failed", "passed"] and "has no experiment 'letter'" in health["found"][0]
    assert len(found[0].lines) == N and list_withheld(health)["letter"].startswith("Protocol before launch")


def test_a_protocol_with_a_mistake_withholds_only_its_own_test():
    listed = pd.concat([build_list(N), build_list(N, name="call", first=N)], ignore_index=True)
    accounts = build_accounts(2 * N)
    _, _, sources = build_tests(write_protocol(), listed, MET, accounts)
    known = Protocols({"letter": write_protocol()}, {"call": "experiments.yml, call: the key 'mdee' is not known."})
    found = build_studies(known, listed, pd.DataFrame(), accounts, sources, [pd.Timestamp("2026-10-01")])
    judged = experiments.judge_tests(found, accounts, sources, pd.Timestamp("2026-10-01"))
    decided = judged.decisions.set_index("experiment_id")["decision"]
    assert decided["call"] == "withheld" and decided["letter"] != "withheld"


def test_a_protocol_written_after_the_first_account_is_none():
    judged, checks, _ = judge(write_protocol(written_on=(DAY + pd.Timedelta(days=2)).date()), build_list(N))
    assert checks.loc["Protocol before launch", "state"] == "failed" and is_withheld(judged)


@pytest.mark.parametrize(("zone", "hour"), [("Europe/Berlin", -2), ("America/Los_Angeles", 7), ("UTC", 0)])
@pytest.mark.parametrize(("ago", "state"), [(0, "failed"), (1, "passed")])
def test_the_day_of_the_first_account_is_that_of_the_company(zone, hour, ago, state):
    """Assigned at midnight of 20 April on the company's clock, the protocol written that day or the day before."""
    day = pd.Timestamp("2026-04-20")
    plan = write_protocol(written_on=(day - pd.Timedelta(days=ago)).date(), assigned_on=day.date())
    listed = build_list(N, assigned_at=day + pd.Timedelta(hours=hour), exposed_at=pd.NaT)
    cutoff = Cutoff.at_end(pd.Timestamp("2026-09-30").date(), zone)
    row = judge(plan, listed, cutoffs=[cutoff])[1].loc["Protocol before launch"]
    assert row["state"] == state
    assert state == "passed" or "the first account was assigned on 20 Apr 2026" in row["found"]


def test_a_changed_rule_is_found_by_its_fingerprint():
    agreed = write_protocol().hash
    judged, checks, _ = judge(write_protocol(mde=0.05, agreed=agreed), build_list(N))
    assert agreed in checks.loc["Protocol before launch", "found"] and is_withheld(judged)


def test_coin_filled_arms_of_uneven_size_are_found_and_made_arms_are_not_asked():
    listed = build_list(N, arms=("letter", "letter", "as_usual"))
    judged, checks, _ = judge(write_protocol(assignment={"filled_by": "coin"}), listed)
    assert "40 as usual against 80 letter" in checks.loc["Sizes of the groups", "found"] and is_withheld(judged)
    assert judged.withheld["letter"].startswith("Sizes of the groups: the groups are uneven")
    judged, checks, _ = judge(write_protocol(), listed)
    assert "Sizes of the groups" not in checks.index and not judged.withheld


@pytest.mark.parametrize("through_quarantine", [False, True])
def test_an_account_in_two_arms_is_named(through_quarantine):
    listed, aside = build_list(N), None
    twin = listed.head(1).assign(arm="as_usual")
    if through_quarantine:
        rows = pd.concat([listed.head(1), twin]).astype(str).assign(reason="account_id: duplicate key")
        listed, aside = listed.iloc[1:], rows
    else:
        listed = pd.concat([listed, twin], ignore_index=True)
    judged, checks, tests = judge(write_protocol(), listed, set_aside=aside, accounts=build_accounts(N))
    assert "2 in two groups. First: A00000." in checks.loc["Assignment list", "found"] and is_withheld(judged)
    assert len(tests[0].lines) == N + 1 and is_reconciled(tests)


def test_unknown_accounts_are_counted_and_a_list_of_them_is_refused():
    judged, checks, _ = judge(write_protocol(), build_list(N), accounts=build_accounts(N - 2))
    assert "2 account not among the accounts" in checks.loc["Assignment list", "found"] and not judged.withheld
    judged, checks, _ = judge(write_protocol(), build_list(N), accounts=build_accounts(2).assign(account_id=["x", "y"]))
    assert checks.loc["Assignment list", "state"] == "failed"
    assert judged.decisions["decision"].tolist() == ["withheld"]


def test_accounts_lost_from_one_arm_alone_are_found():
    listed = build_list(N)
    lost = set(listed.loc[listed["arm"] == "letter", "account_id"].head(12))
    accounts = build_accounts(N)
    judged, checks, _ = judge(write_protocol(), listed, accounts=accounts[~accounts["account_id"].isin(lost)])
    assert "letter 12 of 60" in checks.loc["Loss by group", "found"] and is_withheld(judged)
    both = set(listed["account_id"].head(24))
    judged, checks, _ = judge(write_protocol(), listed, accounts=accounts[~accounts["account_id"].isin(both)])
    assert checks.loc["Loss by group", "state"] == "passed" and not judged.withheld


def test_accounts_worked_before_their_assignment_are_named():
    listed = build_list(N)
    listed.loc[0, "exposed_at"] = DAY - pd.Timedelta(days=3)
    judged, checks, _ = judge(write_protocol(), listed)
    assert "1 accounts were worked before" in checks.loc["Assigned first", "found"] and is_withheld(judged)


def test_an_arm_that_nobody_worked_is_named():
    judged, checks, _ = judge(write_protocol(), build_list(N).assign(exposed_at=pd.NaT))
    assert "0 of 60 in letter" in checks.loc["Worked as planned", "found"] and is_withheld(judged)


def test_a_control_worked_as_the_arm_is_found_and_a_few_are_noted():
    judged, checks, _ = judge(write_protocol(), build_list(N).assign(exposed_at=DAY + pd.Timedelta(days=2)))
    assert "60 of 60 accounts in the group as" in checks.loc["Control left alone", "found"] and is_withheld(judged)
    listed = build_list(N)
    listed.loc[1, "exposed_at"] = DAY + pd.Timedelta(days=2)
    judged, checks, _ = judge(write_protocol(), listed)
    assert checks.loc["Control left alone", "state"] == "noted" and not judged.withheld


def test_two_tests_on_one_account_at_once_are_found():
    protocols = [write_protocol(), write_protocol(id="call", arms=["letter", "as_usual"])]
    listed = pd.concat([build_list(N), build_list(N, name="call")], ignore_index=True)
    judged, checks, _ = judge(protocols, listed, accounts=build_accounts(N))
    assert checks.loc["One test at a time", "found"].str.startswith("120 of 120").all() and is_withheld(judged)
    later = listed.assign(assigned_at=listed["assigned_at"].where(listed["experiment_id"] == "letter",
                                                                  DAY + pd.Timedelta(days=60)))  # fmt: skip
    later["exposed_at"] = later["exposed_at"].where(later["exposed_at"].isna(), later["assigned_at"])
    _, checks, _ = judge(protocols, later, accounts=build_accounts(N))
    assert checks.loc["One test at a time", "state"].eq("passed").all()


CALL = meet(["A00000"], kind="Call")


@pytest.mark.parametrize(("touches", "said"), [(CALL, "the commonest are Call"), (None, "needs touches")])
def test_a_metric_that_nobody_has_is_named(touches, said):
    judged, checks, _ = judge(write_protocol(), build_list(N), touches=touches)
    assert said in checks.loc["Metric", "found"] and is_withheld(judged)


def test_arms_that_the_protocol_does_not_know_are_named():
    judged, checks, _ = judge(write_protocol(), build_list(N, arms=("leter", "as_usual")))
    assert checks.loc["Groups", "found"] == "'leter' is not in the protocol; 'letter' has no account."
    assert judged.decisions["decision"].tolist() == ["withheld"]


def test_families_that_a_coin_assigned_whole_are_counted_and_compared_as_families():
    """Of 30 families of four, 20 went to one arm: by luck in one of ten lists, though 80 to 40 accounts never are."""
    arm, family = (np.repeat(values, 4) for values in (np.resize(["letter", "letter", "as_usual"], 30), range(30)))
    listed = build_list(N).assign(arm=arm)
    listed["exposed_at"] = (DAY + pd.Timedelta(days=1) + pd.Series(pd.Timedelta(0), range(N))).where(arm == "letter")
    size = np.where(arm == "letter", 30.0, 20.0) + np.repeat(np.arange(30) * 7 % 30, 4)
    accounts = build_accounts(N, employees=size).assign(family_id=[f"F{each}" for each in family])
    judged, checks, _ = judge(write_protocol(assignment={"filled_by": "coin"}), listed, accounts=accounts)
    assert "in 10 and 20 families" in checks.loc["Sizes of the groups", "found"]
    assert (checks.loc[["Sizes of the groups", "Alike before"], "p_value"] > 0.01).all() and not judged.withheld
    gone = accounts["family_id"].isin(["F0", "F1", "F3", "F4"])  # whole families, of one arm: listed twice in error
    twice = listed[gone.to_numpy()]
    judged, checks, _ = judge(write_protocol(), pd.concat([listed, twice], ignore_index=True), accounts=accounts)
    assert "letter 16 of" in checks.loc["Loss by group", "found"] and checks.loc["Loss by group", "state"] == "passed"


def test_a_few_accounts_of_an_arm_are_too_few_to_say_that_nobody_is_worked():
    for n_over, state in ((6, "not made yet"), (40, "failed")):
        dates = np.where(np.arange(N) < n_over, DAY - pd.Timedelta(days=60), pd.Timestamp("2026-09-20"))
        listed = build_list(N, assigned_at=pd.to_datetime(dates)).assign(exposed_at=pd.NaT)
        _, checks, _ = judge(write_protocol(), listed)
        assert checks.loc["Worked as planned", "state"] == state


def test_arms_that_differed_before_are_found():
    listed = build_list(N)
    size = listed["arm"].map({"letter": 40.0, "as_usual": 5.0}) + pd.Series(range(N)) % 7
    judged, checks, _ = judge(write_protocol(), listed, accounts=build_accounts(N, employees=size))
    assert "employees" in checks.loc["Alike before", "found"] and is_withheld(judged)
