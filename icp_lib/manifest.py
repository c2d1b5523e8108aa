"""`run.json`: what a report was made from, by whom it can be checked, and how its pages ended."""

from __future__ import annotations

import json
import platform
import subprocess
from datetime import date, datetime
from importlib.metadata import version
from pathlib import Path

from icp_lib import extract as extracts
from icp_lib.checks import DataError
from icp_lib.execution import Page
from icp_lib.run import REPOSITORY, Run

PACKAGES = (
    "pandas", "numpy", "scipy", "statsmodels", "duckdb", "ibis-framework", "papermill", "nbconvert", "matplotlib",
    "seaborn",
)  # fmt: skip


def build_manifest(run: Run, pages: list[Page], *, is_demo: bool, finished_at: datetime, seconds: float) -> dict:
    """Return what ``run.json`` holds before the outputs are hashed.

    Parameters
    ----------
    run : Run
    pages : list of Page
    is_demo : bool
        Whether the company is the generated one.
    finished_at : datetime
        In UTC.
    seconds : float
        Duration of the notebooks.

    Returns
    -------
    dict
        Times, durations and host stand under the key `volatile` alone: without it two equal runs are equal.
    """
    lock = REPOSITORY / "requirements.lock"
    return {
        "company": run.settings.name,
        "folder": run.data.resolve().name,
        "is_demo": is_demo,
        "quarter": str(run.quarter),
        "as_of": str(run.as_of),
        "timezone": run.settings.timezone,
        "run_id": run.run_id,
        "status": "draft",
        "data_fingerprint": run.extract.fingerprint,
        "inputs": run.extract.files,
        "tables": _count_rows(run),
        "parameters": {"quarter": str(run.quarter)},
        "settings": run.settings.model_dump(mode="json"),
        "code": extracts.code_hash(),
        **_git_state(),
        "lock": extracts.hash_file(lock) if lock.exists() else "",
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "notebooks": {
            page.name: {
                "title": page.title,
                "sha256": extracts.hash_file(page.source),
                "status": page.status,
                "words": page.words,
                "tables": page.tables,
            }
            for page in pages
        },
        "volatile": {
            "finished_at": finished_at.isoformat(timespec="seconds"),
            "seconds": seconds,
            "host": platform.node(),
            "notebook_seconds": {page.name: page.seconds for page in pages},
        },
    }


def _count_rows(run: Run) -> dict[str, dict[str, int]]:
    """Table -> rows read, kept, quarantined and excluded."""
    counts = run.extract.population.groupby(["table", "step"])["n_rows"].sum().unstack(fill_value=0)
    steps = ("read", "kept", "quarantined", "excluded")
    return {table: {step: int(row.get(step, 0)) for step in steps} for table, row in counts.iterrows()}


def _git_state() -> dict:
    """The commit of this checkout and whether anything differs from it; without git, an empty commit."""

    def ask(*words: str) -> str | None:
        try:
            asked = subprocess.run(["git", "-C", str(REPOSITORY), *words], capture_output=True, text=True, check=False)
        except OSError:
            return None
        return asked.stdout.strip() if asked.returncode == 0 else None

    changes = ask("status", "--porcelain")
    return {"git_commit": ask("rev-parse", "HEAD") or "", "git_is_dirty": None if changes is None else bool(changes)}


def hash_outputs(folder: Path) -> dict[str, str]:
    """Return file -> SHA-256 of everything in a report but ``run.json`` and hidden files (a file manager's notes)."""
    return {
        str(path.relative_to(folder)): extracts.hash_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / "run.json" and not path.name.startswith(".")
    }


def save_manifest(folder: Path, manifest: dict) -> dict:
    """Hash the outputs, write ``run.json`` and return what it holds."""
    whole = {key: value for key, value in manifest.items() if key != "volatile"}
    whole |= {"outputs": hash_outputs(folder), "volatile": manifest["volatile"]}
    (folder / "run.json").write_text(json.dumps(whole, indent=1, ensure_ascii=False), encoding="utf-8")
    return whole


def load_manifest(folder: Path) -> dict:
    """Read a report's ``run.json``.

    Raises
    ------
    DataError
        It is not there or not readable: the folder is not a whole report.
    """
    path = folder / "run.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise DataError(
            f"{folder.name}/run.json: not readable, so this is not a whole report. Move the folder away, then run "
            "`make report` again."
        ) from None


def check_outputs(folder: Path, manifest: dict) -> dict:
    """Return the manifest if the report's files are those that the run wrote.

    Raises
    ------
    DataError
        A file was changed, added or removed since; the first is named.
    """
    then, now = manifest["outputs"], hash_outputs(folder)
    changed = sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))
    if not changed:
        return manifest
    first = changed[0]
    how = "is gone" if first not in now else "was added" if first not in then else "has changed"
    more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
    raise DataError(
        f"{folder.name}/{first}: {how} since the run{more}. Put it back, or run `make report` again: what is signed "
        "must be what was computed."
    )


def failed_pages(manifest: dict) -> list[str]:
    """Return the numbers of the pages that failed.

    Examples
    --------
    >>> failed_pages({"notebooks": {"03_acquisition_efficiency": {"status": "failed"}}})
    ['03']
    """
    return [name[:2] for name, page in manifest["notebooks"].items() if page["status"] == "failed"]


def as_words(day: date) -> str:
    """Return a day as readers write it.

    Examples
    --------
    >>> as_words(date(2026, 9, 30))
    '30 Sep 2026'
    """
    return f"{day.day} {day:%b %Y}"
