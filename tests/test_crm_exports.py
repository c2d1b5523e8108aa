"""Rows of real Salesforce and HubSpot warehouses, scrambled by their publisher: recognised, counted, no traceback."""

from __future__ import annotations

import duckdb
import pandas as pd
import pytest

from icp_lib import extract
from icp_lib.checks import DataError
from icp_lib.feeding import create_text, find_feeds
from icp_lib.opening import find_candidates
from icp_lib.settings import Settings

SALESFORCE = {
    "accounts": ["sf_account_data.csv"], "account_history": ["sf_account_history_data.csv"],
    "contacts": ["sf_contact_data.csv"], "leads": ["sf_lead_data.csv"], "opportunities": ["sf_opportunity_data.csv"],
    "stage_history": ["sf_opportunity_history_data.csv"], "touches": ["sf_event_data.csv", "sf_task_data.csv"],
}  # fmt: skip
HUBSPOT = {
    "accounts": ["company_data.csv"], "account_history": ["company_property_history_data.csv"],
    "contacts": ["contact_data.csv"], "opportunities": ["deal_company_data.csv", "deal_data.csv"],
    "stages": ["deal_pipeline_stage_data.csv"], "campaigns": ["email_campaign_data.csv"],
    "stage_history": ["deal_property_history_data.csv", "deal_stage_data.csv"],
    "touches": [f"engagement_{kind}_data.csv" for kind in
                ("call", "communication", "company", "contact", "deal", "email", "note", "task")],
}  # fmt: skip
#: The accounts lack their creation date, and the publisher scrambled the ids of the deals' accounts and deleted all.
ACCOUNTS = "SELECT id AS account_id, '2018-01-01' AS created_at, industry, is_deleted, name AS account_name FROM {}"
DEALS = (
    "SELECT id AS opportunity_id, '0015500000Xyy06AAB' AS account_id, created_date AS created_at, close_date AS "
    "closed_at, CASE WHEN is_won = 'true' THEN 'won' WHEN is_closed = 'true' THEN 'lost' ELSE 'open' END AS status, "
    "amount FROM {}"
)


@pytest.fixture
def exports(shared_data):
    folder = shared_data / "crm_exports"
    if not folder.is_dir():
        pytest.skip("no crm_exports/ in the folder of real data")
    return folder


@pytest.mark.parametrize(("folder", "expected"), [("dbt_salesforce_seeds", SALESFORCE), ("dbt_hubspot_seeds", HUBSPOT)])
def test_every_file_is_a_table_or_told_why_not(exports, tmp_path, folder, expected):
    paths = find_candidates(exports / folder)
    feeds, unread = find_feeds(tmp_path, paths, Settings(), tmp_path)
    assert {table: [feed.file.path.name for feed in fed] for table, fed in feeds.items()} == expected
    assert {path.name for path in paths} == unread.keys() | {name for names in expected.values() for name in names}
    assert all(unread.values())


@pytest.mark.parametrize("folder", ["dbt_salesforce_seeds", "dbt_hubspot_seeds"])
def test_every_row_is_read_or_counted(exports, tmp_path, folder):
    """But where one row of a file is no row of a table: the histories of whole records."""
    feeds, _unread = find_feeds(tmp_path, find_candidates(exports / folder), Settings(), tmp_path)
    n_left_out = {}
    with duckdb.connect() as con:
        for table, fed in feeds.items():
            _columns, n_left_out[table] = create_text(con, table, fed, [], "UTC")
            (n_rows,) = con.execute(f"SELECT count(*) FROM text_{table}").fetchone()
            n_written = sum(len(pd.read_csv(feed.file.path)) for feed in fed if feed.plan.shape != "link")
            if not any(feed.plan.shape == "object history" for feed in fed):
                assert n_rows + n_left_out[table] == n_written, table
    if folder == "dbt_salesforce_seeds":
        assert n_left_out["opportunities"] == 10 and n_left_out["contacts"] == 0


def test_what_is_missing_is_named(exports, tmp_path):
    with pytest.raises(DataError, match=r"^sf_account_data.csv: read as accounts of Salesforce, but nothing gives 'cr"):
        extract.load(tmp_path, tmp_path / "out", exports / "dbt_salesforce_seeds")
    (tmp_path / "accounts.sql").write_text(ACCOUNTS.format("sf_account_data"))
    with pytest.raises(DataError, match=r"^sf_opportunity_data.csv: all 10 rows are left out by the source \(deleted"):
        extract.load(tmp_path, tmp_path / "out", exports / "dbt_salesforce_seeds")


def test_two_mappings_make_a_whole_extract(exports, tmp_path):
    (tmp_path / "accounts.sql").write_text(ACCOUNTS.format("sf_account_data"))
    (tmp_path / "opportunities.sql").write_text(DEALS.format("sf_opportunity_data"))
    loaded = extract.load(tmp_path, tmp_path / "out", exports / "dbt_salesforce_seeds", strict=False)
    rows = loaded.population.pivot_table(index="table", columns="step", values="n_rows", aggfunc="sum", fill_value=0)
    assert (rows["read"] == rows[["kept", "excluded", "quarantined"]].sum(axis=1)).all()
    reasons = loaded.population.query("table == 'accounts' and step == 'excluded'").set_index("reason")["n_rows"]
    assert reasons.to_dict() == {"deleted": 9}
    deals = pd.read_parquet(loaded.path("opportunities"))
    assert deals["status"].value_counts().to_dict() == {"lost": 4, "won": 4, "open": 1}
    assert loaded.checks.query("rule == 'closed before created' and n_rows > 0")["n_rows"].tolist() == [1]
    touches = pd.read_parquet(loaded.path("touches"))
    assert set(touches["touch_type"]) >= {"Call", "Meeting", "X", "Task"} and touches["occurred_at"].notna().all()
    assert touches["lead_id"].dropna().tolist() == ["00Q1G00000nOMcPUAW"]


def test_a_warehouse_without_its_links_says_what_is_missing(exports, tmp_path):
    loaded = extract.load(tmp_path, tmp_path / "out", exports / "dbt_hubspot_seeds", strict=False)
    bad = loaded.checks.query("table == 'opportunities' and severity == 'error' and n_rows > 0")
    assert bad[["column", "n_rows"]].values.tolist() == [["account_id", 44], ["status", 44]]
    said = [one["read_as"] for one in loaded.facts["assumed"] if one["column"] == "deal_data.csv"]
    assert any(words.endswith("or a file that joins the two ids") for words in said)
    with pytest.raises(DataError, match=r"rows \([\d.]+%\) cannot be used, more than max_quarantined"):
        extract.check_quarantined(loaded)
