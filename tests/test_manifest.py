"""`run.json`: its hashes can be computed again, and a byte of an input changes them."""

from __future__ import annotations

import hashlib
import json
import subprocess
from datetime import UTC, datetime

import pytest

from icp_lib import execution, manifest
from icp_lib.checks import DataError
from icp_lib.run import REPOSITORY, Quarter, Run

AT = datetime(2026, 10, 5, 6, 12, 30, tzinfo=UTC)


@pytest.fixture
def build(company, load, tmp_path):
    """The manifest of a run of three accounts whose notebooks nobody executed."""

    def write(**tables):
        extract = load(**tables)
        run = Run(Quarter.parse("2024-Q3"), tmp_path / "acme", tmp_path / "out", extract)
        pages = [execution.Page(path, "ok", "Ran") for path in execution.find_notebooks(run.data)]
        return manifest.build_manifest(run, pages, is_demo=False, finished_at=AT, seconds=1.5)

    return write


def sha256(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_it_says_what_was_read_by_which_code_and_when(build, tmp_path):
    facts = build(settings="max_quarantined: 1\ntimezone: Europe/Berlin")
    assert facts["inputs"] == {name: sha256(tmp_path / "acme" / name) for name in ("accounts.csv", "opportunities.csv")}
    assert facts["tables"]["accounts"] == {"read": 3, "kept": 3, "quarantined": 0, "excluded": 0}
    assert facts["lock"] == sha256(REPOSITORY / "requirements.lock")
    assert {name: page["sha256"] for name, page in facts["notebooks"].items()} == {
        path.stem: sha256(path) for path in execution.find_notebooks(tmp_path / "acme")
    }
    assert (facts["quarter"], facts["as_of"], facts["timezone"]) == ("2024-Q3", "2024-09-30", "Europe/Berlin")
    assert facts["parameters"] == {"quarter": "2024-Q3"} and facts["versions"]["python"]
    assert facts["volatile"]["finished_at"] == "2026-10-05T06:12:30+00:00"
    assert str(tmp_path) not in json.dumps(facts)


def test_it_says_which_commit_and_whether_something_differs_from_it(build):
    facts = build()
    asked = subprocess.run(["git", "-C", str(REPOSITORY), "rev-parse", "HEAD"], capture_output=True, text=True)
    if asked.returncode:
        assert (facts["git_commit"], facts["git_is_dirty"]) == ("", None)
    else:
        assert facts["git_commit"] == asked.stdout.strip() and facts["git_is_dirty"] in (True, False)


def test_one_byte_of_an_input_changes_its_hash_the_fingerprint_and_the_run(build, company, tmp_path):
    before = build()
    text = (tmp_path / "acme" / "accounts.csv").read_text()
    after = build(accounts=text.replace("Energy", "Energz"))
    changed = {name for name in before["inputs"] if before["inputs"][name] != after["inputs"][name]}
    assert changed == {"accounts.csv"}
    assert before["data_fingerprint"] != after["data_fingerprint"] and before["run_id"] != after["run_id"]


def test_rows_in_quarantine_are_counted(build):
    bad = "account_id,created_at\nA1,2024-01-01\nA2,not a day\nA3,2024-02-01\n"
    facts = build(accounts=bad)
    assert facts["tables"]["accounts"] == {"read": 3, "kept": 2, "quarantined": 1, "excluded": 0}


def test_outputs_are_hashed_and_checked(tmp_path):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "a.csv").write_text("1")
    (tmp_path / ".DS_Store").write_text("mac")
    saved = manifest.save_manifest(tmp_path, {"quarter": "2026-Q3", "volatile": {}})
    assert saved == manifest.load_manifest(tmp_path)
    assert saved["outputs"] == {"tables/a.csv": sha256(tmp_path / "tables" / "a.csv")}
    assert list(saved)[-1] == "volatile"
    assert manifest.check_outputs(tmp_path, saved) == saved
    (tmp_path / "tables" / "a.csv").write_text("2")
    with pytest.raises(DataError, match=r"/tables/a\.csv: has changed since the run\."):
        manifest.check_outputs(tmp_path, saved)
