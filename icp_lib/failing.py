"""A notebook that fails: the first error in words, what can still run after it, and a note where a part is missing."""

from __future__ import annotations

import ast
import re
import time
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from icp_lib.pages import clean_message

_SKIP = "skip-execution"  # the tag of cells that papermill's client leaves out
_HEADING = re.compile(r"^#{1,2} +(.+)$", re.MULTILINE)


@dataclass
class Course:
    """How far one notebook has come. After an error the cells that need nothing from the failed one still run."""

    notebook: object = None
    index: int | None = None
    began: float = 0.0
    errors: dict[int, str] = field(default_factory=dict)

    @property
    def hooks(self) -> dict:
        """Options of papermill's client."""
        return {
            "allow_errors": True,
            "on_notebook_start": self.begin,
            "on_cell_execute": self.enter,
            "on_cell_error": self.fail,
        }

    @property
    def words(self) -> str:
        """The first error in words; the others may follow from it."""
        return next(iter(self.errors.values()), "")

    @property
    def place(self) -> str:
        """Where it is, as `name_place` says it."""
        return name_place(self.notebook.cells, self.index)

    def begin(self, notebook) -> None:
        """Remember the notebook that is being filled, and when its kernel was ready."""
        self.notebook, self.began = notebook, time.monotonic()

    def enter(self, cell, cell_index: int) -> None:
        """Remember the cell that runs."""
        self.index = cell_index

    def fail(self, cell, cell_index: int, execute_reply: dict) -> None:
        """Note an error in words, and leave out what depends on this cell."""
        said, cells = execute_reply["content"], self.notebook.cells
        self.errors[cell_index] = describe_error(said["ename"], said["evalue"], self.place)
        for index in find_dependants([each.source if each.cell_type == "code" else "" for each in cells], cell_index):
            cells[index].metadata["tags"] = [*_tags(cells[index]), _SKIP]


def describe_error(name: str, message: str, place: str) -> str:
    """Return an error in words: a `DataError`'s own, any other with its place and what to do.

    Examples
    --------
    >>> describe_error("DataError", "spend.csv: 3 rows have no month.", "cell 5")
    'spend.csv: 3 rows have no month.'
    >>> describe_error("KeyError", "'arm'", "cell 5")
    "An error that no check foresaw: KeyError: 'arm', in cell 5. Run the notebook in JupyterLab (`make lab`) to see it."
    """
    said = " ".join(clean_message(message).split())
    if name == "DataError" and said:
        return said
    said = f"{name}: {said}".removesuffix(": ").removesuffix(".")
    return f"An error that no check foresaw: {said}, in {place}. Run the notebook in JupyterLab (`make lab`) to see it."


def name_place(cells: list, index: int) -> str:
    """Return where a cell stands, as JupyterLab counts it, with the heading above it."""
    upto = cells[: index + 1]
    number = sum(cell.cell_type == "code" and "injected-parameters" not in _tags(cell) for cell in upto)
    heads = [head for cell in upto if cell.cell_type == "markdown" for head in _HEADING.findall(cell.source)]
    return f"cell {number}, under '{heads[-1].strip()}'" if heads else f"cell {number}"


def find_dependants(sources: list[str], failed: int) -> list[int]:
    """Return the positions after `failed` whose code uses a name that the failed code, or one of these, would have set.

    Names are read from the code. A cell that is not plain Python is taken for dependent.

    Examples
    --------
    >>> find_dependants(["a = f()", "b = a + 1", "c = 2", "show(b)", "a = 3; show(a)", "show(a)"], 0)
    [1, 3]
    """
    broken, dependants = set(_read_names(sources[failed])[1]), []
    for index in range(failed + 1, len(sources)):
        uses, sets, surely = _read_names(sources[index])
        if uses is None or uses & broken:
            dependants.append(index)
            broken |= sets
        else:
            broken -= surely
    return dependants


def _read_names(source: str) -> tuple[set[str] | None, set[str], set[str]]:
    """Names that a cell uses from the cells before it, that it sets or changes, and that it sets in any case."""
    try:
        statements = ast.parse(source).body
    except SyntaxError:
        return None, set(), set()
    uses, sets, surely = set(), set(), set()
    for statement in statements:
        used, written = _read_statement(statement)
        uses |= used - surely
        sets |= written
        if isinstance(statement, ast.Assign | ast.AnnAssign | ast.Import | ast.ImportFrom):
            surely |= written
    return uses, sets, surely


def _read_statement(statement: ast.stmt) -> tuple[set[str], set[str]]:
    """Names that one statement uses, and names that it sets, or changes a part of."""
    nodes = list(ast.walk(statement))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    uses = {node.id for node in names if isinstance(node.ctx, ast.Load)}
    sets = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    sets |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    sets |= {alias.asname or alias.name.split(".")[0] for node in nodes for alias in _aliases(node)}
    for node in nodes:
        if isinstance(node, ast.AugAssign):
            uses |= sets
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store):
            sets |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    return uses, sets


def _aliases(node: ast.AST) -> list[ast.alias]:
    return node.names if isinstance(node, ast.Import | ast.ImportFrom) else []


def _tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def mark_failure(path: Path, course: Course, stopped: str = "") -> None:
    """Write a notebook as far as it came, with what is missing, once a section.

    Parameters
    ----------
    path : Path
        Where it goes.
    course : Course
        Papermill's own marks are taken out of its notebook.
    stopped : str
        Why its kernel ended before the notebook did, in words; then no cell after that ran.
    """
    import nbformat

    notebook = course.notebook
    notebook.cells = [cell for cell in notebook.cells if "papermill-error-cell-tag" not in _tags(cell)]
    if stopped and not course.errors:
        error = nbformat.v4.new_output("error", ename="DataError", evalue=stopped, traceback=[stopped])
        notebook.cells[course.index].outputs.append(error)
    errors, is_noted = {course.index: stopped} | course.errors if stopped else course.errors, False
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            is_noted = is_noted and not _HEADING.search(cell.source)
        elif index in errors or _SKIP in _tags(cell) or (stopped and index > course.index):
            if not is_noted:
                cell.outputs.append(_note(errors.get(index), is_first=index == min(errors)))
            is_noted = True
            cell.metadata["tags"] = [tag for tag in _tags(cell) if tag != _SKIP]
    nbformat.write(notebook, path)


def _note(error: str | None, is_first: bool):
    """Return what stands in the place of a part that is missing."""
    import nbformat

    head, words = "This part failed.", "The reason stands at the top of the page."
    if error is None:
        head, words = "Not produced.", "It needs a part of this page that failed."
    elif not is_first:
        words = error
    html = f'<div class="icp-missing"><p><b>{head}</b></p><p>{escape(words)}</p></div>'
    return nbformat.v4.new_output("display_data", {"text/html": html, "text/plain": f"{head} {words}"})
