"""A peer's side of `score`: a process of its own environment that reads the model and the rows, and takes turns when asked."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from common import ROOT, WORK, environment

LIMIT = 120  # seconds to read or compile a model and to answer once
BOOSTED = ("XGBoost", "LightGBM", "CatBoost")
SKLEARN = ("random forest", "gradient boosting", "HistGradientBoosting")
TAKES = {  # what each peer has an importer for
    "onnxruntime": (*BOOSTED, *SKLEARN),
    "tl2cgen": ("XGBoost", "LightGBM", *SKLEARN),
    "lleaves": ("LightGBM",),
    "daal4py": (*BOOSTED, *SKLEARN),
}
PACKAGES = {"daal4py": "scikit-learn-intelex"}  # whose version is meant


class Unsupported(Exception):
    """Why a peer does not measure a point."""


class Peer:
    """A running peer that has answered the rows once: `probability` is what it said of them."""

    def __init__(self, name: str, by: str, model: Path, rows: Path, batch: int) -> None:
        if by not in TAKES[name]:
            raise Unsupported(f"takes models of {', '.join(TAKES[name])} only")
        try:
            python = environment(name)
        except subprocess.CalledProcessError as error:
            raise Unsupported(f"environments/{name}.txt cannot be installed: {error}") from error
        self.kept = WORK / name / "kept" / model.stem
        self.kept.mkdir(parents=True, exist_ok=True)
        refused = self.kept / "refused.txt"
        if refused.exists():
            raise Unsupported(refused.read_text())
        answers = self.kept / "answers.npy"
        job = {"library": by, "model": str(model), "rows": str(rows), "batch": batch, "kept": str(self.kept),
               "answers": str(answers), "package": PACKAGES.get(name, name)}  # fmt: skip
        self._process = _started(python, name, job, self.kept / "log.txt")
        try:
            said = json.loads(self._line())
        except TimeoutError:
            self.close()
            refused.write_text(f"not ready after {LIMIT} s")  # so that later runs need not wait for it again
            raise Unsupported(refused.read_text()) from None
        if "refused" in said:
            self.close()
            raise Unsupported(_short(said["refused"]))
        self.name, self.probability = f"{name} {said['version']}", np.load(answers)

    def turn(self) -> float:
        """Return the seconds that the peer says one turn took."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"turn\n")
        self._process.stdin.flush()
        return float(self._line(10 * LIMIT))

    def _line(self, limit: float = LIMIT) -> str:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], limit)[0]:
            raise TimeoutError
        line = self._process.stdout.readline().decode()
        return line or json.dumps({"refused": f"ended with {self._process.wait()}; see {self.kept / 'log.txt'}"})

    def close(self) -> None:
        """End the process, and the compilers that it may have started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _started(python: Path, name: str, job: dict[str, Any], log: Path) -> subprocess.Popen[bytes]:
    worker = ROOT / "benchmarks" / "peers" / "scoring_worker.py"
    with log.open("wb") as file:
        return subprocess.Popen(
            [python, worker, name, json.dumps(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )


def _short(reason: str) -> str:
    """Return the first and the last line of a reason, cut where it has gone on for long."""
    lines = reason.splitlines()
    cut = [line if len(line) <= 160 else line[:160] + " …" for line in dict.fromkeys([lines[0], lines[-1]])]
    return " … ".join(cut)
