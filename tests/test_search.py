"""The search against pandas' own grouping, another library, and its own laws."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icp_lib import search, sizing
from icp_lib.checks import DataError

REFERENCE = Path(__file__).parent / "reference"


def simulate(seed: int, n: int = 300, n_levels=(4, 3, 2), n_items: int = 2):
    """Return levels, attributes and sums of accounts: traits with levels of unequal size, and items of a list."""
    rng = np.random.default_rng(seed)
    columns, attribute = [], []
    for number, count in enumerate(n_levels):
        value = rng.choice(count, n, p=rng.dirichlet(np.ones(count)))
        columns += [value == level for level in range(count)]
        attribute += [f"trait {number}"] * count
    columns += [rng.random(n) < 0.4 for _ in range(n_items)]
    attribute += [f"item {number}" for number in range(n_items)]
    sums = np.column_stack([np.ones(n), rng.integers(0, 3, n), rng.lognormal(0, 1, n), rng.normal(0, 1, n)])
    return np.column_stack(columns), np.array(attribute), sums


def group_with_pandas(levels, attribute, sums, depth: int, minimum: dict) -> dict[tuple, np.ndarray]:
    """Every conjunction by groupby: one column a level, grouped by those of a combination, where all hold."""
    frame = pd.DataFrame(levels).add_prefix("level ")
    values = pd.DataFrame(sums)
    found = {}
    for size in range(1, depth + 1):
        for chosen in itertools.combinations(range(levels.shape[1]), size):
            if len({attribute[level] for level in chosen}) < size:
                continue
            grouped = values.groupby([frame[f"level {level}"] for level in chosen]).sum()
            key = (True,) * size if size > 1 else True
            if key in grouped.index:
                total = grouped.loc[key].to_numpy()
                if all(total[column] >= least for column, least in minimum.items()):
                    found[chosen] = total
    return found


def as_dict(found: search.Conjunctions) -> dict[tuple, np.ndarray]:
    return {tuple(row[row >= 0].tolist()): total for row, total in zip(found.levels, found.sums, strict=True)}


@given(
    seed=st.integers(0, 10_000),
    n_levels=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    n_items=st.integers(0, 3),
    depth=st.integers(1, 4),
    least=st.integers(1, 30),
)
@settings(max_examples=40, deadline=None)
def test_every_conjunction_equals_a_groupby(seed, n_levels, n_items, depth, least):
    levels, attribute, sums = simulate(seed, 120, n_levels, n_items)
    minimum = {0: least, 1: 5}
    found = search.search_conjunctions(levels, attribute, sums, depth=depth, minimum=minimum)
    expected = group_with_pandas(levels, attribute, sums, depth, minimum)
    ours = as_dict(found)
    assert ours.keys() == expected.keys() and len(ours) == len(found.levels)
    for key, total in expected.items():
        np.testing.assert_allclose(ours[key], total, rtol=1e-12, atol=1e-12)  # other order of addition


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_it_does_not_matter_which_traits_are_taken_together(depth, monkeypatch):
    """Every trait alone, pairs and triples of traits, and all traits as one bundle."""
    levels, attribute, sums = simulate(3, 1000, (4, 3, 2, 3), 3)
    found = search.search_conjunctions(levels, attribute, sums, depth=depth, minimum={0: 3})
    for most in (1, 6, 20, 10_000):
        monkeypatch.setattr(sizing, "BUNDLE_SIZES", (most,))
        again = search.search_conjunctions(levels, attribute, sums, depth=depth, minimum={0: 3})
        np.testing.assert_array_equal(again.levels, found.levels)
        np.testing.assert_array_equal(again.parents, found.parents)
        np.testing.assert_array_equal(again.twin_of, found.twin_of)
        np.testing.assert_array_equal(again.sums[:, :2], found.sums[:, :2])  # whole numbers
        np.testing.assert_allclose(again.sums, found.sums, rtol=1e-12, atol=1e-11)  # sums up to 1,000, other order


def test_a_trait_with_hundreds_of_levels_equals_a_groupby():
    """300 cities, most too small; their sums with one and two other traits by a groupby over the values."""
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"city": rng.geometric(0.02, 4000).clip(max=300) - 1, "size": rng.integers(0, 4, 4000)})
    frame = frame.assign(country=np.where(frame["city"] < 40, 0, rng.integers(1, 5, 4000)), y=rng.normal(0, 1, 4000))
    frame.loc[::7, "size"] = -1  # missing: none of the levels
    counts = {"city": 300, "size": 4, "country": 5}
    levels = np.hstack([frame[[name]].to_numpy() == np.arange(count) for name, count in counts.items()])
    first = dict(zip(counts, np.cumsum([0, *counts.values()]).tolist(), strict=False))
    expected = {}
    for size in (1, 2, 3):
        for names in itertools.combinations(counts, size):
            grouped = frame.groupby(list(names))["y"].agg(["size", "sum"])
            for values, total in zip(grouped.index, grouped.to_numpy(), strict=True):
                values = values if isinstance(values, tuple) else (values,)
                if min(values) >= 0 and total[0] >= 8:
                    expected[tuple(first[name] + value for name, value in zip(names, values, strict=True))] = total
    sums = np.column_stack([np.ones(4000), frame["y"]])
    ours = as_dict(search.search_conjunctions(levels, np.repeat(list(counts), list(counts.values())), sums,
                                              minimum={0: 8}))  # fmt: skip
    assert ours.keys() == expected.keys() and 300 < len(ours) < 1000
    np.testing.assert_allclose([ours[key] for key in expected], list(expected.values()), rtol=1e-12, atol=1e-12)


@given(seed=st.integers(0, 10_000), depth=st.integers(1, 3))
@settings(max_examples=15, deadline=None)
def test_levels_of_one_attribute_that_overlap_equal_a_groupby(seed, depth):
    """Any row may have any levels: still no conjunction has two of one attribute."""
    rng = np.random.default_rng(seed)
    levels, attribute = rng.random((80, 9)) < 0.5, np.array(list("aaabbbbcd"))
    sums = np.column_stack([np.ones(80), rng.integers(0, 3, 80), rng.normal(0, 1, 80)])
    ours = as_dict(search.search_conjunctions(levels, attribute, sums, depth=depth, minimum={0: 5}))
    expected = group_with_pandas(levels, attribute, sums, depth, {0: 5})
    assert ours.keys() == expected.keys()
    np.testing.assert_allclose([ours[key] for key in expected], list(expected.values()), rtol=1e-12, atol=1e-12)


def test_counts_are_exact():
    """Whole numbers up to 2^40 a row: a minimum that a group just has keeps it, one more loses it."""
    levels, attribute, sums = simulate(6, 400)
    sums[:, 1] = np.random.default_rng(6).integers(0, 2**40, 400)
    found = search.search_conjunctions(levels, attribute, sums)
    exact = [levels[:, row[row >= 0]].all(axis=1) @ sums[:, 1].astype(np.int64) for row in found.levels]
    assert found.sums[:, 1].astype(np.int64).tolist() == exact
    least = sorted(exact)[len(exact) // 2]
    for more, wanted in ((0, [total for total in exact if total >= least]), (1, [e for e in exact if e > least])):
        kept = search.search_conjunctions(levels, attribute, sums, minimum={1: least + more})
        assert kept.sums[:, 1].astype(np.int64).tolist() == wanted


def test_cells_give_the_same_as_accounts():
    levels, attribute, sums = simulate(5, 2000)
    cells, cell_sums, cell = search.build_cells(levels, sums)
    assert len(cells) < 100 and len(np.unique(cells, axis=0)) == len(cells)
    np.testing.assert_array_equal(cells[cell], levels)
    one = search.search_conjunctions(levels, attribute, sums, minimum={0: 20})
    two = search.search_conjunctions(cells, attribute, cell_sums, minimum={0: 20})
    np.testing.assert_array_equal(one.levels, two.levels)
    np.testing.assert_allclose(one.sums, two.sums, rtol=1e-12, atol=1e-10)  # sums up to 2,000, other order


@pytest.mark.parametrize("n_levels", [1, 8, 64, 65, 130])
def test_cells_of_many_levels_are_told_apart_by_every_one(n_levels):
    """The last of 1, 8, 64, 65 and 130 levels sits at the borders of bytes and words."""
    levels = np.zeros((6, n_levels), bool)
    levels[[1, 2, 4], -1] = True
    levels[2, 0] = True
    cells, sums, cell = search.build_cells(levels, np.arange(6.0)[:, None])
    assert len(cells) == (2 if n_levels == 1 else 3)
    np.testing.assert_array_equal(cells[cell], levels)
    assert sums.sum() == 15 and sums[cell[4], 0] == (1 + 2 + 4 if n_levels == 1 else 1 + 4)


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_neither_the_order_of_rows_nor_of_levels_matters(seed):
    levels, attribute, sums = simulate(seed, 150)
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(len(levels)), rng.permutation(len(attribute))
    one = as_dict(search.search_conjunctions(levels, attribute, sums, minimum={0: 10}))
    two = search.search_conjunctions(levels[rows][:, columns], attribute[columns], sums[rows], minimum={0: 10})
    back = {tuple(sorted(columns[list(key)].tolist())): total for key, total in as_dict(two).items()}
    assert back.keys() == one.keys()
    for key, total in one.items():
        np.testing.assert_allclose(back[key], total, rtol=1e-12, atol=1e-12)  # other order of addition


def test_conjunctions_stand_in_order_with_their_parents():
    levels, attribute, sums = simulate(1)
    found = search.search_conjunctions(levels, attribute, sums, minimum={0: 5})
    keys = [tuple(row[row >= 0].tolist()) for row in found.levels]
    assert keys == sorted(keys, key=lambda key: (len(key), key)) and len(set(keys)) == len(keys)
    assert max(map(len, keys)) == 3
    for key, parents in zip(keys, found.parents, strict=True):
        wanted = [key[:c] + key[c + 1 :] for c in range(len(key))] if len(key) > 1 else []
        assert [keys[parent] for parent in parents if parent >= 0] == wanted


def test_a_condition_that_changes_nothing_makes_a_twin():
    levels = np.array([[1, 0, 1, 0], [1, 0, 1, 0], [0, 1, 1, 0], [0, 1, 0, 1], [0, 1, 0, 1]], bool)
    found = search.search_conjunctions(levels, ["size", "size", "country", "country"], np.ones((5, 1)))
    keys = [tuple(row[row >= 0].tolist()) for row in found.levels]
    twins = {keys[child]: keys[parent] for child, parent in enumerate(found.twin_of) if parent >= 0}
    assert twins == {(0, 2): (0,), (1, 3): (3,)}  # (1, 2) is a part of both


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_the_count_is_what_a_search_without_a_minimum_finds(depth):
    attribute = np.repeat(["a", "b", "c", "d"], [3, 1, 2, 4])
    every = np.ones((1, len(attribute)), bool)  # a row that has all levels
    found = search.search_conjunctions(every, attribute, np.ones((1, 1)), depth=depth)
    assert sizing.count_conjunctions(attribute, depth) == len(found.levels)


def test_a_search_that_is_too_large_is_refused_with_its_size():
    n_levels = [900, 200, 20, 30, 50]
    attribute = np.repeat(["city", "industry", "size", "country", "owner"], n_levels)
    of_size = [sum(map(math.prod, itertools.combinations(n_levels, size))) for size in (1, 2, 3)]
    with pytest.raises(DataError) as error:
        sizing.plan_search(100_000, attribute, 10)
    assert str(error.value) == (
        f"search: 1,200 levels of 5 traits make {sum(of_size):,} groups of up to 3 conditions and need 8.6 GB; the "
        "most is 5,000,000 and 2.0 GB. Use fewer traits, fewer levels of a trait (city has most, 900), or depth 2 "
        f"({sum(of_size[:2]):,} groups)."
    )
    with pytest.raises(DataError, match=r"the most is 5,000,000 and 2.0 GB"):
        search.search_conjunctions(np.zeros((2, 1200), bool), attribute, np.ones((2, 1)))
    with pytest.raises(DataError, match="depth: 7 must be between 1 and 6"):
        sizing.plan_search(10, ["a", "b"], 1, depth=7)


def test_the_plan_counts_and_grows_with_rows_and_columns():
    attribute = np.repeat(np.arange(12), 4)
    plan = sizing.plan_search(4000, attribute, 8)
    assert plan.n_conjunctions == sizing.count_conjunctions(attribute)
    assert plan.n_bytes < sizing.plan_search(8000, attribute, 8).n_bytes < 2 * plan.n_bytes
    assert plan.n_bytes < sizing.plan_search(4000, attribute, 16).n_bytes < 2 * plan.n_bytes


def test_what_cannot_be_summed_is_refused():
    levels, attribute, sums = simulate(0)
    with pytest.raises(DataError, match="column 3 of the sums is a minimum but has negative values: use a count"):
        search.search_conjunctions(levels, attribute, sums, minimum={3: 1})
    with pytest.raises(DataError, match="levels has 300 rows and 11 columns, but there are 299 rows of sums and 11"):
        search.search_conjunctions(levels, attribute, sums[1:])
    for column, minimum in ((0, {1: 5}), (1, {1: 5})):
        halves = sums / np.where(np.arange(4) == column, 2, 1)
        with pytest.raises(DataError, match=f"column {column} of the sums is a count but has values that are no whole"):
            search.search_conjunctions(levels, attribute, halves, minimum=minimum)
    sums[7, 2] = np.nan
    with pytest.raises(DataError, match="column 2 of the sums has missing values; give 0 where nothing is to add"):
        search.search_conjunctions(levels, attribute, sums)


def test_an_empty_search_finds_nothing():
    found = search.search_conjunctions(np.zeros((0, 3), bool), ["a", "a", "b"], np.zeros((0, 2)))
    assert found.levels.shape == (0, 3) and found.sums.shape == (0, 2)
    assert search.search_conjunctions(np.zeros((4, 0), bool), [], np.ones((4, 1))).levels.shape == (0, 3)


def test_sums_inside_are_those_of_the_search():
    levels, attribute, sums = simulate(8)
    found = search.search_conjunctions(levels, attribute, sums)
    np.testing.assert_allclose(search.sum_inside(levels, found.levels, sums), found.sums, rtol=1e-12, atol=1e-12)


def test_the_best_groups_are_those_of_pysubgroup():
    """Weighted relative accuracy, (n / N)(share in S - share): made by tests/reference/make_pysubgroup.py."""
    rows = pd.read_csv(REFERENCE / "pysubgroup_rows.csv")
    expected = pd.read_csv(REFERENCE / "pysubgroup_best.csv")
    codes, target = rows.drop(columns="target"), rows["target"].to_numpy(float)
    dummies = pd.get_dummies(codes.astype(str), prefix_sep="=")
    attribute = [name.partition("=")[0] for name in dummies]
    sums = np.column_stack([np.ones(len(rows)), target])
    found = search.search_conjunctions(dummies.to_numpy(bool), attribute, sums, minimum={0: 40})
    n, got = found.sums.T
    quality = n / len(rows) * (got / n - target.mean())
    names = [" & ".join(sorted(dummies.columns[row[row >= 0]])) for row in found.levels]
    ours = pd.DataFrame({"quality": quality, "n_accounts": n, "n_targets": got}, index=names)
    theirs = expected.set_index("conditions")[ours.columns]
    best = ours.loc[ours["quality"] >= theirs["quality"].min() - 1e-9]  # the list is printed with 12 digits
    assert set(best.index) == set(theirs.index) and len(theirs) >= 50
    np.testing.assert_allclose(best.loc[theirs.index], theirs, rtol=1e-9, atol=1e-11)
