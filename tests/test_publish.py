"""Runs end to end on a small company: the tree, repeatability, strictness, failures, the swap."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from companies import leave_out

from icp_lib import __main__ as command
from icp_lib import demo, execution, manifest, publish, shelf
from icp_lib.checks import DataError
from icp_lib.run import Quarter

QUARTERS = [f"20{year}-Q{number}" for year in range(20, 99) for number in (1, 2, 3, 4)]
PAGES = ["00_data_check", "01_segment_discovery", "02_trait_analysis", "03_acquisition_efficiency", "06_icp_ab_test",
         "07_icp_profile"]  # fmt: skip
#: Of a company with accounts and deals alone.
NOT_MEASURED = dict.fromkeys(("03_acquisition_efficiency", "06_icp_ab_test"), "not measured")


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


def sha256(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digests(folder):
    return {
        str(path.relative_to(folder)): sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }


def test_the_tree_of_a_report(report):
    folder, _ = report
    assert folder.name == "2026-Q3"
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "index.html",
        "glossary.html",
        "wall.html",
        "tables",
        "draws",
        "notebooks",
        "profile.yml",
        "summary.md",
        "summary.txt",
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


def test_every_hash_of_the_manifest_can_be_computed_again(report, company):
    run = json.loads((report[0] / "run.json").read_text())
    assert run["quarter"] == "2026-Q3" and run["company"] == "Small" and run["status"] == "draft"
    assert run["inputs"] == {name: sha256(company / name) for name in ("accounts.csv", "opportunities.csv")}
    first = {"00_data_check": run["notebooks"]["00_data_check"]["status"]}
    states = {page: state["status"] for page, state in run["notebooks"].items()}
    assert states == dict.fromkeys(PAGES, "ok") | NOT_MEASURED | first
    for page, state in run["notebooks"].items():
        assert state["sha256"] == sha256(execution.STOCK / f"{page}.ipynb")
    written = {str(path.relative_to(report[0])) for path in report[0].rglob("*") if path.is_file()}
    assert set(run["outputs"]) == written - {"run.json"}
    assert run["outputs"] == {name: sha256(report[0] / name) for name in run["outputs"]}
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


def test_without_a_lead_beyond_luck_no_profile_is_named(tmp_path, monkeypatch):
    """A world without truth: the best of many levels is no ideal customer."""
    folder = tmp_path / "null"
    folder.mkdir()
    for name, frame in demo.build_world(11, 900, True, tables=("accounts", "opportunities")).items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    leave_out(monkeypatch)
    site, whole = publish.make_report("2026-Q3", str(folder), str(tmp_path / "out"), say=lambda words: None)
    front = (site / "index.html").read_text(encoding="utf-8")
    assert whole and "<h1>No profile yet.</h1>" in front and "None has a lead that luck could not give" in front
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


def test_a_failed_page_says_so_and_the_rest_is_published(report, company, tmp_path, capsys):
    mine = shutil.copytree(company, tmp_path / "small")
    out = shutil.copytree(report[0].parent, tmp_path / "out")
    own_notebook(mine, "01_segment_discovery", "raise icp.DataError('accounts.csv, line 7: no industry.')")
    assert command.main(["report", "--quarter", "2026-Q4", "--data", str(mine), "--out", str(out)]) == 1
    folder = out / "2026-Q4"
    run = json.loads((folder / "run.json").read_text())
    assert {page: state["status"] for page, state in run["notebooks"].items()} == {
        **dict.fromkeys(PAGES, "not produced"),
        "00_data_check": run["notebooks"]["00_data_check"]["status"],
        "01_segment_discovery": "failed",
    }
    assert run["notebooks"]["07_icp_profile"]["words"] == "Skipped: needs 01"
    page = (folder / "01_segment_discovery.html").read_text(encoding="utf-8")
    assert "accounts.csv, line 7: no industry." in page and 'href="../2026-Q3/01_segment_discovery.html"' in page
    front = (folder / "index.html").read_text(encoding="utf-8")
    assert "01 failed" in front and "Skipped: needs 01" in front
    assert "than the rest." not in front  # no claim of the run before
    index = (out / "index.html").read_text(encoding="utf-8")
    assert "Failed: 01" in index and 'href="2026-Q4/index.html"' in index and 'href="2026-Q3/index.html"' in index
    given = ["publish", "--quarter", "2026-Q4", "--data", str(mine), "--out", str(out), "--approved-by", "Ann Roe, CEO"]
    assert command.main(given) == 2
    assert "2026-Q4: 01 failed. Mend it and run `make report` again" in capsys.readouterr().err


def test_if_00_fails_nothing_is_replaced_and_the_index_says_so(report, company, tmp_path, monkeypatch):
    mine = shutil.copytree(company, tmp_path / "small")
    out = shutil.copytree(report[0].parent, tmp_path / "out")
    before = digests(out / "2026-Q3")
    own_notebook(mine, "00_data_check", "raise icp.DataError('accounts.csv: <i>broken</i>.')")
    said = r"00_data_check failed, so nothing was replaced: accounts\.csv: <i>broken</i>\. The attempt is in (.*)\."
    with pytest.raises(DataError, match=said) as refusal:
        publish.make_report(None, str(mine), str(out), say=lambda words: None)
    assert digests(out / "2026-Q3") == before
    assert (Path(re.search(said, str(refusal.value))[1]) / "notebooks" / "00_data_check.ipynb").exists()
    entry = shelf.build_entries(out)[0]
    assert entry["attempt"]["words"] == "accounts.csv: <i>broken</i>."
    index = (out / "index.html").read_text(encoding="utf-8")
    assert "accounts.csv: &lt;i&gt;broken&lt;/i&gt;." in index and entry["attempt"]["at"] in index
    assert 'href="2026-Q3/index.html"' in index
    pages = [execution.Page(path, "ok", "Ran") for path in execution.find_notebooks(mine)]
    monkeypatch.setattr(publish, "execute_all", lambda run, say: pages)
    publish.make_report(None, str(mine), str(out), say=lambda words: None)
    assert "attempt" not in shelf.build_entries(out)[0] and "broken" not in (out / "index.html").read_text()


def test_a_company_s_own_notebook_runs_before_07(company, tmp_path):
    mine = shutil.copytree(company, tmp_path / "mine")
    own_notebook(mine, "08_our_question", "run.check(True, 'ours')", "# 08 · Ours: does it run?")
    assert [path.stem for path in execution.find_notebooks(mine)] == [*PAGES[:-1], "08_our_question", PAGES[-1]]


def test_a_run_killed_while_it_executes_leaves_the_report_and_the_index(report, company, tmp_path):
    out = shutil.copytree(report[0].parent, tmp_path / "reports")
    before, index = digests(out / "2026-Q3"), (out / "index.html").read_bytes()
    words = [sys.executable, "-m", "icp_lib", "report", "--data", str(company), "--out", str(out)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=publish.REPOSITORY) as child:
        seen = next(line for line in child.stdout if f" of {len(PAGES)} " in line)
        child.kill()
        child.wait()
    assert "00_data_check" in seen and child.returncode == -9
    assert digests(out / "2026-Q3") == before and (out / "index.html").read_bytes() == index
    assert [row["status"] for row in publish.list_reports(str(company), str(out))] == ["draft"]


EXPORT = """
import shutil, sys
from pathlib import Path
from dying import run_killed
from icp_lib import manifest, publish
from icp_lib.execution import Page, find_notebooks

data, out, saved = map(Path, sys.argv[1:])

def leave_results(run, say):
    shutil.copytree(saved, run.work, dirs_exist_ok=True)
    return [Page(path, "ok", "Ran", executed=run.work / "notebooks" / path.name) for path in find_notebooks(run.data)]

def is_whole():
    there = next(folder for folder in (out / "2026-Q3", out / ".old-2026-Q3") if folder.exists())
    return bool(manifest.check_outputs(there, manifest.load_manifest(there)))

publish.execute_all = leave_results
make = lambda: publish.make_report(None, str(data), str(out), say=lambda words: None)
for step in (4, 24, 32, 40):
    print(run_killed(make, step), is_whole())
print(run_killed(make, 10_000), is_whole())
"""


def test_a_run_killed_while_it_exports_leaves_the_report(report, company, tmp_path):
    """The notebooks' results are those of the report; what is killed is the writing of pages."""
    out = shutil.copytree(report[0].parent, tmp_path / "reports")
    saved = shutil.copytree(out / ".work" / "2026-Q3", tmp_path / "saved")
    before = digests(out / "2026-Q3")
    path = os.pathsep.join([str(publish.REPOSITORY), str(publish.REPOSITORY / "tests")])
    words = [sys.executable, "-c", EXPORT, str(company), str(out), str(saved)]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path})
    assert done.stdout.splitlines() == ["True True"] * 4 + ["False True"], done.stderr
    after = digests(out / "2026-Q3")
    assert before.keys() == after.keys() and before["tables/headline.csv"] == after["tables/headline.csv"]


def test_quarters_of_a_history_run_in_order(company):
    found = publish.find_quarters("2025-Q3..2026-Q2", company)
    assert [str(quarter) for quarter in found] == ["2025-Q3", "2025-Q4", "2026-Q1", "2026-Q2"]
    assert [str(quarter) for quarter in publish.find_quarters(None, company)] == ["2026-Q3"]
    said = r"quarter: 2026-Q3\.\.2026-Q1 runs backwards\. Write the earlier one first, 2026-Q1\.\.2026-Q3\."
    with pytest.raises(DataError, match=said):
        publish.find_quarters("2026-Q3..2026-Q1", company)


def test_a_history_stops_at_nothing_and_counts_what_failed(company, tmp_path, monkeypatch, capsys):
    out, ran = tmp_path / "out", []

    def run_one(quarter, data, out, raw, force, say):
        ran.append(quarter)
        if quarter == "2025-Q4":
            raise DataError("opportunities: no relevant one is dated by 2025-12-31 (2025-Q4).")
        return tmp_path, quarter != "2026-Q1"

    monkeypatch.setattr(publish, "make_report", run_one)
    (out / "2026-Q2").mkdir(parents=True)
    (out / "2026-Q2" / "approval.yml").touch()
    given = ["report", "--quarter", "2025-Q4..2026-Q3", "--data", str(company), "--out", str(out)]
    assert command.main(given) == 1
    said = capsys.readouterr().out
    assert ran == ["2025-Q4", "2026-Q1", "2026-Q3"]
    assert "error: opportunities: no relevant one is dated by 2025-12-31 (2025-Q4)." in said
    assert "2026-Q2: published, passed over (FORCE=1 runs it again)" in said
    assert said.endswith("4 quarters; failed: 2025-Q4, 2026-Q1\n")
    assert command.main([*given[:2], "2026-Q2..2026-Q3", *given[3:], "--force"]) == 0
    assert ran[3:] == ["2026-Q2", "2026-Q3"] and capsys.readouterr().out.endswith("2 quarters; none failed\n")


def test_stopping_by_hand_is_said_without_a_traceback(company, monkeypatch, capsys):
    def stop(*given, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr(publish, "make_report", stop)
    assert command.main(["report", "--data", str(company)]) == 130
    assert capsys.readouterr().err == "stopped: what was not finished was not published.\n"


def test_a_quarter_that_is_not_over_is_run_and_said():
    said = []
    publish._say_if_not_over(Quarter.parse("2099-Q1"), False, said.append)
    open_one = Quarter.before(date.today())
    while open_one.end <= date.today():
        open_one = next(q for q in map(Quarter.parse, QUARTERS) if q.previous == open_one)
    publish._say_if_not_over(open_one, False, said.append)
    publish._say_if_not_over(Quarter.parse("2020-Q1"), False, said.append)
    publish._say_if_not_over(Quarter.parse("2099-Q1"), True, said.append)
    last_day = manifest.as_words(open_one.as_of)
    assert said == [
        "  2099-Q1 has not begun (it begins on 1 Jan 2099): every figure is of what is known today",
        f"  {open_one} has not ended (it ends on {last_day}): every figure is of what is known today",
    ]


def test_check_prints_every_problem_and_says_by_its_exit_code(company, tmp_path, capsys):
    assert command.main(["check", "--data", str(company), "--out", str(tmp_path / "out")]) == 0
    mine = shutil.copytree(company, tmp_path / "mine")
    with (mine / "opportunities.csv").open("a", encoding="utf-8") as stream:
        stream.write("X1,nobody,2026-01-01" + "," * 14 + "\n")
    assert command.main(["check", "--data", str(mine), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().out
    assert re.search(r"opportunities +[\d,]+ read +[\d,]+ kept +1 quarantined", said)
    assert "refer to a row that is not among the valid accounts" in said and "opportunity_id X1" in said
