"""Fixtures that more than one test file needs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from screenshots import find_chromium, start_browser

ROOT = Path(__file__).resolve().parents[1]


def pytest_xdist_make_scheduler(config, log):
    """Each file's tests stay together in their order, and so do the notebooks: 07 reads what 00 and 01 saved."""
    from xdist.scheduler import LoadScopeScheduling

    class LoadFiles(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return "notebooks" if path.endswith(".ipynb") else path

    return LoadFiles(config, log)


@pytest.fixture(scope="session")
def repo() -> Path:
    """Root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real public data sets (`ICP_SHARED_DATA`, else ``../shared/data`` beside the checkout)."""
    folder = Path(os.environ.get("ICP_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("no real data: set ICP_SHARED_DATA to a folder that holds olist/, hillstrom/, ...")
    return folder


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium of a file's own that records every request and every console message."""
    if not all(find_chromium()):
        pytest.skip("needs chromium and chromedriver on PATH")
    driver = start_browser()
    yield driver
    driver.quit()


ACCOUNTS = "account_id,created_at,industry\nA1,2024-01-01,Retail\nA2,2024-02-01,Retail\nA3,2024-03-01,Energy\n"
OPPORTUNITIES = (
    "opportunity_id,account_id,created_at,closed_at,status,amount\n"
    "O1,A1,2024-02-01,2024-03-01,won,1000\n"
    "O2,A2,2024-03-01,2024-05-01,lost,2000\n"
    "O3,A3,2024-04-01,,open,3000\n"
)


@pytest.fixture
def company(tmp_path):
    """Write a company's folder, `company(accounts="...")`: by default three of each; None is no file."""

    def write(settings: str = "max_quarantined: 1", name: str = "acme", **tables) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "icp.yml").write_text(settings, encoding="utf-8")
        for table, text in ({"accounts": ACCOUNTS, "opportunities": OPPORTUNITIES} | tables).items():
            if text is not None:
                (folder / f"{table}.csv").write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
        return folder

    return write


@pytest.fixture
def load(company, tmp_path):
    """Write a company's folder and load it: the same arguments as `company`."""
    from icp_lib import extract

    return lambda **tables: extract.load(company(**tables), tmp_path / "out")


@pytest.fixture(autouse=True)
def euros():
    """The currency of the pages is the package's one module state: every test starts with the same."""
    from icp_lib.formats import set_currency

    set_currency("EUR")
