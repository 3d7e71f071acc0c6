"""Scoring: a model and its transforms folded into edges, predicates and trees, and run over tables and files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mlcore.errors import UnsupportedModel
from mlcore.scoring.compile import compile
from mlcore.scoring.composite import Composite
from mlcore.scoring.files import ScoreSummary, score_files
from mlcore.scoring.scorer import Scorer

__all__ = ["Composite", "ScoreSummary", "Scorer", "compile", "score", "score_files"]


def score(
    model: Any,
    inputs: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    backend: str = "auto",
    threads: int | None = None,
    resume: bool = True,
    keep: Sequence[str] = (),
    progress: Callable[[int], None] | None = None,
) -> ScoreSummary:
    """Score Parquet files into the folder `output` and return what was done.

    `model` is whatever `compile` takes; `keep` names columns that are copied beside the score. Killed in the middle and
    called again, it goes on where it was.
    """
    scorer = model if isinstance(model, Scorer | Composite) else compile(model, backend=backend, threads=threads)
    if not isinstance(scorer, Scorer):
        kind = type(model).__name__
        raise UnsupportedModel(
            f"{kind} is scored from tables, not yet from files; call mlcore.compile(model).predict(table)"
        )
    return score_files(scorer, inputs, output, keep=keep, resume=resume, progress=progress)
