"""The data check: every row is accounted for, thin and late traits are flagged, and what is missing is named."""

from __future__ import annotations

import pandas as pd
import pytest

from icp_lib import quality
from icp_lib import run as runs
from icp_lib.schemas import NEEDS

ACCOUNTS = "account_id,created_at,account_type\nA1,2024-01-01,\nA2,2024-01-01,\nA3,2024-09-01,\nA4,2024-01-01,test\n"
DEALS = (
    "opportunity_id,account_id,created_at,closed_at,status,amount,type\n"
    "O1,A1,2024-02-01,2024-03-01,won,100,\n"  # analysed, won
    "O2,A1,2024-02-01,2024-08-01,won,100,\n"  # won after the quarter: open
    "O3,A1,2024-02-01,2024-08-01,won,100,renewal\n"  # not relevant, won later
    "O4,A2,2024-02-01,2024-03-01,won,100,renewal\n"  # not relevant, won
    "O5,A2,2024-02-01,,open,1,\n"  # too small
    "O6,A3,2024-09-02,2024-09-03,won,100,\n"  # dated after the quarter
    "O7,A4,2024-02-01,2024-03-01,won,100,\n"  # belongs to a test account
    "O8,A2,2024-02-01,2024-01-01,won,100,\n"  # quarantined
    "O1,A1,2024-02-01,2024-03-01,won,100,\n"  # copy
)


@pytest.fixture
def population(company, tmp_path):
    settings = "max_quarantined: 1\nrelevant: {min_amount: 50}"
    run = runs.start_run(
        "2024-Q2", str(company(settings, accounts=ACCOUNTS, opportunities=DEALS)), str(tmp_path / "out")
    )
    return quality.build_population(run.extract.population, run.visible)


def test_every_row_is_followed_from_the_file_to_the_analysis(population):
    assert population[population["table"] == "opportunities"].drop(columns="table").values.tolist() == [
        ["read", "", 9, 8],
        ["quarantined", "", 1, 1],
        ["excluded", "belongs to an excluded account", 1, 1],
        ["excluded", "identical copy", 1, 1],
        ["excluded", "dated after the quarter", 1, 1],
        ["excluded", "not relevant by icp.yml (type, amount)", 3, 1],
        ["analysed", "1 won after the quarter count as open", 2, 1],
    ]
    accounts = population[population["table"] == "accounts"]
    assert accounts[["step", "reason", "n_rows"]].values.tolist() == [
        ["read", "", 4],
        ["excluded", "test", 1],
        ["excluded", "dated after the quarter", 1],
        ["analysed", "", 2],
    ]
    assert quality.is_reconciled(population)


def test_a_lost_row_is_noticed(population):
    assert not quality.is_reconciled(population.assign(n_rows=population["n_rows"].replace(9, 10)))


def test_steps_in_words(population):
    words = quality.pick_table(population, "accounts")["what"].tolist()
    assert words == ["read", "excluded: test", "excluded: dated after the quarter", "analysed"]


def test_failures_come_first(load):
    checks = quality.build_data_checks(
        load(
            accounts="account_id,created_at\nA1,2024-01-01\nA2,2024-01-01\nA2,2024-01-01\nA3,2024-01-01\nA4,soon\n",
        ).checks
    )
    assert checks["status"].tolist() == ["fail", "warn", *["pass"] * (len(checks) - 2)]
    assert checks.loc[0, ["rule", "n_rows", "n_checked", "share", "examples"]].tolist() == ["readable", 1, 5, 0.2, "A4"]
    assert checks.loc[1, "rule"] == "identical copy"


def world(n_won=100, n_lost=100, filled_won=100, filled_lost=100):
    filled = (
        [True] * filled_won + [False] * (n_won - filled_won) + [True] * filled_lost + [False] * (n_lost - filled_lost)
    )
    return pd.DataFrame(
        {
            "industry": pd.Series(["x" if is_filled else None for is_filled in filled], dtype="str"),
            "buyer_role": "CFO",
            "n_won": [1] * n_won + [0] * n_lost,
            "n_lost": [0] * n_won + [1] * n_lost,
            "n_opportunities": 1,
        }
    )


@pytest.mark.parametrize(
    ("frame", "status", "note"),
    [
        (world(), "pass", ""),
        (world(filled_won=90, filled_lost=90), "pass", ""),
        (world(filled_won=100, filled_lost=89), "warn", "Filled in more often for won deals: after the sale?"),
        (world(filled_won=79, filled_lost=79), "warn", "Filled in for 79%"),
        (world(filled_won=88, filled_lost=100), "warn", "Filled in less often for won deals"),
        (world(n_won=10, n_lost=10, filled_won=10, filled_lost=8), "pass", ""),  # a gap of 20 points that luck gives
        (world(filled_won=0, filled_lost=0), "warn", "Not in the extract"),
    ],
)
def test_coverage(frame, status, note):
    row = quality.estimate_coverage(frame, {"industry": {}, "buyer_role": {}}).set_index("attribute").loc["industry"]
    assert (row["status"], row["note"]) == (status, note)
    n_won = int(frame["n_won"].sum())
    won, lost = frame["industry"].notna()[:n_won].mean(), frame["industry"].notna()[n_won:].mean()
    assert row["coverage_rate"] == pytest.approx(frame["industry"].notna().mean())
    assert row["gap_rate"] == pytest.approx(won - lost)
    assert row["gap_rate_low"] <= row["gap_rate"] <= row["gap_rate_high"]


def test_coverage_of_an_absent_trait_and_of_no_accounts():
    frame = quality.estimate_coverage(world(), {"country": {}, "industry": {}})
    assert frame["attribute"].tolist() == ["country", "industry"] and frame.loc[0, "coverage_rate"] == 0
    nothing = quality.estimate_coverage(world(0, 0, 0, 0), {"industry": {}})
    assert nothing["coverage_rate"].isna().all()


def test_the_buyer_s_role_is_asked_only_of_accounts_with_a_deal():
    frame = world().assign(buyer_role=["CFO", *[None] * 199], n_opportunities=[1, *[0] * 199])
    assert quality.estimate_coverage(frame, {"buyer_role": {}}).loc[0, ["n_accounts", "coverage_rate"]].tolist() == [
        1,
        1,
    ]


def test_readiness_names_what_is_missing():
    present = {"accounts": ["account_id"], "opportunities": ["opportunity_id", "amount"]}
    frame = quality.build_readiness(list(NEEDS), present, {"accounts": 3, "opportunities": 3}).set_index("notebook")
    assert frame.index.tolist() == list(NEEDS)
    assert frame.loc["00_data_check", "status"] == "ready"
    assert frame.loc["01_segment_discovery", ["status", "would_add"]].tolist() == [
        "partly",
        "opportunities.gross_margin",
    ]
    assert frame.loc["03_acquisition_efficiency", ["status", "missing"]].tolist() == [
        "not measured",
        "spend (month, category, amount)",
    ]
    assert "experiments.yml" in frame.loc["06_icp_ab_test", "missing"]
    frame = quality.build_readiness(list(NEEDS), present, {}, {"experiments.yml"})
    assert "experiments.yml" not in frame.loc[6, "missing"]


def test_a_table_whose_rows_are_all_later_is_not_ready():
    present = {"accounts": ["account_id"], "opportunities": ["opportunity_id"]}
    frame = quality.build_readiness(["00_data_check"], present, {"accounts": 3, "opportunities": 0})
    assert frame.loc[0, ["status"]].tolist() == ["not measured"]


def test_stale_pipeline():
    cutoff = pd.Timestamp("2026-01-01")
    deals = pd.DataFrame(
        {
            "owner_id": ["S1", "S1", None, "S2", "S3"],
            "created_at": cutoff - pd.to_timedelta([365, 366, 400, 900, 900], unit="D"),
            "status": ["open", "open", "open", "won", "open"],
            "is_relevant": [True, True, True, True, False],
        }
    )
    frame = quality.estimate_stale(deals, cutoff)
    assert frame[["owner_id", "n_open", "n_stale", "stale_rate", "oldest_days"]].values.tolist() == [
        ["(none)", 1, 1, 1.0, 400],
        ["S1", 2, 1, 0.5, 366],
    ]
    assert (frame["stale_rate_low"] < frame["stale_rate_high"]).all()
    assert quality.estimate_stale(deals.iloc[:0], cutoff).empty


def test_one_row_for_the_first_sentences(population):
    checks = pd.DataFrame({"status": ["fail", "warn", "warn", "pass"]})
    coverage = pd.DataFrame({"coverage_rate": [0.5, 0.9]})
    row = quality.summarise(population, checks, coverage).loc[0]
    assert row[["n_read", "n_quarantined", "n_excluded", "n_analysed"]].tolist() == [9, 1, 6, 2]
    assert row[["n_checks", "n_fail", "n_warn", "n_traits", "n_thin"]].tolist() == [4, 1, 2, 2, 1]


def test_what_was_assumed_is_told(company, tmp_path):
    folder = company(deals_2025="x\n", accounts="account_id,created_at\nA1,31.12.2023\nA2,1.1.2024\nA3,2.1.2024\n")
    run = runs.start_run("2024-Q2", str(folder), str(tmp_path / "out"))
    frame = quality.build_reading(run.extract.facts)
    assert frame.loc[0].tolist() == ["accounts", "created_at", "dates written %d.%m.%Y"]
    assert frame.iloc[-1]["column"] == "deals_2025.csv" and frame.iloc[-1]["read_as"].startswith("not read: no table")
