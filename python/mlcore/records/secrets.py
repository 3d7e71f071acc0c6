"""Addresses as messages may show them."""

from __future__ import annotations

import re

_USER = re.compile(r"://[^/@\s]*:\S*@|://[^/\s]+@")  # to the last @: a password may hold one
_VALUE = re.compile(r"((?:password|passwd|pwd|token|secret|key)=)[^&\s'\"]+", re.IGNORECASE)


def redact(text: str) -> str:
    """Return the text without the user names, passwords and tokens of the URLs in it."""
    return _VALUE.sub(r"\1***", _USER.sub("://***@", text))
