"""A real company's data (Olist, Brazil, 2016-2018) on the whole road from its CSV files to the account table."""

from __future__ import annotations

import pandas as pd
import pytest
from companies import leave_out

from icp_lib import publish, quality, value
from icp_lib import run as runs


@pytest.fixture(scope="module")
def run(shared_data, tmp_path_factory):
    """Every marketing lead is an account with one deal: won where it is among the closed deals, else open."""
    source = shared_data / "olist"
    if not source.is_dir():
        pytest.skip("no olist/ in the folder of real data")
    folder = tmp_path_factory.mktemp("olist")
    leads = pd.read_csv(source / "olist_marketing_qualified_leads_dataset.csv", dtype="str")
    won = pd.read_csv(source / "olist_closed_deals_dataset.csv", dtype="str").set_index("mql_id")
    accounts = leads.rename(
        columns={"mql_id": "account_id", "first_contact_date": "created_at", "origin": "lead_source"}
    )
    accounts[["account_id", "created_at", "lead_source"]].to_csv(folder / "accounts.csv", index=False)
    deals = pd.DataFrame(
        {
            "opportunity_id": leads["mql_id"],
            "account_id": leads["mql_id"],
            "created_at": leads["first_contact_date"],
            "closed_at": leads["mql_id"].map(won["won_date"]),
            "status": leads["mql_id"].isin(won.index).map({True: "won", False: "open"}),
            "owner_id": leads["mql_id"].map(won["sr_id"]),
        }
    )
    deals.to_csv(folder / "opportunities.csv", index=False)
    (folder / "icp.yml").write_text("name: Olist\ncurrency: BRL\ntraits: {lead_source: }\n", encoding="utf-8")
    return runs.start_run("2018-Q2", str(folder), str(folder / "out"))


def test_all_leads_are_read_and_only_the_deal_won_before_it_began_is_set_aside(run):
    population = run.extract.population.set_index(["table", "step"])
    assert population.loc[("accounts", "kept"), "n_rows"] == 8000
    assert population.loc[("opportunities", "read"), ["n_rows", "n_won"]].tolist() == [8000, 842]
    assert population.loc[("opportunities", "quarantined"), ["n_rows", "n_won"]].tolist() == [1, 1]
    errors = run.extract.checks.query("severity == 'error' and n_rows > 0")
    (said,) = errors["message"]
    assert said.startswith(
        "opportunities.csv, column closed_at: 1 of 8,000 rows close more than a day before they were created"
    )
    deals = pd.read_csv(run.data / "opportunities.csv", dtype="str")
    early = deals[pd.to_datetime(deals["closed_at"]) < pd.to_datetime(deals["created_at"]) - pd.Timedelta(days=1)]
    assert f"(first: line {early.index[0] + 2:,}, opportunity_id {early['opportunity_id'].iloc[0]}: " in said


def test_722_are_won_by_the_end_of_the_quarter_and_721_analysed(run):
    deals = pd.read_csv(run.data / "opportunities.csv", dtype="str")
    assert (pd.to_datetime(deals["closed_at"]) < "2018-07-01").sum() == 722
    assert (run.opportunities["status"] == "won").sum() == run.accounts["n_won"].sum() == 721
    population = quality.build_population(run.extract.population, run.visible)
    analysed = population.query("table == 'opportunities' and step == 'analysed'").iloc[0]
    assert analysed[["n_rows", "n_won", "reason"]].tolist() == [7999, 721, "120 won after the quarter count as open"]
    assert quality.is_reconciled(population)


def test_without_amounts_the_measure_is_the_win_rate(run):
    chosen = value.choose_measure(run.opportunities, run.settings.measure).iloc[0]
    assert chosen["measure"] == "win_rate" and chosen["declared"] == "margin_per_day"
    assert chosen["note"] == "No opportunity has an amount, so the value measure is the win rate."


def test_sixty_leads_have_no_origin(run):
    coverage = quality.estimate_coverage(run.accounts, run.traits).iloc[0]
    assert coverage["coverage_rate"] == pytest.approx(1 - 60 / 8000)


def test_the_report_shows_the_counts_and_says_what_the_measure_is(run, tmp_path, monkeypatch):
    leave_out(monkeypatch)
    folder, whole = publish.make_report("2018-Q2", str(run.data), str(tmp_path / "out"), say=lambda words: None)
    assert whole
    check, levels = (
        (folder / f"{name}.html").read_text(encoding="utf-8") for name in ("00_data_check", "01_segment_discovery")
    )
    assert "We read 8,000 deals and analyse 7,999: 1 cannot be true" in check
    assert "analysed: 120 won after the quarter count as open" in check
    assert "close more than a day before they were created" in check
    assert "No opportunity has an amount, so the value measure is the win rate." in levels
    assert "€" not in levels and "nan" not in levels.lower()
    population = pd.read_csv(folder / "tables" / "population.csv").query("table == 'opportunities'").set_index("step")
    assert population["n_rows"].to_dict() == {"read": 8000, "quarantined": 1, "analysed": 7999}
    assert population.loc["analysed", "n_won"] + population.loc["quarantined", "n_won"] == 722


def test_its_own_sql_gives_the_close_rates_by_origin_and_names_what_only_winners_have(
    shared_data, repo, tmp_path, monkeypatch
):
    """Close rates of SOURCE.md, won leads of all; the one row in quarantine is an organic lead that was won."""
    own, files = repo / "data" / "olist", shared_data / "olist"
    leave_out(monkeypatch)
    folder, whole = publish.make_report("2018-Q4", str(own), str(tmp_path / "out"), str(files), say=lambda words: None)
    assert whole
    levels = pd.read_csv(folder / "tables" / "segment_levels.csv").set_index(["attribute", "level"])
    source = {"unknown": 16.29, "paid_search": 12.30, "direct_traffic": 11.22, "referral": 8.45, "social": 5.56,
              "display": 5.08, "email": 3.04}  # fmt: skip
    rates = levels.loc["lead_source", "close_rate"]
    assert {name: round(100 * rates[name], 2) for name in source} == source
    assert rates["organic_search"] == pytest.approx((2296 * 0.1180 - 1) / 2295, abs=5e-5)
    segment = levels.loc["business_segment"]
    assert segment["note"].eq("Known only for won deals, so it cannot be compared").all()
    assert segment[["lift", "close_rate"]].isna().all(axis=None) and (segment["verdict"] == "not enough data").all()
    page = (folder / "00_data_check.html").read_text(encoding="utf-8")
    assert "Known only for won deals, so it cannot be compared" in page
