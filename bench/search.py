"""How fast is the exact search, against other libraries and against its own size?

Run: python bench/search.py [share]   (default 1; 0.1 for a tenth of the rows)
"""

from __future__ import annotations

import functools
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import peers

from icp_lib import accounts, charts, discovery, offer, permutation, search, space

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "search-cost.svg"
CUTOFF = pd.Timestamp("2026-10-01")
ROWS, TRAITS, DEPTH, MIN_SHARE = 50_000, 12, 3, 0.01
LEVEL_SHARES = (0.4, 0.3, 0.2, 0.1)
MEASURES = 4
SIZES = {
    "accounts": [(5_000, 12, 3), (50_000, 12, 3), (500_000, 12, 3)],
    "levels": [(50_000, 6, 3), (50_000, 12, 3), (50_000, 24, 3)],
    "conditions": [(50_000, 12, 1), (50_000, 12, 2), (50_000, 12, 3), (50_000, 12, 4)],
}
PEERS = {
    "pysubgroup, DFS over bit sets, the best 10": ("pysubgroup", "DFS", 10),
    "pysubgroup, Apriori with numba, the best 10": ("pysubgroup", "Apriori", 10),
    "pysubgroup, DFS over bit sets, all groups": ("pysubgroup", "DFS", 10_000_000),
    "sliceline, the best 10": ("sliceline", "-", 10),
}


def build_world(n: int, n_traits: int = TRAITS, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return the codes of traits with four levels of unequal size, and a target that one pair of levels raises."""
    rng = np.random.default_rng(seed)
    codes = rng.choice(len(LEVEL_SHARES), (n, n_traits), p=LEVEL_SHARES).astype(np.int8)
    rate = 0.2 + 0.2 * ((codes[:, 0] == 1) & (codes[:, 1] == 2))
    return codes, rng.random(n) < rate


def build_sums(codes, target) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return levels, attributes, and what is summed: accounts, and four measures (won, got, expected, the rest)."""
    rng = np.random.default_rng(2)
    levels = (codes[:, :, None] == np.arange(len(LEVEL_SHARES))).reshape(len(codes), -1)
    e = rng.gamma(2, 1, len(codes))
    m = target * rng.lognormal(0, 0.8, len(codes)) * e
    r = m - e * m.sum() / e.sum()
    attribute = np.repeat(np.arange(codes.shape[1]), len(LEVEL_SHARES))
    return levels, attribute, np.column_stack([np.ones(len(codes)), target, m, e, r])


def build_company(n: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return accounts with six traits and one deal each; one pair of levels wins nearly twice as often."""
    rng, ids = np.random.default_rng(1), np.array([f"A{number:07d}" for number in range(n)], object)
    levels = np.array(list("abcd"), object)[rng.integers(0, 4, (6, n))]
    opened = CUTOFF - pd.to_timedelta(rng.uniform(91, 900, n), unit="D")
    rate = np.where((levels[0] == "a") & (levels[1] == "b"), 0.42, 0.22)
    deals = pd.DataFrame({
        "account_id": ids, "created_at": opened,
        "closed_at": opened + pd.to_timedelta(rng.uniform(20, 90, n), unit="D"),
        "status": np.where(rng.random(n) < rate, "won", "lost"), "amount": rng.lognormal(7, 0.5, n),
        "is_relevant": True, "gross_margin": np.nan, "gross_margin_rate": np.nan, "term_months": np.nan,
    })  # fmt: skip
    table = pd.DataFrame({"account_id": ids, "family_id": ids, "first_opportunity_at": opened, "n_opportunities": 1})
    table["n_won"] = (deals["status"] == "won").astype(int)
    table = table.assign(**{f"trait_{number}": values for number, values in enumerate(levels)})
    return table.assign(part=accounts.build_part(table["family_id"], table["first_opportunity_at"])), deals


def discover(n: int) -> discovery.Found:
    """Do what page 01 does with a company in memory: search, fix the list, check it, share out the margin."""
    here = space.build_space(*build_company(n), {f"trait_{number}": {} for number in range(6)}, cutoff=CUTOFF)
    found = discovery.search_part(here, n_draws=99)
    masks = offer.find_members(here, offer.list_offered(here, found))
    discovery.check_held_out(here, masks)
    offer.estimate_shares(here, masks)
    return found


def measure_page(n: int) -> None:
    """Discover in this process; print conjunctions, processor seconds and peak MB."""
    started = time.process_time()
    found = discover(n)
    print(len(found.conjunctions), time.process_time() - started, find_peak())


def find_peak() -> float:
    """Most MB that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def measure_here(what: str, n: int, n_traits: int, depth: int) -> None:
    """Do one thing in this process; print conjunctions, processor seconds and peak MB."""
    levels, attribute, sums = build_sums(*build_world(n, n_traits))
    r = sums[:, 4]
    minimum = {0: max(5, MIN_SHARE * n)}
    strata = np.random.default_rng(3).integers(-12, 0, n)
    if what != "search":
        found = search.search_conjunctions(levels, attribute, sums[:, :1], depth=depth, minimum=minimum)
    calls = {
        "search": lambda: search.search_conjunctions(levels, attribute, sums, depth=depth, minimum=minimum),
        "permute": lambda: permutation.permute_search(
            levels, found.levels, r, strata, np.arange(n), expected=sums[:, 3]
        ),
        "multiply": lambda: permutation.multiplier_search(
            levels, found.levels, np.column_stack([sums[:, 0], r, r**2, r**3]), strata
        ),
    }
    done, seconds = peers.measure_best(calls[what])
    found = done if what == "search" else found
    print(len(found.levels), seconds, find_peak())


@functools.cache
def measure(what: str, n: int, n_traits: int = TRAITS, depth: int = DEPTH) -> tuple[int, float, float]:
    """Return conjunctions, seconds and peak MB, measured in a process of its own."""
    print(what, n, n_traits, depth, file=sys.stderr, flush=True)
    command = [sys.executable, __file__, "--here", what, *map(str, (n, n_traits, depth))]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return int(said[0]), float(said[1]), float(said[2])


def check_same_best(codes, target, said: str, min_n: float) -> None:
    """Stop where pysubgroup's best groups are not ours: n, targets and quality."""
    levels, attribute, sums = build_sums(codes, target)
    found = search.search_conjunctions(levels, attribute, sums[:, :2], depth=DEPTH, minimum={0: min_n})
    n, got = found.sums.T
    quality = np.sort(n / len(codes) * (got / n - target.mean()))[::-1]
    theirs = np.array([float(line.split(",")[0]) for line in said.strip().splitlines()[1:]])
    np.testing.assert_allclose(quality[: len(theirs)], theirs, rtol=1e-9)


def run_against_peers(n: int) -> list[str]:
    """Return the lines of the first table."""
    codes, target = build_world(n)
    min_n = int(MIN_SHARE * n)
    n_found, ours, _ = measure("search", n, TRAITS, DEPTH)
    lines = [
        f"{n:,} accounts, {TRAITS * len(LEVEL_SHARES)} levels of {TRAITS} traits, up to {DEPTH} conditions, at least "
        f"{min_n:,} accounts: {n_found:,} groups. Processor seconds, one core each; ratios: seconds, and seconds a "
        "measure, by ours. Who returns only the best may skip groups that cannot be among them.",
        "",
        "| search | measures | seconds | ratio | ratio a measure |",
        "|---|---:|---:|---:|---:|",
        f"| ours, all groups | {MEASURES} | {ours:.3f} | 1.0 | 1.0 |",
    ]
    with tempfile.TemporaryDirectory(prefix="icp-search-") as folder:
        path = Path(folder) / "world.npz"
        np.savez(path, codes=codes, target=target)
        for words, (name, way, n_best) in PEERS.items():
            print(words, file=sys.stderr, flush=True)
            done = peers.run_peer(name, way, path, DEPTH, min_n, n_best)
            if done is None:
                lines.append(f"| {words} | not installed here | | | |")
                continue
            if name == "pysubgroup" and n_best == 10:
                check_same_best(codes, target, done[1], min_n)
            lines.append(f"| {words} | 1 | {done[0]:.3f} | {done[0] / ours:.1f} | {MEASURES * done[0] / ours:.1f} |")
    return lines


def run_sizes(share: float) -> list[str]:
    """Return the lines of the second table, and draw them."""
    lines = ["| what changes | accounts | levels | conditions | groups | seconds |", "|---|---:|---:|---:|---:|---:|"]
    drawn = {}
    for words, sizes in SIZES.items():
        for n, n_traits, depth in sizes:
            n = round(n * share)
            found, seconds, _ = measure("search", n, n_traits, depth)
            levels = n_traits * len(LEVEL_SHARES)
            lines.append(f"| {words} | {n:,} | {levels} | {depth} | {found:,} | {seconds:.3f} |")
            size = {"accounts": n, "levels": levels, "conditions": depth}[words]
            drawn.setdefault(words, []).append((size, seconds, found))
    if share == 1:
        PICTURE.write_text(draw_sizes(drawn), encoding="utf-8")
        lines += ["", f"![Seconds of the search by accounts, levels and conditions]({PICTURE.name})"]
    return lines


def draw_sizes(drawn: dict[str, list[tuple]]) -> str:
    """Return seconds against each size as SVG, every point with its groups; both scales are logarithmic."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(charts.RC | {"figure.facecolor": charts.LIGHT["paper"], "savefig.facecolor": "auto"}):
        figure = Figure(figsize=(charts.WIDTH, 2.9))
        panels = figure.subplots(1, len(drawn), sharey=True)
        for axes, (words, points) in zip(panels, drawn.items(), strict=True):
            sizes, seconds, _ = zip(*points, strict=True)
            axes.loglog(sizes, seconds, marker="o", color=charts.LIGHT["blue"])
            room = (max(sizes) / min(sizes)) ** 0.1
            axes.set(xlabel=words, xlim=(min(sizes) / room**4, max(sizes) * room))
            axes.minorticks_off()
            axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
            axes.grid(True, axis="y")
            axes.grid(False, axis="x")
            for size, taken, n in points:
                place = {"textcoords": "offset points", "ha": "right", "size": charts.NOTE_SIZE}
                axes.annotate(f"{n:,}", (size, taken), (-7, 3), color=charts.LIGHT["ink2"], **place)
        low, high = (pick(point[1] for points in drawn.values() for point in points) for pick in (min, max))
        panels[0].set_ylim(low / 2, high * 3)
        ticks = [tick for tick in (0.001, 0.01, 0.1, 1, 10, 100) if low / 2 <= tick <= high * 3]
        panels[0].set_yticks(ticks, [f"{tick:g} s" for tick in ticks])
        figure.text(0.02, 0.93, f"Seconds of the exact search ({MEASURES} measures); at each point the groups found")
        figure.tight_layout(rect=(0, 0, 1, 0.92))
        return charts.to_svg(figure)


def run_large(share: float) -> list[str]:
    """Return the lines of the third table."""
    tasks = {
        "search": ("search", 1_000_000),
        "p-values and noise, 999 permutations": ("permute", 4_000),
        "the same": ("permute", 50_000),
        "p-values, 999 multipliers": ("multiply", 50_000),
        "page 01's functions: accounts, search, 99 multipliers, the list checked, shares": ("page", 1_000_000),
    }
    lines = ["| step | accounts | groups | seconds | peak MB |", "|---|---:|---:|---:|---:|"]
    for words, (what, n) in tasks.items():
        found, seconds, peak = measure(what, round(n * share))
        lines.append(f"| {words} | {round(n * share):,} | {found:,} | {seconds:.1f} | {peak:,.0f} |")
    return lines


if __name__ == "__main__":
    if sys.argv[1:2] == ["--here"]:
        what, *sizes = sys.argv[2], *map(int, sys.argv[3:])
        measure_page(sizes[0]) if what == "page" else measure_here(what, *sizes)
    else:
        os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that are measured
        scale = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
        for part in (run_against_peers(round(ROWS * scale)), [""], run_sizes(scale), [""], run_large(scale)):
            print("\n".join(part), flush=True)
