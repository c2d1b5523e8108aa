"""Make the frozen cases of trait analysis: what other implementations say, one CSV an estimator.

    python tests/reference/make_traits.py

makes an environment for optbinning and scikit-learn by bench/peers.py, and writes, beside this file,

traits_rows.csv
    300 accounts drawn with numpy's default_rng(7): three binary levels, an outcome, a family, a weight.
traits_woe.csv
    optbinning.OptimalBinning, each level a bin of its own; its WoE is log(share of non-events / share of events), so
    the sign is turned here. Levels without an empty cell, no pseudo-count.
traits_ridge.csv
    sklearn.linear_model.LogisticRegression(C=2, tol=1e-12), weighted and not. It minimises b'b / 2 + C x (sum of
    losses); divided by C the penalty is b'b / (2 C) = 0.25 b'b, intercept free.
traits_auc.csv
    sklearn.metrics.roc_auc_score with and without weights; scores with ties.
traits_margins.csv
    statsmodels Logit.get_margeff(at='overall', dummy=True) of the unpenalised fit: the average marginal effects.
traits_ratio.csv
    Twice the difference of the log-likelihoods of two statsmodels Logit fits, and its p-value from scipy.
traits_newcombe.csv
    statsmodels confint_proportions_2indep(compare='diff', method='newcomb').
traits_bh.csv
    statsmodels multipletests(method='fdr_bh').

The versions that made them stand in the column `made_by`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
LEVELS = ("a", "b", "c")
#: Counts of events and others by level.
WOE = {"even": ([20, 30, 50], [40, 60, 100]), "strong": ([60, 25, 10, 5], [20, 30, 70, 180]), "two": ([7, 3], [30, 90])}


def build_rows(n: int = 300) -> pd.DataFrame:
    """Return the accounts; the levels go together, members of a family are alike."""
    rng = np.random.default_rng(7)
    family = rng.integers(0, 180, n)
    common, pull = rng.normal(size=n), rng.normal(0, 0.8, 180)[family]
    rows = {
        name: (common + rng.normal(size=n) > cut).astype(int) for name, cut in zip(LEVELS, (0, 0.7, -0.5), strict=True)
    }
    chance = 1 / (1 + np.exp(1.2 - 0.9 * rows["a"] + 0.7 * rows["b"] - 0.3 * rows["c"] - pull))
    rows |= {"is_best": (rng.random(n) < chance).astype(int), "family": family, "weight": rng.integers(0, 4, n)}
    return pd.DataFrame(rows).assign(score=(common + pull).round(1))


def freeze_here(rows: pd.DataFrame) -> None:
    """Write what statsmodels says."""
    import statsmodels
    from scipy.stats import chi2
    from statsmodels.discrete.discrete_model import Logit
    from statsmodels.stats.multitest import multipletests
    from statsmodels.stats.proportion import confint_proportions_2indep

    made_by = f"statsmodels {statsmodels.__version__}"
    design = np.column_stack([np.ones(len(rows)), rows[list(LEVELS)]])
    fitted = Logit(rows["is_best"].to_numpy(), design).fit(disp=0, method="newton", tol=1e-12)
    margins = fitted.get_margeff(at="overall", dummy=True).margeff
    pd.DataFrame({"level": LEVELS, "effect": margins}).assign(made_by=made_by).to_csv(
        HERE / "traits_margins.csv", index=False
    )
    ratios = []
    for columns in ((1,), (2, 3), (1, 2, 3)):
        fewer = [0, *(i for i in (1, 2, 3) if i not in columns)]
        less = Logit(rows["is_best"].to_numpy(), design[:, fewer]).fit(disp=0, method="newton", tol=1e-12)
        statistic = 2 * (fitted.llf - less.llf)
        ratios.append(("".join(LEVELS[i - 1] for i in columns), statistic, chi2.sf(statistic, len(columns))))
    ratios = pd.DataFrame(ratios, columns=["added", "statistic", "p_value"]).assign(made_by=made_by)
    ratios.to_csv(HERE / "traits_ratio.csv", index=False)
    counts = [(56, 70, 48, 80), (9, 10, 3, 10), (10, 10, 0, 20), (0, 30, 1, 900), (63, 1053, 43, 702)]
    found = [confint_proportions_2indep(*each, compare="diff", method="newcomb") for each in counts]
    table = pd.DataFrame(counts, columns=["events_1", "n_1", "events_0", "n_0"])
    table[["low", "high"]] = found
    table.assign(made_by=made_by).to_csv(HERE / "traits_newcombe.csv", index=False)
    cases = ([0.01, 0.04, 0.03], [0.5, 0.5, 0.5], [0.001], [0.02, 0.0004, 0.9, 0.0005, 0.02, 0.31])
    tables = [
        pd.DataFrame({"case": number, "p_value": case, "p_adjusted": multipletests(case, method="fdr_bh")[1]})
        for number, case in enumerate(cases)
    ]
    pd.concat(tables).assign(made_by=made_by).to_csv(HERE / "traits_bh.csv", index=False)


def freeze_peer() -> None:
    """Write what optbinning and scikit-learn say; runs with their own Python."""
    import optbinning
    import sklearn
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    tables = []
    for case, (events, others) in WOE.items():
        names = np.array([f"level {i}" for i in range(len(events))], dtype=object)
        values = np.repeat(np.r_[names, names], [*events, *others])
        outcome = np.repeat([1, 0], [sum(events), sum(others)])
        binning = optbinning.OptimalBinning(
            dtype="categorical", user_splits=[np.array([name], dtype=object) for name in names],
            user_splits_fixed=[True] * len(names),
        )  # fmt: skip
        binning.fit(values, outcome)
        found = binning.binning_table.build().iloc[: len(names)]
        found = found.set_index(found["Bin"].map(lambda each: next(iter(each)))).loc[names]
        assert found["Event"].tolist() == list(events), "every level must be a bin of its own"
        table = pd.DataFrame({"case": case, "level": names, "events": events, "others": others})
        tables.append(table.assign(woe=-found["WoE"].to_numpy(float), iv=found["IV"].to_numpy(float)))
    version = f"optbinning {optbinning.__version__}"
    pd.concat(tables).assign(made_by=version).to_csv(HERE / "traits_woe.csv", index=False)

    rows, made_by = pd.read_csv(HERE / "traits_rows.csv"), f"scikit-learn {sklearn.__version__}"
    ridge, ranked = [], []
    for case, weights in (("even", None), ("weighted", rows["weight"])):
        model = LogisticRegression(C=2.0, tol=1e-12, max_iter=10_000, solver="newton-cholesky")
        model.fit(rows[list(LEVELS)].to_numpy(), rows["is_best"], sample_weight=weights)
        names = ["intercept", *LEVELS]
        ridge += [(case, *each) for each in zip(names, [*model.intercept_, *model.coef_[0]], strict=True)]
        ranked.append((case, roc_auc_score(rows["is_best"], rows["score"], sample_weight=weights)))
    table = pd.DataFrame(ridge, columns=["case", "column", "coefficient"]).assign(made_by=made_by)
    table.to_csv(HERE / "traits_ridge.csv", index=False)
    table = pd.DataFrame(ranked, columns=["case", "auc"]).assign(made_by=made_by)
    table.to_csv(HERE / "traits_auc.csv", index=False)


def main() -> None:
    """Write every file."""
    sys.path.insert(0, str(HERE.parents[1] / "bench"))
    import peers

    rows = build_rows()
    rows.to_csv(HERE / "traits_rows.csv", index=False)
    freeze_here(rows)
    python = peers.build_peer("optbinning")
    if python is None:
        sys.exit("optbinning cannot be installed: traits_woe.csv, traits_ridge.csv and traits_auc.csv stay as they are")
    subprocess.run([python, __file__, "peer"], check=True)


if __name__ == "__main__":
    freeze_peer() if sys.argv[1:] == ["peer"] else main()
