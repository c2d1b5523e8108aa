"""Seconds to import icp_lib, against pandas and a bare interpreter, each in fresh processes.

A notebook, a command and a test all start with this import, so it must not load what they may not need.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

STATEMENTS = {"bare interpreter": "pass", "import icp_lib": "import icp_lib", "import pandas": "import pandas"}
ROOT = Path(__file__).resolve().parents[1]


def measure_seconds(statement: str) -> float:
    """Return the wall seconds of one fresh process that runs `statement`."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True, cwd=ROOT)
    return time.perf_counter() - started


def main(repeats: int = 7) -> None:
    """Print a table of median seconds and their ratio to pandas."""
    for statement in STATEMENTS.values():  # fill the disk cache
        measure_seconds(statement)
    rounds = [{name: measure_seconds(code) for name, code in STATEMENTS.items()} for _ in range(repeats)]
    medians = {name: statistics.median(row[name] for row in rounds) for name in STATEMENTS}
    print(f"Median of {repeats} fresh processes.\n\n| process | seconds | of pandas |\n|---|---:|---:|")
    for name, seconds in medians.items():
        print(f"| {name} | {seconds:.3f} | {seconds / medians['import pandas']:.0%} |")


if __name__ == "__main__":
    main()
