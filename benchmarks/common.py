"""What the benchmarks share: the flights, the machine's facts and ceilings, alternating runs, results on disk."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
WORK = ROOT / "build" / "bench"
RESULTS = ROOT / "benchmarks" / "results"
VERSIONS = ("mlcore", "numpy", "pyarrow", "numba", "xgboost-cpu", "lightgbm", "catboost", "scikit-learn")


def flights(rows: int | None) -> Path:
    """Return the demo's project after its run, on all flights or about `rows`; made once."""
    folder = WORK / f"flights-{rows or 'all'}"
    if not (folder / "report" / "drift.html").exists():
        words = ["--rows", str(rows)] if rows else []
        command = [sys.executable, "-m", "mlcore.cli", "demo", "--dir", str(folder), "--quiet", *words]
        subprocess.run(command, check=True)
    return folder


def environment(name: str) -> Path:
    """Return the interpreter of a peer's own environment, of environments/NAME.txt; made once, and again when that changes."""
    wanted = ROOT / "benchmarks" / "environments" / f"{name}.txt"
    folder = WORK / name
    done, python = folder / "installed.txt", folder / "bin" / "python"
    if not done.exists() or done.read_text() != wanted.read_text():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", wanted], check=True)
        done.write_text(wanted.read_text())
    return python


def alternate(sides: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Return each side's seconds over `repeats` rounds; the sides take turns, after one unmeasured round each."""

    def timed(side: Callable[[], Any]) -> float:
        started = time.perf_counter()
        side()
        return time.perf_counter() - started

    return rounds({name: partial(timed, side) for name, side in sides.items()}, repeats)


def rounds(turns: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """Return the seconds that each side says its turn took, over `repeats` rounds after an unmeasured one."""
    for turn in turns.values():
        turn()
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(repeats):
        for name, turn in turns.items():
            seconds[name].append(turn())
    return seconds


def spread(seconds: list[float]) -> dict[str, float]:
    """Return the median and the extremes."""
    return {"median_s": statistics.median(seconds), "min_s": min(seconds), "max_s": max(seconds)}


def machine() -> dict[str, Any]:
    """Return what the figures depend on: processor, flags that matter, threads, versions, commit."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    known = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}
    processor = known.get("model name", "")
    if "cpu family" in known:  # the name alone may not tell one generation from the next
        processor += f", family {known['cpu family']} model {known['model']}"
    flags = known.get("flags", "").split()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "processor": processor,
        "instruction sets": [flag for flag in ("avx2", "bmi2", "avx512f", "avx512bw", "avx512_vbmi") if flag in flags],
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in VERSIONS},
        "commit": commit,
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "–"


def copy_bandwidth() -> float:
    """Return bytes a second that one thread reads and writes when it copies 256 MB."""
    source = np.ones(32 * 2**20)
    target = np.empty_like(source)
    seconds = alternate({"copy": lambda: np.copyto(target, source)}, 5)["copy"]
    return 2 * source.nbytes / statistics.median(seconds)


def write(
    name: str,
    title: str,
    rows: list[dict[str, Any]],
    notes: list[str],
    results: Path,
    more: Mapping[str, list[dict[str, Any]]] | None = None,
) -> None:
    """Write a result, and `more` tables below it, as JSON and Markdown, and print the Markdown."""
    results.mkdir(parents=True, exist_ok=True)
    facts, more = machine(), more or {}
    (results / f"{name}.json").write_text(
        json.dumps({"title": title, "machine": facts, "rows": rows, **more, "notes": notes}, indent=1) + "\n"
    )
    lines = [
        f"# {title}",
        "",
        f"{facts['processor']}, {', '.join(facts['instruction sets'])}; commit {facts['commit']}; "
        + ", ".join(f"{k} {v}" for k, v in facts["versions"].items()),
        "",
        *_table(rows),
    ]
    for heading, below in more.items():
        lines += ["", f"## {heading}", "", *_table(below)]
    lines += ["", *[f"- {note}" for note in notes], ""]
    (results / f"{name}.md").write_text("\n".join(lines))
    print("\n".join(lines))


def _table(rows: list[dict[str, Any]]) -> list[str]:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return lines + ["| " + " | ".join(_cell(row.get(column)) for column in columns) + " |" for row in rows]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return "" if value is None else str(value).replace("|", "\\|")
