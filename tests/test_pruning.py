"""Pruning against its rule written out, and the choice of distinct groups on groups that can be counted by hand."""

from __future__ import annotations

import numpy as np

from icp_lib import pruning, search


def test_pruning_keeps_what_beats_each_parent_and_its_remainder():
    """Against the rule written out for each conjunction, with the remainder counted from the accounts."""
    rng = np.random.default_rng(11)
    values = np.column_stack([rng.integers(0, count, 400) for count in (4, 3, 2)])
    levels = np.column_stack([values[:, a] == level for a, count in enumerate((4, 3, 2)) for level in range(count)])
    levels = np.column_stack([levels, rng.random((400, 2)) < 0.4, values[:, 0] != 3])  # two items; true of most
    attribute = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5])
    sums = np.column_stack([np.ones(400), rng.integers(0, 3, 400), rng.lognormal(0, 1, 400), rng.normal(0, 1, 400)])
    sums[levels[:, 0] & levels[:, 9], 3] += 1.5
    found = search.search_conjunctions(levels, attribute, sums, minimum={0: 10})
    t = found.sums[:, 3] / np.sqrt(found.sums[:, 0])
    m, e = found.sums[:, 2] + found.sums[:, 3], found.sums[:, 0]
    missing = attribute == 4
    got, inside = sums[:, 2] + sums[:, 3], {}
    for number, row in enumerate(found.levels):
        inside[number] = levels[:, row[row >= 0]].all(axis=1)
    expected = []
    for number, parents in enumerate(found.parents):
        keep = not missing[found.levels[number][found.levels[number] >= 0]].any()
        for parent in parents[parents >= 0]:
            rest = inside[parent] & ~inside[number]
            keep &= t[number] > t[parent] and rest.any() and got[rest].mean() < got[inside[number]].mean()
        expected.append(bool(keep))
    kept = pruning.prune_conjunctions(found, t, m, e, missing)
    assert kept.tolist() == expected
    of_size = (found.levels >= 0).sum(axis=1)
    assert kept[of_size > 1].any() and not kept[of_size > 1].all()
    assert not pruning.prune_conjunctions(found, t, m, e)[found.twin_of >= 0].any()


def test_a_twin_is_out_whatever_the_last_digits_say():
    """The same accounts, added in another order: the child looks larger in the last digit."""
    found = search.search_conjunctions([[1, 1], [1, 1], [1, 0]], ["a", "b"], np.ones((3, 1)), depth=2, minimum={0: 2})
    assert found.levels.tolist() == [[0, -1], [1, -1], [0, 1]] and found.twin_of.tolist() == [-1, -1, 1]
    m, t = np.array([0.1, 0.3, 0.1 + 0.2]), np.array([0.5, 1.0, 1.0 + 1e-15])
    assert pruning.prune_conjunctions(found, t, m, np.ones(3)).tolist() == [True, True, False]


def test_the_chosen_share_at_most_a_third_of_the_smaller():
    levels = np.zeros((12, 4), bool)
    levels[:6, 0] = levels[4:10, 1] = levels[3:9, 2] = levels[10:, 3] = True
    one_each = np.arange(4)[:, None]
    assert pruning.choose_distinct(levels, one_each, [0, 1, 2, 3]).tolist() == [0, 1, 3]  # 0 and 1 share 2 of 6, 2 more
    assert pruning.choose_distinct(levels, one_each, [2, 0, 1, 3]).tolist() == [2, 3]
    assert pruning.choose_distinct(levels, one_each, [0, 1, 2, 3], most=2).tolist() == [0, 1]
    small = np.column_stack([levels[:, 0], np.isin(np.arange(12), [0, 11])])  # one of its two accounts is in the other
    assert pruning.choose_distinct(small, one_each[:2], [0, 1]).tolist() == [0]
    heavy = np.where(np.arange(12) == 4, 5.0, 1.0)  # the same rows, one of them five accounts
    assert pruning.choose_distinct(levels, one_each, [0, 1, 2, 3], n=heavy).tolist() == [0, 3]
