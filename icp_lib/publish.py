"""A report: notebooks executed in order, exported to pages, built aside and swapped in whole."""

from __future__ import annotations

import contextlib
import fcntl
import json
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path

from icp_lib import extract as extracts
from icp_lib.checks import DataError
from icp_lib.execution import Page, execute_all, strip_notebook
from icp_lib.run import REPOSITORY, Quarter, Run
from icp_lib.settings import load_settings

PACKAGES = (
    "pandas",
    "numpy",
    "scipy",
    "statsmodels",
    "duckdb",
    "ibis-framework",
    "papermill",
    "nbconvert",
    "matplotlib",
    "seaborn",
)


def find_quarter(quarter: str | None, data: Path) -> Quarter:
    """Return the quarter asked for, else `quarter:` of icp.yml, else the last one that has ended."""
    settings = load_settings(data)
    asked = quarter or settings.quarter
    return (
        Quarter.parse(asked, settings.fiscal_year_start)
        if asked
        else Quarter.before(date.today(), settings.fiscal_year_start)
    )


def find_out(out: str | None, data: Path) -> Path:
    """Return the folder of reports: `out`, else reports for the demo, else reports/<company's folder>."""
    if out:
        return (REPOSITORY / Path(out).expanduser()).absolute()
    return REPOSITORY / "reports" if is_demo(data) else REPOSITORY / "reports" / data.resolve().name


def is_demo(data: Path) -> bool:
    """Whether a company's folder is the generated demo company."""
    return data.resolve() == (REPOSITORY / "data" / "demo").resolve() or (data / "truth.yml").exists()


def make_report(
    quarter: str | None = None,
    data: str | None = None,
    out: str | None = None,
    raw: str | None = None,
    say: Callable[[str], None] = print,
) -> tuple[Path, bool]:
    """Run a company's quarter and put its report in place.

    Parameters
    ----------
    quarter, data, out, raw : str, optional
        As in ``make report``.
    say : callable
        Told of progress, a line at a time.

    Returns
    -------
    (Path, bool)
        The report's folder, and whether every page ran.

    Raises
    ------
    DataError
        Nothing was replaced: the extract cannot be used, 00 failed, or another run holds the quarter.
    """
    folder = REPOSITORY / Path(data or "data/demo").expanduser()
    asked, target = find_quarter(quarter, folder), find_out(out, folder)
    _check_owner(target, folder)
    raw = str(Path(raw).expanduser().absolute()) if raw else None
    with _locked(target, asked):
        _heal(target, asked)
        say(f"{asked}: reading {folder.name}")
        extract = extracts.load(folder, target, raw, say=lambda words: say(f"  {words}"))
        run = Run(asked, folder, target, extract)
        _check_visible(run)
        started = time.time()
        _empty(run, raw)
        pages = execute_all(run, say)
        first = pages[0]
        if first.status == "failed":
            raise DataError(
                f"{first.name} failed, so nothing was replaced: {first.words} The attempt is in {run.work}."
            )
        site = build_site(run, pages, round(time.time() - started, 1))
        swap(site, target / str(asked))
        build_index(target)
    return target / str(asked), all(page.status != "failed" for page in pages)


def list_runs(out: Path) -> list[dict]:
    """Return the manifests of the reports in a folder, newest quarter first."""
    paths = [path for path in out.glob("*/run.json") if re.fullmatch(r"20\d\d-Q[1-4]", path.parent.name)]
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    return sorted(runs, key=lambda run: run["quarter"], reverse=True)


def _check_owner(out: Path, data: Path) -> None:
    """A folder of reports belongs to one company, which is known by the name of its folder."""
    company = data.resolve().name
    for owner in {run.get("folder", company) for run in list_runs(out)} - {company}:
        raise DataError(
            f"OUT: '{out.name}' holds the reports of data folder '{owner}', not of '{company}'. "
            f"Give another one, OUT='reports/{company}'."
        )


def _check_visible(run: Run) -> None:
    """Without a relevant opportunity by the quarter's end there is nothing to report on."""
    if not int(run.visible["n_relevant"].max()):
        raise DataError(
            f"opportunities: no relevant one is dated by {run.as_of} ({run.quarter}). Give another QUARTER, or mend "
            "created_at, type, or relevant: in icp.yml."
        )


@contextlib.contextmanager
def _locked(out: Path, quarter: Quarter):
    """Hold the quarter; the lock goes with the process, however it ends."""
    try:
        (out / ".work").mkdir(parents=True, exist_ok=True)
        stream = (out / ".work" / f"{quarter}.lock").open("w")
    except OSError as error:
        raise DataError(f"OUT: cannot write to '{out.name}' ({error.strerror}). Nothing was changed.") from None
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(f"{quarter}: another run is writing this quarter. Wait for it, then run again.") from None
        yield


def _heal(out: Path, quarter: Quarter) -> None:
    """Finish or undo a swap that was cut off."""
    old, new = out / f".old-{quarter}", out / str(quarter)
    if old.exists() and not new.exists():
        old.rename(new)
    shutil.rmtree(old, ignore_errors=True)


def _empty(run: Run, raw: str | None) -> None:
    """Start the working folder afresh, with the quarantine of this extract."""
    shutil.rmtree(run.work, ignore_errors=True)
    for name in ("tables", "notebooks"):
        (run.work / name).mkdir(parents=True)
    if (run.extract.cache / "quarantine").exists():
        shutil.copytree(run.extract.cache / "quarantine", run.work / "quarantine")
    (run.work / "raw.json").write_text(json.dumps({"data": str(run.data), "raw": raw}), encoding="utf-8")


def build_site(run: Run, pages: list[Page], seconds: float) -> Path:
    """Write the whole report into a folder beside the old one and return it: the tree of product.md."""
    import nbformat

    from icp_lib import front
    from icp_lib import pages as html_pages

    site = run.work / "report"
    (site / "notebooks").mkdir(parents=True)
    shutil.copytree(run.work / "tables", site / "tables")
    contexts = _contexts(run, pages)
    for page in pages:
        context = contexts[page.name]
        if page.executed is None or not page.executed.exists():
            html = html_pages.render_missing_page(
                context, page.words, "Mend what failed before it, then run `make report` again."
            )
        else:
            notebook = strip_notebook(nbformat.read(page.executed, as_version=4))
            nbformat.write(notebook, site / "notebooks" / page.source.name)
            html = html_pages.render_page(notebook, context)
        (site / f"{page.name}.html").write_text(html, encoding="utf-8")
    if (run.work / "profile.yml").exists():
        shutil.copy(run.work / "profile.yml", site / "profile.yml")
    headline, claims, profile = _front_tables(run)
    html = front.render_front(contexts["index"], headline, claims, profile)
    (site / "index.html").write_text(html, encoding="utf-8")
    manifest = {"headline": profile.get("name", "")} | build_manifest(run, pages, site, seconds)
    (site / "run.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False), encoding="utf-8")
    return site


def _front_tables(run: Run):
    """What the front page is drawn from; a table that no notebook saved is an empty frame."""
    import pandas as pd
    import yaml

    headline = run.table("headline") if (run.work / "tables" / "headline.csv").exists() else pd.DataFrame()
    path = run.work / "profile.yml"
    profile = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    return headline, run.tables("claims_"), profile


def _contexts(run: Run, pages: list[Page]) -> dict[str, dict]:
    """What every page says of the run; nothing in it depends on a path or on the clock."""
    listed = [
        {
            "file": f"{page.name}.html",
            "number": page.name[:2],
            "title": page.title,
            "status": page.status,
            "status_words": "Failed" if page.status == "failed" else page.words,
        }
        for page in pages
    ]
    shared = {
        "company": run.settings.name,
        "quarter": str(run.quarter),
        "as_of": as_words(run.as_of),
        "run_id": run.run_id,
        "fingerprint": run.extract.fingerprint,
        "currency": run.settings.currency,
        "timezone": run.settings.timezone,
        "is_demo": is_demo(run.data),
        "pages": listed,
    }
    contexts = {
        page.name: shared
        | {"name": page.name, "status": page.status, "status_words": page.words, "tables": page.tables}
        for page in pages
    }
    worst = next((word for word in ("failed", "warnings") if any(page.status == word for page in pages)), "ok")
    return contexts | {
        "index": shared | {"name": "index", "status": worst, "status_words": _all_words(pages), "tables": []}
    }


def as_words(day: date) -> str:
    """Return a day as readers write it.

    Examples
    --------
    >>> as_words(date(2026, 9, 30))
    '30 Sep 2026'
    """
    return f"{day.day} {day:%b %Y}"


def _all_words(pages: list[Page]) -> str:
    failed = [page.name[:2] for page in pages if page.status == "failed"]
    ran = sum(page.status in ("ok", "warnings") for page in pages)
    said = [*(f"{number} failed" for number in failed), f"{ran} of {len(pages)} pages ran"]
    said += [page.words for page in pages if page.status == "warnings"]
    return "Draft. " + "; ".join(said)


def build_manifest(run: Run, pages: list[Page], site: Path, seconds: float) -> dict:
    """Return what ``run.json`` holds; times, durations and host under the key `volatile` alone."""

    def commit() -> str:
        asked = subprocess.run(
            ["git", "-C", str(REPOSITORY), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
        )
        return asked.stdout.strip()

    outputs = {
        str(path.relative_to(site)): extracts.hash_file(path) for path in sorted(site.rglob("*")) if path.is_file()
    }
    lock = REPOSITORY / "requirements.lock"
    return {
        "company": run.settings.name,
        "folder": run.data.resolve().name,
        "quarter": str(run.quarter),
        "as_of": str(run.as_of),
        "run_id": run.run_id,
        "status": "draft",
        "as_of_words": as_words(run.as_of),
        "data_fingerprint": run.extract.fingerprint,
        "inputs": run.extract.files,
        "parameters": {"quarter": str(run.quarter)},
        "settings": run.settings.model_dump(mode="json"),
        "code": extracts.code_hash(),
        "git_commit": commit(),
        "lock": extracts.hash_file(lock) if lock.exists() else "",
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "notebooks": {page.name: {"status": page.status, "words": page.words, "tables": page.tables} for page in pages},
        "outputs": outputs,
        "volatile": {
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": seconds,
            "host": platform.node(),
            "notebook_seconds": {page.name: page.seconds for page in pages},
        },
    }


def swap(site: Path, target: Path) -> None:
    """Put a finished folder in the place of the old one: nothing half-written is ever seen."""
    old = target.with_name(f".old-{target.name}")
    if target.exists():
        target.rename(old)
    site.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def build_index(out: Path) -> None:
    """Write ``index.html`` over all quarters of a folder of reports."""
    from icp_lib import front

    runs = list_runs(out)
    passing = out / ".index.part"
    passing.write_text(front.render_index(runs, runs[0]["company"] if runs else ""), encoding="utf-8")
    passing.replace(out / "index.html")
