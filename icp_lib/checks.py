"""Checks that return what they checked, and the one error a user is meant to read."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


class DataError(Exception):
    """Something in the data, the settings or the command is wrong and the user can mend it.

    The message says what, where, how many, a first example, and what to do; it never holds a name or an e-mail.
    """


def closest(word: str, words: Iterable[str]) -> str | None:
    """Return the word nearest to a misspelled one, or None.

    Examples
    --------
    >>> closest("quater", ["quarter", "data", "out"])
    'quarter'
    """
    by_fold = {str(candidate).casefold(): str(candidate) for candidate in words}
    near = difflib.get_close_matches(str(word).casefold(), list(by_fold), n=1, cutoff=0.6)
    return by_fold[near[0]] if near else None


def hint(word: str, words: Iterable[str]) -> str:
    """Return ``Did you mean 'x'?`` or the list of what is allowed.

    Examples
    --------
    >>> hint("marge", ["margin", "revenue"])
    "Did you mean 'margin'?"
    """
    words = [str(candidate) for candidate in words]
    near = closest(word, words)
    return f"Did you mean '{near}'?" if near else f"Allowed: {', '.join(words)}."


def check_in(value: T, allowed: Iterable[T], name: str) -> T:
    """Return `value` if it is one of `allowed`, else say which is closest.

    Examples
    --------
    >>> check_in("win_rate", ["win_rate", "retention"], "measure")
    'win_rate'
    """
    allowed = list(allowed)
    if value not in allowed:
        raise DataError(f"{name}: {value!r} is not known. {hint(str(value), map(str, allowed))}")
    return value


def check_columns(frame, columns: Iterable[str], name: str):
    """Return `frame` if it has all `columns`, else name the missing ones."""
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise DataError(
            f"{name}: needs the columns {', '.join(missing)}. It has: {', '.join(map(str, frame.columns))}."
        )
    return frame


def check_range(value: float, low: float, high: float, name: str) -> float:
    """Return `value` if ``low <= value <= high``.

    Examples
    --------
    >>> check_range(0.95, 0, 1, "conf_level")
    0.95
    """
    if not low <= value <= high:
        raise DataError(f"{name}: {value!r} must be between {low} and {high}.")
    return value
