"""What the pages of a report say of their run, and the pages that are drawn without a kernel."""

from __future__ import annotations

import yaml
from test_shelf import build_facts, write_report

from icp_lib import site


def test_a_failed_page_knows_its_last_good_one():
    facts = build_facts("2026-Q3", failed=("01_segment_discovery",))
    runs = [build_facts("2026-Q2", failed=("01_segment_discovery",)), build_facts("2026-Q1")]
    context = site.build_context(facts, "01_segment_discovery", runs)
    assert context["last_good"] == {"quarter": "2026-Q1", "href": "../2026-Q1/01_segment_discovery.html"}
    assert context["status"] == "failed" and context["status_words"] == "accounts.csv, line 7: no industry."
    assert "last_good" not in site.build_context(facts, "00_data_check", runs)
    assert "last_good" not in site.build_context(facts, "01_segment_discovery", [])


def test_the_context_of_the_front_page_names_failures_first():
    facts = build_facts("2026-Q3", failed=("01_segment_discovery",))
    context = site.build_context(facts, "index")
    assert context["status"] == "failed" and context["status_words"] == "01 failed; 2 of 3 pages ran"
    assert [page["status_words"] for page in context["pages"]] == ["Ran", "Failed", "Ran"]
    assert (context["as_of"], context["currency"]) == ("30 Sep 2026", "USD")


def test_pages_without_a_kernel_are_drawn_from_the_folder_alone(tmp_path):
    folder = write_report(tmp_path / "2026-Q3", "2026-Q3")
    site.render_fronts(folder, build_facts("2026-Q3"), [])
    front = (folder / "index.html").read_text(encoding="utf-8")
    assert "Road freight companies" in front and "$20" in front and "Draft." in front
    assert "Road freight companies" in (folder / "summary.txt").read_text(encoding="utf-8")
    first = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    site.render_fronts(folder, build_facts("2026-Q3"), [])
    assert first == {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_without_tables_and_profile_the_front_says_what_is_missing(tmp_path):
    folder = write_report(tmp_path / "2026-Q3", "2026-Q3")
    for path in [*(folder / "tables").iterdir(), folder / "profile.yml"]:
        path.unlink()
    site.render_fronts(folder, build_facts("2026-Q3"), [])
    assert "No profile yet." in (folder / "summary.txt").read_text(encoding="utf-8")
    assert yaml.safe_load((folder / "run.json").read_text())["quarter"] == "2026-Q3"
