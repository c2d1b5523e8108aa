"""The demo company: what is planted is there, null worlds hold nothing, the dirt is what truth.yml says."""

from __future__ import annotations

import filecmp
import math

import numpy as np
import pandas as pd
import pytest
import yaml

from icp_lib import checks, demo
from icp_lib.schemas import TABLES

TRUTH = demo.TRUTH
CORE = ("accounts", "opportunities")
YEAR = pd.Timedelta(days=365)
OWN_TRAITS = {"dispatch_method", "web_shop"}


@pytest.fixture(scope="module")
def world() -> dict[str, pd.DataFrame]:
    return demo.build_world(seed=7, n_accounts=3000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return demo.write_company(tmp_path_factory.mktemp("demo") / "company", n_accounts=3000)


def _deals(null: bool | str = False, seed: int = 11) -> pd.DataFrame:
    """New-business opportunities of a large world that are a year old, with their account's traits."""
    world = demo.build_world(seed, n_accounts=60_000, null=null, tables=CORE)
    deals = world["opportunities"].query("type == 'new'")
    deals = deals.merge(world["accounts"].drop(columns=["created_at", "lead_source"]), on="account_id")
    days = (deals["closed_at"] - deals["created_at"]) / pd.Timedelta(days=1)
    deals["is_old"] = deals["created_at"] < pd.Timestamp("2026-10-10") - YEAR
    deals["days"] = days
    deals["is_won"] = (deals["status"] == "won") & (days <= 365)
    deals["log_margin"] = np.log(deals["gross_margin"] * 12 / deals["term_months"])
    deals["size"] = pd.cut(deals["employees"], [1, 5, 21, 51, 101, 251, 5001], right=False, labels=False)
    return deals


@pytest.fixture(scope="module")
def large() -> pd.DataFrame:
    return _deals()


def _meets(deals: pd.DataFrame, conditions: list[dict]) -> pd.Series:
    """True, False, or missing where an attribute is not known."""
    result = pd.Series(True, index=deals.index, dtype="boolean")
    for condition in conditions:
        values, wanted = deals[condition["attribute"]], condition["value"]
        if condition["op"] == "is":
            found = (values == wanted).astype("boolean")
        else:
            found = values.between(wanted[0], (wanted[1] or math.inf) - 1).astype("boolean")
        result &= found.mask(values.isna())
    return result


def _planted() -> list[dict]:
    return [*TRUTH["segments"], TRUTH["decoy"]]


def _rest(deals: pd.DataFrame) -> pd.Series:
    """Deals that are known to be in none of the planted groups."""
    groups = [_meets(deals, planted["conditions"]) for planted in [*_planted(), TRUTH["emerging"]]]
    return pd.concat(groups, axis=1).eq(False).fillna(False).all(axis=1)


def _mantel_haenszel(won: pd.Series, exposed: pd.Series, stratum: pd.Series) -> tuple[float, float]:
    """Pooled log odds ratio and its standard error (inverse-variance over strata)."""
    logs, weights = [], []
    for _, rows in won.groupby(stratum):
        a, b = rows[exposed].sum(), (~rows[exposed]).sum()
        c, d = rows[~exposed].sum(), (~rows[~exposed]).sum()
        if min(a, b, c, d) > 4:
            logs.append(math.log(a * d / (b * c)))
            weights.append(1 / (1 / a + 1 / b + 1 / c + 1 / d))
    return float(np.average(logs, weights=weights)), sum(weights) ** -0.5


def test_tables_have_the_canonical_columns(world):
    assert set(world) == set(TABLES)
    for name, frame in world.items():
        extra = set(frame) - {column.name for column in TABLES[name].columns}
        assert extra == (OWN_TRAITS if name in ("accounts", "prospects") else set()), name
        assert {column.name for column in TABLES[name].columns} <= set(frame), name
        for column in TABLES[name].columns:
            if column.required:
                assert frame[column.name].notna().all(), (name, column.name)
            if column.one_of:
                assert frame[column.name].dropna().isin(column.one_of).all(), (name, column.name)
            if column.kind in ("time", "month"):
                assert str(frame[column.name].dtype) == "datetime64[us]", (name, column.name)


def test_sizes_are_those_promised():
    world = demo.build_world(seed=3)
    assert 4600 < (world["opportunities"]["type"] == "new").sum() < 5400
    assert 11_000 < len(world["leads"]) < 13_000
    assert 110_000 < len(world["touches"]) < 130_000
    assert len(world["prospects"]) == 2500
    assert world["assignments"].groupby("experiment_id").size().between(280, 360).all()


def test_equal_seeds_give_equal_worlds_whatever_tables_are_asked_for(world):
    for names in (CORE, ("touches",), ("spend", "surveys"), ("leads", "prospects", "accounts")):
        for name, frame in demo.build_world(seed=7, n_accounts=3000, tables=names).items():
            pd.testing.assert_frame_equal(frame, world[name])
    other = demo.build_world(seed=8, n_accounts=3000, tables=["opportunities"])["opportunities"]
    assert not other.equals(world["opportunities"])


def test_an_unknown_table_names_the_closest():
    with pytest.raises(checks.DataError, match=r"tables: 'acounts' is not known\. Did you mean 'accounts'\?"):
        demo.build_world(1, tables=["acounts"])
    with pytest.raises(checks.DataError, match="Give at least 100"):
        demo.build_world(1, n_accounts=10)


def test_keys_are_unique_and_references_hold(world):
    for name, frame in world.items():
        if TABLES[name].keys:
            assert not frame.duplicated(TABLES[name].keys).any(), name
        for column in TABLES[name].columns:
            if column.references:
                parent = world[column.references][TABLES[column.references].keys[0]]
                assert frame[column.name].dropna().isin(parent).all(), (name, column.name)
    parents = world["accounts"].set_index("account_id")["parent_account_id"].dropna()
    assert parents.isin(world["accounts"]["account_id"]).all() and not parents.isin(parents.index).any()
    assert parents.value_counts().between(1, 3).all()
    campaigns = pd.concat([world[name]["campaign_id"] for name in ("opportunities", "leads", "touches", "spend")])
    assert campaigns.dropna().isin(world["campaigns"]["campaign_id"]).all()


def test_dates_are_in_order(world):
    deals = world["opportunities"]
    opened = deals["account_id"].map(world["accounts"].set_index("account_id")["created_at"])
    assert (opened < deals["created_at"]).all()
    is_closed = deals["status"] != "open"
    assert (deals["closed_at"].notna() == is_closed).all()
    assert (deals["closed_at"] > deals["created_at"])[is_closed].all()
    leads = world["leads"]
    for before, after in (("created_at", "mql_at"), ("mql_at", "sal_at"), ("sal_at", "sql_at"),
                          ("mql_at", "rejected_at"), ("mql_at", "first_contacted_at")):
        assert (leads[before] <= leads[after]).where(leads[after].notna(), True).all(), (before, after)
    became = leads.dropna(subset=["opportunity_id"])
    opened = became["opportunity_id"].map(deals.set_index("opportunity_id")["created_at"])
    assert (became["created_at"] <= opened).all()
    last = max(frame[column].max() for name, frame in world.items() if name != "campaigns"
               for column in frame.columns if frame[column].dtype.kind == "M")
    assert pd.Timestamp("2026-10-01") < last < pd.Timestamp("2026-10-12")


def test_stages_agree_with_the_opportunities(world):
    deals = world["opportunities"].set_index("opportunity_id")
    stages = world["stage_history"].sort_values("entered_at", kind="stable")
    deal = stages["opportunity_id"]
    assert (stages["entered_at"] >= deal.map(deals["created_at"])).all()
    closed = deal.map(deals["closed_at"])
    assert (stages["entered_at"] <= closed)[closed.notna()].all()
    assert set(deal) == set(deals.index)
    ends = stages[stages["stage"].isin(["Won", "Lost"])].set_index("opportunity_id")
    pd.testing.assert_series_equal(ends["entered_at"].sort_index(), deals["closed_at"].dropna().sort_index(),
                                   check_names=False)
    is_open = deals["status"] == "open"
    latest = stages.drop_duplicates("opportunity_id", keep="last").set_index("opportunity_id")["stage"]
    assert (latest[is_open[is_open].index] == deals.loc[is_open, "stage"]).all()


def test_money_adds_up(world):
    deals, spend, revenue = world["opportunities"], world["spend"], world["revenue"]
    won = deals[deals["status"] == "won"]
    assert np.allclose(won["gross_margin"], won["amount"] * won["gross_margin_rate"], atol=0.01)
    by_category = spend.groupby("category")["amount"].sum()
    assert by_category["onboarding"] == pytest.approx(1.05 * revenue["onboarding_cost"].sum(), abs=1)
    assert by_category["support"] == pytest.approx(1.05 * revenue["support_cost"].sum(), abs=1)
    customers = set(world["accounts"].query("account_type == 'customer'")["account_id"])
    assert set(revenue["account_id"]) <= customers == set(won.query("type == 'new'")["account_id"])


@pytest.mark.parametrize("planted", _planted(), ids=lambda planted: planted["id"])
def test_planted_groups_are_recovered(large, planted):
    inside, rest = _meets(large, planted["conditions"]).fillna(False), _rest(large)
    old = large["is_old"]
    n, rate = (inside & old).sum(), large.loc[inside & old, "is_won"].mean()
    assert abs(rate - planted["win_rate"]) < 3 * math.sqrt(rate * (1 - rate) / n)
    won = large["is_won"] & old
    logs = [np.log(large.loc[mask & won, "days"]) for mask in (inside, rest)]
    se = math.sqrt(sum(part.var() / len(part) for part in logs))
    if planted["id"] != "decoy":  # a third of its wins come after day 365, or would
        assert abs(logs[0].mean() - logs[1].mean() - math.log(planted["cycle_factor"])) < 3 * se
    margins = [large.loc[mask & won, "log_margin"] for mask in (inside, rest)]
    se = math.sqrt(sum(part.var() / len(part) for part in margins))
    assert abs(margins[0].mean() - margins[1].mean() - math.log(planted["margin_factor"])) < 3 * se
    known = large["industry"].notna() & large["employees"].notna() & large["buyer_role"].notna()
    first = large[known].drop_duplicates("account_id")
    share = _meets(first, planted["conditions"]).fillna(False).mean()
    assert share == pytest.approx(planted["account_share"], abs=0.01)


def test_the_rest_is_as_planted(large):
    base, rest = TRUTH["base"], large[_rest(large) & large["is_old"]]
    rate = rest["is_won"].mean()
    assert abs(rate - base["win_rate"]) < 3 * math.sqrt(rate * (1 - rate) / len(rest))
    won = rest[rest["is_won"]]
    assert abs(won["log_margin"].std() - base["margin_log_sd"]) < 3 * base["margin_log_sd"] / math.sqrt(2 * len(won))
    assert won["days"].median() == pytest.approx(base["cycle_median_days"], rel=0.04)
    mean = math.exp(won["log_margin"].mean() + won["log_margin"].var() / 2)
    assert mean == pytest.approx(base["first_year_margin_mean"], rel=0.04)


def test_the_emerging_group_is_new(large):
    inside = large[_meets(large, TRUTH["emerging"]["conditions"]).fillna(False)]
    quarter = inside["created_at"].dt.to_period("Q").value_counts().sort_index()
    assert quarter[:"2025Q4"].max() < 15 < quarter["2026Q1"] < quarter["2026Q2"] < quarter["2026Q3"]
    closed = inside[inside["status"] != "open"]
    assert (closed["status"] == "won").mean() > 0.40


def test_the_trap_reverses_within_size(large):
    deals = large[large["is_old"] & large["technologies"].notna() & large["size"].notna()]
    has = deals["technologies"].str.contains("Telematics")
    overall = deals.groupby(has)["is_won"].mean()
    assert overall[True] > overall[False] + 0.02
    within = deals.groupby([deals["size"], has])["is_won"].mean().unstack()
    assert (within[True] < within[False]).all()
    pooled, se = _mantel_haenszel(deals["is_won"], has, deals["size"])
    assert abs(pooled - math.log(TRUTH["trap"]["odds"])) < 3 * se


def test_the_rep_sells_more_everywhere_and_the_region_does_nothing(large):
    rep, deals = TRUTH["rep"], large[large["is_old"]]
    is_rep = deals["owner_id"] == rep["owner_id"]
    group = sum((number + 1) * _meets(deals, planted["conditions"]).fillna(False).astype(int)
                for number, planted in enumerate(_planted()))
    pooled, se = _mantel_haenszel(deals["is_won"], is_rep, group)
    assert abs(pooled - math.log(rep["odds"])) < 3 * se
    inside = deals["region"] == rep["region"]
    assert is_rep[inside].mean() == pytest.approx(rep["share_of_region"], abs=0.02)
    known = deals["region"].notna() & ~is_rep
    pooled, se = _mantel_haenszel(deals["is_won"][known], inside[known], group[known])
    assert abs(pooled) < 3 * se
    north = deals[deals["region"].notna()].groupby(inside)["is_won"].mean()
    assert north[True] > north[False] + 0.05  # what a naive reader would see


def test_noise_matters_to_nothing_and_paper_only_looks_good(large):
    from scipy import stats

    old = large[large["is_old"]]
    for name in TRUTH["noise"]:
        assert stats.chi2_contingency(pd.crosstab(old[name], old["is_won"])).pvalue > 0.001, name
    others = old[old["owner_id"] != TRUTH["rep"]["owner_id"]]
    for name in TRUTH["rep"]["explains"]:
        assert stats.chi2_contingency(pd.crosstab(others[name], others["is_won"])).pvalue > 0.001, name
    deals = large[large["is_old"] & large["dispatch_method"].notna()]
    paper = deals["dispatch_method"] == "Paper"
    naive, _ = _mantel_haenszel(deals["is_won"], paper, pd.Series(0, index=deals.index))
    stratum = deals["industry"].fillna("?") + deals["size"].astype(str) + deals["buyer_role"].fillna("?")
    pooled, se = _mantel_haenszel(deals["is_won"], paper, stratum)
    assert naive > 1.3 * math.log(TRUTH["dispatch"]["odds"])
    assert abs(pooled - math.log(TRUTH["dispatch"]["odds"])) < 3 * se


@pytest.mark.parametrize("null", [True, "late"])
def test_null_worlds_hold_nothing(null):
    """Fixed seed, 12 attributes x 3 outcomes: each chi-square or F test is held to p > 1 in 40,000."""
    from scipy import stats

    deals = _deals(null, seed=5)
    deals["telematics"] = deals["technologies"].str.contains("Telematics").astype(str)
    quarter = deals["created_at"].dt.to_period("Q").astype(str)
    old = deals[deals["is_old"]]
    won = old[old["is_won"]]
    for name in ("industry", "size", "country", "region", "city", "business_model", "telematics", "dispatch_method",
                 "web_shop", "buyer_role", "lead_source", "owner_id"):
        assert stats.chi2_contingency(pd.crosstab(old[name], old["is_won"])).pvalue > 1 / 40_000, name
        for outcome in ("log_margin", "days"):
            groups = [np.log(part) if outcome == "days" else part for _, part in won.groupby(name)[outcome]]
            assert stats.f_oneway(*groups).pvalue > 1 / 40_000, (name, outcome)
    assert old["is_won"].mean() == pytest.approx(TRUTH["base"]["win_rate"], abs=0.01)
    if null == "late":
        late = deals["industry"] == TRUTH["late"]["value"]
        assert set(quarter[late]) <= {"2026Q1", "2026Q2", "2026Q3", "2026Q4"} and late.sum() > 1000
        days = old[old["status"] != "open"].groupby("status")["days"].mean()
        assert days["won"] == pytest.approx(60, rel=0.03) and days["lost"] == pytest.approx(150, rel=0.03)


def test_experiments_show_what_was_planted():
    arms = {}
    for seed in range(12):
        world = demo.build_world(seed, tables=["assignments", "touches"])
        joined = world["assignments"].merge(world["touches"].query("touch_type == 'Meeting'"), on="account_id")
        inside = (joined["occurred_at"] >= joined["assigned_at"]) & (
            joined["occurred_at"] < joined["assigned_at"] + pd.Timedelta(days=45))
        met = set(zip(joined["experiment_id"][inside], joined["account_id"][inside], strict=True))
        plan = world["assignments"]
        plan["met"] = [key in met for key in zip(plan["experiment_id"], plan["account_id"], strict=True)]
        for key, part in plan.groupby(["experiment_id", "arm"])["met"]:
            arms.setdefault(key, []).append(part)
    for planted in TRUTH["experiments"]:
        arm, control = (pd.concat(arms[planted["id"], name]) for name in (planted["arm"], planted["control"]))
        se = math.sqrt(arm.mean() * (1 - arm.mean()) / len(arm) + control.mean() * (1 - control.mean()) / len(control))
        assert abs(arm.mean() - control.mean() - planted["effect"]) < 3 * se


def test_customers_of_the_strong_segment_stay_and_see_more_value():
    world = demo.build_world(seed=2, n_accounts=30_000, tables=["revenue", "surveys", "accounts", "opportunities"])
    deals = world["opportunities"].query("type == 'new' and status == 'won'").drop_duplicates("account_id")
    deals = deals.merge(world["accounts"].drop(columns=["created_at", "lead_source"]), on="account_id")
    deals = deals.set_index("account_id")
    strong = _meets(deals, TRUTH["segments"][0]["conditions"]).fillna(False)
    decoy = _meets(deals, TRUTH["decoy"]["conditions"]).fillna(False)
    months = world["revenue"].groupby("account_id")["month"].agg(["min", "max"])
    could = months[months["min"] <= "2025-09-01"]
    stayed = ((could["max"] - could["min"]) >= pd.Timedelta(days=334)).groupby(
        could.index.map(strong * 2 + decoy.astype(int))).mean()
    assert stayed[2] > stayed[0] + 0.03 and stayed[0] > stayed[1] + 0.05
    paid = deals["amount"] / deals["term_months"] * 12
    answers = world["surveys"].set_index("account_id")["value_received"].dropna()
    ratio = (answers / paid.reindex(answers.index)).groupby(strong.reindex(answers.index)).median()
    assert ratio[True] == pytest.approx(3.0, rel=0.1) and ratio[False] == pytest.approx(1.5, rel=0.1)


def test_the_folder_is_the_same_byte_for_byte(folder, tmp_path):
    again = demo.write_company(tmp_path / "again", n_accounts=3000)
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted([*(f"{name}.csv" for name in TABLES), "feedback.csv", "icp.yml", "playbook.yml",
                            "experiments.yml", "truth.yml"])
    assert filecmp.cmpfiles(folder, again, names, shallow=False) == (names, [], [])


def test_settings_and_words_can_be_read(folder):
    from icp_lib.settings import load_settings, load_yaml

    settings = load_settings(folder)
    assert (settings.name, settings.quarter, settings.timezone) == ("Northlane", "2026-Q3", "Europe/Berlin")
    assert set(settings.traits) >= OWN_TRAITS and settings.traits["employees"].bins == [1, 5, 21, 51, 101, 251]
    playbook, protocols = load_yaml(folder / "playbook.yml"), load_yaml(folder / "experiments.yml")["experiments"]
    assert set(playbook) == {"goals", "current_process", "problems", "new_process", "evidence", "discovery_questions",
                             "objections", "personas", "journey"}
    by_id = {protocol["id"]: protocol for protocol in protocols}
    for planted in TRUTH["experiments"]:
        protocol = by_id[planted["id"]]
        assert (protocol["id"], protocol["candidate"], protocol["control"]) == tuple(
            planted[name] for name in ("id", "candidate", "control"))
        assert protocol["arms"] == [planted["arm"], planted["control"]]
        assert str(protocol["assigned_on"]) == planted["assigned_on"]
        assert protocol["primary"] == {name: planted[name] for name in ("metric", "touch_type", "window_days")}
    truth = load_yaml(folder / "truth.yml")
    assert {name: truth[name] for name in TRUTH} == yaml.safe_load(yaml.safe_dump(TRUTH))


def test_the_dirt_is_what_truth_says(folder):
    text = {name: pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False)
            for name in ("accounts", "opportunities", "touches", "stage_history")}
    accounts, deals = text["accounts"], text["opportunities"]
    copies, created = deals.duplicated(), pd.to_datetime(deals["created_at"])
    closed = pd.to_datetime(deals["closed_at"], format="%Y-%m-%dT%H:%M:%SZ", errors="coerce", utc=True)
    amount, is_closed = pd.to_numeric(deals["amount"], errors="coerce"), deals["status"] != "open"
    early, day = is_closed & (closed < created), pd.Timedelta(days=1)
    stages = text["stage_history"].merge(deals[~copies][["opportunity_id", "created_at"]], on="opportunity_id")
    gap = pd.to_datetime(stages["entered_at"]) - pd.to_datetime(stages["created_at"])
    touches = text["touches"]
    found = {
        ("accounts", "test account"): (accounts["account_type"] == "test").sum(),
        ("accounts", "deleted"): (accounts["is_deleted"] == "true").sum(),
        ("accounts", "merged into another account"): (accounts["merged_into_account_id"] != "").sum(),
        ("accounts", "many created on one day"): accounts["created_at"].value_counts().iloc[0],
        ("accounts", "one id, different contents"): accounts["account_id"].duplicated(keep=False).sum(),
        ("opportunities", "account not in accounts"): (~deals["account_id"].isin(accounts["account_id"])).sum(),
        ("opportunities", "closed before created, by days"): (early & (created - closed > day)).sum(),
        ("opportunities", "closed before created, by hours"): (early & (created - closed <= day)).sum(),
        ("opportunities", "unreadable date"): (closed.isna() & (deals["closed_at"] != "")).sum(),
        ("opportunities", "unreadable amount"): amount.isna().sum(),
        ("opportunities", "won with an amount of zero"): ((deals["status"] == "won") & (amount == 0)).sum(),
        ("opportunities", "amount 1,000 times too large"): (amount >= 1000 * amount.median()).sum(),
        ("opportunities", "identical copy"): copies.sum(),
        ("opportunities", "open with an expected closing date"): (~is_closed & (deals["closed_at"] != "")).sum(),
        ("touches", "account not in accounts"):
            (~touches["account_id"].isin([*accounts["account_id"], ""])).sum(),
        ("touches", "neither account nor lead"): ((touches["account_id"] == "") & (touches["lead_id"] == "")).sum(),
        ("stage_history", "entered before the opportunity was created"): (gap < -day).sum(),
    }
    dirt = yaml.safe_load((folder / "truth.yml").read_text(encoding="utf-8"))["dirt"]
    assert {(row["table"], row["kind"]): row["n_rows"] for row in dirt} == found
    for name, frame in text.items():
        errors = sum(row["n_rows"] for row in dirt if row["table"] == name and row["severity"] == "error")
        assert errors < 0.05 * len(frame), name


def test_only_accounts_and_prospects_hold_names(folder):
    for name in TABLES:
        header = pd.read_csv(folder / f"{name}.csv", nrows=0).columns
        assert ("account_name" in header) == (name in ("accounts", "prospects")), name
        assert "@" not in (folder / f"{name}.csv").read_text(encoding="utf-8"), name
