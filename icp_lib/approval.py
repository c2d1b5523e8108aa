"""Sign-offs: who agreed to a profile, under which version, and what changed from one version to the next."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

import yaml

from icp_lib.checks import DataError

_EXAMPLE = 'APPROVED_BY="Ann Roe, head of sales; Bo Li, head of marketing"'


def parse_approvers(text: str | None) -> list[dict]:
    """Read who signs: names with their roles.

    Parameters
    ----------
    text : str or None
        ``name, role`` and, for several people, semicolons between them.

    Returns
    -------
    list of dict
        name, role.

    Raises
    ------
    DataError
        Nobody is named, a name has no role, or one stands twice.

    Examples
    --------
    >>> parse_approvers("Ann Roe, head of sales; Bo Li, head of marketing, Europe")[1]
    {'name': 'Bo Li', 'role': 'head of marketing, Europe'}
    """
    people = []
    for part in (part.strip() for part in (text or "").split(";")):
        name, _, role = (" ".join(words.split()) for words in part.partition(","))
        if not part:
            continue
        if not name or not role:
            raise DataError(f"APPROVED_BY: '{part}' needs a name and a role. Write it as {_EXAMPLE}.")
        if name.casefold() in {person["name"].casefold() for person in people}:
            raise DataError(f"APPROVED_BY: '{name}' stands twice. Name each person once.")
        people.append({"name": name, "role": role})
    if not people:
        raise DataError(f"APPROVED_BY: a report is published by those who sign it. Say who, {_EXAMPLE}.")
    return people


def load_signed(out: Path) -> list[dict]:
    """Return every sign-off in a folder of reports, oldest first, superseded ones before the one that holds.

    Returns
    -------
    list of dict
        The keys of ``approval.yml``, and `profile` (what ``profile.yml`` holds).
    """
    found = []
    for path in [*out.glob("*/approval.yml"), *out.glob(".superseded/*/approval.yml")]:
        name = re.fullmatch(r"(20[0-9]{2}-Q[1-4])(?:-([0-9]+))?", path.parent.name)
        if name:
            order = (name[1], int(name[2]) if name[2] else 10_000)
            found.append((order, _load(path) | {"profile": load_profile(path.parent), "is_held": not name[2]}))
    return [signed for _, signed in sorted(found, key=lambda each: each[0])]


def _load(path: Path) -> dict:
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
        if {"quarter", "version", "approved_by"} <= said.keys():
            return said
    except (OSError, ValueError, AttributeError, yaml.YAMLError):
        pass
    raise DataError(f"{path.parent.name}/approval.yml: not readable. Put back the file that `make publish` wrote.")


def load_profile(folder: Path) -> dict:
    """Return what a report's ``profile.yml`` holds; without one, nothing."""
    path = folder / "profile.yml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {} if path.exists() else {}


def save_profile(folder: Path, profile: dict) -> Path:
    """Write a report's ``profile.yml``."""
    return _save(folder / "profile.yml", profile)


def save_approval(folder: Path, approval: dict) -> Path:
    """Write a report's ``approval.yml``."""
    return _save(folder / "approval.yml", approval)


def _save(path: Path, values: dict) -> Path:
    path.write_text(yaml.safe_dump(values, allow_unicode=True, sort_keys=False, width=110), encoding="utf-8")
    return path


def find_version(profile: dict, quarter: str, signed: list[dict]) -> int:
    """Return the version that a quarter's profile has: the last one's if it says the same, else a new number.

    Parameters
    ----------
    profile : dict
        `attributes` decides: which rules a company must meet.
    quarter : str
    signed : list of dict
        From `load_signed`. The last one of this quarter or of an earlier one is compared with.

    Examples
    --------
    >>> signed = [{"quarter": "2026-Q1", "version": 1, "profile": {"attributes": [{"attribute": "country"}]}}]
    >>> find_version({"attributes": [{"attribute": "country"}]}, "2026-Q2", signed)
    1
    >>> find_version({"attributes": [{"attribute": "industry"}]}, "2026-Q2", signed)
    2
    """
    before = [each for each in signed if each["quarter"] <= quarter]
    if before and _rules(before[-1]["profile"]) == _rules(profile):
        return before[-1]["version"]
    return 1 + max((each["version"] for each in signed), default=0)


def _rules(profile: dict) -> dict[str, dict]:
    """The profile's rules by what they say, whatever their order."""
    return {json.dumps(rule, sort_keys=True): rule for rule in profile.get("attributes", [])}


def build_approval(
    manifest: dict, people: list[dict], day: date, version: int, note: str | None, failed: list[str]
) -> dict:
    """Return what ``approval.yml`` holds.

    Parameters
    ----------
    manifest : dict
        The report's ``run.json``.
    people : list of dict
        From `parse_approvers`.
    day : date
        When they signed.
    version : int
        From `find_version`.
    note : str or None
        Why, in a sentence.
    failed : list of str
        Numbers of failed pages that they accept.
    """
    return {
        "quarter": manifest["quarter"],
        "version": version,
        "profile": manifest["headline"] or "No profile",
        "approved_at": day.isoformat(),
        "approved_by": people,
        "run_id": manifest["run_id"],
        "fingerprint": manifest["data_fingerprint"],
        **({"accepted_failed_pages": failed} if failed else {}),
        "note": " ".join((note or "").split()),
    }


def build_versions(signed: list[dict], quarter: str, draft: dict | None = None) -> list[dict]:
    """Return the published profiles up to a quarter for the timeline, oldest first, and the draft behind them.

    Parameters
    ----------
    signed : list of dict
        From `load_signed`.
    quarter : str
        The quarter whose front page shows them.
    draft : dict, optional
        The profile of this quarter while nobody has signed it.

    Returns
    -------
    list of dict
        quarter, version, name, status (published or draft), changed (lines of `describe_change`), why, signed (a
        line a person), href.
    """
    rows = [each for each in signed if each["is_held"] and each["quarter"] <= quarter]
    if draft is not None:
        rows = [each for each in rows if each["quarter"] != quarter]
        version = find_version(draft, quarter, signed)
        rows.append({"quarter": quarter, "version": version, "profile": draft, "approved_by": [], "is_draft": True})
    versions, last = [], None
    for row in rows:
        name, is_here = row["profile"].get("name") or "No profile", row["quarter"] == quarter
        versions.append(
            {
                "quarter": row["quarter"],
                "version": row["version"],
                "name": name,
                "status": "draft" if row.get("is_draft") else "published",
                "changed": describe_change(last, row["profile"]),
                "why": row.get("note", ""),
                "signed": [f"{person['name']}, {person['role']}" for person in row["approved_by"]],
                "href": "index.html" if is_here else f"../{row['quarter']}/index.html",
            }
        )
        last = row["profile"]
    return versions


def describe_change(before: dict | None, after: dict) -> list[str]:
    """Return a profile's rules in words, a line each: `+` for one that is new, `-` for one that is gone.

    Examples
    --------
    >>> rule = {"attribute": "employees", "op": "between", "value": [5, 21]}
    >>> describe_change({"attributes": []}, {"attributes": [rule]})
    ['+ Companies with 5 to 20 employees']
    """
    from icp_lib.rules import describe_rules

    new = _rules(after)
    old = new if before is None else _rules(before)
    lines = [f"{'' if key in old else '+ '}{describe_rules((rule,))}" for key, rule in new.items()]
    return lines + [f"- {describe_rules((rule,))}" for key, rule in old.items() if key not in new]
