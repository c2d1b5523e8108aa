"""Imports point down only, and what must not be in the package is not."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import icp_lib

PACKAGE = Path(icp_lib.__file__).parent
SOURCES = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.glob("*.py")}
LAYERS = (
    "checks",
    "schemas metrics settings transforms aliases recognition opening reading mapping feeding linking fx parsing "
    "validation quarantine extract moments accounts journeys demo protocols",
    "stats intervals months rules value customers credits groups space sizing search pruning permutation pooling power "
    "draws discovery disguise ledger lags costs evidence logistic trait_levels differences trials looks randomisation "
    "designs heterogeneity outcomes studies assignment experiment_health experiment_effects experiment_design "
    "decisions",
    "segments quality profile offer answers change realised traits contrast trait_model trait_selection "
    "redraws best_customers personas success economics retention growth attribution reach efficiency "
    "efficiency_answers rivals experiments",
    "formats sentences marks notes display charts labels planes figures search_figures segment_figures trait_figures "
    "attribution_figures efficiency_figures economics_figures experiment_figures experiment_answers trait_answers "
    "codebook template",
    "saved run kernels failing execution scratch manifest approval shelf svg terms pages glossary "
    "cards knowledge explorer_chart explorer timeline front wall summary site publish __main__",
)
LAYER = {module: number for number, modules in enumerate(LAYERS) for module in modules.split()}
LAYER |= {module: LAYER["demo"] for module in SOURCES if module.startswith("demo_")}
ENGINE = {"reading", "mapping", "feeding", "parsing", "validation", "quarantine", "extract"}
ENGINE |= {"accounts", "journeys", "run"}


def imported(tree) -> set[str]:
    """Full names of what a module imports, at its top and inside functions."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module} if node.module != "icp_lib" else {f"icp_lib.{alias.name}" for alias in node.names}
    return names


def used(tree) -> set[str]:
    """Names and attributes that a module uses, as written: 'os.environ', 'datetime.now'."""
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    return {f"{ast.unparse(node.value)}.{node.attr}" for node in attributes}


def test_every_module_has_a_layer():
    assert set(SOURCES) - {"__init__"} <= LAYER.keys()


@pytest.mark.parametrize("module", sorted(set(SOURCES) - {"__init__"}))
def test_imports_point_down_only(module):
    own = {name.split(".")[1] for name in imported(SOURCES[module]) if name.startswith("icp_lib.")} - {"page"}
    assert not {name for name in own if LAYER[name] > LAYER[module]}
    if LAYER[module] == 3:
        assert not {name for name in own if LAYER[name] == 3}, "analyses never import each other"


@pytest.mark.parametrize("module", sorted(SOURCES))
def test_what_a_module_does_not_do(module):
    names, uses = imported(SOURCES[module]), used(SOURCES[module])
    tops = {name.split(".")[0] for name in names}
    assert not tops & {"pickle", "joblib", "shelve", "dill"}
    assert not {use for use in uses if use.endswith(("read_pickle", "to_pickle", "filterwarnings", "simplefilter"))}
    if module not in ENGINE:
        assert not tops & {"duckdb", "ibis"}
    if module not in ("__main__", "publish", "execution"):  # the command line, and how long a page took
        clocks = ("datetime.now", "datetime.utcnow", "date.today", "datetime.today", "Timestamp.now", "time.time")
        assert not {use for use in uses if use.endswith(clocks)}
    if module != "kernels":  # the environment of the kernels
        assert not {use for use in uses if use in ("os.environ", "os.getenv")}


def test_importing_the_package_loads_nothing_heavy():
    heavy = (
        "pandas",
        "numpy",
        "ibis",
        "duckdb",
        "pydantic",
        "matplotlib",
        "seaborn",
        "statsmodels",
        "nbconvert",
        "yaml",
    )
    assert list_loaded("import icp_lib; dir(icp_lib)", heavy) == "[]"


def test_a_run_compiles_no_grammar_of_web_addresses():
    assert list_loaded("from icp_lib import execution; import papermill", ("papermill", "lark")) == "['papermill']"


def list_loaded(code: str, names: tuple[str, ...]) -> str:
    """Return which of some modules a new process has loaded after running code, as Python shows a list."""
    code = f"import sys; {code}; print([name for name in {names!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="icp_lib has no 'nothing'"):
        _ = icp_lib.nothing


@pytest.mark.parametrize("module", sorted(SOURCES))
def test_modules_and_functions_are_short(module):
    lines = (PACKAGE / f"{module}.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 400
    for node in ast.walk(SOURCES[module]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = node.end_lineno - body[0].lineno + 1 if body else 0
            assert length < 60, f"{node.name}: {length} lines"
