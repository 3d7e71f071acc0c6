"""The life of a model version: gates, promotion, rollback."""

from __future__ import annotations

from mlcore.lifecycle.gates import Gate, GateResult
from mlcore.lifecycle.promotion import Change, Submission, champion, promote, rollback, submit

__all__ = ["Change", "Gate", "GateResult", "Submission", "champion", "promote", "rollback", "submit"]
