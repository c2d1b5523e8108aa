"""The committed notebooks keep to the pattern: small cells, no branches, the demo's parameters, questions."""

from __future__ import annotations

import ast
import re
import statistics

import nbformat
import pytest

from icp_lib.execution import STOCK
from icp_lib.schemas import NEEDS

PATHS = sorted(STOCK.glob("*.ipynb"))
PARAMETERS = {"quarter": "2026-Q3", "data": "data/demo", "out": "reports"}
BANNED = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.For,
    ast.While,
    ast.If,
    ast.Try,
    ast.IfExp,
    ast.Lambda,
)


def read(path):
    return nbformat.read(path, as_version=4)


def lines(cell) -> list[str]:
    return [line for line in cell.source.split("\n") if line.strip() and not line.strip().startswith("#")]


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def notebook(request):
    return read(request.param)


def test_every_stock_notebook_has_a_name_of_the_method():
    assert [path.stem for path in PATHS] and {path.stem for path in PATHS} <= set(NEEDS)


def test_it_opens_with_title_parameters_and_setup(notebook):
    title, parameters, setup = notebook.cells[:3]
    assert re.match(r"# 0\d · .+: .+\?$", title.source)
    assert parameters.metadata["tags"] == ["parameters"] and setup.metadata["tags"] == ["setup"]
    assert setup.source == "import icp_lib as icp\n\nrun = icp.start_run(quarter, data, out)"


def test_parameters_are_the_demo_s_one_literal_a_line(notebook):
    tree = ast.parse(notebook.cells[1].source)
    found = {node.target.id: ast.literal_eval(node.value) for node in tree.body}
    assert found == PARAMETERS
    assert all(
        line.count("=") == 1 for line in notebook.cells[1].source.split("\n")
    )  # papermill's parser splits at "="


def test_cells_are_small_and_plain(notebook):
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    sizes = [len(lines(cell)) for cell in code]
    assert max(sizes) <= 10 and statistics.median(sizes) <= 3
    for cell in code:
        assert not [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, BANNED)], cell.source


def test_prose_asks_questions_and_types_no_figure(notebook):
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    heads = [line for text in prose for line in text.split("\n") if line.startswith("## ")]
    assert heads[0] == "## In short" and heads[-1] == "## Checks"
    assert all(head.endswith("?") for head in heads[1:-1])
    for text in prose[1:]:
        assert not re.search(r"\d", text), text


def test_outputs_are_the_demo_s_and_carry_no_path_or_error(notebook):
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type in ("error", "stream")]
    text = str(outputs)
    assert not re.search(r"/(home|Users|root|tmp|work)/", text)
    assert not re.search(r"\b(nan|NaN|NaT|None|inf)\b", re.sub(r"<[^>]*>", "", text))


def test_it_ends_with_checks_that_raise(notebook):
    assert "run.check(" in notebook.cells[-1].source
