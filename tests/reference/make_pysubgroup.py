"""Make `pysubgroup_rows.csv` and `pysubgroup_best.csv`: the best groups by weighted relative accuracy, by pysubgroup.

Run: python tests/reference/make_pysubgroup.py   (makes an environment for pysubgroup by bench/peers.py)

1,500 rows of six traits with 2 to 5 levels, one of 30 % the size of the others, a target that two conjunctions raise;
DFS over bit sets to depth 3, at least 40 rows, the best 60. Frozen with pysubgroup 0.9.0.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "bench"))
import peers  # noqa: E402

DEPTH, MIN_N, N_BEST = 3, 40, 60


def build_rows(seed: int = 1, n: int = 1500) -> pd.DataFrame:
    """Return the rows, a column a trait and the target."""
    rng = np.random.default_rng(seed)
    counts = (2, 3, 4, 5, 3, 4)
    codes = np.column_stack([rng.choice(count, n, p=rng.dirichlet(np.full(count, 4))) for count in counts])
    rate = 0.2 + 0.3 * ((codes[:, 0] == 1) & (codes[:, 2] == 2)) + 0.15 * (codes[:, 3] == 4)
    return pd.DataFrame(codes).add_prefix("a").assign(target=rng.random(n) < rate)


def main() -> None:
    """Write both files."""
    rows = build_rows()
    rows.astype({"target": int}).to_csv(HERE / "pysubgroup_rows.csv", index=False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npz"
        np.savez(path, codes=rows.drop(columns="target").to_numpy(), target=rows["target"].to_numpy())
        done = peers.run_peer("pysubgroup", "DFS", path, DEPTH, MIN_N, N_BEST)
    if done is None:
        sys.exit("pysubgroup cannot be installed here")
    (HERE / "pysubgroup_best.csv").write_text(done[1].rstrip("\n") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
