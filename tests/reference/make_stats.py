"""Make the frozen cases of `stats` and `pooling`: what other implementations say, one CSV an estimator.

    python tests/reference/make_stats.py

writes, beside this file,

stats_wilson.csv
    scipy.stats.binomtest(...).proportion_ci(method='wilson').
stats_holm.csv
    statsmodels.stats.multitest.multipletests(method='holm').
stats_lift.csv, stats_lift_units.csv
    A Poisson regression of m with offset log(e) on one dummy, its sandwich clustered without a small-sample factor
    (statsmodels GLM): exp(coefficient), and with the t quantile of scipy its interval. The units are drawn with
    numpy's default_rng, seeds in the column `case`.
pooling_ratio.csv
    statsmodels.stats.contingency_tables.StratifiedTable.riskratio_pooled: the same formula as the pooled ratio of
    rates, with persons in the place of exposure. The first case is the thirteen trials of the BCG vaccine (Colditz et
    al., 1994, Journal of the American Medical Association 271, the counts of their tables), the second is drawn.
pooling_shrunk.csv
    statsmodels.stats.meta_analysis.combine_effects(method_re='iterated') (Paule-Mandel) for tau2 and the mean; shrunk
    is mean + tau2 / (tau2 + se^2) (log_lift - mean) of these two. The same trials, log risk ratios; a drawn list; and
    a list whose spread is below its errors, so that tau2 is 0.

The versions that made them stand in the column `made_by`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import scipy
import statsmodels
from scipy.stats import binomtest, t
from statsmodels.genmod.families import Poisson
from statsmodels.genmod.generalized_linear_model import GLM
from statsmodels.stats.contingency_tables import StratifiedTable
from statsmodels.stats.meta_analysis import combine_effects
from statsmodels.stats.multitest import multipletests

HERE = Path(__file__).parent
SCIPY, STATSMODELS = f"scipy {scipy.__version__}", f"statsmodels {statsmodels.__version__}"
#: With the event and without it among the vaccinated, then among the others.
BCG = [
    (4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619), (33, 5036, 47, 5761),
    (180, 1361, 372, 1079), (8, 2537, 10, 619), (505, 87886, 499, 87892), (29, 7470, 45, 7232), (17, 1699, 65, 1600),
    (186, 50448, 141, 27197), (5, 2493, 3, 2338), (27, 16886, 29, 17825),
]  # fmt: skip


def build_wilson() -> pd.DataFrame:
    rows = []
    for events, n in ((0, 10), (1, 1), (3, 10), (10, 10), (147, 431), (5, 2000)):
        for level in (0.9, 0.95):
            found = binomtest(events, n).proportion_ci(level, method="wilson")
            rows.append((events, n, level, found.low, found.high))
    return pd.DataFrame(rows, columns=["events", "n", "conf_level", "low", "high"]).assign(made_by=SCIPY)


def build_holm() -> pd.DataFrame:
    cases = ([0.01, 0.04, 0.03], [0.5, 0.5, 0.5], [0.001], [0.02, 0.0004, 0.9, 0.0005, 0.02, 0.31])
    tables = [
        pd.DataFrame({"case": number, "p_value": case, "p_adjusted": multipletests(case, method="holm")[1]})
        for number, case in enumerate(cases)
    ]
    return pd.concat(tables).assign(made_by=STATSMODELS)


def build_lift_units() -> pd.DataFrame:
    """Two to four units a cluster, clusters on one side and on both."""
    tables = []
    for seed in (1, 2):
        rng, n = np.random.default_rng(seed), 60
        e = rng.gamma(2, 1, n).round(3)
        m = np.where(rng.random(n) < 0.5, (rng.lognormal(0, 0.8, n) * e).round(3), 0.0)
        table = {"case": seed, "m": m, "e": e, "inside": rng.random(n) < 0.4, "cluster": rng.integers(0, 24, n)}
        tables.append(pd.DataFrame(table))
    return pd.concat(tables)


def build_lift(units: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for case, part in units.groupby("case"):
        design = np.column_stack([np.ones(len(part)), part["inside"]])
        fitted = GLM(part["m"], design, family=Poisson(), offset=np.log(part["e"])).fit(
            cov_type="cluster", cov_kwds={"groups": part["cluster"].to_numpy(), "use_correction": False}, tol=1e-14
        )
        coefficient, error = fitted.params.iloc[1], fitted.bse.iloc[1]
        got = part[part["m"] > 0].groupby("inside")["cluster"].nunique().min() - 1
        half = t.ppf(0.975, got) * error
        p_value = 2 * t.sf(abs(coefficient) / error, got)
        rows.append((case, *np.exp([coefficient, coefficient - half, coefficient + half]), p_value))
    return pd.DataFrame(rows, columns=["case", "value", "low", "high", "p_value"]).assign(made_by=STATSMODELS)


def build_pooled() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    sizes = rng.integers(5, 200, (9, 2))
    drawn = [(x, n - x, y, k - y) for (n, k), (x, y) in zip(sizes, rng.binomial(sizes, 0.3), strict=True)]
    tables = []
    for case, strata in (("bcg", BCG), ("drawn", drawn)):
        counts = np.array(strata, float)
        table = pd.DataFrame({"case": case, "stratum": range(len(strata))})
        table["events_in"], table["n_in"] = counts[:, 0], counts[:, :2].sum(axis=1)
        table["events_out"], table["n_out"] = counts[:, 2], counts[:, 2:].sum(axis=1)
        ratio = StratifiedTable(counts.reshape(-1, 2, 2).transpose(1, 2, 0)).riskratio_pooled
        tables.append(table.assign(ratio=ratio))
    return pd.concat(tables).assign(made_by=STATSMODELS)


def build_shrunk() -> pd.DataFrame:
    a, b, c, d = np.array(BCG, float).T
    rng = np.random.default_rng(4)
    se = rng.uniform(0.1, 0.6, 12).round(3)
    cases = {
        "bcg": (np.log(a / (a + b) / (c / (c + d))), np.sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d))),
        "drawn": (rng.normal(0.1, np.hypot(0.3, se)).round(4), se),
        "even": (np.array([0.1, 0.12, 0.08, 0.11]), np.array([0.2, 0.3, 0.25, 0.5])),
    }
    tables = []
    for case, (log_lift, error) in cases.items():
        found = combine_effects(log_lift, error**2, method_re="iterated", atol=1e-9)  # below rounding it says 0
        tau2 = found.tau2
        mean = np.average(log_lift, weights=1 / (error**2 + tau2))
        shrunk = mean + tau2 / (tau2 + error**2) * (log_lift - mean)
        table = {"case": case, "log_lift": log_lift, "se": error, "shrunk": shrunk, "tau2": tau2}
        tables.append(pd.DataFrame(table))
    return pd.concat(tables).assign(made_by=STATSMODELS)


if __name__ == "__main__":
    units = build_lift_units()
    frames = {
        "stats_wilson": build_wilson(), "stats_holm": build_holm(), "stats_lift_units": units,
        "stats_lift": build_lift(units), "pooling_ratio": build_pooled(), "pooling_shrunk": build_shrunk(),
    }  # fmt: skip
    for name, frame in frames.items():
        frame.to_csv(HERE / f"{name}.csv", index=False)
