"""An executed notebook becomes a page: nothing loaded, nothing injected, nothing private."""

from __future__ import annotations

import base64
import hashlib
import re

import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from test_display import EVIL, Tags

from icp_lib import display, figures, pages
from icp_lib.charts import NARROW

PAGES = [
    {
        "file": "00_data_check.html",
        "number": "00",
        "title": "Data check",
        "status": "warnings",
        "status_words": "2 warnings",
    },
    {
        "file": "01_segment_discovery.html",
        "number": "01",
        "title": "Segment discovery",
        "status": "ok",
        "status_words": "Ran",
    },
    {
        "file": "02_trait_analysis.html",
        "number": "02",
        "title": "Trait analysis",
        "status": "failed",
        "status_words": "Failed",
    },
]
CONTEXT = {
    "company": "Northlane & Co",
    "quarter": "2026-Q3",
    "as_of": "30 Sep 2026",
    "status": "ok",
    "status_words": "Ran",
    "run_id": "9b1e44d0",
    "fingerprint": "9b1e 44d0",
    "currency": "EUR",
    "is_demo": True,
    "name": "01_segment_discovery",
    "pages": PAGES,
    "tables": ["segments"],
}
FRAME = pd.DataFrame(
    {
        "segment": ["Carriers", EVIL],
        "margin_per_day": [44.7, 20.0],
        "margin_per_day_low": [38.2, 15.0],
        "margin_per_day_high": [51.3, 26.0],
        "verdict": ["confirmed", "untested"],
    }
)


def cell(source, *outputs, tags=()):
    return new_code_cell(source, outputs=list(outputs), metadata={"tags": list(tags)})


def result(shown):
    return new_output("execute_result", data=shown._repr_mimebundle_())


def stream(name, text):
    return new_output("stream", name=name, text=text)


def chart_outputs(chart):
    drawings = {"image/svg+xml": chart.svg, NARROW: chart.narrow, "text/plain": chart.alt}
    words = {"title": chart.title, "subtitle": chart.subtitle, "caption": chart.caption, "alt": chart.alt}
    return [
        new_output("display_data", data={"text/html": "<p>heading twice</p>"}, metadata={"icp": "chart-text"}),
        new_output(
            "display_data",
            data=drawings,
            metadata={"icp": "chart", "name": chart.name, **words},
        ),
    ]


@pytest.fixture
def notebook():
    chart = figures.plot_ranges(FRAME, title="{segment} earn {margin_per_day}", name="segments")
    return new_notebook(
        cells=[
            new_markdown_cell("# 01 · Segment discovery: which segments are worth most?"),
            cell('out = "/home/ann/secret"', tags=["parameters"]),
            cell('out = "/home/ann/secret"', tags=["injected-parameters"]),
            cell("run = 1", stream("stdout", "/home/ann/secret"), tags=["setup"]),
            new_markdown_cell("## In short"),
            cell("icp.say(row)", result(display.say(FRAME.iloc[0], "{segment} lead."))),
            new_markdown_cell(f"## Could it be luck?\n\nPrices are $5 and $10. {EVIL} ![x](https://example.com/a.png)"),
            cell("a = 1\nb = 2", result(display.show(FRAME, "Segments", name="segments"))),
            cell("chart", *chart_outputs(chart)),
            new_markdown_cell("## Could it be luck?"),
            cell("print", stream("stdout", f"seen {EVIL}"), stream("stderr", "Warning: secret")),
            cell("html", new_output("execute_result", data={"text/html": EVIL, "text/plain": "plain words"})),
        ]
    )


def test_page_is_the_same_on_every_run_and_leaves_the_notebook_alone(notebook):
    before = str(notebook)
    assert pages.render_page(notebook, CONTEXT) == pages.render_page(notebook, CONTEXT)
    assert str(notebook) == before
    for one in notebook.cells:
        one.id = one.id[::-1]
    assert pages.render_page(notebook, CONTEXT) == pages.render_page(notebook, CONTEXT)


def test_page_loads_nothing_and_runs_only_its_own_script(notebook):
    tags = Tags(pages.render_page(notebook, CONTEXT))
    for tag, attrs in tags.tags:
        assert not [name for name in attrs if name.startswith("on")], tag
        assert attrs.get("src", "data:").startswith("data:")
        assert tag not in ("link", "iframe", "object", "embed", "base")
    assert len(tags.find("script")) == 1
    assert all(not attrs["href"].startswith(("http", "//", "javascript")) for attrs in tags.find("a"))


def test_policy_names_the_script_by_its_hash(notebook):
    html = pages.render_page(notebook, CONTEXT)
    script = re.search(r"<script>(.*?)</script>", html, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = Tags(html).find("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
    assert f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy
    assert "url(" not in re.search(r"<style>(.*?)</style>", html, re.DOTALL)[1]
    assert "@import" not in html


def test_what_is_private_is_not_on_the_page(notebook):
    html = pages.render_page(notebook, CONTEXT)
    assert "secret" not in html and "heading twice" not in html and "In [" not in html


def test_hostile_text_is_shown_as_text(notebook):
    html = pages.render_page(notebook, CONTEXT)
    body = html[html.index("<body") :]
    assert "<script>alert" not in body and not Tags(body).find("img") and "&lt;img src=x" in body
    assert "plain words" in body and "$5 and $10" in body


def test_headings_become_the_contents(notebook):
    html = pages.render_page(notebook, CONTEXT)
    assert "<h1>Which segments are worth most?</h1>" in html and "01 Segment discovery" in html
    assert html.count('href="#could-it-be-luck"') == 1 and html.count('href="#could-it-be-luck-2"') == 1
    ids = [attrs["id"] for _, attrs in Tags(html).tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_table_has_what_the_script_needs(notebook):
    tags = Tags(pages.render_page(notebook, CONTEXT))
    table = next(attrs for _, attrs in tags.tags if attrs.get("class", "").startswith("icp-table"))
    assert table["data-href"] == "tables/segments.csv" and table["data-rows"] == "12"
    assert tags.find("a", href="glossary.html#margin_per_day")
    assert len(tags.find("div", id="def-margin_per_day")) == 1


def test_what_only_a_script_can_do_is_hidden_without_one(notebook):
    buttons = Tags(pages.render_page(notebook, CONTEXT)).find("button")
    assert buttons and all("hidden" in attrs for attrs in buttons)


def test_notes_stand_in_the_margin_of_the_part_they_belong_to(notebook):
    claim = {"claim": "Carriers lead.", "verdict": "untested", "n": 431}
    notebook.cells[6:6] = [
        cell("icp.facts(row, lines)", result(display.facts({"n": 431}, {"Searched": "{n} groups"}))),
    ]
    notebook.cells[8:8] = [cell("icp.how_sure(claim)", result(display.how_sure(claim)))]
    parts = pages.render_page(notebook, CONTEXT).split('<div class="part')[1:]
    assert [part.count("<aside") for part in parts] == [1, 1, 0]
    assert [part.startswith(" noted") for part in parts] == [True, True, False]
    assert "Searched" in parts[0] and parts[0].index("lead.") < parts[0].index("<aside")
    assert parts[1].index("<table") < parts[1].index("How sure are we?"), "under its finding where there is no margin"


def test_headings_in_one_cell_begin_parts_of_their_own(notebook):
    notebook.cells[-3].source = "Words first.\n\n## What would change our mind?\n\nA range.\n\n## Checks"
    html = pages.render_page(notebook, CONTEXT)
    parts = html.split('<div class="part')[1:]
    assert len(parts) == 4 and "Words first." in parts[1] and "A range." in parts[2]
    assert html.count('href="#checks"') == html.count('<h2 id="checks">') == 1


def test_styles_and_scripts_are_those_asked_for_each_named_by_its_hash():
    page = pages.shell(CONTEXT, styles=("page.css", "front.css"), scripts=("page.js", "explorer.js"))
    assert len(page["scripts"]) == 2 and page["csp"].count("'sha256-") == 2
    alone = pages.shell(CONTEXT)
    assert page["css"].startswith(alone["css"]) and len(page["css"]) > len(alone["css"])


def test_code_is_folded_with_its_length(notebook):
    html = pages.render_page(notebook, CONTEXT)
    assert "<summary>Code, 2 lines</summary>" in html and "<summary>Code, 1 line</summary>" in html
    folds = [attrs for attrs in Tags(html).find("details") if attrs.get("class", "").startswith("icp-code")]
    assert len(folds) == 5 and not [attrs for attrs in folds if "open" in attrs]
    assert [attrs["class"] for attrs in folds].count("icp-code quiet") == 1, "a sentence alone shows no fold"
    assert 'id="icp-code-switch"' in html


def test_failed_page_says_why_in_words_and_keeps_what_it_had(notebook):
    message = "assignments.csv: 3 rows have no arm (first: row 118, /home/ann/acme/assignments.csv)."
    notebook.cells[8].outputs = [new_output("error", ename="DataError", evalue=message, traceback=["/home/ann/x.py"])]
    html = pages.render_page(notebook, {**CONTEXT, "status": "failed", "status_words": "Failed"})
    assert "This page failed." in html and "row 118, assignments.csv" in html and "/home/ann" not in html
    assert "€45 (38 to 51)" in html and "the last one that ran" not in html
    good = {"quarter": "2026-Q2", "href": "../2026-Q2/01_segment_discovery.html"}
    html = pages.render_page(notebook, {**CONTEXT, "status": "failed", "last_good": good})
    assert 'href="../2026-Q2/01_segment_discovery.html">See the page of 2026-Q2, the last one that ran</a>' in html
    notebook.cells[8].outputs = [new_output("error", ename="KeyError", evalue="'arm'", traceback=[])]
    assert "An error that no check foresaw: KeyError: &#x27;arm&#x27;" in pages.render_page(notebook, CONTEXT)


def test_missing_page_says_what_it_would_take():
    context = {**CONTEXT, "name": "02_trait_analysis", "status": "not produced", "status_words": "Skipped: needs 01"}
    html = pages.render_missing_page(context, "Page 01 gave no segments.", "Mend page 01, then run again.")
    assert "<h1>02 Trait analysis</h1>" in html and "Mend page 01" in html and "Skipped: needs 01" in html
    quiet = pages.render_missing_page(
        {**context, "status": "not measured"}, "Not measured: needs spend.", "Add spend.csv."
    )
    assert 'class="icp-missing"' in quiet and 'role="alert"' not in quiet


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("x (/home/ann/my data/a.csv, row 1)", "x (a.csv, row 1)"),
        (r"C:\Users\ann\a.csv: bad", "a.csv: bad"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("won / (won + lost)", "won / (won + lost)"),
        ("data/demo is empty", "data/demo is empty"),
    ],
)
def test_messages_lose_paths_and_colours(text, clean):
    assert pages.clean_message(text) == clean


def test_an_amber_banner_of_a_notebook_is_a_banner_on_its_page():
    shown = display.banner(pd.DataFrame([{"why": "120 against 80"}]), "Withheld", "{why}", nothing="None.")
    output = new_output("display_data", {"text/html": shown.html, "text/plain": shown.text})
    assert 'class="icp-banner warn"' in pages._output_html(output, [])
