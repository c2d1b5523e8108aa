"""Kernels of a run: started early, the usual libraries imported beforehand, and none left behind in any ending."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import threading
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

#: What every notebook imports sooner or later: a kernel does it before its first cell, while others run.
EARLY = ("icp_lib.run", "icp_lib.display", "icp_lib.figures", "matplotlib.figure", "scipy.stats")
#: Seconds that a kernel may take to start, the imports included.
START_SECONDS = 180


@dataclass
class Kernels:
    """The kernels of one run.

    `folder` holds a configuration for each, `live` their managers with the clients that papermill made of them, `pids`
    the last process of each notebook.
    """

    folder: Path
    live: dict = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)
    is_stopped: threading.Event = field(default_factory=threading.Event)

    def start(self, name: str, n_threads: int = 1):
        """Start a kernel and return its manager at once, before the kernel is ready.

        Start-up files, settings and the locale of the user's own Jupyter change nothing in it.

        Parameters
        ----------
        name : str
            The notebook's.
        n_threads : int
            Threads of the numerical libraries. One gives equal last digits on every machine.

        Returns
        -------
        jupyter_client.AsyncKernelManager
        """
        from jupyter_client import AsyncKernelManager
        from jupyter_core.utils import run_sync

        own = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))
        environment = os.environ | {
            "IPYTHONDIR": str(own),
            "JUPYTER_CONFIG_DIR": str(own),
            "PYTHONHASHSEED": "0",
            "OMP_NUM_THREADS": str(n_threads),
            "OPENBLAS_NUM_THREADS": str(n_threads),
            "MKL_NUM_THREADS": str(n_threads),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }
        imports = [f"assert __import__({module!r})" for module in EARLY]  # an assertion leaves no name behind
        arguments = ["--log-level=ERROR", "--HistoryManager.hist_file=:memory:", f"--IPKernelApp.exec_lines={imports}"]
        manager = AsyncKernelManager(kernel_name="python3", connection_file=str(own / "connection.json"))
        manager.client = partial(_make_client, manager.client, clients := [])
        run_sync(manager.start_kernel)(env=environment, extra_arguments=arguments)
        self.live[manager] = clients
        self.pids[name] = manager.provisioner.pid
        if self.is_stopped.is_set():
            _kill(manager)
        return manager

    def end(self, manager, at_once: bool = False) -> None:
        """End one kernel: politely, or at once with everything that it started."""
        from jupyter_core.utils import run_sync

        if at_once:
            _kill(manager)
        for client in self.live.pop(manager):
            client.stop_channels()
            client.context.destroy(linger=0)
        run_sync(manager.shutdown_kernel)(now=at_once)

    def stop(self) -> None:
        """Kill every kernel, also one that is being started: what is running in a thread ends within a second."""
        self.is_stopped.set()
        for manager in list(self.live):
            _kill(manager)


@contextlib.contextmanager
def open_kernels():
    """Yield `Kernels`; whatever ends the block (an error, Ctrl-C, SIGTERM, a closed terminal) ends them too.

    A process that is killed outright cannot do so; its kernels notice within a second that it is gone.
    """
    with tempfile.TemporaryDirectory(prefix="icp-", ignore_cleanup_errors=True) as folder, _signals_raise():
        kernels = Kernels(Path(folder))
        try:
            yield kernels
        finally:
            kernels.stop()


def _make_client(make, clients: list, **options):
    """Make a client and note it: papermill leaves the clients of a kernel that it was given open."""
    clients.append(make(**options))
    return clients[-1]


def _kill(manager) -> None:
    """Kill a kernel's process group: a kernel leads a session of its own."""
    process = getattr(manager.provisioner, "process", None)
    if process is not None and process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def _signals_raise():
    """Let SIGTERM and SIGHUP unwind the program as Ctrl-C does; elsewhere than in the main thread they stay as set."""

    def leave(number, frame):
        raise SystemExit(128 + number)

    numbers = (signal.SIGTERM, signal.SIGHUP) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, leave) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
