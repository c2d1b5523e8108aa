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
STATUS_WORDS = {
    "ok": "Ran",
    "failed": "Failed",
    "not measured": "Not measured",
    "not produced": "Skipped: needs {needs}",
}
FIRST, SECOND, LAST = "00_", "01_", "07_"


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
        [path for path in stock if not path.name.startswith(LAST)]
        + list(own.values())
        + [path for path in stock if path.name.startswith(LAST)]
    )


def execute_all(run: Run, say: Callable[[str], None]) -> list[Page]:
    """Run the notebooks in order; one that fails keeps what it had, those that need it are not produced."""
    pages = [Page(path) for path in find_notebooks(run.data)]
    if not pages:
        raise DataError("notebooks: none found. Clone the repository again.")
    ready = {}
    for number, page in enumerate(pages):
        broken = [
            other.name[:2]
            for other in pages[:number]
            if other.name.startswith((FIRST, SECOND)) and other.status == "failed"
        ]
        if broken:
            page.status, page.words = "not produced", STATUS_WORDS["not produced"].format(needs=broken[0])
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
            ready = ready or _readiness(run)
            page.status, page.words = _judge(page, run, ready)
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
    except Exception as error:
        why = f"the notebook's process ended, or a cell took longer than {CELL_TIMEOUT // 60} minutes"
        return "failed", f"{type(error).__name__}: {why}."
    return "ok", STATUS_WORDS["ok"]


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


def _readiness(run: Run) -> dict[str, dict]:
    """What 00 found out about the notebooks, and how many checks warned."""
    from icp_lib import quality

    return (
        quality.build_readiness(run.extract.facts["present"], run.n_rows, run.files)
        .set_index("notebook")
        .to_dict("index")
    )


def _judge(page: Page, run: Run, ready: dict[str, dict]) -> tuple[str, str]:
    """The status of a page that ran: ok, warnings, or not measured."""
    state = ready.get(page.name, {})
    if state.get("status") == "not measured":
        return "not measured", f"Not measured: needs {state['missing']}"
    checks = run.extract.checks
    found = int((checks["n_rows"] > 0).sum()) if page.name.startswith(FIRST) else 0
    return ("warnings", f"{found} warning{'s' if found > 1 else ''}") if found else ("ok", STATUS_WORDS["ok"])


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
