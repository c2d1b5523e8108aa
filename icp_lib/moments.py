"""Moments and months: times are naive UTC, while days, months and quarters are those of the company's own clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

#: No clock is further from UTC than this.
_FURTHEST = timedelta(hours=15)


class Cutoff(datetime):
    """The first moment after as-of, naive UTC, that knows the company's time zone.

    A plain datetime serves as well; then the clock's distance from UTC is taken to be the same all year.

    Examples
    --------
    >>> cutoff = Cutoff.at_end(date(2026, 9, 30), "Europe/Berlin")
    >>> str(cutoff), str(cutoff.zone)
    ('2026-09-30 22:00:00', 'Europe/Berlin')
    """

    zone: ZoneInfo | None = None

    @classmethod
    def at_end(cls, as_of: date, zone: str) -> Cutoff:
        """Return the moment at which a day ends in a time zone."""
        end = datetime.combine(as_of + timedelta(days=1), time(), ZoneInfo(zone)).astimezone(UTC)
        moment = cls.combine(end.date(), end.time())
        moment.zone = ZoneInfo(zone)
        return moment

    def __reduce_ex__(self, protocol):
        """Keep the zone in copies and in other processes."""
        return _copy, (datetime.combine(self.date(), self.time()), self.zone)


def _copy(moment: datetime, zone: ZoneInfo | None) -> Cutoff:
    copied = Cutoff.combine(moment.date(), moment.time())
    copied.zone = zone
    return copied


def first_day(cutoff: datetime) -> pd.Timestamp:
    """Return the company's first day after as-of; without a zone the month that begins nearest, or the nearest day.

    Examples
    --------
    >>> str(first_day(datetime(2026, 9, 30, 11)))  # Auckland
    '2026-10-01 00:00:00'
    """
    at = pd.Timestamp(cutoff)
    if getattr(cutoff, "zone", None):
        return to_local(pd.Series([at]), cutoff)[0].normalize()
    month = (at + timedelta(days=7)).normalize().replace(day=1)
    return month if abs(at - month) <= _FURTHEST else at.round("D")


def to_local(moments: pd.Series, cutoff: datetime) -> pd.Series:
    """Return moments as the company's clock showed them."""
    moments = pd.to_datetime(moments)  # a column without a value has no type
    if zone := getattr(cutoff, "zone", None):
        return moments.dt.tz_localize("UTC").dt.tz_convert(zone).dt.tz_localize(None)
    return moments + (first_day(cutoff) - pd.Timestamp(cutoff))


def to_utc(local: pd.Series, cutoff: datetime) -> pd.Series:
    """Return the moments at which the company's clock showed these times, naive UTC."""
    if zone := getattr(cutoff, "zone", None):
        first = np.ones(len(local), bool)  # of an hour that comes twice, the earlier one
        aware = local.dt.tz_localize(zone, ambiguous=first, nonexistent="shift_forward")
        return aware.dt.tz_convert("UTC").dt.tz_localize(None)
    return local - (first_day(cutoff) - pd.Timestamp(cutoff))


def months_before(moments: pd.Series, cutoff: datetime) -> pd.Series:
    """Return whole and begun months from a moment's month to as-of, by the company's clock: 1 is the last month.

    Examples
    --------
    >>> cutoff = Cutoff.at_end(date(2026, 9, 30), "America/New_York")
    >>> months_before(pd.Series(pd.to_datetime(["2026-09-01 03:59", "2026-09-01 04:00"])), cutoff).tolist()
    [2, 1]
    """
    return months_ago(to_local(moments, cutoff), cutoff)


def months_ago(days: pd.Series, cutoff: datetime) -> pd.Series:
    """Return the same for dates, such as the first days of months in `spend`: a date is no moment.

    Examples
    --------
    >>> cutoff = Cutoff.at_end(date(2026, 9, 30), "America/New_York")
    >>> months_ago(pd.Series(pd.to_datetime(["2026-09-01", "2025-12-01"])), cutoff).tolist()
    [1, 10]
    """
    end = first_day(cutoff)
    return (end.year - days.dt.year) * 12 + end.month - days.dt.month
