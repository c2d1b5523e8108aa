"""Names beside marks: none covers another, none leaves the figure, the same on every run."""

from __future__ import annotations

import itertools

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from icp_lib.charts import RC
from icp_lib.labels import Label, write_labels

NAME = "Food wholesalers, 21–50 employees, own vans"


@pytest.fixture
def axes():
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(7.2, 4.1))
        axes = figure.add_axes([0.08, 0.15, 0.9, 0.82])
        axes.set(xlim=(0, 1), ylim=(0, 1))
        yield axes


def boxes(axes) -> list:
    """Extents of all words, in pixels, those of one label's lines apart."""
    axes.figure.draw_without_rendering()
    return [text.get_window_extent() for text in axes.texts if text.get_text()]


@pytest.mark.parametrize("seed", range(20))
def test_eight_long_names_never_cover_each_other(axes, seed):
    xs, ys = np.random.default_rng(seed).uniform(0.05, 0.95, (2, 8))
    write_labels(axes, [Label(x, y, f"{i} {NAME}") for i, (x, y) in enumerate(zip(xs, ys, strict=True))])
    found = boxes(axes)
    assert len(found) == 16
    # lines of one label touch, so a box may reach a pixel into its neighbour
    smaller = [matplotlib.transforms.Bbox.from_extents(b.x0 + 1, b.y0 + 2, b.x1 - 1, b.y1 - 2) for b in found]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(smaller, 2))
    width, height = axes.figure.bbox.size
    assert all(min(b.x0, b.y0) >= 0 and b.x1 <= width and b.y1 <= height for b in found)


def test_a_name_keeps_off_what_is_blocked(axes):
    write_labels(axes, [Label(0.5, 0.5, "Carriers")])
    assert axes.texts[0].get_ha() == "left"
    wall = [(0.5 + step / 100, y, 50.0) for step in range(2, 30) for y in np.linspace(0, 1, 60)]
    write_labels(axes, [Label(0.5, 0.5, "Carriers")], wall)
    assert axes.texts[-1].get_ha() == "right"


def test_a_name_at_the_right_end_goes_left(axes):
    write_labels(axes, [Label(0.98, 0.5, "Carriers")])
    assert axes.texts[0].get_ha() == "right"


def test_the_name_of_a_line_moves_along_it(axes):
    line = Label(1, 0.5, "no better than the rest", along=((0.95, 0.5), (0.6, 0.5), (0.2, 0.5)))
    write_labels(axes, [line])
    assert boxes(axes)[0].x1 > 500
    crowd = [(x, y, 50.0) for x in np.linspace(0.4, 1, 60) for y in np.linspace(0.3, 0.7, 60)]
    axes.texts[0].remove()
    write_labels(axes, [line], crowd)
    assert boxes(axes)[0].x1 < 300


def test_long_words_are_cut_and_small_words_stand_below(axes):
    write_labels(axes, [Label(0.5, 0.5, f"{NAME} {NAME}", under="0×")])
    assert [text.get_text() for text in axes.texts] == ["Food wholesalers, 21–50", "employees, own vans Food …", "0×"]


def test_no_label_is_no_work(axes):
    write_labels(axes, [])
    assert not axes.texts
