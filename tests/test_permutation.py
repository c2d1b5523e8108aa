"""p-values against permutations written plainly, their laws, and worlds without any truth."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats as distributions

from icp_lib import permutation, search
from icp_lib.checks import DataError


def simulate(seed: int, n: int = 240, n_families: int | None = None, n_levels=(3, 3, 2)):
    """Return levels, conjunctions, r, e, strata and families of a world without any effect."""
    rng = np.random.default_rng(seed)
    values = np.column_stack([rng.integers(0, count, n) for count in n_levels])
    levels = np.column_stack([values[:, a] == level for a, count in enumerate(n_levels) for level in range(count)])
    attribute = np.repeat(np.arange(len(n_levels)), n_levels)
    strata, e = rng.integers(-4, 0, n), rng.gamma(2, 1, n)
    family = rng.integers(0, n_families or n * 4 // 5, n)
    m = np.where(rng.random(n) < 0.3, rng.lognormal(0, 0.8, n) * e, 0.0) * (1 - 0.4 * strata)
    found = search.search_conjunctions(levels, attribute, np.ones((n, 1)), minimum={0: 10})
    return levels, found.levels, centre(m * e.sum() / m.sum() - e, strata), e, strata, family


def centre(values, strata):
    return values - (np.bincount(-strata, values) / np.bincount(-strata).clip(1))[-strata]


def permuted_worlds(r, strata, family, n_draws: int, seed: int) -> np.ndarray:
    """The r of every account in every draw, in the accounts' own order."""
    slots, draws = permutation._build_draws(strata, family, n_draws, seed)
    worlds = np.empty((n_draws, len(r)))
    for draw, sources in draws:
        worlds[draw][:, slots] = r[slots][sources]
    return worlds


def members(levels, conjunctions) -> list[np.ndarray]:
    return [levels[:, row[row >= 0]].all(axis=1) for row in conjunctions]


def test_p_values_equal_permutations_written_plainly():
    levels, conjunctions, r, e, strata, family = simulate(1)
    worlds, masks = permuted_worlds(r, strata, family, 60, seed=5), members(levels, conjunctions)
    found = permutation.permute_search(levels, conjunctions, r, strata, family, n_draws=60, seed=5, expected=e)

    def t(values, mask):
        return values[mask].sum() / np.sqrt((values[mask] ** 2).sum())

    observed = np.array([t(r, mask) for mask in masks])
    best = np.array([max(t(world, mask) for mask in masks) for world in worlds])
    np.testing.assert_allclose(found.t, observed, rtol=1e-12, atol=1e-12)  # other order of addition
    np.testing.assert_allclose(found.max_t, best, rtol=1e-12)
    p = [(1 + sum(each >= value for each in best)) / 61 for value in observed]
    np.testing.assert_allclose(found.p, p, rtol=1e-12)
    assert len(set(p)) > 3
    for number, (low, high) in enumerate(itertools.pairwise(permutation.SIZES)):
        of_size = [mask for mask in masks if low <= e[mask].sum() / e.sum() < high]
        assert found.n_of_size[number] == len(of_size)
        for world, lift in zip(worlds, found.best_lift[number], strict=True):
            m = world + e
            lifts = [(m[a].sum() / e[a].sum()) / (m[~a].sum() / e[~a].sum()) for a in of_size]
            assert lift == pytest.approx(max(lifts), rel=1e-12) if of_size else np.isnan(lift)


def test_noise_is_the_middle_and_the_high_end_of_the_best_lifts():
    levels, conjunctions, r, e, strata, family = simulate(2)
    found = permutation.permute_search(levels, conjunctions, r, strata, family, n_draws=99, expected=e)
    noise = permutation.search_noise(found)
    assert sum(row.n_conjunctions for row in noise) == len(conjunctions) and len(noise) >= 3
    for row in noise:
        lifts = np.sort(found.best_lift[permutation.SIZES.index(row.share_low)])
        assert (row.lift_50, row.lift_95) == pytest.approx((lifts[49], 0.9 * lifts[93] + 0.1 * lifts[94]), rel=1e-12)
        assert row.lift_95 > row.lift_50
    assert noise[0].lift_95 > noise[-1].lift_95 > 1  # small groups look better by luck


@pytest.mark.parametrize("seed", range(5))
def test_families_move_whole_and_stay_in_their_stratum(seed):
    _, _, _, _, strata, family = simulate(seed, 60, n_families=25)
    names = np.arange(60)  # r that says whose it is
    worlds = permuted_worlds(names.astype(float), strata, family, 40, seed).astype(int)
    oldest = np.array([strata[family == code].min() for code in family])
    size = np.array([(family == code).sum() for code in family])
    order = {code: [a for a in np.lexsort((names, strata)) if family[a] == code] for code in set(family.tolist())}
    for world in worlds:
        assert sorted(world) == names.tolist()
        assert (oldest[world] == oldest).all() and (size[world] == size).all()
        for accounts in order.values():  # the values of one family, in its order
            assert [world[a] for a in accounts] == order[family[world[accounts[0]]]]
    assert len({tuple(world) for world in worlds}) > 30


def test_every_arrangement_comes_equally_often():
    """Four families in one stratum, and four of two accounts in another: 24 x 24 arrangements, 20 times each."""
    strata, family = np.repeat([-2, -1], [4, 8]), np.r_[np.arange(4), np.repeat(np.arange(4, 8), 2)]
    worlds = permuted_worlds(np.arange(12.0), strata, family, 576 * 20, seed=3)
    counts = np.unique(worlds, axis=0, return_counts=True)[1]
    assert len(counts) == 576
    assert distributions.chisquare(counts).pvalue > 0.001  # one seed, fixed


def test_one_group_has_the_p_value_of_all_arrangements():
    """Eight accounts, three inside: all 56 arrangements, counted. 9,999 draws are within four standard errors."""
    r = centre(np.array([5.0, 3.0, 2.5, -1.0, -2.0, 0.5, 1.0, -3.0]), np.full(8, -1))
    levels = np.arange(8)[:, None] < 3
    found = permutation.permute_search(levels, [[0]], r, np.full(8, -1), np.arange(8), n_draws=9999)
    every = [sum(r[list(three)]) / np.sqrt(sum(r[list(three)] ** 2)) for three in itertools.combinations(range(8), 3)]
    exact = np.mean(np.array(every) >= every[0] - 1e-12)
    assert found.p[0] == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 9999))


def test_the_observed_order_counts_as_reached_whatever_the_order_of_addition():
    """With two accounts of one stratum every second draw is the observed one; p would be near 0 if it were not seen."""
    r = np.array([0.1 + 0.2, -0.3])
    found = permutation.permute_search([[1], [0]], [[0]], r, [-1, -1], [0, 1], n_draws=999)
    assert 0.4 < found.p[0] < 0.6
    assert permutation.adjust_by_best([0.3], [0.1 + 0.2, 0.3 - 1e-16, 0.2])[0] == 0.75


@pytest.mark.parametrize("seed", range(3))
def test_laws(seed):
    """Rows shuffled, levels renamed, money in another unit: T and p stay (families keep their inner order)."""
    levels, conjunctions, r, _, strata, family = simulate(seed, 150, n_families=150)
    family = np.unique(family, return_inverse=True)[1]
    one = permutation.permute_search(levels, conjunctions, r, strata, family, n_draws=99)
    rng = np.random.default_rng(seed)
    rows = np.argsort(rng.permutation(family.max() + 1)[family], kind="stable")
    columns = rng.permutation(levels.shape[1])
    renamed = np.r_[np.argsort(columns), -1][conjunctions]
    two = permutation.permute_search(
        levels[rows][:, columns], renamed, 1000 * r[rows], strata[rows], family[rows], n_draws=99
    )
    np.testing.assert_allclose(two.t, one.t, rtol=1e-12, atol=1e-12)  # other order of addition
    np.testing.assert_allclose(two.p, one.p, rtol=1e-12)
    np.testing.assert_allclose(two.max_t, one.max_t, rtol=1e-12)


def test_draws_in_blocks_and_lists_of_masks_give_the_same(monkeypatch):
    levels, conjunctions, r, e, strata, family = simulate(6)
    sums = np.column_stack([np.ones(len(r)), r, r**2, r**3])
    one = permutation.permute_search(levels, conjunctions, r, strata, family, n_draws=50, expected=e)
    many = permutation.multiplier_search(levels, conjunctions, sums, strata, family=family, n_draws=50)
    monkeypatch.setattr(permutation, "DRAW_BYTES", 8 * len(r) * 7)  # seven draws a block
    two = permutation.permute_search(levels, conjunctions, r, strata, family, n_draws=50, expected=e)
    np.testing.assert_allclose(two.max_t, one.max_t, rtol=1e-12)
    np.testing.assert_allclose(two.best_lift, one.best_lift, rtol=1e-12)
    again = permutation.multiplier_search(levels, conjunctions, sums, strata, family=family, n_draws=50)
    np.testing.assert_allclose(again.max_t, many.max_t, rtol=1e-9)  # a sum that is near nothing loses digits
    masks = np.column_stack(members(levels, conjunctions))
    three = permutation.permute_search(masks, np.arange(masks.shape[1])[:, None], r, strata, family, n_draws=50)
    np.testing.assert_allclose(three.p, one.p, rtol=1e-12)
    np.testing.assert_allclose(three.max_t, one.max_t, rtol=1e-12)


def test_without_truth_five_in_a_hundred_searches_find_something():
    """50 worlds, one trait level only in the newest stratum, where values are larger: at most 9 with p <= .05 and
    14 to 36 with p <= .5 (each missed by luck in 1 of 1,000)."""
    best = []
    for seed in range(50):
        levels, _, r, _, strata, family = simulate(seed)
        levels = np.column_stack([levels, (strata == -4) & levels[:, 0]])
        found = search.search_conjunctions(levels, [0, 0, 0, 1, 1, 1, 2, 2, 3], np.ones((len(r), 1)), minimum={0: 10})
        best.append(permutation.permute_search(levels, found.levels, r, strata, family, n_draws=199, seed=seed).p.min())
    best = np.array(best)
    assert distributions.binom.sf(9, 50, 0.05) < 0.001 and distributions.binom.cdf(13, 50, 0.5) < 0.001
    assert (best <= 0.05).sum() <= 9 and 14 <= (best <= 0.5).sum() <= 36


def test_a_planted_group_is_found():
    levels, conjunctions, r, _, strata, family = simulate(9, 600)
    inside = levels[:, 1] & levels[:, 4]
    found = permutation.permute_search(levels, conjunctions, centre(r + 4.0 * inside, strata), strata, family)
    assert conjunctions[found.t.argmax()].tolist() == [1, 4, -1] and found.p.min() == 0.001


def test_nobody_with_anything_is_zero_not_missing():
    found = permutation.permute_search(np.ones((4, 1)), [[0]], np.zeros(4), np.zeros(4, int), np.arange(4), n_draws=9)
    assert found.t.tolist() == [0.0] and found.p.tolist() == [1.0]


@pytest.mark.parametrize(("seed", "minimum"), [(0, 60), (1, 60), (2, 400)])
def test_multipliers_agree_with_the_permutation(seed, minimum, monkeypatch):
    """8,000 accounts with skewed values, 999 draws: p differs by .06 at most where the permutation gives .01 to .5.

    The difference of two such p-values near .5 has a standard error of .022. Without the transformation of z the
    difference is larger where groups are small."""
    rng = np.random.default_rng(seed)
    values = np.column_stack([rng.choice(4, 8000, p=[0.6, 0.2, 0.15, 0.05]) for _ in range(5)])
    levels = np.column_stack([values[:, a] == level for a in range(5) for level in range(4)])
    strata = rng.integers(-6, 0, 8000)
    r = centre(np.where(rng.random(8000) < 0.25, rng.lognormal(0, 0.8, 8000), 0.0), strata)
    found = search.search_conjunctions(levels, np.repeat(range(5), 4), np.ones((8000, 1)), minimum={0: minimum})
    one = permutation.permute_search(levels, found.levels, r, strata, np.arange(8000))
    of_stratum = np.column_stack([levels, strata[:, None] == np.arange(-6, 0)])
    cells, sums, _ = search.build_cells(of_stratum, np.column_stack([np.ones(8000), r, r**2, r**3]))
    assert len(cells) < 5000
    stratum = cells[:, 20:].argmax(axis=1)
    two = permutation.multiplier_search(cells[:, :20], found.levels, sums, stratum)
    np.testing.assert_allclose(two.t, one.t, rtol=1e-9, atol=1e-9)  # sums near nothing lose digits
    assert farthest(one.max_t, two.max_t) < 0.06
    if minimum == 60:
        monkeypatch.setattr(permutation, "_skew", lambda z, skewness: z)
        plain = permutation.multiplier_search(cells[:, :20], found.levels, sums, stratum)
        assert farthest(one.max_t, plain.max_t) > 0.2


def farthest(max_t, others) -> float:
    """The largest difference of p between two lists of best T, where the first gives .01 to .5."""
    at = np.quantile(max_t, np.linspace(0.5, 0.99, 50))
    return np.abs(permutation.adjust_by_best(at, max_t) - permutation.adjust_by_best(at, others)).max()


def test_a_family_shares_its_multiplier():
    """Two accounts of one family with opposite r are the group, nobody else has anything: their sum is 0 in every world
    if they share the multiplier, and in none if they do not."""
    levels = np.arange(6)[:, None] < 2
    sums = np.column_stack([np.ones(6), [2, -2, 0, 0, 0, 0], [4, 4, 0, 0, 0, 0], [8, -8, 0, 0, 0, 0]])
    family = [7, 7, -1, -1, -1, -1]
    shared = permutation.multiplier_search(levels, [[0]], sums, np.zeros(6), family=family, n_draws=20)
    np.testing.assert_allclose(shared.max_t, 0, atol=1e-12)
    alone = permutation.multiplier_search(levels, [[0]], sums, np.zeros(6), n_draws=20)
    assert np.abs(alone.max_t).min() > 1e-3


def test_what_does_not_fit_is_refused():
    levels, conjunctions, r, _, strata, family = simulate(0)
    with pytest.raises(DataError, match="permutation: strata has 239 rows, levels has 240"):
        permutation.permute_search(levels, conjunctions, r, strata[1:], family)
    r[3] = np.nan
    with pytest.raises(DataError, match="permutation: 1 values of r are missing; leave these accounts out"):
        permutation.permute_search(levels, conjunctions, r, strata, family)
