"""Notebook 02 on data made by others, and on an extract that has hardly anything."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from cells import run_cells

NAME = "02_trait_analysis"
SAYS_SOMETHING = {"confirmed", "promising", "untested", "contradicted"}
RAVEN = {
    "accounts": """SELECT account_id, strftime(strptime(signup_date, '%d-%m-%Y'), '%Y-%m-%d') AS created_at, industry,
        country, referral_source AS lead_source, plan_tier FROM ravenstack_accounts""",
    "opportunities": """SELECT subscription_id AS opportunity_id, account_id,
        strftime(strptime(start_date, '%d-%m-%Y'), '%Y-%m-%d') AS created_at,
        strftime(strptime(start_date, '%d-%m-%Y'), '%Y-%m-%d') AS closed_at,
        CASE WHEN lower(is_trial) = 'true' THEN 'lost' ELSE 'won' END AS status, arr_amount AS amount,
        'new' AS type FROM ravenstack_subscriptions""",
    "revenue": """WITH paid AS (SELECT account_id, CAST(mrr_amount AS DOUBLE) AS mrr,
            date_trunc('month', strptime(start_date, '%d-%m-%Y')) AS first,
            date_trunc('month', coalesce(strptime(nullif(end_date, ''), '%d-%m-%Y'), TIMESTAMP '2024-12-01')) AS last
            FROM ravenstack_subscriptions WHERE lower(is_trial) = 'false')
        SELECT account_id, strftime(month, '%Y-%m-%d') AS month, CAST(sum(mrr) AS VARCHAR) AS revenue
        FROM (SELECT account_id, mrr, unnest(generate_series(first, last, INTERVAL 1 MONTH)) AS month FROM paid)
        GROUP BY ALL""",
}


@pytest.fixture(scope="module")
def raven(shared_data, tmp_path_factory):
    """RavenStack as a company: an account's subscriptions are its deals, a trial is one that was not won."""
    source = shared_data / "ravenstack_saas"
    if not source.is_dir():
        pytest.skip("no ravenstack_saas/ in the folder of real data")
    folder = tmp_path_factory.mktemp("ravenstack")
    for table, sql in RAVEN.items():
        (folder / f"{table}.sql").write_text(sql, encoding="utf-8")
    settings = f"name: RavenStack\ncurrency: USD\nraw: {source}\nmax_quarantined: 0.2\n"
    traits = "traits: {industry: , country: , lead_source: , plan_tier: }\n"
    (folder / "icp.yml").write_text(settings + traits, encoding="utf-8")
    return run_cells(NAME, "2024-Q4", folder, folder / "out")


def test_it_claims_nothing_that_its_source_calls_weak(raven):
    """SOURCE.md: plan_tier p = .999, churn by industry p = .066, weak or no planted signal."""
    names, shown = raven
    traits, labels = names["traits"], names["labels"].iloc[0]
    assert labels["n_best"] >= 30 and labels["basis_words"].startswith("gross margin less support")
    assert {"industry", "country", "lead_source", "plan_tier"} <= set(traits["attribute"])
    weak = traits[traits["attribute"].isin(["plan_tier", "industry"])]
    assert not (weak["verdict"].isin(SAYS_SOMETHING)).any()
    assert not names["claims"]["verdict"].isin(["confirmed"]).any()
    assert not set(names["selection"].query("verdict == 'selected'")["attribute"])
    assert "Not one of" in shown


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A company with accounts.csv and opportunities.csv, two traits, and no amount."""
    rng, n = np.random.default_rng(3), 400
    folder = tmp_path_factory.mktemp("bare")
    ids = [f"a{i:04d}" for i in range(n)]
    created = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.uniform(0, 900, n), unit="D")
    status = rng.choice(["won", "lost"], n, p=[0.3, 0.7])
    industry = rng.choice(["Mills", "Yards", "Farms"], n)
    pd.DataFrame({"account_id": ids, "created_at": created.date, "industry": industry}).to_csv(
        folder / "accounts.csv", index=False
    )
    closed = created + pd.to_timedelta(30, unit="D")
    deals = {"opportunity_id": ids, "account_id": ids, "created_at": created.date, "closed_at": closed.date}
    pd.DataFrame({**deals, "status": status}).to_csv(folder / "opportunities.csv", index=False)
    return run_cells(NAME, "2026-Q3", folder, folder / "out")


def test_without_money_every_customer_counts_and_the_page_says_what_is_missing(bare):
    names, shown = bare
    assert names["labelled"].loc[names["labelled"]["is_customer"], "is_best"].all()
    assert "having bought at all: neither revenue nor amounts are known" in shown
    for missing in ("Not measured: needs surveys and revenue", "Not measured: needs contacts"):
        assert missing in shown
    assert "nan" not in shown.lower().replace("finance", "") and "None\n" not in shown
    assert names["traits"]["best_rate"].notna().any() and names["personas"].empty and names["success"].empty


def test_olist_has_origins_to_compare_and_nobody_lost(shared_data, repo, tmp_path):
    """Leads that became sellers, or not yet: without amounts all sellers are best, and open leads are the market."""
    if not (shared_data / "olist").is_dir():
        pytest.skip("no olist/ in the folder of real data")
    folder = tmp_path / "olist"
    shutil.copytree(repo / "data" / "olist", folder)
    settings = (folder / "icp.yml").read_text(encoding="utf-8")
    (folder / "icp.yml").write_text(f"{settings}\nraw: {shared_data / 'olist'}\n", encoding="utf-8")
    names, shown = run_cells(NAME, "2018-Q4", folder, tmp_path / "out")
    market = names["traits"].query("against == 'market' and attribute == 'lead_source'").set_index("level")
    assert market.loc["email", "base_lift"] < 1 < market.loc["unknown", "base_lift"]
    assert "business_segment" not in set(names["traits"]["attribute"])  # known only for sellers
    assert (names["traits"].query("against == 'lost'")["verdict"] == "not enough data").all()
    assert "having bought at all" in shown and "nan" not in shown.lower()
