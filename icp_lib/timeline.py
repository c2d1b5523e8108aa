"""How the profile changed: one step a quarter, and what each version changed, why, and who agreed."""

from __future__ import annotations

_MOST = 8


def build_timeline(versions: list[dict], quarter: str) -> list[dict]:
    """Return the newest quarters as steps, oldest first; a step is a version where it differs from the step before.

    The newest published version is the chosen one, else the newest.

    Parameters
    ----------
    versions : list of dict
        quarter, version, name, status (draft or published), changed (lines; an added one starts with ``+``, a removed
        one with ``-``), why, signed (lines), href. Any but `quarter` may be absent.
    quarter : str
        The quarter of this report.

    Examples
    --------
    >>> steps = build_timeline([{"quarter": "2026-Q2", "version": 1}, {"quarter": "2026-Q3", "version": 1}], "2026-Q3")
    >>> [step["is_version"] for step in steps]
    [True, False]
    """
    ordered = sorted(versions, key=lambda each: str(each["quarter"]))
    steps = [_step(each, before, quarter) for before, each in zip([None, *ordered], ordered, strict=False)][-_MOST:]
    candidates = [step for step in reversed(steps) if step["is_version"]]
    chosen = next((step for step in candidates if not step["is_draft"]), candidates[0] if candidates else None)
    for step in steps:
        step["is_chosen"] = step is chosen
    return steps


def _step(entry: dict, before: dict | None, quarter: str) -> dict:
    """Return one quarter of the timeline."""
    version, earlier = entry.get("version"), None if before is None else before.get("version")
    is_draft = str(entry.get("status", "draft")) != "published"
    has_href = entry.get("href") and str(entry["quarter"]) != quarter
    return {
        "quarter": str(entry["quarter"]),
        "is_here": str(entry["quarter"]) == quarter,
        "href": str(entry["href"]) if has_href else "",
        "is_version": version is not None and version != earlier,
        "is_draft": is_draft,
        "label": "" if version is None else f"v{version}{'?' if is_draft else ''}",
        "head": f"Version {version}{', a draft' if is_draft else ''}"
        + (f": what changed against version {earlier}" if earlier is not None else ": the first"),
        "id": f"version-{version}",
        "name": str(entry.get("name") or "no profile"),
        "changed": [_line(each) for each in entry.get("changed") or []],
        "why": str(entry.get("why") or ""),
        "signed": [str(each) for each in entry.get("signed") or []],
    }


def _line(text: str) -> dict:
    """Return a line of a profile with its kind: added, removed or kept."""
    text = str(text)
    kind = {"+ ": "added", "- ": "removed", "− ": "removed"}.get(text[:2], "kept")  # a level may begin with a sign
    return {"kind": kind, "text": text if kind != "removed" else f"−{text[1:]}"}
