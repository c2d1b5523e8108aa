"""Sign-offs: who signs, which version a profile has, and what publishing writes and refuses."""

from __future__ import annotations

import json
from datetime import date

import pytest
import yaml
from test_shelf import RULE, data, files, out, write_report  # noqa: F401

from icp_lib import approval, publish, shelf
from icp_lib.__main__ import main
from icp_lib.checks import DataError
from icp_lib.manifest import check_outputs

OTHER = {"attribute": "employees", "op": "between", "value": [5, 21]}
BOTH = "Ann Roe, head of sales; Bo Li, head of marketing"


@pytest.fixture
def sign(out, data):  # noqa: F811
    """Publish a quarter: `sign("2026-Q3", force=True)`."""

    def publish_quarter(quarter="2026-Q3", people=BOTH, note=None, force=False, said=None):
        said = [] if said is None else said
        return publish.publish_report(quarter, str(data), str(out), people, note, force, say=said.append)

    return publish_quarter


def test_people_are_read_with_their_roles():
    assert approval.parse_approvers("  Ann  Roe ,head of sales;; Bo Li, CMO, Europe;") == [
        {"name": "Ann Roe", "role": "head of sales"},
        {"name": "Bo Li", "role": "CMO, Europe"},
    ]


@pytest.mark.parametrize(
    ("people", "said"),
    [
        (None, r"APPROVED_BY: a report is published by those who sign it\. Say who, APPROVED_BY=\"Ann Roe, head of"),
        (" ; ", r"APPROVED_BY: a report is published by those who sign it"),
        ("Ann Roe", r"APPROVED_BY: 'Ann Roe' needs a name and a role\. Write it as APPROVED_BY="),
        (", head of sales", r"APPROVED_BY: ', head of sales' needs a name and a role"),
        ("Ann Roe, sales; ann roe, marketing", r"APPROVED_BY: 'ann roe' stands twice\. Name each person once\."),
    ],
)
def test_who_signs_must_be_said(out, sign, people, said):  # noqa: F811
    before = files(out)
    with pytest.raises(DataError, match=said):
        sign(people=people)
    assert files(out) == before


def test_publishing_writes_who_when_what_and_changes_nothing_that_was_computed(out, sign):  # noqa: F811
    before = files(out / "2026-Q3")
    folder = sign(note=" Agreed in the\nreview. ")
    after = files(folder)
    signed = yaml.safe_load(after["approval.yml"])
    assert signed == {
        "quarter": "2026-Q3",
        "version": 1,
        "profile": "Road freight companies",
        "approved_at": date.today().isoformat(),
        "approved_by": [{"name": "Ann Roe", "role": "head of sales"}, {"name": "Bo Li", "role": "head of marketing"}],
        "run_id": "b417380d",
        "fingerprint": "a9a9e03334b436a6",
        "note": "Agreed in the review.",
    }
    profile = yaml.safe_load(after["profile.yml"])
    sign_offs = [person | {"at": signed["approved_at"]} for person in signed["approved_by"]]
    assert (profile["status"], profile["version"], profile["sign_offs"]) == ("published", 1, sign_offs)
    assert profile["attributes"] == [RULE]
    drawn = {"index.html", "wall.html", "glossary.html", "summary.md", "summary.txt"}
    changed = {name for name in before if before[name] != after[name]} - drawn
    assert changed == {"profile.yml", "run.json"}
    run = json.loads(after["run.json"])
    assert run["status"] == "published" and run["version"] == 1
    check_outputs(folder, run)
    assert "Ann Roe, head of sales" in after["index.html"].decode()
    assert "Published as version 1, signed by Ann Roe, head of sales; Bo Li, head of" in after["summary.md"].decode()
    assert "USD" in after["index.html"].decode() and "$20" in after["summary.txt"].decode()
    entry = shelf.build_entries(out)[0]
    assert (entry["status"], entry["version"]) == ("published", 1)
    assert entry["signed"] == ["Ann Roe, head of sales", "Bo Li, head of marketing"]


def test_a_version_is_new_where_the_rules_are(out, sign):  # noqa: F811
    write_report(out / "2026-Q1", "2026-Q1", attributes=(OTHER, RULE))
    write_report(out / "2026-Q4", "2026-Q4", attributes=(RULE,))
    for quarter in ("2026-Q1", "2026-Q2", "2026-Q3", "2026-Q4"):
        sign(quarter)
    held = {each["quarter"]: each["version"] for each in approval.load_signed(out)}
    assert held == {"2026-Q1": 1, "2026-Q2": 2, "2026-Q3": 2, "2026-Q4": 2}


def test_the_order_of_the_rules_is_no_change():
    signed = [{"quarter": "2026-Q2", "version": 3, "profile": {"attributes": [RULE, OTHER]}}]
    assert approval.find_version({"attributes": [OTHER, RULE]}, "2026-Q3", signed) == 3


def test_a_number_that_was_signed_once_is_never_given_to_other_rules(out, data, sign):  # noqa: F811
    sign()
    with pytest.raises(DataError, match=r"is published \(version 1, signed by Ann Roe, Bo Li\) and stays as it is"):
        sign(people="Cy Day, CEO")
    said = []
    sign(people="Cy Day, CEO", force=True, said=said)
    assert said == [f"  the published report before it is kept in {out / '.superseded' / '2026-Q3-1'}"]
    sign("2026-Q2")  # an earlier quarter, signed later, with the same rules: nothing was signed before it
    versions = [(each["quarter"], each["version"], each["is_held"]) for each in approval.load_signed(out)]
    assert versions == [("2026-Q2", 2, True), ("2026-Q3", 1, False), ("2026-Q3", 1, True)]
    assert yaml.safe_load((out / "2026-Q3" / "approval.yml").read_text())["approved_by"][0]["name"] == "Cy Day"


def test_the_timeline_holds_published_quarters_and_the_draft():
    def signed(quarter, version, *rules, is_held=True):
        people = [{"name": "Ann", "role": "sales"}]
        profile = {"name": f"profile {version}", "attributes": list(rules)}
        facts = {"quarter": quarter, "version": version, "approved_by": people, "note": f"why {version}"}
        return facts | {"profile": profile, "is_held": is_held}

    history = [
        signed("2026-Q1", 1, RULE),
        signed("2026-Q2", 2, OTHER, is_held=False),
        signed("2026-Q2", 3, RULE, OTHER),
        signed("2026-Q4", 4, OTHER),
    ]
    rows = approval.build_versions(history, "2026-Q3", draft={"name": "new", "attributes": [OTHER]})
    assert [(row["quarter"], row["version"], row["status"]) for row in rows] == [
        ("2026-Q1", 1, "published"),
        ("2026-Q2", 3, "published"),
        ("2026-Q3", 5, "draft"),
    ]
    assert [row["changed"] for row in rows] == [
        ["Road freight companies"],
        ["Road freight companies", "+ Companies with 5 to 20 employees"],
        ["Companies with 5 to 20 employees", "- Road freight companies"],
    ]
    assert rows[0]["signed"] == ["Ann, sales"] and rows[0]["why"] == "why 1"
    assert [row["href"] for row in rows] == ["../2026-Q1/index.html", "../2026-Q2/index.html", "index.html"]


def test_a_quarter_without_a_report_is_refused(out, data, sign):  # noqa: F811
    with pytest.raises(DataError, match=r"2025-Q1: there is no report in 'reports'\. Run `make report QUARTER="):
        sign("2025-Q1")
    assert not (out / "2025-Q1").exists()


def test_failed_pages_are_published_only_by_force(out, sign):  # noqa: F811
    write_report(out / "2026-Q4", "2026-Q4", failed=("01_segment_discovery",))
    with pytest.raises(DataError, match=r"2026-Q4: 01 failed\. Mend it and run `make report` again, or FORCE=1"):
        sign("2026-Q4")
    sign("2026-Q4", force=True)
    assert yaml.safe_load((out / "2026-Q4" / "approval.yml").read_text())["accepted_failed_pages"] == ["01"]
    entry = shelf.build_entries(out)[0]
    assert (entry["status"], entry["status_words"]) == ("published", "Published although these failed: 01")


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    ("change", "how"),
    [
        (lambda folder: (folder / "tables" / "headline.csv").write_text("x"), r"tables/headline\.csv: has changed"),
        (lambda folder: (folder / "tables" / "headline.csv").unlink(), r"tables/headline\.csv: is gone"),
        (lambda folder: (folder / "tables" / "mine.csv").write_text("x"), r"tables/mine\.csv: was added"),
    ],
)
def test_a_file_that_is_not_the_run_s_is_named_and_not_signed(out, sign, change, how, force):  # noqa: F811
    change(out / "2026-Q3")
    with pytest.raises(DataError, match=rf"2026-Q3/{how} since the run\. Put it back, or run `make report` again"):
        sign(force=force)
    assert not (out / "2026-Q3" / "approval.yml").exists()


def test_several_changed_files_are_counted_and_a_file_manager_s_note_is_none(out, sign):  # noqa: F811
    (out / "2026-Q3" / ".DS_Store").write_text("mac")
    for name in ("index.html", "profile.yml"):
        (out / "2026-Q3" / name).write_text("x: y")
    with pytest.raises(DataError, match=r"2026-Q3/index\.html: has changed since the run \(and 1 more\)"):
        sign()


def test_a_quarter_run_before_its_end_is_not_signed(out, sign):  # noqa: F811
    early = {"finished_at": "2026-12-31T10:00:00+00:00", "seconds": 1.0}
    write_report(out / "2026-Q4", "2026-Q4", volatile=early)
    with pytest.raises(DataError, match=r"2026-Q4: was run on 31 Dec 2026, before the quarter had ended"):
        sign("2026-Q4")
    sign("2026-Q4", force=True)


def test_a_published_report_is_not_run_again_without_force(out, data, sign):  # noqa: F811
    sign()
    before = files(out / "2026-Q3")
    with pytest.raises(DataError, match=r"2026-Q3: is published .* FORCE=1 replaces it and keeps it in \.sup"):
        publish.make_report(None, str(data), str(out))
    assert files(out / "2026-Q3") == before


def test_an_approval_that_cannot_be_read_is_named(out, sign):  # noqa: F811
    sign()
    (out / "2026-Q3" / "approval.yml").write_text("- 1")
    with pytest.raises(DataError, match=r"2026-Q3/approval\.yml: not readable\. Put back the file"):
        approval.load_signed(out)


def test_the_command_publishes_and_lists(out, data, capsys):  # noqa: F811
    given = ["--data", str(data), "--out", str(out)]
    assert main(["publish", *given]) == 2
    assert capsys.readouterr().err.startswith("error: APPROVED_BY: a report is published by those who sign it.")
    assert main(["publish", *given, "--approved-by", BOTH, "--note", "Fine."]) == 0
    assert capsys.readouterr().out == f"Published: {out / '2026-Q3' / 'index.html'}\n"
    assert main(["list", *given]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "2026-Q3  version 1   Published  Road freight companies"
    assert second == "2026-Q2              Draft  Road freight companies"
    assert main(["publish", "--approved_by", BOTH]) == 2
    assert "--approved_by is not an option. Did you mean '--approved-by'?" in capsys.readouterr().err
