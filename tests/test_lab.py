"""`make lab` in a real browser: every copy runs by Run All, in its order, and the committed notebooks stay as they are.

Takes minutes, so only where `ICP_BROWSER=1`; `ICP_SHOTS` is a folder for pictures.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from screenshots import set_screen

from icp_lib import demo, execution

pytestmark = pytest.mark.skipif(os.environ.get("ICP_BROWSER") != "1", reason="takes minutes: set ICP_BROWSER=1")
TOKEN, LIMIT = "for-this-test-alone", 180
#: JupyterLab's own view of the open notebook: its cells once the file and the kernel are there.
CELLS = """const open = window.jupyterapp?.shell.currentWidget;
    if (!open?.context?.isReady || open.context.path !== arguments[0]) return null;
    if (open.sessionContext.session?.kernel?.status !== "idle") return null;
    return open.context.model.toJSON().cells.filter((cell) => cell.cell_type === "code" && cell.source.length)"""


def wait_for(question, seconds: float = LIMIT):
    """Ask until the answer is not empty; the last answer is returned either way."""
    until = time.monotonic() + seconds
    while not (answer := question()) and time.monotonic() < until:
        time.sleep(0.3)
    return answer


def answers(address: str) -> bool:
    try:
        return urllib.request.urlopen(address, timeout=5).status == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "lab test"
    folder.mkdir()
    for name, frame in demo.build_world(5, 900, tables=("accounts", "opportunities")).items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    (folder / "icp.yml").write_text("name: Small\ngross_margin_rate: 0.75\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def lab(company, tmp_path_factory):
    """JupyterLab as `make lab` starts it, on a free port and without a browser of its own; return its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = tmp_path_factory.mktemp("settings")
    server = {"port": port, "open_browser": False, "allow_root": True, "ip": "127.0.0.1"}
    config = {"ServerApp": server, "IdentityProvider": {"token": TOKEN}, "LabApp": {"expose_app_in_browser": True}}
    (settings / "jupyter_lab_config.json").write_text(json.dumps(config), encoding="utf-8")
    words = ["lab", "--quarter", "2026-Q3", "--data", str(company), "--out", str(company.parent / "reports")]
    with (settings / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "icp_lib", *words],
            env=os.environ | {"JUPYTER_CONFIG_DIR": str(settings), "IPYTHONDIR": str(settings)},
            stdout=log, stderr=log,
        )  # fmt: skip
        address = f"http://127.0.0.1:{port}"
        assert wait_for(lambda: answers(f"{address}/api")), (settings / "log.txt").read_text()
        yield address
        process.terminate()
        process.wait(timeout=30)
    shutil.rmtree(execution.STOCK / "scratch" / company.name)


def digests() -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in execution.STOCK.glob("*.ipynb")}


def list_changes(repo: Path) -> str:
    asked = ["git", "-C", str(repo), "status", "--porcelain", "notebooks"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout


def list_errors(cells: list[dict]) -> list[str]:
    outputs = [output for cell in cells for output in cell["outputs"]]
    return [output["evalue"] for output in outputs if output["output_type"] == "error"]


def list_ended(browser, path: str) -> list[dict]:
    """The code cells of the open notebook once each of them ran, or one failed."""
    cells = browser.execute_script(CELLS, path) or []
    return cells if list_errors(cells) or all(cell["execution_count"] for cell in cells) else []


def test_every_copy_runs_by_run_all_and_the_committed_notebooks_stay(repo, company, lab, browser, tmp_path):
    before, changes = digests(), list_changes(repo)
    shots = Path(os.environ.get("ICP_SHOTS") or tmp_path)
    shots.mkdir(parents=True, exist_ok=True)
    set_screen(browser, 1440)
    for source in execution.find_notebooks(company):
        path = f"notebooks/scratch/{company.name}/{source.name}"
        browser.get(f"{lab}/lab/tree/{path.replace(' ', '%20')}?reset&token={TOKEN}")
        assert wait_for(lambda path=path: browser.execute_script(CELLS, path)), f"{source.name} did not open"
        browser.execute_script("window.jupyterapp.commands.execute('notebook:run-all-cells')")

        cells = wait_for(lambda path=path: list_ended(browser, path))
        browser.save_screenshot(str(shots / f"lab-{source.stem}.png"))
        assert cells, f"{source.name}: a cell was not run"
        assert list_errors(cells) == [], source.name
        browser.execute_script("window.jupyterapp.commands.execute('docmanager:save')")
        browser.execute_script("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    assert digests() == before and list_changes(repo) == changes
    tables = {path.stem for path in (company.parent / "reports" / ".work" / "2026-Q3" / "tables").iterdir()}
    assert {"readiness", "headline"} <= tables
