"""A child process that is killed at the n-th step that it takes on disk, as by a power cut."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

STEPS = (
    (Path, "rename"),
    (Path, "replace"),
    (Path, "write_text"),
    (Path, "mkdir"),
    (shutil, "rmtree"),
    (shutil, "copyfile"),
    (os, "unlink"),
    (os, "rmdir"),
)


def run_killed(action: Callable[[], object], at: int, after: bool = False) -> bool:
    """Run `action` in a child that is killed before (or just after) its step number `at`; was it killed?

    A child that reaches its end first was not killed: then every step has been tried. One that raises fails the test.
    """
    child = os.fork()
    if not child:
        code = 1
        try:
            _arm(at, after)
            action()
            code = 0
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


def _arm(at: int, after: bool) -> None:
    left = [at]

    def deadly(step):
        def wrapped(*arguments, **keywords):
            left[0] -= 1
            if left[0] == 0 and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            is_last = left[0] == 0
            done = step(*arguments, **keywords)
            if is_last:
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        return wrapped

    for owner, name in STEPS:
        setattr(owner, name, deadly(getattr(owner, name)))
