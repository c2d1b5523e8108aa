"""Checks return what they checked; their messages say what is wrong and what to do."""

from __future__ import annotations

import pandas as pd
import pytest

from icp_lib.checks import DataError, check_columns, check_in, check_range, closest, hint


def test_closest_ignores_capitals():
    assert closest("INDUSTRY", ["industry", "country"]) == "industry"
    assert closest("zzz", ["industry"]) is None


def test_hint_names_the_closest_or_lists_what_is_allowed():
    assert hint("quater", ["quarter", "data"]) == "Did you mean 'quarter'?"
    assert hint("zzz", ["quarter", "data"]) == "Allowed: quarter, data."


def test_checks_return_the_value():
    frame = pd.DataFrame({"a": [1]})
    assert check_in("x", ["x", "y"], "name") == "x"
    assert check_columns(frame, ["a"], "table") is frame
    assert check_range(1, 1, 2, "share") == 1


def test_checks_refuse():
    with pytest.raises(DataError, match=r"^measure: 'win_rat' is not known. Did you mean 'win_rate'\?$"):
        check_in("win_rat", ["win_rate"], "measure")
    with pytest.raises(DataError, match=r"^table: needs the columns b, c. It has: a\.$"):
        check_columns(pd.DataFrame({"a": [1]}), ["a", "b", "c"], "table")
    with pytest.raises(DataError, match=r"^share: 2 must be between 0 and 1\.$"):
        check_range(2, 0, 1, "share")
    with pytest.raises(DataError):
        check_range(float("nan"), 0, 1, "share")
