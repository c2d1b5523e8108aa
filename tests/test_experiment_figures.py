"""The figures of the tests: titles that state the finding, both drawings, and words where there is nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from icp_lib.checks import DataError
from icp_lib.experiment_figures import plot_detectable, plot_effects

EFFECTS = pd.DataFrame({
    "experiment": ["Letter for makers", "Call for makers"], "outcome": "Meeting within 45 days",
    "metric": "touch_rate_meeting_45d",
    "effect": [0.09, -0.01], "effect_low": [0.01, -0.08], "effect_high": [0.17, 0.06], "decision": ["ship", "stop"],
    "verdict": ["promising", "not supported"], "n": [354, 354],
})  # fmt: skip
DESIGN = pd.DataFrame({"experiment_id": ["letter"], "test": "Letter for makers",
                       "metric": "touch_rate_meeting_45d", "n_per_group": [120],
                       "detectable": [0.15], "mde": [0.14], "control_rate": [0.15]})  # fmt: skip
CURVE = pd.DataFrame({"experiment_id": "letter", "n_per_group": [25, 100, 400], "effect": [0.36, 0.17, 0.08]})


def test_the_title_names_what_is_used_and_what_is_not():
    chart = plot_effects(EFFECTS)
    assert chart.title == "Letter for makers makes a difference of 9 pt; the other shows nothing beyond luck"
    assert "Call for makers: −1 pt (−8 to 6)" in chart.alt and chart.svg != chart.narrow != ""
    assert "Meeting within 45 days, difference to as usual" in chart.subtitle


def test_without_a_difference_the_title_says_so():
    assert plot_effects(EFFECTS.tail(1)).title == "No test shows a difference beyond luck"


def test_tests_with_other_measures_are_not_called_by_one_name():
    mixed = EFFECTS.assign(outcome=["Meeting within 45 days", "Won within 90 days"])
    assert plot_effects(mixed).subtitle.startswith("Difference, in each test's own measure")


def test_equal_rows_give_equal_drawings():
    assert plot_effects(EFFECTS).svg == plot_effects(EFFECTS).svg


@pytest.mark.parametrize(("detectable", "said"), [(0.15, "more than the 14 pt agreed"), (0.13, "as agreed")])
def test_the_curve_says_what_the_accounts_see(detectable, said):
    chart = plot_detectable(CURVE, DESIGN.assign(detectable=detectable))
    assert chart.title.startswith("Letter for makers: 120 accounts in each group see") and chart.title.endswith(said)
    assert "100 accounts: 17 pt" in chart.alt and "agreed: 14 pt" in chart.svg


def test_a_size_that_sees_nothing_is_said():
    assert "no difference would show" in plot_detectable(CURVE, DESIGN.assign(detectable=np.nan)).title


def test_nothing_is_said_in_words():
    assert plot_effects(EFFECTS.head(0)).title == "No test has a result that can be shown yet."
    assert plot_detectable(CURVE.head(0), DESIGN).svg == ""
    assert "needs assignments" in plot_effects(EFFECTS.head(0), needs=("assignments",)).title


def test_a_missing_column_is_named():
    with pytest.raises(DataError, match="plot_effects: needs the columns effect_low"):
        plot_effects(EFFECTS.drop(columns="effect_low"))
