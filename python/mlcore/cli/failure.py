"""How a failed command ends: one clear message, an exit code, no traceback."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Final

from mlcore.errors import MlcoreError

INTERRUPTED: Final = 130
BUG: Final = 70


def explain(error: BaseException, *, as_json: bool) -> int:
    """Say what went wrong on standard error (as JSON on standard output when asked for) and return the exit code."""
    code, text = _told(error)
    if as_json:
        with contextlib.suppress(OSError):  # standard output may be what is full or gone
            print(json.dumps({"error": {"type": type(error).__name__, "message": text, "exit_code": code}}), flush=True)
    print(f"mlcore: {text}", file=sys.stderr)
    return code


def _told(error: BaseException) -> tuple[int, str]:
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, "interrupted; what was complete is kept, run the same command again to go on"
    if isinstance(error, MlcoreError):
        return error.exit_code, str(error)
    if isinstance(error, OSError):
        where = f" {error.filename}" if error.filename else ""
        return 2, f"the system refuses{where}: {error.strerror or error}"
    if isinstance(error, MemoryError):
        return 2, "out of memory; use fewer threads (MLCORE_THREADS=1) or smaller row groups"
    return BUG, f"{type(error).__name__}: {error} (this is a bug of mlcore's; --debug shows where)"
