"""Make `leadforge_<world>.csv.gz`: companies drawn by leadforge, a generator of CRM data that others made.

Run: python tests/reference/make_leadforge.py   (makes an environment for leadforge by bench/peers.py)

Recipe b2b_saas_procurement_v1 with 4,000 accounts, 6,000 contacts and 5,000 leads. A file has one row an opportunity,
with the traits of its account and contact. WORLDS names each world, its difficulty and its seed. Frozen with leadforge
1.0.0; what it says of traits and conversion stands in tests/test_discovery_real.py.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd

HERE = Path(__file__).resolve().parent
#: File -> difficulty, seed; the seed decides what drives conversion (the motif).
WORLDS = {
    "fit": ("intermediate", 2),  # fit_dominant: several deals of one account go together
    "intent": ("intermediate", 12),  # intent_dominant
    "committee": ("advanced", 6),  # buying_committee_friction: few are won
    "planted": ("intro", 2),  # fit_dominant, and the company's revenue moves its fit
}
ACCOUNT = ["industry", "region", "employee_band", "estimated_revenue_band", "process_maturity_band"]
LEAD = ["lead_source", "owner_rep_id"]


def build_world(difficulty: str, seed: int) -> pd.DataFrame:
    """Return one row an opportunity; needs leadforge."""
    from leadforge.api import Generator

    numbers = {"n_accounts": 4000, "n_contacts": 6000, "n_leads": 5000}
    recipe = Generator.from_recipe("b2b_saas_procurement_v1", seed=seed, difficulty=difficulty, **numbers)
    world = recipe.generate()
    accounts, contacts, leads, opportunities = (
        pd.DataFrame([row.to_dict() for row in rows])
        for rows in (
            world.population.accounts, world.population.contacts, world.simulation_result.leads,
            world.simulation_result.opportunities,
        )
    )  # fmt: skip
    accounts = accounts.rename(columns={"created_at": "account_created_at"})
    table = opportunities.merge(leads[["lead_id", "account_id", "contact_id", *LEAD]], on="lead_id")
    table = table.merge(contacts[["contact_id", "buyer_role"]], on="contact_id")
    table = table.merge(accounts[["account_id", "account_created_at", *ACCOUNT]], on="account_id")
    columns = ["opportunity_id", "account_id", "account_created_at", *ACCOUNT, "created_at", "closed_at",
               "close_outcome", *LEAD, "buyer_role"]  # fmt: skip
    return table[columns].sort_values(["account_id", "opportunity_id"], ignore_index=True)


def main() -> None:
    """Write every world, with the Python of leadforge's own environment."""
    sys.path.insert(0, str(HERE.parents[1] / "bench"))
    import peers

    peers.PACKAGES["leadforge"] = ("leadforge==1.0.0",)
    python = peers.build_peer("leadforge")
    if python is None:
        sys.exit("leadforge cannot be installed here")
    for name, (difficulty, seed) in WORLDS.items():
        subprocess.run([python, __file__, name, difficulty, str(seed)], check=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        name, difficulty, seed = sys.argv[1:]
        packed = {"method": "gzip", "mtime": 0}  # equal bytes from equal worlds
        build_world(difficulty, int(seed)).to_csv(HERE / f"leadforge_{name}.csv.gz", index=False, compression=packed)
    else:
        main()
