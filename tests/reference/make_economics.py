"""Make the frozen cases of unit economics: what other implementations say.

    python tests/reference/make_economics.py <python with lifelines>

writes, beside this file,

economics_incidence.csv
    Drawn months to an event (1), a competing one (2) or the end of follow-up (0): `kaplan_meier` is one less the
    survival function of lifelines' KaplanMeierFitter with event 1 alone, `aalen_johansen` the cumulative incidence of
    event 1 by statsmodels' CumIncidenceRight, both at each month. The case is drawn with numpy's default_rng.
economics_incidence_units.csv
    The units of it.
economics_value.csv, economics_value_units.csv
    The sum of the coefficients of month dummies in a least-squares regression of margin on them, its standard error
    from the sandwich clustered by family without a small-sample factor (statsmodels OLS): the sum of monthly means.
economics_poisson.csv
    Exact limits of a Poisson count (statsmodels confint_poisson, exact-c).

lifelines lives in an environment of its own: it would take other packages back to old versions.
"""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import statsmodels.api as sm
from statsmodels.duration.survfunc import CumIncidenceRight
from statsmodels.stats.rates import confint_poisson

HERE = Path(__file__).parent
STATSMODELS = f"statsmodels {sm.__version__}"
LIFELINES = """
import sys, pandas as pd, lifelines
units = pd.read_csv(sys.stdin)
found = lifelines.KaplanMeierFitter().fit(units["time"], units["event"] == 1).survival_function_["KM_estimate"]
print(lifelines.__version__)
print((1 - found).to_csv(header=False), end="")
"""


def build_incidence(python: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Units and curves; ties in every month, among them events and ends of follow-up."""
    rng = np.random.default_rng(5)
    n, most = 150, 18
    first, second, end = rng.geometric(0.05, n), rng.geometric(0.03, n) + 1, rng.integers(1, 25, n)
    time = np.minimum(np.minimum(first, second), end)
    units = pd.DataFrame({"time": time, "event": np.where(first == time, 1, np.where(second == time, 2, 0))})
    said = subprocess.run([python, "-c", LIFELINES], input=units.to_csv(index=False), capture_output=True, text=True,
                          check=True).stdout  # fmt: skip
    version, _, body = said.partition("\n")
    months = np.arange(most + 1)
    met = pd.read_csv(io.StringIO(body), header=None, index_col=0)[1]
    other = CumIncidenceRight(units["time"], units["event"])
    curve = pd.Series(other.cinc[0], other.times)
    frame = pd.DataFrame({"month": months, "kaplan_meier": met.reindex(months, method="ffill").to_numpy(),
                          "aalen_johansen": curve.reindex(months, method="ffill").fillna(0.0).to_numpy()})  # fmt: skip
    return units, frame.assign(made_by=f"lifelines {version}, {STATSMODELS}")


def build_value() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Units (customer, family, month, margin) and the sum of the means up to each month with its error."""
    rng = np.random.default_rng(6)
    age = rng.integers(3, 9, 60)
    units = pd.DataFrame({"customer": np.repeat(np.arange(60), age + 1)})
    units["month"] = units.groupby("customer").cumcount()
    units["family"] = units["customer"] // np.where(units["customer"] < 20, 2, 1)
    size = np.exp(rng.standard_normal(60))
    units["margin"] = np.round(size[units["customer"]] * (rng.random(len(units)) > 0.3), 4)
    rows = []
    for month in range(9):
        part = units[units["month"] <= month]
        fit = sm.OLS(part["margin"], pd.get_dummies(part["month"], dtype=float)).fit(
            cov_type="cluster", cov_kwds={"groups": part["family"], "use_correction": False}
        )
        total = fit.t_test(np.ones((1, month + 1)))
        rows.append((month, float(total.effect[0]), float(total.sd[0, 0])))
    return units, pd.DataFrame(rows, columns=["month", "value", "error"]).assign(made_by=STATSMODELS)


def build_poisson() -> pd.DataFrame:
    """Counts among 100."""
    rows = [
        (count, *(float(end) / 100 for end in confint_poisson(count, 1, method="exact-c"))) for count in (0, 1, 7, 40)
    ]
    return pd.DataFrame(rows, columns=["count", "low", "high"]).assign(made_by=STATSMODELS)


def main() -> None:
    """Write all of them."""
    units, curves = build_incidence(sys.argv[1])
    people, values = build_value()
    for name, frame in {"incidence_units": units, "incidence": curves, "value_units": people, "value": values,
                        "poisson": build_poisson()}.items():  # fmt: skip
        frame.to_csv(HERE / f"economics_{name}.csv", index=False, float_format="%.12g")


if __name__ == "__main__":
    main()
