"""Make the frozen cases of `trials`, `looks` and `designs`: what other implementations say.

    python tests/reference/make_trials.py   (makes an environment for gbstats by bench/peers.py)

writes, beside this file,

trials_accounts.csv
    Three arms drawn with numpy's default_rng: met (0 or 1), money (most have none), deals and days (a ratio), the same
    money and deals before the assignment, two covariates, families of up to three accounts.
trials_effects.csv
    gbstats (GrowthBook): TwoSidedTTest of means, ratios, CUPED; SequentialTwoSidedTTest with three tuning parameters,
    whose mixture variance is in the column `mde` (rho^2 N times the squared standard error). statsmodels: the
    coefficient of the arm in OLS on arm, centred covariates and their products, HC3; the mean of accounts with errors
    clustered by family, times G / (G - 1) in each arm; the pooled z test of proportions.
trials_srm.csv
    gbstats.utils.check_srm; scipy.stats.binomtest for two arms with few accounts.
trials_newcombe.csv
    statsmodels confint_proportions_2indep(method='newcomb') and scipy.stats.fisher_exact.
trials_power.csv
    statsmodels NormalIndPower().solve_power (means), samplesize_proportions_2indep_onetail(alternative="two-sided").

The versions that made them stand in the column `made_by`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
COLUMNS = ["case", "arm", "effect", "low", "high", "p_value", "mde", "made_by"]
TUNING = (100, 600, 5000)


def build_accounts(seed: int = 8, n: int = 600) -> pd.DataFrame:
    """Return the accounts of an experiment with two arms and a control."""
    rng = np.random.default_rng(seed)
    arm = rng.permutation(np.repeat(["letter", "story", "usual"], n // 3))
    size, age = rng.normal(0, 1, n).round(3), rng.gamma(2, 1, n).round(3)
    family = np.sort(rng.integers(0, n // 2, n))
    family_arm = pd.Series(arm).groupby(family).transform("first").to_numpy()
    deals_before, deals = rng.poisson(1.5, n), rng.poisson(1.2 + 0.3 * (family_arm == "letter"), n)
    money_before = np.where(rng.random(n) < 0.5, rng.lognormal(3, 0.6, n) * np.exp(0.3 * size), 0).round(2)
    money = np.where(
        rng.random(n) < 0.4 + 0.25 * (family_arm == "letter"),
        rng.lognormal(3, 0.6, n) * np.exp(0.4 * size) + 0.4 * money_before,
        0,
    ).round(2)
    met = (rng.random(n) < 0.15 + 0.1 * (family_arm == "letter") + 0.05 * (size > 0)).astype(int)
    return pd.DataFrame(
        {
            "account_id": np.arange(n), "arm": family_arm, "family_id": family, "met": met, "money": money,
            "deals": deals, "days": (deals * rng.gamma(4, 10, n)).round(1), "money_before": money_before,
            "deals_before": deals_before, "size": size, "age": age,
        }
    )  # fmt: skip


def compare_by_gbstats(path: str) -> pd.DataFrame:
    """What GrowthBook says; runs in its environment."""
    from importlib.metadata import version

    from gbstats.frequentist.tests import FrequentistConfig, SequentialConfig, SequentialTwoSidedTTest, TwoSidedTTest
    from gbstats.models.statistics import (
        RatioStatistic,
        RegressionAdjustedStatistic,
        SampleMeanStatistic,
        compute_theta,
    )

    def mean(part, name):
        return SampleMeanStatistic(n=len(part), sum=part[name].sum(), sum_squares=(part[name] ** 2).sum())

    def ratio(part):
        products = (part["days"] * part["deals"]).sum()
        return RatioStatistic(n=len(part), m_statistic=mean(part, "days"), d_statistic=mean(part, "deals"),
                              m_d_sum_of_products=products)  # fmt: skip

    def cuped(part, theta):
        products = (part["money"] * part["money_before"]).sum()
        return RegressionAdjustedStatistic(
            n=len(part), post_statistic=mean(part, "money"), pre_statistic=mean(part, "money_before"),
            post_pre_sum_of_products=products, theta=theta,
        )  # fmt: skip

    frame, rows = pd.read_csv(path), []
    usual = frame[frame["arm"] == "usual"]
    for name in ("letter", "story"):
        here = frame[frame["arm"] == name]
        theta = compute_theta(cuped(usual, 0), cuped(here, 0))
        pairs = {
            "met": (mean(usual, "met"), mean(here, "met")), "money": (mean(usual, "money"), mean(here, "money")),
            "cycle": (ratio(usual), ratio(here)), "cuped": (cuped(usual, theta), cuped(here, theta)),
        }  # fmt: skip
        for case, pair in pairs.items():
            test = TwoSidedTTest(*pair, FrequentistConfig(difference_type="absolute"))
            rows.append((case, name, test.point_estimate, *test.confidence_interval, test.p_value, np.nan))
        for tuning in TUNING:
            config = SequentialConfig(difference_type="absolute", sequential_tuning_parameter=tuning)
            test = SequentialTwoSidedTTest(*pairs["money"], config)
            mde = test.rho * np.sqrt((len(usual) + len(here)) * test.variance)
            rows.append(("sequential", name, test.point_estimate, *test.confidence_interval, test.p_value, mde))
    return pd.DataFrame(rows, columns=COLUMNS[:-1]).assign(made_by=f"gbstats {version('gbstats')}")


def check_by_gbstats() -> pd.DataFrame:
    """Sample ratios by GrowthBook; runs in its environment."""
    from importlib.metadata import version

    from gbstats.utils import check_srm

    cases = (((500, 420), (1, 1)), ((310, 290, 300), (1, 1, 1)), ((480, 260, 260), (2, 1, 1)), ((700, 300), (7, 3)))
    rows = [(" ".join(map(str, n)), " ".join(map(str, share)), check_srm(list(n), list(share))) for n, share in cases]
    return pd.DataFrame(rows, columns=["counts", "shares", "p_value"]).assign(made_by=f"gbstats {version('gbstats')}")


def compare_by_statsmodels(frame: pd.DataFrame) -> pd.DataFrame:
    import statsmodels
    from scipy.stats import norm
    from statsmodels.regression.linear_model import OLS
    from statsmodels.stats.proportion import proportions_ztest

    rows = []
    for name in ("letter", "story"):
        pair = frame[frame["arm"].isin([name, "usual"])]
        is_arm = (pair["arm"] == name).to_numpy(float)
        centred = (pair[["size", "age"]] - pair[["size", "age"]].mean()).to_numpy()
        design = np.column_stack([np.ones(len(pair)), is_arm, centred, centred * is_arm[:, None]])
        for case in ("met", "money"):
            fitted = OLS(pair[case].to_numpy(float), design).fit(cov_type="HC3")
            half = norm.ppf(0.975) * fitted.bse[1]
            effect = fitted.params[1]
            rows.append((f"lin_{case}", name, effect, effect - half, effect + half, fitted.pvalues[1], np.nan))
        sides = [_cluster_mean(frame[frame["arm"] == each]) for each in (name, "usual")]
        effect, half = sides[0][0] - sides[1][0], norm.ppf(0.975) * np.hypot(sides[0][1], sides[1][1])
        rows.append(("families", name, effect, effect - half, effect + half, np.nan, np.nan))
        got, n = pair.groupby("arm")["met"].sum(), pair.groupby("arm")["met"].size()
        p_value = proportions_ztest(got.to_numpy(), n.to_numpy())[1]
        rows.append(("z", name, got[name] / n[name] - got["usual"] / n["usual"], np.nan, np.nan, p_value, np.nan))
    return pd.DataFrame(rows, columns=COLUMNS[:-1]).assign(made_by=f"statsmodels {statsmodels.__version__}")


def _cluster_mean(part: pd.DataFrame) -> tuple[float, float]:
    from statsmodels.regression.linear_model import OLS

    n_families = part["family_id"].nunique()
    fitted = OLS(part["money"].to_numpy(), np.ones(len(part))).fit(
        cov_type="cluster", cov_kwds={"groups": part["family_id"].to_numpy(), "use_correction": False}
    )
    return fitted.params[0], fitted.bse[0] * np.sqrt(n_families / (n_families - 1))


def build_exact() -> tuple[pd.DataFrame, pd.DataFrame]:
    import scipy
    import statsmodels
    from scipy.stats import binomtest, fisher_exact
    from statsmodels.stats.proportion import confint_proportions_2indep

    made_by = f"statsmodels {statsmodels.__version__}, scipy {scipy.__version__}"
    rows = []
    for x, n, y, k in ((0, 40, 5, 40), (3, 60, 9, 55), (8, 200, 2, 190), (38, 40, 30, 40)):
        low, high = confint_proportions_2indep(x, n, y, k, method="newcomb")
        rows.append((x, n, y, k, low, high, fisher_exact([[x, n - x], [y, k - y]]).pvalue))
    columns = ["events_arm", "n_arm", "events_control", "n_control", "low", "high", "p_value"]
    few = [(f"{x} {y}", "1 1", binomtest(x, x + y).pvalue) for x, y in ((4, 1), (0, 8))]
    srm = pd.DataFrame(few, columns=["counts", "shares", "p_value"]).assign(made_by=f"scipy {scipy.__version__}")
    return pd.DataFrame(rows, columns=columns).assign(made_by=made_by), srm


def build_power() -> pd.DataFrame:
    import statsmodels
    from statsmodels.stats.power import NormalIndPower
    from statsmodels.stats.proportion import samplesize_proportions_2indep_onetail

    rows = []
    for effect, ratio, alpha in ((0.3, 1.0, 0.05), (0.2, 2.0, 0.025)):
        n = NormalIndPower().solve_power(effect, power=0.8, alpha=alpha, ratio=ratio)
        rows.append(("sd", effect, 1.0, ratio, alpha, n))
    for effect, rate, ratio, alpha in ((0.12, 0.12, 1.0, 0.05), (0.05, 0.3, 1.5, 0.05), (0.1, 0.2, 1.0, 0.0125)):
        n = samplesize_proportions_2indep_onetail(effect, rate, power=0.8, ratio=ratio, alpha=alpha)
        rows.append(("rate", effect, rate, ratio, alpha, float(n)))
    columns = ["kind", "effect", "level", "ratio", "alpha", "n_arm"]
    return pd.DataFrame(rows, columns=columns).assign(made_by=f"statsmodels {statsmodels.__version__}")


def main() -> None:
    """Write all files."""
    sys.path.insert(0, str(HERE.parents[1] / "bench"))
    import peers

    accounts = build_accounts()
    accounts.to_csv(HERE / "trials_accounts.csv", index=False)
    peers.PACKAGES["gbstats"] = ("gbstats==0.8.0",)
    python = peers.build_peer("gbstats")
    if python is None:
        sys.exit("gbstats cannot be installed here")
    newcombe, few = build_exact()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, __file__, HERE / "trials_accounts.csv", folder], check=True)
        effects, srm = (pd.read_csv(Path(folder) / name) for name in ("effects.csv", "srm.csv"))
    pd.concat([effects, compare_by_statsmodels(accounts)]).to_csv(HERE / "trials_effects.csv", index=False)
    pd.concat([srm, few]).to_csv(HERE / "trials_srm.csv", index=False)
    newcombe.to_csv(HERE / "trials_newcombe.csv", index=False)
    build_power().to_csv(HERE / "trials_power.csv", index=False)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        compare_by_gbstats(sys.argv[1]).to_csv(Path(sys.argv[2]) / "effects.csv", index=False)
        check_by_gbstats().to_csv(Path(sys.argv[2]) / "srm.csv", index=False)
    else:
        main()
