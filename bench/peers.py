"""Other libraries, each in an environment of its own: they never enter the lock. Run: python bench/peers.py

Makes `.cache/peers/<name>` where it is missing and prints what is there. `bench/search.py` runs the functions below
with the peer's own Python; they read a table of codes and a binary target from a file and print what it took.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / ".cache" / "peers"
PACKAGES = {
    "pysubgroup": ("pysubgroup", "numba"), "sliceline": ("sliceline", "numba"),
    "optbinning": ("optbinning", "scikit-learn"),
    "ChannelAttribution": ("ChannelAttribution", "pandas", "matplotlib"),
    "marketing_attribution_models": ("marketing_attribution_models",),
}  # fmt: skip


def measure_best(call, repeats: int = 3, most_seconds: float = 10.0) -> tuple:
    """Return what a call returns and its processor seconds: the least of some repeats, of one where it takes long."""
    taken = []
    while len(taken) < repeats and sum(taken) < most_seconds:
        started = time.process_time()
        found = call()
        taken.append(time.process_time() - started)
    return found, min(taken)


def build_peer(name: str) -> Path | None:
    """Return the Python of a peer's environment, made where it is missing; None where it cannot be installed."""
    folder = FOLDER / name
    python, stamp = folder / "bin" / "python", folder / "installed"
    if not stamp.exists():
        print(f"installing {name} ...", file=sys.stderr, flush=True)
        try:
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True, stdout=subprocess.DEVNULL)
            command = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *PACKAGES[name]]
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (subprocess.CalledProcessError, OSError) as error:
            print(f"{name} cannot be installed: {error}", file=sys.stderr)
            return None
        stamp.touch()
    return python


def run_peer(name: str, way: str, path: Path, depth: int, min_n: int, n_best: int) -> tuple[float, str] | None:
    """Return the seconds of a peer's search and its best groups as text; None where it is not installed."""
    python = build_peer(name)
    if python is None:
        return None
    command = [python, __file__, name, way, path, *map(str, (depth, min_n, n_best))]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    seconds, _, found = said[said.index("seconds:") + len("seconds:") :].partition("\n")
    return float(seconds), found


def search_pysubgroup(way: str, codes, target, depth: int, min_n: int, n_best: int) -> str:
    """Return the best groups by weighted relative accuracy: quality, accounts, targets, conditions."""
    import pandas as pd
    import pysubgroup as ps

    data = pd.DataFrame({f"a{number}": column for number, column in enumerate(codes.T)}).assign(target=target)
    levels = [(name, level) for name in data.columns[:-1] for level in sorted(data[name].unique())]
    search_space = [ps.EqualitySelector(name, level) for name, level in levels]
    task = ps.SubgroupDiscoveryTask(
        data, ps.BinaryTarget("target", True), search_space, result_set_size=n_best, depth=depth, qf=ps.WRAccQF(),
        constraints=[ps.MinSupportConstraint(min_n)],
    )  # fmt: skip
    algorithm = {
        "DFS": lambda: ps.DFS(ps.BitSetRepresentation), "Apriori": lambda: ps.Apriori(use_numba=True),
        "SimpleDFS": ps.SimpleDFS, "GpGrowth": ps.GpGrowth,
    }[way]()  # fmt: skip
    found = algorithm.execute(task).to_dataframe()
    lines = ["quality,n_accounts,n_targets,conditions"]
    for row in found.itertuples():
        conditions = sorted(f"{each.attribute_name}={each.attribute_value}" for each in row.subgroup.selectors)
        lines.append(f"{row.quality:.12g},{row.size_sg},{row.positives_sg},{' & '.join(conditions)}")
    return "\n".join(lines)


def search_sliceline(way: str, codes, target, depth: int, min_n: int, n_best: int) -> str:
    """The slices with the largest errors, an error being the target."""
    from sliceline.slicefinder import Slicefinder

    model = Slicefinder(alpha=0.95, k=n_best, max_l=depth, min_sup=min_n, verbose=False).fit(codes, target)
    return "\n".join(" & ".join(map(str, each)) for each in model.top_slices_)


def time_channels(path: str) -> float:
    """Seconds of ChannelAttribution, in this process: three rules, and its Markov chain, of paths with won and none."""
    import ChannelAttribution as peer
    import pandas as pd

    table = pd.read_csv(path)

    def work():
        peer.heuristic_models(table, "path", "won", flg_pro=False)
        return peer.markov_model(table, "path", "won", var_null="none", seed=1, verbose=False, flg_pro=False)

    return measure_best(work)[1]


def _run_here(name: str, way: str, path: str, *numbers: str) -> None:
    """Search in this process, once on few rows so that compiling does not count."""
    import numpy as np

    data = np.load(path)
    search = {"pysubgroup": search_pysubgroup, "sliceline": search_sliceline}[name]
    search(way, data["codes"][:500], data["target"][:500], int(numbers[0]), 5, 5)
    found, seconds = measure_best(lambda: search(way, data["codes"], data["target"], *map(int, numbers)))
    print(f"seconds:{seconds}\n{found}")


def main() -> None:
    """Print a table of what is installed."""
    print("| peer | version |\n|---|---|")
    for name in PACKAGES:
        python = build_peer(name)
        code = f"import importlib.metadata as m; print(m.version({name!r}))"
        version = subprocess.check_output([python, "-c", code], text=True).strip() if python else "not installed here"
        print(f"| {name} | {version} |")


if __name__ == "__main__":
    _run_here(*sys.argv[1:]) if len(sys.argv) > 1 else main()
