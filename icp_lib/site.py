"""A report's folder: pages from executed notebooks, and the pages that are drawn from tables, without a kernel."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

from icp_lib import approval as approvals
from icp_lib.execution import Page, strip_notebook
from icp_lib.manifest import as_words, failed_pages, save_manifest
from icp_lib.run import Run
from icp_lib.saved import read_table
from icp_lib.shelf import find_last_good

#: What a working folder may hold besides tables and notebooks, and what the report takes over as it is.
_FILES = ("profile.yml", "target_accounts.csv")
#: Result tables that the front page draws, besides the claims.
_FRONT_TABLES = ("segments", "segments_all", "segment_search", "segment_noise", "history", "actions")


def build_site(run: Run, pages: list[Page], manifest: dict, runs: list[dict], signed: list[dict]) -> Path:
    """Write the whole report into a folder beside the old one and return it: the tree of a report.

    Parameters
    ----------
    run : Run
    pages : list of Page
        Executed notebooks, and those that failed or were skipped.
    manifest : dict
        From `manifest.build_manifest`.
    runs, signed : list of dict
        Earlier reports (`shelf.load_runs`) and sign-offs (`approval.load_signed`).
    """
    site = run.work / "report"
    shutil.rmtree(site, ignore_errors=True)
    (site / "notebooks").mkdir(parents=True)
    for name in ("tables", "draws"):
        if (run.work / name).is_dir():
            shutil.copytree(run.work / name, site / name)
    for name in _FILES:
        if (run.work / name).exists():
            shutil.copy(run.work / name, site / name)
    profile = approvals.load_profile(site)
    manifest = {"headline": profile.get("name") or "", **manifest}
    for page in pages:
        context = build_context(manifest, page.name, runs)
        (site / f"{page.name}.html").write_text(_render_page(page, context, site), encoding="utf-8")
    render_fronts(site, manifest, signed)
    save_manifest(site, manifest)
    return site


def _render_page(page: Page, context: dict, site: Path) -> str:
    """Return one notebook's page; the stripped notebook is kept beside it."""
    import nbformat

    from icp_lib import pages as html_pages

    if page.executed is None or not page.executed.exists():
        hint = "Mend what failed before it, then run `make report` again."
        return html_pages.render_missing_page(context, page.words, hint)
    notebook = strip_notebook(nbformat.read(page.executed, as_version=4))
    nbformat.write(notebook, site / "notebooks" / page.source.name)
    return html_pages.render_page(notebook, context)


def render_fronts(site: Path, manifest: dict, signed: list[dict], approval: dict | None = None) -> None:
    """Write the pages that need no kernel: front page, wall page, glossary, summary.

    Parameters
    ----------
    site : Path
        A report's folder with its tables and profile.
    manifest : dict
        Its ``run.json``.
    signed : list of dict
        From `approval.load_signed`.
    approval : dict, optional
        What ``approval.yml`` holds, where the report is being published.
    """
    import pandas as pd

    from icp_lib import front, glossary, summary, wall
    from icp_lib.formats import set_currency

    set_currency(manifest["settings"]["currency"])
    tables = {path.stem: path for path in sorted((site / "tables").glob("*.csv"))}
    headline = read_table(tables["headline"]) if "headline" in tables else pd.DataFrame()
    claims = [frame for name in tables if name.startswith("claims_") and len(frame := read_table(tables[name]))]
    claims = pd.concat(claims, ignore_index=True) if claims else pd.DataFrame()
    profile = approvals.load_profile(site)
    context = build_context(manifest, "index") | _sign_off(manifest, profile, signed, approval)
    more = {name: read_table(tables[name]) for name in _FRONT_TABLES if name in tables}
    rendered = {
        "index.html": front.render_front(context, headline, claims, profile, **more),
        "wall.html": wall.render_wall(context | {"name": "wall"}, headline, claims, profile, more.get("actions")),
        "glossary.html": glossary.render_glossary(context | {"name": "glossary"}),
        "summary.md": summary.build_summary(context, headline, claims, profile, "md"),
        "summary.txt": summary.build_summary(context, headline, claims, profile, "txt"),
    }
    for name, text in rendered.items():
        (site / name).write_text(text, encoding="utf-8")


def _sign_off(manifest: dict, profile: dict, signed: list[dict], approval: dict | None) -> dict:
    """What the front page says of draft and versions: report_status, version, approval, versions, status_words."""
    quarter, said = manifest["quarter"], _all_words(manifest)
    if approval is None:
        versions = approvals.build_versions(signed, quarter, draft=profile)
        words = f"Draft. {said}"
    else:
        before = [each for each in signed if each["quarter"] != quarter or not each["is_held"]]
        versions = approvals.build_versions([*before, approval | {"profile": profile, "is_held": True}], quarter)
        people = "; ".join(f"{person['name']}, {person['role']}" for person in approval["approved_by"])
        words = f"Published as version {approval['version']}, signed by {people}. {said}"
    return {
        "report_status": manifest["status"],
        "version": versions[-1]["version"],
        "approval": approval,
        "versions": versions,
        "status_words": words,
    }


def build_context(manifest: dict, name: str, runs: list[dict] = ()) -> dict:
    """Return what a page says of the run; nothing in it depends on a path or on the clock.

    Parameters
    ----------
    manifest : dict
        The report's ``run.json``.
    name : str
        A notebook's name, or a page that is drawn from tables (index, wall, glossary).
    runs : list of dict
        Earlier reports, newest first: a page that failed links to its last good one.
    """
    pages = manifest["notebooks"]
    shared = {
        "company": manifest["company"],
        "quarter": manifest["quarter"],
        "as_of": as_words(date.fromisoformat(manifest["as_of"])),
        "run_id": manifest["run_id"],
        "fingerprint": manifest["data_fingerprint"],
        "currency": manifest["settings"]["currency"],
        "timezone": manifest["timezone"],
        "is_demo": manifest["is_demo"],
        "name": name,
        "pages": [
            {
                "file": f"{other}.html",
                "number": other[:2],
                "title": page["title"],
                "status": page["status"],
                "status_words": "Failed" if page["status"] == "failed" else page["words"],
                "words": page["words"],
            }
            for other, page in pages.items()
        ],
    }
    if name not in pages:
        worst = (word for word in ("failed", "warnings") if any(page["status"] == word for page in pages.values()))
        return shared | {"status": next(worst, "ok"), "status_words": _all_words(manifest), "tables": []}
    page = pages[name]
    context = shared | {"status": page["status"], "status_words": page["words"], "tables": page["tables"]}
    good = find_last_good(runs, manifest["quarter"], name) if page["status"] in ("failed", "not produced") else None
    return context | ({"last_good": {**good, "href": f"../{good['href']}"}} if good else {})


def _all_words(manifest: dict) -> str:
    pages = manifest["notebooks"].values()
    ran = sum(page["status"] in ("ok", "warnings") for page in pages)
    said = [*(f"{number} failed" for number in failed_pages(manifest)), f"{ran} of {len(pages)} pages ran"]
    return "; ".join([*said, *(page["words"] for page in pages if page["status"] == "warnings")])
