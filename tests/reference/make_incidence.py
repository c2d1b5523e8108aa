"""Write incidence.csv: competing-risk incidence by day 180 from statsmodels (CumIncidenceRight). Run once.

    python tests/reference/make_incidence.py

Made with statsmodels 0.14 on times in whole days, so that both treat ties alike.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from statsmodels.duration.survfunc import CumIncidenceRight

rng, rows = np.random.default_rng(7), []
for case, (n, horizon) in enumerate(((30, 60), (200, 180), (1000, 300))):
    day = rng.integers(0, horizon, n)
    outcome = rng.choice([0, 1, 2], n, p=[0.3, 0.3, 0.4])
    status = np.where(day >= 180, 0, outcome)
    curve = CumIncidenceRight(day + 1.0, status)  # a time of 0 is not allowed there
    for d, o in zip(day, outcome, strict=True):
        rows.append([case, d, o, curve.cinc[0][-1]])
frame = pd.DataFrame(rows, columns=["case", "day", "outcome", "won"])
frame.to_csv(Path(__file__).with_name("incidence.csv"), index=False, float_format="%.12g")
