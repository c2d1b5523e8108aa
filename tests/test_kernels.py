"""Kernels start with what notebooks import, are tried twice, and end with the run, whatever ends it."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import nbformat
import psutil
import pytest
from jupyter_client.provisioning import LocalProvisioner
from test_execution import list_children, write_notebook

from icp_lib import execution, kernels
from icp_lib.kernels import EARLY, open_kernels

LIMIT = 60  # seconds that a loaded machine may take for what takes one or two


@pytest.fixture
def launches(monkeypatch):
    """Let the first `fail` kernels be a program that ends at once; return the commands that were launched."""
    launch, said = LocalProvisioner.launch_kernel, []

    def prepare(fail: int):
        async def launch_or_not(self, cmd, **options):
            said.append(cmd)
            return await launch(self, ["false"] if len(said) <= fail else cmd, **options)

        monkeypatch.setattr(LocalProvisioner, "launch_kernel", launch_or_not)
        return said

    return prepare


@pytest.fixture
def bare(monkeypatch):
    """Kernels that import nothing beforehand, where a test needs none of it."""
    monkeypatch.setattr(kernels, "EARLY", ())


@pytest.mark.usefixtures("bare")
def test_a_kernel_that_does_not_start_is_tried_once_more(launches, tmp_path):
    said = launches(fail=1)
    source = write_notebook(tmp_path / "09_ours.ipynb", ("print(__import__('os').environ['OMP_NUM_THREADS'])",), "1")
    assert execution.execute(source, tmp_path / "done.ipynb", {}) == ("ok", "Ran")
    assert len(said) == 2
    assert nbformat.read(tmp_path / "done.ipynb", as_version=4).cells[-1].outputs[0].text == "1\n"


def test_a_kernel_that_never_starts_fails_in_words_and_leaves_no_page(launches, tmp_path):
    said = launches(fail=9)
    status, words = execution.execute(write_notebook(tmp_path / "09_ours.ipynb", ()), tmp_path / "done.ipynb", {})
    assert status == "failed" and len(said) == 2
    assert words.startswith("The kernel did not start within") and "A second try ended the same way." in words
    assert not (tmp_path / "done.ipynb").exists()


def test_a_kernel_has_imported_what_notebooks_import_and_has_no_name_of_it(tmp_path):
    cells = (f"import sys\n\nsorted(set({EARLY!r}) - set(sys.modules))", "'icp_lib' in globals() or 'pandas' in dir()")
    source = write_notebook(tmp_path / "09_ours.ipynb", cells, "1")
    assert execution.execute(source, tmp_path / "done.ipynb", {})[0] == "ok"
    shown = [cell.outputs[0].data["text/plain"] for cell in nbformat.read(tmp_path / "done.ipynb", 4).cells[-2:]]
    assert shown == ["[]", "False"]


@pytest.mark.usefixtures("bare")
def test_a_start_up_file_of_the_user_s_jupyter_changes_nothing(tmp_path, monkeypatch):
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00-mine.py").write_text("mine = 1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    source = write_notebook(tmp_path / "09_ours.ipynb", ("'mine' in globals()",), "1")
    assert execution.execute(source, tmp_path / "done.ipynb", {})[0] == "ok"
    last = nbformat.read(tmp_path / "done.ipynb", 4).cells[-1]
    assert last.outputs[0].data["text/plain"] == "False"


@pytest.mark.usefixtures("bare")
def test_kernels_end_with_the_block_and_their_folder_with_them(tmp_path):
    before = set(list_children())
    with open_kernels() as here:
        here.start("one")
        here.start("two")
        folder = here.folder
        started = set(list_children()) - before
        assert len(started) >= 2
    assert not started & set(list_children()) and not folder.exists()


@pytest.mark.usefixtures("bare")
def test_a_notebook_leaves_no_file_and_no_thread_open(tmp_path):
    """A history of many quarters runs in one process."""
    source = write_notebook(tmp_path / "09_ours.ipynb", ("1",), "1")

    def count() -> tuple[int, int]:
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(execution.execute, source, tmp_path / "done.ipynb", {}).result()[0] == "ok"
        gc.collect()
        return psutil.Process().num_fds(), threading.active_count()

    count()  # what the first one opens for good
    assert count() == count()


def wait_until(is_so) -> bool:
    until = time.monotonic() + LIMIT
    while not is_so() and time.monotonic() < until:
        time.sleep(0.1)
    return is_so()


def heed_interrupts() -> None:
    """Undo what a shell does to a job in the background: its children would not hear of SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_stopped_leaves_no_kernel_and_no_report(number, company, tmp_path):
    data = company("quarter: 2024-Q2\nmax_quarantined: 1")
    write_notebook(data / "notebooks" / "00_data_check.ipynb", ("open(out + '/begun', 'w').close()\nwhile True: pass",))
    own = tmp_path / "own temporary folder"
    own.mkdir()
    command = [sys.executable, "-m", "icp_lib", "report", "--data", str(data), "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        command, env=os.environ | {"TMPDIR": str(own)}, stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts
    )
    try:
        assert wait_until((tmp_path / "out" / "begun").exists)
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
        process.send_signal(number)
        _, error = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
    assert wait_until(lambda: not any(child.is_running() for child in children))
    assert not (tmp_path / "out" / "2024-Q2").exists()
    if number != signal.SIGKILL:
        assert list(own.iterdir()) == [] and "Traceback" not in error
