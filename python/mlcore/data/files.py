"""Atomic writes: a file appears whole under its own name, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mlcore.errors import OutputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes the name `path` at the end, or goes away on an error.

    Raises:
        OutputError: it cannot be written, the disk is full for example; what `path` held before is kept.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, path)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        with suppress(OSError):  # what went wrong before says more
            partial.unlink(missing_ok=True)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a small file whole, or leave what was there."""
    with replacing(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def output_error(path: Path, error: OSError) -> OutputError:
    """Return the error that says why `path` could not be written and what to do."""
    return OutputError(
        f"cannot write {path}: {error.strerror or error}; what was complete is kept, make room and run the same again"
    )
