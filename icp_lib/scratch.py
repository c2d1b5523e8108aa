"""Copies of the notebooks to work in: JupyterLab opens these, so that the committed ones change only on purpose."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

from icp_lib.execution import STOCK, find_notebooks
from icp_lib.publish import find_out, find_quarter
from icp_lib.run import REPOSITORY


def write_copies(data: Path, quarter: str, out: Path) -> tuple[Path, list[str], list[str]]:
    """Copy the notebooks of a company, its own included, with their parameters set and without outputs.

    A copy that was edited since it was written stays as it is.

    Parameters
    ----------
    data, quarter, out : Path, str, Path
        Values of the parameters. A path inside the repository is written relative to it.

    Returns
    -------
    (Path, list of str, list of str)
        The folder, ``notebooks/scratch/<company>``; file names written; file names kept because they were edited.
    """
    import nbformat

    folder = STOCK / "scratch" / data.resolve().name
    folder.mkdir(parents=True, exist_ok=True)
    values = {"quarter": quarter, "data": _short(data), "out": _short(out)}
    written, kept = [], []
    for source in find_notebooks(data):
        target = folder / source.name
        if target.exists() and is_edited(nbformat.read(target, as_version=4)):
            kept.append(target.name)
            continue
        notebook = nbformat.read(source, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
            if "parameters" in cell.metadata.get("tags", []):
                cell.source = set_parameters(cell.source, values)
        notebook.metadata["icp"] = {"copied": _hash_sources(notebook)}
        nbformat.write(notebook, target)
        written.append(target.name)
    return folder, written, kept


def set_parameters(source: str, values: dict[str, str]) -> str:
    """Return the code of a parameter cell with other values; types, comments and other parameters stay.

    Examples
    --------
    >>> set_parameters('quarter: str = "2026-Q3"  # reporting quarter', {"quarter": "2026-Q2"})
    'quarter: str = "2026-Q2"  # reporting quarter'
    """
    for name, value in values.items():
        literal = json.dumps(value, ensure_ascii=False)
        line = re.compile(rf"^({name}\b[^=\n]*= *)(\"[^\"\n]*\"|'[^'\n]*'|[^#\n]*?)( *(?:#.*)?)$", re.MULTILINE)
        source = line.sub(lambda found, literal=literal: f"{found[1]}{literal}{found[3]}", source)
    return source


def is_edited(notebook) -> bool:
    """Whether the cells of a copy are no longer those that were written; outputs do not count."""
    return notebook.metadata.get("icp", {}).get("copied") != _hash_sources(notebook)


def _hash_sources(notebook) -> str:
    cells = [[cell.cell_type, cell.source] for cell in notebook.cells]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()[:16]


def _short(path: Path) -> str:
    whole = Path(os.path.abspath(REPOSITORY / path))
    return whole.relative_to(REPOSITORY).as_posix() if whole.is_relative_to(REPOSITORY) else str(whole)


def open_lab(quarter: str | None = None, data: str | None = None, out: str | None = None) -> NoReturn:
    """Write the copies, say where they are, and become JupyterLab on the repository, with their folder open.

    Parameters
    ----------
    quarter, data, out : str, optional
        As for `publish.make_report`.
    """
    company = REPOSITORY / Path(data or "data/demo").expanduser()
    folder, written, kept = write_copies(company, str(find_quarter(quarter, company)), find_out(out, company))
    place = folder.relative_to(REPOSITORY).as_posix()
    print(f"{place}: {len(written)} notebooks to work in, with the parameters of this company.")
    if kept:
        print(f"Edited before and left as they are: {', '.join(kept)}. Delete or rename one to get a fresh copy.")
    print("The tables that they save go to the working folder; only `make report` changes the report.", flush=True)
    options = [f"--ServerApp.root_dir={REPOSITORY}", f"--LabApp.default_url=/lab/tree/{quote(place)}"]
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", *options])
