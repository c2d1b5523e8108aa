"""Rates of foreign currencies: ``fx.csv`` with the columns currency and rate (company's currency for one unit)."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from icp_lib.checks import DataError


def load_rates(path: Path, currency: str) -> dict[str, float]:
    """Return currency -> rate; without the file, no rates.

    Raises
    ------
    DataError
        A column is missing, a rate is no positive number, or a currency stands twice; the line is named.
    """
    if not path.exists():
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            rows = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error):
        raise DataError(f"{path.name}: not readable CSV. Save it as CSV UTF-8.") from None
    if not {"currency", "rate"} <= set(reader.fieldnames or ()):
        raise DataError(f"{path.name}, header: needs the columns currency and rate ({currency} for one unit).")
    rates: dict[str, float] = {}
    for line, row in rows:
        code = (row["currency"] or "").strip().upper()
        try:
            rate = float(row["rate"] or "")
        except ValueError:
            rate = math.nan
        if not (len(code) == 3 and math.isfinite(rate) and rate > 0):
            raise DataError(f"{path.name}, line {line}: needs a currency of three letters and a rate above 0, as 0.92.")
        if code in rates:
            raise DataError(f"{path.name}, line {line}: {code} stands twice. Keep one rate.")
        rates[code] = rate
    rates.pop(currency, None)
    return rates


def fx_sql(rates: dict[str, float], currency: str) -> str:
    """Return SQL of the rate of a row's `currency`; an empty one is the company's, an unknown one gives NULL.

    Examples
    --------
    >>> fx_sql({"USD": 0.92}, "EUR")
    "CASE upper(coalesce(currency, 'EUR')) WHEN 'EUR' THEN 1.0 WHEN 'USD' THEN 0.92 END"
    """
    cases = " ".join(f"WHEN '{code}' THEN {rate!r}" for code, rate in {currency: 1.0, **rates}.items())
    return f"CASE upper(coalesce(currency, '{currency}')) {cases} END"
