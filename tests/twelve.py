"""A company of twelve accounts that can be added up by hand: what notebook 03 says of it is written out in its tests.

As of 30 September 2026. Freight (A1 to A6) comes by Search, Food (B1 to B6) by Fair. Each account has one lead and one
deal, both opened on the 10th of a month; six deals are won, four lost, two open.
"""

from __future__ import annotations

import pandas as pd

from icp_lib.rules import Segment

CUTOFF = pd.Timestamp("2026-10-01")
FREIGHT = Segment.of({"attribute": "industry", "op": "is", "value": "Freight"})
SEGMENTS = pd.DataFrame([FREIGHT.describe()]).assign(n_opportunities=60)
#: account: opened, closed, status
DEALS = {
    "A1": ("2026-01-10", "2026-03-10", "won"),
    "A2": ("2026-01-10", "2026-04-10", "won"),
    "A3": ("2026-02-10", "2026-04-10", "won"),
    "A4": ("2026-04-10", "2026-06-10", "won"),
    "A5": ("2026-03-10", "2026-05-10", "lost"),
    "A6": ("2026-07-10", None, "open"),
    "B1": ("2026-01-10", "2026-05-10", "won"),
    "B2": ("2026-03-10", "2026-07-10", "won"),
    "B3": ("2026-02-10", "2026-06-10", "lost"),
    "B4": ("2026-04-10", "2026-08-10", "lost"),
    "B5": ("2026-05-10", "2026-09-10", "lost"),
    "B6": ("2026-08-10", None, "open"),
}
MONTHS = [f"2026-{month:02d}-01" for month in range(1, 10)]
#: media a month, January to September; the channel is that of half of it each
MEDIA = [450.0] * 6 + [900.0] * 3
SALARIES = 1000.0
#: account: month of going live, onboarding as the customer's row has it, support in the month of going live and later
CARE = {
    "A1": ("2026-04-01", 300.0, 20.0),
    "A2": ("2026-05-01", 200.0, 20.0),
    "A3": ("2026-05-01", 400.0, 20.0),
    "A4": ("2026-07-01", 300.0, 20.0),
    "B1": ("2026-06-01", 800.0, 50.0),  # B2 is not live yet
}
#: spend has a tenth more onboarding than the customers' rows
OVERHEAD = 1.1


def build_accounts() -> pd.DataFrame:
    ids = list(DEALS)
    is_freight = [name.startswith("A") for name in ids]
    return pd.DataFrame({"account_id": ids, "family_id": ids,
                         "industry": ["Freight" if each else "Food" for each in is_freight],
                         "lead_source": ["Search" if each else "Fair" for each in is_freight]})  # fmt: skip


def build_opportunities() -> pd.DataFrame:
    frame = pd.DataFrame(DEALS, index=["created_at", "closed_at", "status"]).T.rename_axis("account_id").reset_index()
    when = {name: pd.to_datetime(frame[name]) for name in ("created_at", "closed_at")}
    return frame.assign(**when, is_relevant=True, lead_source=None, campaign_id=None)


def build_leads() -> pd.DataFrame:
    accounts, deals = build_accounts(), build_opportunities()
    return pd.DataFrame({"account_id": accounts["account_id"], "created_at": deals["created_at"],
                         "lead_source": accounts["lead_source"], "campaign_id": None})  # fmt: skip


def build_revenue() -> pd.DataFrame:
    rows = []
    for account_id, (live, onboarding, support) in CARE.items():
        for month in pd.date_range(live, "2026-09-01", freq="MS"):
            first = onboarding if month == pd.Timestamp(live) else 0.0
            rows.append((account_id, month, 100.0, first, support))
    return pd.DataFrame(rows, columns=["account_id", "month", "revenue", "onboarding_cost", "support_cost"])


def build_spend() -> pd.DataFrame:
    rows = [("2025-04-01", "tools", 0.0, None, None)]  # so that the spend before January is known to be nothing
    for month, media in zip(MONTHS, MEDIA, strict=True):
        rows += [(month, "media", media / 2, channel, None) for channel in ("Search", "Fair")]
        rows += [(month, "salaries", SALARIES, None, "new"), (month, "salaries", 250.0, None, "existing")]
    revenue = build_revenue()
    for month, group in revenue.groupby("month"):
        rows.append((month, "onboarding", group["onboarding_cost"].sum() * OVERHEAD, None, "new"))
        rows.append((month, "support", group["support_cost"].sum(), None, "existing"))
    frame = pd.DataFrame(rows, columns=["month", "category", "amount", "channel", "audience"])
    return frame.assign(month=pd.to_datetime(frame["month"]), campaign_id=None)
