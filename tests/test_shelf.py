"""The folder of reports: a swap that is cut off anywhere, locks, what is refused, and what the index says."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from dying import run_killed

from icp_lib import publish, shelf
from icp_lib.__main__ import main
from icp_lib.checks import DataError
from icp_lib.manifest import check_outputs, save_manifest
from icp_lib.settings import Settings

RULE = {"attribute": "industry", "op": "is", "value": "Road freight"}
PAGES = {"00_data_check": "Data check", "01_segment_discovery": "Segment discovery", "07_icp_profile": "ICP profile"}


def build_facts(quarter: str, failed: tuple[str, ...] = (), **changes) -> dict:
    """What `run.json` holds of a report that nobody had to run."""
    notebooks = {
        name: {"title": title, "sha256": "0", "status": "ok", "words": "Ran", "tables": []}
        for name, title in PAGES.items()
    }
    for name in failed:
        notebooks[name] |= {"status": "failed", "words": "accounts.csv, line 7: no industry."}
    year, number = quarter.split("-Q")
    day = {"1": "03-31", "2": "06-30", "3": "09-30", "4": "12-31"}[number]
    return {
        "headline": "Road freight companies",
        "company": "Acme",
        "folder": "acme",
        "is_demo": False,
        "quarter": quarter,
        "as_of": f"{year}-{day}",
        "timezone": "UTC",
        "run_id": "b417380d",
        "status": "draft",
        "data_fingerprint": "a9a9e03334b436a6",
        "settings": Settings(name="Acme", currency="USD").model_dump(mode="json"),
        "notebooks": notebooks,
        "volatile": {"finished_at": "2027-01-05T06:12:00+00:00", "seconds": 1.0},
        **changes,
    }


HEADLINE = (
    "metric,estimate,conf_low,conf_high,comparison,n,note\n"
    "margin_per_day,19.7,14.7,26.6,12.5,1697,\nwin_rate,0.31,0.28,0.34,0.22,856,\n"
)
CLAIMS = (
    "claim_id,claim,segment_id,metric,estimate,conf_low,conf_high,n,hypotheses,estimate_found,p_adjusted,"
    "holdout_p_adjusted,explained_by,verdict,note\n"
    "01-s1,Road freight companies are worth more than the rest.,s1,lift,1.58,1.17,2.13,1697,64,1.58,0.01,,,untested,\n"
)


def write_report(folder: Path, quarter: str, attributes: tuple = (RULE,), **changes) -> Path:
    """A whole report that nobody had to run, in `folder`."""
    (folder / "tables").mkdir(parents=True)
    (folder / "tables" / "headline.csv").write_text(HEADLINE)
    (folder / "tables" / "claims_01.csv").write_text(CLAIMS)
    facts = build_facts(quarter, **changes)
    for name in ("index", *facts["notebooks"]):
        (folder / f"{name}.html").write_text(f"<html>{name} {facts['run_id']}</html>")
    profile = {"name": facts["headline"], "quarter": quarter, "status": "draft", "attributes": list(attributes)}
    (folder / "profile.yml").write_text(yaml.safe_dump(profile))
    save_manifest(folder, facts)
    return folder


@pytest.fixture
def data(tmp_path) -> Path:
    """The folder of a company."""
    folder = tmp_path / "acme"
    folder.mkdir()
    (folder / "icp.yml").write_text("name: Acme\nquarter: 2026-Q3\n")
    return folder


@pytest.fixture
def out(tmp_path, data) -> Path:
    """A folder with the reports of two quarters and their index."""
    folder = tmp_path / "reports"
    for quarter in ("2026-Q2", "2026-Q3"):
        write_report(folder / quarter, quarter)
    shelf.build_index(folder)
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write_next(out: Path) -> Path:
    """The next run of 2026-Q3, finished in its working folder."""
    site = out / ".work" / "2026-Q3" / "report"
    shutil.rmtree(site, ignore_errors=True)
    return write_report(site, "2026-Q3", run_id="cafe0002", headline="Cold chain companies")


@pytest.mark.parametrize("after", [False, True])
def test_a_swap_killed_at_any_step_leaves_a_whole_report_and_the_next_run_heals(out, data, after):
    old, index = files(out / "2026-Q3"), (out / "index.html").read_text()
    new = files(write_next(out))
    ends = []
    for step in range(1, 100):
        site = write_next(out)
        killed = run_killed(lambda site=site: publish._put(site, out / "2026-Q3", print), step, after)
        there = [name for name in ("2026-Q3", ".old-2026-Q3") if (out / name).exists()]
        assert files(out / there[0]) in (old, new), step
        assert files(out / "2026-Q2")
        seen = (out / "index.html").read_text()
        assert seen == index or ("Cold chain" in seen and seen.rstrip().endswith("</html>")), step
        rows = publish.list_reports(str(data), str(out))
        assert not list(out.glob(".old-*"))
        whole = files(out / "2026-Q3")
        assert whole in (old, new)
        headline = "Cold chain companies" if whole == new else "Road freight companies"
        assert [row["headline"] for row in rows] == [headline, "Road freight companies"]
        assert headline in (out / "index.html").read_text()
        ends.append(whole == new)
        shutil.rmtree(out / "2026-Q3")
        write_report(out / "2026-Q3", "2026-Q3")
        shelf.build_index(out)
        if not killed:
            break
    assert step > 8 and not ends[0] and ends[-1]  # several steps were tried; both ends were seen


def test_a_publication_killed_at_any_step_leaves_the_draft_or_the_published_report(out, data):
    draft = files(out / "2026-Q3")
    states = []
    for step in range(1, 300, 3):
        killed = run_killed(
            lambda: publish.publish_report(
                "2026-Q3", str(data), str(out), "Ann Roe, head of sales", say=lambda words: None
            ),
            step,
        )
        rows = publish.list_reports(str(data), str(out))
        states.append(rows[0]["status"])
        if states[-1] == "draft":
            assert files(out / "2026-Q3") == draft
        else:
            check_outputs(out / "2026-Q3", shelf.load_runs(out)[0])
            assert (out / "2026-Q3" / "approval.yml").exists()
        if not killed:
            break
        shutil.rmtree(out / "2026-Q3")
        write_report(out / "2026-Q3", "2026-Q3")
    assert step > 20 and states[0] == "draft" and states[-1] == "published"


def test_what_was_deleted_half_by_a_killed_swap_is_deleted_and_what_was_published_is_kept(out):
    shutil.copytree(out / "2026-Q3", out / ".old-2026-Q3")
    shelf.heal(out, "2026-Q3")
    assert not (out / ".old-2026-Q3").exists() and not (out / ".superseded").exists()
    shutil.copytree(out / "2026-Q3", out / ".old-2026-Q3")
    (out / ".old-2026-Q3" / "approval.yml").write_text("quarter: 2026-Q3\nversion: 1\napproved_by: []\n")
    shelf.heal(out, "2026-Q3")
    assert (out / ".superseded" / "2026-Q3-1" / "approval.yml").exists()


def test_a_quarter_that_another_run_holds_is_not_healed_by_who_lists(out, data):
    (is_held, told), (may_end, tell) = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        with shelf.hold(out, "2026-Q3"):
            (out / "2026-Q3").rename(out / ".old-2026-Q3")  # in the middle of its swap
            os.write(told, b"x")
            os.read(may_end, 1)
        os._exit(0)
    os.read(is_held, 1)
    publish.list_reports(str(data), str(out))
    assert (out / ".old-2026-Q3").exists()
    with (
        pytest.raises(DataError, match=r"2026-Q3: another run is writing this quarter\. Wait for it"),
        shelf.hold(out, "2026-Q3"),
    ):
        pass
    os.write(tell, b"x")
    os.waitpid(child, 0)
    publish.list_reports(str(data), str(out))
    assert (out / "2026-Q3").exists() and not (out / ".old-2026-Q3").exists()


def test_out_that_is_a_file_is_refused(tmp_path, data):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"OUT: 'notes.txt' is a file\. Give a folder, OUT=path/to/reports\."):
        publish.make_report(None, str(data), str(tmp_path / "notes.txt"))
    with pytest.raises(DataError, match=r"OUT: cannot write to 'deep' \(Not a directory\)\. Nothing was changed\."):
        publish.make_report(None, str(data), str(tmp_path / "notes.txt" / "deep"))
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_out_inside_the_company_s_folder_or_its_exports_is_refused(tmp_path, data):
    (data / "link").symlink_to(data)
    for inside in (data, data / "reports", data / "link" / "reports"):
        with pytest.raises(DataError, match=r"lies inside DATA \('acme'\), where nothing is ever written\."):
            publish.make_report(None, str(data), str(inside))
    assert main(["check", "--data", str(data), "--out", str(data / "reports")]) == 2
    (tmp_path / "exports").mkdir()
    with pytest.raises(DataError, match=r"OUT: 'out' lies inside RAW \('exports'\)"):
        publish.make_report(None, str(data), str(tmp_path / "exports" / "out"), str(tmp_path / "exports"))
    assert not (tmp_path / "exports" / "out").exists() and not (data / "reports").exists()


def test_out_that_is_not_ours_to_write_is_refused(data):
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    (folder / "reports").mkdir(mode=0o555)
    is_root = os.geteuid() == 0
    try:
        if is_root:
            os.seteuid(65534)
        with (
            pytest.raises(DataError, match=r"OUT: cannot write to 'reports' \(Permission denied\)\. Nothing was"),
            shelf.hold(folder / "reports", "2026-Q3"),
        ):
            pass
    finally:
        if is_root:
            os.seteuid(0)
        shutil.rmtree(folder)


def test_a_report_s_folder_that_is_a_link_is_refused(out, tmp_path, data):
    (out / "2026-Q3").rename(tmp_path / "elsewhere")
    (out / "2026-Q3").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"2026-Q3: its folder in 'reports' is a symbolic link"):
        publish.make_report(None, str(data), str(out))
    assert (tmp_path / "elsewhere" / "run.json").exists()


def test_a_folder_that_is_not_a_report_is_not_replaced(out, data):
    (out / "2026-Q1").mkdir()
    (out / "2026-Q1" / "letter.txt").write_text("mine")
    with pytest.raises(DataError, match=r"2026-Q1: the folder in 'reports' holds no run\.json, so it is not a report"):
        publish.make_report("2026-Q1", str(data), str(out))
    assert (out / "2026-Q1" / "letter.txt").read_text() == "mine"


def test_a_manifest_that_cannot_be_read_is_named(out, data):
    (out / "2026-Q2" / "run.json").write_text('{"quarter": "2026-')
    with pytest.raises(DataError, match=r"2026-Q2/run\.json: not readable, so this is not a whole report"):
        publish.list_reports(str(data), str(out))


@pytest.mark.parametrize(("most", "why"), [(2_000, "a file could not be copied"), (9_000, "File too large")])
def test_a_full_disk_is_told_in_one_line_and_nothing_is_replaced(out, data, most, why):
    before, (reading, writing) = files(out / "2026-Q3"), os.pipe()
    assert 2_000 < (out / "2026-Q3" / "run.json").stat().st_size < 9_000 < (out / "index.html").stat().st_size
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        try:
            publish.publish_report(None, str(data), str(out), "Ann Roe, head of sales")
        except BaseException as error:
            os.write(writing, f"{type(error).__name__}: {error}".encode())
        os._exit(0)
    os.close(writing)
    said = os.read(reading, 9_999).decode()
    os.waitpid(child, 0)
    assert said == (
        f"DataError: OUT: 'reports' cannot be written ({why}). Make room, or mend who may write there; then run again. "
        "Nothing is half-written."
    )
    assert files(out / "2026-Q3") == before and not list(out.glob(".old-*"))


def test_a_disk_that_fills_up_between_the_two_renames_puts_the_old_report_back(out, monkeypatch):
    before, site, rename = files(out / "2026-Q3"), write_next(out), Path.rename

    def full(self, target):
        if self.name == "report":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", full)
    with (
        pytest.raises(DataError, match=r"'reports' cannot be written \(No space left on device\)"),
        publish._full_disk_in_words(out),
    ):
        shelf.swap(site, out / "2026-Q3")
    assert files(out / "2026-Q3") == before and not (out / ".old-2026-Q3").exists()


def test_an_error_that_is_no_disk_s_is_not_taken_for_one(tmp_path):
    with pytest.raises(FileNotFoundError), publish._full_disk_in_words(tmp_path):
        (tmp_path / "nothing").read_text()


def test_the_index_names_failures_with_the_last_good_report(out):
    write_report(out / "2026-Q4", "2026-Q4", failed=("01_segment_discovery",))
    entry = shelf.build_entries(out)[0]
    assert (entry["status"], entry["status_words"], entry["href"]) == ("failed", "Failed: 01", "2026-Q4/index.html")
    assert entry["last_good"] == {"quarter": "2026-Q3", "href": "2026-Q3/index.html"}
    assert [row["status_words"] for row in shelf.build_entries(out)[1:]] == ["Draft", "Draft"]


def test_a_run_that_failed_before_there_was_a_report_stands_in_the_index(out):
    at = datetime(2027, 1, 5, 6, 12, tzinfo=UTC)
    for quarter in ("2026-Q3", "2026-Q4"):
        (out / ".work" / quarter).mkdir(parents=True)
        shelf.save_attempt(out / ".work" / quarter, "Acme", "accounts.csv: <b>broken</b>", at)
    new, old, _ = shelf.build_entries(out)
    assert new["status"] == "failed" and new["href"] is None
    assert new["last_good"] == {"quarter": "2026-Q3", "href": "2026-Q3/index.html"}
    assert old["status"] == "draft" and old["last_good"]["quarter"] == "2026-Q3"
    assert old["attempt"]["at"] == "5 Jan 2027, 06:12 UTC" and old["attempt"]["words"] == "accounts.csv: <b>broken</b>"
    html = shelf.build_index(out).read_text(encoding="utf-8")
    assert "2026-Q4" in html and "<b>broken</b>" not in html


def test_the_last_good_page_is_of_an_earlier_quarter():
    runs = [build_facts("2026-Q3"), build_facts("2026-Q2", failed=("01_segment_discovery",)), build_facts("2026-Q1")]
    assert shelf.find_last_good(runs, "2026-Q3") == {"quarter": "2026-Q1", "href": "2026-Q1/index.html"}
    assert shelf.find_last_good(runs, "2026-Q3", "07_icp_profile")["href"] == "2026-Q2/07_icp_profile.html"
    assert shelf.find_last_good(runs, "2026-Q3", "01_segment_discovery")["quarter"] == "2026-Q1"
    assert shelf.find_last_good(runs, "2026-Q1") is None


def test_a_draft_made_before_its_quarter_had_ended_says_so(out):
    early = {"finished_at": "2026-12-31T10:00:00+00:00", "seconds": 1.0}
    write_report(out / "2026-Q4", "2026-Q4", volatile=early)
    assert shelf.build_entries(out)[0]["status_words"] == "Draft, made before the quarter had ended"
