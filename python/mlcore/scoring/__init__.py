"""Scoring: a model and its transforms folded into edges, predicates and trees, and run over tables and files."""

from __future__ import annotations

from mlcore.scoring.compile import compile
from mlcore.scoring.files import ScoreSummary, score_files
from mlcore.scoring.scorer import Scorer

__all__ = ["ScoreSummary", "Scorer", "compile", "score_files"]
