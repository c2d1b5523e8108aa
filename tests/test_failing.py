"""What still runs after an error, what is said about it, and what stands where a part is missing."""

from __future__ import annotations

import pytest
from nbformat import read, v4, write

from icp_lib.failing import Course, describe_error, find_dependants, mark_failure, name_place


@pytest.mark.parametrize(
    ("sources", "dependants"),
    [
        (["a = f()", "show(b)", "show(a)"], [2]),
        (["a = f()", "b = a", "c = b", "show(c)"], [1, 2, 3]),
        (["a = f()", "a = 1\nshow(a)", "show(a)"], []),  # set anew before it is used
        (["a = f()", "if x:\n    a = 1", "show(a)"], [2]),  # perhaps set anew
        (["a = f()", "a += 1", "show(a)"], [1, 2]),
        (["frame['rate'] = f()", "show(frame)"], [1]),  # changed in place
        (["run.note = f()", "show(run)"], [1]),
        (["import icp_lib as icp\nrun = icp.start_run()", "icp.show(1)", "run.save(2)", "1 + 1"], [1, 2]),
        (["a = f()", "%time show(1)"], [1]),  # not plain Python: nobody knows what it uses
        (["(a := f())", "[a for a in ()]", "def g():\n    return a"], [1, 2]),
    ],
)
def test_what_uses_a_name_that_the_failed_code_would_have_set_depends_on_it(sources, dependants):
    assert find_dependants(sources, 0) == dependants


def cells():
    notebook = v4.new_notebook()
    notebook.cells = [
        v4.new_markdown_cell("# 09 · Ours: does it run?"),
        v4.new_code_cell("out = ''", metadata={"tags": ["parameters"]}),
        v4.new_code_cell("out = 'x'", metadata={"tags": ["injected-parameters"]}),
        v4.new_markdown_cell("## First?"),
        v4.new_code_cell("a = f()"),
        v4.new_code_cell("show(a)"),
        v4.new_markdown_cell("Words.\n\n## Second?"),
        v4.new_code_cell("show(b)"),
        v4.new_markdown_cell("## Third?"),
        v4.new_code_cell("show(a)"),
    ]
    return notebook


def test_a_place_is_counted_as_jupyterlab_counts():
    assert name_place(cells().cells, 5) == "cell 3, under 'First?'"
    assert name_place(cells().cells, 7) == "cell 4, under 'Second?'"
    assert name_place([v4.new_code_cell("1")], 0) == "cell 1"


def test_an_error_says_what_and_where_and_what_to_do_but_names_no_path_of_the_machine():
    assert describe_error("DataError", "spend.csv:\n 3 rows have no month.", "cell 5") == (
        "spend.csv: 3 rows have no month."
    )
    said = describe_error("FileNotFoundError", "no /home/ann/acme/map.sql", "cell 5, under 'How?'")
    assert said == (
        "An error that no check foresaw: FileNotFoundError: no map.sql, in cell 5, under 'How?'. "
        "Run the notebook in JupyterLab (`make lab`) to see it."
    )
    assert "foresaw: AssertionError, in cell 2." in describe_error("AssertionError", "", "cell 2")


def notes(path) -> dict[int, str]:
    return {
        number: output.data["text/plain"]
        for number, cell in enumerate(read(path, as_version=4).cells)
        for output in cell.get("outputs", [])
        if output.output_type == "display_data"
    }


def test_a_missing_part_is_noted_once_a_section(tmp_path):
    course = Course()
    course.begin(cells())
    course.enter(None, 4)
    course.fail(None, 4, {"content": {"ename": "DataError", "evalue": "no arm."}})
    course.fail(None, 7, {"content": {"ename": "DataError", "evalue": "no <b>."}})
    write(course.notebook, tmp_path / "x.ipynb")
    mark_failure(tmp_path / "x.ipynb", course)
    assert course.words == "no arm."
    assert notes(tmp_path / "x.ipynb") == {
        4: "This part failed. The reason stands at the top of the page.",
        7: "This part failed. no <b>.",
        9: "Not produced. It needs a part of this page that failed.",
    }
    marked = read(tmp_path / "x.ipynb", as_version=4)
    assert "no &lt;b&gt;." in marked.cells[7].outputs[-1].data["text/html"]
    assert not [cell for cell in marked.cells if "skip-execution" in cell.metadata.get("tags", [])]


def test_a_kernel_that_stopped_leaves_its_words_and_the_rest_is_not_produced(tmp_path):
    course = Course()
    course.begin(cells())
    course.enter(None, 5)
    write(course.notebook, tmp_path / "x.ipynb")
    mark_failure(tmp_path / "x.ipynb", course, f"The kernel stopped in {course.place}.")
    errors = [output.evalue for cell in read(tmp_path / "x.ipynb", as_version=4).cells for output in
              cell.get("outputs", []) if output.output_type == "error"]  # fmt: skip
    assert errors == ["The kernel stopped in cell 3, under 'First?'."]
    assert list(notes(tmp_path / "x.ipynb")) == [5, 7, 9]
