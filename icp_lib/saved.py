"""Result tables on disk: CSV that a spreadsheet can open safely, read back as it was."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from icp_lib.checks import DataError

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠")
#: A spreadsheet may drop these before it looks for a formula.
_QUIET = "' \xa0"
_NUMBER = r"-?(0|[1-9]\d*)(\.\d+)?(e[+-]?\d+)?|-?inf"


def safe_cell(cell):
    """Return a cell that no spreadsheet takes for a formula; `plain_cell` is its inverse.

    Line breaks become ``\\n`` and zero bytes go: CSV cannot carry them faithfully.

    Examples
    --------
    >>> safe_cell("=1+1"), safe_cell(-5), safe_cell("a-b")
    ("'=1+1", -5, 'a-b')
    """
    if not isinstance(cell, str):
        return cell
    text = cell.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    return f"'{text}" if text.lstrip(_QUIET).startswith(FORMULA) else text


def plain_cell(cell):
    """Return a cell as it was before `safe_cell`.

    Examples
    --------
    >>> plain_cell("'=1+1"), plain_cell("'tis")
    ('=1+1', "'tis")
    """
    is_prefixed = isinstance(cell, str) and cell[:1] == "'" and cell.lstrip(_QUIET).startswith(FORMULA)
    return cell[1:] if is_prefixed else cell


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a result table: UTF-8, one header row, ten significant digits, no cell that a spreadsheet would run."""
    safe = (frame.map(safe_cell) if len(frame) else frame).rename(columns=safe_cell)
    safe.to_csv(path, index=False, float_format="%.10g", encoding="utf-8", lineterminator="\n")


def read_table(path: Path) -> pd.DataFrame:
    """Read a result table back: only an empty cell is missing, and an id or 00012 stays text."""
    frame = pd.read_csv(path, dtype="str", keep_default_na=False, na_values=[""], encoding="utf-8")
    return frame.rename(columns=plain_cell).apply(_restore)


def _restore(column: pd.Series) -> pd.Series:
    """Numbers and true / false as such where every cell is one, else text."""
    cells = column.dropna()
    if cells.isin(["True", "False"]).all() and len(cells):
        return column.map({"True": True, "False": False})
    if str(column.name).endswith("_id") or not cells.str.fullmatch(_NUMBER).all():
        return column.map(plain_cell, na_action="ignore")
    return pd.to_numeric(column)


def check_name(name: str) -> str:
    """Return `name` if a result table may be called so."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise DataError(f"table name {name!r}: use small letters, digits and _.")
    return name
