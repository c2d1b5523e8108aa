"""How long do eight notebooks and their pages take, against papermill and nbconvert called for one after another?
And how long does each page of the demo take by itself?

Run: python bench/execution.py [repeats]   (default 3)
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from icp_lib import demo, execution
from icp_lib.schemas import NEEDS

ROOT = Path(__file__).resolve().parents[1]
QUARTER = "2026-Q3"
WAYS = {
    "commands": "`papermill`, then `jupyter nbconvert --to html`, one notebook after another",
    "alone": "`execute_all` with one notebook at a time, then `render_page`",
    "ours": "`execute_all` as `make report` calls it, then `render_page`",
}
#: What every page of ours does: open the run, compute something, draw a figure, show a table.
CELLS = (
    "import icp_lib as icp\n\nrun = icp.start_run(quarter, data, out)",
    "import pandas as pd\n\nnothing = pd.DataFrame(columns=['notebook', 'status', 'missing'])",
    "traits = {'industry': {}}",
    "levels = icp.segments.estimate_levels(run.accounts, run.opportunities, traits, cutoff=run.cutoff)",
    "chosen = icp.segments.pick_levels(levels)",
    "icp.figures.plot_ranges(chosen, value='lift', title='{segment}: {lift} the rest')",
    "icp.show(run.save(chosen, table), caption='Every level')",
)
SAVED_BY_FIRST = "run.save(nothing, 'readiness')\nrun.save(nothing, 'data_checks')"


def write_company(folder: Path, n_accounts: int = 900) -> Path:
    """Write a small company with eight notebooks of its own, which take the place of the stock ones."""
    import nbformat
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    (folder / "notebooks").mkdir(parents=True)
    for name, frame in demo.build_world(5, n_accounts, tables=("accounts", "opportunities")).items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    (folder / "icp.yml").write_text("name: Bench\ngross_margin_rate: 0.75\n", encoding="utf-8")
    for stem in NEEDS:
        number, title = stem[:2], stem[3:].replace("_", " ")
        parameters = f'quarter: str = "{QUARTER}"\ndata: str = ""\nout: str = ""'
        extra = [SAVED_BY_FIRST] if stem == execution.FIRST else []
        cells = [
            new_markdown_cell(f"# {number} · {title}: how long does it take?"),
            new_code_cell(parameters, metadata={"tags": ["parameters"]}),
            *map(new_code_cell, (*CELLS[:2], f"table = 'levels_{number}'", *extra, *CELLS[2:])),
        ]
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(new_notebook(cells=cells, metadata=kernel), folder / "notebooks" / f"{stem}.ipynb")
    return folder


def run_commands(company: Path, out: Path) -> dict[str, float]:
    """Call the two commands for each notebook; return seconds of each."""
    from icp_lib import extract

    seconds = {"papermill": 0.0, "nbconvert": 0.0}
    pages = out / "pages"
    pages.mkdir(parents=True)
    extract.load(company, out)  # the cache that both sides read from
    given = [word for name, value in (("quarter", QUARTER), ("data", company), ("out", out)) for word in
             ("-p", name, str(value))]  # fmt: skip
    for path in execution.find_notebooks(company):
        done = pages / path.name
        for name, command in (
            ("papermill", ["papermill", str(path), str(done), *given, "--no-progress-bar"]),
            ("nbconvert", ["jupyter", "nbconvert", "--to", "html", str(done)]),
        ):
            started = time.perf_counter()
            environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
            subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=environment)
            seconds[name] += time.perf_counter() - started
    return seconds


def run_here(company: Path, out: Path) -> dict[str, float]:
    """Do what a report does with its notebooks; return seconds of each step."""
    import nbformat

    from icp_lib import extract, pages
    from icp_lib.run import Quarter, Run

    run = Run(Quarter.parse(QUARTER), company, out, extract.load(company, out))
    for name in ("tables", "notebooks", "pages"):
        (run.work / name).mkdir(parents=True)
    started = time.perf_counter()
    done = execution.execute_all(run, lambda words: print(words, file=sys.stderr, flush=True))
    assert all(page.status == "ok" for page in done), [page.words for page in done]
    executed = time.perf_counter()
    for page in done:
        notebook = execution.strip_notebook(nbformat.read(page.executed, as_version=4))
        context = {"name": page.name, "company": "Bench", "quarter": QUARTER, "tables": page.tables}
        (run.work / "pages" / f"{page.name}.html").write_text(pages.render_page(notebook, context), encoding="utf-8")
    return {"papermill": executed - started, "nbconvert": time.perf_counter() - executed}


def measure(way: str, company: Path, out: Path) -> dict[str, float]:
    """Return seconds of one way in a process of its own: of each step, the rest, wall and processor."""
    print(way, file=sys.stderr, flush=True)
    command = [sys.executable, __file__, "--here", way, str(company), str(out)]
    before, started = os.times(), time.perf_counter()
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout
    wall, after = time.perf_counter() - started, os.times()
    executing, exporting = map(float, said.split())
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return {"executing": executing, "exporting": exporting, "rest": wall - executing - exporting, "wall": wall,
            "processor": used}  # fmt: skip


def run(repeats: int) -> list[str]:
    """Return the lines of the table."""
    with tempfile.TemporaryDirectory(prefix="icp-bench-") as name:
        company = write_company(Path(name) / "bench")
        rounds = [
            {way: measure(way, company, Path(name) / f"{way}-{number}") for way in WAYS} for number in range(repeats)
        ]
    parts = ("executing", "exporting", "rest", "wall", "processor")
    found = {way: {part: statistics.median(each[way][part] for each in rounds) for part in parts} for way in WAYS}
    base = found["commands"]["wall"]
    lines = [
        f"Eight notebooks and their pages, median of {repeats}, {os.cpu_count()} cores, "
        f"{execution.count_workers()} notebooks side by side. Rest: the interpreter, imports, reading the extract. "
        "Processor: of all processes together. `execute_all` starts a kernel and its imports while other pages run.",
        "",
        "| way | executing | exporting | rest | seconds | processor seconds | times faster |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    return lines + [
        f"| {words} | {' | '.join(f'{found[way][part]:.1f}' for part in parts)} | {base / found[way]['wall']:.1f} |"
        for way, words in WAYS.items()
    ]


def run_pages(name: str) -> None:
    """Run the pages of the demo one after another in this process; print the seconds of each."""
    from icp_lib import extract
    from icp_lib.run import Quarter, Run

    data, out = ROOT / "data" / "demo", Path(name)
    run = Run(Quarter.parse(QUARTER), data, out, extract.load(data, out))
    (run.work / "tables").mkdir(parents=True)
    (run.work / "notebooks").mkdir(parents=True)
    execution.count_workers = lambda: 1
    done = execution.execute_all(run, lambda words: print(words, file=sys.stderr, flush=True))
    print("| page of the demo | seconds |", "|---|---:|", sep="\n")
    print("\n".join(f"| {page.name} | {page.seconds:.1f} |" for page in done))


def describe_pages() -> list[str]:
    """Return the lines of the second table, measured in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="icp-bench-") as name:
        command = [sys.executable, __file__, "--pages", name]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout
    words = "The pages of the demo, one after another; a kernel and its imports start while the page before runs."
    return ["", words, "", *said.splitlines()]


def main_here(way: str, company: Path, out: Path) -> None:
    """Do one way in this process and print its seconds."""
    if way == "alone":
        execution.count_workers = lambda: 1
    seconds = run_commands(company, out) if way == "commands" else run_here(company, out)
    print(seconds["papermill"], seconds["nbconvert"])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--here"]:
        main_here(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
    elif sys.argv[1:2] == ["--pages"]:
        run_pages(sys.argv[2])
    else:
        print("\n".join([*run(int(sys.argv[1]) if len(sys.argv) > 1 else 3), *describe_pages()]))
