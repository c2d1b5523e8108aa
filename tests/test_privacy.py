"""No address, no number and no name of a person comes out: canaries in every place where people type them."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pandas as pd
import pytest

from icp_lib import __main__ as command
from icp_lib import demo, extract
from icp_lib.checks import DataError
from icp_lib.demo_files import to_text

EMAIL, PHONE, NAME = "canary@leak.example", "+49 30 5550199", "Zebulon Quagmire"
#: What gives a canary away: any part of the address, the number, the surname.
TRACES = ("canary", "leak.example", "30 5550199", "305550199", "quagmire")
#: As a web address writes it.
ENCODED = "landing?mail=canary%40leak.example"
TABLES = ("accounts", "opportunities", "contacts", "leads", "touches", "stages", "stage_history", "prospects")
#: Columns that describe a company, a deal or a role: what stands in them is a level and is shown, but for addresses.
TRAITS = {
    "accounts": ("industry", "country", "region", "city", "business_model", "technologies", "lead_source", "tier"),
    "opportunities": ("lead_source", "buyer_role"),
    "contacts": ("buyer_role", "seniority", "department"),
    "leads": ("lead_source",),
    "prospects": ("industry", "region", "city", "business_model", "technologies"),
}
#: Columns that describe nothing: an address, a number and a name stand in each.
OTHERS = {
    "opportunities": ("owner_id", "loss_reason"),
    "leads": ("rejection_reason", "contact_id"),
    "touches": ("channel", "content", "contact_id"),
}
ICP_YML = """name: Small
quarter: 2026-Q3
max_quarantined: 0.6
traits:
  industry: {}
  country: {}
  region: {}
  city: {}
  business_model: {}
  lead_source: {}
  buyer_role: {}
  tier: {}
"""


def plant(rng, table: pd.DataFrame, column: str, words: str, share: float = 0.04) -> None:
    """Write the words over a share of a column's cells."""
    rows = np.flatnonzero(rng.random(len(table)) < share)
    table.iloc[rows, table.columns.get_loc(column)] = words


def write_company(folder):
    """A small company in which people typed addresses, numbers and names wherever they could."""
    rng = np.random.default_rng(7)
    world = {name: to_text(frame) for name, frame in demo.build_world(5, 500, tables=TABLES).items()}
    world["accounts"]["tier"] = "gold"
    for table, columns in TRAITS.items():
        for column in columns:
            plant(rng, world[table], column, f"ask {EMAIL} first")
            plant(rng, world[table], column, ENCODED)
    for table, columns in OTHERS.items():
        for column in columns:
            for words in (f"<{EMAIL}>", f"{NAME} {PHONE}", f"mailto:{EMAIL};{NAME}", NAME):
                plant(rng, world[table], column, words)
    for name in ("accounts", "prospects"):
        world[name].insert(1, "account_name", f"{NAME} {EMAIL}")
    world["accounts"][f"{NAME} {EMAIL}"] = PHONE
    plant(rng, world["opportunities"], "owner_id", NAME.split()[1])
    plant(rng, world["opportunities"], "campaign_id", EMAIL)
    plant(rng, world["accounts"], "employees", PHONE, 0.02)
    for column, words in {"created_at": f"{NAME} {PHONE}", "amount": f"{EMAIL} {PHONE}", "status": NAME}.items():
        plant(rng, world["opportunities"], column, words, 0.02)
    plant(rng, world["opportunities"], "account_id", EMAIL, 0.02)
    plant(rng, world["opportunities"], "opportunity_id", f"{NAME}", 0.02)
    plant(rng, world["stage_history"], "stage", f"{NAME} {EMAIL}", 0.02)
    plant(rng, world["accounts"], "account_id", EMAIL, 0.01)
    folder.mkdir(parents=True)
    for name, frame in world.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    (folder / "people.csv").write_text(f"{NAME},{EMAIL},{PHONE}\n{NAME},{EMAIL},{PHONE}\n", encoding="utf-8")
    (folder / "icp.yml").write_text(ICP_YML, encoding="utf-8")
    return folder


def traces(text: str) -> list[str]:
    """The canaries in a text."""
    return [trace for trace in TRACES if trace in text.casefold()]


def run_command(*arguments: str) -> str:
    """What a command prints, on either stream."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        command.main(list(arguments))
    return said.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_company(tmp_path_factory.mktemp("data") / "small")


@pytest.fixture(scope="module")
def published(folder, tmp_path_factory):
    """The folder of reports, and what was printed on the way."""
    out = tmp_path_factory.mktemp("out") / "reports"
    said = run_command("report", "--data", str(folder), "--out", str(out))
    assert (out / "2026-Q3" / "index.html").exists(), said
    return out, said


def test_the_report_holds_no_canary(published):
    out, said = published
    paths = [path for path in out.rglob("*") if path.is_file() and not {".cache", ".work"} & set(path.parts)]
    assert len(paths) > 10
    leaks = {path.name: found for path in paths if (found := traces(path.read_bytes().decode("utf-8", "replace")))}
    assert not leaks
    assert not traces(said)


def test_the_working_folder_holds_no_canary(published):
    out, _ = published
    paths = [path for path in (out / ".work").rglob("*") if path.is_file() and path.parent.name != "quarantine"]
    assert not {path.name: found for path in paths if (found := traces(path.read_bytes().decode("utf-8", "replace")))}


def test_check_prints_no_canary(folder, tmp_path):
    said = run_command("check", "--data", str(folder), "--out", str(tmp_path / "reports"))
    assert "Errors" in said
    assert not traces(said)


def test_tables_in_the_cache_hold_no_address_and_no_name_of_an_owner(folder, published):
    out, _ = published
    found = extract.load(folder, out)
    for path in found.cache.glob("*.parquet"):
        texts = pd.read_parquet(path).select_dtypes(exclude=["number", "datetime", "bool"]).astype("string")
        for column, cells in texts.items():
            assert not cells.str.contains("@|canary", case=False).any(), f"{path.name}: {column}"
            if column in ("owner_id", "contact_id"):
                assert not cells.str.contains("quagmire|5550199", case=False).any(), f"{path.name}: {column}"


def test_the_quarantine_tells_the_person_who_mends_it(folder, published):
    out, _ = published
    found = extract.load(folder, out)
    assert NAME in (found.cache / "quarantine" / "opportunities.csv").read_text(encoding="utf-8")


PERSON = f"{NAME},{EMAIL},{PHONE}"
A = "account_id,created_at,industry\nA1,2024-01-01,Retail\n"
O = "opportunity_id,account_id,created_at,closed_at,status,amount\n"  # noqa: E741
BROKEN = {
    "no header": {"accounts": f"{PERSON}\n{PERSON}\n"},
    "a header with a person in it": {"accounts": f"acount_id,created_at,{PERSON}\nA1,2024-01-01,,,\n"},
    "a header twice": {"accounts": f"account_id,created_at,created_at\n{NAME},{EMAIL},{PHONE}\n"},
    "a row too wide": {"accounts": A + f"A2,2024-01-01,{PERSON}\n"},
    "an open quote": {"accounts": A + f'A2,2024-01-01,"{PERSON}\n'},
    "not UTF-8": {"accounts": A.encode() + f"A2,2024-01-01,{NAME} {EMAIL} \x81".encode("latin-1")},
    "unreadable dates": {"accounts": A + f"A2,{NAME},\nA3,{EMAIL},\nA4,{PHONE},\n{EMAIL},{NAME} {PHONE},\n"},
    "days or months first": {"accounts": f"account_id,created_at\n{EMAIL},01/02/2024\n{NAME},03/04/2024\n"},
    "thousands or decimals": {"opportunities": O + f"{EMAIL},A1,2024-01-01,,open,1.234\n{NAME},A1,,,open,1x\n"},
    "words for a status": {"opportunities": O + f"O1,A1,2024-01-01,,{NAME},1\nO2,A1,2024-01-01,,{EMAIL},{PHONE}\n"},
    "unknown accounts": {"opportunities": O + f"O1,{EMAIL},2024-01-01,,open,1\nO2,{NAME},2024-01-01,,open,1\n"},
    "keys twice": {"accounts": f"account_id,created_at\n{EMAIL},2024-01-01\n{EMAIL},2024-01-02\n{NAME},2024-01-01\n"},
    "unknown stages": {
        "opportunities": O.strip() + f",stage\nO1,A1,2024-01-01,,open,1,{NAME}\nO2,A1,2024-01-01,,open,1,{EMAIL}\n",
        "stages": "stage,stage_order,is_closed,is_won\nWon,1,yes,yes\n",
    },
    "currencies": {
        "opportunities": O.strip() + f",currency\nO1,A1,2024-01-01,,open,1,{NAME}\nO2,A1,2024-01-01,,open,1,{EMAIL}\n",
    },
    "only strangers": {"accounts": f"{EMAIL}\n{NAME}\n"},
}  # fmt: skip
SQL = {
    "a cast of a cell": "SELECT CAST(name AS INTEGER) AS account_id, '2024-01-01' AS created_at FROM people",
    "a date of a cell": "SELECT name AS account_id, strptime(name, '%Y') AS created_at FROM people",
    "an error raised with a cell": "SELECT error(email) AS account_id, '2024-01-01' AS created_at FROM people",
    "a column that is not there": "SELECT nme AS account_id, '2024-01-01' AS created_at FROM people",
}


@pytest.mark.parametrize("case", BROKEN)
def test_no_refusal_repeats_a_canary(company, tmp_path, case):
    tables = {"accounts": A, "opportunities": O + "O1,A1,2024-01-01,,open,1000\n"} | BROKEN[case]
    with pytest.raises(DataError) as refusal:
        extract.load(company(settings="max_quarantined: 0", **tables), tmp_path / "out")
    assert not traces(str(refusal.value))


@pytest.mark.parametrize("case", SQL)
def test_no_error_of_sql_repeats_a_canary(company, tmp_path, case):
    folder = company(people=f"name,email,phone\n{PERSON}\n")
    (folder / "accounts.sql").write_text(SQL[case], encoding="utf-8")
    with pytest.raises(DataError) as refusal:
        extract.load(folder, tmp_path / "out")
    assert not traces(str(refusal.value))
