"""What a step was made from, kept beside what it made: unchanged steps are skipped, and others say what changed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from blake3 import blake3

from mlcore.data.files import write_atomically

FORMAT: Final = 1
FIRST: Final = "has not run yet"
Inputs = Mapping[str, Any]


@dataclass(frozen=True)
class Done:
    """A step that ran to its end: its inputs, what it found, and the files that must still be there."""

    inputs: Inputs
    result: Mapping[str, Any]
    outputs: tuple[str, ...]


def digest(value: Any) -> str:
    """Return a short digest of a JSON-like value; dates count as their text."""
    text = json.dumps(value, sort_keys=True, default=str)
    return str(blake3(text.encode()).hexdigest()[:16])


class StepCache:
    """One small file a step under .mlcore/steps; written only after the step has ended well."""

    def __init__(self, folder: Path, root: Path) -> None:
        self._folder, self._root = folder, root

    def read(self, step: str) -> Done | None:
        """Return the step's last good run; None when there is none, or its record is damaged."""
        try:
            stored = json.loads((self._folder / f"{step}.json").read_text())
            if stored["format"] != FORMAT:
                return None
            return Done(stored["inputs"], stored["result"], tuple(stored["outputs"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, step: str, done: Done) -> None:
        """Record a good run."""
        content = {"format": FORMAT, "inputs": done.inputs, "result": done.result, "outputs": list(done.outputs)}
        write_atomically(self._folder / f"{step}.json", json.dumps(content, indent=1, default=str) + "\n")

    def forget(self, step: str) -> None:
        """Drop the record before the step changes what it speaks of."""
        (self._folder / f"{step}.json").unlink(missing_ok=True)

    def reason(self, step: str, inputs: Inputs) -> str:
        """Return why the step must run, or "" when nothing it reads has changed and all it made is there."""
        done = self.read(step)
        if done is None:
            return FIRST
        missing = [name for name in done.outputs if not (self._root / name).exists()]
        if missing:
            return f"{missing[0]} is missing"
        plain = json.loads(json.dumps(inputs, default=str))
        changes = [change for key in {**done.inputs, **plain} for change in _changes(key, done.inputs, plain)]
        return "; ".join(changes[:3]) + (f"; and {len(changes) - 3} more" if len(changes) > 3 else "")


def _changes(key: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    old, new = before.get(key), now.get(key)
    if old == new:
        return []
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return [f"{key} {change}" for inner in {**old, **new} for change in _changes(inner, old, new)]
    if isinstance(old, list | Mapping) or isinstance(new, list | Mapping):
        return [f"{key} changed"]
    if old is None or new is None:
        return [f"{key} {'added' if old is None else 'removed'}"]
    return [f"{key} {_short(old)} → {_short(new)}"]


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    return text[:12] if re.fullmatch("[0-9a-f]{32,}", text) else text
