"""Months and quarters are those of the company's clock, wherever it stands and whatever the season."""

from __future__ import annotations

import copy
import pickle
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from icp_lib import customers, value
from icp_lib.moments import Cutoff, first_day, months_ago, months_before, to_local, to_utc

ZONES = ("UTC", "Europe/Berlin", "Pacific/Auckland", "Pacific/Kiritimati", "America/New_York", "Etc/GMT+12")
ENDS = (date(2026, 9, 30), date(2026, 12, 31))
DAYS = pd.Series(pd.date_range("2025-01-01", "2026-09-30"))


def moments_of(days: pd.Series, zone: str) -> pd.Series:
    """The midnights with which these days begin, as an export without times means them."""
    aware = [pd.Timestamp(day.to_pydatetime(), tz=ZoneInfo(zone)) for day in days]
    return pd.Series([each.tz_convert("UTC").tz_localize(None) for each in aware])


@pytest.mark.parametrize("as_of", ENDS)
@pytest.mark.parametrize("zone", ZONES)
def test_a_day_is_in_its_own_month_in_every_zone_and_season(zone, as_of):
    cutoff, end = Cutoff.at_end(as_of, zone), pd.Timestamp(as_of + timedelta(days=1))
    true = (end.year - DAYS.dt.year) * 12 + end.month - DAYS.dt.month
    assert first_day(cutoff) == end
    assert months_before(moments_of(DAYS, zone), cutoff).tolist() == true.tolist()
    assert months_ago(DAYS, cutoff).tolist() == true.tolist()
    assert to_local(to_utc(DAYS, cutoff), cutoff).tolist() == DAYS.tolist()
    # a plain moment knows no summer time: an hour late, the first of some months is still the last of the one before
    plain = cutoff.replace()
    plain.zone = None
    assert first_day(plain) == end
    assert (months_before(moments_of(DAYS, zone), plain) == true).mean() > 0.97
    assert months_ago(DAYS, plain).tolist() == true.tolist()


@pytest.mark.parametrize("zone", ZONES)
def test_one_company_has_the_same_quarters_and_months_wherever_it_stands(zone):
    """Deals and payments by the day: neither quarter of creation nor month of going live depends on the clock."""
    cutoff, ids = Cutoff.at_end(ENDS[1], zone), [f"A{number}" for number in range(len(DAYS))]
    at = moments_of(DAYS, zone)
    deals = pd.DataFrame({
        "account_id": ids, "created_at": at, "closed_at": at + pd.Timedelta(days=2), "status": "won", "amount": 100.0,
        "gross_margin": 50.0, "gross_margin_rate": 0.5, "term_months": 12.0, "is_relevant": True, "owner_id": "R1",
        "lead_source": "Referral",
    })  # fmt: skip
    accounts = pd.DataFrame({"account_id": ids, "family_id": ids})
    units = value.build_units(deals, accounts, cutoff=cutoff, measure="win_rate").set_index("account_id").loc[ids]
    quarter = (DAYS.dt.year - 2027) * 4 + DAYS.dt.quarter - 1
    assert units["quarter"].tolist() == quarter.tolist()
    revenue = pd.DataFrame({"account_id": ids, "month": DAYS.dt.to_period("M").dt.to_timestamp(), "revenue": 10.0})
    found = customers.build_customers(accounts, deals, revenue, cutoff).set_index("account_id").loc[ids]
    assert np.array_equal(months_before(found["live_at"], cutoff), months_ago(revenue["month"], cutoff))


def test_a_copy_knows_the_zone_and_a_column_without_a_value_has_no_months():
    cutoff = Cutoff.at_end(ENDS[0], "Europe/Berlin")
    for each in (copy.deepcopy(cutoff), pickle.loads(pickle.dumps(cutoff))):
        assert each == cutoff and str(each.zone) == "Europe/Berlin"
    assert to_local(pd.Series([], dtype=object), cutoff).empty and to_local(pd.Series([None]), cutoff).isna().all()
