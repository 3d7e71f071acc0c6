"""Profiles: mergeable statistics of a dataset over frozen edges."""

from __future__ import annotations

from mlcore.profile.columns import CategoricalColumn, ColumnProfile, NumericColumn
from mlcore.profile.moments import Moments
from mlcore.profile.profile import Profile

__all__ = ["CategoricalColumn", "ColumnProfile", "Moments", "NumericColumn", "Profile"]
