"""The folder of a company's reports: who holds a quarter, how a report gets in, what lies there."""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import shutil
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from icp_lib.approval import load_signed
from icp_lib.checks import DataError
from icp_lib.manifest import as_words, failed_pages, load_manifest

_QUARTER = re.compile(r"20[0-9]{2}-Q[1-4]")
SUPERSEDED = ".superseded"


def check_out(out: Path, data: Path, raw: str | None = None) -> Path:
    """Return the folder of reports if reports may be written there.

    Parameters
    ----------
    out : Path
        Need not exist yet.
    data : Path
        The company's folder, in which nothing is ever written.
    raw : str, optional
        Where the exports lie; nothing is written there either.

    Raises
    ------
    DataError
        It is a file, lies inside the company's folder, or holds the reports of another company.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f"OUT: '{out.name}' is a file. Give a folder, OUT=path/to/reports.")
    for name, folder in (("DATA", data), ("RAW", Path(raw) if raw else data)):
        if out.resolve().is_relative_to(folder.resolve()):
            raise DataError(
                f"OUT: '{out.name}' lies inside {name} ('{folder.resolve().name}'), where nothing is ever written. "
                "Give a folder outside, OUT=path/to/reports."
            )
    company = data.resolve().name
    for owner in {run.get("folder", company) for run in load_runs(out)} - {company}:
        raise DataError(
            f"OUT: '{out.name}' holds the reports of data folder '{owner}', not of '{company}'. "
            f"Give another one, OUT='reports/{company}'."
        )
    return out


@contextlib.contextmanager
def hold(out: Path, quarter: str):
    """Hold one quarter of a folder of reports, and heal it; the lock goes with the process, however it ends.

    Raises
    ------
    DataError
        Another run holds it, the folder cannot be written, or what lies there is not a report.
    """
    target = out / quarter
    if any(path.is_symlink() for path in (target, out / ".work", out / f".old-{quarter}")):
        raise DataError(
            f"{quarter}: its folder in '{out.name}' is a symbolic link, and reports are replaced whole. Remove the "
            "link, or give another OUT."
        )
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
        heal(out, quarter)
        if target.exists() and not (target / "run.json").exists():
            raise DataError(
                f"{quarter}: the folder in '{out.name}' holds no run.json, so it is not a report, and it is not "
                "replaced. Move it away, or give another OUT."
            )
        yield


def heal(out: Path, quarter: str) -> None:
    """Finish or undo a swap that was cut off; only who holds the quarter may."""
    old, target = out / f".old-{quarter}", out / quarter
    if old.exists() and not target.exists():
        old.rename(target)
    if old.exists():
        _retire(old, quarter)


def swap(site: Path, target: Path) -> Path | None:
    """Put a finished report in the place of the old one: nothing half-written is ever seen.

    Parameters
    ----------
    site : Path
        The finished report, on the same disk.
    target : Path
        ``<out>/<quarter>``.

    Returns
    -------
    Path or None
        Where the old one went, if it was a published one; a draft is deleted.
    """
    old = target.with_name(f".old-{target.name}")
    if target.exists():
        target.rename(old)
    try:
        site.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    return _retire(old, target.name) if old.exists() else None


def _retire(old: Path, quarter: str) -> Path | None:
    """Delete a replaced draft; keep a replaced published report under a number of its own."""
    if not (old / "approval.yml").exists():
        shutil.rmtree(old)
        return None
    shelf = old.parent / SUPERSEDED
    shelf.mkdir(exist_ok=True)
    number = next(n for n in range(1, 10_000) if not (shelf / f"{quarter}-{n}").exists())
    return old.rename(shelf / f"{quarter}-{number}")


def load_runs(out: Path) -> list[dict]:
    """Return the manifests of the reports in a folder, newest quarter first."""
    paths = [path for path in out.glob("*/run.json") if _QUARTER.fullmatch(path.parent.name)]
    return sorted((load_manifest(path.parent) for path in paths), key=lambda run: run["quarter"], reverse=True)


def save_attempt(work: Path, company: str, words: str, at: datetime) -> Path:
    """Note in a working folder that a run failed before anything could be replaced."""
    note = work / "attempt.json"
    said = {"status": "failed", "company": company, "words": words, "at": _moment(at)}
    note.write_text(json.dumps(said, ensure_ascii=False), encoding="utf-8")
    return note


def load_attempts(out: Path) -> dict[str, dict]:
    """Return quarter -> what is known of its last run, where that failed before anything could be replaced."""
    notes = [path for path in out.glob(".work/*/attempt.json") if _QUARTER.fullmatch(path.parent.name)]
    return {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in notes}


def find_last_good(runs: list[dict], quarter: str, page: str | None = None) -> dict | None:
    """Return the newest report before a quarter that ran whole, or in which one page ran.

    Parameters
    ----------
    runs : list of dict
        Manifests, newest first.
    quarter : str
        Reports of this quarter and of later ones are not looked at.
    page : str, optional
        A notebook's name; default: every page must have run.

    Returns
    -------
    dict or None
        quarter, and href from the folder of reports.
    """
    for run in runs:
        ran = not failed_pages(run) if page is None else _page_ran(run, page)
        if run["quarter"] < quarter and ran:
            return {"quarter": run["quarter"], "href": f"{run['quarter']}/{quote(page or 'index')}.html"}
    return None


def _page_ran(run: dict, page: str) -> bool:
    return run["notebooks"].get(page, {}).get("status") in ("ok", "warnings")


def build_entries(out: Path) -> list[dict]:
    """Return what the index says of each quarter, newest first: reports, and runs that failed before there was one.

    Returns
    -------
    list of dict
        quarter, status (draft, published, failed), status_words, headline, as_of, version, ran_at, signed, href (None
        where there is no report), attempt (status, words, at) and last_good (quarter, href), each only where there.
    """
    runs, attempts = load_runs(out), load_attempts(out)
    versions = {signed["quarter"]: signed for signed in load_signed(out)}
    by_quarter = {run["quarter"]: run for run in runs}
    entries = []
    for quarter in sorted(by_quarter.keys() | attempts.keys(), reverse=True):
        run = by_quarter.get(quarter)
        entry = _entry(run, versions.get(quarter)) if run else {"quarter": quarter, "status": "failed", "href": None}
        good = find_last_good(runs, quarter)
        if quarter in attempts:
            entry["attempt"] = attempts[quarter]
            entry.setdefault("status_words", f"Failed: {attempts[quarter]['words']}")
            if run and not failed_pages(run):
                good = {"quarter": quarter, "href": f"{quarter}/index.html"}
        if good and (quarter in attempts or entry["status"] == "failed"):
            entry["last_good"] = good
        entries.append(entry)
    return entries


def _entry(run: dict, signed: dict | None) -> dict:
    failed, is_published = ", ".join(failed_pages(run)), run["status"] == "published"
    finished = datetime.fromisoformat(run["volatile"]["finished_at"])
    as_of = datetime.fromisoformat(run["as_of"]).date()
    words = "Published" if is_published else "Draft"
    if failed:
        words = f"Published although these failed: {failed}" if is_published else f"Failed: {failed}"
    elif not is_published and finished.date() <= as_of and not run["is_demo"]:
        words = "Draft, made before the quarter had ended"
    entry = {
        "quarter": run["quarter"],
        "status": "published" if is_published else "failed" if failed else "draft",
        "status_words": words,
        "headline": run["headline"],
        "as_of": as_words(as_of),
        "ran_at": _moment(finished),
        "href": f"{run['quarter']}/index.html",
    }
    if is_published and signed:
        people = [f"{person['name']}, {person['role']}" for person in signed["approved_by"]]
        entry |= {"version": signed["version"], "signed": people}
    return entry


def _moment(at: datetime) -> str:
    return f"{as_words(at.date())}, {at:%H:%M} UTC"


def build_index(out: Path) -> Path:
    """Write ``index.html`` over all quarters of a folder of reports and return it; one writer at a time."""
    from icp_lib import front

    (out / ".work").mkdir(parents=True, exist_ok=True)
    with (out / ".work" / "index.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        entries, attempts = build_entries(out), load_attempts(out)
        company = next((run["company"] for run in [*load_runs(out), *attempts.values()]), "")
        passing = out / ".index.part"
        passing.write_text(front.render_index(entries, company), encoding="utf-8")
        return passing.replace(out / "index.html")


def heal_all(out: Path) -> None:
    """Heal every quarter whose swap was cut off; one that a run holds heals itself."""
    for old in sorted(out.glob(".old-*")):
        quarter = old.name.removeprefix(".old-")
        if _QUARTER.fullmatch(quarter):
            with contextlib.suppress(DataError), hold(out, quarter):
                pass
