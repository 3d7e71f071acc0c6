"""mlcore: from data to a registered, scored and watched model, at the processor's limit.

>>> scorer = mlcore.compile(model)  # an XGBoost model, a pipeline, a Bundle: the same numbers, faster
>>> mlcore.score("churn@champion", ["in/*.parquet"], "out/")
>>> report = mlcore.compare(reference, current)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mlcore.bundle import Bundle, load
    from mlcore.data.snapshots import Snapshot
    from mlcore.drift.report import DriftReport, compare
    from mlcore.profile import Profile
    from mlcore.scoring import Scorer, score
    from mlcore.scoring.compile import compile

__version__ = "0.1.0"
__all__ = ["Bundle", "DriftReport", "Profile", "Scorer", "Snapshot", "compare", "compile", "load", "score"]

# Imported on first use, so that `import mlcore` costs no more than it must.
_HOMES: Final = {
    "Bundle": "mlcore.bundle",
    "DriftReport": "mlcore.drift",
    "Profile": "mlcore.profile",
    "Scorer": "mlcore.scoring",
    "Snapshot": "mlcore.data.snapshots",
    "compare": "mlcore.drift",
    "compile": "mlcore.scoring",
    "load": "mlcore.bundle",
    "score": "mlcore.scoring",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mlcore' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
