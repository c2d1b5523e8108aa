"""Make `attribution_channels.csv`: credit by channel of the public channel paths, by two other implementations.

Run: python tests/reference/make_attribution.py <folder of channel_paths>   (makes two environments by bench/peers.py)

10,000 paths of 12 channels, 19,785 conversions, 68,602 nulls (data.csv.gz; sums only are frozen here).
first_touch, last_touch: ChannelAttribution 2.2.5, counts. removal_simulated: its removal effects of a Markov chain of
order one, simulated; between seeds they move by up to 0.003. removal_effect: marketing_attribution_models 2.1.1, from
matrices, exact to rounding.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "bench"))
import peers  # noqa: E402

N_SIMULATED = 10_000_000


def run_channel_attribution(source: str, target: str) -> None:
    """Write channel, first_touch, last_touch, removal_simulated."""
    import ChannelAttribution
    import pandas as pd

    paths = pd.read_csv(source)
    heuristic = ChannelAttribution.heuristic_models(paths, "path", "total_conversions", flg_pro=False)
    markov = ChannelAttribution.markov_model(
        paths, "path", "total_conversions", var_null="total_null", out_more=True, nsim_start=N_SIMULATED,
        conv_par=0.01, seed=1, verbose=False, flg_pro=False,
    )  # fmt: skip
    removal = markov["removal_effects"].set_index("channel_name")["removal_effect"]
    table = heuristic[["channel_name", "first_touch", "last_touch"]].rename(columns={"channel_name": "channel"})
    table.assign(removal_simulated=table["channel"].map(removal)).to_csv(target, index=False)


def run_marketing_attribution_models(source: str, target: str) -> None:
    """Write channel, removal_effect."""
    import mam
    import pandas as pd

    paths = pd.read_csv(source)
    parts = [
        pd.DataFrame({"path": paths["path"], "n": paths[column], "is_won": is_won})
        for column, is_won in (("total_conversions", True), ("total_null", False))
    ]
    rows = pd.concat(parts).query("n > 0").reset_index(drop=True)
    model = mam.MAM(rows, "grouped_journey", "path", "is_won", occurrences_colname="n")
    found = model.run_markov().metadata["removal_effect"]
    found.rename_axis("channel").reset_index().to_csv(target, index=False)


def main(folder: str) -> None:
    """Run both, each with its own Python, and write the file."""
    import pandas as pd

    tables = []
    with tempfile.TemporaryDirectory() as passing:
        for name in ("ChannelAttribution", "marketing_attribution_models"):
            python = peers.build_peer(name)
            if python is None:
                sys.exit(f"{name} cannot be installed here")
            target = Path(passing) / f"{name}.csv"
            subprocess.run([python, __file__, name, str(Path(folder) / "data.csv.gz"), str(target)], check=True)
            tables.append(pd.read_csv(target).set_index("channel"))
    tables[0].join(tables[1]).sort_index().to_csv(HERE / "attribution_channels.csv", float_format="%.12g")


if __name__ == "__main__":
    by_name = {"ChannelAttribution": run_channel_attribution,
               "marketing_attribution_models": run_marketing_attribution_models}  # fmt: skip
    by_name[sys.argv[1]](*sys.argv[2:]) if sys.argv[1] in by_name else main(sys.argv[1])
