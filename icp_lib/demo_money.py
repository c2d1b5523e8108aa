"""The demo company's money after the sale and before it: revenue, spend, referrals, surveys."""

from __future__ import annotations

import numpy as np
import pandas as pd

from icp_lib import demo_core as core

_FIRST_MONTH = 2024 * 12 + 3  # April 2024, counted in months
_LAST_MONTH = 2026 * 12 + 9  # October 2026
_GROWTH = 1.06 ** (1 / 3)  # a month
#: Money a month in April 2024 for 6,000 accounts: media by channel, then the rest.
_MEDIA = {"Paid search": 13_500, "Content syndication": 6_200, "Partner": 3_100, "Trade fair": 1_400}
_STAFF = {"new": 64_000, "existing": 15_000}
_TOOLS = 5_200
_FAIRS = {2: 22_000, 4: 31_000, 8: 26_000, 10: 14_000}  # March, May, September, November


def _month(numbers: np.ndarray) -> np.ndarray:
    return (numbers - 1970 * 12).astype("datetime64[M]").astype("datetime64[us]")


def _month_number(times: np.ndarray) -> np.ndarray:
    return times.astype("datetime64[M]").astype(np.int64) + 1970 * 12


def _customers(rng: np.random.Generator, world: dict, null: bool | str) -> dict:
    """Draw for each account with a won new deal its first month live and the month after its last."""
    deals, traits, rule = world["deals"], world["traits"], core.TRUTH["retention"]
    won = np.flatnonzero(deals["won"] & (deals["kind"] == 0))
    account, first = np.unique(deals["account"][won], return_index=True)
    won = won[first]
    live = _month_number(core.clock(deals["day"][won] + deals["cycle"][won] + 10 + 30 * rng.random(len(won)))) + 1
    hazard = np.full(len(won), rule["monthly_churn"])
    if not null:
        factor = [1.0, *(rule["factor"].get(planted["id"], 1.0) for planted in core.GROUPS)]
        hazard *= np.array(factor)[traits["group"][account]]
        hazard *= np.exp(rule["log_factor_per_fit_point"] * traits["fit"][account])
    months = np.ceil(np.log(rng.random(len(won))) / np.log1p(-np.clip(hazard, 1e-4, 0.2)))
    keep = live <= _LAST_MONTH
    return {name: values[keep] for name, values in {
        "account": account, "deal": won, "live": live, "end": live + np.maximum(months, 1).astype(int)}.items()}


def build_revenue(rng: np.random.Generator, world: dict, null: bool | str) -> pd.DataFrame:
    """Return one row for each customer and month from going live to leaving."""
    deals, traits = world["deals"], world["traits"]
    customers = _customers(rng, world, null)
    world["customers"] = customers
    row_of = np.full(len(traits["created"]), -1)
    row_of[customers["account"]] = np.arange(len(customers["account"]))
    paid = np.flatnonzero(deals["won"] & (deals["kind"] < 2) & (row_of[deals["account"]] >= 0))
    row = row_of[deals["account"][paid]]
    start = np.maximum(_month_number(deals["closed_at"][paid]) + 1, customers["live"][row])
    count = np.maximum(np.minimum(customers["end"][row], _LAST_MONTH + 1) - start, 0)
    deal = np.repeat(np.arange(len(paid)), count)
    month = np.repeat(start, count) + np.arange(len(deal)) - np.repeat(np.cumsum(count) - count, count)
    yearly = deals["margin"][paid] / deals["rate"][paid]
    frame = pd.DataFrame({"row": row[deal], "month": month, "revenue": yearly[deal] / 12,
                          "gross_margin": deals["margin"][paid][deal] / 12})
    frame = frame.groupby(["row", "month"], as_index=False).sum()
    row = frame["row"].to_numpy()
    account, n = customers["account"][row], len(frame)
    is_decoy = (traits["group"][account] == 1 + core.GROUPS.index(core.TRUTH["decoy"])) & (not null)
    wobble = np.exp(0.03 * rng.standard_normal(n))
    revenue = frame["revenue"].to_numpy() * wobble
    staff = traits["employees"][account]
    seats = np.ceil(np.minimum(staff, 400) * (0.3 + 0.3 * rng.random(len(row_of)))[account])
    learners = np.minimum(staff, 400) if not null else 25.0  # without truth, cost does not follow size
    onboarding = np.where(is_decoy, 900, 170) * np.sqrt(learners)
    onboarding = onboarding * np.exp(0.3 * rng.standard_normal(n))
    support = (16 + revenue * np.where(is_decoy, 0.34, 0.045)) * np.exp(0.4 * rng.standard_normal(n))
    is_first = np.append(True, row[1:] != row[:-1])
    return pd.DataFrame({
        "account_id": core.ids("A", account + 1), "month": _month(frame["month"].to_numpy()),
        "revenue": np.round(revenue, 2), "gross_margin": np.round(frame["gross_margin"].to_numpy() * wobble, 2),
        "support_cost": np.round(support, 2), "onboarding_cost": np.where(is_first, np.round(onboarding, 2), 0.0),
        "seats": seats,
    })


def build_spend(rng: np.random.Generator, world: dict, null: bool | str) -> pd.DataFrame:
    """Return the spend ledger by month and category; onboarding and support are what the customers' rows add up to,
    and a twentieth of overhead."""
    scale = len(world["traits"]["created"]) / 6000
    ledger = [_media_rows(rng, scale), _office_rows(rng, scale), _care_rows(world["revenue"])]
    frame = pd.DataFrame([row for rows in ledger for row in rows],
                         columns=["month", "category", "amount", "channel", "campaign_id", "audience"])
    frame["month"] = _month(frame["month"].to_numpy())
    frame["amount"] = frame["amount"].round(2)
    frame = frame.sort_values(["month", "category", "channel", "audience"], ignore_index=True, na_position="first")
    return frame.astype({name: "str" for name in ("category", "channel", "campaign_id", "audience")})


def _media_rows(rng: np.random.Generator, scale: float) -> list[tuple]:
    """Return media by channel and campaign, and the trade fairs."""
    rows = []
    for month in range(_FIRST_MONTH, _LAST_MONTH + 1):
        growth = scale * _GROWTH ** (month - _FIRST_MONTH) * (0.35 if month == _LAST_MONTH else 1.0)
        for channel, amount in _MEDIA.items():
            place = (month - _FIRST_MONTH) // 3 * 4 + core.CAMPAIGN_CHANNELS.index(channel) + 1
            spent = amount * growth * np.exp(0.07 * rng.standard_normal())
            rows.append((month, "media", spent, channel, f"K{place:03d}", "new"))
        if month % 12 in _FAIRS:
            place = (month - _FIRST_MONTH) // 3 * 4 + core.CAMPAIGN_CHANNELS.index("Trade fair") + 1
            spent = _FAIRS[month % 12] * growth * np.exp(0.1 * rng.standard_normal())
            rows.append((month, "events", spent, "Trade fair", f"K{place:03d}", "new"))
    return rows


def _office_rows(rng: np.random.Generator, scale: float) -> list[tuple]:
    """Return salaries of sales and marketing and the tools they use, complete months only."""
    rows = []
    for month in range(_FIRST_MONTH, _LAST_MONTH):
        growth = scale * _GROWTH ** (month - _FIRST_MONTH)
        for audience, amount in _STAFF.items():
            spent = amount * growth * np.exp(0.02 * rng.standard_normal())
            rows.append((month, "salaries", spent, None, None, audience))
        rows.append((month, "tools", _TOOLS * growth * np.exp(0.03 * rng.standard_normal()), None, None, None))
    return rows


def _care_rows(revenue: pd.DataFrame) -> list[tuple]:
    """Return onboarding and support by month."""
    by_month = revenue.groupby(_month_number(revenue["month"].to_numpy()))[["onboarding_cost", "support_cost"]].sum()
    rows = []
    for month, (onboarding, support) in zip(by_month.index, by_month.to_numpy() * 1.05, strict=True):
        rows.append((month, "onboarding", onboarding, None, None, "new"))
        rows.append((month, "support", support, None, None, "existing"))
    return rows


def build_referrals(rng: np.random.Generator, world: dict, null: bool | str) -> pd.DataFrame:
    """Return which customer brought which account; customers of the strong segment bring more, but in null worlds."""
    traits, customers = world["traits"], world["customers"]
    source = core.LEVELS["lead_source"].index("Referral")
    brought = np.flatnonzero((traits["lead_source"] == source) & (rng.random(len(traits["created"])) < 0.62))
    order = np.argsort(customers["live"], kind="stable")
    weight = np.where((traits["group"][customers["account"]] == 1) & (not null), 2.5, 1.0)[order]
    at = core.clock(traits["created"][brought])
    known = np.searchsorted(customers["live"][order], _month_number(at), side="left")
    brought, at, known = brought[known > 0], at[known > 0], known[known > 0]
    total = np.cumsum(weight)
    drawn = np.searchsorted(total, rng.random(len(brought)) * total[known - 1], side="right")
    referrer = customers["account"][order][np.minimum(drawn, known - 1)]
    return pd.DataFrame({"referrer_account_id": core.ids("A", referrer + 1),
                         "referred_account_id": core.ids("A", brought + 1), "referred_at": at})


def build_surveys(rng: np.random.Generator, world: dict, null: bool | str) -> pd.DataFrame:
    """Return the answers of about a quarter of the customers: would they recommend us, what is it worth a year."""
    traits, deals, customers = world["traits"], world["deals"], world["customers"]
    rule, n = core.TRUTH["value_received"], len(customers["account"])
    group = traits["group"][customers["account"]] if not null else np.zeros(n, dtype=int)
    usual = rule["median_times_paid"]
    times = np.array([usual, *(rule.get(planted["id"], usual) for planted in core.GROUPS)])
    ratio = times[group] * np.exp(0.35 * rng.standard_normal(n))
    paid = deals["margin"][customers["deal"]] / deals["rate"][customers["deal"]]
    day = (_month(customers["live"]) - core.START).astype("timedelta64[D]").astype(float) + 90 + 260 * rng.random(n)
    asked = (rng.random(n) < 0.36) & (day < core.LAST_DAY) & (_month_number(core.clock(day)) < customers["end"])
    nps = np.clip(np.round(6.4 + 1.4 * np.log(ratio) + 1.6 * rng.standard_normal(n)), 0, 10)
    chosen = np.flatnonzero(asked)[np.argsort(day[asked], kind="stable")]
    return pd.DataFrame({
        "account_id": core.ids("A", customers["account"][chosen] + 1), "answered_at": core.clock(day[chosen]),
        "nps": nps[chosen],
        "value_received": np.where(rng.random(len(chosen)) < 0.06, np.nan, np.round((paid * ratio)[chosen], -2)),
    })
