"""Do tests of profiles err as often as they say? False positives, coverage and power of every way of analysis.

Run: python bench/trials.py [runs]   (default 4,000 simulated experiments a line)

The accounts are drawn for all experiments at once, and analysed by the formulas of `trials.compare_arms` written for
all experiments at once: tests/test_trials.py shows for every type of metric that they are the same.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtr, stdtr, stdtrit
from scipy.stats import fisher_exact, norm

from icp_lib import designs, differences, heterogeneity, looks, randomisation, stats, trials

N_RUNS = 4000
ALPHA = 0.05
LETTER, USUAL = "letter", "usual"


class Drawn(NamedTuple):
    """Numerator and denominator (None for a mean over accounts) of accounts, any shape."""

    top: np.ndarray
    bottom: np.ndarray | None = None


def draw_share(rate: float) -> Callable:
    return lambda rng, shape, rise=0.0: Drawn((rng.random(shape) < rate + rise).astype(float))


def draw_margin(rng, shape, rise: float = 0.0) -> Drawn:
    """One account in four brings something, and that is skewed."""
    return Drawn((rng.random(shape) < 0.25) * rng.lognormal(0, 0.8, shape) + rise)


def draw_margin_per_deal(rng, shape, rise: float = 0.0) -> Drawn:
    """None to several deals an account, better accounts with more of them; a third are won."""
    taste = rng.gamma(4, 0.25, shape)
    deals = rng.poisson(0.9 * taste)
    won = rng.binomial(deals, np.minimum(0.33 * taste, 0.9))
    return Drawn(won * rng.lognormal(0, 0.6, shape) + rise * deals, deals.astype(float))


def draw_cycle(rng, shape, rise: float = 0.0) -> Drawn:
    """Days of the deals won, alike within an account; most accounts have none."""
    won = rng.poisson(0.35, shape).astype(float)
    return Drawn(won * (rng.gamma(4, 20, shape) + rise), won)


DRAWS = {
    "win_rate": draw_share(0.22), "stage_rate": draw_share(0.35), "opportunity_rate": draw_share(0.15),
    "margin_per_account": draw_margin, "margin_per_opportunity": draw_margin_per_deal, "cycle_days": draw_cycle,
    "touch_rate": draw_share(0.12),
}  # fmt: skip
#: Rises of the metric in A/B tests, in its unit; of shares, 0.08.
RISES = {"margin_per_account": 0.2, "margin_per_opportunity": 0.15, "cycle_days": 10.0}


def compare_runs(arm: Drawn, usual: Drawn, conf_level: float = 0.95) -> pd.DataFrame:
    """Return one comparison an experiment, by the formulas of `trials.compare_arms`, of all experiments at once.

    Tests show that they are the same; experiments with few events go through the functions themselves.
    """
    (value, error), (other, error_other) = estimate(arm), estimate(usual)
    n, n_other = arm.top.shape[1], usual.top.shape[1]
    effect, spread = value - other, np.hypot(error, error_other)
    freedom = spread**4 / (error**4 / (n - 1) + error_other**4 / (n_other - 1))
    p_value = 2 * stdtr(freedom, -np.abs(effect) / spread)
    is_few = np.zeros(len(effect), bool)
    if is_share(arm):
        pooled = (value * n + other * n_other) / (n + n_other)
        p_value = 2 * ndtr(-np.abs(effect) / np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / n_other)))
        some = [side.top.sum(axis=1) for side in (arm, usual)]
        is_few = np.min([np.minimum(got, k - got) for got, k in zip(some, (n, n_other), strict=True)], axis=0) < 10
    half = -stdtrit(freedom, (1 - conf_level) / 2) * spread
    table = {"effect": effect, "effect_low": effect - half, "effect_high": effect + half, "p_value": p_value,
             "se": spread, "df": freedom}  # fmt: skip
    table = pd.DataFrame(table)
    ends = ["p_value", "effect_low", "effect_high"]
    few = [compare_counts(int(arm.top[run].sum()), n, int(usual.top[run].sum()), n_other, conf_level)
           for run in np.flatnonzero(is_few)]  # fmt: skip
    if few:
        table.loc[is_few, ends] = few
    return table


@cache
def compare_counts(got: int, n: int, got_usual: int, n_usual: int, conf_level: float) -> tuple[float, float, float]:
    """Fisher's p and Newcombe's interval of few events."""
    p_value = fisher_exact([[got, n - got], [got_usual, n_usual - got_usual]]).pvalue
    return (float(p_value), *stats.estimate_difference(got, n, got_usual, n_usual, conf_level)[1:3])


def compare_run(arm: Drawn, usual: Drawn, run: int, conf_level: float = 0.95, **options) -> pd.DataFrame:
    """Return the comparison of one of the experiments by the function itself."""
    sides, frames = {LETTER: arm, USUAL: usual}, []
    for name, side in sides.items():
        bottom = np.nan if side.bottom is None else side.bottom[run]
        frames.append(pd.DataFrame({"arm": name, "top": side.top[run], "bottom": bottom}))
    frame = pd.concat(frames).reset_index(names="row").assign(account_id=range(sum(map(len, frames))))
    measure = differences.Measure("metric", "top", None if arm.bottom is None else "bottom")
    return trials.compare_arms(frame, [measure], control=USUAL, conf_level=conf_level, **options)


def is_share(drawn: Drawn) -> bool:
    return drawn.bottom is None and bool(np.isin(drawn.top[0], (0.0, 1.0)).all())


def estimate(drawn: Drawn) -> tuple[np.ndarray, np.ndarray]:
    """Mean or ratio and its standard error, of all experiments at once."""
    below = np.ones_like(drawn.top) if drawn.bottom is None else drawn.bottom
    ratio = drawn.top.sum(axis=1) / below.sum(axis=1)
    rest = drawn.top - ratio[:, None] * below
    return ratio, rest.std(axis=1, ddof=1) / below.mean(axis=1) / np.sqrt(below.shape[1])


def cut(drawn: Drawn, n: int) -> Drawn:
    """The first n accounts of every experiment."""
    return Drawn(drawn.top[:, :n], None if drawn.bottom is None else drawn.bottom[:, :n])


def simulate_fixed(metric: str, n_runs: int, n_arm: int = 200, rise: float = 0.0, seed: int = 1) -> dict:
    """Fixed horizon: rejected, and the share of intervals that hold the truth."""
    rng, draw = np.random.default_rng(seed), DRAWS[metric]
    found = compare_runs(draw(rng, (n_runs, n_arm), rise), draw(rng, (n_runs, n_arm)))
    holds = found["effect_low"].le(rise) & found["effect_high"].ge(rise)
    return {"rejected": float((found["p_value"] <= ALPHA).mean()), "covered": float(holds.mean())}


def simulate_looks(metric: str, n_runs: int, n_arm: int = 200, rise: float = 0.0, shares=(0.5, 1.0), seed: int = 2):
    """Planned looks: rejected at any of them, intervals that hold the truth at all of them, and naive peeking."""
    rng, draw, plan = np.random.default_rng(seed), DRAWS[metric], looks.plan_looks(shares)
    arm, usual = draw(rng, (n_runs, n_arm), rise), draw(rng, (n_runs, n_arm))
    rejected, naive, covered = (np.zeros(n_runs, bool), np.zeros(n_runs, bool), np.ones(n_runs, bool))
    for look in plan.itertuples():
        n = round(look.share * n_arm)
        found = compare_runs(cut(arm, n), cut(usual, n), look.conf_level)
        rejected |= (found["p_value"] <= look.p_nominal).to_numpy()
        naive |= (found["p_value"] <= ALPHA).to_numpy()
        covered &= (found["effect_low"].le(rise) & found["effect_high"].ge(rise)).to_numpy()
    return {"rejected": rejected.mean(), "covered": covered.mean(), "naive": naive.mean()}


def simulate_always(metric: str, n_runs: int, n_arm: int = 500, n_looks: int = 19, mde: float | None = None, seed=3):
    """Looks that nobody planned, every so many accounts from 50 an arm on: rejected at any, covered at all."""
    rng, draw = np.random.default_rng(seed), DRAWS[metric]
    arm, usual = draw(rng, (n_runs, n_arm)), draw(rng, (n_runs, n_arm))
    rejected, covered = np.zeros(n_runs, bool), np.ones(n_runs, bool)
    mde = mde or RISES.get(metric, 0.08)
    for n in np.linspace(50, n_arm, n_looks).astype(int):
        sides = [estimate(cut(each, n)) for each in (arm, usual)]
        effect, error = sides[0][0] - sides[1][0], np.hypot(sides[0][1], sides[1][1])
        table = pd.DataFrame({"effect": effect, "se": error, "effect_relative": 0.0, "se_relative": 0.1, "note": ""})
        found = looks.always_valid(table, mde)
        rejected |= (found["p_value"] <= ALPHA).to_numpy()
        covered &= ~(found["effect_low"].gt(0) | found["effect_high"].lt(0)).to_numpy()
    return {"rejected": rejected.mean(), "covered": covered.mean()}


def simulate_redrawn(
    metric: str, n_runs: int, n: int = 120, rise: float = 0.0, n_draws: int = 999, seed: int = 4
) -> dict:
    """A stratified assignment redrawn until it balances, outcomes that hang on what it balanced.

    Rejected by drawing again, by Lin's regression, and by Welch's formulas, which do not know of the redrawing.
    """
    rng = np.random.default_rng(seed)
    strata, sizes = np.repeat([0, 1, 2], n // 3), rng.normal(size=(n, 2))
    shares = {LETTER: 1.0, USUAL: 1.0}
    threshold, _ = randomisation.find_threshold(strata, shares, sizes, seed=seed)
    pool = randomisation.draw_arms(strata, shares, sizes, threshold=threshold, n_draws=n_draws + n_runs, seed=seed)
    drawn = DRAWS[metric](rng, (n_runs, n))
    top, bottom = drawn.top, np.ones_like(drawn.top) if drawn.bottom is None else drawn.bottom
    pull = sizes @ [0.8, 0.4] + 0.3 * strata
    if metric.endswith("_rate"):
        top = (rng.random((n_runs, n)) < norm.cdf(norm.ppf(top.mean()) + pull)).astype(float)
    else:
        top = top * np.exp(0.7 * (pull - pull.mean()))
    seen, reference = pool[n_draws:], pool[:n_draws]
    top = top + rise * (seen == 0) * bottom
    table = np.column_stack([sizes, strata == 1, strata == 2])
    plain = studentise_seen(top, bottom, seen)[0]
    centred, ratio = table - table.mean(axis=0), top.sum(axis=1) / bottom.sum(axis=1)
    left = top - (centred @ np.linalg.lstsq(centred, (top - ratio[:, None] * bottom).T, rcond=None)[0]).T
    drawn = studentise_draws(left, bottom, reference)
    t, error, effect = studentise_seen(left, bottom, seen)
    p_value = (1 + (drawn >= np.abs(t) * (1 - 1e-9)).sum(axis=0)) / (n_draws + 1)
    half = np.sort(drawn, axis=0)[int(np.ceil((n_draws + 1) * (1 - ALPHA) - 1e-9)) - 1] * error
    lin = [differences.compare_regressed(np.column_stack(each), table, arms == 0, np.arange(n))["p_value"]
           for *each, arms in zip(top, bottom, seen, strict=True)]  # fmt: skip
    return {
        "redrawn": float((p_value <= ALPHA).mean()), "lin": float((np.array(lin) <= ALPHA).mean()),
        "formulas": float((2 * ndtr(-np.abs(plain)) <= ALPHA).mean()),
        "covered": float((np.abs(effect - rise) <= half).mean()),
        "first": (np.column_stack([top[0], bottom[0]]), table, seen[0], reference, p_value[0], half[0]),
    }  # fmt: skip


def studentise_draws(top, bottom, draws) -> np.ndarray:
    """|t| of every draw for every experiment, (n_draws, n_runs): what `randomise_test` does one by one."""
    parts = (top, bottom, top**2, top * bottom, bottom**2)
    sides = [[(draws == code).astype(float) @ part.T for part in parts] for code in (0, 1)]
    return np.abs(_studentise(*sides, *((draws == code).sum(axis=1)[:, None] for code in (0, 1)))[0])


def studentise_seen(top, bottom, seen) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """t, its standard error and the effect of the assignment of each experiment."""
    parts = (top, bottom, top**2, top * bottom, bottom**2)
    sides = [[((seen == code) * part).sum(axis=1) for part in parts] for code in (0, 1)]
    return _studentise(*sides, *((seen == code).sum(axis=1) for code in (0, 1)))


def _studentise(arm, usual, n_arm, n_usual) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ratios, variances = [], []
    for (y, d, yy, yd, dd), n in ((arm, n_arm), (usual, n_usual)):
        ratio = y / d
        ratios.append(ratio)
        variances.append(np.maximum(yy - 2 * ratio * yd + ratio**2 * dd, 0) / (n - 1) * n / d**2)
    error = np.sqrt(variances[0] + variances[1])
    return (ratios[0] - ratios[1]) / error, error, ratios[0] - ratios[1]


def simulate_family(n_runs: int, n_arms: int = 4, n_arm: int = 200, n_real: int = 0, rise: float = 0.15, seed: int = 5):
    """Several arms against one control: any true null rejected, with Holm and without."""
    rng, draw = np.random.default_rng(seed), DRAWS["opportunity_rate"]
    usual = draw(rng, (n_runs, n_arm))
    arms = [compare_runs(draw(rng, (n_runs, n_arm), rise * (i < n_real)), usual) for i in range(n_arms)]
    plain = np.column_stack([each["p_value"] for each in arms])
    adjusted = np.array([stats.adjust_holm(p) for p in plain])
    null = slice(n_real, None)
    return {
        "holm": float((adjusted[:, null] <= ALPHA).any(axis=1).mean()),
        "none": float((plain[:, null] <= ALPHA).any(axis=1).mean()),
    }


def simulate_leads(n_runs: int, n_arm: int = 100, n_leads: int = 8, alike: float = 0.41, seed: int = 6) -> dict:
    """Arms by account, outcomes by lead, leads of an account alike: the test on leads against that on accounts."""
    rng = np.random.default_rng(seed)
    rate, sums = 0.3, []
    for _ in range(2):
        chance = rng.beta(rate * (1 / alike - 1), (1 - rate) * (1 / alike - 1), (n_runs, n_arm))
        sums.append(rng.binomial(n_leads, chance).astype(float))
    n = n_arm * n_leads
    shares = [each.sum(axis=1) / n for each in sums]
    error = np.sqrt(sum(share * (1 - share) / n for share in shares))
    by_lead = 2 * norm.sf(np.abs(shares[0] - shares[1]) / error)
    full = np.full((n_runs, n_arm), float(n_leads))
    by_account = compare_runs(Drawn(sums[0], full), Drawn(sums[1], full))["p_value"]
    return {"leads": float((by_lead <= ALPHA).mean()), "accounts": float((by_account <= ALPHA).mean())}


def simulate_guardrail(n_runs: int, n_arm: int = 400, harm: float = -0.05, seed: int = 7) -> dict:
    """An arm exactly as bad as the margin, and one without harm: how often the guardrail passes."""
    rng, draw = np.random.default_rng(seed), draw_share(0.3)
    found = {}
    for name, rise in (("at the margin", harm), ("no harm", 0.0)):
        results = compare_runs(draw(rng, (n_runs, n_arm), rise), draw(rng, (n_runs, n_arm)))
        results = results.assign(metric="metric", arm=LETTER, control=USUAL, n_arm=n_arm, n_control=n_arm, note="")
        found[name] = float(trials.check_guardrails(results, {"metric": harm})["passes"].mean())
    return found


def simulate_power(n_runs: int, n_arm: int = 150, shares=(1.0,), seed: int = 8) -> float:
    """Effect as large as the design says it can see: found how often (planned: 0.80)."""
    rise = designs.detectable_effect(n_arm, n_arm, rate=0.12, look_shares=shares)
    return simulate_looks("touch_rate", n_runs, n_arm, rise, shares, seed)["rejected"]


def simulate_segments(n_runs: int, n: int = 600, rise: float = 0.0, n_draws: int = 199, seed: int = 9) -> float:
    """An arm that works alike everywhere, or better in one of ten segments: any claim at 5 % over the search."""
    claimed = 0
    for run in range(n_runs):
        rng = np.random.default_rng([seed, run])
        segments = pd.DataFrame(rng.random((n, 10)) < rng.uniform(0.2, 0.5, 10)).add_prefix("s")
        is_arm, size = rng.permutation(np.arange(n) % 2 == 0), rng.normal(size=n)
        met = rng.random(n) < np.clip(0.25 + 0.2 * is_arm + rise * is_arm * segments["s0"] + 0.05 * size, 0, 1)
        frame = pd.DataFrame({"account_id": range(n), "arm": np.where(is_arm, LETTER, USUAL), "met": met.astype(float)})
        found = heterogeneity.search_effects(frame, differences.Measure("met", "met"), segments, control=USUAL, mde=1.0,
                                             n_draws=n_draws, seed=run)  # fmt: skip
        claimed += bool((found["p_adjusted"] <= ALPHA).any())
    return claimed / n_runs


def simulate_ranking(n_runs: int, n_arms: int = 3, mde: float = 0.1, seed: int = 10) -> dict:
    """Effects drawn from the prior: is the chosen arm the best as often as said, and the regret as large as said?"""
    rng = np.random.default_rng(seed)
    truth = rng.normal(0, mde, (n_runs, n_arms))
    usual, own = 0.03, 0.04
    seen = truth + own * rng.normal(size=truth.shape) - usual * rng.normal(size=(n_runs, 1))
    said, was, said_regret, regret = [], [], [], []
    for effects, true in zip(seen, truth, strict=True):
        rows = pd.DataFrame({"arm": [f"a{i}" for i in range(n_arms)], "control": USUAL, "effect": effects,
                             "se": np.hypot(usual, own), "se_control": usual})  # fmt: skip
        table = trials.rank_arms(rows, mde, n_draws=2000)
        pick, values = int(table["p_best"].idxmax()), [*true, 0.0]
        said.append(table["p_best"].max()), was.append(values[pick] == max(values))
        said_regret.append(table["expected_regret"][pick]), regret.append(max(values) - values[pick])
    return {"said": np.mean(said), "was": np.mean(was), "said_regret": np.mean(said_regret), "regret": np.mean(regret)}


def measure_engine(n_accounts: int = 1_000_000, n_metrics: int = 5, n_arms: int = 4) -> tuple[float, pd.DataFrame]:
    """Seconds to compare many accounts that lie in the engine, and the comparison."""
    import ibis

    rng = np.random.default_rng(0)
    table = {
        "account_id": np.arange(n_accounts),
        "arm": np.char.add("arm", rng.integers(0, n_arms, n_accounts).astype(str)),
    }
    table |= {f"m{i}": (rng.random(n_accounts) < 0.1 * (i + 1)).astype(float) for i in range(n_metrics)}
    connection = ibis.duckdb.connect()
    loaded = connection.create_table("accounts", ibis.memtable(pd.DataFrame(table)))
    measures = [differences.Measure(f"m{i}", f"m{i}") for i in range(n_metrics)]
    started = time.perf_counter()
    found = trials.compare_arms(loaded, measures, control="arm0")
    return time.perf_counter() - started, found


def print_table(title: str, heads: list[str], rows: list[list]) -> None:
    print(f"\n{title}\n\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for row in rows:
        print(f"| {' | '.join(f'{each:.3f}' if isinstance(each, float) else str(each) for each in row)} |", flush=True)


def main(n_runs: int = N_RUNS) -> None:
    """Print what was found, a table a question."""
    print(f"Simulated experiments: {n_runs:,} a line; level {ALPHA:.0%}; 200 accounts an arm unless said otherwise.")
    rows = []
    for metric in DRAWS:
        fixed, planned = simulate_fixed(metric, n_runs), simulate_looks(metric, n_runs)
        moved = simulate_fixed(metric, n_runs, rise=RISES.get(metric, 0.08), seed=11)
        rows.append(
            [metric, fixed["rejected"], planned["rejected"], planned["naive"], fixed["covered"], moved["covered"]]
        )
    heads = ["metric", "A/A fixed", "A/A two planned looks", "A/A peeking", "coverage A/A", "coverage A/B"]
    print_table("A/A tests and intervals", heads, rows)
    rows = []
    for metric in DRAWS:
        small, large = (list(simulate_redrawn(metric, n_runs, n).values()) for n in (120, 399))
        rows.append([metric, *small[:4], *large[:3]])
    heads = ["metric", "drawing again", "Lin, HC3", "formulas alone", "coverage, drawing again"]
    print_table("A/A, stratified and redrawn until balanced, 60 accounts an arm (last three columns: 200)",
                [*heads, *heads[1:4]], rows)  # fmt: skip
    rows = [[metric, *map(float, simulate_always(metric, n_runs).values())] for metric in DRAWS]
    print_table(
        "A/A, 19 looks that nobody planned, always-valid", ["metric", "rejected at any", "covered at all"], rows
    )
    rows = [[f"{n_real} of 4 work", float(each["holm"]), float(each["none"])]
            for n_real in (0, 2) for each in [simulate_family(n_runs, n_real=n_real)]]  # fmt: skip
    print_table("Four arms, any true null rejected", ["arms", "Holm", "no correction"], rows)
    leads, guard = simulate_leads(n_runs), simulate_guardrail(n_runs)
    rank = simulate_ranking(max(n_runs // 4, 1))
    rows = [
        ["A/A, arms by account, analysed by lead (refused by the functions)", leads["leads"]],
        ["A/A, the same summed to accounts", leads["accounts"]],
        ["guardrail passes, arm as bad as the margin", guard["at the margin"]],
        ["guardrail passes, no harm, 400 an arm", guard["no harm"]],
        ["effect at the MDE found, fixed", float(simulate_power(n_runs))],
        ["effect at the MDE found, two looks", float(simulate_power(n_runs, shares=(0.5, 1.0)))],
        ["chosen arm is the best: said", float(rank["said"])],
        ["chosen arm is the best: was", float(rank["was"])],
        ["regret of the choice: said", float(rank["said_regret"])],
        ["regret of the choice: was", float(rank["regret"])],
    ]  # fmt: skip
    print_table("Other", ["what", "share"], rows)
    n_search = max(n_runs // 8, 1)
    rows = [[f"{rise:+.2f}", simulate_segments(n_search, rise=rise)] for rise in (0.0, 0.3)]
    print_table(
        f"Ten segments searched ({n_search:,} experiments of 600 accounts): any claim",
        ["in one segment", "share"],
        rows,
    )
    seconds, found = measure_engine()
    print_table("1,000,000 accounts, 5 metrics, 4 arms in DuckDB", ["comparisons", "seconds"], [[len(found), seconds]])


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
