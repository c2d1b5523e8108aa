"""The demo company's accounts and opportunities: one closed-form process with a known truth.

Northlane sells dispatch-and-paperwork software to small carriers, wholesalers and makers. What is planted stands in
`TRUTH` and nowhere else: the process reads its effects there, `truth.yml` is written from it, tests compare with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

START = np.datetime64("2024-04-01")
EXTRACT = np.datetime64("2026-10-12T06:00:00", "us")
LAST_DAY = 922.0  # days from START to the end of the Friday before the extract
_QUARTERS = np.arange("2024-04", "2027-01", 3, dtype="datetime64[M]").astype("datetime64[D]")
QUARTER_STARTS = (_QUARTERS - START).astype(float)  # days since START, 2024-Q2 to 2026-Q4
EMPLOYEE_EDGES = (1, 5, 21, 51, 101, 251, 5001)

LEVELS: dict[str, tuple[str, ...]] = {
    "industry": ("Road freight", "Parcel courier", "Food wholesale", "Building-material wholesale", "Machine maker",
                 "Furniture maker", "Retail", "Waste and recycling"),
    "region": ("North", "South", "East", "West", "Centre"),
    "country": ("Germany", "Netherlands", "Belgium", "Austria", "Poland", "Czechia"),
    "business_model": ("Own vehicles", "Subcontracts", "Mixed"),
    "technologies": ("Telematics", "Fuel card", "ERP", "Accounting software", "Route planner"),
    "dispatch_method": ("Paper", "Spreadsheet", "Software"),
    "web_shop": ("yes", "no"),
    "buyer_role": ("Owner", "Operations manager", "Office manager", "IT lead", "Purchasing"),
    "lead_source": ("Partner", "Paid search", "Trade fair", "Referral", "Outbound", "Organic",
                    "Content syndication"),
    "account_type": ("customer", "prospect", "partner", "competitor", "test"),
    "stage": ("Opened", "Qualified", "Demo", "Trial", "Proposal", "Won", "Lost"),
    "loss_reason": ("Price", "Chose a competitor", "No decision", "Bad timing", "Missing function", "Stays with paper"),
    "owner_id": tuple(f"R{number:02d}" for number in range(1, 13)),
}
#: city: country, region, weight.
CITIES = {
    "Hamburg": ("Germany", "North", 4), "Bremen": ("Germany", "North", 3), "Hannover": ("Germany", "North", 3),
    "Kiel": ("Germany", "North", 1), "München": ("Germany", "South", 4), "Nürnberg": ("Germany", "South", 3),
    "Augsburg": ("Germany", "South", 2), "Stuttgart": ("Germany", "South", 3), "Ulm": ("Germany", "South", 2),
    "Berlin": ("Germany", "East", 3), "Leipzig": ("Germany", "East", 2), "Dresden": ("Germany", "East", 2),
    "Köln": ("Germany", "West", 3), "Dortmund": ("Germany", "West", 3), "Duisburg": ("Germany", "West", 3),
    "Münster": ("Germany", "West", 2), "Kassel": ("Germany", "Centre", 2), "Erfurt": ("Germany", "Centre", 2),
    "Frankfurt am Main": ("Germany", "Centre", 3), "Würzburg": ("Germany", "Centre", 2),
    "Groningen": ("Netherlands", "North", 2), "Zwolle": ("Netherlands", "North", 3),
    "Rotterdam": ("Netherlands", "West", 4), "Venlo": ("Netherlands", "West", 3), "Utrecht": ("Netherlands", "West", 2),
    "Antwerpen": ("Belgium", "West", 4), "Gent": ("Belgium", "West", 2), "Liège": ("Belgium", "West", 2),
    "Wien": ("Austria", "South", 3), "Linz": ("Austria", "South", 3), "Graz": ("Austria", "South", 2),
    "Salzburg": ("Austria", "South", 1), "Gdańsk": ("Poland", "North", 2), "Szczecin": ("Poland", "North", 1),
    "Poznań": ("Poland", "East", 4), "Wrocław": ("Poland", "East", 3), "Łódź": ("Poland", "East", 2),
    "Katowice": ("Poland", "East", 2), "Praha": ("Czechia", "Centre", 2), "Brno": ("Czechia", "East", 2),
}
CITY_NAMES = tuple(CITIES)
CITY_WEIGHTS = np.array([weight for _, _, weight in CITIES.values()], float)
CITY_COUNTRY = np.array([LEVELS["country"].index(country) for country, _, _ in CITIES.values()])
CITY_REGION = np.array([LEVELS["region"].index(region) for _, region, _ in CITIES.values()])
CAMPAIGN_CHANNELS = ("Paid search", "Trade fair", "Content syndication", "Partner")  # one campaign each a quarter
_CAMPAIGN_PLACE = np.array([
    CAMPAIGN_CHANNELS.index(name) if name in CAMPAIGN_CHANNELS else -1 for name in LEVELS["lead_source"]])
TECHNOLOGY_SETS = tuple(
    ";".join(name for bit, name in enumerate(LEVELS["technologies"]) if mask >> bit & 1) for mask in range(32)
)


def _is(attribute: str, value: str) -> dict:
    return {"attribute": attribute, "op": "is", "value": value}


def _between(attribute: str, low: int, high: int | None) -> dict:
    return {"attribute": attribute, "op": "between", "value": [low, high]}


#: Everything that is planted. `between` is [low, high); null is no limit. Win rates are within 365 days of opening.
TRUTH: dict = {
    "base": {"win_rate": 0.22, "cycle_median_days": 60.0, "cycle_log_sd": 0.6, "lost_cycle_factor": 1.25,
             "never_closed_rate": 0.04, "first_year_margin_mean": 6000.0, "margin_log_sd": 0.8},
    "segments": [
        {"id": "strong", "name": "Road freight, 5 to 20 employees, the owner buys", "account_share": 0.12,
         "conditions": [_is("industry", "Road freight"), _between("employees", 5, 21), _is("buyer_role", "Owner")],
         "win_rate": 0.42, "cycle_factor": 0.75, "margin_factor": 1.0},
        {"id": "moderate_food", "name": "Food wholesale with own vehicles", "account_share": 0.06,
         "conditions": [_is("industry", "Food wholesale"), _is("business_model", "Own vehicles")],
         "win_rate": 0.33, "cycle_factor": 1.0, "margin_factor": 1.25},
        {"id": "moderate_freight", "name": "Road freight, 21 to 50 employees, the operations manager buys",
         "account_share": 0.06, "win_rate": 0.32, "cycle_factor": 0.85, "margin_factor": 1.0,
         "conditions": [_is("industry", "Road freight"), _between("employees", 21, 51),
                        _is("buyer_role", "Operations manager")]},
    ],
    "decoy": {"id": "decoy", "name": "Retail above 500 employees", "account_share": 0.03,
              "conditions": [_is("industry", "Retail"), _between("employees", 501, None)],
              "win_rate": 0.12, "cycle_factor": 3.5, "margin_factor": 4.0},
    "emerging": {"id": "emerging", "name": "Road freight, 101 to 250 employees",
                 "conditions": [_is("industry", "Road freight"), _between("employees", 101, 251)],
                 "win_rate": 0.45, "cycle_factor": 1.0, "margin_factor": 1.0, "from_quarter": "2026-Q1",
                 "account_share_by_quarter": {"2026-Q1": 0.01, "2026-Q2": 0.03, "2026-Q3": 0.06}},
    "noise": ["web_shop", "lead_source"],
    "trap": {"attribute": "technologies", "value": "Telematics", "within": "employees", "odds": 0.88,
             "rate_by_size": [0.08, 0.88, 0.25, 0.08, 0.08, 0.08]},
    "rep": {"owner_id": "R07", "odds": 1.8, "region": "North", "share_of_region": 0.60, "share_elsewhere": 0.03,
            "explains": ["region", "city", "country"]},
    "dispatch": {"attribute": "dispatch_method", "value": "Paper", "odds": 1.15},
    "late": {"attribute": "industry", "value": "Waste and recycling", "from_quarter": "2026-Q1", "account_share": 0.2,
             "won_cycle_mean_days": 60.0, "lost_cycle_mean_days": 150.0},
    "retention": {"monthly_churn": 0.012, "factor": {"strong": 0.5, "decoy": 2.5}, "log_factor_per_fit_point": -0.25,
                  "fits": ["fit_functional", "fit_competence"]},
    "value_received": {"median_times_paid": 1.5, "strong": 3.0, "decoy": 0.8},
    "experiments": [
        {"id": "owner-message", "candidate": "small-carriers", "assigned_on": "2026-04-20", "window_days": 45,
         "conditions": [_is("industry", "Road freight"), _between("employees", 5, 21)],
         "arm": "owner_message", "control": "as_usual", "metric": "touch_rate", "touch_type": "Meeting",
         "control_rate": 0.12, "effect": 0.12},
        {"id": "case-study", "candidate": "food-wholesalers", "assigned_on": "2026-05-18", "window_days": 45,
         "conditions": [_is("industry", "Food wholesale"), _between("employees", 5, 101)],
         "arm": "case_study", "control": "as_usual", "metric": "touch_rate", "touch_type": "Meeting",
         "control_rate": 0.15, "effect": 0.0},
    ],
}
GROUPS = (*TRUTH["segments"], TRUTH["decoy"], TRUTH["emerging"])
LATE_FROM = 7  # index of 2026-Q1 in QUARTER_STARTS

INDUSTRY_SHARE = (0.345, 0.08, 0.15, 0.10, 0.10, 0.07, 0.08, 0.075)
#: Rows: industry; columns: 1-4, 5-20, 21-50, 51-100, 101-250, 251 and more employees.
_SIZE_SHARE = np.array([
    [0.14, 0.52, 0.285, 0.045, 0.001, 0.009], [0.30, 0.28, 0.20, 0.12, 0.07, 0.03],
    [0.13, 0.24, 0.26, 0.19, 0.12, 0.06], [0.13, 0.23, 0.27, 0.19, 0.12, 0.06],
    [0.08, 0.15, 0.25, 0.25, 0.18, 0.09], [0.20, 0.27, 0.25, 0.16, 0.09, 0.03],
    [0.12, 0.12, 0.10, 0.08, 0.09, 0.49], [0.10, 0.22, 0.28, 0.22, 0.13, 0.05],
])
_ROLE_SHARE = np.array([
    [0.78, 0.08, 0.11, 0.01, 0.02], [0.67, 0.15, 0.12, 0.03, 0.03], [0.17, 0.61, 0.12, 0.05, 0.05],
    [0.10, 0.42, 0.15, 0.15, 0.18], [0.04, 0.38, 0.10, 0.22, 0.26], [0.01, 0.24, 0.06, 0.31, 0.38],
])
_MODEL_SHARE = np.array([
    [0.50, 0.14, 0.36], [0.38, 0.40, 0.22], [0.40, 0.34, 0.26], [0.42, 0.33, 0.25], [0.18, 0.60, 0.22],
    [0.30, 0.46, 0.24], [0.22, 0.52, 0.26], [0.72, 0.08, 0.20],
])
_PAPER_RATE = np.array([0.52, 0.42, 0.28, 0.16, 0.09, 0.05])
_PAPER_ROAD_FREIGHT = 0.14
_SOURCE_SHARE = (0.13, 0.21, 0.12, 0.11, 0.19, 0.15, 0.09)
MISSING = {"industry": 0.03, "employees": 0.05, "annual_revenue": 0.12, "country": 0.03, "region": 0.29, "city": 0.06,
            "business_model": 0.07, "technologies": 0.10, "dispatch_method": 0.11, "web_shop": 0.08,
            "lead_source": 0.04, "buyer_role": 0.05}
_OPPORTUNITIES_SHARE = (0.285, 0.575, 0.125, 0.015)
STAGE_AT = np.array([0.0, 0.10, 0.28, 0.45, 0.70])  # of the way from opened to closed


def text(levels: Sequence[str], codes: np.ndarray):
    """Return a string array of ``levels[codes]``; the code -1 is missing."""
    return pd.array(list(levels), dtype="str").take(codes, allow_fill=True)


def ids(prefix: str, numbers: np.ndarray, width: int = 6):
    """Return identifiers such as ``A000017``; the number -1 is missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    digits = pc.utf8_lpad(pc.cast(pa.array(numbers), pa.string()), width, "0")
    joined = pc.binary_join_element_wise(pa.scalar(prefix), digits, pa.scalar(""))
    if numbers.size and numbers.min() < 0:
        joined = pc.if_else(pa.array(numbers >= 0), joined, pa.scalar(None, pa.string()))
    return pd.array(joined, dtype="str")


def pick(rng: np.random.Generator, shares: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Draw one column of ``shares[row]`` for every row."""
    cumulative = np.cumsum(shares, axis=1)[:, :-1]
    cumulative /= np.sum(shares, axis=1, keepdims=True)
    drawn = rng.random(len(rows))
    codes = np.zeros(len(rows), dtype=np.int64)
    for column in cumulative.T:
        codes += drawn > column[rows]
    return codes


def pick_one(rng: np.random.Generator, shares: Sequence[float], size: int) -> np.ndarray:
    """Draw `size` columns with one set of shares."""
    cumulative = np.cumsum(shares)
    return np.searchsorted(cumulative[:-1] / cumulative[-1], rng.random(size), side="right")


def hide(rng: np.random.Generator, codes: np.ndarray, rate: float) -> np.ndarray:
    """Return `codes` with a share `rate` set to -1 (missing), whatever else holds."""
    return np.where(rng.random(len(codes)) < rate, -1, codes)


def clock(days: np.ndarray) -> np.ndarray:
    """Turn days since START into UTC timestamps within working hours, Monday to Friday, keeping their order.

    A week from Saturday to Friday is squeezed into its five working days.

    Examples
    --------
    >>> clock(np.array([0.0, 5.5])).astype("datetime64[m]").astype(str).tolist()
    ['2024-04-02T10:34', '2024-04-08T09:53']
    """
    week, position = np.divmod(days + 2.0, 7.0)  # START is a Monday
    workday, share = np.divmod(position * 5.0 / 7.0, 1.0)
    seconds = (week * 7 + workday) * 86400 + np.floor(23400 + share * 34200)
    return START.astype("datetime64[us]") + seconds.astype("timedelta64[s]")


def campaign_number(days: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Return the number of the campaign of that day's quarter and lead source (-1: none)."""
    quarter = np.maximum(np.searchsorted(QUARTER_STARTS, days, side="right") - 1, 0)
    place = _CAMPAIGN_PLACE[source]
    return np.where(place < 0, -1, quarter * 4 + place + 1)


def draw_sizes(rng: np.random.Generator, industry: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draw the size class and the number of employees of companies by industry."""
    size = pick(rng, _SIZE_SHARE, industry)
    return size, draw_employees(rng, size)


def draw_employees(rng: np.random.Generator, size: np.ndarray) -> np.ndarray:
    """Draw employees within a size class, small ones oftener (uniform on the log scale)."""
    edges = np.log(EMPLOYEE_EDGES)
    low, high = edges[size], edges[size + 1]
    drawn = np.exp(low + (high - low) * rng.random(len(size)))
    return np.clip(np.floor(drawn), np.array(EMPLOYEE_EDGES)[size], np.array(EMPLOYEE_EDGES)[size + 1] - 1)


def draw_traits(rng: np.random.Generator, industry: np.ndarray, size: np.ndarray, employees: np.ndarray) -> dict:
    """Draw every other trait of companies, given industry and size, as codes or numbers.

    Telematics depends on the size class and on nothing else: that is the trap.
    """
    n = len(industry)
    city = pick_one(rng, CITY_WEIGHTS, n)
    freight = industry == 0
    paper = np.clip(_PAPER_RATE[size] + _PAPER_ROAD_FREIGHT * freight, 0, 1)
    not_paper = 1 + (rng.random(n) < 0.35 + 0.06 * size)
    rates = (np.array(TRUTH["trap"]["rate_by_size"])[size], np.where(industry < 2, 0.68, 0.25), 0.12 + 0.12 * size,
             np.full(n, 0.80), 0.15 + 0.05 * size)
    technologies = sum((rng.random(n) < rate).astype(np.int64) << bit for bit, rate in enumerate(rates))
    return {
        "industry": industry, "size": size, "employees": employees,
        "annual_revenue": np.round(employees * 105_000 * np.exp(0.45 * rng.standard_normal(n)), -3),
        "city": city, "country": CITY_COUNTRY[city], "region": CITY_REGION[city],
        "business_model": pick(rng, _MODEL_SHARE, industry),
        "technologies": np.where(technologies == 0, 8, technologies),
        "dispatch_method": np.where(rng.random(n) < paper, 0, not_paper),
        "web_shop": (rng.random(n) < 0.57).astype(np.int64),
        "buyer_role": pick(rng, _ROLE_SHARE, size),
        "lead_source": pick_one(rng, _SOURCE_SHARE, n),
    }


def trait_columns(rng: np.random.Generator, traits: dict) -> dict:
    """Return the account-level traits as columns of text and numbers, a few values missing."""
    n = len(traits["industry"])
    columns = {}
    for name in ("industry", "employees", "annual_revenue", "country", "region", "city", "business_model",
                 "technologies", "dispatch_method", "web_shop", "lead_source"):
        if name in ("employees", "annual_revenue"):
            columns[name] = np.where(rng.random(n) < MISSING[name], np.nan, traits[name])
            continue
        levels = {"city": CITY_NAMES, "technologies": TECHNOLOGY_SETS}.get(name) or LEVELS[name]
        columns[name] = text(levels, hide(rng, traits[name], MISSING[name]))
    return columns


def matches(traits: dict, conditions: list[dict]) -> np.ndarray:
    """Return which accounts meet all conditions, by their true traits."""
    mask = np.ones(len(traits["industry"]), dtype=bool)
    for condition in conditions:
        name, value = condition["attribute"], condition["value"]
        if condition["op"] == "is":
            mask &= traits[name] == LEVELS[name].index(value)
        else:
            mask &= (traits[name] >= value[0]) & (traits[name] < (value[1] or np.inf))
    return mask


def find_group(traits: dict) -> np.ndarray:
    """Return for every account the number of the planted group it belongs to (0: none, else 1 + index in GROUPS)."""
    group = np.zeros(len(traits["industry"]), dtype=np.int64)
    for number, planted in enumerate(GROUPS, start=1):
        group[matches(traits, planted["conditions"])] = number
    return group


def draw_times(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw each account's first day, number of new-business opportunities and day of the first (days since START)."""
    lengths = np.append(np.diff(QUARTER_STARTS), LAST_DAY - QUARTER_STARTS[-1])
    weights = 1.05 ** np.arange(len(lengths)) * lengths
    quarter = pick_one(rng, weights, n)
    first = QUARTER_STARTS[quarter] + lengths[quarter] * rng.random(n)
    count = pick_one(rng, _OPPORTUNITIES_SHARE, n)
    alone = -1000 + (1000 + LAST_DAY) * rng.random(n) ** 0.8
    created = np.where(count > 0, first - 0.2 - rng.exponential(45.0, n), alone)
    order = np.argsort(created, kind="stable")
    return created[order], count[order], np.where(count > 0, first, np.nan)[order]


def draw_accounts(rng: np.random.Generator, n: int, null: bool | str) -> dict:
    """Draw the accounts' traits and times; every value is known, nothing is missing yet."""
    created, count, first = draw_times(rng, n)
    seen = np.where(count > 0, first, created)
    quarter = np.searchsorted(QUARTER_STARTS, seen, side="right") - 1
    industry = pick_one(rng, INDUSTRY_SHARE, n)
    if null == "late":
        late = TRUTH["late"]
        value = LEVELS["industry"].index(late["value"])
        is_late = quarter >= LATE_FROM
        industry = np.where(industry == value, 1, industry)
        industry = np.where(is_late & (rng.random(n) < late["account_share"]), value, industry)
    size, employees = draw_sizes(rng, industry)
    share = np.zeros(len(QUARTER_STARTS) + 1)
    share[LATE_FROM:-1] = [*TRUTH["emerging"]["account_share_by_quarter"].values(), 0.06]
    emerging = (count > 0) & (rng.random(n) < share[quarter])
    industry, size = np.where(emerging, 0, industry), np.where(emerging, 4, size)
    employees = np.where(emerging, draw_employees(rng, size), employees)
    traits = draw_traits(rng, industry, size, employees)
    region = traits["region"] == LEVELS["region"].index(TRUTH["rep"]["region"])
    star = LEVELS["owner_id"].index(TRUTH["rep"]["owner_id"])
    others = np.delete(np.arange(12), star)[(traits["region"] * 2 + rng.integers(0, 4, n)) % 11]
    share = np.where(region, TRUTH["rep"]["share_of_region"], TRUTH["rep"]["share_elsewhere"])
    owner = np.where(rng.random(n) < share, star, others)
    return traits | {"created": created, "count": count, "first": first, "quarter": quarter, "owner": owner,
                     "group": find_group(traits)}


def calibrate(effect: np.ndarray, group: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return win probabilities with the given log-odds effects whose mean in each group is that group's target."""
    sizes = np.maximum(np.bincount(group, minlength=len(targets)), 1)
    offset = np.log(targets / (1 - targets))
    for _ in range(5):
        p = 1 / (1 + np.exp(-(effect + offset[group])))
        slope = np.bincount(group, p * (1 - p), len(targets)) / sizes
        offset += (targets - np.bincount(group, p, len(targets)) / sizes) / np.maximum(slope, 1e-9)
    return 1 / (1 + np.exp(-(effect + offset[group])))


def win_probability(traits: dict, account: np.ndarray) -> np.ndarray:
    """Return the planted probability of being won within a year, for opportunities of the accounts `account`."""
    trap, rep, dispatch = TRUTH["trap"], TRUTH["rep"], TRUTH["dispatch"]
    effect = (
        math.log(trap["odds"]) * (traits["technologies"] >> LEVELS["technologies"].index(trap["value"]) & 1)
        + math.log(rep["odds"]) * (traits["owner"] == LEVELS["owner_id"].index(rep["owner_id"]))
        + math.log(dispatch["odds"]) * (traits["dispatch_method"] == LEVELS["dispatch_method"].index(dispatch["value"]))
    )
    targets = np.array([TRUTH["base"]["win_rate"], *(planted["win_rate"] for planted in GROUPS)])
    return calibrate(effect[account], traits["group"][account], targets)


def _year_share(factor: np.ndarray) -> np.ndarray:
    """Return the share of wins that come within 365 days when the cycle is `factor` times the usual one."""
    base = TRUTH["base"]
    z = np.log(365 / (base["cycle_median_days"] * factor)) / base["cycle_log_sd"]
    return np.array([0.5 * (1 + math.erf(value / math.sqrt(2))) for value in z])


def draw_outcomes(rng: np.random.Generator, traits: dict, account: np.ndarray, null: bool | str) -> dict:
    """Draw result (0 lost, 1 won, 2 never closed), cycle in days and first-year margin of opportunities."""
    n, base = len(account), TRUTH["base"]
    group = traits["group"][account] if not null else np.zeros(n, dtype=np.int64)
    factor = np.array([1.0, *(planted["cycle_factor"] for planted in GROUPS)])
    p = win_probability(traits, account) / _year_share(factor)[group] if not null else np.full(n, base["win_rate"])
    drawn = rng.random(n)
    result = np.where(drawn < p, 1, np.where(drawn > 1 - base["never_closed_rate"], 2, 0))
    medians = base["cycle_median_days"] * np.array([base["lost_cycle_factor"], 1.0, 1.0])
    if null == "late":
        means = (TRUTH["late"]["lost_cycle_mean_days"], TRUTH["late"]["won_cycle_mean_days"])
        medians = np.array([*means, means[1]]) * math.exp(-base["cycle_log_sd"] ** 2 / 2)
    cycle = medians[result] * factor[group] * np.exp(base["cycle_log_sd"] * rng.standard_normal(n))
    times = np.array([1.0, *(planted["margin_factor"] for planted in GROUPS)])[group]
    centre = math.log(base["first_year_margin_mean"]) - base["margin_log_sd"] ** 2 / 2
    margin = times * np.exp(centre + base["margin_log_sd"] * rng.standard_normal(n))
    return {"result": result, "cycle": np.maximum(cycle, 2.0), "margin": margin}


def stage_days(deals: dict) -> np.ndarray:
    """Return the day on which each opportunity enters each of the five open stages, reached or not."""
    return deals["day"][:, None] + deals["cycle"][:, None] * STAGE_AT[None, :] ** deals["pace"][:, None]


def stage_reached(deals: dict) -> np.ndarray:
    """Return the open stage that each opportunity stands in on the day of the extract, had it not closed."""
    entered = (stage_days(deals) < LAST_DAY).sum(axis=1) - 1
    return np.minimum(np.maximum(entered, 0), deals["stop"])
