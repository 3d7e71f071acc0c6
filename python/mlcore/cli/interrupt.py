"""Ctrl-C that is never lost: some libraries swallow it while they are imported, so that it is asked for again later."""

from __future__ import annotations

import signal
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
    before = signal.signal(signal.SIGINT, _note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _note(number: int, frame: FrameType | None) -> None:
    _seen.set()
    raise KeyboardInterrupt
