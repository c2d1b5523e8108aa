"""Put what a script printed into its part of docs/bench.md: ``python bench/write.py trials < printed.txt``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "bench.md"
HEAD = """# Benchmarks

Written by `make bench`; see bench/README.md. Ratios travel between machines, seconds do not.
"""


def write_part(name: str, printed: str) -> None:
    """Replace the part of a script, or add it; parts stand in the order of their names."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    parts = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, re.M | re.S)) | {name: printed}
    written = "".join(f"\n## {each}\n\n{parts[each].strip()}\n" for each in sorted(parts))
    PAGE.write_text(HEAD + written, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write_part(sys.argv[1], sys.stdin.read())
