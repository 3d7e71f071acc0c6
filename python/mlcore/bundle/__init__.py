"""Bundle: what is registered, loaded, scored and served as one thing."""

from __future__ import annotations

from mlcore.bundle.bundle import Bundle
from mlcore.bundle.manifest import FORMAT, short
from mlcore.bundle.provenance import collect
from mlcore.bundle.reference import load

__all__ = ["FORMAT", "Bundle", "collect", "load", "short"]
