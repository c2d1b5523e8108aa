"""Page 03 of a company that never wrote its spend down: what is missing is said, and nothing is made up."""

from __future__ import annotations

import pytest
from cells import run_cells

from icp_lib import demo
from icp_lib import run as runs

QUARTER = "2026-Q3"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unspent")
    for name, frame in demo.build_world(11, 900).items():
        if name not in ("spend", "prospects"):
            frame.to_csv(folder / f"{name}.csv", index=False)
    (folder / "icp.yml").write_text("name: Unspent\ntraits: {industry: , buyer_role: }\n", encoding="utf-8")
    run_cells("01_segment_discovery", QUARTER, folder, folder / "out")  # leaves its segments for 03
    return run_cells("03_acquisition_efficiency", QUARTER, folder, folder / "out"), folder


def test_without_spend_the_page_says_what_it_takes(page):
    (names, shown), folder = page
    assert "Not measured: needs spend. Add spend.csv with month, category and amount" in shown
    run = runs.start_run(QUARTER, str(folder), str(folder / "out"))
    for name in ("cac", "cac_by_segment", "cac_definitions", "payback_curves"):
        table = run.table(name)
        assert table.empty or table["estimate"].isna().all(), name
    assert names["claims"].empty or names["claims"]["estimate"].isna().all()


def test_what_does_not_rest_on_spend_is_there(page):
    (names, shown), _ = page
    known = names["unit"].set_index("metric")["estimate"]
    assert known["ltv"].notna().any() and known["nrr"].notna().any()
    assert "payback_months" not in known.dropna().index
    assert "of the credit for customers, by rule: credit, not cause" in shown
    assert "nan" not in shown.lower().replace("finance", "") and "€0 to win" not in shown
