"""Ctrl-C that is never lost: some libraries swallow it while they are imported, so that it is asked for again later."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_seen = threading.Event()


def seen() -> bool:
    """Return whether the user has interrupted the command."""
    return _seen.is_set()


@contextmanager
def noted() -> Iterator[None]:
    """Note each interrupt on its way to becoming a KeyboardInterrupt, until the command ends."""
    _seen.clear()
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, hook = signal.signal(signal.SIGINT, _note), sys.unraisablehook

    def quiet(unraisable: sys.UnraisableHookArgs) -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):  # where none can be raised, it stays noted
            hook(unraisable)

    sys.unraisablehook = quiet
    try:
        yield
    finally:
        sys.unraisablehook = hook
        signal.signal(signal.SIGINT, before)


def _note(number: int, frame: FrameType | None) -> None:
    _seen.set()
    raise KeyboardInterrupt
