"""Small worlds for tests of trait analysis: who is best is drawn from traits that are given."""

from __future__ import annotations

import numpy as np
import pandas as pd

from icp_lib import accounts, draws, rules
from icp_lib.space import PLACEBOS

#: How the traits are cut.
TRAITS = {"industry": {}, "size": {"bins": [1, 20, 100, 500]}, "staff": {"quantiles": 4}, "shop": {}, "source": {},
          "city": {}, "technologies": {}}  # fmt: skip


def build_labelled(seed: int = 1, n: int = 2500, strength: float = 1.0, rate: float = 0.07) -> pd.DataFrame:
    """Return labelled accounts of one world.

    Industry (Freight) and size (20 to 99) make a customer best, `staff` echoes the size, `technologies` has one item
    that goes with Freight; `shop`, `source` and `city` (60 of them, most are rare) mean nothing. One account in eight
    has a sister, and a tenth of the sizes are missing.
    """
    rng = np.random.default_rng(seed)
    industry = rng.choice(["Freight", "Retail", "Energy", "Food", "Waste"], n, p=[0.3, 0.3, 0.2, 0.15, 0.05])
    size = np.exp(rng.normal(3.6, 1.2, n)).round() + 1
    tools = np.where(rng.random(n) < np.where(industry == "Freight", 0.5, 0.3), "Telematics", "")
    eta = strength * (1.1 * (industry == "Freight") + 1.0 * ((size >= 20) & (size < 100)))
    chance = rate * np.exp(eta) / np.exp(eta).mean()
    table = pd.DataFrame(
        {
            "account_id": [f"A{seed}-{number:05d}" for number in range(n)],
            "family_id": [f"F{seed}-{number if number % 8 else number + 1}" for number in range(n)],
            "industry": industry,
            "size": np.where(rng.random(n) < 0.1, np.nan, size),
            "staff": (size * np.exp(rng.normal(0, 0.3, n))).round(1),
            "shop": rng.choice(["yes", "no"], n),
            "source": rng.choice(["Fair", "Search", "Partner", "Referral"], n),
            "city": [f"City {number:02d}" for number in (rng.pareto(1.0, n) * 3).clip(0, 59).astype(int)],
            "technologies": [";".join(filter(None, each)) or None for each in
                             zip(tools, rng.choice(["ERP", ""], n), strict=True)],
            "first_opportunity_at": pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.uniform(0, 900, n), unit="D"),
            "is_best": rng.random(n) < chance,
            "is_modelled": True,
            "n_opportunities": 1,
        }
    )  # fmt: skip
    table = table.assign(n_won=table["is_best"].astype(int))
    table["part"] = accounts.build_part(table["family_id"], table["first_opportunity_at"])
    return add_placebos(table)


def add_placebos(table: pd.DataFrame) -> pd.DataFrame:
    """Return accounts with the two attributes that mean nothing."""
    return table.assign(**{name: draws.placebo_levels(table["account_id"], k) for name, k in PLACEBOS.items()})


def build_levels(labelled: pd.DataFrame, traits: dict = TRAITS) -> list:
    """Return every level of every trait and of the placebos."""
    return rules.build_levels(labelled, traits | {name: {} for name in PLACEBOS})
