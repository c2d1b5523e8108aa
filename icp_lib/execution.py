"""Notebooks executed in their order, strict about parameters, each with a status of its own."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from icp_lib.checks import DataError, hint
from icp_lib.run import REPOSITORY, Run

STOCK = REPOSITORY / "notebooks"
CELL_TIMEOUT = 900
RAN = "Ran"
FIRST, SECOND, LAST = "00_data_check", "01_segment_discovery", "07_icp_profile"


@dataclass
class Page:
    """One notebook of a run and how it ended."""

    source: Path
    status: str = "not produced"
    words: str = ""
    seconds: float = 0.0
    executed: Path | None = None
    tables: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """File stem, such as 00_data_check."""
        return self.source.stem

    @property
    def title(self) -> str:
        """The name as words, such as Data check."""
        words = self.name[3:].replace("icp_ab_test", "ICP A/B test").replace("icp", "ICP").replace("_", " ")
        return words[:1].upper() + words[1:]


def find_notebooks(data: Path) -> list[Path]:
    """Return the notebooks in their order: the stock ones, or the company's of the same name; its others before 07."""
    own = {path.name: path for path in sorted((data / "notebooks").glob("*.ipynb"))}
    stock = [own.pop(path.name, path) for path in sorted(STOCK.glob("0*.ipynb"))]
    return (
        [path for path in stock if path.stem != LAST]
        + list(own.values())
        + [path for path in stock if path.stem == LAST]
    )


def execute_all(run: Run, say: Callable[[str], None]) -> list[Page]:
    """Run the notebooks in order; one that fails keeps what it had, those that need it are not produced."""
    pages = [Page(path) for path in find_notebooks(run.data)]
    if not pages:
        raise DataError("notebooks: none found. Clone the repository again.")
    for number, page in enumerate(pages):
        broken = [
            other.name[:2]
            for other in pages[:number]
            if other.name in (FIRST, SECOND) and other.status == "failed"
        ]
        if broken:
            page.status, page.words = "not produced", f"Skipped: needs {broken[0]}"
            continue
        before = set((run.work / "tables").glob("*.csv"))
        began = time.time()
        page.executed = run.work / "notebooks" / page.source.name
        page.status, page.words = execute(
            page.source, page.executed, {"quarter": str(run.quarter), "data": str(run.data), "out": str(run.out)}
        )
        page.seconds = round(time.time() - began, 1)
        page.tables = sorted(path.stem for path in set((run.work / "tables").glob("*.csv")) - before)
        if page.status == "ok":
            page.status, page.words = _judge(page, run)
        say(f"  {number + 1} of {len(pages)}  {page.name:26s} {page.words.splitlines()[0]}, {page.seconds:.0f} s")
        if number == 0 and page.status == "failed":
            break
    return pages


def execute(source: Path, target: Path, parameters: dict[str, str]) -> tuple[str, str]:
    """Execute one notebook with papermill, strict about its parameters; return ("ok" or "failed", words).

    Raises
    ------
    DataError
        A parameter that the notebook does not have; the closest is named.
    """
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    known = list(papermill.inspect_notebook(str(source)))
    for name in parameters:
        if name not in known:
            raise DataError(f"{source.name}: has no parameter '{name}'. {hint(name, known)}")
    try:
        with _own_jupyter():
            papermill.execute_notebook(
                str(source),
                str(target),
                parameters,
                progress_bar=False,
                log_output=False,
                execution_timeout=CELL_TIMEOUT,
                kernel_name="python3",
                extra_arguments=["--log-level=ERROR"],
            )
    except papermill.PapermillExecutionError as error:
        said = error.evalue if error.ename == "DataError" else f"{error.ename}: {error.evalue}"
        return "failed", " ".join(said.split()) or error.ename
    except DeadKernelError:
        return "failed", "The notebook's process ended before it was done. Is there enough memory?"
    except CellTimeoutError:
        return "failed", f"A cell took longer than {CELL_TIMEOUT // 60} minutes."
    return "ok", RAN


@contextlib.contextmanager
def _own_jupyter():
    """Give kernels a configuration of their own, so that a user's start-up files and locale change nothing."""
    with tempfile.TemporaryDirectory(prefix="icp-") as folder:
        own = {
            "IPYTHONDIR": folder,
            "JUPYTER_CONFIG_DIR": folder,
            "PYTHONHASHSEED": "0",
            "OMP_NUM_THREADS": "1",
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }
        before = {name: os.environ.get(name) for name in own}
        os.environ.update(own)
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def _judge(page: Page, run: Run) -> tuple[str, str]:
    """The status of a page that ran, from what 00 saved: ok, warnings, or not measured."""
    readiness = run.table("readiness").set_index("notebook")
    if page.name in readiness.index and readiness.loc[page.name, "status"] == "not measured":
        return "not measured", f"Not measured: needs {readiness.loc[page.name, 'missing']}"
    if page.name != FIRST:
        return "ok", RAN
    status = run.table("data_checks")["status"].value_counts()
    found = {words: int(status.get(word, 0)) for word, words in (("fail", "checks failed"), ("warn", "warned"))}
    said = ", ".join(f"{n} {words}" for words, n in found.items() if n)
    return ("warnings", said) if said else ("ok", RAN)


def strip_notebook(notebook):
    """Return an executed notebook without times, paths and random ids: equal runs give equal notebooks."""
    notebook.metadata.pop("papermill", None)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"c{number:03d}"
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
    notebook.cells = [
        cell
        for cell in notebook.cells
        if not {"injected-parameters", "papermill-error-cell-tag"} & set(cell.metadata.get("tags", []))
    ]
    return notebook


def refresh_notebooks(say: Callable[[str], None] = print) -> None:
    """Execute the stock notebooks for the demo in place: the only writer of committed notebooks."""
    import nbformat

    for path in sorted(STOCK.glob("0*.ipynb")):
        committed = nbformat.read(path, as_version=4)
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / path.name
            status, words = execute(path, target, {})
            if status == "failed":
                raise DataError(f"{path.name}: {words}")
            executed = strip_notebook(nbformat.read(target, as_version=4))
        for cell, kept in zip(committed.cells, executed.cells, strict=True):
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = kept.outputs, kept.execution_count
        nbformat.write(committed, path)
        say(f"  {path.name}")
