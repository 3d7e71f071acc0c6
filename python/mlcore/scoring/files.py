"""Batch scoring of Parquet files: row groups in, scores out, counts on the way, memory bounded by blocks in flight.

A file's output is written under a temporary name and renamed when whole; the manifest is rewritten the same way.
Killed at any moment, a second call does the files that the manifest does not list, and the folder ends up the same.
"""

from __future__ import annotations

import contextlib
import threading
import time as clock
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from mlcore.data.readers import list_files
from mlcore.errors import OutputError, UsageError
from mlcore.profile import Profile
from mlcore.scoring.manifest import Manifest
from mlcore.scoring.scorer import Scorer
from mlcore.scoring.stream import FileJob, Selection, fingerprint


@dataclass(frozen=True)
class ScoreSummary:
    """What a batch run did; `profiles` holds, per output file stem, the profile of the rows in it."""

    rows: int
    files: tuple[Path, ...]
    skipped: int
    seconds: float
    profiles: dict[str, Profile]
    manifest: Path


def score_files(
    scorer: Scorer,
    inputs: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    keep: Sequence[str] = (),
    time: str | None = None,
    since: date | None = None,
    until: date | None = None,
    score_name: str = "score",
    resume: bool = True,
    progress: Callable[[int], None] | None = None,
) -> ScoreSummary:
    """Score Parquet files into `output`, one file each under the same name, and return what was done.

    Each output row has the columns `keep` and `score_name` (what `predict_value` gives), in input order. Rows
    whose `time` column lies outside [since, until) are left out. With `resume`, files that the manifest of an earlier
    run of the same model and options lists, and whose input has not changed, are skipped.

    Raises:
        DataError, SchemaMismatch: an input cannot be read or lacks a column; outputs completed before stay.
        OutputError: the output cannot be written, the disk is full for example; no partial file stays.
        UsageError: two inputs share a name, the output folder holds the inputs, or a column would be written twice.

    `progress` is called with the rows of each row group that is written, by one thread at a time.
    """
    started = clock.perf_counter()
    folder = Path(output)
    selection = Selection(tuple(keep), time, since, until, score_name)
    if len({*keep, score_name}) <= len(keep):
        raise UsageError(f"a column would be written twice: keep {', '.join(keep)} and the score, '{score_name}'")
    sources = list_files(inputs, suffixes=(".parquet",))
    targets = _targets(sources, folder)
    manifest = Manifest.open(
        folder, job={**selection.key(scorer.digest), "profiled": scorer.profile is not None}, resume=resume
    )
    jobs = [
        FileJob(scorer, source, targets[source], selection)
        for source in sources
        if not manifest.holds(targets[source], fingerprint(source))
    ]
    skipped = len(sources) - len(jobs)
    try:
        _run(jobs, scorer.threads, manifest, _one_at_a_time(progress or (lambda rows: None)))
    except BaseException:
        with contextlib.suppress(OutputError):  # the first error says what is wrong
            manifest.flush()
        raise
    manifest.flush()
    entries = [manifest.entry(targets[source]) for source in sources]
    return ScoreSummary(
        rows=sum(entry.rows for entry in entries),
        files=tuple(targets[source] for source in sources),
        skipped=skipped,
        seconds=clock.perf_counter() - started,
        profiles=manifest.profiles([targets[source] for source in sources]),
        manifest=manifest.path,
    )


def _targets(sources: Sequence[Path], folder: Path) -> dict[Path, Path]:
    targets = {source: folder / f"{source.stem}.parquet" for source in sources}
    names: dict[Path, Path] = {}
    for source, target in targets.items():
        if target in names:
            raise UsageError(f"{names[target]} and {source} would both be scored into {target}; score them apart")
        if target.resolve() == source.resolve():
            raise UsageError(f"the output folder {folder} holds the input {source.name}; choose another")
        names[target] = source
    return targets


def _one_at_a_time(progress: Callable[[int], None]) -> Callable[[int], None]:
    lock = threading.Lock()

    def call(rows: int) -> None:
        with lock:
            progress(rows)

    return call


def _run(jobs: Sequence[FileJob], threads: int, manifest: Manifest, progress: Callable[[int], None]) -> None:
    """Work on row groups of all files in order, `threads` at a time, at most two a thread in memory."""
    slots = threading.Semaphore(2 * threads)
    stop = threading.Event()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="mlcore-score")
    pending: list[Future[None]] = []
    try:
        for job, group in ((each, group) for each in jobs for group in range(each.open())):
            slots.acquire()
            if stop.is_set():
                break
            pending.append(pool.submit(_work, job, group, slots, stop, manifest, progress))
        for future in pending:
            future.result()
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
        for job in jobs:
            job.discard()


def _work(
    job: FileJob,
    group: int,
    slots: threading.Semaphore,
    stop: threading.Event,
    manifest: Manifest,
    progress: Callable[[int], None],
) -> None:
    """Score one row group and write whatever of its file is now ready; the one that ends the file records it."""
    if stop.is_set():
        return
    try:
        for rows in job.write(group, job.score(group)):
            slots.release()
            progress(rows)
        manifest.record(job.target, job.finish())
    except BaseException:
        stop.set()
        slots.release()  # wakes the caller, which sees the stop
        raise
