"""The nightly job: Parquet of flights to scored Parquet with tallies, two threads; then with month-by-month drift as well."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from common import RESULTS, ROOT, WORK, environment, flights, spread, write

import mlcore
from mlcore import Profile
from mlcore.scoring import score_files


def bundle_of(project: Path) -> Path:
    """Return the folder of the Bundle that the project trained."""
    return project / json.loads((project / ".mlcore" / "steps" / "train.json").read_text())["result"]["bundle"]


def ours(project: Path, *, watch: bool) -> float:
    """Score every month, tallying; with `watch`, compare July to December with training and write the page."""
    out = WORK / "ours"
    shutil.rmtree(out, ignore_errors=True)  # a nightly job writes new files; on both sides the removal is not timed
    started = time.perf_counter()
    bundle = mlcore.load(str(bundle_of(project)))
    scorer = mlcore.compile(bundle, threads=2)
    summary = score_files(scorer, sorted((project / "data").glob("*.parquet")), out, resume=False)
    if watch:
        later = {name: found for name, found in summary.profiles.items() if name >= "2013-07"}
        report = mlcore.compare(bundle.profile, later)
        report.to_html(WORK / "ours.html")
    return time.perf_counter() - started


def floor(project: Path) -> float:
    """Read the columns and write a column of as many rows, two files at a time: what no scorer of files can beat."""
    columns = list(mlcore.compile(str(bundle_of(project))).columns)
    out = WORK / "floor"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)

    def copy(path: Path) -> None:
        table = pq.ParquetFile(path).read(columns=columns, use_threads=False)
        scores = pa.table({"score": np.linspace(0, 1, table.num_rows, dtype=np.float32)})
        pq.write_table(scores, out / path.name, use_dictionary=False)

    started = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(copy, sorted((project / "data").glob("*.parquet"))))
    return time.perf_counter() - started


def check(project: Path) -> dict[str, float]:
    """Stop unless both sides gave the same scores and counts."""
    largest = 0.0
    for path in sorted((WORK / "ours").glob("*.parquet")):
        mine, theirs = (
            pq.read_table(folder / path.name)["score"].to_numpy() for folder in (WORK / "ours", WORK / "peer")
        )
        largest = max(largest, float(np.abs(mine - theirs).max()))
    if largest > 1e-6:
        raise SystemExit(f"scores differ by up to {largest}")
    counts = json.loads((WORK / "peer" / "counts.json").read_text())
    profile = Profile.fit(pq.read_table(project / "data", columns=["carrier"]))
    column = profile.columns["carrier"]
    if counts["carrier"] != dict(zip(column.categories, column.counts.tolist(), strict=True)):
        raise SystemExit("counts of carrier differ")
    return {"largest difference of scores": largest}


def measure(project: Path, python: Path, *, repeats: int, watch: bool) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the rows of one job, and notes; the sides take turns, each in a process that times its work alone."""
    seconds: dict[str, list[float]] = {"mlcore": [], "peer": [], "floor": []}
    notes: list[str] = []
    peers_job = ROOT / "benchmarks" / "peers" / "pandas_job.py"
    for turn in range(repeats + 1):
        mine, least = json.loads(_output([sys.executable, __file__, project, int(watch)]))
        found = _output([python, peers_job, project, bundle_of(project), WORK / "peer", int(watch)])
        theirs = json.loads(found.splitlines()[-1])
        if turn == 0:  # both are warm now, and agree before anything counts
            agreed = check(project)
            notes = [
                theirs["versions"],
                f"scores agree within {agreed['largest difference of scores']:.1e}, counts exactly",
            ]
            continue
        seconds["mlcore"].append(mine)
        seconds["peer"].append(theirs["seconds"])
        seconds["floor"].append(least)
    total = sum(pq.read_metadata(path).num_rows for path in (project / "data").glob("*.parquet"))
    job = "score, tally, compare six months, HTML" if watch else "score, tally"
    peer = "pandas + ColumnTransformer + XGBoost" + (" + Evidently" if watch else "")
    rows = []
    floor_ = "pyarrow reads the columns, writes one, and nothing else"
    for name, label in (("mlcore", "mlcore"), ("peer", peer), *([] if watch else [("floor", floor_)])):
        median = statistics.median(seconds[name])
        rows.append({"job": job, "side": label, **spread(seconds[name]), "Mrows/s": total / median / 1e6,
                     "× peer": statistics.median(seconds["peer"]) / median})  # fmt: skip
    return rows, notes


def _output(command: list[Any]) -> str:
    ended = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(ended.stderr)
    return ended.stdout


def main(rows: int | None = None, repeats: int = 3, results: Path = RESULTS) -> list[dict[str, Any]]:
    """Measure the job without drift, then with it."""
    project, python = flights(rows), environment("evidently")
    found: list[dict[str, Any]] = []
    for watch in (False, True):
        measured, notes = measure(project, python, repeats=repeats, watch=watch)
        found += measured
    notes += [
        "two threads on both sides; imports and process start are outside the times; loading the Bundle is inside ours"
    ]
    write("batch", "Parquet to scored Parquet, and the drift report", found, notes, results)
    return found


if __name__ == "__main__":
    folder, watched = Path(sys.argv[1]), sys.argv[2] == "1"
    ours(folder, watch=watched)  # the first call pays for what a nightly process pays once; both sides leave it out
    floor(folder)
    print(json.dumps([ours(folder, watch=watched), floor(folder)]))
