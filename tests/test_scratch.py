"""Copies of the notebooks to work in: parameters set, outputs gone, an edited one never overwritten."""

from __future__ import annotations

import os
import sys

import nbformat
import pytest
from nbformat import NO_CONVERT
from test_execution import write_notebook

from icp_lib import execution, scratch


@pytest.fixture
def stock(tmp_path, monkeypatch):
    """A repository of its own with the stock notebooks."""
    folder = tmp_path / "repository" / "notebooks"
    folder.mkdir(parents=True)
    for path in execution.STOCK.glob("0*.ipynb"):
        (folder / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(scratch, "REPOSITORY", folder.parent)
    monkeypatch.setattr(scratch, "STOCK", folder)
    monkeypatch.setattr(execution, "STOCK", folder)
    return folder


@pytest.fixture
def acme(tmp_path):
    write_notebook(tmp_path / "acme" / "notebooks" / "08_ours.ipynb", ("1",))
    return tmp_path / "acme"


def parameters(path) -> dict:
    found: dict = {}
    exec(nbformat.read(path, NO_CONVERT).cells[1].source, found)  # the cell is ours: three literals
    return {name: found[name] for name in ("quarter", "data", "out")}


def test_every_notebook_is_copied_with_the_parameters_and_without_outputs(stock, acme):
    committed = {path.name: path.read_bytes() for path in stock.glob("*.ipynb")}
    folder, written, kept = scratch.write_copies(acme, "2026-Q2", stock.parent / "reports" / "acme")
    assert folder == stock / "scratch" / "acme" and kept == []
    assert sorted(written) == sorted([*committed, "08_ours.ipynb"]) == sorted(path.name for path in folder.iterdir())
    for path in folder.iterdir():
        assert parameters(path) == {"quarter": "2026-Q2", "data": str(acme), "out": "reports/acme"}
        cells = [cell for cell in nbformat.read(path, NO_CONVERT).cells if cell.cell_type == "code"]
        assert not any(cell.outputs or cell.execution_count for cell in cells)
    assert {path.name: path.read_bytes() for path in stock.glob("*.ipynb")} == committed
    assert "# where reports go" in nbformat.read(folder / "00_data_check.ipynb", NO_CONVERT).cells[1].source


def test_an_edited_copy_stays_and_is_named_and_one_that_only_ran_is_written_again(stock, acme):
    folder = scratch.write_copies(acme, "2026-Q2", stock)[0]
    edited, ran = folder / "00_data_check.ipynb", folder / "08_ours.ipynb"
    for path in (edited, ran):
        notebook = nbformat.read(path, NO_CONVERT)
        notebook.cells[-1].outputs = [nbformat.v4.new_output("stream", text="mine")]
        if path == edited:
            notebook.cells[-1].source += "\n# mine"
        nbformat.write(notebook, path)
    before = edited.read_bytes()
    _, written, kept = scratch.write_copies(acme, "2026-Q1", stock)
    assert kept == [edited.name] and edited.name not in written and edited.read_bytes() == before
    assert "mine" not in ran.read_text(encoding="utf-8") and parameters(ran)["quarter"] == "2026-Q1"


@pytest.mark.parametrize("path", ['a "quoted" \\ path', "~/a#b", "two = words", "Zoë"])
def test_a_path_arrives_whole_whatever_it_holds(path):
    cell = 'data: str = "data/demo"  # the company\'s folder\nout: str = "reports"\ndatabase = "x"'
    found: dict = {}
    exec(scratch.set_parameters(cell, {"data": path}), found)
    assert (found["data"], found["out"], found["database"]) == (path, "reports", "x")


def test_lab_says_where_the_copies_are_and_which_were_kept_then_becomes_jupyterlab(stock, acme, monkeypatch, capsys):
    became = []
    monkeypatch.setattr(os, "execv", lambda *given: became.append(given))
    monkeypatch.setattr(scratch, "find_out", lambda out, data: stock.parent / "reports")
    scratch.open_lab("2026-Q2", str(acme))
    said, n_notebooks = capsys.readouterr().out, len(list(stock.glob("*.ipynb"))) + 1
    assert f"notebooks/scratch/acme: {n_notebooks} notebooks" in said and "Edited" not in said
    path = stock / "scratch" / "acme" / "08_ours.ipynb"
    notebook = nbformat.read(path, NO_CONVERT)
    notebook.cells.append(nbformat.v4.new_code_cell("mine"))
    nbformat.write(notebook, path)
    scratch.open_lab("2026-Q2", str(acme))
    assert "Edited before and left as they are: 08_ours.ipynb." in capsys.readouterr().out
    program, words = became[-1]
    assert program == sys.executable and words[1:3] == ["-m", "jupyterlab"]
    assert words[-1] == "--LabApp.default_url=/lab/tree/notebooks/scratch/acme"
