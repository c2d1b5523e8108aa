"""Runs end to end on a small company: the tree, repeatability, strictness, failures, the swap."""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
from datetime import date
from html.parser import HTMLParser

import nbformat
import pytest

from icp_lib import __main__ as command
from icp_lib import demo, execution, publish
from icp_lib.checks import DataError
from icp_lib.run import Quarter

PAGES = ["00_data_check", "01_segment_discovery", "07_icp_profile"]


def write_company(folder, n_accounts=900, **changes):
    """A clean small company: accounts and opportunities of a simulated world as canonical files."""
    folder.mkdir(parents=True)
    world = demo.build_world(5, n_accounts, tables=("accounts", "opportunities"))
    for name, frame in world.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    settings = {"name": "Small", "quarter": "2026-Q3", "gross_margin_rate": 0.75, **changes}
    (folder / "icp.yml").write_text("\n".join(f"{key}: {value}" for key, value in settings.items()), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    return write_company(tmp_path_factory.mktemp("data") / "small")


@pytest.fixture(scope="module")
def report(company, tmp_path_factory):
    out, said = tmp_path_factory.mktemp("one") / "reports", []
    folder, whole = publish.make_report(None, str(company), str(out), say=said.append)
    assert whole
    return folder, said


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }


def test_the_tree_of_a_report(report):
    folder, _ = report
    assert folder.name == "2026-Q3"
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "index.html",
        "tables",
        "notebooks",
        "profile.yml",
        "run.json",
        *(f"{page}.html" for page in PAGES),
    }
    tables = {path.stem for path in (folder / "tables").iterdir()}
    assert {
        "data_checks",
        "population",
        "coverage",
        "readiness",
        "segment_levels",
        "claims_01",
        "headline",
        "findings",
    } <= tables
    assert (folder.parent / "index.html").exists()


def test_progress_names_every_notebook(report):
    lines = "\n".join(report[1])
    assert all(re.search(rf"\d of \d  {page} +\S.*, \d+ s", lines) for page in PAGES)


def test_the_manifest_says_what_ran_on_what(report):
    run = json.loads((report[0] / "run.json").read_text())
    assert run["quarter"] == "2026-Q3" and run["company"] == "Small" and run["status"] == "draft"
    assert set(run["inputs"]) == {"accounts.csv", "opportunities.csv"}
    assert {page: state["status"] for page, state in run["notebooks"].items()} == dict.fromkeys(PAGES, "ok") | {
        "00_data_check": run["notebooks"]["00_data_check"]["status"]
    }
    for name, digest in run["outputs"].items():
        assert hashlib.sha256((report[0] / name).read_bytes()).hexdigest() == digest
    assert set(run["volatile"]) == {"finished_at", "seconds", "host", "notebook_seconds"}


def test_two_runs_are_equal_byte_for_byte_also_with_another_out(report, company, tmp_path):
    again, _ = publish.make_report("2026Q3", str(company), str(tmp_path / "elsewhere" / "out"), say=lambda words: None)
    assert digests(again) == digests(report[0])
    one, two = (json.loads((folder / "run.json").read_text()) for folder in (report[0], again))
    assert {**one, "volatile": 0} == {**two, "volatile": 0}


class _Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.loads, self.handlers = [], []

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("src", "srcset", "poster") or (name == "href" and tag == "link") or name == "xlink:href":
                self.loads.append(value)
            if name.startswith("on"):
                self.handlers.append((tag, name))


def test_pages_load_nothing_and_hold_no_path(report):
    for page in [*report[0].glob("*.html"), report[0].parent / "index.html"]:
        text, links = page.read_text(encoding="utf-8"), _Links()
        links.feed(text)
        assert not [load for load in links.loads if not load.startswith(("data:", "#"))], page.name
        assert not links.handlers, page.name
        assert not re.search(r"@import|url\((?!#|data:)", text), page.name
        assert str(report[0].parent) not in text and "/small" not in text


def test_a_misspelled_parameter_is_refused_with_the_closest_name(tmp_path):
    with pytest.raises(DataError, match=r"00_data_check.ipynb: has no parameter 'quater'. Did you mean 'quarter'\?"):
        execution.execute(execution.STOCK / "00_data_check.ipynb", tmp_path / "x.ipynb", {"quater": "2026-Q3"})
    assert not (tmp_path / "x.ipynb").exists()


FULL_WIDTH = "\uff12\uff10\uff12\uff16-Q1"


@pytest.mark.parametrize("quarter", ["../x", "2026-Q5", "2026-Q1\n", FULL_WIDTH, "2026-Q10", "/2026-Q1"])
def test_what_is_not_a_quarter_is_refused_and_nothing_is_written(quarter, company, tmp_path, capsys):
    assert command.main(["report", "--quarter", quarter, "--data", str(company), "--out", str(tmp_path / "out")]) == 2
    assert "is not a quarter. Write it as 2026-Q3." in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_unknown_commands_and_options_name_the_closest(capsys):
    assert command.main(["reprot"]) == 2
    assert "'reprot' is not a command. Did you mean 'report'?" in capsys.readouterr().err
    assert command.main(["report", "--quater", "2026-Q3"]) == 2
    assert "--quater is not an option. Did you mean '--quarter'?" in capsys.readouterr().err


def test_the_quarter_is_asked_for_or_configured_or_the_last_that_ended(company, tmp_path):
    assert str(publish.find_quarter("2025-Q1", company)) == "2025-Q1"
    assert str(publish.find_quarter(None, company)) == "2026-Q3"
    other = tmp_path / "other"
    other.mkdir()
    assert publish.find_quarter(None, other) == Quarter.before(date.today())


def test_reports_of_another_company_are_not_mixed(report, tmp_path):
    other = write_company(tmp_path / "other", 400, name="Other")
    said = r"holds the reports of data folder 'small', not of 'other'\. Give another one, OUT='reports/other'"
    with pytest.raises(DataError, match=said):
        publish.make_report(None, str(other), str(report[0].parent), say=lambda words: None)


def test_a_quarter_without_deals_is_refused_and_the_old_report_stays(report, company):
    before = digests(report[0])
    with pytest.raises(DataError, match=r"no relevant one is dated by 2019-03-31 \(2019-Q1\)\. Give another QUARTER"):
        publish.make_report("2019-Q1", str(company), str(report[0].parent), say=lambda words: None)
    assert digests(report[0]) == before and not (report[0].parent / "2019-Q1").exists()


def test_without_a_lead_beyond_luck_no_profile_is_named(tmp_path):
    """A world without truth: the best of many levels is no ideal customer."""
    folder = tmp_path / "null"
    folder.mkdir()
    for name, frame in demo.build_world(11, 900, True, tables=("accounts", "opportunities")).items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    site, whole = publish.make_report("2026-Q3", str(folder), str(tmp_path / "out"), say=lambda words: None)
    front = (site / "index.html").read_text(encoding="utf-8")
    assert whole and "<h1>No profile yet.</h1>" in front and "no lead is larger than luck gives" in front
    assert "name: ''" in (site / "profile.yml").read_text(encoding="utf-8")


def test_a_second_run_of_the_same_quarter_is_refused(report, company):
    before = digests(report[0])
    with (report[0].parent / ".work" / "2026-Q3.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="2026-Q3: another run is writing this quarter"):
            publish.make_report(None, str(company), str(report[0].parent), say=lambda words: None)
    assert digests(report[0]) == before


def own_notebook(company, stem, source, after_title="# 00 · Broken: will it say so?"):
    """A company's own notebook in the place of the stock one, or beside it."""
    notebook = nbformat.read(execution.STOCK / "00_data_check.ipynb", as_version=4)
    notebook.cells = [
        nbformat.v4.new_markdown_cell(after_title),
        *notebook.cells[1:3],
        nbformat.v4.new_code_cell(source),
    ]
    (company / "notebooks").mkdir(exist_ok=True)
    nbformat.write(notebook, company / "notebooks" / f"{stem}.ipynb")


def test_a_failed_page_says_so_and_the_rest_is_published(report, company, tmp_path):
    mine = shutil.copytree(company, tmp_path / "mine")
    publish.make_report(None, str(mine), str(tmp_path / "out"), say=lambda words: None)
    own_notebook(mine, "01_segment_discovery", "raise icp.DataError('accounts.csv, line 7: no industry.')")
    folder, whole = publish.make_report(None, str(mine), str(tmp_path / "out"), say=lambda words: None)
    run = json.loads((folder / "run.json").read_text())
    assert not whole
    assert {page: state["status"] for page, state in run["notebooks"].items()} == {
        "00_data_check": run["notebooks"]["00_data_check"]["status"],
        "01_segment_discovery": "failed",
        "07_icp_profile": "not produced",
    }
    assert run["notebooks"]["07_icp_profile"]["words"] == "Skipped: needs 01"
    assert "accounts.csv, line 7: no industry." in (folder / "01_segment_discovery.html").read_text(encoding="utf-8")
    front = (folder / "index.html").read_text(encoding="utf-8")
    assert "01 failed" in front and "Skipped: needs 01" in front
    assert "than the rest." not in front  # no claim of the run before


def test_if_00_fails_nothing_is_replaced(company, tmp_path):
    mine = shutil.copytree(company, tmp_path / "mine")
    folder, _ = publish.make_report(None, str(mine), str(tmp_path / "out"), say=lambda words: None)
    before = digests(folder)
    own_notebook(mine, "00_data_check", "1 / 0")
    with pytest.raises(
        DataError, match="00_data_check failed, so nothing was replaced: ZeroDivisionError: division by zero"
    ):
        publish.make_report(None, str(mine), str(tmp_path / "out"), say=lambda words: None)
    assert digests(folder) == before


def test_a_company_s_own_notebook_runs_before_07(company, tmp_path):
    mine = shutil.copytree(company, tmp_path / "mine")
    own_notebook(mine, "08_our_question", "run.check(True, 'ours')", "# 08 · Ours: does it run?")
    assert [path.stem for path in execution.find_notebooks(mine)] == [*PAGES[:2], "08_our_question", PAGES[2]]


def test_a_swap_that_was_cut_off_is_healed(tmp_path):
    quarter = Quarter.parse("2026-Q3")
    (tmp_path / ".old-2026-Q3").mkdir()
    (tmp_path / ".old-2026-Q3" / "index.html").write_text("old")
    publish._heal(tmp_path, quarter)
    assert (tmp_path / "2026-Q3" / "index.html").read_text() == "old"
    (tmp_path / ".old-2026-Q3").mkdir()
    publish._heal(tmp_path, quarter)
    assert not (tmp_path / ".old-2026-Q3").exists() and (tmp_path / "2026-Q3" / "index.html").exists()


def test_check_prints_every_problem_and_says_by_its_exit_code(company, tmp_path, capsys):
    assert command.main(["check", "--data", str(company), "--out", str(tmp_path / "out")]) == 0
    mine = shutil.copytree(company, tmp_path / "mine")
    with (mine / "opportunities.csv").open("a", encoding="utf-8") as stream:
        stream.write("X1,nobody,2026-01-01" + "," * 14 + "\n")
    assert command.main(["check", "--data", str(mine), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().out
    assert re.search(r"opportunities +[\d,]+ read +[\d,]+ kept +1 quarantined", said)
    assert "refer to a row that is not among the valid accounts" in said and "opportunity_id X1" in said
