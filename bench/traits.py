"""Does trait analysis tell truth from luck? Attributes selected, marginal effects covered, and the speed of redrawing.

Run: python bench/traits.py [worlds]   (default 1,000 worlds a kind)
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from multiprocessing import get_context

import numpy as np
import pandas as pd
import trait_worlds
import worlds
from discovery import TRAITS
from peers import measure_best

from icp_lib import demo, draws, logistic, trait_model, trait_selection, traits
from icp_lib.demo_core import TRUTH

TRAIT_SETTINGS = {name: trait.model_dump() for name, trait in TRAITS.items()}
#: Worlds that go through the engine together: its start takes as long as many of them.
BATCH = 10
#: Attributes that the planted segments are made of; levels whose effects are compared with those of very large worlds.
PLANTED = ("industry", "employees", "buyer_role", "business_model")
FOLLOWED = (
    ("industry", "Road freight"), ("industry", "Food wholesale"), ("employees", "5 to 20"), ("buyer_role", "Owner"),
    ("business_model", "Own vehicles"), ("region", "North"), ("technologies", "Telematics"), ("web_shop", "no"),
)  # fmt: skip
N_LARGE, LARGE = 10, 60_000


def build_labelled(seeds, null: bool | str = False, n_accounts: int = 6000) -> list[pd.DataFrame]:
    """Return the labelled accounts of several worlds as of 2026-Q3, each as notebook 02 would see it."""
    parts = {name: [] for name in ("accounts", "opportunities", "revenue")}
    for seed in seeds:
        for name, frame in demo.build_world(seed, n_accounts, null, tables=parts).items():
            ids = [column for column in ("account_id", "opportunity_id", "parent_account_id") if column in frame]
            parts[name].append(frame.assign(**{column: f"{seed}|" + frame[column] for column in ids}))
    whole = {name: pd.concat(frames, ignore_index=True) for name, frames in parts.items()}
    table, opportunities = worlds.cut_tables(whole["accounts"], whole["opportunities"])
    revenue = whole["revenue"][whole["revenue"]["month"] < worlds.CUTOFF]
    every = [frame.groupby(frame["account_id"].str.split("|").str[0]) for frame in (table, opportunities, revenue)]
    return [
        traits.label_accounts(*(each.get_group(str(seed)).reset_index(drop=True) for each in every), worlds.CUTOFF)
        for seed in seeds
    ]


def pick_followed(levels: list) -> list:
    """Return the levels whose effects are compared with the truth."""
    return [each for each in levels if each[:2] in FOLLOWED]


def judge_world(labelled: pd.DataFrame) -> dict:
    """Return what the selection and the joint model say of one world."""
    levels = traits.build_trait_levels(labelled, TRAIT_SETTINGS)
    selection = trait_selection.select_attributes(labelled, levels)
    selected = selection[selection["verdict"] == "selected"]
    told = selected["attribute"].tolist() + selection.loc[selection["verdict"] == "says the same", "attribute"].tolist()
    model = trait_model.estimate_model(labelled, levels)
    model = model[model["metric"] == "marginal_effect"].dropna(subset="estimate")
    followed = trait_model.estimate_model(labelled, pick_followed(levels))
    followed = followed[followed["metric"] == "marginal_effect"]
    return {
        "n_best": int(labelled["is_best"].sum()),
        "n_selected": len(selected),
        "any_noise": bool(selected["attribute"].isin(TRUTH["noise"]).any()),
        "any_placebo": bool(selected["is_placebo"].any()),
        "any_planted": bool(selected["attribute"].isin(PLANTED).any()),
        **{name: name in set(selected["attribute"]) for name in PLANTED},
        **{f"{name}_told": name in told for name in PLANTED},
        "any_effect": bool((model["p_adjusted"] <= 0.05).any()),
        "zero_covered": int(((model["conf_low"] <= 0) & (model["conf_high"] >= 0)).sum()),
        "n_effects": len(model),
        "effects": followed.set_index(["attribute", "level"])[["estimate", "conf_low", "conf_high"]],
    }


def judge_worlds(first: int, n: int, null: bool | str = False, n_accounts: int = 6000) -> list[dict]:
    """Return what is said of `n` worlds from seed `first` on."""
    return [judge_world(labelled) for labelled in build_labelled(range(first, first + n), null, n_accounts)]


def select_world(seed: int, strength: float = 1.0) -> set[str]:
    """Return the attributes selected in one world of 1,500 accounts in which traits make who is best (trait_worlds)."""
    labelled = trait_worlds.build_labelled(seed, n=1500, strength=strength, rate=0.16)
    settings = {name: how for name, how in trait_worlds.TRAITS.items() if name != "city"}  # sixty cities take too long
    table = trait_selection.select_attributes(labelled, trait_worlds.build_levels(labelled, settings))
    return set(table.loc[table["verdict"] == "selected", "attribute"])


def describe_selected(found: list[set[str]]) -> list[str]:
    """Return the lines about worlds in which traits make who is best."""
    what = {
        "industry selected": [("industry" in each) for each in found],
        "size, or staff that says the same, selected": [bool(each & {"size", "staff"}) for each in found],
        "a named noise attribute selected": [bool(each & {"shop", "source"}) for each in found],
    }
    words = "planted in who is best, 1,500 accounts"
    return [f"| {words} | {name} | {worlds.share(values)} |" for name, values in what.items()]


def estimate_truth(seed: int) -> pd.Series:
    """Return the effects of the levels followed in one very large world."""
    labelled = build_labelled([seed], False, LARGE)[0]
    levels = pick_followed(traits.build_trait_levels(labelled, TRAIT_SETTINGS))
    model = trait_model.estimate_model(labelled, levels)
    return model[model["metric"] == "marginal_effect"].set_index(["attribute", "level"])["estimate"]


def cover(found: pd.DataFrame, truth: pd.Series) -> pd.DataFrame:
    """Return, for each level followed, the truth, the mean estimate and how often the interval holds the truth."""
    rows = pd.concat(found["effects"].tolist()).dropna()
    rows["covered"] = (rows["conf_low"] <= truth.reindex(rows.index)) & (truth.reindex(rows.index) <= rows["conf_high"])
    grouped = rows.groupby(level=[0, 1], sort=False)
    table = grouped.agg(n=("covered", "size"), mean=("estimate", "mean"), covered=("covered", "mean"))
    return table.assign(truth=truth.reindex(table.index))


def redraw_loop(scores: np.ndarray, outcome: np.ndarray, family: pd.Series, weights: np.ndarray) -> list:
    """The bootstrap of the curve as a loop over draws with pandas: what `estimate_auc` does at once."""
    frame, found = pd.DataFrame({"score": scores, "outcome": outcome, "family": family}), []
    for weight in weights.T:
        drawn = frame.loc[frame.index.repeat(weight)]
        rank, events = drawn["score"].rank(), drawn["outcome"].sum()
        others = len(drawn) - events
        found.append((rank[drawn["outcome"]].sum() - events * (events + 1) / 2) / (events * others))
    return found


def measure_redrawing(n: int = 1500, n_draws: int = 1000) -> list[str]:
    """Return a line about the speed of the curve's intervals against a loop with pandas."""
    rng = np.random.default_rng(1)
    scores, outcome = rng.normal(size=n).round(2), rng.random(n) < 0.06
    family = pd.Series([f"F{number}" for number in range(n)])
    weights = draws.draw_weights(family, n_draws)
    fast, seconds = measure_best(lambda: logistic.estimate_auc(scores, outcome, weights))
    few = weights[:, : n_draws // 10]
    slow, loop_seconds = measure_best(lambda: redraw_loop(scores, outcome, family, few))
    assert np.allclose(fast[: n_draws // 10], slow)
    ratio = loop_seconds * 10 / seconds
    return [f"{n_draws:,} draws of the AUC of {n:,} accounts: {seconds:.3f} s, {ratio:.0f} times a loop with pandas."]


def run(n_worlds: int) -> Iterator[list[str]]:
    """Yield the lines of the tables, each as soon as it is counted; fewer worlds of the kinds that take longest."""
    few = max(10, n_worlds // 10)
    with get_context("spawn").Pool(2) as pool:

        def judge(n: int, *options) -> pd.DataFrame:
            starts = [(first, min(BATCH, n - first), *options) for first in range(0, n, BATCH)]
            return pd.DataFrame([row for rows in pool.starmap(judge_worlds, starts, chunksize=1) for row in rows])

        yield ["| worlds | what | share of worlds |", "|---|---|---|"]
        late = "no truth, a level appears late, losses close slower"
        for null, words, n in ((True, "no truth", n_worlds), ("late", late, 2 * few)):
            found = judge(n, null)
            zero, n = found["zero_covered"].sum(), found["n_effects"].sum()
            yield [
                f"| {words} | any attribute selected | {worlds.share(found['n_selected'] > 0)} |",
                f"| {words} | any marginal effect with adjusted p at most 0.05 | {worlds.share(found['any_effect'])} |",
                f"| {words} | intervals of marginal effects that hold 0 | {zero / n:.1%} (of {n:,}) |",
            ]
        yield describe_selected(pool.map(select_world, range(n_worlds), chunksize=BATCH))
        covered = None
        for n_accounts, n in ((6000, n_worlds), (12_000, few), (24_000, few)):
            found = judge(n, False, n_accounts)
            covered = found if covered is None else covered
            words = f"planted, {n_accounts:,} accounts, {found['n_best'].mean():,.0f} best customers"
            yield [
                f"| {words} | a planted attribute selected | {worlds.share(found['any_planted'])} |",
                f"| {words} | each selected, or named as saying the same | "
                + ", ".join(f"{name} {found[name].mean():.0%}, {found[f'{name}_told'].mean():.0%}" for name in PLANTED)
                + " |",
                f"| {words} | a named noise attribute selected | {worlds.share(found['any_noise'])} |",
                f"| {words} | a placebo selected | {worlds.share(found['any_placebo'])} |",
            ]
        truth = pd.concat(pool.map(estimate_truth, range(10_000, 10_000 + N_LARGE)), axis=1).mean(axis=1)
    yield ["", "| level | effect in very large worlds | mean estimate | intervals that hold it |", "|---|---|---|---|"]
    yield [
        f"| {attribute}: {level} | {at['truth']:+.4f} | {at['mean']:+.4f} | {at['covered']:.1%} (of {at['n']:,.0f}) |"
        for (attribute, level), at in cover(covered, truth).iterrows()
    ]


if __name__ == "__main__":
    for part in run(int(sys.argv[1]) if len(sys.argv) > 1 else 1000):
        print("\n".join(part), flush=True)
    print("\n".join(["", *measure_redrawing()]))
