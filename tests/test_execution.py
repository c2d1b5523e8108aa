"""Notebooks side by side: their order, what each saved, and what is left of one that errs, dies or takes too long."""

from __future__ import annotations

import json
import re
import time
from types import SimpleNamespace

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from icp_lib import __main__ as command
from icp_lib import execution, kernels
from icp_lib.checks import DataError

PARAMETERS = 'quarter: str = "2026-Q3"\ndata: str = "data/demo"\nout: str = "reports"'
SETUP = "import icp_lib as icp\nimport pandas as pd\n\nrun = icp.start_run(quarter, data, out)"


def save(name: str, columns: str = "n") -> str:
    return f"run.save(pd.DataFrame(columns={columns.split()}), {name!r})"


def meet(own: str, other: str) -> str:
    """Save a table and wait for the other notebook's: only two that run at once come to their end."""
    wait = f"while not (run.work / 'tables' / '{other}.csv').exists():\n    time.sleep(0.05)"
    return "\n".join((save(own), "import time", wait, save(f"{own}_after")))


OWN = {
    "00_data_check": (save("readiness", "notebook status missing"), save("data_checks", "status")),
    "01_segment_discovery": (save("segments"),),
    "02_trait_analysis": (meet("two", "three"),),
    "03_acquisition_efficiency": (meet("three", "two"),),
    "04_buyer_journey": (
        *("## Lost?", "lost = 1 / 0", "lost + 1"),
        *("## Gone?", "lost", "lost"),
        *("## Kept?", "kept = 'Kept whole'", "print(kept)", save("kept")),
    ),
    "05_fit_and_lead_scoring": ("## Dies?", save("early"), "import os\n\nos._exit(1)", "## Later?", "1"),
    "06_icp_ab_test": ("## Ends?", "import time\n\nwhile True:\n    time.sleep(0.01)"),
    "07_icp_profile": ("run.table('segments').shape",),
    "08_ours": ("sorted(path.stem for path in (run.work / 'tables').glob('*_after.csv'))",),
}


def write_notebook(path, cells, setup=SETUP):
    made = [new_markdown_cell(cell) if cell.startswith("## ") else new_code_cell(cell) for cell in cells]
    parameters = new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    title = new_markdown_cell(f"# {path.stem[:2]} · {path.stem[3:]}: does it run?")
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=[title, parameters, new_code_cell(setup), *made], metadata=metadata), path)
    return path


def list_children() -> list[int]:
    return [child.pid for child in psutil.Process().children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """One run through the command in which three of nine notebooks fail, each in its own way."""
    folder = tmp_path_factory.mktemp("broken")
    company, out = folder / "acme", folder / "out"
    company.mkdir()
    (company / "icp.yml").write_text("quarter: 2026-Q3\nmax_quarantined: 1\n")
    (company / "accounts.csv").write_text("account_id,created_at\nA1,2024-01-01\n")
    (company / "opportunities.csv").write_text(
        "opportunity_id,account_id,created_at,closed_at,status,amount\nO1,A1,2024-02-01,2024-03-01,won,1000\n"
    )
    for stem, cells in OWN.items():
        write_notebook(company / "notebooks" / f"{stem}.ipynb", cells)
    before, said = list_children(), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execution, "LIMIT_MINUTES", 0.5)  # only the endless loop comes near it
        patch.setattr(execution, "count_workers", lambda: 2)
        patch.setattr(kernels, "EARLY", ())
        patch.setattr(command, "_print", said.append)
        code = command.main(["report", "--data", str(company), "--out", str(out)])
    left = set(list_children()) - set(before)
    run = json.loads((out / "2026-Q3" / "run.json").read_text(encoding="utf-8"))
    return {"code": code, "folder": out / "2026-Q3", "pages": run["notebooks"], "said": said, "left": left}


def test_a_run_in_which_pages_fail_ends_with_1_and_leaves_no_kernel(broken):
    assert broken["code"] == 1
    assert broken["left"] == set()


def test_each_failure_is_told_in_words_and_the_others_run(broken):
    words = {name: page["words"] for name, page in broken["pages"].items()}
    failed = {name for name, page in broken["pages"].items() if page["status"] == "failed"}
    assert failed == {"04_buyer_journey", "05_fit_and_lead_scoring", "06_icp_ab_test"}
    assert words["04_buyer_journey"] == (
        "An error that no check foresaw: ZeroDivisionError: division by zero, in cell 3, under 'Lost?'. "
        "Run the notebook in JupyterLab (`make lab`) to see it."
    )
    assert words["05_fit_and_lead_scoring"].startswith("The kernel stopped in cell 4, under 'Dies?'. Most often memory")
    assert words["06_icp_ab_test"].startswith(
        "It took longer than 0.5 minutes and was stopped in cell 3, under 'Ends?'."
    )
    assert {words[name] for name in words.keys() - failed} == {"Ran"}


def test_a_failed_page_keeps_what_it_had_and_what_did_not_need_the_failed_part(broken):
    lost = (broken["folder"] / "04_buyer_journey.html").read_text(encoding="utf-8")
    assert lost.count("This part failed.") == 1 and lost.count("Not produced.") == 1
    assert "Kept whole" in lost
    notebook = nbformat.read(broken["folder"] / "notebooks" / "04_buyer_journey.ipynb", as_version=4)
    ran = [cell.execution_count is not None for cell in notebook.cells if cell.cell_type == "code"]
    assert ran == [True, True, True, False, False, False, True, True, True]
    for name, words in (("05_fit_and_lead_scoring", "The kernel stopped"), ("06_icp_ab_test", "It took longer than")):
        page = (broken["folder"] / f"{name}.html").read_text(encoding="utf-8")
        assert "This page failed." in page and words in page
    assert "Not produced." in (broken["folder"] / "05_fit_and_lead_scoring.html").read_text(encoding="utf-8")


def test_a_page_lists_the_tables_that_it_saved_itself(broken):
    tables = {name[:2]: page["tables"] for name, page in broken["pages"].items()}
    assert tables == {
        "00": ["data_checks", "readiness"],
        "01": ["segments"],
        "02": ["two", "two_after"],
        "03": ["three", "three_after"],
        "04": ["kept"],
        "05": ["early"],
        "06": [],
        "07": [],
        "08": [],
    }


def test_the_company_s_own_notebook_finds_the_tables_of_those_before(broken):
    assert "three_after" in (broken["folder"] / "08_ours.html").read_text(encoding="utf-8")


def test_progress_counts_the_pages_that_have_ended(broken):
    lines = [line for line in broken["said"] if re.match(r"  \d of 9  ", line)]
    assert [int(line.split()[0]) for line in lines] == list(range(1, 10))
    order = [line.split()[3] for line in lines]
    assert order[:2] == ["00_data_check", "01_segment_discovery"] and order[-1] == "07_icp_profile"
    assert all(re.search(r"\S, \d+ s$", line) for line in lines)


@pytest.fixture
def schedule(tmp_path, monkeypatch):
    """Run the nine notebooks with a stub in the place of kernels and papermill; return pages and what happened when."""
    for stem in OWN:
        write_notebook(tmp_path / "notebooks" / f"{stem}.ipynb", ())
    run = SimpleNamespace(quarter="2026-Q3", data=tmp_path, out=tmp_path, work=tmp_path)
    moments = []

    def execute(source, *given):
        moments.append(("began", source.stem))
        time.sleep(0.02)
        moments.append(("ended", source.stem))
        return ("failed", "It failed.") if source.stem in failing else ("ok", "Ran")

    monkeypatch.setattr(execution.Kernels, "start", lambda kernels, name, n_threads: kernels.pids.update({name: 0}))
    monkeypatch.setattr(execution.Kernels, "end", lambda *given, **options: None)
    monkeypatch.setattr(execution, "execute", execute)
    monkeypatch.setattr(execution, "_judge", lambda page, run: ("ok", "Ran"))
    failing = []

    def schedule(*broken, n_workers=4):
        failing[:], moments[:] = broken, []
        monkeypatch.setattr(execution, "count_workers", lambda: n_workers)
        return execution.execute_all(run, lambda words: None), moments

    return schedule


@pytest.mark.parametrize("n_workers", [1, 2, 4])
def test_a_notebook_begins_when_those_that_it_may_need_have_ended(schedule, n_workers):
    pages, moments = schedule(n_workers=n_workers)
    at = {moment: number for number, moment in enumerate(moments)}
    names = [page.name for page in pages]
    assert names == [*sorted(OWN)[:7], "08_ours", "07_icp_profile"] and {page.status for page in pages} == {"ok"}
    for earlier, later in (
        *((names[0], name) for name in names[1:]),
        *((names[1], name) for name in names[2:]),
        *((name, "08_ours") for name in names[2:7]),
        *((name, "07_icp_profile") for name in names[:8]),
    ):
        assert at["ended", earlier] < at["began", later]


def test_a_notebook_that_needs_a_failed_one_says_so(schedule):
    words = {page.name[:2]: page.words for page in schedule("01_segment_discovery")[0]}
    assert words.pop("00") == "Ran" and words.pop("01") == "It failed."
    assert set(words.values()) == {"Skipped: needs 01"}
    pages, moments = schedule("00_data_check")
    assert [(page.status, page.words) for page in pages[1:]] == [("not produced", "Skipped: needs 00")] * 8
    assert len(moments) == 2
    assert {page.status for page in schedule("03_acquisition_efficiency")[0]} == {"ok", "failed"}


def test_an_error_of_ours_ends_the_run(schedule, monkeypatch):
    def refuse(*given):
        raise DataError("06_icp_ab_test.ipynb: has no parameter 'out'.")

    monkeypatch.setattr(execution, "execute", refuse)
    with pytest.raises(DataError, match="has no parameter 'out'"):
        schedule()


def test_who_saved_a_table_is_read_from_the_notes_of_run_save(tmp_path):
    assert execution.list_saved(tmp_path, 7) == []
    (tmp_path / "saved.txt").write_text("7 cac\n8 traits\n7 cac\n7 arms\n")
    assert execution.list_saved(tmp_path, 7) == ["arms", "cac"]
