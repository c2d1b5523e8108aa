"""A report is made, published and listed: built aside, swapped in whole, signed by people."""

from __future__ import annotations

import contextlib
import errno
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

from icp_lib import approval as approvals
from icp_lib import extract as extracts
from icp_lib import manifest as manifests
from icp_lib import shelf
from icp_lib.checks import DataError
from icp_lib.execution import execute_all
from icp_lib.manifest import as_words
from icp_lib.run import REPOSITORY, Quarter, Run
from icp_lib.settings import load_settings
from icp_lib.site import build_site, render_fronts

#: What a disk says that is full, read-only or not ours; anything else is a mistake of this code.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)


def find_quarter(quarter: str | None, data: Path) -> Quarter:
    """Return the quarter asked for, else `quarter:` of icp.yml, else the last one that has ended."""
    settings = load_settings(data)
    asked = quarter or settings.quarter
    return (
        Quarter.parse(asked, settings.fiscal_year_start)
        if asked
        else Quarter.before(date.today(), settings.fiscal_year_start)
    )


def find_quarters(quarter: str | None, data: Path) -> list[Quarter]:
    """Return the quarters of a history such as 2025-Q4..2026-Q3, oldest first; one quarter otherwise.

    Raises
    ------
    DataError
        The first quarter is later than the last.
    """
    ends = re.fullmatch(r"(.+)\.\.(.+)", quarter or "", re.DOTALL)
    if not ends:
        return [find_quarter(quarter, data)]
    first, last = (find_quarter(end, data) for end in ends.groups())
    found = [last]
    while found[0].start > first.start:
        found.insert(0, found[0].previous)
    if found[0] != first:
        raise DataError(f"quarter: {quarter} runs backwards. Write the earlier one first, {last}..{first}.")
    return found


def find_data(data: str | None) -> Path:
    """Return the company's folder: `data`, else the demo company's."""
    return REPOSITORY / Path(data or "data/demo").expanduser()


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
    force: bool = False,
    say: Callable[[str], None] = print,
) -> tuple[Path, bool]:
    """Run a company's quarter and put its report in place.

    Parameters
    ----------
    quarter, data, out, raw : str, optional
        As in ``make report``.
    force : bool
        Run a published quarter again; the published report is kept under ``.superseded``.
    say : callable
        Told of progress, a line at a time.

    Returns
    -------
    (Path, bool)
        The report's folder, and whether every page ran.

    Raises
    ------
    DataError
        Nothing was replaced: the extract cannot be used, 00 failed, the quarter is published, or another run holds it.
    """
    folder = find_data(data)
    asked, raw = find_quarter(quarter, folder), str(Path(raw).expanduser().absolute()) if raw else None
    target = shelf.check_out(find_out(out, folder), folder, raw)
    report = target / str(asked)
    with shelf.hold(target, str(asked)), _full_disk_in_words(target):
        _check_free(report, force)
        say(f"{asked}: reading {folder.name}")
        _say_if_not_over(asked, is_demo(folder), say)
        extract = extracts.load(folder, target, raw, say=lambda words: say(f"  {words}"))
        run = Run(asked, folder, target, extract)
        _check_visible(run)
        started = time.time()
        _empty(run, raw)
        pages = execute_all(run, say)
        if pages[0].status == "failed":
            _note_failure(run, pages[0].words)
            raise DataError(
                f"{pages[0].name} failed, so nothing was replaced: {pages[0].words} The attempt is in {run.work}."
            )
        manifest = manifests.build_manifest(
            run,
            pages,
            is_demo=is_demo(folder),
            finished_at=datetime.now(UTC),
            seconds=round(time.time() - started, 1),
        )
        site = build_site(run, pages, manifest, shelf.load_runs(target), approvals.load_signed(target))
        _put(site, report, say)
    return report, not manifests.failed_pages(manifest)


def make_history(
    quarters: list[Quarter],
    data: str | None = None,
    out: str | None = None,
    raw: str | None = None,
    force: bool = False,
    say: Callable[[str], None] = print,
) -> list[Quarter]:
    """Run quarters one after another and return those that failed; one that is published is passed over.

    Parameters
    ----------
    quarters : list of Quarter
        Oldest first.
    data, out, raw, force, say
        As for `make_report`.
    """
    folder, failed = find_data(data), []
    target = shelf.check_out(find_out(out, folder), folder, raw)
    for quarter in quarters:
        if (target / str(quarter) / "approval.yml").exists() and not force:
            say(f"{quarter}: published, passed over (FORCE=1 runs it again)")
            continue
        try:
            _, is_whole = make_report(str(quarter), data, out, raw, force, say)
        except DataError as error:
            say(f"error: {error}")
            is_whole = False
        failed += [] if is_whole else [quarter]
    return failed


def publish_report(
    quarter: str | None = None,
    data: str | None = None,
    out: str | None = None,
    approved_by: str | None = None,
    note: str | None = None,
    force: bool = False,
    say: Callable[[str], None] = print,
) -> Path:
    """Freeze a quarter's draft with its sign-offs and return its folder; nothing is executed.

    Parameters
    ----------
    quarter, data, out : str, optional
        As in ``make publish``.
    approved_by : str
        Who signs: see `approval.parse_approvers`.
    note : str, optional
        Why, in a sentence.
    force : bool
        Publish although pages failed, the quarter had not ended, or it is published already.
    say : callable
        Told what was done.

    Raises
    ------
    DataError
        There is no report, it is not whole, its files are not those of the run, or nobody signs.
    """
    folder = find_data(data)
    asked, people = find_quarter(quarter, folder), approvals.parse_approvers(approved_by)
    target = shelf.check_out(find_out(out, folder), folder)
    report = target / str(asked)
    if not report.exists() and not (target / f".old-{asked}").exists():
        raise DataError(f"{asked}: there is no report in '{target.name}'. Run `make report QUARTER={asked}` first.")
    with shelf.hold(target, str(asked)), _full_disk_in_words(target):
        _check_free(report, force)
        manifest = _check_publishable(report, force)
        profile, signed = approvals.load_profile(report), approvals.load_signed(target)
        version = approvals.find_version(profile, str(asked), signed)
        failed = manifests.failed_pages(manifest)
        signature = approvals.build_approval(manifest, people, date.today(), version, note, failed)
        sign_offs = [person | {"at": signature["approved_at"]} for person in people]
        site = target / ".work" / str(asked) / "signed"
        shutil.rmtree(site, ignore_errors=True)
        shutil.copytree(report, site)
        manifest = manifest | {"status": "published", "version": version}
        profile = profile | {"status": "published", "version": version, "sign_offs": sign_offs}
        approvals.save_profile(site, profile)
        approvals.save_approval(site, signature)
        render_fronts(site, manifest, signed, signature)
        manifests.save_manifest(site, manifest)
        _put(site, report, say)
    return report


def list_reports(data: str | None = None, out: str | None = None) -> list[dict]:
    """Heal a folder of reports, write its index again and return a row a quarter: see `shelf.build_entries`."""
    folder = find_data(data)
    target = shelf.check_out(find_out(out, folder), folder)
    if not target.exists():
        return []
    with _full_disk_in_words(target):
        shelf.heal_all(target)
        shelf.build_index(target)
    return shelf.build_entries(target)


def _put(site: Path, report: Path, say: Callable[[str], None]) -> None:
    """Swap a finished report in, then write the index."""
    kept = shelf.swap(site, report)
    if kept:
        say(f"  the published report before it is kept in {kept}")
    shelf.build_index(report.parent)


def _check_free(report: Path, force: bool) -> None:
    """A published quarter is replaced by nobody who did not say so."""
    if force or not (report / "approval.yml").exists():
        return
    held = next(signed for signed in approvals.load_signed(report.parent) if signed["quarter"] == report.name)
    people = ", ".join(person["name"] for person in held["approved_by"])
    raise DataError(
        f"{report.name}: is published (version {held['version']}, signed by {people}) and stays as it is. FORCE=1 "
        f"replaces it and keeps it in {shelf.SUPERSEDED}/."
    )


def _check_publishable(report: Path, force: bool) -> dict:
    """Return the manifest of a report that may be signed."""
    manifest = manifests.check_outputs(report, manifests.load_manifest(report))
    failed = manifests.failed_pages(manifest)
    if failed and not force:
        raise DataError(
            f"{report.name}: {', '.join(failed)} failed. Mend it and run `make report` again, or FORCE=1 to publish "
            "without."
        )
    finished = datetime.fromisoformat(manifest["volatile"]["finished_at"]).date()
    as_of = date.fromisoformat(manifest["as_of"])
    if finished <= as_of and not manifest["is_demo"] and not force:
        raise DataError(
            f"{report.name}: was run on {as_words(finished)}, before the quarter had ended ({as_words(as_of)}). Run "
            "`make report` again, or FORCE=1 to publish what was known then."
        )
    return manifest


def _say_if_not_over(quarter: Quarter, is_demo: bool, say: Callable[[str], None]) -> None:
    """Allowed, but a reader must know."""
    today, known = date.today(), "every figure is of what is known today"
    if today < quarter.start and not is_demo:
        say(f"  {quarter} has not begun (it begins on {as_words(quarter.start)}): {known}")
    elif today < quarter.end and not is_demo:
        say(f"  {quarter} has not ended (it ends on {as_words(quarter.as_of)}): {known}")


def _check_visible(run: Run) -> None:
    """Without a relevant opportunity by the quarter's end there is nothing to report on."""
    if not int(run.visible["n_relevant"].max()):
        raise DataError(
            f"opportunities: no relevant one is dated by {run.as_of} ({run.quarter}). Give another QUARTER, or mend "
            "created_at, type, or relevant: in icp.yml."
        )


@contextlib.contextmanager
def _full_disk_in_words(out: Path) -> Iterator[None]:
    """Say in one line that the folder of reports cannot be written."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK and not isinstance(error, shutil.Error):
            raise
        why = error.strerror or "a file could not be copied"
        raise DataError(
            f"OUT: '{out.name}' cannot be written ({why}). Make room, or mend who may write there; then run "
            "again. Nothing is half-written."
        ) from None


def _empty(run: Run, raw: str | None) -> None:
    """Start the working folder afresh, with the quarantine of this extract."""
    shutil.rmtree(run.work, ignore_errors=True)
    for name in ("tables", "notebooks"):
        (run.work / name).mkdir(parents=True)
    if (run.extract.cache / "quarantine").exists():
        shutil.copytree(run.extract.cache / "quarantine", run.work / "quarantine")
    (run.work / "raw.json").write_text(json.dumps({"data": str(run.data), "raw": raw}), encoding="utf-8")


def _note_failure(run: Run, words: str) -> None:
    """Let the index say that this quarter failed; on a full disk the command line alone does."""
    with contextlib.suppress(OSError):
        shelf.save_attempt(run.work, run.settings.name, words, datetime.now(UTC))
        shelf.build_index(run.out)
