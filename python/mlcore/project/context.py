"""What every step gets: the project, its records, and someone to tell how it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from mlcore.data.snapshots import Snapshot, SnapshotStore
from mlcore.errors import UsageError
from mlcore.lifecycle.promotion import champion
from mlcore.project.cache import StepCache
from mlcore.project.config import Project
from mlcore.records.registry import Registry

Advance = Callable[[int], None]


@dataclass(frozen=True)
class StepResult:
    """What a step did. `facts` are what people read; `skipped` steps carry the facts of their last run."""

    name: str
    seconds: float
    rows: int | None
    facts: Mapping[str, Any]
    outputs: tuple[str, ...]
    reason: str
    skipped: bool = False


class Reporter(Protocol):
    """Who hears of progress."""

    def started(self, step: str, reason: str) -> None:
        """A step begins, for this reason."""

    def progress(self, what: str, total: int | None) -> AbstractContextManager[Advance]:
        """Long work of `total` units (None: unknown) begins; the function it yields says how many are done."""

    def finished(self, result: StepResult) -> None:
        """A step ended, or was skipped."""


class Silent:
    """A Reporter that says nothing."""

    def started(self, step: str, reason: str) -> None:
        """Say nothing."""

    @contextmanager
    def progress(self, what: str, total: int | None) -> Iterator[Advance]:
        """Yield a function that does nothing."""
        yield lambda done: None

    def finished(self, result: StepResult) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Context:
    """One run's surroundings."""

    project: Project
    reporter: Reporter = field(default_factory=Silent)
    interrupted: Callable[[], bool] = lambda: False

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self.project.root

    @cached_property
    def cache(self) -> StepCache:
        """The record of finished steps."""
        return StepCache(self.project.state / "steps", self.root)

    @cached_property
    def snapshots(self) -> SnapshotStore:
        """The project's snapshots."""
        return SnapshotStore(self.project.state / "snapshots", root=self.root)

    @cached_property
    def registry(self) -> Registry:
        """The project's runs, versions and decisions."""
        return Registry.open(self.root)

    @cached_property
    def champion_before(self) -> str | None:
        """The version that served when the run began: what a promotion expects still to find."""
        return champion(self.registry, self.project.name)

    def snapshot(self) -> Snapshot:
        """Return the snapshot of the last ingest; UsageError when there was none."""
        done = self.cache.read("ingest")
        if done is None:
            raise UsageError("there is no data yet; run: mlcore ingest")
        return self.snapshots.get(str(done.result["snapshot"]))

    def validated(self) -> Snapshot:
        """Return the snapshot of the last ingest, which passed validation; UsageError when it did not."""
        snapshot, done = self.snapshot(), self.cache.read("validate")
        if done is None or done.inputs.get("snapshot") != snapshot.id:
            raise UsageError(f"snapshot {snapshot.id} has not passed validation; run: mlcore validate")
        return snapshot

    def fact(self, step: str, name: str) -> Any:
        """Return what an earlier step found; UsageError, naming the step, when it has not run."""
        done = self.cache.read(step)
        if done is None:
            raise UsageError(f"this needs what '{step}' makes; run: mlcore {step}")
        return done.result[name]

    def relative(self, path: Path) -> str:
        """Return a path as seen from the project's folder; one outside it as it is."""
        whole, root = path.resolve(), self.root.resolve()
        return (whole.relative_to(root) if whole.is_relative_to(root) else whole).as_posix()
