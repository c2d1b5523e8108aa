"""Notebooks executed side by side in their order, strict about parameters, each with a status of its own."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from dataclasses import dataclass, field
from pathlib import Path

from icp_lib.checks import DataError, hint
from icp_lib.failing import Course, mark_failure
from icp_lib.kernels import START_SECONDS, Kernels, open_kernels
from icp_lib.run import REPOSITORY, Run
from icp_lib.schemas import NEEDS

# jsonschema, which checks notebooks, would compile the grammar of web addresses: seconds, for what no notebook holds
sys.modules.setdefault("rfc3987_syntax", None)

STOCK = REPOSITORY / "notebooks"
#: Minutes that one notebook may take.
LIMIT_MINUTES = 15
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
    found = {path.name: path for path in (*STOCK.glob("0*.ipynb"), *(data / "notebooks").glob("*.ipynb"))}
    return sorted(found.values(), key=lambda path: (_stage(path.stem), path.name))


def execute_all(run: Run, say: Callable[[str], None]) -> list[Page]:
    """Run the notebooks, side by side where none needs the other, and tell of each when it has ended.

    00 first, then 01, then 02 to 06, then the company's own, then 07. One that fails keeps what it had; what needs it
    is not produced. Where this ends early (an error, Ctrl-C, SIGTERM) no kernel is left.

    Parameters
    ----------
    run : Run
        Its working folder is filled.
    say : callable
        Told of progress, a line at a time.

    Returns
    -------
    list of Page
        In the order of the report.
    """
    pages = [Page(path) for path in find_notebooks(run.data)]
    if not pages:
        raise DataError("notebooks: none found. Clone the repository again.")
    with open_kernels() as kernels, ThreadPoolExecutor(count_workers()) as pool:
        tasks: dict[Future, Page] = {}
        for page in pages:
            before = [task for task, other in tasks.items() if _stage(other.name) < _stage(page.name)]
            tasks[pool.submit(_run_page, page, run, kernels, before, pages)] = page
        try:
            for number, task in enumerate(as_completed(tasks), start=1):
                task.result()
                say(_progress(number, len(pages), tasks[task]))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            kernels.stop()
            raise
    return pages


def count_workers() -> int:
    """How many notebooks run side by side: one a core, at most four."""
    return min(4, os.cpu_count() or 1)


def _stage(name: str) -> int:
    """A notebook waits for those of an earlier stage."""
    fixed = {FIRST: 0, SECOND: 1, LAST: 4}
    return fixed.get(name, 2 if name in NEEDS else 3)


def _progress(number: int, total: int, page: Page) -> str:
    first = page.words.splitlines()[0] if page.words else ""
    return f"  {number} of {total}  {page.name:26s} {first}, {page.seconds:.0f} s"


def _run_page(page: Page, run: Run, kernels: Kernels, before: list[Future], pages: list[Page]) -> None:
    """Start a kernel, wait for the pages that this one may need, then run it. The pool takes pages in their order."""
    kernel = kernels.start(page.name, n_threads=(os.cpu_count() or 1) if page.name == SECOND else 1)
    wait(before)
    failed = {other.name for other in pages if other.status == "failed"}
    broken = [name[:2] for name in (FIRST, SECOND) if name in failed and _stage(name) < _stage(page.name)]
    if broken or kernels.is_stopped.is_set():
        kernels.end(kernel, at_once=True)
        page.words = f"Skipped: needs {broken[0]}" if broken else ""
        return
    began = time.time()
    page.executed = run.work / "notebooks" / page.source.name
    parameters = {"quarter": str(run.quarter), "data": str(run.data), "out": str(run.out)}
    page.status, page.words = execute(page.source, page.executed, parameters, kernels, kernel)
    page.seconds = round(time.time() - began, 1)
    page.tables = list_saved(run.work, kernels.pids[page.name])
    if page.status == "ok":
        page.status, page.words = _judge(page, run)


def execute(
    source: Path, target: Path, parameters: dict[str, str], kernels: Kernels | None = None, kernel=None
) -> tuple[str, str]:
    """Execute one notebook with papermill, strict about its parameters; return ("ok" or "failed", words).

    A notebook that fails is kept as far as it came: see `failing`. A kernel that does not start is tried once more.

    Parameters
    ----------
    source, target : Path
        The notebook, and where the executed one goes.
    parameters : dict
        Names and values of its parameter cell.
    kernels : Kernels, optional
        Those of the run; by default the notebook has its own.
    kernel : jupyter_client.AsyncKernelManager, optional
        One of `kernels` that was started before.

    Raises
    ------
    DataError
        A parameter that the notebook does not have; the closest is named.
    """
    if kernels is None:
        with open_kernels() as own:
            return execute(source, target, parameters, own)
    _check_parameters(source, parameters)
    for _ in range(2):
        course = Course()
        kernel = kernel or kernels.start(source.stem)
        stopped = _execute_cells(source, target, parameters, kernel, course)
        kernels.end(kernel, at_once=bool(stopped))
        kernel = None
        if not stopped and not course.errors:
            return "ok", RAN
        if course.index is not None:
            mark_failure(target, course, stopped)
            return "failed", course.words or stopped
        if kernels.is_stopped.is_set():
            break
    target.unlink(missing_ok=True)
    return "failed", f"{stopped} A second try ended the same way. Is there enough memory? Run `make report` again."


def _plain(path: Path) -> str:
    """A path for papermill, which would take {n} in it for a parameter."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _check_parameters(source: Path, parameters: dict[str, str]) -> None:
    import papermill

    try:
        known = list(papermill.inspect_notebook(_plain(source)))
    except ValueError:
        raise DataError(
            f"{source.name}: not readable as a Python notebook. Open it in JupyterLab (`make lab`), choose the kernel "
            "Python 3 and save it."
        ) from None
    for name in parameters:
        if name not in known:
            raise DataError(f"{source.name}: has no parameter '{name}'. {hint(name, known)}")


def _execute_cells(source: Path, target: Path, parameters: dict[str, str], kernel, course: Course) -> str:
    """Let papermill run the cells in a kernel; return why the kernel had to end or has ended, or an empty text."""
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # what it would print is said on the page
    try:
        papermill.execute_notebook(
            _plain(source),
            _plain(target),
            parameters,
            progress_bar=False,
            kernel_name="python3",
            start_timeout=START_SECONDS,
            iopub_timeout=60,
            km=kernel,
            request_save_on_cell_execute=False,  # at every cell it would check and write the whole notebook again
            timeout_func=lambda cell: max(1.0, course.began + 60 * LIMIT_MINUTES - time.monotonic()),
            **course.hooks,
        )
    except papermill.PapermillExecutionError:
        return ""  # the course has the words
    except CellTimeoutError:
        return (
            f"It took longer than {LIMIT_MINUTES:g} minutes and was stopped in {course.place}. "
            "Run it in JupyterLab (`make lab`) to see what takes so long."
        )
    except RuntimeError as error:
        if course.index is None:
            return f"The kernel did not start within {START_SECONDS} seconds, or ended before the first cell."
        if not isinstance(error, DeadKernelError):
            raise
        return f"The kernel stopped in {course.place}. Most often memory ran out: close other programs, then run again."
    return ""


def list_saved(work: Path, pid: int) -> list[str]:
    """Return the names of the result tables that one process has saved, as `Run.save` noted them."""
    note = work / "saved.txt"
    lines = note.read_text(encoding="utf-8").splitlines() if note.exists() else []
    return sorted({name for owner, name in map(str.split, lines) if owner == str(pid)})


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
