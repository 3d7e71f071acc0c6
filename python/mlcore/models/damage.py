"""Damage: what goes wrong while a model is read, as one kind of error that says where."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mlcore.errors import MissingExtra, ModelFormatError, UnsupportedModel, UsageError

_REFUSED = (MissingExtra, ModelFormatError, UnsupportedModel, UsageError)
_RAISED = (AttributeError, KeyError, TypeError, ValueError, IndexError, OverflowError, RecursionError)


@contextmanager
def reading(where: str, kind: str) -> Iterator[None]:
    """Within it, what is refused is refused `where`, and what a damaged model of this kind raises is ModelFormatError."""
    try:
        yield
    except _REFUSED as error:
        raise type(error)(f"{where}: {error}") from error
    except _RAISED as error:
        reason = str(error)
        if isinstance(error, KeyError):  # whose text is quoted: a key, or a sentence of Arrow's
            reason = str(error.args[0]) if " " in reason else f"'{error.args[0]}' is missing"
        raise ModelFormatError(f"{where}: not a whole {kind} ({reason})") from error
