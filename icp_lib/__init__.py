"""icp_lib: the helper package of the ICP notebooks. Everything loads on first use.

>>> import icp_lib as icp
>>> icp.checks.closest("acounts", ["accounts", "opportunities"])
'accounts'
"""

from __future__ import annotations

import importlib
import pkgutil
from importlib.util import find_spec

__version__ = "0.1.0"

_NAMES = dict.fromkeys(("show", "say", "how_sure", "aside", "banner", "facts"), "display")
_NAMES |= {"start_run": "run", "DataError": "checks"}


def __getattr__(name: str):
    """Import a module, or a name of one, when it is first used: heavy libraries cost seconds."""
    if name in _NAMES:
        return getattr(importlib.import_module(f"icp_lib.{_NAMES[name]}"), name)
    if not name.startswith("_") and find_spec(f"icp_lib.{name}"):
        return importlib.import_module(f"icp_lib.{name}")
    raise AttributeError(f"icp_lib has no '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_NAMES, *(module.name for module in pkgutil.iter_modules(__path__))])
