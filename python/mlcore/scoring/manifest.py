"""The manifest of a batch run: which outputs are whole, made by which job from which inputs.

It is rewritten whole, twice a second at most and at the end: what a killed run recorded last may be done again.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from mlcore.data.files import output_error, write_atomically
from mlcore.errors import MlcoreError
from mlcore.profile import Profile
from mlcore.scoring.stream import Finished

FORMAT: Final = 1
_PAUSE: Final = 0.5  # seconds between rewrites


@dataclass(frozen=True)
class Entry:
    """One whole output file and the input it came from."""

    source: str
    source_size: int
    source_mtime_ns: int
    rows: int
    size: int


class Manifest:
    """`manifest.json` of an output folder; rewritten atomically. Safe to record from many threads."""

    def __init__(self, folder: Path, job: dict[str, Any], entries: dict[str, Entry]) -> None:
        self.path = folder / "manifest.json"
        self._folder, self._job, self._entries = folder, job, entries
        self._lock = threading.Lock()
        self._recorded: dict[Path, Profile] = {}
        self._written, self._behind = -_PAUSE, False

    @staticmethod
    def open(folder: Path, *, job: dict[str, Any], resume: bool) -> Manifest:
        """Return the folder's manifest; emptied, on disk too, when it is another job's or `resume` is off.

        Raises:
            OutputError: `folder` is no folder, or cannot be read or written.
        """
        path = folder / "manifest.json"
        try:
            text = path.read_text()
        except FileNotFoundError:
            return Manifest(folder, job, {})
        except OSError as error:
            raise output_error(folder, error) from error
        entries: dict[str, Entry] | None = None
        try:
            stored = json.loads(text)
            if resume and stored["format"] == FORMAT and stored["job"] == job:
                entries = {name: Entry(**entry) for name, entry in stored["files"].items()}
        except (AttributeError, KeyError, TypeError, ValueError):  # not ours or damaged: every file is scored again
            entries = None
        manifest = Manifest(folder, job, entries or {})
        if entries is None:  # outputs about to be replaced must not pass for the other job's any more
            manifest._write()
        return manifest

    def holds(self, target: Path, source: tuple[int, int]) -> bool:
        """Return whether `target` is whole and was made from the input as it is now."""
        entry = self._entries.get(target.stem)
        if entry is None or (entry.source_size, entry.source_mtime_ns) != source or not target.exists():
            return False
        return target.stat().st_size == entry.size and self._read_profile(target) is not False

    def entry(self, target: Path) -> Entry:
        """Return what is recorded of an output."""
        return self._entries[target.stem]

    def record(self, target: Path, finished: Finished | None) -> None:
        """Add a whole output; nothing happens for None. `flush` must follow the last."""
        if finished is None:
            return
        size, changed = finished.fingerprint
        try:
            if finished.profile is not None:
                self._profile_path(target).parent.mkdir(exist_ok=True)
                finished.profile.save(self._profile_path(target))
                self._recorded[target] = finished.profile
            with self._lock:
                self._entries[target.stem] = Entry(
                    str(finished.source), size, changed, finished.rows, target.stat().st_size
                )
                self._behind = True
                if time.monotonic() - self._written >= _PAUSE:
                    self._write()
        except OSError as error:
            raise output_error(self.path, error) from error

    def flush(self) -> None:
        """Write what was recorded since the last rewrite."""
        with self._lock:
            if self._behind:
                self._write()

    def profiles(self, targets: list[Path]) -> dict[str, Profile]:
        """Return the profile of each output's rows, by file stem; empty when the model carries no reference."""
        found = {target.stem: self._recorded.get(target) or self._read_profile(target) for target in targets}
        return {stem: profile for stem, profile in found.items() if isinstance(profile, Profile)}

    def _profile_path(self, target: Path) -> Path:
        return self._folder / "profiles" / f"{target.stem}.arrow"

    def _read_profile(self, target: Path) -> Profile | bool:
        """The stored profile, True where the job keeps none, False where it is damaged or gone."""
        if not self._job["profiled"]:
            return True
        try:
            return Profile.load(self._profile_path(target))
        except (MlcoreError, OSError):
            return False

    def _write(self) -> None:
        files = {name: asdict(entry) for name, entry in sorted(self._entries.items())}
        write_atomically(self.path, json.dumps({"format": FORMAT, "job": self._job, "files": files}, indent=1) + "\n")
        self._written, self._behind = time.monotonic(), False
