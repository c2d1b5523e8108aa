"""Run a stock notebook's cells in this process, on any company: seconds instead of a kernel."""

from __future__ import annotations

import ast
from pathlib import Path

import nbformat

from icp_lib import quality
from icp_lib import run as runs
from icp_lib.execution import STOCK


def run_cells(name: str, quarter: str, data: Path, out: Path) -> tuple[dict, str]:
    """Return the names that the cells left, and all that they showed, as plain text."""
    parameters = {"quarter": quarter, "data": str(data), "out": str(out)}
    run = runs.start_run(**parameters)
    run.save(quality.estimate_coverage(run.accounts, run.traits), "coverage")  # what 00 leaves for the others
    names, shown = dict(parameters), []
    for cell in nbformat.read(STOCK / f"{name}.ipynb", as_version=4).cells:
        if cell.cell_type != "code" or "parameters" in cell.metadata.get("tags", []):
            continue
        tree = ast.parse(cell.source)
        *before, last = tree.body
        exec(compile(ast.Module(before, []), name, "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), name, "eval"), names)
            shown.append("\n".join(filter(None, (getattr(value, "title", ""), getattr(value, "text", "")))))
        else:
            exec(compile(ast.Module([last], []), name, "exec"), names)
    return names, "\n".join(shown)
