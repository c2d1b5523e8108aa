"""The value measure against a slow, written-out version, by laws, and in worlds whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import worlds
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, t

from icp_lib import stats, value
from icp_lib.checks import DataError
from icp_lib.rules import Segment

CUTOFF = pd.Timestamp("2026-10-01")
COLUMNS = {"amount": np.nan, "gross_margin": np.nan, "gross_margin_rate": np.nan, "term_months": np.nan, "type": "new",
           "is_relevant": True}  # fmt: skip


def build_deals(rows: list[dict]) -> tuple[pd.DataFrame, pd.DataFrame]:
    frame = pd.DataFrame(
        [{**COLUMNS, "opportunity_id": f"d{i}", "closed_at": None, **row} for i, row in enumerate(rows)]
    )
    for column in ("created_at", "closed_at"):
        frame[column] = pd.to_datetime(frame[column], format="ISO8601")
    accounts = pd.DataFrame({"account_id": frame["account_id"].unique()})
    return frame, accounts.assign(family_id=accounts["account_id"])


def draw_deals(seed: int, n: int = 200) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        created = pd.Timestamp("2024-01-01") + pd.Timedelta(days=float(rng.uniform(0, 1003)))
        closed = created + pd.Timedelta(days=float(rng.exponential(200)))
        status = rng.choice(["won", "lost", "open"]) if closed < CUTOFF else "open"
        rows.append(
            {
                "account_id": f"a{rng.integers(0, n // 2)}",
                "created_at": created,
                "status": status,
                "closed_at": None if status == "open" else closed,
                "amount": rng.choice([np.nan, 1000.0, 5000.0]),
                "gross_margin": rng.choice([np.nan, 700.0]),
                "gross_margin_rate": rng.choice([np.nan, 0.5]),
                "term_months": rng.choice([np.nan, 12, 24, 36]),
                "is_relevant": bool(rng.random() < 0.9),
            }
        )
    return build_deals(rows)


def slow_lift(deals: pd.DataFrame, families: dict, inside: set, rate: float) -> tuple[float, float, int]:
    """The value measure, one opportunity at a time: (lift, standard error of its log, degrees of freedom)."""
    units = []
    for _, deal in deals[deals["is_relevant"]].iterrows():
        end = CUTOFF if pd.isna(deal["closed_at"]) else deal["closed_at"]
        days = (end - deal["created_at"]).total_seconds() / 86400
        margin = deal["gross_margin"]
        if pd.isna(margin):
            margin = deal["amount"] * (rate if pd.isna(deal["gross_margin_rate"]) else deal["gross_margin_rate"])
        margin *= 12 / (12 if pd.isna(deal["term_months"]) else deal["term_months"])
        won = deal["status"] == "won" and days <= 365
        units.append(
            [
                deal["account_id"],
                deal["created_at"].year * 4 + (deal["created_at"].month - 1) // 3,
                margin if won else 0.0,
                min(days, 365),
                won,
            ]
        )
    known = [unit[2] for unit in units if unit[4] and not pd.isna(unit[2])]
    for unit in units:
        unit[2] = sum(known) / len(known) if pd.isna(unit[2]) else unit[2]
    blocks, open_block = [], []
    for quarter in sorted({unit[1] for unit in units}):
        open_block.append(quarter)
        if sum(unit[4] for unit in units if unit[1] in open_block) >= 20:
            blocks.append(open_block)
            open_block = []
    if open_block:
        blocks = [*blocks[:-1], blocks[-1] + open_block] if blocks else [open_block]
    v = {}
    for block in blocks:
        mine = [unit for unit in units if unit[1] in block]
        v |= dict.fromkeys(block, sum(unit[2] for unit in mine) / sum(unit[3] for unit in mine))
    sums = {}
    for account, quarter, got, days, _ in units:
        side = account in inside
        sums.setdefault(families[account], {True: [0.0, 0.0], False: [0.0, 0.0]})
        sums[families[account]][side][0] += got
        sums[families[account]][side][1] += v[quarter] * days
    total = {side: [sum(s[side][i] for s in sums.values()) for i in (0, 1)] for side in (True, False)}
    ratio = {side: total[side][0] / total[side][1] for side in total}
    variance = 0.0
    for s in sums.values():
        part = {side: (s[side][0] - ratio[side] * s[side][1]) / total[side][0] for side in s}
        variance += (part[True] - part[False]) ** 2
    n_won = min(sum(s[side][0] > 0 for s in sums.values()) for side in (True, False))
    return ratio[True] / ratio[False], variance**0.5, n_won - 1


@pytest.mark.parametrize("seed", range(4))
def test_lift_equals_the_slow_written_out_version(seed):
    deals, accounts = draw_deals(seed)
    accounts["family_id"] = accounts["account_id"].str.slice(0, 2)  # about ten families, on both sides of the group
    inside = set(accounts["account_id"].iloc[::3])
    units = value.build_units(deals, accounts, cutoff=CUTOFF, gross_margin_rate=0.8)
    is_in = units["account_id"].isin(inside).to_numpy()
    found = stats.estimate_lift(units["m"], units["e"], is_in, pd.factorize(units["family_id"])[0])
    lift, error, df = slow_lift(deals, dict(accounts.to_numpy()), inside, rate=0.8)
    assert found.value == pytest.approx(lift, rel=1e-9)  # the same sums in another order
    assert np.log(found.high / found.value) == pytest.approx(t.ppf(0.975, df) * error, rel=1e-9)


def test_what_counts_as_got_and_as_days():
    deals, accounts = build_deals(
        [
            {
                "account_id": "won",
                "created_at": "2025-01-01",
                "closed_at": "2025-01-11",
                "status": "won",
                "amount": 2400,
                "term_months": 24,
            },
            {
                "account_id": "late",
                "created_at": "2024-01-01",
                "closed_at": "2025-02-01",
                "status": "won",
                "amount": 9000,
            },
            {
                "account_id": "lost",
                "created_at": "2025-01-01",
                "closed_at": "2025-01-31",
                "status": "lost",
                "amount": 9000,
            },
            {"account_id": "old", "created_at": "2024-01-01", "status": "open", "amount": 9000},
            {"account_id": "young", "created_at": "2026-09-01", "status": "open"},
            {
                "account_id": "hours",
                "created_at": "2025-01-01 12:00",
                "closed_at": "2025-01-01",
                "status": "won",
                "amount": 100,
            },
            {
                "account_id": "renewal",
                "created_at": "2025-01-01",
                "closed_at": "2025-01-11",
                "status": "won",
                "amount": 1,
                "is_relevant": False,
            },
        ]
    )
    units = value.build_units(deals, accounts, cutoff=CUTOFF, gross_margin_rate=0.5).set_index("account_id")
    assert units["m"].to_dict() == {"won": 600.0, "late": 0.0, "lost": 0.0, "old": 0.0, "young": 0.0, "hours": 50.0}
    assert units["d"].to_dict() == {"won": 10.0, "late": 365.0, "lost": 30.0, "old": 365.0, "young": 30.0, "hours": 0.0}
    assert units.index[units["is_mature"]].tolist() == ["hours", "late", "lost", "old", "won"]


def test_quarters_are_merged_until_twenty_are_won_and_what_is_left_joins_the_last():
    quarter = np.repeat([1, 2, 3, 4, 5], [10, 10, 25, 5, 5])
    units = pd.DataFrame({"m": np.arange(55.0), "d": 1.0, "quarter": quarter, "is_won": True})
    e = value.expected(units)
    assert len(np.unique(e)) == 2
    assert e[0] == e[19] == pytest.approx(np.arange(20).mean())
    assert e[20] == e[54] == pytest.approx(np.arange(20, 55).mean())


@given(st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_expected_adds_up_to_got(seed):
    """In every block e is an allocation of what was got, so a group and its rest cannot both be above 1."""
    units = value.build_units(*draw_deals(seed), cutoff=CUTOFF)
    assert units["e"].sum() == pytest.approx(units["m"].sum())


def test_measure_falls_back_to_the_win_rate_without_amounts():
    deals, _ = build_deals([{"account_id": "a", "created_at": "2025-01-01", "status": "open"}])
    row = value.choose_measure(deals, "margin_per_day").iloc[0]
    assert (row["measure"], row["declared"]) == ("win_rate", "margin_per_day")
    assert row["note"] == "No opportunity has an amount, so the value measure is the win rate."


def won(**more) -> dict:
    return {"account_id": "a", "created_at": "2025-01-01", "closed_at": "2025-02-01", "status": "won", **more}


def test_measure_says_revenue_not_margin():
    deals, _ = build_deals([won(amount=5.0)])
    note = value.choose_measure(deals, "margin_per_day").loc[0, "note"]
    assert note.endswith(
        "Revenue, not margin: no gross margin is given. No contract term is given, so 12 months are assumed."
    )
    assert "so 75% of the amount stands for it" in value.choose_measure(deals, "margin_per_day", 0.75).loc[0, "note"]


def test_measure_counts_what_stands_in_for_missing_amounts():
    deals, _ = build_deals([won(amount=5.0, term_months=12, gross_margin_rate=0.5), won(amount=5.0), won()])
    note = value.choose_measure(deals, "margin_per_day").loc[0, "note"]
    assert "1 of 3 won deals have no amount: the average of the others stands in." in note
    assert "2 of 3 won deals take the default margin, 100%." in note
    few, _ = build_deals([won(amount=5.0), won(), won()])
    row = value.choose_measure(few, "margin_per_day").iloc[0]
    assert row["measure"] == "win_rate" and row["note"].startswith("1 of 3 won deals have an amount")


def test_blank_amounts_make_no_group_look_poor():
    """Amounts of 40 % of the deals of a group without effect go missing: taken for 0, its lift would be about 0.6."""
    lifts = []
    for seed, (accounts, opportunities) in enumerate(worlds.build_many(range(20), 3000, True)):
        mine = set(accounts["account_id"][accounts["web_shop"] == "yes"])
        blank = opportunities["account_id"].isin(mine) & (np.random.default_rng(seed).random(len(opportunities)) < 0.4)
        money = ["amount", "gross_margin"]
        opportunities[money] = opportunities[money].mask(blank)
        units = value.build_units(opportunities, accounts, cutoff=worlds.CUTOFF)
        inside = units["account_id"].isin(mine).to_numpy()
        lifts.append(stats.estimate_lift(units["m"], units["e"], inside, pd.factorize(units["family_id"])[0]).value)
    assert abs(np.mean(lifts) - 1) < 0.03 + 3.3 * worlds.simulation_error(lifts)


def test_quarters_are_those_of_the_company_not_of_utc():
    """In Berlin the quarter ends at 22:00 UTC; a bare 1 July is 30 June 22:00 UTC and belongs to the last quarter."""
    deals, accounts = build_deals([won(created_at="2026-06-30 22:00"), won(created_at="2026-06-30 21:00")])
    units = value.build_units(deals, accounts, cutoff=pd.Timestamp("2026-09-30 22:00"), measure="win_rate")
    assert units.sort_values("created_at")["quarter"].tolist() == [-2, -1]


def test_one_giant_deal_does_not_make_a_p_value():
    accounts, opportunities = worlds.build_frames(3, 3000, True)
    units = value.build_units(opportunities, accounts, cutoff=worlds.CUTOFF)
    units.loc[units["m"].idxmax(), "m"] *= 100
    capped = value.cap(units)
    assert capped["m"].max() == pytest.approx(units.loc[units["is_won"], "m"].quantile(0.95))
    assert capped["e"].sum() == pytest.approx(capped["m"].sum())


def test_retention_counts_customers_followed_fifteen_months():
    months = pd.date_range("2025-01-01", "2026-09-01", freq="MS")
    paid = {
        "stays": months,
        "leaves": months[:6],
        "pauses": [month for month in months if month.year != 2026 or month.month != 1],
        "stray": [*months[:4], months[13]],
        "new": months[9:],
        "edge": months[6:],
    }
    closed = {"new": "2025-09-20", "edge": "2025-06-20"}
    deals, accounts = build_deals([won(account_id=name, closed_at=closed.get(name, "2024-12-20")) for name in paid])
    revenue = pd.concat([pd.DataFrame({"account_id": name, "month": paid[name], "revenue": 10.0}) for name in paid])
    for cutoff in (CUTOFF, pd.Timestamp("2026-09-30 22:00")):
        units = value.build_units(deals, accounts, cutoff=cutoff, measure="retention", revenue=revenue)
        kept = {"edge": 1.0, "leaves": 0.0, "pauses": 1.0, "stays": 1.0, "stray": 0.0}
        assert units.set_index("account_id")["m"].to_dict() == kept
    with pytest.raises(DataError, match="retention: needs revenue"):
        value.build_units(deals, accounts, cutoff=CUTOFF, measure="retention")


def test_no_unit_gives_no_row():
    deals, accounts = build_deals([won(is_relevant=False)])
    assert value.build_units(deals, accounts, cutoff=CUTOFF).empty


@pytest.fixture(scope="module")
def late_lifts():
    """Fifty worlds without truth in which one industry is recent and losses close slower; and a plain ratio beside."""
    found = []
    drawn = (world for start in range(0, 50, 10) for world in worlds.build_many(range(start, start + 10), 6000, "late"))
    for accounts, opportunities in drawn:
        units = value.build_units(opportunities, accounts, cutoff=worlds.CUTOFF)
        late = accounts["account_id"][Segment.of(worlds.LATE).mask(accounts)]
        inside = units["account_id"].isin(late).to_numpy()
        lift = stats.estimate_lift(units["m"], units["e"], inside, pd.factorize(units["family_id"])[0])
        plain = stats.estimate_lift(units["m"], units["d"], inside, pd.factorize(units["family_id"])[0])
        found.append({**lift._asdict(), "plain": plain.value})
    return pd.DataFrame(found)


def test_recency_and_slow_losses_make_no_lift(late_lifts):
    """The mean lift is 1 within 0.03 (the bound on bias) and 3.3 simulation errors (luck: less than 1 in 1,000); the
    ratio of plain sums fails the same bound in the same worlds."""
    bound = 0.03 + 3.3 * worlds.simulation_error(late_lifts["value"])
    assert abs(late_lifts["value"].mean() - 1) < bound < abs(late_lifts["plain"].mean() - 1)


def test_the_interval_covers(late_lifts):
    """Nominal 95 %: 41 of 50 or fewer happen less than once in 1,000."""
    assert binom.cdf(41, 50, 0.95) < 0.001
    assert ((late_lifts["low"] <= 1) & (late_lifts["high"] >= 1)).sum() > 41
